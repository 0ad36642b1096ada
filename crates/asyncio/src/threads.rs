//! Between the loop and threads: `to_thread`, `run_in_executor`, `run_coroutine_threadsafe`.

use crate::diagnostics::{Diagnostics, ExceptionContext};
use crate::events::{EventLoop, copied_context, get_running_loop, running_loop};
use crate::exceptions::{JoinError, LoopClosed, NoRunningLoop};
use crate::executors::{ConcurrentFuture, Executor, ExecutorTimeout, SubmitError, submit_to};
use crate::futures::{Future, SharedError, WeakFuture};
use crate::tasks::{Task, TaskBuilder};
use asyncio_base::context::ContextSlot;
use asyncio_scheduler::Loop;
use asyncio_scheduler::callback::Kind;
use asyncio_scheduler::worker::is_worker;
use asyncio_task::{BoxedChild, ThreadScope};
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Runs `function`, which may block, on a thread of the running loop's default executor, and gives what it returns.
///
/// The call starts when this is first polled. The function runs in a copy of the awaiting task's context, so it sees the task's context variables,
/// and what it sets stays its own.
///
/// # Cancel safety
///
/// Dropping this drops the function if it has not started. One that has started runs to its end, for a thread cannot be stopped, and its result is
/// dropped.
///
/// # Panics
///
/// When polled: resumes a panic of the function; if no loop runs on this thread; if the function is refused, because the default executor was
/// shut down, or because it has no thread and the system refuses one. See [`EventLoop::run_in_executor`] for errors instead.
///
/// # Examples
///
/// ```
/// asyncio::run(async {
///     let manifest = asyncio::to_thread(|| std::fs::read_to_string("Cargo.toml")).await;
///     assert!(manifest.unwrap().contains("[package]"));
/// });
/// ```
///
/// # Python
///
/// `asyncio.to_thread()`; arguments are what the closure captures.
#[track_caller]
pub fn to_thread<F, R>(function: F) -> ToThread<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    ToThread { state: State::Start(function), place: Location::caller() }
}

/// Made by [`to_thread`].
#[must_use = "futures do nothing unless awaited"]
pub struct ToThread<F, R> {
    state: State<F, R>,
    place: &'static Location<'static>,
}

enum State<F, R> {
    Start(F),
    Started(Unstarted<R>),
    Ended,
}

impl<F, R> Unpin for ToThread<F, R> {}

impl<F, R> std::future::Future for ToThread<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = R;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        if !matches!(self.state, State::Started(_)) {
            self.state = match std::mem::replace(&mut self.state, State::Ended) {
                State::Start(function) => start(function, self.place),
                _ => panic!("`to_thread` was polled again after it gave its result"),
            };
        }
        let State::Started(job) = &mut self.state else { unreachable!("started above") };
        match Pin::new(&mut job.0).poll(cx) {
            Poll::Ready(outcome) => {
                self.state = State::Ended;
                Poll::Ready(value_of(outcome))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[track_caller]
fn start<F, R>(function: F, place: &'static Location<'static>) -> State<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let Some(running) = running_loop() else { panic!("{NoRunningLoop}") };
    let executor = running.default_executor().get();
    let submitted = executor.and_then(|executor| submit_to(&*executor, copied_context(), function));
    match submitted {
        Ok(job) => State::Started(Unstarted(job.made_at(place))),
        Err(error) => panic!("to_thread: {error}"),
    }
}

/// What a job returned; its panic resumes here.
#[track_caller]
pub(crate) fn value_of<R>(outcome: Result<R, JoinError>) -> R {
    match outcome.map_err(JoinError::try_into_panic) {
        Ok(value) => value,
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(_)) => panic!("the executor dropped the function without running it"),
    }
}

/// A job that is cancelled with the wait for it, unless it has started.
pub(crate) struct Unstarted<R>(pub(crate) ConcurrentFuture<R>);

impl<R> Drop for Unstarted<R> {
    fn drop(&mut self) {
        self.0.cancel_if_waiting();
    }
}

impl<F, R> fmt::Debug for ToThread<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Start(_) => f.write_str("<ToThread not started>"),
            State::Started(job) => write!(f, "<ToThread {:?}>", job.0),
            State::Ended => f.write_str("<ToThread ended>"),
        }
    }
}

/// Makes a task of a loop that runs on another thread; the task's [`blocking_result`](Task::blocking_result) waits for what it returns.
///
/// The task runs in a copy of the caller's context. A loop that is idle takes the task and runs it when it is run.
///
/// # Errors
///
/// If the loop is closed; the future has been dropped.
///
/// # Examples
///
/// ```
/// use asyncio::{new_event_loop, run_coroutine_threadsafe, secs, sleep};
///
/// let event_loop = new_event_loop()?;
/// let remote = event_loop.clone();
/// let thread = std::thread::spawn(move || remote.run_forever());
/// let mut task = run_coroutine_threadsafe(
///     async {
///         sleep(secs(0.01)).await;
///         111
///     },
///     &event_loop,
/// )?;
/// assert_eq!(task.blocking_result(Some(secs(10.0)))?, 111);
/// event_loop.stop();
/// thread.join().unwrap()?;
/// event_loop.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Python
///
/// `asyncio.run_coroutine_threadsafe()`. The task is what the caller gets: its `cancel` cancels the coroutine, and one that is cancelled inside is
/// a cancelled task here.
#[track_caller]
pub fn run_coroutine_threadsafe<F>(
    future: F,
    event_loop: &EventLoop,
) -> Result<Task<F::Output>, LoopClosed>
where
    F: std::future::Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (scheduler, location) = (event_loop.scheduler(), Location::caller());
    event_loop.check_simulated("run_coroutine_threadsafe", location);
    if !event_loop.task_factory().is_set() {
        return scheduler.room(copied_context(), location).try_spawn(future);
    }
    let ask = || TaskBuilder::on(event_loop).ask();
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(asked) => asked.room(location).try_spawn(future),
        // Told to the handle as well as to the loop: this thread cannot know who wants to hear it.
        Err(panic) => {
            drop(future);
            let error = JoinError::panicked(panic);
            let text = error.to_string();
            let report = ExceptionContext::new("a task factory panicked")
                .with_exception(JoinError::panicked(Box::new(text)));
            event_loop.call_exception_handler(report);
            let room = scheduler.room(copied_context(), location);
            room.try_spawn(async { resume_unwind(error.into_panic()) })
        }
    }
}

impl EventLoop {
    /// Runs `body` on this thread, which is no worker, with a scope whose tasks run on this loop, in parallel, and may borrow what outlives the
    /// call: it returns when they have all ended.
    ///
    /// The loop has to run meanwhile, on other threads: while it is idle its tasks make no step, and this waits for ever. A loop that is closed
    /// drops the tasks, and this returns.
    ///
    /// # Panics
    ///
    /// On a worker of any loop, which must not be blocked. Resumes a panic of the body, else the first one of a task that was not joined.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio::{new_event_loop, yield_now};
    ///
    /// let event_loop = new_event_loop()?;
    /// let remote = event_loop.clone();
    /// let thread = std::thread::spawn(move || remote.run_forever());
    /// let mut words = vec![String::from("a"), String::from("b")];
    /// let lengths = event_loop.block_in_scope(|s| {
    ///     let tasks: Vec<_> = words.iter_mut().map(|word| s.spawn(async {
    ///         yield_now().await;
    ///         word.push('!');
    ///         word.len()
    ///     })).collect();
    ///     tasks.into_iter().map(|task| task.join().unwrap()).collect::<Vec<_>>()
    /// });
    /// assert_eq!(lengths, [2, 2]);
    /// assert_eq!(words, ["a!", "b!"]);
    /// event_loop.stop();
    /// thread.join().unwrap()?;
    /// event_loop.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// What does not outlive the call cannot be borrowed:
    ///
    /// ```compile_fail,E0373
    /// # let event_loop = asyncio::new_event_loop().unwrap();
    /// event_loop.block_in_scope(|s| {
    ///     let inside = String::new();
    ///     s.spawn(async { inside.len() });
    /// });
    /// ```
    ///
    /// nor can a handle be taken out:
    ///
    /// ```compile_fail
    /// # let event_loop = asyncio::new_event_loop().unwrap();
    /// let handle = event_loop.block_in_scope(|s| s.spawn(async {}));
    /// ```
    ///
    /// # Python
    ///
    /// No twin; `run_coroutine_threadsafe` for each, and `result()` of all, comes near.
    #[track_caller]
    pub fn block_in_scope<'env, R>(
        &'env self,
        body: impl for<'scope> FnOnce(&'scope ThreadScope<'scope, 'env>) -> R,
    ) -> R {
        assert!(!is_worker(), "block_in_scope on a worker of a loop would block it");
        let location = Location::caller();
        let spawn = move |child: BoxedChild| {
            let task = self.scheduler().room(copied_context(), location).try_spawn(child);
            task.ok().map(|task| task.handle())
        };
        asyncio_task::block_in_scope(Box::new(spawn), body)
    }
}

/// A settable future that mirrors a job's: it is finished when the job is, in a pass of the running loop.
///
/// Cancelling it cancels the job, unless that has started.
///
/// # Panics
///
/// If no loop runs on this thread.
///
/// # Python
///
/// `asyncio.wrap_future()`; see [`EventLoop::wrap_future`] for a loop that is named.
#[track_caller]
pub fn wrap_future<R: Send + 'static>(job: ConcurrentFuture<R>) -> Future<R> {
    get_running_loop().wrap_future(job)
}

impl EventLoop {
    /// Runs `function`, which may block, on a thread of `executor`, by default of the loop's [default one](Self::set_default_executor). The function
    /// is queued at once, whether or not the future is awaited.
    ///
    /// Cancelling the future drops the function if it has not started. One that has started runs to its end, for a thread cannot be stopped, and its
    /// result is dropped. (The same goes for a loop that is closed meanwhile.)
    ///
    /// The future's error is
    ///
    /// * a [`JoinError`], if the function panicked;
    /// * a [`SubmitError`], if the executor was shut down, or has no thread and the system refuses one.
    ///
    /// # Panics
    ///
    /// If the loop is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// asyncio::run(async {
    ///     let event_loop = asyncio::get_running_loop();
    ///     let answer = event_loop.run_in_executor(None, || 6 * 7);
    ///     assert_eq!(answer.await.unwrap(), 42);
    /// });
    /// ```
    ///
    /// # Python
    ///
    /// `loop.run_in_executor()`. There a shut-down executor raises at the call; here it is the future's error, as a program that is ending may meet it
    /// without fault.
    #[track_caller]
    pub fn run_in_executor<F, R>(&self, executor: Option<&dyn Executor>, function: F) -> Future<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        assert!(!self.is_closed(), "{LoopClosed}");
        // As in Python, a pool's thread has a context of its own.
        let submitted = match executor.filter(|_| self.world().is_none()) {
            Some(executor) => submit_to(executor, ContextSlot::new(), function),
            None => self
                .default_executor()
                .get()
                .and_then(|executor| submit_to(&*executor, ContextSlot::new(), function)),
        };
        match submitted {
            Ok(job) => self.wrap_future(job),
            Err(error) => {
                let refused = Future::on(self);
                let _ = refused.set_exception(Arc::new(error) as SharedError);
                refused
            }
        }
    }

    /// A future of this loop that mirrors a job's: it is finished when the job is, in a pass of this loop. Cancelling it cancels the job,
    /// unless that has started.
    #[track_caller]
    pub fn wrap_future<R: Send + 'static>(&self, job: ConcurrentFuture<R>) -> Future<R> {
        let future = Future::on(self);
        let canceller = job.canceller();
        future.on_cancel(move || {
            canceller();
        });
        let mirror = Mirror {
            future: future.downgrade(),
            scheduler: self.scheduler().clone(),
            diagnostics: self.diagnostics().clone(),
            location: Location::caller(),
        };
        job.on_done(move |outcome| mirror.hop(outcome));
        future
    }

    /// Sets the executor that [`to_thread`] and [`run_in_executor`](Self::run_in_executor) use by default. The one before is let go, with the jobs it
    /// has.
    ///
    /// # Errors
    ///
    /// If the default executor [was shut down](Self::shutdown_default_executor).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio::ThreadPoolExecutor;
    ///
    /// asyncio::run(async {
    ///     let event_loop = asyncio::get_running_loop();
    ///     event_loop.set_default_executor(ThreadPoolExecutor::named("mine", 2)).unwrap();
    ///     let name = asyncio::to_thread(|| std::thread::current().name().unwrap().to_owned()).await;
    ///     assert_eq!(name, "mine_0");
    /// });
    /// ```
    ///
    /// # Python
    ///
    /// `loop.set_default_executor()`; that it is an executor is the compiler's business.
    pub fn set_default_executor(&self, executor: impl Executor) -> Result<(), SubmitError> {
        self.default_executor().set(Arc::new(executor))
    }

    /// Forbids further use of the default executor, runs what it has taken, and waits for its threads, at most for `limit`.
    ///
    /// # Cancel safety
    ///
    /// Once polled the executor is shut down; a dropped wait changes nothing, and it can be waited for again.
    ///
    /// # Errors
    ///
    /// If the threads have not ended within the limit; each ends when its job does.
    ///
    /// # Python
    ///
    /// `loop.shutdown_default_executor()`, whose warning is an error here.
    pub fn shutdown_default_executor(
        &self,
        limit: Option<Duration>,
    ) -> impl std::future::Future<Output = Result<(), ExecutorTimeout>> + Send + 'static {
        let event_loop = self.clone();
        async move {
            match event_loop.default_executor().shut_down() {
                Some(executor) => wait_closed(executor, limit).await,
                None => Ok(()),
            }
        }
    }
}

/// Waits until a closed executor has ended.
pub(crate) async fn wait_closed(
    executor: Arc<dyn Executor>,
    limit: Option<Duration>,
) -> Result<(), ExecutorTimeout> {
    let closed = poll_fn(|cx| executor.poll_closed(cx));
    match limit {
        None => closed.await,
        Some(limit) => {
            let in_time = crate::timeout(limit, closed).await;
            in_time.map_err(|_| ExecutorTimeout { limit })?;
        }
    }
    Ok(())
}

/// Carries a job's outcome from the thread it ended on to a future of a loop. Holds neither open.
struct Mirror<R> {
    future: WeakFuture<R, SharedError>,
    scheduler: Arc<Loop>,
    diagnostics: Arc<Diagnostics>,
    location: &'static Location<'static>,
}

impl<R: Send + 'static> Mirror<R> {
    /// Queues the delivery on the loop's lane; a closed loop drops it, and a future that is done already needs none.
    fn hop(self, outcome: Result<R, JoinError>) {
        if self.future.upgrade().is_some_and(|future| future.done()) {
            return;
        }
        let (scheduler, location) = (self.scheduler.clone(), self.location);
        let deliver = move || self.deliver(outcome);
        let _ = scheduler.call(Kind::Plain, ContextSlot::new(), location, deliver);
    }

    fn deliver(self, outcome: Result<R, JoinError>) {
        let Some(future) = self.future.upgrade() else { return self.report(outcome) };
        // A future that was cancelled meanwhile refuses: then the outcome is dropped.
        let _ = match outcome {
            Ok(value) => future.set_result(value),
            Err(error) if error.is_cancelled() => {
                future.cancel();
                return;
            }
            Err(error) => future.set_exception(Arc::new(error) as SharedError),
        };
    }

    /// Nobody holds the future any more.
    fn report(self, outcome: Result<R, JoinError>) {
        let Some(error) = outcome.err().filter(JoinError::is_panic) else { return };
        self.diagnostics.call(ExceptionContext::never_retrieved(error, self.location));
    }
}
