//! After `cancel` of a thread-safe callback has returned it has fully run or never will (`asyncio-scheduler/src/callback.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_base::context::ContextSlot;
use asyncio_loom_tests::model;
use asyncio_scheduler::Handle;
use asyncio_scheduler::callback::Kind;
use loom::sync::atomic::AtomicBool;
use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use sync_common::{Watched, spawn};

/// A callback that writes in two steps what nobody may see half done, and a count of how often it was dropped.
struct Rig {
    handle: Handle,
    value: Arc<Watched>,
    dropped: Arc<Watched>,
}

struct CountDrop(Arc<Watched>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn rig(kind: Kind) -> Rig {
    let (value, dropped) = (Arc::new(Watched::new(0)), Arc::new(Watched::new(0)));
    let (written, captured) = (value.clone(), CountDrop(dropped.clone()));
    let function = move || {
        let _captured = captured;
        written.set(1);
        written.set(2);
    };
    let handle = Handle::new(kind, ContextSlot::new(), Location::caller(), function);
    Rig { handle, value, dropped }
}

/// The canceller looks at what the callback wrote without any other edge: it has all of it or nothing, for good.
#[test]
fn cancel_meets_run() {
    model("callback: cancel meets run", None, || {
        let Rig { handle, value, dropped } = rig(Kind::ThreadSafe);
        let runs = handle.clone();
        let runner = spawn(move || runs.run().unwrap());
        handle.cancel();
        let (seen, gone) = (value.get(), dropped.get());
        assert!(seen == 0 || seen == 2, "half run");
        assert_eq!(gone, 1);
        runner.join().unwrap();
        assert_eq!((value.get(), dropped.get()), (seen, 1));
        assert!(handle.cancelled());
    });
}

#[test]
fn cancelled_meets_run() {
    model("callback: cancelled meets run", None, || {
        let steps: Arc<[AtomicBool; 2]> = Arc::new([(); 2].map(|()| AtomicBool::new(false)));
        let stepped = steps.clone();
        let function = move || stepped.iter().for_each(|step| step.store(true, Relaxed));
        let (context, location) = (ContextSlot::new(), Location::caller());
        let handle = Handle::new(Kind::ThreadSafe, context, location, function);
        let runs = handle.clone();
        let runner = spawn(move || runs.run().unwrap());
        let begun = steps[0].load(Relaxed);
        assert!(!handle.cancelled());
        assert!(!begun || steps[1].load(Relaxed), "a run that had begun is waited for");
        runner.join().unwrap();
        assert!(steps[1].load(Relaxed));
    });
}

/// The callback cancels itself while another thread cancels it too: that one waits, the callback does not.
#[test]
fn cancel_from_inside_and_from_outside() {
    model("callback: cancel from inside and from outside", None, || {
        let own = Arc::new(OnceLock::<Handle>::new());
        let value = Arc::new(Watched::new(0));
        let (inside, written) = (own.clone(), value.clone());
        let function = move || {
            written.set(1);
            let handle = inside.get().unwrap();
            handle.cancel();
            assert!(handle.cancelled());
            written.set(2);
        };
        let (context, location) = (ContextSlot::new(), Location::caller());
        let handle = Handle::new(Kind::ThreadSafe, context, location, function);
        own.set(handle.clone()).ok().unwrap();
        let runs = handle.clone();
        let runner = spawn(move || runs.run().unwrap());
        handle.cancel();
        let seen = value.get();
        assert!(seen == 0 || seen == 2, "half run");
        runner.join().unwrap();
        assert_eq!(value.get(), seen);
    });
}

#[test]
fn two_cancellers_meet_run() {
    model("callback: two cancellers meet run", None, || {
        let Rig { handle, value, dropped } = rig(Kind::ThreadSafe);
        let (runs, cancels) = (handle.clone(), handle.clone());
        let runner = spawn(move || runs.run().unwrap());
        let seen_there = value.clone();
        let canceller = spawn(move || {
            cancels.cancel();
            seen_there.get()
        });
        handle.cancel();
        let seen = value.get();
        assert_eq!(canceller.join().unwrap(), seen);
        runner.join().unwrap();
        assert!(seen == value.get() && (seen == 0 || seen == 2));
        assert_eq!(dropped.get(), 1);
    });
}

/// Nobody waits for a plain one; still it runs whole or not at all, and is dropped once. The loop may be closed meanwhile.
#[test]
fn plain_cancel_and_discard_meet_run() {
    model("callback: plain cancel and discard meet run", None, || {
        let Rig { handle, value, dropped } = rig(Kind::Plain);
        let (runs, discards) = (handle.clone(), handle.clone());
        let runner = spawn(move || runs.run().unwrap());
        let closer = spawn(move || discards.discard());
        handle.cancel();
        runner.join().unwrap();
        closer.join().unwrap();
        assert!([0, 2].contains(&value.get()));
        assert_eq!(dropped.get(), 1);
        assert!(handle.cancelled());
    });
}
