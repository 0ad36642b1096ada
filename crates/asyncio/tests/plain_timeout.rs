//! The timeout that has no place in the tree of scopes while it is alone, and every way in which it may need one after all.

mod together;

use asyncio::{
    TimeoutError, catch_cancelled, create_task, current_task, run, secs, sleep, timeout, yield_now,
};
use std::future::{pending, poll_fn};
use std::task::{Context, Poll};
use std::time::Duration;
use together::{Boxed, Log, all, endless, once, own_waker, run_in_order, settle};

const HOUR: Duration = Duration::from_secs(3600);

/// A timeout that is never reached.
fn long(log: &Log, what: &'static str) -> Boxed<Result<(), TimeoutError>> {
    Box::pin(timeout(HOUR, endless(log, what)))
}

#[test]
fn two_timeouts_and_a_scope_in_one_task_all_get_the_request() {
    for backwards in [false, true] {
        let log = Log::default();
        run(async {
            let (a, b, scope_log) = (long(&log, "a"), long(&log, "b"), log.clone());
            let scope = async move {
                let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
                scope_log.say(format!("scope {}", caught.message().unwrap()));
            };
            let a: Boxed<()> = Box::pin(async { a.await.unwrap() });
            let b: Boxed<()> = Box::pin(async { b.await.unwrap() });
            let task = create_task(all(vec![a, Box::pin(scope), b], backwards));
            settle().await;
            task.cancel_with("now");
            // The scope has swallowed it, the timeouts go on with it.
            let error = task.await.unwrap_err();
            assert_eq!(error.as_cancelled().unwrap().message(), Some("now"));
        });
        let mut seen = log.take();
        seen.sort();
        assert_eq!(seen, ["a", "b", "scope now"]);
    }
}

#[test]
fn a_timeout_that_strikes_beside_others_ends_only_what_is_inside() {
    for backwards in [false, true] {
        let log = Log::default();
        run(async {
            let other = long(&log, "other");
            let short = timeout(secs(0.01), endless(&log, "short"));
            let (task, ended) = (current_task().unwrap(), log.clone());
            let short: Boxed<()> = Box::pin(async move {
                assert_eq!(short.await, Err(TimeoutError::default()));
                ended.say("timed out");
                task.cancel();
            });
            let other: Boxed<()> = Box::pin(async { other.await.unwrap() });
            let both = all(vec![other, short], backwards);
            assert!(catch_cancelled(both).await.is_err());
            log.say("end");
        });
        assert_eq!(log.take(), ["short", "timed out", "other", "end"]);
    }
}

#[test]
fn a_timeout_dropped_in_the_poll_that_left_it_is_none() {
    let log = Log::default();
    run_in_order(async {
        let seen = log.clone();
        let task = create_task(async move {
            let mut left = long(&seen, "left");
            once(&mut left).await;
            drop(left);
            poll_fn::<(), _>(|_| {
                seen.say("polled");
                Poll::Pending
            })
            .await;
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        // The request ended it without another poll.
        assert_eq!(log.take(), ["left", "polled"]);
    });
}

#[test]
fn a_timeout_that_moves_to_another_task_or_into_a_scope_hears_its_request() {
    let log = Log::default();
    run(async {
        let seen = log.clone();
        let first = create_task(async move {
            let mut moves = long(&seen, "moved");
            once(&mut moves).await;
            vec![moves]
        });
        let mut moved = first.await.unwrap().remove(0);
        let seen = log.clone();
        let second = create_task(async move {
            once(&mut moved).await;
            yield_now().await;
            let caught = catch_cancelled(moved).await.unwrap_err();
            seen.say(format!("caught {}", caught.message().unwrap()));
        });
        settle().await;
        second.cancel_with("here");
        second.await.unwrap();
        assert_eq!(log.take(), ["moved", "caught here"]);
    });
}

#[test]
fn a_timeout_that_is_polled_with_another_waker_is_woken_by_it() {
    let log = Log::default();
    run(async {
        let seen = log.clone();
        let polled_by_another = |mut future: Boxed<Result<(), TimeoutError>>| async move {
            once(&mut future).await;
            poll_fn(move |cx| {
                let own = own_waker(cx.waker());
                future.as_mut().poll(&mut Context::from_waker(&own))
            })
            .await
        };
        let task = create_task(polled_by_another(long(&seen, "cancelled")));
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["cancelled"]);
        let short = Box::pin(timeout(secs(0.01), endless(&log, "late")));
        assert_eq!(polled_by_another(short).await, Err(TimeoutError::default()));
        assert_eq!(log.take(), ["late"]);
    });
}

#[test]
fn a_request_that_is_taken_back_ends_no_timeout() {
    run(async {
        let task = create_task(timeout(HOUR, async {
            sleep(secs(0.02)).await;
            1
        }));
        settle().await;
        task.cancel();
        assert_eq!(task.uncancel(), 0);
        assert_eq!(task.await.unwrap(), Ok(1));
    });
}

#[test]
fn a_cancel_during_the_first_poll_strikes_at_the_wait_and_passes_through() {
    let log = Log::default();
    run(async {
        let seen = log.clone();
        let task = create_task(async move {
            let inside = endless(&seen, "inside");
            let cancels = async {
                current_task().unwrap().cancel();
                inside.await;
            };
            timeout(secs(0.01), cancels).await
        });
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["inside"]);
    });
}
