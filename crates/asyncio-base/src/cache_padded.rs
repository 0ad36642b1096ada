//! Keeps a value on cache lines of its own.

use std::ops::{Deref, DerefMut};

/// A value that shares its cache line with nothing else.
///
/// 128 bytes, because x86-64 fetches lines in pairs and Apple's cores have lines of that size.
/// Use it for the few words that two threads write (queue ends, a worker's published deadline), never for a thing there are
/// many of.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CachePadded<T>(pub T);

impl<T> Deref for CachePadded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for CachePadded<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
