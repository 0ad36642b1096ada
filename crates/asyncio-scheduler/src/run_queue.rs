//! The run queues: a FIFO that belongs to a worker, and the injector that every thread may push to.
//!
//! Both are crossbeam's. loom cannot see into crossbeam, so under it they have twins behind a lock, which make the same promises.

use asyncio_task::Runnable;

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
    use super::Entry;
    use crossbeam_deque as deque;

    /// A worker's own FIFO.
    #[derive(Debug)]
    pub struct RunQueue(deque::Worker<Entry>);

    impl RunQueue {
        /// An empty queue.
        pub fn new() -> Self {
            RunQueue(deque::Worker::new_fifo())
        }

        /// Adds at the back.
        pub fn push(&self, entry: Entry) {
            self.0.push(entry);
        }

        /// Takes from the front.
        pub fn pop(&self) -> Option<Entry> {
            self.0.pop()
        }

        /// How many entries are in.
        pub fn len(&self) -> usize {
            self.0.len()
        }

        /// Whether nothing is in.
        pub fn is_empty(&self) -> bool {
            self.0.is_empty()
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
        pub fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        /// How many entries are in.
        pub fn len(&self) -> usize {
            self.0.len()
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
    use super::Entry;
    use asyncio_base::sync::Mutex;
    use std::cell::RefCell;
    use std::collections::VecDeque;

    /// The twin of a worker's FIFO, which like it may be sent but not shared.
    #[derive(Debug, Default)]
    pub struct RunQueue(RefCell<VecDeque<Entry>>);

    impl RunQueue {
        /// An empty queue.
        pub fn new() -> Self {
            Self::default()
        }

        /// Adds at the back.
        pub fn push(&self, entry: Entry) {
            self.0.borrow_mut().push_back(entry);
        }

        /// Takes from the front.
        pub fn pop(&self) -> Option<Entry> {
            self.0.borrow_mut().pop_front()
        }

        /// How many entries are in.
        pub fn len(&self) -> usize {
            self.0.borrow().len()
        }

        /// Whether nothing is in.
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }

    /// The twin of the injector.
    #[derive(Debug, Default)]
    pub struct Injector(Mutex<VecDeque<Entry>>);

    impl Injector {
        /// An empty injector.
        pub fn new() -> Self {
            Self::default()
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
    }
}

pub use imp::{Injector, RunQueue};

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

#[cfg(not(asyncio_loom))]
impl Default for RunQueue {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(not(asyncio_loom))]
impl Default for Injector {
    fn default() -> Self {
        Self::new()
    }
}
