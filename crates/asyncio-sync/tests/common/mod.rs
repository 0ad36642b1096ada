//! A loop as small as it can be: one thread, one FIFO ready queue, asyncio's words.
//!
//! It runs tasks and callbacks in asyncio's order, so CPython's order-sensitive assertions hold as they stand. It knows no time;
//! where a test of CPython sleeps, this one yields often enough.
#![allow(dead_code, unreachable_pub)]

use asyncio_sync::condition::Wait;
use asyncio_sync::{Condition, ConditionGuard};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// What a task needs besides its result.
struct Core {
    body: RefCell<Option<Body>>,
    cancel_requested: Cell<bool>,
    /// How many scopes want to see a cancel themselves.
    scopes: Cell<usize>,
    waker: Arc<TaskWaker>,
}

/// Puts the task in the ready queue, once.
struct TaskWaker {
    queued: AtomicBool,
    number: usize,
    ready: Ready,
}

type Ready = Arc<Mutex<VecDeque<usize>>>;

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().unwrap().push_back(self.number);
        }
    }
}

#[derive(Default)]
struct Loop {
    tasks: RefCell<Vec<Rc<Core>>>,
    ready: Ready,
    current: RefCell<Option<Rc<Core>>>,
}

thread_local! {
    static LOOP: Loop = Loop::default();
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
    LOOP.with(|this| {
        let mut tasks = this.tasks.borrow_mut();
        let (number, ready) = (tasks.len(), this.ready.clone());
        let waker = Arc::new(TaskWaker { queued: AtomicBool::new(false), number, ready });
        let body = RefCell::new(Some(Box::pin(body) as Body));
        let (cancel_requested, scopes) = (Cell::new(false), Cell::new(0));
        let core = Rc::new(Core { body, cancel_requested, scopes, waker });
        tasks.push(core.clone());
        core.waker.clone().wake();
        Task { core, outcome }
    })
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
            self.core.waker.clone().wake();
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
    let main = create_task(main);
    while !main.done() {
        let next = LOOP.with(|this| this.ready.lock().unwrap().pop_front());
        step(next.expect("deadlock: nothing is ready and main is not done"));
    }
    let left = LOOP.with(|this| {
        this.ready.lock().unwrap().clear();
        this.tasks.take()
    });
    left.iter().for_each(|core| drop(core.body.take()));
    main.result()
}

fn step(number: usize) {
    let core = LOOP.with(|this| this.tasks.borrow()[number].clone());
    core.waker.queued.store(false, Ordering::Relaxed);
    let Some(mut body) = core.body.take() else { return };
    if core.cancel_requested.get() && core.scopes.get() == 0 {
        return drop(body);
    }
    let waker = Waker::from(core.waker.clone());
    LOOP.with(|this| this.current.replace(Some(core.clone())));
    let polled = body.as_mut().poll(&mut Context::from_waker(&waker));
    LOOP.with(|this| this.current.take());
    if polled.is_pending() {
        *core.body.borrow_mut() = Some(body);
    }
}

fn current() -> Rc<Core> {
    LOOP.with(|this| this.current.borrow().clone()).expect("inside a task")
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
    core.waker.clone().wake();
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
