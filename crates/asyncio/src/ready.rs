//! Which of many tasks have ended, in the order in which they did, without asking each.
//!
//! Every task gets a waker of its own, which writes the task's index down and wakes whoever waits for them all. So a wait for a thousand tasks
//! looks at each once.
//!
//! # Why no end is lost
//!
//! Index and waker are under one lock. Whoever waits leaves its waker and takes the indices in one critical section: an index that is written
//! later finds the waker.

use asyncio_base::sync::Mutex;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// The list of those that have ended.
#[derive(Debug, Default)]
pub(crate) struct Ready(Mutex<Ended>);

#[derive(Debug, Default)]
struct Ended {
    indices: Vec<u32>,
    waiter: Option<Waker>,
}

/// The waker of one task.
struct Tell {
    ready: Arc<Ready>,
    index: u32,
}

impl Wake for Tell {
    fn wake(self: Arc<Self>) {
        self.ready.tell(self.index);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.tell(self.index);
    }
}

impl Ready {
    pub(crate) fn for_many(many: usize) -> Arc<Self> {
        let ended = Ended { indices: Vec::with_capacity(many), waiter: None };
        Arc::new(Ready(Mutex::new(ended)))
    }

    /// Has the index of a task written down when it ends: `wake_when_finished` is the task's.
    pub(crate) fn watch(
        self: &Arc<Self>,
        index: usize,
        wake_when_finished: impl FnOnce(&Waker) -> bool,
    ) {
        let index = u32::try_from(index).expect("fewer than 2^32 tasks");
        let tell = Waker::from(Arc::new(Tell { ready: self.clone(), index }));
        if !wake_when_finished(&tell) {
            self.tell(index);
        }
    }

    fn tell(&self, index: u32) {
        let mut ended = self.0.lock();
        ended.indices.push(index);
        let waiter = ended.waiter.take();
        drop(ended);
        waiter.into_iter().for_each(Waker::wake);
    }

    /// Moves those that have ended since the last look to the end of `into`, and has `waiter` woken at the next.
    pub(crate) fn take(&self, into: &mut Vec<u32>, waiter: &Waker) {
        let waiter = waiter.clone();
        let mut ended = self.0.lock();
        if into.is_empty() {
            std::mem::swap(into, &mut ended.indices);
        } else {
            into.append(&mut ended.indices);
        }
        let stale = ended.waiter.replace(waiter);
        drop(ended);
        drop(stale);
    }
}
