//! Timers: insert, cancel, fire, reset, close and park, across workers.
//!
//! The wheel is the real one: it is pure, and behind its lock one step of a model.
#![cfg(asyncio_loom)]

use asyncio_base::sync::{Arc, Condvar, Mutex, thread};
use asyncio_loom_tests::model;

use asyncio_timer::{Clock, Key, LaneTimers, Sleep, Timers, context, sleep_until};
use std::future::Future;
use std::pin::Pin;
// What the models count is looked at after the threads have ended.
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// The clock stands still: time is what the models tell `advance_all`.
struct Still(Instant);

impl Clock for Still {
    fn now(&self) -> Instant {
        self.0
    }

    fn epoch(&self) -> Instant {
        self.0
    }

    fn nanos_since_epoch(&self) -> u64 {
        0
    }
}

/// A poller without time: sleeps until somebody unparks it, which it remembers.
#[derive(Default)]
struct Poller {
    unparked: Mutex<bool>,
    signal: Condvar,
}

impl Poller {
    fn unpark(&self) {
        *self.unparked.lock() = true;
        self.signal.notify_one();
    }

    fn sleep(&self) {
        let mut unparked = self.unparked.lock();
        while !*unparked {
            unparked = self.signal.wait(unparked);
        }
        *unparked = false;
    }
}

/// A loop of two workers.
#[derive(Clone)]
struct Loop {
    timers: Arc<Timers>,
    poller: Arc<Poller>,
    start: Instant,
}

/// The time when deadlines come that no model waits for.
const FAR: u64 = 1_000_000;

impl Loop {
    fn new() -> Self {
        let (start, poller) = (Instant::now(), Arc::new(Poller::default()));
        let unpark = poller.clone();
        let timers = Timers::new(2, Box::new(Still(start)), Box::new(move || unpark.unpark()));
        Loop { timers, poller, start }
    }

    fn instant(&self, at: u64) -> Instant {
        self.start + Duration::from_nanos(at)
    }

    /// A sleep in a worker's wheel, polled once.
    fn sleep(&self, worker: usize, at: u64, waker: &Waker) -> Sleep {
        let mut sleep = sleep_until(self.instant(at));
        context::enter(&self.timers, worker, || assert!(poll(&mut sleep, waker).is_pending()));
        sleep
    }

    fn advance(&self, worker: usize, at: u64) -> usize {
        self.timers.advance_all(worker, self.timers.nanos(self.instant(at)))
    }

    /// Worker 0 parks and advances until so many timers fired. Time passes by its sleeping until a deadline; before a
    /// deadline at `FAR` only an unpark ends its sleep, so a lost one is a deadlock.
    fn park_until(&self, count: usize) {
        let (mut fired, mut now) = (0, 0);
        loop {
            fired += self.advance(0, now);
            if fired >= count {
                return;
            }
            let deadline = self.timers.park().map_or(FAR, |at| at - self.timers.nanos(self.start));
            if deadline == FAR {
                self.poller.sleep();
            } else if deadline > now {
                now = deadline;
            } else {
                // Due, but its wheel was locked: a look at the poller that does not block.
                thread::yield_now();
            }
            self.timers.unparked();
        }
    }
}

fn poll(sleep: &mut Sleep, waker: &Waker) -> Poll<()> {
    Pin::new(sleep).poll(&mut Context::from_waker(waker))
}

/// Counts its calls, and who holds it.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: StdArc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counter() -> (StdArc<Count>, Waker) {
    let count = StdArc::new(Count::default());
    (count.clone(), Waker::from(count))
}

fn calls(count: &Count) -> usize {
    count.0.load(Ordering::SeqCst)
}

#[test]
fn insert_and_park() {
    model("timer::insert_and_park", None, || {
        let (l, (count, waker)) = (Loop::new(), counter());
        let inserter = thread::spawn({
            let l = l.clone();
            move || l.sleep(1, 10, &waker)
        });
        l.park_until(1);
        let mut sleep = inserter.join().unwrap();
        assert_eq!(calls(&count), 1);
        assert!(poll(&mut sleep, Waker::noop()).is_ready());
    });
}

#[test]
fn insert_earlier_than_what_is_parked_for() {
    model("timer::insert_earlier_than_what_is_parked_for", None, || {
        let (l, (count, waker)) = (Loop::new(), counter());
        let far = l.sleep(1, FAR, Waker::noop());
        let inserter = thread::spawn({
            let l = l.clone();
            move || l.sleep(1, 10, &waker)
        });
        l.park_until(1);
        drop(inserter.join().unwrap());
        assert_eq!(calls(&count), 1);
        assert!(!far.is_elapsed());
    });
}

#[test]
fn two_inserters_and_park() {
    for (name, workers) in [
        ("timer::two_inserters_and_park, one wheel", [1, 1]),
        ("timer::two_inserters_and_park, two wheels", [0, 1]),
    ] {
        model(name, Some(3), move || {
            let l = Loop::new();
            let inserters = [(workers[0], 10), (workers[1], 20)].map(|(worker, at)| {
                let l = l.clone();
                thread::spawn(move || l.sleep(worker, at, Waker::noop()))
            });
            l.park_until(2);
            for inserter in inserters {
                assert!(inserter.join().unwrap().is_elapsed());
            }
        });
    }
}

#[test]
fn insert_and_advance_and_park() {
    model("timer::insert_and_advance_and_park", None, || {
        let l = Loop::new();
        let first = l.sleep(1, 10, Waker::noop());
        let inserter = thread::spawn({
            let l = l.clone();
            move || l.sleep(1, 5, Waker::noop())
        });
        l.park_until(2);
        assert!(first.is_elapsed() && inserter.join().unwrap().is_elapsed());
    });
}

#[test]
fn cancel_and_park() {
    model("timer::cancel_and_park", None, || {
        let l = Loop::new();
        let [cancelled, kept] = [10, 20].map(|at| l.sleep(1, at, Waker::noop()));
        let other = thread::spawn(move || drop(cancelled));
        // Whatever of the two is seen, time passes to the one that is kept.
        let (mut now, mut waits) = (0, 0);
        while !kept.is_elapsed() {
            let deadline = l.timers.park().expect("a timer waits");
            now = now.max(deadline - l.timers.nanos(l.start));
            l.timers.unparked();
            l.advance(0, now);
            waits += 1;
            assert!(waits <= 3, "the timer that is gone costs one wait");
        }
        other.join().unwrap();
        assert_eq!((now, l.timers.len(), l.timers.park()), (20, 0, None));
    });
}

#[test]
fn reset_to_earlier_and_park() {
    model("timer::reset_to_earlier_and_park", None, || {
        let (l, (count, waker)) = (Loop::new(), counter());
        let mut sleep = l.sleep(1, FAR, &waker);
        let resetter = thread::spawn({
            let l = l.clone();
            move || {
                sleep.reset(l.instant(10));
                sleep
            }
        });
        l.park_until(1);
        assert!(resetter.join().unwrap().is_elapsed());
        assert_eq!(calls(&count), 1);
    });
}

#[test]
fn cancel_and_fire() {
    model("timer::cancel_and_fire", None, || {
        let (l, (count, waker)) = (Loop::new(), counter());
        let sleep = l.sleep(1, 10, &waker);
        drop(waker);
        let advancer = thread::spawn({
            let l = l.clone();
            move || l.advance(1, 10)
        });
        drop(sleep);
        let fired = advancer.join().unwrap();
        assert_eq!(calls(&count), fired, "woken if and only if it was fired");
        assert_eq!(StdArc::strong_count(&count), 1, "no waker is left behind");
        assert_eq!((l.timers.len(), l.timers.next()), (0, None));
    });
}

#[test]
fn drop_elsewhere_while_another_fires() {
    model("timer::drop_elsewhere_while_another_fires", None, || {
        let (l, (dropped, waker), (kept, other)) = (Loop::new(), counter(), counter());
        let [sleep, keeper] = [(10, &waker), (11, &other)].map(|(at, waker)| l.sleep(0, at, waker));
        drop((waker, other));
        let dropper = thread::spawn(move || drop(sleep));
        let thief = thread::spawn({
            let l = l.clone();
            move || l.advance(1, 11)
        });
        let fired = l.advance(0, 11);
        dropper.join().unwrap();
        let fired = fired + thief.join().unwrap();
        assert_eq!((calls(&kept), calls(&dropped)), (1, fired - 1));
        assert_eq!((StdArc::strong_count(&kept), StdArc::strong_count(&dropped)), (1, 1));
        assert_eq!((keeper.is_elapsed(), l.timers.len(), l.timers.next()), (true, 0, None));
    });
}

#[test]
fn reset_and_fire() {
    model("timer::reset_and_fire", None, || {
        let (l, (count, waker)) = (Loop::new(), counter());
        let mut sleep = l.sleep(1, 10, &waker);
        let advancer = thread::spawn({
            let l = l.clone();
            move || l.advance(1, 10)
        });
        sleep.reset(l.instant(20));
        assert!(context::enter(&l.timers, 0, || poll(&mut sleep, &waker)).is_pending(), "early");
        let fired = advancer.join().unwrap();
        assert!(poll(&mut sleep, &waker).is_pending(), "early");
        assert_eq!(l.advance(1, 20), 1);
        assert_eq!(calls(&count), fired + 1);
        assert!(poll(&mut sleep, &waker).is_ready());
    });
}

#[test]
fn another_waker_and_fire() {
    model("timer::another_waker_and_fire", None, || {
        let (l, (before, old), (after, new)) = (Loop::new(), counter(), counter());
        let mut sleep = l.sleep(1, 10, &old);
        let advancer = thread::spawn({
            let l = l.clone();
            move || l.advance(1, 10)
        });
        let polled = poll(&mut sleep, &new);
        advancer.join().unwrap();
        assert_eq!(calls(&before) + calls(&after), 1);
        assert!(polled.is_ready() || calls(&after) == 1, "pending means that this waker is called");
    });
}

#[test]
fn close_and_insert() {
    model("timer::close_and_insert", None, || {
        let (l, (count, waker)) = (Loop::new(), counter());
        let inserter = thread::spawn({
            let l = l.clone();
            move || l.sleep(1, 10, &waker)
        });
        l.timers.close();
        let mut sleep = inserter.join().unwrap();
        assert_eq!(StdArc::strong_count(&count), 1, "a closed loop keeps no waker");
        assert_eq!((l.advance(0, 10), l.timers.next()), (0, None));
        assert!(poll(&mut sleep, Waker::noop()).is_pending());
    });
}

#[test]
fn close_and_fire() {
    model("timer::close_and_fire", None, || {
        let (l, (count, waker)) = (Loop::new(), counter());
        let mut sleep = l.sleep(1, 10, &waker);
        drop(waker);
        let advancer = thread::spawn({
            let l = l.clone();
            move || l.advance(1, 10)
        });
        l.timers.close();
        let fired = advancer.join().unwrap();
        assert_eq!((calls(&count), StdArc::strong_count(&count)), (fired, 1));
        let polled = poll(&mut sleep, Waker::noop());
        assert_eq!(polled.is_ready(), fired == 1, "what had fired is found fired");
    });
}

#[test]
fn two_workers_fire_each_timer_once() {
    model("timer::two_workers_fire_each_timer_once", None, || {
        let (l, counts) = (Loop::new(), [counter(), counter()]);
        let sleeps = [0, 1].map(|i| l.sleep(i, 10, &counts[i].1));
        let other = thread::spawn({
            let l = l.clone();
            move || l.advance(1, 10)
        });
        let fired = l.advance(0, 10) + other.join().unwrap();
        assert_eq!(fired, 2, "each worker at least fires its own");
        assert!(counts.iter().all(|(count, _)| calls(count) == 1));
        assert!(sleeps.iter().all(Sleep::is_elapsed));
    });
}

// ----- timers of callbacks

/// The lane's timers beside the wheels of a loop, as its driver has them.
struct LaneRig {
    l: Loop,
    timers: LaneTimers<u64>,
}

impl LaneRig {
    fn new() -> StdArc<Self> {
        let l = Loop::new();
        let timers = LaneTimers::new(l.timers.nanos(l.start));
        StdArc::new(LaneRig { l, timers })
    }

    fn at(&self, at: u64) -> u64 {
        self.l.timers.nanos(self.l.instant(at))
    }

    fn insert(&self, at: u64) -> Key {
        let key = self.timers.insert(self.at(at), at).unwrap();
        self.l.timers.announce(self.at(at));
        key
    }

    fn pop(&self, until: u64) -> Option<u64> {
        let until = self.at(until);
        self.timers.earliest().filter(|&bound| bound <= until)?;
        self.timers.pop(until)
    }

    /// Parks until so many have come out. As in [`Loop::park_until`], before `FAR` only an unpark ends a sleep.
    fn park_until(&self, count: usize) -> Vec<u64> {
        let (mut out, mut now) = (Vec::new(), 0);
        loop {
            out.extend(std::iter::from_fn(|| self.pop(now)));
            if out.len() >= count {
                return out;
            }
            self.timers.refresh();
            let deadline = self.l.timers.park_with(|| self.timers.earliest_after_fence());
            let deadline = deadline.map_or(FAR, |at| at - self.l.timers.nanos(self.l.start));
            if deadline == FAR {
                self.l.poller.sleep();
            } else {
                now = now.max(deadline);
            }
            self.l.timers.unparked();
        }
    }
}

#[test]
fn a_lane_timer_and_park() {
    model("timer::a_lane_timer_and_park", None, || {
        let rig = LaneRig::new();
        let other = rig.clone();
        let inserter = thread::spawn(move || other.insert(10));
        assert_eq!(rig.park_until(1), [10]);
        inserter.join().unwrap();
        assert_eq!(rig.timers.earliest(), None);
    });
}

#[test]
fn a_lane_timer_earlier_than_what_is_parked_for() {
    model("timer::a_lane_timer_earlier_than_what_is_parked_for", None, || {
        let rig = LaneRig::new();
        let far = rig.insert(FAR);
        let other = rig.clone();
        let inserter = thread::spawn(move || other.insert(10));
        assert_eq!(rig.park_until(1), [10]);
        inserter.join().unwrap();
        assert_eq!(rig.timers.remove(far), Some(FAR));
    });
}

/// A busy worker moves what is due to the lane while one is inserted and another worker parks: one of the two takes each, once.
#[test]
fn lane_timers_fire_beside_park() {
    model("timer::lane_timers_fire_beside_park", Some(3), || {
        let rig = LaneRig::new();
        rig.insert(5);
        let (inserts, pops) = (rig.clone(), rig.clone());
        let inserter = thread::spawn(move || inserts.insert(10));
        let popper = thread::spawn(move || pops.pop(5));
        let first = rig.park_until(1);
        let popped = popper.join().unwrap();
        inserter.join().unwrap();
        let rest = if first.contains(&10) { Vec::new() } else { rig.park_until(1) };
        let mut all: Vec<u64> = first.into_iter().chain(popped).chain(rest).collect();
        all.sort_unstable();
        assert_eq!(all, [5, 10]);
    });
}

#[test]
fn a_lane_timer_is_removed_beside_park() {
    model("timer::a_lane_timer_is_removed_beside_park", None, || {
        let rig = LaneRig::new();
        let (removed, _kept) = (rig.insert(10), rig.insert(20));
        let other = rig.clone();
        let remover = thread::spawn(move || other.timers.remove(removed));
        let mut out = rig.park_until(1);
        // Fired or removed, never both.
        match remover.join().unwrap() {
            Some(at) => assert_eq!((at, &out[..]), (10, &[20][..])),
            None => {
                out.extend(rig.park_until(1));
                assert_eq!(out, [10, 20]);
            }
        }
    });
}
