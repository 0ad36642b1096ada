//! Many connections, much data, little time.

#[path = "../../asyncio-reactor/tests/common/mod.rs"]
mod common;

use asyncio_net::{TcpListener, TcpStream};
use asyncio_reactor::Reactor;
use common::{Executor, block_on, poll};
use std::cell::Cell;
use std::future::Future;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Echoes until the peer has ended.
async fn echo(mut stream: TcpStream) {
    let mut buf = [0; 512];
    loop {
        match stream.read(&mut buf).await.unwrap() {
            0 => break,
            n => stream.write_all(&buf[..n]).await.unwrap(),
        }
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().await.unwrap().0
}

/// As many descriptors as the process may have.
fn raise_descriptor_limit(needed: u64) -> bool {
    // SAFETY: reads and writes a plain structure of this frame.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        limit.rlim_cur >= needed
    }
}

#[test]
fn a_thousand_connections_at_once() {
    let connections = if raise_descriptor_limit(2200) { 1000 } else { 200 };
    // With a backlog of 100 some of a thousand clients would have to ask the kernel twice, a second apart.
    let listener = TcpListener::bind_addr("127.0.0.1:0".parse().unwrap(), 1024).unwrap();
    let addr = listener.local_addr().unwrap();
    let reactor = Arc::new(Reactor::new());
    let (connected, done) = (Cell::new(0), Cell::new(0));
    let mut executor = Executor::new(&reactor);
    for _ in 0..connections {
        executor.spawn(async { echo(accept(&listener).await).await });
        executor.spawn(async {
            let mut stream = TcpStream::connect_addr(addr).await.unwrap();
            connected.set(connected.get() + 1);
            // All are open at the same time.
            while connected.get() < connections {
                stream.write_all(b"waiting").await.unwrap();
                stream.read_exact(&mut [0; 7]).await.unwrap();
            }
            stream.write_all(b"hello, world").await.unwrap();
            stream.read_exact(&mut [0; 12]).await.unwrap();
            done.set(done.get() + 1);
        });
    }
    executor.run();
    drop(executor);
    assert_eq!(done.get(), connections);
    drop(listener);
    assert_eq!(reactor.stats().registered, 0);
}

#[test]
fn much_data_both_ways_through_small_buffers() {
    const TOTAL: usize = 2_000_000;
    let pattern = |i: usize| (i * 31 % 251) as u8;
    let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    let transfer = async |stream: TcpStream| {
        // Smaller ones make the kernel wait for its own timers between two segments.
        socket2::SockRef::from(&stream).set_send_buffer_size(1 << 16).unwrap();
        let (mut read, mut write) = stream.into_split();
        let mut directions = Vec::<Pin<Box<dyn Future<Output = ()>>>>::new();
        directions.push(Box::pin(async move {
            let (mut at, mut buf) = (0, [0; 777]);
            while at < TOTAL {
                let n = 777.min(TOTAL - at);
                (0..n).for_each(|i| buf[i] = pattern(at + i));
                write.write_all(&buf[..n]).await.unwrap();
                at += n;
            }
        }));
        directions.push(Box::pin(async move {
            let (mut at, mut buf) = (0, [0; 333]);
            loop {
                let n = read.read(&mut buf).await.unwrap();
                if n == 0 {
                    break;
                }
                buf[..n]
                    .iter()
                    .enumerate()
                    .for_each(|(i, byte)| assert_eq!(*byte, pattern(at + i)));
                at += n;
            }
            assert_eq!(at, TOTAL);
        }));
        // Both in one task, and each is polled whenever the task is woken.
        std::future::poll_fn(|cx| {
            directions.retain_mut(|future| future.as_mut().poll(cx).is_pending());
            if directions.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    };
    let mut executor = Executor::default();
    executor.spawn(async { transfer(accept(&listener).await).await });
    executor.spawn(async { transfer(TcpStream::connect_addr(addr).await.unwrap()).await });
    executor.run();
}

#[test]
fn connections_come_and_go_while_others_wait() {
    let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    let reactor = Arc::new(Reactor::new());
    let mut executor = Executor::new(&reactor);
    for task in 0..20 {
        executor.spawn(async {
            for _ in 0..50 {
                let mut stream = accept(&listener).await;
                let mut buf = [0; 64];
                let n = stream.read(&mut buf).await.unwrap_or(0);
                // Sometimes the peer has gone already.
                let _ = stream.write_all(&buf[..n]).await;
            }
        });
        executor.spawn(async move {
            for round in 0..50 {
                let mut stream = TcpStream::connect_addr(addr).await.unwrap();
                if round % 3 == 0 {
                    stream.write_all(b"ping").await.unwrap();
                    stream.read_exact(&mut [0; 4]).await.unwrap();
                } else {
                    // Gives up while it waits, sometimes with an event on its way.
                    let mut byte = [0];
                    let mut read = Box::pin(stream.read(&mut byte));
                    assert!(poll(&mut read, Waker::noop()).is_pending());
                    drop(read);
                    if (round + task) % 2 == 0 {
                        stream.write_all(b"x").await.unwrap();
                    }
                    stream.shutdown(Shutdown::Both).unwrap();
                }
            }
        });
    }
    executor.run();
    drop(executor);
    drop(listener);
    assert_eq!(reactor.stats().registered, 0);
}
