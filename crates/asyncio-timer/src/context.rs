//! Whose wheel the timers of this thread go to.

use crate::timers::Timers;
use crate::worker::WorkerWheel;
use asyncio_base::lent::{self, Lent};
use asyncio_base::sync::Arc;
use std::ptr;
use std::time::Instant;

#[cfg(not(asyncio_loom))]
thread_local! {
    static CURRENT: Lent<Arc<WorkerWheel>> = const { Lent::new() };
}
// The threads of a model share one thread of the system.
#[cfg(asyncio_loom)]
loom::thread_local! {
    static CURRENT: Lent<Arc<WorkerWheel>> = Lent::new();
}

/// Runs `f` as this worker of the loop: sleeps polled for the first time in there go to its wheel.
///
/// Entered once per run of a loop, not per poll.
///
/// # Panics
///
/// If there is no such worker.
pub fn enter<R>(timers: &Timers, worker: usize, f: impl FnOnce() -> R) -> R {
    lent::lend(&CURRENT, timers.wheel(worker), f)
}

/// Lends the wheel of the worker that this thread is; `None` outside loops.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(Option<&Arc<WorkerWheel>>) -> R) -> R {
    lent::with(&CURRENT, f)
}

/// The wheel of the worker that this thread is; `None` outside loops.
#[inline]
pub fn current() -> Option<Arc<WorkerWheel>> {
    with(|wheel| wheel.cloned())
}

/// The present by the clock of the loop that this thread works for; `None` outside loops.
#[inline]
pub fn now() -> Option<Instant> {
    with(|wheel| wheel.map(|wheel| wheel.now()))
}

/// A number that differs between most threads.
pub(crate) fn thread_number() -> usize {
    // Thread-locals of threads lie at least a page apart.
    CURRENT.try_with(|current| ptr::from_ref(current).addr() >> 12).unwrap_or(0)
}
