//! A scheduler of one queue for the tests: tokens run when a test says so, and everything that happens is counted.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.

use asyncio_base::context::ContextSlot;
use asyncio_task::{
    Host, JoinError, Ran, Room, Runnable, Schedule, ScheduleLocal, Task, TaskList, Unretrieved,
};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

type Callback = Box<dyn FnOnce() + Send>;

/// A loop that does nothing by itself.
#[derive(Default)]
pub struct Loop {
    tasks: TaskList,
    tokens: Mutex<VecDeque<Runnable>>,
    lane: Mutex<VecDeque<Callback>>,
    /// A closed loop drops callbacks.
    pub lane_closed: AtomicBool,
    /// Tokens queued so far.
    pub scheduled: AtomicUsize,
    /// Reports, as text.
    pub reports: Mutex<Vec<String>>,
}

/// The name of a loop that tasks carry.
#[derive(Clone, Copy)]
pub struct Name(pub &'static Loop);

impl Schedule for Name {
    fn schedule(self, token: Runnable) {
        self.0.scheduled.fetch_add(1, Ordering::Relaxed);
        self.0.tokens.lock().unwrap().push_back(token);
    }

    fn host(self) -> &'static dyn Host {
        self.0
    }
}

// SAFETY: the tests that use `spawn_local` run all tokens on the thread of the test.
unsafe impl ScheduleLocal for Name {}

impl Host for Loop {
    fn tasks(&self) -> &TaskList {
        &self.tasks
    }

    fn call_soon(&self, _context: ContextSlot, callback: Callback) {
        if self.lane_closed.load(Ordering::Relaxed) {
            drop(callback);
        } else {
            self.lane.lock().unwrap().push_back(callback);
        }
    }

    fn unretrieved(&self, task: Unretrieved, error: &JoinError) {
        self.reports.lock().unwrap().push(format!("{} never retrieved: {error}", task.name));
    }

    fn destructor_panicked(&self, error: JoinError) {
        self.reports.lock().unwrap().push(format!("destructor: {error}"));
    }
}

impl Loop {
    /// A fresh loop, leaked as a real one's core is.
    pub fn new() -> &'static Loop {
        Box::leak(Box::default())
    }

    /// Makes a task and queues its first token.
    #[track_caller]
    pub fn room<F: Future + 'static>(&'static self) -> Room<F, Name> {
        Room::new(Name(self), ContextSlot::new(), Location::caller())
    }

    #[track_caller]
    pub fn spawn<F>(&'static self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (made, token) = asyncio_task::spawn(self.room(), future);
        token.into_iter().for_each(|token| Name(self).schedule(token));
        made.into_task()
    }

    /// As [`spawn`](Self::spawn), for a future that stays on this thread.
    #[track_caller]
    pub fn spawn_local<F>(&'static self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let (made, token) = asyncio_task::spawn_local(self.room(), future);
        token.into_iter().for_each(|token| Name(self).schedule(token));
        made.into_task()
    }

    /// Runs the oldest token; false if there is none.
    pub fn step(&'static self) -> bool {
        let Some(token) = self.tokens.lock().unwrap().pop_front() else { return false };
        if let Ran::Again(token) = token.run(u32::MAX) {
            Name(self).schedule(token);
        }
        true
    }

    /// Runs tokens until there are none; how many turns that were.
    pub fn run(&'static self) -> usize {
        let mut turns = 0;
        while self.step() {
            turns += 1;
        }
        turns
    }

    /// Puts the oldest token behind all others.
    pub fn rotate(&self) {
        self.tokens.lock().unwrap().rotate_left(1);
    }

    /// Tokens in the queue.
    pub fn queued(&self) -> usize {
        self.tokens.lock().unwrap().len()
    }

    /// Runs one callback of the lane, catching its panic as a lane does; false if there is none.
    pub fn call(&self) -> bool {
        let Some(callback) = self.lane.lock().unwrap().pop_front() else { return false };
        if catch_unwind(AssertUnwindSafe(callback)).is_err() {
            self.reports.lock().unwrap().push("callback panicked".into());
        }
        true
    }

    /// Runs the lane until it is empty; how many callbacks that were.
    pub fn call_all(&self) -> usize {
        let mut calls = 0;
        while self.call() {
            calls += 1;
        }
        calls
    }

    /// Callbacks in the lane.
    pub fn lane_len(&self) -> usize {
        self.lane.lock().unwrap().len()
    }

    /// Drops the callbacks in the lane, as closing a loop does.
    pub fn close_lane(&self) {
        self.lane_closed.store(true, Ordering::Relaxed);
        while let Some(callback) = { self.lane.lock().unwrap().pop_front() } {
            drop(callback);
        }
    }

    /// The reports since the last call.
    pub fn reports(&self) -> Vec<String> {
        std::mem::take(&mut self.reports.lock().unwrap())
    }
}

/// Counts the values alive.
#[derive(Clone, Default)]
pub struct Alive(Arc<AtomicUsize>);

/// One of them.
pub struct Token(Arc<AtomicUsize>);

impl Alive {
    pub fn token(&self) -> Token {
        self.0.fetch_add(1, Ordering::Relaxed);
        Token(self.0.clone())
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// Counts events.
#[derive(Clone, Default)]
pub struct Count(Arc<AtomicUsize>);

impl Count {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.add();
    }
}

/// A foreign waker and the count of its calls.
pub fn counting_waker() -> (Waker, Count) {
    let count = Count::default();
    (Waker::from(Arc::new(count.clone())), count)
}

/// What a test can do to a [`Scripted`] future, and see of it.
#[derive(Clone, Default)]
pub struct Remote {
    pub polls: Count,
    pub alive: Alive,
    waker: Arc<Mutex<Option<Waker>>>,
    ready: Arc<AtomicBool>,
}

/// Pending until told; keeps its newest waker for the test.
pub struct Scripted<T> {
    remote: Remote,
    value: Option<T>,
    _alive: Token,
}

impl Remote {
    /// A future that ends with `value` at the poll after [`finish`](Self::finish).
    pub fn future<T>(&self, value: T) -> Scripted<T> {
        Scripted { remote: self.clone(), value: Some(value), _alive: self.alive.token() }
    }

    /// The waker of the last poll.
    pub fn waker(&self) -> Waker {
        self.waker.lock().unwrap().clone().expect("the future has been polled")
    }

    /// Takes the waker of the last poll.
    pub fn take_waker(&self) -> Waker {
        self.waker.lock().unwrap().take().expect("the future has been polled")
    }

    /// Lets the next poll be ready.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Lets the next poll be ready and wakes the task.
    pub fn finish(&self) {
        self.set_ready();
        self.take_waker().wake();
    }
}

impl<T> Unpin for Scripted<T> {}

impl<T> Future for Scripted<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.remote.polls.add();
        if self.remote.ready.load(Ordering::Acquire) {
            return Poll::Ready(self.value.take().expect("polled after it was ready"));
        }
        let old = self.remote.waker.lock().unwrap().replace(cx.waker().clone());
        drop(old);
        Poll::Pending
    }
}

/// Panics with its text when dropped.
#[derive(Debug)]
pub struct Bomb(pub &'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{}", self.0);
        }
    }
}

/// Polls a future once with `waker`.
pub fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls a future once with a waker that does nothing.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}
