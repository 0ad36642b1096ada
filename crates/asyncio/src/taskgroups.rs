//! `TaskGroup`: tasks that end together.
//!
//! A child is a task whose future holds a [`Membership`]; it leaves the group when that is dropped, which is with its future, so however it ends. The
//! body is polled by the task that has the scope and is interrupted by a domain of the cancel tree; so is the scope itself.
//!
//! # Who may touch what
//!
//! `asyncio_task::Members` has the phases of a group, its tasks and the waker of its scope, and says why none of them is missed. What failed is
//! under a lock of its own, which a child that does well never takes.
//!
//! # Why no error is lost
//!
//! A child that fails puts its error down before it leaves, so those of all children are there when the group is over. An abandoned group's list
//! is closed in the critical section that takes what is in it; a child that finds it closed reports its error itself.

mod child;
mod scope;

use crate::diagnostics::ExceptionContext;
use crate::events::{EventLoop, copied_context, running_loop, try_get_running_loop};
use crate::exception_group::ExceptionGroup;
use crate::exceptions::{JoinError, NoRunningLoop};
use crate::tasks::{Task, TaskBuilder};
use asyncio_base::context::ContextSlot;
use asyncio_base::slab::Key;
use asyncio_base::sync::Mutex;
use asyncio_task::{Members, Phase};
use child::{Child, Membership};
use scope::Scope;
use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;

/// Makes tasks that end before [`scope`](Self::scope) does.
///
/// Clones are the same group, and may be moved into its tasks to make more.
///
/// # Python
///
/// `asyncio.TaskGroup`.
pub struct TaskGroup<E = Infallible>(Arc<Shared<E>>);

type Panic = Box<dyn Any + Send>;

struct Shared<E> {
    members: Members,
    failures: Mutex<Failures<E>>,
}

/// In the order in which they came.
struct Failures<E> {
    errors: Vec<E>,
    panics: Vec<Panic>,
    /// Nobody will look any more.
    is_closed: bool,
}

/// How a child, or the body, failed.
enum Failure<E> {
    Error(E),
    Panic(Panic),
}

impl<E: Send + 'static> TaskGroup<E> {
    fn new() -> Self {
        let failures = Failures { errors: Vec::new(), panics: Vec::new(), is_closed: false };
        TaskGroup(Arc::new(Shared { members: Members::new(), failures: Mutex::new(failures) }))
    }

    /// Runs `body` with a group, and waits for every task made in it.
    ///
    /// The first task that fails, and a body that does, *aborts* the group: its other tasks and the body are cancelled and waited for, clean-ups
    /// included. A task that is cancelled by somebody else is no failure. A cancel of the caller aborts the group too, and goes on when all have
    /// ended; if there are errors they come first, and the cancel strikes at the next await. With errors, so does one that was caught before, in the
    /// body or earlier still, and not taken back with [`uncancel`](crate::TaskHandle::uncancel).
    ///
    /// # Cancel safety
    ///
    /// Dropping the scope (a lost branch of `select!`) cancels its tasks and cannot wait for them: they clean up by themselves, and errors of
    /// theirs go to the loop's exception handler. A scope that a cancellation has ended, and that is kept, is cancelled again when it is awaited again.
    ///
    /// # Errors
    ///
    /// The errors of all tasks that failed, first failed first, then the body's. A group without errors says that [`cancel`](Self::cancel) ended
    /// it before the body had returned.
    ///
    /// # Panics
    ///
    /// Outside tasks. Resumes the first panic of a task or of the body, also of its destructor, when all have ended.
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
        let mut body = pin!(Some(body(&group)));
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
        let Some(event_loop) = running_loop() else { panic!("{NoRunningLoop}") };
        let (group, location) = (self.clone(), Location::caller());
        if event_loop.task_factory().is_set() {
            let child = group.child(future, into_outcome);
            return self.make_by_factory(&event_loop, context, child, location);
        }
        let context = match context {
            None => copied_context(),
            Some(context) => ContextSlot::with(context.clone()),
        };
        let room = event_loop.scheduler().room(context, location);
        let mut phase = Phase::Open;
        let enter = |child: &mut Child<F, C, E>, task| match self.0.members.enter(Some(task)) {
            Ok(key) => {
                child.membership.key = key;
                true
            }
            Err(now) => {
                phase = now;
                false
            }
        };
        let task =
            event_loop.accepted(room.spawn_entered(group.child(future, into_outcome), enter));
        if phase == Phase::Over {
            drop(task);
            finished();
        }
        task
    }

    fn child<F, C>(self, future: F, into_outcome: C) -> Child<F, C, E> {
        let membership = Membership { group: self, key: Key::NONE };
        Child { future: Some(future), into_outcome, membership }
    }

    /// As [`make`](Self::make), where the task may have its first turn before it is known.
    #[cold]
    #[track_caller]
    fn make_by_factory<T, F, C>(
        &self,
        event_loop: &EventLoop,
        context: Option<&crate::Context>,
        mut child: Child<F, C, E>,
        location: &'static Location<'static>,
    ) -> Task<T>
    where
        F: Future + Send + 'static,
        C: Fn(F::Output) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
    {
        let members = &self.0.members;
        match members.enter(None) {
            Ok(key) => child.membership.key = key,
            Err(Phase::Over) => finished(),
            Err(_) => {
                let room = event_loop.scheduler().room(copied_context(), location);
                return room.spawn_cancelled(child);
            }
        }
        let key = child.membership.key;
        let builder = TaskBuilder::on(event_loop);
        let builder = context.into_iter().fold(builder, TaskBuilder::context);
        let task = builder.create_task_at(child, location);
        if !members.settle(key, task.handle()) {
            task.cancel();
        }
        task
    }

    /// Ends the group early, without an error: cancels its tasks and its body. What they return still counts.
    ///
    /// # Python
    ///
    /// `TaskGroup.cancel()`, of CPython 3.15.
    pub fn cancel(&self) {
        self.0.members.abort(None);
    }

    /// Of a child.
    fn failed(&self, key: Key, failure: Failure<E>) {
        let mut failures = self.0.failures.lock();
        if failures.is_closed {
            drop(failures);
            return report("a task failed after its TaskGroup was dropped", failure);
        }
        failures.keep(failure);
        drop(failures);
        self.0.members.abort(Some(key));
    }
}

impl<E> Failures<E> {
    fn keep(&mut self, failure: Failure<E>) {
        match failure {
            Failure::Error(error) => self.errors.push(error),
            Failure::Panic(panic) => self.panics.push(panic),
        }
    }

    fn take(&mut self) -> (Vec<E>, Vec<Panic>) {
        (std::mem::take(&mut self.errors), std::mem::take(&mut self.panics))
    }
}

#[cold]
#[track_caller]
fn finished() -> ! {
    panic!("this TaskGroup is finished")
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
        let Shared { members, failures } = &*self.0;
        let (Some(tasks), Some(failures)) = (members.count(), failures.try_lock()) else {
            return f.write_str("<TaskGroup locked>");
        };
        let errors = failures.errors.len() + failures.panics.len();
        drop(failures);
        f.write_str("<TaskGroup")?;
        match tasks {
            0 => {}
            tasks => write!(f, " tasks={tasks}")?,
        }
        match errors {
            0 => {}
            errors => write!(f, " errors={errors}")?,
        }
        f.write_str(match members.phase() {
            Phase::Open => " entered>",
            Phase::Aborting | Phase::Abandoned => " cancelling>",
            Phase::Over => " finished>",
        })
    }
}
