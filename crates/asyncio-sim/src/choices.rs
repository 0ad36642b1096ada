//! The choices of one run.

use crate::rng::Rng;

/// Makes choices and notes them.
#[derive(Debug)]
pub struct Choices {
    source: Source,
    made: Vec<u32>,
}

#[derive(Debug)]
enum Source {
    Seeded(Rng),
    /// What is left of a schedule, the next one last.
    Replayed(Vec<u32>),
}

impl Choices {
    /// Choices drawn from a seed.
    pub fn seeded(seed: u64) -> Self {
        Choices { source: Source::Seeded(Rng::new(seed)), made: Vec::new() }
    }

    /// Choices read from a schedule; after its end all are 0.
    pub fn replayed(schedule: &[u32]) -> Self {
        let left = schedule.iter().rev().copied().collect();
        Choices { source: Source::Replayed(left), made: Vec::new() }
    }

    /// Notes in `made`, whose contents are lost but whose memory is used again.
    pub fn noting_in(mut self, mut made: Vec<u32>) -> Self {
        made.clear();
        self.made = made;
        self
    }

    /// A number below `bound`, drawn evenly. Where there is no choice nothing is noted.
    pub fn below(&mut self, bound: usize) -> usize {
        self.decide(bound, |rng| rng.below(bound as u64) as usize)
    }

    /// Whether something happens that happens once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.decide(2, |rng| usize::from(rng.one_in(times))) == 1
    }

    /// A number below `bound`, as `seeded` draws it.
    pub fn decide(&mut self, bound: usize, seeded: impl FnOnce(&mut Rng) -> usize) -> usize {
        if bound < 2 {
            return 0;
        }
        let choice = match &mut self.source {
            Source::Seeded(rng) => seeded(rng),
            // A schedule may be of another version of the program, or have been made smaller: it stays in bounds.
            Source::Replayed(left) => left.pop().map_or(0, |choice| choice as usize % bound),
        };
        self.made.push(choice as u32);
        choice
    }

    /// All choices so far.
    pub fn made(&self) -> &[u32] {
        &self.made
    }

    /// Gives the notes up.
    pub fn into_made(self) -> Vec<u32> {
        self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(choices: &mut Choices) -> Vec<usize> {
        [2, 9, 1, 100].map(|bound| choices.below(bound)).to_vec()
    }

    #[test]
    fn what_a_seed_chose_is_replayed() {
        for seed in 0..100 {
            let mut seeded = Choices::seeded(seed);
            let first = run(&mut seeded);
            let mut replayed = Choices::replayed(seeded.made());
            assert_eq!(run(&mut replayed), first);
            assert_eq!(replayed.made(), seeded.made());
        }
    }

    #[test]
    fn a_schedule_that_ends_goes_on_with_the_plainest_choice() {
        let mut replayed = Choices::replayed(&[1]);
        assert_eq!(run(&mut replayed), [1, 0, 0, 0]);
        assert!(!replayed.one_in(2));
    }

    #[test]
    fn a_choice_that_does_not_fit_is_brought_into_bounds() {
        assert_eq!(Choices::replayed(&[12]).below(5), 2);
    }

    #[test]
    fn no_choice_is_no_note() {
        let mut choices = Choices::seeded(3);
        assert_eq!(choices.below(1), 0);
        assert!(choices.made().is_empty());
    }
}
