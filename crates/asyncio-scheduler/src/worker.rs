//! A worker and its passes.
//!
//! A pass collects, without blocking if there is work, what has become due (descriptors, then timers), then runs exactly the entries that
//! are queued at that moment: what they queue waits for the next pass. With one worker that is asyncio's iteration, in asyncio's order:
//! queued earlier, then I/O, then timers. With several a pass may be shorter, so that the looks at the descriptors keep their pace, others
//! may take of the entries, and what a look has woken may go first.
//!
//! `look.rs` has how it collects, `search.rs` what it does with nothing to run.

use crate::callback::Handle;
use crate::core::{Core, Rouse};
use crate::driver::Step;
use crate::event_loop::Loop;
use crate::here::become_current;
pub use crate::here::is_worker;
use crate::lane::{self, Panicked};
use crate::pace::Pace;
use crate::run_queue::{Entry, Ring, RunQueue};
use crate::shard::Shard;
use crate::signs::Signs;
use crate::watch::{Rounds, Vigil};
use asyncio_base::record;
use asyncio_task::{Ran, Runnable, TaskId};
use std::cell::Cell;
use std::iter;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The budget of who counts nothing.
const UNCOUNTED: u32 = u32::MAX;

/// What a thread is while it works for a loop.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) event_loop: Arc<Loop>,
    pub(crate) core: &'static Core,
    pub(crate) shard: &'static Shard,
    pub(crate) queue: RunQueue,
    /// What only worker 0 may run, if the loop has others.
    pinned: Option<RunQueue>,
    /// Whether there are other workers that may be up.
    pub(crate) has_others: bool,
    /// In the driver: what is woken there is shared once, afterwards.
    pub(crate) batching: Cell<bool>,
    /// Counts as a searcher.
    pub(crate) searching: Cell<bool>,
    /// It watches, and it is time to look: it takes also a queue's only entry.
    pub(crate) looks_hard: Cell<bool>,
    /// How long it may sleep.
    pub(crate) bound: Cell<Option<Duration>>,
    pub(crate) pace: Pace,
    pub(crate) vigil: Vigil,
    pub(crate) rounds: Rounds,
    pub(crate) signs: Option<Signs>,
    /// What the thread works for besides: the loop from inside which it closes this one.
    outer: Option<Rc<Worker>>,
}

impl Worker {
    /// Makes this thread a worker until the guard is dropped; `alone` if no other gets up before that.
    pub(crate) fn enter(event_loop: &Arc<Loop>, index: usize, alone: bool) -> Entered {
        let outer = become_current(None);
        let worker = Worker::new(event_loop, index, alone, outer);
        worker.be_current();
        Entered(Some(worker))
    }

    /// A worker that this thread plays beside worker 0, until it is [ended](Self::end_played).
    pub(crate) fn played(event_loop: &Arc<Loop>, index: usize, zero: Rc<Worker>) -> Rc<Worker> {
        Worker::new(event_loop, index, false, Some(zero))
    }

    /// This thread is that worker from now on.
    pub(crate) fn be_current(self: &Rc<Self>) {
        drop(become_current(Some(self.clone())));
    }

    fn new(
        event_loop: &Arc<Loop>,
        index: usize,
        alone: bool,
        outer: Option<Rc<Worker>>,
    ) -> Rc<Worker> {
        let core = event_loop.core;
        let shard = &core.shards[index];
        let is_one_of_many = core.workers() > 1;
        let has_others = is_one_of_many && !alone;
        Rc::new(Worker {
            event_loop: event_loop.clone(),
            core,
            shard,
            queue: shard.take_queue(),
            pinned: (index == 0 && is_one_of_many).then(|| core.local.take_queue()),
            has_others,
            batching: Cell::new(false),
            searching: Cell::new(false),
            looks_hard: Cell::new(false),
            bound: Cell::new(None),
            pace: Pace::new(),
            vigil: Vigil::default(),
            signs: event_loop.driver_arc().signs(index),
            rounds: Rounds::new(if has_others { core.workers() } else { 0 }),
            outer,
        })
    }

    /// The queue of worker 0's own tasks, if this thread is worker 0, also while it plays another.
    pub(crate) fn pinned_here(&self) -> Option<&RunQueue> {
        let workers = iter::successors(Some(self), |worker| worker.outer.as_deref());
        workers.filter(|worker| ptr::eq(worker.core, self.core)).find_map(|w| w.pinned.as_ref())
    }

    /// The worker for the loop that has `core`, among those that this thread is.
    #[inline]
    pub(crate) fn of<'a>(core: &'static Core, current: Option<&'a Worker>) -> Option<&'a Worker> {
        let mut worker = current?;
        while !ptr::eq(worker.core, core) {
            worker = worker.outer.as_deref()?;
        }
        Some(worker)
    }

    /// Adds at the back. One entry is for this worker itself; with more waiting another worker may be woken.
    #[inline]
    pub(crate) fn push(&self, entry: Entry) -> Rouse {
        match self.queue.as_ring() {
            Some(ring) => ring.push(entry),
            None => return self.push_to_share(entry),
        }
        Rouse::Nobody
    }

    #[inline(never)]
    fn push_to_share(&self, entry: Entry) -> Rouse {
        let shares = self.has_others && !self.batching.get() && !self.queue.is_empty();
        self.queue.push(entry);
        if shares { self.rouse_for_share() } else { Rouse::Nobody }
    }

    pub(crate) fn rouse_for_share(&self) -> Rouse {
        self.core.idle.worker_to_share_with().map_or(Rouse::Nobody, Rouse::Worker)
    }

    /// One pass; sleeps only if it may, nothing is queued and the loop is not stopping. False if it is to lie and [park](Self::park), as
    /// somebody else sleeps in the driver.
    #[inline(always)]
    pub(crate) fn pass(&self, may_sleep: bool) -> bool {
        match self.queue.as_ring() {
            Some(ring) => self.pass_alone(ring, may_sleep),
            None => return self.pass_among_many(may_sleep),
        }
        true
    }

    /// A pass that does not sleep; apart, as there is one in a run.
    #[cold]
    #[inline(never)]
    pub(crate) fn last_pass(&self) {
        self.pass(false);
    }

    /// A pass of the loop's only worker, whose queue is a ring: what matters to others is not asked.
    #[inline(always)]
    fn pass_alone(&self, ring: &Ring, may_sleep: bool) {
        if self.core.has_injected() {
            self.core.take_injected(&self.queue);
        }
        if may_sleep && ring.is_empty() && !self.is_stopping() {
            // Nobody else is in the driver, so the worker has slept in it, and never lies.
            self.find_entries();
        } else {
            self.glance();
        }
        self.pace.ran(ring.len());
        // All that debug mode costs while it is off.
        if self.event_loop.is_watched() {
            return self.run_watched_entries(0, ring.len());
        }
        for entry in ring.queued() {
            match entry {
                Entry::Task(token) => {
                    if let Ran::Again(token) = token.run_inlined(UNCOUNTED) {
                        ring.push(Entry::Task(token));
                    }
                }
                Entry::Ticket => self.spend_ticket(lane::run),
            }
        }
    }

    /// A pass of one worker among several.
    #[inline(never)]
    fn pass_among_many(&self, may_sleep: bool) -> bool {
        self.take_injected();
        if !may_sleep || self.has_entries() || self.is_stopping() {
            self.glance();
        } else if !self.find_entries() {
            return false;
        }
        self.run_share();
        true
    }

    /// Looks for work with others, else sleeps; false if the worker is to lie.
    #[inline(never)]
    fn find_entries(&self) -> bool {
        if self.search() {
            self.glance();
            return true;
        }
        let rested = self.rest();
        if rested {
            self.take_injected();
        }
        // Else it lies down next, and must have nothing: nobody looks for a single entry in a sleeper's queue.
        rested
    }

    /// Whether this is worker 0 and to end its run; the others go on until it has.
    fn is_stopping(&self) -> bool {
        self.shard.index == 0 && self.event_loop.is_stopping()
    }

    #[inline]
    pub(crate) fn take_injected(&self) {
        if self.core.has_injected() {
            self.core.take_injected(&self.queue);
        }
        if let Some(pinned) = &self.pinned {
            pinned.take_from(&self.core.local.injector);
        }
    }

    fn has_entries(&self) -> bool {
        !self.queue.is_empty() || self.pinned.as_ref().is_some_and(|pinned| !pinned.is_empty())
    }

    /// For one worker among several: what is its own, and what of the rest can be run before the next look at the descriptors, or all while no other
    /// gets up.
    fn run_share(&self) {
        let pinned = self.pinned.as_ref().map_or(0, RunQueue::len);
        let mut queued = self.queue.len();
        if pinned + queued == 0 {
            return;
        }
        if self.has_others {
            queued = queued.min(self.pace.left());
            self.be_busy();
        }
        self.pace.ran(pinned + queued);
        if self.event_loop.is_watched() {
            return self.run_watched_entries(pinned, queued);
        }
        self.pinned.iter().for_each(|queue| self.run_from(queue, pinned));
        self.run_from(&self.queue, queued);
    }

    #[inline]
    fn run_from(&self, queue: &RunQueue, count: usize) {
        for _ in 0..count {
            // Others may have taken of it.
            let Some(entry) = queue.pop() else { break };
            self.run(entry, queue, self.budget());
        }
    }

    /// Runs everything that is queued or gets queued meanwhile; for the closer.
    pub(crate) fn run_all(&self) {
        self.take_injected();
        self.core.take_all(&self.queue);
        for queue in self.pinned.iter().chain([&self.queue]) {
            while let Some(entry) = queue.pop() {
                self.run(entry, queue, self.budget());
            }
        }
    }

    /// Runs an entry of this queue of the worker's; a task does at most so many ready operations.
    #[inline(always)]
    pub(crate) fn run(&self, entry: Entry, queue: &RunQueue, budget: u32) {
        match entry {
            Entry::Task(token) => self.after_turn(token.run(budget), queue),
            Entry::Ticket => self.spend_ticket(lane::run),
        }
    }

    #[cold]
    #[inline(never)]
    fn run_watched_entries(&self, pinned: usize, queued: usize) {
        let pinned = self.pinned.iter().map(|queue| (queue, pinned));
        for (queue, count) in pinned.chain([(&self.queue, queued)]) {
            iter::from_fn(|| queue.pop())
                .take(count)
                .for_each(|entry| self.run_watched(entry, queue, self.budget()));
        }
    }

    pub(crate) fn run_watched(&self, entry: Entry, queue: &RunQueue, budget: u32) {
        let event_loop = &self.event_loop;
        match entry {
            Entry::Task(token) => {
                let step = Step::Task(token.handle());
                self.after_turn(event_loop.watch(step, || token.run(budget)), queue);
            }
            Entry::Ticket => self.spend_ticket(|callback| {
                let step = Step::Callback(callback.clone());
                event_loop.watch(step, || lane::run(callback))
            }),
        }
    }

    /// Ready operations that a task may do in one turn: with one worker that is asyncio's business, and nothing is counted.
    pub(crate) fn budget(&self) -> u32 {
        if self.has_others { record::BUDGET } else { UNCOUNTED }
    }

    /// A task that was woken while it ran goes to the back of its queue.
    #[inline(always)]
    fn after_turn(&self, ran: Ran, queue: &RunQueue) {
        match ran {
            Ran::Again(token) if self.has_others && ptr::eq(queue, &self.queue) => {
                self.core.rouse(self.push(Entry::Task(token)));
            }
            Ran::Again(token) => queue.push(Entry::Task(token)),
            Ran::Waiting | Ran::Complete => {}
        }
    }

    /// Runs the lane's next callback by `run`. A panic is reported while the lane is still held: the next callback comes after the report.
    #[inline]
    fn spend_ticket(&self, run: impl FnOnce(Handle) -> Option<Box<Panicked>>) {
        let lane = self.event_loop.lane();
        let run = |callback| {
            if let Some(panicked) = run(callback) {
                self.event_loop.report(|r| r.callback_panicked(*panicked));
            }
        };
        if self.has_others {
            let owed = lane.run_one(run);
            (0..owed).for_each(|_| self.queue.push(Entry::Ticket));
        } else if let Some(callback) = lane.take_one() {
            run(callback);
        }
    }

    /// The queue of worker 0's own tasks.
    pub(crate) fn local_queue(&self) -> &RunQueue {
        self.pinned.as_ref().unwrap_or(&self.queue)
    }

    /// Runs one of worker 0's own tasks if its token is queued, out of its turn; false if it is not.
    pub(crate) fn run_now(&self, task: TaskId) -> bool {
        let token = self.take_token(task);
        let is_there = token.is_some();
        let queue = self.local_queue();
        token.into_iter().for_each(|token| self.run(Entry::Task(token), queue, self.budget()));
        is_there
    }

    /// Takes a token out of the queue, leaving the order of the rest as it is.
    fn take_token(&self, task: TaskId) -> Option<Runnable> {
        self.take_injected();
        let (queue, mut found) = (self.local_queue(), None);
        for _ in 0..queue.len() {
            match queue.pop() {
                Some(Entry::Task(token)) if token.id() == task => found = Some(token),
                Some(entry) => queue.push(entry),
                None => break,
            }
        }
        found
    }
}

/// This thread is a worker until this is dropped; then its queues go back to the loop.
#[derive(Debug)]
pub(crate) struct Entered(Option<Rc<Worker>>);

impl Worker {
    /// Gives the queues back to the loop; the other reference, if this was the current one, is gone.
    pub(crate) fn end_played(self: Rc<Self>) {
        self.give_back(drop);
    }

    fn give_back(self: Rc<Self>, set_current: impl FnOnce(Option<Rc<Worker>>)) {
        // The other reference was in the cell, which lends but never gives it away.
        if let Some(Worker { core, shard, queue, pinned, outer, signs, event_loop, .. }) =
            Rc::into_inner(self)
        {
            set_current(outer);
            shard.put_queue_back(queue);
            pinned.into_iter().for_each(|pinned| core.local.put_queue_back(pinned));
            // The loop goes last: it has the driver.
            drop((signs, event_loop));
        }
    }
}

impl std::ops::Deref for Entered {
    type Target = Rc<Worker>;

    fn deref(&self) -> &Rc<Worker> {
        self.0.as_ref().expect("the worker is there until the guard is dropped")
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(become_current(None));
        let set_current = |outer| drop(become_current(outer));
        self.0.take().into_iter().for_each(|worker| worker.give_back(set_current));
    }
}
