//! `Event` (`asyncio-sync/src/event.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::{model, race};
use asyncio_sync::Event;
use std::sync::Arc;
use sync_common::{Watched, block_on, poll_and_cancel, poll_once, spawn};

/// `set` against joining the list, and what was done before `set` is seen after `wait`.
#[test]
fn quick_event_set_meets_wait() {
    model("event: set meets wait", None, || {
        let shared = Arc::new((Event::new(), Watched::new(0)));
        let other = shared.clone();
        let thread = spawn(move || {
            other.1.set(1);
            other.0.set();
        });
        block_on(shared.0.wait());
        assert_eq!(shared.1.get(), 1);
        thread.join().unwrap();
    });
}

/// A waiter that was there before returns, although `clear` follows at once.
#[test]
fn quick_event_clear_takes_nothing_back() {
    model("event: clear takes nothing back", None, || {
        let event = Arc::new(Event::new());
        let mut waiting = event.wait();
        assert!(poll_once(&mut waiting).is_pending());
        let other = event.clone();
        let thread = spawn(move || {
            other.set();
            other.clear();
        });
        block_on(waiting);
        thread.join().unwrap();
        assert_eq!(event.statistics().waiters, 0);
    });
}

/// Clear, look, wait: after `clear`, what was done before any earlier `set` is seen, or the `set` is.
#[test]
fn quick_event_clear_look_wait_misses_nothing() {
    model("event: clear, look, wait misses nothing", None, || {
        let event = Arc::new(Event::new());
        let work = Arc::new(asyncio_base::sync::AtomicUsize::new(0));
        event.set();
        let (other, theirs) = (event.clone(), work.clone());
        let thread = spawn(move || {
            theirs.store(1, asyncio_base::sync::Ordering::Relaxed);
            other.set();
        });
        event.clear();
        if work.load(asyncio_base::sync::Ordering::Relaxed) == 0 {
            block_on(event.wait());
            assert_eq!(work.load(asyncio_base::sync::Ordering::Relaxed), 1);
        }
        thread.join().unwrap();
    });
}

/// Two setters, one waiter: it is woken, and the list is empty afterwards.
#[test]
fn quick_event_two_setters() {
    model("event: two setters", Some(3), || {
        let event = Arc::new(Event::new());
        let threads = [(); 2].map(|()| {
            let event = event.clone();
            spawn(move || event.set())
        });
        block_on(event.wait());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(event.is_set() && event.statistics().waiters == 0);
    });
}

/// A waiter gives up while the event is set: another one is released all the same, and the next round works as ever.
#[test]
fn quick_event_cancel_meets_set() {
    model("event: cancel meets set", None, || {
        let event: &'static Event = Box::leak(Box::new(Event::new()));
        let mut waiting = event.wait();
        assert!(poll_once(&mut waiting).is_pending());
        let thread = spawn(move || {
            poll_and_cancel(event.wait());
            race();
        });
        race();
        event.set();
        assert!(poll_once(&mut waiting).is_ready());
        thread.join().unwrap();
        assert_eq!(event.statistics().waiters, 0);
        event.clear();
        let mut waiting = event.wait();
        assert!(poll_once(&mut waiting).is_pending());
        event.set();
        assert!(poll_once(&mut waiting).is_ready());
    });
}

/// Who begins to wait after `clear` is not released by the `set` before it, however long that one takes to wake the others.
#[test]
fn quick_event_old_set_does_not_release_newcomers() {
    model("event: old set does not release newcomers", None, || {
        let event: &'static Event = Box::leak(Box::new(Event::new()));
        let mut early = event.wait();
        assert!(poll_once(&mut early).is_pending());
        let thread = spawn(move || {
            event.is_set().then(|| {
                event.clear();
                let mut late = event.wait();
                assert!(poll_once(&mut late).is_pending());
                late
            })
        });
        event.set();
        if let Some(mut late) = thread.join().unwrap() {
            assert!(poll_once(&mut late).is_pending(), "there was no `set` since it began to wait");
            let thread = spawn(move || event.set());
            block_on(late);
            thread.join().unwrap();
        }
        assert!(poll_once(&mut early).is_ready());
    });
}

/// Two waiters on two threads, one `set`.
#[test]
fn event_releases_everybody() {
    model("event: releases everybody", Some(2), || {
        let event = Arc::new(Event::new());
        let threads = [(); 2].map(|()| {
            let event = event.clone();
            spawn(move || block_on(event.wait()))
        });
        event.set();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(event.statistics().waiters, 0);
    });
}
