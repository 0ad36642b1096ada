//! Memory that was freed, kept for the next use: a task, a callback, a settable future cost no call of the allocator once their thread is warm.
//!
//! Each thread has a shelf, and only that thread touches it: no lock, no atomic. A block goes to the shelf of the thread that frees it, which
//! under several workers may be another one than it came from; a shelf that is full gives to the [depot], in batches, one that is empty takes from
//! there, and with the depot full or empty it is the allocator. A thread keeps at most [`MOST_BYTES`], and gives them back when it ends.
//!
//! # Blocks
//!
//! Blocks are sorted by size, in steps of a word pair. The sizes are those that the common allocators have anyway, a word below the next
//! multiple of sixteen, so that sharing a block among types costs no memory. What is larger or more strictly aligned than a class
//! has room for goes the common way. A block on a shelf is its class's list: its first word leads to the next.
//!
//! Under the sanitizers and loom all memory is fresh: what is used after it was freed is found only if nobody has it again.

mod arc;
mod depot;

pub use self::arc::{Counted, ShelfArc, ShelfWeak};

use self::depot::Batch;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// What a thread keeps at most.
const MOST_BYTES: usize = 256 << 10;

/// Sizes that are kept.
const CLASSES: usize = 32;

const STEP: usize = 16;

const KEEPS: bool = !cfg!(any(asyncio_loom, tsan, asan));

/// The class of blocks for this layout, and theirs; `None` if none is kept for it.
#[inline]
const fn class_of(layout: Layout) -> Option<(usize, Layout)> {
    let class = layout.size().saturating_sub(8).div_ceil(STEP);
    if !KEEPS || layout.align() > align_of::<usize>() || class >= CLASSES || layout.size() == 0 {
        return None;
    }
    match Layout::from_size_align(class * STEP + 8, align_of::<usize>()) {
        Ok(block) => Some((class, block)),
        Err(_) => None,
    }
}

/// A block that waits for its next use.
struct Block {
    next: *mut Block,
}

/// What one thread keeps.
struct Shelf {
    /// Per class the first block.
    first: [Cell<*mut Block>; CLASSES],
    bytes: Cell<usize>,
}

thread_local! {
    static SHELF: Shelf = const {
        Shelf { first: [const { Cell::new(ptr::null_mut()) }; CLASSES], bytes: Cell::new(0) }
    };
}

impl Shelf {
    #[inline]
    fn take(&self, class: usize, block: Layout) -> Option<NonNull<u8>> {
        let first = NonNull::new(self.first[class].get())?;
        // SAFETY: what is on the shelf is a block that nobody else has, with its first word written by `put`.
        self.first[class].set(unsafe { first.as_ref() }.next);
        self.bytes.set(self.bytes.get() - block.size());
        Some(first.cast())
    }

    /// Keeps a block, if there is room; false if not.
    ///
    /// # Safety
    ///
    /// The block is of this class, and nobody has it any more.
    #[inline]
    unsafe fn put(&self, class: usize, block: Layout, at: NonNull<u8>) -> bool {
        let bytes = self.bytes.get() + block.size();
        if bytes > MOST_BYTES {
            // SAFETY: as the caller promises.
            return unsafe { self.put_when_full(class, block, at) };
        }
        // SAFETY: as above.
        unsafe { self.put_down(class, bytes, at) };
        true
    }

    /// Adds a block, with which there are so many bytes.
    ///
    /// # Safety
    ///
    /// As for [`put`](Self::put).
    #[inline(always)]
    unsafe fn put_down(&self, class: usize, bytes: usize, at: NonNull<u8>) {
        let (at, next) = (at.cast::<Block>(), self.first[class].get());
        // SAFETY: the block is ours, larger than a word and aligned for one.
        unsafe { at.write(Block { next }) };
        self.first[class].set(at.as_ptr());
        self.bytes.set(bytes);
    }

    /// Puts a batch of the depot on the shelf, which has no block of this class, and takes the first.
    fn restock(&self, class: usize, block: Layout) -> Option<NonNull<u8>> {
        let bytes = self.bytes.get() + depot::BATCH * block.size();
        if bytes > MOST_BYTES {
            return None;
        }
        let Batch(first) = depot::take(class, block.size())?;
        self.first[class].set(first);
        self.bytes.set(bytes);
        self.take(class, block)
    }

    /// As [`put`](Self::put), if the depot takes a batch.
    ///
    /// # Safety
    ///
    /// As there.
    #[cold]
    #[inline(never)]
    unsafe fn put_when_full(&self, class: usize, block: Layout, at: NonNull<u8>) -> bool {
        let given = self.give_batch(class, block);
        if given {
            // SAFETY: as the caller promises.
            unsafe { self.put_down(class, self.bytes.get() + block.size(), at) };
        }
        given
    }

    /// Gives a batch of blocks of this class to the depot; false if there are not so many, or no room.
    fn give_batch(&self, class: usize, block: Layout) -> bool {
        let first = self.first[class].get();
        let mut last = first;
        for _ in 1..depot::BATCH {
            // SAFETY: what is on the shelf leads to the next block, or to none.
            let Some(here) = (unsafe { last.as_ref() }) else { return false };
            last = here.next;
        }
        // SAFETY: as above.
        let Some(here) = (unsafe { last.as_mut() }) else { return false };
        let rest = std::mem::replace(&mut here.next, ptr::null_mut());
        let is_given = depot::give(class, block.size(), Batch(first));
        if is_given {
            self.first[class].set(rest);
            self.bytes.set(self.bytes.get() - depot::BATCH * block.size());
        } else {
            here.next = rest;
        }
        is_given
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        for number in 0..CLASSES {
            let block = Layout::from_size_align(number * STEP + 8, align_of::<usize>());
            let block = block.expect("a class has a layout");
            while let Some(at) = self.take(number, block) {
                // SAFETY: the allocator gave it for the layout of its class.
                unsafe { dealloc(at.as_ptr(), block) };
            }
        }
    }
}

#[inline]
fn take_block(class: Option<(usize, Layout)>, layout: Layout) -> NonNull<u8> {
    match class {
        // A thread whose shelf is gone takes from the allocator.
        Some((class, block)) => {
            let kept = SHELF.try_with(|shelf| shelf.take(class, block)).ok().flatten();
            kept.unwrap_or_else(|| restocked(class, block))
        }
        None => fresh(layout),
    }
}

/// A block for a thread whose shelf has none.
#[cold]
#[inline(never)]
fn restocked(class: usize, block: Layout) -> NonNull<u8> {
    let kept = SHELF.try_with(|shelf| shelf.restock(class, block)).ok().flatten();
    kept.unwrap_or_else(|| fresh(block))
}

fn fresh(layout: Layout) -> NonNull<u8> {
    assert!(layout.size() > 0, "nothing is kept of nothing");
    // SAFETY: the size is not zero.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

/// # Safety
///
/// [`take_block`] gave the memory for this layout, and nobody has it any more.
#[inline]
unsafe fn free_block(class: Option<(usize, Layout)>, layout: Layout, memory: NonNull<u8>) {
    let layout = match class {
        Some((class, block)) => {
            // SAFETY: one layout has one class, and nobody has the memory any more.
            let put = |shelf: &Shelf| unsafe { shelf.put(class, block, memory) };
            if SHELF.try_with(put).unwrap_or(false) {
                return;
            }
            block
        }
        None => layout,
    };
    // SAFETY: `fresh` got the memory for this layout.
    unsafe { dealloc(memory.as_ptr(), layout) }
}

/// Memory for `T`, not written.
///
/// # Panics
///
/// If `T` has no size.
#[inline]
pub fn allocate<T>() -> NonNull<T> {
    take_block(const { class_of(Layout::new::<T>()) }, Layout::new::<T>()).cast()
}

/// Gives the memory back.
///
/// # Safety
///
/// [`allocate`] gave it for the same type, and what was written there has been dropped.
#[inline]
pub unsafe fn free<T>(memory: NonNull<T>) {
    let layout = Layout::new::<T>();
    // SAFETY: as the caller promises.
    unsafe { free_block(const { class_of(Layout::new::<T>()) }, layout, memory.cast()) }
}

#[cfg(all(test, not(any(asyncio_loom, tsan, asan))))]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_what_it_is_for_and_wastes_less_than_a_step() {
        for size in 1..=CLASSES * STEP + 64 {
            let layout = Layout::from_size_align(size, 8).unwrap();
            match class_of(layout) {
                Some((class, block)) => {
                    assert!(class < CLASSES && block.size() >= size);
                    assert!(size <= 8 || block.size() - size < STEP);
                    assert_eq!(class_of(block), Some((class, block)));
                }
                None => assert!(size > (CLASSES - 1) * STEP + 8),
            }
        }
        assert_eq!(class_of(Layout::from_size_align(64, 16).unwrap()), None);
    }

    #[test]
    fn what_is_freed_is_given_out_again_the_last_first() {
        type Cell = [usize; 20];
        let (one, other) = (allocate::<Cell>(), allocate::<Cell>());
        assert_ne!(one, other);
        // SAFETY: for all of these, just allocated or given back once, for the same type, and plain memory.
        unsafe {
            free(one);
            free(other);
        }
        // A type of the same class.
        assert_eq!(allocate::<[usize; 21]>().cast(), other);
        assert_eq!(allocate::<Cell>(), one);
        // SAFETY: as above.
        unsafe {
            free(one);
            free(other.cast::<[usize; 21]>());
        }
    }

    #[test]
    fn what_one_thread_has_too_much_of_comes_to_another() {
        type Cell = [usize; 50];
        struct Sent(Vec<NonNull<Cell>>);
        // SAFETY: whoever has it has the memory.
        unsafe impl Send for Sent {}
        impl Sent {
            fn free_all(self) {
                // SAFETY: allocated below, given back once.
                self.0.into_iter().for_each(|cell| unsafe { free(cell) });
            }
        }
        const COUNT: usize = 2 * MOST_BYTES / size_of::<Cell>();
        let cells: Vec<_> = (0..COUNT).map(|_| allocate::<Cell>()).collect();
        let sent = Sent(cells.clone());
        std::thread::spawn(move || sent.free_all()).join().unwrap();
        let (class, _) = class_of(Layout::new::<Cell>()).unwrap();
        let batches = depot::count(class);
        assert!(batches > 0);
        let again: Vec<_> = (0..depot::BATCH).map(|_| allocate::<Cell>()).collect();
        assert!(again.iter().all(|cell| cells.contains(cell)));
        assert_eq!(depot::count(class), batches - 1);
        Sent(again).free_all();
    }

    #[test]
    fn a_shelf_is_never_fuller_than_it_may_be() {
        type Cell = [usize; 30];
        let cells: Vec<_> = (0..4000).map(|_| allocate::<Cell>()).collect();
        // SAFETY: allocated above, given back once.
        cells.into_iter().for_each(|cell| unsafe { free(cell) });
        let kept = SHELF.with(|shelf| shelf.bytes.get());
        assert!(
            kept <= MOST_BYTES && kept > MOST_BYTES - depot::BATCH * (size_of::<Cell>() + STEP)
        );
    }
}
