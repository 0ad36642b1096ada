//! The wait slot: where a leaf future says what it waits for, for reports of who waits for what.

use std::panic::Location;
use std::ptr;
// Diagnostics, not a protocol: nothing is decided by this word, so loom need not see it.
use std::sync::atomic::{AtomicU64, Ordering};

/// What kind of thing a leaf waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum WaitKind {
    /// A deadline.
    Sleep = 1,
    /// A lock held by another.
    Lock,
    /// An event that is not set.
    Event,
    /// A notification of a condition.
    Condition,
    /// A permit.
    Semaphore,
    /// The rest of a barrier's party.
    Barrier,
    /// An item of, or room in, a queue or channel.
    Queue,
    /// Readability of a file descriptor.
    Readable,
    /// Writability of a file descriptor.
    Writable,
    /// The end of a task.
    Task,
    /// A settable future.
    Future,
    /// A job that another thread runs.
    Thread,
}

const KINDS: [WaitKind; 12] = {
    use WaitKind::*;
    [
        Sleep, Lock, Event, Condition, Semaphore, Barrier, Queue, Readable, Writable, Task, Future,
        Thread,
    ]
};

/// Bits of an address; the kind stands above. User-space addresses are shorter on every supported platform.
const ADDRESS_BITS: u32 = 56;

/// One word of a task that names what the task waits for: a kind and the place in the source.
///
/// Written by leaves, only when they return `Pending`; read by reports from any thread.
#[derive(Debug, Default)]
pub struct WaitSlot(AtomicU64);

impl WaitSlot {
    /// A slot that names nothing.
    pub const fn new() -> Self {
        WaitSlot(AtomicU64::new(0))
    }

    /// Says what the task waits for.
    #[inline]
    pub fn set(&self, kind: WaitKind, place: &'static Location<'static>) {
        let address = ptr::from_ref(place).expose_provenance() as u64;
        self.0.store(address | (kind as u64) << ADDRESS_BITS, Ordering::Relaxed);
    }

    /// The task waits for nothing now.
    #[inline]
    pub fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// What the task waited for when it last returned `Pending`.
    pub fn get(&self) -> Option<(WaitKind, &'static Location<'static>)> {
        let word = self.0.load(Ordering::Relaxed);
        let kind = *KINDS.get(((word >> ADDRESS_BITS) as usize).checked_sub(1)?)?;
        let address = (word & ((1 << ADDRESS_BITS) - 1)) as usize;
        let place: *const Location<'static> = ptr::with_exposed_provenance(address);
        // SAFETY: a word with a kind was written by `set`, whose address is that of a `&'static Location`, and kind and
        // address are one word, so they belong together.
        Some((kind, unsafe { &*place }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_read_back() {
        let slot = WaitSlot::new();
        assert!(slot.get().is_none());
        for kind in KINDS {
            let here = Location::caller();
            slot.set(kind, here);
            assert_eq!(slot.get(), Some((kind, here)));
        }
        slot.clear();
        assert!(slot.get().is_none());
    }
}
