//! `gather`: contract §4.1, after the gather tests of CPython's `test_tasks`.
//!
//! Not ported: `test_duplicate_coroutines`, as a task or future cannot be given twice; `test_constructor_heterogenous_futures`, as tasks of other
//! loops may be gathered. `test_issue46672` does not compile (`doctests.rs`).

mod together;

use asyncio::{
    Event, JoinError, Task, catch_cancelled, create_task, gather, get_running_loop, run, secs,
    shield, sleep, try_gather, with_finally, yield_now,
};
use std::future::pending;
use std::sync::{Arc, Mutex};
use together::{Log, Oops, run_in_order, settle};

/// CPython test_tasks: test_success
#[test]
fn results_come_in_the_order_of_the_arguments() {
    run(async {
        let results = gather((0..5u32).map(|n| async move {
            for _ in 0..(5 - n) {
                yield_now().await;
            }
            n
        }));
        assert_eq!(results.await.unwrap(), [0, 1, 2, 3, 4]);
        let task = create_task(async { 3 });
        let three = gather!(async { 1 }, async { "two" }, task);
        assert_eq!(three.await.unwrap(), (1, "two", 3));
    });
}

/// CPython test_tasks: test_constructor_empty_sequence
#[test]
fn of_nothing_comes_an_empty_list() {
    run(async {
        let none: [Task<u8>; 0] = [];
        let results: Vec<u8> = gather(none).await.unwrap();
        assert!(results.is_empty());
    });
}

/// CPython test_tasks: test_duplicate_coroutines, in that a task given is used as it is
#[test]
fn a_task_is_used_as_it_is() {
    run(async {
        let before = asyncio::all_tasks().len();
        let gate = Arc::new(Event::new());
        let tasks: Vec<Task<u8>> = (0..3)
            .map(|n| {
                let gate = gate.clone();
                create_task(async move {
                    gate.wait().await;
                    n
                })
            })
            .collect();
        let ids: Vec<_> = tasks.iter().map(Task::id).collect();
        let all: Vec<_> = asyncio::all_tasks().iter().map(|task| task.id()).collect();
        assert_eq!(all.len(), before + 3);
        let gathering = gather(tasks);
        assert!(ids.iter().all(|id| all.contains(id)));
        assert_eq!(asyncio::all_tasks().len(), before + 3, "none was made");
        gate.set();
        let results: Vec<u8> = gathering.await.unwrap();
        assert_eq!(results, [0, 1, 2]);
    });
}

/// CPython test_tasks: test_one_exception
#[test]
fn the_first_failure_ends_the_wait_and_the_others_run_on() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let slow = log.clone();
        let gate = Arc::new(Event::new());
        let (for_slow, for_two) = (gate.clone(), gate.clone());
        let outcome = gather!(
            async move {
                for_slow.wait().await;
                slow.say("ran on");
            },
            async { panic!("one") },
            async move {
                for_two.wait().await;
                panic!("two, of which nobody hears");
            }
        );
        let error = outcome.await.unwrap_err();
        assert_eq!(error.as_panic().unwrap().message(), "one");
        log.say("failed");
        gate.set();
        for _ in 0..3 {
            settle().await;
        }
    });
    assert_eq!(seen.take(), ["failed", "ran on"]);
}

/// CPython test_tasks: test_exception_marking
#[test]
fn later_failures_are_consumed_silently() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let told = reports.clone();
    run(async move {
        get_running_loop().set_exception_handler(Some(
            move |_: &asyncio::EventLoop, context: &asyncio::ExceptionContext| {
                told.lock().unwrap().push(format!("{context:?}"));
            },
        ));
        let outcome = gather((1..4usize).map(|turns| async move {
            for _ in 0..turns {
                yield_now().await;
            }
            assert_eq!(turns, 0, "fails");
        }));
        assert!(outcome.await.unwrap_err().is_panic());
        settle().await;
    });
    assert!(reports.lock().unwrap().is_empty());
}

/// CPython test_tasks: test_return_exceptions
#[test]
fn errors_can_be_items() {
    run(async {
        let outcome = gather([0, 1, 2].map(|n| async move {
            assert_ne!(n, 1, "panics");
            n
        }))
        .return_exceptions()
        .await;
        assert_eq!(*outcome[0].as_ref().unwrap(), 0);
        assert!(outcome[1].as_ref().unwrap_err().is_panic());
        assert_eq!(*outcome[2].as_ref().unwrap(), 2);
        let (a, b) = gather!(async { 1 }, async { panic!("b") }).return_exceptions().await;
        let b: Result<(), _> = b;
        assert!(a.is_ok() && b.is_err());
    });
}

/// CPython test_tasks: test_one_cancellation
#[test]
fn a_child_cancelled_by_others_fails_the_gather_and_nobody_is_cancelled() {
    run(async {
        let tasks: Vec<Task<()>> = (0..3).map(|_| create_task(pending())).collect();
        let handles: Vec<_> = tasks.iter().map(Task::handle).collect();
        let outcome = create_task(async move {
            let outcome: Result<Vec<()>, JoinError> = gather(tasks).await;
            outcome
        });
        settle().await;
        handles[1].cancel_with("this one");
        let error = outcome.await.expect("the waiter is not cancelled").unwrap_err();
        assert_eq!(error.as_cancelled().unwrap().message(), Some("this one"));
        assert!(!handles[0].done() && !handles[2].done());
    });
}

/// CPython test_tasks: test_result_exception_one_cancellation
#[test]
fn a_cancelled_child_can_be_an_item() {
    run(async {
        let tasks = [create_task(pending()), create_task(async { 2 })];
        tasks[0].cancel();
        let outcome: Vec<Result<i32, _>> = gather(tasks).return_exceptions().await;
        assert!(outcome[0].as_ref().unwrap_err().is_cancelled());
        assert_eq!(*outcome[1].as_ref().unwrap(), 2);
    });
}

/// CPython test_tasks: test_cancel_gather_1
#[test]
fn a_gather_that_is_over_is_not_cancelled() {
    run(async {
        let slow = create_task(pending::<()>());
        let slow_handle = slow.handle();
        let failed = gather!(slow, async { panic!("fails") });
        let _: &asyncio::Gather<(Task<()>, Task<()>)> = &failed;
        settle().await;
        assert!(!failed.cancel(), "it has failed, though nobody has looked");
        assert_eq!(slow_handle.cancelling(), 0);
        drop(failed);
        let over = gather((0..2).map(|n| async move { n }));
        settle().await;
        assert!(!over.cancel() && !over.cancel_with("late"));
        assert_eq!(over.await.unwrap(), [0, 1], "a gather that is done keeps its results");
        slow_handle.cancel();
    });
}

/// CPython test_tasks: test_cancel_gather_2
#[test]
fn a_cancelled_gather_fails_when_the_first_child_reports_it() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let cleaning = log.clone();
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let gathering = gather!(
            with_finally(pending::<()>(), move || async move {
                opened.wait().await;
                cleaning.say("cleaned up");
            }),
            pending::<()>()
        );
        settle().await;
        assert!(gathering.cancel_with("all of you"));
        let error = gathering.await.unwrap_err();
        assert_eq!(error.as_cancelled().unwrap().message(), Some("all of you"));
        log.say("reported");
        gate.set();
        for _ in 0..3 {
            settle().await;
        }
    });
    assert_eq!(seen.take(), ["reported", "cleaned up"]);
}

/// CPython test_tasks: test_cancel_wait, in that a cancel of whoever awaits goes to every child
#[test]
fn a_cancel_of_the_awaiter_goes_to_every_child() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let waiter = create_task(async move {
            let outcome = gather((0..3).map(|_| {
                let log = log.clone();
                async move {
                    let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
                    log.say(caught.message().unwrap());
                    caught.propagate::<()>().await
                }
            }));
            catch_cancelled(outcome).await.unwrap_err().message().map(str::to_owned)
        });
        settle().await;
        waiter.cancel_with("down");
        assert_eq!(waiter.await.unwrap().as_deref(), Some("down"));
    });
    assert_eq!(seen.take(), ["down"; 3]);
}

/// Contract §4.1: with `return_exceptions` the awaiter is cancelled even if every child swallowed the request, and when all have ended.
#[test]
fn with_return_exceptions_the_request_goes_on_when_all_have_ended() {
    for return_exceptions in [false, true] {
        let log = Log::default();
        let seen = log.clone();
        run(async move {
            let waiter = create_task(async move {
                let gathering = gather((0..2).map(|n| {
                    let log = log.clone();
                    async move {
                        catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                        for _ in 0..n {
                            settle().await;
                        }
                        log.say("swallowed");
                    }
                }));
                let cancelled = if return_exceptions {
                    catch_cancelled(gathering.return_exceptions()).await.is_err()
                } else {
                    catch_cancelled(gathering).await.is_err()
                };
                log.say(if cancelled { "cancelled" } else { "went on" });
            });
            settle().await;
            waiter.cancel();
            waiter.await.unwrap();
        });
        let last = if return_exceptions { "cancelled" } else { "went on" };
        assert_eq!(seen.take(), ["swallowed", "swallowed", last]);
    }
}

/// A request that meets a gather whose children have all ended strikes the awaiter itself.
///
/// [C]: the request comes in the very pass in which the child ends.
#[test]
fn a_request_that_no_child_can_take_is_not_lost() {
    run_in_order(async {
        let gate: asyncio::Future<()> = asyncio::Future::new();
        let opened = gate.clone();
        let waiter = create_task(async move {
            catch_cancelled(gather!(async move { opened.await.unwrap() })).await.is_err()
        });
        settle().await;
        gate.set_result(()).unwrap();
        // The child ends in this pass; the waiter is woken by it and asked to end at the same time.
        yield_now().await;
        waiter.cancel();
        assert!(waiter.await.unwrap(), "the request was lost");
    });
}

/// A second cancel goes on as the first did.
#[test]
fn a_second_cancel_of_the_awaiter_reaches_the_child_too() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let waiter = create_task(async move {
            let child = create_task(async move {
                for _ in 0..2 {
                    let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
                    log.say(caught.message().unwrap());
                    caught.swallow();
                }
                7
            });
            child.await.unwrap()
        });
        settle().await;
        waiter.cancel_with("first");
        settle().await;
        waiter.cancel_with("second");
        assert_eq!(waiter.await.unwrap(), 7);
    });
    assert_eq!(seen.take(), ["first", "second"]);
}

/// CPython test_tasks: test_gather_shield
#[test]
fn of_shields_in_a_gather_only_the_shields_die() {
    run(async {
        let inner = [create_task(sleep(secs(60.0))), create_task(sleep(secs(60.0)))];
        let handles: Vec<_> = inner.iter().map(Task::handle).collect();
        let waiter = create_task(async move { gather(inner.map(shield)).await.is_ok() });
        settle().await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert!(handles.iter().all(|handle| !handle.done() && handle.cancelling() == 0));
    });
}

/// CPython test_tasks: test_shield_gather
#[test]
fn a_gather_behind_a_shield_lives_on() {
    run(async {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let mut gathering = create_task(gather!(
            async move {
                opened.wait().await;
                1
            },
            async { 2 }
        ));
        let waiter = create_task(async move {
            assert!(catch_cancelled(shield(&mut gathering)).await.is_err());
            gathering.await.unwrap().unwrap()
        });
        settle().await;
        waiter.cancel();
        settle().await;
        gate.set();
        assert_eq!(waiter.await.unwrap(), (1, 2));
    });
}

/// An `Err` is a failure of `try_gather` only.
#[test]
fn the_first_err_ends_a_try_gather() {
    run(async {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let outcome = try_gather!(
            async move {
                opened.wait().await;
                Err::<u8, _>(Oops::Type)
            },
            async {
                yield_now().await;
                Err::<u8, _>(Oops::Value)
            },
            async { Ok(1) }
        );
        assert_eq!(outcome.await, Err(Oops::Value));
        gate.set();
        let plain = gather!(async { Err::<u8, _>(Oops::Value) }, async { 1 });
        assert_eq!(plain.await.unwrap(), (Err(Oops::Value), 1));
        let values = try_gather((0..3).map(|n| async move { Ok::<_, Oops>(n) }));
        assert_eq!(values.await, Ok(vec![0, 1, 2]));
    });
}

/// Before a loop runs, the one set for the thread is used.
#[test]
fn a_gather_made_before_its_loop_runs() {
    let event_loop = asyncio::new_event_loop().unwrap();
    asyncio::set_event_loop(Some(&event_loop));
    let gathering = gather((0..2).map(|n| async move { n }));
    let results = event_loop.run_until_complete(gathering).unwrap();
    asyncio::set_event_loop(None);
    assert_eq!(results.unwrap(), [0, 1]);
    event_loop.close().unwrap();
}
