//! The list of all tasks that are not complete: for `all_tasks`, for shutdown, for dumps.
//!
//! Intrusive and doubly linked, so that a task costs no allocation here and leaves in O(1). Each worker has one, and tasks join
//! the list of the worker that made them: the lock is nearly always the worker's own.
//!
//! # Rules
//!
//! 1. A task's links are touched only under the lock of the list it is in.
//! 2. A linked task is not complete: it joins before its first token is queued, and its completer unlinks it before the
//!    completing exchange. So whoever finds it under the lock may take a reference.

use crate::handle::TaskHandle;
use crate::header::RawTask;
use asyncio_base::sync::{Mutex, UnsafeCell};

/// Neighbours in the list.
#[derive(Debug)]
pub(crate) struct Links(UnsafeCell<Neighbours>);

#[derive(Clone, Copy, Debug, Default)]
struct Neighbours {
    before: Option<RawTask>,
    after: Option<RawTask>,
}

impl Links {
    pub(crate) fn new() -> Self {
        Links(UnsafeCell::new(Neighbours::default()))
    }
}

/// A list of tasks.
#[derive(Debug, Default)]
pub struct TaskList(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    first: Option<RawTask>,
    len: usize,
    closed: bool,
}

// SAFETY: the pointers lead to cells whose links are touched under the lock only (rule 1) and which live while linked (rule 2);
// what else is reached through them, a counted handle, is `Send` and `Sync` itself.
unsafe impl Send for Inner {}

impl Inner {
    /// Reads or writes a linked task's neighbours.
    fn neighbours<R>(&self, task: RawTask, f: impl FnOnce(&mut Neighbours) -> R) -> R {
        // SAFETY: having `self` means holding the lock, and the task is in this list or about to be (rule 1).
        task.header().links.0.with_mut(|links| f(unsafe { &mut *links }))
    }
}

impl TaskList {
    /// An empty, open list.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many tasks are in.
    pub fn len(&self) -> usize {
        self.0.lock().len
    }

    /// Whether no task is in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses further tasks, or takes them again.
    pub fn set_closed(&self, closed: bool) {
        self.0.lock().closed = closed;
    }

    /// Adds a fresh task at the front; false if the list is closed.
    pub(crate) fn insert(&self, task: RawTask) -> bool {
        let mut inner = self.0.lock();
        if inner.closed {
            return false;
        }
        let first = inner.first.replace(task);
        inner.neighbours(task, |links| *links = Neighbours { before: None, after: first });
        if let Some(first) = first {
            inner.neighbours(first, |links| links.before = Some(task));
        }
        inner.len += 1;
        true
    }

    /// Takes a task out that [`insert`](Self::insert) put in.
    pub(crate) fn remove(&self, task: RawTask) {
        let mut inner = self.0.lock();
        let Neighbours { before, after } = inner.neighbours(task, std::mem::take);
        match before {
            Some(before) => inner.neighbours(before, |links| links.after = after),
            None => inner.first = after,
        }
        if let Some(after) = after {
            inner.neighbours(after, |links| links.before = before);
        }
        inner.len -= 1;
    }

    /// The tasks that are in now, oldest first.
    pub fn snapshot(&self) -> Vec<TaskHandle> {
        let inner = self.0.lock();
        let mut tasks = Vec::with_capacity(inner.len);
        let mut next = inner.first;
        while let Some(task) = next {
            // The task lives while it is linked and the lock is held (rule 2).
            tasks.push(TaskHandle::new_ref(task));
            next = inner.neighbours(task, |links| links.after);
        }
        drop(inner);
        tasks.reverse();
        tasks
    }
}
