//! `as_completed`: results in the order in which the tasks end.

use crate::ensure_future::{Here, IntoTask};
use crate::events::now;
use crate::exceptions::JoinError;
use crate::tasks::Task;
use crate::timeouts::TimeoutError;
use asyncio_sync::Lock;
use asyncio_task::Ready;
use asyncio_timer::{Sleep, sleep_until};
use futures_core::Stream;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Made by [`as_completed`]: gives the outcomes of the tasks, first ended first.
///
/// It is a stream; [`next`](Self::next) is the way to take from it without one. Taken by value in a `for` loop it gives as many futures as there are
/// tasks, and each of them, whichever is awaited first, gives the next outcome.
#[must_use = "the tasks run, but their results come only if they are taken"]
pub struct AsCompleted<T> {
    /// Those whose outcome was not taken.
    tasks: Vec<Option<Task<T>>>,
    left: usize,
    ready: Arc<Ready>,
    /// Those seen to have ended, the last one first.
    seen: Vec<u32>,
}

/// Makes a task of each item, unless it is one, and gives their outcomes as they end.
///
/// # Cancel safety
///
/// Dropping it, or an unfinished `next`, loses no result that was not taken and cancels nothing: the tasks run on.
///
/// # Panics
///
/// If a task has to be made and there is no loop, neither running nor set for this thread.
///
/// # Examples
///
/// ```
/// use asyncio::{as_completed, secs, sleep};
///
/// asyncio::run(async {
///     let mut results = as_completed([3, 1, 2].map(|n| async move {
///         sleep(secs(f64::from(n) * 0.002)).await;
///         n
///     }));
///     let mut order = Vec::new();
///     while let Some(result) = results.next().await {
///         order.push(result.unwrap());
///     }
///     assert_eq!(order, [1, 2, 3]);
/// });
/// ```
///
/// # Python
///
/// `asyncio.as_completed()`; [`next_task`](AsCompleted::next_task) gives the task itself, as `async for` does.
#[track_caller]
pub fn as_completed<T, I>(items: I) -> AsCompleted<T>
where
    I: IntoIterator,
    I::Item: IntoTask<T>,
{
    let location = Location::caller();
    let tasks = items.into_iter().map(|item| Some(item.into_task_by(Here(location))));
    let mut tasks: Vec<Option<Task<T>>> = tasks.collect();
    let ready = Ready::for_many(tasks.len());
    for (index, task) in tasks.iter_mut().enumerate() {
        ready
            .watch(index, |waker| task.as_mut().is_some_and(|task| task.wake_when_finished(waker)));
    }
    AsCompleted { left: tasks.len(), tasks, ready, seen: Vec::new() }
}

impl<T> AsCompleted<T> {
    /// The outcome of the next task to end; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_outcome(cx)).await
    }

    /// The next task to end, itself; `None` after the last.
    pub async fn next_task(&mut self) -> Option<Task<T>> {
        poll_fn(|cx| self.poll_task(cx)).await
    }

    /// From here on until the deadline; after it, each outcome that is missing is a [`TimeoutError`]. The tasks are not cancelled.
    ///
    /// # Panics
    ///
    /// If it has to wait where no loop runs.
    pub fn timeout(self, limit: Duration) -> AsCompletedUntil<T> {
        // Beyond the clock's range is never.
        let sleep = now().checked_add(limit).map(sleep_until);
        AsCompletedUntil { completed: self, sleep, is_over: false }
    }

    /// The tasks whose outcome was not taken, in the order given.
    pub fn into_tasks(mut self) -> Vec<Task<T>> {
        let tasks = std::mem::take(&mut self.tasks).into_iter().flatten();
        tasks
            .map(|mut task| {
                task.stop_waiting();
                task
            })
            .collect()
    }

    fn poll_task(&mut self, cx: &mut Context<'_>) -> Poll<Option<Task<T>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.seen.is_empty() {
            self.ready.take(&mut self.seen, cx.waker());
            self.seen.reverse();
        }
        let Some(index) = self.seen.pop() else { return Poll::Pending };
        self.left -= 1;
        Poll::Ready(self.tasks[index as usize].take())
    }

    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let task = ready!(self.poll_task(cx));
        Poll::Ready(task.map(|mut task| task.try_result().expect("the task has ended")))
    }
}

impl<T> Stream for AsCompleted<T> {
    type Item = Result<T, JoinError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_outcome(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<as_completed: {} of {} tasks left>", self.left, self.tasks.len())
    }
}

/// Made by [`AsCompleted::timeout`].
#[must_use = "the tasks run, but their results come only if they are taken"]
pub struct AsCompletedUntil<T> {
    completed: AsCompleted<T>,
    sleep: Option<Sleep>,
    is_over: bool,
}

impl<T> AsCompletedUntil<T> {
    /// The outcome of the next task to end, or that the deadline came first; `None` after as many as there are tasks.
    pub async fn next(&mut self) -> Option<Result<Result<T, JoinError>, TimeoutError>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The tasks whose outcome was not taken, in the order given.
    pub fn into_tasks(self) -> Vec<Task<T>> {
        self.completed.into_tasks()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Result<T, JoinError>, TimeoutError>>> {
        if !self.is_over {
            if let Poll::Ready(outcome) = self.completed.poll_outcome(cx) {
                return Poll::Ready(outcome.map(Ok));
            }
            let Some(sleep) = &mut self.sleep else { return Poll::Pending };
            ready!(Pin::new(sleep).poll(cx));
            self.is_over = true;
            self.sleep = None;
        }
        let left = &mut self.completed.left;
        let item = (*left > 0).then_some(Err(TimeoutError));
        *left = left.saturating_sub(1);
        Poll::Ready(item)
    }
}

impl<T> Stream for AsCompletedUntil<T> {
    type Item = Result<Result<T, JoinError>, TimeoutError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.completed.size_hint()
    }
}

impl<T> fmt::Debug for AsCompletedUntil<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.completed.fmt(f)
    }
}

/// Gives the futures of a plain `for` loop.
#[must_use = "iterators are lazy"]
pub struct Completions<S> {
    results: Arc<Lock<S>>,
    left: usize,
}

/// The next outcome, whichever it is; given by [`Completions`].
#[must_use = "futures do nothing unless awaited"]
pub struct NextCompleted<O>(Pin<Box<dyn Future<Output = O> + Send>>);

impl<S> Completions<S>
where
    S: Stream + Unpin,
{
    fn new(results: S) -> Self {
        let left = results.size_hint().0;
        Completions { results: Arc::new(Lock::new(results)), left }
    }
}

impl<S> Iterator for Completions<S>
where
    S: Stream + Unpin + Send + 'static,
    S::Item: Send + 'static,
{
    type Item = NextCompleted<S::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let results = self.results.clone();
        // The lock is first come, first served: so are those who await.
        Some(NextCompleted(Box::pin(async move {
            let mut results = results.acquire().await;
            let next = poll_fn(|cx| Pin::new(&mut *results).poll_next(cx)).await;
            next.expect("as many outcomes as tasks")
        })))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Send + 'static> IntoIterator for AsCompleted<T> {
    type Item = NextCompleted<Result<T, JoinError>>;
    type IntoIter = Completions<AsCompleted<T>>;

    fn into_iter(self) -> Self::IntoIter {
        Completions::new(self)
    }
}

impl<T: Send + 'static> IntoIterator for AsCompletedUntil<T> {
    type Item = NextCompleted<Result<Result<T, JoinError>, TimeoutError>>;
    type IntoIter = Completions<AsCompletedUntil<T>>;

    fn into_iter(self) -> Self::IntoIter {
        Completions::new(self)
    }
}

impl<O> Future for NextCompleted<O> {
    type Output = O;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        self.0.as_mut().poll(cx)
    }
}

impl<S> fmt::Debug for Completions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<as_completed: {} futures left>", self.left)
    }
}

impl<O> fmt::Debug for NextCompleted<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<the next outcome of as_completed>")
    }
}
