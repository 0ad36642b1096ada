//! Cancellation that can answer: the rules of the cancel tree, one test each.

#[path = "common/settle.rs"]
mod settle;

use asyncio::{
    Event, Task, TimeoutError, catch_cancelled, create_task, run, secs, shield, sleep, timeout,
    timeout_at, timeout_scope, uncancellable, with_finally, yield_now,
};
use settle::settle;
use std::future::{Future, pending, poll_fn};
use std::panic::panic_any;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Instant;

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn say(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn on_drop(&self, what: &'static str) -> OnDrop {
        OnDrop(self.clone(), what)
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

struct OnDrop(Log, &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}

/// Polls both, in order, until both are ready: the simplest of all joins.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut a_out, mut b_out) = (None, None);
    poll_fn(|cx| {
        if a_out.is_none() {
            if let Poll::Ready(output) = a.as_mut().poll(cx) {
                a_out = Some(output);
            }
        }
        if b_out.is_none() {
            if let Poll::Ready(output) = b.as_mut().poll(cx) {
                b_out = Some(output);
            }
        }
        if a_out.is_some() && b_out.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (a_out.unwrap(), b_out.unwrap())
}

/// The first to be ready wins; the other is dropped.
async fn first<A: Future>(a: A, b: impl Future<Output = A::Output>) -> A::Output {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| match a.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(output),
        Poll::Pending => b.as_mut().poll(cx),
    })
    .await
}

#[test]
fn the_innermost_scope_catches_and_its_clean_up_awaits() {
    let log = Log::default();
    let seen = log.clone();
    let outcome = run(async move {
        let task = create_task(async move {
            let _outer = log.on_drop("outer dropped");
            let caught = catch_cancelled(async {
                let inner = catch_cancelled(async {
                    let _guard = log.on_drop("body dropped");
                    pending::<()>().await;
                })
                .await;
                let error = inner.unwrap_err();
                log.say(format!("caught {:?}", error.message()));
                sleep(secs(0.001)).await;
                log.say("cleaned up");
                error.propagate::<()>().await;
                unreachable!("propagate does not return");
            })
            .await;
            log.say("outer caught");
            caught.unwrap_err().propagate::<u8>().await
        });
        settle().await;
        assert!(task.cancel_with("enough"));
        task.await
    });
    let error = outcome.unwrap_err();
    assert_eq!(error.as_cancelled().unwrap().message(), Some("enough"));
    let order =
        ["body dropped", "caught Some(\"enough\")", "cleaned up", "outer caught", "outer dropped"];
    assert_eq!(seen.take(), order);
}

#[test]
fn a_swallowed_cancellation_leaves_later_awaits_alone() {
    let value = run(async {
        let task = create_task(async {
            catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
            sleep(secs(0.001)).await;
            7
        });
        settle().await;
        task.cancel();
        assert_eq!(task.cancelling(), 1);
        task.await
    });
    assert_eq!(value.unwrap(), 7);
}

#[test]
fn delivered_before_any_code_runs_even_if_the_wait_is_over() {
    run(async {
        let future: asyncio::Future<()> = asyncio::Future::new();
        let waiting = future.clone();
        let log = Log::default();
        let inner = log.clone();
        let task = create_task(async move {
            let caught = catch_cancelled(async {
                waiting.await.unwrap();
                inner.say("went on");
            })
            .await;
            inner.say(if caught.is_err() { "cancelled" } else { "finished" });
        });
        settle().await;
        future.set_result(()).unwrap();
        task.cancel();
        task.await.unwrap();
        assert_eq!(log.take(), ["cancelled"]);
    });
}

#[test]
fn a_task_that_cancels_itself_is_interrupted_at_its_next_wait() {
    let outcome: Result<(), _> = run(async {
        create_task(async {
            asyncio::current_task().unwrap().cancel();
            let caught = catch_cancelled(yield_now()).await;
            caught.unwrap_err().propagate().await
        })
        .await
    });
    assert!(outcome.unwrap_err().is_cancelled());
}

#[test]
fn finally_runs_on_value_cancel_and_panic_and_a_second_cancel_waits() {
    async fn body(kind: u8) -> u8 {
        match kind {
            0 => 1,
            1 => pending().await,
            _ => panic!("the body panics"),
        }
    }
    for kind in 0..3 {
        let log = Log::default();
        let seen = log.clone();
        let outcome = run(async move {
            let (begun, release) = (Arc::new(Event::new()), Arc::new(Event::new()));
            let released = release.clone();
            let begins = begun.clone();
            let task = create_task(with_finally(body(kind), move || async move {
                log.say("clean-up begins");
                begins.set();
                released.wait().await;
                log.say("clean-up ends");
            }));
            settle().await;
            task.cancel();
            begun.wait().await;
            task.cancel();
            settle().await;
            release.set();
            task.await
        });
        assert_eq!(seen.take(), ["clean-up begins", "clean-up ends"], "kind {kind}");
        match kind {
            // The cancel came during the clean-up and strikes at the next await, or at the end.
            0 | 1 => assert!(outcome.unwrap_err().is_cancelled()),
            _ => assert!(outcome.is_err()),
        }
    }
}

/// As the body is dropped by a cancellation, or when it has its value or has panicked.
#[test]
fn finally_runs_after_a_panic_of_the_body_s_destructor() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any("the destructor");
        }
    }

    for kind in 0..3 {
        let log = Log::default();
        let seen = log.clone();
        let outcome = run(async move {
            let bomb = Bomb;
            let body = poll_fn(move |_| {
                let _owned = &bomb;
                match kind {
                    0 => Poll::Pending,
                    1 => Poll::Ready(()),
                    _ => panic_any("the body"),
                }
            });
            let task = create_task(with_finally(body, move || async move {
                log.say("clean-up begins");
                settle().await;
                log.say("clean-up ends");
            }));
            settle().await;
            task.cancel();
            task.await
        });
        assert_eq!(seen.take(), ["clean-up begins", "clean-up ends"], "kind {kind}");
        let panic = outcome.unwrap_err().into_panic();
        let first = if kind < 2 { "the destructor" } else { "the body" };
        assert_eq!(panic.downcast_ref::<&str>(), Some(&first), "kind {kind}");
    }
}

#[test]
fn uncancellable_holds_back_and_then_the_cancellation_strikes() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let inner = log.clone();
        let task: Task<()> = create_task(async move {
            let value = uncancellable(async {
                sleep(secs(0.002)).await;
                5
            })
            .await;
            inner.say(format!("finished with {value}"));
            let caught = catch_cancelled(sleep(secs(10.0))).await;
            inner.say(if caught.is_err() { "then cancelled" } else { "lost" });
        });
        settle().await;
        task.cancel();
        task.await.unwrap();
    });
    assert_eq!(seen.take(), ["finished with 5", "then cancelled"]);
}

#[test]
fn awaiting_a_task_forwards_and_waits_for_its_clean_up() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let inner = log.clone();
        let parent = create_task(async move {
            let child_log = inner.clone();
            let child: Task<()> = create_task(async move {
                let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
                child_log.say(format!("child asked: {:?}", caught.message()));
                sleep(secs(0.002)).await;
                child_log.say("child cleaned up");
                caught.propagate().await
            });
            let caught = catch_cancelled(child).await;
            inner.say(if caught.is_err() { "parent cancelled" } else { "parent went on" });
        });
        settle().await;
        parent.cancel_with("from above");
        parent.await.unwrap();
    });
    let order = ["child asked: Some(\"from above\")", "child cleaned up", "parent cancelled"];
    assert_eq!(seen.take(), order);
}

#[test]
fn a_child_that_swallows_gives_its_value_to_the_cancelled_parent() {
    let value = run(async {
        let parent = create_task(async {
            let child = create_task(async {
                catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                3
            });
            child.await.unwrap() + 1
        });
        settle().await;
        parent.cancel();
        parent.await.unwrap()
    });
    assert_eq!(value, 4);
}

#[test]
fn a_request_that_meets_a_finished_child_is_not_lost() {
    run(async {
        let gate: asyncio::Future<()> = asyncio::Future::new();
        let opened = gate.clone();
        let parent: Task<&str> = create_task(async move {
            let child = create_task(async move { opened.await.unwrap() });
            match catch_cancelled(child).await {
                Ok(_) => "the request was lost",
                Err(cancelled) => {
                    cancelled.swallow();
                    "cancelled"
                }
            }
        });
        settle().await;
        gate.set_result(()).unwrap();
        // The child ends in this pass; the parent is woken by it and asked to end at the same time.
        yield_now().await;
        parent.cancel();
        assert_eq!(parent.await.unwrap(), "cancelled");
    });
}

#[test]
fn shield_lets_go_and_the_task_runs_on() {
    run(async {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let mut child = create_task(async move {
            opened.wait().await;
            9
        });
        let handle = child.handle();
        let parent = create_task(async move {
            let caught = catch_cancelled(shield(&mut child)).await;
            (caught.is_err(), child.await.unwrap())
        });
        settle().await;
        parent.cancel();
        settle().await;
        assert!(!handle.done());
        gate.set();
        assert_eq!(parent.await.unwrap(), (true, 9));
    });
}

#[test]
fn every_branch_of_a_join_hears_and_none_is_asked_twice() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let (a, b) = (log.clone(), log.clone());
        let task = create_task(async move {
            both(
                async {
                    catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                    a.say("a");
                    yield_now().await;
                    a.say("a goes on");
                },
                async {
                    catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                    b.say("b");
                    yield_now().await;
                    yield_now().await;
                    b.say("b goes on");
                },
            )
            .await;
        });
        settle().await;
        task.cancel();
        task.await.unwrap();
    });
    assert_eq!(seen.take(), ["a", "b", "a goes on", "b goes on"]);
}

#[test]
fn a_request_is_not_lost_with_the_branch_that_loses() {
    let outcome: Result<(), _> = run(async {
        let task = create_task(async {
            let gate: asyncio::Future<()> = asyncio::Future::new();
            let setter = gate.clone();
            asyncio::get_running_loop().call_soon(move || {
                asyncio::all_tasks()
                    .into_iter()
                    .filter(|task| &*task.get_name() == "victim")
                    .for_each(|task| {
                        task.cancel();
                    });
                setter.set_result(()).unwrap();
            });
            // The first branch is ready and answers nothing; the second has the mark and is dropped with it.
            first(async { asyncio::shield(gate).await.unwrap() }, async {
                let _ = catch_cancelled(pending::<()>()).await;
                unreachable!("the branch loses");
            })
            .await;
            pending::<()>().await;
        })
        .named("victim");
        task.await
    });
    assert!(outcome.unwrap_err().is_cancelled());
}

#[test]
fn with_finally_at_work_keeps_its_scope_while_a_sibling_raises() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let (cleaner, raiser) = (log.clone(), log.clone());
        let task = create_task(async move {
            let caught = catch_cancelled(both(
                with_finally(pending::<()>(), move || async move {
                    sleep(secs(0.003)).await;
                    cleaner.say("cleaned up");
                }),
                async {
                    let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
                    raiser.say("raised");
                    caught.propagate::<()>().await;
                },
            ))
            .await;
            log.say(if caught.is_err() { "unwound" } else { "lost" });
        });
        settle().await;
        task.cancel();
        task.await.unwrap();
    });
    assert_eq!(seen.take(), ["raised", "cleaned up", "unwound"]);
}

#[test]
fn uncancel_takes_back_what_nobody_has_seen() {
    run(async {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let task = create_task(async move {
            uncancellable(opened.wait()).await;
            sleep(secs(0.001)).await;
            "went on"
        });
        settle().await;
        task.cancel();
        settle().await;
        assert_eq!(task.uncancel(), 0);
        gate.set();
        assert_eq!(task.await.unwrap(), "went on");
    });
}

#[test]
fn a_timeout_drops_or_asks_and_converts_only_its_own() {
    run(async {
        // Nothing inside has a say.
        assert_eq!(timeout(secs(0.002), pending::<()>()).await, Err(TimeoutError::default()));
        // A scope inside answers with a value.
        let answered = timeout(secs(0.002), async {
            catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
            sleep(secs(0.003)).await;
            5
        });
        assert_eq!(answered.await, Ok(5));
        // A clean-up is waited for.
        let log = Log::default();
        let inner = log.clone();
        let cleaned = timeout(
            secs(0.002),
            with_finally(pending::<()>(), move || async move {
                sleep(secs(0.003)).await;
                inner.say("cleaned up");
            }),
        );
        assert_eq!(cleaned.await, Err(TimeoutError::default()));
        assert_eq!(log.take(), ["cleaned up"]);
        // A cancel from outside goes through.
        let task = create_task(timeout(secs(10.0), pending::<()>()));
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn nested_timeouts_tell_themselves_apart() {
    run(async {
        let inner_first = timeout(secs(5.0), timeout(secs(0.002), pending::<()>())).await;
        assert_eq!(inner_first, Ok(Err(TimeoutError::default())));
        let outer_first = timeout(secs(0.002), timeout(secs(5.0), pending::<()>())).await;
        assert_eq!(outer_first, Err(TimeoutError::default()));
        // The outer one strikes while the inner one waits for a clean-up.
        let during_clean_up = timeout(
            secs(0.004),
            timeout(secs(0.002), async {
                let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
                sleep(secs(5.0)).await;
                caught.propagate::<()>().await
            }),
        );
        assert_eq!(during_clean_up.await, Err(TimeoutError::default()));
    });
}

#[test]
fn a_body_that_is_ready_is_never_timed_out() {
    run(async {
        assert_eq!(timeout(secs(0.0), async { 1 }).await, Ok(1));
        assert_eq!(timeout(secs(0.0), yield_now()).await, Err(TimeoutError::default()));
        assert_eq!(asyncio::wait_for(async { 2 }, None).await, Ok(2));
        assert_eq!(timeout(std::time::Duration::MAX, yield_now()).await, Ok(()));
    });
}

#[test]
fn a_deadline_can_be_moved_and_taken_away_until_it_strikes() {
    run(async {
        let mut kept = None;
        let outcome = timeout_scope(secs(0.002), async |deadline| {
            deadline.reschedule(None).unwrap();
            sleep(secs(0.004)).await;
            deadline.reschedule(asyncio::now() + secs(0.002)).unwrap();
            assert!(!deadline.expired());
            kept = Some(deadline.clone());
            pending::<()>().await;
        })
        .await;
        assert_eq!(outcome, Err(TimeoutError::default()));
        let deadline = kept.unwrap();
        assert!(deadline.expired());
        let error = deadline.reschedule(None).unwrap_err();
        assert_eq!(error.to_string(), "cannot change state of expired Timeout");
    });
}

#[test]
fn a_scope_that_moves_to_another_task_answers_there() {
    run(async {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut scope = Box::pin(catch_cancelled(pending::<()>()));
        let first = create_task(async move {
            poll_fn(|cx| {
                assert!(scope.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            sender.send(scope).unwrap();
        });
        first.await.unwrap();
        let second = create_task(async move { receiver.recv().unwrap().await.is_err() });
        settle().await;
        second.cancel();
        assert!(second.await.unwrap(), "caught in the task that polls it");
    });
}

#[test]
fn aborting_asks_nobody() {
    let log = Log::default();
    let seen = log.clone();
    run(async move {
        let task = create_task(async move {
            let _guard = log.on_drop("dropped");
            let _ = catch_cancelled(pending::<()>()).await;
            log.say("answered");
        });
        settle().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(seen.take(), ["dropped"]);
}

/// Polls a future once, which must not end, with the waker of this task.
async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// A timeout has asked a scope that is then dropped, in the first poll of another scope: that one has the say. Also if the drop is on another
/// thread, which does not see that poll.
#[test]
fn a_request_that_comes_back_goes_to_what_is_new_inside() {
    for elsewhere in [false, true] {
        let deadline = Instant::now() + secs(0.001);
        let inside = async move {
            let mut asked = Box::pin(catch_cancelled(pending::<()>()));
            poll_once(asked.as_mut()).await;
            // Over in the turn in which the deadline has struck.
            std::future::poll_fn(|_| match Instant::now() < deadline {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
            let new = catch_cancelled(async move {
                if elsewhere {
                    std::thread::spawn(move || drop(asked)).join().unwrap();
                } else {
                    drop(asked);
                }
                pending::<()>().await;
            });
            new.await.unwrap_err().swallow();
            "said"
        };
        assert_eq!(run(timeout_at(deadline, inside)), Ok("said"));
    }
}

#[test]
fn a_panic_in_a_first_poll_leaves_nobody_behind_who_is_asked() {
    let task = async {
        let mut panics = Box::pin(catch_cancelled(async {
            let mut inner = pin!(catch_cancelled(pending::<()>()));
            poll_once(inner.as_mut()).await;
            panic!("in the first poll");
        }));
        poll_fn(|cx| {
            let poll = std::panic::AssertUnwindSafe(|| panics.as_mut().poll(cx));
            assert!(std::panic::catch_unwind(poll).is_err());
            Poll::Ready(())
        })
        .await;
        drop(panics);
        catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
        "asked"
    };
    run(async move {
        let task = create_task(task);
        settle().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), "asked");
    });
}

#[test]
fn a_scope_that_something_inside_made_hears_when_that_is_gone() {
    let task = async {
        let outer = catch_cancelled(async {
            {
                let mut inner = pin!(catch_cancelled(pending::<()>()));
                poll_once(inner.as_mut()).await;
            }
            pending::<()>().await;
        });
        outer.await.is_err()
    };
    run(async move {
        let task = create_task(task);
        settle().await;
        task.cancel();
        assert!(task.await.unwrap());
    });
}

#[test]
fn a_timeout_ends_what_never_stops_yielding() {
    let outcome = run(timeout(secs(0.001), async {
        loop {
            yield_now().await;
        }
    }));
    assert_eq!(outcome, Err::<(), _>(TimeoutError::default()));
}
