//! How often a busy worker looks at the descriptors.
//!
//! A look is a system call and costs about as much as [`MOST`] short polls, so that tasks that yield to each other pay little for it. But what
//! waits for a descriptor must not wait for that many long polls. So the worker measures what its entries take, between two looks, and
//! aims at one look in [`BETWEEN`]; beside an entry that is [`LONG`] a look costs nothing that counts, and follows each. What comes after a sleep
//! may be of another kind than what was before, so looks begin close to each other there ([`AFTER_SLEEP`]).
//!
//! Among long entries a socket that was just read empty is worth one call more ([`FURTHER`]): that costs less than to wait for a look, and who
//! talks to a quick peer, or has one that did not wait for the answer, goes on in the same turn.

use asyncio_base::outlook;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Entries that are run between two looks at most.
pub(crate) const MOST: usize = 61;

/// Entries that are run between two looks at most before any have been measured after a sleep. Who sleeps again sooner makes no look for it.
const AFTER_SLEEP: usize = 8;

/// The time between two looks that a worker with long entries aims at.
const BETWEEN: Duration = Duration::from_micros(100);

/// What an entry takes after which a look is due.
const LONG: Duration = Duration::from_micros(20);

/// Reads from sockets that are empty as far as is known, between two looks that are far from each other. About as many messages as the budget
/// of a turn lets a task answer, and the only bound for a task without one.
const FURTHER: u32 = 64;

#[derive(Debug)]
pub(crate) struct Pace {
    /// Entries run since the last look.
    since: Cell<usize>,
    /// Entries from one look to the next.
    interval: Cell<usize>,
    /// When the last look ended; `None` if the worker has slept since.
    last: Cell<Option<Instant>>,
}

impl Pace {
    /// A look is due.
    pub(crate) fn new() -> Self {
        Pace { since: Cell::new(MOST), interval: Cell::new(MOST), last: Cell::new(None) }
    }

    /// Whether a look is due.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.since.get() >= self.interval.get()
    }

    /// How many entries may be run before the next look, at least one.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.interval.get().saturating_sub(self.since.get()).max(1)
    }

    /// So many entries are to be run before the next look, at least.
    pub(crate) fn make_room(&self, entries: usize) {
        self.interval.set(self.interval.get().max(self.since.get() + entries));
    }

    /// So many entries are about to be run.
    #[inline]
    pub(crate) fn ran(&self, entries: usize) {
        self.since.set(self.since.get() + entries);
    }

    /// The worker has slept in the driver: that was a look, and its time says nothing.
    #[inline]
    pub(crate) fn slept(&self) {
        self.since.set(0);
        self.interval.set(self.interval.get().min(AFTER_SLEEP));
        self.last.set(None);
        outlook::allow(0);
    }

    /// The worker looked, from then until now. What a look takes is no time of the entries: where it takes long, they would seem long after each.
    pub(crate) fn looked(&self, from: Instant, until: Instant) {
        let entries = self.since.replace(0);
        let Some(last) = self.last.replace(Some(until)) else { return };
        let each = from.saturating_duration_since(last).as_nanos() / entries.max(1) as u128;
        let (fitting, further) = if each < LONG.as_nanos() {
            (BETWEEN.as_nanos() / each.max(1), 0)
        } else {
            (1, FURTHER)
        };
        // Slowly up, as one short burst says little; down at once.
        let most = (2 * self.interval.get()).min(MOST);
        self.interval.set((fitting as usize).clamp(1, most));
        outlook::allow(further);
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        // Nobody looks here any more, and nobody waits for it.
        outlook::allow(0);
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    /// What a look takes here: more than there should be between two.
    const LOOK: Duration = Duration::from_micros(200);

    /// Runs as many entries as it may, each taking so long, and looks; how many it ran.
    fn round(pace: &Pace, now: &mut Instant, each: Duration) -> usize {
        let mut entries = 0;
        while !pace.is_due() {
            pace.ran(1);
            *now += each;
            entries += 1;
        }
        let from = *now;
        *now += LOOK;
        pace.looked(from, *now);
        entries
    }

    #[test]
    fn long_entries_bring_the_looks_closer_and_short_ones_apart() {
        let (pace, mut now) = (Pace::new(), Instant::now());
        assert!(pace.is_due(), "the first pass looks at everything");
        pace.looked(now, now);
        let short = Duration::from_nanos(100);
        assert_eq!([round(&pace, &mut now, short), round(&pace, &mut now, short)], [61, 61]);
        let long = Duration::from_micros(50);
        let lasting = Duration::from_micros(10);
        round(&pace, &mut now, lasting);
        assert_eq!(round(&pace, &mut now, lasting), 10);
        pace.make_room(12);
        assert_eq!(round(&pace, &mut now, long), 12);
        assert_eq!(round(&pace, &mut now, short), 1, "one look after each entry");
        let up: Vec<_> = (0..7).map(|_| round(&pace, &mut now, short)).collect();
        assert_eq!(up, [2, 4, 8, 16, 32, 61, 61]);
    }

    #[test]
    fn a_sleep_is_no_time_that_entries_took() {
        let (pace, mut now) = (Pace::new(), Instant::now());
        pace.looked(now, now);
        pace.ran(1);
        pace.slept();
        now += Duration::from_secs(1);
        let short = Duration::from_nanos(100);
        let up: Vec<_> = (0..5).map(|_| round(&pace, &mut now, short)).collect();
        assert_eq!(up, [8, 8, 16, 32, 61]);
        assert_eq!(pace.left(), 61);
    }

    #[test]
    fn after_a_sleep_long_entries_bring_the_looks_closer_at_once() {
        let (pace, mut now) = (Pace::new(), Instant::now());
        pace.looked(now, now);
        assert_eq!(round(&pace, &mut now, Duration::from_nanos(100)), 61);
        pace.slept();
        let long = Duration::from_millis(1);
        let looks = [(); 3].map(|()| round(&pace, &mut now, long));
        assert_eq!(looks, [8, 8, 1], "the first look has nothing to compare with");
        // What was known to be long stays so.
        pace.slept();
        assert_eq!(round(&pace, &mut now, long), 1);
    }

    /// An echo sleeps after each entry or few, and each sleep is a look.
    #[test]
    fn who_sleeps_after_a_few_entries_makes_no_other_look() {
        let (pace, now) = (Pace::new(), Instant::now());
        pace.looked(now, now);
        for _ in 0..100 {
            pace.slept();
            pace.ran(AFTER_SLEEP - 1);
            assert!(!pace.is_due());
        }
    }

    #[test]
    fn among_long_entries_some_reads_more_are_allowed_until_the_next_look() {
        let allowed = || (0..).take_while(|_| outlook::spend()).count() as u32;
        let (pace, mut now) = (Pace::new(), Instant::now());
        let (short, long) = (Duration::from_nanos(100), Duration::from_micros(50));
        pace.looked(now, now);
        round(&pace, &mut now, short);
        assert_eq!(allowed(), 0);
        for _ in 0..2 {
            round(&pace, &mut now, long);
            pace.make_room(3);
            assert_eq!([allowed(), allowed()], [FURTHER, 0]);
        }
        round(&pace, &mut now, long);
        pace.slept();
        assert_eq!(allowed(), 0, "a sleep looks");
        pace.looked(now, now);
        round(&pace, &mut now, long);
        drop(pace);
        assert_eq!(allowed(), 0);
    }
}
