//! How often a thread gets up for timers: going to sleep and coming back costs more than what most timers do, so close ones are served together.
//!
//! A sleep that a timer was to end is followed by one of [`PACE`] at least, counted from that timer's deadline. A timer is late by that only if
//! another was due less than that before it; one that is alone is served on time, and so is whatever a descriptor or a wake brings. In a crowd, a
//! hundred thousand in a second, a thread gets up twenty thousand times at most, and the kernel's part of the work, which is most of it, shrinks with that.
//!
//! Only the thread that sleeps in the poller touches the word, one at a time: `Relaxed` will do. Sleeping beyond the published deadline loses no
//! timer: who inserts an earlier one compares it with the deadline, not with this, and unparks (`asyncio-timer/src/alarm.rs`).

use asyncio_base::sync::{AtomicU64, Ordering};

/// What Linux lets any thread's timers be late by unless it is told otherwise, so that they can be served together.
const PACE: u64 = 50_000;

/// When a thread last got up for a timer, in nanoseconds on the loop's scale.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU64);

impl Pace {
    /// Until when to sleep, at `now`, for a timer that is due at `deadline`.
    pub(crate) fn until(&self, deadline: u64, now: u64) -> u64 {
        let last = self.0.load(Ordering::Relaxed);
        // One that is to come was for a sleep that something else has ended.
        let earliest = if last <= now { last.saturating_add(PACE) } else { 0 };
        // What is due is not slept for.
        let until = if deadline <= now { deadline } else { deadline.max(earliest) };
        self.0.store(until, Ordering::Relaxed);
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1 << 62;

    #[test]
    fn a_timer_that_is_alone_is_served_on_time() {
        let pace = Pace::default();
        let mut now = START;
        for _ in 0..3 {
            let deadline = now + PACE + 1;
            assert_eq!(pace.until(deadline, now), deadline);
            now = deadline;
        }
    }

    #[test]
    fn timers_in_a_crowd_are_served_at_its_pace() {
        let pace = Pace::default();
        assert_eq!(pace.until(START, START - 1), START);
        assert_eq!(pace.until(START + 2, START + 1), START + PACE);
        assert_eq!(pace.until(START + PACE + 7, START + PACE + 3), START + 2 * PACE);
        // Slower than that anyway.
        assert_eq!(pace.until(START + 4 * PACE, START + 2 * PACE + 3), START + 4 * PACE);
    }

    #[test]
    fn a_sleep_that_something_else_ended_makes_no_timer_late() {
        let pace = Pace::default();
        assert_eq!(pace.until(START + 1_000_000_000, START), START + 1_000_000_000);
        assert_eq!(pace.until(START + 10, START + 5), START + 10);
    }

    #[test]
    fn what_is_due_is_not_slept_for() {
        let pace = Pace::default();
        assert_eq!(pace.until(START, START), START);
        assert_eq!(pace.until(START + 3, START + 3), START + 3);
        // The next one counts from there.
        assert_eq!(pace.until(START + 4, START + 3), START + 3 + PACE);
    }
}
