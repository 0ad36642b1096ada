//! A small HTTP/1.1 server under `wrk`.

use super::Stream;
use crate::baton::Countdown;
use crate::kit::Kit;
use crate::process::cpu_time;
use crate::report::Report;
use crate::runtime::{Runtime, Setup};
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;

const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nhello, world\n";

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// One operation: a request of `wrk`, which keeps 256 connections busy for `n` seconds, is read to the end of its head and answered. The processor time is the
/// server's alone.
pub fn served<R: Runtime>(setup: Setup) -> Report {
    R::run(setup.workers, async {
        let (listener, addr) = R::Kit::listen().await.expect("a port");
        R::detach(R::spawn(async move {
            while let Ok(stream) = R::Kit::accept(&listener).await {
                R::detach(R::spawn(async move { answer::<R>(stream).await.unwrap_or_default() }));
            }
        }));
        let ended = Countdown::new(1);
        let over = ended.clone();
        let load = thread::spawn(move || {
            let report = wrk(addr, setup.n);
            over.arrive();
            report
        });
        ended.wait().await;
        let report = load.join().expect("the load does not panic");
        report.expect("wrk, which this workload needs")
    })
}

/// Answers every request of a connection.
async fn answer<R: Runtime>(mut stream: Stream<R>) -> io::Result<()> {
    let mut buffer = [0; 2048];
    let mut filled = 0;
    loop {
        let n = R::Kit::read(&mut stream, &mut buffer[filled..]).await?;
        if n == 0 {
            return Ok(());
        }
        filled += n;
        // Requests of a load generator without pipelining come one at a time.
        if buffer[..filled].ends_with(END_OF_HEAD) {
            R::Kit::write_all(&mut stream, RESPONSE).await?;
            filled = 0;
        }
    }
}

fn wrk(addr: SocketAddr, seconds: usize) -> io::Result<Report> {
    let before = cpu_time();
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", "256", "--latency"])
        .args(["--duration", &format!("{seconds}s"), &format!("http://{addr}/")])
        .output()?;
    let spent = cpu_time() - before;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    let missing = || io::Error::other(format!("wrk said: {text}"));
    let requests = number_before(&text, " requests in ").ok_or_else(missing)?;
    let per_second = number_after(&text, "Requests/sec:").ok_or_else(missing)?;
    Ok(Report::one("wall ns", 1e9 / per_second).and("CPU ns", spent.as_nanos() as f64 / requests))
}

fn number_before(text: &str, mark: &str) -> Option<f64> {
    text.split_once(mark)?.0.split_whitespace().next_back()?.parse().ok()
}

fn number_after(text: &str, mark: &str) -> Option<f64> {
    text.split_once(mark)?.1.split_whitespace().next()?.parse().ok()
}
