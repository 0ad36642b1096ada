//! Wall-clock comparison: every runtime in a process of its own, in turns, round by round.
//!
//! A machine is now faster, now slower. Within a round the runtimes run right after each other, so ratios are taken within rounds and their
//! median is what is reported; the medians of the numbers themselves are beside it.

use crate::table::{Row, json, markdown};
use crate::{Failure, apart, option, runtimes, workloads};
use std::collections::BTreeMap;
use std::fs;

/// The numbers of one runtime for one metric, one per round; none where it failed.
pub(crate) type Rounds = BTreeMap<String, Vec<f64>>;

pub(crate) fn compare(words: &[&str]) -> Result<(), Failure> {
    let mut words = words.to_vec();
    let rounds = option(&mut words, "--rounds")?.map_or(Ok(7), str::parse::<usize>)?;
    let runtimes = runtimes(option(&mut words, "--runtimes")?);
    let out = option(&mut words, "--out")?.unwrap_or("benches-compare");
    let mut rows = vec![];
    for workload in workloads(&words) {
        let has = |runtime: &&String| apart::has(runtime, &workload);
        let having: Vec<_> = runtimes.iter().filter(has).collect();
        if having.is_empty() {
            return Err(format!("no workload {workload}").into());
        }
        let measured = measure(&workload, &having, rounds);
        for (metric, numbers) in measured {
            let row = Row::new(format!("{workload}: {metric}"), numbers);
            eprintln!("{}", row.line());
            rows.push(row);
        }
        // Written anew after each workload, so that a run that is cut short leaves what it has.
        fs::write(format!("{out}.md"), markdown(&rows, &runtimes))?;
        fs::write(format!("{out}.json"), json(&rows))?;
    }
    print!("{}", markdown(&rows, &runtimes));
    Ok(())
}

/// Each metric of a workload, in the order in which it is reported.
fn measure(workload: &str, runtimes: &[&String], rounds: usize) -> Vec<(String, Rounds)> {
    let mut metrics: Vec<(String, Rounds)> = vec![];
    for round in 0..rounds {
        // Who goes first changes, so that nobody always runs on a warmed or a throttled core.
        for i in 0..runtimes.len() {
            let runtime = runtimes[(i + round) % runtimes.len()];
            match apart::run(workload, runtime) {
                Ok(report) => {
                    for (metric, value) in report.numbers() {
                        let known = metrics.iter().position(|(name, _)| name == metric);
                        let at = known.unwrap_or_else(|| {
                            metrics.push((metric.clone(), Rounds::new()));
                            metrics.len() - 1
                        });
                        metrics[at].1.entry(runtime.clone()).or_default().push(*value);
                    }
                }
                Err(failure) => eprintln!("{failure}"),
            }
        }
    }
    metrics
}
