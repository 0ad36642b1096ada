//! The scopes: `catch_cancelled`, `uncancellable`, `with_finally`, and raising again.

use super::node::{current_id, raise_here};
use super::scope::{Slot, poll_scope};
use super::tree::{Kind, Request};
use crate::error::CancelledError;
use crate::panics;
use pin_project_lite::pin_project;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
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
    }
}

/// Runs `future` to its end: a cancellation of the task waits for that, and strikes at the next await after it.
///
/// For short clean-ups. Aborting the task, or closing its loop, drops the future all the same.
///
/// # Cancel safety
///
/// Dropped from outside it ends like any future; a request that waited is handed on.
///
/// # Python
///
/// No twin; asyncio's `shield` protects another task from the cancel of its waiter, not the waiter.
pub fn uncancellable<F: Future>(future: F) -> Uncancellable<F> {
    Uncancellable { future: Some(future), slot: Slot::new() }
}

impl<F: Future> Future for Uncancellable<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        poll_scope(this.slot, Kind::Shield, |scope| {
            let inside = this.future.as_mut().as_pin_mut();
            let inside = inside.expect("uncancellable was polled again after it ended");
            let Some(mut scope) = scope else { return inside.poll(cx) };
            let polled = scope.inside(|| inside.poll(cx));
            if polled.is_pending() {
                scope.node().holds_on(cx.waker());
                return Poll::Pending;
            }
            this.future.set(None);
            // What waited is delivered again, to whatever is awaited next.
            scope.leave();
            polled
        })
    }
}

impl CancelledError {
    fn from_request(request: Request) -> Self {
        CancelledError::caught(request.message, request.origin, current_id())
    }

    /// Raises the cancellation again: the enclosing scope gets it, else the task ends cancelled. Never returns.
    ///
    /// Other branches of the scope that gets it are dropped, once clean-ups below it that hold back have ended.
    ///
    /// # Python
    ///
    /// `raise`.
    pub async fn propagate<T>(self) -> T {
        let (message, origin) = self.into_parts(current_id());
        let mut request = Some(Request { origin, message });
        poll_fn(move |_| {
            request.take().into_iter().for_each(raise_here);
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

/// Runs `body`, then `cleanup`, however the body ended: with its value, by a cancellation, or by a panic; then goes on as the body did.
///
/// The clean-up may await and is not cancelled half-way; see [`uncancellable`].
///
/// # Cancel safety
///
/// Dropped from outside (a lost branch of `select!`, an abort), the clean-up does not run: only destructors do.
///
/// # Panics
///
/// Resumes a panic of the body, also of its destructor, after the clean-up.
///
/// # Python
///
/// `try:` … `finally:`.
pub async fn with_finally<F, C>(body: F, cleanup: impl FnOnce() -> C) -> F::Output
where
    F: Future,
    C: Future<Output = ()>,
{
    // Round the scope, as that drops the body, which may panic too.
    let outcome = CatchPanic { future: Some(catch_cancelled(body)) }.await;
    uncancellable(cleanup()).await;
    match outcome {
        Ok(Ok(output)) => output,
        Ok(Err(cancelled)) => cancelled.propagate().await,
        Err(panic) => resume_unwind(panic),
    }
}

pin_project! {
    /// Turns a panic of the future, also of its destructor, into a value.
    struct CatchPanic<F> {
        #[pin]
        future: Option<F>,
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = std::thread::Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        panics::poll_caught(self.project().future, cx)
    }
}
