//! Requests to end: recorded, delivered once, counted, taken back; and aborts, which cannot be.

mod common;

use asyncio_task::{JoinError, Task, TaskHandle};
use common::{Alive, Bomb, Loop, Remote};
use std::future::{pending, poll_fn};
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;
use std::thread;

/// The outcome's message: `Err` if the task was not cancelled.
fn message<T: std::fmt::Debug>(task: &Task<T>) -> Result<Option<&str>, String> {
    let outcome = task.result().map_err(|error| error.to_string())?;
    let error = outcome.as_ref().err().ok_or("it has a value")?;
    let cancelled = error.as_cancelled().ok_or("it panicked")?;
    assert!(error.is_cancelled() && task.cancelled());
    Ok(cancelled.message())
}

#[test]
fn a_task_that_has_not_started_is_dropped_unpolled() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(()));
    assert!(task.cancel_with("early"));
    assert_eq!((lp.queued(), task.done(), remote.alive.count()), (1, false, 1), "only a request");
    assert_eq!((lp.run(), remote.polls.get(), remote.alive.count()), (1, 0, 0));
    assert_eq!(message(&task), Ok(Some("early")));
    assert_eq!(task.cancelling(), 1, "delivery leaves the count");
}

#[test]
fn a_waiting_task_is_dropped_where_it_waits() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(()));
    lp.run();
    assert!(task.cancel());
    assert_eq!((lp.queued(), remote.alive.count()), (1, 1), "the owner drops it");
    remote.finish();
    assert_eq!(lp.queued(), 1, "request and wake are one turn, and the request wins");
    assert_eq!((lp.run(), remote.polls.get(), remote.alive.count()), (1, 1, 0));
    assert_eq!(message(&task), Ok(None));
    assert!(!task.cancel() && !task.cancel_with("late") && !task.abort(), "it is done");
    assert_eq!((task.cancelling(), lp.queued()), (1, 0));
}

#[test]
fn of_two_messages_the_first_stands_on_a_waiting_task_and_the_last_on_another() {
    type Cancel = fn(&TaskHandle);
    let plain: Cancel = |task| assert!(task.cancel());
    let one: Cancel = |task| assert!(task.cancel_with("one"));
    let two: Cancel = |task| assert!(task.cancel_with("two"));
    let abort: Cancel = |task| assert!(task.abort());
    // The two requests; the message on a task that waits, and on one that is queued or runs.
    let table = [
        ([one, two], Some("one"), Some("two")),
        ([plain, two], None, Some("two")),
        ([one, plain], Some("one"), None),
        ([one, abort], Some("one"), None),
        ([abort, one], None, Some("one")),
    ];
    for (row, (requests, on_waiting, otherwise)) in table.into_iter().enumerate() {
        for had_cold_block in [false, true] {
            let lp = Loop::new();
            let make = || {
                let task = lp.spawn(Remote::default().future(()));
                if had_cold_block { task.named("named") } else { task }
            };
            let waiting = make();
            lp.run();
            let queued = make();
            for task in [&waiting, &queued] {
                requests.iter().for_each(|request| request(&task.handle()));
                assert_eq!(task.cancelling(), 2);
            }
            let running = lp.spawn(poll_fn(move |_| {
                let own = asyncio_task::current().unwrap();
                requests.iter().for_each(|request| request(&own));
                Poll::<()>::Pending
            }));
            lp.run();
            assert_eq!(message(&waiting), Ok(on_waiting), "row {row}, waiting");
            assert_eq!(message(&queued), Ok(otherwise), "row {row}, queued");
            assert_eq!(message(&running), Ok(otherwise), "row {row}, running");
        }
    }
}

#[test]
fn a_message_that_was_taken_back_is_not_told_later() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(()));
    lp.run();
    assert!(task.cancel_with("withdrawn"));
    assert_eq!((task.uncancel(), lp.run(), remote.polls.get()), (0, 1, 2));
    assert!(task.cancel());
    lp.run();
    assert_eq!(message(&task), Ok(None));
}

#[test]
fn a_task_that_cancels_itself_ends_at_its_next_suspension() {
    let (lp, alive) = (Loop::new(), Alive::default());
    let token = alive.token();
    let task = lp.spawn(async move {
        let _token = token;
        assert!(asyncio_task::current().unwrap().cancel());
        pending::<()>().await;
    });
    assert_eq!((lp.run(), alive.count()), (2, 0));
    assert_eq!(message(&task), Ok(None));
}

#[test]
fn a_value_made_while_a_request_came_is_dropped() {
    for detached in [false, true] {
        let (lp, alive) = (Loop::new(), Alive::default());
        let value = alive.token();
        let task = lp.spawn(async move {
            assert!(asyncio_task::current().unwrap().cancel_with("yield"));
            value
        });
        let handle = task.handle();
        let task = if detached { None } else { Some(task) };
        assert_eq!((lp.run(), alive.count(), handle.cancelled()), (1, 0, true));
        if let Some(task) = task {
            assert_eq!(message(&task), Ok(Some("yield")));
        }
        assert!(lp.reports().is_empty());
    }
}

#[test]
fn a_panic_answers_a_request() {
    let lp = Loop::new();
    let task = lp.spawn(async {
        assert!(asyncio_task::current().unwrap().cancel());
        panic!("first");
    });
    lp.run();
    assert!(!task.cancelled());
    let error: &JoinError = task.result().unwrap().as_ref().unwrap_err();
    assert_eq!(error.as_panic().unwrap().message(), "first");
}

#[test]
fn a_destructor_that_panics_while_a_request_is_delivered_is_the_outcome() {
    let lp = Loop::new();
    let task = lp.spawn(async {
        let _bomb = Bomb("bomb");
        pending::<()>().await;
    });
    lp.run();
    assert!(task.cancel());
    lp.run();
    assert!(task.done() && !task.cancelled());
    assert!(task.result().unwrap().as_ref().unwrap_err().is_panic());

    let task = lp.spawn(async {
        assert!(asyncio_task::current().unwrap().cancel());
        Bomb("value")
    });
    lp.run();
    assert!(task.done() && !task.cancelled());
    assert!(task.result().unwrap().as_ref().unwrap_err().is_panic());
}

/// The value of a detached task is dropped before the task ends; a request made by its destructor is recorded, so it is answered.
#[test]
fn a_request_that_comes_while_an_unread_value_is_dropped_is_answered() {
    struct Cancels(Arc<Mutex<Option<TaskHandle>>>);
    impl Drop for Cancels {
        fn drop(&mut self) {
            assert!(self.0.lock().unwrap().as_ref().unwrap().cancel());
        }
    }
    let lp = Loop::new();
    let handle = Arc::new(Mutex::new(None));
    let value = Cancels(handle.clone());
    let task = lp.spawn(async move { value });
    *handle.lock().unwrap() = Some(task.handle());
    drop(task);
    lp.run();
    let handle = handle.lock().unwrap().take().unwrap();
    assert!(handle.done() && handle.cancelled());
    assert!(lp.reports().is_empty());
}

#[test]
fn uncancel_to_zero_takes_back_what_was_not_delivered() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(()));
    lp.run();
    assert!(task.cancel() && task.cancel());
    assert_eq!(
        (task.cancelling(), task.uncancel(), task.uncancel(), task.uncancel()),
        (2, 1, 0, 0)
    );
    assert_eq!(
        (lp.run(), remote.polls.get(), task.done()),
        (1, 2, false),
        "a wake without a request"
    );
    assert!(task.cancel() && task.cancel());
    assert_eq!(task.handle().uncancel(), 1);
    lp.run();
    assert!(task.cancelled(), "one request is left");
    assert_eq!((task.handle().cancelling(), task.uncancel()), (1, 0));
    assert!(task.cancelled());
}

#[test]
fn an_abort_is_counted_and_not_taken_back() {
    for by_handle in [false, true] {
        let (lp, remote) = (Loop::new(), Remote::default());
        let task = lp.spawn(remote.future(()));
        lp.run();
        assert!(if by_handle { task.handle().abort() } else { task.abort() });
        assert_eq!((task.cancelling(), task.uncancel(), task.cancelling()), (1, 0, 0));
        assert!(task.cancel());
        assert_eq!(task.uncancel(), 0);
        assert_eq!((lp.run(), remote.polls.get(), remote.alive.count()), (1, 1, 0));
        assert!(task.cancelled());
    }
}

#[test]
fn requests_are_counted_up_to_a_limit_and_spill_nowhere() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(()));
    lp.run();
    for _ in 0..(3 << 15) {
        assert!(task.cancel());
    }
    assert_eq!((task.cancelling(), lp.queued()), (1023, 1));
    while task.uncancel() > 0 {}
    assert_eq!((lp.run(), remote.polls.get(), task.done()), (1, 2, false));
    assert!(task.cancel());
    assert_eq!((lp.run(), task.cancelled()), (1, true));
}

#[test]
fn cancel_of_a_failed_task_counts_as_having_seen_the_failure() {
    for seen in [false, true] {
        let lp = Loop::new();
        let task = lp.spawn(async { panic!("unseen") }).named("t");
        lp.run();
        if seen {
            assert!(!task.cancel());
        }
        drop(task);
        let expected: &[&str] =
            if seen { &[] } else { &["t never retrieved: the task panicked: unseen"] };
        assert_eq!(lp.reports(), expected);
    }
}

/// Invariant 1 of the contract: "done before" and "recorded" exclude each other, whatever the race.
#[test]
fn cancel_and_completion_race_to_one_answer() {
    const ROUNDS: usize = 2_000;
    let lp = Loop::new();
    let (start, end) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let shared: Arc<Mutex<Option<TaskHandle>>> = Arc::default();
    let canceller = {
        let (start, end, shared) = (start.clone(), end.clone(), shared.clone());
        thread::spawn(move || {
            let mut recorded = 0;
            for _ in 0..ROUNDS {
                start.wait();
                let task = shared.lock().unwrap().clone().unwrap();
                let accepted = task.cancel();
                end.wait();
                assert!(task.done());
                assert_eq!(accepted, task.cancelled());
                recorded += usize::from(accepted);
            }
            recorded
        })
    };
    let mut cancelled = 0;
    for _ in 0..ROUNDS {
        let alive = Alive::default();
        let value = alive.token();
        let task = lp.spawn(async move { value });
        *shared.lock().unwrap() = Some(task.handle());
        start.wait();
        // A request that came too late for this turn may have queued none.
        while !task.done() {
            lp.step();
        }
        end.wait();
        cancelled += usize::from(task.cancelled());
        assert_eq!(alive.count(), usize::from(!task.cancelled()));
    }
    assert_eq!(canceller.join().unwrap(), cancelled);
}
