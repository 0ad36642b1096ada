//! A panic at every place where user code runs: it becomes the outcome or a report, and hurts nobody else.

mod common;

use asyncio_base::context::{Context as TaskContext, ContextSlot};
use asyncio_task::{JoinError, Room, Schedule, spawn};
use common::{Alive, Bomb, Loop, Name, Remote, counting_waker, poll_once, poll_with};
use std::future::{IntoFuture, Ready, pending, poll_fn};
use std::panic::Location;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

fn panic_message<T: std::fmt::Debug>(outcome: &Result<T, JoinError>) -> &str {
    outcome.as_ref().unwrap_err().as_panic().unwrap().message()
}

#[test]
fn a_panic_in_a_poll_is_the_outcome() {
    let (lp, alive) = (Loop::new(), Alive::default());
    let token = alive.token();
    let mut task = lp.spawn(async move {
        let _token = token;
        panic!("polled {}", asyncio_task::current().unwrap().cancelling());
    });
    let (waker, wakes) = counting_waker();
    assert!(poll_with(&mut task, &waker).is_pending());
    lp.run();
    assert_eq!((alive.count(), wakes.get(), task.cancelled()), (0, 1, false));
    let Poll::Ready(outcome) = poll_with(&mut task, &waker) else { panic!("done") };
    let outcome: Result<(), JoinError> = outcome;
    assert_eq!(panic_message(&outcome), "polled 0");
    let payload = outcome.unwrap_err().into_panic();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "polled 0");
    drop(task);
    assert!(lp.reports().is_empty(), "it was retrieved");
}

#[test]
fn errors_tell_what_they_are() {
    let lp = Loop::new();
    let mut failed = lp.spawn(async { std::panic::panic_any::<u8>(5) });
    let mut cancelled = lp.spawn(pending::<()>());
    assert!(cancelled.cancel_with("why"));
    lp.run();
    let failed: JoinError = failed.try_result().unwrap().unwrap_err();
    assert_eq!(failed.to_string(), "the task panicked: a value that is no text");
    assert!(failed.is_panic() && failed.as_cancelled().is_none());
    assert_eq!(failed.try_into_panic().unwrap().downcast_ref::<u8>(), Some(&5));
    let cancelled = cancelled.try_result().unwrap().unwrap_err();
    assert_eq!(cancelled.to_string(), "the task was cancelled: why");
    let cancelled = cancelled.try_into_panic().unwrap_err();
    assert_eq!(cancelled.as_cancelled().unwrap().message(), Some("why"));
    assert_eq!(std::io::Error::from(cancelled).kind(), std::io::ErrorKind::Other);
}

#[test]
fn a_panic_that_nobody_retrieves_is_reported_once() {
    // How the outcome is treated, and whether that leaves a report.
    for (how, reports) in [("dropped", 1), ("detached", 1), ("read", 0), ("taken", 0)] {
        let lp = Loop::new();
        let task = lp.spawn(async { panic!("unseen") }).named("t");
        let mut task = Some(task);
        if how == "detached" {
            task.take().unwrap().detach();
        }
        lp.run();
        if let Some(mut task) = task {
            match how {
                "read" => drop(task.result().map(|_| ())),
                "taken" => drop(task.try_result()),
                _ => drop(task.done()),
            }
        }
        assert_eq!(lp.reports().len(), reports, "{how}");
    }
    let lp = Loop::new();
    let task: asyncio_task::Task<()> = lp.spawn(pending());
    assert!(task.cancel());
    lp.run();
    drop(task);
    assert!(lp.reports().is_empty(), "a cancellation is no failure");
}

#[test]
fn a_bad_destructor_of_the_future_is_the_outcome() {
    let lp = Loop::new();
    // Dropped after its value was made: the value gives way.
    let (alive, bomb) = (Alive::default(), Bomb("future"));
    let value = alive.token();
    let mut value = Some(value);
    let mut task = lp.spawn(poll_fn(move |_| {
        let _keep = &bomb;
        Poll::Ready(value.take())
    }));
    lp.run();
    assert_eq!(panic_message(task.result().unwrap()), "future");
    assert_eq!((alive.count(), task.try_result().unwrap().is_err()), (0, true));

    // The value's destructor is as bad: the first panic is told.
    let bomb = Bomb("future");
    let mut value = Some(Bomb("value"));
    let task = lp.spawn(poll_fn(move |_| {
        let _keep = &bomb;
        Poll::Ready(value.take())
    }));
    lp.run();
    assert_eq!(panic_message(task.result().unwrap()), "future");

    // Dropped because it panicked.
    let bomb = Bomb("future");
    let task = lp.spawn(poll_fn(move |_| -> Poll<()> {
        let _keep = &bomb;
        panic!("poll");
    }));
    lp.run();
    assert_eq!(panic_message(task.result().unwrap()), "future");
    assert!(lp.reports().is_empty());
}

#[test]
fn a_bad_destructor_of_an_unread_output_is_reported() {
    let lp = Loop::new();
    lp.spawn(async { Bomb("detached") }).detach();
    lp.run();
    assert_eq!(lp.reports(), ["destructor: the task panicked: detached"]);
}

#[test]
fn a_panic_payload_may_be_bad_too() {
    let lp = Loop::new();
    lp.spawn(async { std::panic::panic_any(Bomb("payload")) }).detach();
    lp.run();
    let reports = lp.reports();
    assert!(reports[0].ends_with("never retrieved: the task panicked: a value that is no text"));
    assert_eq!(reports[1..], ["destructor: the task panicked: payload"]);

    // A future whose destructor throws such a payload, over a value that does too.
    struct Thrower;
    impl Drop for Thrower {
        fn drop(&mut self) {
            std::panic::panic_any(Bomb("thrown"));
        }
    }
    let (mut value, thrower) = (Some(Thrower), Thrower);
    let task = lp.spawn(poll_fn(move |_| {
        let _keep = &thrower;
        Poll::Ready(value.take())
    }));
    lp.run();
    assert!(task.result().unwrap().as_ref().is_err_and(JoinError::is_panic));
    drop(task);
    assert_eq!(lp.reports(), ["destructor: the task panicked: thrown"]);
}

#[test]
fn a_joiner_whose_waker_panics_is_reported_and_the_next_is_woken() {
    struct BadWake;
    impl Wake for BadWake {
        fn wake(self: Arc<Self>) {
            panic!("waker");
        }
    }
    let (lp, remote) = (Loop::new(), Remote::default());
    let mut task = lp.spawn(remote.future(1));
    let handle = task.handle();
    lp.run();
    let bad = Waker::from(Arc::new(BadWake));
    let (good, wakes) = counting_waker();
    let mut waits = [(&handle).into_future(), (&handle).into_future()];
    assert!(poll_with(&mut task, &bad).is_pending());
    assert!(poll_with(&mut waits[0], &bad).is_pending());
    assert!(poll_with(&mut waits[1], &good).is_pending());
    remote.finish();
    assert_eq!((lp.run(), wakes.get()), (1, 1));
    assert_eq!(lp.reports(), vec!["destructor: the task panicked: waker"; 2]);
    assert!(matches!(poll_once(&mut task), Poll::Ready(Ok(1))));
}

#[test]
fn a_room_that_gets_no_future_is_given_back() {
    let lp = Loop::new();
    let (value, name) = (Arc::new(()), Arc::<str>::from("name"));
    let context = TaskContext::new();
    context.set(1, Some(value.clone()));
    let room = Room::new(Name(lp), ContextSlot::with(context), Location::caller());
    let room: Room<Ready<()>, Name> = room.named(Some(name.clone()));
    assert_eq!((Arc::strong_count(&value), Arc::strong_count(&name)), (2, 2));
    drop(room);
    assert_eq!((Arc::strong_count(&value), Arc::strong_count(&name)), (1, 1));
}

#[test]
fn a_bad_destructor_of_a_context_value_is_reported_when_the_cell_is_freed() {
    let lp = Loop::new();
    let context = TaskContext::new();
    context.set(1, Some(Arc::new(Bomb("context value"))));
    let room = Room::new(Name(lp), ContextSlot::with(context), Location::caller());
    let (made, token) = spawn(room, async {});
    let task = made.into_task();
    Name(lp).schedule(token.unwrap());
    let handle = task.handle();
    drop(task);
    lp.run();
    assert!(lp.reports().is_empty());
    drop(handle);
    assert_eq!(lp.reports(), ["destructor: the task panicked: context value"]);
}

#[test]
fn the_poll_record_is_put_back_after_a_panic() {
    let lp = Loop::new();
    lp.spawn(async { panic!("poll") }).detach();
    lp.run();
    assert!(asyncio_task::current().is_none());
    assert_eq!(lp.reports().len(), 1);
}
