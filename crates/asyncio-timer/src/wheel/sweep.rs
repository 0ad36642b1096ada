//! Taking out what is due: slots that time has entered are swept, the due ones sorted, the rest moved to finer slots.

use super::due::Due;
use super::place::{Heads, Place, nanos_of, tick_of};
use super::{DETACHED, Key, Wheel};

/// How many nodes [`Wheel::next_deadline`] looks at before it is content with a lower bound.
const SCAN: usize = 64;

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
        self.removed(None);
        (due.key(), due.deadline, node.value)
    }

    /// Sweeps the earliest place that time has reached; false if there is none, and then `bound` is later than the present.
    fn sweep_first(&mut self) -> bool {
        let present = tick_of(self.now);
        let Some(place) = self.heads.first() else {
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
        // What lies in the other places begins at `end` or later.
        self.tick = if present < end { present } else { first };
        (self.bound, self.exact) = (nanos_of(end), false);
        self.sweep(place, end);
        true
    }

    /// Empties a place that ends before tick `end`: what is due goes to the due list, the rest where it belongs now.
    ///
    /// That rest includes a timer rescheduled to beyond `end`, due or not: others that lie there may fire before it.
    fn sweep(&mut self, place: Place, end: u64) {
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
            index = next;
        }
        self.due.sort();
    }

    /// Makes `bound` exact if that takes no more than a short look.
    #[cold]
    pub(super) fn settle(&mut self) {
        let mut budget = SCAN;
        while let Some(place) = self.heads.first() {
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

    /// Looks for the earliest deadline at the first place, and moves away what was rescheduled to later.
    fn scan(&mut self, place: Place, budget: &mut usize) -> Scan {
        let mut earliest = None;
        let mut index = self.heads.get(place);
        while index != Heads::NONE {
            if *budget == 0 {
                return Scan::GaveUp;
            }
            *budget -= 1;
            let node = self.node_mut(index);
            let (deadline, prev, next) = (node.deadline, node.prev, node.next);
            if self.place_of(deadline) == place {
                earliest = Some(earliest.map_or(deadline, |e: u64| e.min(deadline)));
            } else {
                self.unlink(prev, next);
                self.link(index, deadline);
            }
            index = next;
        }
        earliest.map_or(Scan::Emptied, Scan::Earliest)
    }
}
