//! `RwLock`: many readers or one writer, served first come, first served.
//!
//! A reader takes one permit, a writer all of them; everything else, and the proof, is in [`permits`](crate::permits).
//!
//! Models: `loom-tests/tests/sync_rwlock.rs`.

mod guard;

pub use guard::{OwnedReadGuard, OwnedWriteGuard, ReadGuard, WriteGuard};

use crate::blocking::{block_on, refuse_in_task};
use crate::grant::{Acquiring, Grant, Permitted, acquire_future};
use crate::guarded::{Guarded, Guards};
use crate::permits::{MAX_PERMITS, Permits};
use asyncio_base::const_fn;
use asyncio_base::wait::WaitKind;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
// Owned guards come from methods on `Arc<Self>`, a receiver that only std's `Arc` can be.
use std::sync::Arc;

/// What a writer takes.
const ALL: usize = MAX_PERMITS;

/// A lock that many readers or one writer hold at a time.
///
/// Readers and writers stand in one queue: a reader does not overtake a writer that waits, so neither starves. A task that
/// holds a read guard and asks for another one may therefore wait for a writer that waits for itself.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let lock = asyncio_sync::RwLock::new(vec![1]);
/// {
///     let (a, b) = (lock.read().await, lock.read().await);
///     assert_eq!(a.len() + b.len(), 2);
/// }
/// lock.write().await.push(2);
/// # assert_eq!(lock.into_inner(), [1, 2]);
/// # });
/// ```
///
/// # Python
///
/// None; Rust programs expect one.
pub struct RwLock<T = ()> {
    permits: Permits,
    data: Guarded<T>,
    /// `Sync` only if `T` is: readers on several threads have `&T` at a time.
    marker: PhantomData<T>,
}

/// How an [`RwLock`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RwLockStatistics {
    /// How many read.
    pub readers: usize,
    /// Whether somebody writes.
    pub writing: bool,
    /// How many wait.
    pub waiters: usize,
}

impl<T> RwLock<T> {
    const_fn! {
        /// An unlocked lock round `value`.
        pub const fn new(value: T) -> Self {
            RwLock { permits: Permits::new(ALL), data: Guarded::new(value), marker: PhantomData }
        }
    }

    /// Waits until nobody writes and nobody who came earlier waits, and takes the lock for reading.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue; a lock that had been handed to it goes on.
    #[track_caller]
    #[inline]
    pub fn read(&self) -> Read<'_, T> {
        Read(Acquiring::new(self, 1, Location::caller()))
    }

    /// Waits until nobody reads or writes and nobody who came earlier waits, and takes the lock for writing.
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Self::read).
    #[track_caller]
    #[inline]
    pub fn write(&self) -> Write<'_, T> {
        Write(Acquiring::new(self, ALL, Location::caller()))
    }

    /// As [`read`](Self::read), with a guard that keeps the lock alive by itself.
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> ReadOwned<T> {
        ReadOwned(Acquiring::new(self, 1, Location::caller()))
    }

    /// As [`write`](Self::write), with a guard that keeps the lock alive by itself.
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> WriteOwned<T> {
        WriteOwned(Acquiring::new(self, ALL, Location::caller()))
    }

    /// Takes the lock for reading if nobody writes and nobody waits.
    #[inline]
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        Grant::try_take(self, 1).map(ReadGuard::new)
    }

    /// Takes the lock for writing if nobody holds it and nobody waits.
    #[inline]
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        Grant::try_take(self, ALL).map(WriteGuard::new)
    }

    /// Takes the lock for reading from a plain thread, which sleeps until its turn comes.
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_read(&self) -> ReadGuard<'_, T> {
        refuse_in_task();
        self.try_read().unwrap_or_else(|| block_on(self.read()))
    }

    /// Takes the lock for writing from a plain thread, which sleeps until its turn comes.
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_write(&self) -> WriteGuard<'_, T> {
        refuse_in_task();
        self.try_write().unwrap_or_else(|| block_on(self.write()))
    }

    /// Whether a reader would have to wait now: somebody writes, or others wait.
    pub fn locked(&self) -> bool {
        self.permits.locked()
    }

    /// The value; the exclusive borrow shows that nobody holds the lock.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }

    /// How the lock stands at this moment.
    pub fn statistics(&self) -> RwLockStatistics {
        let free = self.permits.free();
        let readers = if free == 0 { 0 } else { ALL - free };
        RwLockStatistics { readers, writing: free == 0, waiters: self.permits.waiting() }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        RwLock::new(value)
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.permits.free() {
            ALL => f.write_str("<RwLock [unlocked]>"),
            0 => f.write_str("<RwLock [writing]>"),
            free => write!(f, "<RwLock [reading:{}]>", ALL - free),
        }
    }
}

impl<T> Permitted for RwLock<T> {
    const KIND: WaitKind = WaitKind::Lock;

    #[inline]
    fn permits(&self) -> &Permits {
        &self.permits
    }

    #[inline]
    fn bound(&self) -> usize {
        ALL
    }
}

impl<T> Guards for RwLock<T> {
    type Data = T;
    const ALL: usize = ALL;

    #[inline]
    fn data(&self) -> &Guarded<T> {
        &self.data
    }
}

acquire_future! {
    /// The future of [`RwLock::read`].
    pub struct Read['a, T](&'a RwLock<T>) -> ReadGuard<'a, T>;
}

acquire_future! {
    /// The future of [`RwLock::write`].
    pub struct Write['a, T](&'a RwLock<T>) -> WriteGuard<'a, T>;
}

acquire_future! {
    /// The future of [`RwLock::read_owned`].
    pub struct ReadOwned[T](Arc<RwLock<T>>) -> OwnedReadGuard<T>;
}

acquire_future! {
    /// The future of [`RwLock::write_owned`].
    pub struct WriteOwned[T](Arc<RwLock<T>>) -> OwnedWriteGuard<T>;
}
