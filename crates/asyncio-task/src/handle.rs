//! A counted handle that knows nothing of the output's type: for watching and cancelling.

use crate::cancel;
use crate::cold::Cold;
use crate::finished::Finished;
use crate::header::{Header, RawTask};
use crate::id::TaskId;
use crate::schedule::Unretrieved;
use crate::state::{self, CANCELLED, COMPLETE, REF};
use crate::waker;
use asyncio_base::context::Context as TaskContext;
use asyncio_base::record;
use asyncio_base::wait::WaitKind;
use std::borrow::Cow;
use std::fmt;
use std::future::IntoFuture;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// A handle to a task of any type: names, watches and cancels it, and can be awaited for its end.
///
/// Handles are cheap to clone, equal if they name the same task, and keep neither the task nor its loop running.
///
/// # Python
///
/// What `asyncio.current_task()` and `asyncio.all_tasks()` give: there every task has the same type.
pub struct TaskHandle(RawTask);

// SAFETY: a handle touches the state word, the cold block and what never changes; none of these belongs to a thread.
unsafe impl Send for TaskHandle {}
// SAFETY: as above.
unsafe impl Sync for TaskHandle {}

impl TaskHandle {
    /// A further reference to a task on which the caller has a claim.
    pub(crate) fn new_ref(task: RawTask) -> Self {
        task.header().state.add_ref();
        TaskHandle(task)
    }

    #[inline]
    pub(crate) fn raw(&self) -> RawTask {
        self.0
    }

    fn header(&self) -> &Header {
        self.0.header()
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.header().id
    }

    /// The task's name, `Task-N` unless it was given one.
    pub fn get_name(&self) -> Arc<str> {
        name(self.0)
    }

    /// Renames the task.
    pub fn set_name(&self, name: impl Into<Arc<str>>) {
        self.header().cold().set_name(name.into());
    }

    /// Where the task was made.
    pub fn location(&self) -> &'static Location<'static> {
        self.header().location
    }

    /// The type of the task's future, which names the async function it came from.
    ///
    /// # Python
    ///
    /// Stands in for `Task.get_coro()`.
    pub fn get_coro(&self) -> &'static str {
        (self.0.vtable().describe)()
    }

    /// The context the task runs in.
    pub fn get_context(&self) -> TaskContext {
        self.header().context.get_or_create()
    }

    /// What the task waits for, if it said so: the kind of thing and the place in the source.
    pub fn waits_for(&self) -> Option<(WaitKind, &'static Location<'static>)> {
        if self.done() { None } else { self.header().wait.get() }
    }

    /// Whether the task waits for somebody to wake it: it is not done, nobody runs it, and it is not queued to be run.
    ///
    /// With several workers it may have been woken when the caller reads the answer.
    pub fn is_waiting(&self) -> bool {
        let state = self.header().state.load();
        state.wakes() == 0 && !state.has(COMPLETE)
    }

    /// Gives the task a turn as a waker would, for whoever plays its wakers: a future must not mind being polled for no reason.
    pub fn wake(&self) {
        waker::wake_by_ref(self.0);
    }

    /// Whether the task has ended, in whatever way.
    pub fn done(&self) -> bool {
        self.header().state.load().has(COMPLETE)
    }

    /// Whether the task ended cancelled.
    pub fn cancelled(&self) -> bool {
        self.header().state.load().has(CANCELLED)
    }

    /// Asks the task to end: see [`Task::cancel`](crate::Task::cancel).
    pub fn cancel(&self) -> bool {
        request_cancel(self.0, 0, None)
    }

    /// As [`cancel`](Self::cancel), with a message that the cancellation carries.
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        request_cancel(self.0, 0, Some(message.into()))
    }

    /// Ends the task without asking: see [`Task::abort`](crate::Task::abort).
    pub fn abort(&self) -> bool {
        request_cancel(self.0, state::ABORT, None)
    }

    /// How many cancel requests have not been taken back.
    pub fn cancelling(&self) -> usize {
        self.header().state.load().cancels() as usize
    }

    /// Takes one cancel request back: see [`Task::uncancel`](crate::Task::uncancel).
    pub fn uncancel(&self) -> usize {
        uncancel(self.0)
    }
}

impl Clone for TaskHandle {
    fn clone(&self) -> Self {
        TaskHandle::new_ref(self.0)
    }
}

impl Drop for TaskHandle {
    fn drop(&mut self) {
        if self.header().state.release(REF) {
            // SAFETY: the word said that no claim is left.
            unsafe { self.0.free() };
        }
    }
}

impl PartialEq for TaskHandle {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for TaskHandle {}

impl std::hash::Hash for TaskHandle {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        self.id().hash(hasher);
    }
}

/// Waits until the task has ended; takes nothing, so any number may wait.
impl<'a> IntoFuture for &'a TaskHandle {
    type Output = ();
    type IntoFuture = Finished<'a>;

    fn into_future(self) -> Finished<'a> {
        Finished::new(self.0)
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(self.0, f)?;
        f.write_str(">")
    }
}

/// Takes one request back; with the last one what was delivered and nobody has seen is void too.
pub(crate) fn uncancel(task: RawTask) -> usize {
    cancel::uncancel(task) as usize
}

/// Records a request and makes sure that the task gets a turn to answer it; false if it is complete.
pub(crate) fn request_cancel(
    task: RawTask,
    flags: u64,
    message: Option<Cow<'static, str>>,
) -> bool {
    let header = task.header();
    let request = || header.state.request_cancel(flags);
    let cold: Option<&Cold> =
        if message.is_some() { Some(header.cold()) } else { header.cold_if_any() };
    let recorded = match cold {
        Some(cold) => cold.request_cancel(message, request),
        None => request(),
    };
    match recorded {
        Ok(old) => {
            if old.wakes() == 0 {
                // SAFETY: the request lifted the wakes from 0, so the token is ours to make.
                unsafe { task.schedule() };
            }
            true
        }
        Err(_complete) => {
            header.state.set_retrieved();
            false
        }
    }
}

/// Panics if it is the task itself that is about to wait for its end.
#[inline]
pub(crate) fn refuse_own(task: RawTask) {
    let own = record::with(|record| {
        record.is_some_and(|record| ptr::eq(record.owner.as_ptr(), task.as_ptr().as_ptr().cast()))
    });
    if own {
        refuse(task);
    }
}

#[cold]
fn refuse(task: RawTask) -> ! {
    panic!("a task cannot await itself: {}", name(task))
}

pub(crate) fn name(task: RawTask) -> Arc<str> {
    let header = task.header();
    let given = header.cold_if_any().and_then(Cold::name);
    given.unwrap_or_else(|| format!("Task-{}", header.id).into())
}

pub(crate) fn unretrieved(task: RawTask) -> Unretrieved {
    let header = task.header();
    let context = header.context.get_or_create();
    Unretrieved { id: header.id, name: name(task), location: header.location, context }
}

/// `<Task pending name='…' coro=<…> at file:line`, with the state asyncio would show; the caller adds what it knows and closes it.
pub(crate) fn debug(task: RawTask, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let header = task.header();
    let now = header.state.load();
    let status = match (now.has(COMPLETE), now.has(CANCELLED), now.cancels()) {
        (true, true, _) => "cancelled",
        (true, false, _) => "finished",
        (false, _, 0) => "pending",
        (false, _, _) => "cancelling",
    };
    let coro = (task.vtable().describe)();
    write!(f, "<Task {status} name='{}' coro=<{coro}> at {}", name(task), header.location)?;
    if let Some((kind, place)) = (!now.has(COMPLETE)).then(|| header.wait.get()).flatten() {
        write!(f, " wait_for=<{kind:?} at {place}>")?;
    }
    Ok(())
}

/// The task being polled on this thread, if any.
pub fn current() -> Option<TaskHandle> {
    record::with(|record| {
        let task = record?.owner.as_ptr().cast_mut().cast::<Header>();
        // A record with an owner is made by `Runnable::run`, which names the cell it holds the token of.
        NonNull::new(task).map(|task| TaskHandle::new_ref(RawTask::new(task)))
    })
}
