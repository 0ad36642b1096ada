//! `Condition`: a lock, and tasks that wait for what it guards to change.
//!
//! # Protocol
//!
//! *Wait*, with the lock held: join the list, then release the lock. *Notify*, with the lock held: choose the first `n` of the
//! list. *A chosen waiter* asks for the lock again and returns with it.
//!
//! # Why no notification is lost
//!
//! A waiter is in the list before the lock is released, and a notifier holds the lock: whatever it changed before, it changed
//! before the waiter looked, or it finds the waiter in the list. What a chosen waiter has in hand chooses the next waiter when it is
//! dropped; only returning with the lock uses it up: `wait.rs`, which also tells how a wait is cancelled.
//!
//! Models: `loom-tests/tests/sync_condition.rs`.

mod guard;
mod wait;

pub use guard::Guard;
pub use wait::{Wait, WaitFor, WaitMut};

use crate::blocking::{block_on, refuse_in_task};
use crate::grant::{Acquiring, Grant, acquire_future};
use crate::lock::Lock;
use crate::waiters::Waiters;
use crate::wake::{wake_if, wake_in_batches};
use asyncio_base::const_fn;
use asyncio_base::sync::Mutex;
use guard::LockOf;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A [`Guard`] that borrows its condition.
pub type ConditionGuard<'a, T = ()> = Guard<&'a Condition<T>>;

/// A [`Guard`] that keeps its condition alive by itself, to be moved into tasks.
pub type OwnedConditionGuard<T = ()> = Guard<Arc<Condition<T>>>;

/// What a guard has its condition by: `&Condition<T>` or `Arc<Condition<T>>`, and nothing else.
pub trait Holder: sealed::Holder {}

impl<P: sealed::Holder> Holder for P {}

mod sealed {
    use super::{Arc, Condition};

    /// The way to the condition, which is nobody else's business.
    pub trait Holder: Clone + Unpin {
        /// What the lock guards.
        type Data;

        /// The condition.
        fn condition(&self) -> &Condition<Self::Data>;
    }

    impl<T> Holder for &Condition<T> {
        type Data = T;

        #[inline]
        fn condition(&self) -> &Condition<T> {
            self
        }
    }

    impl<T> Holder for Arc<Condition<T>> {
        type Data = T;

        #[inline]
        fn condition(&self) -> &Condition<T> {
            self
        }
    }
}

const LINE: usize = 0;

type Line = Waiters<()>;

/// A lock with data, and a way to wait until another holder has changed it.
///
/// `wait` and `notify` are methods of the guard, so that neither can be called without the lock.
///
/// # Examples
///
/// ```
/// use asyncio_sync::Condition;
/// use std::sync::Arc;
///
/// async fn consume(jobs: Arc<Condition<Vec<u32>>>) -> u32 {
///     let mut guard = jobs.acquire().await;
///     while guard.is_empty() {
///         guard = guard.wait().await;
///     }
///     guard.pop().expect("not empty")
/// }
///
/// async fn produce(jobs: Arc<Condition<Vec<u32>>>) {
///     let mut guard = jobs.acquire().await;
///     guard.push(7);
///     guard.notify(1);
/// }
/// # let jobs = Arc::new(Condition::new(Vec::new()));
/// # let both = futures_lite::future::zip(consume(jobs.clone()), produce(jobs));
/// # assert_eq!(futures_lite::future::block_on(both).0, 7);
/// ```
///
/// # Python
///
/// `asyncio.Condition`. The guard is passed through [`wait`](ConditionGuard::wait) by value; “cannot wait on un-acquired
/// lock” is a compile error.
pub struct Condition<T = ()> {
    lock: Source<T>,
    line: Mutex<Line>,
}

/// A lock of one's own, or one that several conditions share.
enum Source<T> {
    Own(Lock<T>),
    Shared(Arc<Lock<T>>),
}

/// How a [`Condition`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConditionStatistics {
    /// Whether somebody holds the lock.
    pub locked: bool,
    /// How many wait for the lock.
    pub lock_waiters: usize,
    /// How many wait for a notification.
    pub waiters: usize,
}

impl<T> Condition<T> {
    const_fn! {
        /// A condition with a lock of its own round `value`.
        pub const fn new(value: T) -> Self {
            Condition { lock: Source::Own(Lock::new(value)), line: Mutex::new(Waiters::new()) }
        }
    }

    /// A condition on a lock that others use too, other conditions among them.
    pub fn with_lock(lock: Arc<Lock<T>>) -> Self {
        Condition { lock: Source::Shared(lock), line: Mutex::new(Waiters::new()) }
    }

    /// The lock.
    #[inline]
    pub fn lock(&self) -> &Lock<T> {
        match &self.lock {
            Source::Own(lock) => lock,
            Source::Shared(lock) => lock,
        }
    }

    /// Waits until the lock is free and takes it.
    ///
    /// # Cancel safety
    ///
    /// As [`Lock::acquire`].
    #[track_caller]
    #[inline]
    pub fn acquire(&self) -> ConditionAcquire<'_, T> {
        ConditionAcquire(Acquiring::new(LockOf(self), 1, Location::caller()))
    }

    /// As [`acquire`](Self::acquire), with a guard that keeps the condition alive by itself, to be moved into tasks.
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> ConditionAcquireOwned<T> {
        ConditionAcquireOwned(Acquiring::new(LockOf(self), 1, Location::caller()))
    }

    /// Takes the lock if it is free and nobody waits for it.
    #[inline]
    pub fn try_acquire(&self) -> Option<ConditionGuard<'_, T>> {
        Grant::try_take(LockOf(self), 1).map(Guard::new)
    }

    /// As [`try_acquire`](Self::try_acquire), with a guard that keeps the condition alive by itself.
    pub fn try_acquire_owned(self: Arc<Self>) -> Option<OwnedConditionGuard<T>> {
        Grant::try_take(LockOf(self), 1).map(Guard::new)
    }

    /// Takes the lock from a plain thread, which sleeps until its turn comes.
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_acquire(&self) -> ConditionGuard<'_, T> {
        refuse_in_task();
        self.try_acquire().unwrap_or_else(|| block_on(self.acquire()))
    }

    /// Whether somebody holds the lock.
    pub fn locked(&self) -> bool {
        self.lock().locked()
    }

    /// How the condition stands at this moment.
    pub fn statistics(&self) -> ConditionStatistics {
        let lock = self.lock().statistics();
        let waiters = self.line.lock().len(LINE);
        ConditionStatistics { locked: lock.locked, lock_waiters: lock.waiters, waiters }
    }

    /// Chooses up to `n` waiters and wakes them, in the order in which they began to wait.
    fn choose(&self, n: usize) {
        if n == 1 {
            let first = self.line.lock().choose(LINE);
            return wake_if(first);
        }
        let mut left = n;
        wake_in_batches(None, |batch| {
            let mut line = self.line.lock();
            while left > 0 && !batch.is_full() {
                let Some(waker) = line.choose(LINE) else { return false };
                batch.push(waker);
                left -= 1;
            }
            left > 0
        });
    }
}

impl<T: Default> Default for Condition<T> {
    fn default() -> Self {
        Condition::new(T::default())
    }
}

impl<T> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.locked() { "locked" } else { "unlocked" };
        match self.line.try_lock().map(|line| line.len(LINE)) {
            Some(0) => write!(f, "<Condition [{state}]>"),
            Some(n) => write!(f, "<Condition [{state}, waiters:{n}]>"),
            None => write!(f, "<Condition [{state}, waiters:?]>"),
        }
    }
}

acquire_future! {
    /// The future of [`Condition::acquire`].
    pub struct ConditionAcquire['a, T](LockOf<&'a Condition<T>>) -> ConditionGuard<'a, T>;
}

acquire_future! {
    /// The future of [`Condition::acquire_owned`].
    pub struct ConditionAcquireOwned[T](LockOf<Arc<Condition<T>>>) -> OwnedConditionGuard<T>;
}
