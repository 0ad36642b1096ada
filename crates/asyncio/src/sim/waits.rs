//! Who waits for whom.

use asyncio_base::observe;
use asyncio_base::wait::WaitKind;
use asyncio_task::{TaskHandle, TaskId};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A task that has not ended, and what it waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Waiting {
    /// The task's number.
    pub id: TaskId,
    /// The task's name.
    pub name: Arc<str>,
    /// Where it was made.
    pub made_at: &'static Location<'static>,
    /// What it waits for and where, if it said so.
    pub waits_for: Option<(WaitKind, &'static Location<'static>)>,
    /// The number of the task that it waits for, or that has what it waits for.
    pub whom: Option<u64>,
}

impl Waiting {
    pub(super) fn of(task: &TaskHandle) -> Self {
        let waits_for = task.waits_for();
        let names_somebody =
            matches!(waits_for, Some((WaitKind::Lock | WaitKind::Semaphore | WaitKind::Task, _)));
        let whom = if names_somebody { observe::waits_for_whom(task.id().get()) } else { None };
        Waiting { id: task.id(), name: task.get_name(), made_at: task.location(), waits_for, whom }
    }
}

/// In words, with the names of others from a list.
pub(super) struct InWords<'a>(pub(super) &'a Waiting, pub(super) &'a [Waiting]);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InWords(task, all) = self;
        write!(f, "\"{}\" (made at {}) ", task.name, task.made_at)?;
        let whom = task.whom.map(|whom| Named(whom, all));
        let Some((kind, place)) = task.waits_for else {
            return f.write_str("has not said what it waits for");
        };
        match (kind, whom) {
            (WaitKind::Task, Some(whom)) => write!(f, "waits for the end of {whom}"),
            (WaitKind::Task, None) => write!(f, "waits for the end of the task made at {place}"),
            (WaitKind::Lock, Some(whom)) => {
                write!(f, "waits at {place} for a lock that {whom} holds")
            }
            (WaitKind::Semaphore, Some(whom)) => {
                write!(f, "waits at {place} for a permit; {whom} took the last one")
            }
            (kind, _) => write!(f, "waits at {place} for {}", in_words(kind)),
        }
    }
}

struct Named<'a>(u64, &'a [Waiting]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1.iter().find(|task| task.id.get() == self.0) {
            Some(task) => write!(f, "\"{}\"", task.name),
            None => f.write_str("a task that has ended"),
        }
    }
}

fn in_words(kind: WaitKind) -> &'static str {
    match kind {
        WaitKind::Sleep => "a time to come",
        WaitKind::Lock => "a lock",
        WaitKind::Event => "an event that nobody sets",
        WaitKind::Condition => "a notification",
        WaitKind::Semaphore => "a permit",
        WaitKind::Barrier => "the rest of a barrier's party",
        WaitKind::Queue => "an item of, or room in, a queue",
        WaitKind::Readable => "something to read",
        WaitKind::Writable => "room to write",
        WaitKind::Task => "a task",
        WaitKind::Future => "a future that nobody sets",
        WaitKind::Thread => "a job on another thread",
        _ => "something",
    }
}

/// A circle of tasks in which each waits for the next, if there is one.
pub(super) fn circle(all: &[Waiting]) -> Option<Vec<&Waiting>> {
    let find = |whom: u64| all.iter().find(|task| task.id.get() == whom);
    all.iter().find_map(|first| {
        let mut row = vec![first];
        while let Some(next) = row[row.len() - 1].whom.and_then(find) {
            if next.id == first.id {
                return Some(row);
            }
            if row.iter().any(|task| task.id == next.id) {
                return None;
            }
            row.push(next);
        }
        None
    })
}

/// How a task stood before it was polled for no reason.
pub(super) struct Seen {
    task: TaskHandle,
    waited_for: Option<(WaitKind, &'static Location<'static>)>,
}

impl Seen {
    pub(super) fn of(task: &TaskHandle) -> Self {
        Seen { task: task.clone(), waited_for: task.waits_for() }
    }
}

/// A task that has gone on since, though nobody woke it.
pub(super) fn moved(before: &[Seen], now: &[TaskHandle]) -> Option<Waiting> {
    let went_on = |seen: &&Seen| seen.task.done() || seen.task.waits_for() != seen.waited_for;
    let seen = before.iter().find(went_on).map(|seen| &seen.task);
    let new = || now.iter().find(|task| !before.iter().any(|seen| seen.task == **task));
    seen.or_else(new).map(Waiting::of)
}
