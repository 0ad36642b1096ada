//! Out of descriptors. The only test of its process, for the limit is the process's. Not for valgrind, which imitates the limit
//! after the call and so takes the connection from the queue.
#![cfg(unix)]

#[path = "../../asyncio-reactor/tests/common/mod.rs"]
mod common;

use asyncio_net::{TcpListener, TcpStream};
use asyncio_reactor::{Direction, Io, Reactor};
use common::block_on;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

fn limit_descriptors(limit: u64) {
    // SAFETY: reads and writes a plain structure of this frame.
    unsafe {
        let mut limits: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limits), 0);
        limits.rlim_cur = limit.min(limits.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limits), 0);
    }
}

/// Opens files until there are no descriptors left.
fn exhaust() -> Vec<File> {
    let mut files = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                return files;
            }
        }
    }
}

/// It has timeouts and notifications, and tells who registers a source; it has a poller as soon as there are descriptors for one. All are taken
/// again in the end.
fn a_reactor_without_a_poller_goes_on(files: &mut Vec<File>) {
    let reactor = Arc::new(Reactor::new());
    let start = Instant::now();
    assert_eq!(reactor.turn(Some(Duration::from_micros(100))).unwrap(), 0);
    assert!(start.elapsed() >= Duration::from_micros(100));
    assert_eq!(reactor.turn(None).unwrap(), 0, "nobody ends this wait, which is without limit");
    files.truncate(files.len() - 2);
    let (stream, mut peer) = UnixStream::pair().unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = Io::exclusive(stream);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut read = || stream.poll_io(Direction::Read, cx, || stream.get_ref().read(&mut [0]));
    let Poll::Ready(Err(error)) = asyncio_reactor::enter(&reactor, &mut read) else {
        panic!("it waits without a poller");
    };
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    files.truncate(files.len() - 4);
    assert!(asyncio_reactor::enter(&reactor, &mut read).is_pending());
    peer.write_all(b"x").unwrap();
    assert_eq!(reactor.turn(Some(Duration::from_secs(20))).unwrap(), 1, "there is a byte");
    drop((stream, reactor));
    files.extend(exhaust());
}

#[test]
fn accept_tells_and_goes_on_when_there_are_descriptors_again() {
    limit_descriptors(64);
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut client = TcpStream::connect_addr(addr).await.unwrap();
        let mut files = exhaust();
        for _ in 0..5 {
            let error = listener.accept().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        }
        let error = TcpStream::connect_addr(addr).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        let error = TcpListener::bind("127.0.0.1:0").await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        a_reactor_without_a_poller_goes_on(&mut files);
        files.pop();
        // No connection was lost, and no event is needed.
        let (mut server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        client.write_all(b"x").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
    });
}
