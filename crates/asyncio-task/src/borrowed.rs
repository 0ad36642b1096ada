//! A future that stays in its caller's frame while a task polls it: main.
//!
//! The future given to `run` needs neither `Send` nor `'static`, yet main is a task like any other. So the task's future is a
//! [`Borrowed`], a pointer to the one in the frame of [`with_borrowed`]. The pointer is taken away before the frame ends, also when it
//! ends by a panic; a `Borrowed` without its pointer is inert.
//!
//! # Why the pointer is good
//!
//! 1. It lies in an `Rc` and both holders are `!Send`, so everything here happens on one thread.
//! 2. It is set only while the frame of `with_borrowed` is alive: `Revoke` clears it when that frame ends.
//! 3. The frame cannot end during a poll or a drop made through the pointer: those calls come from code that the frame's body has
//!    called and that has to return first.

use crate::panics;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What the frame holds: the future until it is done, then its output.
enum Frame<F: Future> {
    Future(F),
    Output(F::Output),
    Empty,
}

trait Erased {
    /// Polls the future; ready once the output lies in the frame.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// Drops the future unless it is done.
    fn drop_future(self: Pin<&mut Self>);
}

impl<F: Future> Frame<F> {
    /// Replaces what is in the frame, dropping a future in place; also if its destructor panics.
    fn replace(mut self: Pin<&mut Self>, next: Frame<F>) {
        self.set(next);
    }
}

impl<F: Future> Erased for Frame<F> {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: a projection to the pinned field; nothing is moved.
        let future = match unsafe { self.as_mut().get_unchecked_mut() } {
            // SAFETY: as above.
            Frame::Future(future) => unsafe { Pin::new_unchecked(future) },
            Frame::Output(_) | Frame::Empty => return Poll::Ready(()),
        };
        match future.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(output) => {
                let dropped =
                    catch_unwind(AssertUnwindSafe(|| self.as_mut().replace(Frame::Empty)));
                if let Err(panic) = dropped {
                    // As in a task's cell: a destructor's panic is the outcome, and the output gives way.
                    panics::contain(|| drop(output));
                    resume_unwind(panic);
                }
                self.replace(Frame::Output(output));
                Poll::Ready(())
            }
        }
    }

    fn drop_future(self: Pin<&mut Self>) {
        if matches!(*self, Frame::Future(_)) {
            self.replace(Frame::Empty);
        }
    }
}

type Link = Rc<Cell<Option<NonNull<dyn Erased>>>>;

/// The task's side: polls the future in the frame, and drops it there when it is dropped itself.
///
/// It stays on its thread:
///
/// ```compile_fail,E0277
/// # fn send<T: Send>() {}
/// send::<asyncio_task::Borrowed>();
/// ```
pub struct Borrowed(Link);

impl std::fmt::Debug for Borrowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Borrowed").field("revoked", &self.0.get().is_none()).finish()
    }
}

/// Takes the pointer away when the frame ends.
struct Revoke(Link);

impl Drop for Revoke {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

/// Calls `body` with a future that stands for `future`; returns what `body` returned, and the output if there was one.
///
/// The future is dropped when the `Borrowed` is, or when `body` has returned, whichever comes first.
pub fn with_borrowed<F: Future, R>(
    future: F,
    body: impl FnOnce(Borrowed) -> R,
) -> (R, Option<F::Output>) {
    let mut frame = pin!(Frame::Future(future));
    let erased: &mut (dyn Erased + '_) = {
        // SAFETY: only turned into a pointer, through which the frame is never moved.
        unsafe { frame.as_mut().get_unchecked_mut() }
    };
    let erased: NonNull<dyn Erased + '_> = NonNull::from(erased);
    // SAFETY: only the lifetime is dropped from the type; rule 2 keeps uses of the pointer within it.
    let erased: NonNull<dyn Erased> = unsafe { std::mem::transmute(erased) };
    let link: Link = Rc::new(Cell::new(Some(erased)));
    let result = {
        let _revoke = Revoke(link.clone());
        body(Borrowed(link))
    };
    // SAFETY: the pointer is gone; the frame is ours again, and an output is not pinned.
    let frame = unsafe { frame.get_unchecked_mut() };
    let output = match frame {
        Frame::Output(_) => match std::mem::replace(frame, Frame::Empty) {
            Frame::Output(output) => Some(output),
            Frame::Future(_) | Frame::Empty => unreachable!("matched above"),
        },
        Frame::Future(_) | Frame::Empty => None,
    };
    (result, output)
}

impl Future for Borrowed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.0.get() {
            // SAFETY: rules 1 to 3; the frame pins the future.
            Some(frame) => unsafe { Pin::new_unchecked(&mut *frame.as_ptr()) }.poll(cx),
            // The frame is gone; whoever ended it aborts this task.
            None => Poll::Pending,
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(frame) = self.0.take() {
            // SAFETY: rules 1 to 3; the frame pins the future.
            unsafe { Pin::new_unchecked(&mut *frame.as_ptr()) }.drop_future();
        }
    }
}
