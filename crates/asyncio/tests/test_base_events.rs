//! After CPython's `test_base_events.py`, with the rows of the contract on the loop's iterations and timers.
//!
//! Not ported:
//!
//! | CPython | why |
//! |---|---|
//! | `test_call_coroutine`, `test_call_soon_non_callable`, `test_set_exc_handler_invalid`, `test_set_task_factory_invalid`, `test_run_until_complete_type_error` | do not compile: see `src/doctests.rs` |
//! | `test_ipaddr_info*`, `test_port_parameter_types`, `test_getnameinfo` | name resolution is a matter of `net.rs` |
//! | `test_create_connection*`, `test_create_server*`, `test_create_datagram_endpoint*`, `test_sock_sendfile*` | no transports yet |
//! | `test_asyncgen_finalization_by_gc*` | in `test_asyncgens.rs` |
//! | `test_log_slow_callbacks`, `test_env_var_debug`, `test_set_debug` | in `test_debug.rs` |
//! | `test_shutdown_default_executor_timeout`, `test_set_default_executor*` | in `test_executors.rs` |
//!
//! `KeyboardInterrupt` stands for errors that leave the run at once; here a panic of main is the one that does.

mod common;

use asyncio::{
    EventLoop, RunError, TaskBuilder, create_task, get_running_loop, sleep, try_get_running_loop,
};
use common::{Dropped, Log, loop_in_order, new_loop, one_pass, panic_message, reports};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(3600);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// ----- running

/// CPython test_base_events: test_running_loop_within_a_loop
#[test]
fn a_loop_does_not_run_inside_another() {
    let (inner, outer) = (new_loop(), new_loop());
    let refused = outer.run_until_complete(async { inner.run_forever() }).unwrap();
    assert_eq!(refused, Err(RunError::AnotherRunning));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "cannot run the event loop while another loop is running"
    );
    // Neither of them is any the worse.
    assert_eq!(inner.run_until_complete(async { 1 }), Ok(1));
    assert_eq!(outer.run_until_complete(async { 2 }), Ok(2));
    inner.close().unwrap();
    outer.close().unwrap();
}

/// CPython test_base_events: test_run_until_complete_loop
#[test]
fn a_future_of_another_loop_is_no_main() {
    let (event_loop, other) = (new_loop(), new_loop());
    let future: asyncio::Future<()> = event_loop.create_future();
    let refused = other.run_until_complete(future.clone()).unwrap_err();
    assert_eq!(refused, RunError::OtherLoop);
    assert_eq!(refused.to_string(), "the future belongs to a different loop");
    // Neither the future nor the loops are any the worse.
    future.set_result(()).unwrap();
    event_loop.run_until_complete(future).unwrap().unwrap();
    other.run_until_complete(async {}).unwrap();
    event_loop.close().unwrap();
    other.close().unwrap();
}

/// CPython test_base_events: test_run_until_complete_baseexception
#[test]
fn a_panic_of_main_leaves_no_stop_behind() {
    let event_loop = new_loop();
    let message = panic_message(|| event_loop.run_until_complete(async { panic!("main") }));
    assert_eq!(message, "main");
    assert!(!event_loop.is_running() && try_get_running_loop().is_err());

    let called = Log::new();
    let (inner, note) = (event_loop.clone(), called.clone());
    event_loop.call_soon(move || {
        let stopper = inner.clone();
        inner.call_soon(move || {
            stopper.stop();
            note.push(());
        });
    });
    event_loop.run_forever().unwrap();
    assert_eq!(called.take().len(), 1);
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_run_forever_keyboard_interrupt
#[test]
fn a_panic_of_main_counts_as_seen() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    panic_message(|| event_loop.run_until_complete(async { panic!("seen") }));
    event_loop.close().unwrap();
    assert!(reports.take().is_empty());
}

/// CPython test_base_events: test_run_until_complete_loop_orphan_future_close_loop
#[test]
fn a_main_that_never_ended_cannot_stop_a_later_run() {
    let event_loop = new_loop();
    let future: asyncio::Future<()> = event_loop.create_future();
    let waiting = future.clone();
    let mut task = event_loop.create_task(async move { waiting.await.unwrap() });
    event_loop.call_soon({
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    });
    assert_eq!(event_loop.run_until_complete(&mut task).unwrap_err(), RunError::Stopped);
    // The task ends during this run, which goes on.
    let log = Log::new();
    future.set_result(()).unwrap();
    let (note, inner) = (log.clone(), event_loop.clone());
    event_loop.call_later(millis(5), move || {
        note.push("timer");
        inner.stop();
    });
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), ["timer"]);
    assert!(task.done());
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_run_forever_pre_stopped
///
/// [C]: with several workers each makes passes of its own.
#[test]
fn stop_before_a_run_gives_exactly_one_pass_that_does_not_block() {
    let event_loop = loop_in_order();
    let log = Log::new();
    let (inner, note) = (event_loop.clone(), log.clone());
    event_loop.call_soon(move || {
        note.push("first");
        inner.call_soon(note.note("second"));
    });
    event_loop.call_later(LONG, log.note("timer"));
    one_pass(&event_loop);
    assert_eq!(log.take(), ["first"]);
    one_pass(&event_loop);
    assert_eq!(log.take(), ["second"]);
    // Nothing to do at all: it does not wait for the timer.
    let start = Instant::now();
    one_pass(&event_loop);
    assert!(start.elapsed() < LONG / 2 && log.take().is_empty());
    event_loop.close().unwrap();
}

/// The contract's row of `stop` [C]: the pass is completed, what is queued during it stays for the next run.
#[test]
fn stop_completes_the_pass_and_leaves_the_rest() {
    let event_loop = loop_in_order();
    let log = Log::new();
    let (inner, note) = (event_loop.clone(), log.clone());
    event_loop.call_soon(move || {
        inner.stop();
        inner.call_soon(note.note("queued in the last pass"));
        note.push("stopped");
    });
    event_loop.call_soon(log.note("behind the stop"));
    let note = log.clone();
    let task = event_loop.create_task(async move {
        note.push("task");
        asyncio::yield_now().await;
        note.push("task again");
    });
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), ["stopped", "behind the stop", "task"]);
    one_pass(&event_loop);
    assert_eq!(log.take(), ["queued in the last pass", "task again"]);
    assert!(task.done());
    event_loop.close().unwrap();
}

/// The contract's row of `run_forever`: on the way out the running loop is what it was, also when a panic leaves the run.
#[test]
fn a_run_restores_the_running_loop() {
    let event_loop = new_loop();
    assert!(try_get_running_loop().is_err());
    let inside = event_loop.run_until_complete(async { get_running_loop() }).unwrap();
    assert_eq!(inside, event_loop);
    assert!(try_get_running_loop().is_err());
    panic_message(|| event_loop.run_until_complete(async { panic!() }));
    assert!(try_get_running_loop().is_err());
    drop(inside);
    event_loop.close().unwrap();
}

/// The contract's rows of `is_running`, `is_closed` and `close`: idempotent, an error while running.
///
/// CPython test_base_events: test_close
#[test]
fn a_loop_is_idle_running_or_closed() {
    let event_loop = new_loop();
    assert!(!event_loop.is_running() && !event_loop.is_closed());
    assert_eq!(format!("{event_loop:?}"), "<EventLoop running=false closed=false>");
    event_loop
        .run_until_complete(async {
            let event_loop = get_running_loop();
            assert!(event_loop.is_running() && !event_loop.is_closed());
        })
        .unwrap();
    event_loop.close().unwrap();
    assert!(event_loop.is_closed() && !event_loop.is_running());
    event_loop.close().unwrap();
    assert_eq!(event_loop.run_forever(), Err(RunError::Closed));
    assert_eq!(event_loop.run_until_complete(async {}), Err(RunError::Closed));
    assert_eq!(format!("{event_loop:?}"), "<EventLoop running=false closed=true>");
}

/// The contract's row of `close`: queued callbacks and timers are dropped, pending tasks never run again and are reported.
#[test]
fn close_drops_what_is_queued() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    let drops: Vec<_> = (0..3).map(|_| Dropped::new()).collect();
    let [(callback, saw_callback), (timer, saw_timer), (task, saw_task)] =
        <[_; 3]>::try_from(drops).unwrap();
    let never = |dropped: Dropped| {
        move || {
            drop(dropped);
            unreachable!("a closed loop runs nothing");
        }
    };
    event_loop.call_soon(never(callback));
    event_loop.call_later(Duration::ZERO, never(timer));
    let task = event_loop.create_task(async move { never(task)() });
    event_loop.close().unwrap();
    for dropped in [saw_callback, saw_timer, saw_task] {
        assert!(dropped.load(Ordering::SeqCst));
    }
    assert!(task.cancelled());
    assert_eq!(common::only_message(&reports), "Task was destroyed but it is pending!");
}

/// CPython test_base_events: test_set_task_factory, test_create_named_task_with_custom_factory
#[test]
fn a_task_factory_can_be_set_read_and_removed() {
    let event_loop = new_loop();
    assert!(event_loop.get_task_factory().is_none());
    event_loop.set_task_factory(Some(|task: TaskBuilder| task.name("made here")));
    assert!(event_loop.get_task_factory().is_some());
    let task = event_loop.create_task(async {});
    assert_eq!(&*task.get_name(), "made here");
    event_loop.set_task_factory(None::<fn(TaskBuilder) -> TaskBuilder>);
    assert!(event_loop.get_task_factory().is_none());
    let other = event_loop.create_task(async {});
    assert_ne!(&*other.get_name(), "made here");
    event_loop.run_until_complete(async { (task.await, other.await) }).unwrap().0.unwrap();
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_create_task_error_closes_coro
#[test]
fn a_task_for_a_closed_loop_is_dropped() {
    let event_loop = new_loop();
    event_loop.close().unwrap();
    let (held, dropped) = Dropped::new();
    let message = panic_message(|| event_loop.create_task(async move { drop(held) }));
    assert_eq!(message, "event loop is closed");
    assert!(dropped.load(Ordering::SeqCst));
}

/// CPython test_base_events: test_create_task
#[test]
fn a_task_belongs_to_the_loop_that_made_it() {
    let event_loop = new_loop();
    let mut task = event_loop.create_task(async { get_running_loop() });
    assert!(event_loop.all_tasks().contains(&task.handle()));
    let ran_on = event_loop.run_until_complete(&mut task).unwrap().unwrap();
    assert_eq!(ran_on, event_loop);
    drop(ran_on);
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_create_named_task_with_default_factory
#[test]
fn a_task_of_a_loop_has_the_name_it_was_given() {
    let event_loop = new_loop();
    let mut task = event_loop.task_builder().name("test_task").create_task(async {});
    assert_eq!(&*task.get_name(), "test_task");
    event_loop.run_until_complete(&mut task).unwrap().unwrap();
    assert_eq!(&*task.get_name(), "test_task");
    event_loop.close().unwrap();
}

// ----- callbacks

/// CPython test_base_events: test_call_soon
#[test]
fn a_queued_callback_is_pending_until_its_pass() {
    let event_loop = new_loop();
    let log = Log::new();
    let handle = event_loop.call_soon(log.note(1));
    assert!(!handle.cancelled() && log.take().is_empty());
    one_pass(&event_loop);
    assert_eq!(log.take(), [1]);
    one_pass(&event_loop);
    assert!(log.take().is_empty(), "a callback runs once");
    event_loop.close().unwrap();
}

/// CPython test_base_events: test__add_callback_cancelled_handle
#[test]
fn a_cancelled_callback_is_skipped() {
    let event_loop = new_loop();
    let log = Log::new();
    let (held, dropped) = Dropped::new();
    event_loop.call_soon(log.note(1));
    let handle = event_loop.call_soon(move || drop(held));
    event_loop.call_soon(log.note(2));
    handle.cancel();
    assert!(handle.cancelled());
    // What it captured is gone at once.
    assert!(dropped.load(Ordering::SeqCst));
    handle.cancel();
    one_pass(&event_loop);
    assert_eq!(log.take(), [1, 2]);
    event_loop.close().unwrap();
}

/// The contract's row of `call_soon` [C]: FIFO, and a callback queued from a callback waits for the next pass, before which timers and
/// descriptors are looked at.
#[test]
fn a_callback_queued_from_a_callback_comes_after_another_look_at_the_timers() {
    let event_loop = loop_in_order();
    let log = Log::new();
    let (inner, note) = (event_loop.clone(), log.clone());
    event_loop.call_soon(move || {
        note.push("a");
        inner.call_soon(note.note("from a"));
        // Due before the next pass begins.
        inner.call_at(inner.time(), note.note("timer of a"));
    });
    event_loop.call_soon(log.note("b"));
    one_pass(&event_loop);
    assert_eq!(log.take(), ["a", "b"]);
    one_pass(&event_loop);
    assert_eq!(log.take(), ["from a", "timer of a"]);
    event_loop.close().unwrap();
}

/// [C]: callbacks and tasks share one queue: with one worker they run in the order in which they became ready.
#[test]
fn callbacks_and_tasks_run_in_one_order() {
    let event_loop = loop_in_order();
    let log = Log::new();
    for turn in 0..20 {
        event_loop.call_soon(log.note(2 * turn));
        let note = log.clone();
        event_loop.create_task(async move { note.push(2 * turn + 1) }).detach();
    }
    one_pass(&event_loop);
    assert_eq!(log.take(), (0..40).collect::<Vec<_>>());
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_check_thread
///
/// The other way round: every call is thread-safe here, from a thread without a loop and from one with another.
#[test]
fn callbacks_may_be_queued_from_any_thread() {
    for has_a_loop in [false, true] {
        let event_loop = new_loop();
        let future: asyncio::Future<()> = event_loop.create_future();
        let (running, is_running) = mpsc::channel();
        event_loop.call_soon(move || running.send(()).unwrap());
        let (log, done) = (Log::new(), future.clone());
        let (event_loop, log) = (&event_loop, &log);
        thread::scope(|scope| {
            scope.spawn(move || {
                let other = has_a_loop.then(new_loop);
                asyncio::set_event_loop(other.as_ref());
                is_running.recv().unwrap();
                event_loop.call_soon(log.note("soon"));
                event_loop.call_soon_threadsafe(log.note("thread-safe")).unwrap();
                // Behind the others, which are queued already.
                event_loop.call_later(millis(1), log.note("later"));
                event_loop.call_at(event_loop.time() + millis(50), move || {
                    done.set_result(()).unwrap();
                });
                asyncio::set_event_loop(None);
                if let Some(other) = other {
                    other.close().unwrap();
                }
            });
            event_loop.run_until_complete(future).unwrap().unwrap();
        });
        assert_eq!(log.take(), ["soon", "thread-safe", "later"]);
        event_loop.close().unwrap();
    }
}

// ----- timers

/// Many at once: none comes before its time because an earlier one is due.
#[test]
fn timers_and_sleeps_are_not_early_in_company() {
    let event_loop = new_loop();
    let early = Log::new();
    for step in 0..60 {
        let when = event_loop.time() + Duration::from_micros(250 * step);
        let (inner, early) = (event_loop.clone(), early.clone());
        event_loop.call_at(when, move || early.push(inner.time() < when));
    }
    let slept = event_loop.run_until_complete(async {
        let start = asyncio::now();
        for _ in 0..5 {
            sleep(millis(4)).await;
        }
        asyncio::now() - start
    });
    assert!(slept.unwrap() >= millis(20));
    let early = early.take();
    assert_eq!((early.len(), early.contains(&true)), (60, false));
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_call_later_negative_delays
#[test]
fn times_that_have_passed_fire_in_their_order_in_the_next_pass() {
    let event_loop = new_loop();
    let log = Log::new();
    let now = event_loop.time();
    event_loop.call_at(now - Duration::from_secs(1), log.note("a"));
    event_loop.call_at(now - Duration::from_secs(2), log.note("b"));
    event_loop.call_later(Duration::ZERO, log.note("c"));
    one_pass(&event_loop);
    assert_eq!(log.take(), ["b", "a", "c"]);
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_call_later
#[test]
fn a_timer_knows_when_it_is_due() {
    let event_loop = new_loop();
    let before = event_loop.time();
    let timer = event_loop.call_later(Duration::from_secs(10), || ());
    let after = event_loop.time();
    assert!(timer.when() >= before + Duration::from_secs(10));
    assert!(timer.when() <= after + Duration::from_secs(10));
    one_pass(&event_loop);
    assert!(!timer.cancelled());
    timer.cancel();
    assert!(timer.cancelled());
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_time_and_call_at
#[test]
fn a_timer_is_never_early() {
    let event_loop = new_loop();
    let when = event_loop.time() + millis(100);
    let (inner, fired) = (event_loop.clone(), Log::new());
    let note = fired.clone();
    event_loop.call_at(when, move || {
        note.push(inner.time());
        inner.stop();
    });
    event_loop.run_forever().unwrap();
    let fired = fired.take()[0];
    assert!(fired >= when, "{:?} early", when - fired);
    assert!(fired < when + Duration::from_secs(5));
    event_loop.close().unwrap();
}

/// The contract's row of `call_at`: by deadline, equal deadlines in the order of registration, exactly.
#[test]
fn timers_fire_by_deadline_then_by_registration() {
    let event_loop = new_loop();
    let log = Log::new();
    let start = event_loop.time();
    // A fixed order that is none of the interesting ones.
    let delays = (0..200_u64).map(|n| (n * 73) % 20);
    let mut expected: Vec<_> = delays.enumerate().map(|(n, delay)| (delay, n)).collect();
    for &(delay, n) in &expected {
        event_loop.call_at(start + millis(delay), log.note((delay, n)));
    }
    let inner = event_loop.clone();
    event_loop.call_at(start + millis(20), move || inner.stop());
    event_loop.run_forever().unwrap();
    expected.sort();
    assert_eq!(log.take(), expected);
    event_loop.close().unwrap();
}

/// The contract's row of `call_at`: a very large `when` is fine, and so is one before the epoch of the clock.
#[test]
fn times_at_both_ends_of_the_clock_are_fine() {
    let event_loop = new_loop();
    let log = Log::new();
    let far = event_loop.call_later(Duration::MAX, log.note("never"));
    assert!(far.when() > event_loop.time() + LONG);
    let now = event_loop.time();
    // As far back as the clock goes.
    let past = (0..64).rev().find_map(|bit| now.checked_sub(Duration::from_secs(1 << bit)));
    event_loop.call_at(past.unwrap(), log.note("before everything"));
    event_loop.call_at(now, log.note("now"));
    one_pass(&event_loop);
    assert_eq!(log.take(), ["before everything", "now"]);
    let inner = event_loop.clone();
    event_loop.call_later(millis(1), move || inner.stop());
    event_loop.run_forever().unwrap();
    far.cancel();
    assert!(far.cancelled() && log.take().is_empty());
    event_loop.close().unwrap();
}

/// CPython test_base_events: test__run_once
#[test]
fn a_cancelled_timer_wakes_nobody() {
    let event_loop = new_loop();
    for delay in 1..=50 {
        event_loop.call_later(millis(delay), || unreachable!()).cancel();
    }
    let inner = event_loop.clone();
    event_loop.call_later(millis(60), move || inner.stop());
    event_loop.run_forever().unwrap();
    let waits = event_loop.metrics().waits;
    assert!(waits <= 10, "{waits} waits");
    event_loop.close().unwrap();
}

/// CPython test_base_events: test__run_once_cancelled_event_cleanup
#[test]
fn a_cancelled_timer_is_gone_at_once() {
    let event_loop = new_loop();
    let captured = Arc::new(());
    let timer = |delay| {
        let captured = captured.clone();
        event_loop.call_later(delay, move || drop(captured))
    };
    let kept = timer(LONG);
    for n in 0..200 {
        timer(millis(100 + n)).cancel();
        assert_eq!(Arc::strong_count(&captured), 2);
    }
    one_pass(&event_loop);
    assert_eq!(Arc::strong_count(&captured), 2);
    kept.cancel();
    assert_eq!(Arc::strong_count(&captured), 1);
    event_loop.close().unwrap();
}

/// CPython test_base_events: test__run_once_schedule_handle
///
/// [C]: with several workers each makes passes of its own.
#[test]
fn what_a_timer_queues_waits_for_the_next_pass() {
    let event_loop = loop_in_order();
    let log = Log::new();
    let (inner, note) = (event_loop.clone(), log.clone());
    event_loop.call_at(event_loop.time(), move || {
        note.push("timer");
        inner.call_soon(note.note("queued"));
    });
    one_pass(&event_loop);
    assert_eq!(log.take(), ["timer"]);
    one_pass(&event_loop);
    assert_eq!(log.take(), ["queued"]);
    event_loop.close().unwrap();
}

/// Row 9 of the contract's invariants: cancelling a timer that has not started is final, even one that is due and queued.
#[test]
fn a_timer_that_is_queued_can_still_be_cancelled() {
    let event_loop = new_loop();
    let log = Log::new();
    let timer = Arc::new(std::sync::Mutex::new(None::<asyncio::TimerHandle>));
    let other = timer.clone();
    let now = event_loop.time();
    event_loop.call_at(now - millis(1), move || other.lock().unwrap().take().unwrap().cancel());
    *timer.lock().unwrap() = Some(event_loop.call_at(now, log.note("late")));
    one_pass(&event_loop);
    one_pass(&event_loop);
    assert!(log.take().is_empty());
    event_loop.close().unwrap();
}

// ----- descriptors

/// A task that waits to read from `address`, and the peer that it reads from.
fn reading_task(event_loop: &EventLoop, log: &Log<&'static str>) -> std::net::TcpStream {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut stream =
        event_loop.run_until_complete(asyncio::net::TcpStream::connect(address)).unwrap().unwrap();
    let (peer, _) = listener.accept().unwrap();
    let note = log.clone();
    event_loop
        .create_task(async move {
            while stream.read(&mut [0; 1]).await.unwrap() > 0 {
                note.push("I/O");
            }
        })
        .detach();
    one_pass(event_loop);
    peer
}

/// The contract's chapter 1.4 [C]: what was queued earlier, then I/O, then timers.
#[test]
fn a_pass_runs_what_was_queued_then_io_then_timers() {
    let event_loop = loop_in_order();
    let log = Log::new();
    let mut peer = reading_task(&event_loop, &log);
    event_loop.call_at(event_loop.time(), log.note("timer"));
    peer.write_all(b"x").unwrap();
    event_loop.call_soon(log.note("queued"));
    one_pass(&event_loop);
    assert_eq!(log.take(), ["queued", "I/O", "timer"]);
    drop(peer);
    event_loop.run_until_complete(sleep(millis(1))).unwrap();
    event_loop.close().unwrap();
}

/// The same [C] when the loop was asleep: I/O that came before it looked again goes before timers that are due by then.
#[test]
fn io_goes_before_timers() {
    let event_loop = loop_in_order();
    let log = Log::new();
    let mut peer = reading_task(&event_loop, &log);
    let (inner, note) = (event_loop.clone(), log.clone());
    event_loop.call_soon(move || {
        inner.call_at(inner.time(), note.note("timer"));
        peer.write_all(b"x").unwrap();
        let stopper = inner.clone();
        inner.call_later(millis(50), move || stopper.stop());
        drop(peer);
    });
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), ["I/O", "timer"]);
    event_loop.close().unwrap();
}

/// CPython test_base_events: test_single_selecter_event_callback_after_stopping
#[test]
fn an_event_is_not_seen_twice_by_a_loop_that_was_stopped() {
    let event_loop = new_loop();
    let log = Log::new();
    let mut peer = reading_task(&event_loop, &log);
    peer.write_all(b"x").unwrap();
    for _ in 1..3 {
        let inner = event_loop.clone();
        event_loop.call_soon(move || inner.stop());
        event_loop.run_forever().unwrap();
        one_pass(&event_loop);
    }
    assert_eq!(log.take(), ["I/O"]);
    drop(peer);
    event_loop.run_until_complete(sleep(millis(1))).unwrap();
    event_loop.close().unwrap();
}

// ----- the clock

/// The contract's row of `time`: monotonic, and the same for every handle of the loop.
#[test]
fn the_clock_of_a_loop_never_goes_back() {
    let event_loop = new_loop();
    let mut last = event_loop.time();
    for _ in 0..1000 {
        let now = event_loop.clone().time();
        assert!(now >= last);
        last = now;
    }
    assert!(asyncio::now() >= last);
    event_loop.close().unwrap();
}

/// Sections 1.2 and 1.3: the same loop runs many times, and what is queued between two runs waits for the next.
///
/// CPython test_base_events: test_run_once
#[test]
fn nothing_moves_while_the_loop_is_idle() {
    let event_loop = new_loop();
    let ran = Arc::new(AtomicUsize::new(0));
    for run in 0..10 {
        let count = ran.clone();
        event_loop.call_soon(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let count = ran.clone();
        event_loop
            .create_task(async move {
                count.fetch_add(1, Ordering::SeqCst);
                create_task(async {}).await.unwrap();
            })
            .detach();
        assert_eq!(ran.load(Ordering::SeqCst), 2 * run);
        event_loop.run_until_complete(async {}).unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 2 * run + 2);
    }
    event_loop.run_until_complete(sleep(millis(1))).unwrap();
    event_loop.close().unwrap();
}
