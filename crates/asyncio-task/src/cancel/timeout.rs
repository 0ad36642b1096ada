//! A timeout's domain: a [`Domain`](super::Domain) that strikes by itself, and knows who else has asked for an end of it.
//!
//! A request of the task, or of a domain round this one, that was caught inside and whose handler the timeout's own request has ended, goes on to the
//! enclosing scope: nobody else would hear of it any more.
//!
//! # Without a node
//!
//! Of the domains that wait most are timeouts round a leaf, with nothing round them. Such a one needs no place in the tree: what it would have to do with a
//! request of the task is what a plain await has to (`plain.rs`), to be asked in the poll that follows.
//!
//! ```text
//!             pending, its task's only one, nothing round or inside has a node    asked: a request of the task, or it strikes
//!  no place ──────────────────────────────────────────────────────────────► plain ──────────────────────────────────────────► a node
//!     │                                                                       │ a scope round it, a node inside, another plain await, another waker
//!     └───────────────────────────────────────────────────────────────────────┴───────────────────────────────────────────────► a node
//! ```
//!
//! Only the thread that polls touches this, and nothing is lost by it:
//!
//! * A request of the task stays in its word, or a copy of it beside the nodes, until the timeout is polled and takes it, at the start of its poll, with
//!   a node that has the request. If the timeout is gone or is not polled, nobody has taken it: see `plain.rs`.
//! * A request of a domain inside it cannot be: what is inside, and has a node, gave one to the timeout too.
//! * One of a domain round it neither: there is none, or at the end of the poll in which there is the timeout has a node.
//! * Its own is given to the node that is made for it.

use super::domain::{end, poll_outside};
use super::node::{Node, in_task, is_quiet};
use super::plain::PlainAwait;
use super::scope::{ScopePoll, Slot};
use super::tree::Kind;
use crate::header::RawTask;
use crate::state::Snapshot;
use crate::waker;
use asyncio_base::record::{self, PollRecord};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The domain of a timeout, round one future.
#[derive(Debug)]
pub struct TimeoutDomain {
    slot: Slot,
    /// Instead of a node.
    plain: Option<PlainAwait>,
    /// The task's state before this was first polled; until then, `NOT_YET`.
    before: Snapshot,
    /// A request that went on has ended what was inside.
    raised: bool,
}

/// No task is in this state: no two flags of an outcome go with an open request.
const NOT_YET: Snapshot = Snapshot(u64::MAX);

/// How a poll of a timeout's domain ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Polled<T> {
    /// What was inside has ended with a value; also one that swallowed the timeout's request.
    Returned(T),
    /// What was inside has been ended by the timeout's own request, and nobody further out has asked for that since.
    Cancelled,
    /// It goes on.
    Waits {
        /// It waits for the first time, and the task was woken meanwhile: so it will be polled again soon. Or a request goes on from it.
        is_woken: bool,
    },
}

/// How a timeout stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// It has been polled in this place: what is inside, and can be asked, is below it. If not, it has to be polled before it strikes.
    pub is_here: bool,
    /// It had struck, and was taken away before anybody had answered: it has to strike again.
    pub is_cut_short: bool,
}

impl Default for TimeoutDomain {
    fn default() -> Self {
        TimeoutDomain::new()
    }
}

impl TimeoutDomain {
    /// A domain with nothing inside yet.
    #[inline]
    pub const fn new() -> Self {
        TimeoutDomain { slot: Slot::new(), plain: None, before: NOT_YET, raised: false }
    }

    /// How it stands where it is polled now. To be asked before a strike, and after one until it has ended.
    #[cold]
    pub fn standing(&mut self) -> Standing {
        let lost = |node: &Node| !node.is_here() && node.asks();
        let is_cut_short = self.slot.get().is_some_and(lost);
        record::with(|record| match record.and_then(in_task) {
            None => Standing { is_here: true, is_cut_short: false },
            Some((record, task)) => {
                self.look(record, task);
                Standing { is_here: self.plain.is_some() || !self.slot.is_empty(), is_cut_short }
            }
        })
    }

    /// Asks what is inside to end; it is polled then. If this is true it has ended already: outside asyncio's tasks nobody can answer.
    #[cold]
    pub fn strike<F>(&mut self, mut future: Pin<&mut Option<F>>) -> bool {
        record::with(|record| {
            let Some((record, task)) = record.and_then(in_task) else {
                future.set(None);
                return true;
            };
            self.look(record, task);
            let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.slot);
            scope.node().cancel_inside(None);
            self.forget_plain(record);
            false
        })
    }

    /// Polls what is inside; `future` is emptied, in place, when it ends.
    ///
    /// # Panics
    ///
    /// If it has ended, but by a request that went on: awaited again after that, it raises a cancellation again.
    #[inline(always)]
    pub fn poll<F: Future>(
        &mut self,
        mut future: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Polled<F::Output> {
        // SAFETY: it is lent on to what is called here, and kept by nothing.
        let record = unsafe { record::current() };
        let Some((record, task)) = record.and_then(in_task) else {
            self.slot.clear();
            return match poll_outside(future, cx) {
                Poll::Ready(output) => Polled::Returned(output),
                Poll::Pending => Polled::Waits { is_woken: false },
            };
        };
        if !self.is_idle(record, task) {
            self.look(record, task);
            if self.end(record, task, future.as_mut()) {
                return Polled::Cancelled;
            }
        }
        let earlier = task.header().state.load();
        let Some(inside) = future.as_mut().as_pin_mut() else {
            return self.unwind(record, task);
        };
        let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.slot);
        if let Poll::Ready(output) = scope.inside(|| inside.poll(cx)) {
            future.set(None);
            self.slot.clear();
            self.forget_plain(record);
            return Polled::Returned(output);
        }
        let is_own = waker::is_of(cx.waker(), task);
        if is_own && self.slot.is_empty() && record.scopes.is_empty() {
            // What is plain is asked in the next poll at the earliest.
            match &self.plain {
                None => {
                    self.plain = PlainAwait::begin_in(record);
                    if self.plain.is_some() {
                        return Polled::Waits { is_woken: self.waits_first(task, earlier) };
                    }
                }
                Some(plain) if plain.stays_in(record) => return Polled::Waits { is_woken: false },
                // Another await is the plain one.
                Some(_) => {}
            }
        }
        // Another waker's wake need not be the task's.
        let is_woken = self.waits_first(task, earlier) && is_own;
        if self.wait_in_tree(record, task, cx.waker()) && self.end(record, task, future) {
            return Polled::Cancelled;
        }
        Polled::Waits { is_woken }
    }

    /// What was inside has ended. By a request that went on: the enclosing scope will drop this; else it is awaited again.
    #[cold]
    fn unwind<T>(&mut self, record: &PollRecord<'_>, task: RawTask) -> Polled<T> {
        assert!(self.raised, "a timeout was polled again after it ended");
        ScopePoll::new(record, task, Kind::Scope, &mut self.slot).node().unwind_again();
        Polled::Waits { is_woken: true }
    }

    /// Whether there is nothing to look at before what is inside is polled: the common case.
    #[inline]
    fn is_idle(&self, record: &PollRecord<'_>, task: RawTask) -> bool {
        match self.slot.get() {
            None => !record.offered.get(),
            Some(node) => node.is_idle(record, task),
        }
    }

    /// It has a node, or ends.
    #[inline]
    fn forget_plain(&mut self, record: &PollRecord<'_>) {
        if let Some(plain) = &self.plain {
            plain.end_in(record);
            self.plain = None;
        }
    }

    /// Something has happened since the last poll: where it is polled, or what is asked of it.
    #[cold]
    fn look(&mut self, record: &PollRecord<'_>, task: RawTask) {
        self.slot.come_here(record, task);
        if let Some(node) = self.plain.as_ref().and_then(|plain| plain.claim_scope(record, task)) {
            self.slot.set(node);
        }
        if !self.slot.is_empty() {
            self.forget_plain(record);
        }
    }

    /// It waits: whether for the first time, and the task has been woken since this was polled.
    #[inline]
    fn waits_first(&mut self, task: RawTask, earlier: Snapshot) -> bool {
        let is_first = self.before == NOT_YET;
        let now = task.header().state.load();
        if is_first {
            self.before = earlier;
        }
        is_first && now.has_more_wakes_than(earlier)
    }

    /// Whether there may be a request for it.
    #[inline(never)]
    fn wait_in_tree(&mut self, record: &PollRecord<'_>, task: RawTask, waker: &Waker) -> bool {
        self.forget_plain(record);
        let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.slot);
        scope.node().set_waker(waker);
        !is_quiet(task)
    }

    /// If a request has taken hold of it, empties it; whether that was its own alone.
    #[cold]
    fn end<F>(
        &mut self,
        record: &PollRecord<'_>,
        task: RawTask,
        mut future: Pin<&mut Option<F>>,
    ) -> bool {
        let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.slot);
        let before = self.before.cancels() as usize;
        let is_own = end(&mut scope, future.as_mut(), |node| node.overruled_since(before));
        if is_own {
            scope.leave();
        } else {
            self.raised = future.is_none();
        }
        is_own
    }
}

impl Drop for TimeoutDomain {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(plain) = self.plain {
            end_early(plain);
        }
    }
}

/// A timeout without a node is dropped while it waits.
#[cold]
#[inline(never)]
fn end_early(plain: PlainAwait) {
    plain.end();
}
