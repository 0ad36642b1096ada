//! How connections end: half-closed, reset, refused, dropped; and that an ending costs no processor time.

#[path = "../../asyncio-reactor/tests/common/mod.rs"]
mod common;

use asyncio_net::{TcpListener, TcpStream};
use asyncio_reactor::{Reactor, enter};
use common::{Count, block_on, block_on_with, poll};
use std::future::Future;
use std::io::{self, Write};
use std::net::{self, Shutdown};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// A connection of ours, registered and known to be empty, and a plain peer.
async fn waiting_with_plain_peer() -> (TcpStream, net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut byte = [0];
    let mut read = Box::pin(stream.read(&mut byte));
    assert!(poll(&mut read, Waker::noop()).is_pending());
    drop(read);
    (stream, peer)
}

#[test]
fn data_and_the_end_in_one_event() {
    block_on(async {
        for _ in 0..100 {
            let (mut stream, mut peer) = waiting_with_plain_peer().await;
            peer.write_all(b"bye").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            let mut buf = [0; 100];
            assert_eq!(stream.read(&mut buf).await.unwrap(), 3);
            for _ in 0..3 {
                assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
            }
            // The other direction is still open.
            stream.write_all(b"ciao").await.unwrap();
            io::Read::read_exact(&mut peer, &mut buf[..4]).unwrap();
        }
    });
}

#[test]
fn data_then_the_end_in_two_events() {
    block_on(async {
        let (mut stream, mut peer) = waiting_with_plain_peer().await;
        let mut buf = [0; 100];
        peer.write_all(b"abc").unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 3);
        let mut end = Box::pin(stream.read(&mut buf));
        assert!(poll(&mut end, Waker::noop()).is_pending());
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(end.await.unwrap(), 0);
    });
}

#[test]
fn a_reset_is_told_to_a_waiting_reader_and_then_the_stream_has_ended() {
    block_on(async {
        let (mut stream, peer) = waiting_with_plain_peer().await;
        let mut buf = [0; 16];
        let mut read = Box::pin(stream.read(&mut buf));
        assert!(poll(&mut read, Waker::noop()).is_pending());
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        assert_eq!(read.await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_reset_in_the_middle_of_a_message() {
    block_on(async {
        let (mut stream, mut peer) = waiting_with_plain_peer().await;
        peer.write_all(b"half").unwrap();
        let mut buf = [0; 8];
        let mut exact = Box::pin(stream.read_exact(&mut buf));
        assert!(poll(&mut exact, Waker::noop()).is_pending());
        stream_reset(peer);
        assert_eq!(exact.await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}

/// Closes so that the peer is reset.
fn stream_reset(stream: net::TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// TCP ends a read at the place of an urgent byte, although there is more behind it.
#[test]
#[cfg(unix)]
fn what_lies_behind_an_urgent_byte_is_read() {
    block_on(async {
        let (mut stream, mut peer) = waiting_with_plain_peer().await;
        for (before, after) in [(b"abc", b"def"), (b"ghi", b"jkl")] {
            peer.write_all(before).unwrap();
            socket2::SockRef::from(&peer).send_out_of_band(b"!").unwrap();
            peer.write_all(after).unwrap();
            let mut buf = [0; 6];
            stream.read_exact(&mut buf).await.unwrap();
            assert_eq!((&buf[..3], &buf[3..]), (&before[..], &after[..]));
        }
    });
}

#[test]
fn an_end_in_the_middle_of_a_message_says_how_far_it_came() {
    block_on(async {
        let (mut stream, mut peer) = waiting_with_plain_peer().await;
        peer.write_all(b"half").unwrap();
        drop(peer);
        let error = stream.read_exact(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(error.to_string(), "4 bytes read on a total of 8 expected bytes");
    });
}

#[test]
fn a_blocked_writer_learns_that_the_peer_is_gone() {
    block_on(async {
        let (mut stream, peer) = waiting_with_plain_peer().await;
        let chunk = vec![0; 1 << 20];
        let mut write = Box::pin(async {
            loop {
                if let Err(error) = stream.write_all(&chunk).await {
                    return error;
                }
            }
        });
        assert!(poll(&mut write, Waker::noop()).is_pending());
        stream_reset(peer);
        assert_eq!(write.await.kind(), io::ErrorKind::ConnectionReset);
    });
}

/// How many turns a reactor makes in 100 ms with nothing to do.
fn turns_when_idle(reactor: &Reactor) -> u64 {
    let (start, before) = (Instant::now(), reactor.stats().waits);
    while let Some(left) = Duration::from_millis(100).checked_sub(start.elapsed()) {
        reactor.turn(Some(left)).unwrap();
    }
    reactor.stats().waits - before
}

#[test]
fn endings_keep_no_processor_busy() {
    let reactor = Arc::new(Reactor::new());
    enter(&reactor, || {
        let (mut half_closed, peer) = block_on_with(&reactor, waiting_with_plain_peer());
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(block_on_with(&reactor, half_closed.read(&mut [0; 4])).unwrap(), 0);
        // Fill its other direction and let a writer wait beside the end.
        let (count, waker) = Count::new();
        let chunk = vec![0; 1 << 20];
        let mut write: Pin<Box<dyn Future<Output = ()>>> =
            Box::pin(async { while half_closed.write_all(&chunk).await.is_ok() {} });
        assert!(poll(&mut write, &waker).is_pending());

        let (reset, its_peer) = block_on_with(&reactor, waiting_with_plain_peer());
        stream_reset(its_peer);
        assert!(turns_when_idle(&reactor) <= 8, "{:?}", reactor.stats());
        assert!(count.get() <= 2);
        drop(reset);
    });
}
