//! What a waker reaches: never freed, so a wake may come at any time from any thread.
//!
//! A task's scheduler is a bare `&'static Home` in a core. Cells, wakers and handles may outlive their loop and own none of it.
//!
//! # Who has the core
//!
//! A loop, from its making until its [`Loop`] is freed; then the next loop with as many workers that is made. Whoever queues for a loop holds
//! its `Loop`, and a loop that is closed takes nothing, so nothing is ever queued for a loop that has handed its core on. There are
//! never more cores than there were loops at one time.
//!
//! Others reach the core without the `Loop`. A waker that is late in a push pushes the token of a task that is not complete, and the closer
//! waits for that; at worst it then unparks a loop that had no need. What a task's last handle reports after its loop is freed
//! goes to the loop that has the core by then, else to the [last resort](set_last_resort).
//!
//! # Where entries go
//!
//! | what | queued by a worker of the loop | by another thread |
//! |---|---|---|
//! | a task any worker may run, a ticket | its own queue; others steal from it | the injector |
//! | a task of worker 0, with several workers | worker 0: its pinned queue | the pinned injector, and worker 0 is unparked |
//!
//! With one worker the pinned queues stay empty: everything is in one FIFO. Whom that wakes is told in `idle.rs`.

use crate::driver::Reporter;
use crate::event_loop::Loop;
use crate::here;
use crate::home::Home;
use crate::idle::{Idle, Retired};
use crate::right::Right;
use crate::run_queue::{Entry, Injector, RunQueue, Stolen};
use crate::shard::Shard;
use crate::threads::Threads;
use crate::watch::Watch;
use asyncio_base::context::ContextSlot;
use asyncio_base::sync::Mutex;
use asyncio_task::contain;
use asyncio_task::{Host, JoinError, Runnable, Schedule, ScheduleLocal, TaskHandle};
use std::sync::{Arc, OnceLock, Weak};

/// The lasting part of a loop.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) shards: Box<[Shard]>,
    /// Entries from threads that are no workers of this loop.
    injector: Injector,
    pub(crate) idle: Idle,
    pub(crate) watch: Watch,
    pub(crate) threads: Threads,
    /// The right to call the driver's `turn` for more than the timers; taken also while that blocks.
    pub(crate) driving: Right,
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

/// Where tasks that stay on worker 0 are made, and what is queued of them.
#[derive(Debug)]
pub(crate) struct LocalSide {
    pub(crate) home: Home,
    pub(crate) injector: Injector,
    /// The pinned queue while no thread is worker 0.
    idle_queue: Mutex<Option<RunQueue>>,
}

/// Whom a push has to wake; to be done outside locks, by [`Core::rouse`].
#[derive(Clone, Copy, Debug)]
#[must_use = "somebody may have to be woken"]
pub(crate) enum Rouse {
    Nobody,
    /// This one, which counts as awake already.
    Worker(usize),
    /// Anybody: the entry is in the injector.
    Anybody,
    /// Worker 0, wherever it sleeps.
    WorkerZero,
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
    // ----- whose it is

    /// A core for so many workers that no loop has.
    pub(crate) fn acquire(workers: usize) -> &'static Core {
        // A model's atomics do not live on into the next one.
        let spare = if cfg!(asyncio_loom) { None } else { Self::spare(workers) };
        let core = spare.unwrap_or_else(|| Self::leak(workers));
        core.refuse_tasks(false);
        core
    }

    fn spare(workers: usize) -> Option<&'static Core> {
        let mut spare = SPARE.lock().unwrap_or_else(|poison| poison.into_inner());
        let fits = spare.iter().position(|core| core.workers() == workers)?;
        Some(spare.swap_remove(fits))
    }

    fn leak(workers: usize) -> &'static Core {
        let local = LocalSide {
            home: Home::new(),
            injector: Injector::new(),
            idle_queue: Mutex::new(Some(RunQueue::alone())),
        };
        let core: &'static Core = Box::leak(Box::new(Core {
            shards: (0..workers).map(|index| Shard::new(index, workers)).collect(),
            injector: Injector::new(),
            idle: Idle::new(workers),
            watch: Watch::new(),
            threads: Threads::new(),
            driving: Right::new(),
            local,
            owner: Mutex::new(Owner::Nobody),
        }));
        core.homes().for_each(|home| home.link(core));
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

    pub(crate) fn owner(&self) -> Option<Arc<Loop>> {
        match &*self.owner.lock() {
            Owner::Nobody => None,
            Owner::Open(event_loop) => Some(event_loop.clone()),
            Owner::Closed(event_loop) => event_loop.upgrade(),
        }
    }

    /// Tells the loop's reporter, else the last resort.
    pub(crate) fn report(&self, f: impl FnOnce(&dyn Reporter)) {
        match (self.owner(), LAST_RESORT.get()) {
            (Some(owner), _) => owner.report(f),
            (None, Some(last)) => contain(|| f(*last)),
            (None, None) => {}
        }
    }

    // ----- its tasks

    /// How many workers the loop has.
    #[inline]
    pub(crate) fn workers(&self) -> usize {
        self.shards.len()
    }

    pub(crate) fn homes(&self) -> impl Iterator<Item = &Home> {
        std::iter::once(&self.local.home).chain(self.shards.iter().map(|shard| &*shard.home))
    }

    /// Refuses further tasks, or takes them again.
    pub(crate) fn refuse_tasks(&self, refuse: bool) {
        self.homes().for_each(|home| home.tasks.set_closed(refuse));
    }

    /// Whether no task is left.
    pub(crate) fn has_no_task(&self) -> bool {
        self.homes().all(|home| home.tasks.is_empty())
    }

    /// The tasks that have not ended, those of one worker in the order of their making.
    pub(crate) fn all_tasks(&self) -> Vec<TaskHandle> {
        self.homes().flat_map(|home| home.tasks.snapshot()).collect()
    }

    /// The shard for tasks made on this thread: the worker's own, else one chosen by the thread.
    #[inline]
    pub(crate) fn shard_here(&'static self) -> &'static Shard {
        match self.workers() {
            1 => &self.shards[0],
            workers => here::shard_here(self)
                .unwrap_or_else(|| &self.shards[here::thread_number() % workers]),
        }
    }

    pub(crate) fn is_worked_for_here(&'static self) -> bool {
        here::works_for(self)
    }

    /// Runs a done-callback on the lane.
    pub(crate) fn call_soon(&self, context: ContextSlot, callback: Box<dyn FnOnce() + Send>) {
        match self.owner() {
            Some(owner) => owner.call_done(context, callback),
            // The loop is gone. The callback is user code also when it is dropped.
            None => contain(|| drop(callback)),
        }
    }

    /// Tells the loop's reporter of a panic; whether that took notice.
    pub(crate) fn task_panicked(&self, task: &TaskHandle, error: &JoinError) -> bool {
        let mut told = false;
        self.report(|reporter| told = reporter.task_panicked(task, error));
        told
    }

    // ----- queueing

    /// Queues an entry and wakes a worker if need be.
    #[inline]
    pub(crate) fn push(&'static self, entry: Entry) {
        let rouse = self.enqueue(entry);
        self.rouse(rouse);
    }

    /// Queues an entry at the back of this thread's run queue if it is a worker of this loop, else through the injector.
    #[inline]
    pub(crate) fn enqueue(&'static self, entry: Entry) -> Rouse {
        here::push_local(self, entry).unwrap_or_else(|entry| self.inject(entry))
    }

    /// Queues an entry from outside.
    #[inline(never)]
    fn inject(&self, entry: Entry) -> Rouse {
        self.injector.push(entry);
        Rouse::Anybody
    }

    /// Queues an entry that only worker 0 may run.
    pub(crate) fn push_pinned(&'static self, entry: Entry) {
        if self.workers() == 1 {
            return self.push(entry);
        }
        if let Err(entry) = here::push_pinned(self, entry) {
            self.local.injector.push(entry);
            self.rouse(Rouse::WorkerZero);
        }
    }

    /// Wakes whom a push has to wake.
    #[inline]
    pub(crate) fn rouse(&'static self, rouse: Rouse) {
        match rouse {
            Rouse::Nobody => {}
            Rouse::Worker(worker) => self.wake(worker),
            Rouse::Anybody => self.notify(),
            Rouse::WorkerZero => self.unpark(0),
        }
    }

    /// Wakes a worker to search, if nobody does; for whoever has published work.
    pub(crate) fn notify(&'static self) {
        if let Some(worker) = self.idle.worker_to_wake() {
            self.wake(worker);
        }
    }

    /// Ends the sleep of a worker, which may have no thread yet.
    #[cold]
    pub(crate) fn wake(&'static self, mut worker: usize) {
        while let Err(error) = self.start_or_unpark(worker) {
            let retired = self.watch.retire(worker, &self.idle);
            self.report(|reporter| reporter.worker_refused(worker, error));
            let next = match retired {
                Retired::WasAsleep => self.watch.hand_over(worker, &self.idle),
                Retired::InItsPlace(next) => Some(next),
                Retired::LookAgain => return self.look_again(),
                Retired::Shut => None,
            };
            let Some(next) = next else { return };
            worker = next;
        }
    }

    fn start_or_unpark(&'static self, worker: usize) -> std::io::Result<()> {
        if self.shards[worker].has_thread() {
            self.unpark(worker);
            return Ok(());
        }
        self.owner().map_or(Ok(()), |owner| self.threads.start(owner, worker))
    }

    /// Ends a worker's sleep, or its next one.
    pub(crate) fn unpark(&self, worker: usize) {
        if self.shards[worker].parker.unpark() {
            // None: late, and the loop is gone.
            self.owner().into_iter().for_each(|owner| owner.driver().unpark());
        }
    }

    /// For whoever has stopped searching or sleeps, when nobody searches any more.
    pub(crate) fn look_again(&'static self) {
        if self.has_work_to_share() {
            self.notify();
        }
    }

    /// Whether there is something that a searcher would take.
    fn has_work_to_share(&self) -> bool {
        !self.injector.is_empty()
            || self.shards.iter().any(|shard| shard.stealer.len() >= WORTH_STEALING)
    }

    // ----- taking

    /// Whether other threads have pushed something that nobody has taken.
    pub(crate) fn has_injected(&self) -> bool {
        !self.injector.is_empty()
    }

    /// Moves what other threads have pushed to a worker's queue: everything if it is the only worker, else a fair share.
    pub(crate) fn take_injected(&self, queue: &RunQueue) {
        if self.workers() == 1 {
            queue.take_from(&self.injector);
        } else if !self.injector.is_empty() {
            self.steal_injected(queue);
        }
    }

    pub(crate) fn steal_injected(&self, queue: &RunQueue) -> Stolen {
        let share = self.injector.len() / self.workers() + 1;
        self.injector.steal(queue, share.min(crate::run_queue::BATCH))
    }

    /// Moves everything that is queued anywhere to `queue`, which is worker 0's; when all others lie.
    pub(crate) fn take_all(&self, queue: &RunQueue) {
        queue.take_from(&self.injector);
        // The first is worker 0's own.
        for shard in &self.shards[1..] {
            while !shard.stealer.is_empty() && shard.stealer.steal_half(queue) != Stolen::Nothing {}
        }
    }
}

/// A queue with fewer entries is left to its owner, who is about to run it; the watcher takes also a single one.
pub(crate) const WORTH_STEALING: usize = 2;

/// The scheduler of a task that any worker may run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anywhere(pub(crate) &'static Home);

/// The scheduler of a task that stays on worker 0: main, or one with a `!Send` future.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pinned(pub(crate) &'static Core);

impl Schedule for Anywhere {
    fn schedule(self, token: Runnable) {
        self.0.core().push(Entry::Task(token));
    }

    fn host(self) -> &'static dyn Host {
        self.0
    }
}

impl Schedule for Pinned {
    fn schedule(self, token: Runnable) {
        self.0.push_pinned(Entry::Task(token));
    }

    fn host(self) -> &'static dyn Host {
        &self.0.local.home
    }
}

// SAFETY: worker 0 makes these tasks and alone takes entries from the pinned queues; with one worker it takes every entry there is. A loop
// that has some is run or closed by no other thread than the one that was worker 0 before (`Loop::is_right_thread`), and its core goes to no
// other loop before they have ended.
unsafe impl ScheduleLocal for Pinned {}

impl LocalSide {
    pub(crate) fn take_queue(&self) -> RunQueue {
        self.idle_queue.lock().take().expect("one thread at a time is worker 0")
    }

    pub(crate) fn put_queue_back(&self, queue: RunQueue) {
        *self.idle_queue.lock() = Some(queue);
    }
}
