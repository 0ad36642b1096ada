//! `run` and `Runner`: a loop from its making to its orderly end.

use crate::contextvars::Context;
use crate::diagnostics::ExceptionContext;
use crate::events::{EventLoop, forget_event_loop, set_event_loop, try_get_running_loop};
use crate::exceptions::RunError;
use crate::signals::end_by_interrupt;
use crate::threads::wait_closed;
use crate::timeouts::{TimeoutError, timeout_at};
use asyncio_base::context::ContextSlot;
use asyncio_scheduler::idle::MOST_WORKERS;
use asyncio_task::TaskHandle;
use std::future::{Future, IntoFuture};
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long the end of a runner waits for the threads of the default executor.
const EXECUTOR_JOIN_TIMEOUT: Duration = Duration::from_secs(300);

/// How often the end of a runner cancels what is left: tasks may make others while they clean up, but not for ever.
const ROUNDS: usize = 16;

/// Runs `main` on a loop of its own, ends what it left behind, and gives what it returned.
///
/// Main is anything that can be awaited, and needs neither `Send` nor `'static`. When it has ended, every task it left is cancelled and waited for, then the loop is closed.
///
/// # Ctrl-C
///
/// On the program's main thread, unless the program has a `SIGINT` handler of its own, the first Ctrl-C cancels main, which may clean up, or go on and
/// return. If main ends by it, the loop is ended in good order and then the program by the signal, so that whoever started it (a shell) sees
/// why. A second Ctrl-C ends the program at once.
///
/// # Panics
///
/// If a loop runs on this thread already ("run() cannot be called from a running event loop"), if main was cancelled or its loop
/// stopped. Resumes a panic of main. See [`Runner::run`] for errors instead.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let greeting = String::from("hello");
/// let length = asyncio::run(async {
///     asyncio::sleep(Duration::from_millis(1)).await;
///     greeting.len()
/// });
/// assert_eq!(length, 5);
/// ```
///
/// # Python
///
/// `asyncio.run()`.
#[track_caller]
pub fn run<F: IntoFuture>(main: F) -> F::Output {
    assert!(try_get_running_loop().is_err(), "run() cannot be called from a running event loop");
    let mut runner = match Runner::new() {
        Ok(runner) => runner,
        Err(error) => panic!("no event loop could be made: {error}"),
    };
    let outcome = runner.run(main);
    runner.close();
    match outcome {
        Ok(output) => output,
        Err(error @ RunError::Interrupted) => {
            end_by_interrupt();
            panic!("main did not return: {error}")
        }
        Err(error) => panic!("main did not return: {error}"),
    }
}

/// How many workers a loop has that was not told: what the environment variable `ASYNCIO_WORKERS` says, else one for each processor that this
/// process may use. Both are asked once.
///
/// # Panics
///
/// If the variable is set and no number from 1 to 65 536.
pub fn default_workers() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    *DEFAULT.get_or_init(|| match std::env::var_os("ASYNCIO_WORKERS") {
        None => asyncio_scheduler::processors(),
        Some(text) => text
            .to_str()
            .and_then(|text| text.trim().parse().ok())
            .filter(|workers| (1..=MOST_WORKERS).contains(workers))
            .unwrap_or_else(|| {
                panic!("ASYNCIO_WORKERS is {text:?}, not a number from 1 to {MOST_WORKERS}")
            }),
    })
}

/// Makes a [`Runner`] that is not like the default one.
#[derive(Debug, Default)]
#[must_use = "a builder makes nothing until `build`"]
pub struct RunnerBuilder {
    context: Option<Context>,
    debug: Option<bool>,
    workers: Option<usize>,
}

impl RunnerBuilder {
    /// Whether the loop is in [debug mode](EventLoop::set_debug); unless this is said, the environment decides.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = Some(debug);
        self
    }

    /// The context that every main of the runner runs in, instead of a fresh one.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// How many workers the loop has: threads that run its tasks, from 1 to 65 536, the one that calls [`Runner::run`] among them. The others
    /// are started when there is work for them.
    ///
    /// With one worker everything happens in asyncio's order, and nothing runs beside anything else. With several, callbacks still run one
    /// after the other, while tasks run in parallel; what is promised then is what asyncio promises of tasks in several threads: hand-overs are
    /// fair, nothing is lost, but `sleep(0)` does not let *every* ready task run once.
    ///
    /// Without this it is [`default_workers`].
    ///
    /// # Python
    ///
    /// No twin: an asyncio loop has one thread.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Makes the runner and its loop.
    ///
    /// # Errors
    ///
    /// None today: what a loop needs of the system it asks for when it first waits or has a socket.
    ///
    /// # Panics
    ///
    /// If there are to be no workers, or more than 65 536.
    pub fn build(self) -> io::Result<Runner> {
        let context = self.context.unwrap_or_else(crate::copy_context);
        let workers = self.workers.unwrap_or_else(default_workers);
        let event_loop = EventLoop::with_workers(workers)?;
        self.debug.into_iter().for_each(|debug| event_loop.set_debug(debug));
        Ok(Runner { event_loop, context })
    }
}

/// A loop for several mains, one after the other, with one context.
///
/// # Examples
///
/// ```
/// use asyncio::Runner;
///
/// let mut runner = Runner::new()?;
/// assert_eq!(runner.run(async { 1 })?, 1);
/// assert_eq!(runner.run(async { 2 })?, 2);
/// runner.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Python
///
/// `asyncio.Runner`; dropping it is leaving the `with`.
#[derive(Debug)]
pub struct Runner {
    event_loop: EventLoop,
    context: Context,
}

impl Runner {
    /// A runner with a loop of its own.
    ///
    /// # Errors
    ///
    /// None today: what a loop needs of the system it asks for when it first waits or has a socket.
    pub fn new() -> io::Result<Runner> {
        Self::builder().build()
    }

    /// The end of a simulated run is that of a runner.
    pub(crate) fn simulated(event_loop: EventLoop) -> Runner {
        Runner { event_loop, context: Context::new() }
    }

    /// The settings of a runner to be.
    pub fn builder() -> RunnerBuilder {
        RunnerBuilder::default()
    }

    /// The runner's loop.
    pub fn get_loop(&self) -> EventLoop {
        self.event_loop.clone()
    }

    /// Runs `main` until it has ended, in the runner's context. Tasks it leaves behind wait for the next run, or for
    /// [`close`](Self::close). Until then the runner's loop is the one set for this thread.
    ///
    /// # Errors
    ///
    /// If main was cancelled, interrupted by Ctrl-C or the loop stopped, or a loop runs on this thread already.
    ///
    /// # Panics
    ///
    /// Resumes a panic of main.
    #[track_caller]
    pub fn run<F: IntoFuture>(&mut self, main: F) -> Result<F::Output, RunError> {
        // A run that will be refused must leave this thread as it is.
        if try_get_running_loop().is_err() {
            set_event_loop(Some(&self.event_loop));
        }
        let context = ContextSlot::with(self.context.clone());
        let ctrl_c = self.event_loop.signals().ctrl_c();
        let outcome =
            self.event_loop.run_main(main.into_future(), context, |task| ctrl_c.watch(task));
        ctrl_c.finish(outcome)
    }

    /// Cancels every task that is left and waits until all have ended, closes the [generators](crate::AsyncGenerator) that are left, waits for the jobs of the default executor (for five minutes, then that is
    /// reported), and closes the loop. Dropping the runner does the same.
    pub fn close(self) {}

    /// As [`close`](Self::close), but waits for tasks and threads at most for `limit` all in all. Tasks that have not ended by then are dropped with
    /// the loop, and reported.
    ///
    /// # Errors
    ///
    /// If not all had ended. The runner is closed all the same.
    ///
    /// # Python
    ///
    /// No twin: there a task that resists its cancel keeps `asyncio.run` from returning.
    pub fn close_timeout(self, limit: Duration) -> Result<(), TimeoutError> {
        let deadline = self.event_loop.time().checked_add(limit);
        if self.finish(deadline) { Ok(()) } else { Err(TimeoutError) }
    }

    /// Ends what is left, in asyncio's order; false if the time for it was over first. The loop is closed whatever happens.
    fn finish(&self, deadline: Option<Instant>) -> bool {
        if self.event_loop.is_closed() || self.event_loop.is_running() {
            return true;
        }
        let _close = CloseLoop(&self.event_loop);
        let tasks = self.cancel_all_tasks(deadline);
        let generators = self.close_generators(deadline);
        let executor = self.shut_executor_down(deadline);
        tasks && generators && executor
    }

    /// Waits for the threads of the default executor, so that what they were given is done before the program goes on.
    fn shut_executor_down(&self, deadline: Option<Instant>) -> bool {
        let Some(executor) = self.event_loop.default_executor().shut_down() else { return true };
        let left = deadline.map(|at| at.saturating_duration_since(self.event_loop.time()));
        let limit = left.unwrap_or(EXECUTOR_JOIN_TIMEOUT).min(EXECUTOR_JOIN_TIMEOUT);
        let report = ExceptionContext::new("asyncio.run() shutdown went on without its executor");
        let closed = self.event_loop.run_until_complete(wait_closed(executor, Some(limit)));
        let report = match closed {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => report.with_exception(error),
            Err(error) => report.with_exception(error),
        };
        self.event_loop.call_exception_handler(report);
        false
    }

    /// Cancels what is left and waits until it has ended, and so with what that has made meanwhile.
    fn cancel_all_tasks(&self, deadline: Option<Instant>) -> bool {
        for _ in 0..ROUNDS {
            let mut tasks = self.event_loop.all_tasks();
            // These are at the next step already.
            let closers = self.event_loop.generators().closers();
            tasks.retain(|task| !closers.contains(&task.id()));
            if tasks.is_empty() {
                break;
            }
            let diagnostics = self.event_loop.diagnostics();
            diagnostics.watch_leftovers(&tasks);
            tasks.iter().for_each(|task| {
                task.cancel();
            });
            let ended = self.run_until(deadline, wait_for_all(&tasks));
            diagnostics.report_leftovers();
            if !ended {
                return false;
            }
        }
        true
    }

    fn close_generators(&self, deadline: Option<Instant>) -> bool {
        let none = self.event_loop.generators().is_empty();
        none || self.run_until(deadline, self.event_loop.shutdown_asyncgens())
    }

    /// Runs a step of the end; false if the time for it was over, or it was cut short.
    fn run_until(&self, deadline: Option<Instant>, step: impl Future<Output = ()>) -> bool {
        let event_loop = &self.event_loop;
        let ended = match deadline {
            None => event_loop.run_until_complete(step).map(|()| true),
            Some(at) => event_loop.run_until_complete(timeout_at(at, step)).map(|r| r.is_ok()),
        };
        ended.unwrap_or_else(|error| {
            let report = ExceptionContext::new("asyncio.run() shutdown was cut short");
            event_loop.call_exception_handler(report.with_exception(error));
            false
        })
    }
}

/// Closes the loop when dropped, also if a step of the end fails.
struct CloseLoop<'a>(&'a EventLoop);

impl Drop for CloseLoop<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.close() {
            let report = ExceptionContext::new("the event loop of a runner was not closed");
            self.0.call_exception_handler(report.with_exception(error));
        }
    }
}

async fn wait_for_all(tasks: &[TaskHandle]) {
    for task in tasks {
        task.await;
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.finish(None);
        forget_event_loop(&self.event_loop);
    }
}
