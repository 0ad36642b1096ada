//! Task numbers.

use asyncio_base::sync::Ordering;
use std::cell::Cell;
use std::fmt;
// A statistics-like counter that outlives any model: loom need not see it, and its atomics cannot be statics.
use std::sync::atomic::AtomicU64;

/// A task's number, unique in the process; never 0. Each simulation has its own, which are written as if they began with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// How many numbers a thread takes at once, so that spawning does not share a counter.
const BLOCK: u64 = 64;

static NEXT_BLOCK: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The next number of this thread's block, and the block's end.
    static BLOCK_LEFT: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

impl TaskId {
    /// The next number: increasing on one thread.
    #[inline]
    pub(crate) fn next() -> TaskId {
        let from_block = BLOCK_LEFT.try_with(|left| {
            let (mut next, mut end) = left.get();
            if next == end {
                next = NEXT_BLOCK.fetch_add(BLOCK, Ordering::Relaxed);
                end = next + BLOCK;
            }
            left.set((next + 1, end));
            next
        });
        // A thread-local destructor may spawn after its thread's block is gone.
        TaskId(from_block.unwrap_or_else(|_| NEXT_BLOCK.fetch_add(BLOCK, Ordering::Relaxed)))
    }

    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// The numbers of simulations are above this, and never those of a task that another thread brings in.
const SIMULATED: u64 = 1 << 48;

/// Runs `f`, in which this thread numbers its tasks anew: for a simulation, whose runs are to be the same to the letter.
pub fn numbered_anew<R>(f: impl FnOnce() -> R) -> R {
    struct Back((u64, u64));

    impl Drop for Back {
        fn drop(&mut self) {
            BLOCK_LEFT.set(self.0);
        }
    }

    let _back = Back(BLOCK_LEFT.replace((SIMULATED + 1, u64::MAX)));
    f()
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0 % SIMULATED).fmt(f)
    }
}
