//! Deterministic simulation: programs run on virtual workers, in virtual time, in an order that a seed decides.
//!
//! [`#[asyncio::test]`](macro@crate::test) is the usual way in; [`Sim`] and [`explore()`] are the same for programs that want to look at the outcome
//! themselves. See the chapter "Testing your program" (`docs/testing.md`) for what is simulated and where the limits are.
//!
//! One thread plays all workers of the loop, a turn of a task at a time. Which ready task is next, on which worker, and whether some task is
//! polled for no reason: the seed decides. When nothing is ready, time jumps to the next timer, so a sleep of a year takes no time; when there is none
//! either, the run has failed, with a report of who waits for whom.
//!
//! # Python
//!
//! No twin: there a test waits for real time, and a program that nobody wakes hangs.
//!
//! # Examples
//!
//! ```
//! use asyncio::sim::Sim;
//! use std::time::Duration;
//!
//! let year = Duration::from_secs(365 * 24 * 60 * 60);
//! let passed = Sim::new(1).run(async move {
//!     let begin = asyncio::now();
//!     asyncio::sleep(year).await;
//!     asyncio::now() - begin
//! });
//! assert_eq!(passed.unwrap(), year);
//! ```

mod coverage;
mod explore;
mod failure;
mod inside;
pub(crate) mod seams;
mod testing;
mod trace;
mod waits;
pub(crate) mod world;

pub use asyncio_base::wait::WaitKind;
pub use asyncio_sim::{BadSchedule, BadStrategy, Schedule, Strategy};
#[doc(hidden)]
pub use coverage::{is_simulated, reached};
pub use explore::{Explored, explore};
pub use failure::{Failure, FailureKind};
pub use inside::{SimRng, advance, cancel_points, drop_points, elapsed, jump_clock, rng, settle};
#[doc(hidden)]
pub use testing::{Outcome, Test};
pub use waits::Waiting;

use crate::contextvars::Context;
use crate::events::{EventLoop, set_event_loop, try_get_running_loop};
use crate::exceptions::RunError;
use crate::runners::Runner;
use asyncio_base::context::ContextSlot;
use asyncio_base::observe::observed;
use asyncio_sim::{Choices, Picker, Rng};
use asyncio_task::numbered_anew;
use std::future::IntoFuture;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use trace::Trace;
use world::{Limits, Rules, World};

/// A simulation of one program: how it is to be run, and [`run`](Self::run), which runs it.
///
/// # Examples
///
/// Two tasks, each of which waits for the other:
///
/// ```
/// use asyncio::sim::{FailureKind, Sim};
/// use asyncio::Lock;
/// use std::sync::Arc;
///
/// let failure = Sim::new(7).run(async {
///     let (a, b) = (Arc::new(Lock::new(())), Arc::new(Lock::new(())));
///     let (a2, b2) = (a.clone(), b.clone());
///     let other = asyncio::create_task(async move {
///         let _b = b2.acquire().await;
///         asyncio::yield_now().await;
///         let _a = a2.acquire().await;
///     });
///     let _a = a.acquire().await;
///     asyncio::sleep(asyncio::secs(1.0)).await;
///     let _b = b.acquire().await;
///     other.await.unwrap();
/// });
/// assert!(matches!(failure.unwrap_err().kind, FailureKind::Deadlock { .. }));
/// ```
#[derive(Clone, Debug)]
pub struct Sim {
    seed: u64,
    workers: usize,
    strategy: Option<Strategy>,
    spurious_wakes: bool,
    limits: Limits,
    allows_leaks: bool,
    replay: Option<Schedule>,
    keeps_trace: bool,
}

/// Runs `f`, whose tasks are observed and have numbers of their own.
fn apart<R>(f: impl FnOnce() -> R) -> R {
    observed(|| numbered_anew(f))
}

/// How many workers are played unless something else is said.
const WORKERS: usize = 4;

/// More steps than a test makes that is to end.
const STEPS: u64 = 1_000_000;

impl Sim {
    /// The simulation that this seed decides, with four workers.
    pub fn new(seed: u64) -> Self {
        Sim {
            seed,
            workers: WORKERS,
            strategy: None,
            spurious_wakes: true,
            limits: Limits { steps: STEPS, time: Duration::MAX },
            allows_leaks: false,
            replay: None,
            keeps_trace: false,
        }
    }

    /// The run that a [failure](Failure::schedule) reported.
    ///
    /// # Errors
    ///
    /// If the text is no schedule.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio::sim::Sim;
    ///
    /// let sim = Sim::replay("2f-w4s-3:1,0:2")?;
    /// assert_eq!(sim.seed(), 0x2f);
    /// # Ok::<(), asyncio::sim::BadSchedule>(())
    /// ```
    pub fn replay(schedule: &str) -> Result<Self, BadSchedule> {
        schedule.parse().map(|schedule| Sim::new(0).with_schedule(schedule))
    }

    pub(crate) fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.seed = schedule.seed;
        self.workers = schedule.workers;
        self.spurious_wakes = schedule.spurious_wakes;
        self.replay = Some(schedule);
        self
    }

    /// How many workers are played, at least 1.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn workers(mut self, workers: usize) -> Self {
        assert!(workers > 0, "a simulation has at least one worker");
        self.workers = workers;
        self
    }

    /// How the next task is picked. Unless this is said the seed decides: mostly at random, every fourth by priorities.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = Some(strategy);
        self
    }

    /// Whether tasks are polled for no reason now and then, which every future has to bear. They are, unless this is said or the strategy is
    /// [`Fifo`](Strategy::Fifo).
    pub fn spurious_wakes(mut self, wakes: bool) -> Self {
        self.spurious_wakes = wakes;
        self
    }

    /// After how many steps the run has failed: a million, unless this is said.
    pub fn steps(mut self, most: u64) -> Self {
        self.limits.steps = most;
        self
    }

    /// After how much virtual time the run has failed, if main has not ended. There is no limit unless this is said.
    pub fn time_limit(mut self, most: Duration) -> Self {
        self.limits.time = most;
        self
    }

    /// Whether main may leave tasks behind that wait for ever.
    pub fn allow_leaks(mut self, allow: bool) -> Self {
        self.allows_leaks = allow;
        self
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Runs `main` and ends what it left, as [`asyncio::run`](crate::run) does.
    ///
    /// # Errors
    ///
    /// The [kinds](FailureKind) of failure: a deadlock, a panic of main, tasks that it left, a step out of the simulation…
    ///
    /// # Panics
    ///
    /// If a loop runs on this thread already.
    #[track_caller]
    pub fn run<F: IntoFuture>(&self, main: F) -> Result<F::Output, Box<Failure>> {
        assert!(try_get_running_loop().is_err(), "a simulation cannot be run inside a loop");
        let world = self.make_world();
        let place = Location::caller();
        let ended = apart(|| self.run_in(&world, main, place));
        ended.map_err(|kind| self.failure(kind, &world))
    }

    fn make_world(&self) -> Arc<World> {
        let strategy = self.followed();
        let choices = match &self.replay {
            Some(schedule) => Choices::replayed(&schedule.choices),
            None => Choices::seeded(self.seed),
        };
        World::new(Rules {
            choices,
            picker: Picker::new(strategy, self.seed),
            is_in_order: strategy == Strategy::Fifo,
            spurious_wakes: self.spurious_wakes,
            // Not the row of the choices: what the program draws does not depend on how often it was interrupted.
            rng: Rng::new(self.seed ^ 0x5eed_0f7e_57ed_c0de),
            limits: self.limits,
            trace: Trace::new(self.keeps_trace),
        })
    }

    /// The strategy of this run.
    fn followed(&self) -> Strategy {
        match self.strategy {
            // A schedule of choices is followed whatever strategy made them.
            _ if self.replay.as_ref().is_some_and(|schedule| !schedule.in_order) => {
                Strategy::Random
            }
            _ if self.replay.is_some() => Strategy::Fifo,
            Some(strategy) => strategy,
            None if self.seed % 4 == 3 => Strategy::Pct(3),
            None => Strategy::Random,
        }
    }

    /// How many workers are played in this run: what is in order is of one.
    fn played(&self) -> usize {
        if self.followed() == Strategy::Fifo { 1 } else { self.workers }
    }

    fn run_in<F: IntoFuture>(
        &self,
        world: &Arc<World>,
        main: F,
        place: &'static Location<'static>,
    ) -> Result<F::Output, FailureKind> {
        let event_loop = EventLoop::simulated(self.played(), world.clone());
        let runner = Runner::simulated(event_loop);
        let event_loop = runner.get_loop();
        set_event_loop(Some(&event_loop));
        let context = ContextSlot::with(Context::new());
        let main = main.into_future();
        let run = || event_loop.run_main_at(main, context, place, |task| task.set_name("main"));
        let outcome = catch_unwind(AssertUnwindSafe(run));
        world.check_probe();
        world.main_is_over();
        let outcome = match (world.take_end(), outcome) {
            // Whatever came of it afterwards.
            (Some(end), _) => Err(end),
            (None, Err(panic)) => Err(FailureKind::Panic(panic)),
            (None, Ok(Ok(output))) => self.check_leaks(world, &event_loop).map(|()| output),
            (None, Ok(Err(RunError::Cancelled(_)))) => Err(FailureKind::Cancelled),
            (None, Ok(Err(_))) => Err(FailureKind::Stopped),
        };
        drop(event_loop);
        runner.close();
        let outcome = outcome?;
        let failed = match (world.take_end(), world.take_reports()) {
            (Some(end), _) => end,
            (None, reports) if !reports.is_empty() => FailureKind::Unhandled(reports),
            _ => return Ok(outcome),
        };
        world.keep_choices();
        Err(failed)
    }

    /// Lets what main left come to rest; what is there then waits for a time, or for ever.
    fn check_leaks(&self, world: &Arc<World>, event_loop: &EventLoop) -> Result<(), FailureKind> {
        if self.allows_leaks || event_loop.all_tasks().is_empty() {
            return Ok(());
        }
        let rested = event_loop.run_until_complete(inside::settle());
        let tasks = world.waiting();
        let failed = match (world.take_end(), rested) {
            (Some(end), _) => end,
            (None, Err(_)) => FailureKind::Stopped,
            (None, Ok(())) if tasks.is_empty() => return Ok(()),
            (None, Ok(())) => FailureKind::Leak { tasks },
        };
        world.keep_choices();
        Err(failed)
    }

    fn failure(&self, kind: FailureKind, world: &World) -> Box<Failure> {
        let told = world.told();
        Box::new(Failure {
            kind,
            seed: self.seed,
            step: told.step,
            time: told.time,
            schedule: Schedule {
                seed: self.seed,
                workers: self.played(),
                in_order: self.followed() == Strategy::Fifo,
                spurious_wakes: self.spurious_wakes,
                choices: world.choices(),
            },
            trace: world.take_trace().tail(),
            replay: None,
        })
    }
}
