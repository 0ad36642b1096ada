//! `watch` (`asyncio-sync/src/watch.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::model;
use asyncio_sync::watch;
use sync_common::{block_on, poll_and_cancel, spawn};

/// A change against waiting for it.
#[test]
fn quick_watch_send_meets_changed() {
    model("watch: send meets changed", None, || {
        let (sender, mut receiver) = watch::channel(0);
        let thread = spawn(move || {
            sender.send(1).unwrap();
            sender
        });
        block_on(receiver.changed()).unwrap();
        assert_eq!(*receiver.borrow(), 1);
        drop(thread.join().unwrap());
    });
}

/// Two changes: the receiver ends with the last one, however many it saw.
#[test]
fn quick_watch_last_value_is_seen() {
    model("watch: last value is seen", Some(3), || {
        let (sender, mut receiver) = watch::channel(0);
        let thread = spawn(move || {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
        });
        while *receiver.borrow_and_update() != 2 {
            block_on(receiver.changed()).unwrap();
        }
        thread.join().unwrap();
        assert!(receiver.has_changed().is_err());
    });
}

/// The last sender goes against a receiver that waits.
#[test]
fn quick_watch_drop_meets_changed() {
    model("watch: drop meets changed", None, || {
        let (sender, mut receiver) = watch::channel(0);
        let thread = spawn(move || drop(sender));
        assert!(block_on(receiver.changed()).is_err());
        thread.join().unwrap();
    });
}

/// Giving up loses nothing: what is new stays new.
#[test]
fn quick_watch_cancel_meets_send() {
    model("watch: cancel meets send", None, || {
        let (sender, mut receiver) = watch::channel(0);
        let thread = spawn(move || sender.send(1).unwrap());
        let seen = poll_and_cancel(receiver.changed());
        thread.join().unwrap();
        assert_eq!(receiver.has_changed().unwrap_or(false), !seen);
    });
}

/// The last receiver goes against a sender that waits for that.
#[test]
fn quick_watch_closed_meets_drop() {
    model("watch: closed meets drop", None, || {
        let (sender, receiver) = watch::channel(0);
        let thread = spawn(move || drop(receiver));
        block_on(sender.closed());
        thread.join().unwrap();
        assert!(sender.send(1).is_err());
    });
}

/// Two senders modify: no change is lost.
#[test]
fn quick_watch_two_modify() {
    model("watch: two modify", Some(3), || {
        let (sender, receiver) = watch::channel(0);
        let other = sender.clone();
        let thread = spawn(move || other.send_modify(|n| *n += 1));
        sender.send_modify(|n| *n += 1);
        thread.join().unwrap();
        assert_eq!(*receiver.borrow(), 2);
    });
}

/// Two receivers wait for one change.
#[test]
fn watch_two_receivers() {
    model("watch: two receivers", Some(2), || {
        let (sender, receiver) = watch::channel(0);
        let threads = [receiver.clone(), receiver].map(|mut receiver| {
            spawn(move || block_on(receiver.changed()).map(|()| *receiver.borrow()))
        });
        sender.send_replace(1);
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Ok(1));
        }
    });
}
