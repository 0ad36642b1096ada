//! `wait`: contract §4.2, after the wait tests of CPython's `test_tasks`.
//!
//! Not ported: `test_wait_invalid_args` beyond the empty list, as other arguments do not compile.

mod together;

use asyncio::{
    Event, ReturnWhen, Task, catch_cancelled, create_task, run, secs, timeout, wait, yield_now,
};
use std::future::pending;
use std::panic::catch_unwind;
use std::sync::Arc;
use together::{run_in_order, settle};

async fn after<T>(turns: usize, value: T) -> T {
    for _ in 0..turns {
        yield_now().await;
    }
    value
}

/// CPython test_tasks: test_wait
#[test]
fn waits_for_all() {
    run(async {
        let tasks = [create_task(after(3, 42)), create_task(after(1, 1))];
        let (done, pending) = wait(tasks).await;
        assert!(pending.is_empty());
        let mut values = Vec::new();
        for task in done {
            values.push(task.await.unwrap());
        }
        assert_eq!(values, [42, 1], "in the order given");
    });
}

/// CPython test_tasks: test_wait_generator
#[test]
fn takes_any_iterator() {
    run(async {
        let (done, pending) = wait((0..10).map(|n| create_task(after(n, n)))).await;
        assert_eq!((done.len(), pending.len()), (10, 0));
    });
}

/// CPython test_tasks: test_wait_errors, test_wait_invalid_args
#[test]
fn refuses_an_empty_list() {
    let refused = catch_unwind(|| drop(wait(Vec::<Task<()>>::new())));
    let panic = refused.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"wait() needs at least one task"));
}

/// CPython test_tasks: test_wait_first_completed
#[test]
fn returns_with_the_first() {
    run(async {
        let tasks = [create_task(pending()), create_task(after(2, 1))];
        let (done, rest) = wait(tasks).return_when(ReturnWhen::FirstCompleted).await;
        assert_eq!((done.len(), rest.len()), (1, 1));
        assert_eq!(done.into_iter().next().unwrap().await.unwrap(), 1);
        // A cancelled one is one.
        rest[0].cancel();
        let (done, rest) = wait(rest).return_when(ReturnWhen::FirstCompleted).await;
        assert_eq!((done.len(), rest.len()), (1, 0));
    });
}

/// CPython test_tasks: test_wait_really_done
///
/// [C]: all end in one pass.
#[test]
fn all_that_are_done_at_wake_up_are_done() {
    run_in_order(async {
        let tasks =
            [create_task(after(2, ())), create_task(after(2, ())), create_task(after(2, ()))];
        let (done, rest) = wait(tasks).return_when(ReturnWhen::FirstCompleted).await;
        assert_eq!((done.len(), rest.len()), (3, 0));
    });
}

/// CPython test_tasks: test_wait_first_exception
#[test]
fn returns_with_the_first_that_fails() {
    run(async {
        let ended = create_task(after(0, ()));
        settle().await;
        let tasks = [create_task(pending()), create_task(async { panic!("fails") }), ended];
        let (done, rest) = wait(tasks).return_when(ReturnWhen::FirstException).await;
        assert_eq!((done.len(), rest.len()), (2, 1));
        rest[0].cancel();
        // A cancelled one has not failed.
        let tasks = rest.into_iter().chain([create_task(after(10, ()))]);
        let (done, rest) = wait(tasks).return_when(ReturnWhen::FirstException).await;
        assert_eq!((done.len(), rest.len()), (2, 0));
        drop(done.into_iter().map(|mut task| task.try_result()).collect::<Vec<_>>());
    });
}

/// CPython test_tasks: test_wait_first_exception_in_wait
#[test]
fn one_that_fails_later_ends_the_wait() {
    run(async {
        let failing = create_task(async {
            settle().await;
            panic!("fails");
        });
        let tasks = [create_task(pending()), failing];
        let (done, rest) = wait(tasks).return_when(ReturnWhen::FirstException).await;
        assert_eq!((done.len(), rest.len()), (1, 1));
        assert!(done.into_iter().next().unwrap().await.unwrap_err().is_panic());
    });
}

/// CPython test_tasks: test_wait_with_timeout
#[test]
fn a_timeout_is_no_error_and_cancels_nothing() {
    run(async {
        let tasks = [create_task(after(1, ())), create_task(pending())];
        settle().await;
        let (done, rest) = wait(tasks).timeout(secs(0.002)).await;
        assert_eq!((done.len(), rest.len()), (1, 1));
        assert_eq!(rest[0].cancelling(), 0);
        let (done, rest) = wait(rest).timeout(secs(0.001)).await;
        assert_eq!((done.len(), rest.len()), (0, 1));
    });
}

/// Contract §4.2: all done already needs no clock.
#[test]
fn all_done_already() {
    run(async {
        let tasks = [create_task(after(0, ())), create_task(after(0, ()))];
        settle().await;
        assert!(tasks.iter().all(Task::done));
        let (done, rest) = wait(tasks).timeout(secs(0.0)).await;
        assert_eq!((done.len(), rest.len()), (2, 0));
    });
}

/// CPython test_tasks: test_yield_wait_does_not_shield_cancel
#[test]
fn a_cancelled_wait_lets_go_and_cancels_nothing() {
    run(async {
        let gate = Arc::new(Event::new());
        let behind_it = |value| {
            let gate = gate.clone();
            create_task(async move {
                gate.wait().await;
                value
            })
        };
        let mut tasks = vec![behind_it(5), behind_it(6)];
        let waiter = create_task(async move {
            let caught = catch_cancelled(async { wait(tasks.iter_mut()).await.0.len() }).await;
            assert!(caught.is_err());
            (tasks.iter().map(Task::cancelling).sum::<usize>(), tasks)
        });
        settle().await;
        waiter.cancel();
        let (cancels, tasks) = waiter.await.unwrap();
        assert_eq!(cancels, 0);
        gate.set();
        let values: Vec<i32> = asyncio::gather(tasks).await.unwrap();
        assert_eq!(values, [5, 6]);
    });
}

/// The tasks can be awaited after a wait that was given up.
#[test]
fn a_wait_given_up_leaves_the_tasks_as_they_are() {
    run(async {
        let gate: asyncio::Future<u8> = asyncio::Future::new();
        let mut task = create_task(gate.clone());
        for _ in 0..3 {
            let waited = timeout(secs(0.0005), async { wait([&mut task]).await.0.len() }).await;
            assert!(waited.is_err());
        }
        gate.set_result(7).unwrap();
        assert_eq!(task.await.unwrap().unwrap(), 7);
    });
}
