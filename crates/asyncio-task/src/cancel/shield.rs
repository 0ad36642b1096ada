//! `shield`: an await that does not forward.

use crate::error::JoinError;
use crate::task::Task;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What [`shield`] can wait for: a task, given by value or by `&mut`.
pub trait Shieldable {
    /// What the task returns.
    type Value;

    /// Polls for the outcome without passing a cancel on.
    fn poll_shielded(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::Value, JoinError>>;
}

impl<T> Shieldable for Task<T> {
    type Value = T;

    fn poll_shielded(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        self.poll_outcome(cx, false)
    }
}

impl<S: Shieldable> Shieldable for &mut S {
    type Value = S::Value;

    fn poll_shielded(&mut self, cx: &mut Context<'_>) -> Poll<Result<S::Value, JoinError>> {
        (**self).poll_shielded(cx)
    }
}

/// Made by [`shield`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Shield<S>(S);

/// Waits for a task without passing a cancel on: a waiter that is cancelled lets go at once, and the task runs on.
///
/// # Cancel safety
///
/// Dropping it detaches a task given by value, and leaves one given by `&mut` as it is.
///
/// # Python
///
/// `asyncio.shield()`.
pub fn shield<S: Shieldable>(task: S) -> Shield<S> {
    Shield(task)
}

impl<S: Shieldable + Unpin> Future for Shield<S> {
    type Output = Result<S::Value, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_shielded(cx)
    }
}
