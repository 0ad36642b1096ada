//! A socket as a connection or a listener holds it: the operating system's, or one of a simulated network.
//!
//! Every call on the real socket costs one comparison more than the call itself, and the way to the simulated one is kept out of line.

use crate::network::{Socket, SocketOptions};
use crate::sys;
use asyncio_reactor::{Handle, Source};
use socket2::SockRef;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
use std::time::Duration;

/// A socket whose real kind is `T`.
pub(crate) enum Either<T> {
    Real(T),
    Simulated(Simulated),
}

/// A socket of a network, behind one thin pointer so that real ones stay small.
#[derive(Debug)]
pub(crate) struct Simulated(Box<Box<dyn Socket>>);

pub(crate) type Stream = Either<net::TcpStream>;
pub(crate) type Listener = Either<net::TcpListener>;

impl Simulated {
    pub(crate) fn new(socket: Box<dyn Socket>) -> Self {
        Simulated(Box::new(socket))
    }

    #[cold]
    fn get(&self) -> &dyn Socket {
        &**self.0
    }

    #[cold]
    #[inline(never)]
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(&mut [IoSliceMut::new(buf)])
    }

    #[cold]
    #[inline(never)]
    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(&[IoSlice::new(buf)])
    }

    #[cold]
    fn change(&self, change: impl FnOnce(&mut SocketOptions)) -> io::Result<()> {
        let mut options = self.0.options()?;
        change(&mut options);
        self.0.set_options(options)
    }
}

impl<T> Either<T> {
    /// The real socket.
    ///
    /// # Panics
    ///
    /// If it is a simulated one.
    #[track_caller]
    pub(crate) fn real(&self) -> &T {
        match self {
            Either::Real(socket) => socket,
            Either::Simulated(socket) => panic!("{NO_DESCRIPTOR}: {socket:?}"),
        }
    }

    /// As [`real`](Self::real).
    #[track_caller]
    pub(crate) fn into_real(self) -> T {
        match self {
            Either::Real(socket) => socket,
            Either::Simulated(socket) => panic!("{NO_DESCRIPTOR}: {socket:?}"),
        }
    }
}

const NO_DESCRIPTOR: &str = "a simulated socket has no descriptor";

impl<T: Source> Source for Either<T> {
    fn handle(&self) -> Handle<'_> {
        match self {
            Either::Real(socket) => socket.handle(),
            Either::Simulated(socket) => Handle::Simulated(socket.get().number()),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Either<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Either::Real(socket) => socket.fmt(f),
            Either::Simulated(socket) => socket.get().fmt(f),
        }
    }
}

impl Stream {
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Either::Real(stream) => (&*stream).read(buf),
            Either::Simulated(socket) => socket.read(buf),
        }
    }

    pub(crate) fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Either::Real(stream) => (&*stream).read_vectored(bufs),
            Either::Simulated(socket) => socket.get().read(bufs),
        }
    }

    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Either::Real(stream) => stream.peek(buf),
            Either::Simulated(socket) => socket.get().peek(buf),
        }
    }

    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Either::Real(stream) => (&*stream).write(buf),
            Either::Simulated(socket) => socket.write(buf),
        }
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Either::Real(stream) => (&*stream).write_vectored(bufs),
            Either::Simulated(socket) => socket.get().write(bufs),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Either::Real(stream) => stream.shutdown(how),
            Either::Simulated(socket) => socket.get().shutdown(how),
        }
    }

    /// How connecting ended; `WouldBlock` if it did not, for an event may be a false alarm.
    pub(crate) fn established(&self) -> io::Result<()> {
        match self {
            Either::Real(stream) => outcome(stream),
            Either::Simulated(socket) => socket.get().established(),
        }
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Either::Real(stream) => stream.peer_addr(),
            Either::Simulated(socket) => socket.get().peer_addr(),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Either::Real(stream) => stream.local_addr(),
            Either::Simulated(socket) => socket.get().local_addr(),
        }
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Either::Real(stream) => stream.take_error(),
            Either::Simulated(socket) => socket.get().take_error(),
        }
    }

    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        match self {
            Either::Real(stream) => stream.nodelay(),
            Either::Simulated(socket) => Ok(socket.get().options()?.nodelay),
        }
    }

    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self {
            Either::Real(stream) => stream.set_nodelay(nodelay),
            Either::Simulated(socket) => socket.change(|options| options.nodelay = nodelay),
        }
    }

    pub(crate) fn linger(&self) -> io::Result<Option<Duration>> {
        match self {
            Either::Real(stream) => SockRef::from(stream).linger(),
            Either::Simulated(socket) => Ok(socket.get().options()?.linger),
        }
    }

    pub(crate) fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        match self {
            Either::Real(stream) => SockRef::from(stream).set_linger(linger),
            Either::Simulated(socket) => socket.change(|options| options.linger = linger),
        }
    }

    pub(crate) fn ttl(&self) -> io::Result<u32> {
        match self {
            Either::Real(stream) => stream.ttl(),
            Either::Simulated(socket) => Ok(socket.get().options()?.ttl),
        }
    }

    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        match self {
            Either::Real(stream) => stream.set_ttl(ttl),
            Either::Simulated(socket) => socket.change(|options| options.ttl = ttl),
        }
    }
}

impl Listener {
    /// Takes the next connection of the queue.
    pub(crate) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Either::Real(listener) => {
                sys::accept(listener).map(|(stream, peer)| (Either::Real(stream), peer))
            }
            Either::Simulated(socket) => {
                let (stream, peer) = socket.get().accept()?;
                Ok((Either::Simulated(Simulated::new(stream)), peer))
            }
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Either::Real(listener) => listener.local_addr(),
            Either::Simulated(socket) => socket.get().local_addr(),
        }
    }

    pub(crate) fn ttl(&self) -> io::Result<u32> {
        match self {
            Either::Real(listener) => listener.ttl(),
            Either::Simulated(socket) => Ok(socket.get().options()?.ttl),
        }
    }

    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        match self {
            Either::Real(listener) => listener.set_ttl(ttl),
            Either::Simulated(socket) => socket.change(|options| options.ttl = ttl),
        }
    }
}

fn outcome(stream: &net::TcpStream) -> io::Result<()> {
    if let Some(error) = SockRef::from(stream).take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}
