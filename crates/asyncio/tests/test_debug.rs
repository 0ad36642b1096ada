//! Debug mode, after the tests of it in CPython's `test_base_events.py`, `test_runners.py` and `test_tasks.py`.
//!
//! Not ported: what checks arguments at run time that the compiler checks here (`test_call_soon_handle_debug`, `test_run_in_executor_debug` and others);
//! `test_slow_*_log_lines`: there are no lines about I/O.

mod common;

use asyncio::{
    EventLoop, Runner, RunnerBuilder, Warning, create_task, get_running_loop, run, secs, yield_now,
};
use common::{
    Log, is_child, loop_in_order, new_loop, one_pass, only_message, reports, run_in_order,
};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

/// Sets a handler that notes what it is told.
fn warnings(event_loop: &EventLoop) -> Log<Warning> {
    let log = Log::new();
    let note = log.clone();
    event_loop.set_warning_handler(Some(move |_: &EventLoop, warning: &Warning| {
        note.push(warning.clone());
    }));
    log
}

/// A loop in debug mode to which every step is slow, and what it says; with one worker, so that its steps can be counted.
fn watched_loop() -> (EventLoop, Log<Warning>) {
    let event_loop = loop_in_order();
    let log = warnings(&event_loop);
    event_loop.set_debug(true);
    event_loop.set_slow_callback_duration(Duration::ZERO);
    (event_loop, log)
}

/// CPython test_base_events: test_set_debug
#[test]
fn debug_mode_may_be_switched() {
    let event_loop = new_loop();
    assert!(!event_loop.get_debug());
    event_loop.set_debug(true);
    assert!(event_loop.get_debug());
    event_loop.set_debug(false);
    assert!(!event_loop.get_debug());
    assert_eq!(event_loop.slow_callback_duration(), secs(0.1));
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_env_var_debug
#[test]
fn the_environment_switches_debug_mode_on() {
    if is_child() {
        let event_loop = new_loop();
        println!("debug={}", event_loop.get_debug());
        return event_loop.close().unwrap();
    }
    for (value, debug) in [(None, false), (Some(""), false), (Some("0"), false), (Some("1"), true)]
    {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "the_environment_switches_debug_mode_on", "--nocapture"]);
        child.env("ASYNCIO_TEST_CHILD", "1").env_remove("ASYNCIO_DEBUG");
        value.into_iter().for_each(|value| {
            child.env("ASYNCIO_DEBUG", value);
        });
        let stdout = String::from_utf8(child.output().unwrap().stdout).unwrap();
        assert!(stdout.contains(&format!("debug={debug}")), "{value:?}: {stdout}");
    }
}

/// CPython test_runners: test_asyncio_run_debug, test_debug, test_non_debug
#[test]
fn a_runner_is_told_or_asks_the_environment() {
    let debug = |builder: RunnerBuilder| {
        let mut runner = builder.build().unwrap();
        runner.run(async { get_running_loop().get_debug() }).unwrap()
    };
    assert!(debug(Runner::builder().debug(true)));
    assert!(!debug(Runner::builder().debug(false)));
    if is_child() {
        return assert!(
            debug(Runner::builder()) && asyncio::run(async { get_running_loop().get_debug() })
        );
    }
    assert!(!debug(Runner::builder()));
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_runner_is_told_or_asks_the_environment"]);
    child.env("ASYNCIO_TEST_CHILD", "1").env("ASYNCIO_DEBUG", "1");
    assert!(child.output().unwrap().status.success());
}

/// CPython test_base_events: test_log_slow_callbacks
#[test]
fn slow_steps_are_named() {
    let (event_loop, warnings) = watched_loop();
    let (handle, line) = (event_loop.call_soon(|| ()), line!());
    one_pass(&event_loop);
    let [warning] = <[_; 1]>::try_from(warnings.take()).unwrap();
    assert!(warning.message.starts_with(&format!("Executing {handle:?} took 0.")), "{warning}");
    assert!(warning.message.contains(" seconds"), "{warning}");
    assert!(warning.handle.unwrap().is(&handle) && warning.task.is_none());
    assert_eq!(warning.source.unwrap().line(), line);

    let (task, line) = (event_loop.create_task(async { yield_now().await }), line!());
    let task = task.named("fetcher");
    for state in ["pending", "finished"] {
        one_pass(&event_loop);
        let [warning] = <[_; 1]>::try_from(warnings.take()).unwrap();
        let begin = format!("Executing <Task {state} name='fetcher' coro=<");
        assert!(warning.message.starts_with(&begin), "{warning}");
        assert!(warning.message.contains(&format!("{}:{line}:", file!())), "{warning}");
        assert_eq!(warning.task.unwrap(), task.handle());
        assert_eq!(warning.source.unwrap(), task.location());
        assert!(warning.duration.unwrap() > Duration::ZERO);
    }
    event_loop.close().unwrap();
}

/// A quick step is not slow, and nothing is while debug mode is off.
#[test]
fn nothing_is_said_of_quick_steps_or_while_it_is_off() {
    let (event_loop, warnings) = watched_loop();
    event_loop.set_slow_callback_duration(secs(3600.0));
    event_loop.call_soon(|| ());
    one_pass(&event_loop);
    assert!(warnings.take().is_empty());
    event_loop.set_slow_callback_duration(Duration::ZERO);
    event_loop.set_debug(false);
    event_loop.call_soon(|| ());
    one_pass(&event_loop);
    assert!(warnings.take().is_empty());
    event_loop.close().unwrap();
}

/// It may be switched by a task of the loop.
#[test]
fn debug_mode_may_be_switched_while_the_loop_runs() {
    run(async {
        let event_loop = get_running_loop();
        let warnings = warnings(&event_loop);
        event_loop.set_slow_callback_duration(Duration::ZERO);
        yield_now().await;
        event_loop.set_debug(true);
        yield_now().await;
        event_loop.set_debug(false);
        yield_now().await;
        // The turn that ended with the second yield.
        assert_eq!(warnings.take().len(), 1);
    });
}

/// What blocks a worker is asked whether it does.
#[test]
fn a_step_that_blocks_is_suspected() {
    let (event_loop, warnings) = watched_loop();
    event_loop.call_soon(|| std::thread::sleep(secs(0.02)));
    one_pass(&event_loop);
    let warning = warnings.take().remove(0);
    assert!(warning.message.ends_with("does it call something that blocks?"), "{warning}");
    assert!(warning.duration.unwrap() >= secs(0.02));
    event_loop.close().unwrap();
}

/// What does not end is named while it lasts.
#[test]
fn a_step_that_is_stuck_is_named_while_it_lasts() {
    let event_loop = new_loop();
    let (sender, told) = mpsc::channel();
    event_loop.set_warning_handler(Some(move |_: &EventLoop, warning: &Warning| {
        let _ = sender.send(warning.clone());
    }));
    event_loop.set_slow_callback_duration(secs(0.001));
    event_loop.set_debug(true);
    // It waits for its own warning.
    let stuck = event_loop.create_task(async move { told.recv().map(|warning| (warning, told)) });
    let handle = stuck.handle();
    stuck.handle().set_name("stuck");
    let (warning, told) = event_loop.run_until_complete(stuck).unwrap().unwrap().unwrap();
    assert!(warning.message.starts_with("Executing <Task pending name='stuck' "), "{warning}");
    assert!(warning.message.contains(" has taken 0."), "{warning}");
    assert!(warning.message.ends_with(" and goes on: does it call something that blocks?"));
    assert!(warning.worker.is_some());
    assert_eq!(warning.task, Some(handle));
    assert!(warning.duration.unwrap() >= secs(0.01));
    // And afterwards how long it was.
    assert!(told.recv().unwrap().message.contains(" took 0."));
    event_loop.close().unwrap();
}

/// Of several workers that are stuck each is named, with what it is stuck in.
#[test]
fn the_number_of_a_stuck_worker_is_told() {
    let mut runner = Runner::builder().workers(2).build().unwrap();
    let event_loop = runner.get_loop();
    let (sender, told) = mpsc::channel();
    event_loop.set_warning_handler(Some(move |_: &EventLoop, warning: &Warning| {
        let _ = sender.send(warning.clone());
    }));
    event_loop.set_slow_callback_duration(secs(0.001));
    event_loop.set_debug(true);
    let (line, warnings) = runner
        .run(async move {
            let (sender, both) = mpsc::channel();
            let line = line!() + 1;
            create_task(async move {
                // Main blocks, so this is the other worker. It is stuck until both have been named.
                let mut warnings: Vec<Warning> = Vec::new();
                let is_named =
                    |warnings: &[Warning], n| warnings.iter().any(|w| w.worker == Some(n));
                while !is_named(&warnings, 0) || !is_named(&warnings, 1) {
                    warnings.push(told.recv().unwrap());
                }
                sender.send(warnings).unwrap();
            })
            .named("other")
            .detach();
            (line, both.recv().unwrap())
        })
        .unwrap();
    runner.close();
    for (worker, name) in [(0, "Task-"), (1, "other")] {
        let of_it = |warning: &&Warning| warning.worker == Some(worker);
        let warning = warnings.iter().find(of_it).expect("both are named");
        let task = warning.task.as_ref().unwrap();
        assert!(task.get_name().starts_with(name), "{warning}");
        let end = format!("on worker {worker} and goes on: does it call something that blocks?");
        assert!(warning.message.ends_with(&end), "{warning}");
        assert!(warning.duration.unwrap() >= secs(0.01));
    }
    let source = warnings.iter().find(|w| w.worker == Some(1)).unwrap().source.unwrap();
    assert_eq!((source.file(), source.line()), (file!(), line));
}

/// CPython test_base_events: test_assert_is_current_event_loop
///
/// A call from the wrong thread works here, and debug mode says where it is.
#[test]
fn calls_from_the_wrong_thread_are_named() {
    let (event_loop, warnings) = watched_loop();
    event_loop.set_slow_callback_duration(secs(3600.0));
    // An idle loop is everybody's.
    event_loop.call_soon(|| ());
    let (sender, receiver) = mpsc::channel();
    let remote = event_loop.clone();
    let thread = std::thread::spawn(move || {
        remote.call_soon(move || sender.send(()).unwrap());
        remote.run_forever()
    });
    receiver.recv().unwrap();
    assert!(warnings.take().is_empty());
    let line = line!() + 1;
    event_loop.call_soon(|| ());
    event_loop.call_later(secs(0.0), || ());
    event_loop.call_at(event_loop.time(), || ());
    // That is the right one.
    event_loop.call_soon_threadsafe(|| ()).unwrap();
    event_loop.stop();
    thread.join().unwrap().unwrap();
    let warnings = warnings.take();
    let called: Vec<_> = warnings.iter().map(|w| w.message.split(' ').next().unwrap()).collect();
    assert_eq!(called, ["call_soon", "call_later", "call_at"]);
    assert_eq!(warnings[0].source.unwrap().line(), line);
    assert!(warnings[0].message.contains(&format!("{}:{line}:", file!())), "{}", warnings[0]);
    event_loop.close().unwrap();
}

/// By default a warning is a line on standard error.
#[test]
fn by_default_a_warning_is_written_to_standard_error() {
    if is_child() {
        let event_loop = new_loop();
        event_loop.set_debug(true);
        event_loop.set_slow_callback_duration(Duration::ZERO);
        event_loop.call_soon(|| ());
        one_pass(&event_loop);
        return event_loop.close().unwrap();
    }
    let stderr = common::stderr_of_child("by_default_a_warning_is_written_to_standard_error");
    assert!(
        stderr.contains("Executing <Handle created at ") && stderr.contains(" took 0."),
        "{stderr}"
    );
}

/// A handler that fails is reported to the exception handler, and stops nothing.
#[test]
fn a_warning_handler_that_fails_is_reported() {
    let (event_loop, _) = watched_loop();
    let reports = reports(&event_loop);
    event_loop.set_warning_handler(Some(|_: &EventLoop, _: &Warning| panic!("spam")));
    let log = Log::new();
    event_loop.call_soon(log.note("ran"));
    one_pass(&event_loop);
    assert_eq!(log.take(), ["ran"]);
    let [report] = <[_; 1]>::try_from(reports.take()).unwrap();
    assert_eq!(report.message, "Unhandled error in warning handler");
    assert_eq!(report.exception.as_deref(), Some("panic: spam"));
    event_loop.close().unwrap();
}

/// CPython test_tasks: test_task_source_traceback
///
/// [C] is that a task ends in the pass after the one that made it.
///
/// Tasks and settable futures know where they were made, in debug mode and out of it, and their reports say so at the moment they are known.
#[test]
fn reports_say_where_things_were_made() {
    run_in_order(async {
        let reports = reports(&get_running_loop());
        let line = line!() + 1;
        let task = create_task(async { panic!("unseen") });
        assert_eq!((task.location().file(), task.location().line()), (file!(), line));
        task.detach();
        assert!(reports.take().is_empty());
        yield_now().await;
        // The task ended in that pass, and nobody is left who could ask.
        let [report] = <[_; 1]>::try_from(reports.take()).unwrap();
        assert_eq!(
            (report.message.as_str(), report.line),
            ("Task exception was never retrieved", Some(line))
        );
        let held = create_task(async { panic!("held") });
        yield_now().await;
        assert!(reports.take().is_empty());
        drop(held);
        assert_eq!(only_message(&reports), "Task exception was never retrieved");
    });
}
