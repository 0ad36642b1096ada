//! What a queue's lock protects, and the rules by which items, room and waiters find each other.
//!
//! # State
//!
//! | field | meaning |
//! |---|---|
//! | `items` | what is in the queue |
//! | `kept_items` | how many of the items belong to getters that were chosen and have not run yet |
//! | `kept_slots` | how much of the room belongs to putters that were chosen and have not run yet |
//! | lines `GETTERS`, `PUTTERS`, `JOINERS` | who waits, in order of arrival |
//! | `unfinished` | items put and not yet reported done |
//! | `joins` | how often `unfinished` has fallen to zero |
//! | `shut` | no more puts; the two `kept_` counts and lines are empty from then on |
//!
//! # Invariants (while not shut)
//!
//! 1. Somebody waits to get only if every item is kept: `items == kept_items`.
//! 2. Somebody waits to put only if all room is taken or kept: `items + kept_slots == maxsize`.
//!
//! Each operation that makes an item or room free gives it at once to the first in line, by *keeping* it for that waiter and
//! calling its waker. A newcomer sees only what is not kept, so it cannot overtake. The item itself stays in the store until
//! the chosen getter runs: a cancelled getter has nothing to put back in order, and a `PriorityQueue` gives out the item
//! that is smallest then. A chosen waiter that is dropped passes the claim to the next in line, or frees it.
//!
//! # Why no wake-up is lost
//!
//! All of this happens under one lock: a waiter that finds nothing joins its line in the same hold of the lock, and whoever
//! frees something looks at the line in the same hold. Invariants 1 and 2 say that nothing free is ever passed by.
//!
//! Models: `loom-tests/tests/sync_queue.rs`.

use super::store::{KEEP, Panic, sealed::Store};
use crate::waiters::Waiters;
use asyncio_base::slab::Key;
use asyncio_base::wake_list::WakeList;
use std::task::Waker;

pub(super) const GETTERS: usize = 0;
pub(super) const PUTTERS: usize = 1;
pub(super) const JOINERS: usize = 2;

pub(super) struct State<S> {
    pub(super) items: S,
    /// Joiners are tagged with `joins` as it was when they came; the others' tags mean nothing.
    pub(super) waiters: Waiters<u64, 3>,
    pub(super) unfinished: usize,
    /// How many items there may be at most; 0 once it is shut, so that the quick path need not ask.
    pub(super) limit: usize,
    pub(super) joins: u64,
    pub(super) kept_items: u32,
    pub(super) kept_slots: u32,
    pub(super) shut: bool,
}

impl<S> State<S> {
    pub(super) const fn new(items: S, maxsize: usize) -> Self {
        State {
            limit: if maxsize == 0 { usize::MAX } else { maxsize },
            items,
            waiters: Waiters::new(),
            unfinished: 0,
            joins: 0,
            kept_items: 0,
            kept_slots: 0,
            shut: false,
        }
    }
}

impl<S: Store> State<S> {
    /// Whether there is an item for a newcomer.
    #[inline]
    pub(super) fn has_item(&self) -> bool {
        self.items.len() > self.kept_items as usize
    }

    /// Whether there is room for a newcomer.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.items.len() + (self.kept_slots as usize) < self.limit
    }

    /// Puts an item in and does nothing else.
    #[inline(always)]
    pub(super) fn push(&mut self, item: S::Item) -> Result<(), Panic> {
        self.unfinished += 1;
        self.items.push(item)
    }

    /// Takes an item out and does nothing else, but that the memory of a burst is not kept.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<S::Item> {
        let item = self.items.pop();
        if self.items.capacity() > KEEP {
            self.forget_burst();
        }
        item
    }

    /// Gives the memory of a burst back once its last item is out.
    #[cold]
    fn forget_burst(&mut self) {
        if self.items.len() == 0 {
            self.items = S::empty();
        }
    }

    /// Puts an item in and keeps one for the first getter in line, whose waker is returned.
    #[inline]
    pub(super) fn insert(&mut self, item: S::Item) -> (Option<Waker>, Result<(), Panic>) {
        let pushed = self.push(item);
        (self.pass_item_on(), pushed)
    }

    /// Takes an item out and keeps the room for the first putter in line, whose waker is returned.
    #[inline]
    pub(super) fn remove(&mut self) -> Option<(S::Item, Option<Waker>)> {
        let item = self.pop()?;
        // After a shutdown nobody waits for room; who is still in line is about to be told.
        let waker = if self.shut { None } else { self.pass_slot_on() };
        Some((item, waker))
    }

    /// Takes a getter out of the list; a claim it had is free for the caller to use or to [pass on](Self::pass_item_on).
    pub(super) fn getter_leaves(&mut self, key: Key) -> (bool, Option<Waker>) {
        let Some(left) = self.waiters.leave(key) else { return (false, None) };
        let claim = left.chosen && !self.shut;
        self.kept_items -= u32::from(claim);
        (claim, left.waker)
    }

    /// Takes a putter out of the list; a claim it had is free for the caller to use or to [pass on](Self::pass_slot_on).
    pub(super) fn putter_leaves(&mut self, key: Key) -> (bool, Option<Waker>) {
        let Some(left) = self.waiters.leave(key) else { return (false, None) };
        let claim = left.chosen && !self.shut;
        self.kept_slots -= u32::from(claim);
        (claim, left.waker)
    }

    /// Takes out a getter if it was chosen; the item that was kept for it is the caller's to take. While not shut.
    #[inline(always)]
    pub(super) fn serve_getter(&mut self, key: Key) -> bool {
        let chosen = self.waiters.leave_if_chosen(key);
        self.kept_items -= u32::from(chosen);
        chosen
    }

    /// Takes out a putter if it was chosen; the room that was kept for it is the caller's to fill. While not shut.
    #[inline(always)]
    pub(super) fn serve_putter(&mut self, key: Key) -> bool {
        let chosen = self.waiters.leave_if_chosen(key);
        self.kept_slots -= u32::from(chosen);
        chosen
    }

    /// Keeps an item that nobody claims for the first getter in line.
    #[inline]
    pub(super) fn pass_item_on(&mut self) -> Option<Waker> {
        if self.waiters.is_empty(GETTERS) {
            return None;
        }
        self.kept_items += 1;
        self.waiters.choose(GETTERS)
    }

    /// Keeps room that nobody claims for the first putter in line.
    #[inline]
    pub(super) fn pass_slot_on(&mut self) -> Option<Waker> {
        if self.waiters.is_empty(PUTTERS) {
            return None;
        }
        self.kept_slots += 1;
        self.waiters.choose(PUTTERS)
    }

    /// Counts `n` items as done; true if that makes all done, so that joiners are to be woken.
    pub(super) fn finish(&mut self, n: usize) -> bool {
        let before = self.unfinished;
        self.unfinished = before.saturating_sub(n);
        let all = before > 0 && self.unfinished == 0;
        self.joins += u64::from(all);
        all
    }

    /// Refuses puts from now on; claims are void, and everybody is to be woken to find that out.
    pub(super) fn shut(&mut self) {
        self.shut = true;
        self.limit = 0;
        self.kept_items = 0;
        self.kept_slots = 0;
    }

    /// Chooses getters and putters as far as the batch goes; false when none is left.
    pub(super) fn collect_for_shutdown(&mut self, batch: &mut WakeList) -> bool {
        for line in [GETTERS, PUTTERS] {
            while !self.waiters.is_empty(line) {
                if batch.is_full() {
                    return true;
                }
                if let Some(waker) = self.waiters.choose(line) {
                    batch.push(waker);
                }
            }
        }
        false
    }

    /// Chooses joiners that came before the join number `joins`, as far as the batch goes; false when none is left.
    pub(super) fn collect_joiners(&mut self, joins: u64, batch: &mut WakeList) -> bool {
        while self.waiters.front(JOINERS).is_some_and(|came| came < joins) {
            if batch.is_full() {
                return true;
            }
            if let Some(waker) = self.waiters.choose(JOINERS) {
                batch.push(waker);
            }
        }
        false
    }
}
