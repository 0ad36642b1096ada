//! The one allocation of a task, typed: header, scheduler, and the future or its output.

use crate::error::JoinError;
use crate::header::{Header, RawTask, Vtable};
use crate::panics;
use crate::runnable::Runnable;
use crate::schedule::{Host, Schedule};
use asyncio_base::context::ContextSlot;
use asyncio_base::shelf;
use asyncio_base::sync::UnsafeCell;
use std::any::type_name;
use std::future::Future;
use std::mem::{ManuallyDrop, needs_drop};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};

/// `repr(C)`, so that a pointer to the cell is a pointer to its header.
#[repr(C)]
pub(crate) struct Cell<F: Future, S> {
    header: Header,
    scheduler: S,
    /// Owned as `state.rs` says: by the token's holder until the task is complete, then by the output's owner.
    stage: UnsafeCell<Stage<F>>,
}

enum Stage<F: Future> {
    /// Pinned: never moved from the moment the cell is made.
    Future(F),
    Output(Result<F::Output, JoinError>),
    Gone,
}

/// A cell that waits for its future: memory, header and scheduler are there.
///
/// Whoever makes a task makes its room first. What may unwind is over then, so that the future goes straight from its maker into the cell: a call
/// that may unwind on that way would have to find the future somewhere to drop it, and each function would put it on its own stack.
#[derive(Debug)]
pub struct Room<F: Future, S: Schedule>(NonNull<Cell<F, S>>);

impl<F: Future, S: Schedule> Room<F, S> {
    /// Room for a task that runs in this context, and is made at this place in the program.
    #[inline(always)]
    pub fn new(scheduler: S, context: ContextSlot, location: &'static Location<'static>) -> Self
    where
        F: 'static,
        F::Output: 'static,
    {
        // First the memory: what is made afterwards is made in it.
        let pointer = shelf::allocate::<Cell<F, S>>();
        let cell = pointer.as_ptr();
        let header = Header::new(Cell::<F, S>::VTABLE, context, location);
        // SAFETY: the memory is for a cell, and ours.
        unsafe {
            (&raw mut (*cell).header).write(header);
            (&raw mut (*cell).scheduler).write(scheduler);
        }
        Room(pointer)
    }

    /// Gives the task this name, if any; else it is `Task-N`.
    pub fn named(self, name: Option<Arc<str>>) -> Self {
        // SAFETY: `new` wrote it.
        let header = unsafe { &(*self.0.as_ptr()).header };
        name.into_iter().for_each(|name| header.cold().set_name(name));
        self
    }

    /// The scheduler's side of the task that this becomes.
    #[inline(always)]
    pub(crate) fn host(&self) -> &'static dyn Host {
        // SAFETY: `new` wrote it.
        unsafe { (*self.0.as_ptr()).scheduler }.host()
    }

    /// Puts the future in; the cell has a handle and a token.
    #[inline(always)]
    pub(crate) fn fill(self, future: F) -> RawTask {
        let cell = ManuallyDrop::new(self).0;
        // SAFETY: the rest was written by `new`, and the cell is still ours.
        unsafe { (&raw mut (*cell.as_ptr()).stage).write(UnsafeCell::new(Stage::Future(future))) };
        RawTask::new(cell.cast::<Header>())
    }
}

impl<F: Future, S: Schedule> Drop for Room<F, S> {
    fn drop(&mut self) {
        let cell = self.0.as_ptr();
        // SAFETY: `new` wrote the header, into memory of the shelf; nobody else knows the cell. A scheduler is `Copy`, there is nothing to drop.
        unsafe {
            (&raw mut (*cell).header).drop_in_place();
            shelf::free(self.0);
        }
    }
}

/// Lends the future of a task that has not been polled.
///
/// # Safety
///
/// `task` was made in a [`Room`] for these types, and its token is the caller's and has not been run.
#[inline(always)]
pub(crate) unsafe fn with_fresh_future<F, S, R>(task: RawTask, f: impl FnOnce(&mut F) -> R) -> R
where
    F: Future + 'static,
    F::Output: 'static,
    S: Schedule,
{
    // SAFETY: the caller says that it is such a cell, and its token is a claim.
    let cell = unsafe { Cell::<F, S>::of(task) };
    cell.stage.with_mut(|stage| {
        // SAFETY: the caller holds the token, so the stage is its own. Before the first poll a future may even be moved.
        let Stage::Future(future) = (unsafe { &mut *stage }) else {
            unreachable!("the task has not been polled")
        };
        f(future)
    })
}

impl<F, S> Cell<F, S>
where
    F: Future + 'static,
    F::Output: 'static,
    S: Schedule,
{
    const VTABLE: &'static Vtable = &Vtable {
        poll: Self::poll,
        fail: Self::fail,
        output: Self::output,
        drop_output: Self::drop_output,
        forget_output: Self::forget_output,
        error: Self::error,
        schedule: Self::schedule,
        host: Self::host,
        free: Self::free,
        describe: type_name::<F>,
        drops_values: needs_drop::<F::Output>(),
    };

    /// # Safety
    ///
    /// `task` is a cell of this type on which the caller has a claim. So for every function of the vtable.
    unsafe fn of<'a>(task: RawTask) -> &'a Self {
        // SAFETY: `Room` made the pointer from a `Cell<F, S>`, whose first field is the header.
        unsafe { task.as_ptr().cast::<Self>().as_ref() }
    }

    unsafe fn poll(task: RawTask, cx: &mut Context<'_>) -> bool {
        // SAFETY: as `of` says.
        let cell = unsafe { Self::of(task) };
        let polled = cell.stage.with_mut(|stage| {
            // SAFETY: the caller holds the token, so the stage is its own; the future is pinned, as it never leaves the cell.
            let Stage::Future(future) = (unsafe { &mut *stage }) else {
                unreachable!("the token of a complete task is not polled")
            };
            // SAFETY: as above.
            let future = unsafe { Pin::new_unchecked(future) };
            catch_unwind(AssertUnwindSafe(|| future.poll(cx)))
        });
        let output = match polled {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(panic) => Err(JoinError::panicked(panic)),
        };
        // SAFETY: the caller holds the token.
        unsafe { cell.replace_future(output) };
        true
    }

    unsafe fn fail(task: RawTask, error: JoinError) {
        // SAFETY: as `of` says, and the caller holds the token.
        unsafe { Self::of(task).replace_future(Err(error)) }
    }

    /// Drops what is in the stage, in place, and stores the outcome. A destructor that panics makes the task one that panicked, or failed if it
    /// says so.
    ///
    /// # Safety
    ///
    /// The stage is the caller's.
    unsafe fn replace_future(&self, output: Result<F::Output, JoinError>) {
        let output = match self.clear_stage() {
            Ok(()) => output,
            Err(thrown) => {
                // The value has no reader any more; should its destructor panic too, the first panic is the one to tell.
                panics::contain(|| drop(output));
                Err(panics::ended_in_drop(thrown))
            }
        };
        // SAFETY: the stage is the caller's, and empty.
        self.stage.with_mut(|stage| unsafe { stage.write(Stage::Output(output)) });
    }

    /// Drops what is in the stage, where it is, leaving `Gone` also if a destructor panics.
    fn clear_stage(&self) -> std::thread::Result<()> {
        self.stage.with_mut(|stage| {
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: both callers own the stage. A pinned future is dropped in place; what is left is overwritten
                // below without being dropped again, as after a panic in a destructor the rest counts as dropped.
                unsafe { stage.drop_in_place() }
            }));
            // SAFETY: as above.
            unsafe { stage.write(Stage::Gone) };
            dropped
        })
    }

    /// Whether nothing is left that has a destructor; for the one who frees the cell.
    #[inline]
    fn is_bare(&self) -> bool {
        let is_plain = |stage: &Stage<F>| match stage {
            Stage::Gone => true,
            Stage::Output(Ok(_)) => !needs_drop::<F::Output>(),
            Stage::Output(Err(_)) | Stage::Future(_) => false,
        };
        // SAFETY: nobody else has the cell any more.
        self.header.is_bare() && self.stage.with(|stage| is_plain(unsafe { &*stage }))
    }

    unsafe fn output(task: RawTask) -> Option<NonNull<()>> {
        // SAFETY: as `of` says.
        let cell = unsafe { Self::of(task) };
        cell.stage.with(|stage| {
            // SAFETY: the task is complete, so nobody changes the stage while the caller owns or reads the output.
            match unsafe { &*stage } {
                Stage::Output(output) => Some(NonNull::from(output).cast()),
                Stage::Future(_) | Stage::Gone => None,
            }
        })
    }

    unsafe fn error(task: RawTask) -> Option<*const JoinError> {
        // SAFETY: as `of` says.
        let cell = unsafe { Self::of(task) };
        cell.stage.with(|stage| {
            // SAFETY: the caller owns or reads the output.
            match unsafe { &*stage } {
                Stage::Output(Err(error)) => Some(std::ptr::from_ref(error)),
                _ => None,
            }
        })
    }

    unsafe fn drop_output(task: RawTask) {
        // SAFETY: as `of` says, and the output is the caller's.
        let cell = unsafe { Self::of(task) };
        if let Err(panic) = cell.clear_stage() {
            panics::report(cell.scheduler.host(), panic);
        }
    }

    unsafe fn forget_output(task: RawTask) {
        // SAFETY: as `of` says.
        let cell = unsafe { Self::of(task) };
        // SAFETY: the output is the caller's, who has moved it out. The bytes stay behind as if moved from: overwriting does not drop them.
        cell.stage.with_mut(|stage| unsafe { stage.write(Stage::Gone) });
    }

    unsafe fn schedule(task: RawTask) {
        // SAFETY: as `of` says. The scheduler is copied out: once the token is handed over, another thread may run the task to
        // its end and free the cell.
        let scheduler = unsafe { Self::of(task) }.scheduler;
        scheduler.schedule(Runnable::new(task));
    }

    unsafe fn host(task: RawTask) -> &'static dyn Host {
        // SAFETY: as `of` says.
        unsafe { Self::of(task) }.scheduler.host()
    }

    unsafe fn free(task: RawTask) {
        let cell = task.as_ptr().cast::<Self>();
        // SAFETY: as `of` says.
        let scheduler = unsafe { Self::of(task) }.scheduler;
        // SAFETY: the caller was told that no claim is left. A future of a type that must stay on its thread is gone by now, and so is an output
        // that has a destructor: the one who finished the task or dropped the handle dropped it.
        let clear = || unsafe { cell.drop_in_place() };
        // SAFETY: as `of` says.
        let is_bare = || unsafe { Self::of(task) }.is_bare();
        if !is_bare() {
            // Most of those that have a context have what they inherited and share.
            // SAFETY: as above; nobody else has the cell.
            let values = unsafe { &mut (*cell.as_ptr()).header.context }.let_go();
            // What is left may still hold values of users, of context variables for one, and this may be any waker's drop.
            if values.is_some() || !is_bare() {
                panics::reporting(|| scheduler.host(), || drop(values));
                panics::reporting(|| scheduler.host(), clear);
            }
        }
        // SAFETY: `Room` got the memory for a cell of this type, and what was in it is dropped, also if a destructor panicked.
        unsafe { shelf::free(cell) };
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;
    use crate::list::TaskList;
    use crate::schedule::Unretrieved;
    /// As a scheduler's: a pointer's worth of name.
    #[derive(Clone, Copy)]
    struct Nowhere(#[expect(dead_code, reason = "stands for a pointer")] &'static ());

    impl Schedule for Nowhere {
        fn schedule(self, _token: Runnable) {}

        fn host(self) -> &'static dyn Host {
            &Nowhere(&())
        }
    }

    impl Host for Nowhere {
        fn tasks(&self) -> &TaskList {
            unreachable!("nothing runs here")
        }

        fn call_soon(&self, _context: ContextSlot, _callback: Box<dyn FnOnce() + Send>) {}

        fn unretrieved(&self, _task: Unretrieved, _error: &JoinError) {}

        fn destructor_panicked(&self, _error: JoinError) {}
    }

    async fn nothing() {}

    fn cell_size<F: Future>(_future: F) -> usize {
        size_of::<Cell<F, Nowhere>>()
    }

    #[test]
    fn a_task_costs_a_header_the_scheduler_and_the_larger_of_future_and_output() {
        assert_eq!(size_of::<Header>(), 80);
        assert_eq!(size_of::<Result<(), JoinError>>(), 8);
        // The stage: the output's word and what tells the stages apart.
        assert_eq!(cell_size(nothing()), 80 + 8 + 16);
        let words = [0_u64; 8];
        let large = async move { words };
        // The future (the words and its own state) or the words as output, not both.
        assert_eq!(cell_size(large), 80 + 8 + (64 + 8) + 8);
    }
}
