//! No work is slept over, and a loop that does not run has nobody awake (`asyncio-scheduler/src/{parker,idle,watch}.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_base::sync::{Condvar, Mutex};
use asyncio_loom_tests::model;
use asyncio_scheduler::idle::{Idle, Lie, Retired, Up};
use asyncio_scheduler::parker::{Parker, Wake};
use asyncio_scheduler::watch::{Vigil, Watch};
use loom::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use sync_common::{Watched, spawn};

// ----- the parker

/// What the driver promises: an unpark ends the block that goes on, or the next one.
#[derive(Default)]
struct Driver {
    unparked: Mutex<bool>,
    changed: Condvar,
}

impl Driver {
    fn block(&self) {
        let mut unparked = self.unparked.lock();
        while !*unparked {
            unparked = self.changed.wait(unparked);
        }
        *unparked = false;
    }

    fn unpark(&self) {
        *self.unparked.lock() = true;
        self.changed.notify_one();
    }
}

/// A parker, its driver, and what is published before an unpark.
struct Place {
    parker: Parker,
    driver: Driver,
    published: Watched,
}

impl Place {
    fn new() -> Arc<Self> {
        let (parker, driver) = (Parker::new(), Driver::default());
        Arc::new(Place { parker, driver, published: Watched::new(0) })
    }

    fn publish_and_unpark(&self) {
        self.published.set(1);
        if self.parker.unpark() {
            self.driver.unpark();
        }
    }

    fn drive(&self) {
        if self.parker.begin_drive() {
            self.driver.block();
            assert_eq!(self.parker.end_drive(), Wake::Unparked);
        }
    }
}

#[test]
fn unpark_meets_park() {
    model("parker: unpark meets park", None, || {
        let place = Place::new();
        let other = place.clone();
        let thread = spawn(move || other.publish_and_unpark());
        assert_eq!(place.parker.park(None), Wake::Unparked);
        assert_eq!(place.published.get(), 1);
        thread.join().unwrap();
    });
}

#[test]
fn unpark_meets_the_driver() {
    model("parker: unpark meets the driver", None, || {
        let place = Place::new();
        let other = place.clone();
        let thread = spawn(move || other.publish_and_unpark());
        place.drive();
        assert_eq!(place.published.get(), 1);
        thread.join().unwrap();
    });
}

/// Two unparks and two sleeps in different places: each unpark is seen by the sleep after it.
#[test]
fn two_unparks_meet_park_and_drive() {
    model("parker: two unparks meet park and drive", Some(3), || {
        let place = Place::new();
        let work = Arc::new(AtomicUsize::new(0));
        let threads = [(); 2].map(|()| {
            let (place, work) = (place.clone(), work.clone());
            spawn(move || {
                work.fetch_add(1, Relaxed);
                if place.parker.unpark() {
                    place.driver.unpark();
                }
            })
        });
        let mut parks = true;
        while work.load(Relaxed) < 2 {
            if std::mem::replace(&mut parks, false) {
                place.parker.park(None);
            } else {
                place.drive();
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

// ----- the idle set

/// A scheduler as bare as it can be: its queue is a few flags that order nothing by themselves, so that the fences have to.
struct Crew {
    idle: Idle,
    parkers: Vec<Parker>,
    /// Entries that wait, and those that have been run.
    queue: [AtomicBool; 2],
    done: Mutex<usize>,
    changed: Condvar,
    over: AtomicBool,
    /// Written by workers that are up.
    inside: Watched,
    /// The first entry ends only when the second has been run.
    first_waits: bool,
}

impl Crew {
    fn new(workers: usize, first_waits: bool) -> Arc<Self> {
        Arc::new(Crew {
            idle: Idle::new(workers),
            parkers: (0..workers).map(|_| Parker::new()).collect(),
            queue: [(); 2].map(|()| AtomicBool::new(false)),
            done: Mutex::new(0),
            changed: Condvar::new(),
            over: AtomicBool::new(false),
            inside: Watched::new(0),
            first_waits,
        })
    }

    fn has_work(&self) -> bool {
        self.queue.iter().any(|entry| entry.load(Relaxed))
    }

    fn take(&self) -> Option<usize> {
        (0..self.queue.len()).find(|&entry| {
            self.queue[entry].load(Relaxed) && self.queue[entry].swap(false, Relaxed)
        })
    }

    fn bring(&self, entry: usize) {
        self.queue[entry].store(true, Relaxed);
        self.notify();
    }

    fn notify(&self) {
        if let Some(worker) = self.idle.worker_to_wake() {
            self.unpark(worker);
        }
    }

    fn look_again(&self) {
        if self.has_work() {
            self.notify();
        }
    }

    fn unpark(&self, worker: usize) {
        assert!(!self.parkers[worker].unpark(), "nobody drives here");
    }

    fn run(&self, entry: usize) {
        let mut done = self.done.lock();
        while self.first_waits && entry == 0 && *done == 0 {
            done = self.changed.wait(done);
        }
        *done += 1;
        self.changed.notify_all();
    }

    fn wait_for(&self, entries: usize) {
        let mut done = self.done.lock();
        while *done < entries {
            done = self.changed.wait(done);
        }
    }

    /// Lies down once, and works whenever it is woken until all is over.
    fn serve(&self, worker: usize, mut searching: bool, mut is_up: bool) {
        loop {
            while is_up {
                match self.take() {
                    Some(entry) => {
                        if std::mem::replace(&mut searching, false) && self.idle.end_search() {
                            self.look_again();
                        }
                        self.run(entry);
                    }
                    None if !searching && self.idle.begin_search() => searching = true,
                    None => {
                        is_up = false;
                        if self.idle.lie_down(worker, searching) == Lie::LookAgain {
                            self.look_again();
                        }
                    }
                }
            }
            self.parkers[worker].park(None);
            if self.over.load(Relaxed) {
                return;
            }
            let up = self.idle.get_up(worker);
            (is_up, searching) = (up.is_some(), up == Some(Up::ToSearch));
        }
    }

    fn end(&self) {
        self.over.store(true, Relaxed);
        (0..self.parkers.len()).for_each(|worker| self.unpark(worker));
    }
}

/// The only worker lies down while another thread brings work.
#[test]
fn push_meets_lying_down() {
    model("idle: push meets lying down", None, || {
        let crew = Crew::new(1, false);
        crew.idle.open();
        let worker = spawn({
            let crew = crew.clone();
            move || crew.serve(0, false, true)
        });
        crew.bring(0);
        crew.wait_for(1);
        crew.end();
        worker.join().unwrap();
    });
}

/// One worker searches and is about to lie down, the other lies; one entry is brought.
#[test]
fn push_meets_the_last_searcher() {
    model("idle: push meets the last searcher", Some(3), || {
        let crew = Crew::new(2, false);
        crew.idle.open();
        let workers = [(0, true), (1, false)].map(|(worker, is_up)| {
            let crew = crew.clone();
            spawn(move || crew.serve(worker, false, is_up))
        });
        crew.bring(0);
        crew.wait_for(1);
        crew.end();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

/// Two entries are brought, of which the first waits for the second: the one who finds it must have woken the other worker.
#[test]
fn a_searcher_that_finds_work_wakes_the_next() {
    model("idle: a searcher that finds work wakes the next", Some(2), || {
        let crew = Crew::new(2, true);
        crew.idle.open();
        let workers = [(0, true), (1, false)].map(|(worker, is_up)| {
            let crew = crew.clone();
            spawn(move || crew.serve(worker, false, is_up))
        });
        crew.bring(0);
        crew.bring(1);
        crew.wait_for(2);
        crew.end();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

/// Work comes while the run ends: a worker is up before the end or not at all, and what it did is seen.
#[test]
fn push_meets_the_end_of_the_run() {
    model("idle: push meets the end of the run", Some(3), || {
        let crew = Crew::new(2, false);
        crew.idle.open();
        let worker = spawn({
            let crew = crew.clone();
            move || {
                loop {
                    crew.parkers[1].park(None);
                    if crew.over.load(Relaxed) {
                        return;
                    }
                    if let Some(up) = crew.idle.get_up(1) {
                        crew.inside.set(crew.inside.get() + 1);
                        crew.idle.lie_down(1, up == Up::ToSearch);
                    }
                }
            }
        });
        let pusher = spawn({
            let crew = crew.clone();
            move || {
                crew.bring(0);
                // As one who makes it the watcher.
                crew.unpark(1);
            }
        });
        crew.idle.shut();
        crew.idle.wait_until_all_lie(|| false);
        crew.inside.set(crew.inside.get() + 10);
        assert!(crew.idle.worker_to_wake().is_none() && crew.idle.some_sleeper(|_| {}).is_none());
        pusher.join().unwrap();
        crew.end();
        worker.join().unwrap();
        assert!([10, 11, 12].contains(&crew.inside.get()));
    });
}

/// The worker that is woken has no thread: another does what it was woken for, also if it was just about to lie down.
#[test]
fn a_refused_worker_leaves_nothing_behind() {
    model("idle: a refused worker leaves nothing behind", Some(3), || {
        let crew = Crew::new(2, false);
        crew.idle.open();
        let worker = spawn({
            let crew = crew.clone();
            move || crew.serve(0, false, true)
        });
        crew.queue[0].store(true, Relaxed);
        let mut woken = crew.idle.worker_to_wake();
        while let Some(worker) = woken {
            if worker == 0 {
                crew.unpark(0);
                break;
            }
            match crew.idle.retire(worker, || {}) {
                Retired::WasAsleep => unreachable!("it was taken to search"),
                Retired::InItsPlace(next) => woken = Some(next),
                Retired::LookAgain => {
                    woken = if crew.has_work() { crew.idle.worker_to_wake() } else { None };
                }
                Retired::Shut => unreachable!("the run goes on"),
            }
        }
        crew.wait_for(1);
        crew.end();
        worker.join().unwrap();
    });
}

/// The worker that is woken has no thread, and the run ends meanwhile: the end waits for nobody who will never lie down.
#[test]
fn a_refused_worker_meets_the_end_of_the_run() {
    model("idle: a refused worker meets the end of the run", None, || {
        let crew = Crew::new(2, false);
        crew.idle.open();
        let pusher = spawn({
            let crew = crew.clone();
            move || {
                crew.queue[0].store(true, Relaxed);
                let mut woken = crew.idle.worker_to_wake();
                while let Some(worker) = woken {
                    assert_eq!(worker, 1, "worker 0 is up, or ends the run");
                    woken = match crew.idle.retire(worker, || {}) {
                        Retired::WasAsleep => unreachable!("it was taken to search"),
                        Retired::InItsPlace(next) => Some(next),
                        Retired::LookAgain => crew.idle.worker_to_wake(),
                        Retired::Shut => None,
                    };
                }
            }
        });
        crew.idle.shut();
        crew.idle.wait_until_all_lie(|| false);
        pusher.join().unwrap();
    });
}

// ----- the watch

/// The idle set and the office of the watcher.
struct House {
    idle: Idle,
    watch: Watch,
}

impl House {
    /// Of so many workers, all but worker 0 lie; it was the watcher.
    fn new(workers: usize) -> Arc<Self> {
        let house = Arc::new(House { idle: Idle::new(workers), watch: Watch::new() });
        house.idle.open();
        assert!(Vigil::default().bound(0, &house.watch, 0, true).is_some());
        house
    }

    /// The worker is about to run something, and is stuck in it; whom it has woken.
    fn be_stuck(&self, worker: usize) -> Option<usize> {
        if self.watch.is_kept_from(worker) {
            return None;
        }
        self.watch.hand_over(worker, &self.idle)
    }

    /// Worker 2 is woken, and has no thread, which is found by the first to ask for it.
    fn wake_worker_2(&self, asked: &AtomicBool) {
        if !asked.swap(true, Relaxed) {
            match self.watch.retire(2, &self.idle) {
                Retired::WasAsleep => assert_eq!(self.watch.hand_over(2, &self.idle), None),
                Retired::LookAgain => {}
                other => unreachable!("none else lies, and the run goes on: {other:?}"),
            }
        }
    }

    /// The worker lies down; whether its sleep is bounded.
    fn lie_down(&self, worker: usize) -> bool {
        self.idle.lie_down(worker, false);
        let others_are_awake = self.idle.is_anybody_awake();
        Vigil::default().bound(worker, &self.watch, 1, others_are_awake).is_some()
    }
}

/// The one who was the watcher gets stuck while the other lies down: that one watches.
#[test]
fn a_watcher_that_gets_stuck_meets_one_who_lies_down() {
    model("watch: a watcher that gets stuck meets one who lies down", None, || {
        let house = House::new(2);
        assert_eq!(house.idle.get_up(1), Some(Up::Alone));
        let thread = spawn({
            let house = house.clone();
            move || house.lie_down(1)
        });
        let woken = house.be_stuck(0);
        let is_bounded = thread.join().unwrap();
        assert!(is_bounded || woken == Some(1), "worker 1 sleeps without bound");
    });
}

/// Two get stuck, of whom one gets up meanwhile, and the third lies down.
#[test]
fn two_who_get_stuck_meet_one_who_lies_down() {
    model("watch: two who get stuck meet one who lies down", Some(3), || {
        let house = House::new(3);
        assert_eq!(house.idle.get_up(1), Some(Up::Alone));
        let riser = spawn({
            let house = house.clone();
            move || {
                assert_eq!(house.idle.get_up(2), Some(Up::Alone));
                house.be_stuck(2)
            }
        });
        let sleeper = spawn({
            let house = house.clone();
            move || house.lie_down(1)
        });
        let woken = house.be_stuck(0);
        let (woken_too, is_bounded) = (riser.join().unwrap(), sleeper.join().unwrap());
        let is_woken = [woken, woken_too].contains(&Some(1));
        assert!(is_bounded || is_woken, "worker 1 sleeps without bound");
    });
}

/// Two appoint the same worker, which has no thread, and one of them also wants it to search: in the end it does not keep the office.
#[test]
fn a_watcher_without_a_thread_meets_one_who_appoints_it() {
    model("watch: a watcher without a thread meets one who appoints it", None, || {
        let (house, asked) = (House::new(3), Arc::new(AtomicBool::new(false)));
        assert_eq!(house.idle.get_up(1), Some(Up::Alone));
        let thread = spawn({
            let (house, asked) = (house.clone(), asked.clone());
            move || {
                let woken = [house.be_stuck(1), house.idle.worker_to_wake()];
                woken.into_iter().flatten().for_each(|_| house.wake_worker_2(&asked));
            }
        });
        house.be_stuck(0).into_iter().for_each(|_| house.wake_worker_2(&asked));
        thread.join().unwrap();
        assert!(!house.watch.is_kept_from(0), "it keeps the office");
    });
}

/// A run begins with the office of the last one: worker 0 empties it and gets stuck, and so does who kept it, while a third lies down.
#[test]
fn a_run_that_begins_meets_one_who_lies_down() {
    model("watch: a run that begins meets one who lies down", Some(3), || {
        let house = House::new(3);
        assert_eq!(house.watch.hand_over(0, &house.idle), Some(2));
        [1, 2].iter().for_each(|&worker| assert_eq!(house.idle.get_up(worker), Some(Up::Alone)));
        let keeper = spawn({
            let house = house.clone();
            move || house.be_stuck(2)
        });
        let sleeper = spawn({
            let house = house.clone();
            move || house.lie_down(1)
        });
        house.watch.vacate();
        let woken = house.be_stuck(0);
        let (woken_too, is_bounded) = (keeper.join().unwrap(), sleeper.join().unwrap());
        let is_woken = [woken, woken_too].contains(&Some(1));
        assert!(is_bounded || is_woken, "worker 1 sleeps without bound");
    });
}
