//! A callback with a thread-safe handle. The lock guards the phase and the closure; it is never held while the closure runs or is dropped.
//!
//! ```text
//!            run             ended
//!  WAITING ───────► RUNNING ───────► OVER
//!     │ cancel, discard                ▲
//!     └────────────────────────────────┘ the closure is dropped by whoever took it out
//! ```
//!
//! # Who waits
//!
//! `cancel` and `cancelled` wait out RUNNING, unless they are called from that very run: so after `cancel` has returned the callback has either
//! fully run or never will. RUNNING therefore names its thread. The runner sets OVER under the lock and notifies after it; a waiter looks at
//! the phase under the lock before it waits, so it has seen OVER or is notified. What the callback did happened before OVER was set, and so before
//! the wait ends.

use super::{Callback, Origin};
use asyncio_base::sync::thread::{self, ThreadId};
use asyncio_base::sync::{Condvar, Mutex, MutexGuard};
use std::any::Any;

enum Phase<F> {
    Waiting(F),
    /// On this thread.
    Running(ThreadId),
    /// Ran, or was cancelled or discarded before it could.
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

pub(super) struct Waited<F> {
    state: Mutex<State<F>>,
    /// RUNNING => OVER.
    ran: Condvar,
    origin: Origin,
}

impl<F: FnOnce() + Send> Waited<F> {
    pub(super) fn new(origin: Origin, function: F) -> Self {
        let state = Mutex::new(State { phase: Phase::Waiting(function), cancelled: false });
        Waited { state, ran: Condvar::new(), origin }
    }

    /// The state, once the callback is not running on another thread.
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
}

impl<F: FnOnce() + Send> Callback for Waited<F> {
    fn run(&self) -> Result<(), Box<dyn Any + Send>> {
        let running = Phase::Running(thread::current().id());
        let taken = self.state.lock().take(running);
        let Some(function) = taken else { return Ok(()) };
        let outcome = self.origin.call(function);
        self.state.lock().phase = Phase::Over;
        self.ran.notify_all();
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

    fn origin(&self) -> &Origin {
        &self.origin
    }
}
