//! The gate: a loop is idle, running or closed. One word, one exchange.
//!
//! ```text
//!            try_run                   try_close
//!   RUNNING ◄──────── IDLE ──────────────────────► CLOSING ──► CLOSED
//!      └───────────────▲   leave                              set_closed
//! ```
//!
//! `run_*` and `close` need *idle*, so at most one of them goes on at a time. The exchange to `RUNNING` acquires what the last run
//! released, so worker 0 may be another thread each time.

use asyncio_base::sync::{AtomicU8, Ordering};

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const CLOSING: u8 = 2;
const CLOSED: u8 = 3;

/// What a loop is, when it is not what was asked for.
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

    fn leave_idle(&self, to: u8) -> Result<(), NotIdle> {
        match self.0.compare_exchange(IDLE, to, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(RUNNING) => Err(NotIdle::Running),
            Err(_) => Err(NotIdle::Closed),
        }
    }

    /// IDLE => RUNNING.
    ///
    /// # Errors
    ///
    /// What the loop is instead of idle.
    pub fn try_run(&self) -> Result<(), NotIdle> {
        self.leave_idle(RUNNING)
    }

    /// RUNNING => IDLE; for whoever opened it.
    pub fn leave(&self) {
        self.0.store(IDLE, Ordering::Release);
    }

    /// IDLE => CLOSING.
    ///
    /// # Errors
    ///
    /// What the loop is instead of idle.
    pub fn try_close(&self) -> Result<(), NotIdle> {
        self.leave_idle(CLOSING)
    }

    /// CLOSING => CLOSED; for whoever began it.
    pub fn set_closed(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    /// Whether a `run_*` goes on.
    pub fn is_running(&self) -> bool {
        self.0.load(Ordering::Acquire) == RUNNING
    }

    /// Whether `close` has begun.
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
            assert_eq!(gate.try_close(), Err(NotIdle::Running));
            gate.leave();
        }
        gate.try_close().unwrap();
        assert!(gate.is_closed());
        assert_eq!(gate.try_run(), Err(NotIdle::Closed));
        gate.set_closed();
        assert_eq!(gate.try_close(), Err(NotIdle::Closed));
    }
}
