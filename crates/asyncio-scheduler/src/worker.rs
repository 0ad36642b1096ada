//! A worker and its passes.
//!
//! A pass collects, without blocking if there is work, what has become due (descriptors, then timers), then runs exactly the entries that
//! are queued at that moment: what they queue waits for the next pass. With one worker that is asyncio's iteration, in asyncio's order:
//! queued earlier, then I/O, then timers.
//!
//! Between two looks at the descriptors a busy worker runs at least [`ENTRIES_PER_LOOK`] entries, so that tasks that yield to each other cost
//! no system call each.

use crate::core::Core;
use crate::driver::{Step, Wait};
use crate::event_loop::Loop;
use crate::lane::{self, Spent};
use crate::run_queue::{Entry, RunQueue};
use asyncio_task::{Ran, Runnable, TaskId};
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
    /// What the thread works for besides: the loop from inside which it closes this one.
    outer: Option<Rc<Worker>>,
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
        if let Some(worker) = Worker::of(core, &current.borrow()) {
            if let Some(entry) = entry.take() {
                worker.queue.push(entry);
            }
        }
    });
    match entry {
        None => Ok(()),
        Some(entry) => Err(entry),
    }
}

/// Whether this thread works for the loop that has `core`.
pub(crate) fn works_for(core: &'static Core) -> bool {
    CURRENT.try_with(|current| Worker::of(core, &current.borrow()).is_some()).unwrap_or(false)
}

/// Whether this thread works for some loop.
pub fn is_worker() -> bool {
    CURRENT.try_with(|current| current.borrow().is_some()).unwrap_or(false)
}

impl Worker {
    /// Makes this thread a worker until the guard is dropped.
    pub(crate) fn enter(event_loop: &Arc<Loop>, core: &'static Core, queue: RunQueue) -> Entered {
        let event_loop = event_loop.clone();
        // The first pass looks at everything.
        let since_look = Cell::new(ENTRIES_PER_LOOK);
        // In a thread-local destructor the cell may be gone: then entries take the way of other threads, through the injector.
        let outer = CURRENT.try_with(RefCell::take).ok().flatten();
        let worker = Rc::new(Worker { event_loop, core, queue, since_look, outer });
        let _ = CURRENT.try_with(|current| current.replace(Some(worker.clone())));
        Entered(Some(worker))
    }

    /// The worker for the loop that has `core`, among those that this thread is.
    fn of<'a>(core: &'static Core, current: &'a Option<Rc<Worker>>) -> Option<&'a Worker> {
        let mut worker = current.as_deref()?;
        while !std::ptr::eq(worker.core, core) {
            worker = worker.outer.as_deref()?;
        }
        Some(worker)
    }

    /// One pass; blocks in the driver only if it may, nothing is queued and the loop is not stopping.
    pub(crate) fn pass(&self, may_sleep: bool) {
        self.collect(may_sleep);
        let queued = self.queue.len();
        self.since_look.set(self.since_look.get() + queued);
        self.run_entries(queued);
    }

    fn collect(&self, may_sleep: bool) {
        self.queue.take_from(self.core.injector());
        let driver = self.event_loop.driver();
        let stopping = || self.event_loop.is_stopping();
        if may_sleep && self.queue.is_empty() && !stopping() {
            self.core.sleep(stopping, || driver.turn(Wait::UntilReady));
            self.since_look.set(0);
            self.queue.take_from(self.core.injector());
        } else if self.since_look.get() >= ENTRIES_PER_LOOK {
            driver.turn(Wait::No);
            self.since_look.set(0);
        } else {
            driver.turn(Wait::TimersOnly);
        }
    }

    fn run_entries(&self, count: usize) {
        for _ in 0..count {
            let Some(entry) = self.queue.pop() else { break };
            self.run(entry);
        }
    }

    /// Runs everything that is queued or gets queued meanwhile.
    pub(crate) fn run_all(&self) {
        self.queue.take_from(self.core.injector());
        while let Some(entry) = self.queue.pop() {
            self.run(entry);
        }
    }

    pub(crate) fn run(&self, entry: Entry) {
        match entry {
            // The one branch that debug mode costs while it is off.
            entry if self.event_loop.is_watched() => self.run_watched(entry),
            Entry::Task(token) => self.after_turn(token.run(UNLIMITED)),
            Entry::Ticket => self.after_callback(self.event_loop.lane().run_one()),
        }
    }

    #[cold]
    fn run_watched(&self, entry: Entry) {
        let event_loop = &self.event_loop;
        match entry {
            Entry::Task(token) => {
                let step = Step::Task(token.handle());
                self.after_turn(event_loop.watch(step, || token.run(UNLIMITED)));
            }
            Entry::Ticket => self.after_callback(event_loop.lane().run_one_by(|callback| {
                event_loop.watch(Step::Callback(callback.clone()), || lane::run(callback))
            })),
        }
    }

    fn after_turn(&self, ran: Ran) {
        if let Ran::Again(token) = ran {
            self.queue.push(Entry::Task(token));
        }
    }

    fn after_callback(&self, spent: Spent) {
        (0..spent.owed).for_each(|_| self.queue.push(Entry::Ticket));
        if let Some(panicked) = spent.panicked {
            self.event_loop.report(|r| r.callback_panicked(*panicked));
        }
    }

    /// Takes the token of one task out of the queue, if it is there, leaving the order of the rest as it is.
    pub(crate) fn take_token(&self, task: TaskId) -> Option<Runnable> {
        self.queue.take_from(self.core.injector());
        let mut found = None;
        for _ in 0..self.queue.len() {
            match self.queue.pop() {
                Some(Entry::Task(token)) if token.id() == task => found = Some(token),
                Some(entry) => self.queue.push(entry),
                None => break,
            }
        }
        found
    }
}

/// This thread is a worker until this is dropped; then its queue goes back to the loop.
#[derive(Debug)]
pub(crate) struct Entered(Option<Rc<Worker>>);

impl std::ops::Deref for Entered {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        self.0.as_ref().expect("the worker is there until the guard is dropped")
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(CURRENT.try_with(RefCell::take));
        // The other reference was in the cell, which lends but never gives it away.
        if let Some(Worker { event_loop, queue, outer, .. }) =
            self.0.take().and_then(Rc::into_inner)
        {
            let _ = CURRENT.try_with(|current| current.replace(outer));
            event_loop.put_queue_back(queue);
        }
    }
}
