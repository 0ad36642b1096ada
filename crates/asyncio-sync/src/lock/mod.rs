//! `Lock`: mutual exclusion for tasks, fair, and with data of its own where that helps.

mod guard;

pub use guard::{LockGuard, OwnedLockGuard};

use crate::blocking::{block_on, refuse_in_task};
use crate::errors::LockNotAcquired;
use crate::grant::{Acquiring, Grant, Permitted, acquire_future};
use crate::guarded::{Guarded, Guards};
use crate::permits::Permits;
use asyncio_base::const_fn;
use asyncio_base::wait::WaitKind;
use std::fmt;
use std::panic::Location;
// Owned guards come from methods on `Arc<Self>`, a receiver that only std's `Arc` can be.
use std::sync::Arc;

/// A lock is one permit.
const ONE: usize = 1;

/// A mutual-exclusion lock for tasks.
///
/// Waiters get it in the order in which they began to wait. A released lock goes directly to the next waiter: nobody can take
/// it in between, and [`locked`](Self::locked) stays true. A task that is cancelled while it waits leaves the queue, and if it
/// had been given the lock already, the lock goes on to the next. A panic while the lock is held releases it and does not
/// poison it.
///
/// The lock may carry data: a `Lock<T>` lends its `T` to whoever holds it. `Lock<()>`, the default, is asyncio's lock.
/// It is not re-entrant, belongs to no loop, and may be held across an `.await`.
///
/// # Examples
///
/// ```
/// use asyncio_sync::Lock;
///
/// static HITS: Lock<u64> = Lock::new(0);
///
/// async fn hit() -> u64 {
///     let mut hits = HITS.acquire().await;
///     *hits += 1;
///     *hits
/// }
/// # assert_eq!(futures_lite::future::block_on(hit()), 1);
/// ```
///
/// # Python
///
/// `asyncio.Lock`. `async with lock:` is `let _guard = lock.acquire().await`. In Python `locked()` is false for a moment between
/// a release and the next owner; here it is not.
pub struct Lock<T = ()> {
    permits: Permits,
    data: Guarded<T>,
}

/// How a [`Lock`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStatistics {
    /// Whether somebody holds it.
    pub locked: bool,
    /// How many wait for it.
    pub waiters: usize,
}

impl<T> Lock<T> {
    const_fn! {
        /// An unlocked lock round `value`.
        pub const fn new(value: T) -> Self {
            Lock { permits: Permits::new(ONE), data: Guarded::new(value) }
        }
    }

    /// Waits until the lock is free and takes it. A free lock is taken without yielding.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue; a lock that had been handed to it goes to the next waiter.
    #[doc(alias = "lock")]
    #[track_caller]
    #[inline]
    pub fn acquire(&self) -> LockAcquire<'_, T> {
        self.acquire_at(Location::caller())
    }

    /// As [`acquire`](Self::acquire), on behalf of another place.
    #[inline]
    pub(crate) fn acquire_at(&self, place: &'static Location<'static>) -> LockAcquire<'_, T> {
        LockAcquire(Acquiring::new(self, ONE, place))
    }

    /// As [`acquire`](Self::acquire), with a guard that keeps the lock alive by itself, to be moved into tasks.
    #[doc(alias = "lock_owned")]
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> LockAcquireOwned<T> {
        LockAcquireOwned(Acquiring::new(self, ONE, Location::caller()))
    }

    /// Takes the lock if it is free and nobody waits for it.
    #[doc(alias = "try_lock")]
    #[inline]
    pub fn try_acquire(&self) -> Option<LockGuard<'_, T>> {
        Grant::try_take(self, ONE).map(LockGuard::new)
    }

    /// As [`try_acquire`](Self::try_acquire), with a guard that keeps the lock alive by itself.
    #[doc(alias = "try_lock_owned")]
    pub fn try_acquire_owned(self: Arc<Self>) -> Option<OwnedLockGuard<T>> {
        Grant::try_take(self, ONE).map(OwnedLockGuard::new)
    }

    /// Takes the lock from a plain thread, which sleeps until its turn comes.
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[doc(alias = "blocking_lock")]
    #[track_caller]
    pub fn blocking_acquire(&self) -> LockGuard<'_, T> {
        refuse_in_task();
        self.try_acquire().unwrap_or_else(|| block_on(self.acquire()))
    }

    /// Whether somebody holds the lock. It stays true from a release to the next owner.
    #[doc(alias = "is_locked")]
    pub fn locked(&self) -> bool {
        self.permits.locked()
    }

    /// The value; the exclusive borrow shows that nobody holds the lock.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }

    /// How the lock stands at this moment.
    pub fn statistics(&self) -> LockStatistics {
        LockStatistics { locked: self.locked(), waiters: self.permits.waiting() }
    }
}

impl Lock<()> {
    /// Unlocks a lock whose guard was [forgotten](LockGuard::forget), or hands it to the first waiter. Any task may call it.
    ///
    /// Guards release by themselves; this is for programs written in Python's `acquire` … `release` style.
    ///
    /// # Errors
    ///
    /// If the lock is not held.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let lock = asyncio_sync::Lock::<()>::default();
    /// lock.acquire().await.forget();
    /// assert!(lock.locked());
    /// lock.release()?;
    /// assert!(lock.release().is_err());
    /// # Ok::<(), asyncio_sync::LockNotAcquired>(())
    /// # });
    /// ```
    pub fn release(&self) -> Result<(), LockNotAcquired> {
        self.permits.release(ONE, ONE).map_err(|_| LockNotAcquired)
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Lock::new(T::default())
    }
}

impl<T> From<T> for Lock<T> {
    fn from(value: T) -> Self {
        Lock::new(value)
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.locked() { "locked" } else { "unlocked" };
        match self.permits.waiting_now() {
            Some(0) => write!(f, "<Lock [{state}]>"),
            Some(n) => write!(f, "<Lock [{state}, waiters:{n}]>"),
            None => write!(f, "<Lock [{state}, waiters:?]>"),
        }
    }
}

impl<T> Permitted for Lock<T> {
    const KIND: WaitKind = WaitKind::Lock;

    #[inline]
    fn permits(&self) -> &Permits {
        &self.permits
    }

    #[inline]
    fn bound(&self) -> usize {
        ONE
    }
}

impl<T> Guards for Lock<T> {
    type Data = T;
    const ALL: usize = ONE;

    #[inline]
    fn data(&self) -> &Guarded<T> {
        &self.data
    }
}

acquire_future! {
    /// The future of [`Lock::acquire`].
    pub struct LockAcquire['a, T](&'a Lock<T>) -> LockGuard<'a, T>;
}

acquire_future! {
    /// The future of [`Lock::acquire_owned`].
    pub struct LockAcquireOwned[T](Arc<Lock<T>>) -> OwnedLockGuard<T>;
}
