//! How soon somebody on this thread looks at the descriptors again, as far as it concerns who reads from one.
//!
//! A descriptor that has just been read empty is worth no further call while a look is near: the look finds the next message, and wakes who waits
//! for it. Beside tasks that compute for long between their awaits a look is far, and one call for nothing costs less than the wait. So the
//! scheduler's workers allow some such calls until their next look, and the reactor's sources use them up; neither knows of the other, and what is
//! said is only advice.

use std::cell::Cell;

thread_local! {
    static ALLOWED: Cell<u32> = const { Cell::new(0) };
}

/// Allows so many calls, on this thread, on descriptors that are empty as far as is known. None are left of those that were allowed before.
#[inline]
pub fn allow(calls: u32) {
    // A thread that is being torn down has no cell left, and nobody who would call.
    let _ = ALLOWED.try_with(|allowed| allowed.set(calls));
}

/// Uses one such call up; false if there is none left, as on threads that look at nothing.
#[inline]
pub fn spend() -> bool {
    let spend = |allowed: &Cell<u32>| {
        let left = allowed.get().checked_sub(1);
        allowed.set(left.unwrap_or(0));
        left.is_some()
    };
    ALLOWED.try_with(spend).unwrap_or(false)
}
