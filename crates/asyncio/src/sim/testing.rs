//! What `#[asyncio::test]` calls.

use super::explore::Exploration;
use super::{Sim, Strategy};
use crate::runners::Runner;
use crate::wiring::chance;
use asyncio_sim::Schedule;
use asyncio_sim::rng::seed_of;
use asyncio_sim::schedule::parse_seed;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::panic::Location;
use std::str::FromStr;
use std::time::Duration;

/// What a test's body may return.
pub trait Outcome {
    /// Why the test has failed, if it has.
    fn failure(self) -> Option<String>;
}

impl Outcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<T: Outcome, E: Debug> Outcome for Result<T, E> {
    fn failure(self) -> Option<String> {
        match self {
            Ok(value) => value.failure(),
            Err(error) => Some(format!("{error:?}")),
        }
    }
}

/// A test: what its attribute says. Not public API.
#[derive(Debug)]
pub struct Test {
    /// Its path within the crate.
    name: &'static str,
    seeds: Option<u64>,
    workers: Option<usize>,
    strategy: Option<Strategy>,
    timeout: Option<Duration>,
    replay: Option<Schedule>,
    is_real: bool,
}

impl Test {
    /// A test with nothing said. `name` is what its harness calls it, with the crate's name in front.
    pub fn new(name: &'static str) -> Self {
        let name = name.split_once("::").map_or(name, |(_crate, name)| name);
        Test {
            name,
            seeds: None,
            workers: None,
            strategy: None,
            timeout: None,
            replay: None,
            is_real: false,
        }
    }

    /// How many schedules are tried.
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = Some(seeds);
        self
    }

    /// How many workers are played, or how many there are.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How tasks are picked.
    #[track_caller]
    pub fn strategy(mut self, strategy: &str) -> Self {
        self.strategy = Some(parsed(strategy));
        self
    }

    /// After how many seconds the test has failed: of virtual time, or of real time.
    #[track_caller]
    pub fn timeout(mut self, seconds: f64) -> Self {
        self.timeout = Some(crate::secs(seconds));
        self
    }

    /// Runs one schedule only.
    #[track_caller]
    pub fn replay(mut self, schedule: &str) -> Self {
        self.replay = Some(parsed(schedule));
        self
    }

    /// Runs on the real runtime.
    pub fn real(mut self) -> Self {
        self.is_real = true;
        self
    }

    /// Runs the test.
    ///
    /// # Panics
    ///
    /// If it fails.
    #[track_caller]
    pub fn run<F, Fut>(self, scenario: F)
    where
        F: FnMut() -> Fut,
        Fut: Future,
        Fut::Output: Outcome,
    {
        if self.is_real {
            return self.run_really(scenario);
        }
        let sims = self.sims();
        let place = Location::caller();
        let exploration = Exploration { scenario, check: Outcome::failure, place };
        if let Err(mut failure) = exploration.explore(sims) {
            let replay = format!("ASYNCIO_SEED=0x{:x} cargo test {}", failure.seed, self.name);
            failure.replay = Some(replay);
            failure.fail_test();
        }
    }

    #[track_caller]
    fn run_really<F, Fut>(self, mut scenario: F)
    where
        F: FnMut() -> Fut,
        Fut: Future,
        Fut::Output: Outcome,
    {
        let builder = Runner::builder();
        let builder = match self.workers {
            Some(workers) => builder.workers(workers),
            None => builder,
        };
        let mut runner = builder.build().expect("a test needs a loop");
        let body = scenario();
        let limit = self.timeout;
        let outcome = runner.run(async {
            match limit {
                Some(limit) => crate::timeout(limit, body).await.map_err(|_| limit),
                None => Ok(body.await),
            }
        });
        runner.close();
        match outcome {
            Ok(Ok(outcome)) => {
                if let Some(error) = outcome.failure() {
                    panic!("the test returned an error: {error}");
                }
            }
            Ok(Err(limit)) => panic!("the test has not ended after {limit:?}"),
            Err(error) => panic!("the test did not end: {error}"),
        }
    }

    /// The simulations to run.
    fn sims(&self) -> impl Iterator<Item = Sim> + use<> {
        let asked = Asked::from_environment();
        let replay = asked.replay.or_else(|| self.replay.clone());
        let seeds = match (&replay, asked.seed) {
            (Some(_), _) => 1,
            (None, Some(_)) => asked.seeds.unwrap_or(1),
            (None, None) => asked.seeds.or(self.seeds).unwrap_or(1),
        };
        let first = asked.seed.unwrap_or_else(|| seed_of(self.name));
        let (workers, strategy, timeout) = (self.workers, self.strategy, self.timeout);
        (0..seeds).map(move |number| {
            let sim = Sim::new(first.wrapping_add(number));
            let sim = strategy.into_iter().fold(sim, Sim::strategy);
            let sim = workers.into_iter().fold(sim, Sim::workers);
            let sim = timeout.into_iter().fold(sim, Sim::time_limit);
            match &replay {
                Some(schedule) => sim.with_schedule(schedule.clone()),
                None => sim,
            }
        })
    }
}

/// What the environment asks for.
#[derive(Default)]
struct Asked {
    seed: Option<u64>,
    replay: Option<Schedule>,
    seeds: Option<u64>,
}

impl Asked {
    /// # Panics
    ///
    /// If a variable is set to what it cannot mean.
    #[track_caller]
    fn from_environment() -> Self {
        let mut asked = Asked::default();
        if let Some(text) = variable("ASYNCIO_SEED") {
            match (parse_seed(&text), text.parse()) {
                (Ok(seed), _) => asked.seed = Some(seed),
                (_, Ok(schedule)) => asked.replay = Some(schedule),
                _ if text == "random" => asked.seed = Some(any_seed()),
                _ => {
                    panic!("ASYNCIO_SEED is {text:?}: neither a number, nor a schedule, nor random")
                }
            }
        }
        if let Some(text) = variable("ASYNCIO_SEEDS") {
            let seeds = text.parse().ok().filter(|&seeds| seeds > 0);
            asked.seeds = Some(
                seeds.unwrap_or_else(|| panic!("ASYNCIO_SEEDS is {text:?}, not a number above 0")),
            );
        }
        asked
    }
}

/// What an attribute says.
#[track_caller]
fn parsed<T: FromStr<Err: Display>>(text: &str) -> T {
    match text.parse() {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A seed that nobody knows before. Half as many digits as there could be: it is to be typed.
fn any_seed() -> u64 {
    chance() >> 32
}
