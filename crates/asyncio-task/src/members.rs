//! The tasks of a group: who is in, who asks them to end, who waits for the last.
//!
//! ```text
//!               abort                      no member left, and the waiter looks
//!  OPEN ─────────────────────► ABORTING ───────────────────────────────────────► OVER
//!    │                no member left, and the waiter looks                        ▲
//!    └────────────────────────────────────────────────────────────────────────────┘
//!  OPEN, ABORTING ── abandon ──► ABANDONED
//! ```
//!
//! A member is a task whose future has a key. It *leaves* when its future is dropped, however that comes about, and is *done* a few instructions later.
//! Only an open group takes members.
//!
//! # Who may touch what
//!
//! Everything is under one lock. Nothing of the program's runs under it: handles and wakers are cloned before, and dropped or called after. A task
//! takes the lock twice: when it is entered, and when it leaves.
//!
//! # Why no member is missed
//!
//! A task is entered with its handle, and its future given its key, before its token is in any queue (`spawn_entered`): so it is in its place when it
//! leaves, and an abort, which goes over all places in the critical section that ends the open phase, finds all that were ever entered and have not
//! left. A cancel that comes before the token is queued is found in the task's first turn. Where a task has to be made first (an eager
//! start runs it at once) it is [entered](Members::enter) without a handle, and [settled](Members::settle) when it is made: that tells whether the group
//! has gone on meanwhile, and then its maker cancels it.
//!
//! # Why the waiter is not left asleep
//!
//! It leaves its waker in the critical section in which it finds members, and says that it waits for the last; the member whose leaving makes the group
//! empty takes the waker in the same one. What has left may not be done yet. The waiter may not go on before, as whoever it returns to can see
//! the task: so handles of those that left last are kept, one for each worker at most, and as long as one is not done the waiter
//! looks again in its next turn, without being woken: that worker has nothing to do but to finish.
//!
//! Models: `loom-tests/tests/cancel.rs`; what they would catch: `.ci/weakenings/cancel.txt`.

use crate::handle::TaskHandle;
use asyncio_base::slab::{Key, Slab};
use asyncio_base::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// How far a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Takes members.
    Open,
    /// Its members have been asked to end.
    Aborting,
    /// Every member has ended.
    Over,
    /// Nobody waits for it any more.
    Abandoned,
}

/// The members of a group.
#[derive(Debug)]
pub struct Members(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    phase: Phase,
    /// An abort that the waiter has not heard of.
    is_news: bool,
    /// The waiter waits for the last member.
    is_ending: bool,
    /// Those that have not left; `None` for one whose task is being made.
    tasks: Slab<Option<TaskHandle>>,
    /// The one that left last, which may not be done yet, for an instant.
    last: Option<TaskHandle>,
    /// Those that left before it and were not done when the next one left, on other workers.
    leaving: Vec<TaskHandle>,
    waiter: Option<Waker>,
}

impl Default for Members {
    fn default() -> Self {
        Self::new()
    }
}

impl Members {
    /// An open group without members.
    pub fn new() -> Self {
        Members(Mutex::new(Inner {
            phase: Phase::Open,
            is_news: false,
            is_ending: false,
            tasks: Slab::new(),
            last: None,
            leaving: Vec::new(),
            waiter: None,
        }))
    }

    // ----- members

    /// A place for a task; without its handle it has to be [settled](Self::settle).
    ///
    /// # Errors
    ///
    /// In another phase than the open one: that phase.
    #[inline]
    pub fn enter(&self, task: Option<TaskHandle>) -> Result<Key, Phase> {
        let mut inner = self.0.lock();
        if inner.phase == Phase::Open {
            return Ok(inner.tasks.insert(task));
        }
        Err(Self::refuse(inner, task))
    }

    #[cold]
    #[inline(never)]
    fn refuse(inner: MutexGuard<'_, Inner>, task: Option<TaskHandle>) -> Phase {
        let phase = inner.phase;
        drop(inner);
        // It may be the last handle.
        drop(task);
        phase
    }

    /// The task of a place is made. False if the group does not take members any more: the task has to be cancelled, by the caller.
    #[must_use]
    pub fn settle(&self, key: Key, task: TaskHandle) -> bool {
        let mut inner = self.0.lock();
        let is_open = inner.phase == Phase::Open;
        let gone = match inner.tasks.get_mut(key) {
            Some(place) => place.replace(task),
            // It has left already.
            None => inner.leaves(task),
        };
        drop(inner);
        drop(gone);
        is_open
    }

    /// A task's future is dropped.
    pub fn leave(&self, key: Key) {
        let mut inner = self.0.lock();
        let task = inner.tasks.remove(key).flatten();
        let gone = task.and_then(|task| inner.leaves(task));
        if inner.is_ending && inner.tasks.is_empty() {
            return Self::end(inner, gone);
        }
        drop(inner);
        drop(gone);
    }

    /// The last one has left that the waiter waits for.
    #[cold]
    #[inline(never)]
    fn end(mut inner: MutexGuard<'_, Inner>, gone: Option<TaskHandle>) {
        let waiter = inner.waiter.take();
        drop(inner);
        drop(gone);
        waiter.into_iter().for_each(Waker::wake);
    }

    /// How far the group is.
    pub fn phase(&self) -> Phase {
        self.0.lock().phase
    }

    /// How many have not left; `None` while somebody changes that.
    pub fn count(&self) -> Option<usize> {
        self.0.try_lock().map(|inner| inner.tasks.len())
    }

    /// Cancels every member but `except`, and tells the waiter; does nothing unless the group is open.
    pub fn abort(&self, except: Option<Key>) {
        let mut inner = self.0.lock();
        if inner.phase != Phase::Open {
            return;
        }
        (inner.phase, inner.is_news) = (Phase::Aborting, true);
        let tasks = inner.handles(except);
        let waiter = inner.waiter.take();
        drop(inner);
        tasks.iter().for_each(|task| {
            task.cancel();
        });
        waiter.into_iter().for_each(Waker::wake);
    }

    // ----- the waiter

    /// Has `waiter` woken by an abort, and in the end by the last member.
    pub fn set_waiter(&self, waiter: &Waker) {
        let waiter = waiter.clone();
        let stale = self.0.lock().waiter.replace(waiter);
        drop(stale);
    }

    /// Whether there was an abort since this was asked last.
    pub fn take_news(&self) -> bool {
        std::mem::take(&mut self.0.lock().is_news)
    }

    /// Whether [`take_news`](Self::take_news) would say so.
    pub fn has_news(&self) -> bool {
        self.0.lock().is_news
    }

    /// Ready when every task that was a member is done: the group is over.
    pub fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waiter = cx.waker().clone();
        let mut inner = self.0.lock();
        inner.is_ending = true;
        let stale = inner.waiter.replace(waiter);
        if !inner.tasks.is_empty() {
            drop(inner);
            drop(stale);
            return Poll::Pending;
        }
        if !inner.all_done() {
            drop(inner);
            drop(stale);
            // Its worker is about to say that it is done.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        inner.phase = Phase::Over;
        // Whoever keeps the group now keeps neither tasks nor wakers.
        let gone = (inner.waiter.take(), inner.last.take(), std::mem::take(&mut inner.leaving));
        drop(inner);
        drop((stale, gone));
        Poll::Ready(())
    }

    /// Nobody will wait: cancels every member. False, and nothing happens, if the group is over.
    pub fn abandon(&self) -> bool {
        let mut inner = self.0.lock();
        if inner.phase == Phase::Over {
            return false;
        }
        inner.phase = Phase::Abandoned;
        let tasks = inner.handles(None);
        let waiter = inner.waiter.take();
        drop(inner);
        tasks.iter().for_each(|task| {
            task.cancel();
        });
        drop(waiter);
        true
    }
}

impl Inner {
    fn handles(&self, except: Option<Key>) -> Vec<TaskHandle> {
        let handle = |position| {
            let is_excepted = self.tasks.key_at(position) == except;
            self.tasks.at(position).filter(|_| !is_excepted)?.clone()
        };
        (0..self.tasks.positions()).filter_map(handle).collect()
    }

    /// A member is in its last moments. Gives one that is done by now, if that is easily found.
    #[inline(always)]
    fn leaves(&mut self, task: TaskHandle) -> Option<TaskHandle> {
        let before = self.last.replace(task)?;
        if before.done() { Some(before) } else { self.leaves_before(before) }
    }

    /// Keeps one that was overtaken in its last moments, in the place of one that is done: so there are as many as workers.
    #[cold]
    #[inline(never)]
    fn leaves_before(&mut self, task: TaskHandle) -> Option<TaskHandle> {
        match self.leaving.iter_mut().find(|other| other.done()) {
            Some(other) => Some(std::mem::replace(other, task)),
            None => {
                self.leaving.push(task);
                None
            }
        }
    }

    fn all_done(&self) -> bool {
        self.last.iter().chain(&self.leaving).all(TaskHandle::done)
    }
}
