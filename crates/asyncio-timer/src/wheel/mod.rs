//! A hierarchical timer wheel: a pure data structure, to which time is an argument.

mod due;
mod place;
mod sweep;
#[cfg(test)]
mod tests;

pub use asyncio_base::slab::Key;
use asyncio_base::slab::Slab;
use due::DueList;
use place::{Heads, Place, tick_of};
use std::fmt;

/// A slab with more room than this gives its memory back when the last timer goes.
const KEEP: usize = 1024;

/// How a node's `prev` says that no node stands before it: this bit, and then the place whose head it is, or [`DETACHED`].
const HEAD: u32 = 1 << 31;
/// The node is in no list, because it is due.
const DETACHED: u32 = u32::MAX;

struct Node<T> {
    deadline: u64,
    /// When it was inserted or last rescheduled, in the order of such events.
    sequence: u64,
    prev: u32,
    next: u32,
    value: T,
}

/// Timers by deadline: insert and remove in constant time, fired in the order of (deadline, insertion).
///
/// Time is a number of nanoseconds from any epoch and never read here: [`pop`](Self::pop) and [`advance`](Self::advance)
/// are told. All of `u64` may be used, past deadlines included; they fire at the next `advance`, in the same order.
///
/// ```
/// use asyncio_timer::Wheel;
///
/// let mut wheel = Wheel::new(0);
/// wheel.insert(2_000, "second");
/// let cancelled = wheel.insert(1_500, "never");
/// wheel.insert(1_000, "first");
/// assert_eq!(wheel.remove(cancelled), Some("never"));
/// assert_eq!(wheel.next_deadline(), Some(1_000));
///
/// let mut fired = Vec::new();
/// wheel.advance(1_999, |_, _, name| fired.push(name));
/// wheel.advance(2_000, |_, _, name| fired.push(name));
/// assert_eq!(fired, ["first", "second"]);
/// ```
///
/// # How it works
///
/// Nodes lie in a slab, linked by position into one list per place. A place is a slot of a level: ten levels, each of which takes what
/// is up to 32 slots ahead, the slots of the lowest 65.5 µs wide, each level's 32 times as wide as those below. When time enters a slot, what is due
/// goes to a sorted list and the rest to lower levels. Most have gone there before: whenever a slot is emptied, some nodes of each level's next
/// slot go down. A node moves at most once per level in its life, and most timers are cancelled before they move at all.
///
/// Invariants, each between any two calls:
///
/// 1. A linked node lies at a place that covers a deadline it had, not later than the one it has, and the one it has
///    unless [`reschedule`](Self::reschedule) moved it to later; the slot of the present covers the past as well.
/// 2. No place that ended before `tick` is in use, and none but those of the lowest level that began before or with it: `tick` moves
///    only to the start of the first used place, whose nodes go, or to before that.
/// 3. `bound` is not later than any deadline in a slot, and is one of them if `exact`.
/// 4. A timer in a slot fires after those in `due`, unless its deadline is earlier; `bound` tells whether there may be one.
pub struct Wheel<T> {
    nodes: Slab<Node<T>>,
    heads: Heads,
    due: DueList,
    /// How far the slots have been swept; it may lag behind `now`.
    tick: u64,
    /// The latest time this wheel was told.
    now: u64,
    bound: u64,
    exact: bool,
    sequence: u64,
}

impl<T> Wheel<T> {
    /// An empty wheel at a given time; allocates nothing.
    pub const fn new(now: u64) -> Self {
        Wheel {
            nodes: Slab::new(),
            heads: Heads::new(),
            due: DueList::new(),
            tick: now >> place::TICK_BITS,
            now,
            bound: u64::MAX,
            exact: false,
            sequence: 0,
        }
    }

    /// How many timers are in.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no timer is in.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a timer. Timers with equal deadlines fire in the order they were added.
    ///
    /// # Panics
    ///
    /// With 2^31 timers in already.
    #[inline]
    pub fn insert(&mut self, deadline: u64, value: T) -> Key {
        self.add(deadline, value).0
    }

    /// Takes a timer out before it fires; `None` if it fired or was removed already.
    #[inline]
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.take(key).map(|(value, _)| value)
    }

    /// As [`insert`](Self::insert), and says whether [`next_deadline`](Self::next_deadline) may be earlier for it: if not, it was not
    /// later than this deadline.
    #[inline(always)]
    pub(crate) fn add(&mut self, deadline: u64, value: T) -> (Key, bool) {
        let sequence = self.next_sequence();
        let place = self.place_of(deadline);
        let next = self.heads.get(place);
        let prev = HEAD | place.index() as u32;
        let key = self.nodes.insert(Node { deadline, sequence, prev, next, value });
        (key, self.attach(key.index() as u32, place, next, deadline))
    }

    /// As [`remove`](Self::remove), and says whether [`next_deadline`](Self::next_deadline) may be later now.
    #[inline(always)]
    pub(crate) fn take(&mut self, key: Key) -> Option<(T, bool)> {
        let Node { deadline, prev, next, value, .. } = self.nodes.remove(key)?;
        let linked = prev != DETACHED;
        if linked {
            self.unlink(prev, next);
        }
        let was_first = !linked || deadline == self.bound || self.nodes.is_empty();
        if was_first {
            self.first_is_gone();
        }
        Some((value, was_first))
    }

    /// Gives a timer another deadline, and a place after the timers that have the same one already; false if it is gone.
    ///
    /// To a later deadline this only stores it: the node is moved when its old slot is looked at the next time.
    pub fn reschedule(&mut self, key: Key, deadline: u64) -> bool {
        let sequence = self.next_sequence();
        let Some(node) = self.nodes.get_mut(key) else {
            return false;
        };
        let (before, prev, next) = (node.deadline, node.prev, node.next);
        (node.deadline, node.sequence) = (deadline, sequence);
        let linked = prev != DETACHED;
        if linked && before <= deadline {
            self.exact &= before != self.bound;
            return true;
        }
        if linked {
            self.unlink(prev, next);
            self.exact &= before != self.bound;
        }
        self.link(key.index() as u32, deadline);
        true
    }

    /// The value of a timer that has not fired.
    pub fn get(&self, key: Key) -> Option<&T> {
        self.nodes.get(key).map(|node| &node.value)
    }

    /// The value of a timer that has not fired.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.nodes.get_mut(key).map(|node| &mut node.value)
    }

    /// The deadline of a timer that has not fired.
    pub fn deadline(&self, key: Key) -> Option<u64> {
        self.nodes.get(key).map(|node| node.deadline)
    }

    /// When the earliest timer is due; `None` without timers.
    ///
    /// Exact, unless the earliest timer went and more than 64 others share the slot of the next one: then it may be too
    /// early, never too late. Whoever waits until then and advances has moved them to finer slots, so a few such waits at
    /// worst, one per level, lead to the earliest timer.
    #[inline]
    pub fn next_deadline(&mut self) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let due = self.peek_due().map_or(u64::MAX, |due| due.deadline);
        if self.bound < due && !self.exact {
            self.settle();
        }
        Some(self.bound.min(due))
    }

    /// Takes the earliest timer out if its deadline is not later than `now`.
    ///
    /// Time never goes back: of all the times this wheel was told the latest counts.
    #[inline]
    pub fn pop(&mut self, now: u64) -> Option<(Key, u64, T)> {
        self.now = self.now.max(now);
        if self.due.is_empty() && self.now < self.bound {
            return None;
        }
        self.pop_slow()
    }

    /// Takes out every timer whose deadline is not later than `now`, in the order of (deadline, insertion), and hands each
    /// to `fire`. What a panic of `fire` leaves is handed over the next time.
    pub fn advance(&mut self, now: u64, mut fire: impl FnMut(Key, u64, T)) {
        while let Some((key, deadline, value)) = self.pop(now) {
            fire(key, deadline, value);
        }
    }

    /// Lends every value, in no particular order.
    pub fn for_each_value(&mut self, mut f: impl FnMut(&mut T)) {
        for index in 0..self.nodes.positions() {
            if let Some(node) = self.nodes.at_mut(index) {
                f(&mut node.value);
            }
        }
    }

    /// Takes all timers out, in the order they would have fired.
    pub fn drain(&mut self) -> Vec<T> {
        let keys = (0..self.nodes.positions()).filter_map(|index| self.nodes.key_at(index));
        let keys: Vec<Key> = keys.collect();
        let mut nodes: Vec<_> = keys.iter().filter_map(|&key| self.nodes.remove(key)).collect();
        self.heads = Heads::new();
        self.due.clear();
        self.exact = false;
        self.reset_if_empty();
        nodes.sort_unstable_by_key(|node| (node.deadline, node.sequence));
        nodes.into_iter().map(|node| node.value).collect()
    }

    #[inline]
    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Where a deadline lies now; one that has passed lies in the slot of the present.
    #[inline]
    fn place_of(&self, deadline: u64) -> Place {
        Place::of(tick_of(deadline).max(self.tick), self.tick)
    }

    fn node_mut(&mut self, index: u32) -> &mut Node<T> {
        self.nodes.at_mut(index as usize).expect("links and heads name live nodes")
    }

    /// Puts a node that is in no list where its deadline belongs.
    fn link(&mut self, index: u32, deadline: u64) {
        self.link_at(index, self.place_of(deadline), deadline);
    }

    /// Puts a node that is in no list at a place.
    fn link_at(&mut self, index: u32, place: Place, deadline: u64) {
        let next = self.heads.get(place);
        let node = self.node_mut(index);
        (node.prev, node.next) = (HEAD | place.index() as u32, next);
        self.attach(index, place, next, deadline);
    }

    /// Makes a node, whose own links are set, the first of a list.
    ///
    /// Whether it may be the earliest of all.
    #[inline]
    fn attach(&mut self, index: u32, place: Place, next: u32, deadline: u64) -> bool {
        if next == Heads::NONE {
            self.heads.set(place, index);
        } else {
            self.node_mut(next).prev = index;
            self.heads.replace(place, index);
        }
        let first = deadline <= self.bound;
        if first {
            (self.bound, self.exact) = (deadline, true);
        }
        first
    }

    /// Closes the gap that a node with these links leaves in its list.
    #[inline]
    fn unlink(&mut self, prev: u32, next: u32) {
        if next != Heads::NONE {
            self.node_mut(next).prev = prev;
        }
        if prev & HEAD == 0 {
            self.node_mut(prev).next = next;
            return;
        }
        let place = Place::from_index((prev & !HEAD) as usize);
        if next == Heads::NONE {
            self.heads.clear(place);
        } else {
            self.heads.replace(place, next);
        }
    }

    /// A timer was taken out that may have been the earliest or the last one.
    #[cold]
    fn first_is_gone(&mut self) {
        self.exact = false;
        self.reset_if_empty();
    }

    /// Nothing is due in an empty wheel, and it gives back the memory that it had for many.
    #[inline]
    fn reset_if_empty(&mut self) {
        if self.nodes.is_empty() {
            self.bound = u64::MAX;
            if self.nodes.positions() > KEEP {
                self.nodes.shrink_if_empty();
            }
        }
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("len", &self.len())
            .field("now", &self.now)
            .field("bound", &self.bound)
            .field("heads", &self.heads)
            .finish_non_exhaustive()
    }
}
