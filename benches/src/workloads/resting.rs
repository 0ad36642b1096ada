//! What a runtime costs while nothing happens: memory, wake-ups, and its own beginning and end.

use crate::kit::Kit;
use crate::process::{cpu_time, resident_bytes, sleeps};
use crate::report::Report;
use crate::runtime::{Runtime, Setup};
use std::future::{Future, poll_fn};
use std::net::TcpStream;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Longer than any run.
const HOUR: Duration = Duration::from_secs(3600);

/// One object: a detached task that waits forever and holds nothing.
pub async fn waiting_tasks<R: Runtime>(n: usize) -> Report {
    bytes_of_tasks::<R, _>(n, std::future::pending::<()>).await
}

/// One object: a detached task that waits forever and holds the one waker of itself, as it does in a list of waiters.
///
/// smol's static executors forget a task that nobody can wake, so there the workload above counts nothing.
pub async fn wakeable_tasks<R: Runtime>(n: usize) -> Report {
    bytes_of_tasks::<R, _>(n, || {
        let mut held = None;
        poll_fn(move |cx| {
            held.get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        })
    })
    .await
}

/// One object: a detached task in a sleep of an hour.
pub async fn sleeping_tasks<R: Runtime>(n: usize) -> Report {
    bytes_of_tasks::<R, _>(n, || R::Kit::sleep(HOUR)).await
}

/// Spawns in bursts, so that run queues stay as small as they are in programs.
async fn bytes_of_tasks<R: Runtime, F>(n: usize, future: impl Fn() -> F + Send) -> Report
where
    F: Future<Output = ()> + Send + 'static,
{
    let before = resident_bytes();
    for i in 0..n {
        R::detach(R::spawn(future()));
        if i % 1000 == 0 {
            R::Kit::yield_now().await;
        }
    }
    R::Kit::sleep(Duration::from_millis(200)).await;
    Report::one("bytes", resident_bytes().saturating_sub(before) as f64 / n as f64)
}

/// One object: an accepted connection, registered, with a task that reads from it into 64 bytes. The kernel's part and the client are not
/// counted: the client is a blocking socket of the standard library.
pub async fn idle_connections<R: Runtime>(n: usize) -> Report {
    let (listener, addr) = R::Kit::listen().await.expect("a port");
    let mut clients = Vec::with_capacity(n);
    let before = resident_bytes();
    for _ in 0..n {
        clients.push(TcpStream::connect(addr).expect("a server"));
        let mut stream = R::Kit::accept(&listener).await.expect("a connection");
        R::detach(R::spawn(async move {
            let mut buffer = [0; 64];
            while R::Kit::read(&mut stream, &mut buffer).await.is_ok_and(|n| n > 0) {}
        }));
    }
    R::Kit::sleep(Duration::from_millis(200)).await;
    Report::one("bytes", resident_bytes().saturating_sub(before) as f64 / n as f64)
}

/// One object: a second in which 1000 tasks sleep for an hour and one waits for a connection. `n` is in milliseconds.
pub async fn idle<R: Runtime>(n: usize) -> Report {
    let (listener, _) = R::Kit::listen().await.expect("a port");
    R::detach(R::spawn(async move { R::Kit::accept(&listener).await.map(drop) }));
    for _ in 0..1000 {
        R::detach(R::spawn(R::Kit::sleep(HOUR)));
    }
    R::Kit::sleep(Duration::from_millis(100)).await;
    let (cpu, slept) = (cpu_time(), sleeps());
    R::Kit::sleep(Duration::from_millis(n as u64)).await;
    let per_second = 1000.0 / n as f64;
    Report::one("CPU us", (cpu_time() - cpu).as_nanos() as f64 / 1e3 * per_second)
        .and("wake-ups", (sleeps() - slept) as f64 * per_second)
}

/// One operation: a runtime is made, runs a main that returns at once, and ends with its threads.
pub fn start_and_stop<R: Runtime>(setup: Setup) -> Report {
    let start = Instant::now();
    for _ in 0..setup.n {
        R::run(setup.workers, async {});
    }
    Report::per_op(setup.n, start.elapsed())
}
