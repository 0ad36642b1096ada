//! Decides whether a thread that brings work has to wake the worker.
//!
//! Worker 0 sleeps in the driver; other threads push to the injector, or ask the loop to stop. Both sides publish first and look second:
//!
//! | other thread | worker |
//! |---|---|
//! | 1. push the entry, or set `stopping` | 1. word := PARKED |
//! | 2. fence | 2. fence |
//! | 3. word PARKED? exchange it for AWAKE and unpark | 3. injector empty, not stopping? then block; word := AWAKE |
//!
//! # Why no work is slept over
//!
//! Of the two fences one is first in their total order, and the other side sees what was published before it. So either the worker sees
//! the work, or the thread sees PARKED. In the second case the driver promises that an unpark before the block ends the block.
//!
//! The exchange lets one of many threads unpark. The others may rely on it: its unpark is still to come or has come, and the worker
//! looks at everything after the block. An unpark that comes late, when the worker has woken and parked again, ends that block for nothing.
//!
//! # Orderings
//!
//! The fences order; the accesses themselves can be relaxed, except that under ThreadSanitizer the load after a fence is an exchange
//! (`base::sync`). What the worker reads of the work is published by the injector itself.
//!
//! Models: `loom-tests/tests/scheduler.rs`.

use asyncio_base::sync::{AtomicU64, Ordering, load_after_fence, store_load_fence};

const AWAKE: u64 = 0;
const PARKED: u64 = 1;

/// The word.
#[derive(Debug)]
pub struct Sleep(AtomicU64);

impl Sleep {
    /// The worker is awake.
    pub fn new() -> Self {
        Sleep(AtomicU64::new(AWAKE))
    }

    /// Whether the caller, who has published work, must unpark the worker.
    #[must_use]
    pub fn must_unpark(&self) -> bool {
        store_load_fence();
        if load_after_fence(&self.0) != PARKED {
            return false;
        }
        self.0.compare_exchange(PARKED, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Calls `block` unless there is `work`; for the worker.
    pub fn sleep(&self, has_work: impl FnOnce() -> bool, block: impl FnOnce()) {
        self.0.store(PARKED, Ordering::Relaxed);
        let _awake = Awake(&self.0);
        store_load_fence();
        if !has_work() {
            block();
        }
    }
}

impl Default for Sleep {
    fn default() -> Self {
        Self::new()
    }
}

/// The sleep is over, also by a panic of the driver.
struct Awake<'a>(&'a AtomicU64);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.store(AWAKE, Ordering::Relaxed);
    }
}
