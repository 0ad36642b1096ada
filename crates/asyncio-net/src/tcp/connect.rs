//! Making a connection.

use super::stream::TcpStream;
use crate::addr::Target;
use crate::connect_error::failed;
use crate::resolve::addresses;
use crate::sys;
use asyncio_reactor::{Direction, Io};
use socket2::{Domain, SockRef, Socket};
use std::io;
use std::net::{self, SocketAddr};
use std::panic::Location;

/// Tries the addresses in order.
pub(super) async fn connect(
    target: io::Result<Target>,
    place: &'static Location<'static>,
) -> io::Result<TcpStream> {
    let mut attempts = Vec::new();
    for addr in addresses(target).await? {
        match connect_addr(addr, place).await {
            Ok(stream) => return Ok(stream),
            Err(error) => attempts.push((addr, error)),
        }
    }
    Err(failed(attempts))
}

/// Connects to one address.
pub(super) async fn connect_addr(
    addr: SocketAddr,
    place: &'static Location<'static>,
) -> io::Result<TcpStream> {
    let socket = sys::stream_socket(Domain::for_address(addr))?;
    let started = start(&socket, addr);
    let io = Io::exclusive(net::TcpStream::from(socket));
    match started {
        Ok(()) => {}
        Err(error) if sys::in_progress(&error) => established(&io, place).await?,
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_io(io))
}

/// Begins the handshake. An interrupted call may have begun it or not; a second one tells, and does no harm.
fn start(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    loop {
        match socket.connect(&addr.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if sys::is_connected(&error) => return Ok(()),
            result => return result,
        }
    }
}

/// Waits until the handshake is over, and tells how it ended.
async fn established(io: &Io<net::TcpStream>, place: &'static Location<'static>) -> io::Result<()> {
    loop {
        io.ready(Direction::Write).at(place).await?;
        match io.try_io(Direction::Write, || outcome(io.get_ref())) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// How the handshake ended; `WouldBlock` if it did not, for an event may be a false alarm.
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
