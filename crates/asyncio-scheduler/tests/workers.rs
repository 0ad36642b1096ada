//! Several workers, some of which get no thread.
#![allow(missing_docs)]

mod common;

use common::Rig;
use std::sync::mpsc;
use std::time::Duration;

/// Nothing here takes so long.
const TOO_LONG: Duration = Duration::from_secs(20);

const REFUSED: &str = "worker refused: no threads here";

/// The first worker that is to watch has no thread: the next does, and finds what lies with main, which is stuck.
#[test]
fn another_watches_in_place_of_one_without_a_thread() {
    let rig = Rig::with_threads(3, 1);
    let (tell, told) = mpsc::channel();
    let mut outcome = Ok(());
    rig.run(async {
        rig.spawn(async move { tell.send(()) }).detach();
        outcome = told.recv_timeout(TOO_LONG);
    });
    assert_eq!((outcome, rig.log.take()), (Ok(()), vec![REFUSED.to_owned()]));
}

/// None has a thread: each was asked by the time that the first entry runs.
#[test]
fn all_are_asked_to_watch_until_one_can() {
    let rig = Rig::with_workers(4);
    let mut seen = Vec::new();
    rig.run(async { seen = rig.log.take() });
    assert_eq!(seen, [REFUSED; 3]);
    assert!(rig.log.take().is_empty());
}

/// A closed loop's place is taken by the next one with as many workers: there all are asked once more.
#[test]
fn who_had_no_thread_may_have_one_in_the_next_loop() {
    const AS_MANY_AS_NOWHERE_ELSE: usize = 5;
    for _ in 0..2 {
        let rig = Rig::with_workers(AS_MANY_AS_NOWHERE_ELSE);
        rig.run(async {});
        assert_eq!(rig.log.take(), [REFUSED; AS_MANY_AS_NOWHERE_ELSE - 1]);
    }
}
