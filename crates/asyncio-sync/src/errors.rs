//! What can go wrong, one type per way, by asyncio's names where it has them.

use std::error::Error;
use std::fmt;

macro_rules! error {
    ($(#[$meta:meta])* $name:ident, $text:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl Error for $name {}
    };
}

error! {
    /// A [`Lock`](crate::Lock) was released that nobody holds.
    ///
    /// # Python
    ///
    /// `RuntimeError`.
    LockNotAcquired, "lock is not acquired"
}

error! {
    /// A [`BoundedSemaphore`](crate::BoundedSemaphore) was released more often than acquired.
    ///
    /// # Python
    ///
    /// `ValueError`, with this text.
    OverReleaseError, "BoundedSemaphore released too many times"
}
