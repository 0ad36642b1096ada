//! The user's handle: awaits the task, takes its output, cancels it.

use crate::cancel::Forward;
use crate::cold::{CallbackId, WaiterKey};
use crate::error::{InvalidStateError, JoinError};
use crate::finished::Finished;
use crate::handle::{self, TaskHandle};
use crate::header::RawTask;
use crate::id::TaskId;
use crate::runnable::drop_output;
use crate::schedule::Host;
use crate::state::{ABORT, CANCELLED, COMPLETE, HANDLE, JOIN_WAKER, Snapshot, State};
use asyncio_base::context::Context as TaskContext;
use asyncio_base::wait::WaitKind;
use asyncio_base::{observe, record};
use std::borrow::Cow;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A task that runs on a loop, and the way to its result.
///
/// The task runs whether or not its handle is kept: dropping a `Task` detaches it. Awaiting it gives what its future returned, or
/// a [`JoinError`] if it was cancelled or panicked. `&task` can be awaited too, for `()`: that waits and takes nothing.
///
/// A cancel of the task that awaits goes on to the awaited one, whose clean-up is waited for: if it ends cancelled, so does the await; if it
/// swallows the request and returns, the await returns that. See [`shield`](crate::shield) for an await that does not.
///
/// # Cancel safety
///
/// A dropped await changes nothing for the task, and the result can still be had from it.
///
/// # Python
///
/// `asyncio.Task`. The loop owns its tasks, so one whose handle is dropped is never lost half-way.
///
/// # `Send` and `Sync`
///
/// The output may be taken or dropped through the handle and read through a borrow of it, so the handle goes where the output may:
///
/// | output | `Task` is `Send` | `Task` is `Sync` |
/// |---|---|---|
/// | `Send + Sync` (`u32`) | yes | yes |
/// | `Send` only (`Cell<u32>`) | yes | no |
/// | `Sync` only (`MutexGuard<u32>`) | no | no |
/// | neither (`Rc<u32>`) | no | no |
///
/// ```
/// # use asyncio_task::{Task, TaskHandle};
/// fn send<T: Send>() {}
/// fn sync<T: Sync>() {}
/// send::<Task<u32>>();
/// sync::<Task<u32>>();
/// send::<Task<std::cell::Cell<u32>>>();
/// // A handle that knows no output goes anywhere, and so does a wait.
/// send::<TaskHandle>();
/// sync::<TaskHandle>();
/// send::<asyncio_task::Finished<'_>>();
/// ```
///
/// ```compile_fail,E0277
/// # fn sync<T: Sync>() {}
/// sync::<asyncio_task::Task<std::cell::Cell<u32>>>();
/// ```
///
/// ```compile_fail,E0277
/// # fn send<T: Send>() {}
/// send::<asyncio_task::Task<std::sync::MutexGuard<'static, u32>>>();
/// ```
///
/// ```compile_fail,E0277
/// # fn sync<T: Sync>() {}
/// sync::<asyncio_task::Task<std::sync::MutexGuard<'static, u32>>>();
/// ```
///
/// ```compile_fail,E0277
/// # fn send<T: Send>() {}
/// send::<asyncio_task::Task<std::rc::Rc<u32>>>();
/// ```
///
/// ```compile_fail,E0277
/// # fn sync<T: Sync>() {}
/// sync::<asyncio_task::Task<std::rc::Rc<u32>>>();
/// ```
#[must_use = "a Task runs whether or not it is kept: await it, bind it, or say `.detach()`"]
pub struct Task<T> {
    raw: RawTask,
    /// Passes a cancel of whoever awaits this on to the task.
    forward: Forward,
    /// The output is taken or dropped through this handle.
    output: PhantomData<T>,
}

// SAFETY: through the handle the output can be taken, so it must be `Send`; the rest is as for `TaskHandle`.
unsafe impl<T: Send> Send for Task<T> {}
// SAFETY: a shared handle lends the output, so it must be `Sync`.
unsafe impl<T: Send + Sync> Sync for Task<T> {}

impl<T> Unpin for Task<T> {}

const _: () = assert!(size_of::<Task<()>>() == 2 * size_of::<usize>(), "a handle is two words");

impl<T> Task<T> {
    /// # Safety
    ///
    /// `raw` is a cell whose output is a `T` and whose `HANDLE` bit is the caller's.
    pub(crate) unsafe fn new(raw: RawTask) -> Self {
        Task { raw, forward: Forward::new(), output: PhantomData }
    }

    #[inline]
    fn state(&self) -> &State {
        &self.raw.header().state
    }

    /// Whether this thread is a worker of the task's loop.
    pub(crate) fn on_worker(&self) -> bool {
        self.raw.host().is_worker()
    }

    /// The scheduler's side: tells whose task it is.
    pub fn host(&self) -> &'static dyn Host {
        self.raw.host()
    }

    /// Asks the task to end; true unless it has ended already.
    ///
    /// The request is recorded and delivered when the task next gets a turn: its future is dropped where it waits, and awaiting
    /// the task gives a cancelled [`JoinError`]. A task that has not started is dropped unpolled.
    pub fn cancel(&self) -> bool {
        handle::request_cancel(self.raw, 0, None)
    }

    /// As [`cancel`](Self::cancel), with a message that the cancellation carries.
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        handle::request_cancel(self.raw, 0, Some(message.into()))
    }

    /// How many cancel requests have not been taken back with [`uncancel`](Self::uncancel).
    pub fn cancelling(&self) -> usize {
        self.state().load().cancels() as usize
    }

    /// Takes one cancel request back and returns how many are left; at 0 one that was not delivered yet is void.
    ///
    /// An [`abort`](Self::abort) is counted too, but not taken back.
    pub fn uncancel(&self) -> usize {
        handle::uncancel(self.raw)
    }

    /// Ends the task without asking: its future is dropped by its loop, and no code of it runs but destructors. True unless it has
    /// ended already.
    ///
    /// # Python
    ///
    /// No twin; the nearest is closing the coroutine.
    pub fn abort(&self) -> bool {
        handle::request_cancel(self.raw, ABORT, None)
    }

    /// Whether the task has ended, in whatever way.
    #[inline]
    pub fn done(&self) -> bool {
        self.state().load().has(COMPLETE)
    }

    /// Whether the task ended cancelled.
    pub fn cancelled(&self) -> bool {
        self.state().load().has(CANCELLED)
    }

    /// The outcome, where it lies.
    ///
    /// # Errors
    ///
    /// While the task is not done, and after its outcome was taken.
    ///
    /// # Python
    ///
    /// `Task.result()` and `Task.exception()` in one.
    pub fn result(&self) -> Result<&Result<T, JoinError>, InvalidStateError> {
        if !self.done() {
            return Err(InvalidStateError::new("Result is not ready."));
        }
        let output = self.output().ok_or(InvalidStateError::new("Result was taken."))?;
        if output.is_err() {
            self.state().set_retrieved();
        }
        Ok(output)
    }

    /// Why the task ended without a value, if it did and the outcome was not taken. Looking is not retrieving: see [`result`](Self::result).
    pub fn error(&self) -> Option<&JoinError> {
        self.done().then(|| self.output()).flatten()?.as_ref().err()
    }

    /// The value, if the task ended with one and it was not taken.
    pub fn value(&self) -> Option<&T> {
        self.done().then(|| self.output()).flatten()?.as_ref().ok()
    }

    /// The outcome, where it lies; the task is done.
    fn output(&self) -> Option<&Result<T, JoinError>> {
        // SAFETY: the vtable belongs to the cell. The task is done, and with the handle borrowed nobody takes the output: it is
        // ours once finished, and shared with done-callbacks before.
        let output = unsafe { (self.raw.vtable().output)(self.raw) }?;
        // SAFETY: the cell's output is of this type (`new`).
        Some(unsafe { output.cast().as_ref() })
    }

    /// Takes the outcome if the task has ended; `None` before, and after it was taken. Done-callbacks come first.
    pub fn try_result(&mut self) -> Option<Result<T, JoinError>> {
        if self.state().load().is_finished() { self.take() } else { None }
    }

    /// Takes the outcome of the finished task.
    fn take(&mut self) -> Option<Result<T, JoinError>> {
        let output = std::ptr::from_ref(self.output()?);
        // SAFETY: the task is finished and `HANDLE` is ours, so the output is; it is marked as moved out before anything else can
        // look at it.
        unsafe {
            let output = output.read();
            (self.raw.vtable().forget_output)(self.raw);
            Some(output)
        }
    }

    /// Leaves a waker for whoever finishes the task; false if the task went on meanwhile and has to be looked at again.
    #[inline]
    fn leave_waker(&mut self, now: Snapshot, waker: Waker) -> bool {
        if now.has(COMPLETE) || now.has(JOIN_WAKER) {
            return self.leave_waker_again(now, waker);
        }
        // SAFETY: the task was not complete with `JOIN_WAKER` clear, so the slot is ours, and empty: who clears the bit takes the waker out.
        unsafe { self.fill_slot(waker) }.is_none()
    }

    /// As [`leave_waker`](Self::leave_waker) where one has been left before, or callbacks are outstanding.
    #[cold]
    fn leave_waker_again(&mut self, now: Snapshot, waker: Waker) -> bool {
        let header = self.raw.header();
        if now.has(COMPLETE) {
            // The slot is the finisher's, who wakes those in the cold block too.
            return header.cold().add_waiter(self.raw, &mut Some(WaiterKey::JOINER), waker);
        }
        if !header.state.unset_join_waker() {
            return false;
        }
        // SAFETY: the task was not complete and `JOIN_WAKER` is clear now, so the slot is ours.
        let stale = unsafe { header.join.take() };
        // SAFETY: as above, and empty now.
        let refused = unsafe { self.fill_slot(waker) };
        let left = refused.is_none();
        // Only now that all is in order: a waker's destructor is user code.
        drop((stale, refused));
        left
    }

    /// Hands a waker to the finisher, or gives it back if the task is complete.
    ///
    /// # Safety
    ///
    /// The slot is ours, and empty.
    #[inline(always)]
    unsafe fn fill_slot(&self, waker: Waker) -> Option<Waker> {
        let header = self.raw.header();
        // SAFETY: the caller says so.
        unsafe { header.join.set(waker) };
        if header.state.set_join_waker() {
            return None;
        }
        // SAFETY: complete before the slot was handed over, so it is still ours.
        unsafe { header.join.take() }
    }

    /// Calls `callback` with the outcome once the task has ended, on the loop's lane, in the order of registration and in a copy of
    /// the context of this call; at once (but not inside this call) if it has ended.
    ///
    /// The outcome can be taken only after the callbacks have run: they come before the awaiter.
    ///
    /// The callback may run on another thread than the one that has the handle, so the output has to be `Send` and `Sync`:
    ///
    /// ```compile_fail,E0277
    /// # fn f(task: &asyncio_task::Task<std::cell::Cell<u32>>) {
    /// task.add_done_callback(|outcome| drop(outcome.is_ok()));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the outcome was taken already.
    #[track_caller]
    pub fn add_done_callback<C>(&self, callback: C) -> CallbackId
    where
        C: FnOnce(&Result<T, JoinError>) + Send + 'static,
        T: Send + Sync + 'static,
    {
        assert!(
            !self.done() || self.output().is_some(),
            "the result of the task was taken already"
        );
        let function = move |task: RawTask| {
            // SAFETY: the vtable belongs to the cell, which is complete, and `CALLBACKS` keeps its output in place.
            let output = unsafe { (task.vtable().output)(task) };
            let output = output.expect("the output stays while callbacks are outstanding");
            // SAFETY: the cell's output is of this type (`new`).
            callback(unsafe { output.cast().as_ref() });
        };
        self.raw.header().cold().add_callback(self.raw, Box::new(function))
    }

    /// Forgets a callback; false if it has been queued already.
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        self.raw.header().cold_if_any().is_some_and(|cold| cold.remove_callback(id))
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.raw.header().id
    }

    /// The task's name, `Task-N` unless it was given one.
    pub fn get_name(&self) -> Arc<str> {
        handle::name(self.raw)
    }

    /// Renames the task.
    pub fn set_name(&self, name: impl Into<Arc<str>>) {
        self.raw.header().cold().set_name(name.into());
    }

    /// The same task, renamed: for use where it is made.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        self.set_name(name);
        self
    }

    /// Where the task was made.
    pub fn location(&self) -> &'static Location<'static> {
        self.raw.header().location
    }

    /// The type of the task's future, which names the async function it came from.
    pub fn get_coro(&self) -> &'static str {
        (self.raw.vtable().describe)()
    }

    /// The context the task runs in.
    pub fn get_context(&self) -> TaskContext {
        self.raw.header().context.get_or_create()
    }

    /// A handle that watches and cancels, of a type that all tasks share.
    pub fn handle(&self) -> TaskHandle {
        TaskHandle::new_ref(self.raw)
    }

    /// Lets the task run on by itself; the same as dropping the handle, said aloud.
    pub fn detach(self) {}

    /// Has `waker` woken once when the task has finished, in place of whoever awaits this handle; false if it has finished. Passes no cancel on.
    ///
    /// For those who wait for many.
    #[inline(always)]
    pub fn wake_when_finished(&mut self, waker: Waker) -> bool {
        let now = self.state().load();
        if now.is_finished() {
            return false;
        }
        handle::refuse_own(self.raw);
        if now.has(COMPLETE) || now.has(JOIN_WAKER) {
            return self.wake_when_finished_again(waker);
        }
        // SAFETY: the task was not complete with `JOIN_WAKER` clear, so the slot is ours, and empty: who clears the bit takes the waker out.
        match unsafe { self.fill_slot(waker) } {
            None => true,
            Some(waker) => self.wake_when_finished_again(waker),
        }
    }

    /// As [`wake_when_finished`](Self::wake_when_finished) where a waker was left before, or callbacks are outstanding.
    #[cold]
    fn wake_when_finished_again(&mut self, waker: Waker) -> bool {
        loop {
            let now = self.state().load();
            if now.is_finished() {
                return false;
            }
            if self.leave_waker_again(now, waker.clone()) {
                return true;
            }
        }
    }

    /// Takes the waker of an await, or of [`wake_when_finished`](Self::wake_when_finished), back.
    pub fn stop_waiting(&mut self) {
        let stale = self.take_waker();
        drop(stale);
        if self.state().load().has(COMPLETE) {
            // Registered in the cold block while callbacks were outstanding.
            let cold = self.raw.header().cold_if_any();
            cold.into_iter().for_each(|cold| cold.remove_waiter(WaiterKey::JOINER));
        }
    }

    /// Says that nobody will ask how the task ended: a panic of it is not reported.
    pub fn forgive(&self) {
        self.state().set_retrieved();
    }

    /// Takes the join waker back, unless the finisher has it.
    fn take_waker(&mut self) -> Option<Waker> {
        let state = self.state();
        if state.load().has(JOIN_WAKER) && state.unset_join_waker() {
            // SAFETY: the task was not complete and `JOIN_WAKER` is clear now, so the slot is ours.
            return unsafe { self.raw.header().join.take() };
        }
        None
    }
}

impl<T> Task<T> {
    /// Polls for the outcome; a cancel of the waiter is passed on to the task if `forwards`, else the waiter lets go.
    pub(crate) fn poll_outcome(
        &mut self,
        cx: &mut Context<'_>,
        forwards: bool,
    ) -> Poll<Result<T, JoinError>> {
        let header = self.raw.header();
        loop {
            let now = header.state.load();
            if now.is_finished() {
                if self.forward.ended(now.has(CANCELLED)) {
                    return Poll::Pending;
                }
                let output = self.take();
                return Poll::Ready(
                    output.expect("a task was awaited again after it gave its result"),
                );
            }
            handle::refuse_own(self.raw);
            // A clone is user code: made before the slot is taken, so that its panic leaves nothing half done.
            if self.leave_waker(now, cx.waker().clone()) {
                let raw = self.raw;
                if forwards {
                    let cancel = |message| handle::request_cancel(raw, 0, message);
                    self.forward.pass_on(cx.waker(), cancel);
                }
                observe::waits_for_task(header.id.get());
                record::waits_for(WaitKind::Task, header.location);
                return Poll::Pending;
            }
        }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// When polled again after it gave its result, and when a task awaits itself, which would never end.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_outcome(cx, true)
    }
}

/// Waits until the task has ended, and takes nothing.
impl<'a, T> IntoFuture for &'a Task<T> {
    type Output = ();
    type IntoFuture = Finished<'a>;

    fn into_future(self) -> Finished<'a> {
        Finished::new(self.raw)
    }
}

impl<T> Task<T> {
    /// Gives up the handle of the finished task, with the output if it is still there.
    fn let_go(&mut self) {
        if self.output().is_some() {
            drop_output(self.raw);
        }
        if self.state().release(HANDLE) {
            // SAFETY: the word said that no claim is left.
            unsafe { self.raw.free() };
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if self.state().load().is_finished() {
            return self.let_go();
        }
        // Dropped last, when the handle is done with the cell: a waker's destructor is user code.
        let _waker = self.take_waker();
        if !self.state().drop_handle_early() {
            self.let_go();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        handle::debug(self.raw, f)?;
        match self.done().then(|| self.output()).flatten() {
            None => {}
            Some(Ok(value)) => write!(f, " result={value:?}")?,
            Some(Err(error)) => write!(f, " exception={error}")?,
        }
        f.write_str(">")
    }
}
