//! A callback queued on a lane, and the handle that can cancel it.
//!
//! One allocation holds both. The lock guards the phase and the closure; it is never held while the closure runs or is dropped.
//!
//! ```text
//!            run                  ended
//!  WAITING ───────► RUNNING(thread) ───────► RAN
//!     │ cancel
//!     └──────────► CANCELLED (closure dropped by the canceller)
//! ```
//!
//! `cancel` on the handle of `call_soon_threadsafe` waits out RUNNING unless it is called from that very run, so that after it returns the
//! callback has either fully run or never will. Whoever ends the run notifies under the lock, so the wait misses nothing.

use asyncio_base::context::{Context, ContextSlot};
use asyncio_base::record::{self, PollRecord};
use asyncio_base::sync::{Condvar, Mutex};
use asyncio_base::wait::WaitSlot;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::thread::{self, ThreadId};

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
    Running(ThreadId),
    /// Ran, or was cancelled before it could.
    Over,
}

struct State<F> {
    phase: Phase<F>,
    cancelled: bool,
}

struct Shared<F> {
    state: Mutex<State<F>>,
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
    fn context(&self) -> &ContextSlot;
    fn location(&self) -> &'static Location<'static>;
}

impl<F: FnOnce() + Send> Shared<F> {
    /// Waits until the callback is not running on another thread, if this kind of handle waits.
    fn settled(&self) -> asyncio_base::sync::MutexGuard<'_, State<F>> {
        let mut state = self.state.lock();
        while let Phase::Running(thread) = state.phase {
            if self.kind == Kind::Plain || thread == thread::current().id() {
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
        let mut state = self.state.lock();
        let running = Phase::Running(thread::current().id());
        let function = match std::mem::replace(&mut state.phase, running) {
            Phase::Waiting(function) => function,
            over => {
                state.phase = over;
                return Ok(());
            }
        };
        drop(state);
        let outcome = self.call(function);
        self.state.lock().phase = Phase::Over;
        if self.kind == Kind::ThreadSafe {
            self.ran.notify_all();
        }
        outcome
    }

    fn cancel(&self) {
        let mut state = self.settled();
        state.cancelled = true;
        let dropped = match state.phase {
            Phase::Waiting(_) => std::mem::replace(&mut state.phase, Phase::Over),
            // From inside the run itself: no effect on it.
            Phase::Running(_) | Phase::Over => return,
        };
        drop(state);
        // The closure's destructor is user code: outside the lock.
        drop(dropped);
    }

    fn cancelled(&self) -> bool {
        self.settled().cancelled
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
        let state = State { phase: Phase::Waiting(function), cancelled: false };
        let state = Mutex::new(state);
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
        write!(f, "<Handle created at {}>", self.location())
    }
}
