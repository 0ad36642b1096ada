//! A watched loop runs every step through its reporter.
#![allow(missing_docs)]

mod common;

use common::Rig;

#[test]
fn every_step_of_a_watched_loop_goes_through_the_reporter() {
    let rig = Rig::new();
    rig.event_loop.set_watched(true);
    assert!(rig.event_loop.is_watched());
    rig.call_noting("one");
    rig.spawn_noting("two").named("task").detach();
    rig.pass();
    let seen = rig.log.take();
    let callback = ["begins: callback", "one", "ends: callback"];
    let task = ["begins: task", "two", "ends: task"];
    assert_eq!(seen, [callback, task].concat());
    // It may be switched while the loop runs.
    let event_loop = rig.event_loop.clone();
    rig.call(move || event_loop.set_watched(false));
    rig.pass();
    rig.call_noting("three");
    rig.pass();
    assert_eq!(rig.log.take(), ["begins: callback", "ends: callback", "three"]);
}

#[test]
fn panics_of_watched_steps_are_reported_as_ever() {
    let rig = Rig::new();
    rig.event_loop.set_watched(true);
    rig.call(|| panic!("callback"));
    rig.spawn(async { panic!("turn") }).named("task").detach();
    rig.pass();
    let callback = ["begins: callback", "ends: callback", "callback panicked: callback"];
    let task = ["begins: task", "unretrieved: task: turn", "ends: task"];
    assert_eq!(rig.log.take(), [callback, task].concat());
}

#[test]
fn a_step_is_run_once_whatever_its_reporter_does() {
    let rig = Rig::new();
    rig.event_loop.set_watched(true);
    let turns = rig.log.clone();
    // Its name makes the reporter panic, before and after.
    let task = rig.spawn(async move { turns.note("turn") });
    task.named("bomb").detach();
    rig.pass();
    rig.call_noting("next");
    rig.pass();
    let next = ["begins: callback", "next", "ends: callback"];
    assert_eq!(rig.log.take(), [&["begins: bomb", "turn"][..], &next].concat());
}
