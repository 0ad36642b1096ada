//! TCP for asyncio. Only `asyncio` promises a stable API; this crate does not.
//!
//! | module | what it holds |
//! |---|---|
//! | [`TcpListener`] | a socket that accepts |
//! | [`TcpStream`] | a connection; `split` borrows its two directions, `into_split` gives them away |
//! | [`ToSocketAddrs`] | what an address may be given as |
//! | [`Resolve`] | who looks host names up |
//! | [`Network`] | who makes sockets, if that is not the operating system |
//!
//! Everything here waits with the reactor that is current on the thread that polls (`asyncio_reactor::enter`), and knows of no
//! tasks, timers or threads: looking up host names, and waiting after a failed `accept`, is for those above.
//!
//! # Unsafe
//!
//! None.
#![forbid(unsafe_code)]

mod addr;
mod connect_error;
mod current;
mod network;
mod resolve;
mod socket;
mod sys;
mod tcp;

pub use crate::addr::{Target, ToSocketAddrs};
pub use crate::connect_error::ConnectError;
pub use crate::network::{Network, Socket, SocketOptions, with_network};
pub use crate::resolve::{Resolve, Resolving, with_resolver};
pub use crate::tcp::{
    Incoming, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpListener, TcpStream,
    WriteHalf,
};
pub use asyncio_reactor::Direction;

/// Whether `accept` failed for want of descriptors or memory, which passes: the connection waits in the backlog, and the listener
/// is well. Try again after a rest.
pub fn is_out_of_resources(error: &std::io::Error) -> bool {
    sys::is_out_of_resources(error)
}
