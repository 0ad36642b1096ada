//! The list of tasks that are not complete.

mod common;

use asyncio_task::{Host, Ran, Task, TaskHandle};
use common::{Alive, Loop, Remote};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn names(lp: &Loop) -> Vec<String> {
    lp.tasks().snapshot().iter().map(|task| task.get_name().to_string()).collect()
}

#[test]
fn a_task_is_listed_from_its_making_to_its_end() {
    let lp = Loop::new();
    assert!(lp.tasks().is_empty());
    let remotes: Vec<Remote> = (0..4).map(|_| Remote::default()).collect();
    let tasks: Vec<Task<()>> = remotes
        .iter()
        .enumerate()
        .map(|(n, remote)| lp.spawn(remote.future(())).named(format!("t{n}")))
        .collect();
    assert_eq!(names(lp), ["t0", "t1", "t2", "t3"], "oldest first, before their first turn too");
    lp.run();
    // Out of the middle, from both ends, and the last.
    for (n, left) in [(1, "t0 t2 t3"), (3, "t0 t2"), (0, "t2"), (2, "")] {
        remotes[n].finish();
        lp.run();
        assert!(tasks[n].done());
        let left: Vec<&str> = left.split_whitespace().collect();
        assert_eq!(
            (names(lp), lp.tasks().len()),
            (left.iter().map(|s| s.to_string()).collect(), left.len())
        );
    }
}

#[test]
fn a_detached_task_stays_listed_and_can_be_reached() {
    let (lp, remote) = (Loop::new(), Remote::default());
    lp.spawn(remote.future(())).detach();
    lp.run();
    drop(remote.take_waker());
    let handle = lp.tasks().snapshot().pop().expect("nothing else names the task");
    assert!(handle.cancel());
    assert_eq!((lp.run(), remote.alive.count(), handle.cancelled()), (1, 0, true));
    assert!(lp.tasks().is_empty());
}

#[test]
fn a_closed_list_refuses_and_the_future_is_dropped_at_once() {
    let (lp, remote, alive) = (Loop::new(), Remote::default(), Alive::default());
    lp.tasks().set_closed(true);
    let mut task = lp.spawn(remote.future(alive.token()));
    assert_eq!((lp.queued(), remote.alive.count(), alive.count()), (0, 0, 0));
    assert!(task.done() && task.cancelled() && !task.cancel());
    assert!(task.try_result().unwrap().unwrap_err().is_cancelled());
    lp.spawn(remote.future(alive.token())).detach();
    lp.tasks().set_closed(false);
    lp.spawn(remote.future(alive.token())).detach();
    assert_eq!((lp.queued(), lp.tasks().len()), (1, 1));
    lp.run();
    assert!(lp.reports().is_empty());
}

#[test]
fn numbers_are_unique_and_rise_on_one_thread() {
    let lp = Loop::new();
    let of_thread = move || (0..300).map(|_| lp.spawn(async {}).id()).collect::<Vec<_>>();
    let threads: Vec<_> = (0..3).map(|_| thread::spawn(of_thread)).collect();
    let ids: Vec<Vec<_>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(ids.iter().all(|ids| ids.is_sorted()));
    let all: HashSet<_> = ids.iter().flatten().collect();
    assert_eq!((all.len(), lp.run()), (900, 900));
}

/// Snapshots in a race with tasks that end: every handle is good, and none is complete before it is unlisted.
#[test]
fn a_snapshot_may_be_taken_at_any_moment() {
    const TASKS: usize = 3_000;
    let lp = Loop::new();
    let stop = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = 0;
            while !stop.load(Ordering::Relaxed) {
                let tasks: Vec<TaskHandle> = lp.tasks().snapshot();
                seen += tasks.iter().filter(|task| !task.get_name().is_empty()).count();
            }
            seen
        });
        for _ in 0..TASKS {
            lp.spawn(async {}).detach();
            lp.spawn(async {}).detach();
            lp.step();
        }
        lp.run();
        stop.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    assert!(
        lp.tasks().is_empty() && lp.scheduled.load(Ordering::Relaxed) == 2 * TASKS,
        "saw {seen}"
    );
}

#[test]
fn a_token_says_how_its_turn_ended() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let spawn = |remote: &Remote| {
        let (made, token) = asyncio_task::spawn(lp.room(), remote.future(()));
        (made.into_task(), token)
    };
    let (task, token) = spawn(&remote);
    let token = token.unwrap();
    assert_eq!(token.id(), task.id());
    assert!(matches!(token.run(1), Ran::Waiting));
    remote.set_ready();
    let (other, token) = spawn(&remote);
    assert!(matches!(token.unwrap().run(1), Ran::Complete));
    assert!(other.done() && !task.done());
    remote.waker().wake();
    lp.run();
    assert!(task.done());
}
