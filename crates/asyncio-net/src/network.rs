//! The seam: a network that is not the operating system's.
//!
//! A simulated loop registers a [`Network`] for its thread, next to a [reactor](asyncio_reactor::Reactor::simulated) that asks the same simulated
//! system. Sockets made there from then on are made by the network, and their calls go to [`Socket`]. All calls are those of a non-blocking
//! socket: what waits, whom an event wakes and when a call is not worth trying is decided above them, by the same code as on the real system.

use crate::current;
use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
// Shared ownership, not a protocol; and a thread-local of loom's would outlive the model.
use std::sync::Arc;
use std::time::Duration;

/// Makes sockets.
pub trait Network: Send + Sync + fmt::Debug {
    /// A socket that listens. Port 0 is for the network to choose.
    ///
    /// # Errors
    ///
    /// Where the system is to refuse, for instance with `AddrInUse`.
    fn listen(&self, addr: SocketAddr, backlog: u32) -> io::Result<Box<dyn Socket>>;

    /// A socket that has begun to connect; [`Socket::established`] tells how that ended.
    ///
    /// # Errors
    ///
    /// Where it is refused at once.
    fn connect(&self, addr: SocketAddr) -> io::Result<Box<dyn Socket>>;
}

/// A non-blocking TCP socket of a [`Network`]; closed when dropped.
///
/// A call that would wait fails with `WouldBlock`, and what changes that is told by the system's poller. Calls that make no sense for a
/// listener, or for a connection, fail as they do on the real system.
pub trait Socket: Send + Sync + fmt::Debug {
    /// Its number in the [`System`](asyncio_reactor::System) that tells when it is ready.
    fn number(&self) -> u64;

    /// Takes the next connection.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or a fault: those of the real `accept` are known by their codes.
    fn accept(&self) -> io::Result<(Box<dyn Socket>, SocketAddr)>;

    /// How connecting ended.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it did not, or what went wrong.
    fn established(&self) -> io::Result<()>;

    /// Moves what has arrived; 0 is the end.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or a fault.
    fn read(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize>;

    /// As [`read`](Self::read), and leaves it there.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Takes what there is room for. A call that takes less filled the buffer.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or a fault.
    fn write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends one direction or both.
    ///
    /// # Errors
    ///
    /// `NotConnected`, or a fault.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// The address at this end.
    ///
    /// # Errors
    ///
    /// A fault.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// `NotConnected`, or a fault.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// The error that it has met since this was last asked.
    ///
    /// # Errors
    ///
    /// A fault.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// The options as they are set.
    ///
    /// # Errors
    ///
    /// A fault.
    fn options(&self) -> io::Result<SocketOptions>;

    /// Sets all options.
    ///
    /// # Errors
    ///
    /// A fault.
    fn set_options(&self, options: SocketOptions) -> io::Result<()>;
}

/// What can be set of a [`Socket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Small writes are sent at once.
    pub nodelay: bool,
    /// How long closing goes on trying to send what is left; zero resets the connection.
    pub linger: Option<Duration>,
    /// The time to live of packets.
    pub ttl: u32,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions { nodelay: false, linger: None, ttl: 64 }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Network>>> = const { RefCell::new(None) };
}

/// Runs `f` with `network` as the one that makes this thread's sockets. Calls nest.
pub fn with_network<R>(network: &Arc<dyn Network>, f: impl FnOnce() -> R) -> R {
    current::enter(&CURRENT, network.clone(), f)
}

/// The network that makes this thread's sockets, if that is not the operating system.
pub(crate) fn current() -> Option<Arc<dyn Network>> {
    current::get(&CURRENT)
}
