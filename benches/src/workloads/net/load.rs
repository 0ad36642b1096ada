//! The clients of an echo server on one thread, with epoll directly, so that the same load falls on every runtime.

use rustix::event::epoll;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Keeps one message of `size` bytes going on each of so many connections, until `n` have come back.
pub(super) fn round_trips(
    addr: SocketAddr,
    connections: usize,
    n: usize,
    size: usize,
) -> io::Result<Duration> {
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut streams = Vec::with_capacity(connections);
    for key in 0..connections {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        epoll::add(&poller, &stream, epoll::EventData::new_u64(key as u64), epoll::EventFlags::IN)?;
        streams.push(stream);
    }
    let mut message = vec![7; size];
    let mut events = Vec::with_capacity(connections);
    let start = Instant::now();
    for stream in &mut streams {
        stream.write_all(&message)?;
    }
    let mut left = n;
    while left > 0 {
        epoll::wait(&poller, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            // A small message comes in one piece over the loopback interface, so a blocking read does not wait.
            let stream = &mut streams[event.data.u64() as usize];
            stream.read_exact(&mut message)?;
            stream.write_all(&message)?;
            left = left.saturating_sub(1);
        }
    }
    Ok(start.elapsed())
}
