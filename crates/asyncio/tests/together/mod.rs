//! What the tests of cancellation and of many at once share.
#![allow(dead_code, unused_imports, reason = "each file of tests uses a part")]

#[path = "../common/in_order.rs"]
mod in_order;
#[path = "../common/settle.rs"]
mod settle;

pub(crate) use in_order::run_in_order;
pub(crate) use settle::settle;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};

pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn say(&self, what: impl fmt::Display) {
        self.0.lock().unwrap().push(what.to_string());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Says so when it is dropped.
pub(crate) struct OnDrop(pub(crate) Log, pub(crate) &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}

/// Panics with this text when it is dropped.
pub(crate) struct PanicsOnDrop(pub(crate) &'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        std::panic::panic_any(self.0);
    }
}

/// Waits for ever, and says when it is dropped.
pub(crate) fn endless(log: &Log, what: &'static str) -> impl Future<Output = ()> + Send + use<> {
    let dropped = OnDrop(log.clone(), what);
    async move {
        let _dropped = dropped;
        pending().await
    }
}

/// Polls all that are pending, every time, in order or from the last one.
pub(crate) async fn all(mut futures: Vec<Boxed<()>>, backwards: bool) {
    poll_fn(|cx| {
        if backwards {
            futures.reverse();
        }
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if backwards {
            futures.reverse();
        }
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Polls what is not ready yet, and goes on.
pub(crate) async fn once<F: Future + Unpin>(future: &mut F) {
    poll_fn(|cx| {
        assert!(Pin::new(&mut *future).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Another waker that wakes the same, as `FuturesUnordered` makes.
pub(crate) fn own_waker(waker: &Waker) -> Waker {
    struct Own(Waker);

    impl Wake for Own {
        fn wake(self: Arc<Self>) {
            self.0.wake_by_ref();
        }
    }

    Waker::from(Arc::new(Own(waker.clone())))
}

/// An error of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oops {
    Value,
    Type,
    ZeroDivision,
    Cancelled,
}

impl fmt::Display for Oops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Oops {}

impl From<asyncio::JoinError> for Oops {
    fn from(_: asyncio::JoinError) -> Self {
        Oops::Cancelled
    }
}
