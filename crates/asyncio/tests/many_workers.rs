//! Cancels and many at once with 2 and 4 workers: what the contract promises there (§19), whatever the order. Nothing here waits for a moment by the
//! clock; where two things race, both outcomes are right, and each has to be whole.

mod together;

use asyncio::{
    Runner, Task, TaskGroup, as_completed, catch_cancelled, create_task, gather, join, race, scope,
    secs, shield, timeout, wait, with_finally, yield_now,
};
use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use together::Oops;

/// Runs `main` with several workers, a few times each.
fn run_on_many<F: Future<Output = ()>>(main: impl Fn(usize) -> F) {
    for workers in [2, 4] {
        let mut runner = Runner::builder().workers(workers).build().unwrap();
        for round in 0..200 {
            runner.run(main(round)).unwrap();
        }
        assert!(runner.get_loop().all_tasks().is_empty());
        runner.close();
    }
}

async fn yields(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// §19, 1: exactly one of "done before" and "recorded", through a chain of awaits.
#[test]
fn a_cancel_is_refused_or_answered() {
    run_on_many(async |round| {
        let child = create_task(yields(round % 5));
        let child_handle = child.handle();
        let started = Arc::new(AtomicUsize::new(0));
        let note = started.clone();
        let waiter = create_task(async move {
            note.store(1, SeqCst);
            child.await
        });
        yields(round % 7).await;
        let accepted = waiter.cancel();
        let outcome = waiter.await;
        assert_eq!(accepted, outcome.is_err(), "{outcome:?}");
        // Whoever is cancelled waits for what it awaits.
        assert!(child_handle.done() || started.load(SeqCst) == 0);
    });
}

/// §19, 2 and 3: a request that `uncancel` took back before it was seen strikes nobody; one that was seen ends the task.
#[test]
fn cancel_and_uncancel_are_in_one_order() {
    run_on_many(async |round| {
        let seen = Arc::new(AtomicUsize::new(0));
        let noted = seen.clone();
        let task = create_task(async move {
            if catch_cancelled(yields(20)).await.is_err() {
                noted.fetch_add(1, SeqCst);
            }
        });
        yields(round % 3).await;
        let accepted = task.cancel();
        assert_eq!(task.uncancel(), 0);
        let outcome = task.await;
        assert!(accepted || (outcome.is_ok() && seen.load(SeqCst) == 0));
        assert!(outcome.is_ok() || accepted);
    });
}

/// Each request is delivered once, to every scope there is, also while tasks end.
#[test]
fn every_request_reaches_the_scopes_of_all_branches() {
    run_on_many(async |_| {
        let caught = Arc::new(AtomicUsize::new(0));
        let branch = || {
            let caught = caught.clone();
            async move {
                if catch_cancelled(pending::<()>()).await.is_err() {
                    caught.fetch_add(1, SeqCst);
                }
            }
        };
        let (a, b, c) = (branch(), branch(), branch());
        let started = Arc::new(asyncio::Event::new());
        let set = started.clone();
        let task = create_task(async move {
            join!(a, b, c, async move { set.set() });
        });
        started.wait().await;
        assert!(task.cancel());
        task.await.unwrap();
        assert_eq!(caught.load(SeqCst), 3);
    });
}

#[test]
fn a_shield_lets_go_and_the_work_goes_on() {
    run_on_many(async |round| {
        let mut work = create_task(async move {
            yields(5 + round % 3).await;
            7
        });
        let done = {
            let waiting = async { shield(&mut work).await };
            race!(async { waiting.await.is_ok() }, async {
                yields(round % 9).await;
                false
            })
        };
        if !done {
            assert_eq!(work.await.unwrap(), 7);
        }
    });
}

#[test]
fn gather_gives_results_in_the_order_of_its_arguments() {
    run_on_many(async |round| {
        let squares = gather((0..20_usize).map(|n| async move {
            yields((n * 7 + round) % 4).await;
            n * n
        }));
        let expected: Vec<usize> = (0..20).map(|n| n * n).collect();
        assert_eq!(squares.await.unwrap(), expected);
    });
}

#[test]
fn a_cancelled_gather_leaves_no_child_behind() {
    run_on_many(async |round| {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<Task<()>> = (0..5)
            .map(|n| {
                let cleaned = cleaned.clone();
                create_task(with_finally(yields(n + 3), move || async move {
                    yield_now().await;
                    cleaned.fetch_add(1, SeqCst);
                }))
            })
            .collect();
        let handles: Vec<_> = tasks.iter().map(Task::handle).collect();
        let waiter = create_task(gather::<(), _>(tasks).return_exceptions());
        yields(round % 6).await;
        let accepted = waiter.cancel();
        let outcome = waiter.await;
        assert_eq!(accepted, outcome.is_err());
        if accepted && cleaned.load(SeqCst) == 0 {
            // It was cancelled before it had begun to wait: then the tasks were detached.
            for handle in &handles {
                handle.cancel();
            }
        }
        for handle in handles {
            (&handle).await;
        }
    });
}

/// Chapter 5, 1 and 2: the group waits for all, and the first failure ends all.
#[test]
fn a_group_ends_when_all_its_tasks_have() {
    run_on_many(async |round| {
        let alive = Arc::new(AtomicUsize::new(0));
        let fails = round % 2 == 0;
        let outcome = TaskGroup::<Oops>::scope(async |tg| {
            for n in 0..6 {
                let alive = alive.clone();
                alive.fetch_add(1, SeqCst);
                tg.create_task(async move {
                    let body = async move {
                        yields(n).await;
                        if fails && n == 3 { Err(Oops::Value) } else { Ok(()) }
                    };
                    with_finally(body, move || async move {
                        yield_now().await;
                        alive.fetch_sub(1, SeqCst);
                    })
                    .await
                })
                .detach();
            }
            yields(round % 4).await;
            Ok(())
        })
        .await;
        // Of a task that was cancelled before its first turn no line has run, so nothing counted it off.
        assert!(alive.load(SeqCst) == 0 || fails);
        match outcome {
            Ok(()) => assert!(!fails),
            Err(group) => assert_eq!(group.exceptions(), [Oops::Value]),
        }
    });
}

#[test]
fn a_group_that_is_cancelled_from_outside_passes_it_on() {
    run_on_many(async |round| {
        let task = create_task(async move {
            let outcome = TaskGroup::<Oops>::scope(async |tg| {
                for n in 0..4 {
                    tg.spawn(yields(n + round % 3)).detach();
                }
                Ok(())
            });
            outcome.await.is_ok()
        });
        yields(round % 8).await;
        let accepted = task.cancel();
        let outcome = task.await;
        assert_eq!(accepted, outcome.is_err(), "{outcome:?}");
    });
}

#[test]
fn wait_and_as_completed_lose_none() {
    run_on_many(async |round| {
        let tasks = (0..10).map(|n| {
            create_task(async move {
                yields((n * 3 + round) % 5).await;
                n
            })
        });
        let (done, waiting) = wait(tasks).await;
        assert_eq!((done.len(), waiting.len()), (10, 0));
        let mut left = as_completed::<usize, _>(done);
        let mut sum = 0;
        while let Some(value) = left.next().await {
            sum += value.unwrap();
        }
        assert_eq!(sum, 45);
    });
}

#[test]
fn a_timeout_and_a_result_exclude_each_other() {
    run_on_many(async |round| {
        let counted = Arc::new(AtomicUsize::new(0));
        let count = counted.clone();
        let task = create_task(async move {
            yields(round % 4).await;
            count.fetch_add(1, SeqCst);
            1
        });
        match timeout(secs(0.00001), task).await {
            Ok(value) => assert_eq!((value.unwrap(), counted.load(SeqCst)), (1, 1)),
            Err(_) => assert!(counted.load(SeqCst) <= 1),
        }
    });
}

#[test]
fn children_of_a_scope_are_woken_from_other_workers() {
    run_on_many(async |_| {
        let sum = AtomicUsize::new(0);
        let sum_of = &sum;
        scope(|s| async move {
            for n in 0..8_usize {
                drop(s.spawn(async move {
                    let value = create_task(async move {
                        yields(n % 3).await;
                        n
                    });
                    sum_of.fetch_add(value.await.unwrap(), SeqCst);
                }));
            }
        })
        .await;
        assert_eq!(sum.load(SeqCst), 28);
    });
}
