//! asyncio's errors, by asyncio's names.

pub use asyncio_scheduler::LoopClosed;
pub use asyncio_task::{BlockingError, CancelledError, InvalidStateError, JoinError, PanicError};

use std::error::Error;
use std::fmt;

/// No loop runs on this thread.
///
/// # Python
///
/// `RuntimeError: no running event loop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRunningLoop;

impl fmt::Display for NoRunningLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no running event loop")
    }
}

impl Error for NoRunningLoop {}

/// This thread has no loop, neither running nor set.
///
/// # Python
///
/// `RuntimeError: There is no current event loop in thread '…'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCurrentLoop {
    thread: String,
}

impl NoCurrentLoop {
    /// The error for the calling thread.
    pub(crate) fn here() -> Self {
        let thread = std::thread::current();
        NoCurrentLoop { thread: thread.name().unwrap_or("unnamed").to_owned() }
    }
}

impl fmt::Display for NoCurrentLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no current event loop in thread '{}'", self.thread)
    }
}

impl Error for NoCurrentLoop {}

/// Why a loop did not run, or did not give main's result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// Main was cancelled and did not answer.
    Cancelled(CancelledError),
    /// Ctrl-C was pressed and main ended by that.
    Interrupted,
    /// `stop` came before main had ended; main has been dropped.
    Stopped,
    /// The loop is closed.
    Closed,
    /// The loop runs already.
    AlreadyRunning,
    /// This thread runs another loop.
    AnotherRunning,
    /// The loop has local tasks that belong to another thread.
    WrongThread,
    /// The future given to `run_until_complete` belongs to another loop.
    OtherLoop,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use asyncio_scheduler::RunError as Refused;
        match self {
            RunError::Cancelled(error) => error.fmt(f),
            RunError::Interrupted => f.write_str("interrupted"),
            RunError::Stopped => f.write_str("event loop stopped before the future completed"),
            RunError::Closed => Refused::Closed.fmt(f),
            RunError::AlreadyRunning => Refused::AlreadyRunning.fmt(f),
            RunError::AnotherRunning => Refused::AnotherRunning.fmt(f),
            RunError::WrongThread => Refused::WrongThread.fmt(f),
            RunError::OtherLoop => f.write_str("the future belongs to a different loop"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RunError::Cancelled(error) => Some(error),
            _ => None,
        }
    }
}

impl From<asyncio_scheduler::RunError> for RunError {
    fn from(refused: asyncio_scheduler::RunError) -> Self {
        use asyncio_scheduler::RunError as Refused;
        match refused {
            Refused::AlreadyRunning => RunError::AlreadyRunning,
            Refused::AnotherRunning => RunError::AnotherRunning,
            Refused::WrongThread => RunError::WrongThread,
            _ => RunError::Closed,
        }
    }
}

/// Why a loop was not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseError {
    /// It is running.
    Running,
    /// It has local tasks that belong to another thread.
    WrongThread,
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use asyncio_scheduler::CloseError as Refused;
        match self {
            CloseError::Running => Refused::Running.fmt(f),
            CloseError::WrongThread => Refused::WrongThread.fmt(f),
        }
    }
}

impl Error for CloseError {}

impl From<asyncio_scheduler::CloseError> for CloseError {
    fn from(refused: asyncio_scheduler::CloseError) -> Self {
        match refused {
            asyncio_scheduler::CloseError::WrongThread => CloseError::WrongThread,
            _ => CloseError::Running,
        }
    }
}
