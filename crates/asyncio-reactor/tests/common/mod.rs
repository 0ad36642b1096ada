//! What the tests share: an executor that turns a reactor, and fails instead of hanging when a wake-up is lost.
#![allow(dead_code, unreachable_pub, missing_docs, missing_debug_implementations)]

use asyncio_reactor::Reactor;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Longer than any step of a test takes.
const STUCK: Duration = Duration::from_secs(20);

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

struct Shared {
    ready: Mutex<VecDeque<usize>>,
    reactor: Arc<Reactor>,
}

/// Wakes one task, and nothing else does: a lost wake-up is not made good by another.
struct TaskWaker {
    id: usize,
    shared: Arc<Shared>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.shared.ready.lock().unwrap().push_back(self.id);
        self.shared.reactor.notify();
    }
}

/// Tasks on one thread, and a reactor that the thread turns when none can run.
pub struct Executor<'a> {
    shared: Arc<Shared>,
    tasks: Vec<Option<Task<'a>>>,
    wakers: Vec<Waker>,
}

impl Default for Executor<'_> {
    fn default() -> Self {
        Self::new(&Arc::new(Reactor::new()))
    }
}

impl<'a> Executor<'a> {
    pub fn new(reactor: &Arc<Reactor>) -> Self {
        let shared = Shared { ready: Mutex::default(), reactor: reactor.clone() };
        Executor { shared: Arc::new(shared), tasks: Vec::new(), wakers: Vec::new() }
    }

    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'a) {
        let id = self.tasks.len();
        self.tasks.push(Some(Box::pin(future)));
        self.wakers.push(Waker::from(Arc::new(TaskWaker { id, shared: self.shared.clone() })));
        self.shared.ready.lock().unwrap().push_back(id);
    }

    /// Runs until every task is done.
    pub fn run(&mut self) {
        let reactor = self.shared.reactor.clone();
        asyncio_reactor::enter(&reactor, || {
            loop {
                self.run_ready();
                if self.tasks.iter().all(Option::is_none) {
                    break;
                }
                self.turn();
            }
        });
        self.tasks.clear();
        self.wakers.clear();
    }

    fn run_ready(&mut self) {
        let pop = |shared: &Shared| shared.ready.lock().unwrap().pop_front();
        while let Some(id) = pop(&self.shared) {
            let Some(task) = self.tasks.get_mut(id).and_then(Option::as_mut) else { continue };
            if task.as_mut().poll(&mut Context::from_waker(&self.wakers[id])).is_ready() {
                self.tasks[id] = None;
            }
        }
    }

    fn turn(&self) {
        let start = Instant::now();
        self.shared.reactor.turn(Some(STUCK)).unwrap();
        let nothing_ready = self.shared.ready.lock().unwrap().is_empty();
        assert!(!nothing_ready || start.elapsed() < STUCK, "a wake-up was lost");
    }
}

/// Runs one future on a reactor of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    block_on_with(&Arc::new(Reactor::new()), future)
}

/// Runs one future.
pub fn block_on_with<T>(reactor: &Arc<Reactor>, future: impl Future<Output = T>) -> T {
    let mut output = None;
    let mut executor = Executor::new(reactor);
    executor.spawn(async { output = Some(future.await) });
    executor.run();
    drop(executor);
    output.expect("the executor ran it to its end")
}

/// Runs two futures side by side as two tasks.
pub fn both<A, B>(
    reactor: &Arc<Reactor>,
    a: impl Future<Output = A>,
    b: impl Future<Output = B>,
) -> (A, B) {
    let (mut left, mut right) = (None, None);
    let mut executor = Executor::new(reactor);
    executor.spawn(async { left = Some(a.await) });
    executor.spawn(async { right = Some(b.await) });
    executor.run();
    drop(executor);
    (left.unwrap(), right.unwrap())
}

/// A waker that counts.
#[derive(Default)]
pub struct Count(AtomicUsize);

impl Count {
    pub fn new() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), Waker::from(count))
    }

    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs a closure when woken.
pub struct OnWake<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send + 'static> OnWake<F> {
    pub fn waker(f: F) -> Waker {
        Waker::from(Arc::new(OnWake(Mutex::new(Some(f)))))
    }
}

impl<F: FnOnce() + Send + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        let f = self.0.lock().unwrap().take();
        if let Some(f) = f {
            f();
        }
    }
}

/// Polls once.
pub fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}
