//! From a schedule that fails to a simple one that fails: with as few choices other than 0 as can be found in so many tries.

use crate::schedule::trimmed;

/// Makes the choices simpler as long as `fails` says that a run by them fails in the same way. It is asked at most `tries` times.
pub fn shrink(choices: &[u32], tries: usize, mut fails: impl FnMut(&[u32]) -> bool) -> Vec<u32> {
    let mut simplest = Simplest { choices: trimmed(choices).to_vec(), tries };
    loop {
        let before = simplest.choices.clone();
        simplest.cut_short(&mut fails);
        simplest.clear_blocks(&mut fails);
        simplest.lower(&mut fails);
        if simplest.tries == 0 || simplest.choices == before {
            return simplest.choices;
        }
    }
}

/// The simplest that has failed so far.
struct Simplest {
    choices: Vec<u32>,
    tries: usize,
}

impl Simplest {
    /// Keeps the candidate if it fails too.
    fn try_out(&mut self, candidate: &[u32], fails: &mut impl FnMut(&[u32]) -> bool) -> bool {
        let candidate = trimmed(candidate);
        if self.tries == 0 || candidate == self.choices {
            return false;
        }
        self.tries -= 1;
        let failed = fails(candidate);
        if failed {
            self.choices = candidate.to_vec();
        }
        failed
    }

    /// Keeps the front only.
    fn cut_short(&mut self, fails: &mut impl FnMut(&[u32]) -> bool) {
        let mut cut = self.choices.len();
        while cut > 0 && self.tries > 0 {
            let keep = self.choices.len().saturating_sub(cut);
            let candidate = self.choices[..keep].to_vec();
            if !self.try_out(&candidate, fails) {
                cut /= 2;
            }
        }
    }

    /// Sets rows of choices to 0, long rows first.
    fn clear_blocks(&mut self, fails: &mut impl FnMut(&[u32]) -> bool) {
        let mut block = self.choices.len() / 2;
        while block > 0 && self.tries > 0 {
            let mut start = 0;
            while start < self.choices.len() {
                let mut candidate = self.choices.clone();
                let end = (start + block).min(candidate.len());
                candidate[start..end].fill(0);
                self.try_out(&candidate, fails);
                start += block;
            }
            block /= 2;
        }
    }

    /// Makes single choices smaller.
    fn lower(&mut self, fails: &mut impl FnMut(&[u32]) -> bool) {
        for index in 0..self.choices.len() {
            while let Some(&choice @ 2..) = self.choices.get(index) {
                let mut candidate = self.choices.clone();
                candidate[index] = choice / 2;
                if !self.try_out(&candidate, fails) {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_goes() {
        let fails = |choices: &[u32]| choices.get(13).is_some_and(|&choice| choice >= 2);
        let choices: Vec<u32> = (0..40).map(|index| index % 7).collect();
        let simple = shrink(&choices, 1000, fails);
        assert_eq!(simple[..13], [0; 13]);
        assert_eq!(simple[13..], [3], "13 % 7 is 6, and 6 / 2 / 2 would not fail");
    }

    #[test]
    fn two_that_are_needed_together_stay() {
        let fails = |choices: &[u32]| choices.get(3) == Some(&1) && choices.get(20) == Some(&1);
        let simple = shrink(&[1; 30], 1000, fails);
        assert_eq!(simple.iter().sum::<u32>(), 2);
        assert!(fails(&simple));
    }

    #[test]
    fn a_run_that_fails_anyway_needs_no_choice() {
        assert_eq!(shrink(&[3, 1, 2], 10, |_| true), []);
    }

    #[test]
    fn it_stops_when_it_has_tried_often_enough() {
        let mut tried = 0;
        let simple = shrink(&[5; 64], 10, |_| {
            tried += 1;
            false
        });
        assert_eq!(tried, 10);
        assert_eq!(simple, [5; 64]);
    }
}
