//! Misuse: each call answers as documented, at the caller's line, and leaves everything else well.

mod common;

use asyncio::{
    CloseError, EventLoop, Future, LoopClosed, RunError, Runner, Task, create_local_task,
    create_task, get_event_loop, get_running_loop, run, secs, set_event_loop, sleep, sleep_until,
    try_get_running_loop, yield_now,
};
use common::{Dropped, Log, is_child, new_loop, one_pass, panic_message, reports, stderr_of_child};
use std::cell::RefCell;
use std::future::pending;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Once;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

// ----- places

thread_local! {
    static PLACE: RefCell<Option<(String, u32)>> = const { RefCell::new(None) };
}

/// The line of this file in which `code` panics.
#[track_caller]
fn panics_here<R>(code: impl FnOnce() -> R) -> String {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(|place| (place.file().to_owned(), place.line()));
            PLACE.set(place);
            before(info);
        }));
    });
    let message = panic_message(code);
    let here = Location::caller();
    let place = PLACE.take().expect("the hook saw the panic");
    assert_eq!(place, (here.file().to_owned(), here.line()), "{message}");
    message
}

/// Every panic of misuse names the line that misused.
#[test]
fn panics_name_the_line_of_the_caller() {
    let closed = new_loop();
    closed.close().unwrap();
    let context = asyncio::Context::new();
    let now = closed.time();
    let text = LoopClosed.to_string();
    assert_eq!(panics_here(|| closed.call_soon(|| ())), text);
    assert_eq!(panics_here(|| closed.call_soon_in(&context, || ())), text);
    assert_eq!(panics_here(|| closed.call_later(secs(1.0), || ())), text);
    assert_eq!(panics_here(|| closed.call_at(now, || ())), text);
    assert_eq!(panics_here(|| closed.call_at_in(&context, now, || ())), text);
    assert_eq!(panics_here(|| closed.create_task(async {})), text);
    assert_eq!(panics_here(|| closed.task_builder().create_task(async {})), text);
    let local = "create_local_task works on the thread that runs the loop only";
    assert!(panics_here(|| closed.create_local_task(async {})).starts_with(local));
    let none = "no running event loop";
    assert_eq!(panics_here(|| get_running_loop()), none);
    assert_eq!(panics_here(|| create_task(async {})), none);
    assert_eq!(panics_here(|| create_local_task(async {})), none);
    assert_eq!(panics_here(|| asyncio::all_tasks()), none);
    assert_eq!(panics_here(|| asyncio::TaskBuilder::new()), none);
    assert!(panics_here(|| Future::<()>::new()).starts_with("there is no current event loop"));
    run(async {
        assert!(panics_here(|| run(async {})).starts_with("run() cannot be called"));
    });
}

// ----- closed loops

/// The second half of `a_closed_loop_refuses`: what asks instead of acting still answers.
#[test]
fn a_closed_loop_still_answers() {
    let event_loop = new_loop();
    let task = event_loop.create_task(pending::<()>());
    let future: Future<u8> = event_loop.create_future();
    let log = Log::new();
    future.add_done_callback(log.noted("never"));
    let timer = event_loop.call_later(secs(1.0), || unreachable!());
    let handle = event_loop.call_soon(|| unreachable!());
    event_loop.set_exception_handler(Some(|_: &_, _: &_| ()));
    event_loop.close().unwrap();

    assert!(event_loop.all_tasks().is_empty() && event_loop.metrics().tasks == 0);
    assert!(event_loop.time() <= event_loop.time());
    event_loop.stop();
    timer.cancel();
    handle.cancel();
    assert!(timer.cancelled() && handle.cancelled());
    assert!(task.done() && task.cancelled() && !task.cancel() && !task.abort());
    assert!(task.result().unwrap().is_err());
    // A future of a closed loop is finished and read like any other; nobody calls its callbacks.
    future.set_result(1).unwrap();
    assert_eq!(future.result().unwrap().unwrap(), 1);
    assert_eq!(run(async { create_task(future).await }).unwrap().unwrap(), 1);
    assert!(log.take().is_empty());
    event_loop.close().unwrap();
}

/// Threads keep calling in while the loop is closed: each call is either run, dropped or refused, and none hangs.
#[test]
fn threads_that_race_with_close_get_an_answer() {
    for _ in 0..100 {
        let event_loop = new_loop();
        let (started, has_started) = mpsc::channel();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (event_loop, started) = (event_loop.clone(), started.clone());
                thread::spawn(move || {
                    started.send(()).unwrap();
                    loop {
                        let (ran, has_run) = mpsc::channel();
                        // The handle goes at once: a closed loop drops its callbacks, a kept handle would keep the closure.
                        let call = event_loop
                            .call_soon_threadsafe(move || ran.send(()).unwrap())
                            .map(drop);
                        match (call, has_run.recv()) {
                            (Ok(()), Ok(())) => continue,
                            (Ok(()), Err(_)) => return "dropped",
                            (Err(LoopClosed), run) => {
                                run.unwrap_err();
                                return "refused";
                            }
                        }
                    }
                })
            })
            .collect();
        (0..3).for_each(|_| has_started.recv().unwrap());
        event_loop.run_until_complete(sleep(secs(0.0001))).unwrap();
        event_loop.close().unwrap();
        for thread in threads {
            assert!(["dropped", "refused"].contains(&thread.join().unwrap()));
        }
        assert_eq!(event_loop.call_soon_threadsafe(|| ()).unwrap_err(), LoopClosed);
    }
}

/// A handle of a future or task may outlive its loop; so may a waker.
#[test]
fn a_task_of_a_closed_loop_can_be_awaited_in_another() {
    let event_loop = new_loop();
    event_loop.set_exception_handler(Some(|_: &_, _: &_| ()));
    let ended = event_loop.create_task(async { 7 });
    one_pass(&event_loop);
    let pending = event_loop.create_task(pending::<()>());
    event_loop.close().unwrap();
    run(async {
        assert_eq!(ended.await.unwrap(), 7);
        assert!(pending.await.unwrap_err().is_cancelled());
    });
}

/// A destructor that runs while its loop is closed finds that loop, and what it spawns is dropped.
#[test]
fn a_destructor_during_close_finds_a_closed_loop() {
    struct Spawns(Log<(bool, bool)>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let event_loop = get_running_loop();
            let (held, dropped) = Dropped::new();
            let task = create_task(async move { drop(held) });
            assert!(task.done() && dropped.load(Ordering::SeqCst));
            let refused = event_loop.call_soon_threadsafe(|| ()).is_err();
            self.0.push((event_loop.is_closed(), refused));
        }
    }
    let event_loop = new_loop();
    let reports = reports(&event_loop);
    let log = Log::new();
    let spawns = Spawns(log.clone());
    event_loop
        .create_task(async move {
            let _spawns = spawns;
            pending::<()>().await
        })
        .detach();
    one_pass(&event_loop);
    event_loop.close().unwrap();
    assert_eq!(log.take(), [(true, true)]);
    assert_eq!(common::only_message(&reports), "Task was destroyed but it is pending!");
}

// ----- nested runs, wrong threads

/// A thread that runs one loop can neither run nor close that one, but may close another.
#[test]
fn inside_a_run_another_loop_can_be_closed() {
    let (outer, inner) = (new_loop(), new_loop());
    let reports = reports(&inner);
    let (held, dropped) = Dropped::new();
    inner.create_task(async move { drop(held) }).detach();
    outer
        .run_until_complete(async {
            assert_eq!(inner.run_forever(), Err(RunError::AnotherRunning));
            inner.close().unwrap();
            assert!(inner.is_closed() && get_running_loop() == outer);
            // The outer loop goes on with its tasks and timers.
            create_task(sleep(secs(0.001))).await.unwrap();
        })
        .unwrap();
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(common::only_message(&reports), "Task was destroyed but it is pending!");
    outer.close().unwrap();
}

/// `run` inside a callback is refused too.
#[test]
fn run_inside_a_callback_is_refused() {
    let event_loop = new_loop();
    let log = Log::new();
    let note = log.clone();
    event_loop.call_soon(move || note.push(panic_message(|| run(async {}))));
    one_pass(&event_loop);
    assert_eq!(log.take(), ["run() cannot be called from a running event loop"]);
    event_loop.close().unwrap();
}

/// The future given to a refused run is dropped, unpolled.
#[test]
fn a_refused_main_is_dropped() {
    let event_loop = new_loop();
    let inner = event_loop.clone();
    event_loop
        .run_until_complete(async move {
            let (held, dropped) = Dropped::new();
            let refused = inner.run_until_complete(async move {
                drop(held);
                unreachable!()
            });
            assert_eq!(refused.unwrap_err(), RunError::AlreadyRunning);
            assert!(dropped.load(Ordering::SeqCst));
        })
        .unwrap();
    event_loop.close().unwrap();
}

/// One loop, two threads: the second is refused, for running and for closing, and the first never notices.
#[test]
fn a_loop_that_runs_elsewhere_is_refused() {
    let event_loop = new_loop();
    let (running, is_running) = mpsc::channel();
    event_loop.call_soon(move || running.send(()).unwrap());
    thread::scope(|scope| {
        let event_loop = &event_loop;
        scope.spawn(move || {
            is_running.recv().unwrap();
            assert_eq!(event_loop.run_forever(), Err(RunError::AlreadyRunning));
            assert_eq!(event_loop.run_until_complete(async {}), Err(RunError::AlreadyRunning));
            assert_eq!(event_loop.close(), Err(CloseError::Running));
            assert!(event_loop.is_running() && try_get_running_loop().is_err());
            event_loop.stop();
        });
        event_loop.run_forever().unwrap();
    });
    // Worker 0 may be another thread each time.
    thread::scope(|scope| {
        let elsewhere = scope.spawn(|| event_loop.run_until_complete(sleep(secs(0.001))));
        assert_eq!(elsewhere.join().unwrap(), Ok(()));
    });
    event_loop.close().unwrap();
}

/// Local tasks belong to the thread that made them: another one can neither make, run nor close them.
#[test]
fn local_tasks_stay_on_their_thread() {
    let event_loop = new_loop();
    let shared = Rc::new(());
    let held = shared.clone();
    let mut task: Option<Task<usize>> = None;
    event_loop
        .run_until_complete(async {
            task = Some(create_local_task(async move {
                yield_now().await;
                Rc::strong_count(&held)
            }));
        })
        .unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(event_loop.run_forever(), Err(RunError::WrongThread));
            assert_eq!(event_loop.run_until_complete(async {}), Err(RunError::WrongThread));
            assert_eq!(event_loop.close(), Err(CloseError::WrongThread));
            let text = "this event loop has local tasks of another thread";
            assert_eq!(RunError::WrongThread.to_string(), text);
            let message = panic_message(|| event_loop.create_local_task(async {}));
            assert!(message.starts_with("create_local_task works on the thread"), "{message}");
        });
    });
    // At home all is well, and without local tasks any thread may run the loop.
    assert_eq!(event_loop.run_until_complete(task.as_mut().unwrap()).unwrap().unwrap(), 2);
    thread::scope(|scope| {
        let elsewhere = scope.spawn(|| event_loop.run_until_complete(async { 1 }));
        assert_eq!(elsewhere.join().unwrap(), Ok(1));
    });
    event_loop.close().unwrap();
}

/// A callback is no task, so it may make a local task; an idle loop may not, even at home.
#[test]
fn local_tasks_are_made_where_the_loop_runs() {
    let event_loop = new_loop();
    let (held, dropped) = Dropped::new();
    let message = panic_message(|| event_loop.create_local_task(async move { drop(held) }));
    assert!(message.starts_with("create_local_task works on the thread"), "{message}");
    assert!(dropped.load(Ordering::SeqCst));
    let log = Log::new();
    let note = log.clone();
    event_loop.call_soon(move || {
        create_local_task(async move { note.push(1) }).detach();
    });
    one_pass(&event_loop);
    one_pass(&event_loop);
    assert_eq!(log.take(), [1]);
    event_loop.close().unwrap();
}

// ----- set_event_loop

/// The set loop is replaced, may be closed, and is never run by being set.
#[test]
fn a_set_loop_is_only_named() {
    let (first, second) = (new_loop(), new_loop());
    set_event_loop(Some(&first));
    set_event_loop(Some(&second));
    assert_eq!(get_event_loop().unwrap(), second);
    second.close().unwrap();
    assert_eq!(get_event_loop().unwrap(), second);
    assert_eq!(
        panic_message(|| get_event_loop().unwrap().call_soon(|| ())),
        "event loop is closed"
    );
    // Setting inside a run changes nothing for what runs.
    first
        .run_until_complete(async {
            set_event_loop(None);
            assert_eq!(get_event_loop().unwrap(), first);
        })
        .unwrap();
    assert!(get_event_loop().is_err());
    first.close().unwrap();
}

// ----- dropping an unclosed loop

/// "unclosed event loop" is written, the loop is closed, and its tasks are reported to its own handler.
#[test]
fn a_loop_that_is_dropped_unclosed_is_closed_and_reported() {
    if is_child() {
        let event_loop = new_loop();
        let reports = reports(&event_loop);
        let drops: Vec<_> = (0..3).map(|_| Dropped::new()).collect();
        let [(callback, first), (timer, second), (task, third)] =
            <[_; 3]>::try_from(drops).unwrap();
        event_loop.call_soon(move || drop(callback));
        event_loop.call_later(secs(1.0), move || drop(timer));
        struct Asks(Log<bool>);
        impl Drop for Asks {
            fn drop(&mut self) {
                self.0.push(try_get_running_loop().is_ok_and(|running| running.is_closed()));
            }
        }
        let log = Log::new();
        let asks = Asks(log.clone());
        event_loop
            .create_task(async move {
                let _held = (task, asks);
                pending::<()>().await
            })
            .detach();
        drop(event_loop);
        assert!([first, second, third].iter().all(|dropped| dropped.load(Ordering::SeqCst)));
        assert_eq!(log.take(), [true], "destructors find their loop");
        assert_eq!(common::only_message(&reports), "Task was destroyed but it is pending!");
        return;
    }
    let stderr = stderr_of_child("a_loop_that_is_dropped_unclosed_is_closed_and_reported");
    assert_eq!(stderr.matches("unclosed event loop").count(), 1, "{stderr}");
    assert!(!stderr.contains("destroyed"), "{stderr}");
}

/// Nothing is said of a loop that was closed, and nothing of one whose handle is kept.
#[test]
fn a_closed_loop_is_dropped_quietly() {
    if is_child() {
        let event_loop = new_loop();
        let kept = event_loop.clone();
        drop(event_loop);
        kept.close().unwrap();
        drop(kept);
        run(async {});
        Runner::new().unwrap().close();
        return;
    }
    let stderr = stderr_of_child("a_closed_loop_is_dropped_quietly");
    assert!(!stderr.contains("event loop"), "{stderr}");
}

/// Dropped on a thread that its local tasks do not belong to, a loop cannot be closed: it says so, and never drops them there.
#[test]
fn a_loop_with_local_tasks_is_not_closed_by_another_thread() {
    if is_child() {
        let event_loop = new_loop();
        let (held, dropped) = Dropped::new();
        event_loop
            .run_until_complete(async {
                create_local_task(async move {
                    let _held = (held, Rc::new(()));
                    pending::<()>().await
                })
                .detach();
            })
            .unwrap();
        thread::spawn(move || drop(event_loop)).join().unwrap();
        assert!(!dropped.load(Ordering::SeqCst));
        return;
    }
    let stderr = stderr_of_child("a_loop_with_local_tasks_is_not_closed_by_another_thread");
    assert!(stderr.contains("an event loop was dropped and not closed"), "{stderr}");
    assert!(stderr.contains("this event loop has local tasks of another thread"), "{stderr}");
}

// ----- times

/// Delays and deadlines at both ends.
#[test]
fn any_duration_and_any_instant_will_do() {
    let event_loop = new_loop();
    let log = Log::new();
    let before = event_loop.time() - Duration::from_nanos(1);
    event_loop.call_later(Duration::MAX, log.note("never"));
    event_loop.call_later(Duration::from_nanos(u64::MAX), log.note("never"));
    event_loop.call_later(Duration::ZERO, log.note("zero"));
    event_loop.call_later(Duration::from_nanos(1), log.note("a nanosecond"));
    event_loop.call_at(before, log.note("past"));
    event_loop.run_until_complete(sleep(secs(0.01))).unwrap();
    assert_eq!(log.take(), ["past", "zero", "a nanosecond"]);

    let endless = [sleep(Duration::MAX), sleep(Duration::from_nanos(u64::MAX))];
    let tasks = endless.map(|sleep| event_loop.create_task(sleep));
    event_loop
        .run_until_complete(async {
            sleep(Duration::ZERO).await;
            sleep_until(before).await;
            sleep_until(oldest()).await;
        })
        .unwrap();
    assert!(tasks.iter().all(|task| !task.done()));
    for mut task in tasks {
        task.cancel();
        assert!(event_loop.run_until_complete(&mut task).unwrap().unwrap_err().is_cancelled());
    }
    event_loop.close().unwrap();
}

/// About as early as an instant can be.
fn oldest() -> Instant {
    let now = Instant::now();
    let back = |exponent: u32| now.checked_sub(Duration::from_secs(1_u64 << exponent));
    (0..64).rev().find_map(back).unwrap()
}

/// Polling a sleep where no loop runs is misuse that names the sleep.
#[test]
fn a_sleep_needs_a_running_loop() {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut slept = sleep(secs(1.0));
    let line = line!() - 1;
    let poll = || std::future::Future::poll(std::pin::Pin::new(&mut slept), &mut cx);
    let message = panic_message(poll);
    assert!(message.starts_with("no running event loop"), "{message}");
    assert!(message.contains(&format!("{}:{line}", file!())), "{message}");
}

/// Awaiting a task twice, or taking what was taken, is misuse of that handle only.
#[test]
fn a_result_is_taken_once() {
    run(async {
        let mut task = create_task(async { String::new() });
        (&mut task).await.unwrap();
        let again = create_task(async move { task.await.unwrap() }).await;
        let panic = again.unwrap_err();
        let message = panic.as_panic().unwrap().message().to_owned();
        assert_eq!(message, "a task was awaited again after it gave its result");
    });
}

/// A loop handle is `Send` and `Sync`, and equal to its clones only.
#[test]
fn a_loop_handle_may_go_anywhere() {
    fn anywhere<T: Send + Sync + 'static>() {}
    anywhere::<EventLoop>();
    anywhere::<asyncio::Handle>();
    anywhere::<asyncio::TimerHandle>();
    anywhere::<Future<u8>>();
    let (first, second) = (new_loop(), new_loop());
    assert!(first == first.clone() && first != second);
    first.close().unwrap();
    second.close().unwrap();
}
