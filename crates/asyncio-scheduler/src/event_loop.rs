//! The loop: run, stop, close.
//!
//! # Running
//!
//! The thread that calls [`Loop::run_forever`] goes through the gate and becomes worker 0. It makes passes until `stop` was called, and
//! finishes the pass it is in. What is queued by then stays for the next run. While the loop is idle nothing of it moves.
//!
//! # Closing
//!
//! 1. Through the gate: from now on nothing runs, spawns or queues.
//! 2. The lane's callbacks are dropped.
//! 3. Every pending task is aborted and its token run, on this thread, as a worker: its future is dropped there. A thread that has counted
//!    a wake and not pushed its token yet is waited for, so no token is ever stranded.
//! 4. Each of them is reported.
//! 5. The driver closes, the core is put aside.

use crate::callback::{Handle, Kind};
use crate::core::{Anywhere, Core, Pinned};
use crate::driver::{Driver, Reporter};
use crate::gate::{Gate, NotIdle};
use crate::lane::Lane;
use crate::run_queue::{Entry, RunQueue};
use crate::worker::{self, Worker};
use asyncio_base::context::ContextSlot;
use asyncio_base::sync::{AtomicBool, Mutex, Ordering};
use asyncio_task::{Options, Task, TaskHandle, spawn, spawn_local, with_borrowed};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::thread::{self, ThreadId};

/// The loop is closed.
///
/// # Python
///
/// `RuntimeError: Event loop is closed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopClosed;

impl fmt::Display for LoopClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("event loop is closed")
    }
}

impl std::error::Error for LoopClosed {}

/// Why a loop did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The loop is closed.
    Closed,
    /// This very loop runs already.
    AlreadyRunning,
    /// This thread runs another loop.
    AnotherRunning,
    /// The loop has local tasks of another thread.
    WrongThread,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunError::Closed => "event loop is closed",
            RunError::AlreadyRunning => "this event loop is already running",
            RunError::AnotherRunning => "cannot run the event loop while another loop is running",
            RunError::WrongThread => "this event loop has local tasks of another thread",
        })
    }
}

impl std::error::Error for RunError {}

/// Why a loop was not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseError {
    /// It is running.
    Running,
    /// It has local tasks of another thread.
    WrongThread,
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CloseError::Running => "cannot close a running event loop",
            CloseError::WrongThread => "this event loop has local tasks of another thread",
        })
    }
}

impl std::error::Error for CloseError {}

/// A loop.
pub struct Loop {
    gate: Gate,
    core: &'static Core,
    lane: Lane,
    driver: Arc<dyn Driver>,
    reporter: Arc<dyn Reporter>,
    stopping: AtomicBool,
    /// Worker 0's queue while no thread is worker 0.
    idle_queue: Mutex<Option<RunQueue>>,
    /// The thread that the local tasks belong to.
    local_thread: Mutex<Option<ThreadId>>,
}

impl Loop {
    /// An idle loop.
    pub fn new(driver: Arc<dyn Driver>, reporter: Arc<dyn Reporter>) -> Arc<Loop> {
        let core = Core::acquire();
        let event_loop = Arc::new(Loop {
            gate: Gate::new(),
            core,
            lane: Lane::new(),
            driver,
            reporter,
            stopping: AtomicBool::new(false),
            idle_queue: Mutex::new(Some(RunQueue::new())),
            local_thread: Mutex::new(None),
        });
        core.set_owner(Some(event_loop.clone()));
        event_loop
    }

    pub(crate) fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    pub(crate) fn reporter(&self) -> &dyn Reporter {
        &*self.reporter
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Whether the loop is inside a run.
    pub fn is_running(&self) -> bool {
        self.gate.is_running()
    }

    /// Whether the loop is closed or being closed.
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    // ----- queueing

    /// Queues a callback on the lane, from any thread.
    ///
    /// # Errors
    ///
    /// If the loop is closed; the callback has been dropped.
    pub fn call(
        &self,
        kind: Kind,
        context: ContextSlot,
        location: &'static Location<'static>,
        function: impl FnOnce() + Send + 'static,
    ) -> Result<Handle, LoopClosed> {
        let handle = Handle::new(kind, context, location, function);
        self.queue_callback(handle.clone()).map(|()| handle)
    }

    /// Queues a callback made before, such as a timer's.
    ///
    /// # Errors
    ///
    /// If the loop is closed.
    pub fn queue_callback(&self, callback: Handle) -> Result<(), LoopClosed> {
        if !self.lane.push(callback) {
            return Err(LoopClosed);
        }
        self.core.push(Entry::Ticket);
        Ok(())
    }

    /// Queues a task's done-callback; a closed loop drops it.
    pub(crate) fn call_done(&self, context: ContextSlot, callback: Box<dyn FnOnce() + Send>) {
        let _ = self.call(Kind::Plain, context, Location::caller(), callback);
    }

    /// Makes a task and queues its first turn, from any thread.
    ///
    /// On a closed loop the future is dropped, and the task has ended cancelled.
    pub fn spawn<F>(
        &self,
        future: F,
        options: Options,
        location: &'static Location<'static>,
    ) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, token) = spawn(future, Anywhere(self.core), options, location);
        token.into_iter().for_each(|token| self.core.push(Entry::Task(token)));
        task
    }

    /// As [`spawn`](Self::spawn), for a future that stays on worker 0; `None` if this thread is not, and the future is dropped.
    pub fn spawn_local<F>(
        &self,
        future: F,
        options: Options,
        location: &'static Location<'static>,
    ) -> Option<Task<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        if !self.is_worker() {
            return None;
        }
        *self.local_thread.lock() = Some(thread::current().id());
        let (task, token) = spawn_local(future, Pinned(self.core), options, location);
        token.into_iter().for_each(|token| self.core.push(Entry::Task(token)));
        Some(task)
    }

    /// Whether this thread is a worker of this loop.
    pub fn is_worker(&self) -> bool {
        worker::works_for(self.core)
    }

    /// The tasks that have not ended, oldest first among those of one kind.
    pub fn all_tasks(&self) -> Vec<TaskHandle> {
        let mut tasks = self.core.local.tasks.snapshot();
        tasks.extend(self.core.tasks.snapshot());
        tasks
    }

    // ----- running

    /// Makes passes until [`stop`](Self::stop); one pass if it was called before.
    ///
    /// # Errors
    ///
    /// If the loop is not idle, or this thread is busy with another.
    pub fn run_forever(self: &Arc<Self>) -> Result<(), RunError> {
        let worker = self.enter()?;
        self.passes(&worker);
        Ok(())
    }

    /// Runs `main` as a task of this loop until it has ended or [`stop`](Self::stop) was called.
    ///
    /// `main` is polled and dropped by this thread only. `started` gets the handle of its task. The outcome is `None` if the loop was
    /// stopped first: then `main` has been dropped.
    ///
    /// # Errors
    ///
    /// If the loop is not idle, or this thread is busy with another; `main` was not polled.
    pub fn run_until_complete<F: Future>(
        self: &Arc<Self>,
        main: F,
        options: Options,
        location: &'static Location<'static>,
        started: impl FnOnce(TaskHandle),
    ) -> Result<Option<MainOutcome<F::Output>>, RunError> {
        let worker = self.enter()?;
        let (joined, output) = with_borrowed(main, |main| {
            let mut task = self.spawn_local(main, options, location)?;
            started(task.handle());
            self.run_until_done(&worker, &task);
            if !task.done() {
                drop_main(&worker, &task);
                return None;
            }
            // Done in the very pass that somebody else stopped: its callbacks are queued and come first.
            loop {
                match task.try_result() {
                    Some(joined) => break Some(joined),
                    None => worker.pass(),
                }
            }
        });
        Ok(match (joined, output) {
            (_, Some(output)) => Some(MainOutcome::Returned(output)),
            (Some(Err(error)), None) => Some(MainOutcome::Failed(error)),
            (_, None) => None,
        })
    }

    /// Makes passes until main has ended and what it queued by then has run, as asyncio does: by a done-callback that stops.
    fn run_until_done(self: &Arc<Self>, worker: &Worker, main: &Task<()>) {
        let this = self.clone();
        let run = Arc::new(AtomicBool::new(true));
        let is_this_run = run.clone();
        main.add_done_callback(move |_| {
            // One that is left over must not stop a later run.
            if is_this_run.load(Ordering::Relaxed) {
                this.stop();
            }
        });
        self.passes(worker);
        run.store(false, Ordering::Relaxed);
    }

    /// Goes through the gate; this thread is worker 0 until the guard is dropped.
    fn enter(self: &Arc<Self>) -> Result<Running, RunError> {
        if worker::is_worker() {
            let same = self.is_worker();
            return Err(if same { RunError::AlreadyRunning } else { RunError::AnotherRunning });
        }
        self.gate.try_run().map_err(|not_idle| match not_idle {
            NotIdle::Running => RunError::AlreadyRunning,
            NotIdle::Closed => RunError::Closed,
        })?;
        if !self.is_right_thread() {
            self.gate.leave();
            return Err(RunError::WrongThread);
        }
        Ok(Running { worker: Some(self.become_worker()), event_loop: self.clone() })
    }

    fn become_worker(self: &Arc<Self>) -> worker::Entered {
        let queue = self.idle_queue.lock().take().unwrap_or_default();
        Worker::enter(self, self.core, queue)
    }

    pub(crate) fn put_queue_back(&self, queue: RunQueue) {
        *self.idle_queue.lock() = Some(queue);
    }

    /// Whether local tasks, if there are any, belong to this thread.
    fn is_right_thread(&self) -> bool {
        self.core.local.tasks.is_empty()
            || *self.local_thread.lock() == Some(thread::current().id())
    }

    fn passes(&self, worker: &Worker) {
        loop {
            worker.pass();
            if self.stopping.swap(false, Ordering::AcqRel) {
                return;
            }
        }
    }

    /// Ends the run after the pass it is in; before a run, the next run makes one pass. Any thread.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.core.wake_sleeper();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    // ----- closing

    /// Closes the loop; closing a closed one does nothing. False if it was closed already.
    ///
    /// # Errors
    ///
    /// If the loop is running, or has local tasks of another thread.
    pub fn close(self: &Arc<Self>) -> Result<bool, CloseError> {
        match self.gate.try_close() {
            Ok(()) => {}
            Err(NotIdle::Running) => return Err(CloseError::Running),
            Err(NotIdle::Closed) => return Ok(false),
        }
        if !self.is_right_thread() {
            self.gate.leave();
            return Err(CloseError::WrongThread);
        }
        self.core.tasks.set_closed(true);
        self.core.local.tasks.set_closed(true);
        let outer = worker::suspend();
        let worker = self.become_worker();
        drop(self.lane.close());
        self.destroy_tasks(&worker);
        self.driver.close();
        drop(worker);
        drop(outer);
        self.gate.set_closed();
        self.core.release();
        Ok(true)
    }

    fn destroy_tasks(&self, worker: &Worker) {
        let pending = self.all_tasks();
        pending.iter().for_each(|task| {
            task.abort();
        });
        worker.run_until_no_task();
        pending.into_iter().for_each(|task| self.reporter.task_destroyed(task));
    }
}

impl fmt::Debug for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// How main ended.
#[derive(Debug)]
pub enum MainOutcome<T> {
    /// With a value.
    Returned(T),
    /// Cancelled, or by a panic.
    Failed(asyncio_task::JoinError),
}

/// Main was stopped before its end: its future is dropped now, in its own task. Another thread may be about to push its token.
fn drop_main(worker: &Worker, main: &Task<()>) {
    main.abort();
    while !main.done() {
        worker.run_only(main.id());
        asyncio_base::sync::thread::yield_now();
    }
}

/// The loop runs on this thread until this is dropped, also by a panic.
#[derive(Debug)]
struct Running {
    worker: Option<worker::Entered>,
    event_loop: Arc<Loop>,
}

impl std::ops::Deref for Running {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        self.worker.as_ref().expect("the worker is there until the guard is dropped")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.worker.take());
        self.event_loop.gate.leave();
    }
}
