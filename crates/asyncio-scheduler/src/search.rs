//! What a worker does that has nothing to run: it looks for work with others, lies down, sleeps, gets up.
//!
//! It sleeps in the driver if nobody else is there, else [parked](Worker::park). Worker 0 parks inside its run. The others lie down and park
//! outside of [`as_worker`](crate::Driver::as_worker), so that a loop that does not run is not held by its threads: whoever drops its last
//! handle then is no worker of it.

use crate::core::WORTH_STEALING;
use crate::driver::Wait;
use crate::idle::{Lie, Up};
use crate::parker::Wake;
use crate::run_queue::Stolen;
use crate::shard::Shard;
use crate::worker::Worker;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

impl Worker {
    /// Makes passes until the worker has to [lie](Self::lie) and [park](Self::park), for want of work or because the run ends.
    pub(crate) fn work(&self) {
        while self.core.idle.is_open() && self.pass(true) {}
    }

    // ----- searching

    /// Takes work from the injector or from another worker; false if none was found. Who looks hard begins with all that stand still: one that has
    /// always an entry and is about to run it would else be what each such look ends with.
    pub(crate) fn search(&self) -> bool {
        if !self.has_others {
            return false;
        }
        if self.looks_hard.take() {
            return self.relieve_others() || self.steal(1);
        }
        if !self.searching.get() {
            if !self.core.idle.begin_search() {
                return false;
            }
            self.searching.set(true);
        }
        self.steal(WORTH_STEALING)
    }

    /// Tries the injector, then all others, beginning anywhere, until all agree that there is nothing.
    fn steal(&self, least: usize) -> bool {
        let shards = &self.core.shards;
        loop {
            let mut again = false;
            let mut take = |stolen| {
                again |= stolen == Stolen::Retry;
                stolen == Stolen::Some
            };
            if take(self.core.steal_injected(&self.queue)) {
                return true;
            }
            let first = self.event_loop.driver().random(shards.len());
            for victim in shards[first..].iter().chain(&shards[..first]) {
                let worth = victim.index != self.shard.index && victim.stealer.len() >= least;
                if worth && take(victim.stealer.steal_half(&self.queue)) {
                    return true;
                }
            }
            if !again {
                return false;
            }
        }
    }

    /// The worker does not search any more.
    pub(crate) fn end_search(&self) {
        if self.searching.take() && self.core.idle.end_search() {
            self.core.look_again();
        }
    }

    /// The worker is about to run something: it searches no more, and somebody watches while it does.
    pub(crate) fn be_busy(&self) {
        self.end_search();
        self.shard.beat();
        if !self.core.watch.is_kept_from(self.shard.index) {
            let watcher = self.core.watch.hand_over(self.shard.index, &self.core.idle);
            watcher.into_iter().for_each(|watcher| self.core.wake(watcher));
        }
    }

    /// Takes of what lies with workers that stand still, if it is time for that.
    pub(crate) fn look_after_others(&self, now: Instant) {
        if self.rounds.is_due(now) {
            self.relieve_others();
        }
    }

    /// Takes of what lies with those that stand still; whether there is something to run then.
    fn relieve_others(&self) -> bool {
        let mut still = self.rounds.standing_still(self.pulses());
        still.retain(|&worker| worker != self.shard.index);
        let moving = self.core.workers() - still.len();
        still.into_iter().for_each(|worker| self.relieve(worker, moving));
        if self.queue.len() > 1 {
            self.core.rouse(self.rouse_for_share());
        }
        !self.queue.is_empty()
    }

    /// Takes from a worker that stands still what each of so many that move would have of it if they shared it: however much lies there, a few
    /// looks leave none of it behind.
    fn relieve(&self, worker: usize, moving: usize) {
        let stealer = &self.core.shards[worker].stealer;
        let queued = stealer.len();
        let left = queued - queued.div_ceil(moving);
        // A retry: then it is not so still.
        while stealer.len() > left && stealer.steal_half(&self.queue) == Stolen::Some {}
    }

    fn pulses(&self) -> impl Iterator<Item = u64> {
        self.core.shards.iter().map(Shard::pulse)
    }

    // ----- sleeping

    /// Sleeps in the driver, if nobody else is there, until there may be work. Else worker 0 parks, and for another it is false:
    /// it is to do so outside of the loop.
    pub(crate) fn rest(&self) -> bool {
        if let Some(right) = self.core.driving.try_take() {
            let has_slept = self.rest_in_driver();
            drop(right);
            if self.has_others && !has_slept {
                // Who is kept from its sleep each time would else never look, as it has nothing when its passes begin.
                self.glance();
            }
            return true;
        }
        let is_zero = self.shard.index == 0;
        if is_zero {
            self.lie();
            self.park();
            self.get_up();
        }
        is_zero
    }

    /// For the one who has the right to the driver; false if the run is over or it was unparked before, and has not slept.
    fn rest_in_driver(&self) -> bool {
        let mut turned = Ok(());
        let may_sleep = self.lie();
        let sleeps = may_sleep && self.shard.parker.begin_drive();
        if sleeps {
            let wait = self.bound.get().map_or(Wait::UntilReady, Wait::AtMost);
            turned = catch_unwind(AssertUnwindSafe(|| self.turn(wait)));
            self.note(self.shard.parker.end_drive());
            self.pace.slept();
        } else if may_sleep {
            self.note(Wake::Unparked);
        }
        self.searching.set(self.core.idle.get_up_anyway(self.shard.index) == Up::ToSearch);
        turned.unwrap_or_else(|panic| resume_unwind(panic));
        sleeps
    }

    /// Counts the worker out; false if the run is over.
    pub(crate) fn lie(&self) -> bool {
        let lie = self.core.idle.lie_down(self.shard.index, self.searching.take());
        if lie == Lie::LookAgain {
            self.core.look_again();
        }
        self.bound.set(if self.has_others { self.watch_bound() } else { None });
        lie != Lie::Shut
    }

    fn watch_bound(&self) -> Option<Duration> {
        let core = self.core;
        let pulse = self.pulses().fold(0, u64::wrapping_add);
        let others_are_awake = core.idle.is_anybody_awake();
        let bound = self.vigil.bound(self.shard.index, &core.watch, pulse, others_are_awake);
        if bound.is_some() {
            // Its first look compares with this.
            self.rounds.remember(self.pulses());
        }
        bound
    }

    /// No run goes on: the worker is to sleep until it is woken, and nobody watches.
    pub(crate) fn lie_on(&self) {
        self.bound.set(None);
        self.core.watch.dismiss(self.shard.index);
    }

    /// Sleeps until woken, or for as long as the worker may.
    pub(crate) fn park(&self) {
        let wake = self.shard.parker.park(self.bound.get());
        self.note(wake);
    }

    fn note(&self, wake: Wake) {
        let is_due = || self.rounds.is_due(self.event_loop.driver().now());
        let watches = self.bound.get().is_some();
        self.looks_hard.set(watches && (wake == Wake::TimedOut || is_due()));
    }

    /// The worker's sleep is over; false if it goes on lying because the loop does not run.
    pub(crate) fn get_up(&self) -> bool {
        let up = self.core.idle.get_up(self.shard.index);
        self.searching.set(up == Some(Up::ToSearch));
        up.is_some()
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use crate::idle::{Lie, Up};
    use crate::pace;
    use crate::rehearsal::Rehearsal;
    use crate::watch::LOOK;
    use crate::worker::Worker;
    use std::time::Instant;

    impl Worker {
        /// Lies down as the watcher and looks hard when its time is up; `meanwhile` is what the others do until then.
        fn watch_once(&self, meanwhile: impl FnOnce()) -> bool {
            self.core.idle.open();
            assert_eq!(self.watch_bound(), Some(LOOK));
            self.core.idle.shut();
            meanwhile();
            self.looks_hard.set(true);
            self.search()
        }
    }

    #[test]
    fn one_look_of_the_only_other_worker_takes_all_that_lies_with_one_that_stands_still() {
        let (workers, now) = (Rehearsal::new(2), Instant::now());
        workers.queue(1, 1_000);
        workers.worker(0).look_after_others(now);
        assert_eq!(workers.queued(), [0, 1_000], "it has moved");
        workers.worker(0).look_after_others(now + LOOK);
        assert_eq!(workers.queued(), [1_000, 0]);
    }

    #[test]
    fn those_that_move_share_what_lies_with_one_that_stands_still() {
        let (workers, now) = (Rehearsal::new(3), Instant::now());
        workers.queue(1, 1_000);
        let look = |worker: usize, looks| {
            workers.move_on([0, 2]);
            workers.worker(worker).look_after_others(now + looks * LOOK);
        };
        [0, 2].iter().for_each(|&worker| look(worker, 0));
        look(0, 1);
        let queued = workers.queued();
        assert!((500..532).contains(&queued[0]), "half of it, and no batch more: {queued:?}");
        for looks in 1..10 {
            [0, 2].iter().for_each(|&worker| look(worker, looks));
        }
        let queued = workers.queued();
        assert!(queued[1] == 0 && queued[2] >= 250, "{queued:?}");
    }

    #[test]
    fn a_hard_look_takes_from_all_that_stand_still_before_one_that_moves() {
        let workers = Rehearsal::new(4);
        (1..4).for_each(|worker| workers.queue(worker, 1));
        assert!(workers.worker(0).watch_once(|| workers.move_on([1])));
        assert_eq!(workers.queued(), [2, 1, 0, 0]);
    }

    #[test]
    fn a_hard_look_does_not_end_at_the_injector() {
        let workers = Rehearsal::new(3);
        workers.queue(2, 1);
        workers.inject(1);
        assert!(workers.worker(0).watch_once(|| workers.move_on([1])));
        assert_eq!(workers.queued(), [1, 0, 0]);
        assert!(workers.worker(0).search(), "what was injected is still there");
        assert_eq!(workers.queued(), [2, 0, 0]);
    }

    #[test]
    fn where_none_stands_still_a_hard_look_takes_one_entry_of_who_has_it() {
        let workers = Rehearsal::new(3);
        workers.queue(2, 1);
        assert!(workers.worker(0).watch_once(|| workers.move_on([1, 2])));
        assert_eq!(workers.queued(), [1, 0, 0]);
    }

    /// What keeps the watcher from its sleep in the driver keeps it neither from its hard look nor from the descriptors.
    #[test]
    fn who_was_unparked_before_it_slept_looks_all_the_same() {
        let workers = Rehearsal::new(2);
        let (zero, idle) = (workers.worker(0), &workers.worker(0).core.idle);
        idle.open();
        assert_eq!(idle.get_up(1), Some(Up::Alone));
        zero.pace.ran(pace::MOST);
        assert!(!zero.shard.parker.unpark() && zero.rest());
        assert_eq!((zero.looks_hard.get(), workers.looks()), (true, 1));
        assert_eq!(idle.lie_down(1, false), Lie::LookAgain);
        idle.shut();
    }
}
