//! The small programs that people write in their first weeks, as `docs/cookbook` tells them: what must be seen of each.
//!
//! Real time, but only orders and lower bounds decide; the upper bounds are generous.

mod common;

use asyncio::{
    Context, ContextVar, EventLoop, ExceptionContext, Future, LoopClosed, RunError, Runner, Task,
    TaskBuilder, Warning, all_tasks, create_task, current_task, ensure_future, gather,
    get_event_loop, get_running_loop, new_event_loop, run, secs, set_event_loop, sleep, to_thread,
    wait, yield_now,
};
use common::{Log, new_loop, one_pass, panic_message, reports, run_in_order, settle};
use std::future::IntoFuture;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Far above anything these programs take.
const GENEROUS: Duration = Duration::from_secs(20);

async fn number(log: Log<u32>, n: u32) -> u32 {
    log.push(n);
    n
}

// ----- loop: the loop by hand

/// Program P-loop-1
#[test]
fn the_steps_of_a_run_by_hand() {
    let log = Log::new();
    let unstarted = number(log.clone(), 1);
    assert!(log.take().is_empty(), "calling runs nothing");
    assert!(std::any::type_name_of_val(&unstarted).contains("number"));
    set_event_loop(Some(&new_event_loop().unwrap()));
    let event_loop = get_event_loop().unwrap();
    let task = event_loop.create_task(unstarted);
    let name = task.get_name();
    let shown = format!("{task:?}");
    assert!(shown.starts_with(&format!("<Task pending name='{name}' coro=<")), "{shown}");
    assert!(shown.contains("number"), "{shown}");
    event_loop.run_until_complete(&task).unwrap();
    assert_eq!(log.take(), [1]);
    let shown = format!("{task:?}");
    assert!(shown.starts_with(&format!("<Task finished name='{name}' coro=<")), "{shown}");
    assert!(shown.ends_with(" result=1>"), "{shown}");
    event_loop.close().unwrap();
    set_event_loop(None);
}

/// Program P-loop-2
#[test]
fn a_coroutine_runs_directly_or_by_a_task_made_before() {
    let log = Log::new();
    let event_loop = new_loop();
    assert_eq!(event_loop.run_until_complete(number(log.clone(), 1)), Ok(1));
    set_event_loop(Some(&event_loop));
    let task = ensure_future(number(log.clone(), 2));
    assert_eq!(log.take(), [1]);
    assert_eq!(event_loop.run_until_complete(task).unwrap().unwrap(), 2);
    assert_eq!(log.take(), [2]);
    set_event_loop(None);
    event_loop.close().unwrap();
}

/// Program P-loop-3
#[test]
fn one_loop_runs_twice() {
    let event_loop = new_loop();
    set_event_loop(Some(&event_loop));
    for n in 1..=2 {
        let slept = event_loop.run_until_complete(async {
            sleep(secs(0.01)).await;
            assert_eq!(get_running_loop(), event_loop);
            n
        });
        assert_eq!(slept, Ok(n));
    }
    set_event_loop(None);
    event_loop.close().unwrap();
}

/// Program P-loop-4
///
/// That something that is no future does not compile is in the cookbook.
#[test]
fn run_inside_run_is_an_error() {
    let answer = run(async {
        let message = panic_message(|| run(async {}));
        assert_eq!(message, "run() cannot be called from a running event loop");
        42
    });
    assert_eq!(answer, 42);
}

/// Program P-loop-5
#[test]
fn run_forever_ends_by_a_callback_or_with_a_task() {
    let event_loop = new_loop();
    let stop = || {
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    };
    event_loop.call_later(secs(0.01), stop());
    event_loop.run_forever().unwrap();

    let start = event_loop.time();
    let task = event_loop.create_task(async {
        sleep(secs(0.02)).await;
        "done"
    });
    let stop = stop();
    task.add_done_callback(move |_| stop());
    event_loop.run_forever().unwrap();
    assert!(event_loop.time() - start >= secs(0.02));
    assert_eq!(task.result().unwrap().as_ref().unwrap(), &"done");
    assert_eq!(event_loop.run_until_complete(async { 1 }), Ok(1));
    event_loop.close().unwrap();
    assert_eq!(event_loop.run_forever(), Err(RunError::Closed));
}

// ----- call: callbacks

/// Program P-call-1
#[test]
fn callbacks_with_their_own_arguments_run_in_order() {
    let log = Log::new();
    let outside = log.clone();
    run(async move {
        let event_loop = get_running_loop();
        let note = log.clone();
        event_loop.call_soon(move || note.push("1".to_owned()));
        let (note, option) = (log.clone(), "kwarg");
        event_loop.call_soon(move || note.push(format!("2 {option}")));
        sleep(secs(0.02)).await;
    });
    assert_eq!(outside.take(), ["1", "2 kwarg"]);
}

/// Program P-call-2
#[test]
fn later_callbacks_run_by_their_time() {
    let log = Log::new();
    let outside = log.clone();
    run(async move {
        let event_loop = get_running_loop();
        event_loop.call_later(secs(0.02), log.note(1));
        event_loop.call_later(secs(0.01), log.note(2));
        event_loop.call_soon(log.note(3));
        sleep(secs(0.05)).await;
    });
    assert_eq!(outside.take(), [3, 2, 1]);
}

/// Program P-call-3
#[test]
fn three_delays_and_one_at_once() {
    let event_loop = new_loop();
    let log = Log::new();
    for (delay, n) in [(0.02, 2), (0.01, 1), (0.03, 3)] {
        event_loop.call_later(secs(delay), log.note(n));
    }
    event_loop.call_soon(log.note(4));
    event_loop.run_until_complete(sleep(secs(0.05))).unwrap();
    assert_eq!(log.take(), [4, 1, 2, 3]);
    event_loop.close().unwrap();
}

/// Program P-call-4
#[test]
fn callbacks_at_a_moment_are_never_early() {
    let log = Log::new();
    let outside = log.clone();
    run(async move {
        let event_loop = get_running_loop();
        let start = event_loop.time();
        let at = |delay: f64, n| {
            let (due, clock, log) = (start + secs(delay), event_loop.clone(), log.clone());
            event_loop.call_at(due, move || log.push((n, clock.time() - due)));
        };
        at(0.04, 1);
        at(0.02, 2);
        let note = log.clone();
        event_loop.call_soon(move || note.push((3, Duration::ZERO)));
        sleep(secs(0.1)).await;
    });
    // A duration since the moment exists at all because no callback was early; how late one may be is the machine's.
    let (order, late): (Vec<_>, Vec<_>) = outside.take().into_iter().unzip();
    assert_eq!(order, [3, 2, 1]);
    assert!(late.iter().all(|late| *late < GENEROUS), "{late:?}");
}

/// Program P-call-5
#[test]
fn stop_lets_the_callbacks_before_it_run() {
    let event_loop = new_loop();
    let log = Log::new();
    event_loop.call_soon(log.note("ran"));
    let inner = event_loop.clone();
    event_loop.call_soon(move || inner.stop());
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), ["ran"]);
    event_loop.close().unwrap();
}

/// Program P-call-6
///
/// Each thread calls in bursts and waits for the last answer of each, so that the loop falls asleep in between and has to be woken.
#[test]
fn eight_threads_count_exactly() {
    const THREADS: u64 = 8;
    const BURSTS: u64 = if cfg!(debug_assertions) { 10 } else { 100 };
    const CALLS: u64 = 1000;
    let event_loop = new_loop();
    let total = Arc::new(AtomicU64::new(0));
    let calls_in = |event_loop: EventLoop, total: Arc<AtomicU64>| {
        let (answer, answered) = mpsc::channel();
        for _ in 0..BURSTS {
            for call in 1..=CALLS {
                let (total, answer) = (total.clone(), answer.clone());
                // A load and a store: exact only because callbacks never overlap.
                event_loop.call_soon_threadsafe(move || {
                    total.store(total.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    if call == CALLS {
                        answer.send(()).unwrap();
                    }
                })?;
            }
            answered.recv().unwrap();
        }
        Ok::<_, LoopClosed>(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (event_loop, total) = (event_loop.clone(), total.clone());
                scope.spawn(move || calls_in(event_loop, total))
            })
            .collect();
        let stopper = event_loop.clone();
        scope.spawn(move || {
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
            stopper.stop();
        });
        event_loop.run_forever().unwrap();
    });
    assert_eq!(total.load(Ordering::Relaxed), THREADS * BURSTS * CALLS);
    event_loop.close().unwrap();
    assert_eq!(event_loop.call_soon_threadsafe(|| ()).unwrap_err(), LoopClosed);
}

/// Program P-call-7
#[test]
fn callbacks_see_their_context() {
    static USER: ContextVar<&str> = ContextVar::new("user");
    let log = Log::new();
    let outside = log.clone();
    run(async move {
        let event_loop = get_running_loop();
        let note = || {
            let log = log.clone();
            move || log.push(USER.get())
        };
        let own = Context::new();
        own.run(|| USER.set("own"));
        event_loop.call_soon(note());
        USER.set("caller's");
        event_loop.call_soon(note());
        event_loop.call_soon_in(&own, note());
        USER.set("too late");
        settle().await;
    });
    assert_eq!(outside.take(), [None, Some("caller's"), Some("own")]);
}

/// Program P-call-8
#[test]
fn a_panicking_callback_is_reported_and_the_next_runs() {
    let event_loop = new_loop();
    let log = Log::new();
    let note = log.clone();
    event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
        note.push(context.exception.as_ref().unwrap().to_string());
    }));
    event_loop.call_soon(|| panic!("out of paper"));
    let note = log.clone();
    event_loop.call_soon(move || note.push("next".to_owned()));
    one_pass(&event_loop);
    assert_eq!(log.take(), ["panic: out of paper", "next"]);
    event_loop.close().unwrap();
}

// ----- task: coroutines and tasks

/// Program P-task-1
#[test]
fn one_result_is_handed_to_the_next() {
    async fn result1() -> &'static str {
        "result1"
    }
    async fn result2(argument: &str) -> String {
        format!("result2 got {argument}")
    }
    let both = run(async {
        let first = result1().await;
        (first, result2(first).await)
    });
    assert_eq!(both, ("result1", "result2 got result1".to_owned()));
}

/// Program P-task-2
#[test]
fn a_chain_of_coroutines_sleeps() {
    async fn compute(log: &Log<String>, x: i32, y: i32) -> i32 {
        log.push(format!("Compute {x} + {y} …"));
        sleep(secs(0.02)).await;
        x + y
    }
    let log = Log::new();
    let slept = run(async {
        let start = asyncio::now();
        let sum = compute(&log, 1, 2).await;
        log.push(format!("1 + 2 = {sum}"));
        asyncio::now() - start
    });
    assert_eq!(log.take(), ["Compute 1 + 2 …", "1 + 2 = 3"]);
    assert!(slept >= secs(0.02) && slept < GENEROUS, "{slept:?}");
}

/// Program P-task-4
#[test]
fn sleeps_overlap_blocking_calls_do_not_and_are_named_and_threads_help() {
    const EACH: Duration = Duration::from_millis(10);
    let mut runner = Runner::builder().workers(1).debug(true).build().unwrap();
    let event_loop = runner.get_loop();
    let log = Log::new();
    let note = log.clone();
    event_loop.set_slow_callback_duration(EACH);
    event_loop.set_warning_handler(Some(move |_: &EventLoop, warning: &Warning| {
        let name = warning.task.as_ref().map(|task| task.get_name().to_string());
        note.push((name, warning.duration.unwrap()));
    }));
    let mut ten = |tasks: Vec<Task<()>>| runner.run(async { drop(wait(tasks).await) }).unwrap();

    let (now, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let sleeping = |_| {
        let (now, most) = (now.clone(), most.clone());
        event_loop.create_task(async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(EACH).await;
            now.fetch_sub(1, Ordering::SeqCst);
        })
    };
    ten((0..10).map(sleeping).collect());
    assert_eq!(most.load(Ordering::SeqCst), 10, "all sleep at the same time");

    log.take();
    let name = |n| format!("culprit {n}");
    let block = |n| event_loop.create_task(async { thread::sleep(EACH) }).named(name(n));
    ten((0..10).map(block).collect());
    let named = log.take();
    for n in 0..10 {
        let found = named.iter().find(|(task, _)| *task == Some(name(n)));
        assert!(found.is_some_and(|&(_, took)| took >= EACH), "{n}: {named:?}");
    }

    // Each blocks until all do: one after the other they would never end.
    let barrier = Arc::new(std::sync::Barrier::new(5));
    let in_threads = |_| {
        let barrier = barrier.clone();
        event_loop.create_task(to_thread(move || {
            barrier.wait();
        }))
    };
    ten((0..5).map(in_threads).collect());
    runner.close();
}

/// Program P-task-5
#[test]
fn a_child_cancelled_before_its_start_never_prints() {
    let log = Log::new();
    let outside = log.clone();
    run(async move {
        let child = || {
            let log = log.clone();
            async move {
                log.push("child");
                "result"
            }
        };
        let task = create_task(child());
        assert!(task.cancel());
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(log.take().is_empty());
        assert_eq!(create_task(child()).await.unwrap(), "result");
    });
    assert_eq!(outside.take(), ["child"]);
}

/// Program P-task-6
#[test]
fn done_callbacks_are_told_in_order() {
    let log = Log::new();
    let outside = log.clone();
    run(async move {
        let note = |text: &'static str, bound: u32| {
            let log = log.clone();
            move |outcome: &Result<u32, _>| log.push((text, bound + outcome.as_ref().unwrap()))
        };
        let task = create_task(async { 1 });
        task.add_done_callback(note("one", 0));
        task.add_done_callback(note("bound", 10));
        let removed = task.add_done_callback(note("removed", 0));
        assert!(task.remove_done_callback(removed));
        (&task).await;
        assert_eq!(log.take(), [("one", 1), ("bound", 11)]);
        task.add_done_callback(note("late", 0));
        settle().await;
        assert_eq!(task.await.unwrap(), 1);
    });
    assert_eq!(outside.take(), [("late", 1)]);
}

/// Program P-task-7
///
/// [C]: the task does not run between two lines of main.
#[test]
fn tasks_have_names_and_can_be_found() {
    run_in_order(async {
        let task = TaskBuilder::new().name("task01").create_task(async {
            let own = current_task().unwrap();
            yield_now().await;
            assert_eq!(current_task().unwrap(), own);
            own.get_name()
        });
        assert!(task.get_coro().contains("tasks_have_names_and_can_be_found"));
        let names: Vec<_> = all_tasks().iter().map(|task| task.get_name()).collect();
        assert_eq!(names, [&*current_task().unwrap().get_name(), "task01"].map(Arc::from));
        assert!(task.cancel() && task.cancelling() == 1 && task.uncancel() == 0);
        assert_eq!(&*task.await.unwrap(), "task01");
        assert_eq!(all_tasks().len(), 1);
    });
}

/// Program P-task-9
#[test]
fn two_loops_alternate_and_any_type_can_be_awaited() {
    // [C]: a sleep of nothing lets all others run.
    struct Answer(u32);
    impl IntoFuture for Answer {
        type Output = u32;
        type IntoFuture = std::future::Ready<u32>;
        fn into_future(self) -> Self::IntoFuture {
            std::future::ready(self.0)
        }
    }
    let log = Log::new();
    let outside = log.clone();
    run_in_order(async move {
        let count = |name| {
            let log = log.clone();
            create_task(async move {
                for turn in 0..10 {
                    log.push((name, turn));
                    sleep(Duration::ZERO).await;
                }
            })
        };
        let (ping, pong) = (count("ping"), count("pong"));
        ping.await.unwrap();
        pong.await.unwrap();
        assert_eq!(Answer(1).await, 1);
        assert_eq!(ensure_future(Answer(2)).await.unwrap(), 2);
        assert_eq!(gather!(Answer(3), Answer(4)).await.unwrap(), (3, 4));
    });
    let turns = (0..10).flat_map(|turn| [("ping", turn), ("pong", turn)]);
    assert_eq!(outside.take(), turns.collect::<Vec<_>>());
}

// ----- future: the settable one

/// Program P-future-1
#[test]
fn a_future_set_by_a_callback_is_run_to_its_result() {
    let event_loop = new_loop();
    let future: Future<u32, String> = event_loop.create_future();
    let setter = future.clone();
    event_loop.call_soon(move || setter.set_result(7).unwrap());
    assert_eq!(format!("{future:?} {}", future.done()), "<Future pending> false");
    assert_eq!(event_loop.run_until_complete(future.clone()), Ok(Ok(7)));
    assert_eq!(format!("{future:?} {}", future.done()), "<Future finished result=7> true");
    assert_eq!((future.result(), future.result()), (Ok(Ok(7)), Ok(Ok(7))));
    event_loop.close().unwrap();
}

/// Program P-future-2
#[test]
fn a_future_is_awaited_in_a_coroutine() {
    let answer = run(async {
        let future: Future<u32> = get_running_loop().create_future();
        let setter = future.clone();
        get_running_loop().call_later(secs(0.01), move || setter.set_result(42).unwrap());
        assert!(!future.done());
        future.await.unwrap()
    });
    assert_eq!(answer, 42);
}

/// Program P-future-3
#[test]
fn callbacks_of_a_future_get_it_in_order() {
    let log = Log::new();
    let outside = log.clone();
    run(async move {
        let future: Future<&str> = get_running_loop().create_future();
        for n in 1..=3 {
            let log = log.clone();
            future
                .add_done_callback(move |future| log.push((n, future.result().unwrap().unwrap())));
        }
        future.set_result("done").unwrap();
        settle().await;
    });
    assert_eq!(outside.take(), [(1, "done"), (2, "done"), (3, "done")]);
}

/// Program P-future-4
///
/// Every method, in states where it works and where it is refused.
#[test]
fn a_future_is_finished_once() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    let pending = || event_loop.create_future::<u32, String>();
    let future = pending();
    assert_eq!(future.get_loop(), event_loop);
    assert_eq!(future.result().unwrap_err().to_string(), "Result is not ready.");
    assert_eq!(future.exception().unwrap_err().to_string(), "Exception is not set.");
    let callback = future.add_done_callback(|_| unreachable!());
    assert!(future.remove_done_callback(callback));
    future.set_result(1).unwrap();
    future.set_result(2).unwrap_err();
    future.set_exception("late").unwrap_err();
    assert_eq!((future.result(), future.exception()), (Ok(Ok(1)), Ok(Ok(None))));
    assert!(future.done() && !future.cancelled() && !future.cancel());

    let failed = pending();
    failed.set_exception("no").unwrap();
    assert_eq!(failed.exception(), Ok(Ok(Some("no".to_owned()))));

    let cancelled = pending();
    assert!(cancelled.cancel() && cancelled.cancelled() && cancelled.done());
    cancelled.set_result(1).unwrap_err();
    assert!(cancelled.result().unwrap().is_err() && cancelled.exception().unwrap().is_err());
    one_pass(&event_loop);
    event_loop.close().unwrap();
    assert!(reports.take().is_empty());
}

/// Program P-future-5
///
/// [C]: they are woken in the order of their waiting; that they also run in it takes one worker.
#[test]
fn two_tasks_await_one_future_in_their_order() {
    let log = Log::new();
    let outside = log.clone();
    run_in_order(async move {
        let future: Future<u32> = get_running_loop().create_future();
        let wait = |name| {
            let (future, log) = (future.clone(), log.clone());
            create_task(async move { log.push((name, future.await.unwrap())) })
        };
        let (first, second) = (wait("first"), wait("second"));
        yield_now().await;
        future.set_result(5).unwrap();
        second.await.unwrap();
        first.await.unwrap();
    });
    assert_eq!(outside.take(), [("first", 5), ("second", 5)]);
}
