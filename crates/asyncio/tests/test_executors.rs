//! Executors: the rows of CPython's test_events.py, test_base_events.py and test_futures.py that are about them.
//!
//! Adapted: that a default executor is an executor is the compiler's business (test_set_default_executor_error).

#[path = "common/in_order.rs"]
mod in_order;

use asyncio::{
    BlockingError, EventLoop, ExceptionContext, Executor, ExecutorTimeout, Future, FutureError,
    Job, JoinError, SharedError, SubmitError, ThreadPoolExecutor, concurrent_future, create_task,
    get_running_loop, new_event_loop, run, secs, to_thread, wrap_future,
};
use in_order::run_in_order;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(1);

/// The error of a future that has one.
fn error_of<T: std::fmt::Debug>(outcome: Result<T, FutureError<SharedError>>) -> SharedError {
    match outcome {
        Err(FutureError::Exception(error)) => error,
        other => panic!("no exception: {other:?}"),
    }
}

// ----- run_in_executor

/// CPython test_events: test_run_in_executor
#[test]
fn a_function_runs_on_a_thread_of_the_default_pool() {
    let event_loop = new_event_loop().unwrap();
    let name = event_loop.run_in_executor(None, || {
        ("yo", thread::current().name().unwrap().to_owned(), thread::current().id())
    });
    let (arg, name, id) = event_loop.run_until_complete(name).unwrap().unwrap();
    assert_eq!((arg, &*name), ("yo", "asyncio_0"));
    assert_ne!(id, thread::current().id());
    event_loop.close().unwrap();
}

#[test]
fn a_panic_and_a_refusal_are_the_futures_error() {
    run(async {
        let event_loop = get_running_loop();
        let failed = event_loop.run_in_executor(None, || -> u32 { panic!("no luck") });
        let error = error_of(failed.await);
        let error = error.downcast_ref::<JoinError>().unwrap();
        assert_eq!(error.as_panic().unwrap().message(), "no luck");

        event_loop.shutdown_default_executor(None).await.unwrap();
        let refused = event_loop.run_in_executor(None, || unreachable!("refused"));
        assert!(refused.done());
        let error = error_of(refused.await);
        assert!(matches!(error.downcast_ref().unwrap(), SubmitError::ShutDown));
        assert_eq!(error.to_string(), "executor shutdown has been called");
    });
}

#[test]
fn a_closed_loop_refuses() {
    let event_loop = new_event_loop().unwrap();
    event_loop.close().unwrap();
    let submit = std::panic::AssertUnwindSafe(|| event_loop.run_in_executor(None, || ()));
    let message = std::panic::catch_unwind(submit).unwrap_err();
    assert_eq!(message.downcast_ref::<String>().unwrap(), "event loop is closed");
}

/// Keeps the one thread of a pool busy until told otherwise.
fn busy(pool: &ThreadPoolExecutor) -> mpsc::Sender<()> {
    let (go_on, gate) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    drop(pool.submit(move || {
        started.send(()).unwrap();
        let _ = gate.recv();
    }));
    has_started.recv().unwrap();
    go_on
}

/// Says when it is dropped.
struct Dropped(mpsc::Sender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// CPython test_events: test_run_in_executor_cancel
#[test]
fn cancelling_the_future_drops_a_function_that_has_not_started() {
    let pool = ThreadPoolExecutor::new(1);
    let event_loop = new_event_loop().unwrap();
    let go_on = busy(&pool);
    let (sender, dropped) = mpsc::channel();
    let guard = Dropped(sender);
    let future = event_loop.run_in_executor(Some(&pool), move || drop(guard));
    assert!(future.cancel());
    dropped.try_recv().expect("dropped at once, without a pass of the loop");
    let outcome = event_loop.run_until_complete(future).unwrap();
    assert!(matches!(outcome, Err(FutureError::Cancelled(_))));
    event_loop.close().unwrap();
    go_on.send(()).unwrap();
}

/// CPython test_events: test_run_in_executor_cancel, with the function under way
#[test]
fn a_started_function_runs_to_its_end_and_nothing_reaches_a_closed_loop() {
    let pool = ThreadPoolExecutor::new(1);
    let event_loop = new_event_loop().unwrap();
    event_loop.set_exception_handler(Some(|_: &EventLoop, report: &ExceptionContext| {
        panic!("nothing is to be reported: {report}");
    }));
    let (go_on, gate) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    let (sender, dropped) = mpsc::channel();
    let futures = [(); 2].map(|()| {
        let (started, sender) = (started.clone(), sender.clone());
        started.send(()).unwrap();
        (started, sender)
    });
    drop((started, sender));
    let [(started, first_guard), (_, second_guard)] = futures;
    (0..2).for_each(|_| has_started.recv().unwrap());
    let cancelled = event_loop.run_in_executor(Some(&pool), move || {
        started.send(()).unwrap();
        gate.recv().unwrap();
        Dropped(first_guard)
    });
    has_started.recv().unwrap();
    let pending = event_loop.run_in_executor(Some(&pool), move || Dropped(second_guard));
    cancelled.cancel();
    event_loop.close().unwrap();
    assert!(dropped.try_recv().is_err());
    go_on.send(()).unwrap();
    drop(pool);
    assert_eq!(dropped.try_iter().count(), 2, "both ran, and their results were dropped");
    assert!(!pending.done(), "nothing is delivered");
}

#[test]
fn results_wait_while_the_loop_is_idle() {
    let event_loop = new_event_loop().unwrap();
    let (sender, ran) = mpsc::channel();
    let future = event_loop.run_in_executor(None, move || sender.send(()).unwrap());
    ran.recv().unwrap();
    let pool_is_done = event_loop.shutdown_default_executor(None);
    assert!(!future.done(), "nothing of the loop moves");
    event_loop.run_until_complete(pool_is_done).unwrap().unwrap();
    event_loop.run_until_complete(future).unwrap().unwrap();
    event_loop.close().unwrap();
}

#[test]
fn a_dropped_future_changes_nothing_but_a_panic_is_reported() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let ran = Arc::new(AtomicUsize::new(0));
    let (seen, count) = (reports.clone(), ran.clone());
    run(async move {
        let event_loop = get_running_loop();
        event_loop.set_exception_handler(Some(move |_: &EventLoop, report: &ExceptionContext| {
            let exception = report.exception.as_ref().map(ToString::to_string);
            seen.lock().unwrap().push((report.message.clone(), exception));
        }));
        event_loop.set_default_executor(ThreadPoolExecutor::new(1)).unwrap();
        drop(event_loop.run_in_executor(None, move || count.fetch_add(1, Ordering::Relaxed)));
        drop(event_loop.run_in_executor(None, || panic!("unseen")));
        // The one thread has done both, and their deliveries are queued before this one's.
        event_loop.run_in_executor(None, || ()).await.unwrap();
    });
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    let expected = "Future exception was never retrieved".to_owned();
    let text = "the task panicked: unseen".to_owned();
    assert_eq!(*reports.lock().unwrap(), [(expected, Some(text))]);
}

#[test]
fn a_job_may_call_the_loop() {
    run(async {
        let event_loop = get_running_loop();
        let order = Arc::new(Mutex::new(Vec::new()));
        let future: Future<u32> = event_loop.create_future();
        let (caller, setter, log) = (event_loop.clone(), future.clone(), order.clone());
        let job = event_loop.run_in_executor(None, move || {
            for i in 0..100 {
                let log = log.clone();
                caller.call_soon_threadsafe(move || log.lock().unwrap().push(i)).unwrap();
            }
            caller.call_soon_threadsafe(move || setter.set_result(1).unwrap()).unwrap();
        });
        assert_eq!(future.await.unwrap(), 1);
        job.await.unwrap();
        assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn ten_thousand_small_jobs() {
    run(async {
        let event_loop = get_running_loop();
        let mirrored: Vec<_> =
            (0..5000_u64).map(|i| event_loop.run_in_executor(None, move || i)).collect();
        let awaited: Vec<_> = (0..5000_u64).map(|i| create_task(to_thread(move || i))).collect();
        let mut sum = 0;
        for future in mirrored {
            sum += future.await.unwrap();
        }
        for task in awaited {
            sum += task.await.unwrap();
        }
        assert_eq!(sum, 2 * (5000 * 4999 / 2));
    });
}

// ----- executors of the program

/// Runs every job where it is submitted.
struct Inline(AtomicUsize);

impl Executor for Inline {
    fn submit(&self, job: Job) -> Result<(), SubmitError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        job.run();
        Ok(())
    }
}

/// Takes every job and runs none.
struct Forgetful;

impl Executor for Forgetful {
    fn submit(&self, _job: Job) -> Result<(), SubmitError> {
        Ok(())
    }
}

/// CPython test_base_events: test_set_default_executor
#[test]
fn the_default_executor_can_be_set() {
    static VARIABLE: asyncio::ContextVar<u32> = asyncio::ContextVar::new("variable");
    run(async {
        let event_loop = get_running_loop();
        let inline = Arc::new(Inline(AtomicUsize::new(0)));
        event_loop.set_default_executor(inline.clone()).unwrap();
        VARIABLE.set(1);
        let here = thread::current().id();
        let (thread, seen) = to_thread(|| {
            VARIABLE.set(VARIABLE.get().unwrap() + 1);
            (thread::current().id(), VARIABLE.get())
        })
        .await;
        // Even where nothing changes threads the function has a context of its own.
        assert_eq!((thread, seen, VARIABLE.get()), (here, Some(2), Some(1)));
        assert_eq!(event_loop.run_in_executor(None, || 5).await.unwrap(), 5);
        assert_eq!(inline.0.load(Ordering::Relaxed), 2);
        event_loop.shutdown_default_executor(Some(SOON)).await.unwrap();
        let refused = event_loop.set_default_executor(inline).unwrap_err();
        assert!(matches!(refused, SubmitError::ShutDown));
    });
}

#[test]
fn a_job_that_an_executor_forgets_is_cancelled() {
    run(async {
        let event_loop = get_running_loop();
        let forgotten = event_loop.run_in_executor(Some(&Forgetful), || ());
        assert!(matches!(forgotten.await, Err(FutureError::Cancelled(_))));
        event_loop.set_default_executor(Forgetful).unwrap();
        let error = create_task(to_thread(|| ())).await.unwrap_err();
        let message = error.as_panic().unwrap().message();
        assert_eq!(message, "the executor dropped the function without running it");
    });
}

// ----- shutdown_default_executor

/// CPython test_base_events: test_shutdown_default_executor_timeout
#[test]
fn shutting_down_waits_for_jobs_no_longer_than_told() {
    run(async {
        let event_loop = get_running_loop();
        let (go_on, gate) = mpsc::channel::<()>();
        let job = event_loop.run_in_executor(None, move || gate.recv().is_ok());
        let limit = Duration::from_millis(10);
        let error: ExecutorTimeout =
            event_loop.shutdown_default_executor(Some(limit)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the executor did not finish joining its threads within 0.01 seconds"
        );
        go_on.send(()).unwrap();
        // The loop ran on meanwhile, and takes the result.
        assert!(job.await.unwrap());
        event_loop.shutdown_default_executor(None).await.unwrap();
    });
}

#[test]
fn shutting_down_an_executor_that_was_never_used_forbids_its_use() {
    run(async {
        let event_loop = get_running_loop();
        event_loop.shutdown_default_executor(None).await.unwrap();
        event_loop.shutdown_default_executor(Some(SOON)).await.unwrap();
        assert!(event_loop.run_in_executor(None, || ()).await.is_err());
    });
}

#[test]
fn the_end_of_run_waits_for_jobs_that_nobody_awaits() {
    let (sender, receiver) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    run(async {
        let event_loop = get_running_loop();
        drop(event_loop.run_in_executor(None, move || {
            gate.recv().unwrap();
            sender.send(7).unwrap();
        }));
        // Released only once main has ended.
        event_loop.call_soon(move || go_on.send(()).unwrap());
    });
    assert_eq!(receiver.try_recv(), Ok(7));
}

#[test]
fn closing_a_loop_waits_for_nothing() {
    let (go_on, gate) = mpsc::channel::<()>();
    let (sender, ended) = mpsc::channel();
    let event_loop = new_event_loop().unwrap();
    let jobs: Vec<_> = (0..50)
        .map(|i| {
            let sender = sender.clone();
            event_loop.run_in_executor(None, move || sender.send(i).unwrap())
        })
        .collect();
    let waiting = event_loop.run_in_executor(None, move || gate.recv());
    event_loop.close().unwrap();
    go_on.send(()).unwrap();
    drop(sender);
    let mut ran: Vec<i32> = ended.iter().collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..50).collect::<Vec<_>>(), "what was taken is run");
    drop((jobs, waiting));
}

// ----- wrap_future

/// CPython test_futures: test_wrap_future, test_copy_state
#[test]
fn a_concurrent_future_is_mirrored() {
    run(async {
        let pool = ThreadPoolExecutor::new(1);
        let mirror = wrap_future(pool.submit(|| "oi").unwrap());
        assert_eq!(mirror.await.unwrap(), "oi");
        // One that is done already.
        let done = pool.submit(|| 1).unwrap();
        pool.shutdown(true);
        let mirror = wrap_future(done);
        assert!(!mirror.done(), "finished in a pass, never at once");
        assert_eq!(mirror.await.unwrap(), 1);
        // One that panicked; of a cancelled one the next test tells.
        let failed = ThreadPoolExecutor::new(1).submit(|| panic!("oops")).unwrap();
        let error = error_of(wrap_future::<()>(failed).await);
        assert!(error.downcast_ref::<JoinError>().unwrap().is_panic());
    });
}

/// CPython test_futures: test_wrap_future_cancel, test_wrap_future_cancel2
#[test]
fn cancelling_the_mirror_cancels_the_job_and_the_other_way_round() {
    run(async {
        let pool = ThreadPoolExecutor::new(1);
        let go_on = busy(&pool);
        let (sender, dropped) = mpsc::channel();
        let guard = Dropped(sender);
        let mirror = wrap_future(pool.submit(move || drop(guard)).unwrap());
        mirror.cancel();
        dropped.try_recv().expect("the job is gone");

        let job = pool.submit(|| ()).unwrap();
        let canceller = job.canceller();
        let mirror = wrap_future(job);
        assert!(canceller());
        assert!(matches!(mirror.await, Err(FutureError::Cancelled(_))));
        go_on.send(()).unwrap();
    });
}

/// The contract's rows of chaining and of the thread-world twin, with a result that a thread gives by hand.
#[test]
fn a_thread_may_give_a_result_by_hand() {
    let (promise, mut answer) = concurrent_future();
    assert!(!answer.done() && !answer.running());
    assert!(matches!(answer.result(Some(secs(0.001))), Err(BlockingError::Timeout)));
    let (sender, told) = mpsc::channel();
    answer.add_done_callback(move || sender.send(std::thread::current().id()).unwrap());
    let giver = std::thread::spawn(move || {
        promise.set_result(42).unwrap();
        std::thread::current().id()
    });
    assert_eq!(answer.result(None).unwrap(), 42);
    assert_eq!(told.recv().unwrap(), giver.join().unwrap(), "told on the thread that ended it");
    // Cancelled: whoever gives gets the value back. Dropped: whoever waits is cancelled.
    let (promise, answer) = concurrent_future();
    assert!(answer.cancel() && answer.cancelled());
    assert_eq!(promise.set_result(1), Err(1));
    let (promise, mut answer) = concurrent_future::<u8>();
    drop(promise);
    let Err(BlockingError::Join(error)) = answer.result(None) else { panic!("nobody gave it") };
    assert!(error.is_cancelled());
}

/// CPython test_futures: test_wrap_future_cancel2, test_wrap_future_use_global_loop
#[test]
fn a_mirror_cancels_its_source_and_a_source_that_is_done_keeps_its_result() {
    run(async {
        let (promise, source) = concurrent_future();
        let mirror = wrap_future(source);
        assert!(mirror.cancel());
        assert_eq!(promise.set_result(42), Err(42), "the cancel has reached the source");
    });
    // [C]: that comes in a later pass.
    run_in_order(async {
        let (promise, source) = concurrent_future();
        let mirror = wrap_future(source);
        promise.set_result(42).unwrap();
        // Set, but not delivered.
        assert!(!mirror.done() && mirror.cancel());
        asyncio::yield_now().await;
        assert!(mirror.cancelled());
    });
    // Nothing reaches a loop that is closed meanwhile.
    let event_loop = asyncio::new_event_loop().unwrap();
    let (promise, source) = concurrent_future();
    let mirror = event_loop.wrap_future(source);
    event_loop.close().unwrap();
    promise.set_result(1).unwrap();
    assert!(!mirror.done());
}

#[test]
fn a_concurrent_future_can_be_awaited_as_it_is() {
    run(async {
        let pool = ThreadPoolExecutor::new(2);
        let square = pool.submit(|| 7 * 7).unwrap();
        assert_eq!(square.await.unwrap(), 49);
        assert!(pool.submit(|| panic!("x")).unwrap().await.unwrap_err().is_panic());
    });
}

// ----- ThreadPoolExecutor

#[test]
fn dropping_a_pool_waits_and_a_pool_that_was_shut_down_is_let_go() {
    let ran = Arc::new(AtomicUsize::new(0));
    let pool = ThreadPoolExecutor::new(2);
    for _ in 0..100 {
        let ran = ran.clone();
        drop(pool.submit(move || ran.fetch_add(1, Ordering::Relaxed)));
    }
    drop(pool);
    assert_eq!(ran.load(Ordering::Relaxed), 100);

    let pool = ThreadPoolExecutor::new(1);
    let go_on = busy(&pool);
    assert!(pool.shutdown_within(SOON).is_err());
    pool.shutdown(false);
    assert!(matches!(pool.submit(|| ()), Err(SubmitError::ShutDown)));
    drop(pool);
    go_on.send(()).expect("the job still runs: nobody waited for it");
}

#[test]
fn map_gives_results_in_order_and_cancels_what_is_not_asked_for() {
    let pool = ThreadPoolExecutor::new(4);
    let lengths = pool.map(["a", "bb", "ccc"], str::len).unwrap();
    assert_eq!(lengths.len(), 3);
    assert_eq!(lengths.collect::<Vec<_>>(), [1, 2, 3]);

    let pool = ThreadPoolExecutor::new(1);
    let go_on = busy(&pool);
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    drop(pool.map(0..10, move |_| count.fetch_add(1, Ordering::Relaxed)).unwrap());
    go_on.send(()).unwrap();
    drop(pool);
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn map_resumes_a_panic() {
    let pool = ThreadPoolExecutor::new(1);
    let mut results = pool.map([1, 0], |i| 1 / i).unwrap();
    assert_eq!(results.next(), Some(1));
    let next = std::panic::AssertUnwindSafe(|| results.next());
    assert!(std::panic::catch_unwind(next).is_err());
}

#[test]
fn a_blocking_wait_inside_a_task_is_refused() {
    run(async {
        let pool = ThreadPoolExecutor::new(1);
        let mut job = pool.submit(|| 1).unwrap();
        let wait = std::panic::AssertUnwindSafe(|| job.result(None));
        assert!(std::panic::catch_unwind(wait).is_err());
        assert_eq!(job.await.unwrap(), 1);
    });
}
