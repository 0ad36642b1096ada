//! Panics of user code: those that nobody waits for, of destructors, joiners' wakers and exception handlers; and those that are how a future ended.

use crate::error::JoinError;
use crate::schedule::Host;
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Tells the host of a panic that is no task's outcome.
#[cold]
pub(crate) fn report(host: &'static dyn Host, panic: Box<dyn Any + Send>) {
    contain(|| host.destructor_panicked(JoinError::panicked(panic)));
}

/// Runs user code, reporting its panic to the host, which is asked for only then.
#[inline]
pub(crate) fn reporting(host: impl FnOnce() -> &'static dyn Host, code: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(code)) {
        report(host(), panic);
    }
}

/// Runs user code whose panic has no one left to hear it, beyond the panic hook, which has told of it.
pub fn contain(code: impl FnOnce()) {
    let mut panicked = catch_unwind(AssertUnwindSafe(code)).err();
    // A payload is a user's value and may panic when dropped, and so may what that throws: but not for ever.
    for _ in 0..PAYLOADS {
        let Some(payload) = panicked else { return };
        panicked = catch_unwind(AssertUnwindSafe(|| drop(payload))).err();
    }
    std::mem::forget(panicked);
}

/// Polls a future, and drops it where it is when it has ended. A panic of it, also of its destructor, is how it ended.
///
/// # Panics
///
/// If it has ended before.
pub(crate) fn poll_caught<F: Future>(
    mut future: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<std::thread::Result<F::Output>> {
    let inside = future.as_mut().as_pin_mut().expect("a future was polled again after it ended");
    let ended = match catch_unwind(AssertUnwindSafe(|| inside.poll(cx))) {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(output)) => Ok(output),
        Err(panic) => Err(panic),
    };
    Poll::Ready(match (ended, drop_caught(future)) {
        (ended, Ok(())) => ended,
        (Ok(output), Err(panic)) => {
            contain(|| drop(output));
            Err(panic)
        }
        (Err(first), Err(second)) => {
            contain(|| drop(second));
            Err(first)
        }
    })
}

/// Drops a future where it is; gives the panic of its destructor.
pub(crate) fn drop_caught<F>(mut future: Pin<&mut Option<F>>) -> std::thread::Result<()> {
    catch_unwind(AssertUnwindSafe(|| future.set(None)))
}

/// Thrown by the destructor of a task's future, for the task to end with this.
struct Failed(JoinError);

/// The task whose future is being dropped ends with `error`. For the destructor of that very future, when it is not dropped in a panic.
pub fn fail_in_drop(error: JoinError) -> ! {
    resume_unwind(Box::new(Failed(error)))
}

/// What a task ends with whose future's destructor has thrown this.
pub(crate) fn ended_in_drop(thrown: Box<dyn Any + Send>) -> JoinError {
    match thrown.downcast::<Failed>() {
        Ok(failed) => failed.0,
        Err(panic) => JoinError::panicked(panic),
    }
}

/// Payloads that panic one out of the other before the rest is leaked.
const PAYLOADS: usize = 8;

/// What a panic says, if its payload is a text.
pub fn panic_text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}
