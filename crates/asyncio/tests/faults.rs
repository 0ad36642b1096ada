//! A panic anywhere in a program's own code: the loop lives, everything else runs, and the panic is either somebody's result or reported.

mod common;

use asyncio::{
    EventLoop, ExceptionContext, Future, JoinError, Task, create_task, get_running_loop, run, secs,
    sleep, yield_now,
};
use common::{
    Bomb, Foreign, Log, Report, is_child, new_loop, one_pass, panic_message, reports, settle,
    stderr_of_child,
};
use std::fmt;
use std::future::{Future as _, pending};
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::thread;

/// Runs `fault` in a loop, then checks that the loop is alive: what was queued around the fault ran, and so do callbacks, timers, tasks and
/// calls from threads. Returns the reports.
fn survives(fault: impl FnOnce(&EventLoop)) -> Vec<Report> {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    let log = Log::new();
    event_loop.call_soon(log.note("callback before"));
    event_loop.create_task(note(log.clone(), "task before")).detach();
    fault(&event_loop);
    event_loop.call_soon(log.note("callback after"));
    event_loop.create_task(note(log.clone(), "task after")).detach();
    event_loop.call_later(secs(0.001), log.note("timer"));
    let main = async {
        sleep(secs(0.01)).await;
        settle().await;
    };
    event_loop.run_until_complete(main).unwrap();
    let (mut tasks, callbacks): (Vec<_>, Vec<_>) =
        log.take().into_iter().partition(|entry| entry.starts_with("task"));
    tasks.sort_unstable();
    assert_eq!(tasks, ["task after", "task before"]);
    assert_eq!(callbacks, ["callback before", "callback after", "timer"]);
    is_alive(&event_loop);
    event_loop.close().unwrap();
    reports.take()
}

async fn note(log: Log<&'static str>, entry: &'static str) {
    log.push(entry);
}

fn is_alive(event_loop: &EventLoop) {
    let log = Log::new();
    event_loop.call_soon(log.note("callback"));
    event_loop.call_at(event_loop.time(), log.note("timer"));
    let inner = event_loop.clone();
    let answer = event_loop.run_until_complete(async {
        let future: Future<u8> = inner.create_future();
        let setter = future.clone();
        thread::scope(|scope| {
            scope.spawn(|| inner.call_soon_threadsafe(move || setter.set_result(1).unwrap()));
        });
        create_task(future).await.unwrap().unwrap()
    });
    assert_eq!(answer, Ok(1));
    assert_eq!(log.take(), ["callback", "timer"]);
    assert!(event_loop.all_tasks().is_empty());
}

fn exceptions(reports: &[Report]) -> Vec<&str> {
    reports.iter().map(|report| report.exception.as_deref().unwrap_or("none")).collect()
}

fn messages(reports: &[Report]) -> Vec<&str> {
    reports.iter().map(|report| report.message.as_str()).collect()
}

// ----- callbacks

#[test]
fn a_callback_panics() {
    let reports = survives(|event_loop| {
        event_loop.call_soon(|| panic!("soon"));
        event_loop.call_soon_threadsafe(|| panic!("thread-safe")).unwrap();
    });
    assert_eq!(exceptions(&reports), ["panic: soon", "panic: thread-safe"]);
}

#[test]
fn a_timer_panics() {
    let reports = survives(|event_loop| {
        event_loop.call_later(secs(0.0), || panic!("later"));
        event_loop.call_at(event_loop.time(), || panic!("at"));
    });
    assert_eq!(exceptions(&reports), ["panic: later", "panic: at"]);
}

#[test]
fn what_a_callback_captured_panics_when_dropped() {
    let reports = survives(|event_loop| {
        let bomb = Bomb("after the run");
        event_loop.call_soon(move || {
            let _captured = &bomb;
        });
    });
    assert_eq!(exceptions(&reports), ["panic: after the run"]);
}

/// The handle of a callback that panicked tells others that it is over.
#[test]
fn a_thread_that_cancels_a_panicking_callback_is_not_stuck() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    for _ in 0..50 {
        let (started, has_started) = std::sync::mpsc::channel();
        let handle = event_loop
            .call_soon_threadsafe(move || {
                started.send(()).unwrap();
                panic!("running");
            })
            .unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                has_started.recv().unwrap();
                handle.cancel();
            });
            one_pass(&event_loop);
        });
    }
    assert_eq!(reports.take().len(), 50);
    is_alive(&event_loop);
    event_loop.close().unwrap();
}

/// A payload whose own destructor panics.
#[test]
fn the_payload_of_a_panic_panics_when_dropped() {
    let reports = survives(|event_loop| {
        event_loop.call_soon(|| panic_any(Bomb("payload of a callback")));
        let task: Task<()> = event_loop.create_task(async { panic_any(Bomb("payload of a task")) });
        task.detach();
    });
    assert!(reports.len() >= 2, "{reports:?}");
    let of_callback = |report: &&Report| report.message.starts_with("Exception in callback");
    let of_callback = reports.iter().find(of_callback).expect("it is reported");
    assert_eq!(of_callback.exception.as_deref(), Some("panic: a value that is no text"));
    let unretrieved = |report: &&Report| report.message == "Task exception was never retrieved";
    assert_eq!(reports.iter().filter(unretrieved).count(), 1, "{reports:?}");
}

/// Panics with the next smaller one when it is dropped.
struct Nested(u32, std::sync::Arc<()>);

impl Drop for Nested {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Nested(self.0 - 1, self.1.clone()));
        }
    }
}

/// What a payload throws when it is dropped may throw in turn; all of it is dropped.
#[test]
fn payloads_that_panic_one_out_of_the_other_are_not_lost() {
    let held = std::sync::Arc::new(());
    let reports = survives(|event_loop| {
        let nested = || Nested(3, held.clone());
        let (in_callback, in_task, output) = (nested(), nested(), nested());
        event_loop.call_soon(move || panic_any(in_callback));
        let task: Task<()> = event_loop.create_task(async move { panic_any(in_task) });
        task.detach();
        event_loop.create_task(async { output }).detach();
    });
    assert!(reports.len() >= 3, "{reports:?}");
    // One has the handle of its task, and that the payload.
    drop(reports);
    assert_eq!(std::sync::Arc::strong_count(&held), 1);
}

// ----- tasks

#[test]
fn a_poll_panics() {
    let reports = survives(|event_loop| {
        let panics = |step: u32| async move {
            for _ in 0..step {
                yield_now().await;
            }
            panic!("poll {step}")
        };
        for step in 0..3 {
            let task: Task<()> = event_loop.create_task(panics(step));
            task.detach();
        }
    });
    assert_eq!(messages(&reports), ["Task exception was never retrieved"; 3]);
    let mut exceptions = exceptions(&reports);
    exceptions.sort_unstable();
    assert_eq!(exceptions, ["panic: poll 0", "panic: poll 1", "panic: poll 2"]);
}

#[test]
fn a_future_panics_when_it_is_dropped() {
    // At its end: the panic is the outcome.
    run(async {
        let task = create_task(async {
            let _bomb = Bomb("at the end");
            5
        });
        let error: JoinError = task.await.unwrap_err();
        assert_eq!(error.as_panic().unwrap().message(), "at the end");
    });
    // When it is cancelled, waiting or not started.
    for started in [false, true] {
        let reports = survives(|event_loop| {
            let bomb = Bomb("when cancelled");
            let task = event_loop.create_task(async move {
                let _bomb = bomb;
                pending::<()>().await
            });
            if started {
                one_pass_quietly(event_loop);
            }
            task.cancel();
            task.detach();
        });
        assert_eq!(exceptions(&reports), ["panic: when cancelled"]);
    }
    // When its loop is closed.
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    let bomb = Bomb("at the close");
    let hold = |bomb: Option<Bomb>| async move {
        let _bomb = bomb;
        pending::<()>().await
    };
    event_loop.create_task(hold(Some(bomb))).detach();
    let other = event_loop.create_task(hold(None));
    event_loop.close().unwrap();
    assert!(other.cancelled());
    let reports = reports.take();
    let destroyed = |report: &&Report| report.message == "Task was destroyed but it is pending!";
    assert_eq!(reports.iter().filter(destroyed).count(), 2, "{reports:?}");
    assert!(exceptions(&reports).contains(&"panic: at the close"), "{reports:?}");
}

/// A pass in the middle of `survives`; what is logged then is what is logged anyway.
fn one_pass_quietly(event_loop: &EventLoop) {
    one_pass(event_loop);
}

#[test]
fn an_output_panics_when_it_is_dropped() {
    let reports = survives(|event_loop| {
        event_loop.create_task(async { Bomb("an output") }).detach();
    });
    assert_eq!(exceptions(&reports), ["panic: an output"]);
    assert_eq!(messages(&reports), ["a destructor or a waker panicked"]);
}

/// Dropping the handle of a finished task drops the output there: a panic is the dropper's own.
#[test]
fn an_output_panics_when_the_handle_is_dropped() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    let task = event_loop.create_task(async { Bomb("with the handle") });
    one_pass(&event_loop);
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(task)));
    let heard = reports.take();
    assert!(dropped.is_err() || exceptions(&heard) == ["panic: with the handle"]);
    is_alive(&event_loop);
    event_loop.close().unwrap();
}

#[test]
fn a_foreign_waker_panics_when_a_task_ends() {
    let (panicking, first) = Foreign::waker(true);
    let (fine, second) = Foreign::waker(false);
    let reports = survives(|event_loop| {
        let mut task = event_loop.create_task(async { 1 });
        assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&panicking)).is_pending());
        // Another one waits for the same task.
        let handle = task.handle();
        let mut waits = Box::pin(async move { (&handle).await });
        assert!(waits.as_mut().poll(&mut Context::from_waker(&fine)).is_pending());
        one_pass_quietly(event_loop);
        assert!(task.done());
    });
    assert_eq!(first.wakes.load(Ordering::SeqCst), 1);
    assert_eq!(second.wakes.load(Ordering::SeqCst), 1);
    assert_eq!(messages(&reports), ["a destructor or a waker panicked"]);
    assert_eq!(exceptions(&reports), ["panic: a foreign waker panics"]);
}

#[test]
fn a_foreign_waker_panics_when_a_sleep_ends() {
    let (panicking, first) = Foreign::waker(true);
    let (fine, second) = Foreign::waker(false);
    let reports = survives(|event_loop| {
        let mut slept = [sleep(secs(0.001)), sleep(secs(0.001))];
        event_loop
            .run_until_complete(async {
                for (sleep, waker) in slept.iter_mut().zip([&panicking, &fine]) {
                    let mut cx = Context::from_waker(waker);
                    assert!(Pin::new(sleep).poll(&mut cx).is_pending());
                }
                sleep(secs(0.005)).await;
            })
            .unwrap();
    });
    assert_eq!(first.wakes.load(Ordering::SeqCst), 1);
    assert_eq!(second.wakes.load(Ordering::SeqCst), 1);
    assert_eq!(messages(&reports), ["a destructor or a waker panicked"]);
}

#[test]
fn a_done_callback_of_a_task_panics() {
    let log = Log::new();
    let (first, second) = (log.clone(), log.clone());
    let reports = survives(move |event_loop| {
        let task = event_loop.create_task(async { 1 });
        task.add_done_callback(move |_| {
            first.push("first");
            panic!("a done-callback");
        });
        task.add_done_callback(second.noted("second"));
        let note = second.clone();
        event_loop
            .create_task(async move {
                task.await.unwrap();
                note.push("awaiter");
            })
            .detach();
    });
    assert_eq!(log.take(), ["first", "second", "awaiter"]);
    assert_eq!(exceptions(&reports), ["panic: a done-callback"]);
    assert!(reports[0].message.starts_with("Exception in callback"));
}

#[test]
fn what_a_done_callback_captured_panics_when_dropped() {
    let reports = survives(|event_loop| {
        let task = event_loop.create_task(async { 1 });
        let bomb = Bomb("a captured value");
        task.add_done_callback(move |_| {
            let _captured = &bomb;
        });
        task.detach();
    });
    assert_eq!(exceptions(&reports), ["panic: a captured value"]);
}

// ----- main

#[test]
fn main_panics() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    for step in 0..3 {
        let message = panic_message(|| {
            event_loop.run_until_complete(async {
                for _ in 0..step {
                    yield_now().await;
                }
                panic!("main {step}")
            })
        });
        assert_eq!(message, format!("main {step}"));
        is_alive(&event_loop);
    }
    let dropped = panic_message(|| {
        event_loop.run_until_complete(async {
            let _bomb = Bomb("dropped by main");
            yield_now().await;
        })
    });
    assert_eq!(dropped, "dropped by main");
    is_alive(&event_loop);
    event_loop.close().unwrap();
    assert!(reports.take().is_empty());
}

/// A main that is stopped and whose destructor panics: the run still ends, and so does the loop.
#[test]
fn a_stopped_main_panics_when_it_is_dropped() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        event_loop.run_until_complete(async {
            let _bomb = Bomb("a stopped main");
            get_running_loop().stop();
            pending::<()>().await
        })
    }));
    let told = match outcome {
        Err(_resumed) => true,
        Ok(stopped) => stopped.is_err() && exceptions(&reports.take()) == ["panic: a stopped main"],
    };
    assert!(told, "the panic is neither resumed nor reported");
    is_alive(&event_loop);
    event_loop.close().unwrap();
}

// ----- futures

#[test]
fn a_done_callback_of_a_future_panics() {
    let log = Log::new();
    let notes = log.clone();
    let reports = survives(move |event_loop| {
        let future: Future<i32> = event_loop.create_future();
        future.add_done_callback(|_| panic!("a done-callback"));
        future.add_done_callback(notes.noted("second"));
        let (waiting, note) = (future.clone(), notes.clone());
        event_loop
            .create_task(async move {
                waiting.await.unwrap();
                note.push("awaiter");
            })
            .detach();
        future.set_result(1).unwrap();
    });
    let mut log = log.take();
    log.sort_unstable();
    assert_eq!(log, ["awaiter", "second"]);
    assert_eq!(exceptions(&reports), ["panic: a done-callback"]);
}

/// A failed future nobody looked at, whose error panics when shown: the report still comes, in some words.
#[test]
fn an_error_that_cannot_be_shown_is_reported() {
    #[derive(Clone)]
    struct Unspeakable;
    impl fmt::Debug for Unspeakable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no words")
        }
    }
    let reports = survives(|event_loop| {
        let future: Future<i32, Unspeakable> = event_loop.create_future();
        future.set_exception(Unspeakable).unwrap();
        event_loop.call_soon(move || drop(future));
    });
    assert_eq!(reports.len(), 1);
}

// ----- handlers

#[test]
fn an_exception_handler_panics() {
    // In a process of its own: the reports go to standard error.
    if !is_child() {
        let stderr = stderr_of_child("an_exception_handler_panics");
        assert_eq!(stderr.matches("Unhandled error in exception handler").count(), 5, "{stderr}");
        return;
    }
    let event_loop = new_loop();
    let calls = Log::new();
    let note = calls.clone();
    event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
        note.push(context.message.clone());
        panic!("the handler");
    }));
    let log = Log::new();
    event_loop.call_soon(|| panic!("a callback"));
    let task: Task<()> = event_loop.create_task(async { panic!("a task") });
    task.detach();
    event_loop.call_soon(log.note("after"));
    one_pass(&event_loop);
    assert_eq!((log.take(), calls.take().len()), (vec!["after"], 2));
    event_loop.set_exception_handler(None::<fn(&EventLoop, &ExceptionContext)>);
    is_alive(&event_loop);
    // Also at the close, with several tasks to report.
    let note = calls.clone();
    event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
        note.push(context.message.clone());
        panic!("the handler");
    }));
    (0..3).for_each(|_| event_loop.create_task(pending::<()>()).detach());
    event_loop.close().unwrap();
    assert_eq!(calls.take(), ["Task was destroyed but it is pending!"; 3]);
}

// ----- closing

/// Callbacks and timers that a closing loop drops: a panic in one destructor hinders neither the others nor the close.
#[test]
fn what_a_closing_loop_drops_panics() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    let (held, dropped) = common::Dropped::new();
    for bomb in [Bomb("first"), Bomb("second")] {
        event_loop.call_soon(move || drop(bomb));
    }
    for bomb in [Bomb("third"), Bomb("fourth")] {
        event_loop.call_later(secs(1.0), move || drop(bomb));
    }
    event_loop.call_later(secs(2.0), move || drop(held));
    let task = event_loop.create_task(pending::<()>());
    event_loop.close().unwrap();
    assert!(event_loop.is_closed() && dropped.load(Ordering::SeqCst) && task.cancelled());
    let reports = reports.take();
    let mut heard = exceptions(&reports);
    heard.sort_unstable();
    let bombs = ["panic: first", "panic: fourth", "panic: second", "panic: third"];
    assert_eq!(heard, [&["none"], &bombs[..]].concat());
}
