//! The right to the driver: one worker at a time sleeps in it, or looks at the descriptors.
//!
//! Only ever tried: who does not get it knows that somebody else is there. A lock would do, but for loom, whose `try_lock` may wait.

use asyncio_base::sync::{AtomicBool, Ordering};

/// Free, or taken.
#[derive(Debug)]
pub(crate) struct Right(AtomicBool);

/// The right is this worker's until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a>(&'a Right);

impl Right {
    pub(crate) fn new() -> Self {
        Right(AtomicBool::new(false))
    }

    #[inline]
    pub(crate) fn try_take(&self) -> Option<Taken<'_>> {
        // An exchange that failed must leave nothing behind: who takes the right clears it by a plain store.
        let taken = self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok().then(|| Taken(self))
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}
