//! `Semaphore` and `BoundedSemaphore` as their users see them.
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::model;
use asyncio_sync::{BoundedSemaphore, Semaphore};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use sync_common::{block_on, poll_and_cancel, poll_once, spawn};

/// One permit, two takers: never two inside.
#[test]
fn quick_semaphore_counts() {
    model("semaphore: counts", None, || {
        let semaphore = Arc::new(Semaphore::new(1));
        let inside = Arc::new(AtomicUsize::new(0));
        let enter = |semaphore: &Semaphore, inside: &AtomicUsize| {
            let permit = block_on(semaphore.acquire());
            assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
            inside.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        };
        let (other, there) = (semaphore.clone(), inside.clone());
        let thread = spawn(move || enter(&other, &there));
        enter(&semaphore, &inside);
        thread.join().unwrap();
        assert_eq!(semaphore.value(), 1);
    });
}

/// A plain release against a waiter that joins.
#[test]
fn quick_semaphore_release_meets_acquire() {
    model("semaphore: release meets acquire", None, || {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = semaphore.clone();
        let thread = spawn(move || other.release());
        block_on(semaphore.acquire()).forget();
        thread.join().unwrap();
        assert_eq!(semaphore.value(), 0);
    });
}

/// A plain release against a waiter that gives up: the permit is there for whoever comes.
#[test]
fn quick_semaphore_release_meets_cancel() {
    model("semaphore: release meets cancel", None, || {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = semaphore.clone();
        let thread = spawn(move || other.release());
        poll_and_cancel(semaphore.acquire());
        thread.join().unwrap();
        assert_eq!((semaphore.value(), semaphore.locked()), (1, false));
    });
}

/// `acquire_many` does not starve behind single acquirers: what comes back waits for it.
#[test]
fn quick_semaphore_large_request_is_not_overtaken() {
    model("semaphore: large request is not overtaken", None, || {
        let semaphore = Arc::new(Semaphore::new(1));
        let mut large = semaphore.acquire_many(2);
        assert!(poll_once(&mut large).is_pending());
        let other = semaphore.clone();
        let thread = spawn(move || assert!(other.try_acquire().is_none()));
        semaphore.release();
        thread.join().unwrap();
        assert!(poll_once(&mut large).is_ready());
    });
}

/// Two releases against two waiters, one of them on its own thread.
#[test]
fn semaphore_two_releases_two_waiters() {
    model("semaphore: two releases, two waiters", Some(3), || {
        let semaphore = Arc::new(Semaphore::new(0));
        let (a, b) = (semaphore.clone(), semaphore.clone());
        let waiter = spawn(move || block_on(a.acquire()).forget());
        let releaser = spawn(move || b.release());
        semaphore.release();
        block_on(semaphore.acquire()).forget();
        waiter.join().unwrap();
        releaser.join().unwrap();
        assert_eq!((semaphore.value(), semaphore.statistics().waiters), (0, 0));
    });
}

/// Two releases of a bounded semaphore with one permit out: exactly one is too many.
#[test]
fn quick_semaphore_bound_holds_against_two_releases() {
    model("semaphore: bound holds against two releases", None, || {
        let semaphore = Arc::new(BoundedSemaphore::new(1));
        semaphore.try_acquire().unwrap().forget();
        let other = semaphore.clone();
        let thread = spawn(move || other.release().is_ok());
        let here = semaphore.release().is_ok();
        assert!(here ^ thread.join().unwrap());
        assert_eq!(semaphore.value(), 1);
    });
}
