//! A listener that runs out of descriptors reports it, rests without using the processor, and goes on without losing a connection.
//!
//! Alone in its binary: the limit belongs to the whole process.
#![cfg(target_os = "linux")]

use asyncio::net::{TcpListener, TcpStream};
use asyncio::{EventLoop, ExceptionContext, create_task, get_running_loop, run, secs, sleep};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: usize = 20;

/// Processor time that this process has used, by a file that was opened while that was possible.
fn processor_time(mut stat: &File) -> Duration {
    let mut text = String::new();
    stat.rewind().unwrap();
    stat.read_to_string(&mut text).unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Opens files until there is no descriptor left.
fn exhaust() -> Vec<File> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), ..limit }).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[test]
fn accept_rests_and_recovers() {
    let reports = Arc::new(AtomicUsize::new(0));
    let count = reports.clone();
    run(async move {
        get_running_loop().set_exception_handler(Some(
            move |_: &EventLoop, report: &ExceptionContext| {
                assert!(report.message.starts_with("socket.accept() out of system resource"));
                count.fetch_add(1, Ordering::Relaxed);
            },
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let stat = File::open("/proc/thread-self/schedstat").unwrap();
        let files = exhaust();
        let accepter = create_task(async move {
            let mut accepted = Vec::new();
            while accepted.len() < CLIENTS {
                accepted.push(listener.accept().await.unwrap());
            }
            accepted.len()
        });
        let (start, before) = (Instant::now(), processor_time(&stat));
        sleep(secs(0.5)).await;
        assert!(!accepter.done());
        let used = processor_time(&stat) - before;
        assert!(used < Duration::from_millis(100), "a resting accept used {used:?}");
        drop(files);
        assert_eq!(accepter.await.unwrap(), CLIENTS);
        assert!(start.elapsed() < Duration::from_secs(4));
        drop(clients);
    });
    assert_eq!(reports.load(Ordering::Relaxed), 1);
}
