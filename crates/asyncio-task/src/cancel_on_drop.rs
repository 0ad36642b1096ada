//! A task that is cancelled when its handle is dropped.

use crate::error::JoinError;
use crate::task::Task;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Made by [`Task::cancel_on_drop`].
///
/// Derefs to the task, and is awaited as the task is.
#[must_use = "the task is cancelled when this is dropped: await it, or bind it"]
pub struct CancelOnDrop<T>(Option<Task<T>>);

const HELD: &str = "taken out only by `into_task`, which consumes the guard";

impl<T> Task<T> {
    /// The same task, to be cancelled when the handle is dropped: also when the await of it is, as a losing branch of `select!`.
    ///
    /// The task gets the request and cleans up by itself; nobody waits for that. Where the clean-up has to be waited for, use a `TaskGroup`.
    ///
    /// # Python
    ///
    /// No twin: there nothing happens when a reference goes away.
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop(Some(self))
    }
}

impl<T> CancelOnDrop<T> {
    /// The task again, which runs on when its handle is dropped.
    pub fn into_task(mut self) -> Task<T> {
        self.0.take().expect(HELD)
    }
}

impl<T> Deref for CancelOnDrop<T> {
    type Target = Task<T>;

    fn deref(&self) -> &Task<T> {
        self.0.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for CancelOnDrop<T> {
    fn deref_mut(&mut self) -> &mut Task<T> {
        self.0.as_mut().expect(HELD)
    }
}

impl<T> Future for CancelOnDrop<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// As the [task](Task)'s.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut **self).poll(cx)
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            // An ended one stays as it is; its unseen panic is still reported.
            if !task.done() {
                task.cancel();
            }
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for CancelOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
