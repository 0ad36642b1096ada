//! Sleeping: what a timer costs, and how late it is.

use crate::kit::Kit;
use crate::report::Report;
use crate::runtime::Runtime;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

/// Longer than any run.
const HOUR: Duration = Duration::from_secs(3600);

/// Polls once and says whether it was ready.
async fn poll_once(mut future: Pin<&mut (impl Future<Output = ()> + Send)>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

/// A task that sleeps for half an hour, which the runtime knows of when this returns. A later sleep is then not the next to end, as in most
/// programs; where it is, Tokio writes to an eventfd each time and is six times slower than it looks here.
async fn other_sleeper<R: Runtime>() {
    R::detach(R::spawn(R::Kit::sleep(HOUR / 2)));
    R::Kit::sleep(Duration::from_millis(2)).await;
}

/// One operation: a sleep of an hour is made, polled once and dropped, beside another sleeper.
pub async fn made_and_dropped<R: Runtime>(n: usize) -> Report {
    other_sleeper::<R>().await;
    let start = Instant::now();
    for _ in 0..n {
        assert!(!poll_once(pin!(R::Kit::sleep(HOUR))).await);
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: one of `n` sleeps that are all made and polled once, at deadlines over an hour, and then all dropped;
/// beside another sleeper.
pub async fn many_alive<R: Runtime>(n: usize) -> Report {
    other_sleeper::<R>().await;
    let mut sleeps = Vec::with_capacity(n);
    let start = Instant::now();
    for i in 0..n {
        let mut sleep = Box::pin(R::Kit::sleep(HOUR + HOUR.mul_f64(scattered(i))));
        assert!(!poll_once(sleep.as_mut()).await);
        sleeps.push(sleep);
    }
    drop(sleeps);
    Report::per_op(n, start.elapsed())
}

/// One operation: one of `n` sleeps of 20 to 40 ms, of which nine in ten are dropped at once and the others awaited.
pub async fn mostly_cancelled<R: Runtime>(n: usize) -> Report {
    let mut kept = Vec::with_capacity(n / 10);
    let start = Instant::now();
    for i in 0..n {
        let delay = Duration::from_millis(20).mul_f64(1.0 + scattered(i));
        let mut sleep = Box::pin(R::Kit::sleep(delay));
        let done = poll_once(sleep.as_mut()).await;
        if i % 10 == 0 && !done {
            kept.push(sleep);
        }
    }
    for sleep in kept {
        sleep.await;
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: one of `n` tasks sleeps once, for 0.5 to 1.5 s, and says how late it woke.
pub async fn firing<R: Runtime>(n: usize) -> Report {
    let sleeper =
        |i| R::spawn(lateness::<R>(Duration::from_millis(500).mul_f64(1.0 + 2.0 * scattered(i))));
    let tasks: Vec<_> = (0..n).map(sleeper).collect();
    let mut late = Vec::with_capacity(n);
    for task in tasks {
        late.push(R::join(task).await);
    }
    Report::of_samples(late)
}

/// One operation: the only task sleeps so long and wakes late.
pub async fn late<R: Runtime>(n: usize, delay: Duration) -> Report {
    let mut late = Vec::with_capacity(n);
    for _ in 0..n {
        late.push(lateness::<R>(delay).await);
    }
    Report::of_samples(late)
}

/// Sleeps and gives the nanoseconds between the time it should have woken and the time it did.
async fn lateness<R: Runtime>(delay: Duration) -> u64 {
    let start = Instant::now();
    R::Kit::sleep(delay).await;
    let late = start.elapsed().checked_sub(delay).expect("no sleep ends early");
    late.as_nanos() as u64
}

/// The same numbers in [0, 1) for everybody, spread evenly.
fn scattered(i: usize) -> f64 {
    const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;
    (i as f64 * GOLDEN_RATIO).fract()
}
