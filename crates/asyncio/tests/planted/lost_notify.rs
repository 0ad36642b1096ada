//! A condition that notifies one waiter, and nobody else if that one is cancelled before it has run (CPython #112202).
//!
//! Found at seed 3 by random, at seed 5 by pct(3).

use asyncio::sim::settle;
use asyncio::sync::oneshot;
use asyncio::{create_task, yield_now};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Condition<const FIXED: bool>(Mutex<VecDeque<oneshot::Sender<()>>>);

impl<const FIXED: bool> Condition<FIXED> {
    async fn wait(&self) {
        let (sender, notice) = oneshot::channel();
        self.0.lock().unwrap().push_back(sender);
        let mut waiter = Waiter { condition: self, notice, is_over: false };
        (&mut waiter.notice).await.unwrap();
        waiter.is_over = true;
    }

    fn notify_one(&self) {
        let mut waiters = self.0.lock().unwrap();
        while waiters.pop_front().is_some_and(|waiter| waiter.send(()).is_err()) {}
    }
}

struct Waiter<'a, const FIXED: bool> {
    condition: &'a Condition<FIXED>,
    notice: oneshot::Receiver<()>,
    is_over: bool,
}

impl<const FIXED: bool> Drop for Waiter<'_, FIXED> {
    fn drop(&mut self) {
        self.notice.close();
        if FIXED && !self.is_over && self.notice.try_recv().is_ok() {
            self.condition.notify_one();
        }
    }
}

pub(crate) async fn scenario<const FIXED: bool>() {
    let condition = Arc::new(Condition::<FIXED>::default());
    let [first, second] = [(); 2].map(|()| {
        let condition = condition.clone();
        create_task(async move { condition.wait().await })
    });
    settle().await;
    condition.notify_one();
    yield_now().await;
    first.cancel();
    if first.await.is_ok() {
        second.cancel();
    }
    // If it was not the first, it is the second that was notified.
    drop(second.await);
}
