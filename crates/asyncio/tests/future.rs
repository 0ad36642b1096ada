//! The settable future, after CPython's `test_futures.py`.
#![allow(missing_docs)]

#[path = "common/in_order.rs"]
mod in_order;

use asyncio::{
    CancelledError, EventLoop, ExceptionContext, Future, FutureError, InvalidStateError, RunError,
    create_task, get_running_loop, shield, yield_now,
};
use in_order::run_in_order;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A loop whose reports go to a log.
fn reporting_loop() -> (EventLoop, Log) {
    let (event_loop, log) = (asyncio::new_event_loop().unwrap(), Log::default());
    let noted = log.clone();
    event_loop.set_exception_handler(Some(move |_: &EventLoop, report: &ExceptionContext| {
        noted.note(format!("{}: {}", report.message, report.exception.as_ref().unwrap()));
    }));
    (event_loop, log)
}

fn message(result: Result<impl std::fmt::Debug, InvalidStateError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_pending_future_has_no_outcome() {
    asyncio::run(async {
        let future: Future<u32, &str> = get_running_loop().create_future();
        assert!(!future.done() && !future.cancelled());
        assert_eq!(message(future.result()), "Result is not ready.");
        assert_eq!(message(future.exception()), "Exception is not set.");
        assert_eq!(format!("{future:?}"), "<Future pending>");
        assert_eq!(future.get_loop(), get_running_loop());
    });
}

#[test]
fn each_end_is_final() {
    asyncio::run(async {
        let event_loop = get_running_loop();
        let result: Future<u32, &str> = event_loop.create_future();
        result.set_result(4).unwrap();
        assert!(result.done() && !result.cancelled() && !result.cancel());
        assert!(result.set_result(5).is_err() && result.set_exception("late").is_err());
        assert_eq!((result.result(), result.exception()), (Ok(Ok(4)), Ok(Ok(None))));
        assert_eq!(format!("{result:?}"), "<Future finished result=4>");

        let failed: Future<u32, &str> = event_loop.create_future();
        failed.set_exception("broken").unwrap();
        assert_eq!(failed.result(), Ok(Err(FutureError::Exception("broken"))));
        assert_eq!(failed.exception(), Ok(Ok(Some("broken"))));

        let cancelled: Future<u32, &str> = event_loop.create_future();
        assert!(cancelled.cancel_with("enough") && !cancelled.cancel());
        assert!(cancelled.done() && cancelled.cancelled() && cancelled.set_result(1).is_err());
        let Ok(Err(FutureError::Cancelled(error))) = cancelled.result() else { panic!() };
        assert_eq!(error.message(), Some("enough"));
        assert_eq!(cancelled.exception(), Ok(Err(error)));
        assert_eq!(format!("{cancelled:?}"), "<Future cancelled>");
    });
}

#[test]
fn a_done_future_is_awaited_without_yielding() {
    asyncio::run(async {
        let future: Future<u32> = get_running_loop().create_future();
        future.set_result(1).unwrap();
        let other = create_task(async {});
        assert_eq!(future.clone().await.unwrap(), 1);
        assert_eq!(future.await.unwrap(), 1);
        assert!(!other.done());
    });
}

/// [C]: tasks that await it run in the order of their waking.
#[test]
fn awaiters_and_callbacks_come_in_the_order_of_registration() {
    let log = Log::default();
    let noted = log.clone();
    run_in_order(async move {
        let future: Future<u32> = get_running_loop().create_future();
        let wait = |name: &'static str| {
            let (future, log) = (future.clone(), noted.clone());
            create_task(async move { log.note(format!("{name} {}", future.await.unwrap())) })
        };
        let call = |name: &'static str| {
            let log = noted.clone();
            future.add_done_callback(move |f| {
                log.note(format!("{name} {}", f.result().unwrap().unwrap()))
            })
        };
        let first = wait("first");
        yield_now().await;
        call("second");
        let removed = call("removed");
        let third = wait("third");
        yield_now().await;
        call("fourth");
        assert!(future.remove_done_callback(removed) && !future.remove_done_callback(removed));
        future.set_result(7).unwrap();
        let late = call("late");
        assert!(!future.remove_done_callback(late));
        assert!(noted.take().is_empty(), "nothing runs inside the call");
        first.await.unwrap();
        third.await.unwrap();
        yield_now().await;
    });
    assert_eq!(log.take(), ["first 7", "second 7", "third 7", "fourth 7", "late 7"]);
}

#[test]
fn callbacks_are_listed() {
    asyncio::run(async {
        let future: Future<u32> = get_running_loop().create_future();
        let listed = |future: &Future<u32>| {
            let text = format!("{future:?}");
            text.replace(|c: char| c.is_ascii_digit() || c == ':', "").replace(file!(), "here")
        };
        for expected in ["[here]", "[here, here]", "[here, < more>, here]"] {
            future.add_done_callback(|_| ());
            assert_eq!(listed(&future), format!("<Future pending cb={expected}>"));
        }
    });
}

#[test]
fn a_dropped_await_is_forgotten_and_the_others_wake() {
    asyncio::run(async {
        let future: Future<u32> = get_running_loop().create_future();
        let tasks = [(); 3].map(|()| create_task(shield(future.clone())));
        yield_now().await;
        tasks[0].cancel();
        tasks[1].cancel();
        yield_now().await;
        future.set_result(3).unwrap();
        let [first, second, third] = tasks;
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(second.await.unwrap_err().is_cancelled());
        assert_eq!(third.await.unwrap().unwrap(), 3);
    });
}

#[test]
fn take_moves_what_cannot_be_cloned() {
    struct Single(u32);
    asyncio::run(async {
        let future: Future<Single> = get_running_loop().create_future();
        let waiter = create_task(future.clone().take());
        yield_now().await;
        future.set_result(Single(3)).ok().unwrap();
        assert_eq!(waiter.await.unwrap().ok().unwrap().0, 3);
        assert!(create_task(future.take()).await.is_err_and(|error| error.is_panic()));
    });
}

#[test]
fn an_unseen_error_is_reported_when_the_future_goes() {
    let (event_loop, log) = reporting_loop();
    let failed = || {
        let future: Future<u32, &str> = event_loop.create_future();
        future.set_exception("broken").unwrap();
        future
    };
    let future = failed();
    let clone = future.clone();
    drop(future);
    assert!(log.take().is_empty());
    drop(clone);
    assert_eq!(log.take(), ["Future exception was never retrieved: \"broken\""]);
    let seen: [fn(&Future<u32, &'static str>); 3] = [
        |future| assert!(future.result().is_ok()),
        |future| assert!(future.exception().is_ok()),
        |future| assert!(!future.cancel()),
    ];
    for see in seen {
        see(&failed());
    }
    assert!(log.take().is_empty());
    event_loop.close().unwrap();
}

#[test]
fn callbacks_of_a_closed_loop_are_dropped() {
    let event_loop = asyncio::new_event_loop().unwrap();
    let future: Future<u32> = event_loop.create_future();
    let held = Arc::new(());
    let captured = held.clone();
    future.add_done_callback(move |_| drop(captured));
    event_loop.close().unwrap();
    future.set_result(1).unwrap();
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(future.result().unwrap().unwrap(), 1);
}

// ----- the loop of a future

fn two_loops() -> (EventLoop, EventLoop) {
    (asyncio::new_event_loop().unwrap(), asyncio::new_event_loop().unwrap())
}

fn close(own: EventLoop, other: EventLoop) {
    own.close().unwrap();
    other.close().unwrap();
}

#[test]
fn a_future_of_another_loop_is_refused_as_main() {
    let (own, other) = two_loops();
    let future: Future<u32, CancelledError> = other.create_future();
    assert_eq!(own.run_until_complete(future.clone()), Err(RunError::OtherLoop));
    assert_eq!(own.run_until_complete(&mut future.clone()), Err(RunError::OtherLoop));
    assert_eq!(own.run_until_complete(Box::pin(future.clone())), Err(RunError::OtherLoop));
    // Also a finished one, as in Python.
    future.set_result(1).unwrap();
    assert_eq!(own.run_until_complete(future.clone()), Err(RunError::OtherLoop));
    assert_eq!(other.run_until_complete(future), Ok(Ok(1)));
    assert_eq!(own.run_until_complete(async { 2 }), Ok(2));
    close(own, other);
}

#[test]
fn a_future_of_this_loop_is_a_main() {
    let (own, other) = two_loops();
    let future: Future<u32, CancelledError> = own.create_future();
    let setter = future.clone();
    own.call_soon(move || setter.set_result(1).unwrap());
    assert_eq!(own.run_until_complete(future.clone()), Ok(Ok(1)));
    assert_eq!(own.run_until_complete(future), Ok(Ok(1)));
    close(own, other);
}

#[test]
fn a_future_of_another_loop_can_be_awaited() {
    let (own, other) = two_loops();
    let (of_own, of_other): (Future<u32>, Future<u32>) =
        (own.create_future(), other.create_future());
    let setter = of_other.clone();
    own.call_soon(move || setter.set_result(1).unwrap());
    let inner = of_other.clone();
    assert_eq!(own.run_until_complete(async { inner.await.unwrap() }), Ok(1));
    // Not main either: it is polled by a task while main is of its type.
    let task = own.create_task(of_other.clone());
    let setter = of_own.clone();
    own.call_soon(move || setter.set_result(2).unwrap());
    assert_eq!(own.run_until_complete(of_own).unwrap().unwrap(), 2);
    assert_eq!(own.run_until_complete(task).unwrap().unwrap().unwrap(), 1);
    close(own, other);
}

#[test]
fn a_main_that_polls_a_future_by_hand_is_not_that_future() {
    let (own, other) = two_loops();
    let mut future: Future<u32> = other.create_future();
    future.set_result(1).unwrap();
    let by_hand = std::future::poll_fn(|cx| std::pin::Pin::new(&mut future).poll(cx));
    use std::future::Future as _;
    assert_eq!(own.run_until_complete(by_hand).unwrap().unwrap(), 1);
    close(own, other);
}
