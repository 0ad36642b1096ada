//! Taking out what is due: slots that time has entered are swept, the due ones sorted, the rest moved to finer slots.
//!
//! A coarse slot may hold thousands of nodes. To move them all at the moment when time enters it would make late what is due right
//! then: they lie scattered and each names the next, so that every one is a cache miss that waits for the one before. Hence each sweep
//! also moves a few nodes of every level's next slot, more than it swept: when time enters that slot it is nearly always empty.

use super::due::Due;
use super::place::{Heads, LEVELS, Place, nanos_of, tick_of};
use super::{DETACHED, HEAD, Key, Wheel};

/// How many nodes [`Wheel::next_deadline`] looks at before it is content with a lower bound.
const SCAN: usize = 64;

/// How many nodes of a level's next slot a sweep moves: so many for each that it swept, and so many besides.
const DRAWN_FOR_EACH: usize = 2;
const DRAWN_AT_LEAST: usize = 4;

/// From this level on a slot lasts for 2 s and more: one sweep in eight looks whether there is anything in the next one.
const LONG: usize = 3;
const LONG_EVERY: u64 = 8;

/// What a look at a place found.
enum Scan {
    Earliest(u64),
    /// Everything there belonged to later places.
    Emptied,
    /// More nodes than the budget allowed.
    GaveUp,
}

impl<T> Wheel<T> {
    /// The next due timer that is still in, with those before it that are not thrown away.
    pub(super) fn peek_due(&mut self) -> Option<Due> {
        while let Some(due) = self.due.peek() {
            if self.nodes.get(due.key()).is_some_and(|node| node.sequence == due.sequence) {
                return Some(due);
            }
            self.due.pop();
        }
        None
    }

    /// `pop` when something may be due: sweeps until the next due timer is known to be the earliest.
    pub(super) fn pop_slow(&mut self) -> Option<(Key, u64, T)> {
        loop {
            let due = self.peek_due();
            if let Some(due) = due.filter(|due| due.deadline <= self.bound) {
                return Some(self.fire(due));
            }
            if self.now < self.bound || !self.sweep_first() && due.is_none() {
                return None;
            }
        }
    }

    /// Takes out the next due timer, which was peeked.
    fn fire(&mut self, due: Due) -> (Key, u64, T) {
        self.due.pop();
        let node = self.nodes.remove(due.key()).expect("peeked");
        self.reset_if_empty();
        (due.key(), due.deadline, node.value)
    }

    /// Sweeps the earliest place that time has reached; false if there is none, and then `bound` is later than the present.
    fn sweep_first(&mut self) -> bool {
        let present = tick_of(self.now);
        let Some(place) = self.heads.first(self.tick) else {
            (self.tick, self.bound) = (present, u64::MAX);
            return false;
        };
        let (first, end) = place.ticks(self.tick);
        if first > present {
            // Invariant 2: nothing lies between, so every node keeps its place.
            self.tick = present;
            (self.bound, self.exact) = (nanos_of(first), false);
            return false;
        }
        self.tick = first;
        // What lies in the other places begins at `end` or later, unless it was drawn from this one to finer slots: some of that may be
        // due at the very beginning, and before what is due here.
        self.bound = if place.is_finest() { nanos_of(end) } else { nanos_of(first) - 1 };
        self.exact = false;
        let swept = self.sweep(place, end);
        if self.nodes.len() > swept {
            self.draw_all(swept * DRAWN_FOR_EACH + DRAWN_AT_LEAST);
        }
        true
    }

    /// Empties a place that ends before tick `end`: what is due goes to the due list, the rest where it belongs now. Says how many
    /// there were.
    ///
    /// That rest includes a timer rescheduled to beyond `end`, due or not: others that lie there may fire before it.
    fn sweep(&mut self, place: Place, end: u64) -> usize {
        let mut swept = 0;
        let mut index = self.heads.get(place);
        self.heads.clear(place);
        while index != Heads::NONE {
            let now = self.now;
            let node = self.node_mut(index);
            let (deadline, sequence, next) = (node.deadline, node.sequence, node.next);
            if deadline <= now && tick_of(deadline) < end {
                node.prev = DETACHED;
                let key =
                    self.nodes.key_at(index as usize).expect("links and heads name live nodes");
                self.due.push(Due::new(deadline, sequence, key));
            } else {
                self.link(index, deadline);
            }
            swept += 1;
            index = next;
        }
        self.due.sort();
        swept
    }

    /// Moves up to so many nodes of the next slot of each level to the finer level, which has room for them; of those that last long not
    /// every time.
    fn draw_all(&mut self, limit: usize) {
        let levels = if self.tick % LONG_EVERY == 0 { LEVELS } else { LONG };
        for level in 1..levels {
            if let Some(place) = self.heads.next(level, self.tick) {
                self.draw(place, limit);
            }
        }
    }

    fn draw(&mut self, place: Place, limit: usize) {
        let mut index = self.heads.get(place);
        for _ in 0..limit {
            let node = self.node_mut(index);
            let (deadline, next) = (node.deadline, node.next);
            self.link_at(index, self.place_below(place, deadline), deadline);
            index = next;
            if index == Heads::NONE {
                return self.heads.clear(place);
            }
        }
        self.node_mut(index).prev = HEAD | place.index() as u32;
        self.heads.replace(place, index);
    }

    /// Where a node of a level's next slot goes when it leaves that.
    fn place_below(&self, place: Place, deadline: u64) -> Place {
        let (first, end) = place.ticks(self.tick);
        let tick = tick_of(deadline);
        if first <= tick && tick < end { place.finer(tick) } else { self.place_of(deadline) }
    }

    /// Makes `bound` exact if that takes no more than a short look.
    #[cold]
    pub(super) fn settle(&mut self) {
        let mut budget = SCAN;
        while let Some(place) = self.heads.first(self.tick) {
            match self.scan(place, &mut budget) {
                Scan::Earliest(deadline) => {
                    (self.bound, self.exact) = (deadline, true);
                    return;
                }
                Scan::Emptied => {}
                Scan::GaveUp => {
                    // Only in the slot of the present lies what is earlier than the slot: deadlines that have passed.
                    let (first, _) = place.ticks(self.tick);
                    if first > self.tick {
                        self.bound = self.bound.max(nanos_of(first));
                    }
                    return;
                }
            }
        }
        self.bound = u64::MAX;
    }

    /// Looks for the earliest deadline at the first place, and moves away what was rescheduled to later; from the next slot of its level
    /// everything, as finer slots may hold what is earlier.
    fn scan(&mut self, place: Place, budget: &mut usize) -> Scan {
        let (_, end) = place.ticks(self.tick);
        let moves = place.is_next(self.tick);
        let mut earliest = None;
        let mut index = self.heads.get(place);
        while index != Heads::NONE {
            if *budget == 0 {
                return Scan::GaveUp;
            }
            *budget -= 1;
            let node = self.node_mut(index);
            let (deadline, prev, next) = (node.deadline, node.prev, node.next);
            if !moves && tick_of(deadline) < end {
                earliest = Some(earliest.map_or(deadline, |e: u64| e.min(deadline)));
            } else {
                self.unlink(prev, next);
                self.link_at(index, self.place_below(place, deadline), deadline);
            }
            index = next;
        }
        earliest.map_or(Scan::Emptied, Scan::Earliest)
    }
}
