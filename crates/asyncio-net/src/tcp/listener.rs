//! A socket that accepts connections.

use super::stream::TcpStream;
use crate::addr::{Target, ToSocketAddrs};
use crate::connect_error::failed;
use crate::network;
use crate::resolve::addresses;
use crate::socket::{Listener, Simulated};
use crate::sys;
use asyncio_reactor::{CallFuture, Direction, Io, admit_descriptor};
use futures_core::Stream;
use socket2::Domain;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{self, SocketAddr};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Connections that may wait to be accepted, unless told otherwise.
const BACKLOG: u32 = 100;

/// A TCP socket that listens.
///
/// # Examples
///
/// ```no_run
/// use asyncio_net::TcpListener;
///
/// # async fn f() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:8080").await?;
/// loop {
///     let (mut stream, peer) = listener.accept().await?;
///     stream.write_all(format!("hello, {peer}\n").as_bytes()).await?;
/// }
/// # }
/// ```
///
/// # Python
///
/// `loop.create_server` and `loop.sock_accept`. Waiting for a second after an `accept` that ran out of descriptors, as
/// asyncio's servers do, is the caller's part: see [`accept`](Self::accept).
pub struct TcpListener {
    io: Io<Listener>,
}

impl TcpListener {
    /// Listens on the first of `addrs`, or of the addresses of a host name, that can be bound, with a backlog of 100. Port 0 lets the system choose.
    ///
    /// On Unix an address that lingers from an earlier connection may be bound at once (`SO_REUSEADDR`).
    ///
    /// # Cancel safety
    ///
    /// Ready at once, but for a host name, and safe then too.
    ///
    /// # Errors
    ///
    /// If a host name cannot be looked up (`Unsupported` where there is no resolver), or no address can be bound. For several the error holds a
    /// [`ConnectError`](crate::ConnectError).
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(
        addrs: A,
    ) -> impl Future<Output = io::Result<TcpListener>> + Send + use<A> {
        bind(addrs.to_target(), Location::caller())
    }

    /// As [`bind`](Self::bind), to one address and with a backlog of one's own.
    ///
    /// # Errors
    ///
    /// What the system reports, for instance `AddrInUse`.
    #[track_caller]
    pub fn bind_addr(addr: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
        TcpListener::bind_at(addr, backlog, Location::caller())
    }

    fn bind_at(
        addr: SocketAddr,
        backlog: u32,
        place: &'static Location<'static>,
    ) -> io::Result<TcpListener> {
        if let Some(network) = network::current() {
            let socket = Simulated::new(network.listen(addr, backlog)?);
            return Ok(TcpListener { io: Io::exclusive(Listener::Simulated(socket)) });
        }
        admit_descriptor(place)?;
        let socket = sys::stream_socket(Domain::for_address(addr))?;
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(backlog.try_into().unwrap_or(i32::MAX))?;
        Ok(TcpListener { io: Io::exclusive(Listener::Real(socket.into())) })
    }

    /// Takes the next connection, waiting for it. Any number of tasks may wait here; see [`Io`].
    ///
    /// Errors that are about the one connection (it was aborted before it was accepted) are skipped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready loses no connection.
    ///
    /// # Errors
    ///
    /// When the process or the system is out of descriptors or memory (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`). The connection
    /// stays in the queue, so the next call fails at once until one of them is free again: wait before calling it.
    ///
    /// # Panics
    ///
    /// If no reactor is current when it first is polled: "no running event loop".
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send + '_ {
        self.accept_at(Location::caller())
    }

    /// [`accept`](Self::accept) for those who offer it in turn: `place` is where they were called.
    #[doc(hidden)]
    pub fn accept_at(
        &self,
        place: &'static Location<'static>,
    ) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send + '_ {
        self.io.call(Direction::Read, accept).at(place)
    }

    /// As [`accept`](Self::accept). Only the waker of the last poll is kept.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Panics
    ///
    /// As [`accept`](Self::accept).
    #[track_caller]
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.io.poll_io(Direction::Read, cx, || accept(self.io.get_ref()))
    }

    /// The connections one after the other; never ends.
    ///
    /// # Panics
    ///
    /// As [`accept`](Self::accept), when polled.
    #[track_caller]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming(self.io.call(Direction::Read, accept))
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
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

    /// Takes a listener of std's over and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// What the system reports; or that this thread works for a simulated loop, where there are no real sockets.
    #[track_caller]
    pub fn from_std(listener: net::TcpListener) -> io::Result<TcpListener> {
        admit_descriptor(Location::caller())?;
        listener.set_nonblocking(true)?;
        // There may be clones of it, so closing it need not be the end of it.
        Ok(TcpListener { io: Io::new(Listener::Real(listener)) })
    }

    /// The listener as std's, still non-blocking.
    ///
    /// # Panics
    ///
    /// If it belongs to a simulated network. So do the traits that lend its descriptor.
    #[track_caller]
    pub fn into_std(self) -> net::TcpListener {
        self.io.into_inner().into_real()
    }
}

async fn bind(
    target: io::Result<Target>,
    place: &'static Location<'static>,
) -> io::Result<TcpListener> {
    let mut attempts = Vec::new();
    for addr in addresses(target).await? {
        match TcpListener::bind_at(addr, BACKLOG, place) {
            Ok(listener) => return Ok(listener),
            Err(error) => attempts.push((addr, error)),
        }
    }
    Err(failed(attempts))
}

/// Accepts, skipping connections that are gone already. Each skipped one was taken from the queue, so this ends.
fn accept(listener: &Listener) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => return Ok((TcpStream::from_io(Io::exclusive(stream)), peer)),
            Err(error) if sys::is_transient(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.get_ref().fmt(f)
    }
}

impl TryFrom<net::TcpListener> for TcpListener {
    type Error = io::Error;

    #[track_caller]
    fn try_from(listener: net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
    }
}

impl From<TcpListener> for net::TcpListener {
    #[track_caller]
    fn from(listener: TcpListener) -> net::TcpListener {
        listener.into_std()
    }
}

type Accept = fn(&Listener) -> io::Result<(TcpStream, SocketAddr)>;

/// The stream of connections of [`TcpListener::incoming`].
///
/// # Cancel safety
///
/// Dropping it, or not polling it for a while, loses no connection.
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a>(CallFuture<'a, Listener, Accept>);

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll(cx).map(|result| Some(result.map(|(stream, _)| stream)))
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incoming").field(&self.0).finish()
    }
}

#[cfg(unix)]
mod fd {
    use super::TcpListener;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    impl AsFd for TcpListener {
        #[track_caller]
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.io.lend().real().as_fd()
        }
    }

    impl AsRawFd for TcpListener {
        #[track_caller]
        fn as_raw_fd(&self) -> RawFd {
            self.io.lend().real().as_raw_fd()
        }
    }
}
