//! A waker in one word.
//!
//! Nearly every task is awaited by another task, alone or with many, so the slot keeps a waker of ours as the bare pointer that it is, and boxes
//! only a foreign one. The lowest bits tell them apart.

use crate::{ready, waker};
use asyncio_base::sync::UnsafeCell;
use std::ptr;
use std::task::Waker;

/// A box with a waker.
const FOREIGN: usize = 1;
/// A waker of `ready.rs`.
const OF_MANY: usize = 2;

/// Room for one waker.
#[derive(Debug)]
pub(crate) struct WakerSlot(UnsafeCell<*mut ()>);

impl WakerSlot {
    pub(crate) fn new() -> Self {
        WakerSlot(UnsafeCell::new(ptr::null_mut()))
    }

    /// Fills the empty slot.
    ///
    /// # Safety
    ///
    /// The slot is the caller's (`state.rs`, "The output and the join waker") and empty.
    #[inline]
    pub(crate) unsafe fn set(&self, waker: Waker) {
        let word = if waker::is_ours(&waker) {
            let task = waker.data().cast_mut();
            std::mem::forget(waker);
            task
        } else {
            match ready::into_pointer(waker) {
                Ok(pointer) => pointer.cast_mut().map_addr(|address| address | OF_MANY),
                Err(waker) => Box::into_raw(Box::new(waker))
                    .cast::<()>()
                    .map_addr(|address| address | FOREIGN),
            }
        };
        // SAFETY: the caller owns the slot.
        self.0.with_mut(|slot| unsafe { *slot = word });
    }

    /// Empties the slot.
    ///
    /// # Safety
    ///
    /// The slot is the caller's (`state.rs`, "The output and the join waker").
    #[inline]
    pub(crate) unsafe fn take(&self) -> Option<Waker> {
        // SAFETY: the caller owns the slot.
        let word = self.0.with_mut(|slot| unsafe { ptr::replace(slot, ptr::null_mut()) });
        if word.is_null() {
            None
        } else if word.addr() & (FOREIGN | OF_MANY) == 0 {
            // SAFETY: data and vtable are those of the waker that `set` took apart and forgot.
            Some(unsafe { Waker::new(word, &waker::VTABLE) })
        } else if word.addr() & OF_MANY != 0 {
            let pointer = word.map_addr(|address| address & !OF_MANY);
            // SAFETY: `set` took the waker apart, tagged; it was taken out of the slot, so it is put together once.
            Some(unsafe { ready::from_pointer(pointer) })
        } else {
            let boxed = word.map_addr(|address| address & !FOREIGN).cast::<Waker>();
            // SAFETY: `set` made the word from a box, tagged; it was taken out of the slot, so it is unboxed once.
            Some(*unsafe { Box::from_raw(boxed) })
        }
    }
}

const _: () = assert!(align_of::<Waker>() > FOREIGN | OF_MANY && ready::ALIGN > FOREIGN | OF_MANY);
