//! `wait`: looks at many tasks, and cancels none.

use crate::tasks::Task;
use asyncio_task::Ready;
use asyncio_timer::{Sleep, sleep};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// When [`wait`] has waited enough.
///
/// # Python
///
/// `FIRST_COMPLETED`, `FIRST_EXCEPTION`, `ALL_COMPLETED`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnWhen {
    /// One has ended, in whatever way.
    FirstCompleted,
    /// One has failed (a cancelled one has not), or all have ended.
    FirstException,
    /// All have ended.
    #[default]
    AllCompleted,
}

/// What [`wait`] looks at: a task, by value or by `&mut`.
pub trait Waitable {
    /// What the task returns.
    type Value;

    /// The task.
    fn task(&mut self) -> &mut Task<Self::Value>;
}

impl<T> Waitable for Task<T> {
    type Value = T;

    fn task(&mut self) -> &mut Task<T> {
        self
    }
}

impl<T> Waitable for &mut Task<T> {
    type Value = T;

    fn task(&mut self) -> &mut Task<T> {
        self
    }
}

/// Made by [`wait`]: says how long to wait, and is awaited.
#[derive(Debug)]
#[must_use = "a wait does nothing unless it is awaited"]
pub struct Wait<W> {
    tasks: Vec<W>,
    return_when: ReturnWhen,
    timeout: Option<Duration>,
}

/// Waits for many tasks and gives them back: those that have ended, and the others, each in the order given.
///
/// Failing tasks and a timeout are no errors of the wait, and nothing is ever cancelled. Tasks are given by value and come back, or by `&mut`: then
/// they are still there when the wait itself is cancelled.
///
/// # Cancel safety
///
/// Dropping the wait detaches tasks given by value and leaves those given by `&mut` as they are.
///
/// # Panics
///
/// If there is no task to wait for.
///
/// # Examples
///
/// ```
/// use asyncio::{ReturnWhen, create_task, secs, sleep, wait};
///
/// asyncio::run(async {
///     let tasks = [5.0, 0.001].map(|delay| create_task(sleep(secs(delay))));
///     let (done, pending) = wait(tasks).return_when(ReturnWhen::FirstCompleted).await;
///     assert_eq!((done.len(), pending.len()), (1, 1));
/// });
/// ```
///
/// # Python
///
/// `asyncio.wait()`, which gives sets.
#[track_caller]
pub fn wait<W: Waitable>(tasks: impl IntoIterator<Item = W>) -> Wait<W> {
    let tasks: Vec<W> = tasks.into_iter().collect();
    assert!(!tasks.is_empty(), "wait() needs at least one task");
    Wait { tasks, return_when: ReturnWhen::AllCompleted, timeout: None }
}

impl<W> Wait<W> {
    /// Waits for the first, the first that fails, or all: the default.
    pub fn return_when(mut self, return_when: ReturnWhen) -> Self {
        self.return_when = return_when;
        self
    }

    /// Waits no longer than that, counted from the first poll.
    pub fn timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.timeout = limit.into();
        self
    }
}

impl<W: Waitable> IntoFuture for Wait<W> {
    type Output = (Vec<W>, Vec<W>);
    type IntoFuture = WaitFuture<W>;

    fn into_future(self) -> WaitFuture<W> {
        let Wait { tasks, return_when, timeout } = self;
        let left = tasks.len();
        let watch = Watch { ready: Ready::for_many(left), seen: Vec::new(), left };
        WaitFuture { tasks, return_when, timeout, sleep: None, watch, is_watching: false }
    }
}

/// The future of a [`Wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct WaitFuture<W: Waitable> {
    tasks: Vec<W>,
    return_when: ReturnWhen,
    timeout: Option<Duration>,
    sleep: Option<Sleep>,
    watch: Watch,
    is_watching: bool,
}

struct Watch {
    ready: Arc<Ready>,
    seen: Vec<u32>,
    /// How many have not been seen to end.
    left: usize,
}

impl<W: Waitable> WaitFuture<W> {
    fn watch_all(&mut self) {
        self.is_watching = true;
        for (index, task) in self.tasks.iter_mut().enumerate() {
            self.watch.ready.watch(index, |waker| task.task().wake_when_finished(waker));
        }
    }

    /// Looks at those that have ended since the last look: whether that is enough.
    fn is_enough(&mut self, cx: &mut Context<'_>) -> bool {
        let Watch { ready, seen, left } = &mut self.watch;
        ready.take(seen, cx.waker());
        *left -= seen.len();
        let any = !seen.is_empty();
        let mut any_failed = false;
        for index in seen.drain(..) {
            let error = self.tasks[index as usize].task().error();
            any_failed |= error.is_some_and(|error| !error.is_cancelled());
        }
        *left == 0
            || match self.return_when {
                ReturnWhen::FirstCompleted => any,
                ReturnWhen::FirstException => any_failed,
                ReturnWhen::AllCompleted => false,
            }
    }

    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.timeout else { return Poll::Pending };
        Pin::new(self.sleep.get_or_insert_with(|| sleep(limit))).poll(cx)
    }

    fn stop_waiting(&mut self) {
        self.tasks.iter_mut().for_each(|task| task.task().stop_waiting());
    }
}

// Nothing is pinned in place.
impl<W: Waitable> Unpin for WaitFuture<W> {}

impl<W: Waitable> Future for WaitFuture<W> {
    type Output = (Vec<W>, Vec<W>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.is_watching {
            this.watch_all();
        }
        if !this.is_enough(cx) && this.poll_timeout(cx).is_pending() {
            return Poll::Pending;
        }
        this.stop_waiting();
        Poll::Ready(split(std::mem::take(&mut this.tasks)))
    }
}

/// Those that have ended, and the others.
fn split<W: Waitable>(tasks: Vec<W>) -> (Vec<W>, Vec<W>) {
    let (mut done, mut pending) = (Vec::new(), Vec::new());
    for mut task in tasks {
        let list = if task.task().done() { &mut done } else { &mut pending };
        list.push(task);
    }
    (done, pending)
}

impl<W: Waitable> Drop for WaitFuture<W> {
    fn drop(&mut self) {
        if self.is_watching {
            self.stop_waiting();
        }
    }
}

impl<W: Waitable> fmt::Debug for WaitFuture<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<wait for {} of {} tasks>", self.watch.left, self.tasks.len())
    }
}
