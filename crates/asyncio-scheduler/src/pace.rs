//! How often a busy worker looks at the descriptors.
//!
//! A look is a system call and costs about as much as [`MOST`] short polls, so that tasks that yield to each other pay little for it. But what
//! waits for a descriptor must not wait for that many long polls. So the worker measures what its entries take, between two looks, and
//! aims at one look in [`BETWEEN`]; beside an entry that is [`LONG`] a look costs nothing that counts, and follows each. What comes after a sleep
//! may be of another kind than what was before, so looks begin close to each other there ([`AFTER_SLEEP`]).
//!
//! Where entries are long, the tasks among them are told ([`outlook`]): one call more on a socket that was just read empty costs less there than to
//! wait for a look, and answers a peer that is quick in the same turn. The budget ends that turn; so an only worker, whose tasks have none, is not told.

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

#[derive(Debug)]
pub(crate) struct Pace {
    /// Entries run since the last look.
    since: Cell<usize>,
    /// Entries from one look to the next.
    interval: Cell<usize>,
    /// When the last look ended; `None` if the worker has slept since.
    last: Cell<Option<Instant>>,
    /// Whether what the worker runs is told when looks are far from each other.
    tells: bool,
}

impl Pace {
    /// A look is due.
    pub(crate) fn new(tells: bool) -> Self {
        let (since, interval) = (Cell::new(MOST), Cell::new(MOST));
        Pace { since, interval, last: Cell::new(None), tells }
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
        self.tell(false);
    }

    /// The worker looked, from then until now. What a look takes is no time of the entries: where it takes long, they would seem long after each.
    pub(crate) fn looked(&self, from: Instant, until: Instant) {
        let entries = self.since.replace(0);
        let Some(last) = self.last.replace(Some(until)) else { return };
        let each = from.saturating_duration_since(last).as_nanos() / entries.max(1) as u128;
        let fitting = if each < LONG.as_nanos() { BETWEEN.as_nanos() / each.max(1) } else { 1 };
        // Slowly up, as one short burst says little; down at once.
        let most = (2 * self.interval.get()).min(MOST);
        self.interval.set((fitting as usize).clamp(1, most));
        self.tell(each >= LONG.as_nanos());
    }

    fn tell(&self, far: bool) {
        if self.tells {
            outlook::set_far(far);
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        // Who works on this thread next begins anew.
        self.tell(false);
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
        let (pace, mut now) = (Pace::new(false), Instant::now());
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
        let (pace, mut now) = (Pace::new(false), Instant::now());
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
        let (pace, mut now) = (Pace::new(false), Instant::now());
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
        let (pace, now) = (Pace::new(false), Instant::now());
        pace.looked(now, now);
        for _ in 0..100 {
            pace.slept();
            pace.ran(AFTER_SLEEP - 1);
            assert!(!pace.is_due());
        }
    }

    #[test]
    fn who_runs_among_long_entries_is_told_unless_the_worker_is_alone() {
        let (short, long) = (Duration::from_nanos(100), Duration::from_micros(50));
        for tells in [true, false] {
            let (pace, mut now) = (Pace::new(tells), Instant::now());
            pace.looked(now, now);
            round(&pace, &mut now, short);
            assert!(!outlook::is_far());
            round(&pace, &mut now, long);
            assert_eq!(outlook::is_far(), tells);
            pace.make_room(3);
            assert_eq!(outlook::is_far(), tells, "they are long all the same");
            pace.slept();
            assert!(!outlook::is_far(), "a sleep looks");
            round(&pace, &mut now, long);
            round(&pace, &mut now, long);
            assert_eq!(outlook::is_far(), tells);
            drop(pace);
            assert!(!outlook::is_far(), "nobody looks, and nobody waits for it");
        }
    }
}
