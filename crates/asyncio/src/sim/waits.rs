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
    /// Whether it waits: else it is ready, and has not had its turn.
    pub is_waiting: bool,
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
        Waiting {
            id: task.id(),
            name: task.get_name(),
            made_at: task.location(),
            is_waiting: task.is_waiting(),
            waits_for,
            whom,
        }
    }
}

/// In words, with the names of others from a list.
pub(super) struct InWords<'a>(pub(super) &'a Waiting, pub(super) &'a [Waiting]);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InWords(task, all) = self;
        write!(f, "\"{}\" (made at {}) ", task.name, task.made_at)?;
        if !task.is_waiting {
            return f.write_str("can run");
        }
        let whom = task.whom.map(|whom| Named(whom, all));
        let Some((kind, place)) = task.waits_for else {
            return f.write_str("waits in a future that does not say for what");
        };
        match (kind, whom) {
            (WaitKind::Task, Some(whom)) => write!(f, "waits for the end of {whom}"),
            (WaitKind::Lock, Some(whom)) => {
                write!(f, "waits at {place} for a lock that {whom} holds")
            }
            (WaitKind::Semaphore, Some(whom)) => {
                write!(f, "waits at {place} for a permit; {whom} took the last one")
            }
            (kind, _) => write!(f, "waits {}", Awaited(kind, place)),
        }
    }
}

/// Where a task waits, and for what.
pub(super) struct Awaited(pub(super) WaitKind, pub(super) &'static Location<'static>);

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            // The place is that of the other task.
            Awaited(WaitKind::Task, place) => write!(f, "for the end of the task made at {place}"),
            Awaited(kind, place) => write!(f, "at {place} for {}", in_words(kind)),
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
        WaitKind::Event => "an event",
        WaitKind::Condition => "a notification",
        WaitKind::Semaphore => "a permit",
        WaitKind::Barrier => "the rest of a barrier's party",
        WaitKind::Queue => "an item of a queue, or room in it",
        WaitKind::Readable => "something to read",
        WaitKind::Writable => "room to write",
        WaitKind::Task => "a task",
        WaitKind::Future => "a future",
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

/// The one of these tasks that has gone on since they were looked at, though nobody woke it.
pub(super) fn moved(before: &[(TaskHandle, Waiting)]) -> Option<&Waiting> {
    let went_on =
        |(task, then): &&(TaskHandle, Waiting)| task.done() || task.waits_for() != then.waits_for;
    before.iter().find(went_on).or(before.first()).map(|(_, then)| then)
}
