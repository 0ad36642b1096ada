//! Sockets on the loop: real connections, cancelled waits.

use asyncio::net::{TcpListener, TcpStream, ToSocketAddrs};
use asyncio::{Runner, create_local_task, create_task, run, yield_now};
use std::cell::Cell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

async fn listener() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Sends back what comes until the client has said all.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            read => stream.write_all(&buffer[..read]).await?,
        }
    }
}

async fn echo_server(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        create_task(echo(stream)).detach();
    }
}

#[test]
fn three_hundred_clients_get_back_what_they_sent() -> io::Result<()> {
    run(async {
        let (listener, address) = listener().await?;
        let server = create_task(echo_server(listener));
        let clients: Vec<_> = (0..300_usize)
            .map(|number| {
                create_task(async move {
                    let mut stream = TcpStream::connect(address).await?;
                    for round in 0..5_usize {
                        let sent = vec![(number + round) as u8; 1 + 97 * round];
                        stream.write_all(&sent).await?;
                        let mut got = vec![0; sent.len()];
                        stream.read_exact(&mut got).await?;
                        assert_eq!(got, sent, "client {number}, round {round}");
                    }
                    io::Result::Ok(())
                })
            })
            .collect();
        for client in clients {
            client.await??;
        }
        server.cancel();
        assert!(server.await.unwrap_err().is_cancelled());
        Ok(())
    })
}

/// Counts the turns of a task that computes for long in each.
async fn compute(turns: Rc<Cell<usize>>) {
    loop {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(200) {}
        turns.set(turns.get() + 1);
        yield_now().await;
    }
}

/// Beside a task that computes, a reader whose peer is quick goes on in its turn; but not for ever, though an only worker's tasks have no budget.
#[test]
fn a_quick_peer_is_answered_in_one_turn_and_starves_nobody() -> io::Result<()> {
    const EXCHANGES: usize = 1000;
    let mut runner = Runner::builder().workers(1).build()?;
    let exchange = async {
        let (listener, address) = listener().await?;
        let mut peer = std::net::TcpStream::connect(address)?;
        let (mut stream, _) = listener.accept().await?;
        let turns = Rc::new(Cell::new(0));
        create_local_task(compute(turns.clone())).detach();
        let waiting = create_local_task(async {
            assert_eq!(stream.read(&mut [0; 16]).await?, 5);
            io::Result::Ok(stream)
        });
        // By then it waits for an event, and it is known that turns are long.
        while turns.get() < 100 {
            yield_now().await;
        }
        peer.write_all(b"first")?;
        let mut stream = waiting.await??;
        let (before, mut at_once) = (turns.get(), 0);
        for _ in 0..EXCHANGES {
            let asked = turns.get();
            peer.write_all(b"quick")?;
            assert_eq!(stream.read(&mut [0; 16]).await?, 5);
            at_once += usize::from(turns.get() == asked);
        }
        let had = turns.get() - before;
        assert!(at_once > 0, "each waited for a look");
        assert!(had >= EXCHANGES / 65, "{had} turns beside {EXCHANGES} messages");
        Ok(())
    };
    runner.run(exchange).expect("nobody interrupts it")
}

#[test]
fn both_halves_work_at_once_and_meet_again() -> io::Result<()> {
    const TOTAL: usize = 1 << 20;
    run(async {
        let (listener, address) = listener().await?;
        let server = create_task(echo_server(listener));
        let (mut reader, mut writer) = TcpStream::connect(address).await?.into_split();
        let sender = create_task(async move {
            let data: Vec<u8> = (0..TOTAL).map(|i| (i % 251) as u8).collect();
            writer.write_all(&data).await.map(|()| writer)
        });
        let mut got = vec![0; TOTAL];
        reader.read_exact(&mut got).await?;
        assert!(got.iter().enumerate().all(|(i, byte)| *byte == (i % 251) as u8));
        let writer = sender.await??;
        let mut whole = reader.reunite(writer).expect("the halves of one stream");
        whole.shutdown(std::net::Shutdown::Write)?;
        assert_eq!(whole.read(&mut [0; 1]).await?, 0, "the server answers the end with its own");
        server.cancel();
        Ok(())
    })
}

#[test]
fn a_cancelled_read_loses_nothing() -> io::Result<()> {
    run(async {
        let (listener, address) = listener().await?;
        let mut client = TcpStream::connect(address).await?;
        let (server, _) = listener.accept().await?;
        let (mut reader, _writer) = server.into_split();
        let waiting = create_task(async move {
            let _ = reader.read(&mut [0; 8]).await;
            unreachable!("nothing was sent");
        });
        asyncio::yield_now().await;
        asyncio::yield_now().await;
        waiting.cancel();
        let outcome: Result<(), _> = waiting.await;
        assert!(outcome.unwrap_err().is_cancelled());
        // The half is gone with the task, so the other end hears of it.
        client.write_all(b"x").await?;
        Ok(())
    })
}

#[test]
fn a_refused_connection_names_every_address() {
    run(async {
        let (listener, gone) = listener().await.unwrap();
        drop(listener);
        let error = TcpStream::connect(gone).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

        let (listener, there) = self::listener().await.unwrap();
        let accepted = create_task(async move { listener.accept().await.map(|(_, peer)| peer) });
        let stream = TcpStream::connect(&[gone, there][..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
        assert_eq!(accepted.await.unwrap().unwrap(), stream.local_addr().unwrap());
    });
}

#[test]
fn host_names_are_looked_up() -> io::Result<()> {
    run(async {
        let listener = TcpListener::bind("localhost:0").await?;
        let port = listener.local_addr()?.port();
        assert!(listener.local_addr()?.ip().is_loopback());
        for _ in 0..2 {
            let accepted = async { listener.accept().await.map(|(_, peer)| peer) };
            let (client, peer) = both(TcpStream::connect(("localhost", port)), accepted).await;
            assert_eq!(client?.local_addr()?, peer?);
        }
        let nowhere = TcpStream::connect("no-such-host.invalid:80").await.unwrap_err();
        assert_ne!(nowhere.kind(), io::ErrorKind::Unsupported, "{nowhere}");
        Ok(())
    })
}

/// CPython test_base_events: test_ipaddr_info
#[test]
fn addresses_are_not_looked_up() {
    run(async {
        let event_loop = asyncio::get_running_loop();
        // Nobody is there who could look anything up.
        event_loop.shutdown_default_executor(None).await.unwrap();
        for (host, address) in [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80")] {
            let found = event_loop.getaddrinfo(host, 80).await.unwrap();
            assert_eq!(found, [address.parse().unwrap()]);
        }
        let error = event_loop.getaddrinfo("localhost", 80).await.unwrap_err();
        assert_eq!(error.to_string(), "executor shutdown has been called");
    });
}

/// CPython test_base_events: test_port_parameter_types
///
/// A port is a number, or text behind the host; nothing else is one, and no service is looked up.
#[test]
fn a_port_may_be_a_number_or_text() {
    let expected: Vec<SocketAddr> = vec!["1.2.3.4:1".parse().unwrap()];
    assert_eq!(("1.2.3.4", 1).to_socket_addrs().unwrap(), expected);
    assert_eq!("1.2.3.4:1".to_socket_addrs().unwrap(), expected);
    assert_eq!(("1.2.3.4", 0).to_socket_addrs().unwrap()[0].port(), 0);
    for nonsense in ["1.2.3.4", "1.2.3.4:", "1.2.3.4:http", "localhost:http", "localhost:65536"] {
        let error = nonsense.to_socket_addrs().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{nonsense}");
    }
}

#[test]
fn a_name_has_the_port_that_was_asked_for() {
    run(async {
        let event_loop = asyncio::get_running_loop();
        let found = event_loop.getaddrinfo("localhost", 4711).await.unwrap();
        assert!(!found.is_empty());
        assert!(
            found.iter().all(|addr| addr.port() == 4711 && addr.ip().is_loopback()),
            "{found:?}"
        );
    });
}

/// Awaits two futures at once.
fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(move |cx| {
        if first.is_none() {
            first = ready(a.as_mut().poll(cx));
        }
        if second.is_none() {
            second = ready(b.as_mut().poll(cx));
        }
        match (first.take(), second.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (first, second) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

#[test]
fn two_tasks_share_a_listener() -> io::Result<()> {
    run(async {
        let (listener, address) = listener().await?;
        let listener = std::sync::Arc::new(listener);
        let accepters = [(); 2].map(|()| {
            let listener = listener.clone();
            create_task(async move { listener.accept().await.map(|(stream, _)| stream) })
        });
        let _clients = [TcpStream::connect(address).await?, TcpStream::connect(address).await?];
        for accepter in accepters {
            accepter.await??;
        }
        Ok(())
    })
}

/// A thread calls in and then writes: in this order a loop of one worker hears of it whose reader waits, whether it sleeps or not. So it is with asyncio, whose
/// ready queue has the call before the poller is asked.
#[test]
fn a_call_from_a_thread_comes_before_the_bytes_it_sends_next() {
    let one_worker = asyncio::EventLoop::with_workers(1).unwrap();
    let main = async {
        let (listener, address) = listener().await.unwrap();
        let mut client = std::net::TcpStream::connect(address).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let event_loop = asyncio::get_running_loop();
        let (calls, next) = (Arc::new(AtomicUsize::new(0)), mpsc::channel());
        let (called, (next, told)) = (calls.clone(), next);
        let thread = thread::spawn(move || {
            for () in told {
                let called = called.clone();
                let count = move || {
                    called.fetch_add(1, Ordering::Relaxed);
                };
                event_loop.call_soon_threadsafe(count).unwrap();
                client.write_all(b"x").unwrap();
            }
        });
        // Waits again before whoever it tells can have the next byte sent.
        let (seen, counts) = (Arc::new(asyncio::Queue::new(0)), calls.clone());
        let tells = seen.clone();
        let reader = create_task(async move {
            while server.read(&mut [0]).await.unwrap() == 1 {
                tells.put_nowait(counts.load(Ordering::Relaxed)).unwrap();
            }
        });
        let busy = create_task(async {
            loop {
                asyncio::yield_now().await;
            }
        });
        asyncio::yield_now().await;
        for round in 1..=400 {
            if round == 200 {
                busy.cancel();
            }
            next.send(()).unwrap();
            assert_eq!(seen.get().await.unwrap(), round);
        }
        drop(next);
        thread.join().unwrap();
        reader.await.unwrap();
    };
    one_worker.run_until_complete(main).unwrap();
    one_worker.close().unwrap();
}
