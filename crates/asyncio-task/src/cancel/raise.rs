//! A cancellation that was caught, and goes on or ends.

use super::node::{current, current_id, place_scopes, unwinds, with_tree};
use super::tree::Request;
use crate::error::CancelledError;
use crate::handle::TaskHandle;
use asyncio_base::slab::Key;
use std::future::poll_fn;
use std::task::Poll;

/// A request that was raised in a scope, or in the task.
struct Raised {
    task: TaskHandle,
    at: Option<Key>,
}

impl Raised {
    /// Raises a request where this code runs: in the scope being polled, else in the task; `None` outside tasks.
    fn here(request: Request) -> Option<Raised> {
        let task = current()?;
        let at = with_tree(task, |tree| {
            let at = place_scopes(task, tree);
            (at, tree.raise(at, request))
        });
        Some(Raised { task: TaskHandle::new_ref(task), at })
    }

    /// Whether it has not got where it goes.
    fn unwinds(&self) -> bool {
        unwinds(self.task.raw(), self.at)
    }
}

impl CancelledError {
    pub(super) fn from_request(request: Request) -> Self {
        CancelledError::caught(request.message, request.origin, current_id())
    }

    /// Raises the cancellation again: the enclosing scope gets it, else the task ends cancelled. Never returns.
    ///
    /// Other branches of the scope that gets it are dropped, once clean-ups below it that hold back have ended. Polled again after that, it raises it once
    /// more.
    ///
    /// # Panics
    ///
    /// Outside tasks: "a cancellation can be propagated only in a task".
    ///
    /// # Python
    ///
    /// `raise`.
    pub async fn propagate<T>(self) -> T {
        let mut raised: Option<Raised> = None;
        poll_fn(move |_| {
            if !raised.as_ref().is_some_and(Raised::unwinds) {
                // Who is meant depends on the task that it is raised in.
                let (message, origin) = self.clone().into_parts(current_id());
                raised = Raised::here(Request { origin, message });
                assert!(raised.is_some(), "a cancellation can be propagated only in a task");
            }
            Poll::Pending
        })
        .await
    }

    /// Ends the cancellation here, on purpose; the task goes on.
    ///
    /// # Python
    ///
    /// `except CancelledError: pass`.
    pub fn swallow(self) {}
}
