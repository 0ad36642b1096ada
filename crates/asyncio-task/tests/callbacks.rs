//! Done-callbacks: queued on the lane in order, exactly once, before the joiner; and what a late one changes.

mod common;

use common::{Alive, Bomb, Count, Loop, Remote, counting_waker, poll_once, poll_with};
use std::future::IntoFuture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;
use std::thread;

type Log = Arc<Mutex<Vec<u32>>>;

/// A callback that notes `n` and the value it saw.
fn note(log: &Log, n: u32) -> impl FnOnce(&Result<u32, asyncio_task::JoinError>) + Send + 'static {
    let log = log.clone();
    move |outcome| log.lock().unwrap().push(n * 100 + outcome.as_ref().copied().unwrap_or(99))
}

#[test]
fn callbacks_run_on_the_lane_in_order_and_then_the_joiner_is_woken() {
    let (lp, remote, log) = (Loop::new(), Remote::default(), Log::default());
    let mut task = lp.spawn(remote.future(7));
    let (waker, wakes) = counting_waker();
    lp.run();
    for n in 1..=3 {
        task.add_done_callback(note(&log, n));
    }
    assert!(poll_with(&mut task, &waker).is_pending());
    remote.finish();
    lp.run();
    assert_eq!((task.done(), lp.lane_len(), wakes.get()), (true, 3, 0));
    assert!(task.try_result().is_none(), "the callbacks come first");
    assert_eq!(*task.result().unwrap().as_ref().unwrap(), 7, "but it can be read");
    assert!(lp.call() && lp.call());
    assert_eq!((wakes.get(), task.try_result().is_none()), (0, true));
    assert!(lp.call());
    assert_eq!((wakes.get(), &*log.lock().unwrap()), (1, &vec![107, 207, 307]));
    assert!(matches!(poll_with(&mut task, &waker), Poll::Ready(Ok(7))));
}

#[test]
fn a_callback_added_to_a_task_that_is_done_is_queued_at_once() {
    let (lp, log) = (Loop::new(), Log::default());
    let mut task = lp.spawn(async { 5 });
    lp.run();
    // Twice: nobody had watched the task when it ended, and then somebody has.
    for n in 1..=3 {
        task.add_done_callback(note(&log, n));
        assert_eq!(lp.lane_len(), n as usize);
    }
    assert!(log.lock().unwrap().is_empty(), "never inside the call");
    assert!(task.try_result().is_none());
    assert_eq!(lp.call_all(), 3);
    assert_eq!(*log.lock().unwrap(), [105, 205, 305]);
    task.add_done_callback(note(&log, 4));
    assert_eq!(lp.call_all(), 1);
    assert_eq!(task.try_result().unwrap().unwrap(), 5);
    let taken = catch_unwind(AssertUnwindSafe(|| task.add_done_callback(note(&log, 5))));
    assert!(taken.is_err(), "the result was taken");
    assert_eq!(*log.lock().unwrap(), [105, 205, 305, 405]);
}

#[test]
fn a_waiter_that_found_the_task_done_does_not_hide_later_callbacks() {
    let (lp, log) = (Loop::new(), Log::default());
    let task = lp.spawn(async { 5 });
    lp.run();
    assert!(poll_once(&mut (&task).into_future()).is_ready());
    task.add_done_callback(note(&log, 1));
    assert!(poll_once(&mut (&task).into_future()).is_pending(), "a callback is outstanding");
    task.add_done_callback(note(&log, 2));
    assert_eq!(lp.call_all(), 2);
    assert_eq!(*log.lock().unwrap(), [105, 205]);
    assert!(poll_once(&mut (&task).into_future()).is_ready());
}

#[test]
fn the_joiner_waits_for_a_late_callback_too() {
    let (lp, remote, log) = (Loop::new(), Remote::default(), Log::default());
    let mut task = lp.spawn(remote.future(1));
    let (early, early_wakes) = counting_waker();
    lp.run();
    assert!(poll_with(&mut task, &early).is_pending());
    remote.finish();
    lp.run();
    assert_eq!(early_wakes.get(), 1);
    for n in 1..=2 {
        task.add_done_callback(note(&log, n));
        let (late, late_wakes) = counting_waker();
        assert!(poll_with(&mut task, &late).is_pending());
        assert!(poll_with(&mut task, &late).is_pending());
        assert_eq!((lp.call_all(), late_wakes.get(), early_wakes.get()), (1, 1, 1));
    }
    assert!(matches!(poll_once(&mut task), Poll::Ready(Ok(1))));
}

#[test]
fn a_handle_dropped_before_its_callbacks_leaves_them_the_output() {
    // Dropped before the end, or after it with the callbacks on the lane; with or without a joiner in the slot.
    for (after_end, joined) in [(false, false), (false, true), (true, false), (true, true)] {
        let (lp, remote, alive) = (Loop::new(), Remote::default(), Alive::default());
        let mut task = lp.spawn(remote.future(alive.token()));
        let (calls, seen) = (Count::default(), alive.clone());
        let count = calls.clone();
        task.add_done_callback(move |outcome| {
            assert!(outcome.is_ok() && seen.count() == 1);
            count.add();
        });
        lp.run();
        let (waker, wakes) = counting_waker();
        if joined {
            assert!(poll_with(&mut task, &waker).is_pending());
        }
        let mut task = Some(task);
        if !after_end {
            task.take();
        }
        remote.finish();
        lp.run();
        task.take();
        assert_eq!((alive.count(), calls.get()), (1, 0), "the callbacks need it");
        assert_eq!((lp.call_all(), alive.count(), calls.get()), (1, 0, 1));
        assert_eq!(wakes.get(), usize::from(joined && after_end), "at most one wake too many");
    }
}

#[test]
fn a_removed_callback_is_not_called() {
    let (lp, remote, log, alive) =
        (Loop::new(), Remote::default(), Log::default(), Alive::default());
    let task = lp.spawn(remote.future(1));
    let first = task.add_done_callback(note(&log, 1));
    let token = alive.token();
    let second = task.add_done_callback(move |_| drop(token));
    task.add_done_callback(note(&log, 3));
    assert!(task.remove_done_callback(second));
    assert_eq!((alive.count(), task.remove_done_callback(second)), (0, false));
    lp.run();
    remote.finish();
    lp.run();
    assert!(!task.remove_done_callback(first), "it is queued");
    assert_eq!(lp.call_all(), 2);
    assert_eq!(*log.lock().unwrap(), [101, 301]);
}

#[test]
fn with_all_callbacks_removed_the_task_ends_as_if_there_were_none() {
    let (lp, remote, log) = (Loop::new(), Remote::default(), Log::default());
    let mut task = lp.spawn(remote.future(1));
    let (waker, wakes) = counting_waker();
    lp.run();
    let id = task.add_done_callback(note(&log, 1));
    assert!(poll_with(&mut task, &waker).is_pending());
    assert!(task.remove_done_callback(id));
    remote.finish();
    lp.run();
    assert_eq!((lp.lane_len(), wakes.get()), (0, 1));
    assert_eq!(task.try_result().unwrap().unwrap(), 1);
}

#[test]
fn a_callback_that_panics_counts_as_done() {
    let (lp, remote, log) = (Loop::new(), Remote::default(), Log::default());
    let mut task = lp.spawn(remote.future(1));
    let (waker, wakes) = counting_waker();
    lp.run();
    task.add_done_callback(note(&log, 1));
    task.add_done_callback(|_| panic!("callback"));
    assert!(poll_with(&mut task, &waker).is_pending());
    remote.finish();
    lp.run();
    assert_eq!((lp.call_all(), wakes.get()), (2, 1));
    assert_eq!(lp.reports(), ["callback panicked"]);
    assert_eq!(task.try_result().unwrap().unwrap(), 1);
}

#[test]
fn the_last_callback_may_panic_where_the_output_has_a_bad_destructor() {
    let (lp, remote) = (Loop::new(), Remote::default());
    struct Output;
    impl Drop for Output {
        fn drop(&mut self) {
            panic!("output");
        }
    }
    let task = lp.spawn(remote.future(Output));
    task.add_done_callback(|_| panic!("callback"));
    lp.run();
    drop(task);
    remote.finish();
    lp.run();
    assert_eq!(lp.call_all(), 1);
    assert_eq!(lp.reports(), ["destructor: the task panicked: output", "callback panicked"]);
}

#[test]
fn a_closed_loop_drops_callbacks_and_the_joiner_hears_all_the_same() {
    // The lane is closed before the task ends, or with the callbacks on it.
    for before_end in [true, false] {
        let (lp, remote, alive) = (Loop::new(), Remote::default(), Alive::default());
        let mut task = lp.spawn(remote.future(1));
        let (waker, wakes) = counting_waker();
        lp.run();
        let (token, bomb) = (alive.token(), Bomb("captured"));
        task.add_done_callback(move |_| {
            let _unused = (&token, &bomb);
            unreachable!("the loop is closed");
        });
        assert!(poll_with(&mut task, &waker).is_pending());
        if before_end {
            lp.close_lane();
        }
        remote.finish();
        lp.run();
        lp.close_lane();
        assert_eq!((wakes.get(), alive.count()), (1, 0));
        assert_eq!(lp.reports(), ["destructor: the task panicked: captured"]);
        assert!(matches!(poll_once(&mut task), Poll::Ready(Ok(1))));
    }
}

#[test]
fn a_late_callback_on_a_closed_loop_is_dropped_and_the_output_stays_takeable() {
    let (lp, alive) = (Loop::new(), Alive::default());
    let mut task = lp.spawn(async { 1 });
    lp.run();
    lp.close_lane();
    let token = alive.token();
    task.add_done_callback(move |_| drop(token));
    assert_eq!((alive.count(), task.try_result().unwrap().unwrap()), (0, 1));
}

#[test]
fn callbacks_see_a_cancelled_task_and_run_in_a_copy_of_the_context() {
    let (lp, remote, log) = (Loop::new(), Remote::default(), Log::default());
    let task = lp.spawn(remote.future(1));
    task.add_done_callback(note(&log, 1));
    assert!(task.cancel());
    lp.run();
    lp.call_all();
    assert_eq!(*log.lock().unwrap(), [199]);
}

#[test]
fn removing_and_adding_inside_a_callback_is_safe() {
    let (lp, remote, log) = (Loop::new(), Remote::default(), Log::default());
    let task = Arc::new(lp.spawn(remote.future(1)));
    let (inner, inner_log) = (task.clone(), log.clone());
    let next = Arc::new(Mutex::new(None));
    let to_remove = next.clone();
    task.add_done_callback(move |_| {
        assert!(!inner.remove_done_callback(to_remove.lock().unwrap().unwrap()), "queued");
        inner.add_done_callback(note(&inner_log, 3));
    });
    *next.lock().unwrap() = Some(task.add_done_callback(note(&log, 2)));
    lp.run();
    remote.finish();
    lp.run();
    assert_eq!(lp.call_all(), 3);
    assert_eq!(*log.lock().unwrap(), [201, 301]);
    assert!(task.result().is_ok());
}

/// A thread adds callbacks while another runs task and lane: each is called once, in order, and the result is there at the end.
#[test]
fn callbacks_added_in_a_race_with_the_end_run_once_and_in_order() {
    const ROUNDS: usize = 500;
    const CALLBACKS: u32 = 8;
    let lp = Loop::new();
    for _ in 0..ROUNDS {
        let log = Log::default();
        let mut task = lp.spawn(async { 1 });
        let start = Barrier::new(2);
        thread::scope(|scope| {
            let adder = scope.spawn(|| {
                start.wait();
                (0..CALLBACKS).for_each(|n| {
                    task.add_done_callback(note(&log, n));
                });
            });
            start.wait();
            while lp.step() || lp.call() || !adder.is_finished() {}
            adder.join().unwrap();
        });
        lp.run();
        lp.call_all();
        let expected: Vec<u32> = (0..CALLBACKS).map(|n| n * 100 + 1).collect();
        assert_eq!(*log.lock().unwrap(), expected);
        assert_eq!(task.try_result().unwrap().unwrap(), 1);
    }
}
