//! `Condition.wait` in a task that is cancelled: the lock is always taken again before the cancellation goes on.

#[path = "common/settle.rs"]
mod settle;

use asyncio::sync::condition::Guard;
use asyncio::{
    Condition, Task, TimeoutError, catch_cancelled, create_task, gather, secs, timeout,
    uncancellable, yield_now,
};
use settle::settle;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Waits for a notification and counts the wake-ups that were not cancelled.
fn waiter(condition: &Arc<Condition<u32>>, notified: &Arc<AtomicUsize>) -> Task<()> {
    let (condition, notified) = (condition.clone(), notified.clone());
    create_task(async move {
        let guard = condition.acquire().await.wait().await;
        notified.fetch_add(1, Ordering::Relaxed);
        drop(guard);
    })
}

/// A cancelled wait lets nothing out before it has had the lock; the task is cancelled only then.
///
/// CPython test_locks: test_wait_cancel, test_cancelled_error_wakeup
#[test]
fn a_cancelled_wait_takes_the_lock_before_it_ends() {
    asyncio::run(async {
        let condition = Arc::new(Condition::new(0));
        let notified = Arc::default();
        let task = waiter(&condition, &notified);
        settle().await;
        let guard = condition.acquire().await;
        task.cancel();
        settle().await;
        assert!(!task.done(), "it waits for the lock that we hold");
        assert_eq!(condition.statistics().lock_waiters, 1);
        assert_eq!(condition.statistics().waiters, 0);
        drop(guard);
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!condition.locked());
        assert_eq!(notified.load(Ordering::Relaxed), 0);
    });
}

/// However many cancels arrive on the way back, each is absorbed, and the last one comes out.
///
/// CPython test_locks: test_cancelled_error_re_aquire
#[test]
fn further_cancels_on_the_way_back_are_absorbed() {
    asyncio::run(async {
        let condition = Arc::new(Condition::new(0));
        let task = waiter(&condition, &Arc::default());
        settle().await;
        let guard = condition.acquire().await;
        for message in ["first", "second", "third"] {
            task.cancel_with(message);
            settle().await;
            assert!(!task.done());
        }
        drop(guard);
        let error = task.await.unwrap_err();
        assert_eq!(error.as_cancelled().and_then(|c| c.message()), Some("third"));
        assert!(!condition.locked());
    });
}

/// A notification that a cancelled waiter had received goes to the next, also when the cancel comes while it takes the lock again.
///
/// CPython test_locks: test_cancelled_wakeup, test_cancelled_wakeup_relock, test_wait_cancel_after_notify
#[test]
fn the_notification_of_a_cancelled_waiter_goes_on() {
    for settle_before_cancel in [false, true] {
        asyncio::run(async move {
            let condition = Arc::new(Condition::new(0));
            let notified = Arc::default();
            let tasks = [waiter(&condition, &notified), waiter(&condition, &notified)];
            settle().await;
            let guard = condition.acquire().await;
            guard.notify(1);
            if settle_before_cancel {
                settle().await;
            }
            tasks[0].cancel();
            settle().await;
            drop(guard);
            let [first, second] = tasks;
            assert!(first.await.unwrap_err().is_cancelled());
            second.await.unwrap();
            assert_eq!(notified.load(Ordering::Relaxed), 1);
        });
    }
}

/// Who catches the cancel of a `wait_mut` has the lock: `except CancelledError` inside `async with cond`.
///
/// CPython test_locks: test_wait_cancel_contested
#[test]
fn who_catches_the_cancel_has_the_lock() {
    asyncio::run(async {
        let condition = Arc::new(Condition::new(0));
        let inner = condition.clone();
        let task = create_task(async move {
            let mut guard = inner.acquire().await;
            let caught = catch_cancelled(guard.wait_mut()).await.unwrap_err();
            *guard += 1;
            assert!(inner.locked());
            settle().await;
            *guard += 1;
            drop(guard);
            caught.propagate::<()>().await;
        });
        settle().await;
        let guard = condition.acquire().await;
        guard.notify(1);
        task.cancel();
        settle().await;
        assert_eq!(*guard, 0);
        drop(guard);
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(*condition.try_acquire().unwrap(), 2);
    });
}

/// A timeout round a wait, inside the scope of the lock, leaves the lock held.
///
/// CPython test_locks: test_timeout_in_block
#[test]
fn a_timeout_of_a_wait_leaves_the_lock_held() {
    asyncio::run(async {
        let condition = Condition::new(7);
        let mut guard = condition.acquire().await;
        let timed_out: Result<(), TimeoutError> = timeout(secs(0.005), guard.wait_mut()).await;
        assert!(timed_out.is_err());
        assert!(condition.locked());
        assert_eq!(*guard, 7);
        drop(guard);
        assert!(!condition.locked());
    });
}

/// By value, a timeout comes out only once the lock was free, and leaves it free.
#[test]
fn a_timeout_waits_for_the_lock() {
    asyncio::run(async {
        let condition = Arc::new(Condition::new(false));
        let first = condition.acquire().await;
        let inner = condition.clone();
        let task = create_task(async move {
            let guard = inner.acquire().await;
            timeout(secs(0.001), guard.wait()).await.is_err()
        });
        settle().await;
        // Next in the queue: gets the lock when the wait begins.
        let (inner, waiter) = (condition.clone(), task.handle());
        let holder = create_task(async move {
            let mut guard = inner.acquire().await;
            asyncio::sleep(secs(0.01)).await;
            assert!(!waiter.done());
            *guard = true;
        });
        settle().await;
        drop(first);
        holder.await.unwrap();
        assert!(task.await.unwrap());
        assert!(!condition.locked());
    });
}

/// A cancel that is held back further out does not end the wait.
#[test]
fn an_uncancellable_wait_goes_on() {
    asyncio::run(async {
        let condition = Arc::new(Condition::new(0));
        let inner = condition.clone();
        let task = create_task(async move {
            let guard = inner.acquire().await;
            let mut guard = uncancellable(guard.wait()).await;
            *guard += 1;
            drop(guard);
            yield_now().await;
            unreachable!("the cancel strikes at the await after it");
        });
        settle().await;
        task.cancel();
        settle().await;
        assert!(!task.done());
        condition.acquire().await.notify(1);
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(*condition.try_acquire().unwrap(), 1);
    });
}

/// An owned guard moves into a task, waits there, and is cancelled there.
#[test]
fn an_owned_guard_is_cancelled_like_a_borrowed_one() {
    asyncio::run(async {
        let condition = Arc::new(Condition::new(0));
        let guard = condition.clone().acquire_owned().await;
        let task = create_task(guard.wait_for(|value| *value > 0));
        settle().await;
        let other = condition.clone().acquire_owned().await;
        task.cancel();
        settle().await;
        assert!(!task.done());
        drop(other);
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(condition.clone().try_acquire_owned().is_some());
    });
}

/// Consumers come and are cancelled at every moment there is; what the producer puts in is taken out by those that stay.
#[test]
fn items_survive_consumers_that_are_cancelled() {
    for moment in 0..12 {
        asyncio::run(async move {
            let condition = Arc::new(Condition::new(Vec::new()));
            let consumer = |condition: Arc<Condition<Vec<u32>>>| async move {
                let is_full: fn(&mut Vec<u32>) -> bool = |items| !items.is_empty();
                let mut guard: Guard<Arc<_>> =
                    condition.clone().acquire_owned().await.wait_for(is_full).await;
                guard.pop().unwrap()
            };
            let fickle = create_task(consumer(condition.clone()));
            let [one, two] = [(); 2].map(|()| create_task(consumer(condition.clone())));
            let producing = condition.clone();
            let producer = create_task(async move {
                for item in [1, 2] {
                    let mut guard = producing.acquire().await;
                    yield_now().await;
                    guard.push(item);
                    guard.notify(1);
                    yield_now().await;
                }
            });
            for _ in 0..moment {
                yield_now().await;
            }
            let late = !fickle.cancel();
            let taken = usize::from(late || fickle.await.is_ok());
            if taken == 1 {
                let mut guard = condition.acquire().await;
                guard.push(3);
                guard.notify(1);
            }
            gather!(one, two, producer).await.unwrap();
            assert!(condition.acquire().await.is_empty());
        });
    }
}
