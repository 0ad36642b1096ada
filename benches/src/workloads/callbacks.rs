//! What only an asyncio has: callbacks and settable futures. The peers are Python's event loops, see `python/`.

use crate::baton::Countdown;
use crate::report::Report;
use asyncio::{EventLoop, Future, get_running_loop};
use std::thread;
use std::time::Instant;

/// Callbacks that are queued at once.
const BURST: usize = 1000;

/// One operation: a callback that counts itself off is queued and runs. In bursts of 1000.
pub async fn call_soon(n: usize) -> Report {
    let event_loop = get_running_loop();
    let start = Instant::now();
    for _ in 0..n / BURST {
        let left = Countdown::new(BURST);
        for _ in 0..BURST {
            let left = left.clone();
            event_loop.call_soon(move || left.arrive());
        }
        left.wait().await;
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: a callback queues the next, so each needs a pass of its own.
pub async fn call_soon_chained(n: usize) -> Report {
    let end = Countdown::new(1);
    let start = Instant::now();
    link(get_running_loop(), n, end.clone());
    end.wait().await;
    Report::per_op(n, start.elapsed())
}

fn link(event_loop: EventLoop, left: usize, end: Countdown) {
    if left == 0 {
        return end.arrive();
    }
    let next = event_loop.clone();
    event_loop.call_soon(move || link(next, left - 1, end));
}

/// One operation: a callback is queued by a thread beside the loop, in bursts of 1000, the next after the last has run.
pub async fn call_soon_threadsafe(n: usize) -> Report {
    let (event_loop, ended) = (get_running_loop(), Countdown::new(1));
    let over = ended.clone();
    let caller = thread::spawn(move || {
        let start = Instant::now();
        for _ in 0..n / BURST {
            for _ in 1..BURST {
                event_loop.call_soon_threadsafe(|| ()).expect("an open loop");
            }
            let caller = thread::current();
            event_loop.call_soon_threadsafe(move || caller.unpark()).expect("an open loop");
            thread::park();
        }
        over.arrive();
        Report::per_op(n, start.elapsed())
    });
    ended.wait().await;
    caller.join().expect("the thread does not panic")
}

/// One operation: a settable future is made, set and awaited, in one task.
pub async fn future(n: usize) -> Report {
    let start = Instant::now();
    for i in 0..n {
        let future: Future<usize> = Future::new();
        future.set_result(i).expect("pending");
        assert_eq!(future.await.expect("a result"), i);
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: a callback is put off for an hour and cancelled.
pub async fn call_later_cancelled(n: usize) -> Report {
    const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
    let event_loop = get_running_loop();
    let start = Instant::now();
    for _ in 0..n {
        event_loop.call_later(HOUR, || ()).cancel();
    }
    Report::per_op(n, start.elapsed())
}
