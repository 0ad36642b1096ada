//! Waiting for a task on a thread that is no worker: a waker that ends the thread's sleep.
//!
//! The flag and the sleep are one lock's, so a wake that comes before the sleep ends it at once.

use crate::error::JoinError;
use crate::task::Task;
use asyncio_base::sync::{Condvar, Mutex};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
// `Wake` is defined for std's `Arc` only, and the count guards nothing but the memory of the parker.
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Why a plain thread that waited for a task, or for a job of an executor, got no value.
///
/// # Python
///
/// What `concurrent.futures.Future.result(timeout)` raises.
#[derive(Debug)]
pub enum BlockingError {
    /// The time was over first. What was waited for goes on, and can be waited for again.
    Timeout,
    /// It was cancelled, or panicked.
    Join(JoinError),
}

impl BlockingError {
    /// Whether the time was over first.
    pub fn is_timeout(&self) -> bool {
        matches!(self, BlockingError::Timeout)
    }

    /// Whether what was waited for was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, BlockingError::Join(error) if error.is_cancelled())
    }

    /// Whether what was waited for panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, BlockingError::Join(error) if error.is_panic())
    }
}

impl fmt::Display for BlockingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockingError::Timeout => f.write_str("there was no result within the time limit"),
            BlockingError::Join(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BlockingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BlockingError::Timeout => None,
            BlockingError::Join(error) => Some(error),
        }
    }
}

impl From<JoinError> for BlockingError {
    fn from(error: JoinError) -> Self {
        BlockingError::Join(error)
    }
}

/// Where one blocked thread sleeps.
struct Parker {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    /// Sleeps until woken; false if it was not within `limit`.
    fn park(&self, limit: Option<Duration>) -> bool {
        let mut woken = self.woken.lock();
        while !*woken {
            woken = match limit {
                None => self.changed.wait(woken),
                Some(limit) => {
                    let (woken, timed_out) = self.changed.wait_timeout(woken, limit);
                    if timed_out && !*woken {
                        return false;
                    }
                    woken
                }
            };
        }
        *woken = false;
        true
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}

/// Drives a future on this thread, asleep while it waits; `None` if it slept for `limit` without being woken.
///
/// A future that is woken in vain gets the whole limit again, so the limit is about right for leaves, which are woken once, and no
/// promise for anything else.
pub fn block_on<F: Future + Unpin>(mut future: F, limit: Option<Duration>) -> Option<F::Output> {
    let parker = Arc::new(Parker { woken: Mutex::new(false), changed: Condvar::new() });
    let waker = Waker::from(parker.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        match Pin::new(&mut future).poll(&mut cx) {
            Poll::Ready(output) => return Some(output),
            Poll::Pending if parker.park(limit) => {}
            // It may have become ready in this very moment.
            Poll::Pending => {
                return match Pin::new(&mut future).poll(&mut cx) {
                    Poll::Ready(output) => Some(output),
                    Poll::Pending => None,
                };
            }
        }
    }
}

impl<T> Task<T> {
    /// Waits for the result on a thread that is no worker of the task's loop, for at most about `limit`, and takes it.
    ///
    /// The loop has to run meanwhile, on another thread: while it is idle or closed the task makes no step. After a timeout the task runs
    /// on; [`cancel`](Self::cancel) it, or ask again.
    ///
    /// # Errors
    ///
    /// If the time was over first, or the task was cancelled or panicked.
    ///
    /// # Panics
    ///
    /// On a worker of the task's loop, which would wait for itself; and if the result was taken before.
    ///
    /// # Python
    ///
    /// `result(timeout)` of the future that `asyncio.run_coroutine_threadsafe` returns.
    #[track_caller]
    pub fn blocking_result(&mut self, limit: Option<Duration>) -> Result<T, BlockingError> {
        assert!(
            !self.on_worker(),
            "blocking_result on a worker of the task's own loop would never end; await the task instead"
        );
        block_on(self, limit).ok_or(BlockingError::Timeout)?.map_err(BlockingError::Join)
    }
}
