//! Counts that no noise of a machine can touch: instructions, system calls, locked read-modify-writes, bytes.
//!
//! Each is a slope: the difference between a long run and a short one, by the operations that they differ in, so beginnings and ends cancel
//! out. Bytes are one run, of many objects.

mod saved;
mod tools;

use self::saved::{Counts, Verdict};
use self::tools::Tool;
use crate::{Failure, apart, find, option, runtimes, switch, workloads};

/// Whose counts are taken unless told.
const COUNTED: &str = "asyncio-1,tokio-ct,tokio-1,smol-1,smol-static-1,smol-local,asyncio-sync,tokio-sync,smol-sync,flume,kanal";

/// Where the counts are kept.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

pub(crate) fn count(words: &[&str]) -> Result<(), Failure> {
    let mut words = words.to_vec();
    let (save, check) = (switch(&mut words, "--save"), switch(&mut words, "--check"));
    let named = option(&mut words, "--runtimes")?;
    let slack = option(&mut words, "--slack")?.map_or(Ok(5.0), str::parse::<f64>)? / 100.0;
    // With one worker each, as callgrind runs one thread at a time. A check is about ours: the peers do not change between two commits.
    let usual = if check { "asyncio-1,asyncio-sync" } else { COUNTED };
    let runtimes = runtimes(named.or(Some(usual)));
    let tools = tools::present()?;
    let mut counts = Counts::default();
    for workload in workloads(&words) {
        for runtime in &runtimes {
            count_one(&workload, runtime, &tools, &mut counts);
        }
    }
    match (save, check) {
        (true, _) => Ok(counts.save(FILE)?),
        (_, true) => judge(&counts, slack),
        _ => Ok(()),
    }
}

/// Counts one workload on one runtime; nothing if there is no such thing, or if it depends on time.
fn count_one(workload: &str, runtime: &str, tools: &[Tool], counts: &mut Counts) {
    let Ok((found, _)) = find(workload, runtime) else { return };
    let mut note = |metric: &str, outcome: Result<f64, Failure>| match outcome {
        Ok(value) => {
            println!("{workload} {runtime} {metric} {value:.2}");
            counts.insert(workload, runtime, metric, value);
        }
        Err(failure) => eprintln!("{workload} on {runtime}: {metric}: {failure}"),
    };
    if workload.starts_with("bytes-") {
        let bytes = apart::run(workload, runtime);
        note("bytes", bytes.and_then(|report| Ok(report.numbers().first().ok_or("no number")?.1)));
    }
    let Some(n) = found.counted else { return };
    // Only our atomics can count themselves.
    for tool in tools.iter().filter(|tool| tool.suits(runtime)) {
        note(tool.metric(), tool.slope(workload, runtime, n));
    }
}

/// Compares with the saved counts, and fails if something has become worse.
fn judge(counts: &Counts, slack: f64) -> Result<(), Failure> {
    let before = Counts::load(FILE)?;
    let verdicts = counts.against(&before, slack);
    let mut worse = 0;
    for (key, verdict) in &verdicts {
        match verdict {
            Verdict::Same => {}
            Verdict::Better { was, is } => println!("better: {key}: {was:.2} -> {is:.2}"),
            Verdict::New { is } => println!("not saved yet: {key}: {is:.2}"),
            Verdict::Worse { was, is } => {
                worse += 1;
                println!("WORSE: {key}: {was:.2} -> {is:.2}");
            }
        }
    }
    println!("{} counts compared, {worse} worse", verdicts.len());
    if worse > 0 { Err(format!("{worse} counts are worse than in {FILE}").into()) } else { Ok(()) }
}
