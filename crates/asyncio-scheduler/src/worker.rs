//! A worker and its passes.
//!
//! A pass collects, without blocking if there is work, what has become due (descriptors, then timers), then runs exactly the entries that
//! are queued at that moment: what they queue waits for the next pass. With one worker that is asyncio's iteration, in asyncio's order:
//! queued earlier, then I/O, then timers.
//!
//! Between two looks at the descriptors a busy worker runs at least [`ENTRIES_PER_LOOK`] entries, so that tasks that yield to each other cost
//! no system call each.

use crate::core::Core;
use crate::driver::Wait;
use crate::event_loop::Loop;
use crate::run_queue::{Entry, RunQueue};
use asyncio_task::{Ran, TaskId};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// Entries that a busy worker runs before it looks at the descriptors again: a look costs about as much as this many short polls.
const ENTRIES_PER_LOOK: usize = 61;

/// With one worker a task that awaits only ready things is asyncio's business: nothing is counted.
const UNLIMITED: u32 = u32::MAX;

/// What a thread is while it works for a loop.
#[derive(Debug)]
pub(crate) struct Worker {
    event_loop: Arc<Loop>,
    core: &'static Core,
    queue: RunQueue,
    /// Entries run since the last look at the descriptors.
    since_look: Cell<usize>,
}

#[cfg(not(asyncio_loom))]
thread_local! {
    static CURRENT: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

// loom runs all threads of a model on one OS thread, so the worker must belong to loom's threads.
#[cfg(asyncio_loom)]
loom::thread_local! {
    static CURRENT: RefCell<Option<Rc<Worker>>> = RefCell::new(None);
}

/// Puts an entry at the back of this thread's queue, if the thread is a worker of the loop that has `core`; else gives it back.
pub(crate) fn push_local(core: &'static Core, entry: Entry) -> Result<(), Entry> {
    let mut entry = Some(entry);
    // Destructors of other thread-locals may wake tasks after this one is gone.
    let _ = CURRENT.try_with(|current| {
        if let Some(worker) = current.borrow().as_deref().filter(|w| std::ptr::eq(w.core, core)) {
            entry.take().into_iter().for_each(|entry| worker.queue.push(entry));
        }
    });
    entry.map_or(Ok(()), Err)
}

/// Whether this thread works for the loop that has `core`.
pub(crate) fn works_for(core: &'static Core) -> bool {
    let same = |worker: &Rc<Worker>| std::ptr::eq(worker.core, core);
    CURRENT.try_with(|current| current.borrow().as_ref().is_some_and(same)).unwrap_or(false)
}

/// Whether this thread works for some loop.
pub fn is_worker() -> bool {
    CURRENT.try_with(|current| current.borrow().is_some()).unwrap_or(false)
}

/// This thread stops being a worker until the guard is dropped: for closing one loop from inside another.
pub(crate) fn suspend() -> Suspended {
    Suspended(CURRENT.try_with(RefCell::take).ok().flatten())
}

/// Makes the thread a worker of its own loop again.
#[derive(Debug)]
pub(crate) struct Suspended(Option<Rc<Worker>>);

impl Drop for Suspended {
    fn drop(&mut self) {
        let worker = self.0.take();
        let _ = CURRENT.try_with(|current| current.replace(worker));
    }
}

impl Worker {
    /// Makes this thread a worker until the guard is dropped.
    pub(crate) fn enter(event_loop: &Arc<Loop>, core: &'static Core, queue: RunQueue) -> Entered {
        let event_loop = event_loop.clone();
        // The first pass looks at everything.
        let since_look = Cell::new(ENTRIES_PER_LOOK);
        let worker = Rc::new(Worker { event_loop, core, queue, since_look });
        // In a thread-local destructor the cell may be gone: then entries take the way of other threads, through the injector.
        let _ = CURRENT.try_with(|current| current.replace(Some(worker.clone())));
        Entered(worker)
    }

    /// One pass; blocks in the driver only if nothing is queued and the loop is not stopped.
    pub(crate) fn pass(&self) {
        self.collect();
        let queued = self.queue.len();
        self.since_look.set(self.since_look.get() + queued);
        for _ in 0..queued {
            let Some(entry) = self.queue.pop() else { break };
            self.run(entry);
        }
    }

    fn collect(&self) {
        self.queue.take_from(self.core.injector());
        let driver = self.event_loop.driver();
        if self.queue.len() > 0 || self.event_loop.is_stopping() {
            let look = self.since_look.get() >= ENTRIES_PER_LOOK;
            driver.turn(if look { Wait::No } else { Wait::TimersOnly });
            if look {
                self.since_look.set(0);
            }
        } else {
            let stopped = || self.event_loop.is_stopping();
            self.core.sleep(stopped, || driver.turn(Wait::UntilReady));
            self.since_look.set(0);
        }
        self.queue.take_from(self.core.injector());
    }

    fn run(&self, entry: Entry) {
        match entry {
            Entry::Task(token) => {
                if let Ran::Again(token) = token.run(UNLIMITED) {
                    self.queue.push(Entry::Task(token));
                }
            }
            Entry::Ticket => {
                let spent = self.event_loop.lane().run_one();
                (0..spent.owed).for_each(|_| self.queue.push(Entry::Ticket));
                if let Some((callback, panic)) = spent.panicked {
                    self.event_loop.reporter().callback_panicked(callback.location(), panic);
                }
            }
        }
    }

    /// Runs what is queued of one task only, leaving the order of the rest as it is.
    pub(crate) fn run_only(&self, task: TaskId) {
        self.queue.take_from(self.core.injector());
        for _ in 0..self.queue.len() {
            match self.queue.pop() {
                Some(Entry::Task(token)) if token.id() == task => self.run(Entry::Task(token)),
                Some(entry) => self.queue.push(entry),
                None => break,
            }
        }
    }

    /// Runs every token that is queued, or will be in an instant by a thread that has counted its wake and not pushed yet, until no
    /// task is left. Tickets are spent on nothing: the lane is closed.
    pub(crate) fn run_until_no_task(&self) {
        let tasks_left = || !self.core.tasks.is_empty() || !self.core.local.tasks.is_empty();
        loop {
            self.queue.take_from(self.core.injector());
            while let Some(entry) = self.queue.pop() {
                self.run(entry);
            }
            if !tasks_left() {
                return;
            }
            asyncio_base::sync::thread::yield_now();
        }
    }
}

/// This thread is a worker until this is dropped; then its queue goes back to the loop.
#[derive(Debug)]
pub(crate) struct Entered(Rc<Worker>);

impl std::ops::Deref for Entered {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        &self.0
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let worker = CURRENT.try_with(RefCell::take).ok().flatten();
        let queue = RunQueue::new();
        while let Some(entry) = self.0.queue.pop() {
            queue.push(entry);
        }
        drop(worker);
        self.0.event_loop.put_queue_back(queue);
    }
}
