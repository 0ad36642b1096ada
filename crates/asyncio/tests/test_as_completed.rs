//! `as_completed`: contract §4.3, after the as_completed tests of CPython's `test_tasks`.
//!
//! `test_as_completed_duplicate_coroutines` and `test_as_completed_invalid_args` do not compile (`doctests.rs`).

mod together;

use asyncio::{
    Task, TimeoutError, as_completed, catch_cancelled, create_task, gather, run, secs, sleep,
    yield_now,
};
use std::future::pending;
use together::{run_in_order, settle};

async fn after<T>(turns: usize, value: T) -> T {
    for _ in 0..turns {
        yield_now().await;
    }
    value
}

/// CPython test_tasks: test_as_completed
#[test]
fn first_ended_comes_first() {
    run(async {
        let futures: Vec<_> = (0..4).map(|_| asyncio::Future::<usize, String>::new()).collect();
        let mut results = as_completed(futures.clone());
        for n in [2, 1, 3, 0] {
            futures[n].set_result(n).unwrap();
            assert_eq!(results.next().await.unwrap().unwrap(), Ok(n));
        }
        assert!(results.next().await.is_none());
    });
}

/// CPython test_tasks: test_as_completed_same_tasks_in_as_out
///
/// [C]: they end in a known order.
#[test]
fn the_tasks_themselves_come_out() {
    run_in_order(async {
        let tasks = [create_task(after(3, 'a')), create_task(after(1, 'b'))];
        let ids = [tasks[1].id(), tasks[0].id()];
        let mut completed = as_completed::<char, _>(tasks);
        let mut out = Vec::new();
        while let Some(mut task) = completed.next_task().await {
            assert!(task.try_result().is_some());
            out.push(task.id());
        }
        assert_eq!(out, ids);
    });
}

/// CPython test_tasks: test_as_completed_reverse_wait
///
/// [C]: they end in a known order.
#[test]
fn whichever_future_is_awaited_first_gives_the_first_result() {
    run_in_order(async {
        let futures: Vec<_> = as_completed([7, 2].map(|n| after(n, n))).into_iter().collect();
        let mut results = Vec::new();
        for future in futures.into_iter().rev() {
            results.push(future.await.unwrap());
        }
        assert_eq!(results, [2, 7]);
    });
}

/// CPython test_tasks: test_as_completed_concurrent
#[test]
fn the_futures_may_be_awaited_at_once() {
    run(async {
        let futures = as_completed([7, 2, 4].map(|n| after(n, n)));
        let mut results: Vec<usize> =
            gather(futures).await.unwrap().into_iter().map(Result::unwrap).collect();
        results.sort_unstable();
        assert_eq!(results, [2, 4, 7]);
    });
}

/// CPython test_tasks: test_as_completed_resume_iterator
///
/// [C]: they end in a known order.
#[test]
fn it_may_be_left_and_resumed() {
    run_in_order(async {
        let mut results = as_completed((0..4).map(|n| after(n, n)));
        assert_eq!(results.next().await.unwrap().unwrap(), 0);
        // A `next` given up loses nothing.
        let given_up = asyncio::timeout(secs(0.0), results.next()).await;
        let mut rest: Vec<usize> = given_up.into_iter().flatten().map(Result::unwrap).collect();
        for future in results {
            rest.push(future.await.unwrap());
        }
        assert_eq!(rest, [1, 2, 3]);
    });
}

/// CPython test_tasks: test_as_completed_with_timeout
#[test]
fn a_timeout_stands_for_what_is_missing_and_cancels_nothing() {
    run(async {
        let tasks: [Task<u8>; 3] =
            [create_task(after(1, 1)), create_task(pending()), create_task(pending())];
        let handles: Vec<_> = tasks.iter().map(Task::handle).collect();
        settle().await;
        let mut results = as_completed::<u8, _>(tasks).timeout(secs(0.003));
        assert_eq!(results.next().await.unwrap().unwrap().unwrap(), 1);
        for _ in 0..2 {
            let error = results.next().await.unwrap().unwrap_err();
            assert_eq!(error, TimeoutError::default());
        }
        assert!(results.next().await.is_none());
        let left = results.into_tasks();
        assert_eq!(left.len(), 2);
        assert!(handles[1..].iter().all(|handle| !handle.done() && handle.cancelling() == 0));
    });
}

/// CPython test_tasks: test_as_completed_with_unused_timeout
#[test]
fn a_timeout_that_is_not_needed() {
    run(async {
        for future in as_completed([after(1, 5)]).timeout(secs(60.0)) {
            assert_eq!(future.await.unwrap().unwrap(), 5);
        }
    });
}

/// Errors are outcomes like values.
#[test]
fn failures_come_in_their_turn() {
    run(async {
        let tasks = [create_task(sleep(secs(60.0))), create_task(async { panic!("one") })];
        tasks[0].cancel();
        let mut results = as_completed::<(), _>(tasks);
        let mut kinds = Vec::new();
        while let Some(result) = results.next().await {
            kinds.push(result.unwrap_err().is_panic());
        }
        kinds.sort_unstable();
        assert_eq!(kinds, [false, true]);
    });
}

/// Contract §4.3: a cancelled consumer cancels nothing.
#[test]
fn a_cancelled_consumer_cancels_nothing() {
    run(async {
        let future = asyncio::Future::<i32, String>::new();
        let task = create_task(future.clone());
        let handle = task.handle();
        let consumer = create_task(async move {
            let mut results = as_completed::<Result<i32, _>, _>([task]);
            assert!(catch_cancelled(results.next()).await.is_err());
            results.next().await.unwrap().unwrap()
        });
        settle().await;
        consumer.cancel();
        settle().await;
        assert_eq!(handle.cancelling(), 0);
        future.set_result(3).unwrap();
        assert_eq!(consumer.await.unwrap(), Ok(3));
    });
}
