//! The gate: a loop is idle, running or closed. One word, one exchange.
//!
//! ```text
//!           try_run            begin_close           set_closed
//!   IDLE ────────────► RUNNING ───────────► CLOSING ───────────► CLOSED
//!     ▲      leave       │
//!     └──────────────────┘
//! ```
//!
//! `run_*` and `close` need *idle*, so at most one of them goes on at a time. Both begin with the same exchange; whoever made it owns the
//! loop until it leaves, and alone moves the word on. That exchange acquires what the last owner released, so worker 0 may be another
//! thread each time. A close that is refused after it (local tasks of another thread) leaves as a run does: nobody has seen CLOSING.
//!
//! Models: `loom-tests/tests/scheduler.rs`.

use asyncio_base::sync::{AtomicU8, Ordering};

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const CLOSING: u8 = 2;
const CLOSED: u8 = 3;

/// What a loop is, when it is not idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotIdle {
    /// Inside `run_*`.
    Running,
    /// Closed, or being closed.
    Closed,
}

/// The word.
#[derive(Debug)]
pub struct Gate(AtomicU8);

impl Gate {
    /// An idle loop's gate.
    pub fn new() -> Self {
        Gate(AtomicU8::new(IDLE))
    }

    /// IDLE => RUNNING.
    ///
    /// # Errors
    ///
    /// What the loop is instead of idle.
    pub fn try_run(&self) -> Result<(), NotIdle> {
        match self.0.compare_exchange(IDLE, RUNNING, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(RUNNING) => Err(NotIdle::Running),
            Err(_) => Err(NotIdle::Closed),
        }
    }

    /// RUNNING => IDLE; for the owner.
    pub fn leave(&self) {
        self.0.store(IDLE, Ordering::Release);
    }

    /// RUNNING => CLOSING; for the owner.
    pub fn begin_close(&self) {
        self.0.store(CLOSING, Ordering::Release);
    }

    /// CLOSING => CLOSED; for the owner.
    pub fn set_closed(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    /// Whether a `run_*` goes on.
    pub fn is_running(&self) -> bool {
        self.0.load(Ordering::Acquire) == RUNNING
    }

    /// Whether `close` has begun.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) >= CLOSING
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_loop_runs_again_and_again_but_is_closed_once() {
        let gate = Gate::new();
        for _ in 0..2 {
            gate.try_run().unwrap();
            assert_eq!(gate.try_run(), Err(NotIdle::Running));
            assert!(gate.is_running() && !gate.is_closed());
            gate.leave();
        }
        gate.try_run().unwrap();
        gate.begin_close();
        assert!(gate.is_closed() && !gate.is_running());
        assert_eq!(gate.try_run(), Err(NotIdle::Closed));
        gate.set_closed();
        assert_eq!(gate.try_run(), Err(NotIdle::Closed));
        assert!(gate.is_closed());
    }
}
