//! TCP.
//!
//! `transfer.rs` holds the calls that move bytes, `methods.rs` their names on the three types that read and the three that
//! write, and the other files one type each.

#[macro_use]
mod methods;

mod connect;
mod halves;
mod listener;
mod owned_halves;
mod stream;
mod transfer;

pub use halves::{ReadHalf, WriteHalf};
pub use listener::{Incoming, TcpListener};
pub use owned_halves::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::TcpStream;
