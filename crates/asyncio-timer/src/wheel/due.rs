//! The timers that are due and wait to be taken out, in the order they fire.

use asyncio_base::slab::Key;

/// A timer that was due when its slot was swept. It may have been removed or rescheduled since: its sequence number tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) deadline: u64,
    pub(super) sequence: u64,
    /// A key as a word, so that this type has an order; sequence numbers differ, so it never decides.
    key: u64,
}

impl Due {
    pub(super) fn new(deadline: u64, sequence: u64, key: Key) -> Self {
        Due { deadline, sequence, key: key.to_bits() }
    }

    pub(super) fn key(&self) -> Key {
        Key::from_bits(self.key)
    }
}

/// Due timers, the next one last.
#[derive(Debug, Default)]
pub(super) struct DueList(Vec<Due>);

/// A list longer than this gives its memory back when it is empty.
const KEEP: usize = 1024;

impl DueList {
    pub(super) const fn new() -> Self {
        DueList(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one out of order; [`sort`](Self::sort) follows.
    pub(super) fn push(&mut self, due: Due) {
        self.0.push(due);
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// The next one to fire.
    pub(super) fn peek(&self) -> Option<Due> {
        self.0.last().copied()
    }

    /// Takes the next one to fire.
    pub(super) fn pop(&mut self) -> Option<Due> {
        let due = self.0.pop();
        if self.0.is_empty() && self.0.capacity() > KEEP {
            self.0 = Vec::new();
        }
        due
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }
}
