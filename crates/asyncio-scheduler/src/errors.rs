//! Why a loop did not do what was asked of it.

use std::error::Error;
use std::fmt;

/// The loop is closed.
///
/// # Python
///
/// `RuntimeError: Event loop is closed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopClosed;

impl fmt::Display for LoopClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("event loop is closed")
    }
}

impl Error for LoopClosed {}

/// Why a loop did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The loop is closed.
    Closed,
    /// This very loop runs already.
    AlreadyRunning,
    /// This thread runs another loop.
    AnotherRunning,
    /// The loop has local tasks of another thread.
    WrongThread,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunError::Closed => "event loop is closed",
            RunError::AlreadyRunning => "this event loop is already running",
            RunError::AnotherRunning => "cannot run the event loop while another loop is running",
            RunError::WrongThread => "this event loop has local tasks of another thread",
        })
    }
}

impl Error for RunError {}

/// Why a loop was not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseError {
    /// It is running.
    Running,
    /// It has local tasks of another thread.
    WrongThread,
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CloseError::Running => "cannot close a running event loop",
            CloseError::WrongThread => "this event loop has local tasks of another thread",
        })
    }
}

impl Error for CloseError {}
