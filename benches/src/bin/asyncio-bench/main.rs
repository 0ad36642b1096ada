//! `asyncio-bench`: one workload, a comparison, or a count. `README.md` says what the numbers mean.
#![forbid(unsafe_code)]

mod apart;
mod compare;
mod count;
mod table;

use asyncio_benches::catalogue::{HTTP, PYTHON, RUNTIMES, Workload, of_runtime};
use asyncio_benches::process::cpu_time;
use asyncio_benches::report::Report;
use asyncio_benches::runtime::Setup;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "asyncio-bench list
asyncio-bench run WORKLOAD RUNTIME [N]
asyncio-bench compare [--rounds 7] [--runtimes A,B] [--out PATH] [WORKLOAD…]
asyncio-bench count [--save | --check [--slack 5]] [--runtimes A,B] [WORKLOAD…]";

/// Why a command could not be done, in words for the one who typed it.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["list"] => list(),
        ["run", workload, runtime] => run(workload, runtime, None),
        ["run", workload, runtime, n] => run(workload, runtime, Some(n)),
        ["compare", rest @ ..] => compare::compare(rest),
        ["count", rest @ ..] => count::count(rest),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Finds a workload of a runtime, and the number of workers that the runtime's name asks for.
fn find(workload: &str, runtime: &str) -> Result<(Workload, usize), Failure> {
    let (workloads, workers) = of_runtime(runtime).ok_or(format!("no runtime {runtime}"))?;
    let found = workloads.into_iter().find(|found| found.name == workload);
    Ok((found.ok_or(format!("{runtime} has no workload {workload}"))?, workers))
}

fn list() -> Result<(), Failure> {
    for runtime in RUNTIMES {
        let (workloads, _) = of_runtime(runtime).ok_or("an unknown runtime in the catalogue")?;
        let names: Vec<_> = workloads.iter().map(|workload| workload.name).collect();
        println!("{runtime}: {}", names.join(" "));
    }
    Ok(())
}

fn run(workload: &str, runtime: &str, n: Option<&str>) -> Result<(), Failure> {
    let (workload, workers) = find(workload, runtime)?;
    let n = n.map_or(Ok(workload.n), str::parse)?;
    let before = cpu_time();
    let report = (workload.run)(Setup { workers, n });
    let report = with_cpu_time(report, cpu_time() - before, n);
    print!("{}", counted(report));
    Ok(())
}

/// Adds the processor time of all threads, which other programs on the machine disturb less; where time is what is measured.
fn with_cpu_time(report: Report, spent: Duration, n: usize) -> Report {
    let timed = report.numbers().iter().any(|(name, _)| name == "ns/op" || name.contains('µ'));
    if timed { report.and("CPU ns/op", spent.as_nanos() as f64 / n as f64) } else { report }
}

/// Adds what the counting build has counted; other builds count nothing.
fn counted(report: Report) -> Report {
    #[cfg(asyncio_count_rmw)]
    let report = report.and("locked RMWs", asyncio_base::sync::rmw_count() as f64);
    report
}

/// Takes the value of an option out of the words.
fn option<'a>(words: &mut Vec<&'a str>, name: &str) -> Result<Option<&'a str>, Failure> {
    let Some(at) = words.iter().position(|word| *word == name) else { return Ok(None) };
    if at + 1 == words.len() {
        return Err(format!("{name} needs a value").into());
    }
    words.remove(at);
    Ok(Some(words.remove(at)))
}

/// Takes a switch out of the words.
fn switch(words: &mut Vec<&str>, name: &str) -> bool {
    let before = words.len();
    words.retain(|word| *word != name);
    words.len() < before
}

/// The runtimes that were named, else all; those that are not on this machine are left out.
fn runtimes(named: Option<&str>) -> Vec<String> {
    let mut names: Vec<&str> = match named {
        Some(named) => named.split(',').collect(),
        None => RUNTIMES.iter().chain(&PYTHON).copied().collect(),
    };
    names.retain(|name| apart::present(name));
    names.into_iter().map(str::to_owned).collect()
}

/// The workloads that were named, else all of the catalogue.
fn workloads(named: &[&str]) -> Vec<String> {
    let mut names: Vec<&str> = named.to_vec();
    if names.is_empty() {
        let ours = of_runtime(RUNTIMES[0]).map(|(ours, _)| ours).unwrap_or_default();
        names.extend(ours.iter().map(|workload| workload.name));
        if !apart::wrk_is_present() {
            names.retain(|name| *name != HTTP);
        }
    }
    names.into_iter().map(str::to_owned).collect()
}
