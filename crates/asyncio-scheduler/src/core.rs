//! What a waker reaches: never freed, so a wake may come at any time from any thread.
//!
//! A task's scheduler is a bare `&'static Core`. Cells, wakers and handles may outlive their loop and own none of it.
//!
//! # Who has the core
//!
//! A loop, from its making until its [`Loop`] is freed; then the next loop that is made. Whoever queues for a loop holds its `Loop`, and a
//! loop that is closed takes nothing, so nothing is ever queued for a loop that has handed its core on. There are never more cores
//! than there were loops at one time.
//!
//! Others reach the core without the `Loop`. A waker that is late in a push pushes the token of a task that is not complete, and the closer
//! waits for that; at worst it then unparks a loop that had no need. What a task's last handle reports after its loop is freed
//! goes to the loop that has the core by then, else to the [last resort](set_last_resort).
//!
//! How worker 0 sleeps and is woken is told in `sleep.rs`.

use crate::driver::Reporter;
use crate::event_loop::Loop;
use crate::panics::contain;
use crate::run_queue::{Entry, Injector};
use crate::sleep::Sleep;
use crate::worker;
use asyncio_base::context::ContextSlot;
use asyncio_base::sync::Mutex;
use asyncio_task::{
    Host, JoinError, Runnable, Schedule, ScheduleLocal, TaskHandle, TaskList, Unretrieved,
};
use std::sync::{Arc, OnceLock, Weak};

/// The lasting part of a loop.
#[derive(Debug)]
pub struct Core {
    /// Entries from threads that are no workers of this loop.
    injector: Injector,
    sleep: Sleep,
    /// Tasks that any worker may run.
    pub(crate) tasks: TaskList,
    /// Tasks of worker 0 alone.
    pub(crate) local: LocalSide,
    owner: Mutex<Owner>,
}

/// The loop that has a core.
#[derive(Debug)]
enum Owner {
    Nobody,
    /// Not closed: a loop with work to do is kept.
    Open(Arc<Loop>),
    Closed(Weak<Loop>),
}

/// The host of tasks that stay on worker 0.
#[derive(Debug)]
pub(crate) struct LocalSide {
    pub(crate) tasks: TaskList,
    core: OnceLock<&'static Core>,
}

/// Cores whose loops are freed. Plain std: it outlives any model.
static SPARE: std::sync::Mutex<Vec<&'static Core>> = std::sync::Mutex::new(Vec::new());

/// Hears of what happened to tasks whose loop is gone.
static LAST_RESORT: OnceLock<&'static dyn Reporter> = OnceLock::new();

/// Names who is told what a task's handle reports when the task's loop is gone; the first one named stays.
pub fn set_last_resort(reporter: &'static dyn Reporter) {
    // Set before: then that one stays.
    let _ = LAST_RESORT.set(reporter);
}

impl Core {
    /// A core that no loop has.
    pub(crate) fn acquire() -> &'static Core {
        let spare = || SPARE.lock().unwrap_or_else(|poison| poison.into_inner()).pop();
        // A model's atomics do not live on into the next one.
        let spare = if cfg!(asyncio_loom) { None } else { spare() };
        let core = spare.unwrap_or_else(Self::leak);
        core.refuse_tasks(false);
        core
    }

    fn leak() -> &'static Core {
        let core: &'static Core = Box::leak(Box::new(Core {
            injector: Injector::new(),
            sleep: Sleep::new(),
            tasks: TaskList::new(),
            local: LocalSide { tasks: TaskList::new(), core: OnceLock::new() },
            owner: Mutex::new(Owner::Nobody),
        }));
        core.local.core.set(core).expect("a core is linked to itself once");
        core
    }

    /// Puts the core aside for the next loop; for the closed loop that is being freed.
    pub(crate) fn release(&'static self) {
        self.set_owner(Owner::Nobody);
        if !cfg!(asyncio_loom) {
            SPARE.lock().unwrap_or_else(|poison| poison.into_inner()).push(self);
        }
    }

    /// The loop is made: it lives until it is closed.
    pub(crate) fn open(&self, event_loop: &Arc<Loop>) {
        self.set_owner(Owner::Open(event_loop.clone()));
    }

    /// The loop is closed: it lives as long as somebody has it.
    pub(crate) fn close(&self, event_loop: &Arc<Loop>) {
        self.set_owner(Owner::Closed(Arc::downgrade(event_loop)));
    }

    fn set_owner(&self, owner: Owner) {
        let before = std::mem::replace(&mut *self.owner.lock(), owner);
        drop(before);
    }

    fn owner(&self) -> Option<Arc<Loop>> {
        match &*self.owner.lock() {
            Owner::Nobody => None,
            Owner::Open(event_loop) => Some(event_loop.clone()),
            Owner::Closed(event_loop) => event_loop.upgrade(),
        }
    }

    /// Refuses further tasks, or takes them again.
    pub(crate) fn refuse_tasks(&self, refuse: bool) {
        self.tasks.set_closed(refuse);
        self.local.tasks.set_closed(refuse);
    }

    /// Whether no task is left.
    pub(crate) fn has_no_task(&self) -> bool {
        self.tasks.is_empty() && self.local.tasks.is_empty()
    }

    /// Queues an entry and wakes the worker if need be.
    pub(crate) fn push(&'static self, entry: Entry) {
        if self.enqueue(entry) {
            self.wake_sleeper();
        }
    }

    /// Queues an entry: at the back of this thread's run queue if it is a worker of this loop, else through the injector; then it is
    /// true, and the caller calls [`wake_sleeper`](Self::wake_sleeper).
    #[must_use]
    pub(crate) fn enqueue(&'static self, entry: Entry) -> bool {
        match worker::push_local(self, entry) {
            Ok(()) => false,
            Err(entry) => {
                self.injector.push(entry);
                true
            }
        }
    }

    /// Ends the worker's sleep if it sleeps; for whoever has published a reason.
    pub(crate) fn wake_sleeper(&self) {
        if self.sleep.must_unpark() {
            // None: late, and the loop is gone.
            self.owner().into_iter().for_each(|owner| owner.driver().unpark());
        }
    }

    /// The queue that other threads push to.
    pub(crate) fn injector(&self) -> &Injector {
        &self.injector
    }

    /// Calls `block` unless there is a reason not to sleep: an entry in the injector, or `stopping`.
    pub(crate) fn sleep(&self, stopping: impl FnOnce() -> bool, block: impl FnOnce()) {
        self.sleep.sleep(|| !self.injector.is_empty() || stopping(), block);
    }

    /// Tells the loop's reporter, else the last resort.
    fn report(&self, f: impl FnOnce(&dyn Reporter)) {
        match (self.owner(), LAST_RESORT.get()) {
            (Some(owner), _) => owner.report(f),
            (None, Some(last)) => contain(|| f(*last)),
            (None, None) => {}
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

// SAFETY: worker 0 makes these tasks and takes every entry. A loop that has some is run or closed by no other thread than the one that
// was worker 0 before (`Loop::is_right_thread`), and its core goes to no other loop before they have ended.
unsafe impl ScheduleLocal for Pinned {}

impl Host for Core {
    fn tasks(&self) -> &TaskList {
        &self.tasks
    }

    fn call_soon(&self, context: ContextSlot, callback: Box<dyn FnOnce() + Send>) {
        match self.owner() {
            Some(owner) => owner.call_done(context, callback),
            // The loop is gone. The callback is user code also when it is dropped.
            None => contain(|| drop(callback)),
        }
    }

    fn panicked(&self, task: &TaskHandle, error: &JoinError) -> bool {
        let mut told = false;
        self.report(|reporter| told = reporter.task_panicked(task, error));
        told
    }

    fn unretrieved(&self, task: Unretrieved, error: &JoinError) {
        self.report(|reporter| reporter.unretrieved(task, error));
    }

    fn is_worker(&self) -> bool {
        // A core is linked to itself, and never moves.
        worker::works_for(self.local.core())
    }

    fn destructor_panicked(&self, error: JoinError) {
        self.report(|reporter| reporter.destructor_panicked(error));
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

    fn panicked(&self, task: &TaskHandle, error: &JoinError) -> bool {
        self.core().panicked(task, error)
    }

    fn unretrieved(&self, task: Unretrieved, error: &JoinError) {
        self.core().unretrieved(task, error);
    }

    fn is_worker(&self) -> bool {
        self.core().is_worker()
    }

    fn destructor_panicked(&self, error: JoinError) {
        self.core().destructor_panicked(error);
    }
}
