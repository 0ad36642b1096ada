//! What a task group is made of: a domain whose body may end before the group does.
//!
//! A request from outside ends the body, and is kept while the group's tasks clean up: raised when they have ended, or given back to where it came
//! from if the group ends with an error, or is dropped. The group's own request only ends the body. A group that ends with an error asks again also for
//! what was answered inside it or before, unless it was taken back (`tree.rs`, rule 8).

use super::node::Node;
use super::scope::{Slot, poll_scope, unwind};
use super::tree::{Kind, Request};
use crate::panics;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The domain of a task group.
#[derive(Debug, Default)]
pub struct GroupDomain {
    slot: Slot,
    /// Requests from outside that have ended the body, or came later.
    kept: Vec<Request>,
}

impl GroupDomain {
    /// A domain with nothing inside yet.
    pub const fn new() -> Self {
        GroupDomain { slot: Slot::new(), kept: Vec::new() }
    }

    /// Asks the body to end; it must be polled afterwards. False if it has not waited in this place yet, so that nothing inside it could have a say: ask
    /// again when it has.
    #[must_use]
    pub fn cancel(&mut self) -> bool {
        let node = self.slot.get().filter(|node| node.is_here());
        node.map(|node| node.cancel_inside(None)).is_some()
    }

    /// Polls the body, which is emptied when it ends; `None` if a request has ended it. A panic of it, also of its destructor, is how it ended.
    ///
    /// # Panics
    ///
    /// Outside asyncio's tasks.
    pub fn poll_body<F: Future>(
        &mut self,
        mut body: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::thread::Result<F::Output>>> {
        let GroupDomain { slot, kept } = self;
        poll_scope(slot, Kind::Scope, |scope| {
            let mut scope = scope.expect("a TaskGroup cannot determine the parent task");
            let mut request = scope.take();
            if request.is_none() {
                if let Poll::Ready(ended) = scope.inside(|| panics::poll_caught(body.as_mut(), cx))
                {
                    return Poll::Ready(Some(ended));
                }
                request = scope.waits(cx.waker());
            }
            let Some(request) = request else { return Poll::Pending };
            keep(scope.node(), request, kept);
            let dropped = scope.inside(|| panics::drop_caught(body));
            Poll::Ready(dropped.err().map(Err))
        })
    }

    /// To be called while the group waits for its tasks: whether a request from outside is kept. Requests raised past the group wait for it.
    pub fn poll_ending(&mut self, cx: &mut Context<'_>) -> bool {
        let GroupDomain { slot, kept } = self;
        poll_scope(slot, Kind::Scope, |scope| {
            let Some(mut scope) = scope else { return };
            scope.node().set_busy(true);
            while let Some(request) = scope.waits(cx.waker()) {
                keep(scope.node(), request, kept);
            }
        });
        !self.kept.is_empty()
    }

    /// To be called when the group is polled after it has raised something: if that has got where it goes, a cancellation is raised again.
    pub fn unwind<T>(&mut self) -> Poll<T> {
        unwind(&mut self.slot)
    }

    /// The group's tasks have ended and nothing failed: raises what was kept. If this is true the group [unwinds](Self::unwind), and stays pending.
    #[must_use]
    pub fn raise(&mut self) -> bool {
        let Some(node) = self.slot.get() else { return false };
        node.set_busy(false);
        let raises = !self.kept.is_empty();
        self.kept.drain(..).for_each(|request| node.raise_to_parent(request));
        raises
    }

    /// The group's tasks have ended, and something `failed` or the group was cancelled: what was kept strikes when the task waits next. If it ends
    /// before, its outcome stands. If something failed, so does what was asked for before and not taken back.
    pub fn give_back(&mut self, failed: bool) {
        if let Some(node) = self.slot.get() {
            node.set_busy(false);
            if failed && self.kept.is_empty() {
                node.ask_again();
            }
            self.kept.drain(..).for_each(|request| node.give_back(request, true));
        }
    }
}

/// Keeps a request that has taken hold of a group; the group's own is answered by that.
fn keep(node: &Node, request: Request, kept: &mut Vec<Request>) {
    if request.origin != node.origin() {
        kept.push(request);
    }
}

impl Drop for GroupDomain {
    fn drop(&mut self) {
        if let Some(node) = self.slot.get() {
            self.kept.drain(..).for_each(|request| node.give_back(request, false));
        }
    }
}
