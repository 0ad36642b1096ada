//! Locks, events, conditions, semaphores, barriers and queues for tasks, under any executor.
//!
//! Only `asyncio` promises a stable API; this crate does not.
//!
//! | here | Python |
//! |---|---|
//! | [`Lock`], [`Event`], [`Condition`], [`Semaphore`], [`BoundedSemaphore`], [`Barrier`] | the same names |
//! | [`Queue`], [`LifoQueue`], [`PriorityQueue`] | the same names |
//! | [`RwLock`], [`oneshot`], [`broadcast`], [`watch`] | what Rust programs expect besides |
//!
//! # What holds for all of them
//!
//! * **Fair.** Waiters are served in the order in which they began to wait. What is released goes directly to the next
//!   waiter; nobody can step in between.
//! * **Lossless.** A waiter that is cancelled leaves at once, in constant time. If it had been given something, that goes on
//!   to the next.
//! * **Of no loop.** They know wakers only, so tasks of several loops, other executors and, through the `blocking_` twins,
//!   plain threads may share them.
//! * **Never poisoned.** A panic releases what was held.
//! * No waker is cloned, called or dropped under a lock of this crate, `Debug` never blocks, and each task that waits here says
//!   so in its wait slot.
//!
//! One task that waits twice on the same thing, in a `join!`, and holds it in the meantime in a branch that is not polled,
//! waits for itself: no primitive can see that.
//!
//! # Unsafe
//!
//! Two places. `guarded.rs`, the data behind a lock: three borrows and one `Sync`. `oneshot`, the value on its way from sender
//! to receiver (one write, two takes, one `Sync`) and the memory that the two own (one borrow, two frees, `Send` and `Sync`). Each
//! says why it holds; everything else is safe code.
#![deny(unsafe_code)]

mod barrier;
mod blocking;
pub mod broadcast;
pub mod condition;
pub mod errors;
mod event;
mod grant;
mod guarded;
mod lock;
#[cfg(doctest)]
mod misuse;
pub mod oneshot;
mod permits;
pub mod queue;
mod rwlock;
mod semaphore;
mod waiters;
mod wake;
pub mod watch;

pub use barrier::{Barrier, BarrierStatistics, BarrierWait};
pub use condition::{
    Condition, ConditionAcquire, ConditionAcquireOwned, ConditionGuard, ConditionStatistics,
    OwnedConditionGuard,
};
pub use errors::{
    BrokenBarrierError, GetNowaitError, LockNotAcquired, OverReleaseError, PutNowaitError,
    QueueEmpty, QueueFull, QueueShutDown, TaskDoneError,
};
pub use event::{Event, EventStatistics, EventWait};
pub use lock::{Lock, LockAcquire, LockAcquireOwned, LockGuard, LockStatistics, OwnedLockGuard};
pub use queue::{LifoQueue, PriorityQueue, Queue, QueueStatistics};
pub use rwlock::{
    OwnedReadGuard, OwnedWriteGuard, Read, ReadGuard, ReadOwned, RwLock, RwLockStatistics, Write,
    WriteGuard, WriteOwned,
};
pub use semaphore::{
    BoundedAcquireOwned, BoundedSemaphore, OwnedBoundedPermit, OwnedSemaphorePermit, Semaphore,
    SemaphoreAcquire, SemaphoreAcquireOwned, SemaphorePermit, SemaphoreStatistics,
};
