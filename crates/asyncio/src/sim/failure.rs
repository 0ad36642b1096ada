//! Why a simulated run failed, for people to read.

use super::waits::{InWords, Waiting, circle};
use asyncio_sim::Schedule;
use asyncio_task::panic_text;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{Location, resume_unwind};
use std::time::Duration;

/// A simulated run that failed, and all that is needed to see it again.
#[non_exhaustive]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// The seed of the run.
    pub seed: u64,
    /// How many steps were made.
    pub step: u64,
    /// How much virtual time had passed.
    pub time: Duration,
    /// What decides the run: give it to [`Sim::replay`](super::Sim::replay).
    pub schedule: Schedule,
    /// The last steps, a line each.
    pub trace: Vec<String>,
    /// The command that makes the run again, if it is that of a test.
    pub replay: Option<String>,
}

/// What went wrong in a simulated run.
#[non_exhaustive]
pub enum FailureKind {
    /// Main panicked, with this.
    Panic(Box<dyn Any + Send>),
    /// Main gave an error.
    Returned(String),
    /// Main was cancelled.
    Cancelled,
    /// Main, or somebody in its name, stopped the loop.
    Stopped,
    /// Nothing can run, no timer is set, and main has not ended.
    Deadlock {
        /// All tasks.
        waiting: Vec<Waiting>,
    },
    /// As a deadlock, but for a task that goes on when it is polled: somebody forgot to wake it.
    LostWakeUp {
        /// That task, if it is still there.
        task: Option<Waiting>,
        /// All tasks.
        waiting: Vec<Waiting>,
    },
    /// Main has ended, and these tasks wait for something that does not come.
    Leak {
        /// Those tasks.
        tasks: Vec<Waiting>,
    },
    /// The run had not ended after so many steps.
    StepLimit {
        /// How many.
        limit: u64,
        /// All tasks.
        waiting: Vec<Waiting>,
    },
    /// The run had not ended after so much virtual time.
    TimeLimit {
        /// How much.
        limit: Duration,
        /// All tasks.
        waiting: Vec<Waiting>,
    },
    /// Something left the simulation: a real descriptor, a thread.
    Escape {
        /// What.
        what: String,
        /// Where.
        place: Option<&'static Location<'static>>,
        /// On which other thread.
        thread: Option<String>,
    },
    /// Another thread woke a task.
    Intruder {
        /// The task.
        task: Waiting,
    },
    /// Errors that nobody waited for, as the exception handler was told.
    Unhandled(Vec<String>),
    /// The same seed gave another run.
    NotDeterministic {
        /// What the two runs did at the first step in which they differ.
        first: String,
        /// And the second one.
        second: String,
    },
    /// What was to happen [sometimes](crate::sometimes) never did.
    Never(Vec<String>),
}

impl Failure {
    /// Fails the test that this thread runs: with main's panic if it is one, else with one that says what went wrong. The report is written to standard
    /// error first, and nothing else: where *this* code is does not help anybody.
    pub(super) fn fail_test(self) -> ! {
        eprint!("{self}");
        match self.kind {
            FailureKind::Panic(panic) => resume_unwind(panic),
            kind => resume_unwind(Box::new(Summary(&kind).to_string())),
        }
    }
}

impl FailureKind {
    /// Whether it is the same thing that went wrong, as far as can be told.
    pub(super) fn is_like(&self, other: &FailureKind) -> bool {
        match (self, other) {
            (FailureKind::Panic(a), FailureKind::Panic(b)) => panic_text(&**a) == panic_text(&**b),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// The first line of a report.
struct Summary<'a>(&'a FailureKind);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FailureKind::Panic(panic) => {
                write!(f, "main panicked: {}", panic_text(&**panic).unwrap_or("(no message)"))
            }
            FailureKind::Returned(error) => write!(f, "main returned an error: {error}"),
            FailureKind::Cancelled => f.write_str("main was cancelled"),
            FailureKind::Stopped => f.write_str("the loop was stopped before main ended"),
            FailureKind::Deadlock { .. } => {
                f.write_str("deadlock: nothing can run, no timer is set, and main has not ended")
            }
            FailureKind::LostWakeUp { .. } => f.write_str(
                "lost wake-up: a task could go on, but nobody has woken it, and nothing else can run",
            ),
            FailureKind::Leak { .. } => {
                f.write_str("leak: main has ended, and has left tasks that wait")
            }
            FailureKind::StepLimit { limit, .. } => {
                write!(f, "no end: the run has made {limit} steps")
            }
            FailureKind::TimeLimit { limit, .. } => {
                write!(f, "too long: main has not ended after {limit:?} of virtual time")
            }
            FailureKind::Escape { what, place, thread } => {
                write!(f, "{what} leaves the simulation")?;
                place.iter().try_for_each(|place| write!(f, " at {place}"))?;
                thread.iter().try_for_each(|name| write!(f, ", on the thread \"{name}\""))
            }
            FailureKind::Intruder { .. } => {
                f.write_str("another thread woke a task of the simulation")
            }
            FailureKind::Unhandled(reports) => {
                write!(f, "{} that nobody handled", Errors(reports.len()))
            }
            FailureKind::NotDeterministic { .. } => f.write_str("the same seed gave another run"),
            FailureKind::Never(what) => {
                write!(f, "never happened, though it should sometimes: {}", what.join(", "))
            }
        }
    }
}

struct Errors(usize);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 1 { f.write_str("an error") } else { write!(f, "{} errors", self.0) }
    }
}

/// The lines that belong to what went wrong.
struct Details<'a>(&'a FailureKind);

impl fmt::Display for Details<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FailureKind::StepLimit { waiting, .. } | FailureKind::TimeLimit { waiting, .. } => {
                list(f, waiting, waiting)
            }
            FailureKind::Deadlock { waiting } => {
                list(f, waiting, waiting)?;
                match circle(waiting) {
                    Some(circle) => {
                        let names = circle.iter().chain(circle.first());
                        let names: Vec<String> = names.map(|t| format!("\"{}\"", t.name)).collect();
                        writeln!(f, "  each waits for the next: {}", names.join(" -> "))
                    }
                    None => f.write_str(
                        "  hint: a simulation does not wait for threads of your own: use to_thread, or #[asyncio::test(real)]\n",
                    ),
                }
            }
            FailureKind::Leak { tasks } => {
                list(f, tasks, tasks)?;
                f.write_str("  hint: await or cancel them, or let a TaskGroup do that\n")
            }
            FailureKind::LostWakeUp { task, waiting } => {
                list(f, task.as_slice(), waiting)?;
                let is_other =
                    |other: &&Waiting| task.as_ref().is_none_or(|task| task.id != other.id);
                let others: Vec<Waiting> = waiting.iter().filter(is_other).cloned().collect();
                if !others.is_empty() {
                    f.write_str("the others:\n")?;
                    list(f, &others, waiting)?;
                }
                f.write_str("  hint: a future that returns Pending keeps cx.waker(), and whoever changes what it waits for wakes that\n")
            }
            FailureKind::Intruder { task } => {
                writeln!(f, "  it is {}", InWords(task, std::slice::from_ref(task)))
            }
            FailureKind::Unhandled(reports) => reports
                .iter()
                .try_for_each(|report| writeln!(f, "  {}", report.replace('\n', "\n    "))),
            FailureKind::NotDeterministic { first, second } => {
                writeln!(f, "  once:  {first}\n  again: {second}")?;
                f.write_str(
                    "  usual causes: the order of a HashMap, Instant::now() instead of asyncio::now(), another thread\n",
                )
            }
            _ => Ok(()),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, tasks: &[Waiting], all: &[Waiting]) -> fmt::Result {
    tasks.iter().try_for_each(|task| writeln!(f, "  {}", InWords(task, all)))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Summary(&self.kind))?;
        Details(&self.kind).fmt(f)?;
        if matches!(self.kind, FailureKind::Never(_)) {
            // That is of all runs together.
            return Ok(());
        }
        let Failure { seed, step, time, schedule, trace, replay, .. } = self;
        writeln!(f, "seed 0x{seed:x}, step {step}, after {time:?} of virtual time")?;
        if !trace.is_empty() {
            writeln!(f, "the last steps:")?;
            trace.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        match replay {
            Some(replay) => {
                writeln!(f, "once more:  {replay}")?;
                writeln!(f, "as a test:  #[asyncio::test(replay = \"{schedule}\")]")
            }
            None => writeln!(f, "once more:  Sim::replay(\"{schedule}\")"),
        }
    }
}

impl fmt::Debug for Failure {
    /// As `Display`, so that `unwrap` shows what a person can read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Summary(self), f)
    }
}

impl Error for Failure {}
