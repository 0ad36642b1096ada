//! Guards: the lock is held as long as one of these lives.

use super::RwLock;
use crate::grant::Grant;
use crate::guarded::{Exclusive, Shared};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

macro_rules! guard {
    ($(#[$meta:meta])* $name:ident[$($param:tt)*]: $access:ident<$from:ty>, $marker:ty) => {
        $(#[$meta])*
        #[must_use = "a lock is released when its guard is dropped"]
        pub struct $name<$($param)*> {
            held: $access<$from>,
            marker: PhantomData<$marker>,
        }

        impl<$($param)*> $name<$($param)*> {
            #[inline]
            pub(crate) fn new(grant: Grant<$from>) -> Self {
                $name { held: $access::new(grant), marker: PhantomData }
            }

            /// The lock that is held.
            pub fn lock(&self) -> &RwLock<T> {
                self.held.grant().from()
            }
        }

        impl<$($param)*> Deref for $name<$($param)*> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                &self.held
            }
        }

        impl<$($param)*> fmt::Debug for $name<$($param)*>
        where
            T: fmt::Debug,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

guard! {
    /// Holds an [`RwLock`] for reading.
    ReadGuard['a, T]: Shared<&'a RwLock<T>>, &'a T
}

guard! {
    /// Holds an [`RwLock`] for writing.
    WriteGuard['a, T]: Exclusive<&'a RwLock<T>>, &'a mut T
}

guard! {
    /// A [`ReadGuard`] that keeps its lock alive by itself.
    OwnedReadGuard[T]: Shared<Arc<RwLock<T>>>, T
}

guard! {
    /// A [`WriteGuard`] that keeps its lock alive by itself.
    OwnedWriteGuard[T]: Exclusive<Arc<RwLock<T>>>, T
}

impl<T> DerefMut for WriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

impl<T> DerefMut for OwnedWriteGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

impl<'a, T> WriteGuard<'a, T> {
    /// Goes on reading; nobody can write in between.
    pub fn downgrade(self) -> ReadGuard<'a, T> {
        ReadGuard { held: self.held.downgrade(), marker: PhantomData }
    }
}

impl<T> OwnedWriteGuard<T> {
    /// Goes on reading; nobody can write in between.
    pub fn downgrade(self) -> OwnedReadGuard<T> {
        OwnedReadGuard { held: self.held.downgrade(), marker: PhantomData }
    }
}
