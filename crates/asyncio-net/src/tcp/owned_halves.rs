//! The two directions of a connection, each owned by whom it is given to.

use super::stream::TcpStream;
use super::transfer;
use crate::socket::Stream;
use asyncio_reactor::Io;
use futures_io::{AsyncRead, AsyncWrite};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut};
use std::panic::Location;
use std::pin::Pin;
// Shared ownership, not a protocol.
use std::sync::Arc;
use std::task::{Context, Poll};

/// The reading direction of a connection, from [`TcpStream::into_split`].
///
/// The connection is closed when both halves are dropped.
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<TcpStream>);

/// The writing direction of a connection, from [`TcpStream::into_split`].
///
/// Dropping it shuts writing down, so that the peer reads the end of the stream; [`forget`](Self::forget) does not.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TcpStream>,
    shut_down_on_drop: bool,
}

/// The halves are not of one connection; here they are again.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("halves of different connections cannot be reunited")
    }
}

impl Error for ReuniteError {}

pub(super) fn into_split(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Arc::new(stream);
    (OwnedReadHalf(stream.clone()), OwnedWriteHalf { stream, shut_down_on_drop: true })
}

impl OwnedReadHalf {
    fn io(&self) -> &Io<Stream> {
        self.0.io()
    }

    /// The connection, for what both halves may do.
    pub fn stream(&self) -> &TcpStream {
        &self.0
    }

    /// The whole connection again.
    ///
    /// # Errors
    ///
    /// If `write` is half of another connection, with both halves.
    pub fn reunite(self, mut write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.0, &write.stream) {
            return Err(ReuniteError(self, write));
        }
        write.shut_down_on_drop = false;
        drop(write);
        Ok(Arc::into_inner(self.0).expect("a connection has two halves and no other owner"))
    }
}

impl OwnedWriteHalf {
    fn io(&self) -> &Io<Stream> {
        self.stream.io()
    }

    /// The connection, for what both halves may do.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The whole connection again.
    ///
    /// # Errors
    ///
    /// If `read` is half of another connection, with both halves.
    pub fn reunite(self, read: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        read.reunite(self)
    }

    /// Drops this half and leaves writing open as long as the other half lives.
    pub fn forget(mut self) {
        self.shut_down_on_drop = false;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shut_down_on_drop {
            // The peer is gone if this fails, and learns nothing either way.
            let _ = transfer::close_writing(self.io());
        }
    }
}

reads!(OwnedReadHalf);
writes!(OwnedWriteHalf);
