//! `timeout`, `timeout_at` and `timeout_scope`: contract §4.5, after CPython's `test_timeouts`.
//!
//! `test_timeout_not_entered`, `test_timeout_already_entered` and `test_timeout_double_enter` do not compile (`doctests.rs`). Chains of errors
//! (`__context__`) have no twin: of `test_foreign_exception_on_timeout` and its kin remains which error comes out.

mod together;

use asyncio::{
    Deadline, Event, Task, TaskGroup, TimeoutError, catch_cancelled, create_task, current_task,
    now, run, secs, sleep, timeout, timeout_at, timeout_scope, yield_now,
};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use together::{Oops, settle};

fn expired() -> TimeoutError {
    TimeoutError::default()
}

/// CPython test_timeouts: test_timeout_basic
#[test]
fn strikes_and_says_so() {
    run(async {
        let mut deadline = None;
        let outcome = timeout_scope(secs(0.002), async |d| {
            deadline = Some(d);
            sleep(secs(60.0)).await;
        })
        .await;
        assert_eq!(outcome, Err(expired()));
        let deadline = deadline.unwrap();
        assert!(deadline.expired() && deadline.when().is_some());
        assert!(format!("{deadline:?}").starts_with("<Timeout [expired] when="));
    });
}

/// CPython test_timeouts: test_timeout_at_basic
#[test]
fn strikes_at_a_moment() {
    run(async {
        let moment = now() + secs(0.002);
        assert_eq!(timeout_at(moment, sleep(secs(60.0))).await, Err(expired()));
        assert!(now() >= moment);
    });
}

/// CPython test_timeouts: test_nested_timeouts
#[test]
fn of_two_with_one_deadline_the_outer_one_says_so() {
    run(async {
        let moment = now() + secs(0.002);
        let mut inner_went_on = false;
        let outcome = timeout_at(moment, async {
            let inner = timeout_at(moment, sleep(secs(60.0))).await;
            inner_went_on = true;
            inner
        });
        assert_eq!(outcome.await, Err(expired()));
        assert!(!inner_went_on);
    });
}

/// CPython test_timeouts: test_nested_timeouts_loop_busy
#[test]
fn the_outer_one_interrupts_what_follows_the_inner_one() {
    run(async {
        let outcome = timeout(secs(0.01), async {
            let inner = timeout(secs(0.001), async {
                let until = now() + secs(0.012);
                while now() < until {}
                sleep(secs(60.0)).await;
            })
            .await;
            assert_eq!(inner, Err(expired()));
            sleep(secs(60.0)).await;
        })
        .await;
        assert_eq!(outcome, Err(expired()));
    });
}

/// CPython test_timeouts: test_waiter_cancelled, test_foreign_cancel_doesnt_timeout_if_not_expired
#[test]
fn a_cancel_from_elsewhere_goes_through_and_is_no_timeout() {
    run(async {
        let mut kept: Option<Deadline> = None;
        let task = create_task(async move {
            let body = timeout_scope(secs(60.0), async |deadline| {
                kept = Some(deadline);
                current_task().unwrap().cancel();
                sleep(secs(60.0)).await;
            });
            assert!(catch_cancelled(body).await.is_err());
            kept.unwrap().expired()
        });
        assert!(!task.await.unwrap());
    });
}

/// CPython test_timeouts: test_timeout_expired, test_timeout_finished, test_reschedule
#[test]
fn a_deadline_that_is_over_is_not_moved() {
    run(async {
        let mut kept = None;
        let outcome = timeout_scope(secs(60.0), async |deadline| {
            deadline.reschedule(now() + secs(30.0)).unwrap();
            kept = Some(deadline);
        });
        assert_eq!(outcome.await, Ok(()));
        let finished = kept.take().unwrap();
        let error = finished.reschedule(None).unwrap_err();
        assert_eq!(error.to_string(), "cannot change state of finished Timeout");
        let outcome = timeout_scope(secs(60.0), async |deadline| {
            deadline.reschedule(now() + secs(0.001)).unwrap();
            kept = Some(deadline.clone());
            let caught = catch_cancelled(sleep(secs(60.0))).await.unwrap_err();
            let error = deadline.reschedule(now() + secs(1.0)).unwrap_err();
            assert_eq!(error.to_string(), "cannot change state of expiring Timeout");
            caught.propagate::<()>().await
        });
        assert_eq!(outcome.await, Err(expired()));
        let error = kept.unwrap().reschedule(None).unwrap_err();
        assert_eq!(error.to_string(), "cannot change state of expired Timeout");
    });
}

/// A deadline that passes while the body moves it has not struck.
#[test]
fn a_deadline_moved_in_the_turn_in_which_it_passes_has_been_moved() {
    run(async {
        let outcome = timeout_scope(secs(0.001), async |deadline| {
            let passed = deadline.when().unwrap();
            while now() <= passed {}
            deadline.reschedule(now() + secs(60.0)).unwrap();
            settle().await;
            deadline.expired()
        });
        assert_eq!(outcome.await, Ok(false));
    });
}

/// CPython test_timeouts: test_timeout_disabled, test_timeout_at_disabled
#[test]
fn without_a_deadline_it_never_strikes() {
    run(async {
        let outcome = timeout_scope(None, async |deadline| {
            assert_eq!(deadline.when(), None);
            assert!(format!("{deadline:?}").contains("when=None"));
            yield_now().await;
            deadline.expired()
        });
        assert_eq!(outcome.await, Ok(false));
    });
}

/// CPython test_timeouts: test_timeout_zero, test_timeout_zero_sleep_zero
#[test]
fn one_of_zero_strikes_at_the_first_wait() {
    run(async {
        let mut ran = 0;
        let outcome = timeout(Duration::ZERO, async {
            ran += 1;
            yield_now().await;
            ran += 1;
        });
        assert_eq!(outcome.await, Err(expired()));
        assert_eq!(ran, 1);
    });
}

/// CPython test_timeouts: test_timeout_in_the_past, test_timeout_in_the_past_sleep_zero
#[test]
fn one_in_the_past_strikes_at_the_first_wait() {
    run(async {
        let before = now();
        sleep(secs(0.001)).await;
        assert_eq!(timeout_at(before, yield_now()).await, Err(expired()));
        assert_eq!(timeout_at(before, async { 1 }).await, Ok(1), "without a wait it does not");
    });
}

/// CPython test_timeouts: test_foreign_exception_passed
#[test]
fn an_error_of_the_body_passes() {
    run(async {
        let outcome = timeout(secs(60.0), async { Err::<(), _>(Oops::Value) });
        assert_eq!(outcome.await, Ok(Err(Oops::Value)));
    });
}

/// CPython test_timeouts: test_foreign_exception_on_timeout, test_foreign_exception_on_timeout_2
#[test]
fn an_error_in_the_clean_up_is_the_outcome() {
    run(async {
        let outcome = timeout(secs(0.001), async {
            catch_cancelled(sleep(secs(60.0))).await.unwrap_err().swallow();
            Err::<(), _>(Oops::ZeroDivision)
        });
        assert_eq!(outcome.await, Ok(Err(Oops::ZeroDivision)));
    });
}

/// CPython test_timeouts: test_timeout_taskgroup
#[test]
fn a_group_in_it_ends_with_its_errors() {
    run(async {
        let outcome = timeout_scope(None, async |deadline| {
            TaskGroup::<Oops>::scope(async |tg| {
                let begun = Arc::new(Event::new());
                let begins = begun.clone();
                tg.create_task(async move {
                    begins.set();
                    catch_cancelled(sleep(secs(60.0))).await.unwrap_err().swallow();
                    Err::<(), _>(Oops::ZeroDivision)
                })
                .detach();
                // A task that has not begun has no say, and no error.
                begun.wait().await;
                deadline.reschedule(now()).unwrap();
                sleep(secs(60.0)).await;
                Ok(())
            })
            .await
        })
        .await;
        assert_eq!(outcome.unwrap().unwrap_err().exceptions(), [Oops::ZeroDivision]);
        // Without an error the deadline is what comes out.
        let outcome = timeout(
            secs(0.002),
            TaskGroup::<Oops>::scope(async |tg| {
                tg.spawn(pending::<()>()).detach();
                Ok(())
            }),
        )
        .await;
        assert_eq!(outcome, Err(expired()));
    });
}

/// CPython test_timeouts: test_outer_task_is_not_cancelled, test_cancel_in_timeout_after_cancellation's premise
#[test]
fn the_task_that_used_it_is_not_cancelled() {
    run(async {
        let task: Task<bool> =
            create_task(async { timeout(secs(0.001), sleep(secs(60.0))).await.is_err() });
        let handle = task.handle();
        assert!(task.await.unwrap());
        assert!(!handle.cancelled());
        assert_eq!(handle.cancelling(), 0);
    });
}

/// CPython test_timeouts: test_timeout_after_cancellation
#[test]
fn it_works_in_the_clean_up_of_a_cancelled_task() {
    run(async {
        let task = create_task(async {
            let caught = catch_cancelled(sleep(secs(60.0))).await.unwrap_err();
            let clean_up = timeout(Duration::ZERO, sleep(secs(60.0))).await;
            assert_eq!(clean_up, Err(expired()));
            caught.propagate::<()>().await
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// CPython test_timeouts: test_nested_timeout_in_finally
#[test]
fn it_works_in_the_clean_up_of_another() {
    run(async {
        let outcome = timeout(secs(0.001), async {
            let caught = catch_cancelled(sleep(secs(60.0))).await.unwrap_err();
            assert_eq!(timeout(secs(0.001), sleep(secs(60.0))).await, Err(expired()));
            caught.propagate::<()>().await
        });
        assert_eq!(outcome.await, Err(expired()));
    });
}

/// CPython test_timeouts: test_timeout_without_task
#[test]
fn where_no_loop_runs_it_cannot_wait() {
    let poll = |limited: &mut Pin<Box<dyn Future<Output = _>>>| {
        limited.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    let mut ready: Pin<Box<dyn Future<Output = _>>> = Box::pin(timeout(secs(0.1), async { 1 }));
    assert_eq!(poll(&mut ready), Poll::Ready(Ok(1)));
    let mut waits: Pin<Box<dyn Future<Output = _>>> = Box::pin(timeout(secs(0.1), pending()));
    let panicked = catch_unwind(AssertUnwindSafe(|| poll(&mut waits))).unwrap_err();
    assert!(panicked.downcast::<String>().unwrap().starts_with("no running event loop"));
}
