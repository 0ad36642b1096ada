//! A FIFO list of waiting tasks: O(1) to join, to be chosen, and to leave from anywhere.
//!
//! Every primitive keeps one of these under its own short lock. It decides nothing: it remembers who came in which order, and
//! which waker belongs to whom.
//!
//! ```text
//!            push                choose (the front only)
//!  outside ───────► waiting ─────────────────────────────► chosen
//!     ▲                │ leave                               │ leave
//!     └────────────────┴─────────────────────────────────────┘
//! ```
//!
//! A chosen node is out of its line but still in the slab, so that its owner finds out that it was chosen, by polling or by
//! being dropped. Nodes are named by keys with a generation: an owner that comes late with the key of a node that is gone
//! finds nothing, and no unsafe code is needed.
//!
//! Wakers are user code. They come in already cloned, and go out by value, so that the caller can call or drop them after it
//! has let go of the lock that this list lives under. (A task's own may be cloned under that lock: `wake::own_waker`.)

use asyncio_base::slab::{Key, Slab};
use std::task::Waker;

/// A slab that has become empty keeps its memory up to this many nodes.
const KEEP: usize = 32;

/// The `line` of a node that was chosen.
const CHOSEN: u8 = u8::MAX;

#[derive(Debug)]
struct Node<T> {
    prev: Key,
    next: Key,
    /// Empty once the waker was handed out to be called.
    waker: Option<Waker>,
    tag: T,
    line: u8,
}

/// Both ends of one line.
#[derive(Clone, Copy, Debug)]
struct Line {
    head: Key,
    tail: Key,
    len: u32,
}

/// What a waiter leaves behind.
#[derive(Debug)]
#[must_use = "the waker has to be dropped outside the lock, and a chosen waiter owes its grant to the next"]
pub(crate) struct Left {
    /// Whether it had been chosen.
    pub(crate) chosen: bool,
    /// Its waker, if nobody took it to call it.
    pub(crate) waker: Option<Waker>,
}

/// Waiting tasks in `LINES` lines that share their memory, each with a tag of type `T`.
#[derive(Debug)]
pub(crate) struct Waiters<T, const LINES: usize = 1> {
    nodes: Slab<Node<T>>,
    lines: [Line; LINES],
}

impl<T: Copy, const LINES: usize> Waiters<T, LINES> {
    /// Nobody waits; no memory is held.
    pub(crate) const fn new() -> Self {
        let empty = Line { head: Key::NONE, tail: Key::NONE, len: 0 };
        Waiters { nodes: Slab::new(), lines: [empty; LINES] }
    }

    /// How many wait in a line.
    pub(crate) fn len(&self, line: usize) -> usize {
        self.lines[line].len as usize
    }

    /// Whether nobody waits in a line.
    #[inline]
    pub(crate) fn is_empty(&self, line: usize) -> bool {
        self.lines[line].len == 0
    }

    /// Whether nobody is here at all, in no line and not chosen either.
    #[inline]
    pub(crate) fn nobody(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a waiter at the end of a line.
    #[inline(always)]
    pub(crate) fn push(&mut self, line: usize, waker: Waker, tag: T) -> Key {
        let prev = self.lines[line].tail;
        let node = Node { prev, next: Key::NONE, waker: Some(waker), tag, line: line as u8 };
        let key = self.nodes.insert(node);
        self.link_behind(line, prev, key);
        key
    }

    /// The tag of the first waiter of a line.
    pub(crate) fn front(&self, line: usize) -> Option<T> {
        self.nodes.get(self.lines[line].head).map(|node| node.tag)
    }

    /// Chooses the first waiter of a line and takes out its waker, to be called outside the lock.
    #[inline]
    pub(crate) fn choose(&mut self, line: usize) -> Option<Waker> {
        let ends = &mut self.lines[line];
        let node = self.nodes.get_mut(ends.head)?;
        node.line = CHOSEN;
        let waker = node.waker.take();
        ends.head = node.next;
        ends.len -= 1;
        match self.nodes.get_mut(ends.head) {
            Some(first) => first.prev = Key::NONE,
            None => ends.tail = Key::NONE,
        }
        waker
    }

    /// The tag of a waiter that has not left.
    pub(crate) fn tag(&self, key: Key) -> Option<T> {
        self.nodes.get(key).map(|node| node.tag)
    }

    /// Gives a waiter another tag.
    pub(crate) fn set_tag(&mut self, key: Key, tag: T) {
        if let Some(node) = self.nodes.get_mut(key) {
            node.tag = tag;
        }
    }

    /// Whether a waiter was chosen.
    #[inline(always)]
    pub(crate) fn is_chosen(&self, key: Key) -> bool {
        self.nodes.get(key).is_some_and(|node| node.line == CHOSEN)
    }

    /// Sees to it that a waiter's waker is `current`; false if it is not and `spare`, which must be a clone of it made
    /// outside the lock, is empty. A waker that was replaced is left in `spare`.
    pub(crate) fn keep(&mut self, key: Key, current: &Waker, spare: &mut Option<Waker>) -> bool {
        let Some(kept) = self.nodes.get_mut(key).and_then(|node| node.waker.as_mut()) else {
            return true;
        };
        if !kept.will_wake(current) {
            let Some(fresh) = spare.take() else { return false };
            *spare = Some(std::mem::replace(kept, fresh));
        }
        true
    }

    /// Removes a waiter, wherever it stands.
    pub(crate) fn leave(&mut self, key: Key) -> Option<Left> {
        let chosen = self.is_chosen(key);
        self.unlink(key);
        let waker = self.nodes.get_mut(key)?.waker.take();
        self.remove(key);
        Some(Left { chosen, waker })
    }

    /// Removes a waiter if it was chosen: nothing of it is left then, as whoever chose it has its waker.
    #[inline(always)]
    pub(crate) fn leave_if_chosen(&mut self, key: Key) -> bool {
        let chosen = self.is_chosen(key);
        if chosen {
            self.remove(key);
        }
        chosen
    }

    /// Removes a node that is in no line and has no waker any more.
    #[inline(always)]
    fn remove(&mut self, key: Key) {
        self.nodes.discard(key);
        if self.nodes.is_empty() && self.nodes.capacity() > KEEP {
            self.nodes.shrink_if_empty();
        }
    }

    /// Moves a waiter, with its waker, to the end of another line.
    pub(crate) fn move_to(&mut self, key: Key, line: usize) {
        self.unlink(key);
        self.append(line, key);
    }

    /// The key of the first waiter of a line, [`Key::NONE`] if there is none.
    pub(crate) fn front_key(&self, line: usize) -> Key {
        self.lines[line].head
    }

    /// Puts a node that is in no line at the end of one.
    fn append(&mut self, line: usize, key: Key) {
        let prev = self.lines[line].tail;
        let Some(node) = self.nodes.get_mut(key) else { return };
        (node.prev, node.next, node.line) = (prev, Key::NONE, line as u8);
        self.link_behind(line, prev, key);
    }

    /// Links a node that knows its place behind the last of a line.
    #[inline(always)]
    fn link_behind(&mut self, line: usize, prev: Key, key: Key) {
        let ends = &mut self.lines[line];
        match self.nodes.get_mut(prev) {
            Some(last) => last.next = key,
            None => ends.head = key,
        }
        ends.tail = key;
        ends.len += 1;
    }

    /// Takes a node out of its line, if it is in one.
    fn unlink(&mut self, key: Key) {
        let Some(node) = self.nodes.get_mut(key).filter(|node| node.line != CHOSEN) else { return };
        let (prev, next, line) = (node.prev, node.next, usize::from(node.line));
        node.line = CHOSEN;
        match self.nodes.get_mut(prev) {
            Some(before) => before.next = next,
            None => self.lines[line].head = next,
        }
        match self.nodes.get_mut(next) {
            Some(after) => after.prev = prev,
            None => self.lines[line].tail = prev,
        }
        self.lines[line].len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waker() -> Waker {
        Waker::noop().clone()
    }

    fn order(list: &mut Waiters<u32>) -> Vec<u32> {
        let mut seen = Vec::new();
        while let Some(tag) = list.front(0) {
            seen.push(tag);
            list.choose(0);
        }
        seen
    }

    #[test]
    fn leaving_from_any_place_keeps_the_order_of_the_rest() {
        for gone in 0..4 {
            let mut list = Waiters::<u32>::new();
            let keys: Vec<Key> = (0..4).map(|tag| list.push(0, waker(), tag)).collect();
            assert!(!list.leave(keys[gone]).unwrap().chosen);
            assert!(list.leave(keys[gone]).is_none(), "a key is good once");
            assert_eq!(list.len(0), 3);
            let rest: Vec<u32> = (0..4).filter(|&tag| tag != gone as u32).collect();
            assert_eq!(order(&mut list), rest);
            assert!(list.is_empty(0));
        }
    }

    #[test]
    fn a_chosen_waiter_stays_until_it_leaves() {
        let mut list = Waiters::<u32>::new();
        let (a, b) = (list.push(0, waker(), 1), list.push(0, waker(), 2));
        assert!(list.choose(0).is_some());
        assert!(list.is_chosen(a) && !list.is_chosen(b));
        assert_eq!((list.len(0), list.front(0)), (1, Some(2)));
        let left = list.leave(a).unwrap();
        assert!(left.chosen && left.waker.is_none());
        assert!(!list.leave(b).unwrap().chosen);
        assert_eq!(list.choose(0).map(|_| ()), None);
    }

    #[test]
    fn lines_share_memory_and_nothing_else() {
        let mut list = Waiters::<u32, 2>::new();
        let a = list.push(0, waker(), 1);
        list.push(1, waker(), 2);
        list.push(0, waker(), 3);
        list.move_to(a, 1);
        assert_eq!((list.len(0), list.len(1)), (1, 2));
        assert_eq!((list.front(0), list.front(1)), (Some(3), Some(2)));
        list.choose(1);
        assert_eq!(list.front_key(1), a);
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut list = Waiters::<u32>::new();
        let keys: Vec<Key> = (0..10_000).map(|tag| list.push(0, waker(), tag)).collect();
        keys.into_iter().rev().for_each(|key| assert!(list.leave(key).is_some()));
        assert!(list.nodes.capacity() <= KEEP);
    }

    #[test]
    fn a_waker_is_replaced_only_by_a_clone_made_outside() {
        let [one, other] = [(); 2].map(|()| Waker::from(std::sync::Arc::new(Quiet)));
        let mut list = Waiters::<u32>::new();
        let key = list.push(0, one.clone(), 1);
        let mut spare = None;
        assert!(list.keep(key, &one, &mut spare));
        assert!(!list.keep(key, &other, &mut spare));
        spare = Some(other.clone());
        assert!(list.keep(key, &other, &mut spare));
        assert!(spare.unwrap().will_wake(&one));
        assert!(list.choose(0).unwrap().will_wake(&other));
    }

    struct Quiet;

    impl std::task::Wake for Quiet {
        fn wake(self: std::sync::Arc<Self>) {}
    }
}
