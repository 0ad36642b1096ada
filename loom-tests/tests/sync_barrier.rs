//! `Barrier` (`asyncio-sync/src/barrier.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_base::sync::{AtomicBool, Ordering};
use asyncio_loom_tests::model;
use asyncio_sync::Barrier;
use std::sync::Arc;
use sync_common::{Watched, block_on, poll_and_cancel, poll_once, spawn};

/// Two meet: both pass with different indices, and each sees what the other did before.
#[test]
fn quick_barrier_two_meet() {
    model("barrier: two meet", None, || {
        let shared = Arc::new((Barrier::new(2), Watched::new(0), Watched::new(0)));
        let other = shared.clone();
        let thread = spawn(move || {
            other.1.set(1);
            let index = block_on(other.0.wait()).unwrap();
            assert_eq!(other.2.get(), 1);
            index
        });
        shared.2.set(1);
        let index = block_on(shared.0.wait()).unwrap();
        assert_eq!(shared.1.get(), 1);
        assert_eq!(index + thread.join().unwrap(), 1);
    });
}

/// Three meet.
#[test]
fn barrier_three_meet() {
    model("barrier: three meet", Some(2), || {
        let barrier = Arc::new(Barrier::new(3));
        let threads = [(); 2].map(|()| {
            let barrier = barrier.clone();
            spawn(move || block_on(barrier.wait()).unwrap())
        });
        let mut indices = vec![block_on(barrier.wait()).unwrap()];
        indices.extend(threads.map(|thread| thread.join().unwrap()));
        indices.sort_unstable();
        assert_eq!((indices, barrier.n_waiting()), (vec![0, 1, 2], 0));
    });
}

/// Two rounds: nobody of the second gets into the first.
#[test]
fn quick_barrier_two_rounds() {
    model("barrier: two rounds", Some(3), || {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let twice = |barrier: &Barrier| {
            let first = block_on(barrier.wait()).unwrap();
            (first, block_on(barrier.wait()).unwrap())
        };
        let thread = spawn(move || twice(&other));
        let (a, b) = twice(&barrier);
        let (c, d) = thread.join().unwrap();
        assert_eq!((a + c, b + d), (1, 1));
    });
}

/// A waiter gives up while another arrives: the party needs one more, and nobody passes alone.
#[test]
fn quick_barrier_cancel_meets_arrival() {
    model("barrier: cancel meets arrival", None, || {
        let shared = Arc::new((Barrier::new(2), AtomicBool::new(false)));
        let other = shared.clone();
        let thread = spawn(move || {
            let completed = poll_and_cancel(other.0.wait());
            other.1.store(true, Ordering::Release);
            completed
        });
        let barrier = &shared.0;
        let alone = shared.1.load(Ordering::Acquire);
        let mut here = barrier.wait();
        let passed = poll_once(&mut here).is_ready();
        assert!(!(alone && passed), "the other had left before");
        let completed = thread.join().unwrap();
        // Either completed the party of two, or nobody did.
        let passed = passed || poll_once(&mut here).is_ready();
        assert_eq!(barrier.n_waiting(), usize::from(!passed));
        assert!(passed || !completed);
    });
}

/// `abort` against waiting: the waiter fails, and never hangs.
#[test]
fn quick_barrier_abort_meets_wait() {
    model("barrier: abort meets wait", None, || {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let thread = spawn(move || block_on(other.wait()));
        barrier.abort();
        assert!(thread.join().unwrap().is_err() && barrier.broken());
        barrier.reset();
        assert!(!barrier.broken() && barrier.n_waiting() == 0);
    });
}

/// `reset` against the last arrival: both of the party fail, or the one that has left passed and the other failed, or both
/// passed; the barrier can be used again in any case.
#[test]
fn quick_barrier_reset_meets_the_last_arrival() {
    model("barrier: reset meets the last arrival", None, || {
        let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(2)));
        let mut first = barrier.wait();
        assert!(poll_once(&mut first).is_pending());
        let done = Arc::new(AtomicBool::new(false));
        let finished = done.clone();
        let thread = spawn(move || {
            barrier.reset();
            finished.store(true, Ordering::Release);
        });
        let late = done.load(Ordering::Acquire);
        let mut second = barrier.wait();
        let passed = poll_once(&mut second).is_ready();
        assert!(!(late && passed), "the first one's party was over");
        thread.join().unwrap();
        assert!(poll_once(&mut first).is_ready());
        if !passed {
            // It came after the reset, so it was invited to the next round; its place is kept.
            let mut third = barrier.wait();
            assert!(poll_once(&mut third).is_pending());
            assert!(poll_once(&mut second).is_ready() && poll_once(&mut third).is_ready());
        }
        assert_eq!(barrier.n_waiting(), 0);
    });
}

/// Who arrives while the party leaves waits for the next round, and is let in by the last one to leave.
#[test]
fn quick_barrier_entrance_opens_when_the_last_one_leaves() {
    model("barrier: entrance opens when the last one leaves", Some(3), || {
        let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(2)));
        let mut first = barrier.wait();
        let mut second = barrier.wait();
        assert!(poll_once(&mut first).is_pending() && poll_once(&mut second).is_ready());
        let threads = [(); 2].map(|()| spawn(move || block_on(barrier.wait()).unwrap()));
        assert_eq!(block_on(first), Ok(0));
        let [a, b] = threads.map(|thread| thread.join().unwrap());
        assert_eq!(a + b, 1);
    });
}

/// An invited waiter is cancelled: its place goes to the next at the entrance.
#[test]
fn quick_barrier_place_of_a_cancelled_invitee_goes_on() {
    model("barrier: place of a cancelled invitee goes on", None, || {
        let party: &'static Barrier = Box::leak(Box::new(Barrier::new(2)));
        let mut inside = party.wait();
        let mut last = party.wait();
        assert!(poll_once(&mut inside).is_pending() && poll_once(&mut last).is_ready());
        let mut waiting = [(); 3].map(|()| party.wait());
        assert!(waiting.iter_mut().all(|wait| poll_once(wait).is_pending()));
        let [one, mut two, mut three] = waiting;
        let thread = spawn(move || drop(one));
        assert!(poll_once(&mut inside).is_ready());
        thread.join().unwrap();
        assert!(poll_once(&mut two).is_pending() && poll_once(&mut three).is_ready());
        assert!(poll_once(&mut two).is_ready());
    });
}
