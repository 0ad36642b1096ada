//! A connection.

use super::halves::{self, ReadHalf, WriteHalf};
use super::owned_halves::{self, OwnedReadHalf, OwnedWriteHalf};
use super::{connect, transfer};
use crate::addr::ToSocketAddrs;
use crate::socket::Stream;
use asyncio_reactor::{Direction, Io, admit_descriptor};
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{self, Shutdown, SocketAddr};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A TCP connection.
///
/// Reading and writing go on independently: [`split`](Self::split) lends one half to each of two parts of a task,
/// [`into_split`](Self::into_split) gives one to each of two tasks. Of the [`AsyncRead`] and [`AsyncWrite`] of `&TcpStream` one task may
/// use the one and one the other.
///
/// Dropping it closes it. It belongs to the reactor with which it first had to wait.
///
/// # Examples
///
/// ```no_run
/// use asyncio_net::TcpStream;
///
/// # async fn f() -> std::io::Result<()> {
/// let mut stream = TcpStream::connect(("127.0.0.1", 8080)).await?;
/// stream.write_all(b"hello\n").await?;
/// let mut buf = [0; 1024];
/// let n = stream.read(&mut buf).await?;
/// println!("{}", String::from_utf8_lossy(&buf[..n]));
/// # Ok(()) }
/// ```
///
/// # Python
///
/// `loop.sock_connect`, `sock_recv` and `sock_sendall`; the streams of `asyncio.open_connection` stand above this.
pub struct TcpStream {
    io: Io<Stream>,
}

impl TcpStream {
    pub(super) fn from_io(io: Io<Stream>) -> Self {
        TcpStream { io }
    }

    pub(super) fn io(&self) -> &Io<Stream> {
        &self.io
    }

    /// Connects to the first of `addrs`, or of the addresses of a host name, that answers, trying them in order.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up and closes the socket.
    ///
    /// # Errors
    ///
    /// If a host name cannot be looked up (`Unsupported` where there is no resolver), or no address answers. For several the error holds a
    /// [`ConnectError`](crate::ConnectError).
    ///
    /// # Panics
    ///
    /// If no reactor is current when it first waits: "no running event loop".
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(
        addrs: A,
    ) -> impl Future<Output = io::Result<TcpStream>> + Send + use<A> {
        connect::connect(addrs.to_target(), Location::caller())
    }

    /// Connects to one address.
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// What the system reports, for instance `ConnectionRefused`.
    ///
    /// # Panics
    ///
    /// As [`connect`](Self::connect).
    #[track_caller]
    pub fn connect_addr(addr: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send {
        connect::connect_addr(addr, Location::caller())
    }

    /// Reads what has arrived without taking it from the stream. Any number of tasks may do this.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is ever taken.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn peek<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let place = Location::caller();
        async move {
            if buf.is_empty() {
                return Ok(0);
            }
            self.io.call(Direction::Read, |stream| stream.peek(buf)).at(place).await
        }
    }

    /// Reads what has arrived, and never waits.
    ///
    /// After a `WouldBlock` it says so again, without asking the system, until the reactor has heard of new data: so wait for
    /// [`readable`](Self::readable) in between.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing has arrived, or what the system reports.
    #[track_caller]
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        transfer::try_read(&self.io, buf)
    }

    /// Writes what there is room for, and never waits.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room, until the reactor has heard of some; or what the system reports.
    #[track_caller]
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        transfer::try_write(&self.io, buf)
    }

    /// Waits until the direction is worth trying; it may turn out to be a false alarm. Any number of tasks may wait.
    ///
    /// It stays ready until [`try_read`](Self::try_read) or [`try_write`](Self::try_write) finds that it is not.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// If the event loop is closed, or the system refuses to watch the socket.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn ready(&self, direction: Direction) -> impl Future<Output = io::Result<()>> + Send + '_ {
        self.io.ready(direction)
    }

    /// Waits until there is something to read; as [`ready`](Self::ready).
    #[track_caller]
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> + Send + '_ {
        self.io.readable()
    }

    /// Waits until there is room to write; as [`ready`](Self::ready).
    #[track_caller]
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> + Send + '_ {
        self.io.writable()
    }

    /// Ends one direction or both. The peer reads the end of the stream once writing is shut down.
    ///
    /// # Errors
    ///
    /// What the system reports, for instance `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }

    /// Lends the two directions.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        halves::split(self)
    }

    /// Gives the two directions away, each to be owned by a task of its own.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        owned_halves::into_split(self)
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// The address at this end.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.get_ref().nodelay()
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.get_ref().set_nodelay(nodelay)
    }

    /// How long closing goes on trying to send what is left (`SO_LINGER`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.io.get_ref().linger()
    }

    /// Sets how long closing goes on trying to send what is left; zero resets the connection instead (`SO_LINGER`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.io.get_ref().set_linger(linger)
    }

    /// The time to live of packets sent from here.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().ttl()
    }

    /// Sets the time to live of packets sent from here.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get_ref().set_ttl(ttl)
    }

    /// The error that the socket has met since this was last asked, if any (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    /// Takes a connection of std's over and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// What the system reports; or that this thread works for a simulated loop, where there are no real connections.
    #[track_caller]
    pub fn from_std(stream: net::TcpStream) -> io::Result<TcpStream> {
        admit_descriptor(Location::caller())?;
        stream.set_nonblocking(true)?;
        // There may be clones of it, so closing it need not be the end of it.
        Ok(TcpStream { io: Io::new(Stream::Real(stream)) })
    }

    /// The connection as std's, still non-blocking.
    ///
    /// # Panics
    ///
    /// If it belongs to a simulated network. So do the traits that lend its descriptor.
    #[track_caller]
    pub fn into_std(self) -> net::TcpStream {
        self.io.into_inner().into_real()
    }
}

reads!(TcpStream);
reads!(@trait TcpStream, &TcpStream);
writes!(TcpStream);
writes!(@trait TcpStream, &TcpStream);

/// The addresses and the descriptor; asks the system and never blocks.
impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.get_ref().fmt(f)
    }
}

impl TryFrom<net::TcpStream> for TcpStream {
    type Error = io::Error;

    #[track_caller]
    fn try_from(stream: net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(stream)
    }
}

impl From<TcpStream> for net::TcpStream {
    #[track_caller]
    fn from(stream: TcpStream) -> net::TcpStream {
        stream.into_std()
    }
}

#[cfg(unix)]
mod fd {
    use super::TcpStream;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    impl AsFd for TcpStream {
        #[track_caller]
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.io.lend().real().as_fd()
        }
    }

    impl AsRawFd for TcpStream {
        #[track_caller]
        fn as_raw_fd(&self) -> RawFd {
            self.io.lend().real().as_raw_fd()
        }
    }
}
