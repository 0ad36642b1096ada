//! CPython's test_threads.py, and `run_coroutine_threadsafe` of test_tasks.py.
//!
//! Adapted: arguments are captures (`test_to_thread_args_kwargs`); mocks are counters; a task factory that fails does not exist here.

use asyncio::{
    BlockingError, ContextVar, EventLoop, Task, create_task, get_running_loop, new_event_loop, run,
    run_coroutine_threadsafe, to_thread,
};
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(1);

// ----- to_thread

/// CPython test_threads: test_to_thread
#[test]
fn a_function_runs_on_another_thread() {
    let (sum, thread) = run(to_thread(|| (40 + 2, thread::current().id())));
    assert_eq!(sum, 42);
    assert_ne!(thread, thread::current().id());
}

/// CPython test_threads: test_to_thread_exception
#[test]
fn a_panic_resumes_in_the_awaiter() {
    run(async {
        let error = create_task(to_thread(|| -> u32 { panic!("test") })).await.unwrap_err();
        assert_eq!(error.as_panic().unwrap().message(), "test");
        // A result that is an error is a result.
        let failed: Result<u32, std::num::ParseIntError> = to_thread(|| "x".parse()).await;
        assert!(failed.is_err());
    });
}

/// CPython test_threads: test_to_thread_once
#[test]
fn a_function_is_called_once_and_only_when_awaited() {
    let calls = Arc::new(AtomicUsize::new(0));
    let call = || {
        let calls = calls.clone();
        to_thread(move || calls.fetch_add(1, Ordering::Relaxed))
    };
    run(async {
        drop(call());
        assert_eq!(format!("{:?}", call()), "<ToThread not started>");
        call().await;
    });
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// CPython test_threads: test_to_thread_concurrent
#[test]
fn functions_run_beside_each_other() {
    // Each waits for all the others.
    const COUNT: usize = 5;
    let together = Arc::new(Barrier::new(COUNT));
    let leaders = run(async {
        let calls: Vec<_> = (0..COUNT)
            .map(|_| {
                let together = together.clone();
                create_task(to_thread(move || together.wait().is_leader()))
            })
            .collect();
        let mut leaders = 0;
        for call in calls {
            leaders += usize::from(call.await.unwrap());
        }
        leaders
    });
    assert_eq!(leaders, 1);
}

/// CPython test_threads: test_to_thread_contextvars
#[test]
fn a_function_sees_the_context_and_keeps_what_it_sets() {
    static VARIABLE: ContextVar<&str> = ContextVar::new("variable");
    run(async {
        VARIABLE.set("parrot");
        let seen = to_thread(|| {
            let seen = VARIABLE.get();
            VARIABLE.set("cheese shop");
            (seen, VARIABLE.get())
        });
        assert_eq!(seen.await, (Some("parrot"), Some("cheese shop")));
        assert_eq!(VARIABLE.get(), Some("parrot"));
        // The thread keeps nothing of it.
        let left = get_running_loop().run_in_executor(None, || VARIABLE.get());
        assert_eq!(left.await.unwrap(), None);
    });
}

#[test]
fn a_function_may_block_on_a_primitive_that_tasks_use() {
    run(async {
        let queue = Arc::new(asyncio::Queue::<u32>::new(1));
        let putter = queue.clone();
        let put = create_task(to_thread(move || (0..100).try_for_each(|i| putter.blocking_put(i))));
        for i in 0..100 {
            assert_eq!(queue.get().await.unwrap(), i);
        }
        put.await.unwrap().unwrap();
    });
}

/// Says when it is dropped.
struct Dropped(mpsc::Sender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn cancelling_drops_a_function_that_has_not_started_and_lets_go_of_one_that_has() {
    run(async {
        let event_loop = get_running_loop();
        event_loop.set_default_executor(asyncio::ThreadPoolExecutor::new(1)).unwrap();
        let (go_on, gate) = mpsc::channel::<()>();
        let (started, has_started) = asyncio::sync::oneshot::channel();
        let (ended, has_ended) = mpsc::channel();
        let running = create_task(to_thread(move || {
            started.send(()).unwrap();
            let went_on = gate.recv();
            ended.send(()).unwrap();
            went_on
        }));
        has_started.await.unwrap();
        let (sender, dropped) = mpsc::channel();
        let guard = Dropped(sender);
        let waiting = create_task(to_thread(move || drop(guard)));
        asyncio::yield_now().await;
        waiting.cancel();
        assert!(waiting.await.unwrap_err().is_cancelled());
        dropped.try_recv().expect("dropped at once");
        running.cancel();
        assert!(running.await.unwrap_err().is_cancelled());
        assert!(has_ended.try_recv().is_err(), "a thread cannot be stopped");
        go_on.send(()).unwrap();
        to_thread(move || has_ended.recv()).await.unwrap();
    });
}

#[test]
fn a_result_that_nobody_wants_is_dropped() {
    let (sender, dropped) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    run(async {
        let (started, has_started) = asyncio::sync::oneshot::channel();
        let call = create_task(to_thread(move || {
            started.send(()).unwrap();
            gate.recv().unwrap();
            Dropped(sender)
        }));
        has_started.await.unwrap();
        call.cancel();
        assert!(call.await.is_err_and(|error| error.is_cancelled()));
        go_on.send(()).unwrap();
        // The end of `run` waits for the thread.
    });
    dropped.try_recv().expect("dropped with the job");
}

#[test]
fn without_a_loop_there_is_no_executor() {
    let call = || asyncio::sync::oneshot::channel::<()>().0;
    let outcome = std::panic::catch_unwind(|| {
        let mut future = Box::pin(to_thread(call));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        std::future::Future::poll(future.as_mut(), &mut cx).is_ready()
    });
    let message = outcome.unwrap_err();
    assert_eq!(message.downcast_ref::<String>().unwrap(), "no running event loop");
}

#[test]
fn after_the_executor_is_shut_down_a_call_panics() {
    run(async {
        get_running_loop().shutdown_default_executor(None).await.unwrap();
        let error = create_task(to_thread(|| ())).await.unwrap_err();
        let message = error.as_panic().unwrap().message();
        assert_eq!(message, "to_thread: executor shutdown has been called");
    });
}

// ----- run_coroutine_threadsafe

/// A loop that runs on a thread of its own until this is dropped.
struct Elsewhere {
    event_loop: EventLoop,
    thread: Option<JoinHandle<()>>,
}

impl Elsewhere {
    fn new() -> Self {
        let event_loop = new_event_loop().unwrap();
        let runner = event_loop.clone();
        let thread = thread::spawn(move || runner.run_forever().unwrap());
        Elsewhere { event_loop, thread: Some(thread) }
    }

    fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        run_coroutine_threadsafe(future, &self.event_loop).unwrap()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // Queued rather than called, so that a loop whose thread has not begun its run yet is stopped after it has.
        let stop = self.event_loop.clone();
        let _ = self.event_loop.call_soon_threadsafe(move || stop.stop());
        let ended = self.thread.take().expect("dropped once").join();
        if !thread::panicking() {
            ended.unwrap();
            self.event_loop.close().unwrap();
        }
    }
}

/// CPython test_tasks: test_run_coroutine_threadsafe
#[test]
fn a_coroutine_runs_on_the_other_loop() {
    let other = Elsewhere::new();
    let expected = other.event_loop.clone();
    let mut task = other.spawn(async move {
        asyncio::sleep(SOON).await;
        (get_running_loop() == expected, thread::current().id())
    });
    let (same, thread) = task.blocking_result(None).unwrap();
    assert!(same && thread != thread::current().id());
}

/// CPython test_tasks: test_run_coroutine_threadsafe_with_exception
#[test]
fn its_panic_is_the_error() {
    let other = Elsewhere::new();
    let mut task = other.spawn(async {
        if true {
            panic!("Fail!")
        }
    });
    let error = task.blocking_result(None).unwrap_err();
    assert!(error.is_panic() && !error.is_timeout() && !error.is_cancelled());
    assert_eq!(error.to_string(), "the task panicked: Fail!");
}

/// CPython test_tasks: test_run_coroutine_threadsafe_with_timeout
#[test]
fn a_waiter_whose_time_is_over_may_cancel() {
    let other = Elsewhere::new();
    let (sender, dropped) = mpsc::channel();
    let guard = Dropped(sender);
    let mut task = other.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    assert!(task.blocking_result(Some(SOON)).unwrap_err().is_timeout());
    assert!(!task.done() && dropped.try_recv().is_err());
    assert!(task.cancel());
    let error = task.blocking_result(None).unwrap_err();
    assert!(matches!(&error, BlockingError::Join(error) if error.is_cancelled()));
    dropped.recv().unwrap();
}

/// CPython test_tasks: test_run_coroutine_threadsafe_task_cancelled
#[test]
fn a_task_cancelled_inside_is_cancelled_outside() {
    let other = Elsewhere::new();
    let mut task = other.spawn(async {
        asyncio::current_task().unwrap().cancel();
        pending::<()>().await;
    });
    assert!(task.blocking_result(None).unwrap_err().is_cancelled());
}

#[test]
fn a_waiter_may_ask_again() {
    let other = Elsewhere::new();
    let (sender, receiver) = asyncio::sync::oneshot::channel();
    let mut task = other.spawn(async move { receiver.await.unwrap() });
    assert!(task.blocking_result(Some(SOON)).unwrap_err().is_timeout());
    assert!(task.blocking_result(Some(Duration::ZERO)).unwrap_err().is_timeout());
    sender.send(7).unwrap();
    assert_eq!(task.blocking_result(None).unwrap(), 7);
}

#[test]
fn a_worker_does_not_wait_for_its_own_loop() {
    run(async {
        let mut task = create_task(async { 1 });
        let wait = std::panic::AssertUnwindSafe(|| task.blocking_result(None));
        let message = std::panic::catch_unwind(wait).unwrap_err();
        let message = message.downcast_ref::<&str>().unwrap();
        assert!(message.starts_with("blocking_result on a worker"), "{message}");
        assert_eq!(task.await.unwrap(), 1);
    });
}

#[test]
fn a_thread_of_the_executor_may_wait_for_the_loop() {
    run(async {
        let event_loop = get_running_loop();
        let asked = to_thread(move || {
            let mut task =
                run_coroutine_threadsafe(async { asyncio::sleep(SOON).await }, &event_loop);
            task.as_mut().unwrap().blocking_result(None).unwrap();
            3
        });
        assert_eq!(asked.await, 3);
    });
}

#[test]
fn an_idle_loop_keeps_the_coroutine_for_its_run_and_a_closed_one_refuses() {
    let event_loop = new_event_loop().unwrap();
    let mut task = run_coroutine_threadsafe(async { 5 }, &event_loop).unwrap();
    assert!(task.blocking_result(Some(SOON)).unwrap_err().is_timeout());
    assert_eq!(event_loop.run_until_complete(&mut task).unwrap().unwrap(), 5);
    event_loop.close().unwrap();
    let (sender, dropped) = mpsc::channel();
    let guard = Dropped(sender);
    let refused = run_coroutine_threadsafe(async move { drop(guard) }, &event_loop);
    assert_eq!(refused.unwrap_err().to_string(), "event loop is closed");
    dropped.try_recv().expect("the future was dropped");
}

#[test]
fn the_context_of_the_caller_goes_along() {
    static VARIABLE: ContextVar<u32> = ContextVar::new("variable");
    let other = Elsewhere::new();
    VARIABLE.set(4);
    let mut task = other.spawn(async { VARIABLE.get() });
    assert_eq!(task.blocking_result(None).unwrap(), Some(4));
}
