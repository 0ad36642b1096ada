//! A domain: cancels what is inside it, and tells its own cancellation from others.
//!
//! `timeout` is a domain with a deadline, a task group one with children. A domain that [`cancel`](Domain::cancel)s delivers to the innermost scopes
//! inside; with none there, what is inside is dropped. What unwinds out of it by its own request is [`Inside::Cancelled`]; a request from further
//! out goes on to the enclosing scope.

use super::node::Node;
use super::tree::Kind;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A domain round one future.
#[derive(Debug, Default)]
pub struct Domain {
    node: Option<Node>,
    /// Asked to cancel before it was in a task, or outside all tasks: then dropping is all there is.
    cancelled_unseen: bool,
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
        Domain { node: None, cancelled_unseen: false }
    }

    /// Asks what is inside to end. The future must be polled afterwards.
    pub fn cancel(&mut self, message: Option<Cow<'static, str>>) {
        match &self.node {
            Some(node) => node.cancel_inside(message),
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
    pub fn poll<F: Future>(
        &mut self,
        mut future: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Poll<Inside<F::Output>> {
        let Some(node) = Node::ensure(&mut self.node, Kind::Scope) else {
            return self.poll_outside(future, cx);
        };
        node.set_waker(cx.waker());
        if std::mem::take(&mut self.cancelled_unseen) {
            node.cancel_inside(None);
        }
        let mut polled = false;
        loop {
            if let Some(request) = node.take() {
                node.polling(|| future.set(None));
                if request.origin == node.origin() {
                    self.node = None;
                    return Poll::Ready(Inside::Cancelled);
                }
                node.raise_to_parent(request);
            }
            // Emptied by a request that went on: the enclosing scope will drop this.
            let Some(inside) = future.as_mut().as_pin_mut().filter(|_| !polled) else {
                return Poll::Pending;
            };
            polled = true;
            if let Poll::Ready(output) = node.polling(|| inside.poll(cx)) {
                future.set(None);
                self.node = None;
                return Poll::Ready(Inside::Returned(output));
            }
        }
    }

    /// Outside asyncio's tasks: a plain wait that ends by dropping.
    fn poll_outside<F: Future>(
        &mut self,
        mut future: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Poll<Inside<F::Output>> {
        if self.cancelled_unseen {
            future.set(None);
            return Poll::Ready(Inside::Cancelled);
        }
        let Some(inside) = future.as_mut().as_pin_mut() else { return Poll::Pending };
        inside.poll(cx).map(|output| {
            future.set(None);
            Inside::Returned(output)
        })
    }
}
