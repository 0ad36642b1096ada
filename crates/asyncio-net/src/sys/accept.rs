//! Systems without `accept4`, or where std does not use it for us: a call more per socket.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A non-blocking TCP socket.
pub(crate) fn stream_socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Accepts a connection, as a non-blocking stream.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, addr) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, addr))
}

/// Whether `connect` goes on by itself.
#[cfg(unix)]
pub(crate) fn in_progress(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::INPROGRESS | Errno::ALREADY))
}

/// Whether `connect` found that it has nothing left to do.
#[cfg(unix)]
pub(crate) fn is_connected(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::ISCONN)
}

/// Whether `connect` found that it has nothing left to do; it is called once only here, as nothing interrupts it.
#[cfg(not(unix))]
pub(crate) fn is_connected(_: &io::Error) -> bool {
    false
}

/// Whether `connect` goes on by itself.
#[cfg(not(unix))]
pub(crate) fn in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether an error of `accept` is about the one connection that it took from the queue.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Whether `accept` failed for want of descriptors or memory: the connection waits in the backlog, and the listener is well.
pub(crate) fn is_out_of_resources(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOMEM and ENOBUFS, the last of which differs between systems.
    const ENOBUFS: [i32; 2] = [55, 105];
    match error.raw_os_error() {
        Some(code) => [24, 23, 12].contains(&code) || ENOBUFS.contains(&code),
        None => error.kind() == io::ErrorKind::OutOfMemory,
    }
}
