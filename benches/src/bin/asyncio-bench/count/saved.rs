//! The file of counts, one `workload runtime metric value` a line, and the comparison with it.

use crate::Failure;
use std::collections::BTreeMap;
use std::fs;

/// Counts by workload, runtime and metric.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<String, f64>);

/// What has become of one count.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Same,
    Better { was: f64, is: f64 },
    Worse { was: f64, is: f64 },
    New { is: f64 },
}

/// By how much a count may grow: `slack`, a part of it, and an amount.
///
/// Instructions depend a little on how the compiler lays the code out and on hash seeds, bytes on the allocator; system calls and RMWs are whole numbers
/// to which a wait now and then is added.
fn tolerance(key: &str, slack: f64) -> (f64, f64) {
    match key.rsplit(' ').next() {
        Some("instructions" | "bytes") => (slack, 2.0),
        _ => (0.0, 0.05),
    }
}

impl Counts {
    pub(super) fn insert(&mut self, workload: &str, runtime: &str, metric: &str, value: f64) {
        self.0.insert(format!("{workload} {runtime} {metric}"), value);
    }

    pub(super) fn load(path: &str) -> Result<Counts, Failure> {
        let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let line = |line: &str| {
            let (key, value) = line.rsplit_once(' ')?;
            Some((key.to_owned(), value.parse().ok()?))
        };
        Ok(Counts(text.lines().filter_map(line).collect()))
    }

    /// Writes these counts into the file and leaves the others there as they are.
    pub(super) fn save(self, path: &str) -> Result<(), Failure> {
        let mut all = Counts::load(path).unwrap_or_default();
        all.0.extend(self.0);
        let lines = all.0.iter().map(|(key, value)| format!("{key} {value:.2}\n"));
        Ok(fs::write(path, lines.collect::<String>())?)
    }

    /// What has become of each of these counts since `before`.
    pub(super) fn against(&self, before: &Counts, slack: f64) -> Vec<(String, Verdict)> {
        let judge = |(key, &is): (&String, &f64)| {
            let verdict = before.0.get(key).map_or(Verdict::New { is }, |&was| {
                let (part, amount) = tolerance(key, slack);
                let slack = was * part + amount;
                match is - was {
                    change if change > slack => Verdict::Worse { was, is },
                    change if change < -slack => Verdict::Better { was, is },
                    _ => Verdict::Same,
                }
            });
            (key.clone(), verdict)
        };
        self.0.iter().map(judge).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_judged_by_its_tolerance() {
        let (mut before, mut now) = (Counts::default(), Counts::default());
        for (metric, was, is) in [("instructions", 100.0, 106.0), ("syscalls", 4.0, 4.2)] {
            before.insert("echo", "asyncio-1", metric, was);
            now.insert("echo", "asyncio-1", metric, is);
        }
        now.insert("echo", "asyncio-1", "locked-rmws", 1.0);
        let verdicts: Vec<_> =
            now.against(&before, 0.05).into_iter().map(|(_, verdict)| verdict).collect();
        let worse = Verdict::Worse { was: 4.0, is: 4.2 };
        assert_eq!(verdicts, [Verdict::Same, Verdict::New { is: 1.0 }, worse]);
    }
}
