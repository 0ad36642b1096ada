//! Task groups: contract chapter 5, after CPython's `test_taskgroups`.
//!
//! `test_taskgroup_already_entered`, `test_taskgroup_double_enter` and `test_taskgroup_not_entered` do not compile, as a group exists only inside its
//! scope (`doctests.rs`). Not ported: `test_taskgroup_cancel_before_enter`, for the same reason; `test_taskgroup_21a`, as an error of Rust has no kind that is not
//! ordinary. Where Python raises `KeyboardInterrupt` (`test_taskgroup_20`) a panic stands for it: what is raised bare.

mod together;

use asyncio::{
    ExceptionGroup, Task, TaskBuilder, TaskGroup, Yielder, async_generator, catch_cancelled,
    create_task, current_task, eager_task_factory, get_running_loop, run, secs, sleep, timeout,
    uncancellable, with_finally, yield_now,
};
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use together::{Log, OnDrop, Oops, PanicsOnDrop, run_in_order, settle};

type Group = TaskGroup<Oops>;
type Outcome<T> = Result<T, ExceptionGroup<Oops>>;

/// `sleep` that says when it is cancelled.
async fn sleeper(log: Log) -> Result<(), Oops> {
    let caught = catch_cancelled(sleep(secs(60.0))).await;
    log.say("cancelled");
    caught.unwrap_err().propagate().await
}

/// A task that fails in its clean-up.
async fn crashes_in_clean_up() -> Result<(), Oops> {
    catch_cancelled(sleep(secs(60.0))).await.unwrap_err().swallow();
    Err(Oops::ZeroDivision)
}

async fn crash_after(turns: usize, error: Oops) -> Result<(), Oops> {
    for _ in 0..turns {
        yield_now().await;
    }
    Err(error)
}

/// CPython test_taskgroups: test_taskgroup_01, test_taskgroup_02
#[test]
fn all_succeed() {
    run(async {
        let outcome = Group::scope(async |tg| {
            let one = tg.create_task(async {
                sleep(secs(0.001)).await;
                Ok(42)
            });
            yield_now().await;
            let two = tg.spawn(async { 11 });
            Ok((one, two))
        });
        let (one, two) = outcome.await.unwrap();
        assert!(one.done() && two.done(), "the scope waits");
        assert_eq!((one.await.unwrap(), two.await.unwrap()), (42, 11));
    });
}

/// CPython test_taskgroups: test_taskgroup_03
#[test]
fn a_task_cancelled_by_itself_disturbs_nobody() {
    run(async {
        let outcome: Outcome<_> = Group::scope(async |tg| {
            let one = tg.spawn(sleep(secs(60.0)));
            settle().await;
            one.cancel();
            Ok((one, tg.spawn(async { 11 })))
        })
        .await;
        let (one, two) = outcome.unwrap();
        assert!(one.cancelled());
        assert_eq!(two.await.unwrap(), 11);
    });
}

/// CPython test_taskgroups: test_taskgroup_04, test_cancel_children_on_child_error
#[test]
fn the_first_failure_cancels_siblings_and_body_and_waits_for_their_clean_up() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let mut sibling = None;
        let outcome: Outcome<()> = Group::scope(async |tg| {
            let sibling_log = log.clone();
            sibling = Some(tg.spawn(with_finally(pending::<()>(), move || async move {
                settle().await;
                sibling_log.say("sibling cleaned up");
            })));
            let late = async {
                catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                Err(Oops::Value)
            };
            tg.create_task::<(), _>(late).detach();
            settle().await;
            tg.create_task(crash_after(2, Oops::ZeroDivision)).detach();
            let caught = catch_cancelled(sleep(secs(60.0))).await;
            log.say("body cancelled");
            caught.unwrap_err().propagate().await
        })
        .await;
        assert_eq!(outcome.unwrap_err().exceptions(), [Oops::ZeroDivision, Oops::Value]);
        assert!(sibling.unwrap().cancelled());
        log.say("over");
    });
    assert_eq!(seen.take(), ["body cancelled", "sibling cleaned up", "over"]);
}

/// CPython test_taskgroups: test_cancellation, test_taskgroup_22
#[test]
fn a_cancel_from_outside_goes_to_every_task_and_on() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let runner: Task<Outcome<()>> = create_task(Group::scope(async move |tg| {
            for _ in 0..5 {
                tg.create_task(sleeper(log.clone())).detach();
            }
            Ok(())
        }));
        settle().await;
        runner.cancel_with("enough");
        let error = runner.await.unwrap_err();
        assert_eq!(error.as_cancelled().unwrap().message(), Some("enough"));
    });
    assert_eq!(seen.len(), 5);
}

/// CPython test_taskgroups: test_taskgroup_07
#[test]
fn a_cancel_from_outside_reaches_the_body_too() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let runner: Task<Outcome<()>> = create_task(Group::scope(async move |tg| {
            for _ in 0..5 {
                tg.create_task(sleeper(log.clone())).detach();
            }
            sleeper(log).await
        }));
        settle().await;
        runner.cancel();
        assert!(runner.await.unwrap_err().is_cancelled());
    });
    assert_eq!(seen.len(), 6);
}

/// CPython test_taskgroups: test_taskgroup_17
#[test]
fn a_cancel_from_outside_of_a_group_with_a_body_only() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let runner: Task<Outcome<()>> =
            create_task(Group::scope(async move |_| sleeper(log).await));
        settle().await;
        runner.cancel();
        assert!(runner.await.unwrap_err().is_cancelled());
    });
    assert_eq!(seen.take(), ["cancelled"]);
}

/// CPython test_taskgroups: test_taskgroup_08
#[test]
fn errors_in_clean_ups_come_before_the_cancellation() {
    run(async {
        let runner: Task<Outcome<()>> = create_task(Group::scope(async |tg| {
            for _ in 0..5 {
                tg.create_task(crashes_in_clean_up()).detach();
            }
            sleep(secs(60.0)).await;
            Ok(())
        }));
        settle().await;
        runner.cancel();
        // The request would strike at the next wait, which never comes.
        let group = runner.await.unwrap().unwrap_err();
        assert_eq!(group.exceptions(), [Oops::ZeroDivision; 5]);
    });
}

/// CPython test_taskgroups: test_taskgroup_08, test_taskgroup_15
#[test]
fn after_errors_the_request_strikes_at_the_next_wait() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let runner = create_task(async move {
            let outcome: Outcome<()> = Group::scope(async |tg| {
                let crash = async {
                    catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                    settle().await;
                    Err::<(), _>(Oops::ZeroDivision)
                };
                tg.create_task(crash).detach();
                let caught = catch_cancelled(sleep(secs(60.0))).await;
                settle().await;
                caught.unwrap_err().propagate().await
            })
            .await;
            log.say(outcome.unwrap_err());
            log.say(current_task().unwrap().cancelling());
            let caught = catch_cancelled(yield_now()).await;
            log.say(if caught.is_err() { "then cancelled" } else { "the request was lost" });
        });
        settle().await;
        runner.cancel();
        runner.await.unwrap();
    });
    let group = "unhandled errors in a TaskGroup (1 error)\n└─ ZeroDivision";
    assert_eq!(seen.take(), [group, "1", "then cancelled"]);
}

/// Where a request is caught before a group fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caught {
    InTheBody,
    WhileTheBodyWaitsForAFailingTask,
    BeforeTheGroup,
    AndTakenBack,
    InAGroupThatDoesNotFail,
}

async fn catch_one() {
    catch_cancelled(sleep(secs(60.0))).await.unwrap_err().swallow();
}

/// Catches a request, in a group or before one, that fails afterwards; whether the next wait is struck.
async fn is_struck_after(caught: Caught) -> bool {
    if caught == Caught::BeforeTheGroup {
        catch_one().await;
    }
    let outcome: Outcome<()> = Group::scope(async |tg| match caught {
        Caught::InTheBody => {
            catch_one().await;
            Err(Oops::Value)
        }
        Caught::WhileTheBodyWaitsForAFailingTask => {
            catch_one().await;
            tg.create_task(crash_after(0, Oops::Value)).detach();
            pending().await
        }
        Caught::BeforeTheGroup => Err(Oops::Value),
        Caught::AndTakenBack => {
            catch_one().await;
            assert_eq!(current_task().unwrap().uncancel(), 0);
            Err(Oops::Value)
        }
        Caught::InAGroupThatDoesNotFail => {
            catch_one().await;
            Ok(())
        }
    })
    .await;
    assert_eq!(outcome.is_err(), caught != Caught::InAGroupThatDoesNotFail);
    let cancels = current_task().unwrap().cancelling();
    let is_struck = catch_cancelled(settle()).await.is_err();
    assert_eq!(current_task().unwrap().cancelling(), cancels, "{caught:?}");
    assert!(catch_cancelled(settle()).await.is_ok(), "{caught:?}: it strikes once");
    is_struck
}

/// CPython's `TaskGroup.__aexit__` since 3.13: a group with errors cancels its task again if that has been cancelled.
///
/// [C]: what each of these does there.
#[test]
fn a_group_with_errors_has_a_request_that_was_caught_strike_again() {
    for (caught, is_struck) in [
        (Caught::InTheBody, true),
        (Caught::WhileTheBodyWaitsForAFailingTask, true),
        (Caught::BeforeTheGroup, true),
        (Caught::AndTakenBack, false),
        (Caught::InAGroupThatDoesNotFail, false),
    ] {
        run(async move {
            let task = create_task(is_struck_after(caught));
            settle().await;
            assert!(task.cancel());
            assert_eq!(task.await.unwrap(), is_struck, "{caught:?}");
        });
    }
}

/// As [`a_group_with_errors_has_a_request_that_was_caught_strike_again`], for that of a timeout round the group.
#[test]
fn a_group_with_errors_has_a_timeout_that_was_caught_strike_again() {
    for caught in [Caught::InTheBody, Caught::BeforeTheGroup] {
        run(async move {
            let outcome = timeout(secs(0.001), is_struck_after(caught)).await;
            // The scope round the next wait catches it and returns, as `except` and `pass` do.
            assert_eq!(outcome, Ok(true), "{caught:?}");
            let outcome = timeout(secs(0.001), async {
                if caught == Caught::BeforeTheGroup {
                    catch_one().await;
                }
                let failed: Outcome<()> = Group::scope(async |_| {
                    if caught == Caught::InTheBody {
                        catch_one().await;
                    }
                    Err(Oops::Value)
                })
                .await;
                assert!(failed.is_err());
                pending::<()>().await
            });
            assert!(outcome.await.is_err(), "the deadline passed");
            assert_eq!(current_task().unwrap().cancelling(), 0);
        });
    }
}

/// As [`a_group_with_errors_has_a_request_that_was_caught_strike_again`], for the strike of a group round the group.
#[test]
fn a_group_with_errors_has_the_outer_group_s_strike_that_was_caught_strike_again() {
    run(async {
        let outcome: Outcome<()> = Group::scope(async |outer| {
            outer.create_task(crash_after(3, Oops::Type)).detach();
            assert!(is_struck_after(Caught::InTheBody).await);
            Ok(())
        })
        .await;
        assert_eq!(outcome.unwrap_err().exceptions(), [Oops::Type]);
        assert!(catch_cancelled(yield_now()).await.is_ok(), "nothing leaks out of the group");
    });
}

/// CPython test_taskgroups: test_error_and_cancel
#[test]
fn a_failure_and_a_cancel_at_once() {
    let log = Log::default();
    let seen = log.clone();
    run_in_order(async move {
        let task = create_task(async move {
            let outcome: Outcome<()> = Group::scope(async |tg| {
                tg.create_task(crash_after(1, Oops::Value)).detach();
                sleep(secs(60.0)).await;
                Ok(())
            })
            .await;
            log.say(outcome.unwrap_err().exceptions()[0]);
            log.say(current_task().unwrap().cancelling());
            sleep(secs(60.0)).await;
            unreachable!("the wait after the group is struck");
        });
        yield_now().await;
        yield_now().await;
        assert_eq!(task.cancelling(), 0);
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(seen.take(), ["Value", "1"]);
}

/// CPython test_taskgroups: test_taskgroup_16
#[test]
fn errors_come_out_of_a_group_in_an_awaited_task() {
    run(async {
        let nested = Group::scope(async |tg| {
            tg.create_task(crashes_in_clean_up()).detach();
            sleep(secs(60.0)).await;
            Ok(())
        });
        let runner: Task<Outcome<()>> =
            create_task(async move { create_task(nested).await.unwrap() });
        settle().await;
        runner.cancel();
        let group = runner.await.unwrap().unwrap_err();
        assert_eq!(group.exceptions(), [Oops::ZeroDivision]);
    });
}

/// CPython test_taskgroups: test_taskgroup_09, test_taskgroup_10
#[test]
fn an_error_of_the_body_cancels_the_tasks_and_is_a_member() {
    for turns in [0, 3] {
        run(async move {
            let mut tasks = None;
            let outcome: Outcome<()> = Group::scope(async |tg| {
                let task = || tg.spawn(sleep(secs(60.0)));
                tasks = Some((task(), task()));
                crash_after(turns, Oops::ZeroDivision).await
            })
            .await;
            assert_eq!(outcome.unwrap_err().exceptions(), [Oops::ZeroDivision]);
            let (one, two) = tasks.unwrap();
            assert!(one.cancelled() && two.cancelled());
        });
    }
}

/// CPython test_taskgroups: test_taskgroup_11, test_taskgroup_12
#[test]
fn a_group_in_a_group_is_a_member() {
    type Outer = TaskGroup<ExceptionGroup<Oops>>;
    for outer_has_a_task in [false, true] {
        let seen = Arc::new(Mutex::new(None));
        let told = seen.clone();
        run(async move {
            let runner = create_task(async move {
                let outcome = Outer::scope(async |tg| {
                    if outer_has_a_task {
                        tg.spawn(sleep(secs(60.0))).detach();
                    }
                    Group::scope(async |inner| {
                        for _ in 0..3 {
                            inner.create_task(crashes_in_clean_up()).detach();
                        }
                        sleep(secs(60.0)).await;
                        Ok(())
                    })
                    .await
                })
                .await;
                *told.lock().unwrap() = Some(outcome.unwrap_err());
            });
            settle().await;
            runner.cancel();
            drop(runner.await);
        });
        let outer = seen.lock().unwrap().take().expect("the error comes out");
        assert_eq!(outer.exceptions().len(), 1);
        assert_eq!(outer.exceptions()[0].exceptions(), [Oops::ZeroDivision; 3]);
        let tree = "unhandled errors in a TaskGroup (1 error)\n\
            └─ unhandled errors in a TaskGroup (3 errors)\n   ├─ ZeroDivision\n   ├─ ZeroDivision\n   └─ ZeroDivision";
        assert_eq!(outer.to_string(), tree);
    }
}

/// CPython test_taskgroups: test_taskgroup_13
#[test]
fn a_task_of_the_outer_group_ends_the_inner_one() {
    run(async {
        let mut inner_task = None;
        let outcome: Outcome<()> = Group::scope(async |outer| {
            outer.create_task(crash_after(3, Oops::Value)).detach();
            let inner: Outcome<()> = Group::scope(async |inner| {
                inner_task = Some(inner.create_task(crash_after(usize::MAX, Oops::Type)));
                Ok(())
            })
            .await;
            unreachable!("the inner group goes on unwinding: {inner:?}")
        })
        .await;
        assert_eq!(outcome.unwrap_err().exceptions(), [Oops::Value]);
        assert!(inner_task.unwrap().cancelled());
    });
}

/// CPython test_taskgroups: test_taskgroup_14
#[test]
fn a_task_of_the_inner_group_ends_the_outer_one() {
    run(async {
        let outcome = TaskGroup::<ExceptionGroup<Oops>>::scope(async |outer| {
            outer.spawn(sleep(secs(60.0))).detach();
            Group::scope(async |inner| {
                inner.create_task(crash_after(1, Oops::Value)).detach();
                Ok(())
            })
            .await
        })
        .await;
        let inner = outcome.unwrap_err().into_first().unwrap();
        assert_eq!(inner.exceptions(), [Oops::Value]);
    });
}

/// CPython test_taskgroups: test_taskgroup_18
#[test]
fn a_body_may_answer_a_cancellation_with_an_error() {
    run(async {
        let runner: Task<Outcome<()>> = create_task(Group::scope(async |_| {
            catch_cancelled(sleep(secs(60.0))).await.unwrap_err().swallow();
            Err(Oops::Type)
        }));
        settle().await;
        runner.cancel();
        assert_eq!(runner.await.unwrap().unwrap_err().exceptions(), [Oops::Type]);
    });
}

/// CPython test_taskgroups: test_taskgroup_20a
#[test]
fn the_body_s_error_in_its_clean_up_joins_that_of_the_task() {
    run(async {
        let outcome: Outcome<()> = Group::scope(async |tg| {
            tg.create_task(crash_after(1, Oops::ZeroDivision)).detach();
            catch_cancelled(sleep(secs(60.0))).await.unwrap_err().swallow();
            Err(Oops::Type)
        })
        .await;
        let group = outcome.unwrap_err();
        assert_eq!(group.exceptions(), [Oops::ZeroDivision, Oops::Type]);
        let (zero, rest) = group.split(|error| *error == Oops::ZeroDivision);
        assert_eq!(zero.unwrap().into_first(), Some(Oops::ZeroDivision));
        assert_eq!(rest.unwrap().exceptions(), [Oops::Type]);
    });
}

/// CPython test_taskgroups: test_taskgroup_20
#[test]
fn a_panic_of_a_task_resumes_when_all_have_ended() {
    let log = Log::default();
    let seen = log.clone();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        run(async move {
            let outcome: Outcome<()> = Group::scope(async |tg| {
                let sibling = log.clone();
                tg.spawn(with_finally(pending::<()>(), move || async move {
                    settle().await;
                    sibling.say("sibling cleaned up");
                }))
                .detach();
                settle().await;
                tg.spawn(async { panic!("boom") }).detach();
                let _guard = OnDrop(log.clone(), "body dropped");
                pending().await
            })
            .await;
            unreachable!("{outcome:?}")
        })
    }));
    let panic = outcome.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"boom"));
    assert_eq!(seen.take(), ["body dropped", "sibling cleaned up"]);
}

/// CPython test_taskgroups: test_taskgroup_20
#[test]
fn a_panic_of_the_body_resumes_when_all_have_ended() {
    let log = Log::default();
    let seen = log.clone();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        run(async move {
            let _: Outcome<()> = Group::scope(async |tg| {
                tg.create_task(sleeper(log)).detach();
                settle().await;
                panic!("the body");
            })
            .await;
        })
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"the body"));
    assert_eq!(seen.take(), ["cancelled"]);
}

/// A task that waits for ever, and takes its time to clean up.
async fn slow_to_clean_up(log: Log) {
    let clean_up = || async move {
        settle().await;
        log.say("cleaned up");
    };
    with_finally(pending(), clean_up).await
}

/// Contract chapter 5: what goes wrong as the body is interrupted is the body's, and comes when the tasks have cleaned up.
#[test]
fn a_panic_of_the_interrupted_body_s_destructor_waits_for_the_tasks() {
    for child_fails in [false, true] {
        let log = Log::default();
        let seen = log.clone();
        run(async move {
            let inner = log.clone();
            let runner: Task<Outcome<()>> = create_task(Group::scope(async move |tg| {
                let _bomb = PanicsOnDrop("the body's destructor");
                tg.spawn(slow_to_clean_up(inner)).detach();
                if child_fails {
                    settle().await;
                    tg.create_task(crash_after(1, Oops::Value)).detach();
                }
                pending().await
            }));
            if !child_fails {
                settle().await;
                runner.cancel();
            }
            let panic = runner.await.unwrap_err().into_panic();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"the body's destructor"));
            log.say("over");
        });
        assert_eq!(seen.take(), ["cleaned up", "over"], "a child fails: {child_fails}");
    }
}

/// As above, where the body has returned.
#[test]
fn a_panic_of_the_finished_body_s_destructor_cancels_the_tasks_and_waits_for_them() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let inner = log.clone();
        let body = |tg: &Group| {
            let task = tg.spawn(slow_to_clean_up(inner));
            let bomb = PanicsOnDrop("the body's destructor");
            let mut turns = Box::pin(settle());
            poll_fn(move |cx| {
                let _owned = (&task, &bomb);
                turns.as_mut().poll(cx).map(|()| Ok(()))
            })
        };
        let runner: Task<Outcome<()>> = create_task(Group::scope(body));
        let panic = runner.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the body's destructor"));
        log.say("over");
    });
    assert_eq!(seen.take(), ["cleaned up", "over"]);
}

/// A task that fails in the very turn in which it is asked to end, and drops what it awaited unasked, has failed.
#[test]
fn a_task_that_fails_as_it_is_cancelled_has_failed() {
    run(async {
        let outcome: Outcome<()> = Group::scope(async |tg| {
            let (mut awaited, mut is_first) = (Some(create_task(pending::<()>())), true);
            let task: Task<()> = tg.create_task(poll_fn(move |cx| {
                if std::mem::take(&mut is_first) {
                    assert!(Pin::new(awaited.as_mut().unwrap()).poll(cx).is_pending());
                    return Poll::Pending;
                }
                awaited = None;
                Poll::Ready(Err(Oops::Value))
            }));
            settle().await;
            assert!(task.cancel());
            let error = uncancellable(task).await.unwrap_err();
            assert!(error.is_failed(), "{error}");
            Ok(())
        })
        .await;
        assert_eq!(outcome.unwrap_err().exceptions(), [Oops::Value]);
    });
}

/// What goes wrong as a task is cancelled, by whomever, is a failure of it, and so is what goes wrong after it has its value.
#[test]
fn a_panic_of_a_task_s_destructor_is_its_failure() {
    for cancelled_by_group in [Some(false), Some(true), None] {
        let log = Log::default();
        let seen = log.clone();
        run(async move {
            let inner = log.clone();
            let runner: Task<Outcome<()>> = create_task(Group::scope(async move |tg| {
                tg.spawn(slow_to_clean_up(inner)).detach();
                settle().await;
                let bomb = PanicsOnDrop("the task's destructor");
                let task = tg.spawn(poll_fn(move |_| {
                    let _owned = &bomb;
                    if cancelled_by_group.is_some() { Poll::Pending } else { Poll::Ready(()) }
                }));
                match cancelled_by_group {
                    Some(true) => tg.cancel(),
                    Some(false) => assert!(task.cancel()),
                    None => {}
                }
                let error = uncancellable(task).await.unwrap_err();
                assert!(error.is_failed(), "{error}");
                pending().await
            }));
            let panic = runner.await.unwrap_err().into_panic();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"the task's destructor"));
            log.say("over");
        });
        assert_eq!(seen.take(), ["cleaned up", "over"], "by the group: {cancelled_by_group:?}");
    }
}

/// CPython test_taskgroups: test_taskgroup_23, test_taskgroup_24
#[test]
fn tasks_make_more_tasks_while_the_scope_waits() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let outcome: Outcome<()> = Group::scope(async |tg| {
            let (group, log) = (tg.clone(), log.clone());
            tg.spawn(async move {
                settle().await;
                for _ in 0..2 {
                    let log = log.clone();
                    group
                        .spawn(async move {
                            settle().await;
                            log.say("made late");
                        })
                        .detach();
                }
            })
            .detach();
            Ok(())
        })
        .await;
        outcome.unwrap();
        log.say("over");
    });
    assert_eq!(seen.take(), ["made late", "made late", "over"]);
}

/// CPython test_taskgroups: test_taskgroup_finished
#[test]
fn a_group_that_is_finished_makes_no_tasks() {
    run(async {
        let mut group = None;
        let outcome: Outcome<()> = Group::scope(async |tg| {
            group = Some(tg.clone());
            Ok(())
        })
        .await;
        outcome.unwrap();
        let group = group.unwrap();
        assert_eq!(format!("{group:?}"), "<TaskGroup finished>");
        let made = catch_unwind(AssertUnwindSafe(|| group.spawn(async {})));
        let panic = made.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"this TaskGroup is finished"));
    });
}

/// CPython test_taskgroups: test_taskgroup_no_create_task_after_failure
#[test]
fn an_aborting_group_gives_a_task_that_has_ended() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let outcome: Outcome<()> = Group::scope(async |tg| {
            let group = tg.clone();
            tg.spawn(async move {
                catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                let guard = OnDrop(log.clone(), "dropped unpolled");
                let late = group.spawn(async move {
                    guard.0.say("ran");
                });
                assert!(late.done() && late.cancelled());
                assert!(late.await.unwrap_err().is_cancelled());
            })
            .detach();
            settle().await;
            tg.create_task(crash_after(1, Oops::ZeroDivision)).detach();
            Ok(())
        })
        .await;
        assert_eq!(outcome.unwrap_err().exceptions(), [Oops::ZeroDivision]);
    });
    assert_eq!(seen.take(), ["dropped unpolled"]);
}

/// A loop's task factory has a say in the tasks of a group, but is not asked for one that the group does not take.
#[test]
fn a_task_factory_is_asked_for_what_the_group_takes() {
    run(async {
        let asked = Arc::new(Mutex::new(0));
        let counts = asked.clone();
        get_running_loop().set_task_factory(Some(move |builder| {
            *counts.lock().unwrap() += 1;
            eager_task_factory(builder)
        }));
        let mut group = None;
        let outcome: Outcome<Task<()>> = Group::scope(async |tg| {
            group = Some(tg.clone());
            assert_eq!(tg.spawn(async { 1 }).value(), Some(&1));
            let waits = tg.spawn(pending::<()>());
            tg.cancel();
            assert!(tg.spawn(async {}).cancelled());
            Ok(waits)
        })
        .await;
        assert!(outcome.unwrap().cancelled());
        let made = catch_unwind(AssertUnwindSafe(|| group.unwrap().spawn(async {})));
        assert_eq!(made.unwrap_err().downcast_ref::<&str>(), Some(&"this TaskGroup is finished"));
        assert_eq!(*asked.lock().unwrap(), 2);
        get_running_loop().set_task_factory(None::<fn(TaskBuilder) -> TaskBuilder>);
    });
}

/// CPython test_taskgroups: test_taskgroup_cancel_body, test_taskgroup_cancel_before_create_task (3.15)
///
/// [C]: the body goes on before the task has its turn.
#[test]
fn cancel_ends_the_group_without_an_error() {
    let log = Log::default();
    let seen = log.clone();
    run_in_order(async move {
        let outcome: Outcome<()> = Group::scope(async |tg| {
            tg.create_task(sleeper(log.clone())).detach();
            settle().await;
            tg.cancel();
            tg.cancel();
            assert_eq!(format!("{tg:?}"), "<TaskGroup tasks=1 cancelling>");
            assert!(tg.spawn(async {}).cancelled(), "no more tasks");
            let _guard = OnDrop(log.clone(), "body interrupted at its next wait");
            log.say("body goes on to its next wait");
            pending().await
        })
        .await;
        let group = outcome.unwrap_err();
        assert!(group.exceptions().is_empty());
        assert_eq!(current_task().unwrap().cancelling(), 0);
        // Nothing leaks into what follows.
        sleep(secs(0.001)).await;
        // A body that had its value keeps it.
        let outcome: Outcome<u8> = Group::scope(async |tg| {
            tg.spawn(pending::<()>()).detach();
            tg.cancel();
            Ok(5)
        })
        .await;
        assert_eq!(outcome, Ok(5));
    });
    let order = ["body goes on to its next wait", "body interrupted at its next wait", "cancelled"];
    assert_eq!(seen.take(), order);
}

/// CPython test_taskgroups: test_taskgroup_cancel_from_child (3.15)
#[test]
fn a_task_may_cancel_its_own_group_and_is_cancelled_itself() {
    run(async {
        let mut task = None;
        let outcome: Outcome<()> = Group::scope(async |tg| {
            let group = tg.clone();
            task = Some(tg.spawn(async move {
                group.cancel();
                pending::<()>().await;
            }));
            pending().await
        })
        .await;
        assert_eq!(outcome.unwrap_err().message(), "the TaskGroup was cancelled");
        assert!(task.unwrap().cancelled());
    });
}

/// Contract chapter 5: what ends the group before the body's first turn interrupts the body at its first wait, and lets it clean up.
#[test]
fn a_group_that_is_ended_before_its_body_starts_interrupts_it_at_its_first_wait() {
    for kind in ["cancelled", "a task failed", "a task failed eagerly"] {
        let log = Log::default();
        let seen = log.clone();
        run(async move {
            if kind == "a task failed eagerly" {
                get_running_loop().set_task_factory(Some(eager_task_factory));
            }
            let inner = log.clone();
            let body = |tg: &Group| {
                match kind {
                    "cancelled" => tg.cancel(),
                    _ => tg.create_task(crash_after(0, Oops::Value)).detach(),
                }
                async move {
                    inner.say("started");
                    let caught = catch_cancelled(pending::<()>()).await;
                    inner.say("interrupted");
                    yield_now().await;
                    inner.say("cleaned up");
                    caught.unwrap_err().propagate().await
                }
            };
            let outcome: Outcome<()> = Group::scope(body).await;
            let errors: &[Oops] = if kind == "cancelled" { &[] } else { &[Oops::Value] };
            assert_eq!(outcome.unwrap_err().exceptions(), errors);
            assert_eq!(current_task().unwrap().cancelling(), 0);
            get_running_loop().set_task_factory(None::<fn(TaskBuilder) -> TaskBuilder>);
        });
        assert_eq!(seen.take(), ["started", "interrupted", "cleaned up"], "{kind}");
    }
    // Without a scope inside that has a say.
    let outcome: Outcome<()> = run(Group::scope(|tg: &Group| {
        tg.cancel();
        pending()
    }));
    assert_eq!(outcome.unwrap_err().message(), "the TaskGroup was cancelled");
}

/// A group in the body of a generator is ended while that stands still: nobody else is interrupted, and the body is at its first wait after.
#[test]
fn a_group_that_fails_in_a_generator_at_rest_interrupts_its_body_only() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let gate: asyncio::Future<()> = asyncio::Future::new();
        let opened = gate.clone();
        let mut generator = async_generator(|items: Yielder<u32>| async move {
            let outcome: Outcome<()> = Group::scope(async |tg| {
                let crash = async {
                    opened.await.unwrap();
                    Err(Oops::Value)
                };
                tg.create_task::<(), _>(crash).detach();
                items.put(1).await;
                let caught = catch_cancelled(pending::<()>()).await;
                log.say("interrupted");
                caught.unwrap_err().propagate().await
            })
            .await;
            assert_eq!(outcome.unwrap_err().exceptions(), [Oops::Value]);
            items.put(2).await;
        });
        assert_eq!(generator.next().await, Some(1));
        gate.set_result(()).unwrap();
        settle().await;
        assert_eq!(generator.next().await, Some(2));
        assert!(catch_cancelled(yield_now()).await.is_ok());
    });
    assert_eq!(seen.take(), ["interrupted"]);
}

/// CPython test_taskgroups: test_cancelling_level_preserved
#[test]
fn a_handled_error_leaves_no_request_behind() {
    run(async {
        let outcome: Outcome<()> = Group::scope(async |tg| {
            tg.create_task(crash_after(0, Oops::Value)).detach();
            pending().await
        })
        .await;
        assert!(outcome.is_err());
        assert_eq!(current_task().unwrap().cancelling(), 0);
        assert!(catch_cancelled(yield_now()).await.is_ok());
    });
}

/// CPython test_taskgroups: test_nested_groups_both_cancelled
///
/// [C]: both fail in one pass.
#[test]
fn both_groups_fail_at_once() {
    let log = Log::default();
    let seen = log.clone();
    run_in_order(async move {
        let outcome: Outcome<()> = Group::scope(async |outer| {
            let inner: Outcome<()> = Group::scope(async |inner| {
                inner.create_task(crash_after(0, Oops::Type)).detach();
                outer.create_task(crash_after(0, Oops::Value)).detach();
                Ok(())
            })
            .await;
            // The inner error is handled here; the outer group's request strikes at the next wait.
            log.say(inner.unwrap_err().exceptions()[0]);
            let _guard = OnDrop(log.clone(), "the outer body is interrupted");
            pending().await
        })
        .await;
        assert_eq!(outcome.unwrap_err().exceptions(), [Oops::Value]);
        assert_eq!(current_task().unwrap().cancelling(), 0);
    });
    assert_eq!(seen.take(), ["Type", "the outer body is interrupted"]);
}

/// CPython test_taskgroups: test_cancellation_does_not_leak_out_of_tg
#[test]
fn a_cancellation_does_not_leak_out_of_the_group() {
    run(async {
        let outcome: Outcome<()> = Group::scope(async |tg| {
            tg.create_task(crash_after(0, Oops::Value)).detach();
            Ok(())
        })
        .await;
        assert_eq!(outcome.unwrap_err().exceptions(), [Oops::Value]);
        for _ in 0..3 {
            assert!(catch_cancelled(yield_now()).await.is_ok());
        }
    });
}

/// CPython test_taskgroups: test_cancels_task_if_created_during_creation
#[test]
fn a_failing_grandchild_cancels_the_task_that_made_it_at_its_next_wait() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let outcome: Outcome<()> = Group::scope(async |tg| {
            let group = tg.clone();
            tg.spawn(async move {
                group.create_task(crash_after(0, Oops::ZeroDivision)).detach();
                log.say("made");
                let caught = catch_cancelled(sleep(secs(60.0))).await;
                log.say(if caught.is_err() { "cancelled" } else { "lost" });
            })
            .detach();
            Ok(())
        })
        .await;
        assert_eq!(outcome.unwrap_err().exceptions(), [Oops::ZeroDivision]);
    });
    assert_eq!(seen.take(), ["made", "cancelled"]);
}

/// CPython test_taskgroups: test_taskgroup_without_parent_task
#[test]
fn outside_tasks_there_is_no_group() {
    let mut scope = Box::pin(TaskGroup::<Infallible>::scope(async |_| Ok(())));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| scope.as_mut().poll(&mut cx)));
    let panic = polled.unwrap_err();
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap();
    assert!(text.contains("cannot determine the parent task"), "{text}");
}

/// The handle of a task that failed says that its error is with the group.
#[test]
fn the_handle_of_a_failed_task_says_where_its_error_is() {
    run(async {
        let mut task = None;
        let outcome: Outcome<()> = Group::scope(async |tg| {
            task = Some(tg.create_task(crash_after(0, Oops::Value)));
            Ok(())
        })
        .await;
        assert!(outcome.is_err());
        let error = task.unwrap().await.unwrap_err();
        assert!(error.is_failed() && !error.is_cancelled() && !error.is_panic());
        assert_eq!(error.to_string(), "the task failed and its error went to its group");
    });
}

/// Contract chapter 5: a scope that is dropped cancels its tasks, which clean up by themselves.
///
/// [C]: whoever drops it goes on before they do.
#[test]
fn dropping_the_scope_cancels_the_tasks() {
    let log = Log::default();
    let seen = log.clone();
    run_in_order(async move {
        let inner = log.clone();
        let mut scope = Box::pin(Group::scope(async move |tg| {
            tg.create_task(sleeper(inner.clone())).detach();
            let _guard = OnDrop(inner, "body dropped");
            pending::<Result<(), Oops>>().await
        }));
        poll_fn(|cx| {
            assert!(scope.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        settle().await;
        drop(scope);
        log.say("scope dropped");
        settle().await;
        assert!(catch_cancelled(yield_now()).await.is_ok(), "no request is left");
    });
    assert_eq!(seen.take(), ["body dropped", "scope dropped", "cancelled"]);
}

/// A body's await of a failing task is interrupted before it could see the failure.
#[test]
fn the_body_does_not_see_the_failure_it_awaits() {
    run(async {
        let outcome: Outcome<()> = Group::scope(async |tg| {
            let task = tg.create_task(crash_after(2, Oops::Value));
            task.await?;
            unreachable!("the body is interrupted");
        })
        .await;
        assert_eq!(outcome.unwrap_err().exceptions(), [Oops::Value]);
    });
}
