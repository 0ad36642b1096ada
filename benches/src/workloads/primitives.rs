//! Locks, semaphores, oneshots.

use crate::kit::{Kit, Oneshot};
use crate::report::Report;
use crate::runtime::Runtime;
use std::sync::Arc;
use std::time::Instant;

/// One operation: a free lock is taken, its number raised by one, and the lock given back.
pub async fn lock<R: Runtime>(n: usize) -> Report {
    let lock = R::Kit::lock();
    let start = Instant::now();
    for _ in 0..n {
        R::Kit::locked(&lock, std::future::ready(())).await;
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: one of 8 tasks gets the lock that the others want too, holds it over a yield, and hands it on.
pub async fn lock_contended<R: Runtime>(n: usize) -> Report {
    const TASKS: usize = 8;
    let lock = Arc::new(R::Kit::lock());
    let start = Instant::now();
    let work = |lock: Arc<<R::Kit as Kit>::Lock>| async move {
        for _ in 0..n / TASKS {
            R::Kit::locked(&lock, R::Kit::yield_now()).await;
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|_| R::spawn(work(lock.clone()))).collect();
    for task in tasks {
        R::join(task).await;
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: one of ten free permits is taken and given back.
pub async fn semaphore<R: Runtime>(n: usize) -> Report {
    let semaphore = R::Kit::semaphore(10);
    let start = Instant::now();
    for _ in 0..n {
        R::Kit::permit(&semaphore).await;
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: a oneshot is made, a number sent and then received, in one task.
pub async fn oneshot<R: Runtime>(n: usize) -> Report {
    let start = Instant::now();
    for i in 0..n as u64 {
        let (sender, receiver) = R::Kit::oneshot();
        R::Kit::send(sender, i);
        assert_eq!(R::Kit::receive(receiver).await, i);
    }
    Report::per_op(n, start.elapsed())
}
