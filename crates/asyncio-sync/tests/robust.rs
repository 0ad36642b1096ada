//! Wakers that misbehave, budgets, reports, crowds, memory, and other executors.

use asyncio_base::context::ContextSlot;
use asyncio_base::record::{self, PollRecord};
use asyncio_base::wait::{WaitKind, WaitSlot};
use asyncio_sync::{Barrier, Condition, Event, Lock, Queue, RwLock, Semaphore};
use asyncio_sync::{broadcast, oneshot, watch};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll(future, Waker::noop())
}

/// Calls a function when it is woken.
struct Calls<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        self.0();
    }
}

fn calls(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Calls(f)))
}

mod wakers {
    use super::*;

    /// Everything that a waker could get stuck on if it were called under a lock.
    struct World {
        lock: Lock<u32>,
        event: Event,
        semaphore: Semaphore,
        condition: Condition<u32>,
        barrier: Barrier,
        queue: Queue<u32>,
        rwlock: RwLock<u32>,
        woken: AtomicUsize,
    }

    impl World {
        fn new() -> Arc<Self> {
            Arc::new(World {
                lock: Lock::new(0),
                event: Event::new(),
                semaphore: Semaphore::new(0),
                condition: Condition::new(0),
                barrier: Barrier::new(2),
                queue: Queue::new(1),
                rwlock: RwLock::new(0),
                woken: AtomicUsize::new(0),
            })
        }

        /// Uses every primitive, blocking operations of the list's locks included.
        fn touch(&self) {
            self.woken.fetch_add(1, Ordering::Relaxed);
            drop(self.lock.try_acquire());
            self.lock.statistics();
            self.event.statistics();
            self.semaphore.statistics();
            self.condition.statistics();
            self.barrier.statistics();
            self.queue.statistics();
            self.rwlock.statistics();
            let _ = poll_once(&mut self.queue.get());
            let _ = poll_once(&mut self.event.wait());
        }

        fn waker(self: &Arc<Self>) -> Waker {
            let world = self.clone();
            calls(move || world.touch())
        }
    }

    /// One that comes while another was chosen and has not run is chosen on the spot, and its own waker is called: in its own poll.
    #[test]
    fn a_newcomer_whose_waker_panics_leaves_what_it_was_given() {
        let semaphore = Semaphore::new(0);
        let mut first = semaphore.acquire();
        assert!(poll_once(&mut first).is_pending());
        semaphore.release_many(2);
        let mut newcomer = semaphore.acquire();
        let waker = calls(|| std::panic::resume_unwind(Box::new("the waker")));
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut newcomer, &waker)));
        assert!(polled.is_err());
        drop(newcomer);
        assert!(poll_once(&mut first).is_ready());
        assert_eq!(semaphore.statistics().waiters, 0);
        assert_eq!(semaphore.value(), 2);
    }

    /// A waker that uses what wakes it.
    #[test]
    fn a_waker_may_use_the_primitive_that_calls_it() {
        let world = World::new();
        let waker = world.waker();

        let guard = world.lock.try_acquire().unwrap();
        let mut waits = world.lock.acquire();
        assert!(poll(&mut waits, &waker).is_pending());
        drop(guard);
        drop(waits);

        let mut waits = world.event.wait();
        assert!(poll(&mut waits, &waker).is_pending());
        world.event.set();
        drop(waits);

        let mut waits = world.semaphore.acquire();
        assert!(poll(&mut waits, &waker).is_pending());
        world.semaphore.release();
        drop(waits);

        let mut waits = world.condition.try_acquire().unwrap().wait();
        assert!(poll(&mut waits, &waker).is_pending());
        world.condition.try_acquire().unwrap().notify_all();
        drop(waits);

        let mut waits = world.barrier.wait();
        assert!(poll(&mut waits, &waker).is_pending());
        assert!(poll_once(&mut world.barrier.wait()).is_ready());
        drop(waits);

        world.queue.put_nowait(1).unwrap();
        let mut waits = world.queue.put(2);
        assert!(poll(&mut waits, &waker).is_pending());
        world.queue.get_nowait().unwrap();
        drop(waits);

        let guard = world.rwlock.try_write().unwrap();
        let mut waits = world.rwlock.read();
        assert!(poll(&mut waits, &waker).is_pending());
        drop(guard);
        drop(waits);

        assert_eq!(world.woken.load(Ordering::Relaxed), 7);
    }

    /// Dropping a waker runs user code as well.
    #[test]
    fn a_waker_may_use_the_primitive_when_it_is_dropped() {
        struct OnDrop(Arc<World>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.touch();
            }
        }
        impl Wake for OnDrop {
            fn wake(self: Arc<Self>) {}
        }
        let world = World::new();
        let guard = world.lock.try_acquire().unwrap();
        let mut waits = world.lock.acquire();
        assert!(poll(&mut waits, &Waker::from(Arc::new(OnDrop(world.clone())))).is_pending());
        // The old waker is replaced, and dropped with it.
        assert!(poll_once(&mut waits).is_pending());
        assert!(poll(&mut waits, &Waker::from(Arc::new(OnDrop(world.clone())))).is_pending());
        drop(waits);
        drop(guard);
        assert_eq!(world.woken.load(Ordering::Relaxed), 2);
    }

    /// A waker that panics takes nothing from the others.
    #[test]
    fn a_panicking_waker_does_not_keep_others_from_being_woken() {
        let event = Event::new();
        let woken = Arc::new(AtomicUsize::new(0));
        let mut waits: Vec<_> = (0..100).map(|_| event.wait()).collect();
        for (i, wait) in waits.iter_mut().enumerate() {
            let woken = woken.clone();
            let waker = calls(move || {
                assert_ne!(i, 40, "this one panics");
                woken.fetch_add(1, Ordering::Relaxed);
            });
            assert!(poll(wait, &waker).is_pending());
        }
        assert!(catch_unwind(AssertUnwindSafe(|| event.set())).is_err());
        assert_eq!(woken.load(Ordering::Relaxed), 99);
        assert!(waits.iter_mut().all(|wait| poll_once(wait).is_ready()));
    }

    /// The same where what is released is counted: nothing is lost, and the guard's own panic is the one that is seen.
    #[test]
    fn a_panicking_waker_loses_no_permit() {
        let semaphore = Semaphore::new(0);
        let mut waits: Vec<_> = (0..100).map(|_| semaphore.acquire()).collect();
        for wait in &mut waits {
            assert!(poll(wait, &calls(|| panic!("every waker panics"))).is_pending());
        }
        assert!(catch_unwind(AssertUnwindSafe(|| semaphore.release_many(100))).is_err());
        assert!(waits.iter_mut().all(|wait| poll_once(wait).is_ready()));

        let lock = Lock::new(0);
        let guard = lock.try_acquire().unwrap();
        let mut wait = lock.acquire();
        assert!(poll(&mut wait, &calls(|| panic!("in the waker"))).is_pending());
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _guard = guard;
            panic!("in the task");
        }));
        assert_eq!(*unwound.unwrap_err().downcast_ref::<&str>().unwrap(), "in the task");
        assert!(
            poll_once(&mut wait).is_ready(),
            "a panic releases the lock and does not poison it"
        );
    }

    /// A comparison that panics is the caller's panic; the queue goes on.
    #[test]
    fn a_panicking_comparison_does_not_break_the_queue() {
        #[derive(PartialEq, Eq, Debug)]
        struct Picky(u32);
        impl PartialOrd for Picky {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for Picky {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                assert!(self.0 != 13 && other.0 != 13, "does not like to be compared");
                self.0.cmp(&other.0)
            }
        }
        let queue = asyncio_sync::PriorityQueue::new(0);
        queue.put_nowait(Picky(1)).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| queue.put_nowait(Picky(13)))).is_err());
        let seen = queue.statistics();
        assert_eq!((seen.qsize, seen.unfinished), (2, 2));
        assert_eq!(queue.get_nowait(), Ok(Picky(1)));
    }
}

mod records {
    use super::*;

    fn in_task<R>(wait: &WaitSlot, budget: u32, f: impl FnOnce() -> R) -> R {
        let context = ContextSlot::new();
        let record = PollRecord::outside(wait, &context);
        record.budget.set(budget);
        record::enter(&record, f)
    }

    macro_rules! waits_for {
        ($kind:ident, $future:expr) => {{
            let wait = WaitSlot::new();
            let (mut future, line) = ($future, line!());
            in_task(&wait, u32::MAX, || assert!(poll_once(&mut future).is_pending()));
            let (kind, place) = wait.get().expect("a leaf that waits says so");
            assert_eq!((kind, place.line()), (WaitKind::$kind, line));
            assert!(place.file().ends_with("robust.rs"));
        }};
    }

    /// Every leaf that waits says what for, and where in the program.
    #[test]
    fn who_waits_says_so() {
        let (lock, event, semaphore, barrier) =
            (Lock::new(()), Event::new(), Semaphore::new(0), Barrier::new(2));
        let (queue, full) = (Queue::<u32>::new(0), Queue::new(1));
        let (rwlock, condition) = (RwLock::new(()), Condition::new(()));
        full.put_nowait(1).unwrap();
        let _held = lock.try_acquire().unwrap();
        waits_for!(Lock, lock.acquire());
        waits_for!(Event, event.wait());
        waits_for!(Semaphore, semaphore.acquire());
        waits_for!(Barrier, barrier.wait());
        waits_for!(Queue, queue.get());
        waits_for!(Queue, full.put(2));
        waits_for!(Queue, full.join());
        waits_for!(Condition, condition.try_acquire().unwrap().wait());
        waits_for!(Condition, condition.try_acquire().unwrap().wait_for(|()| false));
        let writing = rwlock.try_write().unwrap();
        waits_for!(Lock, rwlock.read());
        waits_for!(Lock, rwlock.write());
        drop(writing);
        let (_sender, mut receiver) = broadcast::channel::<u32>(1);
        waits_for!(Queue, receiver.recv());
        let (sender, mut receiver) = watch::channel(0);
        waits_for!(Queue, receiver.changed());
        waits_for!(Queue, sender.closed());
        let (mut sender, _receiver) = oneshot::channel::<u32>();
        waits_for!(Future, sender.closed());
        let wait = WaitSlot::new();
        let ((_sender, mut receiver), line) = (oneshot::channel::<u32>(), line!());
        in_task(&wait, u32::MAX, || assert!(poll_once(&mut receiver).is_pending()));
        let (kind, place) = wait.get().unwrap();
        assert_eq!((kind, place.line()), (WaitKind::Future, line), "where the channel was made");
    }

    macro_rules! yields_without_budget {
        ($future:expr) => {{
            let wait = WaitSlot::new();
            let woken = Arc::new(AtomicUsize::new(0));
            let count = woken.clone();
            let waker = calls(move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
            let mut future = $future;
            in_task(&wait, 0, || assert!(poll(&mut future, &waker).is_pending()));
            assert_eq!(woken.load(Ordering::Relaxed), 1, "it has to be polled again");
            in_task(&wait, 1, || assert!(poll(&mut future, &waker).is_ready()));
        }};
    }

    /// A task that has used up its budget touches nothing and is polled again.
    #[test]
    fn ready_operations_cost_budget() {
        let (lock, event, semaphore) = (Lock::new(()), Event::new(), Semaphore::new(1));
        let (queue, barrier, rwlock) = (Queue::new(1), Barrier::new(1), RwLock::new(()));
        event.set();
        yields_without_budget!(lock.acquire());
        yields_without_budget!(event.wait());
        yields_without_budget!(semaphore.acquire());
        yields_without_budget!(queue.put(1));
        assert_eq!(queue.qsize(), 1);
        yields_without_budget!(queue.get());
        queue.task_done().unwrap();
        yields_without_budget!(queue.join());
        yields_without_budget!(barrier.wait());
        yields_without_budget!(rwlock.read());
        yields_without_budget!(rwlock.write());
        yields_without_budget!({
            let (sender, receiver) = oneshot::channel();
            sender.send(1).unwrap();
            receiver
        });
        let (sender, mut receiver) = broadcast::channel(1);
        sender.send(1).unwrap();
        yields_without_budget!(receiver.recv());
        let (sender, mut receiver) = watch::channel(0);
        sender.send(1).unwrap();
        yields_without_budget!(receiver.changed());
    }

    /// A grant that came while the budget was spent is kept.
    #[test]
    fn a_grant_waits_for_budget() {
        let wait = WaitSlot::new();
        let lock = Lock::new(());
        let guard = lock.try_acquire().unwrap();
        let mut waits = lock.acquire();
        assert!(poll_once(&mut waits).is_pending());
        drop(guard);
        in_task(&wait, 0, || assert!(poll_once(&mut waits).is_pending()));
        assert!(lock.locked() && lock.try_acquire().is_none());
        in_task(&wait, 1, || assert!(poll_once(&mut waits).is_ready()));
    }

    /// A blocking call inside a task is refused, whether it would have to wait or not.
    #[test]
    fn blocking_calls_in_a_task_panic() {
        let wait = WaitSlot::new();
        let refused = catch_unwind(|| {
            in_task(&wait, u32::MAX, || drop(Lock::new(()).blocking_acquire()));
        });
        assert!(refused.is_err());
    }
}

mod sizes {
    use super::*;

    #[test]
    fn an_empty_queue_is_small() {
        assert!(size_of::<Queue<[u8; 4096]>>() <= 192);
        assert!(size_of::<asyncio_sync::LifoQueue<[u8; 4096]>>() <= 192);
        assert!(size_of::<asyncio_sync::PriorityQueue<u64>>() <= 192);
    }

    #[test]
    fn futures_are_small() {
        assert!(size_of::<asyncio_sync::LockAcquire<'_, u64>>() <= 32);
        assert!(size_of::<asyncio_sync::EventWait<'_>>() <= 24);
        assert!(size_of::<oneshot::Receiver<u64>>() <= 8);
    }

    /// Primitives can be statics.
    #[test]
    fn primitives_can_be_statics() {
        static LOCK: Lock<u32> = Lock::new(1);
        static EVENT: Event = Event::new();
        static SEMAPHORE: Semaphore = Semaphore::new(1);
        static CONDITION: Condition<u32> = Condition::new(1);
        static BARRIER: Barrier = Barrier::new(1);
        static RWLOCK: RwLock<u32> = RwLock::new(1);
        static QUEUE: Queue<u32> = Queue::new(1);
        static LIFO: asyncio_sync::LifoQueue<u32> = asyncio_sync::LifoQueue::new(1);
        static PRIORITY: asyncio_sync::PriorityQueue<u32> = asyncio_sync::PriorityQueue::new(1);
        assert!(!LOCK.locked() && !EVENT.is_set() && !SEMAPHORE.locked());
        assert!(!CONDITION.locked() && !BARRIER.broken() && !RWLOCK.locked());
        assert!(QUEUE.empty() && LIFO.empty() && PRIORITY.empty());
    }
}

mod crowds {
    use super::*;

    const CROWD: usize = 100_000;

    /// A hundred thousand wait; giving up from the middle costs the same as from the ends. (With a search through the list this
    /// would be five thousand million steps.)
    #[test]
    fn any_of_many_waiters_leaves_at_once() {
        let semaphore = Semaphore::new(0);
        let mut waits: Vec<_> = (0..CROWD).map(|_| Some(semaphore.acquire())).collect();
        for wait in waits.iter_mut().flatten() {
            assert!(poll_once(wait).is_pending());
        }
        assert_eq!(semaphore.statistics().waiters, CROWD);
        // A stride that is prime to the length visits everybody, in no order.
        for i in 0..CROWD - 1 {
            waits[(i * 7919) % CROWD] = None;
        }
        assert_eq!(semaphore.statistics().waiters, 1);
        semaphore.release();
        let last = waits.iter_mut().flatten().next().unwrap();
        assert!(poll_once(last).is_ready());
        assert_eq!(semaphore.statistics().waiters, 0);
    }

    /// Who came first is served first, however many there are.
    #[test]
    fn a_crowd_is_served_in_order() {
        let lock = Lock::new(());
        let guard = lock.try_acquire().unwrap();
        let mut waits: Vec<_> = (0..1000).map(|_| lock.acquire()).collect();
        assert!(waits.iter_mut().all(|wait| poll_once(wait).is_pending()));
        drop(guard);
        for i in 0..waits.len() {
            assert!(waits[i + 1..].iter_mut().all(|wait| poll_once(wait).is_pending()));
            assert!(poll_once(&mut waits[i]).is_ready());
        }
    }

    /// An event releases everybody at once, in order.
    #[test]
    fn an_event_wakes_a_crowd_in_order() {
        let event = Event::new();
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut waits: Vec<_> = (0..1000).map(|_| event.wait()).collect();
        for (i, wait) in waits.iter_mut().enumerate() {
            let order = order.clone();
            assert!(poll(wait, &calls(move || order.lock().unwrap().push(i))).is_pending());
        }
        event.set();
        event.clear();
        assert!(order.lock().unwrap().iter().copied().eq(0..1000));
        assert!(waits.iter_mut().all(|wait| poll_once(wait).is_ready()));
    }
}

/// The primitives on executors that are not ours.
mod executors {
    use super::*;
    use std::thread;

    /// A bit of everything: a bounded queue between producers and consumers, a lock round a sum, a semaphore, an event, a
    /// barrier and a oneshot for the result.
    struct Plant {
        queue: Queue<u64>,
        sum: Lock<u64>,
        permits: Semaphore,
        go: Event,
        together: Barrier,
    }

    const WORKERS: usize = 4;
    const ITEMS: u64 = 500;

    impl Plant {
        fn new() -> Arc<Self> {
            Arc::new(Plant {
                queue: Queue::new(3),
                sum: Lock::new(0),
                permits: Semaphore::new(2),
                go: Event::new(),
                together: Barrier::new(WORKERS),
            })
        }

        async fn produce(self: Arc<Self>, from: u64) {
            self.go.wait().await;
            for i in from..from + ITEMS {
                self.queue.put(i).await.unwrap();
            }
            if self.together.wait().await == Ok(WORKERS - 1) {
                self.queue.join().await;
                self.queue.shutdown(false);
            }
        }

        async fn consume(self: Arc<Self>) -> u64 {
            let mut seen = 0;
            while let Ok(item) = self.queue.get().await {
                let _permit = self.permits.acquire().await;
                *self.sum.acquire().await += item;
                self.queue.task_done().unwrap();
                seen += 1;
            }
            seen
        }

        fn check(&self, seen: impl IntoIterator<Item = u64>) {
            let all = WORKERS as u64 * ITEMS;
            assert_eq!(seen.into_iter().sum::<u64>(), all);
            assert_eq!(*self.sum.try_acquire().unwrap(), (0..all).sum());
            assert_eq!((self.permits.value(), self.queue.qsize()), (2, 0));
        }
    }

    #[test]
    fn on_smols_executor_with_two_threads() {
        let plant = Plant::new();
        let executor = async_executor::Executor::new();
        let stop = Event::new();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| futures_lite::future::block_on(executor.run(stop.wait())));
            }
            let producers: Vec<_> = (0..WORKERS as u64)
                .map(|i| executor.spawn(plant.clone().produce(i * ITEMS)))
                .collect();
            let consumers: Vec<_> =
                (0..WORKERS).map(|_| executor.spawn(plant.clone().consume())).collect();
            plant.go.set();
            futures_lite::future::block_on(async {
                for producer in producers {
                    producer.await;
                }
                let mut seen = Vec::new();
                for consumer in consumers {
                    seen.push(consumer.await);
                }
                plant.check(seen);
            });
            stop.set();
        });
    }

    #[test]
    fn on_tokio() {
        let plant = Plant::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let producers: Vec<_> = (0..WORKERS as u64)
                .map(|i| tokio::spawn(plant.clone().produce(i * ITEMS)))
                .collect();
            let consumers: Vec<_> =
                (0..WORKERS).map(|_| tokio::spawn(plant.clone().consume())).collect();
            plant.go.set();
            for producer in producers {
                producer.await.unwrap();
            }
            let mut seen = Vec::new();
            for consumer in consumers {
                seen.push(consumer.await.unwrap());
            }
            plant.check(seen);
        });
    }

    #[test]
    fn on_plain_threads() {
        let plant = Plant::new();
        thread::scope(|scope| {
            for i in 0..WORKERS as u64 {
                let plant = &plant;
                scope.spawn(move || {
                    plant.go.blocking_wait();
                    (i * ITEMS..(i + 1) * ITEMS).for_each(|n| plant.queue.blocking_put(n).unwrap());
                    if plant.together.blocking_wait() == Ok(WORKERS - 1) {
                        plant.queue.blocking_join();
                        plant.queue.shutdown(false);
                    }
                });
            }
            let consumers: Vec<_> = (0..WORKERS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut seen = 0;
                        while let Ok(item) = plant.queue.blocking_get() {
                            let _permit = plant.permits.blocking_acquire();
                            *plant.sum.blocking_acquire() += item;
                            plant.queue.task_done().unwrap();
                            seen += 1;
                        }
                        seen
                    })
                })
                .collect();
            plant.go.set();
            plant.check(consumers.into_iter().map(|thread| thread.join().unwrap()));
        });
    }

    /// The stream ends with the queue.
    #[test]
    fn a_stream_of_items_ends_on_shutdown() {
        use futures_lite::StreamExt;
        let queue = Queue::new(0);
        (0..3).for_each(|i| queue.put_nowait(i).unwrap());
        queue.shutdown(false);
        let items: Vec<i32> = futures_lite::future::block_on(queue.stream().collect());
        assert_eq!(items, [0, 1, 2]);
    }
}
