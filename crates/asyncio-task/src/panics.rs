//! Panics of user code that nobody waits for: those of destructors, joiners' wakers and exception handlers.

use crate::error::JoinError;
use crate::schedule::Host;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// Payloads that panic one out of the other before the rest is leaked.
const PAYLOADS: usize = 8;

/// What a panic says, if its payload is a text.
pub fn panic_text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}
