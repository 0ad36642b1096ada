//! What is done to a scenario, and what has to hold then.
//!
//! A scenario is a handful of *roles* that play together over shared state. It is run in two ways, each by many seeds:
//!
//! - **storm**: all roles play, and some are cancelled or aborted at moments that the seed decides; tasks are polled for no reason now and then. Then the faults
//!   stop. What is at rest has to be in order, what is broken is healed (a shutdown where a producer is gone), and within 10 000 steps in all everything ends:
//!   roles, tasks that they left, and the clean-ups of both.
//! - **sweep**: each role in turn is cancelled at each of its awaits, and dropped at each, while the others play on.
//!
//! After each run the scenario checks itself: nothing is lost, nothing is held, everything is counted. And nobody who was told that he was cancelled ends
//! otherwise.

use asyncio::sim::{
    Failure, FailureKind, Sim, advance, cancel_points, drop_points, explore, rng, settle,
};
use asyncio::{JoinError, Task, all_tasks, create_task, get_running_loop, secs, sleep, yield_now};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Roles over shared state. If nobody is interrupted, all end by themselves.
pub(crate) trait Scenario: Send + Sync + Sized + 'static {
    /// How many play.
    const ROLES: usize;

    /// Whether a role that is cancelled may end with a value.
    const ANSWERS: bool = false;

    /// The state, made inside the simulation.
    fn new() -> Self;

    /// What a role does.
    fn play(self: Arc<Self>, role: usize) -> impl Future<Output = ()> + Send;

    /// The faults have stopped, and nothing can run.
    fn at_rest(&self) {}

    /// Brings what those need who wait for somebody that was interrupted.
    fn heal(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Everybody has ended.
    fn check(&self);
}

/// As many steps as a run may make.
const STEPS: u64 = 10_000;

/// As many seeds as the sweep gets for each of its own.
const SWEEPS: u64 = 100;

pub(crate) fn seeds() -> u64 {
    match std::env::var("ASYNCIO_SEEDS") {
        Ok(text) => text.parse().expect("ASYNCIO_SEEDS is a number"),
        Err(_) => 1_000,
    }
}

/// The one run that is asked for.
fn asked() -> Option<Sim> {
    let text = std::env::var("ASYNCIO_SEED").ok()?;
    let number = u64::from_str_radix(text.trim_start_matches("0x"), 16).map(Sim::new);
    Some(
        number.unwrap_or_else(|_| {
            Sim::replay(&text).expect("ASYNCIO_SEED is a number or a schedule")
        }),
    )
}

/// Runs a scenario in both ways.
pub(crate) fn play<S: Scenario>(name: &str) {
    run(&format!("{name}, storm"), seeds(), |sim| sim.steps(STEPS), storm::<S>);
    // What is to happen sometimes needs more than one fault at a time, and is looked for in the storm.
    let sweeps = (seeds() / SWEEPS).max(1);
    run_whatever_happens(&format!("{name}, sweep"), sweeps, sweep::<S>);
}

/// Runs `scenario` by all seeds.
pub(crate) fn run<F: Future>(
    name: &str,
    seeds: u64,
    configure: impl Fn(Sim) -> Sim,
    scenario: impl Fn() -> F,
) {
    match explore_unless_asked(seeds, &configure, &scenario) {
        Err(failure) => panic!("{name}: {failure}"),
        told => tell(name, told),
    }
}

/// As [`run`], for what is no proof of a scenario, so that not all has to happen that is to happen sometimes.
pub(crate) fn run_whatever_happens<F: Future>(name: &str, seeds: u64, scenario: impl Fn() -> F) {
    tell(name, explore_unless_asked(seeds, &|sim| sim, &scenario));
}

/// Whether one run was asked for, and is to be told of.
pub(crate) fn is_one_run() -> bool {
    asked().is_some()
}

/// As [`run`], by as many seeds as are asked for.
pub(crate) fn run_all<F: Future>(name: &str, scenario: impl Fn() -> F) {
    run(name, seeds(), |sim| sim.steps(STEPS), scenario);
}

type Told = Result<Option<(asyncio::sim::Explored, Instant)>, Box<Failure>>;

fn explore_unless_asked<F: Future>(
    seeds: u64,
    configure: &impl Fn(Sim) -> Sim,
    scenario: &impl Fn() -> F,
) -> Told {
    if let Some(sim) = asked() {
        return configure(sim).run(scenario()).map(|_| None);
    }
    let begin = Instant::now();
    explore(seeds, configure, scenario).map(|explored| Some((explored, begin)))
}

fn tell(name: &str, told: Told) {
    match told {
        Ok(Some((explored, begin))) => {
            let time = begin.elapsed().as_secs_f64();
            println!("{name}: {} seeds, {} steps, {time:.2} s", explored.runs, explored.steps);
        }
        Ok(None) => {}
        Err(failure) if matches!(failure.kind, FailureKind::Never(_)) => {}
        Err(failure) => panic!("{name}: {failure}"),
    }
}

async fn storm<S: Scenario>() {
    let scenario = Arc::new(S::new());
    let tasks: Vec<_> = (0..S::ROLES).map(|role| start(&scenario, role)).collect();
    let mut struck = vec![false; S::ROLES];
    let mut chance = rng();
    for _ in 0..chance.below(5) {
        pass(chance.below(8)).await;
        let victim = chance.below(S::ROLES as u64) as usize;
        let accepted = match chance.below(3) {
            0 => tasks[victim].abort(),
            _ => tasks[victim].cancel(),
        };
        struck[victim] |= accepted;
    }
    finish(&scenario, tasks, &struck).await;
    everything_ended().await;
    scenario.check();
}

/// Lets the others run, or time pass.
async fn pass(turns: u64) {
    match turns {
        7 => sleep(secs(1.0)).await,
        turns => {
            for _ in 0..turns {
                yield_now().await;
            }
        }
    }
}

fn start<S: Scenario>(scenario: &Arc<S>, role: usize) -> Task<()> {
    create_task(scenario.clone().play(role)).named(format!("role {role}"))
}

/// The faults have stopped.
async fn finish<S: Scenario>(scenario: &Arc<S>, tasks: Vec<Task<()>>, struck: &[bool]) {
    settle().await;
    scenario.at_rest();
    // Those that wait for a time to come have it first.
    advance(secs(100.0)).await;
    scenario.at_rest();
    scenario.heal().await;
    for (task, struck) in tasks.into_iter().zip(struck) {
        let name = task.get_name();
        let outcome = ended(task).await;
        let as_told = S::ANSWERS || outcome.is_err() == *struck;
        assert!(as_told, "{name} was struck: {struck}, and ended with {outcome:?}");
    }
}

/// Errors whose waiter was interrupted are told to the exception handler, as they are to be: the scenario has such errors.
pub(crate) fn expect_reports() {
    get_running_loop().set_exception_handler(Some(|_: &_, _: &_| {}));
}

/// The outcome of a task, unless it panicked.
pub(crate) async fn ended<T>(task: Task<T>) -> Result<T, JoinError> {
    match task.await {
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        outcome => outcome,
    }
}

/// Tasks that nobody has a handle of, and their clean-ups, come to an end too.
pub(crate) async fn everything_ended() {
    for _ in 0..3 {
        advance(secs(1000.0)).await;
    }
    let left: Vec<_> =
        all_tasks().iter().filter(|task| &*task.get_name() != "main").cloned().collect();
    assert!(left.is_empty(), "left: {left:?}");
}

async fn sweep<S: Scenario>() {
    for victim in 0..S::ROLES {
        for is_drop in [false, true] {
            let mut runs = Vec::new();
            let begin = || {
                let scenario = Arc::new(S::new());
                let others = (0..S::ROLES).filter(|role| *role != victim);
                let others: Vec<_> = others.map(|role| start(&scenario, role)).collect();
                runs.push((scenario.clone(), others));
                scenario.play(victim)
            };
            match is_drop {
                false => cancel_points(begin).await,
                true => drop_points(begin).await,
            };
            for (scenario, others) in &mut runs {
                let others = std::mem::take(others);
                let struck = vec![false; others.len()];
                finish(scenario, others, &struck).await;
            }
            everything_ended().await;
            runs.iter().for_each(|(scenario, _)| scenario.check());
        }
    }
}

/// Says that scenarios are tests.
macro_rules! scenarios {
    ($($name:ident: $scenario:ty),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let name = concat!(module_path!(), "::", stringify!($name));
                $crate::harness::play::<$scenario>(name.split_once("::").unwrap().1);
            }
        )*
    };
}
pub(crate) use scenarios;

/// Counts those who are inside of something.
#[derive(Debug, Default)]
pub(crate) struct Inside(AtomicUsize);

impl Inside {
    /// Comes in; out when the guard is dropped.
    pub(crate) fn enter(&self) -> Here<'_> {
        self.enter_with(1)
    }

    /// Comes in as so many.
    pub(crate) fn enter_with(&self, weight: usize) -> Here<'_> {
        self.0.fetch_add(weight, SeqCst);
        Here(self, weight)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

pub(crate) struct Here<'a>(&'a Inside, usize);

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(self.1, SeqCst);
    }
}

/// Counts what is dropped before it says that it is done.
pub(crate) struct UnlessDone<'a>(&'a AtomicUsize, AtomicBool);

impl<'a> UnlessDone<'a> {
    pub(crate) fn new(dropped: &'a AtomicUsize) -> Self {
        UnlessDone(dropped, AtomicBool::new(false))
    }

    pub(crate) fn done(&self) {
        self.1.store(true, SeqCst);
    }
}

impl Drop for UnlessDone<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(usize::from(!self.1.load(SeqCst)), SeqCst);
    }
}

/// A row in which nobody is served before those who came earlier and still wait.
#[derive(Debug, Default)]
pub(crate) struct Row(Mutex<(u64, VecDeque<u64>)>);

impl Row {
    /// Awaits what has a row of its own, with that many waiting in it by now, and sees to it that this one is served in turn.
    ///
    /// An await may let others run before it does anything, so it is in the row when that has become longer.
    pub(crate) async fn wait<F: Future>(
        &self,
        future: F,
        waiting: impl Fn() -> usize,
    ) -> F::Output {
        let mut future = pin!(future);
        let mut place = None;
        let served = poll_fn(|cx| {
            let before = waiting();
            let polled = future.as_mut().poll(cx);
            if polled.is_pending() && place.is_none() && waiting() > before {
                place = Some(self.join());
            }
            polled
        })
        .await;
        let first = self.0.lock().unwrap().1.front().copied();
        assert_eq!(first, place.as_ref().map(|place| place.1), "somebody was overtaken");
        served
    }

    fn join(&self) -> Place<'_> {
        let (last, row) = &mut *self.0.lock().unwrap();
        *last += 1;
        row.push_back(*last);
        Place(self, *last)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().1.len()
    }
}

/// Somebody's place; he leaves when it is dropped.
struct Place<'a>(&'a Row, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Ok(mut row) = self.0.0.lock() {
            row.1.retain(|place| *place != self.1);
        }
    }
}

/// What was put in and what came out, by number.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<(Vec<u32>, Vec<u32>)>);

impl Ledger {
    pub(crate) fn put(&self, item: u32) {
        self.0.lock().unwrap().0.push(item);
    }

    pub(crate) fn take(&self, item: u32) {
        self.0.lock().unwrap().1.push(item);
    }

    pub(crate) fn taken(&self) -> Vec<u32> {
        self.0.lock().unwrap().1.clone()
    }

    /// With what is `left`: nothing came out twice, and all that was put came out. More may have: a put that was cancelled may have been made.
    pub(crate) fn check(&self, left: impl IntoIterator<Item = u32>) {
        let (put, mut taken) = self.0.lock().unwrap().clone();
        taken.extend(left);
        let count = taken.len();
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(count, taken.len(), "an item came out twice");
        let lost: Vec<_> = put.iter().filter(|item| !taken.contains(item)).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
    }
}
