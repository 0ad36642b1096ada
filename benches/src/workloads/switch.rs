//! Giving way, and going back and forth between two tasks.

use crate::baton::Baton;
use crate::kit::{Kit, Queues};
use crate::report::Report;
use crate::runtime::Runtime;
use std::sync::Arc;
use std::time::Instant;

/// One operation: the only task there is lets the others run.
pub async fn yield_alone<R: Runtime>(n: usize) -> Report {
    let start = Instant::now();
    for _ in 0..n {
        R::Kit::yield_now().await;
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: one of 200 tasks lets the others run.
pub async fn yield_many<R: Runtime>(n: usize) -> Report {
    const TASKS: usize = 200;
    let start = Instant::now();
    let yields = move || async move {
        for _ in 0..n / TASKS {
            R::Kit::yield_now().await;
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|_| R::spawn(yields())).collect();
    for task in tasks {
        R::join(task).await;
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: a number goes to another task through a bounded queue of one place and comes back through another.
pub async fn ping_pong<R: Runtime>(n: usize) -> Report {
    let (ping, mut pinged) = R::Kit::queue::<u64>(Some(1));
    let (pong, mut ponged) = R::Kit::queue::<u64>(Some(1));
    let partner = R::spawn(async move {
        for _ in 0..n {
            let number = R::Kit::get(&mut pinged).await;
            R::Kit::put(&pong, number).await;
        }
    });
    let start = Instant::now();
    for i in 0..n as u64 {
        R::Kit::put(&ping, i).await;
        assert_eq!(R::Kit::get(&mut ponged).await, i);
    }
    let elapsed = start.elapsed();
    R::join(partner).await;
    Report::per_op(n, elapsed)
}

/// One operation: a task wakes another and waits, and is woken by it. Wakers only: two wakes, two turns.
pub async fn batons<R: Runtime>(n: usize) -> Report {
    let batons = Arc::new([Baton::default(), Baton::default()]);
    let theirs = batons.clone();
    let partner = R::spawn(async move {
        for _ in 0..n {
            theirs[0].take().await;
            theirs[1].pass();
        }
    });
    let start = Instant::now();
    for _ in 0..n {
        batons[0].pass();
        batons[1].take().await;
    }
    let elapsed = start.elapsed();
    R::join(partner).await;
    Report::per_op(n, elapsed)
}
