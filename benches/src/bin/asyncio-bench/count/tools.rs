//! The counting tools: valgrind, strace, and our own counting build. One that is missing is named and left out.

use crate::Failure;
use asyncio_benches::report::Report;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A way to count something about one run of a workload.
pub(super) enum Tool {
    /// Instructions in user space, by callgrind.
    Callgrind,
    /// System calls, by strace.
    Strace,
    /// Locked read-modify-writes, by this program built with `asyncio_count_rmw`.
    CountingBuild(PathBuf),
}

/// The tools of this machine, and the counting build, which every machine can make.
pub(super) fn present() -> Result<Vec<Tool>, Failure> {
    let mut tools = vec![];
    if runs("valgrind") {
        tools.push(Tool::Callgrind);
    }
    if runs("strace") {
        tools.push(Tool::Strace);
    }
    let program = counting_build().map_err(|failure| format!("the counting build: {failure}"))?;
    tools.push(Tool::CountingBuild(program));
    Ok(tools)
}

fn runs(program: &str) -> bool {
    let runs = Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !runs {
        eprintln!("{program} is not there; what it counts is left out");
    }
    runs
}

/// Builds this program with the counting atomics, in a target directory of its own.
fn counting_build() -> Result<PathBuf, Failure> {
    let exe = env::current_exe()?;
    let release = exe.parent().ok_or("a program without a directory")?;
    let target = release.join("count-rmw");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--release", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    cargo.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", "--cfg asyncio_count_rmw");
    said(&cargo.output()?)?;
    Ok(target.join("release/asyncio-bench"))
}

impl Tool {
    pub(super) fn metric(&self) -> &'static str {
        match self {
            Tool::Callgrind => "instructions",
            Tool::Strace => "syscalls",
            Tool::CountingBuild(_) => "locked-rmws",
        }
    }

    pub(super) fn suits(&self, runtime: &str) -> bool {
        !matches!(self, Tool::CountingBuild(_)) || runtime.starts_with("asyncio")
    }

    /// What one operation costs: three times `n` against `n`.
    pub(super) fn slope(&self, workload: &str, runtime: &str, n: usize) -> Result<f64, Failure> {
        let short = self.total(workload, runtime, n)?;
        let long = self.total(workload, runtime, 3 * n)?;
        // What does not grow with the operations may come out a hair below nothing.
        Ok(((long - short) / (2 * n) as f64).max(0.0))
    }

    fn total(&self, workload: &str, runtime: &str, n: usize) -> Result<f64, Failure> {
        let this = env::current_exe()?;
        let n = n.to_string();
        let run = ["run", workload, runtime, &n];
        match self {
            Tool::Callgrind => {
                let mut valgrind = Command::new("valgrind");
                valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
                let said = said(&valgrind.arg(this).args(run).output()?)?.1;
                number_after(&said, "Collected : ")
            }
            Tool::Strace => {
                let mut strace = Command::new("strace");
                let said = said(
                    &strace.args(["-f", "-c", "-U", "calls,name"]).arg(this).args(run).output()?,
                )?
                .1;
                let total = said.lines().rev().find(|line| line.trim_end().ends_with("total"));
                number_after(total.ok_or("strace gave no total")?, "")
            }
            Tool::CountingBuild(program) => {
                let report = Report::parse(&said(&Command::new(program).args(run).output()?)?.0);
                let counted = report.numbers().iter().find(|(name, _)| name == "locked RMWs");
                Ok(counted.ok_or("the counting build counted nothing")?.1)
            }
        }
    }
}

/// Standard output and standard error of a program that did well.
fn said(output: &Output) -> Result<(String, String), Failure> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() {
        Ok((out, err))
    } else {
        Err(format!("{}: {err}", output.status).into())
    }
}

fn number_after(text: &str, mark: &str) -> Result<f64, Failure> {
    let (_, rest) = text.split_once(mark).ok_or(format!("no \"{mark}\" in: {text}"))?;
    Ok(rest.split_whitespace().next().ok_or("no number")?.parse()?)
}
