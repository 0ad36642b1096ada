//! How soon somebody on this thread looks at the descriptors again.
//!
//! A descriptor that has just been read empty is worth no further call while a look is near: the look finds the next message, and wakes who waits
//! for it. Beside tasks that compute for long between their awaits a look is far, and one call for nothing costs less than the wait. The
//! scheduler's workers say which it is, the reactor's sources ask; neither knows of the other, and what is said is only advice.

use std::cell::Cell;

thread_local! {
    static FAR: Cell<bool> = const { Cell::new(false) };
}

/// Whether the next look is a long turn of some task away. Not so on threads that look at nothing.
#[inline]
pub fn is_far() -> bool {
    // A thread that is being torn down has no cell left.
    FAR.try_with(Cell::get).unwrap_or(false)
}

/// Says it for this thread, until it is said again.
#[inline]
pub fn set_far(far: bool) {
    let _ = FAR.try_with(|cell| cell.set(far));
}
