//! Making a connection.

use super::stream::TcpStream;
use crate::addr::Target;
use crate::connect_error::failed;
use crate::network;
use crate::resolve::addresses;
use crate::socket::{Simulated, Stream};
use crate::sys;
use asyncio_reactor::{Direction, Io, admit_descriptor};
use socket2::{Domain, Socket};
use std::io;
use std::net::SocketAddr;
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
    let (socket, is_established) = match network::current() {
        Some(network) => (Stream::Simulated(Simulated::new(network.connect(addr)?)), false),
        None => {
            admit_descriptor(place)?;
            begin(addr)?
        }
    };
    let io = Io::exclusive(socket);
    if !is_established {
        established(&io, place).await?;
    }
    Ok(TcpStream::from_io(io))
}

/// A real socket that has begun to connect, and whether it already did.
fn begin(addr: SocketAddr) -> io::Result<(Stream, bool)> {
    let socket = sys::stream_socket(Domain::for_address(addr))?;
    let is_established = match start(&socket, addr) {
        Ok(()) => true,
        Err(error) if sys::in_progress(&error) => false,
        Err(error) => return Err(error),
    };
    Ok((Stream::Real(socket.into()), is_established))
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
async fn established(io: &Io<Stream>, place: &'static Location<'static>) -> io::Result<()> {
    loop {
        io.ready(Direction::Write).at(place).await?;
        match io.try_io(Direction::Write, || io.get_ref().established()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}
