//! The permit word and its list of waiters (`asyncio-sync/src/permits.rs`), through `Lock` and `Semaphore`.
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::model;
use asyncio_sync::{Lock, Semaphore};
use std::sync::Arc;
use sync_common::{block_on, poll_and_cancel, poll_once, spawn};

/// Two tasks take, change and release: they exclude each other, and each sees the other's change.
#[test]
fn quick_permits_two_exclude_each_other() {
    model("permits: two exclude each other", None, || {
        let lock = Arc::new(Lock::new(0));
        let other = lock.clone();
        let thread = spawn(move || *block_on(other.acquire()) += 1);
        *block_on(lock.acquire()) += 1;
        thread.join().unwrap();
        assert_eq!(*lock.try_acquire().expect("both have released"), 2);
    });
}

/// The fast path alone: whoever takes the permit by its CAS sees what the last holder did.
#[test]
fn quick_permits_fast_path_publishes() {
    model("permits: fast path publishes", None, || {
        let lock = Arc::new(Lock::new(0));
        let other = lock.clone();
        let thread = spawn(move || {
            if let Some(mut guard) = other.try_acquire() {
                *guard += 1;
            }
        });
        if let Some(mut guard) = lock.try_acquire() {
            *guard += 1;
        }
        thread.join().unwrap();
        assert!((1..=2).contains(&*lock.try_acquire().unwrap()));
    });
}

/// Release against joining the list: the release is seen by the joiner, or the joiner by the release.
#[test]
fn quick_permits_release_meets_join() {
    model("permits: release meets join", None, || {
        let lock = Arc::new(Lock::new(0));
        let guard = lock.try_acquire().unwrap();
        let other = lock.clone();
        let thread = spawn(move || *block_on(other.acquire()) += 1);
        drop(guard);
        thread.join().unwrap();
        assert_eq!((lock.locked(), *lock.try_acquire().unwrap()), (false, 1));
    });
}

/// Three tasks, so that one release finds two waiters.
#[test]
fn permits_three_take_turns() {
    model("permits: three take turns", Some(2), || {
        let lock = Arc::new(Lock::new(0));
        let threads = [(); 2].map(|()| {
            let lock = lock.clone();
            spawn(move || *block_on(lock.acquire()) += 1)
        });
        *block_on(lock.acquire()) += 1;
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.try_acquire().expect("all have released"), 3);
    });
}

/// Two single releases feed one request for two.
#[test]
fn quick_permits_two_releases_one_large_request() {
    model("permits: two releases, one large request", None, || {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = semaphore.clone();
        let thread = spawn(move || other.release());
        let mut large = semaphore.acquire_many(2);
        let early = poll_once(&mut large).is_ready();
        semaphore.release();
        if !early {
            block_on(large).forget();
        }
        thread.join().unwrap();
        assert!(!early && semaphore.value() == 0 && semaphore.statistics().waiters == 0);
    });
}

/// A newcomer never takes what was released past a waiter.
#[test]
fn quick_permits_nobody_overtakes_a_waiter() {
    model("permits: nobody overtakes a waiter", None, || {
        let lock = Arc::new(Lock::new(()));
        let guard = lock.try_acquire().unwrap();
        let mut first = lock.acquire();
        assert!(poll_once(&mut first).is_pending());
        let other = lock.clone();
        let thread = spawn(move || {
            assert!(other.try_acquire().is_none());
            assert!(other.locked());
        });
        drop(guard);
        thread.join().unwrap();
        assert!(poll_once(&mut first).is_ready());
    });
}

/// A waiter gives up while the permit is released: nothing is stuck afterwards.
#[test]
fn quick_permits_cancel_meets_release() {
    model("permits: cancel meets release", None, || {
        let lock = Arc::new(Lock::new(()));
        let guard = lock.try_acquire().unwrap();
        let other = lock.clone();
        let thread = spawn(move || poll_and_cancel(other.acquire()));
        drop(guard);
        thread.join().unwrap();
        assert!(lock.try_acquire().is_some(), "free, and nobody is left in the list");
    });
}

/// The first waiter wants more than there is and gives up: the next, who wants less, is served by that.
#[test]
fn quick_permits_cancelling_a_large_request_serves_the_next() {
    model("permits: cancelling a large request serves the next", None, || {
        let semaphore = Arc::new(Semaphore::new(1));
        let mut large = semaphore.acquire_many(2);
        assert!(poll_once(&mut large).is_pending());
        let other = semaphore.clone();
        let thread = spawn(move || block_on(other.acquire()).forget());
        drop(large);
        thread.join().unwrap();
        assert_eq!((semaphore.value(), semaphore.locked()), (0, true));
    });
}

/// A release hands out to two waiters while one of them gives up.
#[test]
fn permits_batch_meets_cancel() {
    model("permits: batch meets cancel", Some(3), || {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut first = semaphore.acquire();
        let mut second = semaphore.acquire();
        assert!(poll_once(&mut first).is_pending() && poll_once(&mut second).is_pending());
        let other = semaphore.clone();
        let thread = spawn(move || other.release_many(2));
        drop(first);
        block_on(second).forget();
        thread.join().unwrap();
        assert_eq!(semaphore.value(), 1, "what the first was given came back");
    });
}

/// A newcomer that finds enough, but a chosen waiter before it, does not depend on that one: it may never be polled again.
#[test]
fn quick_permits_newcomer_behind_a_chosen_waiter() {
    model("permits: newcomer behind a chosen waiter", None, || {
        let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
        let mut first = semaphore.acquire();
        assert!(poll_once(&mut first).is_pending());
        let thread = spawn(move || semaphore.release_many(2));
        block_on(semaphore.acquire()).forget();
        thread.join().unwrap();
        drop(first);
        assert_eq!((semaphore.value(), semaphore.locked()), (1, false));
    });
}
