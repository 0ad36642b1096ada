//! asyncio's rule for what may be given where a task is wanted: a task is used as it is, anything else that can be awaited becomes one.

use crate::events::{EventLoop, lent_event_loop};
use crate::tasks::Task;
use asyncio_task::Spawn;
use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::Location;

pub use asyncio_task::IntoTask;

/// Makes tasks on the running loop or, while none runs, on the one set for this thread.
pub(crate) struct Here(pub(crate) &'static Location<'static>);

impl Spawn for Here {
    #[inline(always)]
    fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match lent_event_loop() {
            Ok(event_loop) => event_loop.create_task_at(future, self.0),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A task of what is given: a task is given back, anything else that can be awaited is spawned, on the running loop or, while none runs, on the one
/// set for this thread.
///
/// # Panics
///
/// If it has to spawn and there is no loop.
///
/// # Examples
///
/// ```
/// use asyncio::{Task, create_task, ensure_future};
///
/// asyncio::run(async {
///     let made = ensure_future(async { 1 });
///     let task = create_task(async { 2 });
///     let id = task.id();
///     let same: Task<i32> = ensure_future(task);
///     assert_eq!(same.id(), id);
///     assert_eq!(made.await.unwrap() + same.await.unwrap(), 3);
/// });
/// ```
///
/// # Python
///
/// `asyncio.ensure_future()`.
#[track_caller]
pub fn ensure_future<T>(awaitable: impl IntoTask<T>) -> Task<T> {
    awaitable.into_task_by(Here(Location::caller()))
}

/// The task given belongs to another loop; it is in here, and runs on there.
#[derive(Debug)]
pub struct OtherLoop<T>(pub Task<T>);

impl<T> fmt::Display for OtherLoop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.get_name();
        write!(f, "the task '{name}' belongs to a different loop than the one asked for")
    }
}

impl<T: fmt::Debug> Error for OtherLoop<T> {}

/// Makes tasks on a loop that is named.
struct On<'a>(&'a EventLoop, &'static Location<'static>);

impl Spawn for On<'_> {
    #[track_caller]
    fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.create_task_at(future, self.1)
    }
}

impl EventLoop {
    /// A task of this loop: one is given back as it is, anything else that can be awaited is spawned here.
    ///
    /// # Errors
    ///
    /// If it is a task of another loop; such a one can be awaited here all the same.
    ///
    /// # Panics
    ///
    /// If it has to spawn and the loop is closed; the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let (one, other) = (asyncio::new_event_loop()?, asyncio::new_event_loop()?);
    /// let task = one.create_task(async { 1 });
    /// let refused = other.ensure_future::<i32>(task).unwrap_err();
    /// assert_eq!(one.run_until_complete(refused.0)?.unwrap(), 1);
    /// one.close()?;
    /// other.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Python
    ///
    /// `asyncio.ensure_future(awaitable, loop=…)`.
    #[track_caller]
    pub fn ensure_future<T>(&self, awaitable: impl IntoTask<T>) -> Result<Task<T>, OtherLoop<T>> {
        let task = awaitable.into_task_by(On(self, Location::caller()));
        if self.scheduler().owns(&task) { Ok(task) } else { Err(OtherLoop(task)) }
    }
}

/// An argument of a macro, whose type is known where it stands. Not public API.
#[doc(hidden)]
#[derive(Debug)]
pub struct Argument<A>(pub A);

impl<T> Argument<Task<T>> {
    /// Found before the trait's.
    #[doc(hidden)]
    pub fn into_task(self) -> Task<T> {
        self.0
    }
}

/// For arguments that are no tasks. Not public API.
#[doc(hidden)]
pub trait Awaitable<T> {
    #[doc(hidden)]
    fn into_task(self) -> Task<T>;
}

impl<F> Awaitable<F::Output> for Argument<F>
where
    F: IntoFuture,
    F::IntoFuture: Send + 'static,
    F::Output: Send + 'static,
{
    #[track_caller]
    fn into_task(self) -> Task<F::Output> {
        self.0.into_task_by(Here(Location::caller()))
    }
}
