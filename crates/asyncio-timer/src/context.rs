//! Whose wheel the timers of this thread go to.

use crate::timers::Timers;
use crate::worker::WorkerWheel;
use asyncio_base::sync::Arc;
use std::cell::RefCell;
use std::ptr;
use std::time::Instant;

#[cfg(not(asyncio_loom))]
thread_local! {
    static CURRENT: RefCell<Option<Arc<WorkerWheel>>> = const { RefCell::new(None) };
}
// The threads of a model share one thread of the system.
#[cfg(asyncio_loom)]
loom::thread_local! {
    static CURRENT: RefCell<Option<Arc<WorkerWheel>>> = RefCell::new(None);
}

/// Puts the wheel back that was current before, also on unwind.
struct Restore(Option<Arc<WorkerWheel>>);

impl Drop for Restore {
    fn drop(&mut self) {
        replace(self.0.take());
    }
}

/// The cell is borrowed for the length of a move or clone only, so no code of others ever finds it borrowed.
fn replace(wheel: Option<Arc<WorkerWheel>>) -> Option<Arc<WorkerWheel>> {
    // A thread that is being torn down has no cell left, and no timer to make.
    CURRENT.try_with(|current| current.replace(wheel)).ok().flatten()
}

/// Runs `f` as this worker of the loop: sleeps polled for the first time in there go to its wheel.
///
/// Entered once per run of a loop, not per poll.
///
/// # Panics
///
/// If there is no such worker.
pub fn enter<R>(timers: &Timers, worker: usize, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(replace(Some(timers.wheel(worker).clone())));
    f()
}

/// The wheel of the worker that this thread is; `None` outside loops.
#[inline]
pub fn current() -> Option<Arc<WorkerWheel>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// The present by the clock of the loop that this thread works for; `None` outside loops.
#[inline]
pub fn now() -> Option<Instant> {
    // The clock is ours and makes no timers, so it does not find the cell borrowed.
    CURRENT.try_with(|current| current.borrow().as_ref().map(|wheel| wheel.now())).ok().flatten()
}

/// A number that differs between most threads.
pub(crate) fn thread_number() -> usize {
    // Thread-locals of threads lie at least a page apart.
    CURRENT.try_with(|current| ptr::from_ref(current).addr() >> 12).unwrap_or(0)
}
