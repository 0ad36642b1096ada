//! Where a request finds a wait, in one word: so a task's handle is two words, and goes from frame to frame in registers.
//!
//! | word | place |
//! |---|---|
//! | null | nowhere: it has not been pending, or not in a task |
//! | odd | the number of a plain await, which is over when the word is gone |
//! | even | a boxed node, which is the word's |

use super::node::Node;
use super::plain::PlainAwait;
use std::fmt;
use std::ptr;

/// In the word: it is no node.
const PLAIN: usize = 1;

/// The word.
pub(super) struct Place(*mut Node);

const _: () = assert!(align_of::<Node>() > PLAIN);

/// What the word says; with a node by reference, or the node itself.
pub(super) enum Seen<N> {
    Nowhere,
    Plain(PlainAwait),
    Node(N),
}

// SAFETY: the word is a number or owns a node, which may go to other threads.
unsafe impl Send for Place where Node: Send {}
// SAFETY: a shared word lends the node.
unsafe impl Sync for Place where Node: Sync {}

impl Place {
    pub(super) const NOWHERE: Self = Place(ptr::null_mut());

    #[inline]
    pub(super) fn plain(plain: PlainAwait) -> Self {
        Place(ptr::without_provenance_mut(plain.number() << 1 | PLAIN))
    }

    pub(super) fn node(node: Node) -> Self {
        Place(Box::into_raw(Box::new(node)))
    }

    /// What it says, with the node as the pointer that it is.
    #[inline]
    fn read(&self) -> Seen<*mut Node> {
        match PlainAwait::numbered(self.0.addr() >> 1) {
            Some(plain) if self.0.addr() & PLAIN != 0 => Seen::Plain(plain),
            Some(_) => Seen::Node(self.0),
            None => Seen::Nowhere,
        }
    }

    #[inline]
    pub(super) fn get(&self) -> Seen<&Node> {
        // SAFETY: the word owns the node, and is borrowed as long.
        self.read().map(|node| unsafe { &*node })
    }

    #[inline]
    pub(super) fn node_mut(&mut self) -> Option<&mut Node> {
        match self.read() {
            // SAFETY: the word owns the node, and is borrowed alone as long.
            Seen::Node(node) => Some(unsafe { &mut *node }),
            _ => None,
        }
    }

    /// What was there; it is nowhere now.
    pub(super) fn take(&mut self) -> Seen<Node> {
        let taken = std::mem::replace(self, Place::NOWHERE).into_seen();
        taken.map(|node| *node)
    }

    fn into_seen(self) -> Seen<Box<Node>> {
        let seen = self.read();
        std::mem::forget(self);
        // SAFETY: the word that owned the box is gone.
        seen.map(|node| unsafe { Box::from_raw(node) })
    }
}

impl<N> Seen<N> {
    #[inline]
    fn map<M>(self, f: impl FnOnce(N) -> M) -> Seen<M> {
        match self {
            Seen::Nowhere => Seen::Nowhere,
            Seen::Plain(plain) => Seen::Plain(plain),
            Seen::Node(node) => Seen::Node(f(node)),
        }
    }
}

impl Place {
    #[inline(never)]
    fn leave(&mut self) {
        match self.read() {
            Seen::Nowhere => {}
            Seen::Plain(plain) => plain.end(),
            // SAFETY: the word owns the box, and is no more.
            Seen::Node(node) => drop(unsafe { Box::from_raw(node) }),
        }
    }
}

impl Drop for Place {
    /// One comparison for what has not waited, or not in vain: nearly every handle of a task.
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_null() {
            self.leave();
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Seen::Nowhere => f.write_str("Nowhere"),
            Seen::Plain(plain) => plain.fmt(f),
            Seen::Node(node) => node.fmt(f),
        }
    }
}
