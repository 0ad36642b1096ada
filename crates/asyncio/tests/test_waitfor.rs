//! `wait_for`: contract §4.4, after CPython's `test_waitfor`.

mod together;

use asyncio::{
    Future, TimeoutError, catch_cancelled, create_task, get_running_loop, run, scope, secs, shield,
    sleep, wait_for, with_finally, yield_now,
};
use std::future::pending;
use std::time::Duration;
use together::{Log, Oops, run_in_order, settle};

/// CPython test_waitfor: test_wait_for_timeout_less_then_0_or_0_future_done
#[test]
fn one_that_is_done_needs_no_time() {
    run(async {
        let future: Future<&str> = Future::new();
        future.set_result("done").unwrap();
        assert_eq!(wait_for(future, Duration::ZERO).await.unwrap().unwrap(), "done");
        let task = create_task(async { 1 });
        settle().await;
        // A look at a task that is done, and one that is not, which is left alone.
        assert_eq!(wait_for(&task, Duration::ZERO).await, Ok(()));
        assert_eq!(wait_for(&task.handle(), Duration::ZERO).await, Ok(()));
        let other = create_task(pending::<()>());
        settle().await;
        assert_eq!(wait_for(&other, Duration::ZERO).await, Err(TimeoutError::default()));
        assert_eq!(other.cancelling(), 0);
        assert_eq!(wait_for(task, Duration::ZERO).await.unwrap().unwrap(), 1);
        // A child of a scope.
        let child = scope(async |scope| {
            let child = scope.spawn(async { 2 });
            while !child.done() {
                yield_now().await;
            }
            wait_for(child, Duration::ZERO).await
        });
        assert_eq!(child.await, Ok(2));
    });
}

/// CPython test_waitfor: test_wait_for_timeout_less_then_0_or_0
#[test]
fn with_no_time_one_that_is_not_done_is_cancelled_and_waited_for() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let task = create_task(with_finally(pending::<()>(), move || async move {
            settle().await;
            log.say("cleaned up");
        }));
        settle().await;
        let handle = task.handle();
        assert_eq!(wait_for(task, Duration::ZERO).await.unwrap_err(), TimeoutError::default());
        assert!(handle.cancelled());
    });
    assert_eq!(seen.take(), ["cleaned up"]);
}

/// CPython test_waitfor: test_wait_for_timeout_less_then_0_or_0_coroutine_do_not_started
#[test]
fn with_no_time_one_that_has_not_started_runs_no_line() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let borrowed = &log;
        let coroutine = async { borrowed.say("ran") };
        assert_eq!(wait_for(coroutine, Duration::ZERO).await, Err(TimeoutError::default()));
        // A task by reference is cancelled, as it is by value.
        let mut task = create_task(pending::<()>());
        settle().await;
        assert!(wait_for(&mut task, Duration::ZERO).await.is_err());
        assert!(task.cancelled());
        // And so is a future.
        let future: Future<()> = Future::new();
        assert!(wait_for(future.clone(), Duration::ZERO).await.is_err());
        assert!(future.cancelled());
    });
    assert!(seen.take().is_empty());
}

/// CPython test_waitfor: test_wait_for, test_wait_for_with_timeout_none
#[test]
fn without_a_limit_it_waits() {
    run(async {
        let value = wait_for(
            async {
                settle().await;
                5
            },
            None,
        );
        assert_eq!(value.await, Ok(5));
    });
}

/// CPython test_waitfor: test_wait_for_waits_for_task_cancellation, test_asyncio_wait_for_timeout
#[test]
fn what_is_late_is_cancelled_and_waited_for_however_long_it_takes() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let task = create_task(with_finally(sleep(secs(60.0)), move || async move {
            sleep(secs(0.005)).await;
            log.say("cleaned up");
        }));
        let handle = task.handle();
        assert_eq!(wait_for(task, secs(0.001)).await.unwrap_err(), TimeoutError::default());
        assert!(handle.done() && handle.cancelled());
    });
    assert_eq!(seen.take(), ["cleaned up"]);
}

/// CPython test_waitfor: test_wait_for_cancel_suppressed, test_wait_for_cancellation_race_condition
#[test]
fn a_value_in_answer_to_the_cancellation_is_the_value() {
    run(async {
        let inner = async {
            catch_cancelled(sleep(secs(60.0))).await.unwrap_err().swallow();
            1
        };
        assert_eq!(wait_for(inner, secs(0.001)).await, Ok(1));
        let task = create_task(async {
            catch_cancelled(sleep(secs(60.0))).await.unwrap_err().swallow();
            2
        });
        assert_eq!(wait_for(task, secs(0.001)).await.unwrap().unwrap(), 2);
    });
}

/// CPython test_waitfor: test_wait_for_reraises_exception_during_cancellation
#[test]
fn an_error_in_the_clean_up_is_the_outcome() {
    run(async {
        let inner = async {
            catch_cancelled(sleep(secs(60.0))).await.unwrap_err().swallow();
            Err::<(), _>(Oops::Value)
        };
        assert_eq!(wait_for(inner, secs(0.001)).await, Ok(Err(Oops::Value)));
    });
}

/// CPython test_waitfor: test_cancel_wait_for, test_asyncio_wait_for_cancelled, test_cancel_blocking_wait_for
#[test]
fn a_cancelled_caller_cancels_what_it_waits_for_and_waits_for_that() {
    for limit in [None, Some(secs(60.0))] {
        let log = Log::default();
        let seen = log.clone();
        run(async move {
            let inner = create_task(with_finally(pending::<()>(), move || async move {
                settle().await;
                log.say("cleaned up");
            }));
            let handle = inner.handle();
            let caller = create_task(async move { drop(wait_for(inner, limit).await) });
            settle().await;
            caller.cancel();
            assert!(caller.await.unwrap_err().is_cancelled());
            assert!(handle.cancelled());
        });
        assert_eq!(seen.take(), ["cleaned up"]);
    }
}

/// CPython test_waitfor: test_cancel_wait_for, in that a cancel is not lost when the inner one ends in the same cycle
///
/// [C]: the cancel comes before the caller can run again.
#[test]
fn a_cancel_in_the_cycle_in_which_the_inner_one_ends_is_not_lost() {
    run_in_order(async {
        let future: Future<u8> = Future::new();
        let setter = future.clone();
        let caller = create_task(async move { drop(wait_for(future, secs(60.0)).await) });
        settle().await;
        setter.set_result(1).unwrap();
        caller.cancel();
        assert!(caller.await.unwrap_err().is_cancelled());
        assert_eq!(setter.result().unwrap().unwrap(), 1, "the inner one keeps its result");
    });
}

/// CPython test_waitfor: test_wait_for_race_condition
#[test]
fn a_result_set_by_a_callback_in_time_is_the_result() {
    run(async {
        let future: Future<&str> = Future::new();
        let setter = future.clone();
        get_running_loop().call_soon(move || setter.set_result("ok").unwrap());
        assert_eq!(wait_for(future, secs(60.0)).await.unwrap().unwrap(), "ok");
    });
}

/// CPython test_waitfor: test_none_timeout, test_zero_timeout
#[test]
fn behind_a_shield_the_inner_one_lives_on() {
    run(async {
        let mut task = create_task(async {
            settle().await;
            "done"
        });
        let outcome = wait_for(shield(&mut task), Duration::ZERO).await;
        assert_eq!(outcome.unwrap_err(), TimeoutError::default());
        assert!(!task.done() && task.cancelling() == 0);
        assert_eq!(wait_for(shield(&mut task), None).await.unwrap().unwrap(), "done");
    });
}
