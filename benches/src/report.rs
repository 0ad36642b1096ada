//! What a workload has measured.

use std::fmt;
use std::time::Duration;

/// Named numbers, the smaller the better.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report(Vec<(String, f64)>);

impl Report {
    /// A report of one number.
    pub fn one(name: &str, value: f64) -> Report {
        Report::default().and(name, value)
    }

    /// Nanoseconds for one of `n` operations.
    pub fn per_op(n: usize, elapsed: Duration) -> Report {
        Report::one("ns/op", elapsed.as_nanos() as f64 / n as f64)
    }

    /// The report with one number more.
    #[must_use]
    pub fn and(mut self, name: &str, value: f64) -> Report {
        self.0.push((name.to_owned(), value));
        self
    }

    /// Median and tail of samples in nanoseconds, given in microseconds.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn of_samples(mut samples: Vec<u64>) -> Report {
        samples.sort_unstable();
        let at = |part: f64| samples[((samples.len() - 1) as f64 * part) as usize] as f64 / 1e3;
        Report::one("p50 µs", at(0.5)).and("p99 µs", at(0.99))
    }

    /// The numbers in the order in which they were named.
    pub fn numbers(&self) -> &[(String, f64)] {
        &self.0
    }

    /// Reads what [`Display`](fmt::Display) wrote; lines of another form are passed over.
    pub fn parse(text: &str) -> Report {
        let line = |line: &str| {
            let (name, value) = line.rsplit_once('\t')?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        Report(text.lines().filter_map(line).collect())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name}\t{value:.3}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let report = Report::one("ns/op", 12.5).and("p99 µs", 3.0);
        assert_eq!(Report::parse(&format!("noise\n{report}")), report);
    }

    #[test]
    fn the_median_and_the_tail_are_samples() {
        let report = Report::of_samples((1..=101).map(|i| i * 1000).rev().collect());
        assert_eq!(report, Report::one("p50 µs", 51.0).and("p99 µs", 100.0));
    }
}
