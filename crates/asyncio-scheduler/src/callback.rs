//! A callback queued on a lane, and the handle that can cancel it.
//!
//! One allocation holds both. The lock guards the phase and the closure; it is never held while the closure runs or is dropped.
//!
//! ```text
//!            run             ended
//!  WAITING ───────► RUNNING ───────► OVER
//!     │ cancel, discard                ▲
//!     └────────────────────────────────┘ the closure is dropped by whoever took it out
//! ```
//!
//! RUNNING is for callbacks with a thread-safe handle; for a plain one, for which nobody waits, OVER begins with the run.
//!
//! # Who waits
//!
//! `cancel` and `cancelled` on the handle of `call_soon_threadsafe` wait out RUNNING, unless they are called from that very run: so after
//! `cancel` has returned the callback has either fully run or never will. RUNNING therefore names its thread. The runner sets OVER
//! under the lock and notifies after it; a waiter looks at the phase under the lock before it waits, so it has seen OVER or is
//! notified. What the callback did happened before OVER was set, and so before the wait ends.
//!
//! Models: `loom-tests/tests/callback.rs`.

use asyncio_base::context::{Context, ContextSlot};
use asyncio_base::record::{self, PollRecord};
use asyncio_base::sync::thread::{self, ThreadId};
use asyncio_base::sync::{Condvar, Mutex, MutexGuard};
use asyncio_base::wait::WaitSlot;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
// Not loom's: the count is no part of a model.
use std::sync::Arc;

/// Which handle a callback has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From `call_soon`: `cancel` never waits.
    Plain,
    /// From `call_soon_threadsafe`: `cancel` and `cancelled` wait out a run in progress.
    ThreadSafe,
}

enum Phase<F> {
    Waiting(F),
    /// On this thread.
    Running(ThreadId),
    /// Ran (a plain one: began to run), or was cancelled or discarded before it could.
    Over,
}

struct State<F> {
    phase: Phase<F>,
    cancelled: bool,
}

impl<F> State<F> {
    /// Takes the closure out if it waits, leaving `phase`.
    fn take(&mut self, phase: Phase<F>) -> Option<F> {
        match std::mem::replace(&mut self.phase, phase) {
            Phase::Waiting(function) => Some(function),
            other => {
                self.phase = other;
                None
            }
        }
    }
}

struct Shared<F> {
    state: Mutex<State<F>>,
    /// RUNNING => OVER, for a thread-safe callback.
    ran: Condvar,
    context: ContextSlot,
    location: &'static Location<'static>,
    kind: Kind,
}

/// The erased callback.
trait Callback: Send + Sync {
    fn run(&self) -> Result<(), Box<dyn Any + Send>>;
    fn cancel(&self);
    fn cancelled(&self) -> bool;
    /// As `cancelled`, without waiting.
    fn is_cancelled_by_now(&self) -> bool;
    fn discard(&self);
    fn context(&self) -> &ContextSlot;
    fn location(&self) -> &'static Location<'static>;
}

impl<F: FnOnce() + Send> Shared<F> {
    /// The state, once the callback is not running on another thread, if this kind of handle waits for that.
    fn settled(&self) -> MutexGuard<'_, State<F>> {
        let mut state = self.state.lock();
        while let Phase::Running(runner) = state.phase {
            if runner == thread::current().id() {
                break;
            }
            state = self.ran.wait(state);
        }
        state
    }

    fn call(&self, function: F) -> Result<(), Box<dyn Any + Send>> {
        let wait = WaitSlot::new();
        let record = PollRecord::outside(&wait, &self.context);
        record::enter(&record, || catch_unwind(AssertUnwindSafe(function)))
    }
}

impl<F: FnOnce() + Send> Callback for Shared<F> {
    fn run(&self) -> Result<(), Box<dyn Any + Send>> {
        let waited_for = self.kind == Kind::ThreadSafe;
        let running = if waited_for { Phase::Running(thread::current().id()) } else { Phase::Over };
        let taken = self.state.lock().take(running);
        let Some(function) = taken else { return Ok(()) };
        let outcome = self.call(function);
        if waited_for {
            self.state.lock().phase = Phase::Over;
            self.ran.notify_all();
        }
        outcome
    }

    fn cancel(&self) {
        let mut state = self.settled();
        state.cancelled = true;
        // `None` from inside the run itself: no effect on it.
        let function = state.take(Phase::Over);
        drop(state);
        drop(function);
    }

    fn cancelled(&self) -> bool {
        self.settled().cancelled
    }

    fn is_cancelled_by_now(&self) -> bool {
        self.state.lock().cancelled
    }

    fn discard(&self) {
        let function = self.state.lock().take(Phase::Over);
        drop(function);
    }

    fn context(&self) -> &ContextSlot {
        &self.context
    }

    fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

/// A queued callback: cancels it.
///
/// # Python
///
/// `asyncio.Handle`.
#[derive(Clone)]
pub struct Handle(Arc<dyn Callback>);

impl Handle {
    /// A callback that waits for its turn.
    pub fn new(
        kind: Kind,
        context: ContextSlot,
        location: &'static Location<'static>,
        function: impl FnOnce() + Send + 'static,
    ) -> Self {
        let state = Mutex::new(State { phase: Phase::Waiting(function), cancelled: false });
        Handle(Arc::new(Shared { state, ran: Condvar::new(), context, location, kind }))
    }

    /// Runs the callback, unless it was cancelled or has run.
    ///
    /// # Errors
    ///
    /// The payload of its panic.
    pub fn run(&self) -> Result<(), Box<dyn Any + Send>> {
        self.0.run()
    }

    /// The callback will not run, unless it has started; it and what it captured are dropped at once.
    ///
    /// On the handle of `call_soon_threadsafe` this waits until a callback that is running on another thread has ended: after the
    /// call, it has either fully run or never will. Called from inside the callback it has no effect on the run in progress.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether the callback was cancelled; waits like [`cancel`](Self::cancel).
    pub fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    /// As [`cancelled`](Self::cancelled), without waiting: for texts.
    pub fn is_cancelled_by_now(&self) -> bool {
        self.0.is_cancelled_by_now()
    }

    /// Drops the callback unless it has started: its loop is closed. It does not count as cancelled.
    pub fn discard(&self) {
        self.0.discard();
    }

    /// The context the callback runs in.
    pub fn get_context(&self) -> Context {
        self.0.context().get_or_create()
    }

    /// Where the callback was queued.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location()
    }

    /// Whether both name the same callback.
    pub fn is(&self, other: &Handle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never waits: a report may be made while the callback runs.
        let cancelled = if self.is_cancelled_by_now() { " cancelled" } else { "" };
        write!(f, "<Handle{cancelled} created at {}>", self.location())
    }
}
