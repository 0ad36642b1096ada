//! A semaphore that hands a permit to a waiter, and forgets it if that waiter is cancelled before it has run (CPython #90155).
//!
//! Found at seed 1 by random, at seed 0 by pct(3).

use asyncio::sync::oneshot;
use asyncio::{create_task, yield_now};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

struct Semaphore<const FIXED: bool>(Mutex<State>);

struct State {
    permits: usize,
    waiters: VecDeque<oneshot::Sender<()>>,
}

impl<const FIXED: bool> Semaphore<FIXED> {
    async fn acquire(&self) {
        let permit = {
            let mut state = self.0.lock().unwrap();
            if state.permits > 0 {
                state.permits -= 1;
                return;
            }
            let (grant, permit) = oneshot::channel();
            state.waiters.push_back(grant);
            permit
        };
        let mut turn = Turn { semaphore: self, permit, is_over: false };
        (&mut turn.permit).await.unwrap();
        turn.is_over = true;
    }

    fn release(&self) {
        let mut state = self.0.lock().unwrap();
        while let Some(waiter) = state.waiters.pop_front() {
            if waiter.send(()).is_ok() {
                return;
            }
        }
        state.permits += 1;
    }
}

struct Turn<'a, const FIXED: bool> {
    semaphore: &'a Semaphore<FIXED>,
    permit: oneshot::Receiver<()>,
    is_over: bool,
}

impl<const FIXED: bool> Drop for Turn<'_, FIXED> {
    fn drop(&mut self) {
        self.permit.close();
        if FIXED && !self.is_over && self.permit.try_recv().is_ok() {
            self.semaphore.release();
        }
    }
}

pub(crate) async fn scenario<const FIXED: bool>() {
    let state = State { permits: 1, waiters: VecDeque::new() };
    let semaphore = Arc::new(Semaphore::<FIXED>(Mutex::new(state)));
    let tasks = [(); 3].map(|()| {
        let semaphore = semaphore.clone();
        create_task(async move {
            semaphore.acquire().await;
            // Without an await between: this cannot be interrupted.
            semaphore.release();
        })
    });
    semaphore.acquire().await;
    yield_now().await;
    semaphore.release();
    tasks[0].cancel();
    for task in tasks {
        drop(task.await);
    }
    semaphore.acquire().await;
}
