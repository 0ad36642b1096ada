//! Queues of all kinds.

use crate::harness::{Inside, Ledger, Row, Scenario, scenarios};
use asyncio::sim::settle;
use asyncio::{LifoQueue, PriorityQueue, Queue, sometimes, yield_now};
use futures_lite::StreamExt;
use std::iter;
use std::sync::Arc;

scenarios! {
    queue: Bounded,
    queue_in_order: FirstCome,
    queue_join: Work,
    queue_shutdown: Closed,
    queue_shutdown_now: ClosedNow,
    queue_stream: Streamed,
    priority_queue: Sorted,
    lifo_queue: Stacked,
}

/// Two put and two take, through a queue with one place.
pub(crate) struct Bounded {
    queue: Queue<u32>,
    ledger: Ledger,
}

impl Scenario for Bounded {
    const ROLES: usize = 4;

    fn new() -> Self {
        Bounded { queue: Queue::new(1), ledger: Ledger::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        for round in 0..2 {
            if role < 2 {
                let item = (role * 10 + round) as u32;
                sometimes!("a put waits", self.queue.full());
                if self.queue.put(item).await.is_ok() {
                    self.ledger.put(item);
                }
            } else {
                sometimes!("a get waits", self.queue.empty());
                let Ok(item) = self.queue.get().await else { return };
                self.ledger.take(item);
            }
        }
    }

    fn at_rest(&self) {
        let told = self.queue.statistics();
        assert!(told.getters == 0 || self.queue.empty(), "{told:?}");
        assert!(told.putters == 0 || self.queue.full(), "{told:?}");
    }

    async fn heal(&self) {
        self.queue.shutdown(false);
    }

    fn check(&self) {
        self.ledger.check(iter::from_fn(|| self.queue.get_nowait().ok()));
    }
}

/// Nobody who waits for an item is overtaken, and no item overtakes another.
struct FirstCome {
    queue: Queue<u32>,
    ledger: Ledger,
    getters: Row,
}

impl Scenario for FirstCome {
    const ROLES: usize = 4;

    fn new() -> Self {
        FirstCome { queue: Queue::new(0), ledger: Ledger::default(), getters: Row::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            for item in 0..3 {
                self.queue.put_nowait(item).unwrap();
                self.ledger.put(item);
                // Whoever was given it has seen it before there is another.
                settle().await;
            }
            return;
        }
        sometimes!("two wait for an item", self.getters.len() == 2);
        let get = self.getters.wait(self.queue.get(), || self.queue.statistics().getters);
        let Ok(item) = get.await else { return };
        self.ledger.take(item);
    }

    async fn heal(&self) {
        for item in 10..13 {
            self.queue.put_nowait(item).unwrap();
            self.ledger.put(item);
            settle().await;
        }
    }

    fn check(&self) {
        self.ledger.check(iter::from_fn(|| self.queue.get_nowait().ok()));
    }
}

/// Items that are worked on, and one who waits until all are done.
pub(crate) struct Work {
    queue: Queue<u32>,
    at_work: Inside,
}

struct Done<'a>(&'a Queue<u32>);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.task_done().expect("it was taken");
    }
}

impl Scenario for Work {
    const ROLES: usize = 4;

    fn new() -> Self {
        let queue = Queue::new(0);
        (0..3).for_each(|item| queue.put_nowait(item).unwrap());
        Work { queue, at_work: Inside::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        match role {
            0 => {
                self.queue.join().await;
                assert_eq!(self.queue.statistics().unfinished, 0);
                assert_eq!(self.at_work.count(), 0);
                self.queue.shutdown(false);
            }
            _ => {
                while self.queue.get().await.is_ok() {
                    let _done = Done(&self.queue);
                    let _here = self.at_work.enter();
                    yield_now().await;
                    sometimes!("two are at work", self.at_work.count() == 2);
                }
            }
        }
    }

    fn at_rest(&self) {
        let told = self.queue.statistics();
        assert!(told.unfinished > 0 || told.joiners == 0, "{told:?}");
    }

    async fn heal(&self) {
        while self.queue.get_nowait().is_ok() {
            self.queue.task_done().unwrap();
        }
        self.queue.shutdown(false);
    }

    fn check(&self) {
        assert!(self.queue.task_done().is_err(), "all was done");
    }
}

/// A queue that is shut down gives what it has, and takes no more.
struct Closed {
    queue: Queue<u32>,
    ledger: Ledger,
}

impl Scenario for Closed {
    const ROLES: usize = 4;

    fn new() -> Self {
        Closed { queue: Queue::new(2), ledger: Ledger::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        match role {
            0 => {
                yield_now().await;
                self.queue.shutdown(false);
            }
            1 => {
                for item in 0..4 {
                    match self.queue.put(item).await {
                        Ok(()) => self.ledger.put(item),
                        Err(refused) => {
                            sometimes!("an item is refused", true);
                            assert_eq!(refused.0, item);
                            return;
                        }
                    }
                }
            }
            _ => {
                while let Ok(item) = self.queue.get().await {
                    self.ledger.take(item);
                }
                assert!(self.queue.is_shutdown() && self.queue.empty());
            }
        }
    }

    async fn heal(&self) {
        self.queue.shutdown(false);
    }

    fn check(&self) {
        self.ledger.check(iter::from_fn(|| self.queue.get_nowait().ok()));
    }
}

/// One that is shut down at once forgets what it has, and nobody waits for it to be done.
struct ClosedNow {
    queue: Queue<u32>,
}

impl Scenario for ClosedNow {
    const ROLES: usize = 4;

    fn new() -> Self {
        let queue = Queue::new(2);
        queue.put_nowait(0).unwrap();
        ClosedNow { queue }
    }

    async fn play(self: Arc<Self>, role: usize) {
        match role {
            0 => {
                yield_now().await;
                sometimes!("items are forgotten", !self.queue.empty());
                self.queue.shutdown(true);
                assert!(self.queue.empty());
            }
            1 => self.queue.join().await,
            2 => {
                for item in 1..4 {
                    if self.queue.put(item).await.is_err() {
                        assert!(self.queue.is_shutdown());
                        return;
                    }
                }
            }
            _ => {
                if self.queue.get().await.is_ok() && self.queue.task_done().is_err() {
                    assert!(self.queue.is_shutdown(), "the shutdown did it");
                }
            }
        }
    }

    async fn heal(&self) {
        self.queue.shutdown(true);
    }

    fn check(&self) {
        assert!(self.queue.empty());
        let told = self.queue.statistics();
        assert_eq!((told.getters, told.putters, told.joiners), (0, 0, 0));
    }
}

/// A queue as a stream, which ends when it is shut down.
struct Streamed {
    queue: Queue<u32>,
    ledger: Ledger,
}

impl Scenario for Streamed {
    const ROLES: usize = 3;

    fn new() -> Self {
        Streamed { queue: Queue::new(1), ledger: Ledger::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            for item in 0..3 {
                if self.queue.put(item).await.is_ok() {
                    self.ledger.put(item);
                }
            }
            self.queue.shutdown(false);
            return;
        }
        let mut items = self.queue.stream();
        while let Some(item) = items.next().await {
            self.ledger.take(item);
            sometimes!("an item comes after the shutdown", self.queue.is_shutdown());
            yield_now().await;
        }
    }

    async fn heal(&self) {
        self.queue.shutdown(false);
    }

    fn check(&self) {
        self.ledger.check(iter::from_fn(|| self.queue.get_nowait().ok()));
    }
}

/// The smallest first.
struct Sorted {
    queue: PriorityQueue<u32>,
    ledger: Ledger,
}

impl Scenario for Sorted {
    const ROLES: usize = 4;

    fn new() -> Self {
        Sorted { queue: PriorityQueue::new(2), ledger: Ledger::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        for round in 0..2 {
            if role < 2 {
                let item = (10 + role * 10 - round) as u32;
                if self.queue.put(item).await.is_ok() {
                    self.ledger.put(item);
                }
            } else {
                let Ok(item) = self.queue.get().await else { return };
                self.ledger.take(item);
                let larger = self.ledger.taken().windows(2).any(|pair| pair[0] > pair[1]);
                sometimes!("a larger one came first", larger);
            }
        }
    }

    async fn heal(&self) {
        self.queue.shutdown(false);
    }

    fn check(&self) {
        let left: Vec<_> = iter::from_fn(|| self.queue.get_nowait().ok()).collect();
        assert!(left.is_sorted(), "{left:?}");
        self.ledger.check(left);
    }
}

/// The last first.
struct Stacked {
    queue: LifoQueue<u32>,
    ledger: Ledger,
}

impl Scenario for Stacked {
    const ROLES: usize = 4;

    fn new() -> Self {
        Stacked { queue: LifoQueue::new(2), ledger: Ledger::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        for round in 0..2 {
            if role < 2 {
                let item = (role * 10 + round) as u32;
                if self.queue.put(item).await.is_ok() {
                    self.ledger.put(item);
                }
            } else {
                sometimes!("two lie on a stack", self.queue.full());
                let Ok(item) = self.queue.get().await else { return };
                self.ledger.take(item);
            }
        }
    }

    async fn heal(&self) {
        self.queue.shutdown(false);
    }

    fn check(&self) {
        self.ledger.check(iter::from_fn(|| self.queue.get_nowait().ok()));
    }
}
