//! `shield`: contract §4.6, after the shield tests of CPython's `test_tasks`.
//!
//! Not ported: `test_shield_cancel_outer_exception`: the error of a task that a shield has let go of belongs to the task's handle, and is
//! reported as any task's if that is dropped (see the last test).

mod together;

use asyncio::{
    Event, JoinError, Task, catch_cancelled, create_task, get_running_loop, run, shield,
};
use std::future::pending;
use std::sync::{Arc, Mutex};
use together::settle;

/// CPython test_tasks: test_shield_result, test_shield_shortcut
#[test]
fn the_value_comes_through() {
    run(async {
        let value = create_task(async {
            settle().await;
            42
        });
        assert_eq!(shield(value).await.unwrap(), 42);
        let done = create_task(async { 43 });
        settle().await;
        assert_eq!(shield(done).await.unwrap(), 43);
    });
}

/// CPython test_tasks: test_shield_exception
#[test]
fn a_failure_comes_through() {
    run(async {
        let failing: Task<()> = create_task(async { panic!("inner") });
        let error = shield(failing).await.unwrap_err();
        assert_eq!(error.as_panic().unwrap().message(), "inner");
    });
}

/// CPython test_tasks: test_shield_cancel_inner
#[test]
fn a_cancel_of_the_inner_one_comes_through_and_cancels_nobody() {
    run(async {
        let inner: Task<()> = create_task(pending());
        let handle = inner.handle();
        let outer = create_task(async move { shield(inner).await.unwrap_err().is_cancelled() });
        settle().await;
        handle.cancel();
        assert!(outer.await.unwrap());
    });
}

/// CPython test_tasks: test_shield_cancel_outer, test_shield_effect, test_shield_cancel_outer_result
#[test]
fn a_cancelled_waiter_lets_go_and_the_inner_one_runs_on() {
    run(async {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let mut inner = create_task(async move {
            opened.wait().await;
            1
        });
        let handle = inner.handle();
        let outer: Task<Result<i32, JoinError>> = create_task(async move {
            assert!(catch_cancelled(shield(&mut inner)).await.is_err());
            inner.await
        });
        settle().await;
        outer.cancel();
        settle().await;
        assert_eq!(handle.cancelling(), 0);
        gate.set();
        assert_eq!(outer.await.unwrap().unwrap(), 1);
    });
}

/// CPython test_tasks: test_shield_cancel_outer_exception, in Rust's form
#[test]
fn a_failure_after_the_waiter_has_gone_is_reported_once() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let told = reports.clone();
    run(async move {
        get_running_loop().set_exception_handler(Some(
            move |_: &asyncio::EventLoop, context: &asyncio::ExceptionContext| {
                told.lock().unwrap().push(context.message.clone());
            },
        ));
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let inner: Task<()> = create_task(async move {
            opened.wait().await;
            panic!("late");
        });
        let outer = create_task(shield(inner));
        settle().await;
        outer.cancel();
        assert!(outer.await.unwrap_err().is_cancelled());
        gate.set();
        settle().await;
    });
    assert_eq!(reports.lock().unwrap().len(), 1);
}
