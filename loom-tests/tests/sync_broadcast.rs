//! `broadcast` (`asyncio-sync/src/broadcast.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::model;
use asyncio_sync::broadcast::{self, RecvError, TryRecvError};
use sync_common::{block_on, poll_and_cancel, spawn};

/// Sending against receiving.
#[test]
fn quick_broadcast_send_meets_recv() {
    model("broadcast: send meets recv", None, || {
        let (sender, mut receiver) = broadcast::channel(1);
        let thread = spawn(move || {
            sender.send(7).unwrap();
            sender
        });
        assert_eq!(block_on(receiver.recv()), Ok(7));
        drop(thread.join().unwrap());
        assert_eq!(block_on(receiver.recv()), Err(RecvError::Closed));
    });
}

/// Two values through room for one: received in order, or missed and told.
#[test]
fn quick_broadcast_slow_receiver_is_told() {
    model("broadcast: slow receiver is told", None, || {
        let (sender, mut receiver) = broadcast::channel(1);
        let thread = spawn(move || {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
        });
        match block_on(receiver.recv()) {
            Ok(1) => {}
            Err(RecvError::Lagged(1)) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(block_on(receiver.recv()), Ok(2));
        thread.join().unwrap();
    });
}

/// The last sender goes against a receiver that waits.
#[test]
fn quick_broadcast_drop_meets_recv() {
    model("broadcast: drop meets recv", None, || {
        let (sender, mut receiver) = broadcast::channel::<u32>(1);
        let thread = spawn(move || drop(sender));
        assert_eq!(block_on(receiver.recv()), Err(RecvError::Closed));
        thread.join().unwrap();
    });
}

/// Giving up loses nothing.
#[test]
fn quick_broadcast_cancel_meets_send() {
    model("broadcast: cancel meets send", None, || {
        let (sender, mut receiver) = broadcast::channel(1);
        let thread = spawn(move || sender.send(7).unwrap());
        let received = poll_and_cancel(receiver.recv());
        thread.join().unwrap();
        let next = if received { Err(TryRecvError::Closed) } else { Ok(7) };
        assert_eq!(receiver.try_recv(), next);
    });
}

/// A receiver goes while a value is sent: nothing is kept for it.
#[test]
fn quick_broadcast_receiver_goes_meets_send() {
    model("broadcast: receiver goes meets send", None, || {
        let (sender, mut one) = broadcast::channel(2);
        let two = sender.subscribe();
        let thread = spawn(move || drop(two));
        sender.send(7).unwrap();
        assert_eq!(one.try_recv(), Ok(7));
        thread.join().unwrap();
        assert!(sender.is_empty());
    });
}

/// Two receivers, one value: both get it, and it is gone.
#[test]
fn broadcast_two_receivers() {
    model("broadcast: two receivers", Some(2), || {
        let (sender, one) = broadcast::channel(1);
        let two = sender.subscribe();
        let threads =
            [one, two].map(|mut receiver| spawn(move || block_on(receiver.recv()).unwrap()));
        sender.send(7).unwrap();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 7);
        }
        assert!(sender.is_empty());
    });
}

/// Two senders, one receiver: both values, in one order or the other.
#[test]
fn quick_broadcast_two_senders() {
    model("broadcast: two senders", Some(3), || {
        let (sender, mut receiver) = broadcast::channel(2);
        let other = sender.clone();
        let thread = spawn(move || other.send(1).unwrap());
        sender.send(2).unwrap();
        assert_eq!(block_on(receiver.recv()).unwrap() + block_on(receiver.recv()).unwrap(), 3);
        thread.join().unwrap();
    });
}
