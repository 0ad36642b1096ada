//! The await that passes a cancel on without a place in the tree of scopes, and every way in which it may need one after all.

mod together;

use asyncio::{
    Task, catch_cancelled, copy_context, create_task, current_task, run, shield, uncancellable,
    yield_now,
};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use together::{Log, all, once, own_waker, run_in_order, settle};

/// A task that never ends, and says when it is dropped.
fn endless(log: &Log, what: &'static str) -> Task<()> {
    create_task(together::endless(log, what))
}

#[test]
fn two_awaits_in_one_task_both_pass_it_on() {
    for backwards in [false, true] {
        let log = Log::default();
        let seen = log.clone();
        run(async move {
            let (a, b) = (endless(&log, "a"), endless(&log, "b"));
            let both = all(
                vec![Box::pin(async { drop(a.await) }), Box::pin(async { drop(b.await) })],
                backwards,
            );
            let task = create_task(both);
            settle().await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(log.len(), 2);
        });
        assert_eq!(seen.len(), 2);
    }
}

#[test]
fn a_scope_in_another_branch_and_the_await_both_get_it() {
    // The scope comes up at once, or in the very poll in which the request is delivered: for that the passes must be counted.
    for (backwards, at_once) in [(false, true), (true, true), (false, false), (true, false)] {
        let log = Log::default();
        let main = async {
            let child = endless(&log, "child");
            let scope_log = log.clone();
            let scope = async move {
                let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
                scope_log.say(format!("scope {}", caught.message().unwrap()));
                caught.propagate().await
            };
            let both = all(vec![Box::pin(async { drop(child.await) }), Box::pin(scope)], backwards);
            let task = create_task(both);
            if at_once {
                settle().await
            } else {
                yield_now().await
            }
            task.cancel_with("now");
            let error = task.await.unwrap_err();
            assert_eq!(error.as_cancelled().unwrap().message(), Some("now"));
            settle().await;
        };
        if at_once {
            run(main)
        } else {
            run_in_order(main)
        }
        let mut seen = log.take();
        seen.sort();
        assert_eq!(seen, ["child", "scope now"]);
    }
}

#[test]
fn an_await_begun_in_the_turn_of_the_request_gets_it() {
    let log = Log::default();
    run(async {
        let (first, second) = (endless(&log, "first"), endless(&log, "second"));
        let task = create_task(async move {
            let mut first = first;
            once(&mut first).await;
            // Nobody polls the first one any more when the request comes.
            let first = first;
            yield_now().await;
            drop(second.await);
            drop(first);
        });
        yield_now().await;
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        settle().await;
        assert_eq!(log.take(), ["second"]);
    });
}

#[test]
fn an_await_that_is_kept_but_not_polled_keeps_no_request() {
    let log = Log::default();
    run(async {
        let child = endless(&log, "child");
        let task = create_task(async move {
            let mut child = child;
            once(&mut child).await;
            pending::<()>().await;
            drop(child);
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        settle().await;
        assert!(log.take().is_empty(), "it was not awaited");
    });
}

#[test]
fn an_await_dropped_in_the_poll_that_left_it_is_none() {
    run(async {
        let log = Log::default();
        let child = endless(&log, "child");
        let (sent, polls) = (log.clone(), Arc::new(()));
        let held = polls.clone();
        let task = create_task(async move {
            let mut child = child;
            once(&mut child).await;
            drop(child);
            poll_fn::<(), _>(|_| {
                sent.say(format!("polled, {}", Arc::strong_count(&held)));
                Poll::Pending
            })
            .await;
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        // The request ended it without another poll.
        assert_eq!(log.take(), ["polled, 2"]);
    });
}

#[test]
fn an_await_that_moves_to_another_task_passes_on_the_cancels_of_that_one() {
    let log = Log::default();
    run(async {
        let child = endless(&log, "child");
        let first: Task<Vec<Task<()>>> = create_task(async move {
            let mut child = child;
            once(&mut child).await;
            vec![child]
        });
        let child = first.await.unwrap().remove(0);
        let second = create_task(child);
        settle().await;
        second.cancel();
        assert!(second.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["child"]);
    });
}

#[test]
fn an_await_that_is_polled_with_another_waker_is_woken_by_it() {
    let log = Log::default();
    run(async {
        let child = endless(&log, "child");
        let task = create_task(async move {
            let mut child = child;
            once(&mut child).await;
            poll_fn(|cx| {
                let own = own_waker(cx.waker());
                Pin::new(&mut child).poll(&mut Context::from_waker(&own)).map(drop)
            })
            .await;
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["child"]);
    });
}

#[test]
fn a_request_that_is_taken_back_reaches_nobody() {
    let log = Log::default();
    run(async {
        let child = endless(&log, "child");
        let handle = child.handle();
        let task = create_task(child);
        settle().await;
        assert!(task.cancel());
        assert_eq!(task.uncancel(), 0);
        settle().await;
        assert!(!task.done() && log.take().is_empty());
        handle.cancel();
        assert!(task.await.unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn an_abort_is_not_passed_on() {
    let log = Log::default();
    run(async {
        let task = create_task(endless(&log, "child"));
        settle().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        settle().await;
        assert!(log.take().is_empty());
    });
}

#[test]
fn a_second_request_is_passed_on_too() {
    run(async {
        let child = create_task(async {
            let first = catch_cancelled(pending::<()>()).await.unwrap_err();
            first.swallow();
            let second = catch_cancelled(pending::<()>()).await.unwrap_err();
            second.message().unwrap().to_owned()
        });
        let task = create_task(child);
        settle().await;
        task.cancel_with("first");
        settle().await;
        task.cancel_with("second");
        // The child has answered both.
        assert_eq!(task.await.unwrap().unwrap(), "second");
    });
}

#[test]
fn code_that_begins_another_await_with_every_poll_ends_all_the_same() {
    run(async {
        let task: Task<()> = create_task(async {
            let mut parked = Vec::new();
            poll_fn(|cx| {
                let mut child = create_task(pending::<()>());
                assert!(Pin::new(&mut child).poll(cx).is_pending());
                parked.push(child);
                Poll::Pending
            })
            .await
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn an_await_in_another_context_is_seen() {
    let log = Log::default();
    run(async {
        let child = endless(&log, "child");
        let context = copy_context();
        let task = create_task(async move {
            let mut child = pin!(child);
            poll_fn(|cx| context.run(|| child.as_mut().poll(cx)).map(drop)).await;
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["child"]);
    });
}

#[test]
fn a_task_that_asks_itself_and_then_awaits_cancels_what_it_awaits() {
    let log = Log::default();
    run(async {
        let (shielded, child) = (endless(&log, "shielded"), endless(&log, "child"));
        let task = create_task(async move {
            let mut shielded = shield(shielded);
            once(&mut shielded).await;
            current_task().unwrap().cancel();
            drop(child.await);
        });
        settle().await;
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["child"]);
    });
}

#[test]
fn what_holds_back_holds_the_await_s_request_back() {
    let log = Log::default();
    run(async {
        let child = endless(&log, "child");
        let handle = child.handle();
        let logged = log.clone();
        let task: Task<()> = create_task(async move {
            let outcome = uncancellable(child).await;
            logged.say(format!("ended: {}", outcome.is_err()));
            pending::<()>().await;
        });
        settle().await;
        task.cancel();
        settle().await;
        assert!(!handle.done());
        handle.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["child", "ended: true"]);
    });
}
