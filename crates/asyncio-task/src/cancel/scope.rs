//! What all scopes do: they poll what is inside of them, and have a node from when they first have to wait.
//!
//! A scope round something that is ready at once never touches the tree. While it is polled it is a link in the poll's chain of scopes
//! (`asyncio_base::record::Scopes`); its node is made when it, or something inside that is a node itself, is pending, and then together with those of
//! all scopes round it. So a node's parent is always in the tree before it.
//!
//! # Why a request finds it in time
//!
//! A request of the task is delivered between two polls, when every scope that has been left pending has its node. What is delivered during a poll, a
//! domain's deadline or a request that comes back, goes through `with_tree`, which first makes the nodes of the scopes in the chain. Only another
//! thread, which drops a node of this task meanwhile, may find a scope not there yet; its request then marks the domain, and the domain hands it on to
//! what is inside when the poll has ended (`Tree::take`).

use super::node::{Node, in_task};
use super::tree::{Kind, Request};
use crate::header::RawTask;
use asyncio_base::record::{self, PollRecord, Scope};
use asyncio_base::slab::Key;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::task::{Poll, Waker};

/// Where a scope keeps its node.
#[derive(Debug)]
pub(super) struct Slot {
    /// The place of the node, `Key::NONE` without one. Written first where something inside makes it.
    key: Key,
    /// None if the place is `Key::NONE`: then there is nothing to drop, which is one comparison.
    node: ManuallyDrop<Option<Node>>,
}

impl Default for Slot {
    fn default() -> Self {
        Slot::new()
    }
}

impl Slot {
    /// Without a node.
    #[inline]
    pub(super) const fn new() -> Self {
        Slot { key: Key::NONE, node: ManuallyDrop::new(None) }
    }

    /// The node.
    #[inline]
    pub(super) fn get(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// Whether there is no node; one comparison.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.key.is_none()
    }

    /// Keeps a node.
    pub(super) fn set(&mut self, node: Node) {
        self.key = node.key();
        *self.node = Some(node);
    }

    /// The node leaves.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Node> {
        self.key = Key::NONE;
        self.node.take()
    }

    /// The node leaves its tree.
    #[inline]
    pub(super) fn clear(&mut self) {
        if !self.is_empty() {
            self.leave();
        }
    }

    #[inline(never)]
    fn leave(&mut self) {
        drop(self.take());
    }

    /// Takes out a node of another task, or one that was detached; one that stood in another place of this task comes here.
    #[inline(always)]
    pub(super) fn come_here(&mut self, record: &PollRecord<'_>, task: RawTask) {
        let is_elsewhere = |node: &Node| !node.is_at(record, task);
        if !self.is_empty() && self.get().is_some_and(is_elsewhere) {
            self.come_from_elsewhere(record, task);
        }
    }

    #[cold]
    #[inline(never)]
    fn come_from_elsewhere(&mut self, record: &PollRecord<'_>, task: RawTask) {
        if self.node.as_mut().is_some_and(|node| !node.come(record, task)) {
            self.clear();
        }
    }

    /// Takes over the node that was made in a poll of what is inside, which has ended.
    #[inline(always)]
    fn keep(&mut self, record: &PollRecord<'_>, task: RawTask) {
        if !self.is_empty() && self.node.is_none() {
            self.keep_new(record, task);
        }
    }

    #[inline(never)]
    fn keep_new(&mut self, record: &PollRecord<'_>, task: RawTask) {
        *self.node = Some(Node::with_key(task, record, self.key));
    }

    #[cold]
    #[inline(never)]
    fn keep_after_a_panic(&mut self, task: RawTask) {
        record::with(|record| record.into_iter().for_each(|record| self.keep(record, task)));
    }
}

impl Drop for Slot {
    #[inline(always)]
    fn drop(&mut self) {
        self.clear();
    }
}

/// One poll of a scope in a task.
pub(super) struct ScopePoll<'a> {
    record: &'a PollRecord<'a>,
    task: RawTask,
    holds_back: bool,
    slot: &'a mut Slot,
}

/// Lends what a poll of a scope needs; outside tasks there is nothing to lend.
#[inline]
pub(super) fn poll_scope<R>(
    slot: &mut Slot,
    kind: Kind,
    poll: impl FnOnce(Option<ScopePoll<'_>>) -> R,
) -> R {
    record::with(|record| {
        let here = record.and_then(in_task);
        match here {
            Some((record, task)) => slot.come_here(record, task),
            None => slot.clear(),
        }
        // One call, so that it is inlined.
        poll(here.map(|(record, task)| ScopePoll::new(record, task, kind, slot)))
    })
}

/// A request has ended what was inside this scope, and gone on: pending until it has got where it goes, and after that a cancellation is raised again.
#[cold]
pub(super) fn unwind<T>(slot: &mut Slot) -> Poll<T> {
    poll_scope(slot, Kind::Scope, |scope| {
        scope.into_iter().for_each(|mut scope| scope.node().unwind_again());
    });
    Poll::Pending
}

impl<'a> ScopePoll<'a> {
    /// A poll in the task of this record, of a scope that keeps its node in `slot`.
    #[inline]
    pub(super) fn new(
        record: &'a PollRecord<'a>,
        task: RawTask,
        kind: Kind,
        slot: &'a mut Slot,
    ) -> Self {
        ScopePoll { record, task, holds_back: kind == Kind::Shield, slot }
    }
}

impl ScopePoll<'_> {
    /// Polls what is inside, or drops it: what is made there is below this scope.
    #[inline(always)]
    pub(super) fn inside<R>(&mut self, f: impl FnOnce() -> R) -> R {
        /// Its destructor is one call, so that what it has stays in registers.
        struct Panicked<'a>(&'a mut Slot, RawTask);

        impl Drop for Panicked<'_> {
            #[inline(always)]
            fn drop(&mut self) {
                self.0.keep_after_a_panic(self.1);
            }
        }

        let panicked = Panicked(self.slot, self.task);
        let scope = Scope::new(Cell::from_mut(&mut panicked.0.key), self.holds_back);
        let result = self.record.scopes.polling(&scope, f);
        std::mem::forget(panicked);
        self.slot.keep(self.record, self.task);
        result
    }

    /// The request that has taken hold of this scope, if there is one; this answers it.
    #[inline]
    pub(super) fn take(&self) -> Option<Request> {
        self.slot.get()?.take()
    }

    /// The node, made now if there is none.
    pub(super) fn node(&mut self) -> &mut Node {
        if self.slot.is_empty() {
            let kind = if self.holds_back { Kind::Shield } else { Kind::Scope };
            self.slot.set(Node::below(self.task, self.record, kind));
        }
        self.slot.node.as_mut().expect("there is one now")
    }

    /// It is pending: it needs its node, and is woken by this waker. Gives the request that has taken hold of it meanwhile.
    #[inline]
    pub(super) fn waits(&mut self, waker: &Waker) -> Option<Request> {
        self.node().set_waker(waker);
        self.take()
    }

    /// It has ended.
    #[inline]
    pub(super) fn leave(self) {
        self.slot.clear();
    }
}
