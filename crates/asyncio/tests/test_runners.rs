//! After CPython's `test_runners.py`.
//!
//! Not ported:
//!
//! | CPython | why |
//! |---|---|
//! | `test_asyncio_run_only_coro`, `test_run_non_coro` | do not compile: see `src/doctests.rs` |
//! | `test_asyncio_run_debug`, `test_debug`, `test_non_debug` | in `test_debug.rs` |
//! | `test_interrupt_*`, `test_signal_install_not_supported_ok`, `test_asyncio_run_without_uncancel` | in `signals.rs` |
//! | `test_asyncio_run_closes_gens_after_hanging_tasks_errors` | in `test_asyncgens.rs` |
//! | `test_asyncio_run_loop_factory`, `test_custom_factory`, `test_loop_factory_default_event_loop` | there is one kind of loop |
//! | `test_second_with_block_raises`, `test_double_close`, `test_run` (closed) | `close` takes the runner: using it afterwards does not compile |
//! | `test_no_repr_is_call_on_the_task_result` | `Debug` is never called by itself |

mod common;

use asyncio::{
    ContextVar, RunError, Runner, Task, TimeoutError, all_tasks, create_task, current_task,
    get_event_loop, get_running_loop, run, secs, sleep, try_get_running_loop, uncancellable,
    with_finally, yield_now,
};
use common::{Dropped, Log, only_message, panic_message, reports, settle};
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// CPython test_runners: test_asyncio_run_return
#[test]
fn run_gives_what_main_returned() {
    let answer = run(async {
        yield_now().await;
        42
    });
    assert_eq!(answer, 42);
}

/// Main needs neither `Send` nor `'static`.
#[test]
fn main_may_borrow() {
    let mut text = String::from("a");
    let shared = Rc::new(());
    let count = run(async {
        text.push('b');
        sleep(secs(0.001)).await;
        text.push('c');
        Rc::strong_count(&shared)
    });
    assert_eq!((text.as_str(), count), ("abc", 1));
}

/// CPython test_runners: test_asyncio_run_raises
#[test]
fn an_error_of_main_is_its_value_and_a_panic_leaves_run() {
    let failed: Result<(), &str> = run(async {
        yield_now().await;
        Err("spam")
    });
    assert_eq!(failed, Err("spam"));
    let panicked = panic_message(|| {
        run(async {
            yield_now().await;
            panic!("eggs")
        })
    });
    assert_eq!(panicked, "eggs");
    assert_eq!(run(async { 1 }), 1);
}

/// The contract's row of close: the shutdown comes also when main failed, and before its panic goes on.
#[test]
fn leftovers_end_before_a_panic_of_main_goes_on() {
    let (held, dropped) = Dropped::new();
    let looked = dropped.clone();
    panic_message(move || {
        run(async move {
            create_task(async move {
                let _held = held;
                pending::<()>().await
            })
            .detach();
            settle().await;
            assert!(!looked.load(Ordering::SeqCst));
            panic!("main")
        })
    });
    assert!(dropped.load(Ordering::SeqCst));
    assert!(try_get_running_loop().is_err() && get_event_loop().is_err());
}

/// CPython test_runners: test_asyncio_run_from_running_loop
#[test]
fn run_inside_run_is_refused() {
    run(async {
        let message = panic_message(|| run(async { unreachable!() }));
        assert_eq!(message, "run() cannot be called from a running event loop");
        // The outer one goes on.
        assert!(get_running_loop().is_running());
        sleep(secs(0.001)).await;
    });
}

/// CPython test_runners: test_asyncio_run_cancels_hanging_tasks
#[test]
fn leftovers_are_cancelled_and_waited_for() {
    let (held, dropped) = Dropped::new();
    let (answer, left): (i32, Task<()>) = run(async {
        let left = create_task(async move {
            let _held = held;
            pending().await
        });
        settle().await;
        (123, left)
    });
    assert_eq!(answer, 123);
    assert!(left.done() && left.cancelled() && dropped.load(Ordering::SeqCst));
}

/// Panics in its destructor.
struct Fails;

impl Drop for Fails {
    fn drop(&mut self) {
        panic!("while being cancelled");
    }
}

/// CPython test_runners: test_asyncio_run_reports_hanging_tasks_errors
///
/// Reported once, whether or not somebody holds the task.
#[test]
fn an_error_of_a_leftover_is_reported() {
    let log = Log::new();
    let note = log.clone();
    let (held,): (Task<()>,) = run(async move {
        let reported = reports(&get_running_loop());
        note.push(reported);
        let leave = |name: &'static str| {
            let task = async {
                let _fails = Fails;
                pending::<()>().await
            };
            create_task(task).named(name)
        };
        leave("dropped").detach();
        let held = leave("held");
        settle().await;
        (held,)
    });
    let mut reports = log.take()[0].take();
    reports.sort_by(|a, b| a.task_name.cmp(&b.task_name));
    for (report, name) in reports.drain(..).zip(["dropped", "held"]) {
        assert_eq!(report.message, "unhandled exception during asyncio.run() shutdown");
        assert_eq!(report.task_name.as_deref(), Some(name));
        assert!(report.task.is_some_and(|task| task.done() && !task.cancelled()));
        assert_eq!(report.exception.as_deref(), Some("panic: while being cancelled"));
    }
    assert!(held.result().unwrap().as_ref().unwrap_err().is_panic());
}

/// What a leftover awaits and answers is nobody else's business, nor is what failed before.
#[test]
fn only_leftovers_are_reported_so() {
    let log = Log::new();
    let note = log.clone();
    run(async move {
        note.push(reports(&get_running_loop()));
        let failed: Task<()> = create_task(async { panic!("early") });
        failed.detach();
        let clean_up = || async {
            let failing: Task<()> = create_task(async { panic!("answered") });
            assert!(failing.await.unwrap_err().is_panic());
        };
        create_task(with_finally(pending::<()>(), clean_up)).detach();
        settle().await;
    });
    let reports = log.take()[0].take();
    let told: Vec<_> = reports.iter().map(|report| report.message.as_str()).collect();
    assert_eq!(told, ["Task exception was never retrieved"]);
}

/// Tasks that are made by clean-ups are ended too; if that has no end, the loop is closed over the last.
#[test]
fn leftovers_that_make_tasks_end() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    run(async move {
        let clean_up = move || async move {
            let count_second = count.clone();
            let second = with_finally(pending::<()>(), move || async move {
                count_second.fetch_add(10, Ordering::SeqCst);
            });
            create_task(second).detach();
            settle().await;
            count.fetch_add(1, Ordering::SeqCst);
        };
        create_task(with_finally(pending::<()>(), clean_up)).detach();
        settle().await;
    });
    assert_eq!(ended.load(Ordering::SeqCst), 11);

    fn respawn() -> impl Future<Output = ()> + Send {
        with_finally(pending::<()>(), || async {
            let again: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(respawn());
            create_task(again).detach();
            settle().await;
        })
    }
    let log = Log::new();
    let note = log.clone();
    run(async move {
        note.push(reports(&get_running_loop()));
        create_task(respawn()).detach();
        settle().await;
    });
    assert_eq!(only_message(&log.take()[0]), "Task was destroyed but it is pending!");
}

/// A limit for those who resist.
#[test]
fn a_runner_may_be_closed_in_time() {
    let mut runner = Runner::new().unwrap();
    let reports = reports(&runner.get_loop());
    runner.run(async { create_task(uncancellable(pending::<()>())).detach() }).unwrap();
    let event_loop = runner.get_loop();
    assert_eq!(runner.close_timeout(secs(0.01)), Err(TimeoutError::default()));
    assert!(event_loop.is_closed());
    assert_eq!(only_message(&reports), "Task was destroyed but it is pending!");

    let mut runner = Runner::new().unwrap();
    runner.run(async { create_task(pending::<()>()).detach() }).unwrap();
    assert_eq!(runner.close_timeout(secs(60.0)), Ok(()));
}

/// CPython test_runners: test_asyncio_run_set_event_loop, test_set_event_loop_called_once
#[test]
fn the_loop_of_a_runner_is_set_from_its_first_run_to_its_close() {
    let mut runner = Runner::new().unwrap();
    let event_loop = runner.get_loop();
    assert!(get_event_loop().is_err());
    let seen = runner.run(async { get_event_loop().unwrap() }).unwrap();
    assert_eq!(seen, event_loop);
    assert_eq!(get_event_loop().unwrap(), event_loop);
    runner.close();
    assert!(get_event_loop().is_err());
}

/// CPython test_runners: test_run, test_explicit_close
#[test]
fn closing_a_runner_closes_its_loop() {
    let mut runner = Runner::new().unwrap();
    let event_loop = runner.get_loop();
    let done = runner.run(async {
        yield_now().await;
        "done"
    });
    assert_eq!(done, Ok("done"));
    assert!(!event_loop.is_closed());
    runner.close();
    assert!(event_loop.is_closed());
    // Dropping does the same; also before its first use.
    let unused = Runner::new().unwrap();
    let event_loop = unused.get_loop();
    drop(unused);
    assert!(event_loop.is_closed());
}

/// The contract's row of `Runner`: a loop that was closed by hand is no trouble.
#[test]
fn a_runner_whose_loop_was_closed_closes_quietly() {
    let mut runner = Runner::new().unwrap();
    runner.get_loop().close().unwrap();
    assert_eq!(runner.run(async {}), Err(RunError::Closed));
    runner.close();
}

/// CPython test_runners: test_run_future
///
/// The contract's newer rule: any awaitable is a main.
#[test]
fn a_future_may_be_main() {
    let mut runner = Runner::new().unwrap();
    let future: asyncio::Future<u8, String> = runner.get_loop().create_future();
    let setter = future.clone();
    runner.get_loop().call_soon(move || setter.set_result(9).unwrap());
    assert_eq!(runner.run(future).unwrap(), Ok(9));
    runner.close();
}

/// CPython test_runners: test_run_awaitable
#[test]
fn whatever_can_be_awaited_may_be_main() {
    struct Answer(u8);
    impl IntoFuture for Answer {
        type Output = u8;
        type IntoFuture = std::future::Ready<u8>;
        fn into_future(self) -> Self::IntoFuture {
            std::future::ready(self.0)
        }
    }
    assert_eq!(run(Answer(42)), 42);
    let mut runner = Runner::new().unwrap();
    assert_eq!(runner.run(Answer(43)), Ok(43));
    let task = runner.get_loop().create_task(async { 44 });
    assert_eq!(runner.run(&task), Ok(()));
    assert_eq!(task.result().unwrap().as_ref().unwrap(), &44);
    runner.close();
}

/// CPython test_runners: test_run_keeps_context
#[test]
fn mains_of_one_runner_share_a_context() {
    static VAR: ContextVar<i32> = ContextVar::new("var");
    async fn swap(value: i32) -> i32 {
        let old = VAR.get().unwrap_or(-1);
        yield_now().await;
        VAR.set(value);
        old
    }
    let mut runner = Runner::new().unwrap();
    assert_eq!(runner.run(swap(1)), Ok(-1));
    assert_eq!(runner.run(swap(2)), Ok(1));
    let context = runner.run(async { asyncio::copy_context() }).unwrap();
    assert_eq!(VAR.get_in(&context), Some(2));
    runner.close();
    assert_eq!(VAR.get(), None);
}

/// The builder's context is used as it is.
#[test]
fn a_runner_may_be_given_its_context() {
    static VAR: ContextVar<i32> = ContextVar::new("var");
    let context = asyncio::Context::new();
    let mut runner = Runner::builder().context(&context).build().unwrap();
    runner.run(async { drop(VAR.set(5)) }).unwrap();
    runner.close();
    assert_eq!(VAR.get_in(&context), Some(5));
}

/// CPython test_runners: test_recursive_run
#[test]
fn a_runner_inside_a_run_is_refused() {
    let mut runner = Runner::new().unwrap();
    run(async {
        assert_eq!(runner.run(async { unreachable!() }), Err(RunError::AnotherRunning));
        yield_now().await;
    });
    assert_eq!(runner.run(async { 5 }), Ok(5));
    runner.close();
}

/// The refusal leaves what is set for the thread as it was.
#[test]
fn a_refused_run_leaves_the_set_loop() {
    let set = common::new_loop();
    asyncio::set_event_loop(Some(&set));
    let mut refused = Runner::new().unwrap();
    set.run_until_complete(async {
        assert_eq!(refused.run(async {}), Err(RunError::AnotherRunning));
    })
    .unwrap();
    assert_eq!(get_event_loop().unwrap(), set);
    refused.close();
    assert_eq!(get_event_loop().unwrap(), set);
    asyncio::set_event_loop(None);
    set.close().unwrap();
}

/// Tasks that a main leaves behind wait for the next one.
#[test]
fn tasks_wait_between_two_mains() {
    let mut runner = Runner::new().unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let note = ran.clone();
    runner
        .run(async move {
            create_task(async move {
                sleep(secs(0.001)).await;
                note.store(true, Ordering::SeqCst);
            })
            .detach();
        })
        .unwrap();
    assert!(!ran.load(Ordering::SeqCst));
    runner.run(sleep(secs(0.01))).unwrap();
    assert!(ran.load(Ordering::SeqCst));
    runner.close();
}

/// The contract's row 4 of Ctrl-C, without it: a main that was cancelled is an error of its own.
#[test]
fn a_cancelled_main_is_an_error() {
    let mut runner = Runner::new().unwrap();
    let (held, dropped) = Dropped::new();
    let outcome = runner.run(async move {
        let _held = held;
        current_task().unwrap().cancel_with("enough");
        pending::<()>().await
    });
    let Err(RunError::Cancelled(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.message(), Some("enough"));
    assert!(dropped.load(Ordering::SeqCst));
    // The runner is as good as before.
    assert_eq!(runner.run(async { all_tasks().len() }), Ok(1));
    runner.close();
    let message = panic_message(|| {
        run(async {
            current_task().unwrap().cancel();
            yield_now().await;
        })
    });
    assert_eq!(message, "main did not return: cancelled");
}

/// A main that is stopped is dropped and said so.
#[test]
fn a_stopped_main_is_an_error() {
    let mut runner = Runner::new().unwrap();
    let outcome = runner.run(async {
        get_running_loop().stop();
        pending::<()>().await
    });
    assert_eq!(outcome, Err(RunError::Stopped));
    assert_eq!(runner.run(async { 1 }), Ok(1));
    runner.close();
}
