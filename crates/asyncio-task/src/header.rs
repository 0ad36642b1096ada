//! What every task has, whatever its future: the erased face of the cell.

use crate::cold::Cold;
use crate::error::JoinError;
use crate::id::TaskId;
use crate::list::Links;
use crate::schedule::Host;
use crate::state::State;
use crate::waker_slot::WakerSlot;
use asyncio_base::context::ContextSlot;
use asyncio_base::sync::{AtomicPtr, Ordering};
use asyncio_base::wait::WaitSlot;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::task::Context;

/// The first part of the cell; the hot word comes first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Header {
    /// Decides everything; see `state.rs`.
    pub(crate) state: State,
    vtable: &'static Vtable,
    /// Who is woken when the task is finished; owned as `state.rs` says.
    pub(crate) join: WakerSlot,
    /// Neighbours in the list of tasks; guarded by the list's lock.
    pub(crate) links: Links,
    pub(crate) id: TaskId,
    /// Names, callbacks, waiters: made when first needed, freed with the cell.
    cold: AtomicPtr<Cold>,
    /// The context the task runs in.
    pub(crate) context: ContextSlot,
    /// What the task waits for; written by leaves while it is polled.
    pub(crate) wait: WaitSlot,
    /// Where the task was made.
    pub(crate) location: &'static Location<'static>,
}

/// The parts of a cell that depend on its future's type. Each function takes a pointer to a cell of that type.
#[derive(Debug)]
pub(crate) struct Vtable {
    /// Polls the future; true once the output is stored. For the token's holder.
    pub(crate) poll: unsafe fn(RawTask, &mut Context<'_>) -> bool,
    /// Drops the future or the output and stores this outcome. For the token's holder.
    pub(crate) fail: unsafe fn(RawTask, JoinError),
    /// Where the output is, as a `Result<T, JoinError>`; `None` if it was taken. For the output's owner or readers.
    pub(crate) output: unsafe fn(RawTask) -> Option<NonNull<()>>,
    /// Drops the output; a panic in it is reported. For the output's owner.
    pub(crate) drop_output: unsafe fn(RawTask),
    /// The output has been moved out. For the output's owner.
    pub(crate) forget_output: unsafe fn(RawTask),
    /// The error of an output that is one. For the output's owner or readers.
    pub(crate) error: unsafe fn(RawTask) -> Option<*const JoinError>,
    /// Queues the token.
    pub(crate) schedule: unsafe fn(RawTask),
    /// The scheduler's side.
    pub(crate) host: unsafe fn(RawTask) -> &'static dyn Host,
    /// Frees the cell with what is left in it.
    pub(crate) free: unsafe fn(RawTask),
    /// The future's type.
    pub(crate) describe: fn() -> &'static str,
    /// Whether a value that nobody reads has to be dropped before the task is complete; one without a destructor goes with the cell.
    pub(crate) drops_values: bool,
}

impl Header {
    #[inline]
    pub(crate) fn new(
        vtable: &'static Vtable,
        context: ContextSlot,
        location: &'static Location<'static>,
    ) -> Self {
        Header {
            state: State::new(),
            vtable,
            join: WakerSlot::new(),
            links: Links::new(),
            id: TaskId::next(),
            cold: AtomicPtr::new(ptr::null_mut()),
            context,
            wait: WaitSlot::new(),
            location,
        }
    }

    /// Whether it has neither a cold block nor a context; for the one who frees the cell.
    #[inline]
    pub(crate) fn is_bare(&self) -> bool {
        self.cold.load(Ordering::Relaxed).is_null() && self.context.is_empty()
    }

    /// The cold block, made now if there is none.
    #[inline]
    pub(crate) fn cold(&self) -> &Cold {
        self.cold_if_any().unwrap_or_else(|| self.make_cold())
    }

    #[cold]
    fn make_cold(&self) -> &Cold {
        let fresh = Box::into_raw(Box::<Cold>::default());
        // Release publishes the block to the Acquire of `cold_if_any`.
        let empty = ptr::null_mut();
        match self.cold.compare_exchange(empty, fresh, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: the block in the header lives until the cell is freed.
            Ok(_) => unsafe { &*fresh },
            Err(other) => {
                // SAFETY: `fresh` was not published; `other` is the block in the header.
                unsafe {
                    drop(Box::from_raw(fresh));
                    &*other
                }
            }
        }
    }

    /// The cold block, if there is one.
    #[inline]
    pub(crate) fn cold_if_any(&self) -> Option<&Cold> {
        // SAFETY: a block in the header lives until the cell is freed, and a borrow of the header outlives neither.
        unsafe { self.cold.load(Ordering::Acquire).as_ref() }
    }
}

impl Drop for Header {
    fn drop(&mut self) {
        let cold = self.cold.load(Ordering::Acquire);
        if !cold.is_null() {
            // SAFETY: nobody else has the cell any more, and the block was boxed by `cold`.
            drop(unsafe { Box::from_raw(cold) });
        }
    }
}

/// An uncounted pointer to a cell: what the counted kinds are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawTask(NonNull<Header>);

impl RawTask {
    #[inline]
    pub(crate) fn new(header: NonNull<Header>) -> Self {
        RawTask(header)
    }

    #[inline]
    pub(crate) fn as_ptr(self) -> NonNull<Header> {
        self.0
    }

    /// The header; only to be used while the holder's claim lasts.
    #[inline]
    pub(crate) fn header<'a>(self) -> &'a Header {
        // SAFETY: whoever holds a `RawTask` holds it beside a claim (`state.rs`, "Who frees the cell"); the pointer kinds of this
        // crate, which are the only ones to call this, keep the borrow within the life of that claim.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn vtable(self) -> &'static Vtable {
        self.header().vtable
    }

    pub(crate) fn host(self) -> &'static dyn Host {
        // SAFETY: the vtable belongs to this cell.
        unsafe { (self.vtable().host)(self) }
    }

    /// Hands the token to the scheduler.
    ///
    /// # Safety
    ///
    /// The state word has given the caller the token.
    pub(crate) unsafe fn schedule(self) {
        // SAFETY: the vtable belongs to this cell; the token is the caller's.
        unsafe { (self.vtable().schedule)(self) }
    }

    /// Frees the cell.
    ///
    /// # Safety
    ///
    /// The state word has told the caller that no claim is left.
    pub(crate) unsafe fn free(self) {
        // SAFETY: the vtable belongs to this cell; nobody else has it.
        unsafe { (self.vtable().free)(self) }
    }
}

#[cfg(not(asyncio_loom))]
const _: () = assert!(size_of::<Header>() <= 80);
