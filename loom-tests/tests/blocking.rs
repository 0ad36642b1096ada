//! The blocking pool: jobs, threads that come and go, the end, the hand-off of results.
//!
//! The channel is the twin of crossbeam's; its waits have no time. A pool whose keep-alive is nothing has threads that leave as soon as they find
//! no message.
#![cfg(asyncio_loom)]

use asyncio_base::context::ContextSlot;
use asyncio_base::sync::thread::{self, JoinHandle};
use asyncio_base::sync::{Arc, AtomicUsize, Ordering};
use asyncio_loom_tests::model;
use asyncio_scheduler::blocking::{
    ConcurrentFuture, Job, Pool, PoolOptions, StartThread, SubmitError, job,
};
use asyncio_task::block_on;
use std::io;
// What the models count is looked at after the threads have ended.
use std::sync::Arc as StdArc;
use std::sync::atomic::AtomicUsize as StdAtomicUsize;
use std::time::Duration;

const FOR_EVER: Duration = Duration::from_secs(1);
const NOT_AT_ALL: Duration = Duration::ZERO;

/// Starts threads of the model, and refuses all but the first few.
struct Threads {
    left: StdAtomicUsize,
}

impl StartThread for Threads {
    fn start(&self, _name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        let left = self.left.load(std::sync::atomic::Ordering::Relaxed);
        if left == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.left.store(left - 1, std::sync::atomic::Ordering::Relaxed);
        Ok(thread::spawn(body))
    }
}

fn pool(threads_max: usize, granted: usize, keep_alive: Duration) -> Arc<Pool> {
    let options = PoolOptions { name: "model".to_owned(), threads_max, keep_alive };
    Arc::new(Pool::new(options, Box::new(Threads { left: StdAtomicUsize::new(granted) })))
}

/// Counts the jobs that ran, where the model sees it.
#[derive(Clone)]
struct Ran(Arc<AtomicUsize>);

impl Ran {
    fn new() -> Self {
        Ran(Arc::new(AtomicUsize::new(0)))
    }

    fn job(&self) -> Job {
        let ran = self.clone();
        Job::new(move || {
            ran.0.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn end(pool: &Pool) {
    pool.shutdown();
    assert!(pool.join(None));
    assert_eq!(pool.threads(), 0);
}

/// A job submitted while the only thread is about to leave for want of work: that thread, or a new one, runs it.
#[test]
fn submit_and_idle_thread_leaving() {
    model("blocking: submit, idle thread leaving", Some(3), || {
        let (pool, ran) = (pool(1, 3, NOT_AT_ALL), Ran::new());
        pool.submit(ran.job()).unwrap();
        let (second, done) = job(ContextSlot::new(), || ());
        pool.submit(second).unwrap();
        assert!(block_on(done, None).unwrap().is_ok());
        end(&pool);
        assert_eq!(ran.count(), 1);
    });
}

/// Two threads that both find nothing leave, and their handles are joined.
#[test]
fn two_idle_threads_leave() {
    model("blocking: two idle threads leave", Some(3), || {
        let (pool, ran) = (pool(2, 2, NOT_AT_ALL), Ran::new());
        pool.submit(ran.job()).unwrap();
        pool.submit(ran.job()).unwrap();
        end(&pool);
        assert_eq!(ran.count(), 2);
    });
}

/// A thread whose message another one took is idle, and leaves too.
#[test]
fn every_idle_thread_leaves() {
    model("blocking: every idle thread leaves", Some(2), || {
        let (pool, ran) = (pool(2, 2, NOT_AT_ALL), Ran::new());
        pool.submit(ran.job()).unwrap();
        pool.submit(ran.job()).unwrap();
        while pool.threads() > 0 {
            thread::yield_now();
        }
        end(&pool);
        assert_eq!(ran.count(), 2);
    });
}

/// A job submitted while the pool is shut down is either run or refused.
#[test]
fn submit_and_shutdown() {
    model("blocking: submit, shutdown", Some(3), || {
        let (pool, ran) = (pool(1, 1, FOR_EVER), Ran::new());
        pool.submit(ran.job()).unwrap();
        let closer = {
            let pool = pool.clone();
            thread::spawn(move || end(&pool))
        };
        let taken = match pool.submit(ran.job()) {
            Ok(()) => 2,
            Err(SubmitError::ShutDown) => 1,
            Err(error) => panic!("{error}"),
        };
        closer.join().unwrap();
        assert!(pool.join(None));
        assert_eq!(ran.count(), taken);
    });
}

/// Two submitters and one thread: one of the jobs is in the backlog.
#[test]
fn two_submits_and_one_thread() {
    model("blocking: two submits, one thread", Some(3), || {
        let (pool, ran) = (pool(1, 1, FOR_EVER), Ran::new());
        let other = {
            let (pool, ran) = (pool.clone(), ran.clone());
            thread::spawn(move || pool.submit(ran.job()).unwrap())
        };
        pool.submit(ran.job()).unwrap();
        other.join().unwrap();
        end(&pool);
        assert_eq!(ran.count(), 2);
    });
}

/// Two submitters, and the system grants one thread: nobody's job is refused, as one thread is there.
#[test]
fn a_refused_thread_leaves_the_job_to_the_others() {
    model("blocking: refused thread", Some(3), || {
        let (pool, ran) = (pool(2, 1, FOR_EVER), Ran::new());
        let other = {
            let (pool, ran) = (pool.clone(), ran.clone());
            thread::spawn(move || pool.submit(ran.job()).unwrap())
        };
        pool.submit(ran.job()).unwrap();
        other.join().unwrap();
        end(&pool);
        assert_eq!(ran.count(), 2);
    });
}

/// Two submitters, and the system grants nothing: both are told, and no job lies there for ever.
#[test]
fn no_thread_at_all_is_an_error() {
    model("blocking: no thread at all", None, || {
        let (pool, ran) = (pool(2, 0, FOR_EVER), Ran::new());
        let submit = |pool: &Pool, ran: &Ran| match pool.submit(ran.job()) {
            Err(SubmitError::NoThread(_)) => {}
            other => panic!("{other:?}"),
        };
        let other = {
            let (pool, ran) = (pool.clone(), ran.clone());
            thread::spawn(move || submit(&pool, &ran))
        };
        submit(&pool, &ran);
        other.join().unwrap();
        end(&pool);
    });
}

/// The pool is shut down while its only thread is being refused: whoever waits for the end hears of it.
#[test]
fn refused_thread_and_shutdown() {
    model("blocking: refused thread, shutdown", None, || {
        let (pool, ran) = (pool(1, 0, FOR_EVER), Ran::new());
        let closer = {
            let pool = pool.clone();
            thread::spawn(move || {
                pool.shutdown();
                let over = std::future::poll_fn(|cx| pool.poll_joined(cx));
                block_on(over, None).unwrap();
            })
        };
        assert!(pool.submit(ran.job()).is_err());
        closer.join().unwrap();
        assert_eq!(ran.count(), 0);
    });
}

/// Shut down with a job running and one waiting, which is dropped: nobody waits for it, and the thread ends.
#[test]
fn shutdown_cancels_what_has_not_started() {
    model("blocking: shutdown and cancel", Some(3), || {
        let (pool, ran) = (pool(1, 1, FOR_EVER), Ran::new());
        pool.submit(ran.job()).unwrap();
        let (second, mut outcome) = job(ContextSlot::new(), || ());
        pool.submit(second).unwrap();
        pool.shutdown_and_cancel();
        assert!(pool.join(None));
        match outcome.try_result().expect("the thread has ended, so the job has") {
            Ok(()) => assert!(!outcome.cancelled()),
            Err(error) => assert!(error.is_cancelled() && outcome.cancelled()),
        }
        assert!(ran.count() <= 1);
    });
}

/// Whoever polls for the end while the last thread ends is woken.
#[test]
fn the_end_wakes_who_polls_for_it() {
    model("blocking: the end, polled for", Some(3), || {
        let (pool, ran) = (pool(1, 1, FOR_EVER), Ran::new());
        pool.submit(ran.job()).unwrap();
        pool.shutdown();
        let joined = std::future::poll_fn(|cx| pool.poll_joined(cx));
        block_on(joined, None).unwrap();
        assert_eq!((pool.threads(), ran.count()), (0, 1));
    });
}

// ----- one job, without a pool

/// Counts how often a function ran and how often it was dropped.
struct Function {
    ran: StdArc<StdAtomicUsize>,
    dropped: StdArc<StdAtomicUsize>,
}

impl Function {
    fn call(self) -> u32 {
        self.ran.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        7
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

struct Counted {
    ran: StdArc<StdAtomicUsize>,
    dropped: StdArc<StdAtomicUsize>,
}

impl Counted {
    fn job() -> (Job, ConcurrentFuture<u32>, Counted) {
        let counted = Counted { ran: StdArc::default(), dropped: StdArc::default() };
        let function = Function { ran: counted.ran.clone(), dropped: counted.dropped.clone() };
        let (job, handle) = job(ContextSlot::new(), move || function.call());
        (job, handle, counted)
    }

    fn counts(&self) -> (usize, usize) {
        let load = |n: &StdAtomicUsize| n.load(std::sync::atomic::Ordering::Relaxed);
        (load(&self.ran), load(&self.dropped))
    }
}

/// A cancel against the start: the function is either run or dropped, and the canceller knows which.
#[test]
fn cancel_and_start() {
    model("blocking: cancel, start", None, || {
        let (job, mut handle, counted) = Counted::job();
        let runner = thread::spawn(|| job.run());
        let cancelled = handle.cancel();
        if cancelled {
            assert_eq!(counted.counts(), (0, 1), "dropped at once");
        }
        runner.join().unwrap();
        assert_eq!(handle.cancelled(), cancelled);
        assert_eq!(counted.counts(), (usize::from(!cancelled), 1));
        match handle.try_result().expect("the job is done") {
            Ok(value) => assert!(value == 7 && !cancelled),
            Err(error) => assert!(error.is_cancelled() && cancelled),
        }
    });
}

/// Two cancels and the start: both cancellers hear the same.
#[test]
fn two_cancels_and_start() {
    model("blocking: two cancels, start", Some(3), || {
        let (job, handle, counted) = Counted::job();
        let other = handle.canceller();
        let runner = thread::spawn(|| job.run());
        let canceller = thread::spawn(other);
        let mine = handle.cancel();
        let theirs = canceller.join().unwrap();
        runner.join().unwrap();
        assert_eq!(mine, theirs);
        assert_eq!(counted.counts(), (usize::from(!mine), 1));
    });
}

/// The result is handed to a waiter that comes before, during or after the end of the job.
#[test]
fn result_hand_off() {
    model("blocking: result hand-off", None, || {
        let (job, handle, counted) = Counted::job();
        let runner = thread::spawn(|| job.run());
        assert_eq!(block_on(handle, None).unwrap().unwrap(), 7);
        runner.join().unwrap();
        assert_eq!(counted.counts(), (1, 1));
    });
}

/// A job that is dropped unrun ends the wait for it.
#[test]
fn a_dropped_job_ends_the_wait() {
    model("blocking: dropped job", None, || {
        let (job, handle, counted) = Counted::job();
        let dropper = thread::spawn(move || drop(job));
        assert!(block_on(handle, None).unwrap().unwrap_err().is_cancelled());
        dropper.join().unwrap();
        assert_eq!(counted.counts(), (0, 1));
    });
}

/// The outcome is delivered exactly once, whether the handle is given up before or after the end.
#[test]
fn on_done_and_the_end() {
    model("blocking: on_done, the end", None, || {
        let (job, handle, _counted) = Counted::job();
        let delivered = Arc::new(AtomicUsize::new(0));
        let runner = thread::spawn(|| job.run());
        let count = delivered.clone();
        handle.on_done(move |outcome| {
            assert_eq!(outcome.unwrap(), 7);
            count.fetch_add(1, Ordering::Relaxed);
        });
        runner.join().unwrap();
        assert_eq!(delivered.load(Ordering::Relaxed), 1);
    });
}
