//! The world of a simulated loop: its clock, its chance, and what has become of its run.
//!
//! The scheduler [plays](asyncio_scheduler::simulated) the loop's workers on the thread of the run and asks here what it would leave to chance. When
//! nothing is ready, time jumps to the next timer; when there is none either, the run is over: every task that waits is polled once more, and if
//! none goes on that is a deadlock, else a wake-up was lost.

use super::failure::FailureKind;
use super::trace::{Trace, What};
use super::waits;
use crate::executors::Job;
use crate::wiring::Wiring;
use asyncio_base::sync::{Mutex, MutexGuard};
use asyncio_scheduler::Loop;
use asyncio_scheduler::simulated::{Simulation, Turn};
use asyncio_sim::{Choices, Picker, Rng};
use asyncio_task::{TaskHandle, contain};
use std::collections::VecDeque;
use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// A wake-up for no reason once in so many steps.
const SPURIOUS: u64 = 32;

/// A job that waits runs before the next step once in so many; when nothing is ready it does.
const JOB_ENDS: u64 = 4;

/// The moment at which all simulations of the process begin.
fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(crate::system_clock::system_now)
}

/// As far as a clock can be moved by hand: a century.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// How far a run may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) steps: u64,
    pub(super) time: Duration,
}

/// What decides a run, and how far it may go.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) choices: Choices,
    pub(super) picker: Picker,
    pub(super) is_in_order: bool,
    pub(super) spurious_wakes: bool,
    pub(super) rng: Rng,
    pub(super) limits: Limits,
    pub(super) trace: Trace,
}

pub(crate) struct World {
    thread: ThreadId,
    beginning: Instant,
    elapsed: Mutex<Duration>,
    is_in_order: bool,
    limits: Limits,
    rng: Mutex<Rng>,
    wiring: OnceLock<Weak<Wiring>>,
    scheduler: OnceLock<Weak<Loop>>,
    state: Mutex<State>,
}

struct State {
    choices: Choices,
    picker: Picker,
    spurious_wakes: bool,
    trace: Trace,
    step: u64,
    /// Why the run cannot go on; the first reason stays.
    end: Option<FailureKind>,
    /// Where the run was when main ended or could not go on. What comes after is its end, and not told of.
    told: Option<Told>,
    /// Reports to an exception handler that the program has not set.
    reports: Vec<String>,
    /// Who waits until nothing is ready.
    settling: Vec<Waker>,
    /// How often that has been so.
    settled: u64,
    /// What `to_thread` was given.
    jobs: VecDeque<Job>,
    probe: Option<Probe>,
}

/// How far a run had come.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub(super) step: u64,
    pub(super) time: Duration,
    /// How many choices had been made.
    choices: usize,
}

/// All tasks that wait have been polled once more.
struct Probe {
    /// The step at which nobody is left to poll.
    done_at: u64,
    /// How they stood before.
    before: Vec<(TaskHandle, waits::Waiting)>,
}

impl World {
    pub(super) fn new(rules: Rules) -> Arc<World> {
        let Rules { choices, picker, is_in_order, spurious_wakes, rng, limits, trace } = rules;
        Arc::new(World {
            thread: thread::current().id(),
            beginning: beginning(),
            elapsed: Mutex::new(Duration::ZERO),
            is_in_order,
            limits,
            rng: Mutex::new(rng),
            wiring: OnceLock::new(),
            scheduler: OnceLock::new(),
            state: Mutex::new(State {
                choices,
                picker,
                spurious_wakes,
                trace,
                step: 0,
                end: None,
                told: None,
                reports: Vec::new(),
                settling: Vec::new(),
                settled: 0,
                jobs: VecDeque::new(),
                probe: None,
            }),
        })
    }

    pub(crate) fn attach(&self, wiring: &Arc<Wiring>, scheduler: &Arc<Loop>) {
        let _ = self.wiring.set(Arc::downgrade(wiring));
        let _ = self.scheduler.set(Arc::downgrade(scheduler));
    }

    // ----- time

    pub(super) fn elapsed(&self) -> Duration {
        *self.elapsed.lock()
    }

    pub(super) fn now(&self) -> Instant {
        self.beginning + self.elapsed()
    }

    /// When its time began.
    pub(super) fn beginning(&self) -> Instant {
        self.beginning
    }

    /// Moves the clock, and fires nothing.
    pub(super) fn jump(&self, by: Duration) {
        let mut elapsed = self.elapsed.lock();
        *elapsed = elapsed.saturating_add(by).min(LONGEST);
    }

    /// Lets time pass until the next timer; false if there is none, or it is beyond the limit.
    fn pass_time(&self) -> bool {
        let Some(wiring) = self.wiring.get().and_then(Weak::upgrade) else { return false };
        let Some(next) = wiring.next_timer() else { return false };
        let at = next.saturating_duration_since(self.beginning);
        let limit = self.limits.time;
        {
            let mut elapsed = self.elapsed.lock();
            // A step back is none: a timer that is due already waits for the next look only.
            *elapsed = at.min(limit).max(*elapsed);
        }
        if at > limit {
            self.fail(|| FailureKind::TimeLimit { limit, waiting: self.waiting() });
        }
        at <= limit
    }

    // ----- what becomes of the run

    /// Notes why the run cannot go on, if it could until now.
    pub(super) fn fail(&self, kind: impl FnOnce() -> FailureKind) {
        if self.is_over() {
            return;
        }
        let kind = kind();
        self.state.lock().end.get_or_insert(kind);
        self.main_is_over();
    }

    /// What happens from now on is not part of what is told.
    pub(super) fn main_is_over(&self) {
        let told = self.so_far();
        let mut state = self.state.lock();
        state.told.get_or_insert(told);
        state.trace.end();
    }

    /// What has happened since main was over belongs to the schedule too.
    pub(super) fn keep_choices(&self) {
        let choices = self.so_far().choices;
        self.state.lock().told.iter_mut().for_each(|told| told.choices = choices);
    }

    fn so_far(&self) -> Told {
        let (time, state) = (self.elapsed(), self.state.lock());
        Told { step: state.step, time, choices: state.choices.made().len() }
    }

    /// How far the run had come when it was over.
    pub(super) fn told(&self) -> Told {
        let told = self.state.lock().told;
        told.unwrap_or_else(|| self.so_far())
    }

    /// Something left the simulation.
    pub(crate) fn escaped(&self, what: &str, place: Option<&'static Location<'static>>) {
        let thread = thread::current();
        let elsewhere = thread.id() != self.thread;
        self.fail(|| FailureKind::Escape {
            what: what.to_owned(),
            place,
            thread: elsewhere.then(|| thread.name().unwrap_or("unnamed").to_owned()),
        });
    }

    /// Notes that another thread than the one of the simulation called something.
    pub(crate) fn check_thread(&self, called: &str, place: &'static Location<'static>) {
        if thread::current().id() != self.thread {
            self.escaped(called, Some(place));
        }
    }

    /// A report for the default exception handler.
    pub(crate) fn reported(&self, report: String) {
        self.state.lock().reports.push(report);
    }

    fn is_over(&self) -> bool {
        self.state.lock().end.is_some()
    }

    /// Why the run was stopped.
    pub(super) fn take_end(&self) -> Option<FailureKind> {
        self.state.lock().end.take()
    }

    pub(super) fn take_reports(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().reports)
    }

    pub(super) fn step(&self) -> u64 {
        self.state.lock().step
    }

    /// The choices that led to what is told.
    pub(super) fn choices(&self) -> Vec<u32> {
        let made = self.told().choices;
        asyncio_sim::schedule::trimmed(&self.state.lock().choices.made()[..made]).to_vec()
    }

    /// What has happened; from now on nothing is noted.
    pub(super) fn take_trace(&self) -> Trace {
        let mut none = Trace::new(false);
        none.end();
        std::mem::replace(&mut self.state.lock().trace, none)
    }

    /// Who waits for whom, of all tasks that there are.
    pub(super) fn waiting(&self) -> Vec<waits::Waiting> {
        self.tasks().iter().map(waits::Waiting::of).collect()
    }

    fn tasks(&self) -> Vec<TaskHandle> {
        let scheduler = self.scheduler.get().and_then(Weak::upgrade);
        scheduler.map(|scheduler| scheduler.all_tasks()).unwrap_or_default()
    }

    // ----- what the program asks for

    /// The row that the program draws from.
    pub(super) fn rng(&self) -> MutexGuard<'_, Rng> {
        self.rng.lock()
    }

    /// Keeps a job until its turn.
    pub(super) fn take_job(&self, job: Job) {
        self.state.lock().jobs.push_back(job);
    }

    /// How often nothing was ready, all in all.
    pub(super) fn settled(&self) -> u64 {
        self.state.lock().settled
    }

    pub(super) fn wait_settled(&self, waker: Waker) {
        self.state.lock().settling.push(waker);
    }

    // ----- when nothing is ready

    /// Runs one of the jobs, in any order; false if there is none.
    fn run_job(&self) -> bool {
        let (job, gone) = {
            let mut state = self.state.lock();
            let waiting = state.jobs.len();
            let chosen = if self.is_in_order { 0 } else { state.choices.below(waiting) };
            let job = state.jobs.remove(chosen);
            let gone = job.as_ref().and_then(|_| state.trace.note(0, What::Job, self.elapsed()));
            (job, gone)
        };
        drop(gone);
        // As a thread of a pool does: the panic of a job is its outcome, and what a waker throws is nobody's.
        job.map(|job| contain(|| job.run())).is_some()
    }

    fn wake_settled(&self) -> bool {
        let settling = {
            let mut state = self.state.lock();
            state.settled += 1;
            std::mem::take(&mut state.settling)
        };
        let any = !settling.is_empty();
        settling.into_iter().for_each(Waker::wake);
        any
    }

    /// Polls every task once more; false if that has been done and nobody went on, which is a deadlock.
    fn probe(&self) -> bool {
        let probed = self.state.lock().probe.take();
        if let Some(Probe { before, .. }) = probed {
            let waiting = before.into_iter().map(|(_, waiting)| waiting).collect();
            self.fail(|| FailureKind::Deadlock { waiting });
            return false;
        }
        self.main_is_over();
        let tasks = self.tasks();
        let done_at = self.step() + tasks.len() as u64;
        let before = tasks.iter().map(|task| (task.clone(), waits::Waiting::of(task))).collect();
        self.state.lock().probe = Some(Probe { done_at, before });
        tasks.iter().for_each(TaskHandle::wake);
        !tasks.is_empty()
    }

    /// Whether tasks are polled to see whether anybody goes on.
    pub(super) fn is_probing(&self) -> bool {
        self.state.lock().probe.is_some()
    }

    /// Somebody has gone on since nothing was ready any more, though nobody was woken.
    pub(super) fn check_probe(&self) {
        let probed = self.state.lock().probe.take();
        let Some(Probe { before, .. }) = probed else { return };
        let task = waits::moved(&before).cloned();
        let waiting = before.into_iter().map(|(_, waiting)| waiting).collect();
        self.fail(|| FailureKind::LostWakeUp { task, waiting });
    }
}

impl Simulation for World {
    fn is_in_order(&self) -> bool {
        self.is_in_order
    }

    fn pick(&self, count: usize, key: &dyn Fn(usize) -> u64) -> usize {
        let State { choices, picker, .. } = &mut *self.state.lock();
        picker.pick(choices, count, key)
    }

    fn choose(&self, bound: usize) -> usize {
        self.state.lock().choices.below(bound)
    }

    fn meanwhile(&self) {
        let ends = {
            let mut state = self.state.lock();
            !state.jobs.is_empty() && state.probe.is_none() && state.choices.one_in(JOB_ENDS)
        };
        if ends {
            self.run_job();
        }
    }

    fn wakes_for_no_reason(&self) -> bool {
        let mut state = self.state.lock();
        state.spurious_wakes && state.probe.is_none() && state.choices.one_in(SPURIOUS)
    }

    fn budget(&self, most: u32) -> u32 {
        let State { choices, picker, probe, .. } = &mut *self.state.lock();
        // A probe that cuts turns short would take them for progress.
        match probe {
            Some(_) => most,
            None => picker.operations(choices).unwrap_or(most),
        }
    }

    fn begins(&self, worker: usize, turn: Turn<'_>) -> bool {
        if self.step() >= self.limits.steps {
            let limit = self.limits.steps;
            self.fail(|| FailureKind::StepLimit { limit, waiting: self.waiting() });
        }
        let (gone, is_probed) = {
            let mut state = self.state.lock();
            if state.end.is_some() {
                return false;
            }
            state.step += 1;
            let what = match turn {
                Turn::Task(token) => What::Task(token.handle()),
                Turn::Callback(place) => What::Callback(place),
            };
            let gone = state.trace.note(worker, what, self.elapsed());
            (gone, state.probe.as_ref().is_some_and(|probe| state.step > probe.done_at))
        };
        drop(gone);
        if is_probed {
            self.check_probe();
        }
        !is_probed
    }

    fn ended(&self) {
        self.state.lock().trace.note_end();
    }

    fn rests(&self) -> bool {
        if self.is_over() {
            return false;
        }
        if !self.is_probing() && (self.run_job() || self.wake_settled() || self.pass_time()) {
            return true;
        }
        // Time may have come to its limit.
        !self.is_over() && self.probe()
    }

    fn intrudes(&self, turn: Turn<'_>) {
        match turn {
            Turn::Task(token) => {
                let task = waits::Waiting::of(&token.handle());
                self.fail(|| FailureKind::Intruder { task });
            }
            Turn::Callback(place) => self.escaped("a callback", place),
        }
    }
}
