//! `Condition` (`asyncio-sync/src/condition`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_base::context::ContextSlot;
use asyncio_base::hold::Hold;
use asyncio_base::record::{self, Kind, Owner, PollRecord};
use asyncio_base::wait::WaitSlot;
use asyncio_loom_tests::model;
use asyncio_sync::{Condition, condition};
use loom::sync::atomic::{AtomicBool, Ordering};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use sync_common::{block_on, poll_once, spawn};

async fn until_positive(condition: &Condition<i32>) {
    let mut guard = condition.acquire().await;
    while *guard <= 0 {
        guard = guard.wait().await;
    }
    *guard -= 1;
}

async fn add(condition: &Condition<i32>, n: i32, notify: usize) {
    let mut guard = condition.acquire().await;
    *guard += n;
    guard.notify(notify);
}

/// Waiting releases the lock and joins the list as one step, as far as a notifier can tell.
#[test]
fn quick_condition_notify_meets_wait() {
    model("condition: notify meets wait", None, || {
        let condition = Arc::new(Condition::new(0));
        let other = condition.clone();
        let thread = spawn(move || block_on(until_positive(&other)));
        block_on(add(&condition, 1, 1));
        thread.join().unwrap();
        assert_eq!(*condition.try_acquire().unwrap(), 0);
    });
}

/// Two waiters, one notification each.
#[test]
fn condition_two_waiters() {
    model("condition: two waiters", Some(2), || {
        let condition = Arc::new(Condition::new(0));
        let threads = [(); 2].map(|()| {
            let condition = condition.clone();
            spawn(move || block_on(until_positive(&condition)))
        });
        block_on(add(&condition, 2, usize::MAX));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(condition.statistics().waiters, 0);
    });
}

/// A waiter that was notified gives up before it runs: the other one gets the notification.
#[test]
fn quick_condition_notification_of_a_cancelled_waiter_goes_on() {
    model("condition: notification of a cancelled waiter goes on", Some(3), || {
        let condition: &'static Condition<i32> = Box::leak(Box::new(Condition::new(0)));
        let mut first = condition.try_acquire().unwrap().wait();
        assert!(poll_once(&mut first).is_pending());
        let thread = spawn(move || block_on(until_positive(condition)));
        let fickle = spawn(move || drop(first));
        block_on(add(condition, 1, 1));
        fickle.join().unwrap();
        thread.join().unwrap();
        assert_eq!(condition.statistics().waiters, 0);
    });
}

/// The same, but the waiter is dropped while it asks for the lock again.
#[test]
fn quick_condition_notification_survives_a_cancel_on_the_way_back() {
    model("condition: notification survives a cancel on the way back", None, || {
        let condition: &'static Condition<i32> = Box::leak(Box::new(Condition::new(0)));
        let mut first = condition.try_acquire().unwrap().wait();
        assert!(poll_once(&mut first).is_pending());
        let mut second = condition.try_acquire().unwrap().wait();
        assert!(poll_once(&mut second).is_pending());
        let guard = condition.try_acquire().unwrap();
        guard.notify(1);
        assert!(poll_once(&mut first).is_pending(), "notified, but the lock is taken");
        let thread = spawn(move || drop(first));
        drop(guard);
        thread.join().unwrap();
        drop(block_on(second));
        assert!(!condition.locked());
    });
}

/// A wait that gives up comes back with the lock, while somebody else holds it and notifies.
#[test]
fn quick_condition_giving_up_comes_back_with_the_lock() {
    model("condition: giving up comes back with the lock", None, || {
        let condition: &'static Condition<i32> = Box::leak(Box::new(Condition::new(0)));
        let mut wait = condition.try_acquire().unwrap().wait();
        assert!(poll_once(&mut wait).is_pending());
        let thread = spawn(move || block_on(add(condition, 1, 1)));
        wait.give_up();
        let mut guard = block_on(wait);
        *guard += 1;
        drop(guard);
        thread.join().unwrap();
        assert_eq!(*condition.try_acquire().unwrap(), 2);
    });
}

/// The plain thread's twin.
#[test]
fn quick_condition_blocking_twin() {
    model("condition: blocking twin", Some(3), || {
        let condition = Arc::new(Condition::new(0));
        let other = condition.clone();
        let thread = spawn(move || {
            let mut guard = other.blocking_acquire();
            while *guard == 0 {
                guard = guard.blocking_wait();
            }
        });
        block_on(add(&condition, 1, 1));
        thread.join().unwrap();
    });
}

/// Two conditions share a lock: a notification of one does not wake the other's waiter.
#[test]
fn quick_condition_shared_lock() {
    model("condition: shared lock", None, || {
        let lock = Arc::new(asyncio_sync::Lock::new(0));
        let one: &'static _ = Box::leak(Box::new(Condition::with_lock(lock.clone())));
        let two: &'static _ = Box::leak(Box::new(Condition::with_lock(lock)));
        let mut waits_for_two = two.try_acquire().unwrap().wait();
        assert!(poll_once(&mut waits_for_two).is_pending());
        let thread = spawn(move || block_on(until_positive(one)));
        block_on(add(one, 1, 1));
        thread.join().unwrap();
        assert!(poll_once(&mut waits_for_two).is_pending());
        block_on(add(two, 0, 1));
        assert!(poll_once(&mut waits_for_two).is_ready());
    });
}

loom::lazy_static! {
    /// The task of `wait_in_task` is cancelled.
    static ref CANCELLED: AtomicBool = AtomicBool::new(false);
    /// The cancellation goes on.
    static ref UNWINDS: AtomicBool = AtomicBool::new(false);
}

/// Stands for the cancel tree.
#[derive(Debug)]
struct Tree {
    was_asked: bool,
}

impl Hold for Tree {
    fn is_asked(&mut self, _waker: &Waker) -> bool {
        let asked = !self.was_asked && CANCELLED.load(Ordering::Acquire);
        self.was_asked |= asked;
        asked
    }

    fn ends(&mut self) -> bool {
        let ends = self.was_asked || CANCELLED.load(Ordering::Acquire);
        UNWINDS.store(ends, Ordering::Relaxed);
        ends
    }
}

/// Waits in something like a task; says whether it was notified and not cancelled.
fn wait_in_task(wait: condition::Wait<&Condition<i32>>) -> bool {
    let (slot, context) = (WaitSlot::new(), ContextSlot::new());
    static KIND: Kind =
        Kind { hold: || Box::new(Tree { was_asked: false }), waker: None, id: |_| 0 };
    // SAFETY: nobody reads the task back.
    let owner = unsafe { Owner::new(std::ptr::null(), &KIND) };
    let record = PollRecord { owner, ..PollRecord::outside(&slot, &context) };
    let mut wait = pin!(wait);
    record::enter(&record, || {
        block_on(poll_fn(|cx| match wait.as_mut().poll(cx) {
            Poll::Ready(_guard) => {
                assert!(!UNWINDS.load(Ordering::Relaxed), "what unwinds does not return");
                Poll::Ready(true)
            }
            Poll::Pending if UNWINDS.load(Ordering::Relaxed) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }))
    })
}

/// A task is cancelled at any moment between its notification and its return: one of the two waiters has the notification, and
/// the lock is free in the end.
#[test]
fn quick_condition_cancellation_meets_the_way_back() {
    model("condition: cancellation meets the way back", None, || {
        let condition: &'static Condition<i32> = Box::leak(Box::new(Condition::new(0)));
        let mut first = condition.try_acquire().unwrap().wait();
        assert!(poll_once(&mut first).is_pending());
        let mut second = condition.try_acquire().unwrap().wait();
        assert!(poll_once(&mut second).is_pending());
        let guard = condition.try_acquire().unwrap();
        let thread = spawn(move || wait_in_task(first));
        guard.notify(1);
        drop(guard);
        CANCELLED.store(true, Ordering::Release);
        let returned = thread.join().unwrap();
        assert_eq!(poll_once(&mut second).is_pending(), returned);
        drop(second);
        assert!(!condition.locked());
    });
}
