//! `gather` and `try_gather`: many at once, and their results in the order of the arguments.

mod children;

pub use children::fallible;
use children::{Children, Fallible, Outcomes};

use crate::ensure_future::{Here, IntoTask};
use crate::exceptions::JoinError;
use crate::tasks::Task;
use asyncio_task::{Forward, Ready};
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The tasks, and who of them has ended.
struct Gathering<C: Children> {
    children: C,
    ready: Arc<Ready>,
    /// Those seen to have ended; emptied by every look.
    seen: Vec<u32>,
    left: usize,
    /// The first that failed.
    failed: Option<usize>,
    forward: Forward,
}

impl<C: Children> Gathering<C> {
    fn new(mut children: C) -> Self {
        let left = children.count();
        let ready = Ready::for_many(left);
        for index in 0..left {
            ready.watch(index, |waker| children.child_mut(index).wake_when_finished(waker));
        }
        Gathering { children, ready, seen: Vec::new(), left, failed: None, forward: Forward::new() }
    }

    /// Ready when all have ended, or, if `all` is false, when one has failed, which it gives.
    fn poll(&mut self, all: bool, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        self.ready.take(&mut self.seen, cx.waker());
        for index in self.seen.drain(..).map(|index| index as usize) {
            self.left -= 1;
            if self.failed.is_none() && self.children.child(index).failed() {
                self.failed = Some(index);
            }
        }
        let failed = self.failed.filter(|_| !all);
        if self.left > 0 && failed.is_none() {
            let children = &self.children;
            self.forward.pass_on(cx.waker(), |message| cancel(children, message));
            return Poll::Pending;
        }
        // With `all` whoever waits is cancelled even if every child went on with its work.
        let was_cancelled =
            all || failed.is_some_and(|index| self.children.child(index).cancelled());
        if self.forward.ended(was_cancelled) {
            return Poll::Pending;
        }
        // Now rather than with the gather: should the waker's destructor panic, the results are still with their tasks.
        self.ready.stop();
        Poll::Ready(failed)
    }

    /// A cancel of the whole, from outside.
    fn cancel(&self, all: bool, message: Option<Cow<'static, str>>) -> bool {
        let mut children = (0..self.children.count()).map(|index| self.children.child(index));
        let is_over = !all && children.any(|child| child.failed());
        !is_over && cancel(&self.children, message)
    }

    fn failure(&mut self, index: usize) -> C::Error {
        // The others go on, and what becomes of them is nobody's business.
        (0..self.children.count()).for_each(|index| self.children.child(index).forgive());
        self.children.failure(index)
    }
}

/// Cancels every child; false if all had ended.
fn cancel<C: Children>(children: &C, message: Option<Cow<'static, str>>) -> bool {
    let cancel = |index| children.child(index).cancel(message.clone());
    (0..children.count()).fold(false, |any, index| cancel(index) | any)
}

/// Made by [`gather`](gather()) and its kin: the tasks run already, and awaiting this gives what they return.
///
/// A cancel of whoever awaits goes on to every child. The first child that fails ends the wait; the others go on.
///
/// # Cancel safety
///
/// Dropping it lets the tasks run on.
#[must_use = "the tasks run, but their results come only if this is awaited"]
pub struct Gather<C: Children>(Gathering<C>);

impl<C: Children> Gather<C> {
    #[doc(hidden)]
    pub fn of(children: C) -> Self {
        Gather(Gathering::new(children))
    }

    /// Cancels every child that has not ended; false, and nothing happens, if the gather is over: all have ended, or one has failed.
    ///
    /// The await ends with the first child that reports to be cancelled.
    ///
    /// # Python
    ///
    /// `cancel()` on the future that `gather` returns.
    pub fn cancel(&self) -> bool {
        self.0.cancel(false, None)
    }

    /// As [`cancel`](Self::cancel), with a message.
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.0.cancel(false, Some(message.into()))
    }

    /// Waits for all, and gives errors and cancellations among the results.
    ///
    /// # Python
    ///
    /// `gather(…, return_exceptions=True)`. There the await of a gather that was itself cancelled raises; here each result says so.
    pub fn return_exceptions(self) -> GatherAll<C>
    where
        C: Outcomes,
    {
        GatherAll(self.0)
    }
}

impl<C: Children> Future for Gather<C> {
    type Output = Result<C::Values, C::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let gathering = &mut self.0;
        match std::task::ready!(gathering.poll(false, cx)) {
            None => Poll::Ready(Ok(gathering.children.values())),
            Some(index) => Poll::Ready(Err(gathering.failure(index))),
        }
    }
}

impl<C: Children> fmt::Debug for Gather<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Gather of {} tasks>", self.0.children.count())
    }
}

/// Made by [`Gather::return_exceptions`].
#[must_use = "the tasks run, but their results come only if this is awaited"]
pub struct GatherAll<C: Children>(Gathering<C>);

impl<C: Outcomes> GatherAll<C> {
    /// Cancels every child that has not ended; false if all have.
    pub fn cancel(&self) -> bool {
        self.0.cancel(true, None)
    }

    /// As [`cancel`](Self::cancel), with a message.
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.0.cancel(true, Some(message.into()))
    }
}

impl<C: Outcomes> Future for GatherAll<C> {
    type Output = C::Outcomes;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let gathering = &mut self.0;
        gathering.poll(true, cx).map(|_failed| gathering.children.outcomes())
    }
}

impl<C: Children> fmt::Debug for GatherAll<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<GatherAll of {} tasks>", self.0.children.count())
    }
}

/// Runs many at once: makes a task of each item, unless it is one, and gives their results in the order of the items.
///
/// The tasks start here, awaited or not. The first that fails (panics, or is cancelled) ends the wait with its error; the others run on. See
/// [`try_gather`](try_gather()) for tasks that return a `Result`, [`gather!`](crate::gather!) for different types.
///
/// # Cancel safety
///
/// Dropping the gather lets the tasks run on. A cancel of whoever awaits it cancels them, and waits until the first has ended.
///
/// # Errors
///
/// How the first task to fail ended.
///
/// # Panics
///
/// If a task has to be made and there is no loop, neither running nor set for this thread.
///
/// # Examples
///
/// ```
/// use asyncio::{gather, secs, sleep};
///
/// asyncio::run(async {
///     let doubled = gather((0..3).map(|n| async move {
///         sleep(secs(0.003 - 0.001 * f64::from(n))).await;
///         2 * n
///     }));
///     assert_eq!(doubled.await.unwrap(), [0, 2, 4]);
/// });
/// ```
///
/// # Python
///
/// `asyncio.gather(*items)`.
#[track_caller]
pub fn gather<T, I>(items: I) -> Gather<Vec<Task<T>>>
where
    I: IntoIterator,
    I::Item: IntoTask<T>,
{
    let location = Location::caller();
    Gather::of(items.into_iter().map(|item| item.into_task_by(Here(location))).collect())
}

/// As [`gather`](gather()), for tasks that return a `Result`: an `Err` is a failure too.
///
/// # Errors
///
/// The first error, by time.
///
/// # Examples
///
/// ```
/// use asyncio::{JoinError, create_task, try_gather};
/// use std::io;
///
/// asyncio::run(async {
///     let lengths = ["a", "bc"].map(|text| async move { io::Result::Ok(text.len()) });
///     assert_eq!(try_gather(lengths).await?, [1, 2]);
///     // Tasks are futures of a `Result`.
///     let tasks = [1, 2].map(|n| create_task(async move { n }));
///     let values: Result<Vec<i32>, JoinError> = try_gather(tasks).await;
///     assert_eq!(values?, [1, 2]);
///     # io::Result::Ok(())
/// }).unwrap();
/// ```
#[track_caller]
pub fn try_gather<T, E, I>(items: I) -> Gather<Vec<Fallible<T, E>>>
where
    I: IntoIterator,
    I::Item: IntoTask<Result<T, E>>,
    E: From<JoinError>,
{
    let location = Location::caller();
    Gather::of(items.into_iter().map(|item| Fallible(item.into_task_by(Here(location)))).collect())
}

/// Runs several at once, of any types, and gives a tuple of their results: see [`gather`](gather()). Up to twelve.
///
/// # Examples
///
/// ```
/// use asyncio::{create_task, gather};
///
/// asyncio::run(async {
///     let task = create_task(async { "two" });
///     assert_eq!(gather!(async { 1 }, task).await.unwrap(), (1, "two"));
/// });
/// ```
#[macro_export]
macro_rules! gather {
    ($($item:expr),+ $(,)?) => {{
        #[allow(unused_imports)]
        use $crate::__private::Awaitable as _;
        $crate::Gather::of(($($crate::__private::Argument($item).into_task(),)+))
    }};
}

/// Runs several at once that return `Result`s with one type of error, and gives a tuple of the values or the first error:
/// see [`try_gather`](try_gather()). Up to twelve.
///
/// # Examples
///
/// ```
/// use asyncio::try_gather;
/// use std::io;
///
/// asyncio::run(async {
///     let both = try_gather!(async { io::Result::Ok(1) }, async { Ok("two") });
///     assert_eq!(both.await.unwrap(), (1, "two"));
/// });
/// ```
#[macro_export]
macro_rules! try_gather {
    ($($item:expr),+ $(,)?) => {{
        #[allow(unused_imports)]
        use $crate::__private::Awaitable as _;
        $crate::Gather::of((
            $($crate::__private::fallible($crate::__private::Argument($item).into_task()),)+
        ))
    }};
}
