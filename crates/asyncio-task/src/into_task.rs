//! What may be given where a task is wanted.
//!
//! This stands here because only the crate that has `Task` can promise the compiler that its two impls never meet.

use crate::task::Task;
use std::future::{Future, IntoFuture};

/// Makes tasks.
pub trait Spawn {
    /// A task of `future`.
    fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;
}

/// What can be made a task with result `T`: a [`Task<T>`], which is used as it is, and everything else that can be awaited, which is spawned.
///
/// A `Task<T>` is a future too, one of `Result<T, JoinError>`. So of a task given to `gather` or `ensure_future` the compiler has to be told which
/// of the two is meant, by saying what comes out: `gather::<Page, _>(tasks)`, or
/// `let pages: Vec<Page> = gather(tasks).await?`. Macros take the first meaning by
/// themselves.
pub trait IntoTask<T> {
    /// The task, made by `spawner` if it has to be made.
    fn into_task_by(self, spawner: impl Spawn) -> Task<T>;
}

impl<T> IntoTask<T> for Task<T> {
    #[inline(always)]
    fn into_task_by(self, _: impl Spawn) -> Task<T> {
        self
    }
}

// Never both for one type: the first gives a `Task<T>` the result `T`, this one `Result<T, JoinError>`.
impl<F> IntoTask<F::Output> for F
where
    F: IntoFuture,
    F::IntoFuture: Send + 'static,
    F::Output: Send + 'static,
{
    // Whoever makes many has this in a loop.
    #[inline(always)]
    fn into_task_by(self, spawner: impl Spawn) -> Task<F::Output> {
        spawner.spawn(self.into_future())
    }
}
