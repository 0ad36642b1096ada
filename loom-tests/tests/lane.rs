//! Callbacks never overlap and stay in order; no callback is without a ticket, and no ticket comes late (`asyncio-scheduler/src/lane.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_base::context::ContextSlot;
use asyncio_loom_tests::model;
use asyncio_scheduler::Handle;
use asyncio_scheduler::callback::Kind;
use asyncio_scheduler::lane::{self, Lane};
use loom::sync::atomic::AtomicUsize;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use sync_common::{Watched, spawn};

/// A lane and the tickets that are queued for it.
#[derive(Default)]
struct Rig {
    lane: Lane,
    tickets: AtomicUsize,
}

impl Rig {
    fn push(&self, function: impl FnOnce() + Send + 'static) -> Result<(), Handle> {
        let handle = Handle::new(Kind::Plain, ContextSlot::new(), Location::caller(), function);
        self.lane.push(handle, || {
            self.tickets.fetch_add(1, Relaxed);
        })
    }

    /// Pops a ticket, if there is one, and spends it.
    fn spend(&self) -> bool {
        let took = self.tickets.fetch_update(Relaxed, Relaxed, |tickets| tickets.checked_sub(1));
        if took.is_ok() {
            let owed = self.lane.run_one(|callback| assert!(lane::run(callback).is_none()));
            self.tickets.fetch_add(owed, Relaxed);
        }
        took.is_ok()
    }
}

/// As many callbacks as `expected`, each of which must find the ones before it done. They share a number that only one at a time
/// may touch.
fn push_in_order(rig: &Rig, expected: u32) -> Arc<Watched> {
    let value = Arc::new(Watched::new(0));
    for turn in 0..expected {
        let value = value.clone();
        let check = move || {
            assert_eq!(value.get(), turn, "in order");
            value.set(turn + 1);
        };
        rig.push(check).ok().unwrap();
    }
    value
}

/// Two workers pop a ticket each; the one that finds the lane taken leaves its ticket to the other.
#[test]
fn two_tickets_neither_overlap_nor_get_lost() {
    model("lane: two tickets neither overlap nor get lost", None, || {
        let rig = Arc::new(Rig::default());
        let value = push_in_order(&rig, 2);
        let other = rig.clone();
        let worker = spawn(move || other.spend());
        rig.spend();
        worker.join().unwrap();
        while rig.spend() {}
        assert_eq!(value.get(), 2, "every callback had its ticket");
    });
}

#[test]
fn three_workers_and_three_tickets() {
    model("lane: three workers and three tickets", Some(3), || {
        let rig = Arc::new(Rig::default());
        let value = push_in_order(&rig, 3);
        let workers = [(); 2].map(|()| {
            let rig = rig.clone();
            spawn(move || rig.spend())
        });
        rig.spend();
        for worker in workers {
            worker.join().unwrap();
        }
        while rig.spend() {}
        assert_eq!(value.get(), 3, "every callback had its ticket");
    });
}

/// A callback queued while another runs is run by the ticket that its push queues, before or after.
#[test]
fn push_meets_run() {
    model("lane: push meets run", None, || {
        let rig = Arc::new(Rig::default());
        let value = push_in_order(&rig, 1);
        let (other, shared) = (rig.clone(), value.clone());
        let pusher = spawn(move || {
            let second = move || {
                assert_eq!(shared.get(), 1, "in order");
                shared.set(2);
            };
            other.push(second).ok().unwrap();
            other.spend();
        });
        rig.spend();
        pusher.join().unwrap();
        while rig.spend() {}
        assert_eq!(value.get(), 2);
    });
}

/// Each callback is run, handed out by `close` or given back; and after `close` no ticket is queued any more.
#[test]
fn push_meets_run_and_close() {
    model("lane: push meets run and close", None, || {
        let rig = Arc::new(Rig::default());
        let ran = Arc::new(AtomicUsize::new(0));
        let count = |ran: &Arc<AtomicUsize>| {
            let ran = ran.clone();
            move || {
                ran.fetch_add(1, Relaxed);
            }
        };
        rig.push(count(&ran)).ok().unwrap();
        let (other, counted) = (rig.clone(), count(&ran));
        let pusher = spawn(move || usize::from(other.push(counted).is_err()));
        let other = rig.clone();
        let worker = spawn(move || other.spend());
        let closed = rig.lane.close().len();
        let before = rig.tickets.load(Relaxed);
        let given_back = pusher.join().unwrap();
        let spent_one = usize::from(worker.join().unwrap());
        // The worker may have popped its ticket on either side of the look.
        let after = rig.tickets.load(Relaxed);
        assert!(after == before || after + spent_one == before, "a ticket came late");
        while rig.spend() {}
        assert_eq!(ran.load(Relaxed) + closed + given_back, 2);
    });
}
