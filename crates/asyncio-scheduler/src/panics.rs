//! Panics of user code that nobody waits for.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs code whose panic has no one left to hear it beyond the panic hook, which has told of it.
pub(crate) fn contain(code: impl FnOnce()) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(code)) else { return };
    // A payload is a user's value and may panic when dropped; what that throws is leaked, so that this ends.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
}
