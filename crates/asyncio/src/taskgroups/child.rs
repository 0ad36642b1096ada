//! A child of a group: its future, and its membership.

use super::{Failure, TaskGroup};
use crate::exceptions::JoinError;
use asyncio_base::slab::Key;
use asyncio_task::fail_here;
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A child's place in its group, for as long as its future lives.
pub(super) struct Membership<E: Send + 'static> {
    pub(super) group: TaskGroup<E>,
    /// None as long as it has not entered.
    pub(super) key: Key,
}

impl<E: Send + 'static> Drop for Membership<E> {
    fn drop(&mut self) {
        if !self.key.is_none() {
            self.group.0.members.leave(self.key);
        }
    }
}

pin_project! {
    /// The future of a child.
    pub(super) struct Child<F, C, E>
    where
        E: Send,
        E: 'static,
    {
        #[pin]
        pub(super) future: F,
        pub(super) into_outcome: C,
        // Last: the future is gone when the child leaves.
        pub(super) membership: Membership<E>,
    }
}

impl<F, C, T, E> Future for Child<F, C, E>
where
    F: Future,
    C: Fn(F::Output) -> Result<T, E>,
    E: Send + 'static,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.project();
        let failure = match catch_unwind(AssertUnwindSafe(|| this.future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => match (this.into_outcome)(output) {
                Ok(value) => return Poll::Ready(value),
                Err(error) => Failure::Error(error),
            },
            Err(panic) => Failure::Panic(panic),
        };
        this.membership.group.failed(this.membership.key, failure);
        // Ends the task in this very turn.
        fail_here(JoinError::failed());
        Poll::Pending
    }
}
