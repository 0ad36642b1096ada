//! The workers of a loop, played one step at a time on the thread that runs it.
//!
//! A driver that [has a simulation](crate::Driver::simulation) is never asked for a thread, and nobody sleeps in it. The thread of the run is all
//! workers in turn: queues, shards, lists of tasks and the budget are those of the real ones, and so is all code below the choice of the next
//! entry. What threads would leave to chance is asked of the [`Simulation`]: which ready entry runs next, and on which worker, as if that one had
//! stolen it.
//!
//! Between two steps all queues are emptied into *pools*, one for each queue, from which any entry can be picked. When the run ends, also by a panic,
//! what is left goes back to where it came from.
//!
//! Nothing but the thread of the run may touch a simulated loop while it runs. What comes through an injector comes from another thread, as all
//! workers are played here, and is told to the simulation.

use crate::driver::Wait;
use crate::event_loop::Loop;
use crate::run_queue::{Entry, RunQueue};
use crate::worker::Worker;
use asyncio_task::Runnable;
use std::collections::VecDeque;
use std::iter;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// Decides what is left to chance, and hears of every step.
pub trait Simulation {
    /// Whether every pass runs what was queued when it began, in that order, on worker 0: asyncio's iteration. Then nothing is asked but
    /// [`begins`](Self::begins) and [`rests`](Self::rests).
    fn is_in_order(&self) -> bool;

    /// Which of `count` ready entries runs next. `key` names each: 0 for a callback, else the number of the task.
    fn pick(&self, count: usize, key: &dyn Fn(usize) -> u64) -> usize;

    /// A number below `bound`.
    fn choose(&self, bound: usize) -> usize;

    /// Whether some task that waits is to be woken for no reason.
    fn wakes_for_no_reason(&self) -> bool;

    /// Between two steps: what threads besides the workers would do may happen now.
    fn meanwhile(&self);

    /// A turn is about to be run; false to stop the run before it.
    fn begins(&self, worker: usize, turn: Turn<'_>) -> bool;

    /// The turn that began last has ended.
    fn ended(&self);

    /// After how many operations that need not wait the task about to run lets others run, at most so many. Not asked with one worker, where a
    /// task runs until it waits.
    fn budget(&self, most: u32) -> u32;

    /// Nothing is ready: lets time pass. False if nothing will ever be, which stops the run.
    fn rests(&self) -> bool;

    /// Another thread has queued this.
    fn intrudes(&self, turn: Turn<'_>);
}

/// What is run, or about to be.
#[derive(Clone, Copy, Debug)]
pub enum Turn<'a> {
    /// The turn of a task.
    Task(&'a Runnable),
    /// A callback of the lane's, made there; `None` if it has gone meanwhile.
    Callback(Option<&'static Location<'static>>),
}

/// Makes the run of a loop until [`stop`](Loop::stop), or one more pass after `ended` says so.
pub(crate) fn play(
    event_loop: &Arc<Loop>,
    zero: &Rc<Worker>,
    simulation: &dyn Simulation,
    ended: impl Fn() -> bool,
) {
    let mut stage = Stage::new(event_loop, zero, simulation);
    let mut last = false;
    loop {
        stage.pass(last);
        if last || event_loop.is_stopping() {
            break;
        }
        last = ended();
    }
}

/// A run that is being played.
struct Stage<'a> {
    event_loop: &'a Arc<Loop>,
    simulation: &'a dyn Simulation,
    /// By their numbers.
    workers: Vec<Rc<Worker>>,
    pools: Vec<Pool>,
    /// Who this thread is now.
    current: usize,
}

/// The entries of one queue.
struct Pool {
    worker: usize,
    is_pinned: bool,
    entries: VecDeque<Entry>,
}

impl Pool {
    fn queue<'w>(&self, workers: &'w [Rc<Worker>]) -> &'w RunQueue {
        let worker = &workers[self.worker];
        if self.is_pinned { worker.local_queue() } else { &worker.queue }
    }
}

impl<'a> Stage<'a> {
    fn new(event_loop: &'a Arc<Loop>, zero: &Rc<Worker>, simulation: &'a dyn Simulation) -> Self {
        let count = event_loop.workers();
        let others = (1..count).map(|index| Worker::played(event_loop, index, zero.clone()));
        let workers = iter::once(zero.clone()).chain(others).collect();
        // Worker 0's own tasks first, as in a pass.
        let pinned = (count > 1).then_some((0, true));
        let pool = |(worker, is_pinned)| Pool { worker, is_pinned, entries: VecDeque::new() };
        let queues = pinned.into_iter().chain((0..count).map(|worker| (worker, false)));
        Stage { event_loop, simulation, workers, pools: queues.map(pool).collect(), current: 0 }
    }

    /// Collects what is due, then runs one entry, or all that are ready by then.
    fn pass(&mut self, last: bool) {
        self.collect();
        if self.ready() == 0 && !last && !self.event_loop.is_stopping() {
            if !self.simulation.rests() {
                return self.event_loop.stop();
            }
            self.collect();
        }
        let ready = self.ready();
        // Stopped before the run: one pass of everything.
        let stopped = self.event_loop.is_stopping();
        let all = last || stopped || self.simulation.is_in_order();
        for _ in 0..if all { ready } else { ready.min(1) } {
            if !self.step() {
                return;
            }
        }
    }

    /// Lets the driver wake what is due, and gathers what is queued.
    fn collect(&mut self) {
        if !self.simulation.is_in_order() {
            if self.simulation.wakes_for_no_reason() {
                self.wake_somebody();
            }
            self.simulation.meanwhile();
        }
        self.report_intruders();
        self.workers[self.current].turn(Wait::No);
        self.gather();
    }

    fn wake_somebody(&self) {
        let mut waiting = self.event_loop.all_tasks();
        waiting.retain(|task| task.is_waiting());
        if !waiting.is_empty() {
            waiting[self.simulation.choose(waiting.len())].wake();
        }
    }

    /// Takes what other threads have queued, and tells of it.
    fn report_intruders(&mut self) {
        let core = self.event_loop.core;
        if !core.has_injected() && core.local.injector.is_empty() {
            return;
        }
        self.gather();
        let known = self.ready();
        self.workers[0].take_injected();
        self.gather();
        for index in known..self.ready() {
            let (pool, place) = self.locate(index);
            self.simulation.intrudes(self.turn(&self.pools[pool].entries[place]));
        }
    }

    fn gather(&mut self) {
        for pool in &mut self.pools {
            let queue = pool.queue(&self.workers);
            pool.entries.extend(iter::from_fn(|| queue.pop()));
        }
    }

    fn ready(&self) -> usize {
        self.pools.iter().map(|pool| pool.entries.len()).sum()
    }

    /// The pool and the place in it of a ready entry.
    fn locate(&self, mut index: usize) -> (usize, usize) {
        for (pool, Pool { entries, .. }) in self.pools.iter().enumerate() {
            if index < entries.len() {
                return (pool, index);
            }
            index -= entries.len();
        }
        panic!("a simulation picked an entry that is not there");
    }

    fn turn<'e>(&self, entry: &'e Entry) -> Turn<'e> {
        match entry {
            Entry::Task(token) => Turn::Task(token),
            Entry::Ticket => Turn::Callback(self.event_loop.lane().next_location()),
        }
    }

    /// Runs one ready entry; false if the run is to stop before it.
    fn step(&mut self) -> bool {
        let (pool, place) = self.pick();
        let Some(entry) = self.pools[pool].entries.remove(place) else { return true };
        let worker = self.who_runs_it(pool);
        if !self.simulation.begins(worker, self.turn(&entry)) {
            self.pools[pool].entries.push_front(entry);
            self.event_loop.stop();
            return false;
        }
        self.become_worker(worker);
        self.run(entry, self.pools[pool].is_pinned);
        self.simulation.ended();
        self.gather();
        true
    }

    fn run(&self, entry: Entry, is_pinned: bool) {
        let player = &self.workers[self.current];
        let queue = if is_pinned { player.local_queue() } else { &player.queue };
        let budget = match entry {
            // Others run meanwhile, and may be quicker at any of its operations.
            Entry::Task(_) if self.has_chance() => self.simulation.budget(player.budget()),
            _ => player.budget(),
        };
        if self.event_loop.is_watched() {
            player.run_watched(entry, queue, budget);
        } else {
            player.run(entry, queue, budget);
        }
    }

    /// Whether there are several workers that run at a time.
    fn has_chance(&self) -> bool {
        self.workers.len() > 1 && !self.simulation.is_in_order()
    }

    fn pick(&self) -> (usize, usize) {
        if self.simulation.is_in_order() {
            return self.locate(0);
        }
        let key = |index| {
            let (pool, place) = self.locate(index);
            match &self.pools[pool].entries[place] {
                Entry::Task(token) => token.id().get(),
                Entry::Ticket => 0,
            }
        };
        let ready = self.ready();
        self.locate(if ready > 1 { self.simulation.pick(ready, &key) } else { 0 })
    }

    /// The worker where an entry of this pool lies, or another, which then has stolen half of the pool with it.
    fn who_runs_it(&mut self, pool: usize) -> usize {
        let Pool { worker, is_pinned, .. } = self.pools[pool];
        let workers = self.workers.len();
        if is_pinned || !self.has_chance() {
            return worker;
        }
        let thief = (worker + self.simulation.choose(workers)) % workers;
        if thief != worker {
            let half = self.pools[pool].entries.len() / 2;
            let stolen: Vec<Entry> = self.pools[pool].entries.drain(..half).collect();
            // Behind the pinned one there is a pool for each.
            self.pools[1 + thief].entries.extend(stolen);
        }
        thief
    }

    fn become_worker(&mut self, worker: usize) {
        if self.current != worker {
            self.workers[worker].be_current();
            self.current = worker;
        }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.become_worker(0);
        self.gather();
        for pool in &mut self.pools {
            let queue = pool.queue(&self.workers);
            pool.entries.drain(..).for_each(|entry| queue.push(entry));
        }
        self.workers.drain(1..).for_each(Worker::end_played);
    }
}
