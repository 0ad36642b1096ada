//! Linux: sockets are born non-blocking and close-on-exec.

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A non-blocking TCP socket.
pub(crate) fn stream_socket(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))
}

/// Accepts a connection, as a non-blocking stream.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (fd, addr) = acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let stream = TcpStream::from(fd);
    let addr = match addr.and_then(|addr| SocketAddr::try_from(addr).ok()) {
        Some(addr) => addr,
        None => stream.peer_addr()?,
    };
    Ok((stream, addr))
}

/// Whether `connect` goes on by itself.
pub(crate) fn in_progress(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INPROGRESS | Errno::ALREADY))
}

/// Whether `connect` found that it has nothing left to do.
pub(crate) fn is_connected(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::ISCONN)
}

/// Whether an error of `accept` is about the one connection that it took from the queue: the manual tells to go on.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNABORTED
                | Errno::INTR
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NONET
        )
    )
}

/// Whether `accept` failed for want of descriptors or memory: the connection waits in the backlog, and the listener is well.
pub(crate) fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}
