//! A task that polls more waiting things at once than it may do in a turn comes to the last of them.

use asyncio::sync::{broadcast, oneshot, watch};
use asyncio::{Queue, Runner, Semaphore, create_task, secs, timeout, yield_now};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;

/// More than the operations of one turn.
const MANY: usize = 500;

type Waiting = Vec<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// Waits for the last, polling all of them each time, as simple combinators do.
async fn wait_for_last(mut all: Waiting) {
    poll_fn(|cx| {
        let polled = all.iter_mut().map(|future| future.as_mut().poll(cx));
        polled.last().expect("there are many")
    })
    .await;
}

/// Many wait, are polled a few times, and the last has its turn when `serve` is called.
fn the_last_is_served(all: Waiting, serve: impl FnOnce() + Send + 'static) {
    let mut runner = Runner::builder().workers(2).build().unwrap();
    let served = runner.run(async {
        let waiting = create_task(timeout(secs(60.0), wait_for_last(all)));
        for _ in 0..10 {
            yield_now().await;
        }
        serve();
        waiting.await.unwrap()
    });
    runner.close();
    served.unwrap().expect("nobody comes to the last");
}

#[test]
fn of_oneshots() {
    let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..MANY).map(|_| oneshot::channel()).unzip();
    let all = receivers
        .into_iter()
        .map(|receiver| Box::pin(async { assert_eq!(receiver.await, Ok(7)) }) as _);
    let last = senders.pop().unwrap();
    the_last_is_served(all.collect(), move || last.send(7).unwrap());
    drop(senders);
}

#[test]
fn of_queues() {
    let queues: Vec<_> = (0..MANY).map(|_| Arc::new(Queue::new(1))).collect();
    let last = queues[MANY - 1].clone();
    let get =
        |queue: Arc<Queue<i32>>| Box::pin(async move { assert_eq!(queue.get().await, Ok(7)) }) as _;
    the_last_is_served(queues.into_iter().map(get).collect(), move || last.put_nowait(7).unwrap());
}

#[test]
fn of_full_queues() {
    let queues: Vec<_> = (0..MANY).map(|_| Arc::new(Queue::new(1))).collect();
    queues.iter().for_each(|queue| queue.put_nowait(7).unwrap());
    let last = queues[MANY - 1].clone();
    let put = |queue: Arc<Queue<i32>>| {
        Box::pin(async move { assert_eq!(queue.put(8).await, Ok(())) }) as _
    };
    let serve = move || assert_eq!(last.get_nowait().unwrap(), 7);
    the_last_is_served(queues.into_iter().map(put).collect(), serve);
}

#[test]
fn of_semaphores() {
    let semaphores: Vec<_> = (0..MANY).map(|_| Arc::new(Semaphore::new(0))).collect();
    let last = semaphores[MANY - 1].clone();
    let take =
        |semaphore: Arc<Semaphore>| Box::pin(async move { drop(semaphore.acquire().await) }) as _;
    the_last_is_served(semaphores.into_iter().map(take).collect(), move || last.release());
}

#[test]
fn of_broadcasts() {
    let (mut senders, receivers): (Vec<_>, Vec<_>) =
        (0..MANY).map(|_| broadcast::channel(1)).unzip();
    let receive = |mut receiver: broadcast::Receiver<i32>| {
        Box::pin(async move { assert_eq!(receiver.recv().await, Ok(7)) }) as _
    };
    let last = senders.pop().unwrap();
    let all = receivers.into_iter().map(receive).collect();
    the_last_is_served(all, move || assert!(last.send(7).is_ok()));
    drop(senders);
}

#[test]
fn of_watches() {
    let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..MANY).map(|_| watch::channel(1)).unzip();
    let change = |mut receiver: watch::Receiver<i32>| {
        Box::pin(async move { assert!(receiver.changed().await.is_ok()) }) as _
    };
    let last = senders.pop().unwrap();
    let all = receivers.into_iter().map(change).collect();
    the_last_is_served(all, move || assert!(last.send(7).is_ok()));
    drop(senders);
}
