//! The scope of a group: runs the body, waits for the tasks, and gives what comes of both.

use super::{Failure, Panic, Shared, TaskGroup, report};
use crate::exception_group::ExceptionGroup;
use asyncio_task::GroupDomain;
use std::convert::Infallible;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The scope's side.
pub(super) struct Scope<'a, E: Send + 'static, R> {
    group: &'a TaskGroup<E>,
    domain: GroupDomain,
    stage: Stage,
    value: Option<R>,
    /// The body's, which comes after those of the tasks.
    failure: Option<Failure<E>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Body,
    /// Waits for the tasks.
    Ending,
    /// A request from outside goes on.
    Unwinding,
}

impl<'a, E: Send + 'static, R> Scope<'a, E, R> {
    pub(super) fn new(group: &'a TaskGroup<E>) -> Self {
        let domain = GroupDomain::new();
        Scope { group, domain, stage: Stage::Body, value: None, failure: None }
    }

    pub(super) fn poll<F>(
        &mut self,
        body: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<R, ExceptionGroup<E>>>
    where
        F: Future<Output = Result<R, E>>,
    {
        if self.stage == Stage::Body {
            std::task::ready!(self.poll_body(body, cx));
            self.stage = Stage::Ending;
        }
        if self.stage == Stage::Ending {
            std::task::ready!(self.poll_ending(cx));
            return self.end();
        }
        self.domain.unwind()
    }

    fn poll_body<F>(&mut self, mut body: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Poll<()>
    where
        F: Future<Output = Result<R, E>>,
    {
        let members = &self.group.0.members;
        members.set_waiter(cx.waker());
        loop {
            // Before the body runs again, if it is asked to end it is; in its first poll, after that.
            if members.has_news() && self.domain.cancel() {
                members.take_news();
            }
            match self.domain.poll_body(body.as_mut(), cx) {
                Poll::Ready(ended) => {
                    self.body_ended(ended);
                    return Poll::Ready(());
                }
                // It may have cancelled its own group, or could not be asked before.
                Poll::Pending if !members.has_news() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }

    fn body_ended(&mut self, ended: Option<std::thread::Result<Result<R, E>>>) {
        match ended {
            Some(Ok(Ok(value))) => {
                self.value = Some(value);
                return;
            }
            Some(Ok(Err(error))) => self.failure = Some(Failure::Error(error)),
            Some(Err(panic)) => self.failure = Some(Failure::Panic(panic)),
            None => {}
        }
        self.group.cancel();
    }

    /// Ready when every task has ended.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.domain.poll_ending(cx) {
            self.group.cancel();
        }
        self.group.0.members.poll_over(cx)
    }

    /// All tasks have ended.
    fn end(&mut self) -> Poll<Result<R, ExceptionGroup<E>>> {
        let mut failures = self.group.0.failures.lock();
        if let Some(failure) = self.failure.take() {
            failures.keep(failure);
        }
        let (errors, panics) = failures.take();
        drop(failures);
        if let Some(panic) = first_panic(panics) {
            errors.into_iter().for_each(|error| report(SUPPRESSED, Failure::Error(error)));
            resume_unwind(panic);
        }
        // With errors, a request from outside is given back and strikes after the group.
        if errors.is_empty() && self.domain.raise() {
            self.stage = Stage::Unwinding;
            return Poll::Pending;
        }
        self.domain.give_back(!errors.is_empty());
        let value = self.value.take().filter(|_| errors.is_empty());
        Poll::Ready(value.ok_or_else(|| {
            let cancelled = errors.is_empty();
            let message = if cancelled { "the TaskGroup was cancelled" } else { UNHANDLED };
            ExceptionGroup::new(message, errors)
        }))
    }
}

const UNHANDLED: &str = "unhandled errors in a TaskGroup";
const SUPPRESSED: &str = "TaskGroup task exception was not propagated because of a panic";

/// The panic to go on with; the others are reported.
fn first_panic(panics: Vec<Panic>) -> Option<Panic> {
    let mut panics = panics.into_iter();
    let first = panics.next();
    panics.for_each(|panic| report::<Infallible>(SUPPRESSED, Failure::Panic(panic)));
    first
}

impl<E: Send + 'static, R> Drop for Scope<'_, E, R> {
    fn drop(&mut self) {
        let Shared { members, failures } = &*self.group.0;
        if !members.abandon() {
            return;
        }
        let mut failures = failures.lock();
        failures.is_closed = true;
        let (errors, panics) = failures.take();
        drop(failures);
        let errors = errors.into_iter().map(Failure::Error);
        let failures = errors.chain(panics.into_iter().map(Failure::Panic));
        failures.for_each(|failure| report("a TaskGroup was dropped with a failed task", failure));
    }
}
