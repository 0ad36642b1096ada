//! A descriptor that was copied. The only test of its process, for the kernel gives the lowest free number to whoever asks next.
#![cfg(unix)]

#[path = "../../asyncio-reactor/tests/common/mod.rs"]
mod common;

use asyncio_net::{TcpListener, TcpStream};
use common::{block_on, poll};
use std::io::Write;
use std::net;
use std::os::fd::{AsFd, AsRawFd};
use std::task::Waker;

/// A copy keeps a socket open, and would keep it registered under the number that is free now.
#[test]
fn a_copy_may_take_the_number_of_the_socket_that_was_closed() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        assert!(poll(&mut Box::pin(stream.read(&mut byte)), Waker::noop()).is_pending());
        let copy = stream.as_fd().try_clone_to_owned().unwrap();
        let number = stream.as_raw_fd();
        drop(stream);
        let second = net::TcpStream::from(copy.try_clone().unwrap());
        assert_eq!(second.as_raw_fd(), number, "the kernel gives the lowest number");
        let mut second = TcpStream::from_std(second).unwrap();
        let mut read = Box::pin(second.read(&mut byte));
        assert!(poll(&mut read, Waker::noop()).is_pending());
        peer.write_all(b"x").unwrap();
        assert_eq!(read.await.unwrap(), 1);
    });
}
