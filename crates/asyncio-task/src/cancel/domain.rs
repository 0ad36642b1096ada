//! A domain: cancels what is inside it, and tells its own cancellation from others.
//!
//! `timeout` is a domain with a deadline, a task group one with children. A domain that [`cancel`](Domain::cancel)s delivers to the innermost scopes
//! inside; with none there, what is inside is dropped. What unwinds out of it by its own request is [`Inside::Cancelled`]; a request from further
//! out goes on to the enclosing scope. So does one of the task, or of a domain round this one, that was caught inside and whose handler the domain's own
//! request has ended: nobody else would hear of it any more.
//!
//! # A domain without a node
//!
//! Of the domains that wait most are timeouts round a leaf, with nothing round them. Such a one needs no place in the tree: what it would have to do with a
//! request of the task is what a plain await has to (`plain.rs`), to be asked in the poll that follows.
//!
//! ```text
//!             pending, its task's only one, nothing round or inside has a node    asked: a request of the task, or its own `cancel`
//!  no place ──────────────────────────────────────────────────────────────► plain ─────────────────────────────────────────────────► a node
//!     │                                                                       │ a scope round it, a node inside, another plain await, another waker
//!     └───────────────────────────────────────────────────────────────────────┴───────────────────────────────────────────────────────► a node
//! ```
//!
//! Only the thread that polls touches this, and nothing is lost by it:
//!
//! * A request of the task stays in its word, or a copy of it beside the nodes, until the domain is polled and takes it, at the start of its poll, with
//!   a node that has the request. If the domain is gone or is not polled, nobody has taken it: see `plain.rs`.
//! * A request of a domain inside it cannot be: what is inside, and has a node, gave one to the domain too.
//! * One of a domain round it neither: there is none, or at the end of the poll in which there is the domain has a node.
//! * Its own is given to the node that is made for it.

use super::node::{Node, is_quiet, task_of};
use super::plain::PlainAwait;
use super::scope::{ScopePoll, forget_elsewhere};
use super::tree::{Kind, Request};
use crate::header::RawTask;
use crate::waker;
use asyncio_base::record::{self, PollRecord};
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// More cancels than a task counts.
const NOT_COUNTED: u32 = u32::MAX;

/// A domain round one future.
#[derive(Debug)]
pub struct Domain {
    node: Option<Node>,
    /// Instead of a node.
    plain: Option<PlainAwait>,
    /// Asked to cancel before it was in a task, or outside all tasks: then dropping is all there is.
    cancelled_unseen: bool,
    /// How often the task had been cancelled when this first waited; `NOT_COUNTED` before, and if that does not matter.
    cancels_before: u32,
    counts: bool,
    /// The task was woken while this was polled for the first time.
    is_woken: bool,
}

/// How what was inside ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Inside<T> {
    /// With a value; also one that swallowed the domain's request.
    Returned(T),
    /// By the domain's own request.
    Cancelled,
}

impl Default for Domain {
    fn default() -> Self {
        Domain::new()
    }
}

impl Domain {
    /// A domain with nothing inside yet.
    pub const fn new() -> Self {
        Domain::with(false)
    }

    /// One that is [cancelled](Inside::Cancelled) by its own request only if nobody further out has cancelled since: asyncio's rule for a timeout.
    pub const fn counting() -> Self {
        Domain::with(true)
    }

    const fn with(counts: bool) -> Self {
        Domain {
            node: None,
            plain: None,
            cancelled_unseen: false,
            cancels_before: NOT_COUNTED,
            counts,
            is_woken: false,
        }
    }

    /// Asks what is inside to end. The future must be polled afterwards.
    pub fn cancel(&mut self, message: Option<Cow<'static, str>>) {
        match &self.node {
            Some(node) => node.cancel_inside(message, self.counts),
            None => self.cancelled_unseen = true,
        }
    }

    // What has no node keeps no note: `detach` is for domains that do not count, which are never plain.

    /// What is inside will not be polled for some time, or in another place: no request is delivered to it meanwhile, and one that it was to answer
    /// goes back to where it came from. The domain is as new.
    pub fn detach(&mut self) {
        if let Some(node) = self.node.take() {
            node.detach_inside();
        }
    }

    /// Polls what is inside; `future` is emptied, in place, when it ends.
    #[inline(always)]
    pub fn poll<F: Future>(
        &mut self,
        mut future: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Poll<Inside<F::Output>> {
        // SAFETY: it is lent on to what is called here, and kept by nothing.
        let record = unsafe { record::current() };
        let Some((record, task)) = record.and_then(|record| Some((record, task_of(record)?)))
        else {
            self.node = None;
            return poll_outside(self.cancelled_unseen, future, cx);
        };
        if !self.is_idle(record, task) {
            self.look(record, task);
            if let Some(ended) = self.end(record, task, future.as_mut()) {
                return Poll::Ready(ended);
            }
        }
        let wakes = task.header().state.count_wakes();
        // Emptied by a request that went on: the enclosing scope will drop this.
        if let Some(inside) = future.as_mut().as_pin_mut() {
            let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.node);
            if let Poll::Ready(output) = scope.inside(|| inside.poll(cx)) {
                future.set(None);
                self.node = None;
                self.forget_plain(record);
                return Poll::Ready(Inside::Returned(output));
            }
        }
        if self.wait(record, task, cx.waker(), wakes) {
            return self.end(record, task, future).map_or(Poll::Pending, Poll::Ready);
        }
        Poll::Pending
    }

    /// Whether the task was woken while this was first polled and left pending: then it will be polled again soon.
    #[inline]
    pub fn is_woken(&self) -> bool {
        self.is_woken
    }

    /// Whether there is nothing to look at before what is inside is polled: the common case.
    #[inline]
    fn is_idle(&self, record: &PollRecord<'_>, task: RawTask) -> bool {
        match &self.node {
            None => !self.cancelled_unseen && !record.offered.get(),
            Some(node) => node.is_idle(task),
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

    /// It is pending; whether it is plain.
    #[inline]
    fn is_plain(&mut self, record: &PollRecord<'_>) -> bool {
        if self.node.is_some() || !self.counts || !record.scopes.is_empty() {
            return false;
        }
        match &self.plain {
            Some(plain) if plain.stays_in(record) => return true,
            Some(plain) => plain.end_in(record),
            None => {}
        }
        self.plain = PlainAwait::begin_in(record);
        self.plain.is_some()
    }

    /// Something has happened since the last poll: where it is polled, or what is asked of it.
    #[cold]
    fn look(&mut self, record: &PollRecord<'_>, task: RawTask) {
        forget_elsewhere(&mut self.node, task);
        if let Some(node) = self.plain.as_ref().and_then(|plain| plain.claim_in(record, task)) {
            self.node = Some(node);
        }
        if std::mem::take(&mut self.cancelled_unseen) {
            let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.node);
            scope.node().cancel_inside(None, self.counts);
        }
        if self.node.is_some() {
            self.forget_plain(record);
        }
    }

    /// It is pending, and before this poll the task's wakes were so many; whether there may be a request for it.
    #[inline(always)]
    fn wait(&mut self, record: &PollRecord<'_>, task: RawTask, waker: &Waker, wakes: u64) -> bool {
        let is_own = waker::is_of(waker, task);
        if self.cancels_before == NOT_COUNTED && self.counts {
            let now = task.header().state.load();
            self.cancels_before = now.cancels() as u32;
            // Another waker's wake need not be the task's.
            self.is_woken = is_own && now.wakes() > wakes;
        }
        // What is plain is asked in the next poll at the earliest.
        !(is_own && self.is_plain(record)) && self.wait_in_tree(record, task, waker)
    }

    #[inline(never)]
    fn wait_in_tree(&mut self, record: &PollRecord<'_>, task: RawTask, waker: &Waker) -> bool {
        self.forget_plain(record);
        let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.node);
        let node = scope.node();
        node.set_waker(waker);
        !is_quiet(task)
    }

    /// If a request has taken hold, empties the domain, and passes on what is not its own. `None`: it goes on waiting.
    #[cold]
    fn end<F, T>(
        &mut self,
        record: &PollRecord<'_>,
        task: RawTask,
        mut future: Pin<&mut Option<F>>,
    ) -> Option<Inside<T>> {
        let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.node);
        while let Some(request) = scope.take() {
            scope.inside(|| future.set(None));
            let node = scope.node();
            let further_out = if request.origin == node.origin() {
                let before = Some(self.cancels_before).filter(|_| self.counts);
                before.and_then(|before| node.overruled_since(before as usize))
            } else {
                Some(request.origin)
            };
            let Some(origin) = further_out else {
                scope.leave();
                return Some(Inside::Cancelled);
            };
            node.raise_to_parent(Request { origin, ..request });
        }
        None
    }
}

impl Drop for Domain {
    #[inline]
    fn drop(&mut self) {
        if let Some(plain) = &self.plain {
            plain.end();
        }
    }
}

/// Outside asyncio's tasks: a plain wait that ends by dropping.
fn poll_outside<F: Future>(
    is_cancelled: bool,
    mut future: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<Inside<F::Output>> {
    if is_cancelled {
        future.set(None);
        return Poll::Ready(Inside::Cancelled);
    }
    let Some(inside) = future.as_mut().as_pin_mut() else { return Poll::Pending };
    inside.poll(cx).map(|output| {
        future.set(None);
        Inside::Returned(output)
    })
}
