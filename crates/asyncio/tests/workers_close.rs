//! A loop with several workers is closed again and again under load, from everywhere: each time soon, and nothing stays behind.
//!
//! Alone in its binary: threads and descriptors are counted for the whole process.
#![cfg(target_os = "linux")]

use asyncio::net::{TcpListener, TcpStream};
use asyncio::{EventLoop, ExceptionContext, create_task, get_running_loop, secs, sleep};
use std::cell::RefCell;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Rounds for each of the four ways to close; `ASYNCIO_CLOSES` closes in all, if that is set.
fn rounds() -> usize {
    let usual = if cfg!(debug_assertions) { 200 } else { 10_000 };
    std::env::var("ASYNCIO_CLOSES").map_or(usual, |closes| closes.parse().unwrap()) / 4
}

const WORKERS: usize = 4;

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// Threads and descriptors of this process. The system may show a thread a little longer than a join of it takes.
fn threads_and_descriptors(expected_threads: usize) -> (usize, usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while entries("/proc/self/task") > expected_threads && Instant::now() < deadline {
        thread::yield_now();
    }
    // ThreadSanitizer opens pipes of its own when it has something to say.
    (entries("/proc/self/task"), if cfg!(tsan) { 0 } else { entries("/proc/self/fd") })
}

/// Leaves tasks that run, wait and sleep, sockets in use, timers, callbacks and jobs behind, on all workers.
async fn load() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut other, _) = listener.accept().await.unwrap();
    create_task(async move { while stream.write_all(&[0; 512]).await.is_ok() {} }).detach();
    create_task(async move { while other.read(&mut [0; 512]).await.is_ok_and(|n| n > 0) {} })
        .detach();
    for i in 0..1_000 {
        match i % 4 {
            0 => create_task(sleep(secs(3600.0))).detach(),
            1 => create_task(std::future::pending::<()>()).detach(),
            2 => create_task(async {
                loop {
                    sleep(secs(0.0001)).await;
                }
            })
            .detach(),
            _ => drop(get_running_loop().call_later(secs(0.001), || ())),
        }
    }
    drop(get_running_loop().run_in_executor(None, || thread::sleep(Duration::from_micros(100))));
}

/// A loop under load, its run ended while everything goes on, and threads that call in all the time.
struct Loaded {
    event_loop: EventLoop,
    callers: Vec<thread::JoinHandle<()>>,
}

fn loaded() -> Loaded {
    let event_loop = EventLoop::with_workers(WORKERS).unwrap();
    event_loop.set_exception_handler(Some(|_: &EventLoop, report: &ExceptionContext| {
        assert_eq!(report.message, "Task was destroyed but it is pending!", "{report}");
    }));
    let called = Arc::new(AtomicUsize::new(0));
    let callers = (0..2).map(|_| call_until_closed(&event_loop, &called)).collect();
    let stop = event_loop.clone();
    event_loop
        .create_task(async move {
            load().await;
            while called.load(Ordering::Relaxed) < 2 {
                sleep(secs(0.0001)).await;
            }
            stop.stop();
        })
        .detach();
    event_loop.run_forever().unwrap();
    Loaded { event_loop, callers }
}

/// Calls until the loop is closed, with a pause after each call, so that the queue stays short.
fn call_until_closed(event_loop: &EventLoop, called: &Arc<AtomicUsize>) -> thread::JoinHandle<()> {
    let (event_loop, called) = (event_loop.clone(), called.clone());
    thread::spawn(move || {
        event_loop
            .call_soon_threadsafe(move || {
                called.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
        while event_loop.call_soon_threadsafe(|| ()).is_ok() {
            thread::sleep(Duration::from_micros(20));
        }
    })
}

impl Loaded {
    /// Closes by `close`; then waits for the callers, who find the loop closed.
    fn end(self, close: impl FnOnce(EventLoop)) {
        let before = Instant::now();
        close(self.event_loop);
        let took = before.elapsed();
        assert!(took < Duration::from_secs(2), "closed in {took:?}");
        self.callers.into_iter().for_each(|caller| caller.join().unwrap());
    }
}

/// Closes the loop it holds when its thread ends.
struct ClosesLater(EventLoop);

impl Drop for ClosesLater {
    fn drop(&mut self) {
        self.0.close().unwrap();
    }
}

thread_local! {
    static LEFT: RefCell<Option<ClosesLater>> = const { RefCell::new(None) };
}

/// A loop without callers from outside, which hold it: dropping the last handle closes it.
fn drop_unclosed() {
    let event_loop = EventLoop::with_workers(WORKERS).unwrap();
    event_loop.set_exception_handler(Some(|_: &EventLoop, _: &ExceptionContext| ()));
    let stop = event_loop.clone();
    event_loop
        .create_task(async move {
            load().await;
            stop.stop();
        })
        .detach();
    event_loop.run_forever().unwrap();
    let before = Instant::now();
    drop(event_loop);
    assert!(before.elapsed() < Duration::from_secs(2));
}

/// In a process of its own, because a loop that is dropped unclosed says so on standard error.
#[test]
fn closing_under_load_leaves_nothing_behind() {
    const CHILD: &str = "ASYNCIO_TEST_WORKERS_CLOSE";
    if std::env::var_os(CHILD).is_some() {
        return close_many_times();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.arg("--nocapture").env(CHILD, "1").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).replace("unclosed event loop\n", "");
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn close_many_times() {
    let close_each_way = || {
        loaded().end(|event_loop| event_loop.close().unwrap());
        loaded().end(|event_loop| {
            thread::spawn(move || event_loop.close().unwrap()).join().unwrap();
        });
        loaded().end(|event_loop| {
            let last = thread::spawn(move || LEFT.set(Some(ClosesLater(event_loop))));
            last.join().unwrap();
        });
        drop_unclosed();
    };
    close_each_way();
    // The main thread, this test's own, and one of ThreadSanitizer's; what the pool's threads are that have not yet been joined: none.
    let before = threads_and_descriptors(if cfg!(tsan) { 3 } else { 2 });
    for _ in 0..rounds() {
        close_each_way();
    }
    assert_eq!(threads_and_descriptors(before.0), before);
}
