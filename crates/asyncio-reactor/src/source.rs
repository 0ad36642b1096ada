//! What can be waited for: a descriptor of the operating system, or a socket of a simulated one.

use polling::AsSource;
#[cfg(unix)]
use std::os::fd::BorrowedFd as Borrowed;
#[cfg(windows)]
use std::os::windows::io::BorrowedSocket as Borrowed;

/// What an [`Io`](crate::Io) may hold: everything that lends a descriptor, and sockets of a [`System`](crate::System).
pub trait Source {
    /// By what a poller knows it.
    fn handle(&self) -> Handle<'_>;
}

/// By what a poller knows a source.
#[derive(Clone, Copy, Debug)]
pub enum Handle<'a> {
    /// A descriptor of the operating system.
    Descriptor(Borrowed<'a>),
    /// The number of a socket in the [`System`](crate::System) that made it.
    Simulated(u64),
}

impl<T: AsSource> Source for T {
    fn handle(&self) -> Handle<'_> {
        Handle::Descriptor(self.source())
    }
}
