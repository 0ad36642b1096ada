//! The three queues (`asyncio-sync/src/queue/state.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::model;
use asyncio_sync::{LifoQueue, PriorityQueue, Queue};
use std::sync::Arc;
use sync_common::{block_on, block_on_task, poll_and_cancel, poll_once, spawn};

/// An item put while a getter joins the line reaches it.
#[test]
fn quick_queue_put_meets_get() {
    model("queue: put meets get", None, || {
        let queue = Arc::new(Queue::new(0));
        let other = queue.clone();
        let thread = spawn(move || block_on(other.get()).unwrap());
        queue.put_nowait(7).unwrap();
        assert_eq!(thread.join().unwrap(), 7);
        assert!(queue.empty() && queue.qsize() == 0);
    });
}

/// The same for a task, which joins the line in the hold of the lock in which it has found nothing.
#[test]
fn quick_queue_put_meets_get_of_a_task() {
    model("queue: put meets get of a task", None, || {
        let queue = Arc::new(Queue::new(0));
        let other = queue.clone();
        let thread = spawn(move || block_on_task(other.get()).unwrap());
        queue.put_nowait(7).unwrap();
        assert_eq!(thread.join().unwrap(), 7);
        assert!(queue.empty() && queue.qsize() == 0);
    });
}

/// Tasks on both sides of a queue of one.
#[test]
fn quick_queue_tasks_that_produce_and_consume() {
    model("queue: tasks that produce and consume", Some(3), || {
        let queue = Arc::new(Queue::new(1));
        let other = queue.clone();
        let thread = spawn(move || {
            for i in 0..3 {
                block_on_task(other.put(i)).unwrap();
            }
        });
        for i in 0..3 {
            assert_eq!(block_on_task(queue.get()), Ok(i));
        }
        thread.join().unwrap();
    });
}

/// Room freed while a putter joins the line reaches it.
#[test]
fn quick_queue_get_meets_put_of_a_full_queue() {
    model("queue: get meets put of a full queue", None, || {
        let queue = Arc::new(Queue::new(1));
        queue.put_nowait(1).unwrap();
        let other = queue.clone();
        let thread = spawn(move || block_on(other.put(2)).unwrap());
        assert_eq!(queue.get_nowait(), Ok(1));
        thread.join().unwrap();
        assert_eq!(queue.get_nowait(), Ok(2));
    });
}

/// A queue of one between a producer and a consumer: all comes through, in order.
#[test]
fn quick_queue_producer_and_consumer() {
    model("queue: producer and consumer", Some(3), || {
        let queue = Arc::new(Queue::new(1));
        let other = queue.clone();
        let thread = spawn(move || {
            for i in 0..2 {
                block_on(other.put(i)).unwrap();
            }
        });
        assert_eq!((block_on(queue.get()), block_on(queue.get())), (Ok(0), Ok(1)));
        thread.join().unwrap();
    });
}

/// The chosen getter gives up: its item goes to the next one.
#[test]
fn quick_queue_item_of_a_cancelled_getter_goes_on() {
    model("queue: item of a cancelled getter goes on", None, || {
        let queue: &'static Queue<u32> = Box::leak(Box::new(Queue::new(0)));
        let mut first = queue.get();
        let mut second = queue.get();
        assert!(poll_once(&mut first).is_pending() && poll_once(&mut second).is_pending());
        let thread = spawn(move || drop(first));
        queue.put_nowait(7).unwrap();
        thread.join().unwrap();
        assert_eq!(block_on(second), Ok(7));
    });
}

/// The chosen putter gives up: its room goes to the next one.
#[test]
fn quick_queue_room_of_a_cancelled_putter_goes_on() {
    model("queue: room of a cancelled putter goes on", None, || {
        let queue: &'static Queue<u32> = Box::leak(Box::new(Queue::new(1)));
        queue.put_nowait(0).unwrap();
        let mut first = queue.put(1);
        let mut second = queue.put(2);
        assert!(poll_once(&mut first).is_pending() && poll_once(&mut second).is_pending());
        let thread = spawn(move || drop(first));
        assert_eq!(queue.get_nowait(), Ok(0));
        thread.join().unwrap();
        assert_eq!(block_on(second), Ok(()));
        assert_eq!(queue.get_nowait(), Ok(2), "and the first item was never put in");
    });
}

/// An item that arrives for somebody who waits cannot be taken by a newcomer.
#[test]
fn quick_queue_nobody_overtakes_a_getter() {
    model("queue: nobody overtakes a getter", None, || {
        let queue: &'static Queue<u32> = Box::leak(Box::new(Queue::new(0)));
        let mut first = queue.get();
        assert!(poll_once(&mut first).is_pending());
        let thread = spawn(move || queue.get_nowait().is_err());
        queue.put_nowait(7).unwrap();
        assert!(thread.join().unwrap());
        assert!(poll_once(&mut first).is_ready());
    });
}

/// A getter gives up after its first poll: the item stays.
#[test]
fn quick_queue_put_meets_cancel() {
    model("queue: put meets cancel", None, || {
        let queue = Arc::new(Queue::new(0));
        let other = queue.clone();
        let thread = spawn(move || poll_and_cancel(other.get()));
        queue.put_nowait(7).unwrap();
        let taken = thread.join().unwrap();
        assert_eq!(queue.get_nowait().is_ok(), !taken);
    });
}

/// `shutdown` against a getter that joins: it fails, and never hangs.
#[test]
fn quick_queue_shutdown_meets_get() {
    model("queue: shutdown meets get", None, || {
        let queue = Arc::new(Queue::<u32>::new(0));
        let other = queue.clone();
        let thread = spawn(move || block_on(other.get()).is_err());
        queue.shutdown(false);
        assert!(thread.join().unwrap());
    });
}

/// `shutdown` against a putter of a full queue: its item is in, or comes back.
#[test]
fn quick_queue_shutdown_meets_put() {
    model("queue: shutdown meets put", None, || {
        let queue = Arc::new(Queue::new(1));
        queue.put_nowait(0).unwrap();
        let other = queue.clone();
        let thread = spawn(move || block_on(other.put(1)));
        let got = queue.get_nowait();
        queue.shutdown(false);
        assert_eq!(got, Ok(0));
        match thread.join().unwrap() {
            Ok(()) => assert_eq!(queue.get_nowait(), Ok(1)),
            Err(shut) => assert_eq!((shut.0, queue.qsize()), (1, 0)),
        }
        assert!(queue.put_nowait(2).is_err());
    });
}

/// An immediate `shutdown` against an item on its way: it is got, refused or dropped, and `join` returns.
#[test]
fn quick_queue_immediate_shutdown_meets_put() {
    model("queue: immediate shutdown meets put", None, || {
        let queue = Arc::new(Queue::new(0));
        let other = queue.clone();
        let thread = spawn(move || other.put_nowait(1).is_ok());
        queue.shutdown(true);
        thread.join().unwrap();
        assert_eq!(queue.qsize(), 0);
        block_on(queue.join());
    });
}

/// The last `task_done` against `join`.
#[test]
fn quick_queue_task_done_meets_join() {
    model("queue: task_done meets join", None, || {
        let queue = Arc::new(Queue::new(0));
        queue.put_nowait(1).unwrap();
        let other = queue.clone();
        let thread = spawn(move || {
            other.get_nowait().unwrap();
            other.task_done().unwrap();
        });
        block_on(queue.join());
        thread.join().unwrap();
        assert!(queue.task_done().is_err());
    });
}

/// A `join` that gives up, while another one waits.
#[test]
fn quick_queue_cancelled_join_meets_task_done() {
    model("queue: cancelled join meets task_done", None, || {
        let queue: &'static Queue<u32> = Box::leak(Box::new(Queue::new(0)));
        queue.put_nowait(1).unwrap();
        let mut first = queue.join();
        let mut second = queue.join();
        assert!(poll_once(&mut first).is_pending() && poll_once(&mut second).is_pending());
        let thread = spawn(move || drop(first));
        queue.task_done().unwrap();
        thread.join().unwrap();
        block_on(second);
        assert_eq!(queue.statistics().joiners, 0);
    });
}

/// Two producers and one consumer: nothing lost, nothing doubled.
#[test]
fn queue_two_producers() {
    model("queue: two producers", Some(2), || {
        let queue = Arc::new(Queue::new(1));
        let threads = [1, 2].map(|i| {
            let queue = queue.clone();
            spawn(move || block_on(queue.put(i)).unwrap())
        });
        assert_eq!(block_on(queue.get()).unwrap() + block_on(queue.get()).unwrap(), 3);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(queue.empty());
    });
}

/// A `LifoQueue` between two threads.
#[test]
fn quick_queue_lifo_put_meets_get() {
    model("queue: lifo put meets get", None, || {
        let queue = Arc::new(LifoQueue::new(1));
        let other = queue.clone();
        let thread = spawn(move || {
            block_on(other.put(1)).unwrap();
            block_on(other.put(2)).unwrap();
        });
        assert_eq!((block_on(queue.get()), block_on(queue.get())), (Ok(1), Ok(2)));
        thread.join().unwrap();
    });
}

/// A `LifoQueue` whose getter gives up.
#[test]
fn quick_queue_lifo_cancel_meets_put() {
    model("queue: lifo cancel meets put", None, || {
        let queue = Arc::new(LifoQueue::new(0));
        let other = queue.clone();
        let thread = spawn(move || poll_and_cancel(other.get()));
        queue.put_nowait(1).unwrap();
        let taken = thread.join().unwrap();
        assert_eq!(queue.get_nowait().is_ok(), !taken);
    });
}

/// A `PriorityQueue`: the getter that was chosen for one item gets the smallest there is when it runs.
#[test]
fn quick_queue_priority_smallest_when_it_runs() {
    model("queue: priority, smallest when it runs", None, || {
        let queue: &'static PriorityQueue<u32> = Box::leak(Box::new(PriorityQueue::new(0)));
        let mut first = queue.get();
        assert!(poll_once(&mut first).is_pending());
        let thread = spawn(move || queue.put_nowait(1).unwrap());
        queue.put_nowait(2).unwrap();
        let got = block_on(first).unwrap();
        thread.join().unwrap();
        assert_eq!(got + queue.get_nowait().unwrap(), 3);
    });
}

/// A `PriorityQueue` whose putter gives up.
#[test]
fn quick_queue_priority_cancel_meets_get() {
    model("queue: priority cancel meets get", None, || {
        let queue = Arc::new(PriorityQueue::new(1));
        queue.put_nowait(0).unwrap();
        let other = queue.clone();
        let thread = spawn(move || poll_and_cancel(other.put(1)));
        assert_eq!(queue.get_nowait(), Ok(0));
        let put = thread.join().unwrap();
        assert_eq!(queue.qsize(), usize::from(put));
        assert_eq!(queue.put_nowait(2).is_ok(), !put, "room that was kept for it is free again");
    });
}
