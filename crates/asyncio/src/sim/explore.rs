//! Many runs of one program, each by another seed.

use super::failure::{Failure, FailureKind};
use super::world::World;
use super::{Sim, Strategy, apart, coverage};
use asyncio_sim::{Schedule, shrink};
use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Once};

/// How many runs went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explored {
    /// Runs, those that were made twice counted once.
    pub runs: u64,
    /// Steps of all runs.
    pub steps: u64,
}

/// One run in so many is made twice, to see whether it is the same.
const REPEATED: u64 = 50;

/// How many runs it may take to make a failing schedule simpler.
const SHRINKS: usize = 400;

/// Runs what `scenario` makes by so many seeds, 0 and on, until one fails. `configure` says how each is run.
///
/// One run in fifty is made twice and its steps compared: a program whose run depends on anything but the seed is found out. A schedule that fails is
/// made simpler before it is reported. At the end, what was to happen [sometimes](crate::sometimes) has to have happened.
///
/// # Errors
///
/// The first failure.
///
/// # Panics
///
/// If a loop runs on this thread already.
///
/// # Examples
///
/// ```
/// use asyncio::sim::explore;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// // Two tasks add 1 to a number each, with an await in between.
/// let failure = explore(1000, |sim| sim, || async {
///     let number = Arc::new(AtomicU32::new(0));
///     let add = |number: Arc<AtomicU32>| async move {
///         let before = number.load(Ordering::Relaxed);
///         asyncio::yield_now().await;
///         number.store(before + 1, Ordering::Relaxed);
///     };
///     let tasks = [asyncio::create_task(add(number.clone())), asyncio::create_task(add(number.clone()))];
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(number.load(Ordering::Relaxed), 2);
/// });
/// assert!(failure.is_err());
/// ```
#[track_caller]
pub fn explore<F, Fut>(
    seeds: u64,
    configure: impl Fn(Sim) -> Sim,
    scenario: F,
) -> Result<Explored, Box<Failure>>
where
    F: FnMut() -> Fut,
    Fut: Future,
{
    let sims = (0..seeds).map(|seed| configure(Sim::new(seed)));
    Exploration { scenario, check: |_| None, place: Location::caller() }.explore(sims)
}

/// One program, to be run in many ways.
pub(super) struct Exploration<F, C> {
    pub(super) scenario: F,
    /// What is wrong with what main returned.
    pub(super) check: C,
    pub(super) place: &'static Location<'static>,
}

impl<F, Fut, C> Exploration<F, C>
where
    F: FnMut() -> Fut,
    Fut: Future,
    C: Fn(Fut::Output) -> Option<String>,
{
    /// Runs each of these.
    pub(super) fn explore(
        mut self,
        sims: impl Iterator<Item = Sim>,
    ) -> Result<Explored, Box<Failure>> {
        let mut explored = Explored { runs: 0, steps: 0 };
        let (failed, never) = coverage::collect(|| {
            for sim in sims {
                explored.runs += 1;
                let again = explored.runs % REPEATED == 1 && explored.runs > 1;
                let ran = if again { self.run_twice(&sim) } else { self.run_once(&sim) };
                match ran {
                    Ok(steps) => explored.steps += steps,
                    Err(failure) => return Err(self.simplest(&sim, failure)),
                }
            }
            Ok(explored)
        });
        let explored = failed?;
        if never.is_empty() {
            return Ok(explored);
        }
        let never = never.into_iter().map(str::to_owned).collect();
        Err(without_run(FailureKind::Never(never), explored))
    }

    fn run_once(&mut self, sim: &Sim) -> Result<u64, Box<Failure>> {
        let world = sim.make_world();
        self.run_in(sim, &world)
    }

    fn run_in(&mut self, sim: &Sim, world: &Arc<World>) -> Result<u64, Box<Failure>> {
        let main = async { (self.scenario)().await };
        let ran = apart(|| sim.run_in(world, main, self.place));
        let checked = ran.and_then(|output| match (self.check)(output) {
            Some(error) => Err(FailureKind::Returned(error)),
            None => Ok(world.step()),
        });
        checked.map_err(|kind| sim.failure(kind, world))
    }

    /// Makes a run twice and compares.
    fn run_twice(&mut self, sim: &Sim) -> Result<u64, Box<Failure>> {
        let sim = Sim { keeps_trace: true, ..sim.clone() };
        let worlds = [sim.make_world(), sim.make_world()];
        let steps = self.run_in(&sim, &worlds[0])?;
        self.run_in(&sim, &worlds[1])?;
        let second = worlds[1].take_trace();
        match worlds[0].take_trace().difference(&second) {
            None => Ok(steps),
            Some((first, second)) => {
                Err(sim.failure(FailureKind::NotDeterministic { first, second }, &worlds[1]))
            }
        }
    }

    /// The same failure by a simpler schedule, if there is one.
    fn simplest(&mut self, sim: &Sim, failure: Box<Failure>) -> Box<Failure> {
        // The plainest schedule lets one task run again and again: it is without end where a fair one is not.
        let stays = matches!(
            failure.kind,
            FailureKind::NotDeterministic { .. } | FailureKind::StepLimit { .. }
        );
        if sim.followed() == Strategy::Fifo || stays {
            return failure;
        }
        let mut best = None;
        let fails = |choices: &[u32]| {
            let schedule = Schedule { choices: choices.to_vec(), ..failure.schedule.clone() };
            let sim = sim.clone().with_schedule(schedule);
            match self.run_once(&sim) {
                Err(other) if other.kind.is_like(&failure.kind) => {
                    best = Some(other);
                    true
                }
                _ => false,
            }
        };
        silently(|| shrink(&failure.schedule.choices, SHRINKS, fails));
        best.unwrap_or(failure)
    }
}

/// A failure of all runs together.
fn without_run(kind: FailureKind, explored: Explored) -> Box<Failure> {
    let schedule = Schedule {
        seed: 0,
        workers: 1,
        in_order: true,
        spurious_wakes: false,
        choices: Vec::new(),
    };
    Box::new(Failure {
        kind,
        seed: 0,
        step: explored.steps,
        time: std::time::Duration::ZERO,
        schedule,
        trace: Vec::new(),
        replay: None,
    })
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` without the panic hook telling of every panic of this thread: a failing run that is tried a hundred times is told once.
fn silently<R>(f: impl FnOnce() -> R) -> R {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !SILENT.try_with(Cell::get).unwrap_or(false) {
                before(info);
            }
        }));
    });
    SILENT.with(|silent| silent.set(true));
    // A run catches its panics.
    let result = f();
    SILENT.with(|silent| silent.set(false));
    result
}
