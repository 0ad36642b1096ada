//! Everything goes on while signals interrupt system calls all the time.
#![cfg(unix)]

#[path = "../../asyncio-reactor/tests/common/mod.rs"]
mod common;

use asyncio_net::{TcpListener, TcpStream};
use common::{Executor, block_on};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

extern "C" fn ignore(_: libc::c_int) {}

#[test]
fn connecting_accepting_and_moving_bytes_under_signals() {
    // SAFETY: the handler does nothing, and the structure is a plain one for which zeros are valid.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
    let done = AtomicBool::new(false);
    // SAFETY: asks for this thread's own id.
    let victim = unsafe { libc::pthread_self() };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // SAFETY: the scope ends only after the victim, this scope's owner, has stored `done`.
                unsafe { libc::pthread_kill(victim, libc::SIGUSR1) };
                thread::yield_now();
            }
        });
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut executor = Executor::default();
        executor.spawn(async {
            for _ in 0..100 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buf = vec![0; 100_000];
                stream.read_exact(&mut buf).await.unwrap();
                stream.write_all(&buf).await.unwrap();
            }
        });
        executor.spawn(async {
            for round in 0..100u8 {
                let mut stream = TcpStream::connect_addr(addr).await.unwrap();
                let (sent, mut got) = (vec![round; 100_000], vec![0; 100_000]);
                stream.write_all(&sent).await.unwrap();
                stream.read_exact(&mut got).await.unwrap();
                assert!(sent == got);
            }
        });
        executor.run();
        done.store(true, Ordering::Relaxed);
    });
}
