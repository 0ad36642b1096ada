//! TCP: listeners and streams.
//!
//! # Python
//!
//! `socket` objects with the loop's `sock_*` methods; the streams of `asyncio.open_connection` stand on these.

pub use asyncio_net::{
    ConnectError, Direction, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpStream,
    ToSocketAddrs, WriteHalf,
};

use crate::diagnostics::ExceptionContext;
use crate::events::get_running_loop;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{self, SocketAddr};
use std::panic::Location;
use std::time::Duration;

/// How long a listener rests that ran out of descriptors or memory.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// A TCP socket that listens.
///
/// # Examples
///
/// ```
/// use asyncio::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let client = asyncio::create_task(async move {
///         let mut stream = TcpStream::connect(address).await?;
///         stream.write_all(b"hello").await
///     });
///     let (mut stream, _peer) = listener.accept().await?;
///     let mut greeting = [0; 5];
///     stream.read_exact(&mut greeting).await?;
///     assert_eq!(&greeting, b"hello");
///     client.await?
/// })
/// # }
/// ```
///
/// # Python
///
/// A listening `socket` with `loop.sock_accept`, and the patience of `loop.create_server` when descriptors run out.
pub struct TcpListener(asyncio_net::TcpListener);

impl TcpListener {
    /// Listens on the first of `addrs`, or of the addresses of a host name, that can be bound, with a backlog of 100. Port 0 lets the system
    /// choose.
    ///
    /// # Cancel safety
    ///
    /// Ready at once, but for a host name, and safe then too.
    ///
    /// # Errors
    ///
    /// If a host name cannot be looked up, or no address can be bound.
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(
        addrs: A,
    ) -> impl Future<Output = io::Result<TcpListener>> + Send + use<A> {
        let binding = asyncio_net::TcpListener::bind(addrs);
        async { binding.await.map(TcpListener) }
    }

    /// Listens on `addr`; `backlog` connections may wait to be accepted, at most what the system allows.
    ///
    /// # Errors
    ///
    /// What the system reports.
    #[track_caller]
    pub fn bind_addr(addr: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
        asyncio_net::TcpListener::bind_addr(addr, backlog).map(TcpListener)
    }

    /// Waits for a connection.
    ///
    /// When the process is out of descriptors or the system out of memory, that is reported to the loop's exception handler, and accepting rests for
    /// a second: the connections wait in the backlog meanwhile, and none is lost. Several tasks may accept from one listener.
    ///
    /// # Cancel safety
    ///
    /// Safe: a connection is either returned or still in the backlog.
    ///
    /// # Errors
    ///
    /// What the system reports of the listener itself; a connection that is gone before it is accepted is skipped.
    ///
    /// # Panics
    ///
    /// If no loop runs on this thread: "no running event loop".
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send + '_ {
        let place = Location::caller();
        async move {
            loop {
                match self.0.accept_at(place).await {
                    Err(error) if is_out_of_resources(&error) => self.rest(error).await,
                    outcome => return outcome,
                }
            }
        }
    }

    async fn rest(&self, error: io::Error) {
        let report =
            ExceptionContext::new(format!("socket.accept() out of system resource: {self:?}"));
        get_running_loop().call_exception_handler(report.with_exception(error));
        crate::sleep(ACCEPT_RETRY_DELAY).await;
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The time to live of packets sent from here.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn ttl(&self) -> io::Result<u32> {
        self.0.ttl()
    }

    /// Sets the time to live of packets sent from here.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.0.set_ttl(ttl)
    }

    /// Takes a listener of std's over and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// What the system reports.
    #[track_caller]
    pub fn from_std(listener: net::TcpListener) -> io::Result<TcpListener> {
        asyncio_net::TcpListener::from_std(listener).map(TcpListener)
    }

    /// The listener as std's, still non-blocking.
    #[track_caller]
    pub fn into_std(self) -> net::TcpListener {
        self.0.into_std()
    }
}

/// Whether the system lacked descriptors or memory, which passes; the listener itself is well.
fn is_out_of_resources(error: &io::Error) -> bool {
    asyncio_net::is_out_of_resources(error)
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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

#[cfg(unix)]
mod fd {
    use super::TcpListener;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    impl AsFd for TcpListener {
        #[track_caller]
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl AsRawFd for TcpListener {
        #[track_caller]
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_raw_fd()
        }
    }
}
