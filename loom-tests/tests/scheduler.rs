//! A loop sleeps over nothing, runs and closes once at a time, and leaves nothing behind (`asyncio-scheduler/src/{gate,worker,search,core,close}.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_base::context::ContextSlot;
use asyncio_base::sync::{Condvar, Mutex};
use asyncio_loom_tests::{model, race};
use asyncio_scheduler::callback::Kind;
use asyncio_scheduler::event_loop::MainOutcome;
use asyncio_scheduler::gate::{Gate, NotIdle};
use asyncio_scheduler::lane::Panicked;
use asyncio_scheduler::{Driver, Join, Loop, Reporter, Room, Wait};
use asyncio_task::{JoinError, TaskHandle, Unretrieved};
use loom::sync::atomic::AtomicUsize;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{Location, resume_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::time::Instant;
use sync_common::{Watched, spawn};

// ----- the gate

/// Two runs and a close: never two at once, and what one did the next has seen.
#[test]
fn run_meets_run_and_close() {
    model("gate: run meets run and close", None, || {
        let (gate, inside) = (Arc::new(Gate::new()), Arc::new(Watched::new(0)));
        let visit = |inside: &Watched| inside.set(inside.get() + 1);
        let (other, shared) = (gate.clone(), inside.clone());
        let runner = spawn(move || match other.try_run() {
            Ok(()) => {
                visit(&shared);
                other.leave();
                1
            }
            Err(NotIdle::Running | NotIdle::Closed) => 0,
        });
        let (other, shared) = (gate.clone(), inside.clone());
        let closer = spawn(move || match other.try_run() {
            Ok(()) => {
                other.begin_close();
                visit(&shared);
                other.set_closed();
                1
            }
            Err(NotIdle::Running) => 0,
            Err(NotIdle::Closed) => unreachable!("nobody else closes"),
        });
        let mut visits = 0;
        if gate.try_run() == Ok(()) {
            visit(&inside);
            gate.leave();
            visits += 1;
        }
        visits += runner.join().unwrap();
        let closed = closer.join().unwrap();
        visits += closed;
        assert_eq!((gate.is_closed(), inside.get()), (closed == 1, visits));
    });
}

// ----- the whole loop

/// What the driver promises: an unpark ends the block that goes on, or the next one.
#[derive(Default)]
struct Parker {
    unparked: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    fn block(&self) {
        let mut unparked = self.unparked.lock();
        while !*unparked {
            unparked = self.changed.wait(unparked);
        }
        *unparked = false;
    }

    fn unpark(&self) {
        *self.unparked.lock() = true;
        self.changed.notify_one();
    }
}

/// Parks, and has timers that any thread may add.
#[derive(Default)]
struct MockDriver {
    parker: Parker,
    timers: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl MockDriver {
    fn add_timer(&self, due: impl FnOnce() + Send + 'static) {
        self.timers.lock().push(Box::new(due));
        self.parker.unpark();
    }
}

impl Driver for MockDriver {
    fn turn(&self, _worker: usize, wait: Wait) {
        // A model has no time: who watches sleeps until it is unparked.
        if matches!(wait, Wait::UntilReady | Wait::AtMost(_)) {
            self.parker.block();
        }
        let due = std::mem::take(&mut *self.timers.lock());
        due.into_iter().for_each(|timer| timer());
    }

    fn unpark(&self) {
        self.parker.unpark();
    }

    fn close(&self) {}

    fn now(&self) -> Instant {
        // Nothing takes any: else a machine that stands still for a moment would change what is explored.
        static NOW: OnceLock<Instant> = OnceLock::new();
        *NOW.get_or_init(Instant::now)
    }

    fn random(&self, _bound: usize) -> usize {
        0
    }

    fn start_thread(&self, _: String, body: Box<dyn FnOnce() + Send>) -> io::Result<Join> {
        let thread = spawn(body);
        Ok(Box::new(move || thread.join().unwrap()))
    }

    fn as_worker(&self, _: usize, work: &mut dyn FnMut()) {
        work();
    }
}

/// What callbacks panic with, on purpose; it makes no use of the panic hook.
const PANIC: &str = "on purpose";

/// Nothing goes wrong in the models but tasks that are destroyed, and callbacks that panic on purpose: those are counted.
#[derive(Default)]
struct MockReporter {
    panics: Arc<AtomicUsize>,
}

impl Reporter for MockReporter {
    fn callback_panicked(&self, callback: Panicked) {
        assert_eq!(callback.payload.downcast_ref(), Some(&PANIC));
        self.panics.fetch_add(1, Relaxed);
    }

    fn task_destroyed(&self, task: TaskHandle) {
        assert!(task.done());
    }

    fn worker_refused(&self, _: usize, _: io::Error) {
        unreachable!("one worker is the thread that runs the loop")
    }

    fn unretrieved(&self, _: Unretrieved, _: &JoinError) {
        unreachable!()
    }

    fn destructor_panicked(&self, _: JoinError) {
        unreachable!()
    }
}

fn new_loop() -> (Arc<Loop>, Arc<MockDriver>) {
    loop_with_workers(1)
}

fn loop_with_workers(workers: usize) -> (Arc<Loop>, Arc<MockDriver>) {
    let driver = Arc::new(MockDriver::default());
    (Loop::new(workers, driver.clone(), Arc::new(MockReporter::default())), driver)
}

fn call(event_loop: &Loop, function: impl FnOnce() + Send + 'static) -> bool {
    let (context, location) = (ContextSlot::new(), Location::caller());
    event_loop.call(Kind::ThreadSafe, context, location, function).is_ok()
}

fn room<F: Future + 'static>(event_loop: &Loop) -> Room<F> {
    event_loop.room(ContextSlot::new(), Location::caller())
}

fn run<F: Future>(event_loop: &Arc<Loop>, main: F) -> Option<MainOutcome<F::Output>> {
    let (context, location) = (ContextSlot::new(), Location::caller());
    event_loop.run_until_complete(main, context, location, |_| {}).unwrap()
}

/// Counts the drop of what it lies in.
struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_callback_from_another_thread_meets_the_sleep() {
    model("loop: a callback from another thread meets the sleep", None, || {
        let (event_loop, _) = new_loop();
        let other = event_loop.clone();
        let caller = spawn(move || {
            let stops = other.clone();
            assert!(call(&other, move || stops.stop()));
        });
        event_loop.run_forever().unwrap();
        caller.join().unwrap();
        assert_eq!(event_loop.close(), Ok(true));
    });
}

#[test]
fn stop_meets_the_sleep() {
    model("loop: stop meets the sleep", None, || {
        let (event_loop, _) = new_loop();
        let other = event_loop.clone();
        let stopper = spawn(move || other.stop());
        event_loop.run_forever().unwrap();
        stopper.join().unwrap();
        assert_eq!(event_loop.close(), Ok(true));
    });
}

#[test]
fn a_timer_from_another_thread_meets_the_sleep() {
    model("loop: a timer from another thread meets the sleep", None, || {
        let (event_loop, driver) = new_loop();
        let other = event_loop.clone();
        let caller = spawn(move || driver.add_timer(move || other.stop()));
        event_loop.run_forever().unwrap();
        caller.join().unwrap();
        assert_eq!(event_loop.close(), Ok(true));
    });
}

/// Main waits for another thread, which wakes it once main has left its waker.
#[test]
fn a_wake_from_another_thread_meets_the_sleep() {
    model("loop: a wake from another thread meets the sleep", None, || {
        let (event_loop, _) = new_loop();
        let slot: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
        let other = slot.clone();
        let waker = spawn(move || {
            let mut slot = other.lock();
            slot.0 = true;
            let waker = slot.1.take();
            drop(slot);
            waker.into_iter().for_each(Waker::wake);
        });
        let main = poll_fn(|cx| {
            let waker = cx.waker().clone();
            let mut slot = slot.lock();
            if slot.0 {
                return Poll::Ready(());
            }
            slot.1 = Some(waker);
            Poll::Pending
        });
        assert!(matches!(run(&event_loop, main), Some(MainOutcome::Returned(()))));
        waker.join().unwrap();
        assert_eq!(event_loop.close(), Ok(true));
    });
}

/// A thread calls, and somebody closes the loop after its run: the callback runs or is dropped, once, and the caller is told which.
#[test]
fn calls_meet_the_sleep_and_close() {
    model("loop: calls meet the sleep and close", None, || {
        let (event_loop, _) = new_loop();
        let [ran, dropped] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let other = event_loop.clone();
        let (counted, captured) = (ran.clone(), CountDrop(dropped.clone()));
        let caller = spawn(move || {
            let stops = other.clone();
            assert!(call(&other, move || stops.stop()));
            call(&other, move || {
                let _captured = captured;
                counted.fetch_add(1, Relaxed);
            })
        });
        event_loop.run_forever().unwrap();
        assert_eq!(event_loop.close(), Ok(true));
        let queued = caller.join().unwrap();
        assert_eq!(dropped.load(Relaxed), 1);
        assert!(ran.load(Relaxed) == 0 || queued);
    });
}

/// A thread spawns while the loop is closed: the future is dropped, once, by one of them, and the closer does not hang.
#[test]
fn spawn_meets_close() {
    model("loop: spawn meets close", None, || {
        let (event_loop, _) = new_loop();
        let dropped = Arc::new(AtomicUsize::new(0));
        let (other, captured) = (event_loop.clone(), CountDrop(dropped.clone()));
        let spawner = spawn(move || {
            let future = async move { drop(captured) };
            let task = room(&other).spawn(future);
            race();
            match task {
                Ok(task) | Err(task) => task.handle(),
            }
        });
        assert_eq!(event_loop.close(), Ok(true));
        let task = spawner.join().unwrap();
        assert!(task.done() && task.cancelled());
        assert_eq!(dropped.load(Relaxed), 1);
    });
}

/// A thread wakes a task while the loop is closed: whoever has the token, the task is ended by the closer.
#[test]
fn wake_meets_close() {
    model("loop: wake meets close", None, || {
        let (event_loop, _) = new_loop();
        let slot: Arc<Mutex<Option<Waker>>> = Arc::default();
        let dropped = Arc::new(AtomicUsize::new(0));
        let (left, captured) = (slot.clone(), CountDrop(dropped.clone()));
        let future = poll_fn(move |cx| {
            let _captured = &captured;
            *left.lock() = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        room(&event_loop).spawn(future).unwrap().detach();
        event_loop.stop();
        event_loop.run_forever().unwrap();
        let waker = slot.lock().take().unwrap();
        let thread = spawn(move || waker.wake());
        assert_eq!(event_loop.close(), Ok(true));
        assert_eq!(dropped.load(Relaxed), 1);
        thread.join().unwrap();
    });
}

/// A thread wakes main while its run is stopped: main is dropped by the run, wherever its token is.
#[test]
fn wake_meets_a_main_that_is_stopped() {
    model("loop: wake meets a main that is stopped", None, || {
        let (event_loop, _) = new_loop();
        let thread = Mutex::new(None);
        let dropped = Arc::new(AtomicUsize::new(0));
        let captured = CountDrop(dropped.clone());
        let main = poll_fn(|cx| {
            let _captured = &captured;
            if thread.lock().is_none() {
                let waker = cx.waker().clone();
                *thread.lock() = Some(spawn(move || waker.wake()));
                event_loop.stop();
            }
            Poll::<()>::Pending
        });
        assert!(run(&event_loop, main).is_none());
        assert!(event_loop.all_tasks().is_empty());
        thread.lock().take().unwrap().join().unwrap();
        assert_eq!(event_loop.close(), Ok(true));
    });
}

// ----- with two workers

/// A thread calls, perhaps while both workers lie; the run ends and the loop is closed, and with it the other worker's thread.
#[test]
fn a_callback_meets_two_workers_and_close() {
    model("loop: a callback meets two workers and close", Some(3), || {
        let (event_loop, _) = loop_with_workers(2);
        let other = event_loop.clone();
        let caller = spawn(move || {
            let stops = other.clone();
            assert!(call(&other, move || stops.stop()));
        });
        event_loop.run_forever().unwrap();
        assert_eq!(event_loop.close(), Ok(true));
        caller.join().unwrap();
    });
}

/// Two tasks, either of which may be stolen; the one that is run last stops the loop.
#[test]
fn tasks_are_shared_by_two_workers() {
    model("loop: tasks are shared by two workers", Some(3), || {
        let (event_loop, _) = loop_with_workers(2);
        let left = Arc::new(AtomicUsize::new(2));
        for _ in 0..2 {
            let (left, stops) = (left.clone(), event_loop.clone());
            let future = async move {
                if left.fetch_sub(1, Relaxed) == 1 {
                    stops.stop();
                }
            };
            room(&event_loop).spawn(future).unwrap().detach();
        }
        event_loop.run_forever().unwrap();
        assert_eq!(left.load(Relaxed), 0);
        assert_eq!(event_loop.close(), Ok(true));
    });
}

/// Main waits for a task, which another worker may run: main's wake-up ends the sleep of worker 0 wherever that sleeps.
#[test]
fn main_waits_for_a_task_of_another_worker() {
    model("loop: main waits for a task of another worker", Some(2), || {
        let (event_loop, _) = loop_with_workers(2);
        let task = room(&event_loop).spawn(async { 7 }).unwrap();
        let idle = room(&event_loop).spawn(async {}).unwrap();
        let main = async {
            idle.await.unwrap();
            task.await.unwrap()
        };
        assert!(matches!(run(&event_loop, main), Some(MainOutcome::Returned(7))));
        assert_eq!(event_loop.close(), Ok(true));
    });
}

/// A callback panics, and the next one may be another worker's: it comes after the report.
#[test]
fn a_panic_is_reported_before_the_next_callback() {
    model("loop: a panic is reported before the next callback", Some(2), || {
        let panics = Arc::new(AtomicUsize::new(0));
        let reporter = Arc::new(MockReporter { panics: panics.clone() });
        let event_loop = Loop::new(2, Arc::new(MockDriver::default()), reporter);
        assert!(call(&event_loop, || resume_unwind(Box::new(PANIC))));
        let other = event_loop.clone();
        let caller = spawn(move || {
            let stops = other.clone();
            assert!(call(&other, move || {
                assert_eq!(panics.load(Relaxed), 1, "reported by now");
                stops.stop();
            }));
        });
        event_loop.run_forever().unwrap();
        assert_eq!(event_loop.close(), Ok(true));
        caller.join().unwrap();
    });
}

/// A thread calls in and is to wake the other worker, which is up and lies again by other means before: its thread is started once, and ended.
#[test]
fn a_late_wake_meets_close() {
    model("loop: a late wake meets close", Some(2), || {
        let (event_loop, _) = loop_with_workers(2);
        let stops = event_loop.clone();
        assert!(call(&event_loop, move || stops.stop()));
        let other = event_loop.clone();
        let caller = spawn(move || {
            call(&other, || ());
        });
        event_loop.run_forever().unwrap();
        assert_eq!(event_loop.close(), Ok(true));
        caller.join().unwrap();
    });
}
