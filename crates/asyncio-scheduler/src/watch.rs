//! A worker that is stuck freezes nothing: while some worker runs, another that sleeps wakes within five milliseconds and looks.
//!
//! A worker that queues one entry for itself, or lets the driver go in order to run something, tells nobody: it will be back at once. If it is
//! not, because what it runs computes or blocks, then the *watcher* finds the entry, the timers and the descriptors. The watcher is
//! one sleeper whose sleep is bounded by [`LOOK`], wherever it sleeps; woken sooner, again and again, it looks as often. A worker about to run something looks whether there is a watcher, a mere
//! load, and else appoints a sleeper. Where nobody sleeps, the busy ones look after each other ([`Rounds`]), and each takes its share of all
//! that lies with one that stands still. The watcher does so too, before it looks anywhere else.
//!
//! The watcher looks as long as another worker is awake or something moves: each worker counts its passes. A loop that stood still
//! between two looks needs no watcher; so an idle loop wakes nobody, and a loop with little to do appoints none for each event. Who lies down
//! while others are awake and finds the office empty takes it.
//!
//! # Why somebody watches while another is stuck
//!
//! Who is about to run something, and keeps the office or finds it empty, hands it over. Who lies down and finds it empty takes it.
//!
//! | [hands over](Watch::hand_over) | [lies down](Vigil::bound) |
//! |---|---|
//! | 1. empty the office, if it is its own | 1. count down, join the list |
//! | 2. fence | 2. fence |
//! | 3. somebody lies? under the list's lock, appoint one | 3. nobody else keeps the office? take it |
//!
//! Of the two fences one is first in their total order. If that of the one who hands over, the other finds the office empty, or kept by a third, who hands
//! it over in its turn. If that of the one who lies down, it is seen in the list, and it or another is appointed. Under the lock: who gets up
//! leaves the list there, so one who was appointed knows it before it runs anything, and hands over in its turn. Who found the office empty
//! needs no fence: whoever emptied it had one, or did so by the next rule.
//!
//! Who was appointed and gets no thread is taken from the list and from the office under one lock, so nobody appoints it once more. Whoever was to
//! unpark it then appoints the next. If it was to search by then, another is woken for that in its place: that one finds the office empty
//! when it lies down or runs something.
//!
//! # Why the watch does not end too early
//!
//! A pass counts before it looks for a watcher. A watcher that sees no new pass gives its office up, sleeps for one more look, and sees
//! then also what was counted while it did: five milliseconds are longer than any store stays unseen. If nobody else was appointed it takes
//! the office up again. This is about time, not about losing work: a mere bound on how long a stuck worker can delay others.
//!
//! Between two runs nobody watches. A sleeper whose time is up then gives the office up and goes on lying without bound. The next run begins with an
//! empty office, emptied after the loop was opened: who is appointed from then on is also unparked, and a sleeper that takes the office by itself
//! gets up when its time is up.
//!
//! Models: `loom-tests/tests/idle.rs`.

use crate::idle::{Idle, Retired};
use asyncio_base::sync::{AtomicU64, Ordering, store_load_fence};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// How long a sleeper that watches sleeps.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

const NOBODY: u64 = u64::MAX;

/// The office of the watcher.
#[derive(Debug)]
pub struct Watch(AtomicU64);

impl Watch {
    /// An empty office.
    pub fn new() -> Self {
        Watch(AtomicU64::new(NOBODY))
    }

    /// Whether somebody other than `worker` watches.
    #[inline]
    pub fn is_kept_from(&self, worker: usize) -> bool {
        let watcher = self.0.load(Ordering::Relaxed);
        watcher != NOBODY && watcher != worker as u64
    }

    fn is(&self, worker: usize) -> bool {
        self.0.load(Ordering::Relaxed) == worker as u64
    }

    /// Makes one who lies the watcher, for a worker that is about to run something; the one to be unparked.
    #[must_use]
    pub fn hand_over(&self, worker: usize, idle: &Idle) -> Option<usize> {
        if self.is(worker) {
            self.dismiss(worker);
            store_load_fence();
        }
        idle.some_sleeper(|sleeper| self.take(sleeper))
    }

    fn take(&self, worker: usize) {
        self.0.store(worker as u64, Ordering::Relaxed);
    }

    /// Takes the office from whoever has it; for worker 0, before it runs anything.
    pub fn vacate(&self) {
        self.0.store(NOBODY, Ordering::Relaxed);
        // As when handing over: who lies down then finds it empty, or is seen.
        store_load_fence();
    }

    /// The worker has no thread: it is out, and does not watch either.
    pub fn retire(&self, worker: usize, idle: &Idle) -> Retired {
        idle.retire(worker, || self.dismiss(worker))
    }

    /// Takes the office back from one who cannot fill it.
    pub fn dismiss(&self, worker: usize) {
        let (worker, relaxed) = (worker as u64, Ordering::Relaxed);
        // Another's by now: it stays so.
        let _ = self.0.compare_exchange(worker, NOBODY, relaxed, relaxed);
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

/// What a worker remembers of its looks.
#[derive(Debug, Default)]
pub struct Vigil {
    pulse: Cell<u64>,
    /// It gave the office up and has still one look to make.
    last_look: Cell<bool>,
}

impl Vigil {
    /// How long the worker, which lies, may sleep now that all passes of the loop add up to `pulse`; `None`: it does not watch.
    pub fn bound(
        &self,
        worker: usize,
        watch: &Watch,
        pulse: u64,
        others_are_awake: bool,
    ) -> Option<Duration> {
        let moves = self.pulse.replace(pulse) != pulse || others_are_awake;
        let was_last = self.last_look.replace(false);
        let watches = if watch.is(worker) {
            if !moves {
                watch.dismiss(worker);
                self.last_look.set(true);
            }
            true
        } else {
            let takes_it = (others_are_awake || was_last && moves) && !watch.is_kept_from(worker);
            if takes_it {
                watch.take(worker);
            }
            takes_it
        };
        watches.then_some(LOOK)
    }
}

/// When a worker that does not sleep its time out looks at the others: one that is busy, or watches and is woken again and again.
#[derive(Debug)]
pub(crate) struct Rounds {
    next: Cell<Option<Instant>>,
    /// How many passes each had made.
    pulses: RefCell<Vec<u64>>,
}

impl Rounds {
    pub(crate) fn new(workers: usize) -> Self {
        Rounds { next: Cell::new(None), pulses: RefCell::new(vec![0; workers]) }
    }

    /// Whether a look is due; the next one is so [`LOOK`] later.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let is_due = self.next.get().is_none_or(|next| next <= now);
        if is_due {
            self.next.set(Some(now + LOOK));
        }
        is_due
    }

    /// From here on it counts who stands still.
    pub(crate) fn remember(&self, pulses: impl Iterator<Item = u64>) {
        let mut known = self.pulses.borrow_mut();
        known.iter_mut().zip(pulses).for_each(|(known, pulse)| *known = pulse);
    }

    /// Those that have not begun a pass since this was asked last, or [remembered](Self::remember).
    pub(crate) fn standing_still(&self, pulses: impl Iterator<Item = u64>) -> Vec<usize> {
        let mut known = self.pulses.borrow_mut();
        let pairs = known.iter_mut().zip(pulses).enumerate();
        let same =
            |(worker, (known, pulse))| (std::mem::replace(known, pulse) == pulse).then_some(worker);
        pairs.filter_map(same).collect()
    }
}
