//! The calls that move bytes over a connection.
//!
//! All take the connection shared and wait in the `poll_*` seat of its direction, so one task at a time reads and one writes; the
//! types that offer these calls see to that by borrowing themselves mutably.

use crate::socket::Stream;
use asyncio_reactor::{Direction, Io};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::panic::Location;
use std::task::{Context, Poll};

type Place = &'static Location<'static>;

/// Up to this many pieces go into one system call on every platform. With more, a call that moved less than all says nothing
/// about the buffers of the kernel.
const PIECES: usize = 16;

pub(super) fn poll_read(
    io: &Io<Stream>,
    place: Place,
    cx: &mut Context<'_>,
    buf: &mut [u8],
) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return Poll::Ready(at_once(io.get_ref().read(buf)));
    }
    io.poll_transfer(Direction::Read, buf.len(), place, cx, || io.get_ref().read(buf))
}

pub(super) fn poll_read_vectored(
    io: &Io<Stream>,
    place: Place,
    cx: &mut Context<'_>,
    bufs: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>> {
    let asked = asked(bufs.iter().map(|buf| buf.len()));
    if asked == Some(0) {
        return Poll::Ready(at_once(io.get_ref().read_vectored(bufs)));
    }
    let asked = asked.unwrap_or(0);
    io.poll_transfer(Direction::Read, asked, place, cx, || io.get_ref().read_vectored(bufs))
}

pub(super) fn poll_write(
    io: &Io<Stream>,
    place: Place,
    cx: &mut Context<'_>,
    buf: &[u8],
) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return Poll::Ready(at_once(io.get_ref().write(buf)));
    }
    io.poll_transfer(Direction::Write, buf.len(), place, cx, || io.get_ref().write(buf))
}

pub(super) fn poll_write_vectored(
    io: &Io<Stream>,
    place: Place,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let asked = asked(bufs.iter().map(|buf| buf.len()));
    if asked == Some(0) {
        return Poll::Ready(at_once(io.get_ref().write_vectored(bufs)));
    }
    let asked = asked.unwrap_or(0);
    io.poll_transfer(Direction::Write, asked, place, cx, || io.get_ref().write_vectored(bufs))
}

#[track_caller]
pub(super) fn try_read(io: &Io<Stream>, buf: &mut [u8]) -> io::Result<usize> {
    if buf.is_empty() {
        return at_once(io.get_ref().read(buf));
    }
    io.try_transfer(Direction::Read, buf.len(), || io.get_ref().read(buf))
}

#[track_caller]
pub(super) fn try_write(io: &Io<Stream>, buf: &[u8]) -> io::Result<usize> {
    if buf.is_empty() {
        return at_once(io.get_ref().write(buf));
    }
    io.try_transfer(Direction::Write, buf.len(), || io.get_ref().write(buf))
}

/// How much a call with these pieces asks for; `None` if it may be cut short for other reasons than a full or empty buffer.
fn asked(pieces: impl ExactSizeIterator<Item = usize>) -> Option<usize> {
    if pieces.len() > PIECES { None } else { Some(pieces.sum()) }
}

/// A call that moves nothing never waits, as with a blocking socket.
fn at_once(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

pub(super) async fn read_exact(io: &Io<Stream>, place: Place, buf: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buf.len() {
        match poll_fn(|cx| poll_read(io, place, cx, &mut buf[filled..])).await? {
            0 => return Err(ended_early(filled, buf.len())),
            n => filled += n,
        }
    }
    Ok(())
}

fn ended_early(got: usize, expected: usize) -> io::Error {
    let message = format!("{got} bytes read on a total of {expected} expected bytes");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

pub(super) async fn write_all(io: &Io<Stream>, place: Place, buf: &[u8]) -> io::Result<()> {
    let mut left = buf;
    while !left.is_empty() {
        match poll_fn(|cx| poll_write(io, place, cx, left)).await? {
            0 => return Err(io::Error::new(io::ErrorKind::WriteZero, "the socket took no byte")),
            n => left = &left[n..],
        }
    }
    Ok(())
}

/// Shuts writing down, unless the peer did away with the connection already.
pub(super) fn close_writing(io: &Io<Stream>) -> io::Result<()> {
    match io.get_ref().shutdown(Shutdown::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}
