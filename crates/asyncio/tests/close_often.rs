//! Ten thousand loops, each closed with work of every kind pending: nothing of any of them stays behind.
//!
//! Alone in its binary: descriptors are counted for the whole process. `close_pending.rs` does the same with sockets.

mod common;

use asyncio::{EventLoop, ExceptionContext, Future, create_task, get_running_loop, secs, sleep};
use common::one_pass;
use std::future::pending;
use std::sync::Arc;

const LOOPS: usize = 10_000;

/// Descriptors that this process has open; where they cannot be listed there is nothing to compare.
/// Under ThreadSanitizer they are not counted: it opens pipes of its own when it has something to say.
fn open_descriptors() -> Option<usize> {
    let folder = std::fs::read_dir("/proc/self/fd").ok().filter(|_| !cfg!(tsan));
    folder.map(Iterator::count)
}

/// Leaves a callback, timers, a future with waiter and callback, and tasks behind, queued and waiting; each holds `captured`.
fn close_with_work_pending(captured: &Arc<()>) {
    let event_loop = common::new_loop();
    let reported = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = reported.clone();
    event_loop.set_exception_handler(Some(move |_: &EventLoop, report: &ExceptionContext| {
        assert_eq!(report.message, "Task was destroyed but it is pending!");
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }));
    let hold = || captured.clone();
    let future: Future<Arc<()>> = event_loop.create_future();
    let (waiting, held) = (future.clone(), hold());
    event_loop
        .create_task(async move {
            let _held = held;
            waiting.await.unwrap();
        })
        .detach();
    let held = hold();
    future.add_done_callback(move |_| drop(held));
    let held = hold();
    event_loop
        .create_task(async move {
            let child = create_task(pending::<()>());
            let inner = held.clone();
            get_running_loop().call_later(secs(3600.0), move || drop(inner));
            sleep(secs(3600.0)).await;
            drop((held, child));
        })
        .detach();
    one_pass(&event_loop);
    one_pass(&event_loop);
    let held = hold();
    event_loop.call_soon(move || drop(held));
    let held = hold();
    event_loop.create_task(async move { drop(held) }).detach();
    assert!(Arc::strong_count(captured) > 6);
    event_loop.close().unwrap();
    assert_eq!(reported.load(std::sync::atomic::Ordering::Relaxed), 4);
    drop(future);
}

#[test]
fn ten_thousand_loops_close_with_work_pending() {
    let captured = Arc::new(());
    close_with_work_pending(&captured);
    let before = open_descriptors();
    for _ in 0..LOOPS {
        close_with_work_pending(&captured);
        assert_eq!(Arc::strong_count(&captured), 1, "something of a closed loop is left");
    }
    assert_eq!(open_descriptors(), before);
}
