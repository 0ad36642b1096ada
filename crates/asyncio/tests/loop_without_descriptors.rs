//! A loop in a process that is out of descriptors: it has its timers and its threads, tells who wants a socket, and serves sockets as soon as there
//! are descriptors again.
#![cfg(target_os = "linux")]

use asyncio::net::{TcpListener, TcpStream};
use asyncio::{Runner, create_task, now, sleep, to_thread};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

/// The only test of this process, for the limit is the process's.
#[test]
fn a_loop_without_descriptors_has_its_timers_and_threads() {
    let limit = getrlimit(Resource::Nofile);
    for workers in [1, 2] {
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
        let mut runner = Runner::builder().workers(workers).build().unwrap();
        runner.run(without_descriptors()).unwrap();
        setrlimit(Resource::Nofile, limit).unwrap();
        runner.run(with_descriptors()).unwrap();
        runner.close();
    }
}

async fn without_descriptors() {
    let start = now();
    sleep(Duration::from_millis(5)).await;
    assert!(now() - start >= Duration::from_millis(5));
    assert_eq!(to_thread(|| 1).await, 1);
    let task = create_task(async {
        sleep(Duration::from_micros(100)).await;
        2
    });
    assert_eq!(task.await.unwrap(), 2);
    let error = TcpListener::bind("127.0.0.1:0").await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
}

async fn with_descriptors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect_addr(listener.local_addr().unwrap());
    let echo = create_task(async move {
        let (mut stream, _peer) = listener.accept().await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        stream.write_all(&byte).await.unwrap();
    });
    let mut client = client.await.unwrap();
    sleep(Duration::from_millis(1)).await;
    client.write_all(b"x").await.unwrap();
    let mut byte = [0];
    client.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"x");
    echo.await.unwrap();
}
