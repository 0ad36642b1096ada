//! Making tasks.

use crate::baton::Countdown;
use crate::kit::{Kit, Oneshot};
use crate::report::Report;
use crate::runtime::{Runtime, Setup};
use std::thread;
use std::time::Instant;

/// Tasks that are alive at once: enough to fill queues, few enough to stay in the cache.
const BURST: usize = 1000;

/// One operation: a task that only counts itself off is spawned, runs, and is forgotten. In bursts of 1000.
pub async fn detached<R: Runtime>(n: usize) -> Report {
    let start = Instant::now();
    for _ in 0..n / BURST {
        let left = Countdown::new(BURST);
        for _ in 0..BURST {
            let left = left.clone();
            R::detach(R::spawn(async move { left.arrive() }));
        }
        left.wait().await;
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: a task is spawned and its number awaited, before the next.
pub async fn join<R: Runtime>(n: usize) -> Report {
    let start = Instant::now();
    let mut sum = 0;
    for i in 0..n {
        sum += R::join(R::spawn(async move { i })).await;
    }
    let elapsed = start.elapsed();
    assert_eq!(sum, n * (n - 1) / 2);
    Report::per_op(n, elapsed)
}

/// One operation: one of 100 tasks that are spawned together, yield once, and are then awaited in order.
pub async fn fan_out<R: Runtime>(n: usize) -> Report {
    const WIDTH: usize = 100;
    let mut tasks = Vec::with_capacity(WIDTH);
    let start = Instant::now();
    for _ in 0..n / WIDTH {
        tasks.extend((0..WIDTH).map(|i| {
            R::spawn(async move {
                R::Kit::yield_now().await;
                i
            })
        }));
        for task in tasks.drain(..) {
            R::join(task).await;
        }
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: a task spawns the next of a chain of 1000 and ends.
pub async fn chained<R: Runtime>(n: usize) -> Report {
    let start = Instant::now();
    for _ in 0..n / BURST {
        let end = Countdown::new(1);
        link::<R>(BURST, end.clone());
        end.wait().await;
    }
    Report::per_op(n, start.elapsed())
}

fn link<R: Runtime>(left: usize, end: Countdown) {
    if left == 0 {
        return end.arrive();
    }
    R::detach(R::spawn(async move { link::<R>(left - 1, end) }));
}

/// One operation: a task spawns a partner, sends it a number through a oneshot and awaits the answer through another. 1000 at once.
pub async fn pairs<R: Runtime>(n: usize) -> Report {
    let start = Instant::now();
    for _ in 0..n / BURST {
        let left = Countdown::new(BURST);
        for _ in 0..BURST {
            let left = left.clone();
            R::detach(R::spawn(async move {
                let (ping, pinged) = R::Kit::oneshot();
                let (pong, ponged) = R::Kit::oneshot();
                R::detach(R::spawn(async move {
                    R::Kit::send(pong, R::Kit::receive(pinged).await);
                }));
                R::Kit::send(ping, 1);
                R::Kit::receive(ponged).await;
                left.arrive();
            }));
        }
        left.wait().await;
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: a thread outside the runtime spawns a task that counts itself off; bursts of 1000, the runtime otherwise idle.
pub fn remote<R: Runtime>(setup: Setup) -> Report {
    R::run(setup.workers, async {
        let remote = R::remote();
        let done = Countdown::new(1);
        let ended = done.clone();
        let spawner = thread::spawn(move || {
            let start = Instant::now();
            spawn_bursts::<R>(&remote, setup.n);
            ended.arrive();
            Report::per_op(setup.n, start.elapsed())
        });
        done.wait().await;
        spawner.join().expect("the spawner does not panic")
    })
}

fn spawn_bursts<R: Runtime>(remote: &R::Remote, n: usize) {
    for _ in 0..n / BURST {
        let (left, caller) = (Countdown::new(BURST), thread::current());
        let waiting = left.clone();
        R::detach(R::spawn_from(remote, async move {
            waiting.wait().await;
            caller.unpark();
        }));
        for _ in 0..BURST {
            let left = left.clone();
            R::detach(R::spawn_from(remote, async move { left.arrive() }));
        }
        thread::park();
    }
}
