//! Main as `run_until_complete` polls it: a future that belongs to another loop is refused.
//!
//! `run_until_complete` takes futures of any type and cannot ask main for its loop, nor whether main is a [`Future`](crate::Future), the
//! type that has one. So it leaves a question on the thread while it polls main for the first time: "I poll a future of this type for
//! this loop". A `Future` that is polled for the first time and is of that very type *is* main, because main is polled before anything
//! that main polls; if it has another loop, it says so, and stays pending. A `Future` awaited inside main is of another type than main.
//!
//! `typeid` gives the id of a type that need not be `'static`, which main's is not.

use crate::events::EventLoop;
use crate::exceptions::RunError;
use pin_project_lite::pin_project;
use std::any::TypeId;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pin_project! {
    /// Main, which asks the question at its first poll.
    pub(crate) struct MainFuture<F> {
        #[pin]
        main: F,
        question: Option<Question>,
    }
}

impl<F> MainFuture<F> {
    pub(crate) fn new(main: F, event_loop: &EventLoop) -> Self {
        let question = Question { main: typeid::of::<F>(), event_loop: address(event_loop) };
        MainFuture { main, question: Some(question) }
    }
}

impl<F: Future> Future for MainFuture<F> {
    type Output = Result<F::Output, RunError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.as_mut().project().question.take() {
            None => self.project().main.poll(cx).map(Ok),
            Some(question) => self.poll_first(question, cx),
        }
    }
}

impl<F: Future> MainFuture<F> {
    #[cold]
    fn poll_first(
        self: Pin<&mut Self>,
        question: Question,
        cx: &mut Context<'_>,
    ) -> Poll<Result<F::Output, RunError>> {
        let asked = Asked::new(question);
        let polled = self.project().main.poll(cx);
        if asked.is_refused() { Poll::Ready(Err(RunError::OtherLoop)) } else { polled.map(Ok) }
    }
}

#[derive(Clone, Copy)]
struct Question {
    main: TypeId,
    event_loop: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nobody asks, or not any more: main is no future of ours, or one of this loop.
    NotAsked,
    /// None came by.
    Open,
    /// Main belongs to another loop.
    Refused,
}

thread_local! {
    /// Apart from the question, because every first poll of a `Future` reads it.
    static ANSWER: Cell<Answer> = const { Cell::new(Answer::NotAsked) };
    static QUESTION: Cell<Option<Question>> = const { Cell::new(None) };
}

/// The question is on the thread until this is dropped, also by a panic of main.
struct Asked;

impl Asked {
    fn new(question: Question) -> Self {
        // A run inside a run is refused, so there is no question yet.
        QUESTION.set(Some(question));
        ANSWER.set(Answer::Open);
        Asked
    }

    fn is_refused(&self) -> bool {
        ANSWER.get() == Answer::Refused
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        ANSWER.set(Answer::NotAsked);
    }
}

/// Whether a `P` of `event_loop`, polled for the first time, is a main that its loop must refuse.
#[inline]
pub(crate) fn refuses<P>(event_loop: &EventLoop) -> bool {
    ANSWER.get() == Answer::Open && answer::<P>(event_loop)
}

#[cold]
fn answer<P>(event_loop: &EventLoop) -> bool {
    let refused = QUESTION.get().is_some_and(|question| {
        is_polled_through::<P>(question.main) && question.event_loop != address(event_loop)
    });
    // The first to come by answers: main, if it is one of ours, comes before all others.
    ANSWER.set(if refused { Answer::Refused } else { Answer::NotAsked });
    refused
}

/// Whether polling a future of type `main` is polling a `P`: one itself, or a pointer to one.
fn is_polled_through<P>(main: TypeId) -> bool {
    [
        typeid::of::<P>(),
        typeid::of::<&mut P>(),
        typeid::of::<Pin<&mut P>>(),
        typeid::of::<Box<P>>(),
        typeid::of::<Pin<Box<P>>>(),
    ]
    .contains(&main)
}

fn address(event_loop: &EventLoop) -> usize {
    Arc::as_ptr(event_loop.scheduler()).addr()
}
