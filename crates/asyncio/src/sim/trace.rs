//! What happened in a run, step by step: for reports, and to see whether a seed gives the same run twice.

use asyncio_task::{Runnable, TaskHandle};
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// How many of the last steps a report shows.
const SHOWN: usize = 20;

/// The steps of a run.
#[derive(Debug)]
pub(super) struct Trace {
    /// By their numbers; `None` for one that has not had a turn.
    tasks: Vec<Option<TaskHandle>>,
    numbers: HashMap<u64, u32>,
    /// All, or a ring of the last.
    events: Vec<Event>,
    keeps_all: bool,
    noted: usize,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    worker: usize,
    what: What,
    time: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The turn of a task, by its number in the trace.
    Task(u32),
    /// A callback, by the place where it was made.
    Callback(Option<&'static Location<'static>>),
    /// A job of `to_thread`.
    Job,
}

impl Trace {
    /// A trace of all steps, or of the last only.
    pub(super) fn new(keeps_all: bool) -> Self {
        Trace {
            tasks: Vec::new(),
            numbers: HashMap::new(),
            events: Vec::new(),
            keeps_all,
            noted: 0,
        }
    }

    /// The number of a task in this trace, which is the same in every run.
    pub(super) fn task(&mut self, token: &Runnable) -> u32 {
        let number = self.number_of(token.id().get());
        let index = number as usize;
        if self.tasks.len() <= index {
            self.tasks.resize(index + 1, None);
        }
        self.tasks[index].get_or_insert_with(|| token.handle());
        number
    }

    /// As [`task`](Self::task), for one that may not have had a turn.
    pub(super) fn number_of(&mut self, task: u64) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(task).or_insert(next)
    }

    pub(super) fn note(&mut self, worker: usize, what: What, time: Duration) {
        let event = Event { worker, what, time };
        if self.keeps_all || self.events.len() < SHOWN {
            self.events.push(event);
        } else {
            self.events[self.noted % SHOWN] = event;
        }
        self.noted += 1;
    }

    /// All steps, if they were kept.
    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    /// The last steps as text, a line each.
    pub(super) fn tail(&self) -> Vec<String> {
        let first = self.noted.saturating_sub(SHOWN);
        let at = |step: usize| if self.keeps_all { step } else { step % SHOWN };
        (first..self.noted).map(|step| self.line(step, self.events[at(step)])).collect()
    }

    /// One step as text.
    pub(super) fn line(&self, step: usize, event: Event) -> String {
        let Event { worker, what, time } = event;
        let what = Shown { trace: self, what };
        format!("step {:>4}  {:>12}  worker {worker}  {what}", step + 1, format!("{time:?}"))
    }
}

struct Shown<'a> {
    trace: &'a Trace,
    what: What,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Task(number) => {
                match self.trace.tasks.get(number as usize).and_then(Option::as_ref) {
                    Some(task) => write!(f, "task \"{}\" ({})", task.get_name(), task.location()),
                    None => write!(f, "task {number}"),
                }
            }
            What::Callback(Some(place)) => write!(f, "callback ({place})"),
            What::Callback(None) => f.write_str("callback"),
            What::Job => f.write_str("a job of to_thread"),
        }
    }
}
