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

use super::node::{Node, task_of};
use super::tree::{Kind, Request};
use crate::header::RawTask;
use asyncio_base::record::{self, PollRecord, Scope};
use std::task::Waker;

/// One poll of a scope in a task.
pub(super) struct ScopePoll<'a> {
    record: &'a PollRecord<'a>,
    task: RawTask,
    holds_back: bool,
    slot: &'a mut Option<Node>,
}

/// Lends what a poll of a scope needs, `slot` being where it keeps its node; outside tasks there is nothing to lend.
#[inline]
pub(super) fn poll_scope<R>(
    slot: &mut Option<Node>,
    kind: Kind,
    poll: impl FnOnce(Option<ScopePoll<'_>>) -> R,
) -> R {
    record::with(|record| {
        let here = record.and_then(|record| Some((record, task_of(record)?)));
        match here {
            Some((_, task)) => forget_elsewhere(slot, task),
            None => *slot = None,
        }
        // One call, so that it is inlined.
        poll(here.map(|(record, task)| ScopePoll::new(record, task, kind, slot)))
    })
}

impl<'a> ScopePoll<'a> {
    /// A poll in the task of this record, of a scope that keeps its node in `slot`.
    #[inline]
    pub(super) fn new(
        record: &'a PollRecord<'a>,
        task: RawTask,
        kind: Kind,
        slot: &'a mut Option<Node>,
    ) -> Self {
        ScopePoll { record, task, holds_back: kind == Kind::Shield, slot }
    }
}

/// Takes out a node of another task, or one that was detached.
#[inline]
pub(super) fn forget_elsewhere(slot: &mut Option<Node>, task: RawTask) {
    if slot.as_ref().is_some_and(|node| !node.is_of(task)) {
        *slot = None;
    }
}

impl ScopePoll<'_> {
    /// Polls what is inside, or drops it: what is made there is below this scope.
    #[inline(always)]
    pub(super) fn inside<R>(&mut self, f: impl FnOnce() -> R) -> R {
        /// Takes over the node that was made in the poll, also after a panic.
        struct Keep<'a>(&'a Scope, RawTask, &'a mut Option<Node>);

        impl Keep<'_> {
            #[inline]
            fn keep(&mut self) {
                let made = self.0.key().filter(|_| self.2.is_none());
                if let Some(key) = made {
                    *self.2 = Some(Node::with_key(self.1, key));
                }
            }
        }

        impl Drop for Keep<'_> {
            #[cold]
            fn drop(&mut self) {
                self.keep();
            }
        }

        let scope = Scope::new(self.slot.as_ref().map(Node::key), self.holds_back);
        let mut keep = Keep(&scope, self.task, self.slot);
        let result = self.record.scopes.polling(keep.0, f);
        // By hand where nothing panics: a destructor would not be inlined.
        keep.keep();
        std::mem::forget(keep);
        result
    }

    /// The request that has taken hold of this scope, if there is one; this answers it.
    #[inline]
    pub(super) fn take(&self) -> Option<Request> {
        self.slot.as_ref()?.take()
    }

    /// The node, made now if there is none.
    pub(super) fn node(&mut self) -> &mut Node {
        let (task, record, holds_back) = (self.task, self.record, self.holds_back);
        self.slot.get_or_insert_with(|| {
            let kind = if holds_back { Kind::Shield } else { Kind::Scope };
            Node::below(task, record, kind)
        })
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
        *self.slot = None;
    }
}
