//! `with_finally`: a clean-up however something ends.

use super::node::{current, place_scopes, with_tree};
use super::scopes::{catch_cancelled, uncancellable};
use super::tree::Request;
use crate::error::CancelledError;
use crate::handle::TaskHandle;
use crate::panics;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::pin;

/// Runs `body`, then `cleanup`, however the body ended: with its value, by a cancellation, or by a panic; then goes on as the body did.
///
/// The clean-up may await and is not cancelled half-way; see [`uncancellable`].
///
/// # Cancel safety
///
/// Dropped from outside (a lost branch of `select!`, an abort), the clean-up does not run: only destructors do. Dropped in the clean-up after a cancellation,
/// it hands that on: it strikes at the next await.
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
    let outcome = {
        let mut body = pin!(Some(catch_cancelled(body)));
        poll_fn(|cx| panics::poll_caught(body.as_mut(), cx)).await
    };
    let outcome = outcome.map(|ended| ended.map_err(Postponed::new));
    uncancellable(cleanup()).await;
    match outcome {
        Ok(Ok(output)) => output,
        Ok(Err(postponed)) => postponed.end().propagate().await,
        Err(panic) => resume_unwind(panic),
    }
}

/// What was caught in a task and is to go on; if this is dropped before, it goes back to who has asked.
struct Postponed(Option<(CancelledError, TaskHandle)>);

impl Postponed {
    fn new(cancelled: CancelledError) -> Self {
        let task = current().expect("nothing is caught outside tasks");
        Postponed(Some((cancelled, TaskHandle::new_ref(task))))
    }

    fn end(mut self) -> CancelledError {
        if current().map(|task| task.header().id) == self.0.as_ref().map(|(_, task)| task.id()) {
            return self.0.take().expect("it is emptied last").0;
        }
        // It ends in another task: who was asked is told, and what is here is cancelled too.
        self.0.as_ref().expect("it is emptied last").0.clone()
    }
}

impl Drop for Postponed {
    fn drop(&mut self) {
        let Some((cancelled, task)) = self.0.take() else { return };
        let (message, origin) = cancelled.into_parts(Some(task.id()));
        let request = Request { origin, message };
        with_tree(task.raw(), |tree| {
            let at = place_scopes(task.raw(), tree);
            // What is on its way here anyway takes it along.
            let effects = if current() == Some(task.raw()) && tree.unwinds(at) {
                tree.raise(at, request)
            } else {
                tree.give_back(request, false)
            };
            ((), effects)
        });
    }
}
