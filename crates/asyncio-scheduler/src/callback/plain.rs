//! A callback for which nobody waits.
//!
//! ```text
//!             run, discard
//!  WAITING ──────────────► TAKEN ──┐ cancel
//!     └──────────────────────────► CANCELLED
//!                  cancel
//! ```
//!
//! One exchange decides who takes the closure out: whoever moved the word on from WAITING. Nobody else touches it; if nobody ever does, it is dropped with
//! the callback. A cancel that comes later is only noted.
//!
//! # Orderings
//!
//! `AcqRel`: who finds the callback cancelled sees what came before the cancel. The closure itself was there before any handle was.

use super::{Callback, Origin};
use asyncio_base::sync::{AtomicU8, Ordering, UnsafeCell};
use std::any::Any;
use std::mem::ManuallyDrop;

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const CANCELLED: u8 = 2;

pub(super) struct Plain<F> {
    word: AtomicU8,
    function: UnsafeCell<ManuallyDrop<F>>,
    origin: Origin,
}

// SAFETY: the closure is moved out by one thread, the one whose exchange left WAITING; nobody else looks at it. So `Send` is all it has to be.
unsafe impl<F: Send> Sync for Plain<F> {}

impl<F> Plain<F> {
    pub(super) fn new(origin: Origin, function: F) -> Self {
        let function = UnsafeCell::new(ManuallyDrop::new(function));
        Plain { word: AtomicU8::new(WAITING), function, origin }
    }

    /// Takes the closure out to run or drop it, if nobody has.
    #[inline]
    fn take(&self) -> Option<F> {
        let (acq_rel, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        self.word.compare_exchange(WAITING, TAKEN, acq_rel, relaxed).ok()?;
        // SAFETY: this exchange left WAITING.
        Some(unsafe { self.moved_out() })
    }

    /// # Safety
    ///
    /// The caller's exchange left WAITING: then it is the only one to call this, once.
    unsafe fn moved_out(&self) -> F {
        // SAFETY: as the caller promises; the value left behind is never dropped.
        self.function.with_mut(|function| unsafe { ManuallyDrop::take(&mut *function) })
    }
}

impl<F: FnOnce() + Send> Callback for Plain<F> {
    fn run(&self) -> Result<(), Box<dyn Any + Send>> {
        self.take().map_or(Ok(()), |function| self.origin.call(function))
    }

    fn cancel(&self) {
        if self.word.swap(CANCELLED, Ordering::AcqRel) == WAITING {
            // SAFETY: this exchange left WAITING.
            drop(unsafe { self.moved_out() });
        }
    }

    fn cancelled(&self) -> bool {
        self.word.load(Ordering::Acquire) == CANCELLED
    }

    fn is_cancelled_by_now(&self) -> bool {
        self.cancelled()
    }

    fn discard(&self) {
        drop(self.take());
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl<F> Drop for Plain<F> {
    fn drop(&mut self) {
        if self.word.load(Ordering::Acquire) == WAITING {
            // SAFETY: nobody has the callback any more, and nobody took the closure.
            drop(unsafe { self.moved_out() });
        }
    }
}
