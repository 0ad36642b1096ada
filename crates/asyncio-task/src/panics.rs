//! Panics of user code that nobody waits for: those of destructors, joiners' wakers and exception handlers.

use crate::error::JoinError;
use crate::schedule::Host;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Tells the host of a panic that is no task's outcome.
pub(crate) fn report(host: &'static dyn Host, panic: Box<dyn Any + Send>) {
    contain(|| host.destructor_panicked(JoinError::panicked(panic)));
}

/// Runs user code, reporting its panic.
pub(crate) fn reporting(host: &'static dyn Host, code: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(code)) {
        report(host, panic);
    }
}

/// Runs user code whose panic has no one left to hear it.
pub(crate) fn contain(code: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(code)) else { return };
    // A payload is a user's value and may panic when dropped; what that throws is leaked, so that this ends.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(panic);
    }
}
