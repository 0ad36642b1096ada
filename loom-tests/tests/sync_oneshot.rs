//! `oneshot` (`asyncio-sync/src/oneshot/slot.rs`, `half.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::model;
use asyncio_sync::oneshot;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use sync_common::{Watched, block_on, poll_and_cancel, poll_once, spawn};

/// Sending against receiving: the value arrives, and with it what was done before.
#[test]
fn quick_oneshot_send_meets_receive() {
    model("oneshot: send meets receive", None, || {
        let (sender, receiver) = oneshot::channel();
        let thread = spawn(move || {
            let value = Watched::new(0);
            value.set(7);
            sender.send(value).ok().unwrap();
        });
        assert_eq!(block_on(receiver).unwrap().get(), 7);
        thread.join().unwrap();
    });
}

/// A sender that goes against a receiver that waits.
#[test]
fn quick_oneshot_drop_meets_receive() {
    model("oneshot: drop meets receive", None, || {
        let (sender, receiver) = oneshot::channel::<u32>();
        let thread = spawn(move || drop(sender));
        assert!(block_on(receiver).is_err());
        thread.join().unwrap();
    });
}

/// Counts how often it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A receiver gives up while the value is sent: the value is dropped once, here or there.
#[test]
fn quick_oneshot_send_meets_cancel() {
    model("oneshot: send meets cancel", None, || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = oneshot::channel();
        let value = Counted(drops.clone());
        let thread = spawn(move || drop(sender.send(value)));
        poll_and_cancel(receiver);
        thread.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

/// `close` against `send`: the value comes back, or can still be received.
#[test]
fn quick_oneshot_close_meets_send() {
    model("oneshot: close meets send", None, || {
        let (sender, mut receiver) = oneshot::channel();
        let thread = spawn(move || sender.send(7));
        receiver.close();
        let received = block_on(receiver).is_ok();
        assert_eq!(thread.join().unwrap().is_ok(), received);
    });
}

/// The receiver is polled again with another waker while the value is sent.
#[test]
fn quick_oneshot_change_of_waker_meets_send() {
    model("oneshot: change of waker meets send", None, || {
        let (sender, mut receiver) = oneshot::channel();
        let thread = spawn(move || sender.send(7).unwrap());
        match poll_once(&mut receiver) {
            std::task::Poll::Ready(value) => assert_eq!(value, Ok(7)),
            std::task::Poll::Pending => assert_eq!(block_on(receiver), Ok(7)),
        }
        thread.join().unwrap();
    });
}

/// A sender waits for the receiver to go.
#[test]
fn quick_oneshot_closed_meets_drop() {
    model("oneshot: closed meets drop", None, || {
        let (mut sender, receiver) = oneshot::channel::<u32>();
        let thread = spawn(move || poll_and_cancel(receiver));
        block_on(sender.closed());
        assert!(sender.is_closed());
        thread.join().unwrap();
    });
}

/// `try_recv` against `send`.
#[test]
fn quick_oneshot_try_recv_meets_send() {
    model("oneshot: try_recv meets send", None, || {
        let (sender, mut receiver) = oneshot::channel();
        let thread = spawn(move || sender.send(7).unwrap());
        let early = receiver.try_recv();
        thread.join().unwrap();
        assert!(early == Ok(7) || receiver.try_recv() == Ok(7));
    });
}

/// The plain thread's twin.
#[test]
fn quick_oneshot_blocking_twin() {
    model("oneshot: blocking twin", None, || {
        let (sender, receiver) = oneshot::channel();
        let thread = spawn(move || receiver.blocking_recv());
        sender.send(7).unwrap();
        assert_eq!(thread.join().unwrap(), Ok(7));
    });
}

/// A waker that lives as long as somebody keeps it.
struct Kept;

impl std::task::Wake for Kept {
    fn wake(self: Arc<Self>) {}
}

/// A sender that has left a waker in the channel, which goes only when the channel is freed or the receiver goes.
fn sender_with_waker(sender: &mut oneshot::Sender<u32>) -> Arc<Kept> {
    let kept = Arc::new(Kept);
    let waker = std::task::Waker::from(kept.clone());
    let mut closed = std::pin::pin!(sender.closed());
    assert!(closed.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    kept
}

/// Sender and receiver leave at once: the second frees the channel, and with it the waker that was left in it.
#[test]
fn quick_oneshot_second_to_leave_frees() {
    model("oneshot: second to leave frees", None, || {
        let (mut sender, receiver) = oneshot::channel();
        let kept = sender_with_waker(&mut sender);
        let thread = spawn(move || sender.send(7).unwrap());
        assert_eq!(block_on(receiver), Ok(7));
        thread.join().unwrap();
        assert_eq!(Arc::strong_count(&kept), 1);
    });
}

/// The same, if the receiver gives up, or the sender does.
#[test]
fn quick_oneshot_second_to_leave_frees_after_a_cancel() {
    for sends in [false, true] {
        model("oneshot: second to leave frees after a cancel", None, move || {
            let (mut sender, receiver) = oneshot::channel();
            let kept = sender_with_waker(&mut sender);
            let thread = spawn(move || if sends { sender.send(7).is_ok() } else { false });
            poll_and_cancel(receiver);
            thread.join().unwrap();
            assert_eq!(Arc::strong_count(&kept), 1);
        });
    }
}
