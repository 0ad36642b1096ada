//! The readiness word, the slab's generations and the parking word of `asyncio-reactor`, without a poller.
//!
//! The kernel is a stand-in: a lock round what can be read, as the real one has. Whoever delivers events is a thread that first
//! changes the kernel and then tells, as the poller does. A wake-up that is lost is a deadlock, which loom reports.
#![cfg(asyncio_loom)]

use asyncio_base::sync::{AtomicU32, Condvar, Mutex, Ordering, UnsafeCell};
use asyncio_loom_tests::model;
use asyncio_reactor::parking::Parking;
use asyncio_reactor::readiness::{Armed, Begin, Readiness};
use asyncio_reactor::slab::Slab;
use asyncio_reactor::{Direction, Ready, Seat, Wakes};
use loom::thread::spawn;
// The count of the wakers, and what a model's threads share, is no part of a model.
use std::sync::Arc;
use std::task::{Wake, Waker};

use Direction::{Read, Write};

/// A sleeping place for one task.
#[derive(Default)]
struct Parker {
    woken: Mutex<u32>,
    changed: Condvar,
}

impl Parker {
    fn sleep(&self) {
        let mut woken = self.woken.lock();
        while *woken == 0 {
            woken = self.changed.wait(woken);
        }
        *woken = 0;
    }

    fn is_woken(&self) -> bool {
        *self.woken.lock() > 0
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        *self.woken.lock() += 1;
        self.changed.notify_one();
    }
}

/// What can be read: so many bytes, and whether the end follows them.
#[derive(Default)]
struct Kernel(Mutex<(u32, bool)>);

impl Kernel {
    fn push(&self, bytes: u32) {
        self.0.lock().0 += bytes;
    }

    fn end(&self) {
        self.0.lock().1 = true;
    }

    /// `Some(0)` is the end, `None` would block.
    fn read(&self, most: u32) -> Option<u32> {
        let mut kernel = self.0.lock();
        let n = most.min(kernel.0);
        kernel.0 -= n;
        if n > 0 || kernel.1 { Some(n) } else { None }
    }
}

/// One source: what the kernel has for each direction, and what we know of it.
#[derive(Default)]
struct Source {
    readiness: Readiness,
    kernel: [Kernel; 2],
}

impl Source {
    fn new(ready: Ready) -> Arc<Source> {
        let source = Source::default();
        source.readiness.open(ready);
        Arc::new(source)
    }

    fn kernel(&self, direction: Direction) -> &Kernel {
        &self.kernel[direction as usize]
    }

    fn fire(&self, ready: Ready) {
        let mut wakes = Wakes::new();
        assert!(self.readiness.fire(0, ready, &mut wakes));
        wakes.finish();
    }

    /// One call, as a task makes it: sleeps until it has an answer. `asked` bytes or fewer, and fewer means drained.
    fn call(&self, direction: Direction, asked: u32, mut seat: Seat<'_>) -> Result<u32, Armed> {
        let parker = Arc::new(Parker::default());
        let waker = Waker::from(parker.clone());
        loop {
            match self.readiness.begin(direction) {
                Begin::Shut => return Err(Armed::Shut),
                Begin::Wait => {}
                Begin::Try(attempt) => match self.kernel(direction).read(asked) {
                    Some(n) => {
                        if 0 < n && n < asked {
                            attempt.drained();
                        }
                        return Ok(n);
                    }
                    None => attempt.would_block(),
                },
            }
            match self.readiness.arm(direction, &mut seat, &waker, |_| Ok(())).unwrap() {
                Armed::Waiting => parker.sleep(),
                Armed::Ready => {}
                Armed::Shut => return Err(Armed::Shut),
            }
        }
    }

    /// As one of several tasks.
    fn call_queued(&self, direction: Direction, asked: u32) -> Result<u32, Armed> {
        let mut ticket = None;
        let result = self.call(direction, asked, Seat::Queue(&mut ticket));
        self.readiness.leave(direction, &mut Seat::Queue(&mut ticket));
        result
    }
}

/// A call that finds nothing, and the event: the edge is kept, for READY was taken away before the call.
#[test]
fn event_meets_try() {
    model("event meets try", None, || {
        let source = Source::new(Ready::READ);
        let other = source.clone();
        let poller = spawn(move || {
            other.kernel(Read).push(1);
            other.fire(Ready::READ);
        });
        assert_eq!(source.call(Read, 1, Seat::Chair), Ok(1));
        poller.join().unwrap();
    });
}

/// Arming and the event; and what the poller's thread did before the event is seen by the caller.
#[test]
fn event_meets_arm() {
    struct Shared(Readiness, UnsafeCell<u32>);
    // SAFETY: the point of the model is that accesses of the cell are ordered; loom fails it where they are not.
    unsafe impl Sync for Shared {}
    // SAFETY: as above.
    unsafe impl Send for Shared {}

    model("event meets arm", None, || {
        let shared = Arc::new(Shared(Readiness::new(), UnsafeCell::new(0)));
        let other = shared.clone();
        let poller = spawn(move || {
            // SAFETY: loom checks that nobody else is here.
            other.1.with_mut(|cell| unsafe { *cell = 7 });
            let mut wakes = Wakes::new();
            assert!(other.0.fire(0, Ready::READ, &mut wakes));
            wakes.finish();
        });
        let parker = Arc::new(Parker::default());
        let waker = Waker::from(parker.clone());
        let attempt = loop {
            match shared.0.begin(Read) {
                Begin::Try(attempt) => break attempt,
                _ => match shared.0.arm(Read, &mut Seat::Chair, &waker, |_| Ok(())).unwrap() {
                    Armed::Waiting => parker.sleep(),
                    armed => assert_eq!(armed, Armed::Ready),
                },
            }
        };
        // SAFETY: loom checks that nobody writes.
        assert_eq!(shared.1.with(|cell| unsafe { *cell }), 7);
        attempt.would_block();
        poller.join().unwrap();
    });
}

/// Two accepters, two connections, one event: each gets one, although neither drains the queue.
#[test]
fn two_waiters_meet_one_event() {
    model("two waiters meet one event", Some(3), || {
        let source = Source::new(Ready::NONE);
        let (other, third) = (source.clone(), source.clone());
        let poller = spawn(move || {
            other.kernel(Read).push(2);
            other.fire(Ready::READ);
        });
        let accepter = spawn(move || assert_eq!(third.call_queued(Read, 1), Ok(1)));
        assert_eq!(source.call_queued(Read, 1), Ok(1));
        accepter.join().unwrap();
        poller.join().unwrap();
    });
}

/// Two accepters take the one ready bit in turn: what one leaves over it tells the other, who has armed meanwhile.
#[test]
fn what_a_call_leaves_over_wakes_another() {
    model("what a call leaves over wakes another", None, || {
        let source = Source::new(Ready::READ);
        source.kernel(Read).push(2);
        let other = source.clone();
        let accepter = spawn(move || assert_eq!(other.call_queued(Read, 1), Ok(1)));
        assert_eq!(source.call_queued(Read, 1), Ok(1));
        accepter.join().unwrap();
    });
}

/// A future that waits is dropped while the event comes: the other waiter is served.
#[test]
fn dropped_waiter_meets_event() {
    model("dropped waiter meets event", Some(3), || {
        let source = Source::new(Ready::NONE);
        let (poller, quitter) = (source.clone(), source.clone());
        let poller = spawn(move || {
            poller.kernel(Read).push(1);
            poller.fire(Ready::READ);
        });
        let quitter = spawn(move || {
            let mut ticket = None;
            let mut seat = Seat::Queue(&mut ticket);
            let waker = Waker::from(Arc::new(Parker::default()));
            let armed = quitter.readiness.arm(Read, &mut seat, &waker, |_| Ok(())).unwrap();
            assert_ne!(armed, Armed::Shut);
            quitter.readiness.leave(Read, &mut seat);
        });
        assert_eq!(source.call_queued(Read, 1), Ok(1));
        quitter.join().unwrap();
        poller.join().unwrap();
    });
}

/// The source goes and its slot gets a new tenant while an event for the old one is delivered: it never looks ready.
#[test]
fn stale_event_meets_the_next_tenant() {
    model("stale event meets the next tenant", None, || {
        let slab = Arc::new(Slab::new());
        let old = slab.insert(Ready::NONE).unwrap();
        let others = slab.clone();
        let poller = spawn(move || {
            let mut wakes = Wakes::new();
            others.fire(old, Ready::READ_CLOSED, &mut wakes);
            wakes.finish();
        });
        let parker = Arc::new(Parker::default());
        let waker = Waker::from(parker.clone());
        let armed = slab.get(old).arm(Read, &mut Seat::Chair, &waker, |_| Ok(())).unwrap();
        assert_ne!(armed, Armed::Shut);
        slab.remove(old);

        let new = slab.insert(Ready::NONE).unwrap();
        assert_eq!(new.to_bits() as u32, old.to_bits() as u32, "the slot is used again");
        let armed = slab.get(new).arm(Read, &mut Seat::Chair, &waker, |_| Ok(())).unwrap();
        assert_eq!(armed, Armed::Waiting);
        poller.join().unwrap();
        assert_eq!(slab.get(new).poll(Read), Armed::Waiting);
        // Its own event still reaches it: it is woken now, or was (for nothing) before.
        let mut wakes = Wakes::new();
        assert!(slab.fire(new, Ready::READ, &mut wakes));
        wakes.finish();
        assert!(parker.is_woken());
    });
}

/// Data, then the end, each with its event, and a reader that believes that a short read drained the stream.
#[test]
fn end_meets_short_read() {
    model("end meets short read", None, || {
        let source = Source::new(Ready::READ);
        let other = source.clone();
        let poller = spawn(move || {
            other.kernel(Read).push(1);
            other.fire(Ready::READ);
            other.kernel(Read).end();
            other.fire(Ready::READ_CLOSED);
        });
        assert_eq!(source.call(Read, 9, Seat::Chair), Ok(1));
        assert_eq!(source.call(Read, 9, Seat::Chair), Ok(0));
        poller.join().unwrap();
    });
}

/// Data and the end in one event: the short read must not hide the end.
#[test]
fn data_and_end_together() {
    model("data and end together", None, || {
        let source = Source::new(Ready::NONE);
        let other = source.clone();
        let poller = spawn(move || {
            other.kernel(Read).push(1);
            other.kernel(Read).end();
            other.fire(Ready::READ_CLOSED);
        });
        assert_eq!(source.call(Read, 9, Seat::Chair), Ok(1));
        assert_eq!(source.call(Read, 9, Seat::Chair), Ok(0));
        assert_eq!(source.call(Read, 9, Seat::Chair), Ok(0));
        poller.join().unwrap();
    });
}

/// The end is for all who read: one reader's answer does not take it from the other.
#[test]
fn two_readers_meet_the_end() {
    model("two readers meet the end", Some(3), || {
        let source = Source::new(Ready::NONE);
        let (other, third) = (source.clone(), source.clone());
        let poller = spawn(move || {
            other.kernel(Read).end();
            other.fire(Ready::READ_CLOSED);
        });
        let reader = spawn(move || assert_eq!(third.call_queued(Read, 9), Ok(0)));
        assert_eq!(source.call_queued(Read, 9), Ok(0));
        reader.join().unwrap();
        poller.join().unwrap();
    });
}

/// Events and wakes for nothing cost a call and hide nothing.
#[test]
fn false_alarm_meets_wait() {
    model("false alarm meets wait", None, || {
        let source = Source::new(Ready::NONE);
        let other = source.clone();
        let poller = spawn(move || {
            other.fire(Ready::READ | Ready::WRITE);
            other.kernel(Read).push(1);
            other.fire(Ready::READ);
        });
        assert_eq!(source.call(Read, 2, Seat::Chair), Ok(1));
        poller.join().unwrap();
    });
}

/// A task polls again with another waker while the event comes: the last waker is called.
#[test]
fn replaced_waker_meets_event() {
    model("replaced waker meets event", None, || {
        let source = Source::new(Ready::NONE);
        let old = Waker::from(Arc::new(Parker::default()));
        let armed = source.readiness.arm(Read, &mut Seat::Chair, &old, |_| Ok(())).unwrap();
        assert_eq!(armed, Armed::Waiting);
        let other = source.clone();
        let poller = spawn(move || {
            other.kernel(Read).push(1);
            other.fire(Ready::READ);
        });
        assert_eq!(source.call(Read, 1, Seat::Chair), Ok(1));
        poller.join().unwrap();
    });
}

/// A reader and a writer share the word, and an event is for both.
#[test]
fn reader_and_writer_meet_one_event() {
    model("reader and writer meet one event", Some(3), || {
        let source = Source::new(Ready::NONE);
        let (other, third) = (source.clone(), source.clone());
        let poller = spawn(move || {
            other.kernel(Read).push(1);
            other.kernel(Write).push(1);
            other.fire(Ready::READ | Ready::WRITE);
        });
        let writer = spawn(move || assert_eq!(third.call(Write, 1, Seat::Chair), Ok(1)));
        assert_eq!(source.call(Read, 1, Seat::Chair), Ok(1));
        writer.join().unwrap();
        poller.join().unwrap();
    });
}

/// Closing wakes who waits, and refuses who arms after it.
#[test]
fn closing_meets_arm() {
    model("closing meets arm", None, || {
        let source = Source::new(Ready::READ);
        let other = source.clone();
        let closer = spawn(move || {
            let mut wakes = Wakes::new();
            other.readiness.shut(&mut wakes);
            wakes.finish();
        });
        assert_eq!(source.call(Read, 1, Seat::Chair), Err(Armed::Shut));
        closer.join().unwrap();
    });
}

/// Closing the slab finds every slot that was handed out, and hands out no more.
#[test]
fn closing_meets_insert() {
    model("closing meets insert", None, || {
        let slab = Arc::new(Slab::new());
        let other = slab.clone();
        let closer = spawn(move || {
            let mut wakes = Wakes::new();
            assert!(other.close(&mut wakes));
            wakes.finish();
        });
        let key = slab.insert(Ready::READ);
        closer.join().unwrap();
        if let Some(key) = key {
            assert_eq!(slab.get(key).poll(Read), Armed::Shut);
            slab.remove(key);
        }
        assert!(slab.is_closed() && slab.is_empty() && slab.insert(Ready::NONE).is_none());
    });
}

/// A poller whose notification is an edge that is kept for the next wait.
#[derive(Default)]
struct Edge {
    written: Mutex<(bool, u32)>,
    changed: Condvar,
}

impl Edge {
    fn write(&self) {
        let mut written = self.written.lock();
        *written = (true, written.1 + 1);
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut written = self.written.lock();
        while !written.0 {
            written = self.changed.wait(written);
        }
        written.0 = false;
    }
}

/// The owner of a turn, those who notify it, and what they leave for it.
struct Turn {
    parking: Parking,
    /// Whether the poller that `edge` stands for is made; by the owner, in no lock, before it first parks.
    made: UnsafeCell<bool>,
    edge: Edge,
    work: AtomicU32,
}

// SAFETY: `made` is read and written as `platform.rs` does it, and whether that is sound is what loom is asked.
unsafe impl Send for Turn {}
// SAFETY: as above.
unsafe impl Sync for Turn {}

impl Turn {
    fn new() -> Arc<Turn> {
        let (parking, edge) = (Parking::new(), Edge::default());
        let (made, work) = (UnsafeCell::new(false), AtomicU32::new(0));
        Arc::new(Turn { parking, made, edge, work })
    }

    fn submit(&self) {
        self.work.fetch_add(1, Ordering::Relaxed);
        if self.parking.notify() {
            // SAFETY: loom checks that nobody writes it meanwhile.
            assert!(self.made.with(|made| unsafe { *made }), "somebody waits without a poller");
            self.edge.write();
        }
    }

    /// For the owner.
    fn park(&self) -> bool {
        // SAFETY: the owner alone writes it.
        if !self.made.with(|made| unsafe { *made }) {
            // SAFETY: loom checks that nobody reads it meanwhile.
            self.made.with_mut(|made| unsafe { *made = true });
        }
        self.parking.park()
    }

    /// Turns without limit until it has seen this much work.
    fn run_until(&self, work: u32) {
        while self.work.load(Ordering::Relaxed) < work {
            if self.park() {
                self.edge.wait();
                self.parking.unpark();
            }
        }
    }
}

/// A notification between the decision to park and the wait, or at any other moment, is not lost.
#[test]
fn notify_meets_park() {
    model("notify meets park", None, || {
        let turn = Turn::new();
        let other = turn.clone();
        let notifier = spawn(move || {
            other.submit();
            other.submit();
        });
        turn.run_until(2);
        notifier.join().unwrap();
    });
}

/// Two notifiers: both are heard, and one park is written to once at most.
#[test]
fn two_notifiers_meet_park() {
    model("two notifiers meet park", Some(3), || {
        let turn = Turn::new();
        let notifiers = [(); 2].map(|()| {
            let turn = turn.clone();
            spawn(move || turn.submit())
        });
        if turn.park() {
            turn.edge.wait();
            assert_eq!(turn.edge.written.lock().1, 1, "the second joins the first");
            turn.parking.unpark();
        }
        turn.run_until(2);
        notifiers.into_iter().for_each(|notifier| notifier.join().unwrap());
    });
}

/// The wait ends by itself while the notification comes: the owner sees the work now, or is told at its next park.
#[test]
fn notify_meets_the_end_of_a_wait() {
    model("notify meets the end of a wait", None, || {
        let turn = Turn::new();
        let other = turn.clone();
        let notifier = spawn(move || other.submit());
        if turn.park() {
            // An event came.
            turn.parking.unpark();
        }
        turn.run_until(1);
        notifier.join().unwrap();
    });
}

/// A turn that does not wait uses a notification up only if it sees what was published before it.
#[test]
fn notify_meets_a_turn_without_wait() {
    model("notify meets a turn without wait", None, || {
        let turn = Turn::new();
        let other = turn.clone();
        let notifier = spawn(move || other.submit());
        turn.parking.consume();
        turn.run_until(1);
        notifier.join().unwrap();
    });
}
