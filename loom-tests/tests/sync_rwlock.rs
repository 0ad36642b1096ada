//! `RwLock`: a reader is one permit, a writer all of them.
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::model;
use asyncio_sync::RwLock;
use std::sync::Arc;
use sync_common::{block_on, poll_and_cancel, poll_once, spawn};

/// A reader sees all of a write or nothing of it.
#[test]
fn quick_rwlock_reader_meets_writer() {
    model("rwlock: reader meets writer", None, || {
        let lock = Arc::new(RwLock::new((0, 0)));
        let other = lock.clone();
        let thread = spawn(move || {
            let mut guard = block_on(other.write());
            guard.0 = 1;
            guard.1 = 1;
        });
        let guard = block_on(lock.read());
        assert_eq!(guard.0, guard.1);
        drop(guard);
        thread.join().unwrap();
    });
}

/// Two writers exclude each other.
#[test]
fn quick_rwlock_two_writers() {
    model("rwlock: two writers", None, || {
        let lock = Arc::new(RwLock::new(0));
        let other = lock.clone();
        let thread = spawn(move || *block_on(other.write()) += 1);
        *block_on(lock.write()) += 1;
        thread.join().unwrap();
        assert_eq!(*lock.try_read().unwrap(), 2);
    });
}

/// Two readers leave at once: the writer that waits gets in.
#[test]
fn rwlock_last_of_two_readers_lets_the_writer_in() {
    model("rwlock: last of two readers lets the writer in", Some(3), || {
        let lock: &'static RwLock<u32> = Box::leak(Box::new(RwLock::new(0)));
        let (one, two) = (lock.try_read().unwrap(), lock.try_read().unwrap());
        let writer = spawn(move || *block_on(lock.write()) += 1);
        let reader = spawn(move || drop(one));
        drop(two);
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(*lock.try_read().unwrap(), 1);
    });
}

/// A writer that waits gives up: readers that stood behind it get in beside the one that holds the lock.
#[test]
fn quick_rwlock_cancelled_writer_lets_readers_in() {
    model("rwlock: cancelled writer lets readers in", None, || {
        let lock: &'static RwLock<u32> = Box::leak(Box::new(RwLock::new(0)));
        let held = lock.try_read().unwrap();
        let mut writer = lock.write();
        assert!(poll_once(&mut writer).is_pending());
        let thread = spawn(move || *block_on(lock.read()));
        drop(writer);
        assert_eq!(thread.join().unwrap(), 0);
        drop(held);
        assert!(lock.try_write().is_some());
    });
}

/// A downgraded writer lets readers in and keeps writers out.
#[test]
fn quick_rwlock_downgrade() {
    model("rwlock: downgrade", None, || {
        let lock: &'static RwLock<u32> = Box::leak(Box::new(RwLock::new(0)));
        let mut guard = lock.try_write().unwrap();
        let thread = spawn(move || *block_on(lock.read()));
        *guard = 1;
        let guard = guard.downgrade();
        assert_eq!(
            thread.join().unwrap(),
            1,
            "a reader sees what was written before the downgrade"
        );
        assert!(lock.try_write().is_none());
        drop(guard);
        assert!(lock.try_write().is_some());
    });
}

/// A reader gives up while the writer leaves.
#[test]
fn quick_rwlock_cancelled_reader_meets_release() {
    model("rwlock: cancelled reader meets release", None, || {
        let lock = Arc::new(RwLock::new(0));
        let guard = lock.try_write().unwrap();
        let other = lock.clone();
        let thread = spawn(move || poll_and_cancel(other.read()));
        drop(guard);
        thread.join().unwrap();
        assert!(lock.try_write().is_some());
    });
}
