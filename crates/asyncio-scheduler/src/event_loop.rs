//! The loop: queue, run, stop. `close.rs` has the end of it.
//!
//! The thread that calls [`Loop::run_forever`] goes through the gate and becomes worker 0. It makes passes until `stop` was called, and
//! finishes the pass it is in. What is queued by then stays for the next run. While the loop is idle nothing of it moves.
//!
//! However a run ends, also by a panic of the driver: the queue goes back to the loop, a main that has not ended is dropped, and no request
//! to stop is left for the next run. Only a `stop` before a run is kept, and makes it one pass long. That pass is worker 0's alone, so that it runs
//! all that was queued, as in asyncio: no other worker can hold the lane meanwhile, or take something and be slow with it.

use crate::callback::{Handle, Kind};
use crate::core::Core;
use crate::driver::{Driver, Reporter, Step};
use crate::errors::{LoopClosed, RunError};
use crate::gate::{Gate, NotIdle};
use crate::here;
use crate::idle::MOST_WORKERS;
use crate::lane::Lane;
use crate::room::{LocalRoom, Room};
use crate::run_queue::Entry;
use crate::simulated;
use crate::worker::{self, Worker};
use asyncio_base::context::ContextSlot;
use asyncio_base::sync::thread::{self, ThreadId};
use asyncio_base::sync::{AtomicBool, Mutex, Ordering};
use asyncio_task::contain;
use asyncio_task::{Host, JoinError, Task, TaskHandle, with_borrowed};
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

/// A loop.
pub struct Loop {
    pub(crate) gate: Gate,
    pub(crate) core: &'static Core,
    lane: Lane,
    driver: Arc<dyn Driver>,
    reporter: Arc<dyn Reporter>,
    /// Worker 0 is unparked after it is set.
    stopping: AtomicBool,
    /// Steps are run through the reporter. Relaxed: a step more or less does not matter.
    watched: AtomicBool,
    /// Why a worker other than worker 0 could not go on; the run ends with it.
    failure: Mutex<Option<Box<dyn Any + Send>>>,
    /// The thread that is worker 0, or was it last: local tasks belong to it.
    local_thread: Mutex<Option<ThreadId>>,
}

impl Loop {
    /// An idle loop with so many workers.
    ///
    /// # Panics
    ///
    /// If there are none, or more than 65 536.
    pub fn new(workers: usize, driver: Arc<dyn Driver>, reporter: Arc<dyn Reporter>) -> Arc<Loop> {
        assert!(
            (1..=MOST_WORKERS).contains(&workers),
            "a loop has 1 to {MOST_WORKERS} workers, not {workers}"
        );
        let core = Core::acquire(workers);
        let event_loop = Arc::new(Loop {
            gate: Gate::new(),
            core,
            lane: Lane::new(),
            driver,
            reporter,
            stopping: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            failure: Mutex::new(None),
            local_thread: Mutex::new(None),
        });
        core.open(&event_loop);
        event_loop
    }

    pub(crate) fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    pub(crate) fn driver_arc(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Tells the reporter.
    pub(crate) fn report(&self, f: impl FnOnce(&dyn Reporter)) {
        contain(|| f(&*self.reporter));
    }

    /// Runs user code in the midst of other work: its panic is reported.
    pub(crate) fn reporting(&self, code: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(code)) {
            self.report(|reporter| reporter.destructor_panicked(JoinError::panicked(panic)));
        }
    }

    /// Has every step run by [`Reporter::watch`], or no longer, from the next pass on. Any thread, at any time.
    pub fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// Whether steps are run by [`Reporter::watch`].
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Runs a step under the eyes of the reporter.
    pub(crate) fn watch<R>(&self, step: Step, run: impl FnOnce() -> R) -> R {
        let (mut run, mut result) = (Some(run), None);
        self.report(|reporter| reporter.watch(&step, &mut || result = run.take().map(|run| run())));
        // The last reference to the values of a callback's context, perhaps.
        self.reporting(|| drop(step));
        let run = || run.take().map(|run| run());
        result.or_else(run).expect("a step is run by the reporter or here")
    }

    /// Whether the loop is inside a run.
    pub fn is_running(&self) -> bool {
        self.gate.is_running()
    }

    /// Whether the loop is closed or being closed.
    #[inline]
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
        let pushed = self.lane.push(callback, || self.core.enqueue(Entry::Ticket));
        self.core.rouse(pushed.map_err(|_callback| LoopClosed)?);
        Ok(())
    }

    /// Queues a task's done-callback; a closed loop drops it.
    pub(crate) fn call_done(&self, context: ContextSlot, callback: Box<dyn FnOnce() + Send>) {
        self.reporting(|| drop(self.call(Kind::Plain, context, Location::caller(), callback)));
    }

    /// Room for a task that any worker may run.
    #[inline(always)]
    pub fn room<F: Future + 'static>(
        &self,
        context: ContextSlot,
        location: &'static Location<'static>,
    ) -> Room<F> {
        Room::new(self.core, context, location)
    }

    /// Room for a task that stays on this thread; `None` if it is not worker 0.
    pub fn local_room<F: Future + 'static>(
        &self,
        context: ContextSlot,
        location: &'static Location<'static>,
    ) -> Option<LocalRoom<F>> {
        self.is_worker_zero().then(|| LocalRoom::new(self.core, context, location))
    }

    /// Whether it is a task of this loop.
    pub fn owns<T>(&self, task: &Task<T>) -> bool {
        let host: *const dyn Host = task.host();
        self.core.homes().any(|home| ptr::addr_eq(host, home))
    }

    /// Whether this thread is a worker of this loop.
    pub fn is_worker(&self) -> bool {
        here::works_for(self.core)
    }

    /// Whether this thread is the one that runs the loop.
    pub fn is_worker_zero(&self) -> bool {
        self.worker_here() == Some(0)
    }

    /// The number of the worker that this thread is.
    pub fn worker_here(&self) -> Option<usize> {
        here::shard_here(self.core).map(|shard| shard.index)
    }

    /// How many workers the loop has.
    pub fn workers(&self) -> usize {
        self.core.workers()
    }

    /// The tasks that have not ended: worker 0's own first, then worker by worker, each in the order of their making.
    pub fn all_tasks(&self) -> Vec<TaskHandle> {
        self.core.all_tasks()
    }

    // ----- running

    /// Makes passes until [`stop`](Self::stop); one pass if it was called before.
    ///
    /// # Errors
    ///
    /// If the loop is not idle, or this thread is busy with another.
    pub fn run_forever(self: &Arc<Self>) -> Result<(), RunError> {
        let worker = self.enter()?;
        self.passes(&worker, None);
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
        context: ContextSlot,
        location: &'static Location<'static>,
        started: impl FnOnce(TaskHandle),
    ) -> Result<Option<MainOutcome<F::Output>>, RunError> {
        let worker = self.enter()?;
        let (joined, output) = with_borrowed(main, |main| {
            let task = LocalRoom::new(self.core, context, location).spawn(main);
            let mut main = Main { worker: &worker, task };
            started(main.task.handle());
            self.passes(&worker, Some(&main.task));
            main.task.try_result()
        });
        Ok(match (joined, output) {
            // Also when main had returned: a cancel that was recorded before its end is answered, and a destructor's panic told.
            (Some(Err(error)), _) => Some(MainOutcome::Failed(error)),
            (_, Some(output)) => Some(MainOutcome::Returned(output)),
            (_, None) => None,
        })
    }

    /// Makes passes until `stop` was called or, at the end of a pass, `main` is done; then one more, as in asyncio, where a done-callback
    /// of main does the stopping: what main queued before its end runs in it.
    fn passes(self: &Arc<Self>, worker: &Rc<Worker>, main: Option<&Task<()>>) {
        let ended = || main.is_some_and(Task::done);
        if let Some(simulation) = self.driver().simulation() {
            return simulated::play(self, worker, simulation, ended);
        }
        loop {
            worker.pass(true);
            if self.is_stopping() {
                break;
            }
            if ended() {
                worker.last_pass();
                break;
            }
        }
        if let Some(panic) = self.failure.lock().take() {
            resume_unwind(panic);
        }
    }

    /// A worker other than worker 0 cannot go on: the run ends with its panic.
    pub(crate) fn fail(&self, panic: Box<dyn Any + Send>) {
        let before = self.failure.lock().replace(panic);
        self.reporting(|| drop(before));
        self.stop();
    }

    /// One worker more could not go on when the last run ended by the panic of another: that is told by now, and not what this run ends with.
    fn forget_failure(&self) {
        let stale = self.failure.lock().take();
        self.reporting(|| drop(stale));
    }

    /// Goes through the gate; this thread is worker 0 until the guard is dropped.
    fn enter(self: &Arc<Self>) -> Result<Running, RunError> {
        if self.is_closed() {
            return Err(RunError::Closed);
        }
        if here::is_worker() {
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
        self.forget_failure();
        let is_real = self.driver().simulation().is_none();
        let alone = is_real && self.is_stopping();
        let worker = self.become_worker(alone);
        let is_open = is_real && !alone;
        if is_open {
            self.core.idle.open();
            // Who kept the office when the last run ended may sleep without bound, or have no thread any more.
            self.core.watch.vacate();
        }
        // What others had queued when the last run ended.
        self.core.take_all(&worker.queue);
        Ok(Running { worker: Some(worker), event_loop: self.clone(), is_open })
    }

    /// For the owner of the gate, on the right thread; `alone` if no other worker gets up.
    pub(crate) fn become_worker(self: &Arc<Self>, alone: bool) -> worker::Entered {
        *self.local_thread.lock() = Some(thread::current().id());
        Worker::enter(self, 0, alone)
    }

    /// Whether local tasks, if there are any, belong to this thread; for the owner of the gate.
    pub(crate) fn is_right_thread(&self) -> bool {
        self.core.local.home.tasks.is_empty()
            || *self.local_thread.lock() == Some(thread::current().id())
    }

    /// Ends the run after the pass it is in; before a run, the next run makes one pass. Any thread.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.core.unpark(0);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // Only a closed loop gets here: an open one is kept by its core.
        self.core.release();
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
    Failed(JoinError),
}

/// Main's task, which ends with the run: what has not ended by then is dropped, in its own task.
struct Main<'a> {
    worker: &'a Worker,
    task: Task<()>,
}

impl Drop for Main<'_> {
    fn drop(&mut self) {
        if self.task.done() {
            return;
        }
        self.task.abort();
        while !self.task.done() {
            if !self.worker.run_now(self.task.id()) {
                // Another thread has counted a wake and is about to push the token.
                thread::yield_now();
            }
        }
    }
}

/// The loop runs on this thread until this is dropped, also by a panic.
#[derive(Debug)]
struct Running {
    worker: Option<worker::Entered>,
    event_loop: Arc<Loop>,
    /// Others may get up.
    is_open: bool,
}

impl Running {
    /// Nobody is woken any more, and the other workers lie.
    fn let_all_lie(&self) {
        let core = self.event_loop.core;
        self.end_search();
        core.idle.shut();
        if core.workers() > 1 {
            // One may sleep in the driver: `idle.rs`.
            self.event_loop.driver().unpark();
            core.idle.wait_until_all_lie(|| core.driving.is_taken());
        }
    }
}

impl std::ops::Deref for Running {
    type Target = Rc<Worker>;

    fn deref(&self) -> &Rc<Worker> {
        self.worker.as_ref().expect("the worker is there until the guard is dropped")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_open {
            self.let_all_lie();
        }
        drop(self.worker.take());
        self.event_loop.stopping.store(false, Ordering::Relaxed);
        self.event_loop.gate.leave();
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use crate::rehearsal;

    #[test]
    fn a_worker_that_fails_when_its_run_has_ended_does_not_end_the_next() {
        let event_loop = rehearsal::new_loop(2);
        event_loop.fail(Box::new("of the run before"));
        event_loop.run_forever().unwrap();
        event_loop.close().unwrap();
    }
}
