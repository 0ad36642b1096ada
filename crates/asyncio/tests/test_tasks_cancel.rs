//! How a cancel goes through what a task awaits: contract §3.3, after CPython's `test_tasks`. The rest of chapter 3 is in `test_tasks.rs`.

mod together;

use asyncio::{
    Event, Future, FutureError, Task, catch_cancelled, create_task, current_task, gather,
    new_event_loop, run, shield,
};
use std::future::pending;
use std::sync::Arc;
use together::{Log, run_in_order, settle};

/// CPython test_tasks: test_cancel_inner_future
#[test]
fn a_future_cancelled_by_others_is_an_error_for_its_awaiter() {
    run(async {
        let future: Future<()> = Future::new();
        let inner = future.clone();
        let task = create_task(inner);
        settle().await;
        assert!(future.cancel_with("gone"));
        let handle = task.handle();
        let outcome = task.await.expect("the task was not cancelled");
        let Err(FutureError::Cancelled(error)) = outcome else { panic!("the future was") };
        assert_eq!(error.message(), Some("gone"));
        assert_eq!(handle.cancelling(), 0);
    });
}

/// CPython test_tasks: test_cancel, in that a cancel goes to what the task waits for
#[test]
fn a_cancel_cancels_the_awaited_future_too() {
    run(async {
        let future: Future<()> = Future::new();
        let inner = future.clone();
        let task: Task<()> = create_task(async move {
            drop(inner.await);
            unreachable!("the await does not return");
        });
        settle().await;
        task.cancel_with("down");
        let error = task.await.unwrap_err();
        assert_eq!(error.as_cancelled().unwrap().message(), Some("down"));
        assert!(future.cancelled());
        let outcome = future.await.unwrap_err();
        assert_eq!(outcome.to_string(), "cancelled: down");
    });
}

/// CPython test_tasks: test_cancel_task_catching, with the future under the scope
#[test]
fn a_scope_round_the_await_catches_it() {
    run(async {
        let future: Future<u8> = Future::new();
        let inner = future.clone();
        let task = create_task(async move { catch_cancelled(inner).await.is_err() });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap());
        assert!(future.cancelled());
        assert!(future.set_result(1).is_err());
    });
}

/// CPython test_tasks: test_cancel_awaited_task, nested
#[test]
fn a_cancel_goes_down_through_tasks_to_the_future_and_up_again() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let future: Future<()> = Future::new();
        let inner = future.clone();
        let a = create_task(async move {
            let logged = log.clone();
            let b = create_task(async move {
                let caught = catch_cancelled(inner).await.unwrap_err();
                logged.say("b");
                caught.propagate::<()>().await
            });
            let caught = catch_cancelled(b).await.unwrap_err();
            log.say("a");
            caught.propagate::<()>().await
        });
        settle().await;
        a.cancel();
        assert!(a.await.unwrap_err().is_cancelled());
        assert!(future.cancelled());
    });
    assert_eq!(seen.take(), ["b", "a"]);
}

/// Contract §3.3: a task that asked itself to end before it awaits cancels what it awaits as soon as it does.
#[test]
fn a_request_from_before_reaches_what_is_awaited_next() {
    run(async {
        let future: Future<()> = Future::new();
        let inner = future.clone();
        let a: Task<()> = create_task(async move {
            let b = create_task(async move { drop(inner.await) });
            settle().await;
            current_task().unwrap().cancel();
            drop(b.await);
        });
        assert!(a.await.unwrap_err().is_cancelled());
        settle().await;
        assert!(future.cancelled());
    });
}

/// Contract §3.3: a result that is set in the same cycle as the cancel stays with the future.
///
/// [C]: the cancel comes before the task can run again.
#[test]
fn a_cancel_in_the_cycle_of_the_result_wins_and_the_future_keeps_it() {
    run_in_order(async {
        let future: Future<u8> = Future::new();
        let inner = future.clone();
        let task = create_task(async move { catch_cancelled(inner).await.is_err() });
        settle().await;
        future.set_result(3).unwrap();
        task.cancel();
        assert!(task.await.unwrap());
        assert_eq!(future.await.unwrap(), 3);
    });
}

/// CPython test_tasks: test_shield_cancel_outer, of a future
#[test]
fn a_shield_round_a_future_lets_go_of_it() {
    run(async {
        let future: Future<u8> = Future::new();
        let inner = future.clone();
        let task = create_task(async move { catch_cancelled(shield(inner)).await.is_err() });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap());
        assert!(!future.done());
        future.set_result(4).unwrap();
        assert_eq!(shield(future).await.unwrap(), 4);
    });
}

/// CPython test_tasks: test_cancel_gather_2, of futures
#[test]
fn a_cancelled_gather_cancels_the_futures_in_it() {
    run(async {
        let futures: [Future<()>; 2] = [Future::new(), Future::new()];
        let gathering = gather(futures.clone());
        settle().await;
        assert!(gathering.cancel());
        assert!(gathering.await.unwrap_err().is_cancelled());
        settle().await;
        assert!(futures.iter().all(Future::cancelled));
    });
}

/// A future that is awaited by a branch that loses is not cancelled: forwarding is no matter of `Drop`.
#[test]
fn dropping_an_await_cancels_nothing() {
    run(async {
        let future: Future<u8> = Future::new();
        let inner = future.clone();
        let task = create_task(async move {
            let mut waiting = Box::pin(inner);
            std::future::poll_fn(|cx| {
                assert!(std::future::Future::poll(waiting.as_mut(), cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            drop(waiting);
            pending::<()>().await;
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!future.done());
    });
}

// ----- `cancel_on_drop`

#[test]
fn a_guarded_task_is_cancelled_with_its_guard_and_cleans_up_by_itself() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let logged = log.clone();
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let guard = create_task(async move {
            let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
            opened.wait().await;
            logged.say("cleaned up");
            caught.propagate::<()>().await
        })
        .cancel_on_drop();
        settle().await;
        let handle = guard.handle();
        drop(guard);
        assert!(!handle.done());
        gate.set();
        settle().await;
        assert!(handle.cancelled());
    });
    assert_eq!(seen.take(), ["cleaned up"]);
}

#[test]
fn a_guarded_task_is_awaited_like_any_other() {
    run(async {
        let mut guard = create_task(async { 1 }).cancel_on_drop();
        assert_eq!((&mut guard).await.unwrap(), 1);
        // By reference it has given its result, and the guard has nothing left to cancel.
        assert!(!guard.cancelled());
        drop(guard);
        let task = create_task(async { 2 }).cancel_on_drop().into_task();
        let handle = task.handle();
        drop(task);
        settle().await;
        assert!(handle.done() && !handle.cancelled());
    });
}

#[test]
fn a_cancel_goes_through_the_guard() {
    run(async {
        let future: Future<()> = Future::new();
        let guard = create_task(future.clone()).cancel_on_drop();
        let waiter = create_task(guard);
        settle().await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert!(future.cancelled());
    });
}

// ----- `ensure_future` on a loop

/// CPython test_tasks: test_ensure_future_error_msg
#[test]
fn a_task_of_another_loop_is_refused_and_given_back() {
    let (one, other) = (new_event_loop().unwrap(), new_event_loop().unwrap());
    let made: Task<i32> = one.ensure_future(async { 1 }).unwrap();
    let id = made.id();
    let same: Task<i32> = one.ensure_future(made).unwrap();
    assert_eq!(same.id(), id);
    let refused = other.ensure_future::<i32>(same).unwrap_err();
    let name = refused.0.get_name();
    let message = format!("the task '{name}' belongs to a different loop than the one asked for");
    assert_eq!(refused.to_string(), message);
    assert_eq!(one.run_until_complete(refused.0).unwrap().unwrap(), 1);
    one.close().unwrap();
    other.close().unwrap();
}

/// CPython test_tasks: test_ensure_future_task, of a task that stays on its thread
#[test]
fn a_local_task_is_its_loop_s_too() {
    let event_loop = new_event_loop().unwrap();
    let inside = event_loop.clone();
    let main = async move {
        let local: Task<i32> = inside.create_local_task(async { 1 });
        inside.ensure_future::<i32>(local).unwrap().await.unwrap()
    };
    assert_eq!(event_loop.run_until_complete(main).unwrap(), 1);
    event_loop.close().unwrap();
}
