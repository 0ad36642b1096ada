//! Between the shelves: blocks that one thread has too many of, for a thread that has none.
//!
//! Tasks that are made on one thread and end on another carry their memory along. What the allocator does about that takes longer than all the rest of
//! a spawn, so it goes back in batches: one lock for so many blocks.

use super::{Block, CLASSES};
// Memory is no part of a model: under loom nothing is kept.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The blocks of a batch.
pub(super) const BATCH: usize = 32;

/// What lies here at most.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// [`BATCH`] blocks of one class, each leading to the next, that nobody else has.
pub(super) struct Batch(pub(super) *mut Block);

// SAFETY: whoever has the batch has its blocks, which are plain memory.
unsafe impl Send for Batch {}

struct Depot {
    batches: [Vec<Batch>; CLASSES],
    bytes: usize,
}

static DEPOT: Mutex<Depot> =
    Mutex::new(Depot { batches: [const { Vec::new() }; CLASSES], bytes: 0 });

/// How many batches there are of each class, changed under the lock; a look at this spares a lock for nothing.
static COUNTS: [AtomicUsize; CLASSES] = [const { AtomicUsize::new(0) }; CLASSES];

/// Takes a batch of blocks of so many bytes in; false if there is no room, and the blocks are the giver's still.
#[cold]
pub(super) fn give(class: usize, size: usize, batch: Batch) -> bool {
    let mut depot = DEPOT.lock().unwrap_or_else(PoisonError::into_inner);
    if depot.bytes + BATCH * size > MOST_BYTES {
        return false;
    }
    depot.bytes += BATCH * size;
    depot.batches[class].push(batch);
    COUNTS[class].store(depot.batches[class].len(), Ordering::Relaxed);
    true
}

/// How many batches of a class there are. One that was given just now may be missed.
#[inline]
pub(super) fn count(class: usize) -> usize {
    COUNTS[class].load(Ordering::Relaxed)
}

/// Gives a batch of blocks of so many bytes out.
#[inline]
pub(super) fn take(class: usize, size: usize) -> Option<Batch> {
    if count(class) == 0 {
        return None;
    }
    take_locked(class, size)
}

#[cold]
fn take_locked(class: usize, size: usize) -> Option<Batch> {
    let mut depot = DEPOT.lock().unwrap_or_else(PoisonError::into_inner);
    let batch = depot.batches[class].pop()?;
    depot.bytes -= BATCH * size;
    COUNTS[class].store(depot.batches[class].len(), Ordering::Relaxed);
    Some(batch)
}
