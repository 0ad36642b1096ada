//! Callbacks and their handles: panics, cancelling, contexts.
#![allow(missing_docs)]

mod common;

use asyncio_base::context::{Context, ContextSlot, with_current};
use asyncio_scheduler::callback::Kind;
use common::{OnDrop, Rig};
use std::panic::Location;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

#[test]
fn a_callback_that_panics_is_reported_and_the_next_one_runs() {
    let rig = Rig::new();
    rig.call(|| panic!("one"));
    rig.call_noting("two");
    rig.call(|| panic!("three"));
    rig.call_noting("four");
    rig.pass();
    let seen = rig.log.take();
    assert_eq!(seen, ["callback panicked: one", "two", "callback panicked: three", "four"]);
}

#[test]
fn a_reporter_that_panics_stops_nothing() {
    let rig = Rig::new();
    rig.call(|| panic!("bomb"));
    rig.call_noting("next");
    rig.pass();
    assert_eq!(rig.log.take(), ["callback panicked: bomb", "next"]);
}

#[test]
fn a_context_value_that_panics_when_dropped_is_reported() {
    let rig = Rig::new();
    let bomb = OnDrop::new(|| std::panic::panic_any("value"));
    let context = Context::new();
    context.set(1, Some(Arc::new(Mutex::new(bomb))));
    let slot = ContextSlot::with(context);
    drop(rig.event_loop.call(Kind::Plain, slot, Location::caller(), rig.log.noting("ran")));
    rig.call_noting("next");
    rig.pass();
    assert_eq!(rig.log.take(), ["ran", "callback panicked: value", "next"]);
}

#[test]
fn a_callback_runs_in_its_context() {
    let rig = Rig::new();
    let context = Context::new();
    context.set(1, Some(Arc::new(5)));
    let slot = ContextSlot::with(context.clone());
    let sets = || {
        with_current(|slot| {
            let context = slot.get().unwrap();
            assert!(context.get(1).is_some());
            context.set(2, Some(Arc::new(6)));
        });
    };
    let handle = rig.event_loop.call(Kind::Plain, slot, Location::caller(), sets).unwrap();
    rig.pass();
    assert!(handle.get_context().is(&context) && context.get(2).is_some());
    assert!(rig.log.take().is_empty(), "no panic was reported");
}

#[test]
fn cancel_drops_the_callback_at_once() {
    let rig = Rig::new();
    let dropped = rig.log.on_drop("dropped");
    let handle = rig.call(move || drop(dropped));
    assert!(!handle.cancelled());
    handle.cancel();
    assert_eq!(rig.log.take(), ["dropped"]);
    assert!(handle.cancelled());
    handle.cancel();
    rig.pass();
    assert!(rig.log.take().is_empty());
}

#[test]
fn a_callback_that_cancels_itself_runs_to_its_end() {
    let rig = Rig::new();
    for threadsafe in [false, true] {
        let own = Arc::new(OnceLock::new());
        let (cell, log) = (own.clone(), rig.log.clone());
        let cancels = move || {
            let handle: &asyncio_scheduler::Handle = cell.get().unwrap();
            assert!(!handle.cancelled());
            handle.cancel();
            assert!(handle.cancelled());
            log.note("ended");
        };
        let handle = if threadsafe { rig.call_threadsafe(cancels) } else { rig.call(cancels) };
        own.set(handle).unwrap();
        rig.pass();
        assert_eq!(rig.log.take(), ["ended"]);
    }
}

#[test]
fn cancelling_a_callback_that_ran_changes_nothing_about_that() {
    let rig = Rig::new();
    let handle = rig.call_threadsafe(rig.log.noting("ran"));
    rig.pass();
    assert!(!handle.cancelled());
    handle.cancel();
    assert_eq!(rig.log.take(), ["ran"]);
}

/// The callback waits for the canceller to be on its way; that one may come at any moment of the run, and is never back before its end.
#[test]
fn cancel_of_a_threadsafe_callback_waits_out_its_run() {
    let rig = Rig::new();
    for _ in 0..200 {
        let meet = Arc::new(Barrier::new(2));
        let (inner, log) = (meet.clone(), rig.log.clone());
        let handle = rig.call_threadsafe(move || {
            inner.wait();
            thread::yield_now();
            log.note("ended");
        });
        thread::scope(|s| {
            let canceller = s.spawn(|| {
                meet.wait();
                handle.cancel();
                rig.log.take()
            });
            rig.pass();
            assert_eq!(canceller.join().unwrap(), ["ended"]);
        });
    }
}

#[test]
fn a_thread_safe_call_ends_the_sleep_of_the_loop() {
    let rig = Rig::new();
    for _ in 0..100 {
        thread::scope(|s| {
            let runner = s.spawn(|| rig.event_loop.run_forever().unwrap());
            let event_loop = rig.event_loop.clone();
            rig.call_threadsafe(move || event_loop.stop());
            runner.join().unwrap();
        });
    }
}
