//! Closing: everything is dropped, once, and told of; nothing moves afterwards, whoever still calls.
#![allow(missing_docs)]

mod common;

use asyncio_base::context::{Context, ContextSlot};
use asyncio_scheduler::callback::Kind;
use asyncio_scheduler::event_loop::MainOutcome;
use asyncio_scheduler::{LoopClosed, RunError};
use common::{OnDrop, Rig, yield_now};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

#[test]
fn close_drops_everything_and_reports_each_task() {
    let rig = Rig::new();
    let [callback, polled, unpolled] =
        ["callback", "polled", "unpolled"].map(|what| rig.log.on_drop(what));
    rig.spawn(async move {
        let _held = polled;
        pending::<()>().await;
    })
    .named("A")
    .detach();
    rig.pass();
    rig.call(move || drop(callback));
    rig.spawn(async move { drop(unpolled) }).named("B").detach();
    assert_eq!(rig.event_loop.close(), Ok(true));
    let seen = rig.log.take();
    assert_eq!(seen[0], "callback");
    let mut dropped = seen[1..3].to_vec();
    dropped.sort();
    assert_eq!(dropped, ["polled", "unpolled"]);
    assert_eq!(seen[3..], ["destroyed: A", "destroyed: B"]);
    assert_eq!(rig.event_loop.close(), Ok(false));
    assert!(rig.event_loop.is_closed() && rig.event_loop.all_tasks().is_empty());
}

#[test]
fn a_closed_loop_takes_nothing() {
    let rig = Rig::new();
    rig.event_loop.close().unwrap();
    let [callback, future] = ["callback", "future"].map(|what| rig.log.on_drop(what));
    assert_eq!(rig.try_call(move || drop(callback)).err(), Some(LoopClosed));
    let task = rig.spawn(async move { drop(future) });
    assert_eq!(rig.log.take(), ["callback", "future"]);
    assert!(task.done() && task.cancelled());
    assert_eq!(rig.event_loop.run_forever(), Err(RunError::Closed));
    rig.event_loop.stop();
}

#[test]
fn destructors_find_the_loop_closed_and_hang_nothing() {
    let rig = Rig::new();
    let inner = rig.clone();
    let destructor = OnDrop::new(move || {
        let spawned = inner.spawn_noting("never");
        let local = inner.event_loop.local_room(ContextSlot::new(), Location::caller());
        let local = local.map(|room| room.spawn(async { unreachable!() }));
        let found = [
            spawned.done() && spawned.cancelled(),
            local.is_some_and(|task| task.done()),
            inner.try_call(|| unreachable!()).is_err(),
            inner.event_loop.close() == Ok(false),
            inner.event_loop.run_forever() == Err(RunError::Closed),
        ];
        inner.log.note(format!("{found:?}"));
        inner.event_loop.stop();
    });
    rig.spawn(async move {
        let _held = destructor;
        pending::<()>().await;
    })
    .named("A")
    .detach();
    rig.pass();
    rig.event_loop.close().unwrap();
    assert_eq!(rig.log.take(), ["[true, true, true, true, true]", "destroyed: A"]);
}

#[test]
fn a_destructor_that_wakes_another_task_does_not_get_it_polled() {
    let rig = Rig::new();
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let woken = waker.clone();
    let log = rig.log.clone();
    rig.spawn(poll_fn(move |cx| {
        log.note("polled");
        *woken.lock().unwrap() = Some(cx.waker().clone());
        Poll::<()>::Pending
    }))
    .named("woken")
    .detach();
    let wakes = OnDrop::new(move || waker.lock().unwrap().take().unwrap().wake());
    rig.spawn(async move {
        let _held = wakes;
        pending::<()>().await;
    })
    .named("wakes")
    .detach();
    rig.pass();
    rig.event_loop.close().unwrap();
    assert_eq!(rig.log.take(), ["polled", "destroyed: woken", "destroyed: wakes"]);
}

#[test]
fn a_callback_is_dropped_although_its_handle_is_kept() {
    let rig = Rig::new();
    let dropped = rig.log.on_drop("dropped");
    let handle = rig.call(move || drop(dropped));
    rig.event_loop.close().unwrap();
    assert_eq!(rig.log.take(), ["dropped"]);
    assert!(!handle.cancelled());
}

#[test]
fn destructors_that_panic_are_reported_and_stop_nothing() {
    let rig = Rig::new();
    let bomb = |text: &'static str| OnDrop::new(move || std::panic::panic_any(text));
    for text in ["callback 1", "callback 2"] {
        let bomb = bomb(text);
        rig.call(move || drop(bomb));
    }
    let context = Context::new();
    context.set(1, Some(Arc::new(Mutex::new(bomb("value")))));
    let context = ContextSlot::with(context);
    drop(rig.event_loop.call(Kind::Plain, context, Location::caller(), || {}).unwrap());
    for text in ["future 1", "future 2"] {
        let bomb = bomb(text);
        rig.spawn(async move { drop(bomb) }).named(text).detach();
    }
    *rig.driver.on_close.lock().unwrap() = Some(Box::new(|| panic!("driver")));
    assert_eq!(rig.event_loop.close(), Ok(true));
    assert_eq!(
        rig.log.take(),
        [
            "destructor panicked: callback 1",
            "destructor panicked: callback 2",
            "destructor panicked: value",
            "unretrieved: future 1: future 1",
            "unretrieved: future 2: future 2",
            "destroyed: future 1",
            "destroyed: future 2",
            "destructor panicked: driver",
        ]
    );
}

#[test]
fn done_callbacks_of_tasks_destroyed_by_close_are_dropped() {
    let rig = Rig::new();
    let dropped = rig.log.on_drop("dropped");
    let task = rig.spawn(pending::<()>());
    task.add_done_callback(move |_| {
        let _dropped = &dropped;
        unreachable!("the lane is closed")
    });
    rig.event_loop.close().unwrap();
    assert_eq!(rig.log.take().iter().filter(|what| *what == "dropped").count(), 1);
    assert!(task.done());
}

#[test]
fn closing_from_inside_another_loop_leaves_that_one_running() {
    let (outer, inner) = (Rig::new(), Rig::new());
    let queues_outside = {
        let outer = outer.clone();
        OnDrop::new(move || outer.spawn_noting("from the destructor").detach())
    };
    inner.spawn(async move { drop(queues_outside) }).detach();
    let (rig, event_loop) = (outer.clone(), inner.event_loop.clone());
    let outcome = outer.run(async {
        rig.spawn_noting("before").detach();
        event_loop.close().unwrap();
        rig.spawn_noting("after").detach();
        let still_here = rig.event_loop.is_worker() && !event_loop.is_worker();
        yield_now().await;
        still_here
    });
    assert!(matches!(outcome, Some(MainOutcome::Returned(true))));
    assert_eq!(outer.log.take(), ["before", "from the destructor", "after"]);
    assert!(inner.event_loop.is_closed());
}

#[test]
fn closing_from_a_thread_local_destructor() {
    struct Late(RefCell<Option<Rig>>);
    impl Drop for Late {
        fn drop(&mut self) {
            let rig = self.0.take().unwrap();
            rig.log.note(format!("{:?}", rig.event_loop.close()));
        }
    }
    thread_local!(static LATE: Late = const { Late(RefCell::new(None)) });

    let rig = Rig::new();
    let given = rig.clone();
    thread::spawn(move || {
        // Registered before the scheduler's own thread-local, so destroyed after it where that is the order.
        LATE.with(|late| *late.0.borrow_mut() = Some(given.clone()));
        given.run(async {
            let local = given.event_loop.local_room(ContextSlot::new(), Location::caller());
            let local = local.map(|room| room.spawn(pending::<()>()));
            local.unwrap().named("local").detach();
            let spawns = given.clone();
            let spawns = OnDrop::new(move || {
                let refused = spawns.spawn_noting("never").done();
                spawns.log.note(format!("refused: {refused}"));
            });
            given
                .spawn(async move {
                    let _held = spawns;
                    pending::<()>().await;
                })
                .named("shared")
                .detach();
            yield_now().await;
        });
    })
    .join()
    .unwrap();
    let seen = rig.log.take();
    assert_eq!(seen, ["refused: true", "destroyed: local", "destroyed: shared", "Ok(true)"]);
}

/// The lasting part of a loop goes to the next one: not while anybody could queue for the old one.
#[test]
fn old_handles_and_wakers_reach_no_later_loop() {
    let old = Rig::new();
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let kept = waker.clone();
    let task = old.spawn(poll_fn(move |cx| {
        *kept.lock().unwrap() = Some(cx.waker().clone());
        Poll::<()>::Pending
    }));
    old.pass();
    old.event_loop.close().unwrap();
    old.log.take();
    for _ in 0..3 {
        let new = Rig::new();
        new.spawn(pending::<()>()).detach();
        waker.lock().unwrap().as_ref().unwrap().wake_by_ref();
        assert!(old.spawn_noting("on the wrong loop").done());
        assert!(old.event_loop.all_tasks().is_empty());
        assert_eq!(new.event_loop.all_tasks().len(), 1);
        let event_loop = old.event_loop.clone();
        let outcome = new.run(async move { event_loop.is_worker() });
        assert!(matches!(outcome, Some(MainOutcome::Returned(false))));
        new.event_loop.close().unwrap();
        assert_eq!(new.log.take().len(), 1, "only the pending task is told of");
    }
    drop(old);
    let new = Rig::new();
    waker.lock().unwrap().take().unwrap().wake();
    task.add_done_callback(|_| {});
    assert!(task.done() && task.cancelled());
    new.event_loop.close().unwrap();
}

/// Whatever races with `close` is dropped exactly once, wherever that happens.
#[test]
fn threads_that_race_with_close_lose_and_leak_nothing() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    struct Counted;
    impl Counted {
        fn new() -> Self {
            ALIVE.fetch_add(1, Ordering::Relaxed);
            Counted
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, Ordering::Relaxed);
        }
    }
    for _ in 0..if cfg!(debug_assertions) { 300 } else { 3000 } {
        let rig = Rig::new();
        let start = std::sync::Barrier::new(3);
        thread::scope(|s| {
            s.spawn(|| {
                start.wait();
                for _ in 0..8 {
                    let counted = Counted::new();
                    rig.spawn(async move { drop(counted) }).detach();
                }
            });
            s.spawn(|| {
                start.wait();
                for _ in 0..8 {
                    let counted = Counted::new();
                    let _ = rig.try_call(move || drop(counted));
                }
            });
            start.wait();
            rig.pass();
            rig.event_loop.close().unwrap();
        });
        drop(rig);
        assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
    }
}
