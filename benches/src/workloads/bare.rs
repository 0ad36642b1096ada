//! Primitives alone: on a bare `block_on`, called as a program calls them, through no interface of ours and beside no runtime.
//!
//! In the other workloads the shape of the driver weighs as much as such an operation. One operation is: a free lock taken, its number
//! raised, and given back; one of ten free permits taken and given back; an event set and waited for; an item put into a queue and
//! got; a oneshot made, sent to, received from.

use crate::catalogue::Workload;
use crate::report::Report;
use crate::runtime::Setup;
use std::time::Instant;

/// Does one operation `n` times.
fn repeat(setup: Setup, mut op: impl AsyncFnMut(u64)) -> Report {
    futures_lite::future::block_on(async {
        let start = Instant::now();
        for i in 0..setup.n as u64 {
            op(i).await;
        }
        Report::per_op(setup.n, start.elapsed())
    })
}

fn bare(name: &'static str, run: fn(Setup) -> Report) -> Workload {
    Workload { name, n: 3_000_000, counted: Some(10_000), run }
}

/// `asyncio::sync`.
pub fn asyncio() -> Vec<Workload> {
    use asyncio_sync::{Event, Lock, Queue, Semaphore, oneshot};
    fn queue(setup: Setup, maxsize: usize) -> Report {
        let queue = Queue::new(maxsize);
        repeat(setup, async |i| {
            queue.put(i).await.expect("it is open");
            assert_eq!(queue.get().await, Ok(i));
        })
    }
    vec![
        bare("bare-lock", |setup| {
            let lock = Lock::new(0);
            repeat(setup, async |i| *lock.acquire().await += i)
        }),
        bare("bare-semaphore", |setup| {
            let semaphore = Semaphore::new(10);
            repeat(setup, async |_| drop(semaphore.acquire().await))
        }),
        bare("bare-event", |setup| {
            let event = Event::new();
            repeat(setup, async |_| {
                event.set();
                event.wait().await;
            })
        }),
        bare("bare-queue", |setup| queue(setup, 100)),
        bare("bare-queue-unbounded", |setup| queue(setup, 0)),
        bare("bare-oneshot", |setup| {
            repeat(setup, async |i| {
                let (sender, receiver) = oneshot::channel();
                sender.send(i).expect("the receiver is there");
                assert_eq!(receiver.await, Ok(i));
            })
        }),
    ]
}

/// `tokio::sync`; its nearest to an event is `Notify`, with its one permit.
pub fn tokio() -> Vec<Workload> {
    use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};
    vec![
        bare("bare-lock", |setup| {
            let lock = Mutex::new(0);
            repeat(setup, async |i| *lock.lock().await += i)
        }),
        bare("bare-semaphore", |setup| {
            let semaphore = Semaphore::new(10);
            repeat(setup, async |_| drop(semaphore.acquire().await))
        }),
        bare("bare-event", |setup| {
            let notify = Notify::new();
            repeat(setup, async |_| {
                notify.notify_one();
                notify.notified().await;
            })
        }),
        bare("bare-queue", |setup| {
            let (sender, mut receiver) = mpsc::channel(100);
            repeat(setup, async |i| {
                sender.send(i).await.expect("it is open");
                assert_eq!(receiver.recv().await, Some(i));
            })
        }),
        bare("bare-queue-unbounded", |setup| {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            repeat(setup, async |i| {
                sender.send(i).expect("it is open");
                assert_eq!(receiver.recv().await, Some(i));
            })
        }),
        bare("bare-oneshot", |setup| {
            repeat(setup, async |i| {
                let (sender, receiver) = oneshot::channel();
                sender.send(i).expect("the receiver is there");
                assert_eq!(receiver.await, Ok(i));
            })
        }),
    ]
}

/// async-lock and async-channel.
pub fn smol() -> Vec<Workload> {
    use async_lock::{Mutex, Semaphore};
    fn queue(
        setup: Setup,
        (sender, receiver): (async_channel::Sender<u64>, async_channel::Receiver<u64>),
    ) -> Report {
        repeat(setup, async |i| {
            sender.send(i).await.expect("it is open");
            assert_eq!(receiver.recv().await, Ok(i));
        })
    }
    vec![
        bare("bare-lock", |setup| {
            let lock = Mutex::new(0);
            repeat(setup, async |i| *lock.lock().await += i)
        }),
        bare("bare-semaphore", |setup| {
            let semaphore = Semaphore::new(10);
            repeat(setup, async |_| drop(semaphore.acquire().await))
        }),
        bare("bare-queue", |setup| queue(setup, async_channel::bounded(100))),
        bare("bare-queue-unbounded", |setup| queue(setup, async_channel::unbounded())),
    ]
}

/// flume.
pub fn flume() -> Vec<Workload> {
    fn queue(
        setup: Setup,
        (sender, receiver): (flume::Sender<u64>, flume::Receiver<u64>),
    ) -> Report {
        repeat(setup, async |i| {
            sender.send_async(i).await.expect("it is open");
            assert_eq!(receiver.recv_async().await, Ok(i));
        })
    }
    vec![
        bare("bare-queue", |setup| queue(setup, flume::bounded(100))),
        bare("bare-queue-unbounded", |setup| queue(setup, flume::unbounded())),
    ]
}

/// kanal.
pub fn kanal() -> Vec<Workload> {
    fn queue(
        setup: Setup,
        (sender, receiver): (kanal::AsyncSender<u64>, kanal::AsyncReceiver<u64>),
    ) -> Report {
        repeat(setup, async |i| {
            sender.send(i).await.expect("it is open");
            assert_eq!(receiver.recv().await.ok(), Some(i));
        })
    }
    vec![
        bare("bare-queue", |setup| queue(setup, kanal::bounded_async(100))),
        bare("bare-queue-unbounded", |setup| queue(setup, kanal::unbounded_async())),
    ]
}
