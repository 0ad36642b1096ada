//! What can be observed of the programs of groups `task` and `group`, as far as it is about many at once; the rest of `task` is in `programs.rs`.
//! Times are those of the programs, a hundredth as long.

#![allow(clippy::duplicate_mod)] // Both of the modules below take the same helpers in.

mod common;
mod together;

use asyncio::{
    EventLoop, Future, ReturnWhen, Task, TaskBuilder, TaskGroup, Warning, as_completed,
    catch_cancelled, create_task, gather, get_running_loop, now, run, secs, shield, sleep, timeout,
    timeout_at, timeout_scope, to_thread, wait, wait_for, with_finally, yield_now,
};
use common::{loop_in_order, new_loop, panic_message, reports};
use std::thread;
use std::time::Duration;
use together::{Log, Oops, run_in_order, settle};

/// What no total that is right takes, however busy the machine.
const GENEROUS: Duration = Duration::from_secs(5);

/// A second of the programs.
fn second() -> Duration {
    secs(0.01)
}

// ----- task

/// Program P-task-3
#[test]
fn three_counts_take_turns() {
    let log = Log::default();
    let total = run(async {
        let count = || {
            let log = log.clone();
            async move {
                log.say("One");
                sleep(second()).await;
                log.say("Two");
            }
        };
        let started = now();
        gather!(count(), count(), count()).await.unwrap();
        now() - started
    });
    assert_eq!(log.take(), ["One", "One", "One", "Two", "Two", "Two"]);
    assert!(total >= second() && total < GENEROUS, "{total:?}");
}

/// Program P-task-4
#[test]
fn ten_sleeps_are_one_and_ten_that_block_are_named() {
    // With several workers some of them block at the same time.
    let event_loop = loop_in_order();
    let said = Log::default();
    let noted = said.clone();
    event_loop.set_warning_handler(Some(move |_: &EventLoop, warning: &Warning| {
        noted.say(&warning.message);
    }));
    event_loop.set_debug(true);
    event_loop.set_slow_callback_duration(2 * second());
    let main = async {
        let started = now();
        wait((0..10).map(|_| create_task(sleep(2 * second())))).await;
        let asleep = now() - started;
        let started = now();
        let blocking = |n| {
            let task = async { thread::sleep(3 * second()) };
            TaskBuilder::new().name(format!("culprit {n}")).create_task(task)
        };
        wait((0..3).map(blocking)).await;
        let blocked = now() - started;
        let started = now();
        let jobs = (0..10).map(|_| create_task(to_thread(|| thread::sleep(2 * second()))));
        wait(jobs).await;
        (asleep, blocked, now() - started)
    };
    let (asleep, blocked, in_threads) = event_loop.run_until_complete(main).unwrap();
    assert!(asleep >= 2 * second() && asleep < GENEROUS);
    assert!(blocked >= 9 * second(), "one after the other: {blocked:?}");
    assert!(in_threads >= 2 * second() && in_threads < GENEROUS);
    let said = said.take();
    let names = |n: u32| said.iter().any(|said| said.contains(&format!("culprit {n}")));
    assert!((0..3).all(names), "{said:?}");
    event_loop.close().unwrap();
}

/// Program P-task-8
#[test]
fn a_task_without_a_handle_runs_on_and_its_failure_is_reported() {
    let event_loop = new_loop();
    let reported = reports(&event_loop);
    let log = Log::default();
    let logged = log.clone();
    let (main, line) = (
        async move {
            let silent = logged.clone();
            drop(create_task(async move { silent.say("ran on") }));
            drop(TaskBuilder::new().name("careless").create_task(async { panic!("unseen") }));
            settle().await;
        },
        line!() - 3,
    );
    event_loop.run_until_complete(main).unwrap();
    assert_eq!(log.take(), ["ran on"]);
    let reported = reported.take();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].task_name.as_deref(), Some("careless"));
    assert_eq!(reported[0].line, Some(line));
    assert_eq!(reported[0].exception.as_deref(), Some("panic: unseen"));
    event_loop.close().unwrap();
}

/// Program P-task-10
#[test]
fn a_seed_gives_the_same_draws_in_every_run() {
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*state >> 33) % 11
    }
    let draw = |log: Log| {
        run(async move {
            let retry = |index: u32| {
                let log = log.clone();
                async move {
                    let mut seed = u64::from(index);
                    loop {
                        let drawn = next(&mut seed);
                        log.say(format!("{index} drew {drawn}"));
                        if drawn > 7 {
                            return drawn;
                        }
                        sleep(secs(0.0005) * (index + 1)).await;
                    }
                }
            };
            gather((0..3).map(retry)).await.unwrap()
        })
    };
    let logs = [Log::default(), Log::default()];
    let [first, second] = [0, 1].map(|n: usize| draw(logs[n].clone()));
    assert!(first.iter().all(|&drawn| drawn > 7));
    assert_eq!(first, second);
    let of = |log: &Log, index: usize| -> Vec<String> {
        log.take().into_iter().filter(|line| line.starts_with(&index.to_string())).collect()
    };
    let draws = |log: &Log| of(log, 2);
    assert_eq!(draws(&logs[0]), draws(&logs[1]));
}

// ----- group

/// Program P-group-1
#[test]
fn ten_results_come_in_the_order_of_the_arguments_in_two_stages() {
    let log = Log::default();
    let total = run(async {
        let started = now();
        let stage = |seconds: u32| {
            let log = log.clone();
            gather((0..10_u32).map(move |n| {
                let log = log.clone();
                async move {
                    sleep(second() * seconds / (n + 1)).await;
                    log.say(n);
                    n
                }
            }))
        };
        let expected: Vec<u32> = (0..10).collect();
        assert_eq!(stage(5).await.unwrap(), expected);
        assert_eq!(stage(2).await.unwrap(), expected);
        now() - started
    });
    let ended = log.take();
    assert_eq!((ended.len(), &*ended[9], &*ended[19]), (20, "0", "0"), "the longest ends last");
    assert!(total >= 7 * second() && total < GENEROUS, "{total:?}");
}

/// Program P-group-2
#[test]
fn a_group_of_groups_of_which_one_is_cancelled() {
    let log = Log::default();
    run(async {
        let member = |name: &'static str| {
            let log = log.clone();
            async move {
                let long = if name.starts_with('b') { 1000 } else { 1 };
                let slept = catch_cancelled(sleep(second() * long)).await;
                log.say(format!("{name} {}", if slept.is_ok() { "ended" } else { "cancelled" }));
                match slept {
                    Ok(()) => name,
                    Err(cancelled) => cancelled.propagate().await,
                }
            }
        };
        let group1 = gather(["a1", "a2", "a3"].map(member));
        let group2 = gather(["b1", "b2"].map(member));
        settle().await;
        assert!(group2.cancel());
        let (first, second) = gather!(group1, group2).await.unwrap();
        assert_eq!(first.unwrap(), ["a1", "a2", "a3"]);
        assert!(second.unwrap_err().is_cancelled());
    });
    let mut log = log.take();
    log.sort();
    assert_eq!(log, ["a1 ended", "a2 ended", "a3 ended", "b1 cancelled", "b2 cancelled"]);
}

/// Program P-group-3
#[test]
fn half_of_ten_are_done_in_time_and_the_rest_are_cancelled() {
    let event_loop = new_loop();
    let reported = reports(&event_loop);
    let log = Log::default();
    let nap = |log: &Log, n: u32| {
        let log = log.clone();
        async move {
            if let Err(cancelled) = catch_cancelled(sleep(second() * n * 3)).await {
                log.say(n);
                cancelled.propagate::<()>().await;
            }
        }
    };
    let naps: Vec<_> = (1..=10).map(|n| event_loop.create_task(nap(&log, n))).collect();
    let main = async {
        let (done, pending) = wait(naps).timeout(second() * 16).await;
        assert!(!done.is_empty() && !pending.is_empty(), "{} done", done.len());
        let left = pending.len();
        for task in &pending {
            assert!(task.cancel());
        }
        let (ended, none) = wait(pending).await;
        assert!(none.is_empty() && ended.iter().all(Task::cancelled));
        left
    };
    let left = event_loop.run_until_complete(main).unwrap();
    assert_eq!(log.take().len(), left, "each said that it was cancelled");
    event_loop.close().unwrap();
    assert!(reported.take().is_empty(), "nothing was destroyed while pending");
}

/// Program P-group-3, without the cancel
#[test]
fn what_is_not_cancelled_is_destroyed_at_close_and_reported() {
    let event_loop = new_loop();
    let reported = reports(&event_loop);
    let naps: Vec<_> = [1, 1000].map(|n| event_loop.create_task(sleep(second() * n))).into();
    let main = async { wait(naps).return_when(ReturnWhen::FirstCompleted).await.1 };
    let pending = event_loop.run_until_complete(main).unwrap();
    event_loop.close().unwrap();
    drop(pending);
    let messages: Vec<_> = reported.take().into_iter().map(|report| report.message).collect();
    assert_eq!(messages, ["Task was destroyed but it is pending!"]);
}

/// Program P-group-4
#[test]
fn one_the_first_failure_or_all() {
    run(async {
        let naps = || {
            [1, 20, 500].map(|n| {
                create_task(async move {
                    sleep(second() * n).await;
                    if n == 20 { Err(Oops::Value) } else { Ok(n) }.unwrap()
                })
            })
        };
        let (done, left) = wait(naps()).return_when(ReturnWhen::FirstCompleted).await;
        assert_eq!((done.len(), left.len()), (1, 2));
        left.iter().for_each(|task| assert!(task.cancel()));
        let (done, left) = wait(naps()).return_when(ReturnWhen::FirstException).await;
        assert_eq!((done.len(), left.len()), (2, 1));
        assert!(done.iter().any(|task| task.error().is_some()));
        done.iter().for_each(Task::forgive);
        let (done, left) = wait(naps().into_iter().take(2)).await;
        assert_eq!((done.len(), left.len()), (2, 0));
        done.iter().for_each(Task::forgive);
        assert!(panic_message(|| wait(Vec::<Task<()>>::new())).contains("at least one task"));
    });
}

/// Program P-group-5
///
/// [C]: tasks that are woken in an order run in it.
#[test]
fn results_come_as_they_end_and_a_limit_lets_the_rest_live() {
    run_in_order(async {
        let nap = |n: u32| async move {
            sleep(second() * n).await;
            n
        };
        let mut naps = as_completed([4, 1, 2].map(nap));
        let mut seen = Vec::new();
        while let Some(n) = naps.next().await {
            seen.push(n.unwrap());
        }
        assert_eq!(seen, [1, 2, 4]);

        let last: Future<u32> = Future::new();
        let waiting = last.clone();
        let slow = create_task(async move { waiting.await.unwrap() });
        let input = slow.handle();
        let quick = [1, 2].map(|n| create_task(nap(n)));
        let tasks = quick.into_iter().chain([slow]);
        let mut naps = as_completed::<u32, _>(tasks).timeout(secs(0.25));
        assert_eq!(naps.next().await.unwrap().unwrap().unwrap(), 1);
        assert_eq!(naps.next().await.unwrap().unwrap().unwrap(), 2);
        assert!(naps.next().await.unwrap().is_err());
        assert!(!input.done() && !last.done(), "the input lives on");
        last.set_result(4).unwrap();
        (&input).await;
        assert!(!input.cancelled());
    });
}

/// Program P-group-6
#[test]
fn limits_in_all_their_forms_and_a_shield() {
    run(async {
        let work = async || {
            sleep(second()).await;
            "done"
        };
        assert_eq!(wait_for(work(), GENEROUS).await, Ok("done"));
        assert_eq!(timeout(GENEROUS, work()).await, Ok("done"));
        assert_eq!(timeout_at(now() + GENEROUS, work()).await, Ok("done"));
        assert!(wait_for(sleep(second() * 100), secs(0.001)).await.is_err());
        let moved = timeout_scope(secs(0.001), async |deadline| {
            deadline.reschedule(now() + GENEROUS).unwrap();
            work().await
        });
        assert_eq!(moved.await, Ok("done"));

        let log = Log::default();
        let logged = log.clone();
        let mut task = create_task(async move {
            sleep(second() * 10).await;
            logged.say("the work is done");
        });
        assert!(timeout(secs(0.001), shield(&mut task)).await.is_err());
        assert!(log.take().is_empty());
        task.await.unwrap();
        assert_eq!(log.take(), ["the work is done"]);
    });
}

/// Program P-group-7
#[test]
fn a_group_succeeds_fails_and_nests() {
    let log = Log::default();
    run(async {
        let all = TaskGroup::<Oops>::scope(async |tg| {
            let tasks = [1, 2, 3].map(|n| {
                tg.create_task(async move {
                    yield_now().await;
                    Ok(n)
                })
            });
            let mut sum = 0;
            for task in tasks {
                sum += task.await?;
            }
            Ok(sum)
        });
        assert_eq!(all.await.unwrap(), 6);

        let sibling = log.clone();
        let one_fails = TaskGroup::<Oops>::scope(async |tg| {
            let clean_up = move || async move {
                sleep(second()).await;
                sibling.say("cleaned up");
            };
            tg.spawn(with_finally(sleep(secs(3600.0)), clean_up)).detach();
            let failing: Task<()> = tg.create_task(async {
                yield_now().await;
                Err(Oops::ZeroDivision)
            });
            failing.detach();
            Ok(())
        });
        let error = one_fails.await.unwrap_err();
        log.say("the group has ended");
        assert_eq!(error.exceptions(), [Oops::ZeroDivision]);
        assert_eq!(error.message(), "unhandled errors in a TaskGroup");

        let nested = TaskGroup::<Oops>::scope(async |tg| {
            tg.create_task(async {
                let inner = TaskGroup::<Oops>::scope(async |tg| {
                    let failing: Task<()> = tg.create_task(async { Err(Oops::Type) });
                    failing.detach();
                    Ok(())
                });
                inner.await.map_err(|group| group.into_first().expect("one error"))
            })
            .detach();
            Ok(())
        });
        assert_eq!(nested.await.unwrap_err().exceptions(), [Oops::Type]);
        assert_eq!(get_running_loop().all_tasks().len(), 1, "only main is left");
    });
    assert_eq!(log.take(), ["cleaned up", "the group has ended"]);
}
