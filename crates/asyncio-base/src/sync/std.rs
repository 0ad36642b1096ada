//! The plain build, and the counting build (counted atomics).
//!
//! Locks are `parking_lot`'s: an uncontended pair of lock and unlock is two exchanges and two branches, where std's asks for
//! poison besides, twice; they are a byte, where std's is eight with their poison; a condition variable nobody waits on makes no
//! system call; and ThreadSanitizer sees their code.

#[cfg(asyncio_count_rmw)]
use super::counted::count_lock;
#[cfg(asyncio_count_rmw)]
pub use super::counted::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
pub use std::hint::spin_loop;
use std::panic::{RefUnwindSafe, UnwindSafe};
pub use std::sync::Arc;
pub use std::sync::atomic::fence;
#[cfg(not(asyncio_count_rmw))]
pub use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::time::Duration;

/// Threads, by the names that loom knows too.
pub mod thread {
    pub use std::thread::{JoinHandle, ThreadId, current, park, spawn, yield_now};
}

#[cfg(not(asyncio_count_rmw))]
#[inline(always)]
fn count_lock() {}

/// A mutual-exclusion lock for short sections that run no user code; a byte beside its value, never poisoned.
#[derive(Debug, Default)]
pub struct Mutex<T: ?Sized>(parking_lot::Mutex<T>);

/// Holds a [`Mutex`] until dropped.
pub type MutexGuard<'a, T> = parking_lot::MutexGuard<'a, T>;

/// As std's: what a panic leaves behind is whole, because no lock of asyncio is held while user code runs.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked lock round `value`.
    pub const fn new(value: T) -> Self {
        Mutex(parking_lot::Mutex::new(value))
    }

    /// The value, without the lock.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        count_lock();
        self.0.lock()
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        count_lock();
        self.0.try_lock()
    }

    /// The value, by way of the exclusive borrow.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar(parking_lot::Condvar);

impl UnwindSafe for Condvar {}
impl RefUnwindSafe for Condvar {}

impl Condvar {
    /// A condition variable nobody waits on.
    pub const fn new() -> Self {
        Condvar(parking_lot::Condvar::new())
    }

    /// Releases the lock, waits for a notification, takes the lock again.
    pub fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(&mut guard);
        guard
    }

    /// As [`wait`](Self::wait), for at most `limit`; true if the limit was reached.
    pub fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let timed_out = self.0.wait_for(&mut guard, limit).timed_out();
        (guard, timed_out)
    }

    /// Wakes one waiter; without one, a single load.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes every waiter.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A cell whose accesses loom can track: the pointer is only lent to a closure.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// A cell holding `value`.
    pub const fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    /// Lends a pointer for shared access.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Lends a pointer for exclusive access.
    #[inline(always)]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }

    /// The value, without the cell.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}
