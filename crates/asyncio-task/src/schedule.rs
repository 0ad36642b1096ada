//! What the task asks of its scheduler, and how tasks are made.

use crate::cell::{self, Room};
use crate::error::{CancelledError, JoinError};
use crate::handle::TaskHandle;
use crate::header::RawTask;
use crate::id::TaskId;
use crate::list::TaskList;
use crate::runnable::Runnable;
use crate::task::Task;
use asyncio_base::context::{Context, ContextSlot};
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

/// Where tokens go: a pointer-sized name of a scheduler that is never freed.
///
/// A waker may call in at any time from any thread, also while the loop is being closed, so the scheduler's core has to
/// outlive every task. It is `'static`, and closing a loop hands its core on to the next one.
pub trait Schedule: Copy + Send + Sync + 'static {
    /// Queues a token. May be called from any thread, in any state of the loop.
    fn schedule(self, token: Runnable);

    /// The rest of the scheduler's side.
    fn host(self) -> &'static dyn Host;
}

/// The scheduler's side of a task's life beside queueing.
pub trait Host: Send + Sync {
    /// The list that the task is in while it is not complete.
    fn tasks(&self) -> &TaskList;

    /// Runs a done-callback on the loop's lane, in `context`. A closed loop drops it.
    fn call_soon(&self, context: ContextSlot, callback: Box<dyn FnOnce() + Send>);

    /// A task is about to end by a panic; true if that is told hereby, and needs no telling should nobody see the outcome.
    fn panicked(&self, task: &TaskHandle, error: &JoinError) -> bool {
        let _ = (task, error);
        false
    }

    /// A task panicked and nobody will see its outcome.
    fn unretrieved(&self, task: Unretrieved, error: &JoinError);

    /// Whether the calling thread is a worker of this scheduler, so that blocking it might wait for itself.
    fn is_worker(&self) -> bool {
        false
    }

    /// A future's or an output's destructor panicked where nobody waits for the outcome.
    fn destructor_panicked(&self, error: JoinError);
}

/// Who failed unseen.
#[derive(Clone, Debug)]
pub struct Unretrieved {
    /// The task's number.
    pub id: TaskId,
    /// The task's name.
    pub name: Arc<str>,
    /// Where it was made.
    pub location: &'static Location<'static>,
    /// What it ran in.
    pub context: Context,
}

/// The handle of a task that was just made, while it is handed up: one word, that becomes a [`Task`] where it stays.
///
/// A `Task` has room for the forwarding of a cancel, and is not copied from frame to frame before its first words have reached the memory.
#[derive(Debug)]
#[must_use = "the handle's claim on the task is given back by the `Task` that it becomes"]
pub struct Made<T>(RawTask, PhantomData<T>);

impl<T> Made<T> {
    /// The handle.
    #[inline]
    pub fn into_task(self) -> Task<T> {
        // SAFETY: `Room` made the cell with `HANDLE` and an output of this type, and the bit has gone from hand to hand.
        unsafe { Task::new(self.0) }
    }
}

/// Makes a task. The token is its first turn; there is none if the list is closed: then the future has been dropped and the
/// task has ended cancelled.
///
/// The task may run on any thread, so the future and its output have to be `Send`; what borrows a frame does not live long enough:
///
/// ```compile_fail
/// # use asyncio_base::context::ContextSlot;
/// # use asyncio_task::{Room, Schedule, spawn};
/// # fn f(scheduler: impl Schedule) {
/// let value = std::rc::Rc::new(1);
/// let room = Room::new(scheduler, ContextSlot::new(), std::panic::Location::caller());
/// let made = spawn(room, async move { *value });
/// # }
/// ```
///
/// ```compile_fail,E0597
/// # use asyncio_base::context::ContextSlot;
/// # use asyncio_task::{Room, Schedule, spawn};
/// # fn f(scheduler: impl Schedule) {
/// let value = 1;
/// let borrow = &value;
/// let room = Room::new(scheduler, ContextSlot::new(), std::panic::Location::caller());
/// let made = spawn(room, async move { *borrow });
/// # }
/// ```
#[inline]
pub fn spawn<F, S>(room: Room<F, S>, future: F) -> (Made<F::Output>, Option<Runnable>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    make(room, future, |_| true)
}

/// As [`spawn`], for a future that has to be entered somewhere together with its task: `enter` does that, before anybody else knows the task. If it
/// says no, the future is dropped and the task has ended cancelled.
///
/// # Panics
///
/// If `enter` does; then the task is leaked.
#[inline]
pub fn spawn_entered<F, S>(
    room: Room<F, S>,
    future: F,
    enter: impl FnOnce(&mut F, TaskHandle) -> bool,
) -> (Made<F::Output>, Option<Runnable>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    make(room, future, |token| {
        let (task, handle) = (token.task(), token.handle());
        // SAFETY: the task was made just now, with these types, and the token is there.
        unsafe { cell::with_fresh_future::<F, S, _>(task, |future| enter(future, handle)) }
    })
}

/// A task that has ended cancelled: its future is dropped unpolled. What a place gives that takes no more tasks.
pub fn spawn_cancelled<F, S>(room: Room<F, S>, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    let (made, token) = put(room, future);
    token.refuse(JoinError::cancelled(CancelledError::default()));
    made.into_task()
}

/// As [`spawn`], for a future that stays on its thread: the room's scheduler must run the task's tokens on the thread that calls this,
/// and no other.
pub fn spawn_local<F, S>(room: Room<F, S>, future: F) -> (Made<F::Output>, Option<Runnable>)
where
    F: Future + 'static,
    F::Output: 'static,
    S: ScheduleLocal,
{
    make(room, future, |_| true)
}

/// A [`Schedule`] that runs tokens on one thread only.
///
/// # Safety
///
/// Every token given to [`schedule`](Schedule::schedule) is run or dropped on the thread that called [`spawn_local`] for it.
pub unsafe trait ScheduleLocal: Schedule {}

#[inline(always)]
fn make<F, S>(
    room: Room<F, S>,
    future: F,
    enter: impl FnOnce(&Runnable) -> bool,
) -> (Made<F::Output>, Option<Runnable>)
where
    F: Future + 'static,
    F::Output: 'static,
    S: Schedule,
{
    let host = room.host();
    let (made, token) = put(room, future);
    if enter(&token) && host.tasks().insert(token.task()) {
        return (made, Some(token));
    }
    token.refuse(JoinError::cancelled(CancelledError::default()));
    (made, None)
}

/// A task that is in no list yet.
#[inline(always)]
fn put<F: Future, S: Schedule>(room: Room<F, S>, future: F) -> (Made<F::Output>, Runnable) {
    let raw = room.fill(future);
    // The cell was made with `HANDLE` and one wake: one handle, one token.
    (Made(raw, PhantomData), Runnable::new(raw))
}
