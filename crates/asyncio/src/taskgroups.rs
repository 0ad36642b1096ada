//! `TaskGroup`: tasks that end together.
//!
//! ```text
//!            first failure, cancel, a request from outside              no task left
//!  OPEN ───────────────────────────────────────────────────► ABORTING ─────────────► OVER
//!    │                      body ended, no task left                                  ▲
//!    └────────────────────────────────────────────────────────────────────────────────┘
//!  OPEN, ABORTING ── the scope is dropped ──► ABANDONED: the tasks are cancelled and end by themselves
//! ```
//!
//! A child is a task whose future holds a [`Membership`]; it leaves the group when that is dropped, which is with its future, so however it ends. The
//! body is polled by the task that has the scope and is interrupted by a domain of the cancel tree; so is the scope itself.
//!
//! # Who may touch what
//!
//! Everything shared is under one lock. Nothing of the program's runs under it: handles, errors and wakers are moved out first.
//!
//! # Why no child is missed
//!
//! A child has its place before its task is made. An abort cancels those whose handle is in place; a handle that comes later finds the group aborting
//! and cancels its task itself.

mod child;
mod scope;

use crate::diagnostics::ExceptionContext;
use crate::events::{EventLoop, copied_context, get_running_loop, try_get_running_loop};
use crate::exception_group::ExceptionGroup;
use crate::exceptions::JoinError;
use crate::tasks::{Task, TaskBuilder, create_task_at};
use asyncio_base::slab::{Key, Slab};
use asyncio_base::sync::Mutex;
use asyncio_task::{Options, TaskHandle};
use child::{Child, Membership};
use scope::{CatchPanic, Scope};
use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::Waker;

/// Makes tasks that end before [`scope`](Self::scope) does.
///
/// Clones are the same group, and may be moved into its tasks to make more.
///
/// # Python
///
/// `asyncio.TaskGroup`.
pub struct TaskGroup<E = Infallible>(Arc<Mutex<State<E>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Aborting,
    Over,
    /// The scope was dropped.
    Abandoned,
}

type Panic = Box<dyn Any + Send>;

struct State<E> {
    phase: Phase,
    /// The group asks its body to end.
    interrupts: bool,
    /// The scope waits for the last child.
    is_ending: bool,
    /// Those that have not ended; `None` for one whose task is being made.
    children: Slab<Option<TaskHandle>>,
    /// Children that have left and may not be done yet, for an instant.
    leaving: Vec<TaskHandle>,
    /// In the order in which they came.
    errors: Vec<E>,
    panics: Vec<Panic>,
    scope: Option<Waker>,
}

/// How a child, or the body, failed.
enum Failure<E> {
    Error(E),
    Panic(Panic),
}

impl<E: Send + 'static> TaskGroup<E> {
    fn new() -> Self {
        let state = State {
            phase: Phase::Open,
            interrupts: false,
            is_ending: false,
            children: Slab::new(),
            leaving: Vec::new(),
            errors: Vec::new(),
            panics: Vec::new(),
            scope: None,
        };
        TaskGroup(Arc::new(Mutex::new(state)))
    }

    /// Runs `body` with a group, and waits for every task made in it.
    ///
    /// The first task that fails, and a body that does, *aborts* the group: its other tasks and the body are cancelled and waited for, clean-ups
    /// included. A task that is cancelled by somebody else is no failure. A cancel of the caller aborts the group too, and goes on when all have
    /// ended; if there are errors they come first, and the cancel strikes at the next await.
    ///
    /// # Cancel safety
    ///
    /// Dropping the scope (a lost branch of `select!`) cancels its tasks and cannot wait for them: they clean up by themselves, and errors of
    /// theirs go to the loop's exception handler.
    ///
    /// # Errors
    ///
    /// The errors of all tasks that failed, first failed first, then the body's. A group without errors says that [`cancel`](Self::cancel) ended
    /// it before the body had returned.
    ///
    /// # Panics
    ///
    /// Outside tasks. Resumes the first panic of a task or of the body, when all have ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio::TaskGroup;
    /// use std::io;
    ///
    /// asyncio::run(async {
    ///     let sum = TaskGroup::<io::Error>::scope(async |tg| {
    ///         let one = tg.create_task(async { Ok(1) });
    ///         let two = tg.spawn(async { 2 });
    ///         Ok(one.await? + two.await?)
    ///     });
    ///     assert_eq!(sum.await.unwrap(), 3);
    /// });
    /// ```
    ///
    /// # Python
    ///
    /// `async with TaskGroup() as tg:`.
    pub async fn scope<R>(
        body: impl AsyncFnOnce(&TaskGroup<E>) -> Result<R, E>,
    ) -> Result<R, ExceptionGroup<E>> {
        let group = TaskGroup::new();
        let mut scope = Scope::new(&group);
        let mut body = pin!(Some(CatchPanic { future: body(&group) }));
        poll_fn(|cx| scope.poll(body.as_mut(), cx)).await
    }

    /// Makes a task of the group.
    ///
    /// An `Err` of it is a failure of the group, which keeps the error: the task itself then ends with a [`JoinError`] that
    /// says [`is_failed`](JoinError::is_failed). Allowed until the scope has ended, from the body, from tasks of the group, from anywhere. On an
    /// aborting group the future is dropped and the task has ended, cancelled: that is a race with the failure, not a mistake.
    ///
    /// # Panics
    ///
    /// After the scope has ended, and where no loop runs.
    #[track_caller]
    pub fn create_task<T, F>(&self, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.make(None, future, |outcome| outcome)
    }

    /// As [`create_task`](Self::create_task), in `context` itself instead of a copy of the caller's.
    ///
    /// # Panics
    ///
    /// After the scope has ended, and where no loop runs.
    ///
    /// # Python
    ///
    /// `group.create_task(coro, context=context)`.
    #[track_caller]
    pub fn create_task_in<T, F>(&self, context: &crate::Context, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.make(Some(context), future, |outcome| outcome)
    }

    /// As [`create_task`](Self::create_task), for what cannot fail but by a panic.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.make(None, future, Ok)
    }

    #[track_caller]
    fn make<T, F, C>(&self, context: Option<&crate::Context>, future: F, into_outcome: C) -> Task<T>
    where
        F: Future + Send + 'static,
        C: Fn(F::Output) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
    {
        let location = Location::caller();
        let Some(key) = self.admit() else {
            let future = async move {
                let _future = future;
                unreachable!("a task that has ended is not polled")
            };
            return refused(future, location);
        };
        let membership = Membership { group: self.clone(), key };
        let child = Child { future, into_outcome, membership };
        let task = match context {
            None => create_task_at(child, location),
            Some(context) => TaskBuilder::new().context(context).create_task_at(child, location),
        };
        self.settle(key, &task);
        task
    }

    /// A place for a child; `None` on an aborting group.
    #[track_caller]
    fn admit(&self) -> Option<Key> {
        let mut state = self.0.lock();
        match state.phase {
            Phase::Open => Some(state.children.insert(None)),
            Phase::Aborting | Phase::Abandoned => None,
            Phase::Over => {
                drop(state);
                panic!("this TaskGroup is finished");
            }
        }
    }

    /// The child's task is made: its handle goes to its place, unless it has ended already.
    fn settle<T>(&self, key: Key, task: &Task<T>) {
        let handle = task.handle();
        let mut state = self.0.lock();
        let aborting = state.phase != Phase::Open;
        let State { children, leaving, .. } = &mut *state;
        match children.get_mut(key) {
            Some(place) => *place = Some(handle),
            // In its last moments on another worker.
            None => leaving.push(handle),
        }
        drop(state);
        if aborting {
            task.cancel();
        }
    }

    /// Ends the group early, without an error: cancels its tasks and its body. What they return still counts.
    ///
    /// # Python
    ///
    /// `TaskGroup.cancel()`, of CPython 3.15.
    pub fn cancel(&self) {
        self.abort(None);
    }

    /// Cancels every child but `except`, and interrupts the body; once.
    fn abort(&self, except: Option<Key>) {
        let mut state = self.0.lock();
        if state.phase != Phase::Open {
            return;
        }
        (state.phase, state.interrupts) = (Phase::Aborting, true);
        let children = state.handles(except);
        let scope = state.scope.take();
        drop(state);
        children.iter().for_each(|child| {
            child.cancel();
        });
        scope.into_iter().for_each(Waker::wake);
    }

    /// Of a child.
    fn failed(&self, key: Key, failure: Failure<E>) {
        let mut state = self.0.lock();
        if matches!(state.phase, Phase::Open | Phase::Aborting) {
            state.keep(failure);
            drop(state);
            self.abort(Some(key));
        } else {
            drop(state);
            report("a task failed after its TaskGroup was dropped", failure);
        }
    }

    fn leave(&self, key: Key) {
        let mut state = self.0.lock();
        let handle = state.children.remove(key).flatten();
        let gone = state.leaves(handle);
        let is_last = state.is_ending && state.children.is_empty();
        let scope = if is_last { state.scope.take() } else { None };
        drop(state);
        drop(gone);
        scope.into_iter().for_each(Waker::wake);
    }
}

impl<E> State<E> {
    fn handles(&self, except: Option<Key>) -> Vec<TaskHandle> {
        let handle = |position| {
            let is_excepted = self.children.key_at(position) == except;
            self.children.at(position).filter(|_| !is_excepted)?.clone()
        };
        (0..self.children.positions()).filter_map(handle).collect()
    }

    fn keep(&mut self, failure: Failure<E>) {
        match failure {
            Failure::Error(error) => self.errors.push(error),
            Failure::Panic(panic) => self.panics.push(panic),
        }
    }

    /// A child is in its last moments. Gives up to two that are done by now, so that the list stays as short as there are workers.
    fn leaves(&mut self, handle: Option<TaskHandle>) -> [Option<TaskHandle>; 2] {
        let mut gone = [None, None];
        if let Some(handle) = handle {
            match self.leaving.iter_mut().find(|other| other.done()) {
                Some(other) => gone[0] = Some(std::mem::replace(other, handle)),
                None => self.leaving.push(handle),
            }
        }
        if self.leaving.len() > 1 {
            let done = self.leaving.iter().position(TaskHandle::done);
            gone[1] = done.map(|done| self.leaving.swap_remove(done));
        }
        gone
    }
}

/// A task that an aborting group does not take.
fn refused<F>(future: F, location: &'static Location<'static>) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let event_loop: EventLoop = get_running_loop();
    let options = Options { name: None, context: copied_context() };
    event_loop.scheduler().spawn_cancelled(future, options, location)
}

/// A failure that nobody waits for.
fn report<E>(message: &str, failure: Failure<E>) {
    let mut report = ExceptionContext::new(message);
    if let Failure::Panic(panic) = failure {
        report = report.with_exception(JoinError::panicked(panic));
    }
    match try_get_running_loop() {
        Ok(event_loop) => event_loop.call_exception_handler(report),
        Err(_) => crate::diagnostics::default_exception_handler(&report),
    }
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        TaskGroup(self.0.clone())
    }
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(state) = self.0.try_lock() else { return f.write_str("<TaskGroup locked>") };
        f.write_str("<TaskGroup")?;
        match state.children.len() {
            0 => {}
            tasks => write!(f, " tasks={tasks}")?,
        }
        match state.errors.len() + state.panics.len() {
            0 => {}
            errors => write!(f, " errors={errors}")?,
        }
        f.write_str(match state.phase {
            Phase::Open => " entered>",
            Phase::Aborting | Phase::Abandoned => " cancelling>",
            Phase::Over => " finished>",
        })
    }
}
