//! A function as a job, and the handle to its result.
//!
//! ```text
//!            run                 ended
//!  WAITING ───────► RUNNING ─────────────► DONE(outcome) ──► TAKEN
//!     │ cancel, or the job is dropped unrun     ▲
//!     └─────────────────────────────────────────┘ cancelled
//! ```
//!
//! The phase and those who wait are under one lock; the function is beside it, and belongs to whoever ended WAITING. So it is either run
//! or dropped, once, and neither happens under the lock. Whoever makes the job DONE takes out who waits under the same lock: a waiter that
//! comes later sees that it is done.
//!
//! Models: `loom-tests/tests/blocking.rs`.

use super::Job;
use asyncio_base::context::{self, ContextSlot};
use asyncio_base::record;
use asyncio_base::sync::Mutex;
use asyncio_base::wait::WaitKind;
use asyncio_task::{BlockingError, CancelledError, JoinError, block_on};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
// loom's has no unsized coercion; the count guards nothing but memory.
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How a job ended.
type Outcome<R> = Result<R, JoinError>;

type Callback = Box<dyn FnOnce() + Send>;

enum Phase<R> {
    Waiting,
    Running,
    Done(Outcome<R>),
    Taken,
}

struct State<R> {
    phase: Phase<R>,
    cancelled: bool,
    waker: Option<Waker>,
    callbacks: Vec<Callback>,
}

struct Shared<F, R> {
    state: Mutex<State<R>>,
    function: Mutex<Option<F>>,
}

/// What the handle knows of the function: that it can be dropped.
trait Erased<R>: Send + Sync {
    fn state(&self) -> &Mutex<State<R>>;
    fn drop_function(&self);
}

impl<F: Send, R: Send> Erased<R> for Shared<F, R> {
    fn state(&self) -> &Mutex<State<R>> {
        &self.state
    }

    fn drop_function(&self) {
        let function = self.function.lock().take();
        drop(function);
    }
}

/// Makes a job of `function`, to be run in `context` by whatever thread takes it, and the handle to its result.
#[track_caller]
pub fn job<F, R>(context: ContextSlot, function: F) -> (Job, ConcurrentFuture<R>)
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let state =
        State { phase: Phase::Waiting, cancelled: false, waker: None, callbacks: Vec::new() };
    let shared =
        Arc::new(Shared { state: Mutex::new(state), function: Mutex::new(Some(function)) });
    let runner = Runner { shared: Some(shared.clone()), context };
    let handle = ConcurrentFuture { shared, location: Location::caller() };
    (Box::new(move || runner.run()), handle)
}

/// The job's side: runs the function, or, dropped, cancels it.
struct Runner<F: Send + 'static, R: Send + 'static> {
    shared: Option<Arc<Shared<F, R>>>,
    context: ContextSlot,
}

impl<F, R> Runner<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn run(mut self) {
        let Some(shared) = self.shared.take() else { return };
        if !shared.state.lock().leave_waiting(Phase::Running) {
            return;
        }
        let function = shared.function.lock().take();
        let Some(function) = function else { return };
        let context = std::mem::take(&mut self.context);
        let run = || context::run_in(context, function);
        let outcome = catch_unwind(AssertUnwindSafe(run)).map_err(JoinError::panicked);
        finish(&shared.state, outcome);
    }
}

impl<F: Send, R: Send> Drop for Runner<F, R> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            cancel(&*shared);
        }
    }
}

impl<R> State<R> {
    /// WAITING => `next`; false in any other phase.
    fn leave_waiting(&mut self, next: Phase<R>) -> bool {
        let waiting = matches!(self.phase, Phase::Waiting);
        if waiting {
            self.phase = next;
        }
        waiting
    }

    /// Those who wait, to be told outside the lock.
    fn take_waiters(&mut self) -> Waiters {
        Waiters { waker: self.waker.take(), callbacks: std::mem::take(&mut self.callbacks) }
    }

    fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done(_) | Phase::Taken)
    }

    fn take(&mut self) -> Option<Outcome<R>> {
        match std::mem::replace(&mut self.phase, Phase::Taken) {
            Phase::Done(outcome) => Some(outcome),
            phase => {
                self.phase = phase;
                None
            }
        }
    }
}

/// Those who waited for a job that is done.
#[must_use = "they are to be told"]
struct Waiters {
    waker: Option<Waker>,
    callbacks: Vec<Callback>,
}

impl Waiters {
    fn tell(self) {
        self.waker.into_iter().for_each(Waker::wake);
        self.callbacks.into_iter().for_each(|callback| callback());
    }
}

/// RUNNING => DONE; for whoever ran the function.
fn finish<R>(state: &Mutex<State<R>>, outcome: Outcome<R>) {
    let waiters = {
        let mut state = state.lock();
        state.phase = Phase::Done(outcome);
        state.take_waiters()
    };
    waiters.tell();
}

/// WAITING => DONE; whether the job is, or was before, cancelled.
fn cancel<R>(shared: &dyn Erased<R>) -> bool {
    let waiters = {
        let cancelled = JoinError::cancelled(CancelledError::default());
        let mut state = shared.state().lock();
        if !state.leave_waiting(Phase::Done(Err(cancelled))) {
            return state.cancelled;
        }
        state.cancelled = true;
        state.take_waiters()
    };
    shared.drop_function();
    waiters.tell();
    true
}

/// The result of a job that runs on another thread: awaited by a task, or waited for by a plain thread.
///
/// Dropping it changes nothing for the job.
///
/// # Cancel safety
///
/// A dropped await changes nothing: the result can still be had from the same handle.
///
/// # Python
///
/// `concurrent.futures.Future`; the result is moved out by whoever asks for it first.
#[must_use = "a job runs whether or not its handle is kept: await it, ask it for the result, or drop it on purpose"]
pub struct ConcurrentFuture<R> {
    shared: Arc<dyn Erased<R>>,
    location: &'static Location<'static>,
}

impl<R> ConcurrentFuture<R> {
    /// Drops the job if it has not started; false if it has. What runs, runs to its end: a thread cannot be stopped.
    pub fn cancel(&self) -> bool {
        cancel(&*self.shared)
    }

    /// Whether the job was cancelled before it started.
    pub fn cancelled(&self) -> bool {
        self.shared.state().lock().cancelled
    }

    /// Whether a thread is running the job.
    pub fn running(&self) -> bool {
        matches!(self.shared.state().lock().phase, Phase::Running)
    }

    /// Whether the job has ended or was cancelled.
    pub fn done(&self) -> bool {
        self.shared.state().lock().is_done()
    }

    /// Takes the outcome if there is one.
    pub fn try_result(&mut self) -> Option<Result<R, JoinError>> {
        self.shared.state().lock().take()
    }

    /// Waits for the result on a plain thread, for at most about `limit`.
    ///
    /// # Errors
    ///
    /// If the time is over (then the job goes on, and the result can be asked for again), if the job panicked or was cancelled.
    ///
    /// # Panics
    ///
    /// Inside a task or callback, whose worker it would stop; and if the result was taken before.
    ///
    /// # Python
    ///
    /// `result(timeout)` and `exception(timeout)` in one.
    #[track_caller]
    pub fn result(&mut self, limit: Option<Duration>) -> Result<R, BlockingError> {
        let in_task = record::with(|record| record.is_some());
        assert!(!in_task, "a blocking call inside a task or callback; await instead");
        block_on(self, limit).ok_or(BlockingError::Timeout)?.map_err(BlockingError::Join)
    }

    /// Calls `callback` once the job is done: on the thread that ended it, or here and now if it is done.
    pub fn add_done_callback(&self, callback: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.state().lock();
        if !state.is_done() {
            state.callbacks.push(Box::new(callback));
            return;
        }
        drop(state);
        callback();
    }

    /// Gives the handle up and `deliver` the outcome: on the thread that ends the job, or here and now if it is done.
    pub fn on_done(self, deliver: impl FnOnce(Result<R, JoinError>) + Send + 'static)
    where
        R: Send + 'static,
    {
        let shared = self.shared.clone();
        self.add_done_callback(move || {
            let outcome = shared.state().lock().take();
            if let Some(outcome) = outcome {
                deliver(outcome);
            }
        });
    }

    /// Something that can cancel the job after this handle was given up.
    pub fn canceller(&self) -> impl FnOnce() -> bool + Send + use<R>
    where
        R: Send + 'static,
    {
        let shared = self.shared.clone();
        move || cancel(&*shared)
    }
}

impl<R> Future for ConcurrentFuture<R> {
    type Output = Result<R, JoinError>;

    /// # Panics
    ///
    /// If the result was taken before.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned before the lock is taken: a waker is foreign code.
        let waker = cx.waker().clone();
        let mut state = self.shared.state().lock();
        assert!(!matches!(state.phase, Phase::Taken), "the result of the job was taken");
        if let Some(outcome) = state.take() {
            drop(state);
            return Poll::Ready(outcome);
        }
        let stale = state.waker.replace(waker);
        drop(state);
        drop(stale);
        record::waits_for(WaitKind::Thread, self.location);
        Poll::Pending
    }
}

impl<R> Drop for ConcurrentFuture<R> {
    fn drop(&mut self) {
        // What waits no more is not woken; the waker's destructor is foreign code.
        let waker = self.shared.state().lock().waker.take();
        drop(waker);
    }
}

impl<R> fmt::Debug for ConcurrentFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(state) = self.shared.state().try_lock() else {
            return f.write_str("<ConcurrentFuture locked>");
        };
        f.write_str(match state.phase {
            _ if state.cancelled => "<ConcurrentFuture cancelled>",
            Phase::Waiting => "<ConcurrentFuture pending>",
            Phase::Running => "<ConcurrentFuture running>",
            Phase::Done(_) | Phase::Taken => "<ConcurrentFuture finished>",
        })
    }
}
