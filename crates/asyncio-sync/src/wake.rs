//! Calling wakers, always outside every lock of this crate.
//!
//! A waker is user code and may panic. A panic reaches whoever caused the wake, but only after everybody else who is to be
//! woken has been, and never while another panic is unwinding already: guards wake from their destructors.

use asyncio_base::record;
use asyncio_base::wake_list::WakeList;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Context, Poll, Waker};

/// Calls one waker.
#[inline]
pub(crate) fn wake(waker: Waker) {
    if std::thread::panicking() {
        // A second panic would abort the process; the first is the one worth telling.
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    } else {
        waker.wake();
    }
}

/// Calls a waker if there is one.
#[inline]
pub(crate) fn wake_if(waker: Option<Waker>) {
    if let Some(waker) = waker {
        wake(waker);
    }
}

/// Calls `first`, then whatever `collect` puts in the list, list by list, until `collect` says that there is no more.
///
/// `collect` takes the primitive's lock anew each time, so no lock is held while wakers run, and the list is short.
#[cold]
pub(crate) fn wake_in_batches(
    first: Option<Waker>,
    mut collect: impl FnMut(&mut WakeList) -> bool,
) {
    let mut panicked = catch_unwind(AssertUnwindSafe(|| wake_if(first))).err();
    loop {
        let mut batch = WakeList::new();
        let more = collect(&mut batch);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| batch.wake_all())) {
            panicked.get_or_insert(panic);
        }
        if !more {
            break;
        }
    }
    if let Some(panic) = panicked.filter(|_| !std::thread::panicking()) {
        resume_unwind(panic);
    }
}

/// A clone of the waker that may be made under a lock: of the task's own one, whose clone is a count. Others are code of users.
#[inline]
pub(crate) fn own_waker(cx: &Context<'_>) -> Option<Waker> {
    record::is_own_waker(cx.waker()).then(|| cx.waker().clone())
}

/// Has a leaf look whether it is ready, which it pays for beforehand from its task's budget. If it goes on waiting it has that back: otherwise a task that
/// polls more waiting leaves than it has budget would spend it on the first ones in every turn, and never come to the last.
#[inline(always)]
pub(crate) fn paying<R>(
    cx: &mut Context<'_>,
    look: impl FnOnce(&mut Context<'_>) -> Poll<R>,
) -> Poll<R> {
    if !record::spend() {
        let_others_run(cx);
        return Poll::Pending;
    }
    let polled = look(cx);
    if polled.is_pending() {
        record::refund();
    }
    polled
}

/// What a leaf does whose task has used up its budget: it lets others run and is polled again.
#[cold]
pub(crate) fn let_others_run(cx: &mut Context<'_>) {
    cx.waker().wake_by_ref();
}
