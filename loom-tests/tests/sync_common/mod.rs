//! What the models of `asyncio-sync` share: polling by hand, blocking in the model, and shared data that loom watches.
#![allow(dead_code, unreachable_pub)]

use asyncio_base::context::ContextSlot;
use asyncio_base::record::{self, Kind, MakeHold, Owner, PollRecord};
use asyncio_base::sync::{Condvar, Mutex, UnsafeCell};
use asyncio_base::wait::WaitSlot;
use std::future::Future;
use std::pin::{Pin, pin};
// The wakers' own count is no part of a model.
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

pub use loom::thread::spawn;

/// A sleeping place; a wake that never comes is a deadlock, which loom reports.
struct Parker {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}

/// A parker and its waker.
fn parker() -> (Arc<Parker>, Waker) {
    let parker = Arc::new(Parker { woken: Mutex::new(false), changed: Condvar::new() });
    (parker.clone(), Waker::from(parker))
}

/// Drives a future to its end on this thread of the model.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let (parker, waker) = parker();
    drive(future, &parker, &waker)
}

/// As [`block_on`], in something like a task: its waker is known as its own, and may be cloned under locks.
pub fn block_on_task<F: Future>(future: F) -> F::Output {
    let (parker, waker) = parker();
    let hold: MakeHold = || unreachable!("nothing is brought back here");
    let kind = Box::leak(Box::new(Kind { hold, waker: Some(waker.vtable()), id: |_| 0 }));
    // SAFETY: nobody reads the task back.
    let owner = unsafe { Owner::new(waker.data(), kind) };
    let (slot, context) = (WaitSlot::new(), ContextSlot::new());
    let record = PollRecord { owner, ..PollRecord::outside(&slot, &context) };
    record::enter(&record, || drive(future, &parker, &waker))
}

fn drive<F: Future>(future: F, parker: &Parker, waker: &Waker) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
            return output;
        }
        let mut woken = parker.woken.lock();
        while !*woken {
            woken = parker.changed.wait(woken);
        }
        *woken = false;
    }
}

/// One poll whose wake-up goes nowhere.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Starts to wait and gives up: *cancel after the first poll*. Says whether it was ready at once; the output is dropped.
pub fn poll_and_cancel<F: Future + Unpin>(mut future: F) -> bool {
    poll_once(&mut future).is_ready()
}

/// A plain number that loom watches: two accesses without an edge between them fail the model.
pub struct Watched(UnsafeCell<u32>);

// SAFETY: the point of the models is to show that accesses are ordered; loom fails the model where they are not.
unsafe impl Sync for Watched {}
// SAFETY: a number.
unsafe impl Send for Watched {}

impl Watched {
    pub fn new(value: u32) -> Self {
        Watched(UnsafeCell::new(value))
    }

    pub fn set(&self, value: u32) {
        // SAFETY: loom checks that nobody else is here.
        self.0.with_mut(|cell| unsafe { *cell = value });
    }

    pub fn get(&self) -> u32 {
        // SAFETY: loom checks that nobody writes.
        self.0.with(|cell| unsafe { *cell })
    }
}
