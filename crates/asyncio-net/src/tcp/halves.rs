//! The two directions of a borrowed connection.

use super::stream::TcpStream;
use super::transfer;
use crate::socket::Stream;
use asyncio_reactor::Io;
use futures_io::{AsyncRead, AsyncWrite};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The reading direction of a [`TcpStream`], from [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The writing direction of a [`TcpStream`], from [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

pub(super) fn split(stream: &mut TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf(stream), WriteHalf(stream))
}

impl<'a> ReadHalf<'a> {
    fn io(&self) -> &'a Io<Stream> {
        self.0.io()
    }

    /// The connection, for what both halves may do.
    pub fn stream(&self) -> &'a TcpStream {
        self.0
    }
}

impl<'a> WriteHalf<'a> {
    fn io(&self) -> &'a Io<Stream> {
        self.0.io()
    }

    /// The connection, for what both halves may do.
    pub fn stream(&self) -> &'a TcpStream {
        self.0
    }
}

reads!(ReadHalf<'a>);
writes!(WriteHalf<'a>);
