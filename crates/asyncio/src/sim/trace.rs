//! What happened in a run, step by step: for reports, and to see whether a seed gives the same run twice.

use super::waits::Awaited;
use asyncio_base::wait::WaitKind;
use asyncio_task::TaskHandle;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::time::Duration;

/// How many of the last steps a report shows.
const SHOWN: usize = 20;

/// The steps of a run.
#[derive(Debug)]
pub(super) struct Trace {
    /// All, or a ring of the last.
    steps: Vec<Step>,
    keeps_all: bool,
    noted: usize,
    /// How many are shown; those that follow are the end of the run.
    shown: Option<usize>,
}

/// One step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    worker: usize,
    time: Duration,
    what: What,
    then: Option<Then>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// The turn of a task.
    Task(TaskHandle),
    /// A callback, by the place where it was made.
    Callback(Option<&'static Location<'static>>),
    /// A job of `to_thread`.
    Job,
}

/// How a task's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Ends,
    IsCancelled,
    /// For this, if it said so.
    Waits(Option<(WaitKind, &'static Location<'static>)>),
    LetsOthersRun,
}

impl Then {
    fn of(task: &TaskHandle) -> Then {
        match task.done() {
            true if task.cancelled() => Then::IsCancelled,
            true => Then::Ends,
            false if task.is_waiting() => Then::Waits(task.waits_for()),
            false => Then::LetsOthersRun,
        }
    }
}

impl Trace {
    /// A trace of all steps, or of the last only.
    pub(super) fn new(keeps_all: bool) -> Self {
        Trace { steps: Vec::new(), keeps_all, noted: 0, shown: None }
    }

    /// What follows is not shown.
    pub(super) fn end(&mut self) {
        self.shown.get_or_insert(self.noted);
    }

    /// Notes the step that begins. What is returned has to be dropped where no lock is held: it may be the last of a task.
    #[must_use]
    pub(super) fn note(&mut self, worker: usize, what: What, time: Duration) -> Option<Step> {
        let step = Step { worker, time, what, then: None };
        if self.shown.is_some() && !self.keeps_all {
            return Some(step);
        }
        let at = self.noted % SHOWN;
        self.noted += 1;
        if self.keeps_all || self.steps.len() < SHOWN {
            self.steps.push(step);
            return None;
        }
        Some(mem::replace(&mut self.steps[at], step))
    }

    /// Notes how the last step ended.
    pub(super) fn note_end(&mut self) {
        let Some(last) = self.noted.checked_sub(1) else { return };
        let at = self.index(last);
        if let Step { what: What::Task(task), then: then @ None, .. } = &mut self.steps[at] {
            *then = Some(Then::of(task));
        }
    }

    fn index(&self, step: usize) -> usize {
        if self.keeps_all { step } else { step % SHOWN }
    }

    /// The last steps that are shown as text, a line each.
    pub(super) fn tail(&self) -> Vec<String> {
        let end = self.shown.unwrap_or(self.noted);
        let mut known = Vec::new();
        let line = |step: usize| {
            let event = &self.steps[self.index(step)];
            let task = match &event.what {
                What::Task(task) => Some(task.id()),
                _ => None,
            };
            let is_new = !known.contains(&task);
            known.push(task);
            Line { step, event, is_new }.to_string()
        };
        (end.saturating_sub(SHOWN)..end).map(line).collect()
    }

    /// The first step in which two runs differ, as text, if all was kept.
    pub(super) fn difference(&self, other: &Trace) -> Option<(String, String)> {
        let end = self.steps.len().max(other.steps.len());
        let differs = |&step: &usize| match (self.steps.get(step), other.steps.get(step)) {
            (Some(a), Some(b)) => !a.is_like(b),
            _ => true,
        };
        let step = (0..end).find(differs)?;
        let line = |trace: &Trace| match trace.steps.get(step) {
            Some(event) => Line { step, event, is_new: true }.to_string(),
            None => "the run was over".to_owned(),
        };
        Some((line(self), line(other)))
    }
}

impl Step {
    /// Whether the same happened in another run.
    fn is_like(&self, other: &Step) -> bool {
        let is_same = match (&self.what, &other.what) {
            (What::Task(a), What::Task(b)) => a.id() == b.id(),
            (What::Callback(a), What::Callback(b)) => a == b,
            (What::Job, What::Job) => true,
            _ => false,
        };
        is_same && (self.worker, self.time, self.then) == (other.worker, other.time, other.then)
    }
}

/// One step in words.
struct Line<'a> {
    step: usize,
    event: &'a Step,
    /// Where the task was made is told too.
    is_new: bool,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { worker, time, what, then } = self.event;
        let (step, time) = (self.step + 1, format!("{time:?}"));
        write!(f, "step {step:>4}  {time:>8}  worker {worker}  ")?;
        match what {
            What::Task(task) => {
                write!(f, "\"{}\"", task.get_name())?;
                if self.is_new {
                    write!(f, " (made at {})", task.location())?;
                }
            }
            What::Callback(Some(place)) => write!(f, "a callback (made at {place})")?,
            What::Callback(None) => f.write_str("a callback")?,
            What::Job => f.write_str("a job of to_thread")?,
        }
        match then {
            Some(then) => write!(f, " {then}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Then::Ends => f.write_str("ends"),
            Then::IsCancelled => f.write_str("is cancelled"),
            Then::Waits(None) => f.write_str("waits"),
            Then::Waits(Some((kind, place))) => write!(f, "waits {}", Awaited(kind, place)),
            Then::LetsOthersRun => f.write_str("lets others run"),
        }
    }
}
