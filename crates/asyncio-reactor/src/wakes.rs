//! Wakers collected while events are delivered, and called in batches with no lock held.

use crate::waiters::Taken;
use asyncio_base::wake_list::WakeList;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// A batch of wakers of any number, called in the order they came.
///
/// A waker is user code and may panic, and an edge is told once only: so a panic is kept until every event of the turn has
/// been delivered and every waker called, and goes on from [`finish`](Self::finish).
#[derive(Default)]
pub struct Wakes {
    list: WakeList,
    panicked: Option<Box<dyn Any + Send>>,
}

impl Wakes {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a waker. No lock may be held: a full batch is called now.
    pub fn push(&mut self, waker: Waker) {
        if self.list.is_full() {
            self.flush();
        }
        self.list.push(waker);
    }

    /// Adds what was taken from one source.
    pub(crate) fn extend(&mut self, (chair, queue): Taken) {
        chair.into_iter().for_each(|waker| self.push(waker));
        if let Some(queue) = queue {
            queue.into_iter().for_each(|(_, waker)| self.push(waker));
        }
    }

    fn flush(&mut self) {
        let list = &mut self.list;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| list.wake_all())) {
            self.panicked.get_or_insert(panic);
        }
    }

    /// Calls what is left; the batch is empty then and can be used again.
    ///
    /// # Panics
    ///
    /// If a waker panicked, with the first such panic, after all have been called.
    pub fn finish(&mut self) {
        self.flush();
        if let Some(panic) = self.panicked.take() {
            resume_unwind(panic);
        }
    }
}

impl fmt::Debug for Wakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakes").field("len", &self.list.len()).finish_non_exhaustive()
    }
}
