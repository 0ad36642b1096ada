//! A queue that hands an item to a getter that waits, and drops it if the getter is cancelled before it has run (bpo-23812).
//!
//! Found at seed 0 by random, at seed 0 by pct(3).

use asyncio::sync::oneshot;
use asyncio::{create_task, yield_now};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

struct Queue<const FIXED: bool>(Mutex<State>);

#[derive(Default)]
struct State {
    items: VecDeque<u32>,
    getters: VecDeque<oneshot::Sender<u32>>,
}

impl<const FIXED: bool> Queue<FIXED> {
    fn put(&self, mut item: u32) {
        let mut state = self.0.lock().unwrap();
        while let Some(getter) = state.getters.pop_front() {
            match getter.send(item) {
                Ok(()) => return,
                Err(back) => item = back,
            }
        }
        state.items.push_back(item);
    }

    async fn get(&self) -> u32 {
        let item = {
            let mut state = self.0.lock().unwrap();
            if let Some(item) = state.items.pop_front() {
                return item;
            }
            let (sender, item) = oneshot::channel();
            state.getters.push_back(sender);
            item
        };
        let mut getter = Getter { queue: self, item };
        (&mut getter.item).await.unwrap()
    }
}

struct Getter<'a, const FIXED: bool> {
    queue: &'a Queue<FIXED>,
    item: oneshot::Receiver<u32>,
}

impl<const FIXED: bool> Drop for Getter<'_, FIXED> {
    fn drop(&mut self) {
        self.item.close();
        if let (true, Ok(item)) = (FIXED, self.item.try_recv()) {
            self.queue.put(item);
        }
    }
}

pub(crate) async fn scenario<const FIXED: bool>() {
    let queue = Arc::new(Queue::<FIXED>(Mutex::default()));
    let got = Arc::new(Mutex::new(0));
    let getters = [(); 2].map(|()| {
        let (queue, got) = (queue.clone(), got.clone());
        create_task(async move {
            let item = queue.get().await;
            *got.lock().unwrap() += item;
        })
    });
    yield_now().await;
    queue.put(1);
    queue.put(2);
    getters[0].cancel();
    for getter in getters {
        drop(getter.await);
    }
    let left: u32 = queue.0.lock().unwrap().items.iter().sum();
    assert_eq!(*got.lock().unwrap() + left, 3, "an item was dropped");
}
