//! Listeners and connections: what they do when all goes well.

#[path = "../../asyncio-reactor/tests/common/mod.rs"]
mod common;

use asyncio_net::{Direction, TcpListener, TcpStream};
use asyncio_reactor::Reactor;
use common::{Count, Executor, block_on, block_on_with, both, poll};
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{self, Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

fn reactor() -> Arc<Reactor> {
    Arc::new(Reactor::new())
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Two ends of one connection.
async fn pair() -> (TcpStream, TcpStream) {
    let (listener, addr) = listen().await;
    let client = TcpStream::connect_addr(addr).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    (client, server)
}

#[test]
fn echo() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        for round in 0..100u8 {
            client.write_all(&[round; 64]).await.unwrap();
            let mut buf = [0; 64];
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(buf, [round; 64]);
            server.write_all(&buf).await.unwrap();
            let mut large = [0; 4096];
            assert_eq!(client.read(&mut large).await.unwrap(), 64);
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn accept_waits_and_any_number_of_tasks_may() {
    let (listener, addr) = block_on(listen());
    let accepted = std::cell::Cell::new(0);
    let mut executor = Executor::default();
    for _ in 0..10 {
        executor.spawn(async {
            listener.accept().await.unwrap();
            accepted.set(accepted.get() + 1);
        });
    }
    executor.spawn(async {
        for _ in 0..10 {
            TcpStream::connect_addr(addr).await.unwrap();
        }
    });
    executor.run();
    assert_eq!(accepted.get(), 10);
}

#[test]
fn a_dropped_accept_loses_no_connection() {
    block_on(async {
        let (listener, addr) = listen().await;
        let (count, waker) = Count::new();
        let mut accept = Box::pin(listener.accept());
        assert!(poll(&mut accept, &waker).is_pending());
        let mut client = Box::pin(TcpStream::connect_addr(addr));
        let client = client.as_mut().await.unwrap();
        drop(accept);
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(count.get() <= 1);
    });
}

#[test]
fn incoming_yields_one_connection_after_the_other() {
    let reactor = reactor();
    let (listener, addr) = block_on(listen());
    let server = async {
        let mut incoming = listener.incoming();
        for i in 0..5u8 {
            let next = poll_fn(|cx| Pin::new(&mut incoming).poll_next(cx)).await;
            next.unwrap().unwrap().write_all(&[i]).await.unwrap();
        }
    };
    let client = async {
        for i in 0..5u8 {
            let mut byte = [9];
            let mut stream = TcpStream::connect_addr(addr).await.unwrap();
            stream.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, [i]);
        }
    };
    both(&reactor, server, client);
}

#[test]
fn poll_accept_keeps_the_last_waker() {
    block_on(async {
        let (listener, addr) = listen().await;
        let ((first, first_waker), (second, second_waker)) = (Count::new(), Count::new());
        let poll_with = |waker| listener.poll_accept(&mut std::task::Context::from_waker(waker));
        assert!(poll_with(&first_waker).is_pending());
        assert!(poll_with(&second_waker).is_pending());
        let _client = TcpStream::connect_addr(addr).await.unwrap();
        poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        assert_eq!(first.get(), 0);
        assert!(second.get() <= 1);
    });
}

#[test]
fn the_first_address_that_answers_is_taken() {
    block_on(async {
        let (listener, addr) = listen().await;
        // Bound and not listening: it refuses.
        let deaf = net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stream = TcpStream::connect(&[deaf, addr, deaf][..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        listener.accept().await.unwrap();

        let error = TcpStream::connect(deaf).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = TcpStream::connect([deaf, deaf]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with("every address failed: 127.0.0.1:"), "{error}");
        let error = TcpStream::connect(Vec::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "no address was given");
        let error = TcpStream::connect("example.org:80").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);

        let error = TcpListener::bind(addr).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let second = TcpListener::bind([addr, "127.0.0.1:0".parse().unwrap()]).await.unwrap();
        assert_ne!(second.local_addr().unwrap(), addr);
    });
}

#[test]
fn an_address_can_be_bound_again_while_old_connections_linger() {
    block_on(async {
        let (listener, addr) = listen().await;
        let client = TcpStream::connect_addr(addr).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        // The side that closes first lingers.
        drop(server);
        drop(listener);
        drop(client);
        if cfg!(unix) {
            TcpListener::bind_addr(addr, 1).unwrap();
        }
    });
}

#[test]
fn ipv6_works_where_there_is_any() {
    block_on(async {
        let Ok(listener) = TcpListener::bind(("::1", 0)).await else { return };
        let addr = listener.local_addr().unwrap();
        let client = TcpStream::connect_addr(addr).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

#[test]
fn options_are_set_and_read_back() {
    block_on(async {
        let (listener, addr) = listen().await;
        listener.set_ttl(33).unwrap();
        assert_eq!(listener.ttl().unwrap(), 33);
        let stream = TcpStream::connect_addr(addr).await.unwrap();
        stream.set_ttl(44).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_linger(Some(Duration::from_secs(3))).unwrap();
        assert_eq!(stream.ttl().unwrap(), 44);
        assert!(stream.nodelay().unwrap() && stream.take_error().unwrap().is_none());
        assert_eq!(stream.linger().unwrap(), Some(Duration::from_secs(3)));
        assert_eq!(stream.peer_addr().unwrap(), addr);
        let text = format!("{stream:?}");
        assert!(text.contains(&format!("peer: {addr}")) && text.contains("fd: "), "{text}");
        assert!(format!("{listener:?}").contains(&addr.to_string()));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn sockets_do_not_block_and_are_closed_on_exec() {
    use std::os::fd::AsRawFd;
    let flags = |fd: i32, command| {
        // SAFETY: asks for flags of a descriptor; no memory is involved.
        unsafe { libc::fcntl(fd, command) }
    };
    block_on(async {
        let (listener, addr) = listen().await;
        let client = TcpStream::connect_addr(addr).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        for fd in [listener.as_raw_fd(), client.as_raw_fd(), server.as_raw_fd()] {
            assert_ne!(flags(fd, libc::F_GETFL) & libc::O_NONBLOCK, 0);
            assert_ne!(flags(fd, libc::F_GETFD) & libc::FD_CLOEXEC, 0);
        }
    });
}

#[test]
fn transfers_of_nothing_never_wait() {
    block_on(async {
        let (mut client, _server) = pair().await;
        // Makes it known that there is nothing to read.
        let mut byte = [0; 1];
        let mut read = Box::pin(client.read(&mut byte));
        assert!(poll(&mut read, std::task::Waker::noop()).is_pending());
        drop(read);
        assert_eq!(client.read(&mut []).await.unwrap(), 0);
        assert_eq!(client.try_read(&mut []).unwrap(), 0);
        assert_eq!(client.peek(&mut []).await.unwrap(), 0);
        assert_eq!(client.write(&[]).await.unwrap(), 0);
        assert_eq!(client.write_vectored(&[IoSlice::new(&[])]).await.unwrap(), 0);
        client.read_exact(&mut []).await.unwrap();
        client.write_all(&[]).await.unwrap();
        client.flush().await.unwrap();
    });
}

#[test]
fn peek_takes_nothing() {
    block_on(async {
        let (client, mut server) = pair().await;
        server.write_all(b"abc").await.unwrap();
        let mut buf = [0; 8];
        for _ in 0..2 {
            assert_eq!(client.peek(&mut buf).await.unwrap(), 3);
        }
        client.readable().await.unwrap();
        assert_eq!(client.try_read(&mut buf).unwrap(), 3);
        assert_eq!(client.try_read(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    });
}

#[test]
fn try_calls_work_together_with_ready() {
    let reactor = reactor();
    let (client, server) = block_on_with(&reactor, pair());
    let writer = async {
        let mut sent = 0;
        while sent < 1_000_000 {
            client.writable().await.unwrap();
            match client.try_write(&[7; 8192]) {
                Ok(n) => sent += n,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        client.shutdown(Shutdown::Write).unwrap();
        sent
    };
    let reader = async {
        let (mut got, mut buf) = (0, [0; 3000]);
        loop {
            server.ready(Direction::Read).await.unwrap();
            match server.try_read(&mut buf) {
                Ok(0) => return got,
                Ok(n) => got += n,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    };
    let (sent, got) = both(&reactor, writer, reader);
    assert_eq!(sent, got);
}

#[test]
fn vectored_transfers_of_any_number_of_pieces() {
    let reactor = reactor();
    let (mut client, mut server) = block_on_with(&reactor, pair());
    let writer = async {
        let piece = [5; 100];
        let mut left = 3_000_000;
        while left > 0 {
            // More pieces than one system call takes.
            let pieces = vec![IoSlice::new(&piece); (left / 100).min(3000)];
            let n = client.write_vectored(&pieces).await.unwrap();
            left = (left - n).next_multiple_of(100);
        }
        drop(client);
    };
    let reader = async {
        let mut total = 0;
        loop {
            let (mut a, mut b) = ([0; 1000], [0; 1000]);
            let mut pieces = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
            let mut server = Pin::new(&mut server);
            match poll_fn(|cx| server.as_mut().poll_read_vectored(cx, &mut pieces)).await.unwrap() {
                0 => return total,
                n => total += n,
            }
        }
    };
    let ((), total) = both(&reactor, writer, reader);
    assert!(total >= 3_000_000, "{total}");
}

#[test]
fn the_traits_work_on_shared_streams() {
    block_on(async {
        let (client, server) = pair().await;
        let n = poll_fn(|cx| Pin::new(&mut &client).poll_write(cx, b"hello")).await.unwrap();
        assert_eq!(n, 5);
        poll_fn(|cx| Pin::new(&mut &client).poll_flush(cx)).await.unwrap();
        poll_fn(|cx| Pin::new(&mut &client).poll_close(cx)).await.unwrap();
        let mut buf = [0; 8];
        for expected in [5, 0] {
            let n = poll_fn(|cx| Pin::new(&mut &server).poll_read(cx, &mut buf)).await.unwrap();
            assert_eq!(n, expected);
        }
    });
}

#[test]
fn borrowed_halves_work_side_by_side() {
    let reactor = reactor();
    let (mut client, mut server) = block_on_with(&reactor, pair());
    let (mut read, mut write) = client.split();
    assert_eq!(read.stream().local_addr().unwrap(), write.stream().local_addr().unwrap());
    let mut executor = Executor::new(&reactor);
    executor.spawn(async move {
        write.write_all(&[1; 500_000]).await.unwrap();
        write.stream().shutdown(Shutdown::Write).unwrap();
    });
    executor.spawn(async move {
        let (mut total, mut buf) = (0, [0; 1000]);
        while total < 500_000 {
            total += read.read(&mut buf).await.unwrap();
        }
    });
    executor.spawn(async {
        let mut buf = [0; 1777];
        loop {
            match server.read(&mut buf).await.unwrap() {
                0 => break,
                n => server.write_all(&buf[..n]).await.unwrap(),
            }
        }
    });
    executor.run();
}

#[test]
fn owned_halves_can_be_reunited_and_shut_down_when_dropped() {
    block_on(async {
        let (client, mut server) = pair().await;
        let (mut read, mut write) = client.into_split();
        write.write_all(b"one").await.unwrap();
        let (other, _its_server) = pair().await;
        let (other_read, other_write) = other.into_split();
        let error = read.reunite(other_write).unwrap_err();
        assert_eq!(error.to_string(), "halves of different connections cannot be reunited");
        read = error.0;
        let other = other_read.reunite(error.1).unwrap();
        assert!(other.peer_addr().is_ok());

        let mut client = write.reunite(read).unwrap();
        client.write_all(b"two").await.unwrap();
        let mut buf = [0; 6];
        server.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"onetwo");

        let (read, write) = client.into_split();
        write.forget();
        drop(read);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0, "the connection is closed by now");

        let (client, mut server) = pair().await;
        let (mut read, write) = client.into_split();
        drop(write);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        server.write_all(b"still").await.unwrap();
        assert_eq!(read.read(&mut buf).await.unwrap(), 5);
    });
}

#[test]
fn a_forgotten_write_half_leaves_writing_open() {
    block_on(async {
        let (client, mut server) = pair().await;
        let (read, write) = client.into_split();
        write.forget();
        let mut byte = [0];
        let mut end = Box::pin(server.read(&mut byte));
        assert!(poll(&mut end, std::task::Waker::noop()).is_pending());
        drop(read);
        assert_eq!(end.await.unwrap(), 0);
    });
}

#[test]
fn streams_and_listeners_convert_to_and_from_std() {
    block_on(async {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let copy = listener.try_clone().unwrap();
        let listener = TcpListener::try_from(listener).unwrap();
        let client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut accept = Box::pin(listener.accept());
        assert!(poll(&mut accept, std::task::Waker::noop()).is_pending());
        drop(accept);
        drop(listener);
        // Unregistered although a copy is alive; so it can be registered anew.
        let listener =
            TcpListener::from_std(net::TcpListener::from(TcpListener::from_std(copy).unwrap()));
        let mut client = TcpStream::try_from(client).unwrap();
        server.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        let std_client = net::TcpStream::from(client);
        std_client.set_nonblocking(false).unwrap();
        server.write_all(b"y").await.unwrap();
        io::Read::read_exact(&mut &std_client, &mut [0]).unwrap();
        let addr = listener.unwrap().into_std().local_addr().unwrap();
        assert_eq!(std_client.peer_addr().unwrap(), addr);
    });
}

#[test]
fn futures_can_be_sent() {
    fn send<T: Send>(_: &T) {}
    block_on(async {
        let (listener, addr) = listen().await;
        send(&listener.accept());
        send(&TcpStream::connect(addr));
        let mut stream = TcpStream::connect_addr(addr).await.unwrap();
        send(&stream.read(&mut []));
        send(&stream.write_all(&[]));
        send(&stream.into_split());
    });
}
