//! The event loop, and the ways to find one.

use crate::asyncgens::registry::Registry;
use crate::debug;
use crate::diagnostics::{
    self, Diagnostics, ExceptionContext, ExceptionHandler, default_exception_handler,
};
use crate::exceptions::{CloseError, LoopClosed, NoCurrentLoop, NoRunningLoop, RunError};
use crate::executors::DefaultExecutor;
use crate::futures::Future;
use crate::futures::main_future::MainFuture;
use crate::handles::{Handle, TimerHandle};
use crate::signals::Signals;
use crate::sim::seams::SimExecutor;
use crate::sim::world::World;
use crate::task_factory::FactorySlot;
use crate::tasks::{Task, TaskBuilder};
use crate::wiring::{Wiring, outer_loop};
use asyncio_base::context::{Context, ContextSlot, with_current};
use asyncio_scheduler::callback::Kind;
use asyncio_scheduler::event_loop::MainOutcome;
use asyncio_scheduler::{Loop, Room};
use asyncio_task::TaskHandle;
use std::cell::RefCell;
use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// An event loop: runs tasks and callbacks, and sleeps while there is nothing to run.
///
/// A handle: clones name the same loop, and may be sent to and used from any thread. A loop that is dropped with its last handle unclosed is
/// closed then.
///
/// # Examples
///
/// The loop by hand; most programs use [`run`](crate::run) instead.
///
/// ```
/// let event_loop = asyncio::new_event_loop()?;
/// let answer = event_loop.run_until_complete(async { 6 * 7 })?;
/// assert_eq!(answer, 42);
/// event_loop.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Python
///
/// `asyncio.EventLoop`; the type has this name because `loop` is a word of Rust.
#[derive(Clone)]
pub struct EventLoop(Arc<Owner>);

/// What all handles of one loop share.
struct Owner {
    scheduler: Arc<Loop>,
    wiring: Arc<Wiring>,
    diagnostics: Arc<Diagnostics>,
    default_executor: DefaultExecutor,
    generators: Arc<Registry>,
    task_factory: FactorySlot,
    /// Made for the closing of a loop whose last handle was dropped: nobody else says that it was unclosed.
    is_last: bool,
}

/// Counters of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Descriptors registered with the poller.
    pub descriptors: usize,
    /// Times the loop asked the poller, waiting or not.
    pub waits: u64,
    /// Events that the poller reported.
    pub events: u64,
    /// Times another thread had to wake the loop.
    pub wake_ups: u64,
}

/// A handle that does not keep the loop open.
#[derive(Clone)]
pub(crate) struct WeakLoop(Weak<Owner>);

impl WeakLoop {
    pub(crate) fn upgrade(&self) -> Option<EventLoop> {
        self.0.upgrade().map(EventLoop)
    }
}

thread_local! {
    /// The loop that runs on this thread; in an `Rc`, so that a look at it costs no locked operation.
    static RUNNING: RefCell<Option<Rc<EventLoop>>> = const { RefCell::new(None) };
    /// The loop set for this thread, used while none runs.
    static SET: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
}

/// The loop that runs on this thread.
///
/// # Panics
///
/// If none does: "no running event loop". See [`try_get_running_loop`].
///
/// # Python
///
/// `asyncio.get_running_loop()`; every worker of a loop answers with that loop.
#[track_caller]
pub fn get_running_loop() -> EventLoop {
    match try_get_running_loop() {
        Ok(event_loop) => event_loop,
        Err(error) => panic!("{error}"),
    }
}

/// The loop that runs on this thread.
///
/// # Errors
///
/// If none does.
pub fn try_get_running_loop() -> Result<EventLoop, NoRunningLoop> {
    running_loop().map(|running| (*running).clone()).ok_or(NoRunningLoop)
}

/// The loop that runs on this thread, without a handle of one's own.
#[inline]
pub(crate) fn running_loop() -> Option<Rc<EventLoop>> {
    RUNNING.try_with(|running| running.borrow().clone()).ok().flatten()
}

/// The loop that runs on this thread, else the one [set](set_event_loop) for it.
///
/// # Errors
///
/// If there is neither; none is ever made.
pub fn get_event_loop() -> Result<EventLoop, NoCurrentLoop> {
    lent_event_loop().map(|event_loop| (*event_loop).clone())
}

/// As [`get_event_loop`], without a handle of one's own.
#[inline]
pub(crate) fn lent_event_loop() -> Result<Rc<EventLoop>, NoCurrentLoop> {
    running_loop().map_or_else(set_event_loop_of_thread, Ok)
}

#[cold]
fn set_event_loop_of_thread() -> Result<Rc<EventLoop>, NoCurrentLoop> {
    let set = SET.try_with(|set| set.borrow().clone()).ok().flatten();
    set.map(Rc::new).ok_or_else(NoCurrentLoop::here)
}

/// Sets this thread's loop, for what is called while none runs; `None` takes it back.
pub fn set_event_loop(event_loop: Option<&EventLoop>) {
    let before = SET.with(|set| set.replace(event_loop.cloned()));
    drop(before);
}

/// Takes [`set_event_loop`] back, if it was this loop that was set.
pub(crate) fn forget_event_loop(event_loop: &EventLoop) {
    // In a thread-local destructor nothing is set any more.
    let forget = |set: &RefCell<Option<EventLoop>>| {
        let is_set = set.borrow().as_ref() == Some(event_loop);
        if is_set { set.take() } else { None }
    };
    drop(SET.try_with(forget));
}

/// Makes a loop, and does not set it.
///
/// # Errors
///
/// None today: what a loop needs of the system it asks for when it first waits or has a socket.
pub fn new_event_loop() -> io::Result<EventLoop> {
    EventLoop::new()
}

/// The current time of the running loop's clock, else of the system's.
///
/// Deadlines come from here, not from `Instant::now()`: under simulation they differ.
#[inline]
pub fn now() -> Instant {
    // The short way; a loop's workers know its clock.
    match asyncio_timer::context::now() {
        Some(now) => now,
        None => now_outside(),
    }
}

/// The same on threads that run no tasks.
#[cold]
fn now_outside() -> Instant {
    try_get_running_loop()
        .map_or_else(|_| crate::system_clock::system_now(), |running| running.time())
}

impl EventLoop {
    /// An idle loop with [the default number of workers](crate::default_workers).
    ///
    /// # Errors
    ///
    /// None today: what a loop needs of the system it asks for when it first waits or has a socket.
    pub fn new() -> io::Result<EventLoop> {
        Self::with_workers(crate::default_workers())
    }

    /// An idle loop with so many workers: the thread that runs it, and threads that are started when there is work for them.
    ///
    /// With one worker everything is in asyncio's order; see [`RunnerBuilder::workers`](crate::RunnerBuilder::workers).
    ///
    /// # Errors
    ///
    /// None today: what a loop needs of the system it asks for when it first waits or has a socket.
    ///
    /// # Panics
    ///
    /// If there are no workers, or more than 65 536.
    pub fn with_workers(workers: usize) -> io::Result<EventLoop> {
        let diagnostics = Arc::new(Diagnostics::new());
        let wiring = Wiring::new(workers, diagnostics.clone());
        Ok(Self::assemble(workers, wiring, diagnostics))
    }

    /// An idle loop of a simulation.
    pub(crate) fn simulated(workers: usize, world: Arc<World>) -> EventLoop {
        let diagnostics = Arc::new(Diagnostics::new());
        diagnostics.tell_world(world.clone());
        let wiring = Wiring::simulated(world.clone(), diagnostics.clone());
        let event_loop = Self::assemble(workers, wiring, diagnostics);
        world.attach(event_loop.driver_arc(), event_loop.scheduler());
        let executor = SimExecutor(Arc::downgrade(&world));
        event_loop.default_executor().fix(Arc::new(executor));
        event_loop
    }

    fn assemble(workers: usize, wiring: Arc<Wiring>, diagnostics: Arc<Diagnostics>) -> EventLoop {
        diagnostics::hear_orphans();
        let scheduler = Loop::new(workers, wiring.clone(), diagnostics.clone());
        let default_executor = DefaultExecutor::default();
        let (generators, task_factory) = (Arc::default(), FactorySlot::default());
        let owner = Owner {
            scheduler,
            wiring,
            diagnostics,
            default_executor,
            generators,
            task_factory,
            is_last: false,
        };
        let event_loop = EventLoop(Arc::new(owner));
        event_loop.0.diagnostics.attach(event_loop.downgrade());
        event_loop.0.attach(&event_loop);
        event_loop.set_debug(debug::is_asked_for());
        event_loop
    }

    pub(crate) fn downgrade(&self) -> WeakLoop {
        WeakLoop(Arc::downgrade(&self.0))
    }

    pub(crate) fn scheduler(&self) -> &Arc<Loop> {
        &self.0.scheduler
    }

    pub(crate) fn driver(&self) -> &Wiring {
        &self.0.wiring
    }

    fn driver_arc(&self) -> &Arc<Wiring> {
        &self.0.wiring
    }

    /// What the loop is simulated in, if it is.
    pub(crate) fn world(&self) -> Option<&Arc<World>> {
        self.0.wiring.world()
    }

    /// On a simulated loop: notes that a thread calls which is not part of the simulation, if this one is not.
    #[inline]
    pub(crate) fn check_simulated(&self, called: &str, place: &'static Location<'static>) {
        if let Some(world) = self.world() {
            world.check_thread(called, place);
        }
    }

    pub(crate) fn signals(&self) -> &Signals {
        self.0.wiring.signals()
    }

    pub(crate) fn diagnostics(&self) -> &Arc<Diagnostics> {
        &self.0.diagnostics
    }

    pub(crate) fn generators(&self) -> &Registry {
        &self.0.generators
    }

    pub(crate) fn task_factory(&self) -> &FactorySlot {
        &self.0.task_factory
    }

    pub(crate) fn default_executor(&self) -> &DefaultExecutor {
        &self.0.default_executor
    }

    // ----- callbacks

    /// Queues `callback` to run once, in a later pass. Callbacks run in the order they were queued and never overlap.
    ///
    /// It runs in a copy of the caller's context. Callable from any thread; [`call_soon_threadsafe`](Self::call_soon_threadsafe) is the
    /// one for threads that race with `close`.
    ///
    /// # Panics
    ///
    /// If the loop is closed.
    #[track_caller]
    pub fn call_soon(&self, callback: impl FnOnce() + Send + 'static) -> Handle {
        self.check_thread("call_soon", Location::caller());
        expect_open(self.call_in(Kind::Plain, copied_context(), callback))
    }

    /// As [`call_soon`](Self::call_soon), in `context`.
    ///
    /// # Panics
    ///
    /// If the loop is closed.
    ///
    /// # Python
    ///
    /// `loop.call_soon(callback, context=context)`.
    #[track_caller]
    pub fn call_soon_in(
        &self,
        context: &Context,
        callback: impl FnOnce() + Send + 'static,
    ) -> Handle {
        self.check_thread("call_soon", Location::caller());
        let context = ContextSlot::with(context.clone());
        expect_open(self.call_in(Kind::Plain, context, callback))
    }

    /// Queues `callback` from any thread and wakes the loop if it sleeps. In one order with [`call_soon`](Self::call_soon).
    ///
    /// On a loop with one worker it runs before tasks that are woken by a descriptor which the same thread has made ready afterwards.
    ///
    /// The handle's `cancel` waits until a callback that is running on another thread has ended.
    ///
    /// The queue has no bound: a thread that queues faster than the loop runs should wait for answers in between.
    ///
    /// # Errors
    ///
    /// If the loop is closed; the callback has been dropped.
    #[track_caller]
    pub fn call_soon_threadsafe(
        &self,
        callback: impl FnOnce() + Send + 'static,
    ) -> Result<Handle, LoopClosed> {
        self.check_simulated("call_soon_threadsafe", Location::caller());
        self.call_in(Kind::ThreadSafe, copied_context(), callback)
    }

    #[track_caller]
    fn call_in(
        &self,
        kind: Kind,
        context: ContextSlot,
        callback: impl FnOnce() + Send + 'static,
    ) -> Result<Handle, LoopClosed> {
        self.0.scheduler.call(kind, context, Location::caller(), callback)
    }

    /// Queues `callback` to run once, `delay` from now. Never early; in the order of their times, at one time in the order of
    /// registration.
    ///
    /// # Panics
    ///
    /// If the loop is closed.
    #[track_caller]
    pub fn call_later(
        &self,
        delay: Duration,
        callback: impl FnOnce() + Send + 'static,
    ) -> TimerHandle {
        // Beyond the clock's range is beyond everybody's patience.
        let when = self.0.wiring.saturating_add(self.time(), delay);
        self.check_thread("call_later", Location::caller());
        self.timer(when, copied_context(), callback)
    }

    /// Queues `callback` to run once at `when` on [the loop's clock](Self::time); a time that has passed is due in the next pass.
    ///
    /// # Panics
    ///
    /// If the loop is closed.
    #[track_caller]
    pub fn call_at(&self, when: Instant, callback: impl FnOnce() + Send + 'static) -> TimerHandle {
        self.check_thread("call_at", Location::caller());
        self.timer(when, copied_context(), callback)
    }

    /// As [`call_at`](Self::call_at), in `context`.
    ///
    /// # Panics
    ///
    /// If the loop is closed.
    #[track_caller]
    pub fn call_at_in(
        &self,
        context: &Context,
        when: Instant,
        callback: impl FnOnce() + Send + 'static,
    ) -> TimerHandle {
        self.check_thread("call_at", Location::caller());
        self.timer(when, ContextSlot::with(context.clone()), callback)
    }

    #[track_caller]
    fn timer(
        &self,
        when: Instant,
        context: ContextSlot,
        callback: impl FnOnce() + Send + 'static,
    ) -> TimerHandle {
        let handle = Handle::new(Kind::Plain, context, Location::caller(), callback);
        match self.0.wiring.add_timer(when, handle.clone()) {
            Some(key) => TimerHandle::new(handle, when, key, &self.0.wiring),
            None => panic!("{LoopClosed}"),
        }
    }

    /// The loop's clock. All of its deadlines are in this time.
    pub fn time(&self) -> Instant {
        self.0.wiring.clock_now()
    }

    // ----- tasks and futures

    /// Makes a task of this loop; its first turn comes in a later pass.
    ///
    /// # Panics
    ///
    /// If the loop is closed; the future is dropped.
    #[track_caller]
    pub fn create_task<F>(&self, future: F) -> Task<F::Output>
    where
        F: std::future::Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.create_task_at(future, Location::caller())
    }

    #[inline]
    #[track_caller]
    pub(crate) fn create_task_at<F>(
        &self,
        future: F,
        location: &'static Location<'static>,
    ) -> Task<F::Output>
    where
        F: std::future::Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.room(location) {
            Some(room) => self.accepted(room.spawn(future)),
            None => TaskBuilder::on(self).create_task_at(future, location),
        }
    }

    /// Room for a task of the caller's context; none if a factory has a say in tasks.
    #[inline(always)]
    pub(crate) fn room<F>(&self, location: &'static Location<'static>) -> Option<Room<F>>
    where
        F: std::future::Future + 'static,
    {
        if self.task_factory().is_set() {
            return None;
        }
        Some(self.0.scheduler.room(copied_context(), location))
    }

    /// The task of a room of this loop.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn accepted<T>(&self, made: Result<Task<T>, Task<T>>) -> Task<T> {
        match made {
            Ok(task) => task,
            Err(cancelled) => self.refused(cancelled),
        }
    }

    /// A task made while the loop is being closed has ended already, as a destructor may not panic; on a closed loop that is misuse.
    #[cold]
    #[track_caller]
    fn refused<T>(&self, cancelled: Task<T>) -> Task<T> {
        if self.is_closed() && !self.runs_here() {
            panic!("{LoopClosed}");
        }
        cancelled
    }

    /// Makes a task of a future that stays on this thread.
    ///
    /// # Panics
    ///
    /// If this thread is not the one that runs the loop.
    #[track_caller]
    pub fn create_local_task<F>(&self, future: F) -> Task<F::Output>
    where
        F: std::future::Future + 'static,
        F::Output: 'static,
    {
        TaskBuilder::on(self).create_local_task(future)
    }

    /// The maker of tasks with a name or a context of their own.
    pub fn task_builder(&self) -> TaskBuilder {
        TaskBuilder::on(self)
    }

    /// A pending [`Future`] of this loop.
    #[track_caller]
    pub fn create_future<T, E>(&self) -> Future<T, E> {
        Future::on(self)
    }

    // ----- running

    /// Runs until [`stop`](Self::stop) is called.
    ///
    /// # Errors
    ///
    /// If the loop is closed or running, or this thread runs another.
    pub fn run_forever(&self) -> Result<(), RunError> {
        self.inside(|| self.0.scheduler.run_forever()).map_err(RunError::from)
    }

    /// Runs `main` as a task of this loop until it has ended, and gives what it returned.
    ///
    /// Main needs neither `Send` nor `'static`: only this thread polls it, and it is dropped before this returns. Pass `&mut task` to be able
    /// to finish a task in a later run.
    ///
    /// # Errors
    ///
    /// If the loop is closed or running, or this thread runs another; if main was cancelled; if [`stop`](Self::stop) came first; if
    /// main is a [`Future`] of another loop. (To await such a future inside main works.)
    ///
    /// # Panics
    ///
    /// Resumes a panic of main.
    #[track_caller]
    pub fn run_until_complete<F: IntoFuture>(&self, main: F) -> Result<F::Output, RunError> {
        self.run_main(main.into_future(), copied_context(), |_task| {})
    }

    #[track_caller]
    pub(crate) fn run_main<F: std::future::Future>(
        &self,
        main: F,
        context: ContextSlot,
        started: impl FnOnce(TaskHandle),
    ) -> Result<F::Output, RunError> {
        self.run_main_at(main, context, Location::caller(), started)
    }

    pub(crate) fn run_main_at<F: std::future::Future>(
        &self,
        main: F,
        context: ContextSlot,
        location: &'static Location<'static>,
        started: impl FnOnce(TaskHandle),
    ) -> Result<F::Output, RunError> {
        let main = MainFuture::new(main, self);
        let outcome =
            self.inside(|| self.0.scheduler.run_until_complete(main, context, location, started));
        match outcome?.ok_or(RunError::Stopped)? {
            MainOutcome::Returned(output) => output,
            MainOutcome::Failed(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(error) => {
                    let cancelled = error.as_cancelled().cloned().unwrap_or_default();
                    Err(RunError::Cancelled(cancelled))
                }
            },
        }
    }

    /// Ends the run after the pass it is in; called before a run, that run makes one pass. Any thread.
    pub fn stop(&self) {
        self.0.scheduler.stop();
    }

    /// How many workers the loop has, the thread that runs it among them.
    ///
    /// # Python
    ///
    /// No twin: an asyncio loop has one thread.
    pub fn workers(&self) -> usize {
        self.0.scheduler.workers()
    }

    /// Whether the loop is inside a run.
    pub fn is_running(&self) -> bool {
        self.0.scheduler.is_running()
    }

    /// Whether the loop is closed.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.0.scheduler.is_closed()
    }

    /// Closes the loop for good: drops its callbacks, timers and pending tasks, reports each of those tasks, and shuts the default executor down
    /// without waiting for its jobs. Closing a closed loop does nothing.
    ///
    /// # Errors
    ///
    /// If the loop is running, or has local tasks that belong to another thread.
    pub fn close(&self) -> Result<(), CloseError> {
        self.0.close(self).map(drop).map_err(CloseError::from)
    }

    /// Runs `f` with this loop as the one that runs on this thread.
    fn inside<R>(&self, f: impl FnOnce() -> R) -> R {
        // A refused run must leave the loop that runs here as it is.
        if self.is_running() || outer_loop() {
            return f();
        }
        let _restore = SetRunning::new(self.clone());
        self.0.wiring.enter(0, f)
    }

    fn runs_here(&self) -> bool {
        try_get_running_loop().is_ok_and(|running| running == *self)
    }

    // ----- diagnostics

    /// Sets who hears of errors that nobody waits for; `None` brings the default back, which writes them to standard error.
    pub fn set_exception_handler<H>(&self, handler: Option<H>)
    where
        H: Fn(&EventLoop, &ExceptionContext) + Send + Sync + 'static,
    {
        self.0
            .diagnostics
            .set_handler(handler.map(|handler| Arc::new(handler) as ExceptionHandler));
    }

    /// The handler that was set.
    pub fn get_exception_handler(&self) -> Option<ExceptionHandler> {
        self.0.diagnostics.handler()
    }

    /// Reports an error: to the handler that was set, else to the default one. A handler that panics is reported itself.
    pub fn call_exception_handler(&self, context: ExceptionContext) {
        self.0.diagnostics.call(context);
    }

    /// Writes a report to standard error.
    pub fn default_exception_handler(&self, context: &ExceptionContext) {
        default_exception_handler(context);
    }

    /// What the loop has done so far, and what it has now.
    pub fn metrics(&self) -> Metrics {
        let stats = self.0.wiring.reactor_stats();
        Metrics {
            tasks: self.all_tasks().len(),
            descriptors: stats.registered,
            waits: stats.waits,
            events: stats.events,
            wake_ups: stats.notifies,
        }
    }

    /// The tasks of this loop that have not ended, oldest first. Any thread.
    pub fn all_tasks(&self) -> Vec<TaskHandle> {
        self.0.scheduler.all_tasks()
    }
}

/// Misuse of a closed loop panics at the caller's line.
#[track_caller]
fn expect_open<T>(called: Result<T, LoopClosed>) -> T {
    match called {
        Ok(value) => value,
        Err(closed) => panic!("{closed}"),
    }
}

/// A copy of the context that the caller runs in.
#[inline]
pub(crate) fn copied_context() -> ContextSlot {
    with_current(ContextSlot::copy)
}

/// Names the running loop of this thread until dropped.
struct SetRunning(Option<Rc<EventLoop>>);

impl SetRunning {
    fn new(event_loop: EventLoop) -> Self {
        let event_loop = Some(Rc::new(event_loop));
        // In a thread-local destructor there may be nothing left to set.
        let before = RUNNING.try_with(|running| running.replace(event_loop));
        SetRunning(before.ok().flatten())
    }
}

impl Drop for SetRunning {
    fn drop(&mut self) {
        let before = self.0.take();
        let ended = RUNNING.try_with(|running| running.replace(before));
        drop(ended);
    }
}

impl Owner {
    /// Tells the driver how a worker's thread finds this loop: by a handle that is held only while the loop runs, as it does then.
    fn attach(&self, event_loop: &EventLoop) {
        let weak = event_loop.downgrade();
        let inside = move |work: &mut dyn FnMut()| {
            let Some(event_loop) = weak.upgrade() else { return false };
            let _restore = SetRunning::new(event_loop);
            work();
            true
        };
        self.wiring.attach(&self.scheduler, Box::new(inside));
    }

    fn close(&self, running: &EventLoop) -> Result<bool, asyncio_scheduler::CloseError> {
        if self.scheduler.is_closed() || self.scheduler.is_running() {
            return self.scheduler.close();
        }
        let _restore = SetRunning::new(running.clone());
        let closed = self.wiring.enter(0, || {
            let closed = self.scheduler.close()?;
            self.generators.discard(&*self.diagnostics);
            Ok(closed)
        })?;
        self.default_executor.shut_down();
        Ok(closed)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.scheduler.is_closed() || self.is_last {
            return;
        }
        default_exception_handler(&ExceptionContext::new("unclosed event loop"));
        // The handle for destructors and for the program's exception handler.
        let event_loop = EventLoop(Arc::new(Owner {
            scheduler: self.scheduler.clone(),
            wiring: self.wiring.clone(),
            diagnostics: self.diagnostics.clone(),
            default_executor: std::mem::take(&mut self.default_executor),
            generators: self.generators.clone(),
            task_factory: FactorySlot::default(),
            is_last: true,
        }));
        self.diagnostics.attach(event_loop.downgrade());
        if let Err(error) = event_loop.close() {
            default_exception_handler(
                &ExceptionContext::new("an event loop was dropped and not closed")
                    .with_exception(error),
            );
            event_loop.0.default_executor.shut_down();
        }
    }
}

impl PartialEq for EventLoop {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.scheduler, &other.0.scheduler)
    }
}

impl Eq for EventLoop {}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (running, closed) = (self.is_running(), self.is_closed());
        write!(f, "<EventLoop running={running} closed={closed}>")
    }
}
