//! Queues under producers, and requests with a reply each.

use crate::kit::{Oneshot, Queues};
use crate::report::Report;
use crate::runtime::Runtime;
use std::time::Instant;

/// One operation: a request with a fresh oneshot goes to a task through a queue of 10 and is answered. Run it from a task or from main: in
/// some runtimes these differ.
pub async fn request_reply<R: Runtime>(n: usize) -> Report {
    type Request<K> = (u64, <K as Oneshot>::OneSender);
    let (requests, mut inbox) = R::Kit::queue::<Request<R::Kit>>(Some(10));
    let server = R::spawn(async move {
        for _ in 0..n {
            let (number, reply) = R::Kit::get(&mut inbox).await;
            R::Kit::send(reply, number);
        }
    });
    let start = Instant::now();
    for i in 0..n as u64 {
        let (reply, answer) = R::Kit::oneshot();
        R::Kit::put(&requests, (i, reply)).await;
        assert_eq!(R::Kit::receive(answer).await, i);
    }
    let elapsed = start.elapsed();
    R::join(server).await;
    Report::per_op(n, elapsed)
}

/// One operation: one number through a queue of 100 into which `producers` tasks put.
pub async fn producers<R: Runtime>(n: usize, producers: usize) -> Report {
    let (sender, mut receiver) = R::Kit::queue::<u64>(Some(100));
    let start = Instant::now();
    for _ in 0..producers {
        let sender = sender.clone();
        R::detach(R::spawn(async move {
            for i in 0..(n / producers) as u64 {
                R::Kit::put(&sender, i).await;
            }
        }));
    }
    for _ in 0..n / producers * producers {
        R::Kit::get(&mut receiver).await;
    }
    Report::per_op(n, start.elapsed())
}

/// A number that only [`uncontended`] sends. So each library's put and get of it have one caller, and the compiler makes them part of that or not by
/// the same rule: those of a number, which other workloads send too, would be inlined for flume and kanal, which have no other workload, and for nobody else.
#[derive(Debug, PartialEq, Eq)]
struct Number(u64);

/// One operation: a put into a queue of 100 that has room and a get that finds something, from one task.
pub async fn uncontended<Q: Queues>(n: usize, capacity: Option<usize>) -> Report {
    let (sender, mut receiver) = Q::queue::<Number>(capacity);
    let start = Instant::now();
    for i in 0..n as u64 {
        Q::put(&sender, Number(i)).await;
        assert_eq!(Q::get(&mut receiver).await, Number(i));
    }
    Report::per_op(n, start.elapsed())
}
