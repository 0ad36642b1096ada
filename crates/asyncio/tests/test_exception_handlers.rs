//! After CPython's tests of exception handlers in `test_base_events.py`.
//!
//! Not ported: `test_set_exc_handler_invalid` does not compile (`src/doctests.rs`); a failing *default* handler
//! (the first half of `test_default_exc_handler_broken`) cannot be made here, as it is no method to override: what is left of it is a closed
//! standard error.

mod common;

use asyncio::{
    ContextVar, EventLoop, ExceptionContext, ExceptionHandler, Task, get_running_loop, run,
};
use common::{Log, is_child, new_loop, one_pass, only_message, reports, settle, stderr_of_child};
use std::io;
use std::sync::Arc;

/// CPython test_base_events: test_default_exc_handler_callback
#[test]
fn by_default_a_failed_callback_is_written_to_standard_error() {
    if is_child() {
        let event_loop = new_loop();
        event_loop.call_soon(|| panic!("division by zero"));
        event_loop.call_at(event_loop.time(), || panic!("in a timer"));
        one_pass(&event_loop);
        return event_loop.close().unwrap();
    }
    let stderr = stderr_of_child("by_default_a_failed_callback_is_written_to_standard_error");
    assert_eq!(stderr.matches("Exception in callback created at").count(), 2, "{stderr}");
    for part in [file!(), "\nexception: panic: division by zero\n", "exception: panic: in a timer"]
    {
        assert!(stderr.contains(part), "{stderr}");
    }
}

/// CPython test_base_events: test_default_exc_handler_coro
#[test]
fn by_default_a_failed_task_is_written_to_standard_error() {
    if is_child() {
        let event_loop = new_loop();
        let failed: Task<()> = event_loop.create_task(async { panic!("unseen") }).named("zero");
        failed.detach();
        one_pass(&event_loop);
        return event_loop.close().unwrap();
    }
    let stderr = stderr_of_child("by_default_a_failed_task_is_written_to_standard_error");
    assert!(stderr.contains("Task exception was never retrieved\nsource: "), "{stderr}");
    assert!(stderr.contains("\ntask: 'zero'\nexception: panic: unseen\n"), "{stderr}");
}

/// CPython test_base_events: test_set_exc_handler_custom
#[test]
fn a_handler_may_be_set_read_and_removed() {
    let event_loop = new_loop();
    assert!(event_loop.get_exception_handler().is_none());
    let log = Log::new();
    let note = log.clone();
    let expected = event_loop.clone();
    let handler = move |told: &EventLoop, context: &ExceptionContext| {
        assert_eq!(*told, expected);
        note.push(context.message.clone());
    };
    event_loop.set_exception_handler(Some(handler));
    let handler: ExceptionHandler = event_loop.get_exception_handler().unwrap();
    event_loop.call_exception_handler(ExceptionContext::new("one"));
    event_loop.call_soon(|| panic!());
    one_pass(&event_loop);
    let heard = log.take();
    assert_eq!(heard[0], "one");
    assert!(heard[1].starts_with("Exception in callback") && heard.len() == 2);

    event_loop.set_exception_handler(None::<fn(&EventLoop, &ExceptionContext)>);
    assert!(event_loop.get_exception_handler().is_none());
    drop(handler);
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_set_exc_handler_broken, test_default_exc_handler_broken
#[test]
fn a_handler_that_fails_is_reported_by_the_default_one() {
    if is_child() {
        let event_loop = new_loop();
        event_loop.set_exception_handler(Some(|_: &_, _: &_| panic!("spam")));
        let log = Log::new();
        event_loop.call_soon(|| panic!("the first cause"));
        event_loop.call_soon(log.note("the rest runs"));
        one_pass(&event_loop);
        assert_eq!(log.take(), ["the rest runs"]);
        return event_loop.close().unwrap();
    }
    let stderr = stderr_of_child("a_handler_that_fails_is_reported_by_the_default_one");
    let report = "Unhandled error in exception handler\ncontext: Exception in callback created at ";
    assert!(stderr.contains(report), "{stderr}");
    assert!(stderr.contains("\nexception: panic: spam\n"), "{stderr}");
}

/// The contract's row: an error in the default handler does not stop the loop.
#[test]
#[cfg(unix)]
fn a_closed_standard_error_is_no_trouble() {
    if is_child() {
        // From then on nobody reads what is written.
        wait_for_the_parent().unwrap();
        let event_loop = new_loop();
        let log = Log::new();
        event_loop.call_exception_handler(ExceptionContext::new("lost"));
        event_loop.call_soon(log.note("alive"));
        one_pass(&event_loop);
        assert_eq!(log.take(), ["alive"]);
        return event_loop.close().unwrap();
    }
    use std::process::{Command, Stdio};
    // A pipe whose reading end is closed at once.
    let test = "a_closed_standard_error_is_no_trouble";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("ASYNCIO_TEST_CHILD", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    // Only now may it begin.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// Waits until the parent has closed its end.
#[cfg(unix)]
fn wait_for_the_parent() -> io::Result<u64> {
    io::copy(&mut io::stdin(), &mut io::sink())
}

/// The contract's row of `default_exception_handler`: the message, then every other part on its line, then the error.
#[test]
fn a_report_is_shown_part_by_part() {
    let mut report = ExceptionContext::new("it broke").with_exception(io::Error::other("disk"));
    assert_eq!(report.to_string(), "it broke\nexception: disk");
    report.task_name = Some(Arc::from("worker"));
    assert_eq!(report.to_string(), "it broke\ntask: 'worker'\nexception: disk");
    report.original = Some(Box::new(ExceptionContext::new("the first")));
    let shown = report.to_string();
    assert_eq!(shown, "it broke\ncontext: the first\ntask: 'worker'\nexception: disk");
}

/// A handler may be changed from inside a handler, and may report itself.
#[test]
fn a_handler_may_use_the_loop() {
    let event_loop = new_loop();
    let log = Log::new();
    let note = log.clone();
    event_loop.set_exception_handler(Some(move |event_loop: &EventLoop, _: &ExceptionContext| {
        event_loop.call_soon(note.note("queued by the handler"));
        let note = note.clone();
        event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
            assert_eq!(context.message, "from the first handler");
            note.push("second handler");
        }));
        event_loop.call_exception_handler(ExceptionContext::new("from the first handler"));
    }));
    event_loop.call_soon(|| panic!());
    one_pass(&event_loop);
    one_pass(&event_loop);
    assert_eq!(log.take(), ["second handler", "queued by the handler"]);
    event_loop.close().unwrap();
}

/// Reports may come from any thread.
#[test]
fn a_thread_may_report() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    std::thread::scope(|scope| {
        scope.spawn(|| event_loop.call_exception_handler(ExceptionContext::new("from a thread")));
    });
    assert_eq!(only_message(&reports), "from a thread");
    event_loop.close().unwrap();
}

/// CPython test_futures2: test_handle_exc_handler_correct_context
#[test]
fn the_handler_runs_in_the_context_of_the_callback() {
    static VAR: ContextVar<&'static str> = ContextVar::new("name");
    let log = Log::new();
    let note = log.clone();
    run(async move {
        let event_loop = get_running_loop();
        event_loop.set_exception_handler(Some(move |_: &_, _: &_| note.push(VAR.get())));
        event_loop.call_soon(|| {
            VAR.set("bar");
            panic!();
        });
        settle().await;
    });
    assert_eq!(log.take(), [Some("bar")]);
}

/// CPython test_futures2: test_task_exc_handler_correct_context
#[test]
fn the_handler_runs_in_the_context_of_the_task() {
    static VAR: ContextVar<&'static str> = ContextVar::new("name");
    let log = Log::new();
    let note = log.clone();
    run(async move {
        get_running_loop().set_exception_handler(Some(move |_: &_, _: &_| note.push(VAR.get())));
        asyncio::create_task(async {
            VAR.set("bar");
            panic!();
        })
        .detach();
        settle().await;
    });
    assert_eq!(log.take(), [Some("bar")]);
}

/// The contract's row of keys: a report of a callback names it, and one of a settable future shows it.
#[test]
fn reports_name_the_handle_and_the_future() {
    let event_loop = new_loop();
    let log = Log::new();
    let note = log.clone();
    event_loop.set_exception_handler(Some(move |_: &_, context: &ExceptionContext| {
        let future =
            context.future.as_ref().map(|future| (format!("{future:?}"), future.location().line()));
        note.push((context.handle.clone(), future, context.to_string()));
    }));
    let handle = event_loop.call_soon(|| panic!("spam"));
    one_pass(&event_loop);
    let (named, future, shown) = log.take().remove(0);
    assert!(named.unwrap().is(&handle) && future.is_none());
    assert!(shown.contains(&format!("\nhandle: {handle:?}\nexception: panic: spam")), "{shown}");

    let line = line!() + 1;
    let future = event_loop.create_future::<(), &str>();
    future.set_exception("eggs").unwrap();
    drop(future);
    let (named, future, shown) = log.take().remove(0);
    assert!(named.is_none());
    let (text, at) = future.unwrap();
    assert_eq!(at, line);
    assert!(text.starts_with("<Future finished exception=\"eggs\" created at "), "{text}");
    assert!(shown.contains(&format!("\nfuture: {text}\nexception: \"eggs\"")), "{shown}");
    event_loop.close().unwrap();
}

/// The report of a callback that panics is a part of its step: the next callback comes after it, on whatever worker.
#[test]
fn the_next_callback_comes_after_the_report() {
    let event_loop = EventLoop::with_workers(4).unwrap();
    let log = Log::new();
    let note = log.clone();
    event_loop.set_exception_handler(Some(move |_: &EventLoop, _: &ExceptionContext| {
        note.push("report");
    }));
    for _ in 0..100 {
        event_loop.call_soon(|| std::panic::resume_unwind(Box::new("quietly")));
        event_loop.call_soon(log.note("next"));
    }
    event_loop.run_until_complete(settle()).unwrap();
    let expected: Vec<_> = (0..100).flat_map(|_| ["report", "next"]).collect();
    assert_eq!(log.take(), expected);
    event_loop.close().unwrap();
}
