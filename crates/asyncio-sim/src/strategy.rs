//! Which of several ready tasks comes next.

use crate::choices::Choices;
use crate::rng::Rng;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// A way to look for schedules that a program does not survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// asyncio's own order, one worker: what became ready first runs first. There is one such schedule.
    Fifo,
    /// Any ready task, each as likely.
    Random,
    /// Every task has a priority, and the highest ready one runs; at `depth - 1` moments the running one falls behind all others. Finds in few runs what
    /// needs that many things to happen in a certain order, however long the program (Burckhardt and others: *A Randomized Scheduler with
    /// Probabilistic Guarantees of Finding Bugs*, 2010).
    Pct(u32),
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Strategy::Fifo => f.write_str("fifo"),
            Strategy::Random => f.write_str("random"),
            Strategy::Pct(depth) => write!(f, "pct({depth})"),
        }
    }
}

/// The text names no strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadStrategy(String);

impl fmt::Display for BadStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no strategy is called {:?}: there are fifo, random and pct(depth)", self.0)
    }
}

impl std::error::Error for BadStrategy {}

impl FromStr for Strategy {
    type Err = BadStrategy;

    fn from_str(text: &str) -> Result<Self, BadStrategy> {
        let depth = |text: &str| text.strip_prefix("pct(")?.strip_suffix(')')?.parse().ok();
        match text.trim() {
            "fifo" => Ok(Strategy::Fifo),
            "random" => Ok(Strategy::Random),
            text => depth(text)
                .filter(|&depth| depth > 0)
                .map(Strategy::Pct)
                .ok_or_else(|| BadStrategy(text.to_owned())),
        }
    }
}

/// Follows a strategy through one run.
#[derive(Debug)]
pub struct Picker(Following);

#[derive(Debug)]
enum Following {
    Fifo,
    Random,
    Pct(Priorities),
}

impl Picker {
    /// At the beginning of the run of this seed.
    pub fn new(strategy: Strategy, seed: u64) -> Self {
        Picker(match strategy {
            Strategy::Fifo => Following::Fifo,
            Strategy::Random => Following::Random,
            Strategy::Pct(depth) => Following::Pct(Priorities::new(depth, seed)),
        })
    }

    /// Picks one of `count`, which `key` names: the same one has the same key throughout the run.
    pub fn pick(
        &mut self,
        choices: &mut Choices,
        count: usize,
        key: impl FnMut(usize) -> u64,
    ) -> usize {
        match &mut self.0 {
            Following::Fifo => 0,
            Following::Random => choices.below(count),
            Following::Pct(priorities) => {
                let highest = priorities.highest(count, key);
                choices.decide(count, |_| highest)
            }
        }
    }

    /// After how many operations that need not wait the one just picked lets others run; `None` for its own time.
    pub fn operations(&mut self, choices: &mut Choices) -> Option<u32> {
        let cut = |rng: &mut Rng| match &self.0 {
            Following::Fifo => 0,
            Following::Random if rng.one_in(CUT) => 1 + rng.below(MOST_OPERATIONS),
            Following::Random => 0,
            // Every operation is a moment at which it may fall behind.
            Following::Pct(_) => 2,
        };
        let choice = choices.decide(MOST_OPERATIONS as usize + 1, |rng| cut(rng) as usize);
        (choice as u32).checked_sub(1)
    }
}

/// One turn in so many is cut short at random, after fewer operations than this.
const CUT: u64 = 4;
const MOST_OPERATIONS: u64 = 8;

/// The priorities of one run.
#[derive(Debug)]
struct Priorities {
    rng: Rng,
    of: HashMap<u64, u64>,
    /// Steps at which the one that is picked falls behind, the next one last.
    falls: Vec<u64>,
    step: u64,
    /// Below all that were given so far.
    lowest: u64,
}

/// Priorities given at random are above this, those of the fallen below.
const FALLEN: u64 = 1 << 32;

/// How long a run is taken for: 2^4 to 2^11 steps. The seed decides, as a run's length is not known before.
const SHORTEST: u64 = 4;
const LENGTHS: u64 = 8;

/// At every so-manieth pick the highest falls behind, whatever it does: one that asks again and again whether others are done lets them run in the end.
const PATIENCE: u64 = 1024;

impl Priorities {
    fn new(depth: u32, seed: u64) -> Self {
        // Not the row that the choices are drawn from.
        let mut rng = Rng::new(!seed);
        let length = 1 << (SHORTEST + rng.below(LENGTHS));
        let mut falls: Vec<u64> = (1..depth).map(|_| rng.below(length)).collect();
        falls.sort_unstable_by(|a, b| b.cmp(a));
        Priorities { rng, of: HashMap::new(), falls, step: 0, lowest: FALLEN }
    }

    fn highest(&mut self, count: usize, mut key: impl FnMut(usize) -> u64) -> usize {
        let highest = (0..count).max_by_key(|&index| self.priority(key(index)));
        let highest = highest.expect("one of none cannot be picked");
        while self.falls.last() == Some(&self.step) {
            self.falls.pop();
            self.fall(key(highest));
        }
        self.step += 1;
        if self.step % PATIENCE == 0 {
            self.fall(key(highest));
        }
        highest
    }

    fn fall(&mut self, key: u64) {
        self.lowest -= 1;
        self.of.insert(key, self.lowest);
    }

    fn priority(&mut self, key: u64) -> u64 {
        *self.of.entry(key).or_insert_with(|| FALLEN + (self.rng.next_u64() >> 32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_reads_what_it_writes() {
        for strategy in [Strategy::Fifo, Strategy::Random, Strategy::Pct(3)] {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        for bad in ["", "lifo", "pct", "pct(0)", "pct(x)", "pct(3"] {
            assert_eq!(bad.parse::<Strategy>(), Err(BadStrategy(bad.to_owned())));
        }
    }

    #[test]
    fn fifo_takes_the_oldest_and_makes_no_choice() {
        let (mut choices, mut picker) = (Choices::seeded(1), Picker::new(Strategy::Fifo, 1));
        assert_eq!(picker.pick(&mut choices, 9, |index| index as u64), 0);
        assert!(choices.made().is_empty());
    }

    #[test]
    fn turns_are_cut_short_as_the_strategy_says() {
        let cuts = |strategy| {
            let (mut choices, mut picker) = (Choices::seeded(1), Picker::new(strategy, 1));
            (0..400).map(|_| picker.operations(&mut choices)).collect::<Vec<_>>()
        };
        assert!(cuts(Strategy::Fifo).iter().all(Option::is_none));
        assert!(cuts(Strategy::Pct(3)).iter().all(|&operations| operations == Some(1)));
        let random: Vec<u32> = cuts(Strategy::Random).into_iter().flatten().collect();
        assert!((70..130).contains(&random.len()), "{} of 400", random.len());
        assert!((0..8).all(|operations| random.contains(&operations)), "{random:?}");
    }

    /// Runs of two tasks of ten steps each: how often the picked one changes.
    fn switches(strategy: Strategy, seed: u64) -> usize {
        let (mut choices, mut picker) = (Choices::seeded(seed), Picker::new(strategy, seed));
        let row: Vec<usize> =
            (0..20).map(|_| picker.pick(&mut choices, 2, |index| index as u64)).collect();
        row.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    #[test]
    fn pct_changes_as_often_as_its_depth_says() {
        for depth in 1..4 {
            let most = (0..200).map(|seed| switches(Strategy::Pct(depth), seed)).max();
            assert_eq!(most, Some(depth as usize - 1));
        }
    }

    #[test]
    fn nobody_waits_for_ever() {
        for seed in 0..50 {
            let (mut choices, mut picker) =
                (Choices::seeded(seed), Picker::new(Strategy::Pct(1), seed));
            let mut picked = [0; 3];
            (0..20_000)
                .for_each(|_| picked[picker.pick(&mut choices, 3, |index| index as u64)] += 1);
            assert!(picked.iter().all(|&times| times > 1000), "{picked:?}");
        }
    }

    #[test]
    fn random_changes_all_the_time() {
        let switched = (0..200).map(|seed| switches(Strategy::Random, seed)).sum::<usize>() / 200;
        assert!((8..=11).contains(&switched), "{switched} of 19");
    }
}
