//! The task cell of asyncio. Only `asyncio` promises a stable API; this crate does not.
//!
//! A task is one allocation: a [header](mod@header) that every task has, the scheduler's handle, and the future, whose place
//! its output takes. Four kinds of pointers name it:
//!
//! | pointer | held by | claim on the cell |
//! |---|---|---|
//! | [`Task<T>`] | the user, at most one | the `HANDLE` bit; may take the output |
//! | [`TaskHandle`] | whoever watches or cancels | one reference |
//! | `Waker` | whatever the task waits for | one reference |
//! | [`Runnable`] | a run queue or the worker polling it, at most one | the wake count |
//!
//! [`mod@state`] has the protocol: one word that decides who polls, who takes the output, who frees the cell.
//!
//! # Unsafe
//!
//! The cell is reached through erased thin pointers, so this crate is where most of asyncio's unsafe code is: `cell.rs` and
//! `header.rs` (the erased cell), `waker.rs` (the vtable), `waker_slot.rs` (a waker in one word), `list.rs` (the intrusive list of all
//! tasks) `borrowed.rs` (main's future, which stays in the frame of `run`) and `scoped.rs` (tasks that borrow from a
//! thread which waits for them). Each block names the rule of `state.rs` it
//! stands on.

mod blocking;
mod borrowed;
mod cancel;
mod cancel_on_drop;
mod cell;
mod cold;
mod error;
mod finished;
mod handle;
mod header;
mod id;
mod into_task;
mod list;
mod members;
mod panics;
mod ready;
mod runnable;
mod schedule;
mod scoped;
pub mod state;
mod task;
mod waker;
mod waker_slot;

pub use blocking::{BlockingError, block_on};
pub use borrowed::{Borrowed, with_borrowed};
pub use cancel::{
    CatchCancelled, Domain, Forward, GroupDomain, Inside, Polled, Shield, Shieldable, Standing,
    TimeoutDomain, Uncancellable, catch_cancelled, fail_here, shield, uncancellable, with_finally,
};
pub use cancel_on_drop::CancelOnDrop;
pub use cell::Room;
pub use cold::CallbackId;
pub use error::{CancelledError, InvalidStateError, JoinError, PanicError};
pub use finished::Finished;
pub use handle::{TaskHandle, current};
pub use id::{TaskId, numbered_anew};
pub use into_task::{IntoTask, Spawn};
pub use list::TaskList;
pub use members::{Members, Phase};
pub use panics::{contain, fail_in_drop, panic_text};
pub use ready::Ready;
pub use runnable::{Ran, Runnable};
pub use schedule::{
    Host, Made, Schedule, ScheduleLocal, Unretrieved, spawn, spawn_cancelled, spawn_entered,
    spawn_local,
};
pub use scoped::{BoxedChild, ChildSpawner, ScopedJoinHandle, ThreadScope, block_in_scope};
pub use task::Task;
