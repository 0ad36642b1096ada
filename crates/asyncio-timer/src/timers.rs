//! The timers of one loop: a wheel per worker, and the one who sleeps in the poller.

use crate::alarm::{Alarm, NEVER};
use crate::clock::{Clock, Scale};
use crate::context;
use crate::sleep::Sleep;
use crate::worker::{Shared, WorkerWheel};
use asyncio_base::sync::Arc;
use std::fmt;
use std::panic::Location;
use std::time::Instant;

/// The wheels of a loop, one per worker, each behind its own lock; no lock is shared by all.
///
/// Whoever runs tasks calls [`advance_all`](Self::advance_all) between two passes. Whoever goes to sleep in the poller asks
/// [`park`](Self::park) until when, sleeps, and says [`unparked`](Self::unparked) when it is back. A timer that is inserted
/// meanwhile and is earlier calls the `unpark` given to [`new`](Self::new). The protocol is told in `alarm.rs`.
pub struct Timers {
    wheels: Box<[Arc<WorkerWheel>]>,
    shared: Arc<Shared>,
}

impl Timers {
    /// Timers for so many workers. `unpark` ends the sleep of the thread in the poller, or the next one it begins.
    ///
    /// # Panics
    ///
    /// With no workers.
    pub fn new(
        workers: usize,
        clock: Box<dyn Clock>,
        unpark: Box<dyn Fn() + Send + Sync>,
    ) -> Arc<Timers> {
        assert!(workers > 0, "a loop has at least one worker");
        let scale = Scale::new(clock.epoch());
        let shared = Arc::new(Shared { clock, scale, alarm: Alarm::new(unpark) });
        let wheel = |index| Arc::new(WorkerWheel::new(index, shared.clone()));
        let wheels = (0..workers).map(wheel).collect();
        Arc::new(Timers { wheels, shared })
    }

    /// How many wheels there are.
    pub fn workers(&self) -> usize {
        self.wheels.len()
    }

    /// One worker's wheel.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    pub fn wheel(&self, worker: usize) -> &Arc<WorkerWheel> {
        &self.wheels[worker]
    }

    /// The wheel for timers made on this thread: that of the worker it is, else one chosen by the thread.
    pub fn local(&self) -> Arc<WorkerWheel> {
        match context::current() {
            Some(wheel) if wheel.shares_with(&self.shared) => wheel,
            _ => self.wheels[context::thread_number() % self.wheels.len()].clone(),
        }
    }

    /// The present, by the loop's clock.
    pub fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    /// The present on this loop's scale: what [`advance_all`](Self::advance_all) is told.
    pub fn now_nanos(&self) -> u64 {
        Scale::present(&*self.shared.clock)
    }

    /// An instant on this loop's scale: 2^62 at the moment the timers were made, a nanosecond a unit, saturating at both ends.
    pub fn nanos(&self, at: Instant) -> u64 {
        self.shared.scale.nanos(at)
    }

    /// The instant of a number on this loop's scale; `None` if the system has no such instant.
    pub fn instant(&self, nanos: u64) -> Option<Instant> {
        self.shared.scale.instant(nanos)
    }

    /// A future that sleeps in the [local](Self::local) wheel of this thread, wherever it is polled first.
    ///
    /// For threads that belong to no loop but know one; in a task [`sleep_until`](crate::sleep_until) does.
    #[track_caller]
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep::on(self.local(), at, Location::caller())
    }

    /// The earliest published deadline. Nothing is due before; it may be too early where a timer was cancelled.
    pub fn next(&self) -> Option<u64> {
        some(self.wheels.iter().map(|wheel| wheel.next()).min())
    }

    /// The earliest published deadline of one worker, as [`next`](Self::next).
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[inline]
    pub fn next_of(&self, worker: usize) -> Option<u64> {
        some(Some(self.wheels[worker].next()))
    }

    /// Wakes what is due of one worker, as [`advance_all`](Self::advance_all).
    ///
    /// # Panics
    ///
    /// As that.
    pub fn advance(&self, worker: usize, now: u64) -> usize {
        if self.wheels[worker].next() <= now { self.wheels[worker].advance(now) } else { 0 }
    }

    /// Wakes whatever is due: the timers of this worker first, then those of any other that nobody is at work on.
    ///
    /// Per wheel in the order of (deadline, insertion). Wakers run without a lock. Returns how many were woken.
    ///
    /// # Panics
    ///
    /// If a waker panicked, with the first such panic, after the others of its wheel have been called. If there is no such
    /// worker.
    pub fn advance_all(&self, worker: usize, now: u64) -> usize {
        let mut fired = self.advance(worker, now);
        let others = |wheels: &[Arc<WorkerWheel>]| -> usize {
            wheels.iter().filter(|w| w.next() <= now).map(|w| w.try_advance(now)).sum()
        };
        fired += others(&self.wheels[worker + 1..]);
        fired + others(&self.wheels[..worker])
    }

    /// Until when the calling thread may sleep in the poller; `None` for as long as it likes.
    ///
    /// A time that has passed means: do not sleep. From now until [`unparked`](Self::unparked), which the caller says
    /// whatever ended the sleep, an earlier timer calls `unpark`. One thread at a time may be in between.
    pub fn park(&self) -> Option<u64> {
        self.park_with(|| NEVER)
    }

    /// As [`park`](Self::park), with one more source of timers: `other` gives its earliest deadline, `u64::MAX` for none, read with
    /// [`load_after_fence`](asyncio_base::sync::load_after_fence). Whoever inserts there publishes that deadline, then [announces](Self::announce) it.
    pub fn park_with(&self, other: impl FnOnce() -> u64) -> Option<u64> {
        self.wheels.iter().for_each(|wheel| wheel.refresh());
        let wheels = || self.wheels.iter().map(|wheel| wheel.next_after_fence());
        some(Some(self.shared.alarm.park(|| wheels().fold(other(), u64::min))))
    }

    /// Calls `unpark` if the thread that [parked](Self::park_with) would sleep beyond this deadline, which was published before.
    #[inline]
    pub fn announce(&self, deadline: u64) {
        self.shared.alarm.announce(deadline);
    }

    /// The thread that [parked](Self::park) is awake: inserts need not wake it.
    pub fn unparked(&self) {
        self.shared.alarm.unparked();
    }

    /// Refuses timers from now on and drops the wakers of those that wait. They stay pending for good.
    pub fn close(&self) {
        self.wheels.iter().for_each(|wheel| wheel.close());
    }

    /// How many timers wait in all wheels; takes every lock, for reports and tests.
    pub fn len(&self) -> usize {
        self.wheels.iter().map(|wheel| wheel.len()).sum()
    }

    /// Whether no timer waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[inline]
fn some(deadline: Option<u64>) -> Option<u64> {
    deadline.filter(|&deadline| deadline != NEVER)
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("wheels", &self.wheels).finish_non_exhaustive()
    }
}
