//! Out of descriptors. The only test of its process, for the limit is the process's. Not for valgrind, which imitates the limit
//! after the call and so takes the connection from the queue.
#![cfg(unix)]

#[path = "../../asyncio-reactor/tests/common/mod.rs"]
mod common;

use asyncio_net::{TcpListener, TcpStream};
use common::block_on;
use std::fs::File;

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
        let error = asyncio_reactor::Reactor::new().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        files.pop();
        // No connection was lost, and no event is needed.
        let (mut server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        client.write_all(b"x").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
    });
}
