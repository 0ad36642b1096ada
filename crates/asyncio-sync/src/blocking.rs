//! Waiting on a plain thread: the `blocking_*` twins.

use asyncio_base::sync::{Condvar, Mutex};
use asyncio_base::{observe, record};
use std::future::Future;
use std::pin::pin;
// `Wake` is defined for std's `Arc` only, and the count guards nothing but the memory of the parker.
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Where one blocked thread sleeps.
struct Parker {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    fn park(&self) {
        let mut woken = self.woken.lock();
        while !*woken {
            woken = self.changed.wait(woken);
        }
        *woken = false;
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}

/// Refuses to block a thread that is polling one of our tasks.
///
/// # Panics
///
/// Inside a task or callback of asyncio.
#[track_caller]
pub(crate) fn refuse_in_task() {
    let in_task = record::with(|record| record.is_some());
    assert!(
        !in_task,
        "a blocking call inside a task or callback would stop its worker; await instead"
    );
}

/// Drives a future on this thread, asleep while it waits.
///
/// # Panics
///
/// If it would have to wait in a job of a simulation: whoever is to wake it runs on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let parker = Arc::new(Parker { woken: Mutex::new(false), changed: Condvar::new() });
    let waker = Waker::from(parker.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => {
                let is_simulated = observe::is_on();
                assert!(
                    !is_simulated,
                    "a job of a simulation would wait for its own thread; await instead, or use #[asyncio::test(real)]"
                );
                parker.park();
            }
        }
    }
}
