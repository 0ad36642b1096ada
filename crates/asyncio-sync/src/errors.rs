//! What can go wrong, one type per way, by asyncio's names where it has them.

use std::error::Error;
use std::fmt;

macro_rules! error {
    ($(#[$meta:meta])* $name:ident, $text:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl Error for $name {}
    };
}

error! {
    /// A [`Lock`](crate::Lock) was released that nobody holds.
    ///
    /// # Python
    ///
    /// `RuntimeError`.
    LockNotAcquired, "lock is not acquired"
}

error! {
    /// A [`Queue`](crate::Queue) had no item for a `get_nowait`.
    QueueEmpty, "the queue is empty"
}

error! {
    /// [`task_done`](crate::queue::BaseQueue::task_done) was called more often than items were put.
    ///
    /// # Python
    ///
    /// `ValueError`, with this text.
    TaskDoneError, "task_done() called too many times"
}

error! {
    /// A [`Barrier`](crate::Barrier) was aborted, or reset while the task waited.
    BrokenBarrierError, "the barrier was aborted or reset"
}

error! {
    /// A [`BoundedSemaphore`](crate::BoundedSemaphore) was released more often than acquired.
    ///
    /// # Python
    ///
    /// `ValueError`, with this text.
    OverReleaseError, "BoundedSemaphore released too many times"
}

macro_rules! refusal {
    ($(#[$meta:meta])* $name:ident<T $(= $default:ty)?>, $text:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name<T $(= $default)?>(pub T);

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl<T> Error for $name<T> {}
    };
}

refusal! {
    /// A [`Queue`](crate::Queue) had no room for the item of a `put_nowait`, which is given back.
    QueueFull<T>, "the queue is full"
}

refusal! {
    /// A [`Queue`](crate::Queue) was shut down. A put gives its item back.
    QueueShutDown<T = ()>, "the queue is shut down"
}

/// Why a `put_nowait` was refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PutNowaitError<T> {
    /// There is no room.
    Full(QueueFull<T>),
    /// The queue is shut down.
    ShutDown(QueueShutDown<T>),
}

impl<T> PutNowaitError<T> {
    /// The item that was refused.
    pub fn into_inner(self) -> T {
        match self {
            PutNowaitError::Full(QueueFull(item)) => item,
            PutNowaitError::ShutDown(QueueShutDown(item)) => item,
        }
    }
}

impl<T> fmt::Debug for PutNowaitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutNowaitError::Full(full) => fmt::Debug::fmt(full, f),
            PutNowaitError::ShutDown(shut) => fmt::Debug::fmt(shut, f),
        }
    }
}

impl<T> fmt::Display for PutNowaitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutNowaitError::Full(full) => full.fmt(f),
            PutNowaitError::ShutDown(shut) => shut.fmt(f),
        }
    }
}

impl<T> Error for PutNowaitError<T> {}

/// Why a `get_nowait` was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetNowaitError {
    /// There is no item now.
    Empty(QueueEmpty),
    /// There is no item, and none will come.
    ShutDown(QueueShutDown),
}

impl fmt::Display for GetNowaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetNowaitError::Empty(empty) => empty.fmt(f),
            GetNowaitError::ShutDown(shut) => shut.fmt(f),
        }
    }
}

impl Error for GetNowaitError {}
