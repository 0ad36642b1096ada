//! `join!`, `race!`, `select!` and `scope`: several things at once on one task, and how cancels reach them.

mod together;

use asyncio::{
    Event, Future, FutureError, LocalScope, Queue, Task, catch_cancelled, create_task, join,
    new_event_loop, now, race, run, scope, secs, select, sleep, timeout, uncancellable,
    with_finally, yield_now,
};
use std::cell::RefCell;
use std::future::{pending, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use together::{Log, OnDrop, settle};

// ----- join!

#[test]
fn join_runs_by_turns_and_may_borrow() {
    // Neither `Send` nor `'static`.
    let (seen, text) = (Rc::new(RefCell::new(Vec::new())), String::from("text"));
    let say = async |name: &str| {
        for turn in 0..3 {
            seen.borrow_mut().push(format!("{name}{turn} {text}"));
            yield_now().await;
        }
        name.len()
    };
    let (a, bb) = run(async { join!(say("a"), say("bb")) });
    assert_eq!((a, bb), (1, 2));
    let turns: Vec<String> = seen.borrow().iter().map(|said| said[..2].to_owned()).collect();
    assert_eq!(turns, ["a0", "bb", "a1", "bb", "a2", "bb"]);
}

#[test]
fn join_takes_up_to_twelve_and_whatever_can_be_awaited() {
    run(async {
        assert_eq!(join!(ready(1)), (1,));
        let task = create_task(async { "task" });
        let mut kept = create_task(async { 2 });
        let (task, kept_value, ()) = join!(task, &mut kept, sleep(secs(0.001)));
        assert_eq!((task.unwrap(), kept_value.unwrap()), ("task", 2));
        let all = join!(
            ready(1),
            ready(2),
            ready(3),
            ready(4),
            ready(5),
            ready(6),
            ready(7),
            ready(8),
            ready(9),
            ready(10),
            ready(11),
            ready("twelve"),
        );
        assert_eq!((all.0, all.11), (1, "twelve"));
    });
}

#[test]
fn one_that_has_ended_is_dropped_before_the_others_have() {
    let log = Log::default();
    run(async {
        let held = OnDrop(log.clone(), "dropped");
        let first = async {
            let _held = &held;
            yield_now().await;
        };
        let logged = log.clone();
        // `held` is outside; this one is inside the future itself.
        let inside = OnDrop(log.clone(), "inside dropped");
        let second = async move {
            let _inside = inside;
        };
        let third = async move {
            settle().await;
            assert_eq!(logged.take(), ["inside dropped"]);
        };
        join!(first, second, third);
    });
}

#[test]
fn a_cancel_reaches_the_scopes_of_every_branch() {
    let log = Log::default();
    run(async {
        let branch = |name: &'static str| {
            let log = log.clone();
            async move {
                let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
                log.say(format!("{name} {}", caught.message().unwrap()));
                sleep(secs(0.001)).await;
                log.say(format!("{name} clean"));
            }
        };
        let (a, b) = (branch("a"), branch("b"));
        let task = create_task(async move {
            join!(a, b);
            "went on"
        });
        settle().await;
        task.cancel_with("stop");
        assert_eq!(task.await.unwrap(), "went on");
    });
    assert_eq!(log.take(), ["a stop", "b stop", "a clean", "b clean"]);
}

#[test]
fn a_cancel_of_a_join_without_scopes_drops_all() {
    let log = Log::default();
    run(async {
        let branch = |name| {
            let held = OnDrop(log.clone(), name);
            async move {
                let _held = held;
                pending::<()>().await;
            }
        };
        let (a, b) = (branch("a"), branch("b"));
        let task = create_task(async move { join!(a, b) });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(log.take(), ["a", "b"]);
}

#[test]
fn a_join_of_tasks_passes_a_cancel_on_to_all_and_waits() {
    let log = Log::default();
    run(async {
        let child = |name: &'static str, delay: f64| {
            let log = log.clone();
            create_task(with_finally(pending::<()>(), move || async move {
                sleep(secs(delay)).await;
                log.say(name);
            }))
        };
        let (a, b) = (child("a", 0.004), child("b", 0.001));
        let task = create_task(async move { join!(a, b) });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["b", "a"]);
    });
}

#[test]
fn a_timeout_strikes_inside_a_join() {
    run(async {
        let inside = async {
            let (caught, value) = join!(catch_cancelled(pending::<()>()), ready(1));
            (caught.is_err(), value)
        };
        assert_eq!(timeout(secs(0.001), inside).await, Ok((true, 1)));
    });
}

// ----- race!

#[test]
fn the_first_to_end_wins_and_the_others_are_dropped() {
    let log = Log::default();
    run(async {
        let slow = {
            let held = OnDrop(log.clone(), "slow dropped");
            async move {
                let _held = held;
                sleep(secs(5.0)).await;
                "slow"
            }
        };
        let fast = async {
            sleep(secs(0.001)).await;
            "fast"
        };
        assert_eq!(race!(slow, fast), "fast");
        log.say("after");
        // Of two that are ready the one written first.
        assert_eq!(race!(pending(), ready("second"), ready("third")), "second");
    });
    assert_eq!(log.take(), ["slow dropped", "after"]);
}

#[test]
fn a_task_that_loses_runs_on_unless_it_is_guarded() {
    run(async {
        let (kept, guarded) = (Event::new(), Event::new());
        let (kept, guarded) = (Arc::new(kept), Arc::new(guarded));
        let wait = |event: &Arc<Event>| {
            let event = event.clone();
            create_task(async move { event.wait().await })
        };
        let (one, other) = (wait(&kept), wait(&guarded).cancel_on_drop());
        let (first, second) = (one.handle(), other.handle());
        race!(async { drop(one.await) }, async { drop(other.await) }, yield_now());
        settle().await;
        assert!(!first.done() && second.cancelled());
        kept.set();
        settle().await;
        assert!(first.done() && !first.cancelled());
    });
}

#[test]
fn a_request_is_not_lost_with_a_loser() {
    run(async {
        let gate: Future<()> = Future::new();
        let inner = gate.clone();
        let task: Task<()> = create_task(async move {
            let loser = async {
                drop(catch_cancelled(pending::<()>()).await);
                unreachable!("it loses");
            };
            race!(async { drop(asyncio::shield(inner).await) }, loser);
            pending().await
        });
        settle().await;
        gate.set_result(()).unwrap();
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

// ----- select!

#[test]
fn select_runs_the_code_of_the_first() {
    run(async {
        let picked = select! {
            () = sleep(secs(5.0)) => "sleep",
            value = ready(1) => {
                assert_eq!(value, 1);
                "ready"
            }
            _ = pending::<()>() => "never",
        };
        assert_eq!(picked, "ready");
    });
}

#[test]
fn the_losers_are_dropped_before_the_code_runs() {
    let log = Log::default();
    run(async {
        let held = OnDrop(log.clone(), "dropped");
        let loser = async move {
            let _held = held;
            pending::<()>().await;
        };
        select! {
            () = loser => unreachable!(),
            () = yield_now() => log.say("code"),
        }
    });
    assert_eq!(log.take(), ["dropped", "code"]);
}

#[test]
fn conditions_and_patterns_disable_branches() {
    async fn pick(first: bool, value: Option<u8>) -> &'static str {
        select! {
            () = ready(()), if first => "condition",
            Some(5..) = ready(value) => "big",
            Some(_) = async { yield_now().await; value } => "small",
            else => "nothing",
        }
    }
    run(async {
        assert_eq!(pick(true, None).await, "condition");
        assert_eq!(pick(false, Some(7)).await, "big");
        assert_eq!(pick(false, Some(1)).await, "small");
        assert_eq!(pick(false, None).await, "nothing");
    });
}

#[test]
fn a_future_whose_condition_is_false_is_not_made() {
    let made = Log::default();
    run(async {
        let make = |name: &'static str| {
            made.say(name);
            ready(())
        };
        select! {
            () = make("no"), if false => unreachable!(),
            () = make("yes"), if true => {},
        }
    });
    assert_eq!(made.take(), ["yes"]);
}

#[test]
#[should_panic = "all branches of `select!` are disabled and there is no `else`"]
fn nothing_to_wait_for_is_misuse() {
    run(async {
        select! {
            () = pending(), if false => {}
        }
    });
}

#[test]
fn code_may_break_return_and_ask() {
    async fn drain(queue: &Queue<u8>) -> Result<u32, FutureError<String>> {
        let stop: Future<(), String> = Future::new();
        let (mut sum, mut limit) = (0, pin!(async { sleep(secs(5.0)).await }));
        loop {
            select! {
                Ok(item) = queue.get() => {
                    sum += u32::from(item);
                    match item {
                        0 => break,
                        9 => return Ok(900),
                        8 => stop.set_exception("asked").unwrap(),
                        _ => yield_now().await,
                    }
                }
                outcome = stop.clone(), if stop.done() => outcome?,
                () = &mut limit => unreachable!("the test is quick"),
            }
        }
        Ok(sum)
    }
    run(async {
        let queue = Queue::new(10);
        let fill = |items: &[u8]| items.iter().for_each(|&item| queue.put_nowait(item).unwrap());
        fill(&[1, 2, 0]);
        assert_eq!(drain(&queue).await, Ok(3));
        fill(&[1, 9]);
        assert_eq!(drain(&queue).await, Ok(900));
        fill(&[8]);
        assert_eq!(drain(&queue).await, Err(FutureError::Exception("asked".to_owned())));
    });
}

#[test]
fn a_cancel_reaches_the_scopes_inside_a_select() {
    run(async {
        let task = create_task(async {
            select! {
                outcome = catch_cancelled(pending::<()>()) => outcome.unwrap_err().message().unwrap().to_owned(),
                () = sleep(secs(5.0)) => unreachable!(),
            }
        });
        settle().await;
        task.cancel_with("caught");
        assert_eq!(task.await.unwrap(), "caught");
    });
}

// ----- scope

#[test]
fn children_borrow_and_are_waited_for() {
    run(async {
        let (names, done) = (vec!["a", "b", "c"], AtomicU32::new(0));
        let (names, done) = (&names, &done);
        let body = scope(|s| async move {
            for name in names {
                drop(s.spawn(async move {
                    sleep(secs(0.001)).await;
                    done.fetch_add(name.len() as u32, Relaxed);
                }));
            }
            "body"
        });
        assert_eq!(body.await, "body");
        assert_eq!(done.load(Relaxed), 3);
    });
}

#[test]
fn a_child_gives_its_result_and_may_make_more() {
    fn tree(
        s: LocalScope<'_>,
        depth: u32,
    ) -> Pin<Box<dyn std::future::Future<Output = u32> + Send + '_>> {
        Box::pin(async move {
            if depth == 0 {
                return 1;
            }
            let (left, right) = (s.clone(), s.clone());
            let left = s.spawn(async move { tree(left, depth - 1).await });
            let right = s.spawn(async move { tree(right, depth - 1).await });
            left.await + right.await
        })
    }
    assert_eq!(run(scope(|s| async move { tree(s, 6).await })), 64);
}

#[test]
fn only_children_that_were_woken_are_polled() {
    run(async {
        let polls = AtomicU32::new(0);
        let (event, polls) = (&Event::new(), &polls);
        scope(|s| async move {
            drop(s.spawn(async move {
                let mut wait = pin!(event.wait());
                std::future::poll_fn(|cx| {
                    polls.fetch_add(1, Relaxed);
                    std::future::Future::poll(wait.as_mut(), cx)
                })
                .await
            }));
            for _ in 0..100 {
                yield_now().await;
            }
            event.set();
        })
        .await;
        assert_eq!(polls.load(Relaxed), 2);
    });
}

#[test]
fn dropping_a_scope_drops_all() {
    let log = Log::default();
    run(async {
        let (child, body) = (OnDrop(log.clone(), "child"), OnDrop(log.clone(), "body"));
        let running = scope(|s| async move {
            let _body = body;
            let again = s.clone();
            drop(s.spawn(async move {
                let (_child, _scope) = (child, again);
                pending::<()>().await;
            }));
            pending::<()>().await;
        });
        select! {
            () = running => unreachable!(),
            () = settle() => {}
        }
        assert_eq!(log.take(), ["body", "child"]);
    });
}

#[test]
fn a_cancel_reaches_the_scopes_of_children_and_body() {
    let log = Log::default();
    run(async {
        let logged = log.clone();
        let task = create_task(async move {
            let logged = &logged;
            scope(|s| async move {
                for name in ["one", "two"] {
                    drop(s.spawn(async move {
                        let caught = catch_cancelled(pending::<()>()).await;
                        logged.say(format!("{name} {}", caught.is_err()));
                    }));
                }
                let caught = catch_cancelled(pending::<()>()).await;
                logged.say(format!("body {}", caught.is_err()));
            })
            .await;
        });
        settle().await;
        task.cancel();
        task.await.unwrap();
    });
    let mut seen = log.take();
    seen.sort();
    assert_eq!(seen, ["body true", "one true", "two true"]);
}

#[test]
fn a_cancel_goes_on_through_a_child_to_the_task_it_awaits() {
    run(async {
        let future: Future<()> = Future::new();
        let inner = future.clone();
        let task = create_task(async move {
            scope(|s| async move {
                drop(s.spawn(async move { drop(create_task(inner).await) }));
                uncancellable(settle()).await;
            })
            .await;
        });
        settle().await;
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(future.cancelled());
    });
}

#[test]
fn a_panic_of_a_child_is_that_of_the_scope() {
    let event_loop = new_event_loop().unwrap();
    let task: Task<()> = event_loop.create_task(async {
        scope(|s| async move {
            drop(s.spawn(async { panic!("of a child") }));
            pending::<()>().await;
        })
        .await;
    });
    let error = event_loop.run_until_complete(task).unwrap().unwrap_err();
    assert_eq!(error.as_panic().unwrap().message(), "of a child");
    event_loop.close().unwrap();
}

#[test]
#[should_panic = "this scope is over"]
fn a_handle_that_outlives_its_scope_makes_no_children() {
    run(async {
        let mut kept = None;
        scope(|s| {
            kept = Some(s);
            ready(())
        })
        .await;
        drop(kept.unwrap().spawn(async {}));
    });
}

#[test]
fn a_handle_on_another_thread_wakes_the_scope() {
    run(async {
        let started = now();
        let sum = scope(|s| async move {
            let (sender, receiver) = asyncio::sync::oneshot::channel();
            let thread = std::thread::spawn(move || {
                let child = s.spawn(async { 5 });
                assert!(sender.send(child).is_ok());
            });
            let child = receiver.await.unwrap();
            thread.join().unwrap();
            child.await
        });
        assert_eq!(timeout(secs(10.0), sum).await, Ok(5));
        assert!(started.elapsed() < secs(10.0));
    });
}
