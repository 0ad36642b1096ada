//! The programs of primitives and queues, as `docs/cookbook/sync.md` tells them: what must be seen of each.

#[path = "common/in_order.rs"]
mod in_order;
#[path = "common/settle.rs"]
mod settle;

use asyncio::{
    Barrier, Condition, Event, LifoQueue, Lock, PriorityQueue, Queue, Semaphore, Task, Yielder,
    async_generator, catch_cancelled, create_task, gather, interval, run, secs, sleep,
    with_finally,
};
use futures_lite::{StreamExt, stream};
use in_order::run_in_order;
use settle::settle;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// What tasks have seen, in their order.
type Seen<T> = Arc<Mutex<Vec<T>>>;

fn tasks<F>(n: usize, make: impl Fn(usize) -> F) -> Vec<Task<F::Output>>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    (0..n).map(|i| create_task(make(i))).collect()
}

/// Each task waits before the next one is made.
async fn tasks_in_turn<F>(n: usize, make: impl Fn(usize) -> F) -> Vec<Task<F::Output>>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let mut tasks = Vec::new();
    for i in 0..n {
        tasks.push(create_task(make(i)));
        settle().await;
    }
    tasks
}

async fn all<T: Send + 'static>(tasks: Vec<Task<T>>) -> Vec<T> {
    gather(tasks).await.unwrap()
}

/// Program P-sync-1
#[test]
fn a_lock_keeps_a_read_and_its_write_together_and_serves_in_order() {
    run(async {
        let (sum, order) = (Arc::new(Lock::new(0)), Seen::default());
        let held = sum.acquire().await;
        let adders = tasks_in_turn(10, |i| {
            let (sum, order) = (sum.clone(), order.clone());
            async move {
                let mut sum = sum.acquire().await;
                order.lock().unwrap().push(i);
                let seen = *sum;
                sleep(secs(0.001)).await;
                *sum = seen + i;
            }
        });
        let adders = adders.await;
        drop(held);
        all(adders).await;
        assert_eq!(*sum.acquire().await, 45);
        assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
    });
}

/// Program P-sync-1
///
/// [C]: all are woken in the order of their waiting; that they also run in it takes one worker.
#[test]
fn an_event_lets_ten_waiters_go_in_order() {
    run_in_order(async {
        let (event, order) = (Arc::new(Event::new()), Seen::default());
        let waiters = tasks(10, |i| {
            let (event, order) = (event.clone(), order.clone());
            async move {
                event.wait().await;
                order.lock().unwrap().push(i);
            }
        });
        settle().await;
        assert_eq!(event.statistics().waiters, 10);
        event.set();
        event.clear();
        all(waiters).await;
        assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
    });
}

/// Program P-sync-1
#[test]
fn a_condition_hands_each_apple_to_one_consumer() {
    run(async {
        let basket = Arc::new(Condition::new(Vec::new()));
        let consumers = tasks_in_turn(3, |_| {
            let basket = basket.clone();
            async move {
                let mut guard = basket.acquire().await.wait_for(|apples| !apples.is_empty()).await;
                guard.pop().expect("it is not empty")
            }
        });
        let consumers = consumers.await;
        assert_eq!(basket.statistics().waiters, 3);
        for apple in [1, 2, 3] {
            let mut guard = basket.acquire().await;
            guard.push(apple);
            guard.notify(1);
            drop(guard);
            settle().await;
        }
        assert_eq!(all(consumers).await, [1, 2, 3]);
    });
}

/// Program P-sync-1
#[test]
fn a_semaphore_lets_three_of_ten_in_and_no_more() {
    run(async {
        let semaphore = Arc::new(Semaphore::new(3));
        let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let visitors = tasks(10, |_| {
            let (semaphore, inside, most) = (semaphore.clone(), inside.clone(), most.clone());
            async move {
                let _permit = semaphore.acquire().await;
                most.fetch_max(inside.fetch_add(1, Relaxed) + 1, Relaxed);
                sleep(secs(0.001)).await;
                inside.fetch_sub(1, Relaxed);
            }
        });
        all(visitors).await;
        assert_eq!((most.load(Relaxed), inside.load(Relaxed)), (3, 0));
        assert_eq!(semaphore.value(), 3);
    });
}

/// Program P-sync-1
#[test]
fn a_barrier_holds_until_three_are_there_and_can_be_used_again() {
    run(async {
        let barrier = Arc::new(Barrier::new(3));
        for _ in 0..2 {
            let early = tasks_in_turn(2, |_| {
                let barrier = barrier.clone();
                async move { barrier.wait().await.unwrap() }
            });
            let early = early.await;
            assert!(early.iter().all(|task| !task.done()));
            assert_eq!(barrier.wait().await, Ok(2));
            assert_eq!(all(early).await, [0, 1]);
        }
    });
}

/// Program P-sync-2
#[test]
fn a_queue_joins_its_producers_and_consumers_and_ends() {
    run(async {
        let queue = Arc::new(Queue::new(4));
        let producers = tasks(2, |from| {
            let queue = queue.clone();
            async move {
                for n in 0..100 {
                    queue.put(from * 100 + n).await.unwrap();
                    assert!(queue.qsize() <= 4);
                }
            }
        });
        let consumers = tasks(3, |_| {
            let queue = queue.clone();
            async move {
                let mut seen = Vec::new();
                while let Ok(item) = queue.get().await {
                    seen.push(item);
                    queue.task_done().unwrap();
                }
                seen
            }
        });
        all(producers).await;
        queue.join().await;
        queue.shutdown(false);
        let mut seen = all(consumers).await.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        assert_eq!(queue.put(7).await.unwrap_err().0, 7);
    });
}

/// Program P-sync-2
#[test]
fn other_queues_have_other_orders() {
    run(async {
        let (smallest, newest) = (PriorityQueue::new(0), LifoQueue::new(0));
        for item in [(2, 'a'), (1, 'b'), (3, 'c'), (1, 'a')] {
            smallest.put(item).await.unwrap();
            newest.put(item).await.unwrap();
        }
        smallest.shutdown(false);
        newest.shutdown(false);
        let by_size: Vec<_> = smallest.stream().collect().await;
        let by_age: Vec<_> = newest.stream().collect().await;
        assert_eq!(by_size, [(1, 'a'), (1, 'b'), (2, 'a'), (3, 'c')]);
        assert_eq!(by_age, [(1, 'a'), (3, 'c'), (1, 'b'), (2, 'a')]);
    });
}

/// Says that it was dropped.
struct Closes(Arc<AtomicUsize>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The numbers from 0, one a millisecond.
fn ticks(closed: &Arc<AtomicUsize>) -> impl futures_lite::Stream<Item = u32> + Send + 'static {
    let start = (interval(secs(0.001)), 0, Closes(closed.clone()));
    stream::unfold(start, |(mut interval, n, closes)| async move {
        interval.tick().await;
        Some((n, (interval, n + 1, closes)))
    })
}

/// Program P-sync-3
#[test]
fn a_ticking_stream_is_mapped_filtered_left_early_and_closed() {
    let closed = Arc::default();
    run(async {
        let even_squares = ticks(&closed).map(|n| n * n).filter(|n| n % 2 == 0);
        let mut even_squares = Box::pin(even_squares);
        let mut seen = Vec::new();
        while let Some(square) = even_squares.next().await {
            seen.push(square);
            if square >= 16 {
                break;
            }
        }
        assert_eq!((seen, closed.load(Relaxed)), (vec![0, 4, 16], 0));
        drop(even_squares);
        assert_eq!(closed.load(Relaxed), 1);
    });
}

/// Program P-sync-3
#[test]
fn a_stream_that_nobody_closes_is_closed_with_the_loop() {
    let closed = Arc::default();
    run(async {
        let ticks = ticks(&closed);
        let reader = create_task(async move {
            let mut ticks = Box::pin(ticks);
            while ticks.next().await.is_some() {}
        });
        sleep(secs(0.003)).await;
        assert!(!reader.done());
    });
    assert_eq!(closed.load(Relaxed), 1);
}

/// Program P-sync-3
#[test]
fn an_async_scope_cleans_up_with_awaits_however_it_ends() {
    for is_cancelled in [false, true] {
        run(async move {
            let (queue, closed) = (Arc::new(Queue::new(1)), Arc::default());
            let mut source = Box::pin(ticks(&closed));
            let filling = queue.clone();
            let filler = create_task(async move {
                while let Some(n) = source.next().await {
                    if filling.put(n).await.is_err() {
                        return;
                    }
                }
            });
            let reading = queue.clone();
            let reader = create_task(async move {
                let wanted = if is_cancelled { usize::MAX } else { 2 };
                let end = || async {
                    queue.shutdown(true);
                    filler.await.unwrap();
                };
                with_finally(reading.stream().nth(wanted), end).await
            });
            if is_cancelled {
                settle().await;
                reader.cancel();
            }
            let outcome = catch_cancelled(reader).await.expect("nobody cancels main");
            match is_cancelled {
                false => assert_eq!(outcome.unwrap(), Some(2)),
                true => assert!(outcome.unwrap_err().is_cancelled()),
            }
            assert_eq!(closed.load(Relaxed), 1, "the clean-up has waited for the filler");
        });
    }
}

/// Program P-sync-3
#[test]
fn a_generator_left_early_is_closed_by_its_loop_with_awaits() {
    for is_leaked in [false, true] {
        let closed = Arc::new(AtomicUsize::new(0));
        let note = closed.clone();
        run(async move {
            let clean_up = || async move {
                sleep(secs(0.001)).await;
                note.fetch_add(1, Relaxed);
            };
            let ticks = async_generator(|items: Yielder<u32>| {
                let body = async move {
                    for n in 0.. {
                        items.put(n).await;
                        sleep(secs(0.001)).await;
                    }
                };
                with_finally(body, clean_up)
            });
            let mut even_squares = ticks.map(|n| n * n).filter(|n| n % 2 == 0);
            let mut seen = Vec::new();
            while let Some(square) = even_squares.next().await {
                seen.push(square);
                if square >= 16 {
                    break;
                }
            }
            assert_eq!(seen, [0, 4, 16]);
            if is_leaked {
                std::mem::forget(even_squares);
            }
        });
        assert_eq!(closed.load(Relaxed), 1);
    }
}
