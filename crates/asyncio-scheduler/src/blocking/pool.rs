//! The pool: as many threads as there is work for, up to a bound; those that find none for a while leave.
//!
//! Who takes which job, starts a thread or ends is decided by one word: see [`super::word`]. This file acts.
//!
//! # Locks
//!
//! | lock | guards | held while |
//! |---|---|---|
//! | `roster` | the handles of the threads | a thread is started, so that whoever is refused counts threads that run |
//! | `Ended` | who waits for the end | nothing foreign |
//!
//! A job, its destructor and every waker run without either.
//!
//! # The end
//!
//! A thread that makes the word *over* takes the lock of `Ended` afterwards and wakes who is there; who waits looks at the word under that
//! lock first. So either the waiter comes later and sees that it is over, or it is found. Then the threads are joined, which takes an
//! instant: each has done its last deed.
//!
//! Models: `loom-tests/tests/blocking.rs`.

use super::Job;
use super::channel::{Channel, Message};
use super::word::{Alone, Submit, THREADS_MAX, Then, Word};
use asyncio_base::sync::thread::{self, JoinHandle};
use asyncio_base::sync::{Arc, Condvar, Mutex};
use asyncio_task::contain;
use std::fmt;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How long a thread waits for a job before it leaves.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The bound of a pool that was not given one: asyncio's, four more than there are processors and at most 32.
pub fn default_threads() -> usize {
    (crate::processors() + 4).min(32)
}

/// Starts threads: the system, or a test that refuses some.
pub trait StartThread: Send + Sync {
    /// Starts a thread called `name` that runs `body`.
    ///
    /// # Errors
    ///
    /// What the system said when it refused; `body` has been dropped.
    fn start(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>;
}

/// Threads of the operating system.
#[cfg(not(asyncio_loom))]
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemThreads;

#[cfg(not(asyncio_loom))]
impl StartThread for SystemThreads {
    fn start(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(name).spawn(body)
    }
}

/// Why a job was not taken. It has been dropped.
///
/// # Python
///
/// The `RuntimeError`s of `Executor.submit`.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubmitError {
    /// The pool is, or is being, shut down.
    ShutDown,
    /// There is no thread, and the system refused one.
    NoThread(io::Error),
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubmitError::ShutDown => f.write_str("executor shutdown has been called"),
            SubmitError::NoThread(error) => write!(f, "no thread for the job: {error}"),
        }
    }
}

impl std::error::Error for SubmitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SubmitError::ShutDown => None,
            SubmitError::NoThread(error) => Some(error),
        }
    }
}

/// How a pool is made.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Threads are called this, `_` and a number.
    pub name: String,
    /// The most threads there are at a time; at least one.
    pub threads_max: usize,
    /// How long a thread waits for a job before it leaves.
    pub keep_alive: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        let name = "asyncio".to_owned();
        PoolOptions { name, threads_max: default_threads(), keep_alive: KEEP_ALIVE }
    }
}

/// A pool of threads. Dropping it shuts it down and waits for nothing.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    word: Word,
    channel: Channel,
    roster: Mutex<Roster>,
    ended: Ended,
    options: PoolOptions,
    starter: Box<dyn StartThread>,
}

/// The threads that have not been joined.
#[derive(Default)]
struct Roster {
    started: usize,
    handles: Vec<(usize, JoinHandle<()>)>,
    /// The last one that left for want of work; the next one to leave joins it.
    left: Option<JoinHandle<()>>,
}

/// Who waits for the last thread.
#[derive(Default)]
struct Ended {
    wakers: Mutex<Vec<Waker>>,
    over: Condvar,
}

impl Pool {
    /// A pool without threads: they come with the jobs.
    ///
    /// # Panics
    ///
    /// If it may have no thread at all.
    #[track_caller]
    pub fn new(options: PoolOptions, starter: Box<dyn StartThread>) -> Self {
        assert!(options.threads_max > 0, "a pool needs at least one thread");
        let options = PoolOptions { threads_max: options.threads_max.min(THREADS_MAX), ..options };
        let shared = Arc::new(Shared {
            word: Word::new(),
            channel: Channel::new(),
            roster: Mutex::new(Roster::default()),
            ended: Ended::default(),
            options,
            starter,
        });
        Pool { shared }
    }

    /// Queues a job; any thread.
    ///
    /// # Errors
    ///
    /// If the pool is shut down, or has no thread and gets none; the job has been dropped.
    pub fn submit(&self, job: Job) -> Result<(), SubmitError> {
        match self.shared.word.submit(self.shared.options.threads_max) {
            Submit::Send => self.shared.channel.send(Message::Run(job)),
            Submit::Start => return Shared::submit_to_new_thread(&self.shared, job),
            Submit::Refused => return Err(SubmitError::ShutDown),
        }
        Ok(())
    }

    /// Refuses jobs from now on; those that were taken are run, and then the threads end. Once is enough.
    pub fn shutdown(&self) {
        self.shared.close(false);
    }

    /// As [`shutdown`](Self::shutdown), but jobs that have not started are dropped.
    pub fn shutdown_and_cancel(&self) {
        self.shared.close(true);
    }

    /// Whether jobs are refused.
    pub fn is_shut_down(&self) -> bool {
        self.shared.word.load().is_closed()
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.shared.word.load().threads()
    }

    /// Waits, after [`shutdown`](Self::shutdown), until every thread has ended, for about as long as `limit`. False if they have not;
    /// they end when their jobs do.
    ///
    /// One of the pool's own threads would wait for itself: there this returns false at once.
    pub fn join(&self, limit: Option<Duration>) -> bool {
        if self.shared.is_own_thread() || !self.shared.wait_until_over(limit) {
            return false;
        }
        self.shared.join_all();
        true
    }

    /// Ready when, after [`shutdown`](Self::shutdown), every thread has ended.
    pub fn poll_joined(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.poll_over(cx).is_pending() {
            return Poll::Pending;
        }
        self.shared.join_all();
        Poll::Ready(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.shared.options;
        f.debug_struct("Pool")
            .field("name", &options.name)
            .field("threads_max", &options.threads_max)
            .field("word", &self.shared.word)
            .finish_non_exhaustive()
    }
}

impl Shared {
    // ----- submitting

    #[cold]
    fn submit_to_new_thread(this: &Arc<Shared>, job: Job) -> Result<(), SubmitError> {
        let mut roster = this.roster.lock();
        let outcome = match this.word.reserve(this.options.threads_max) {
            Submit::Send => Ok(()),
            Submit::Refused => Err(SubmitError::ShutDown),
            Submit::Start => {
                Shared::start_thread(this, &mut roster).or_else(|error| match this.word.refused() {
                    Alone::No => Ok(()),
                    Alone::Yes => Err(SubmitError::NoThread(error)),
                })
            }
        };
        drop(roster);
        match outcome {
            Ok(()) => this.channel.send(Message::Run(job)),
            // The pool may have been closed meanwhile, and this thread that never was be the last.
            Err(_) => this.tell_if_over(),
        }
        outcome
    }

    fn start_thread(this: &Arc<Shared>, roster: &mut Roster) -> io::Result<()> {
        let number = roster.started;
        let name = format!("{}_{number}", this.options.name);
        let shared = this.clone();
        let handle = this.starter.start(name, Box::new(move || shared.work(number)))?;
        roster.started += 1;
        roster.handles.push((number, handle));
        Ok(())
    }

    // ----- a thread

    fn work(&self, number: usize) {
        loop {
            match self.channel.receive_within(self.options.keep_alive) {
                Some(Message::Run(job)) => {
                    // A job's panic is its outcome, which `job` keeps; this is for what is no such job, and for destructors.
                    contain(|| job.run());
                    if self.word.finished() == Then::End {
                        break;
                    }
                }
                Some(Message::Leave) => {
                    self.word.ordered_away();
                    break;
                }
                None if self.word.leave_idle() => return self.retire(number),
                // A message is on its way, to this thread unless another one that has just come takes it: then this one is idle.
                None => thread::yield_now(),
            }
        }
        self.tell_if_over();
    }

    /// A thread leaves for want of work: it joins the one that left before it, so that at most one handle of a thread that has ended is kept.
    fn retire(&self, number: usize) {
        let before = self.roster.lock().retire(number);
        if let Some(before) = before {
            join(before);
        }
        // Nobody is told: who leaves like this leaves an open pool, and whoever closes it afterwards looks.
    }

    // ----- the end

    fn close(&self, cancel: bool) {
        let Some(mut leave) = self.word.close() else { return };
        let withdrawn = if cancel { self.withdraw_all() } else { Vec::new() };
        leave += withdrawn.iter().filter(|_| self.word.withdrawn()).count();
        (0..leave).for_each(|_| self.channel.send(Message::Leave));
        self.tell_if_over();
        // Destructors are foreign code: last.
        for message in withdrawn {
            contain(|| drop(message));
        }
    }

    /// Takes out the jobs that nobody has taken.
    fn withdraw_all(&self) -> Vec<Message> {
        std::iter::from_fn(|| self.channel.try_receive()).collect()
    }

    fn tell_if_over(&self) {
        if !self.word.load().is_over() {
            return;
        }
        let wakers = std::mem::take(&mut *self.ended.wakers.lock());
        self.ended.over.notify_all();
        for waker in wakers {
            contain(|| waker.wake());
        }
    }

    /// Waits for the last thread; false if it took longer than `limit`.
    fn wait_until_over(&self, limit: Option<Duration>) -> bool {
        let mut guard = self.ended.wakers.lock();
        while !self.word.load().is_over() {
            guard = match limit {
                None => self.ended.over.wait(guard),
                Some(limit) => {
                    let (guard, timed_out) = self.ended.over.wait_timeout(guard, limit);
                    if timed_out {
                        return self.word.load().is_over();
                    }
                    guard
                }
            };
        }
        true
    }

    fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Cloned before the lock is taken: a waker is foreign code.
        let waker = cx.waker().clone();
        let mut wakers = self.ended.wakers.lock();
        if self.word.load().is_over() {
            drop(wakers);
            return Poll::Ready(());
        }
        if !wakers.iter().any(|there| there.will_wake(&waker)) {
            wakers.push(waker);
        }
        Poll::Pending
    }

    fn is_own_thread(&self) -> bool {
        let current = thread::current().id();
        self.roster.lock().handles.iter().any(|(_, handle)| handle.thread().id() == current)
    }

    fn join_all(&self) {
        let handles = self.roster.lock().take_all();
        handles.into_iter().for_each(join);
    }
}

impl Roster {
    /// Puts one thread's handle where the next to leave finds it; gives the one that was there.
    fn retire(&mut self, number: usize) -> Option<JoinHandle<()>> {
        // Not there: somebody is joining it already.
        let index = self.handles.iter().position(|(n, _)| *n == number)?;
        let (_, handle) = self.handles.swap_remove(index);
        self.left.replace(handle)
    }

    fn take_all(&mut self) -> Vec<JoinHandle<()>> {
        let handles = std::mem::take(&mut self.handles);
        handles.into_iter().map(|(_, handle)| handle).chain(self.left.take()).collect()
    }
}

fn join(handle: JoinHandle<()>) {
    // The body of a thread contains every panic, so there is nothing to hear.
    let _ = handle.join();
}
