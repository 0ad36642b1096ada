//! A lock for many readers or one writer in which a writer that waits keeps new readers out, also when it has been cancelled.
//!
//! Found at seed 1 by random, at seed 48 by pct(3).

use asyncio::{Event, create_task, yield_now};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Lock<const FIXED: bool> {
    state: Mutex<State>,
    changed: Event,
}

#[derive(Default)]
struct State {
    readers: usize,
    writers_waiting: usize,
    is_written: bool,
}

impl<const FIXED: bool> Lock<FIXED> {
    async fn until(&self, mut take: impl FnMut(&mut State) -> bool) {
        loop {
            self.changed.clear();
            if take(&mut self.state.lock().unwrap()) {
                return;
            }
            self.changed.wait().await;
        }
    }

    async fn read(&self) {
        self.until(|state| {
            let free = !state.is_written && state.writers_waiting == 0;
            state.readers += usize::from(free);
            free
        })
        .await;
    }

    async fn write(&self) {
        self.state.lock().unwrap().writers_waiting += 1;
        let mut waiting = Waiting { lock: self, is_over: false };
        self.until(|state| {
            let free = !state.is_written && state.readers == 0;
            state.is_written |= free;
            free
        })
        .await;
        waiting.is_over = true;
        self.state.lock().unwrap().writers_waiting -= 1;
    }

    fn release(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.set();
    }
}

struct Waiting<'a, const FIXED: bool> {
    lock: &'a Lock<FIXED>,
    is_over: bool,
}

impl<const FIXED: bool> Drop for Waiting<'_, FIXED> {
    fn drop(&mut self) {
        if FIXED && !self.is_over {
            self.lock.release(|state| state.writers_waiting -= 1);
        }
    }
}

pub(crate) async fn scenario<const FIXED: bool>() {
    let lock = Arc::new(Lock::<FIXED>::default());
    let read = |lock: Arc<Lock<FIXED>>| async move {
        lock.read().await;
        yield_now().await;
        lock.release(|state| state.readers -= 1);
    };
    let first = create_task(read(lock.clone()));
    let writer = lock.clone();
    let writing = create_task(async move {
        writer.write().await;
        writer.release(|state| state.is_written = false);
    });
    let second = create_task(read(lock.clone()));
    yield_now().await;
    writing.cancel();
    drop(writing.await);
    first.await.unwrap();
    second.await.unwrap();
}
