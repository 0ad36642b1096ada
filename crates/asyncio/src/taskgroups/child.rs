//! A child of a group: its future, and its membership.

use super::{Failure, Panic, TaskGroup};
use crate::exceptions::JoinError;
use asyncio_base::slab::Key;
use asyncio_task::{fail_here, fail_in_drop};
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A child's place in its group, for as long as its future lives.
pub(super) struct Membership<E: Send + 'static> {
    pub(super) group: TaskGroup<E>,
    /// None as long as it has not entered.
    pub(super) key: Key,
}

impl<E: Send + 'static> Membership<E> {
    /// The future's destructor has panicked.
    fn failed_in_drop(&self, panic: Panic) -> ! {
        if self.key.is_none() {
            resume_unwind(panic);
        }
        self.group.failed(self.key, Failure::Panic(panic));
        fail_in_drop(JoinError::failed())
    }
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
        // Until it is dropped.
        #[pin]
        pub(super) future: Option<F>,
        pub(super) into_outcome: C,
        // Last: the future is gone when the child leaves.
        pub(super) membership: Membership<E>,
    }

    /// A panic of the future's destructor is the child's failure.
    impl<F, C, E> PinnedDrop for Child<F, C, E>
    where
        E: Send,
        E: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| this.future.set(None))) {
                this.membership.failed_in_drop(panic);
            }
        }
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
        let future = this.future.as_pin_mut().expect("the child has not been dropped");
        let failure = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
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
