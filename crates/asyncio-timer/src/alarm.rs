//! Tells a poller that has gone to sleep that an earlier timer was inserted.
//!
//! Two kinds of words, written on different sides:
//!
//! | word | written by | says |
//! |---|---|---|
//! | `next` of each wheel, `earliest` of the lane's | whoever holds that wheel's lock | no live timer of this wheel is earlier |
//! | `parked_until` | whoever parks in the poller; an inserter, from non-zero to zero | until when it sleeps, if nobody wakes it |
//!
//! `parked_until` is 0 while nobody sleeps in the poller, or once somebody has been told to wake up. At most one thread
//! parks at a time: the one that holds the poller.
//!
//! # Protocol
//!
//! ```text
//! inserter                                  parker
//! 1 lower `next`, under the wheel's lock    1 parked_until = MAX
//! 2 fence                                   2 fence
//! 3 read parked_until                       3 read every `next`: the minimum is m
//! 4 while it is later than the deadline:    4 parked_until = m
//!   try to put 0 in its place (CAS);        5 sleep until m, or until unparked
//!   having done so, unpark                  6 parked_until = 0; advance the wheels
//! ```
//!
//! # Why no wake-up is lost
//!
//! The two fences are totally ordered. If the inserter's comes first, the parker reads the lowered `next` in step 3 and
//! sleeps no longer than that. If the parker's comes first, the inserter reads the MAX of step 1 or something later: MAX
//! or a too late m make it unpark, an m that is early enough needs nothing, and 0 means that the parker has gone on to step 6,
//! will park anew and read `next` again, or that another inserter put it there and is about to unpark. Unparking is
//! sticky (an eventfd that stays readable), so it does not matter whether the parker sleeps already.
//!
//! The CAS may hit a `parked_until` of a later round than the one that was read: then the unpark ends that round's sleep.
//! It never replaces a 0 by a 0: a plain swap would, and loom takes such a store for one that may follow the next MAX.
//!
//! An inserter whose deadline is not earlier than `next` skips steps 2 to 4: whoever lowered `next` so far goes through
//! them. `next` may be too early, after a cancellation: that costs the parker one look, never a timer.
//!
//! # Orderings
//!
//! All accesses are `Relaxed` beside the fences: nothing is published through these words, the wheels are read under their
//! locks. Rejected: reading the wheels before step 1 too, to publish something better than MAX. It would spare an
//! unpark in the window between 1 and 4 and cost one more look at every wheel at each park.
//!
//! Models: `loom-tests/tests/timer.rs`.

use asyncio_base::CachePadded;
use asyncio_base::sync::{AtomicU64, Ordering, load_after_fence, store_load_fence};
use std::fmt;

/// Nobody sleeps in the poller, or somebody was told to wake up.
const NOBODY: u64 = 0;

/// No timer; the parker may sleep until something else happens.
pub(crate) const NEVER: u64 = u64::MAX;

/// The poller's side of the protocol and the way to unpark it.
pub(crate) struct Alarm {
    parked_until: CachePadded<AtomicU64>,
    unpark: Box<dyn Fn() + Send + Sync>,
}

impl Alarm {
    pub(crate) fn new(unpark: Box<dyn Fn() + Send + Sync>) -> Self {
        Alarm { parked_until: CachePadded(AtomicU64::new(NOBODY)), unpark }
    }

    /// Steps 2 to 4 of an inserter that lowered a `next` to this deadline.
    #[inline]
    pub(crate) fn announce(&self, deadline: u64) {
        store_load_fence(); // Faces the one in `park`.
        let until = load_after_fence(&self.parked_until);
        if deadline < until {
            self.wake(deadline, until);
        }
    }

    /// Unparks, unless somebody else did or the parker found the deadline by itself.
    #[cold]
    fn wake(&self, deadline: u64, mut until: u64) {
        let relaxed = Ordering::Relaxed;
        while deadline < until {
            match self.parked_until.compare_exchange(until, NOBODY, relaxed, relaxed) {
                Ok(_) => return (self.unpark)(),
                Err(now) => until = now,
            }
        }
    }

    /// Steps 1 to 4 of a parker. `earliest` reads every `next` with `load_after_fence`.
    pub(crate) fn park(&self, earliest: impl FnOnce() -> u64) -> u64 {
        self.parked_until.store(NEVER, Ordering::Relaxed);
        store_load_fence(); // Faces the one in `announce`.
        let earliest = earliest();
        self.parked_until.store(earliest, Ordering::Relaxed);
        earliest
    }

    /// Step 6: inserts need not unpark any more.
    pub(crate) fn unparked(&self) {
        self.parked_until.store(NOBODY, Ordering::Relaxed);
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("parked_until", &self.parked_until).finish_non_exhaustive()
    }
}
