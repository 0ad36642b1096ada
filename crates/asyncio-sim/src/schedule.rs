//! A run as a short line of text, to be kept as a test.
//!
//! `2f-w4s-3:1,0:2` is the run of seed 2f (hexadecimal) on four workers with spurious wakes, whose choices are three zeros, a 1, and right behind it a
//! 2: `gap:choice` for each that is not 0. What comes after the last is zeros. An `f` behind the number of workers stands for asyncio's own order.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// All that decides a run, apart from the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Of the program's own random numbers.
    pub seed: u64,
    /// How many workers were played.
    pub workers: usize,
    /// Whether they ran what was ready in its order: then there are no choices.
    pub in_order: bool,
    /// Whether tasks were woken for no reason now and then.
    pub spurious_wakes: bool,
    /// The choices, in the order in which they were made.
    pub choices: Vec<u32>,
}

/// The text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSchedule(String);

impl fmt::Display for BadSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no schedule: one looks like 2f-w4s-3:1,0:2", self.0)
    }
}

impl std::error::Error for BadSchedule {}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spurious = if self.spurious_wakes { "s" } else { "" };
        let in_order = if self.in_order { "f" } else { "" };
        write!(f, "{:x}-w{}{in_order}{spurious}-", self.seed, self.workers)?;
        let (mut gap, mut comma) = (0, "");
        for &choice in &self.choices {
            if choice == 0 {
                gap += 1;
                continue;
            }
            write!(f, "{comma}{gap}:{choice}")?;
            (gap, comma) = (0, ",");
        }
        Ok(())
    }
}

/// Without the zeros at the end: a schedule goes on with zeros anyway.
pub fn trimmed(choices: &[u32]) -> &[u32] {
    let end = choices.iter().rposition(|&choice| choice != 0).map_or(0, |last| last + 1);
    &choices[..end]
}

/// More choices and workers than any run has that people look at: a slip of the pen is not to take all memory.
const MOST_CHOICES: usize = 1 << 24;
const MOST_WORKERS: usize = 1 << 10;

impl FromStr for Schedule {
    type Err = BadSchedule;

    fn from_str(text: &str) -> Result<Self, BadSchedule> {
        parse(text.trim()).ok_or_else(|| BadSchedule(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Schedule> {
    let mut parts = text.splitn(3, '-');
    let seed = parse_seed(parts.next()?).ok()?;
    let workers = parts.next()?.strip_prefix('w')?;
    let (workers, spurious_wakes) = take_flag(workers, 's');
    let (workers, in_order) = take_flag(workers, 'f');
    let workers = workers.parse().ok().filter(|workers| (1..=MOST_WORKERS).contains(workers))?;
    let mut choices = Vec::new();
    for pair in parts.next()?.split(',').filter(|pair| !pair.is_empty()) {
        let (gap, choice) = pair.split_once(':')?;
        let (gap, choice): (usize, u32) = (gap.parse().ok()?, choice.parse().ok()?);
        if choices.len().saturating_add(gap) >= MOST_CHOICES {
            return None;
        }
        choices.resize(choices.len() + gap, 0);
        choices.push(choice);
    }
    Some(Schedule { seed, workers, in_order, spurious_wakes, choices })
}

/// The text without the letter at its end, and whether that was there.
fn take_flag(text: &str, flag: char) -> (&str, bool) {
    text.strip_suffix(flag).map_or((text, false), |rest| (rest, true))
}

/// A seed as people write it: hexadecimal, with `0x` or without.
///
/// # Errors
///
/// What is wrong with the number.
pub fn parse_seed(text: &str) -> Result<u64, ParseIntError> {
    let text = text.trim();
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_example() {
        let schedule = Schedule {
            seed: 0x2f,
            workers: 4,
            in_order: false,
            spurious_wakes: true,
            choices: vec![0, 0, 0, 1, 2, 0],
        };
        assert_eq!(schedule.to_string(), "2f-w4s-3:1,0:2");
        let read: Schedule = "2f-w4s-3:1,0:2".parse().unwrap();
        assert_eq!(read.choices, [0, 0, 0, 1, 2]);
        assert_eq!("0-w1-".parse::<Schedule>().unwrap().choices, []);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let too_much =
            ["1-w1-99999999999:1", "1-w1-0:99999999999", "1-w1025-", "1ffffffffffffffff-w1-"];
        let no_form =
            ["", "2f", "2f-w4", "2f-4-", "2f-w0-", "x-w1-", "1-w1-3", "1-w1-:", "1-wsf-", "-1-w1-"];
        for bad in too_much.into_iter().chain(no_form) {
            let error = bad.parse::<Schedule>().unwrap_err();
            assert_eq!(error, BadSchedule(bad.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in "\\PC{0,40}",
            nearly in "[0-9a-fx]{0,18}-w[0-9]{0,4}[fs]{0,3}-([0-9]{0,6}:[0-9]{0,12},?){0,5}",
        ) {
            for text in [text, nearly] {
                if let Ok(schedule) = text.parse::<Schedule>() {
                    // Apart from zeros at the end.
                    let again: Schedule = schedule.to_string().parse().unwrap();
                    prop_assert_eq!(again.to_string(), schedule.to_string());
                    prop_assert_eq!(&again.choices, trimmed(&schedule.choices));
                }
            }
        }

        #[test]
        fn a_schedule_reads_what_it_writes(
            seed: u64,
            workers in 1_usize..100,
            in_order: bool,
            spurious_wakes: bool,
            mut choices in proptest::collection::vec(0_u32..4, 0..60),
        ) {
            choices.push(1);
            let schedule = Schedule { seed, workers, in_order, spurious_wakes, choices };
            prop_assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
    }
}
