//! However a loop with jobs under way ends, its threads and descriptors are gone afterwards.
//!
//! Alone in its binary: threads and descriptors are counted for the whole process.
#![cfg(target_os = "linux")]

use asyncio::{EventLoop, ExceptionContext, ThreadPoolExecutor, create_task, get_running_loop};
use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Threads and descriptors of this process; of these none under ThreadSanitizer, which opens pipes of its own when it has something to say.
fn resources() -> (usize, usize) {
    (entries("/proc/self/task"), if cfg!(tsan) { 0 } else { entries("/proc/self/fd") })
}

/// A loop whose reports are of no interest.
fn quiet_loop() -> EventLoop {
    let event_loop = asyncio::new_event_loop().unwrap();
    event_loop.set_exception_handler(Some(|_: &EventLoop, report: &ExceptionContext| {
        assert_eq!(report.message, "Task was destroyed but it is pending!");
    }));
    event_loop
}

/// Leaves jobs on the loop's executor, running and queued, whose results are awaited by tasks or by nobody; they end when the sender does.
fn leave_jobs(event_loop: &EventLoop) -> mpsc::Sender<()> {
    event_loop.set_default_executor(ThreadPoolExecutor::new(3)).unwrap();
    let (hold, gate) = mpsc::channel::<()>();
    let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
    let held = gate.clone();
    drop(event_loop.run_in_executor(None, move || held.lock().unwrap().recv().is_ok()));
    for i in 0..20 {
        let (gate, caller) = (gate.clone(), event_loop.clone());
        let job = event_loop.run_in_executor(None, move || {
            let _ = gate.lock().unwrap().recv();
            // The loop may be gone.
            let _ = caller.call_soon_threadsafe(move || drop(vec![i]));
            i
        });
        event_loop.create_task(job).detach();
        event_loop.create_task(asyncio::to_thread(move || i)).detach();
    }
    let stop = event_loop.clone();
    event_loop.call_soon(move || stop.stop());
    event_loop.run_forever().unwrap();
    hold
}

fn by_closing() {
    let event_loop = quiet_loop();
    let hold = leave_jobs(&event_loop);
    event_loop.close().unwrap();
    drop(hold);
}

fn from_another_thread() {
    let event_loop = quiet_loop();
    let hold = leave_jobs(&event_loop);
    thread::spawn(move || event_loop.close().unwrap()).join().unwrap();
    drop(hold);
}

fn with_the_jobs_racing() {
    let event_loop = quiet_loop();
    drop(leave_jobs(&event_loop));
    event_loop.close().unwrap();
}

fn in_a_thread_local_destructor() {
    struct CloseLate(EventLoop);
    impl Drop for CloseLate {
        fn drop(&mut self) {
            self.0.close().unwrap();
        }
    }
    thread_local!(static LATE: RefCell<Option<CloseLate>> = const { RefCell::new(None) });
    thread::spawn(|| {
        let event_loop = quiet_loop();
        LATE.with(|late| late.replace(Some(CloseLate(event_loop.clone()))));
        drop(leave_jobs(&event_loop));
    })
    .join()
    .unwrap();
}

fn by_the_end_of_run() {
    asyncio::run(async {
        let event_loop = get_running_loop();
        for i in 0..20 {
            drop(event_loop.run_in_executor(None, move || i));
            create_task(asyncio::to_thread(move || i)).detach();
        }
        asyncio::yield_now().await;
    });
}

#[test]
fn nothing_is_left_behind() {
    let ways = [
        by_closing,
        from_another_thread,
        with_the_jobs_racing,
        in_a_thread_local_destructor,
        by_the_end_of_run,
    ];
    let rounds = if cfg!(debug_assertions) { 50 } else { 2000 };
    ways.iter().for_each(|way| way());
    let before = settled();
    for _ in 0..rounds {
        ways.iter().for_each(|way| way());
    }
    assert_eq!(settled(), before);
}

/// The main thread, the test's own, and one of ThreadSanitizer's.
const LASTING_THREADS: usize = if cfg!(tsan) { 3 } else { 2 };

/// The counts once the threads that nobody waits for have ended: a closed loop lets its jobs finish by themselves.
fn settled() -> (usize, usize) {
    while entries("/proc/self/task") > LASTING_THREADS {
        thread::yield_now();
    }
    resources()
}
