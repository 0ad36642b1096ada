//! `shield`: an await that does not forward.

use crate::error::JoinError;
use crate::task::Task;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What [`shield`] can wait for: a task or a settable future, given by value or by `&mut`.
pub trait Shieldable {
    /// What awaiting it gives.
    type Output;

    /// Polls for the outcome without passing a cancel on.
    fn poll_shielded(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output>;
}

impl<T> Shieldable for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll_shielded(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_outcome(cx, false)
    }
}

impl<S: Shieldable> Shieldable for &mut S {
    type Output = S::Output;

    fn poll_shielded(&mut self, cx: &mut Context<'_>) -> Poll<S::Output> {
        (**self).poll_shielded(cx)
    }
}

/// Made by [`shield`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Shield<S>(S);

/// Waits for a task or a settable future without passing a cancel on: a waiter that is cancelled lets go at once, and what it waited for goes on.
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
    type Output = S::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_shielded(cx)
    }
}
