//! What a waker reaches: never freed, so a wake may come at any time from any thread.
//!
//! A task's scheduler is a bare `&'static Core`. Cells, wakers and handles may outlive their loop and own none of it: closing a loop
//! completes all of its tasks and puts the core aside for the next loop, so there are never more cores than there were loops at
//! one time. A thread that is late in a push finds a core as good as before: what it pushed was run by the closer, who waits for
//! it, or is a ticket that is spent on nothing; at worst it unparks a loop that had no need.
//!
//! # Sleeping
//!
//! Worker 0 sleeps in the driver; other threads push to the injector. Both publish first and look second:
//!
//! | other thread | worker |
//! |---|---|
//! | 1. push the entry | 1. `sleep` := PARKED |
//! | 2. fence | 2. fence |
//! | 3. `sleep` PARKED? => AWAKE and unpark | 3. injector empty, not stopped? then block |
//!
//! Of two fences one is first in their total order: the other side sees what was published before it. So either the worker sees the
//! entry, or the thread sees PARKED; in the second case the driver promises that an unpark before the block ends the block. The exchange
//! from PARKED lets one of many pushers unpark.
//!
//! Models: `loom-tests/tests/scheduler.rs`.

use crate::event_loop::Loop;
use crate::run_queue::{Entry, Injector};
use crate::worker;
use asyncio_base::context::ContextSlot;
use asyncio_base::sync::{AtomicU64, Mutex, Ordering, load_after_fence, store_load_fence};
use asyncio_task::{Host, JoinError, Runnable, Schedule, ScheduleLocal, TaskList, Unretrieved};
use std::sync::{Arc, OnceLock};

const AWAKE: u64 = 0;
const PARKED: u64 = 1;

/// The lasting part of a loop.
#[derive(Debug)]
pub struct Core {
    /// Entries from threads that are no workers of this loop.
    injector: Injector,
    /// AWAKE or PARKED.
    sleep: AtomicU64,
    /// Tasks that any worker may run.
    pub(crate) tasks: TaskList,
    /// Tasks of worker 0 alone.
    pub(crate) local: LocalSide,
    /// The loop that has this core now.
    owner: Mutex<Option<Arc<Loop>>>,
}

/// The host of tasks that stay on worker 0.
#[derive(Debug)]
pub(crate) struct LocalSide {
    pub(crate) tasks: TaskList,
    core: OnceLock<&'static Core>,
}

/// Cores whose loops are closed. Plain std: it outlives any model.
static SPARE: std::sync::Mutex<Vec<&'static Core>> = std::sync::Mutex::new(Vec::new());

impl Core {
    /// A core that no loop has.
    pub(crate) fn acquire() -> &'static Core {
        let spare = || SPARE.lock().unwrap_or_else(|poison| poison.into_inner()).pop();
        // A model's atomics do not live on into the next one.
        let spare = if cfg!(asyncio_loom) { None } else { spare() };
        let core = spare.unwrap_or_else(Self::leak);
        core.tasks.set_closed(false);
        core.local.tasks.set_closed(false);
        core
    }

    fn leak() -> &'static Core {
        let core: &'static Core = Box::leak(Box::new(Core {
            injector: Injector::new(),
            sleep: AtomicU64::new(AWAKE),
            tasks: TaskList::new(),
            local: LocalSide { tasks: TaskList::new(), core: OnceLock::new() },
            owner: Mutex::new(None),
        }));
        core.local.core.set(core).expect("a core is linked to itself once");
        core
    }

    /// Gives the core back; its loop is closed.
    pub(crate) fn release(&'static self) {
        self.set_owner(None);
        if !cfg!(asyncio_loom) {
            SPARE.lock().unwrap_or_else(|poison| poison.into_inner()).push(self);
        }
    }

    /// Names the loop that has this core.
    pub(crate) fn set_owner(&self, owner: Option<Arc<Loop>>) {
        let before = std::mem::replace(&mut *self.owner.lock(), owner);
        drop(before);
    }

    fn owner(&self) -> Option<Arc<Loop>> {
        self.owner.lock().clone()
    }

    /// Queues an entry: at the back of this thread's run queue if it is a worker of this loop, else through the injector.
    pub(crate) fn push(&'static self, entry: Entry) {
        if let Err(entry) = worker::push_local(self, entry) {
            self.injector.push(entry);
            self.wake_sleeper();
        }
    }

    /// Ends the worker's sleep if it sleeps; for whoever has published a reason.
    pub(crate) fn wake_sleeper(&self) {
        store_load_fence();
        if load_after_fence(&self.sleep) != PARKED {
            return;
        }
        let took = self.sleep.compare_exchange(PARKED, AWAKE, Ordering::AcqRel, Ordering::Relaxed);
        if let (Ok(_), Some(owner)) = (took, self.owner()) {
            owner.driver().unpark();
        }
    }

    /// The queue that other threads push to.
    pub(crate) fn injector(&self) -> &Injector {
        &self.injector
    }

    /// Calls `block` unless there is a reason not to sleep: an entry in the injector, or `stopped`.
    pub(crate) fn sleep(&self, stopped: impl Fn() -> bool, block: impl FnOnce()) {
        self.sleep.store(PARKED, Ordering::Relaxed);
        store_load_fence();
        if self.injector.is_empty() && !stopped() {
            block();
        }
        self.sleep.store(AWAKE, Ordering::Relaxed);
    }

    fn report(&self, f: impl FnOnce(&Loop)) {
        if let Some(owner) = self.owner() {
            f(&owner);
        }
    }
}

/// The scheduler of a task that any worker may run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anywhere(pub(crate) &'static Core);

/// The scheduler of a task that stays on worker 0: main, or one with a `!Send` future.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pinned(pub(crate) &'static Core);

impl Schedule for Anywhere {
    fn schedule(self, token: Runnable) {
        self.0.push(Entry::Task(token));
    }

    fn host(self) -> &'static dyn Host {
        self.0
    }
}

impl Schedule for Pinned {
    fn schedule(self, token: Runnable) {
        self.0.push(Entry::Task(token));
    }

    fn host(self) -> &'static dyn Host {
        &self.0.local
    }
}

// SAFETY: a loop with local tasks runs and closes only on the thread that made them (`Loop::check_thread`), and with one worker
// that thread takes every entry.
unsafe impl ScheduleLocal for Pinned {}

impl Host for Core {
    fn tasks(&self) -> &TaskList {
        &self.tasks
    }

    fn call_soon(&self, context: ContextSlot, callback: Box<dyn FnOnce() + Send>) {
        self.report(|owner| owner.call_done(context, callback));
    }

    fn unretrieved(&self, task: Unretrieved, error: &JoinError) {
        self.report(|owner| owner.reporter().unretrieved(task, error));
    }

    fn destructor_panicked(&self, error: JoinError) {
        self.report(|owner| owner.reporter().destructor_panicked(error));
    }
}

impl LocalSide {
    fn core(&self) -> &'static Core {
        self.core.get().expect("a core is linked to itself when it is made")
    }
}

impl Host for LocalSide {
    fn tasks(&self) -> &TaskList {
        &self.tasks
    }

    fn call_soon(&self, context: ContextSlot, callback: Box<dyn FnOnce() + Send>) {
        self.core().call_soon(context, callback);
    }

    fn unretrieved(&self, task: Unretrieved, error: &JoinError) {
        self.core().unretrieved(task, error);
    }

    fn destructor_panicked(&self, error: JoinError) {
        self.core().destructor_panicked(error);
    }
}
