//! Guards: the lock is held as long as one of these lives.

use super::Lock;
use crate::grant::Grant;
use crate::guarded::Exclusive;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Holds a [`Lock`] and lends what it guards; dropping it releases the lock, to the next waiter if there is one.
#[must_use = "a lock is released when its guard is dropped"]
pub struct LockGuard<'a, T = ()> {
    held: Exclusive<&'a Lock<T>>,
    /// `Sync` only if `T` is: a shared guard gives `&T`.
    marker: PhantomData<&'a mut T>,
}

impl<'a, T> LockGuard<'a, T> {
    #[inline]
    pub(crate) fn new(grant: Grant<&'a Lock<T>>) -> Self {
        LockGuard { held: Exclusive::new(grant), marker: PhantomData }
    }

    /// The lock that is held.
    pub fn lock(&self) -> &'a Lock<T> {
        self.held.grant().from()
    }
}

impl LockGuard<'_, ()> {
    /// Keeps the lock locked until somebody calls [`Lock::release`].
    pub fn forget(self) {
        self.held.into_grant().forget();
    }
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A [`LockGuard`] that keeps its lock alive by itself.
#[must_use = "a lock is released when its guard is dropped"]
pub struct OwnedLockGuard<T = ()> {
    held: Exclusive<Arc<Lock<T>>>,
    /// `Sync` only if `T` is: a shared guard gives `&T`.
    marker: PhantomData<T>,
}

impl<T> OwnedLockGuard<T> {
    pub(crate) fn new(grant: Grant<Arc<Lock<T>>>) -> Self {
        OwnedLockGuard { held: Exclusive::new(grant), marker: PhantomData }
    }

    /// The lock that is held.
    pub fn lock(&self) -> &Arc<Lock<T>> {
        self.held.grant().from()
    }
}

impl OwnedLockGuard<()> {
    /// Keeps the lock locked until somebody calls [`Lock::release`].
    pub fn forget(self) {
        self.held.into_grant().forget();
    }
}

impl<T> Deref for OwnedLockGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T> DerefMut for OwnedLockGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedLockGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
