//! A descriptor number that is used again. The only test of its process, for the kernel gives the lowest free number to whoever
//! asks next.
#![cfg(unix)]

mod common;

use asyncio_reactor::{Direction, Io, Reactor, enter};
use common::Count;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const NOW: Option<Duration> = Some(Duration::ZERO);

fn pair() -> (Io<UnixStream>, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    (Io::exclusive(a), b)
}

fn read(io: &Io<UnixStream>, waker: &Waker) -> Poll<io::Result<usize>> {
    let mut buf = [0; 16];
    let cx = &mut Context::from_waker(waker);
    io.poll_io(Direction::Read, cx, || io.get_ref().read(&mut buf))
}

#[test]
fn a_reused_descriptor_number_does_not_inherit_events() {
    let reactor = Arc::new(Reactor::new());
    enter(&reactor, || {
        let (io, mut peer) = pair();
        assert!(read(&io, Waker::noop()).is_pending());
        // A copy keeps the registration alive in the kernel when the source is closed.
        let copy = io.get_ref().try_clone().unwrap();
        let number = io.get_ref().as_raw_fd();
        drop(io);
        let (next, mut next_peer) = pair();
        let (count, waker) = Count::new();
        let numbers = [next.get_ref().as_raw_fd(), next_peer.as_raw_fd()];
        assert!(numbers.contains(&number), "the kernel gives the lowest number");
        assert!(read(&next, &waker).is_pending());
        peer.write_all(b"stale").unwrap();
        drop(peer);
        reactor.turn(NOW).unwrap();
        assert_eq!(count.get(), 0, "the event is for the former tenant of the slot");
        assert!(read(&next, &waker).is_pending());
        next_peer.write_all(b"own").unwrap();
        assert_eq!(reactor.turn(NOW).unwrap(), 1);
        assert_eq!(count.get(), 1);
        assert!(matches!(read(&next, &waker), Poll::Ready(Ok(3))));
        drop(copy);
    });
}
