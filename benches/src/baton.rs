//! The least that tasks need to wait for each other, made of a waker and nothing of any runtime.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// A flag that one waits for at a time.
#[derive(Debug, Default)]
pub struct Baton(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    passed: bool,
    waiter: Option<Waker>,
}

impl Baton {
    /// Sets the flag and wakes who waits for it.
    pub fn pass(&self) {
        let waiter = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.passed = true;
            state.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Waits for the flag and takes it.
    pub fn take(&self) -> impl Future<Output = ()> + Send + '_ {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut state.passed) {
                return Poll::Ready(());
            }
            state.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
    }
}

/// Wakes one who waits until so many have arrived.
#[derive(Clone, Debug)]
pub struct Countdown(Arc<(AtomicUsize, Baton)>);

impl Countdown {
    /// Waits for `n`.
    pub fn new(n: usize) -> Self {
        Countdown(Arc::new((AtomicUsize::new(n), Baton::default())))
    }

    /// Says that one more has arrived.
    pub fn arrive(&self) {
        if self.0.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.1.pass();
        }
    }

    /// Waits for all of them.
    pub async fn wait(&self) {
        self.0.1.take().await;
    }
}
