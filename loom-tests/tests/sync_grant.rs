//! A grant is never lost and never doubled (`asyncio-sync/src/grant.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::model;
use asyncio_sync::{BoundedSemaphore, Lock, Semaphore};
use std::sync::Arc;
use sync_common::{block_on, poll_and_cancel, poll_once, spawn};

/// The chosen waiter gives up instead of taking the lock: the next waiter gets it.
#[test]
fn quick_grant_of_a_cancelled_waiter_goes_to_the_next() {
    model("grant: of a cancelled waiter goes to the next", Some(3), || {
        let lock = Arc::new(Lock::new(0));
        let guard = lock.try_acquire().unwrap();
        let mut first = lock.acquire();
        assert!(poll_once(&mut first).is_pending());
        let other = lock.clone();
        let thread = spawn(move || *block_on(other.acquire()) += 1);
        drop(guard);
        drop(first);
        thread.join().unwrap();
        assert_eq!(*lock.try_acquire().expect("free"), 1);
    });
}

/// The giving up happens on another thread than the release.
#[test]
fn quick_grant_release_meets_cancel_of_the_chosen() {
    model("grant: release meets cancel of the chosen", None, || {
        let lock: &'static Lock<()> = Box::leak(Box::new(Lock::new(())));
        let guard = lock.try_acquire().unwrap();
        let mut first = lock.acquire();
        let mut second = lock.acquire();
        assert!(poll_once(&mut first).is_pending() && poll_once(&mut second).is_pending());
        let thread = spawn(move || drop(first));
        drop(guard);
        thread.join().unwrap();
        assert!(poll_once(&mut second).is_ready(), "whatever the order, the second has it now");
        drop(second);
        assert!(lock.try_acquire().is_some());
    });
}

/// A waiter is polled again with another waker while the lock is released: one of the wakers is called.
#[test]
fn quick_grant_change_of_waker_meets_release() {
    model("grant: change of waker meets release", None, || {
        let lock = Arc::new(Lock::new(0));
        let guard = lock.try_acquire().unwrap();
        let other = lock.clone();
        let thread = spawn(move || {
            let mut waiting = other.acquire();
            match poll_once(&mut waiting) {
                std::task::Poll::Ready(mut guard) => *guard += 1,
                std::task::Poll::Pending => *block_on(waiting) += 1,
            }
        });
        drop(guard);
        thread.join().unwrap();
        assert_eq!(*lock.try_acquire().unwrap(), 1);
    });
}

/// An owned guard is dropped on another thread than the one that took it, while somebody joins.
#[test]
fn quick_grant_dropped_on_another_thread() {
    model("grant: dropped on another thread", None, || {
        let lock = Arc::new(Lock::new(0));
        let mut guard = lock.clone().try_acquire_owned().unwrap();
        let thread = spawn(move || *guard = 1);
        assert_eq!(*block_on(lock.acquire()), 1);
        thread.join().unwrap();
    });
}

/// Two halves of one grant come back from two threads: a request for all is served once both are back.
#[test]
fn quick_grant_halves_come_back_from_two_threads() {
    model("grant: halves come back from two threads", None, || {
        let semaphore = Arc::new(BoundedSemaphore::new(2));
        let shared: &'static Semaphore = Box::leak(Box::new(Semaphore::new(2)));
        let mut both = shared.try_acquire_many(2).unwrap();
        let one = both.split(1).unwrap();
        let thread = spawn(move || drop(one));
        drop(both);
        block_on(shared.acquire_many(2)).forget();
        thread.join().unwrap();
        assert_eq!((shared.value(), shared.statistics().waiters), (0, 0));
        drop(semaphore);
    });
}

/// A bounded semaphore, released once by hand and once by a permit that was never forgotten: never above its bound.
#[test]
fn quick_grant_surplus_stays_within_the_bound() {
    model("grant: surplus stays within the bound", None, || {
        let semaphore = Arc::new(BoundedSemaphore::new(1));
        let permit = semaphore.try_acquire().unwrap();
        let other = semaphore.clone();
        let thread = spawn(move || other.release().is_ok());
        drop(permit);
        thread.join().unwrap();
        assert_eq!(semaphore.value(), 1);
    });
}

/// Three tasks start to wait; the middle one gives up at a moment of its own.
#[test]
fn grant_survives_a_cancel_between_two_waiters() {
    model("grant: survives a cancel between two waiters", Some(2), || {
        let lock = Arc::new(Lock::new(0));
        let (a, b) = (lock.clone(), lock.clone());
        let worker = spawn(move || *block_on(a.acquire()) += 1);
        let fickle = spawn(move || poll_and_cancel(b.acquire()));
        *block_on(lock.acquire()) += 1;
        worker.join().unwrap();
        fickle.join().unwrap();
        assert_eq!(*lock.try_acquire().expect("free"), 2);
    });
}
