//! The run queues: a FIFO that belongs to a worker and that others may steal from, and the injector that every thread may push to.
//!
//! Both are crossbeam's. loom cannot see into crossbeam, so under it they have twins behind a lock, which make the same promises.
//! A FIFO that nobody steals from, that of an only worker or of entries that only worker 0 may run, is a plain ring: it needs no fences.
//! `tests/run_queue.rs` sends ten million tokens through the real ones.

use asyncio_task::Runnable;

/// How many entries a worker takes from another, or from the injector, in one go: more would make others come right back for theirs.
pub const BATCH: usize = 32;

/// What became of an attempt to steal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stolen {
    /// At least one entry.
    Some,
    /// There was none.
    Nothing,
    /// Somebody was faster, and more may be there.
    Retry,
}

/// What a worker runs next.
#[derive(Debug)]
pub enum Entry {
    /// A woken task.
    Task(Runnable),
    /// The turn of one callback of the loop's lane.
    Ticket,
}

#[cfg(not(asyncio_loom))]
const _: () = assert!(size_of::<Entry>() == size_of::<usize>(), "an entry is one word");

#[cfg(not(asyncio_loom))]
mod imp {
    use super::{BATCH, Entry, Stolen};
    use asyncio_base::ring;
    use crossbeam_deque as deque;

    /// A FIFO that nobody steals from.
    pub type Ring = ring::Ring<Entry>;

    /// A worker's own FIFO.
    #[derive(Debug)]
    pub enum RunQueue {
        /// Others steal from it.
        Shared(deque::Worker<Entry>),
        /// Nobody does.
        Alone(Ring),
    }

    impl RunQueue {
        /// An empty queue.
        pub fn new() -> Self {
            RunQueue::Shared(deque::Worker::new_fifo())
        }

        /// An empty queue that nobody steals from.
        pub fn alone() -> Self {
            RunQueue::Alone(Ring::new())
        }

        /// The ring, if nobody steals from it.
        #[inline]
        pub fn as_ring(&self) -> Option<&Ring> {
            match self {
                RunQueue::Shared(_) => None,
                RunQueue::Alone(ring) => Some(ring),
            }
        }

        /// The side that other workers take from; nobody gets anything from a queue that is alone.
        pub fn stealer(&self) -> Stealer {
            match self {
                RunQueue::Shared(queue) => Stealer(Some(queue.stealer())),
                RunQueue::Alone(_) => Stealer(None),
            }
        }

        /// Adds at the back.
        #[inline]
        pub fn push(&self, entry: Entry) {
            match self {
                RunQueue::Shared(queue) => push_shared(queue, entry),
                RunQueue::Alone(ring) => ring.push(entry),
            }
        }

        /// Takes from the front.
        #[inline]
        pub fn pop(&self) -> Option<Entry> {
            match self {
                RunQueue::Shared(queue) => queue.pop(),
                RunQueue::Alone(ring) => ring.pop(),
            }
        }

        /// How many entries are in.
        #[inline]
        pub fn len(&self) -> usize {
            match self {
                RunQueue::Shared(queue) => queue.len(),
                RunQueue::Alone(ring) => ring.len(),
            }
        }

        /// Whether nothing is in.
        #[inline]
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        /// What a thief moves its loot to.
        fn of_thief(&self) -> &deque::Worker<Entry> {
            match self {
                RunQueue::Shared(queue) => queue,
                RunQueue::Alone(_) => unreachable!("who is alone has nobody to steal from"),
            }
        }
    }

    /// Apart, so that it does not weigh on callers with a plain ring.
    #[inline(never)]
    fn push_shared(queue: &deque::Worker<Entry>, entry: Entry) {
        queue.push(entry);
    }

    /// The other side of a worker's FIFO.
    #[derive(Debug)]
    pub struct Stealer(Option<deque::Stealer<Entry>>);

    impl Stealer {
        /// Moves the front half, at most [`BATCH`] entries, to the back of `queue`.
        pub fn steal_half(&self, queue: &RunQueue) -> Stolen {
            let steal = |victim: &deque::Stealer<Entry>| {
                victim.steal_batch_with_limit(queue.of_thief(), BATCH).into()
            };
            self.0.as_ref().map_or(Stolen::Nothing, steal)
        }

        /// How many entries are in; those being pushed or taken at this moment may or may not count.
        pub fn len(&self) -> usize {
            self.0.as_ref().map_or(0, deque::Stealer::len)
        }
    }

    impl From<deque::Steal<()>> for Stolen {
        fn from(steal: deque::Steal<()>) -> Self {
            match steal {
                deque::Steal::Success(()) => Stolen::Some,
                deque::Steal::Empty => Stolen::Nothing,
                deque::Steal::Retry => Stolen::Retry,
            }
        }
    }

    /// The queue that any thread may push to.
    #[derive(Debug)]
    pub struct Injector(deque::Injector<Entry>);

    impl Injector {
        /// An empty injector.
        pub fn new() -> Self {
            Injector(deque::Injector::new())
        }

        /// Adds at the back.
        pub fn push(&self, entry: Entry) {
            self.0.push(entry);
        }

        /// Whether nothing is in; an entry being pushed at this moment may or may not count.
        #[inline]
        pub fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        /// How many entries are in.
        pub fn len(&self) -> usize {
            self.0.len()
        }

        /// Moves the front part, at most `limit` entries, to the back of `queue`.
        pub fn steal(&self, queue: &RunQueue, limit: usize) -> Stolen {
            self.0.steal_batch_with_limit(queue.of_thief(), limit).into()
        }

        /// Takes from the front.
        pub fn pop(&self) -> Option<Entry> {
            loop {
                match self.0.steal() {
                    deque::Steal::Success(entry) => return Some(entry),
                    deque::Steal::Empty => return None,
                    deque::Steal::Retry => std::hint::spin_loop(),
                }
            }
        }
    }
}

#[cfg(asyncio_loom)]
mod imp {
    use super::{BATCH, Entry, Stolen};
    use asyncio_base::sync::Mutex;
    use std::collections::VecDeque;
    // A core is never freed, which loom's own would take for a leak.
    use std::sync::Arc;

    type Twin = Arc<Mutex<VecDeque<Entry>>>;

    fn steal(from: &Mutex<VecDeque<Entry>>, to: &RunQueue, limit: usize) -> Stolen {
        let mut from = from.lock();
        let count = from.len().div_ceil(2).min(limit);
        let stolen: Vec<Entry> = from.drain(..count).collect();
        drop(from);
        to.0.lock().extend(stolen);
        if count > 0 { Stolen::Some } else { Stolen::Nothing }
    }

    /// The twin of a worker's FIFO, and whether nobody steals from it.
    #[derive(Debug)]
    pub struct RunQueue(Twin, bool);

    /// The ring is the same twin.
    pub type Ring = RunQueue;

    impl RunQueue {
        /// An empty queue.
        pub fn new() -> Self {
            RunQueue(Twin::default(), false)
        }

        /// An empty queue that nobody steals from.
        pub fn alone() -> Self {
            RunQueue(Twin::default(), true)
        }

        /// This, if nobody steals from it.
        pub fn as_ring(&self) -> Option<&Ring> {
            self.1.then_some(self)
        }

        /// The side that other workers take from.
        pub fn stealer(&self) -> Stealer {
            Stealer(self.0.clone())
        }

        /// Adds at the back.
        pub fn push(&self, entry: Entry) {
            self.0.lock().push_back(entry);
        }

        /// Takes from the front.
        pub fn pop(&self) -> Option<Entry> {
            self.0.lock().pop_front()
        }

        /// How many entries are in.
        pub fn len(&self) -> usize {
            self.0.lock().len()
        }

        /// Whether nothing is in.
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        /// Takes what is in now from the front, and nothing that comes later.
        pub fn queued(&self) -> impl Iterator<Item = Entry> {
            (0..self.len()).map_while(|_| self.pop())
        }
    }

    /// The twin of the other side.
    #[derive(Debug)]
    pub struct Stealer(Twin);

    impl Stealer {
        /// Moves the front half, at most [`BATCH`] entries, to the back of `queue`.
        pub fn steal_half(&self, queue: &RunQueue) -> Stolen {
            steal(&self.0, queue, BATCH)
        }

        /// How many entries are in.
        pub fn len(&self) -> usize {
            self.0.lock().len()
        }
    }

    /// The twin of the injector.
    #[derive(Debug)]
    pub struct Injector(Mutex<VecDeque<Entry>>);

    impl Injector {
        /// An empty injector.
        pub fn new() -> Self {
            Injector(Mutex::new(VecDeque::new()))
        }

        /// Adds at the back.
        pub fn push(&self, entry: Entry) {
            self.0.lock().push_back(entry);
        }

        /// Moves the front part, at most `limit` entries, to the back of `queue`.
        pub fn steal(&self, queue: &RunQueue, limit: usize) -> Stolen {
            steal(&self.0, queue, limit)
        }

        /// Takes from the front.
        pub fn pop(&self) -> Option<Entry> {
            self.0.lock().pop_front()
        }

        /// How many entries are in.
        pub fn len(&self) -> usize {
            self.0.lock().len()
        }

        /// Whether nothing is in.
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }
}

pub use imp::{Injector, Ring, RunQueue, Stealer};

impl Stealer {
    /// Whether nothing is in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl RunQueue {
    /// Moves what other threads have pushed by now behind what is here, in their order. Threads that go on pushing cannot keep it busy.
    pub fn take_from(&self, injector: &Injector) {
        if injector.is_empty() {
            return;
        }
        for _ in 0..injector.len() {
            let Some(entry) = injector.pop() else { break };
            self.push(entry);
        }
    }
}

impl Default for RunQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Injector {
    fn default() -> Self {
        Self::new()
    }
}
