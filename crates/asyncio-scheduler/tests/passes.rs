//! What one pass runs and in which order, what a run leaves behind, and who may run.
#![allow(missing_docs)]

mod common;

use asyncio_base::context::ContextSlot;
use asyncio_scheduler::event_loop::MainOutcome;
use asyncio_scheduler::{CloseError, RunError, Wait};
use common::{Rig, yield_now};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

#[test]
fn a_pass_runs_exactly_what_was_queued() {
    let rig = Rig::new();
    let inner = rig.clone();
    rig.call(move || {
        inner.log.note("first");
        inner.call_noting("third");
        inner.spawn_noting("fourth").detach();
    });
    rig.call_noting("second");
    rig.pass();
    assert_eq!(rig.log.take(), ["first", "second"]);
    rig.pass();
    assert_eq!(rig.log.take(), ["third", "fourth"]);
}

#[test]
fn callbacks_and_tasks_are_one_queue() {
    let rig = Rig::new();
    rig.call_noting("1");
    rig.spawn_noting("2").detach();
    rig.call_noting("3").cancel();
    rig.spawn_noting("4").detach();
    rig.call_noting("5");
    rig.pass();
    assert_eq!(rig.log.take(), ["1", "2", "4", "5"]);
}

#[test]
fn what_was_queued_comes_before_io_and_io_before_timers() {
    let rig = Rig::new();
    for (register, what) in [(true, "io"), (false, "timer")] {
        let inner = rig.clone();
        let wake = move || drop(inner.call_noting(what));
        if register { rig.driver.on_io(wake) } else { rig.driver.on_timer(wake) }
    }
    rig.call_noting("queued");
    rig.pass();
    assert_eq!(rig.log.take(), ["queued", "io", "timer"]);
}

/// A thread calls in, and then makes a descriptor ready for which a task waits: in that order they run, also if one sleep ends with both.
#[test]
fn what_came_while_the_loop_slept_comes_before_io_and_timers() {
    let rig = Rig::new();
    let inner = rig.clone();
    rig.driver.on_idle(move || {
        let other = inner.clone();
        let brings = move || {
            other.call_threadsafe(other.log.noting("called in"));
            other.spawn_noting("spawned from outside").detach();
        };
        thread::spawn(brings).join().unwrap();
        let (io, timer) = (inner.clone(), inner.clone());
        inner.driver.on_io(move || io.spawn_noting("io").detach());
        inner.driver.on_timer(move || {
            timer.spawn_noting("timer").detach();
            timer.stop_soon();
        });
    });
    rig.event_loop.run_forever().unwrap();
    assert_eq!(rig.log.take(), ["called in", "spawned from outside", "io", "timer"]);
}

/// The same for a loop that has work, and looks at its descriptors without sleeping.
#[test]
fn what_came_during_a_look_comes_before_what_it_found() {
    let rig = Rig::new();
    rig.call_noting("queued");
    let inner = rig.clone();
    rig.driver.on_io(move || {
        let other = inner.clone();
        thread::spawn(move || drop(other.call_threadsafe(other.log.noting("called in"))))
            .join()
            .unwrap();
        inner.spawn_noting("io").detach();
        inner.spawn_noting("more io").detach();
    });
    rig.pass();
    assert_eq!(rig.log.take(), ["queued", "called in", "io", "more io"]);
}

/// With several workers who waits for an answer has it before the tasks that compute beside it.
#[test]
fn among_many_what_a_look_has_woken_comes_before_the_few_that_were_queued() {
    let rig = Rig::with_workers(2);
    rig.driver.stop_clock();
    let inner = rig.clone();
    rig.run(async move {
        let busy = ["A", "B"].map(|name| {
            let log = inner.log.clone();
            inner.spawn(async move {
                loop {
                    log.note(name);
                    yield_now().await;
                }
            })
        });
        // The first look is over, and another comes.
        yield_now().await;
        let other = inner.clone();
        let answered = Arc::new(AtomicBool::new(false));
        let is_answered = answered.clone();
        inner.driver.on_io(move || {
            other.log.take();
            let log = other.log.clone();
            let answer = async move {
                log.note("io");
                is_answered.store(true, Ordering::Relaxed);
            };
            other.spawn(answer).detach();
        });
        while !answered.load(Ordering::Relaxed) {
            yield_now().await;
        }
        busy.iter().for_each(|task| assert!(task.cancel()));
    });
    assert_eq!(rig.log.take()[0], "io");
}

/// Wakes a task at every look.
fn ready_at_every_look(rig: &Rig, waker: Waker) {
    let inner = rig.clone();
    rig.driver.on_io(move || {
        waker.wake_by_ref();
        ready_at_every_look(&inner, waker);
    });
}

#[test]
fn beside_long_turns_a_look_follows_each_and_starves_nobody() {
    let rig = Rig::with_workers(2);
    rig.driver.stop_clock();
    let inner = rig.clone();
    rig.run(async move {
        let busy = ["A", "B"].map(|name| {
            let rig = inner.clone();
            inner.spawn(async move {
                loop {
                    rig.log.note(name);
                    rig.driver.advance(Duration::from_micros(50));
                    yield_now().await;
                }
            })
        });
        let answers = inner.clone();
        let mut left = 40;
        let answering = poll_fn(move |cx| {
            if left == 40 {
                ready_at_every_look(&answers, cx.waker().clone());
            }
            answers.log.note("io");
            left -= 1;
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        inner.spawn(answering).await.unwrap();
        busy.iter().for_each(|task| assert!(task.cancel()));
        // It holds the loop.
        inner.driver.forget_io();
    });
    let order = rig.log.take().join(" ");
    assert!(order.ends_with("io A io B io A io B io A io B"), "{order}");
}

#[test]
fn stop_before_a_run_is_one_pass_that_does_not_sleep() {
    let rig = Rig::new();
    rig.event_loop.stop();
    rig.event_loop.stop();
    rig.event_loop.run_forever().unwrap();
    assert_eq!(rig.driver.take_turns(), [Wait::No]);
    // Used up: the next run sleeps.
    let inner = rig.clone();
    rig.driver.on_idle(move || inner.event_loop.stop());
    rig.event_loop.run_forever().unwrap();
    assert_eq!(rig.driver.take_turns(), [Wait::UntilReady]);
}

#[test]
fn what_the_last_pass_queues_stays_for_the_next_run() {
    let rig = Rig::new();
    rig.stop_soon();
    let inner = rig.clone();
    rig.call(move || {
        inner.log.note("in the last pass");
        inner.call_noting("left");
        inner.spawn_noting("left, too").detach();
    });
    rig.event_loop.run_forever().unwrap();
    assert_eq!(rig.log.take(), ["in the last pass"]);
    rig.pass();
    assert_eq!(rig.log.take(), ["left", "left, too"]);
}

#[test]
fn after_main_has_ended_what_it_queued_runs_and_no_more() {
    let rig = Rig::new();
    let inner = rig.clone();
    let outcome = rig.run(async {
        let second = inner.clone();
        inner.call(move || {
            second.log.note("queued by main");
            second.call_noting("queued by that");
        });
        7
    });
    assert!(matches!(outcome, Some(MainOutcome::Returned(7))));
    assert_eq!(rig.log.take(), ["queued by main"]);
    assert_eq!(rig.driver.take_turns(), [Wait::No, Wait::TimersOnly]);
}

/// Between two looks at the descriptors a turn is made before the pass that follows a sign, and no other.
#[test]
fn a_turn_is_made_when_there_are_signs_of_something() {
    const NEVER: u64 = u64::MAX;
    let words = Arc::new([NEVER, NEVER, 0].map(AtomicU64::new));
    let rig = Rig::new();
    rig.driver.stop_clock();
    *rig.driver.signs.lock().unwrap() = Some(words.clone());
    let inner = rig.clone();
    rig.run(async {
        assert_eq!(inner.driver.take_turns(), [Wait::No]);
        let timer = [Wait::TimersOnly];
        let after: [([u64; 3], &[Wait]); 8] = [
            ([NEVER, NEVER, 0], &[]),
            ([9, NEVER, 0], &timer),
            ([10, NEVER, 0], &[]),
            ([NEVER, 9, 0], &timer),
            ([11, 10, 0], &[]),
            ([11, 9, 0], &timer),
            ([NEVER, NEVER, 1], &timer),
            ([11, NEVER, 1 << 63], &timer),
        ];
        for (now, turns) in after {
            words.iter().zip(now).for_each(|(word, now)| word.store(now, Ordering::Relaxed));
            yield_now().await;
            assert_eq!(inner.driver.take_turns(), turns, "after {now:?}");
        }
        words
            .iter()
            .zip([NEVER, NEVER, 0])
            .for_each(|(word, no)| word.store(no, Ordering::Relaxed));
    });
    assert!(rig.driver.take_turns().is_empty());
}

#[test]
fn main_that_ends_in_the_pass_that_stops_has_ended() {
    let rig = Rig::new();
    rig.stop_soon();
    let inner = rig.clone();
    let outcome = rig.run(async {
        inner.call_noting("stays");
        1
    });
    assert!(matches!(outcome, Some(MainOutcome::Returned(1))));
    assert!(rig.log.take().is_empty());
    // No request to stop is left.
    let outcome = rig.run(async {
        yield_now().await;
        yield_now().await;
        2
    });
    assert!(matches!(outcome, Some(MainOutcome::Returned(2))));
    assert_eq!(rig.log.take(), ["stays"]);
}

#[test]
fn main_that_is_stopped_is_dropped_and_the_order_of_the_rest_is_kept() {
    let rig = Rig::new();
    let inner = rig.clone();
    let queue_more = rig.clone();
    let outcome = rig.run(async move {
        let _queues =
            common::OnDrop::new(move || drop(queue_more.call_noting("from the destructor")));
        inner.call_noting("1");
        yield_now().await;
        inner.call_noting("2");
        inner.spawn_noting("3").detach();
        inner.event_loop.stop();
        yield_now().await;
        unreachable!("stopped before");
    });
    assert!(outcome.is_none());
    assert!(rig.event_loop.all_tasks().iter().all(|task| !task.done()));
    assert_eq!(rig.log.take(), ["1"]);
    rig.pass();
    assert_eq!(rig.log.take(), ["2", "3", "from the destructor"]);
    assert!(rig.event_loop.all_tasks().is_empty());
}

#[test]
fn a_cancel_recorded_before_main_returned_wins() {
    let rig = Rig::new();
    let outcome = rig.run(async {
        assert!(asyncio_task::current().unwrap().cancel_with("too late?"));
        1
    });
    let Some(MainOutcome::Failed(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.as_cancelled().unwrap().message(), Some("too late?"));
}

#[test]
fn a_busy_loop_looks_at_descriptors_once_in_61_entries() {
    let rig = Rig::new();
    rig.driver.stop_clock();
    rig.run(async {
        for _ in 0..130 {
            yield_now().await;
        }
    });
    let turns = rig.driver.take_turns();
    assert_eq!(turns.len(), 132);
    let looks: Vec<_> = (0..turns.len()).filter(|&pass| turns[pass] == Wait::No).collect();
    assert_eq!(looks, [0, 61, 122]);
}

#[test]
fn a_panic_of_the_driver_leaves_a_loop_that_runs_again() {
    let rig = Rig::new();
    let inner = rig.clone();
    rig.driver.on_idle(move || {
        inner.call_noting("queued before the panic");
        inner.event_loop.stop();
        panic!("poller")
    });
    let main_dropped = rig.log.on_drop("main dropped");
    let run = catch_unwind(AssertUnwindSafe(|| {
        rig.run(async {
            let _dropped = main_dropped;
            pending::<()>().await;
        })
    }));
    assert_eq!(common::message(&*run.unwrap_err()), "poller");
    assert_eq!(rig.log.take(), ["main dropped"]);
    assert!(rig.event_loop.all_tasks().is_empty() && !rig.event_loop.is_running());
    // Neither the request to stop nor main is left; what was queued is.
    let outcome = rig.run(async {
        yield_now().await;
        yield_now().await;
    });
    assert!(matches!(outcome, Some(MainOutcome::Returned(()))));
    assert_eq!(rig.log.take(), ["queued before the panic"]);
}

#[test]
fn threads_that_go_on_pushing_do_not_keep_a_pass_from_starting() {
    // Enough that there is always more to take; not so many that the queue outgrows the passes.
    const AHEAD: usize = 1000;
    let rig = Rig::new();
    let (stop, stopped) = mpsc::channel::<()>();
    let pusher = {
        let rig = rig.clone();
        let waiting = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                if waiting.load(Ordering::Relaxed) < AHEAD {
                    waiting.fetch_add(1, Ordering::Relaxed);
                    let waiting = waiting.clone();
                    rig.call_threadsafe(move || {
                        waiting.fetch_sub(1, Ordering::Relaxed);
                    });
                }
            }
        })
    };
    for _ in 0..100 {
        rig.pass();
    }
    drop(stop);
    pusher.join().unwrap();
}

#[test]
fn a_run_inside_a_run_is_refused() {
    let (rig, other) = (Rig::new(), Rig::new());
    let inner = rig.clone();
    let nested = async {
        let event_loop = &inner.event_loop;
        let same = event_loop.run_forever();
        let another = other.event_loop.run_forever();
        (same, another, event_loop.close(), event_loop.is_running())
    };
    let outcome = rig.run(nested);
    let refused = (
        Err(RunError::AlreadyRunning),
        Err(RunError::AnotherRunning),
        Err(CloseError::Running),
        true,
    );
    assert!(matches!(outcome, Some(MainOutcome::Returned(seen)) if seen == refused));
    let elsewhere = {
        let rig = rig.clone();
        rig.clone()
            .run(async move { thread::spawn(move || rig.event_loop.run_forever()).join().unwrap() })
    };
    assert!(matches!(elsewhere, Some(MainOutcome::Returned(Err(RunError::AlreadyRunning)))));
    assert_eq!(rig.event_loop.close(), Ok(true));
    assert_eq!(rig.event_loop.run_forever(), Err(RunError::Closed));
    let main = rig.event_loop.run_until_complete(
        async { unreachable!() },
        ContextSlot::new(),
        Location::caller(),
        |_| unreachable!(),
    );
    assert!(matches!(main, Err(RunError::Closed)));
}

#[test]
fn a_loop_with_local_tasks_stays_on_its_thread() {
    let rig = Rig::new();
    let inner = rig.clone();
    let spawn_local = |rig: &Rig| {
        let room = rig.event_loop.local_room(ContextSlot::new(), Location::caller());
        room.map(|room| room.spawn(pending::<()>()))
    };
    assert!(spawn_local(&rig).is_none(), "this thread does not run the loop yet");
    rig.run(async { spawn_local(&inner).unwrap().detach() });
    let (run, close) = thread::scope(|s| {
        let other = || (rig.event_loop.run_forever(), rig.event_loop.close());
        s.spawn(other).join().unwrap()
    });
    assert_eq!((run, close), (Err(RunError::WrongThread), Err(CloseError::WrongThread)));
    assert!(!rig.event_loop.is_closed() && !rig.event_loop.is_running());
    assert_eq!(rig.event_loop.close(), Ok(true));
    assert_eq!(rig.log.take().len(), 1);
}

#[test]
fn without_local_tasks_any_thread_may_run_next() {
    let rig = Rig::new();
    rig.call_noting("on another thread");
    rig.run(async {});
    rig.call_noting("on this one");
    thread::scope(|s| s.spawn(|| rig.pass()).join().unwrap());
    assert_eq!(rig.log.take(), ["on another thread", "on this one"]);
}
