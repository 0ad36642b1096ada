//! What others reach of one worker: its queue to steal from, its tasks, its place to sleep. Never freed, as the core that it is part of.

use crate::home::Home;
use crate::parker::Parker;
use crate::run_queue::{RunQueue, Stealer};
use asyncio_base::CachePadded;
use asyncio_base::sync::{AtomicBool, AtomicU64, Mutex, Ordering};

/// One worker's part of a core; the scheduler of the tasks that this worker made.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) index: usize,
    /// The tasks that were made here and have not ended; any worker may run them.
    pub(crate) home: CachePadded<Home>,
    pub(crate) stealer: Stealer,
    pub(crate) parker: CachePadded<Parker>,
    /// Passes begun; only ever compared with what it was.
    pulse: CachePadded<AtomicU64>,
    /// The worker's queue while no thread is the worker.
    idle_queue: Mutex<Option<RunQueue>>,
    /// Whether a thread was started for the worker; worker 0 is the thread that runs the loop.
    has_thread: AtomicBool,
}

impl Shard {
    /// The part of one among so many workers.
    pub(crate) fn new(index: usize, workers: usize) -> Self {
        let queue = if workers == 1 { RunQueue::alone() } else { RunQueue::new() };
        Shard {
            index,
            home: CachePadded(Home::new()),
            stealer: queue.stealer(),
            parker: CachePadded(Parker::new()),
            pulse: CachePadded(AtomicU64::new(0)),
            idle_queue: Mutex::new(Some(queue)),
            has_thread: AtomicBool::new(index == 0),
        }
    }

    /// A pass begins.
    #[inline]
    pub(crate) fn beat(&self) {
        // One thread writes it.
        self.pulse.store(self.pulse.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn pulse(&self) -> u64 {
        self.pulse.load(Ordering::Relaxed)
    }

    pub(crate) fn take_queue(&self) -> RunQueue {
        self.idle_queue.lock().take().expect("one thread at a time is the worker")
    }

    pub(crate) fn put_queue_back(&self, queue: RunQueue) {
        *self.idle_queue.lock() = Some(queue);
    }

    /// Whether a thread was started, or refused.
    pub(crate) fn has_thread(&self) -> bool {
        self.has_thread.load(Ordering::Acquire)
    }

    /// The caller, who holds the lock of the threads, is about to start one.
    pub(crate) fn set_has_thread(&self) {
        self.has_thread.store(true, Ordering::Release);
    }

    /// No thread, nothing said: as new, for the next loop.
    pub(crate) fn reset(&self) {
        self.has_thread.store(self.index == 0, Ordering::Release);
        self.parker.forget();
    }
}
