//! Tasks in asyncio's words, on whichever executor the tests run.
//!
//! They run in asyncio's order as long as the executor is first in, first out, so CPython's order-sensitive assertions hold as they
//! stand. They know no time; where a test of CPython sleeps, these yield often enough.

use crate::executor;
use asyncio_sync::condition::Wait;
use asyncio_sync::{Condition, ConditionGuard};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// What a task needs besides its result.
struct Core {
    body: RefCell<Option<Body>>,
    cancel_requested: Cell<bool>,
    /// How many scopes want to see a cancel themselves.
    scopes: Cell<usize>,
    /// Empty before the first turn, to which the task is on its way.
    waker: RefCell<Option<Waker>>,
}

impl Core {
    fn wake(&self) {
        let waker = self.waker.borrow().clone();
        waker.into_iter().for_each(Waker::wake);
    }

    /// One turn: delivers a cancel that no scope wants, or polls.
    fn turn(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.replace(Some(cx.waker().clone()));
        let Some(mut body) = self.body.take() else { return Poll::Ready(()) };
        if self.cancel_requested.get() && self.scopes.get() == 0 {
            drop(body);
            return Poll::Ready(());
        }
        let before = CURRENT.replace(Some(self.clone()));
        let polled = body.as_mut().poll(cx);
        CURRENT.set(before);
        if polled.is_pending() {
            *self.body.borrow_mut() = Some(body);
        }
        polled
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

/// The task was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

struct Outcome<T> {
    result: RefCell<Option<Result<T, Cancelled>>>,
    done: Cell<Option<bool>>,
    joiners: RefCell<Vec<Waker>>,
}

/// A task, as asyncio has it. Dropping it detaches.
pub struct Task<T> {
    core: Rc<Core>,
    outcome: Rc<Outcome<T>>,
}

/// Ends the task as cancelled if its body is dropped before it has returned.
struct Ending<T>(Rc<Outcome<T>>);

impl<T> Ending<T> {
    fn end(&self, result: Result<T, Cancelled>) {
        self.0.done.set(Some(result.is_ok()));
        *self.0.result.borrow_mut() = Some(result);
        self.0.joiners.take().into_iter().for_each(Waker::wake);
    }
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        if self.0.done.get().is_none() {
            self.end(Err(Cancelled));
        }
    }
}

pub fn create_task<F: Future + 'static>(future: F) -> Task<F::Output> {
    let joiners = RefCell::default();
    let outcome = Rc::new(Outcome { result: RefCell::new(None), done: Cell::new(None), joiners });
    let ending = Ending(outcome.clone());
    let body = async move {
        let output = future.await;
        ending.end(Ok(output));
    };
    let body = RefCell::new(Some(Box::pin(body) as Body));
    let (cancel_requested, scopes, waker) = Default::default();
    let core = Rc::new(Core { body, cancel_requested, scopes, waker });
    let turned = core.clone();
    executor::spawn(poll_fn(move |cx| turned.turn(cx)));
    Task { core, outcome }
}

/// Runs a callback in the next pass.
pub fn call_soon(f: impl FnOnce() + 'static) {
    create_task(async move { f() });
}

impl<T> Task<T> {
    /// Asks the task to stop: its future is dropped when its turn comes, or a scope inside deals with it.
    pub fn cancel(&self) {
        if self.outcome.done.get().is_none() {
            self.core.cancel_requested.set(true);
            self.core.wake();
        }
    }

    pub fn done(&self) -> bool {
        self.outcome.done.get().is_some()
    }

    pub fn cancelled(&self) -> bool {
        self.outcome.done.get() == Some(false)
    }

    /// The result of a task that is done and has not been awaited.
    pub fn result(&self) -> T {
        self.outcome.result.take().expect("done").expect("not cancelled")
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.outcome.result.take() {
            return Poll::Ready(result);
        }
        self.outcome.joiners.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }
}

/// Runs a main future to its end, as `asyncio.run` does; what is left then is dropped.
pub fn run<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
    executor::run(async { create_task(main).await.expect("main is not cancelled") })
}

fn current() -> Rc<Core> {
    CURRENT.with(|current| current.borrow().clone()).expect("inside a task")
}

/// `asyncio.sleep(0)`: everything that is ready now runs first.
pub async fn pass() {
    let mut yielded = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Passes until things have settled; stands for a short sleep.
pub async fn passes(n: usize) {
    for _ in 0..n {
        pass().await;
    }
}

/// Awaits all tasks; none of them may have been cancelled.
pub async fn gather<T>(tasks: Vec<Task<T>>) -> Vec<T> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.expect("not cancelled"));
    }
    results
}

/// Re-raises a cancel that was caught: the task ends here.
pub async fn propagate() -> ! {
    let core = current();
    core.cancel_requested.set(true);
    core.wake();
    poll_fn(|_| Poll::Pending).await
}

/// `Condition.wait` under a cancel of the task, as a scope of asyncio does it: however many cancels arrive, the wait gives up and
/// comes back with the lock first. Says whether there was one.
pub async fn wait<'a, T>(guard: ConditionGuard<'a, T>) -> (ConditionGuard<'a, T>, bool) {
    wait_unless(guard.wait(), false).await
}

async fn wait_unless<'a, T>(
    mut waiting: Wait<&'a Condition<T>>,
    mut cancelled: bool,
) -> (ConditionGuard<'a, T>, bool) {
    let core = current();
    core.scopes.set(core.scopes.get() + 1);
    let guard = poll_fn(|cx| {
        if core.cancel_requested.take() {
            cancelled = true;
            waiting.give_up();
        }
        Pin::new(&mut waiting).poll(cx)
    })
    .await;
    core.scopes.set(core.scopes.get() - 1);
    (guard, cancelled)
}

/// `asyncio.wait_for(cond.wait(), t)`: gives up after some passes, and says whether it did.
pub async fn wait_or_time_out<'a, T>(
    guard: ConditionGuard<'a, T>,
    limit: usize,
) -> (ConditionGuard<'a, T>, bool) {
    let mut waiting = guard.wait();
    let mut left = limit;
    let guard = poll_fn(|cx| {
        if left == 0 {
            waiting.give_up();
        } else {
            left -= 1;
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut waiting).poll(cx)
    })
    .await;
    (guard, left == 0)
}

/// A settable future, enough for these tests.
#[derive(Clone, Default)]
pub struct Signal(Rc<(Cell<bool>, RefCell<Vec<Waker>>)>);

impl Signal {
    pub fn set(&self) {
        self.0.0.set(true);
        self.0.1.take().into_iter().for_each(Waker::wake);
    }

    pub async fn wait(&self) {
        poll_fn(|cx| {
            if self.0.0.get() {
                return Poll::Ready(());
            }
            self.0.1.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A list that tasks append to.
pub type Log<T> = Rc<RefCell<Vec<T>>>;

/// An empty list.
pub fn log<T>() -> Log<T> {
    Rc::default()
}
