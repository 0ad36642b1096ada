//! The rows of a comparison, as Markdown and as JSON.

use crate::compare::Rounds;
use std::fmt::Write;

/// What ours is called, whatever its number of workers.
const OURS: &str = "asyncio";

/// One metric of one workload.
pub(crate) struct Row {
    name: String,
    rounds: Rounds,
}

/// Ours against one peer, from paired rounds.
struct Ratio {
    median: f64,
    least: f64,
    most: f64,
}

impl Row {
    pub(crate) fn new(name: String, rounds: Rounds) -> Row {
        Row { name, rounds }
    }

    fn median_of(&self, runtime: &str) -> Option<f64> {
        self.rounds.get(runtime).map(|rounds| median(rounds))
    }

    /// The runtime with the least median among ours, or among the others.
    fn best(&self, ours: bool) -> Option<&str> {
        let candidates = self.rounds.iter().filter(|(name, _)| name.starts_with(OURS) == ours);
        let by_median = |(_, a): &(&String, &Vec<f64>), (_, b): &(&String, &Vec<f64>)| {
            median(a).total_cmp(&median(b))
        };
        candidates.min_by(by_median).map(|(name, _)| name.as_str())
    }

    /// Our best against the best peer; `None` where a round of either is missing.
    fn ratio(&self) -> Option<Ratio> {
        let (ours, best) = (&self.rounds[self.best(true)?], &self.rounds[self.best(false)?]);
        if ours.len() != best.len() {
            return None;
        }
        let ratios: Vec<f64> = ours.iter().zip(best).map(|(ours, best)| ours / best).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        Some(Ratio { median: median(&ratios), least, most })
    }

    /// The row for a terminal.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{:<28}", self.name);
        for name in self.rounds.keys() {
            let _ = write!(line, " {name}={}", short(self.median_of(name)));
        }
        if let Some(ratio) = self.ratio() {
            let _ =
                write!(line, "  × best {:.2} ({:.2}–{:.2})", ratio.median, ratio.least, ratio.most);
        }
        line
    }
}

/// A table with a column for each runtime and one for the ratio to the best peer.
pub(crate) fn markdown(rows: &[Row], runtimes: &[String]) -> String {
    let mut text = format!("| workload | {} | × best peer |\n", runtimes.join(" | "));
    text += &format!("|---|{}---|\n", "---:|".repeat(runtimes.len()));
    for row in rows {
        let medians: Vec<_> = runtimes.iter().map(|name| short(row.median_of(name))).collect();
        let ratio = row.ratio().map_or("–".to_owned(), |ratio| {
            let best = row.best(false).unwrap_or_default();
            format!("{:.2} ({:.2}–{:.2}) {best}", ratio.median, ratio.least, ratio.most)
        });
        let _ = writeln!(text, "| {} | {} | {ratio} |", row.name, medians.join(" | "));
    }
    text
}

/// All rounds of all runtimes. Names hold no character that JSON would escape.
pub(crate) fn json(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let runtimes: Vec<_> =
            row.rounds.iter().map(|(name, rounds)| format!("    \"{name}\": {rounds:?}")).collect();
        format!("  \"{}\": {{\n{}\n  }}", row.name, runtimes.join(",\n"))
    };
    format!("{{\n{}\n}}\n", rows.iter().map(row).collect::<Vec<_>>().join(",\n"))
}

/// Three digits, so that tables can be read.
fn short(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() < 10.0 => format!("{value:.2}"),
        Some(value) if value.abs() < 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_paired_rounds_against_the_best_peer() {
        let rounds =
            [("asyncio-1", [1.0, 4.0, 2.0]), ("slow", [9.0; 3]), ("fast", [2.0, 4.0, 4.0])];
        let rounds = rounds.map(|(name, rounds)| (name.to_owned(), rounds.to_vec()));
        let row = Row::new("spawn: ns/op".to_owned(), Rounds::from(rounds));
        let ratio = row.ratio().expect("whole rounds");
        assert_eq!((ratio.median, ratio.least, ratio.most), (0.5, 0.5, 1.0));
        assert_eq!(row.best(false), Some("fast"));
    }
}
