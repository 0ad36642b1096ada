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

use asyncio_base::context::{self, ContextSlot};
use asyncio_base::record;
use asyncio_base::sync::Mutex;
use asyncio_base::wait::WaitKind;
use asyncio_task::{BlockingError, CancelledError, JoinError, block_on};
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
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
    /// Also holds the context to run in.
    function: Mutex<Option<(ContextSlot, F)>>,
}

/// What the handle knows of the function: that it can be dropped.
trait Erased<R>: Send + Sync {
    fn state(&self) -> &Mutex<State<R>>;
    fn drop_function(&self);
}

/// What whoever runs the job knows of it.
trait Run: Send + Sync {
    fn run(&self) -> Waiters;
    fn cancel(&self);
}

/// Something to run, once, on a thread that may be blocked.
///
/// Dropped unrun, it counts as cancelled: whoever waits for its result is told. A type of its own rather than a boxed closure, because the function
/// lies beside its result already: a box round it would be a second allocation, which one thread makes and another one frees.
///
/// # Python
///
/// The work item of a `concurrent.futures` executor.
pub struct Job {
    shared: Arc<dyn Run>,
    ran: bool,
}

impl Job {
    /// A job whose result nobody asks for.
    #[track_caller]
    pub fn new(function: impl FnOnce() + Send + 'static) -> Self {
        job(ContextSlot::new(), function).0
    }

    /// Runs the function here and now, in its context, and hands the result to whoever waits for it. A panic of the function is its result; one of
    /// a waker or a callback of those who wait reaches the caller.
    pub fn run(mut self) {
        let waiters = self.shared.run();
        self.ran = true;
        // Before anybody is told: so the memory goes back to the thread that asked for it, which costs a third of sending it elsewhere.
        waiters.tell_after(|| drop(self));
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.ran {
            self.shared.cancel();
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Job>")
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
    let (state, function) = (Mutex::new(state), Mutex::new(Some((context, function))));
    let shared = Arc::new(Shared { state, function });
    let handle = ConcurrentFuture {
        shared: shared.clone(),
        location: Location::caller(),
        stage: Stage::New,
    };
    (Job { shared, ran: false }, handle)
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

impl<F, R> Run for Shared<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn run(&self) -> Waiters {
        if !self.state.lock().leave_waiting(|| Phase::Running) {
            return Waiters::default();
        }
        let function = self.function.lock().take();
        let Some((context, function)) = function else { return Waiters::default() };
        let run = || context::run_in(context, function);
        let outcome = catch_unwind(AssertUnwindSafe(run)).map_err(JoinError::panicked);
        finish(&self.state, outcome)
    }

    fn cancel(&self) {
        cancel(self);
    }
}

impl<R> State<R> {
    /// WAITING => `next`; false in any other phase.
    fn leave_waiting(&mut self, next: impl FnOnce() -> Phase<R>) -> bool {
        let waiting = matches!(self.phase, Phase::Waiting);
        if waiting {
            self.phase = next();
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
        if !matches!(self.phase, Phase::Done(_)) {
            return None;
        }
        match std::mem::replace(&mut self.phase, Phase::Taken) {
            Phase::Done(outcome) => Some(outcome),
            Phase::Waiting | Phase::Running | Phase::Taken => None,
        }
    }
}

/// Those who waited for a job that is done.
#[derive(Default)]
#[must_use = "they are to be told"]
struct Waiters {
    waker: Option<Waker>,
    callbacks: Vec<Callback>,
}

impl Waiters {
    /// Tells all of them, whoever panics: `first`, which runs a destructor, or one of them. The first panic goes on afterwards.
    fn tell_after(self, first: impl FnOnce()) {
        let mut panicked = catch_unwind(AssertUnwindSafe(first)).err();
        if let Some(waker) = self.waker {
            panicked = panicked.or(catch_unwind(AssertUnwindSafe(|| waker.wake())).err());
        }
        // Hardly ever any: a list that is gone through costs also when it is empty.
        if !self.callbacks.is_empty() {
            panicked = panicked.or(call_all(self.callbacks));
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
    }
}

/// Calls all of them; the first panic.
#[cold]
fn call_all(callbacks: Vec<Callback>) -> Option<Box<dyn Any + Send>> {
    let call = |callback| catch_unwind(AssertUnwindSafe(callback)).err();
    callbacks.into_iter().fold(None, |panicked, callback: Callback| panicked.or(call(callback)))
}

/// RUNNING => DONE; for whoever ran the function.
fn finish<R>(state: &Mutex<State<R>>, outcome: Outcome<R>) -> Waiters {
    let mut state = state.lock();
    state.phase = Phase::Done(outcome);
    state.take_waiters()
}

/// WAITING => DONE; whether the job is, or was before, cancelled.
fn cancel<R>(shared: &dyn Erased<R>) -> bool {
    let waiters = {
        let cancelled = || Phase::Done(Err(JoinError::cancelled(CancelledError::default())));
        let mut state = shared.state().lock();
        if !state.leave_waiting(cancelled) {
            return state.cancelled;
        }
        state.cancelled = true;
        state.take_waiters()
    };
    waiters.tell_after(|| shared.drop_function());
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
    stage: Stage,
}

/// What a handle knows without looking at the job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    /// It has left a waker.
    Waits,
    /// It has the result.
    Over,
}

impl<R> ConcurrentFuture<R> {
    /// Drops the job if it has not started; false if it has. What runs, runs to its end: a thread cannot be stopped.
    pub fn cancel(&self) -> bool {
        cancel(&*self.shared)
    }

    /// As [`cancel`](Self::cancel), without a look at the job if the result was awaited.
    pub fn cancel_if_waiting(&self) {
        if self.stage != Stage::Over {
            self.cancel();
        }
    }

    /// Whether the job was cancelled before it started.
    pub fn cancelled(&self) -> bool {
        self.shared.state().lock().cancelled
    }

    /// Whether a thread is running the job.
    pub fn running(&self) -> bool {
        matches!(self.shared.state().lock().phase, Phase::Running)
    }

    /// The same, for reports made there.
    pub fn made_at(mut self, place: &'static Location<'static>) -> Self {
        self.location = place;
        self
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
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Whoever was woken finds the job done, as a rule, and needs no waker any more.
        if let Some(outcome) = self.look_if_woken() {
            return Poll::Ready(outcome);
        }
        let polled = self.wait(cx.waker().clone());
        if polled.is_pending() {
            record::waits_for(WaitKind::Thread, self.location);
        }
        polled
    }
}

impl<R> ConcurrentFuture<R> {
    fn look_if_woken(&mut self) -> Option<Outcome<R>> {
        if self.stage != Stage::Waits {
            return None;
        }
        let outcome = self.shared.state().lock().take()?;
        self.stage = Stage::Over;
        Some(outcome)
    }

    /// Leaves a waker, unless the job is done. The waker was cloned before: it is foreign code, and there is a lock here.
    fn wait(&mut self, waker: Waker) -> Poll<Outcome<R>> {
        let mut state = self.shared.state().lock();
        if let Some(outcome) = state.take() {
            drop(state);
            self.stage = Stage::Over;
            return Poll::Ready(outcome);
        }
        assert!(!matches!(state.phase, Phase::Taken), "the result of the job was taken");
        let stale = state.waker.replace(waker);
        drop(state);
        drop(stale);
        self.stage = Stage::Waits;
        Poll::Pending
    }
}

impl<R> Drop for ConcurrentFuture<R> {
    fn drop(&mut self) {
        if self.stage == Stage::Waits {
            // What waits no more is not woken; the waker's destructor is foreign code.
            let waker = self.shared.state().lock().waker.take();
            drop(waker);
        }
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
