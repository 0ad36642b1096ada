//! `Lock` as its users see it.
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::model;
use asyncio_sync::Lock;
use std::sync::Arc;
use sync_common::{block_on, poll_and_cancel, spawn};

/// A plain thread and a task share one lock.
#[test]
fn quick_lock_blocking_twin_meets_a_task() {
    model("lock: blocking twin meets a task", None, || {
        let lock = Arc::new(Lock::new(0));
        let other = lock.clone();
        let thread = spawn(move || *other.blocking_acquire() += 1);
        *block_on(lock.acquire()) += 1;
        thread.join().unwrap();
        assert_eq!(*lock.try_acquire().unwrap(), 2);
    });
}

/// Python's style: acquired here, released there.
#[test]
fn quick_lock_released_by_another_task() {
    model("lock: released by another task", None, || {
        let lock = Arc::new(Lock::new(()));
        block_on(lock.acquire()).forget();
        let other = lock.clone();
        let thread = spawn(move || other.release().unwrap());
        block_on(lock.acquire()).forget();
        thread.join().unwrap();
        assert!(lock.release().is_ok() && lock.release().is_err());
    });
}

/// `try_acquire` against a waiter that gives up.
#[test]
fn quick_lock_try_meets_cancel() {
    model("lock: try meets cancel", None, || {
        let lock = Arc::new(Lock::new(()));
        let guard = lock.try_acquire().unwrap();
        let other = lock.clone();
        let thread = spawn(move || poll_and_cancel(other.acquire()));
        drop(guard);
        let _ = lock.try_acquire();
        thread.join().unwrap();
        assert!(!lock.locked());
    });
}
