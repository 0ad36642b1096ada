//! The task's waker: a counted thin pointer and one static vtable, so `will_wake` compares pointers.

use crate::header::{Header, RawTask};
use crate::state::{REF, Woken};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::task::{RawWaker, RawWakerVTable, Waker};

/// The vtable of every waker of ours.
pub(crate) static VTABLE: RawWakerVTable =
    RawWakerVTable::new(clone, wake, wake_by_ref_of, drop_waker);

/// Whether it is a waker of ours.
#[inline]
pub(crate) fn is_ours(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &VTABLE)
}

/// Whether it is the waker of this task.
#[inline]
pub(crate) fn is_of(waker: &Waker, task: RawTask) -> bool {
    waker.data() == task.as_ptr().as_ptr().cast_const().cast() && is_ours(waker)
}

/// A waker that borrows the claim of whoever polls: handing it out costs no RMW.
///
/// # Safety
///
/// The caller has a claim on the task for as long as the waker is used.
#[inline]
pub(crate) unsafe fn borrowed(task: RawTask) -> ManuallyDrop<Waker> {
    // SAFETY: the vtable's functions take the pointer for what it is, a `Header`; the count is not touched because the waker is
    // never dropped.
    ManuallyDrop::new(unsafe { Waker::new(task.as_ptr().as_ptr().cast(), &VTABLE) })
}

/// # Safety
///
/// `data` is the data pointer of a waker made with [`VTABLE`].
#[inline]
unsafe fn task(data: *const ()) -> RawTask {
    // SAFETY: such a pointer is a `Header`'s and not null.
    RawTask::new(unsafe { NonNull::new_unchecked(data.cast_mut().cast::<Header>()) })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: called through the vtable, on a waker that holds or borrows a claim.
    unsafe { task(data) }.header().state.add_ref();
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: called through the vtable, on a waker whose reference it consumes.
    let task = unsafe { task(data) };
    match task.header().state.wake_by_value() {
        // SAFETY: the word said that the token is ours to make.
        Woken::Schedule => unsafe { task.schedule() },
        Woken::Nothing => {}
        // SAFETY: the word said that no claim is left.
        Woken::Free => unsafe { task.free() },
    }
}

unsafe fn wake_by_ref_of(data: *const ()) {
    // SAFETY: called through the vtable, on a waker that keeps its claim during the call.
    wake_by_ref(unsafe { task(data) });
}

/// For whoever keeps a claim during the call.
pub(crate) fn wake_by_ref(task: RawTask) {
    if task.header().state.wake_by_ref() == Woken::Schedule {
        // SAFETY: the word said that the token is ours to make.
        unsafe { task.schedule() };
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: called through the vtable, on a waker whose reference it consumes.
    let task = unsafe { task(data) };
    if task.header().state.release(REF) {
        // SAFETY: the word said that no claim is left.
        unsafe { task.free() };
    }
}
