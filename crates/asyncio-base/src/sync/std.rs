//! The plain build, the ThreadSanitizer build (locks from `parking_lot`) and the counting build (counted atomics).

#[cfg(asyncio_count_rmw)]
use super::counted::count_lock;
#[cfg(asyncio_count_rmw)]
pub use super::counted::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
pub use std::hint::spin_loop;
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

#[cfg(not(tsan))]
use std::sync as locks;
#[cfg(tsan)]
use tsan_locks as locks;

/// `parking_lot` under std's signatures, so that the code below is the same in both builds.
#[cfg(tsan)]
mod tsan_locks {
    pub(super) use parking_lot::{Condvar as RawCondvar, Mutex, MutexGuard};
}

/// A mutual-exclusion lock for short sections that run no user code; never poisoned.
#[derive(Debug, Default)]
pub struct Mutex<T: ?Sized>(locks::Mutex<T>);

/// Holds a [`Mutex`] until dropped.
pub type MutexGuard<'a, T> = locks::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    /// An unlocked lock round `value`.
    pub const fn new(value: T) -> Self {
        Mutex(locks::Mutex::new(value))
    }

    /// The value, without the lock.
    #[cfg(not(tsan))]
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(|poison| poison.into_inner())
    }

    /// The value, without the lock.
    #[cfg(tsan)]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    #[cfg(not(tsan))]
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        count_lock();
        self.0.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Takes the lock if it is free.
    #[cfg(not(tsan))]
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        count_lock();
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poison)) => Some(poison.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }

    /// The value, by way of the exclusive borrow.
    #[cfg(not(tsan))]
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Waits for the lock.
    #[cfg(tsan)]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }

    /// Takes the lock if it is free.
    #[cfg(tsan)]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
    }

    /// The value, by way of the exclusive borrow.
    #[cfg(tsan)]
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

/// A condition variable for [`Mutex`]; wakes may be spurious.
#[derive(Debug, Default)]
pub struct Condvar(#[cfg(not(tsan))] std::sync::Condvar, #[cfg(tsan)] locks::RawCondvar);

#[cfg(not(tsan))]
impl Condvar {
    /// A condition variable nobody waits on.
    pub const fn new() -> Self {
        Condvar(std::sync::Condvar::new())
    }

    /// Releases the lock, waits for a notification, takes the lock again.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(|poison| poison.into_inner())
    }

    /// As [`wait`](Self::wait), for at most `limit`; true if the limit was reached.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let (guard, result) =
            self.0.wait_timeout(guard, limit).unwrap_or_else(|poison| poison.into_inner());
        (guard, result.timed_out())
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes every waiter.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

#[cfg(tsan)]
impl Condvar {
    /// A condition variable nobody waits on.
    pub const fn new() -> Self {
        Condvar(locks::RawCondvar::new())
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

    /// Wakes one waiter.
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
