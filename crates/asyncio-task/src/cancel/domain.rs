//! A domain: cancels what is inside it, and tells its own cancellation from others.
//!
//! `timeout` is a domain with a deadline, a task group one with children. A domain that [`cancel`](Domain::cancel)s delivers to the innermost scopes
//! inside; with none there, what is inside is dropped. What unwinds out of it by its own request is [`Inside::Cancelled`]; a request from further
//! out goes on to the enclosing scope. So does one of the task, or of a domain round this one, that was caught inside and whose handler the domain's own
//! request has ended: nobody else would hear of it any more.

use super::node::{Node, is_quiet, task_of};
use super::scope::{ScopePoll, forget_elsewhere};
use super::tree::{Kind, Request};
use crate::header::RawTask;
use asyncio_base::record::{self, PollRecord};
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A domain round one future.
#[derive(Debug, Default)]
pub struct Domain {
    node: Option<Node>,
    /// Asked to cancel before it was in a task, or outside all tasks: then dropping is all there is.
    cancelled_unseen: bool,
    /// How often the task had been cancelled when this first waited; `None` before, and if that does not matter.
    cancels_before: Option<usize>,
    counts: bool,
}

/// How what was inside ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Inside<T> {
    /// With a value; also one that swallowed the domain's request.
    Returned(T),
    /// By the domain's own request.
    Cancelled,
}

impl Domain {
    /// A domain with nothing inside yet.
    pub const fn new() -> Self {
        Domain { node: None, cancelled_unseen: false, cancels_before: None, counts: false }
    }

    /// One that is [cancelled](Inside::Cancelled) by its own request only if nobody further out has cancelled since: asyncio's rule for a timeout.
    pub const fn counting() -> Self {
        Domain { node: None, cancelled_unseen: false, cancels_before: None, counts: true }
    }

    /// Asks what is inside to end. The future must be polled afterwards.
    pub fn cancel(&mut self, message: Option<Cow<'static, str>>) {
        match &self.node {
            Some(node) => node.cancel_inside(message, self.counts),
            None => self.cancelled_unseen = true,
        }
    }

    /// What is inside will not be polled for some time, or in another place: no request is delivered to it meanwhile, and one that it was to answer
    /// goes back to where it came from. The domain is as new.
    pub fn detach(&mut self) {
        if let Some(node) = self.node.take() {
            node.detach_inside();
        }
    }

    /// Polls what is inside; `future` is emptied, in place, when it ends.
    #[inline]
    pub fn poll<F: Future>(
        &mut self,
        mut future: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Poll<Inside<F::Output>> {
        record::with(|record| {
            let Some((record, task)) = record.and_then(|record| Some((record, task_of(record)?)))
            else {
                self.node = None;
                return poll_outside(self.cancelled_unseen, future, cx);
            };
            if !self.is_idle(task) {
                self.look(record, task);
                if let Some(ended) = self.end(record, task, future.as_mut()) {
                    return Poll::Ready(ended);
                }
            }
            // Emptied by a request that went on: the enclosing scope will drop this.
            if let Some(inside) = future.as_mut().as_pin_mut() {
                let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.node);
                if let Poll::Ready(output) = scope.inside(|| inside.poll(cx)) {
                    future.set(None);
                    self.node = None;
                    return Poll::Ready(Inside::Returned(output));
                }
            }
            if self.wait(record, task, cx.waker()) {
                return self.end(record, task, future).map_or(Poll::Pending, Poll::Ready);
            }
            Poll::Pending
        })
    }

    /// Whether there is nothing to look at before what is inside is polled: the common case.
    #[inline]
    fn is_idle(&self, task: RawTask) -> bool {
        match &self.node {
            None => !self.cancelled_unseen,
            Some(node) => node.is_idle(task),
        }
    }

    /// Something has happened since the last poll: where it is polled, or what is asked of it.
    #[cold]
    fn look(&mut self, record: &PollRecord<'_>, task: RawTask) {
        forget_elsewhere(&mut self.node, task);
        if std::mem::take(&mut self.cancelled_unseen) {
            let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.node);
            scope.node().cancel_inside(None, self.counts);
        }
    }

    /// It is pending; whether there may be a request for it.
    #[inline(never)]
    fn wait(&mut self, record: &PollRecord<'_>, task: RawTask, waker: &Waker) -> bool {
        let mut scope = ScopePoll::new(record, task, Kind::Scope, &mut self.node);
        let node = scope.node();
        node.set_waker(waker);
        if self.counts && self.cancels_before.is_none() {
            self.cancels_before = Some(node.cancels());
        }
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
                self.cancels_before.and_then(|before| node.overruled_since(before))
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
