//! The primitives of `sync` under several workers, with tasks that are cancelled while they wait: what the contract promises in §19, rows 4 to 6.
//!
//! Which task is struck where is left to the workers; each test holds for every outcome and counts that nothing is lost or given twice.

use asyncio::sync::{broadcast, oneshot, watch};
use asyncio::{
    Barrier, Condition, Event, Lock, Queue, Runner, RwLock, Semaphore, Task, create_task, yield_now,
};
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Runs `main` with several workers, a few times each.
fn run_on_many<F: Future<Output = ()>>(main: impl Fn(usize) -> F) {
    for workers in [2, 4] {
        let mut runner = Runner::builder().workers(workers).build().unwrap();
        for round in 0..20 {
            runner.run(main(round)).unwrap();
        }
        assert!(runner.get_loop().all_tasks().is_empty());
        runner.close();
    }
}

fn tasks<F>(n: usize, make: impl Fn(usize) -> F) -> Vec<Task<F::Output>>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    (0..n).map(|i| create_task(make(i))).collect()
}

/// Cancels every third task, at whatever point it is; how many ended well.
async fn cancel_some<T>(tasks: Vec<Task<T>>, round: usize) -> usize {
    for task in tasks.iter().skip(round % 3).step_by(3) {
        task.cancel();
        yield_now().await;
    }
    let mut ended = 0;
    for task in tasks {
        ended += usize::from(task.await.is_ok());
    }
    ended
}

#[test]
fn a_lock_has_one_owner_and_passes_on() {
    run_on_many(async |round| {
        let lock = Arc::new(Lock::new(0_usize));
        let changed = Arc::new(AtomicUsize::new(0));
        let shared = (lock.clone(), changed.clone());
        let all = tasks(60, move |i| {
            let (lock, changed) = shared.clone();
            async move {
                let mut value = lock.acquire().await;
                let before = *value;
                if i % 2 == 0 {
                    yield_now().await;
                }
                *value = before + 1;
                changed.fetch_add(1, SeqCst);
            }
        });
        cancel_some(all, round).await;
        assert_eq!(*lock.try_acquire().expect("nobody has it"), changed.load(SeqCst));
    });
}

#[test]
fn a_semaphore_gives_out_what_it_has_and_gets_it_back() {
    run_on_many(async |round| {
        let semaphore = Arc::new(Semaphore::new(3));
        let inside = Arc::new(AtomicUsize::new(0));
        let shared = (semaphore.clone(), inside.clone());
        let all = tasks(60, move |i| {
            let (semaphore, inside) = shared.clone();
            async move {
                let n = 1 + i % 3;
                let _permit = semaphore.acquire_many(n).await;
                let _leave = Leave(inside.clone(), n);
                assert!(inside.fetch_add(n, SeqCst) + n <= 3);
                yield_now().await;
            }
        });
        cancel_some(all, round).await;
        assert_eq!((semaphore.value(), inside.load(SeqCst)), (3, 0));
    });
}

/// Counts itself out, also when its task is cancelled. Declared after the permit, so it goes first.
struct Leave(Arc<AtomicUsize>, usize);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, SeqCst);
    }
}

#[test]
fn a_queue_hands_each_item_to_one_getter() {
    run_on_many(async |round| {
        let queue = Arc::new(Queue::new(4));
        let taken = Arc::new(std::sync::Mutex::new(Vec::new()));
        let shared = (queue.clone(), taken.clone());
        let getters = tasks(30, move |_| {
            let (queue, taken) = shared.clone();
            async move {
                for _ in 0..8 {
                    let Ok(item) = queue.get().await else { return };
                    // No await between: what was handed over is noted.
                    taken.lock().unwrap().push(item);
                }
            }
        });
        let producer = queue.clone();
        let putters = tasks(4, move |putter| {
            let queue = producer.clone();
            async move {
                for i in 0..50 {
                    queue.put((putter, i)).await.unwrap();
                }
            }
        });
        let cancels = create_task(cancel_some(getters, round));
        let rest = queue.clone();
        let drain = create_task(async move {
            let mut items = Vec::new();
            while let Ok(item) = rest.get().await {
                items.push(item);
            }
            items
        });
        for putter in putters {
            putter.await.unwrap();
        }
        cancels.cancel();
        drop(cancels.await);
        queue.shutdown(false);
        let mut items = drain.await.unwrap();
        // A getter that the cancelled awaiter left behind finds the queue shut down.
        while asyncio::all_tasks().len() > 1 {
            yield_now().await;
        }
        items.append(&mut taken.lock().unwrap());
        assert_eq!(items.len(), 200);
        assert_eq!(items.into_iter().collect::<HashSet<_>>().len(), 200);
    });
}

#[test]
fn an_event_wakes_everybody_wherever_they_wait() {
    run_on_many(async |round| {
        let event = Arc::new(Event::new());
        let waits = event.clone();
        let all = tasks(100, move |i| {
            let event = waits.clone();
            async move {
                if i % 4 == 0 {
                    yield_now().await;
                }
                event.wait().await;
            }
        });
        for _ in 0..round {
            yield_now().await;
        }
        event.set();
        for task in all {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_barrier_lets_parties_through_together() {
    run_on_many(async |_| {
        let barrier = Arc::new(Barrier::new(4));
        let round = Arc::new(AtomicUsize::new(0));
        let shared = (barrier, round.clone());
        let all = tasks(4, move |_| {
            let (barrier, round) = shared.clone();
            async move {
                for expected in 0..25 {
                    assert_eq!(round.load(SeqCst) / 4, expected, "nobody is a round ahead");
                    let place = barrier.wait().await.unwrap();
                    assert!(place < 4);
                    round.fetch_add(1, SeqCst);
                    barrier.wait().await.unwrap();
                }
            }
        });
        for task in all {
            task.await.unwrap();
        }
        assert_eq!(round.load(SeqCst), 100);
    });
}

#[test]
fn a_notification_reaches_one_who_stays() {
    run_on_many(async |round| {
        let condition = Arc::new(Condition::new(0_usize));
        let taken = Arc::new(AtomicUsize::new(0));
        let shared = (condition.clone(), taken.clone());
        let takers = tasks(30, move |_| {
            let (condition, taken) = shared.clone();
            async move {
                let mut left = condition.acquire().await.wait_for(|left| *left > 0).await;
                *left -= 1;
                taken.fetch_add(1, SeqCst);
            }
        });
        let (gives, others) = (condition.clone(), 30);
        let giver = create_task(async move {
            for _ in 0..others {
                let mut left = gives.acquire().await;
                *left += 1;
                left.notify(1);
                drop(left);
                yield_now().await;
            }
        });
        cancel_some(takers, round).await;
        giver.await.unwrap();
        let left = *condition.try_acquire().expect("nobody has it");
        assert_eq!(left + taken.load(SeqCst), 30);
    });
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    run_on_many(async |round| {
        let lock = Arc::new(RwLock::new((0_usize, 0_usize)));
        let shared = lock.clone();
        let all = tasks(60, move |i| {
            let lock = shared.clone();
            async move {
                if i % 3 == 0 {
                    let mut pair = lock.write().await;
                    pair.0 += 1;
                    yield_now().await;
                    pair.1 = pair.0;
                } else {
                    let pair = lock.read().await;
                    yield_now().await;
                    assert_eq!(pair.0, pair.1);
                }
            }
        });
        // A writer that is struck leaves its half: only readers are.
        let (writers, readers): (Vec<_>, Vec<_>) =
            all.into_iter().enumerate().partition(|(i, _)| i % 3 == 0);
        cancel_some(readers.into_iter().map(|(_, task)| task).collect(), round).await;
        for (_, writer) in writers {
            writer.await.unwrap();
        }
        assert_eq!(*lock.read().await, (20, 20));
    });
}

#[test]
fn channels_carry_everything_between_workers() {
    run_on_many(async |_| {
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for i in 0..100 {
            let (sender, receiver) = oneshot::channel();
            senders.push(create_task(async move { sender.send(i).unwrap() }));
            receivers.push(create_task(receiver));
        }
        for (i, receiver) in receivers.into_iter().enumerate() {
            assert_eq!(receiver.await.unwrap(), Ok(i));
        }
        for sender in senders {
            sender.await.unwrap();
        }
        let (sender, receiver) = broadcast::channel(256);
        let (setter, seen) = watch::channel(0);
        let listeners: Vec<_> = (0..8)
            .map(|_| {
                let (mut receiver, mut seen) = (sender.subscribe(), seen.clone());
                create_task(async move {
                    let mut sum = 0;
                    for _ in 0..200 {
                        sum += receiver.recv().await.unwrap();
                    }
                    while *seen.borrow_and_update() < 200 {
                        seen.changed().await.unwrap();
                    }
                    sum
                })
            })
            .collect();
        drop(receiver);
        for i in 1..=200 {
            sender.send(i).unwrap();
            setter.send(i).unwrap();
            yield_now().await;
        }
        for listener in listeners {
            assert_eq!(listener.await.unwrap(), 20_100);
        }
    });
}
