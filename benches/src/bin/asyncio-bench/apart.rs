//! One run of a workload in a process of its own: this program again, or Python's.

use crate::Failure;
use asyncio_benches::catalogue::{PYTHON, PYTHON_WORKLOADS, of_runtime};
use asyncio_benches::report::Report;
use std::env;
use std::process::{Command, Stdio};

/// The workloads of Python.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/bench.py");

/// Whether the runtime has this workload, and is there at all.
pub(crate) fn has(runtime: &str, workload: &str) -> bool {
    if PYTHON.contains(&runtime) {
        return PYTHON_WORKLOADS.contains(&workload);
    }
    of_runtime(runtime).is_some_and(|(all, _)| all.iter().any(|one| one.name == workload))
}

/// Whether it can run on this machine: Python may be missing, or its uvloop.
pub(crate) fn present(runtime: &str) -> bool {
    let import = match runtime {
        "python" => "import asyncio",
        "uvloop" => "import uvloop",
        _ => return of_runtime(runtime).is_some(),
    };
    let mut python = Command::new(interpreter());
    let imports = python.args(["-c", import]).stderr(Stdio::null()).status();
    let present = imports.is_ok_and(|status| status.success());
    if !present {
        eprintln!("{runtime} is not there and is left out (PYTHON names the interpreter)");
    }
    present
}

/// Whether the load generator of the workload `http` is on this machine.
pub(crate) fn wrk_is_present() -> bool {
    // It says what it is, and fails.
    let present = Command::new("wrk").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !present {
        eprintln!("wrk is not there, and http is left out");
    }
    present
}

fn interpreter() -> String {
    env::var("PYTHON").unwrap_or("python3".to_owned())
}

/// Runs one workload and reads its report.
pub(crate) fn run(workload: &str, runtime: &str) -> Result<Report, Failure> {
    let output = match runtime {
        "python" => Command::new(interpreter()).args([SCRIPT, workload]).output()?,
        "uvloop" => Command::new(interpreter()).args([SCRIPT, workload, "--uvloop"]).output()?,
        _ => Command::new(env::current_exe()?).args(["run", workload, runtime]).output()?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{workload} on {runtime}: {}: {said}", output.status).into());
    }
    Ok(Report::parse(&String::from_utf8_lossy(&output.stdout)))
}
