//! After CPython's `test_events.py`: finding loops, running and closing them, handles.
//!
//! Not ported:
//!
//! | CPython | why |
//! |---|---|
//! | `test_add_fds_after_closing`, `test_remove_fds_after_closing`, `test_reader_callback*`, `test_writer_callback*`, `test_internal_fds`, `test_prompt_cancellation` | no descriptor watchers yet |
//! | `test_run_in_executor*` | in `test_executors.rs` |
//! | `test_add_signal_handler`, `test_signal_handling_*` | no signals yet |
//! | `test_create_*`, `test_connect_accepted_socket*`, `test_*_pipe*`, `test_*_pty*`, `test_server_*`, `test_ssl_*`, `test_subprocess_*`, `test_datagram_*` | no transports yet |
//! | `test_handle_weakref`, `test_coroutine_like_object_debug_formatting`, `test_not_implemented*` | Python only |
//! | `test_*_policy*`, `test_get_event_loop_new_process`, `test_get_event_loop_calls_set_event_loop`, `test_set_event_loop` (type) | policies are gone; the rest are types |
//! | test_unix_events: `test_fork_not_share_event_loop` | forking a running program is not supported |
//!
//! Adapted: a handle shows where it was made, not its function. Two handles of the same time
//! are ordered in neither way unless they are the same, as Rust wants `Equal` to mean equal.

mod common;

use asyncio::{
    CloseError, EventLoop, LoopClosed, RunError, TimerHandle, get_event_loop, get_running_loop,
    secs, set_event_loop, sleep, try_get_running_loop,
};
use common::{Dropped, Log, new_loop, one_pass, only_message, panic_message, reports};
use std::cmp::Ordering as Order;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

// ----- finding and setting

/// CPython test_events: test_get_event_loop_returns_running_loop2, test_get_event_loop_returns_running_loop
#[test]
fn the_running_loop_comes_before_the_one_that_was_set() {
    let (running, set) = (new_loop(), new_loop());
    assert!(get_event_loop().is_err());
    set_event_loop(Some(&set));
    assert_eq!(get_event_loop().unwrap(), set);
    running
        .run_until_complete(async {
            assert_eq!(get_event_loop().unwrap(), running);
            assert_eq!(get_running_loop(), running);
            assert_eq!(try_get_running_loop().unwrap(), running);
        })
        .unwrap();
    assert_eq!(get_event_loop().unwrap(), set);
    assert!(try_get_running_loop().is_err());
    set_event_loop(None);
    assert!(get_event_loop().is_err());
    running.close().unwrap();
    set.close().unwrap();
}

/// CPython test_events: test_get_event_loop_after_set_none, test_get_event_loop
#[test]
fn no_loop_is_ever_made_by_asking() {
    set_event_loop(None);
    let named = thread::Builder::new().name("asker".into());
    let asked = named.spawn(|| get_event_loop().unwrap_err().to_string()).unwrap();
    assert_eq!(asked.join().unwrap(), "there is no current event loop in thread 'asker'");
    assert_eq!(try_get_running_loop().unwrap_err().to_string(), "no running event loop");
    assert_eq!(panic_message(get_running_loop), "no running event loop");
    assert_eq!(panic_message(|| asyncio::create_task(async {})), "no running event loop");
    assert_eq!(panic_message(asyncio::all_tasks), "no running event loop");
    assert!(asyncio::current_task().is_none());
}

/// CPython test_events: test_get_event_loop_thread
#[test]
fn every_thread_has_a_loop_of_its_own() {
    let event_loop = new_loop();
    set_event_loop(Some(&event_loop));
    thread::scope(|scope| {
        scope.spawn(|| assert!(get_event_loop().is_err()));
    });
    event_loop
        .run_until_complete(async {
            thread::scope(|scope| {
                scope.spawn(|| assert!(try_get_running_loop().is_err()));
            });
        })
        .unwrap();
    set_event_loop(None);
    event_loop.close().unwrap();
}

/// CPython test_events: test_new_event_loop
#[test]
fn a_new_loop_is_not_set() {
    let event_loop = new_loop();
    assert!(get_event_loop().is_err());
    assert_ne!(event_loop, new_closed_loop());
    event_loop.close().unwrap();
}

fn new_closed_loop() -> EventLoop {
    let event_loop = new_loop();
    event_loop.close().unwrap();
    event_loop
}

// ----- running

/// CPython test_events: test_run_until_complete
#[test]
fn a_run_gives_what_main_returned() {
    let event_loop = new_loop();
    let start = event_loop.time();
    let output = event_loop.run_until_complete(async {
        sleep(secs(0.1)).await;
        "done"
    });
    assert_eq!(output, Ok("done"));
    assert!(event_loop.time() - start >= secs(0.1));
    event_loop.close().unwrap();
}

/// CPython test_events: test_run_until_complete_stopped
///
/// Main is dropped; a task passed by `&mut` is left pending, and a later run finishes it.
#[test]
fn a_run_that_is_stopped_says_so() {
    let event_loop = new_loop();
    let (held, dropped) = Dropped::new();
    let stopped = event_loop.run_until_complete(async {
        let _held = held;
        get_running_loop().stop();
        sleep(secs(0.1)).await;
    });
    assert_eq!(stopped, Err(RunError::Stopped));
    let text = stopped.unwrap_err().to_string();
    assert_eq!(text, "event loop stopped before the future completed");
    assert!(dropped.load(Ordering::SeqCst));

    let mut task = event_loop.create_task(async {
        get_running_loop().stop();
        sleep(secs(0.01)).await;
        5
    });
    assert_eq!(event_loop.run_until_complete(&mut task).unwrap_err(), RunError::Stopped);
    assert!(!task.done());
    assert_eq!(event_loop.run_until_complete(&mut task).unwrap().unwrap(), 5);
    event_loop.close().unwrap();
}

/// A main that ends in the very pass it stops has a result.
#[test]
fn stopping_and_ending_in_one_pass_is_an_end() {
    let event_loop = new_loop();
    let output = event_loop.run_until_complete(async {
        get_running_loop().stop();
        3
    });
    assert_eq!(output, Ok(3));
    // And no stop is left for the next run.
    let output = event_loop.run_until_complete(async {
        for _ in 0..10 {
            asyncio::yield_now().await;
        }
        4
    });
    assert_eq!(output, Ok(4));
    event_loop.close().unwrap();
}

/// CPython test_events: test_run_until_complete_nesting, test_get_running_loop_already_running
#[test]
fn a_loop_does_not_run_inside_itself() {
    let event_loop = new_loop();
    let inner = event_loop.clone();
    event_loop
        .run_until_complete(async move {
            assert!(inner.is_running());
            let refused = inner.run_until_complete(async { unreachable!() });
            assert_eq!(refused, Err(RunError::AlreadyRunning));
            let text = refused.unwrap_err().to_string();
            assert_eq!(text, "this event loop is already running");
            assert_eq!(inner.run_forever(), Err(RunError::AlreadyRunning));
            // The failed start left all as it was.
            assert_eq!(get_running_loop(), inner);
            assert!(inner.is_running());
            sleep(secs(0.001)).await;
        })
        .unwrap();
    event_loop.close().unwrap();
}

/// CPython test_events: test_close_running_event_loop
#[test]
fn a_running_loop_is_not_closed() {
    let event_loop = new_loop();
    event_loop
        .run_until_complete(async {
            let refused = get_running_loop().close();
            assert_eq!(refused, Err(CloseError::Running));
            assert_eq!(refused.unwrap_err().to_string(), "cannot close a running event loop");
            asyncio::yield_now().await;
        })
        .unwrap();
    assert!(!event_loop.is_closed());
    event_loop.close().unwrap();
}

/// CPython test_events: test_close
#[test]
fn a_closed_loop_refuses() {
    let event_loop = new_closed_loop();
    let closed = LoopClosed.to_string();
    assert_eq!(closed, "event loop is closed");
    assert_eq!(event_loop.run_forever(), Err(RunError::Closed));
    let future: asyncio::Future<()> = event_loop.create_future();
    assert_eq!(event_loop.run_until_complete(future).unwrap_err(), RunError::Closed);
    assert_eq!(panic_message(|| event_loop.call_soon(|| ())), closed);
    assert_eq!(event_loop.call_soon_threadsafe(|| ()).unwrap_err(), LoopClosed);
    assert_eq!(panic_message(|| event_loop.call_later(secs(1.0), || ())), closed);
    assert_eq!(panic_message(|| event_loop.call_at(event_loop.time(), || ())), closed);
    assert_eq!(panic_message(|| event_loop.create_task(async {})), closed);
}

// ----- callbacks

/// CPython test_events: test_call_soon
#[test]
fn call_soon_runs_the_callback() {
    let event_loop = new_loop();
    let (log, inner) = (Log::new(), event_loop.clone());
    let note = log.clone();
    event_loop.call_soon(move || {
        note.push("hello world");
        inner.stop();
    });
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), ["hello world"]);
    event_loop.close().unwrap();
}

/// CPython test_events: test_call_later
#[test]
fn call_later_runs_the_callback_after_its_delay() {
    let event_loop = new_loop();
    let (log, inner) = (Log::new(), event_loop.clone());
    let note = log.clone();
    let start = event_loop.time();
    event_loop.call_later(secs(0.1), move || {
        note.push("hello world");
        inner.stop();
    });
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), ["hello world"]);
    assert!(event_loop.time() - start >= secs(0.1));
    event_loop.close().unwrap();
}

/// CPython test_events: test_call_soon_threadsafe
///
/// Again and again: each call of the thread finds the loop asleep, about to be, or at work, and always ends its sleep.
#[test]
fn a_call_from_a_thread_wakes_the_loop() {
    let event_loop = new_loop();
    let (reply, replies) = mpsc::channel();
    let inner = event_loop.clone();
    let thread = thread::spawn(move || {
        for round in 0..2000 {
            let reply = reply.clone();
            inner.call_soon_threadsafe(move || reply.send(round).unwrap()).unwrap();
            assert_eq!(replies.recv().unwrap(), round);
        }
        inner.call_soon_threadsafe({
            let inner = inner.clone();
            move || inner.stop()
        })
    });
    event_loop.run_forever().unwrap();
    thread.join().unwrap().unwrap();
    event_loop.close().unwrap();
}

/// Another thread may also stop the loop while it sleeps.
#[test]
fn stop_from_a_thread_wakes_the_loop() {
    for _ in 0..200 {
        let event_loop = new_loop();
        let inner = event_loop.clone();
        let (running, is_running) = mpsc::channel();
        event_loop.call_soon(move || running.send(()).unwrap());
        let thread = thread::spawn(move || {
            is_running.recv().unwrap();
            inner.stop();
        });
        event_loop.run_forever().unwrap();
        thread.join().unwrap();
        event_loop.close().unwrap();
    }
}

/// CPython test_events: test_call_soon_threadsafe_same_thread
#[test]
fn both_kinds_of_calls_are_one_queue() {
    let event_loop = new_loop();
    let log = Log::new();
    event_loop.call_soon_threadsafe(log.note("hello")).unwrap();
    event_loop.call_soon(log.note("world"));
    event_loop.call_soon_threadsafe(log.note("again")).unwrap();
    one_pass(&event_loop);
    assert_eq!(log.take(), ["hello", "world", "again"]);
    // And so on the running loop.
    let (inner, note) = (event_loop.clone(), log.clone());
    event_loop.call_soon(move || {
        inner.call_soon(note.note("hello"));
        inner.call_soon_threadsafe(note.note("world")).unwrap();
        inner.call_soon(note.note("again"));
    });
    one_pass(&event_loop);
    one_pass(&event_loop);
    assert_eq!(log.take(), ["hello", "world", "again"]);
    event_loop.close().unwrap();
}

/// CPython test_events: test_timeout_rounding
#[test]
fn short_sleeps_do_not_spin() {
    let event_loop = new_loop();
    event_loop
        .run_until_complete(async {
            for seconds in [1e-2, 1e-4, 1e-6, 1e-8, 1e-10] {
                sleep(secs(seconds)).await;
            }
        })
        .unwrap();
    let waits = event_loop.metrics().waits;
    assert!(waits <= 20, "{waits} waits");
    event_loop.close().unwrap();
}

// ----- handles

/// CPython test_events: test_handle
#[test]
fn a_handle_cancels_its_callback_once() {
    let event_loop = new_loop();
    let handle = event_loop.call_soon(|| ());
    assert!(!handle.cancelled());
    handle.cancel();
    handle.cancel();
    assert!(handle.cancelled());
    event_loop.close().unwrap();
}

/// A handle whose callback has run is not cancelled, and cancelling it does no harm.
#[test]
fn cancelling_what_has_run_does_nothing() {
    let event_loop = new_loop();
    let log = Log::new();
    let handle = event_loop.call_soon(log.note(1));
    let timer = event_loop.call_at(event_loop.time(), log.note(2));
    one_pass(&event_loop);
    assert!(!handle.cancelled() && !timer.cancelled());
    handle.cancel();
    timer.cancel();
    assert_eq!(log.take(), [1, 2]);
    event_loop.close().unwrap();
}

/// CPython test_events: test_handle_repr, test_handle_repr_debug, test_handle_source_traceback
#[test]
fn a_handle_shows_where_it_was_made() {
    let event_loop = new_loop();
    let (handle, line) = (event_loop.call_soon(|| ()), line!());
    let expected = format!("<Handle created at {}:{line}:", file!());
    let shown = format!("{handle:?}");
    assert!(shown.starts_with(&expected) && shown.ends_with('>'), "{shown}");
    handle.cancel();
    let cancelled = format!("{handle:?}");
    assert_eq!(cancelled, shown.replace("<Handle", "<Handle cancelled"));
    handle.cancel();
    assert_eq!(format!("{handle:?}"), cancelled);
    event_loop.close().unwrap();
}

/// A report may be made by the callback itself.
#[test]
fn a_handle_is_shown_without_waiting_for_its_run() {
    let event_loop = new_loop();
    let log = Log::new();
    let noted = log.clone();
    let slot = Arc::new(Mutex::new(None::<asyncio::Handle>));
    let inside = slot.clone();
    let handle = event_loop.call_soon_threadsafe(move || {
        let handle = inside.lock().unwrap().take().unwrap();
        noted.push(format!("{handle:?}").contains("cancelled"));
        handle.cancel();
        noted.push(format!("{handle:?}").contains("cancelled"));
    });
    *slot.lock().unwrap() = Some(handle.unwrap());
    one_pass(&event_loop);
    assert_eq!(log.take(), [false, true]);
    event_loop.close().unwrap();
}

#[test]
fn a_handle_kept_after_the_close_keeps_nothing_alive() {
    let event_loop = new_loop();
    let held = Arc::new(());
    let call = || {
        let held = held.clone();
        move || drop(held)
    };
    let handles = [event_loop.call_soon(call()), event_loop.call_soon_threadsafe(call()).unwrap()];
    let timers =
        [event_loop.call_later(secs(9.0), call()), event_loop.call_at(event_loop.time(), call())];
    assert_eq!(Arc::strong_count(&held), 5);
    event_loop.close().unwrap();
    assert_eq!(Arc::strong_count(&held), 1);
    for handle in handles {
        // It was not cancelled, and cancelling it is still no error.
        assert!(!handle.cancelled());
        handle.cancel();
    }
    for timer in timers {
        assert!(!timer.cancelled());
        timer.cancel();
    }
}

/// CPython test_events: test_timer_repr, test_timer_repr_debug, test_when, test_timer
#[test]
fn a_timer_shows_its_time() {
    let event_loop = new_loop();
    let when = event_loop.time() + secs(123.0);
    let (timer, line) = (event_loop.call_at(when, || ()), line!());
    assert_eq!(timer.when(), when);
    let shown = format!("{timer:?}");
    assert!(shown.starts_with(&format!("<TimerHandle when={when:?} ")), "{shown}");
    assert!(shown.contains(&format!("{}:{line}:", file!())), "{shown}");
    timer.cancel();
    assert_eq!(format!("{timer:?}"), shown.replace("<TimerHandle ", "<TimerHandle cancelled "));
    event_loop.close().unwrap();
}

/// CPython test_events: test_callback_with_exception
///
/// And the contract's row: an error in one callback never stops the others.
#[test]
fn a_panicking_callback_is_reported_and_the_rest_run() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    let log = Log::new();
    event_loop.call_soon(log.note(1));
    event_loop.call_soon(|| panic!("out of order"));
    let line = line!() - 1;
    event_loop.call_soon(log.note(2));
    one_pass(&event_loop);
    assert_eq!(log.take(), [1, 2]);
    let [report] = <[_; 1]>::try_from(reports.take()).unwrap();
    assert!(report.message.starts_with("Exception in callback"), "{}", report.message);
    assert_eq!(report.exception.as_deref(), Some("panic: out of order"));
    assert_eq!(report.line, Some(line));
    event_loop.close().unwrap();
}

/// CPython test_events: test_call_soon_threadsafe_handle_block_check_cancelled
#[test]
fn asking_whether_a_running_callback_was_cancelled_waits_for_it() {
    let event_loop = new_loop();
    let (started, has_started) = mpsc::channel();
    let (ask, asked) = mpsc::channel();
    let ended = Arc::new(AtomicBool::new(false));
    let ends = ended.clone();
    let handle = event_loop
        .call_soon_threadsafe(move || {
            started.send(()).unwrap();
            asked.recv().unwrap();
            thread::yield_now();
            ends.store(true, Ordering::SeqCst);
        })
        .unwrap();
    let thread = thread::spawn(move || {
        has_started.recv().unwrap();
        ask.send(()).unwrap();
        let cancelled = handle.cancelled();
        (cancelled, ended.load(Ordering::SeqCst))
    });
    one_pass(&event_loop);
    assert_eq!(thread.join().unwrap(), (false, true));
    event_loop.close().unwrap();
}

/// The contract's promise: after `cancel` has returned, the callback has run fully or never will.
#[test]
fn cancelling_a_running_callback_waits_for_it() {
    for _ in 0..50 {
        let event_loop = new_loop();
        let (started, has_started) = mpsc::channel();
        let ended = Arc::new(AtomicBool::new(false));
        let ends = ended.clone();
        let handle = event_loop
            .call_soon_threadsafe(move || {
                started.send(()).unwrap();
                (0..100).for_each(|_| thread::yield_now());
                ends.store(true, Ordering::SeqCst);
            })
            .unwrap();
        let thread = thread::spawn(move || {
            has_started.recv().unwrap();
            handle.cancel();
            ended.load(Ordering::SeqCst)
        });
        one_pass(&event_loop);
        assert!(thread.join().unwrap());
        event_loop.close().unwrap();
    }
}

/// CPython test_events: test_call_soon_threadsafe_handle_cancel_same_thread
#[test]
fn a_callback_that_cancels_itself_runs_on() {
    let event_loop = new_loop();
    let log = Log::new();
    let own = Arc::new(Mutex::new(None::<asyncio::Handle>));
    let (mine, note) = (own.clone(), log.clone());
    let handle = event_loop
        .call_soon_threadsafe(move || {
            let handle = mine.lock().unwrap().take().unwrap();
            note.push("before");
            handle.cancel();
            assert!(handle.cancelled());
            note.push("after");
        })
        .unwrap();
    *own.lock().unwrap() = Some(handle);
    one_pass(&event_loop);
    assert_eq!(log.take(), ["before", "after"]);
    event_loop.close().unwrap();
}

/// CPython test_events: test_call_soon_threadsafe_handle_cancel_other_thread
#[test]
fn another_thread_cancels_a_callback_before_it_starts() {
    let event_loop = new_loop();
    let log = Log::new();
    event_loop.call_soon_threadsafe(log.note("first")).unwrap();
    let handle = event_loop.call_soon_threadsafe(log.note("cancelled")).unwrap();
    let other = handle.clone();
    // The first one of the pass lets the thread cancel the second and waits for that.
    thread::spawn(move || other.cancel()).join().unwrap();
    one_pass(&event_loop);
    assert_eq!(log.take(), ["first"]);
    assert!(handle.cancelled());
    event_loop.close().unwrap();
}

/// The same in the middle of a pass: the callback before it lets another thread cancel it.
#[test]
fn another_thread_cancels_a_callback_in_the_pass_it_is_due() {
    let event_loop = new_loop();
    let log = Log::new();
    let victim = Arc::new(Mutex::new(None::<asyncio::Handle>));
    let (taken, note) = (victim.clone(), log.clone());
    event_loop.call_soon(move || {
        let handle = taken.lock().unwrap().take().unwrap();
        thread::spawn(move || handle.cancel()).join().unwrap();
        note.push("cancelled");
    });
    let handle = event_loop.call_soon_threadsafe(log.note("victim")).unwrap();
    *victim.lock().unwrap() = Some(handle);
    one_pass(&event_loop);
    assert_eq!(log.take(), ["cancelled"]);
    event_loop.close().unwrap();
}

/// CPython test_events: test_timer_comparison
#[test]
fn timers_are_ordered_by_their_time() {
    let event_loop = new_loop();
    let when = event_loop.time();
    let first = event_loop.call_at(when, || ());
    let second = event_loop.call_at(when, || ());
    assert!(first == first.clone() && first != second);
    assert_eq!(first.partial_cmp(&first.clone()), Some(Order::Equal));
    // One time, two callbacks: neither comes before the other.
    assert!(!(first < second || second < first));
    assert_eq!(first.partial_cmp(&second), None);

    let later = event_loop.call_at(when + secs(10.0), || ());
    assert_eq!(first.partial_cmp(&later), Some(Order::Less));
    assert_eq!(later.partial_cmp(&first), Some(Order::Greater));
    assert!(!(later < first || later <= first) && first != later);
    event_loop.close().unwrap();
}

/// CPython test_events: test_hash
#[test]
fn the_hash_of_a_timer_is_that_of_its_time() {
    fn hash(value: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }
    let event_loop = new_loop();
    let when = event_loop.time();
    let timer = event_loop.call_at(when, || ());
    assert_eq!(hash(&timer), hash(&when));
    event_loop.close().unwrap();
}

/// The contract's row of timers: a cancel from another thread that returns before the time comes is final.
#[test]
fn another_thread_cancels_a_timer() {
    let event_loop = new_loop();
    let log = Log::new();
    let timers: Vec<TimerHandle> =
        (0..100).map(|_| event_loop.call_later(secs(0.02), log.note("timer"))).collect();
    thread::spawn(move || timers.iter().for_each(TimerHandle::cancel)).join().unwrap();
    event_loop.run_until_complete(sleep(secs(0.03))).unwrap();
    assert!(log.take().is_empty());
    event_loop.close().unwrap();
}

/// The contract's rows of `create_future` and `create_task`.
#[test]
fn futures_and_tasks_of_an_idle_loop_wait_for_it() {
    let event_loop = new_loop();
    let future: asyncio::Future<u8> = event_loop.create_future();
    assert!(!future.done() && future.get_loop() == event_loop);
    let task = event_loop.create_task(async { 1 });
    assert!(!task.done());
    assert!(format!("{task:?}").starts_with("<Task pending name='Task-"));
    one_pass(&event_loop);
    assert!(task.done());
    event_loop.close().unwrap();
}

/// Row 6 of the contract's invariants, for timers: one made by another thread ends a sleep that would last longer.
#[test]
fn a_timer_from_a_thread_shortens_the_sleep() {
    for _ in 0..50 {
        let event_loop = new_loop();
        let inner = event_loop.clone();
        event_loop.call_later(Duration::from_secs(3600), || unreachable!());
        let (running, is_running) = mpsc::channel();
        event_loop.call_soon(move || running.send(()).unwrap());
        let thread = thread::spawn(move || {
            is_running.recv().unwrap();
            let stopper = inner.clone();
            inner.call_later(Duration::from_millis(1), move || stopper.stop());
        });
        event_loop.run_forever().unwrap();
        thread.join().unwrap();
        event_loop.close().unwrap();
    }
}

/// A report of a callback that panics goes to the loop it was queued on.
#[test]
fn a_timer_that_panics_is_reported() {
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    event_loop.call_at(event_loop.time(), || panic!("late"));
    one_pass(&event_loop);
    assert!(only_message(&reports).starts_with("Exception in callback"));
    event_loop.close().unwrap();
}
