//! Tasks: making them, finding them, giving way.

pub use asyncio_task::{Task, TaskHandle, TaskId};

use crate::contextvars::Context;
use crate::events::{EventLoop, copied_context, get_running_loop, running_loop};
use crate::exceptions::NoRunningLoop;
use asyncio_base::context::ContextSlot;
use asyncio_scheduler::Room;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Cx, Poll};

/// Makes a task of the running loop; its first turn comes in a later pass.
///
/// The task runs whether or not its handle is kept.
///
/// # Panics
///
/// If no loop runs on this thread: "no running event loop".
///
/// # Examples
///
/// ```
/// asyncio::run(async {
///     let task = asyncio::create_task(async { 1 + 2 });
///     assert_eq!(task.await.unwrap(), 3);
/// });
/// ```
///
/// # Python
///
/// `asyncio.create_task()`; for a name or a context see [`TaskBuilder`].
#[doc(alias = "spawn")]
#[track_caller]
pub fn create_task<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    create_task_at(future, Location::caller())
}

#[track_caller]
pub(crate) fn create_task_at<F>(future: F, location: &'static Location<'static>) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let Some(event_loop) = running_loop() else { panic!("{NoRunningLoop}") };
    // Not through the loop's own `create_task_at`: the future is not to be moved before its room is there.
    match event_loop.room(location) {
        Some(room) => event_loop.accepted(room.spawn(future)),
        None => TaskBuilder::on(&event_loop).create_task_at(future, location),
    }
}

/// Makes a task of a future that stays on this thread.
///
/// # Panics
///
/// If this thread is not the one that runs a loop.
#[doc(alias = "spawn_local")]
#[track_caller]
pub fn create_local_task<F>(future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    get_running_loop().create_local_task(future)
}

/// Makes tasks with a name or a context of their own.
///
/// # Examples
///
/// ```
/// use asyncio::TaskBuilder;
///
/// asyncio::run(async {
///     let task = TaskBuilder::new().name("fetcher").create_task(async {
///         asyncio::current_task().unwrap().get_name()
///     });
///     assert_eq!(&*task.await.unwrap(), "fetcher");
/// });
/// ```
///
/// # Python
///
/// The keywords of `asyncio.create_task()`.
#[derive(Debug)]
#[must_use = "a builder makes nothing until `create_task`"]
pub struct TaskBuilder {
    event_loop: EventLoop,
    name: Option<Arc<str>>,
    context: Option<Context>,
    eager_start: Option<bool>,
}

impl TaskBuilder {
    /// For tasks of the running loop.
    ///
    /// # Panics
    ///
    /// If no loop runs on this thread.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it needs a running loop")]
    pub fn new() -> Self {
        Self::on(&get_running_loop())
    }

    pub(crate) fn on(event_loop: &EventLoop) -> Self {
        TaskBuilder { event_loop: event_loop.clone(), name: None, context: None, eager_start: None }
    }

    /// Names the task.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Runs the task in this very context, instead of a copy of the caller's.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Whether the task has its first turn in the very call that makes it, if that call is on a worker of the loop; otherwise it is queued as
    /// usual, as it is when 64 such starts lie in one another.
    ///
    /// In that turn the [current task](current_task) is the new one, in its own context. A task that never waits has ended when the call returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio::TaskBuilder;
    ///
    /// asyncio::run(async {
    ///     let task = TaskBuilder::new().eager_start(true).create_task(async { 2 });
    ///     assert!(task.done());
    ///     assert_eq!(task.await.unwrap(), 2);
    /// });
    /// ```
    ///
    /// # Python
    ///
    /// `create_task(…, eager_start=…)`. For all tasks of a loop see [`eager_task_factory`](crate::eager_task_factory).
    pub fn eager_start(mut self, eager: bool) -> Self {
        self.eager_start = Some(eager);
        self
    }

    /// The name that was asked for; for task factories.
    pub fn get_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether an eager start was asked for, or refused; for task factories.
    pub fn is_eager(&self) -> Option<bool> {
        self.eager_start
    }

    /// What is asked for, after the loop's factory has had its say.
    pub(crate) fn ask(self) -> Asked {
        let event_loop = self.event_loop.clone();
        let made = event_loop.ask_factory(self);
        let context = made.context.map_or_else(copied_context, ContextSlot::with);
        let is_eager = made.eager_start.unwrap_or(false);
        Asked { event_loop, name: made.name, context, is_eager }
    }

    /// Makes the task.
    ///
    /// # Panics
    ///
    /// If the loop is closed.
    #[track_caller]
    pub fn create_task<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.create_task_at(future, Location::caller())
    }

    #[track_caller]
    pub(crate) fn create_task_at<F>(
        self,
        future: F,
        location: &'static Location<'static>,
    ) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let asked = self.ask();
        let (event_loop, is_eager) = (asked.event_loop.clone(), asked.is_eager);
        let room = asked.room(location);
        event_loop.accepted(if is_eager { room.spawn_eager(future) } else { room.spawn(future) })
    }

    /// Makes a task that stays on this thread.
    ///
    /// # Panics
    ///
    /// If this thread is not the one that runs the loop.
    #[track_caller]
    pub fn create_local_task<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let Asked { event_loop, name, context, is_eager } = self.ask();
        let room = event_loop.scheduler().local_room(context, Location::caller());
        let room = room.expect("create_local_task works on the thread that runs the loop only");
        let room = room.named(name);
        if is_eager { room.spawn_eager(future) } else { room.spawn(future) }
    }
}

/// What a [`TaskBuilder`] asks for.
pub(crate) struct Asked {
    event_loop: EventLoop,
    name: Option<Arc<str>>,
    context: ContextSlot,
    is_eager: bool,
}

impl Asked {
    /// Room for the task.
    pub(crate) fn room<F>(self, location: &'static Location<'static>) -> Room<F>
    where
        F: Future + 'static,
    {
        self.event_loop.scheduler().room(self.context, location).named(self.name)
    }
}

/// The task that this code runs in, `None` outside tasks.
///
/// # Python
///
/// `asyncio.current_task()`; there it is an error where no loop runs, here it is `None`.
pub fn current_task() -> Option<TaskHandle> {
    asyncio_task::current()
}

/// The tasks of the running loop that have not ended, oldest first.
///
/// # Panics
///
/// If no loop runs on this thread; [`EventLoop::all_tasks`] asks any loop from anywhere.
#[track_caller]
pub fn all_tasks() -> Vec<TaskHandle> {
    get_running_loop().all_tasks()
}

/// Lets everything else that is ready run, then goes on.
///
/// # Python
///
/// `asyncio.sleep(0)`.
#[inline]
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// Made by [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
