//! The scopes: `catch_cancelled` and `uncancellable`.

use super::scope::{Slot, poll_scope, unwind};
use super::tree::Kind;
use crate::error::CancelledError;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// Made by [`catch_cancelled`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct CatchCancelled<F> {
        #[pin]
        future: Option<F>,
        slot: Slot,
    }
}

/// Runs `future`; a cancellation that reaches it drops it and comes back as an error.
///
/// The error says who asked. Code after the scope may clean up, with awaits, and then return something else, which swallows the cancellation, or
/// pass it on with [`CancelledError::propagate`]. Each request is delivered once: later awaits work until there is another.
///
/// The request goes to the innermost scope of the task; where the task does several things at once, to the innermost of each. Outside
/// asyncio's tasks nothing is ever caught.
///
/// # Cancel safety
///
/// A scope that is dropped with a request undelivered hands it on: it is never lost.
///
/// # Errors
///
/// That the future was cancelled.
///
/// # Panics
///
/// Polled again after it was ready: "a scope was polled again after it ended".
///
/// # Python
///
/// `try:` … `except CancelledError:`.
pub fn catch_cancelled<F: Future>(future: F) -> CatchCancelled<F> {
    CatchCancelled { future: Some(future), slot: Slot::new() }
}

impl<F: Future> Future for CatchCancelled<F> {
    type Output = Result<F::Output, CancelledError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        poll_scope(this.slot, Kind::Scope, |scope| {
            let inside = this.future.as_mut().as_pin_mut();
            let inside = inside.expect("a scope was polled again after it ended");
            let Some(mut scope) = scope else { return inside.poll(cx).map(Ok) };
            let mut request = scope.take();
            if request.is_none() {
                if let Poll::Ready(output) = scope.inside(|| inside.poll(cx)) {
                    this.future.set(None);
                    scope.leave();
                    return Poll::Ready(Ok(output));
                }
                request = scope.waits(cx.waker());
            }
            let Some(request) = request else { return Poll::Pending };
            scope.inside(|| this.future.set(None));
            scope.leave();
            Poll::Ready(Err(CancelledError::from_request(request)))
        })
    }
}

pin_project! {
    /// Made by [`uncancellable`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Uncancellable<F> {
        #[pin]
        future: Option<F>,
        slot: Slot,
        // A request that was raised inside has ended it, and goes on.
        raised: bool,
    }
}

/// Runs `future` to its end: a cancellation of the task waits for that, and strikes at the next await after it.
///
/// For short clean-ups. Aborting the task, or closing its loop, drops the future all the same. A cancellation that is [propagated](CancelledError::propagate)
/// inside ends it, and goes on.
///
/// # Cancel safety
///
/// Dropped from outside it ends like any future; a request that waited is handed on. So it is, or what it waits for goes on, if this is kept and awaited no
/// more.
///
/// # Panics
///
/// Polled again after it was ready: "uncancellable was polled again after it ended".
///
/// # Python
///
/// No twin; asyncio's `shield` protects another task from the cancel of its waiter, not the waiter.
pub fn uncancellable<F: Future>(future: F) -> Uncancellable<F> {
    Uncancellable { future: Some(future), slot: Slot::new(), raised: false }
}

impl<F: Future> Future for Uncancellable<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if *this.raised {
            return unwind(this.slot);
        }
        poll_scope(this.slot, Kind::Shield, |scope| {
            let inside = this.future.as_mut().as_pin_mut();
            let inside = inside.expect("uncancellable was polled again after it ended");
            let Some(mut scope) = scope else { return inside.poll(cx) };
            let polled = scope.inside(|| inside.poll(cx));
            if polled.is_pending() {
                let node = scope.node();
                node.holds_on(cx.waker());
                if let Some(request) = node.take_raised() {
                    *this.raised = true;
                    scope.inside(|| this.future.set(None));
                    scope.node().raise_to_parent(request);
                }
                return Poll::Pending;
            }
            this.future.set(None);
            // What waited is delivered again, to whatever is awaited next.
            scope.leave();
            polled
        })
    }
}
