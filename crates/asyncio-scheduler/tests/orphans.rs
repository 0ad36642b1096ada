//! What a task reports when its loop is gone.
//!
//! Alone in its binary: the core of a loop that is gone would go to the loop of another test, and with it the report.
#![allow(missing_docs)]

mod common;

use asyncio_scheduler::set_last_resort;
use asyncio_task::Task;
use common::{Log, MockReporter, Rig};

#[test]
fn a_panic_seen_by_nobody_is_told_also_when_the_loop_is_gone() {
    let orphans = Log::default();
    set_last_resort(Box::leak(Box::new(MockReporter(orphans.clone()))));
    let rig = Rig::new();
    let tasks = ["A", "B"].map(|name| rig.spawn(async { panic!("unseen") }).named(name));
    rig.pass();
    rig.event_loop.close().unwrap();
    let [a, b]: [Task<()>; 2] = tasks;
    drop(a);
    assert_eq!(rig.log.take(), ["unretrieved: A: unseen"], "a closed loop still hears");
    let log = rig.log.clone();
    drop(rig);
    drop(b);
    assert_eq!(orphans.take(), ["unretrieved: B: unseen"]);
    assert!(log.take().is_empty());
}
