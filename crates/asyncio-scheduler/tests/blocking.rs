//! The blocking pool on threads of the system.

use asyncio_base::context::ContextSlot;
use asyncio_scheduler::blocking::{
    ConcurrentFuture, Job, Pool, PoolOptions, StartThread, SubmitError, SystemThreads,
    default_threads, job,
};
use asyncio_task::block_on;
use std::collections::HashSet;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(1);
const LATE: Duration = Duration::from_secs(60);

fn options(threads_max: usize, keep_alive: Duration) -> PoolOptions {
    PoolOptions { name: "pool".to_owned(), threads_max, keep_alive }
}

fn pool(threads_max: usize) -> Pool {
    Pool::new(options(threads_max, LATE), Box::new(SystemThreads))
}

fn submit<R: Send + 'static>(
    pool: &Pool,
    function: impl FnOnce() -> R + Send + 'static,
) -> ConcurrentFuture<R> {
    let (job, handle) = job(ContextSlot::new(), function);
    pool.submit(job).unwrap();
    handle
}

fn end(pool: &Pool) {
    pool.shutdown();
    assert!(pool.join(None));
    assert_eq!(pool.threads(), 0);
}

#[test]
fn ten_thousand_small_jobs_each_run_once() {
    let pool = Arc::new(pool(8));
    let ran = Arc::new(AtomicUsize::new(0));
    let submitters: Vec<_> = (0..4)
        .map(|_| {
            let (pool, ran) = (pool.clone(), ran.clone());
            thread::spawn(move || {
                let sum: usize = (0..2500)
                    .map(|i| {
                        let ran = ran.clone();
                        submit(&pool, move || {
                            ran.fetch_add(1, Ordering::Relaxed);
                            i
                        })
                    })
                    .map(|mut handle| handle.result(None).unwrap())
                    .sum();
                assert_eq!(sum, 2500 * 2499 / 2);
            })
        })
        .collect();
    submitters.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(pool.threads() <= 8);
    end(&pool);
    assert_eq!(ran.load(Ordering::Relaxed), 10_000);
}

#[test]
fn jobs_queued_before_the_end_are_run_and_later_ones_refused() {
    let pool = pool(2);
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..1000 {
        let ran = ran.clone();
        drop(submit(&pool, move || ran.fetch_add(1, Ordering::Relaxed)));
    }
    pool.shutdown();
    assert!(matches!(pool.submit(Job::new(|| ())), Err(SubmitError::ShutDown)));
    pool.shutdown();
    assert!(pool.join(None) && pool.join(None));
    assert_eq!(ran.load(Ordering::Relaxed), 1000);
}

#[test]
fn as_many_threads_as_there_is_work_for_and_no_more() {
    let pool = pool(3);
    // Three jobs that need each other.
    let together = Arc::new(Barrier::new(3));
    let names: Vec<_> = (0..3)
        .map(|_| {
            let together = together.clone();
            submit(&pool, move || {
                together.wait();
                thread::current().name().unwrap().to_owned()
            })
        })
        .collect();
    let names: HashSet<_> = names.into_iter().map(|mut name| name.result(None).unwrap()).collect();
    assert_eq!(names, ["pool_0", "pool_1", "pool_2"].map(str::to_owned).into());
    let more: Vec<_> = (0..100).map(|i| submit(&pool, move || i)).collect();
    let sum: i32 = more.into_iter().map(|mut job| job.result(None).unwrap()).sum();
    assert_eq!(sum, 4950);
    assert_eq!(pool.threads(), 3);
    end(&pool);
}

#[test]
fn threads_without_work_leave_and_others_come() {
    let pool = Pool::new(options(4, SOON), Box::new(SystemThreads));
    for round in 0..20 {
        let jobs: Vec<_> = (0..4).map(|i| submit(&pool, move || i)).collect();
        let sum: i32 = jobs.into_iter().map(|mut job| job.result(None).unwrap()).sum();
        assert_eq!(sum, 6);
        while round % 2 == 0 && pool.threads() > 0 {
            thread::yield_now();
        }
    }
    end(&pool);
}

#[test]
fn a_panic_is_the_outcome_of_its_job_and_stops_nothing() {
    let pool = pool(1);
    let mut fails = submit(&pool, || -> u32 { panic!("no luck") });
    let mut works = submit(&pool, || 7);
    // One that nobody listens to, and one that panics on its way out.
    pool.submit(Job::new(|| std::panic::panic_any(Bomb))).unwrap();
    drop(submit(&pool, || Bomb));
    let mut after = submit(&pool, || 8);
    let error = fails.result(None).unwrap_err();
    assert!(error.is_panic());
    assert_eq!(error.to_string(), "the task panicked: no luck");
    assert_eq!((works.result(None).unwrap(), after.result(None).unwrap()), (7, 8));
    assert_eq!(pool.threads(), 1);
    end(&pool);
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn whoever_waits_is_told_although_a_destructor_panics() {
    // The function's, when it is cancelled.
    let bomb = Bomb;
    let (lost, handle) = job(ContextSlot::new(), move || drop(bomb));
    let canceller = handle.canceller();
    let (sender, told) = mpsc::channel();
    let second = sender.clone();
    handle.add_done_callback(move || {
        sender.send(1).unwrap();
        panic!("a callback panics");
    });
    handle.add_done_callback(move || second.send(2).unwrap());
    let cancel = std::panic::AssertUnwindSafe(canceller);
    assert!(std::panic::catch_unwind(cancel).is_err());
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2]);
    assert!(handle.cancelled());
    drop(lost);

    // The result's, when nobody has the handle any more.
    let (job, handle) = job(ContextSlot::new(), || Bomb);
    let (sender, told) = mpsc::channel();
    handle.add_done_callback(move || sender.send(3).unwrap());
    drop(handle);
    let run = std::panic::AssertUnwindSafe(|| job.run());
    assert!(std::panic::catch_unwind(run).is_err());
    assert_eq!(told.recv(), Ok(3));
}

/// Says when it is dropped.
struct Dropped(mpsc::Sender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// Keeps the only thread of a pool busy until told otherwise.
fn busy(pool: &Pool) -> (mpsc::Sender<()>, ConcurrentFuture<()>) {
    let (go_on, gate) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    let job = submit(pool, move || {
        started.send(()).unwrap();
        let _ = gate.recv();
    });
    has_started.recv().unwrap();
    (go_on, job)
}

#[test]
fn a_job_cancelled_before_its_start_is_dropped_at_once() {
    let pool = pool(1);
    let (go_on, first) = busy(&pool);
    let (sender, drops) = mpsc::channel();
    let dropped = Dropped(sender);
    let mut second = submit(&pool, move || drop(dropped));
    assert!(!second.running() && !second.done() && drops.try_recv().is_err());
    assert_eq!(
        format!("{first:?} {second:?}"),
        "<ConcurrentFuture running> <ConcurrentFuture pending>"
    );
    assert!(second.cancel());
    assert_eq!(drops.try_recv(), Ok("dropped"));
    assert!(second.cancel() && second.cancelled() && second.done());
    assert!(second.result(None).unwrap_err().is_cancelled());
    assert!(!first.cancel() && first.running(), "what runs, runs to its end");
    go_on.send(()).unwrap();
    end(&pool);
    assert!(!first.cancel() && !first.cancelled() && first.done());
}

#[test]
fn whoever_waits_with_a_limit_may_wait_again() {
    let pool = pool(1);
    let (go_on, mut job) = busy(&pool);
    assert!(job.result(Some(SOON)).unwrap_err().is_timeout());
    assert!(!pool.join(Some(SOON)), "not even shut down");
    pool.shutdown();
    assert!(!pool.join(Some(SOON)));
    go_on.send(()).unwrap();
    job.result(None).unwrap();
    assert!(pool.join(Some(LATE)));
}

#[test]
fn shutdown_may_cancel_what_has_not_started() {
    let pool = pool(1);
    let (go_on, mut first) = busy(&pool);
    let waiting: Vec<_> = (0..10).map(|_| submit(&pool, || unreachable!("cancelled"))).collect();
    pool.shutdown_and_cancel();
    assert!(waiting.iter().all(ConcurrentFuture::cancelled));
    go_on.send(()).unwrap();
    assert!(pool.join(None));
    first.result(None).unwrap();
}

#[test]
fn callbacks_run_on_the_thread_that_ends_the_job_or_at_once() {
    let pool = pool(1);
    let (go_on, job) = busy(&pool);
    let (sender, called) = mpsc::channel();
    let report = |what: &'static str| {
        let sender = sender.clone();
        move || sender.send((what, thread::current().name().map(str::to_owned))).unwrap()
    };
    job.add_done_callback(report("first"));
    job.add_done_callback(report("second"));
    assert!(called.try_recv().is_err());
    go_on.send(()).unwrap();
    end(&pool);
    job.add_done_callback(report("late"));
    let here = thread::current().name().map(str::to_owned);
    let pools = Some("pool_0".to_owned());
    assert_eq!(
        called.try_iter().collect::<Vec<_>>(),
        [("first", pools.clone()), ("second", pools), ("late", here)]
    );
}

#[test]
fn an_outcome_is_delivered_once_whenever_it_is_asked_for() {
    let pool = pool(1);
    let (sender, outcomes) = mpsc::channel();
    let deliver = |sender: &mpsc::Sender<Option<u32>>| {
        let sender = sender.clone();
        move |outcome: Result<u32, asyncio_task::JoinError>| sender.send(outcome.ok()).unwrap()
    };
    let (go_on, _first) = busy(&pool);
    submit(&pool, || 1).on_done(deliver(&sender));
    let cancelled = submit(&pool, || 2);
    let canceller = cancelled.canceller();
    cancelled.on_done(deliver(&sender));
    assert!(canceller());
    go_on.send(()).unwrap();
    end(&pool);
    assert_eq!(outcomes.try_iter().collect::<Vec<_>>(), [None, Some(1)]);
}

#[test]
fn the_end_can_be_polled_for() {
    let pool = pool(2);
    let (go_on, _job) = busy(&pool);
    pool.shutdown();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| block_on(poll_fn(|cx| pool.poll_joined(cx)), None));
        assert!(block_on(poll_fn(|cx| pool.poll_joined(cx)), Some(SOON)).is_none());
        go_on.send(()).unwrap();
        assert!(waiter.join().unwrap().is_some());
    });
    assert_eq!(pool.threads(), 0);
}

#[test]
fn a_thread_of_the_pool_does_not_wait_for_itself() {
    let pool = Arc::new(pool(2));
    let inner = pool.clone();
    let mut joined = submit(&pool, move || {
        inner.shutdown();
        inner.join(None)
    });
    assert!(!joined.result(None).unwrap());
    assert!(pool.join(None));
}

#[test]
fn a_job_may_drop_the_last_handle_of_its_pool() {
    let pool = Arc::new(pool(1));
    let (go_on, _first) = busy(&pool);
    let (sender, receiver) = mpsc::channel();
    let mine = pool.clone();
    drop(submit(&pool, move || {
        drop(mine);
        sender.send(()).unwrap();
    }));
    drop(pool);
    go_on.send(()).unwrap();
    receiver.recv().unwrap();
}

// ----- refused threads

/// Grants some threads.
struct Granting(AtomicUsize);

impl StartThread for Granting {
    fn start(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        let granted =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        granted.map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        SystemThreads.start(name, body)
    }
}

#[test]
fn a_refused_thread_leaves_its_job_to_the_others() {
    let pool = Pool::new(options(8, LATE), Box::new(Granting(AtomicUsize::new(1))));
    let (go_on, _first) = busy(&pool);
    let others: Vec<_> = (0..10).map(|i| submit(&pool, move || i)).collect();
    assert_eq!(pool.threads(), 1);
    go_on.send(()).unwrap();
    let sum: i32 = others.into_iter().map(|mut job| job.result(None).unwrap()).sum();
    assert_eq!(sum, 45);
    end(&pool);
}

#[test]
fn without_any_thread_a_job_is_refused_and_its_waiter_told() {
    let pool = Pool::new(options(8, LATE), Box::new(Granting(AtomicUsize::new(0))));
    let (lost, mut handle) = job(ContextSlot::new(), || ());
    let error = pool.submit(lost).unwrap_err();
    assert!(error.to_string().starts_with("no thread for the job: "), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert!(handle.result(None).unwrap_err().is_cancelled());
    end(&pool);
}

#[test]
fn the_default_size_is_that_of_asyncio() {
    let threads = default_threads();
    assert!((5..=32).contains(&threads));
    assert_eq!(threads, (num_cpus::get() + 4).min(32));
}
