//! A domain: cancels what is inside it, and tells its own cancellation from others.
//!
//! An asynchronous generator's body is in one while it is closed; a timeout (`timeout.rs`) is a domain with a deadline, a task group (`group.rs`) one with
//! children. A domain that [`cancel`](Domain::cancel)s delivers to the innermost scopes inside; with none there, what is inside is dropped. What unwinds
//! out of it by its own request is [`Inside::Cancelled`]; a request from further out goes on to the enclosing scope.

use super::node::Node;
use super::scope::{ScopePoll, Slot, poll_scope};
use super::tree::{Kind, Origin, Request};
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A domain round one future.
#[derive(Debug, Default)]
pub struct Domain {
    slot: Slot,
    /// Asked to cancel before it had a node: it is told in the next poll.
    is_asked: bool,
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
        Domain { slot: Slot::new(), is_asked: false }
    }

    /// Asks what is inside to end. The future must be polled afterwards.
    pub fn cancel(&mut self, message: Option<Cow<'static, str>>) {
        match self.slot.get() {
            Some(node) => node.cancel_inside(message),
            None => self.is_asked = true,
        }
    }

    /// What is inside will not be polled for some time, or in another place: no request is delivered to it meanwhile, and one that it was to answer
    /// goes back to where it came from. The domain is as new.
    pub fn detach(&mut self) {
        if let Some(node) = self.slot.take() {
            node.detach_inside();
        }
    }

    /// Whether a request that has ended what was inside, and is not the domain's, is on its way still: who waits stays pending meanwhile.
    pub fn unwinds(&self) -> bool {
        self.slot.get().is_some_and(Node::unwinds)
    }

    /// Polls what is inside; `future` is emptied, in place, when it ends.
    pub fn poll<F: Future>(
        &mut self,
        mut future: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Poll<Inside<F::Output>> {
        let is_asked = std::mem::take(&mut self.is_asked);
        poll_scope(&mut self.slot, Kind::Scope, |scope| {
            let Some(mut scope) = scope else {
                if is_asked {
                    future.set(None);
                    return Poll::Ready(Inside::Cancelled);
                }
                return poll_outside(future, cx).map(Inside::Returned);
            };
            if is_asked {
                scope.node().cancel_inside(None);
            }
            if !end(&mut scope, future.as_mut(), |_| None) {
                // Emptied by a request that went on: the enclosing scope will drop this.
                if let Some(inside) = future.as_mut().as_pin_mut() {
                    if let Poll::Ready(output) = scope.inside(|| inside.poll(cx)) {
                        future.set(None);
                        scope.leave();
                        return Poll::Ready(Inside::Returned(output));
                    }
                }
                scope.node().set_waker(cx.waker());
                if !end(&mut scope, future, |_| None) {
                    return Poll::Pending;
                }
            }
            scope.leave();
            Poll::Ready(Inside::Cancelled)
        })
    }
}

/// If a request has taken hold of a domain, drops what is inside, and passes on what is not its own, or not only: `overruled` says who else has asked.
/// Whether its own has ended it.
pub(super) fn end<F>(
    scope: &mut ScopePoll<'_>,
    mut future: Pin<&mut Option<F>>,
    overruled: impl Fn(&Node) -> Option<Origin>,
) -> bool {
    while let Some(request) = scope.take() {
        scope.inside(|| future.set(None));
        let node = scope.node();
        let is_own = request.origin == node.origin();
        let further_out = if is_own { overruled(node) } else { Some(request.origin) };
        let Some(origin) = further_out else { return true };
        node.raise_to_parent(Request { origin, ..request });
    }
    false
}

/// Outside asyncio's tasks, where nobody can be asked to end: a plain wait.
pub(super) fn poll_outside<F: Future>(
    mut future: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let Some(inside) = future.as_mut().as_pin_mut() else { return Poll::Pending };
    inside.poll(cx).map(|output| {
        future.set(None);
        output
    })
}
