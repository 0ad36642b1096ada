//! Sockets on the loopback interface.

use crate::baton::Countdown;
use crate::kit::Kit;
use crate::report::Report;
use crate::runtime::{Runtime, Setup};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

pub mod http;
mod load;

/// Bytes of a small message.
const MESSAGE: usize = 64;

type Listener<R> = <<R as Runtime>::Kit as Kit>::Listener;
type Stream<R> = <<R as Runtime>::Kit as Kit>::Stream;

/// Sends back what comes until the peer closes, with a buffer larger than any small message.
async fn echo<R: Runtime>(mut stream: Stream<R>, buffer: usize) -> io::Result<()> {
    let mut buffer = vec![0; buffer];
    loop {
        let n = R::Kit::read(&mut stream, &mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        R::Kit::write_all(&mut stream, &buffer[..n]).await?;
    }
}

/// Accepts so many connections, each with an echoing task.
async fn serve<R: Runtime>(listener: Listener<R>, connections: usize, buffer: usize) {
    for _ in 0..connections {
        let stream = R::Kit::accept(&listener).await.expect("a connection");
        // An error is the end of a client, which may leave with an echo on its way. A client in need of one fails itself.
        R::detach(R::spawn(async move { echo::<R>(stream, buffer).await.unwrap_or_default() }));
    }
}

/// One operation: a client task writes 64 bytes and reads exactly 64 back from an echo task of the same runtime. `n` round trips in all over
/// so many connections at once.
pub async fn round_trips<R: Runtime>(n: usize, connections: usize) -> Report {
    chatter::<R>(n, connections, MESSAGE, 1024).await
}

/// One operation: 64 KiB to an echo task and back over one connection.
pub async fn chunks<R: Runtime>(n: usize) -> Report {
    chatter::<R>(n, 1, 64 << 10, 64 << 10).await
}

async fn chatter<R: Runtime>(n: usize, connections: usize, size: usize, buffer: usize) -> Report {
    let (listener, addr) = R::Kit::listen().await.expect("a port");
    R::detach(R::spawn(serve::<R>(listener, connections, buffer)));
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        streams.push(R::Kit::connect(addr).await.expect("a server"));
    }
    let start = Instant::now();
    let client = |stream| client::<R>(stream, n / connections, size);
    let clients: Vec<_> = streams.into_iter().map(|stream| R::spawn(client(stream))).collect();
    for client in clients {
        R::join(client).await;
    }
    Report::per_op(n, start.elapsed())
}

async fn client<R: Runtime>(mut stream: Stream<R>, rounds: usize, size: usize) {
    let (message, mut reply) = (vec![7; size], vec![0; size]);
    for _ in 0..rounds {
        R::Kit::write_all(&mut stream, &message).await.expect("the server reads");
        R::Kit::read_exact(&mut stream, &mut reply).await.expect("the server answers");
    }
}

/// One operation: 64 bytes are echoed by the runtime to one of 64 connections of a thread beside it that uses epoll directly.
pub fn server<R: Runtime>(setup: Setup) -> Report {
    const CONNECTIONS: usize = 64;
    beside::<R, _>(setup, CONNECTIONS, 0, move |addr| {
        let elapsed = load::round_trips(addr, CONNECTIONS, setup.n, MESSAGE).expect("an echo");
        Report::per_op(setup.n, elapsed)
    })
}

/// Runs `clients` on a thread of its own against an echo server that takes so many connections, with `busy` tasks beside it.
fn beside<R: Runtime, C>(setup: Setup, connections: usize, busy: usize, clients: C) -> Report
where
    C: FnOnce(SocketAddr) -> Report + Send + 'static,
{
    R::run(setup.workers, async {
        let (listener, addr) = R::Kit::listen().await.expect("a port");
        R::detach(R::spawn(serve::<R>(listener, connections, 1024)));
        for _ in 0..busy {
            R::detach(R::spawn(spin_and_yield::<R>()));
        }
        let ended = Countdown::new(1);
        let over = ended.clone();
        let thread = thread::spawn(move || {
            let report = clients(addr);
            over.arrive();
            report
        });
        ended.wait().await;
        thread.join().expect("the clients do not panic")
    })
}

/// One operation: connect, accept, and both ends closed, one after the other.
pub async fn accept_and_close<R: Runtime>(n: usize) -> Report {
    let (listener, addr) = R::Kit::listen().await.expect("a port");
    let server = R::spawn(async move {
        for _ in 0..n {
            drop(R::Kit::accept(&listener).await.expect("a connection"));
        }
    });
    let start = Instant::now();
    for _ in 0..n {
        let mut stream = R::Kit::connect(addr).await.expect("a server");
        // The end of the stream: the server has closed first, which keeps the port of the client free.
        assert_eq!(R::Kit::read(&mut stream, &mut [0]).await.expect("an end"), 0);
    }
    let elapsed = start.elapsed();
    R::join(server).await;
    Report::per_op(n, elapsed)
}

/// One operation: a blocking client gets 64 bytes echoed while, for each worker, two tasks spin for 50 µs between yields.
pub fn echo_beside_busy_tasks<R: Runtime>(setup: Setup) -> Report {
    let client = move |addr| blocking_client(addr, setup.n).expect("an echo");
    beside::<R, _>(setup, 1, 2 * setup.workers, client)
}

async fn spin_and_yield<R: Runtime>() {
    loop {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(50) {
            std::hint::spin_loop();
        }
        R::Kit::yield_now().await;
    }
}

fn blocking_client(addr: SocketAddr, n: usize) -> io::Result<Report> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut message = [7; MESSAGE];
    let mut samples = vec![];
    for _ in 0..n {
        let start = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        samples.push(start.elapsed().as_nanos() as u64);
    }
    Ok(Report::of_samples(samples))
}
