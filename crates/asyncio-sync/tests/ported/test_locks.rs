//! CPython's `test_locks`, on one thread in asyncio's order, under three executors; each test names the one it restates.
//!
//! Not restated:
//!
//! | CPython test | why |
//! |---|---|
//! | `LockTests.test_lock`, `test_lock_by_with_statement`, `SemaphoreTests.test_semaphore`, `BarrierTests.test_barrier` (its `await barrier`) | awaiting the primitive itself is a compile error; see `misuse.rs` in the crate |
//! | `LockTests.test_lock_doesnt_accept_loop_parameter` | no such parameter |
//! | `ConditionTests.test_wait_unacquired`, `test_notify_unacquired`, `test_notify_all_unacquired`, the second half of `test_wait_for_unacquired` | compile errors: the methods are the guard's |
//! | `ConditionTests.test_ambiguous_loops` | primitives belong to no loop |
//! | `SemaphoreTests.test_semaphore_value` | a negative count is no `usize` |
//!
//! Where a test looks at private lists of waiters, this one looks at `statistics()`. Where CPython's lock is free for a moment
//! between a release and the next owner, ours is held already, and the test says so.

use crate::ported::tasks::*;

mod lock {
    use super::*;
    use asyncio_sync::{Lock, LockNotAcquired};
    use std::rc::Rc;

    fn shared() -> Rc<Lock> {
        Rc::new(Lock::new(()))
    }

    fn acquire(lock: &Rc<Lock>) -> Task<()> {
        let lock = lock.clone();
        create_task(async move { lock.acquire().await.forget() })
    }

    fn acquire_and_note(lock: &Rc<Lock>, log: &Log<u32>, n: u32) -> Task<()> {
        let (lock, log) = (lock.clone(), log.clone());
        create_task(async move {
            lock.acquire().await.forget();
            log.borrow_mut().push(n);
        })
    }

    /// CPython test_locks: LockTests.test_repr
    #[test]
    fn test_repr() {
        run(async {
            let lock = shared();
            assert_eq!(format!("{lock:?}"), "<Lock [unlocked]>");
            lock.acquire().await.forget();
            assert_eq!(format!("{lock:?}"), "<Lock [locked]>");
            let waiters = [acquire(&lock), acquire(&lock)];
            pass().await;
            assert_eq!(format!("{lock:?}"), "<Lock [locked, waiters:2]>");
            drop(waiters);
        });
    }

    /// CPython test_locks: LockTests.test_acquire
    #[test]
    fn test_acquire() {
        run(async {
            let (lock, result) = (shared(), log());
            lock.acquire().await.forget();
            let t1 = acquire_and_note(&lock, &result, 1);
            let t2 = acquire_and_note(&lock, &result, 2);
            pass().await;
            assert_eq!(*result.borrow(), []);
            lock.release().unwrap();
            pass().await;
            assert_eq!(*result.borrow(), [1]);
            pass().await;
            assert_eq!(*result.borrow(), [1]);
            let t3 = acquire_and_note(&lock, &result, 3);
            lock.release().unwrap();
            pass().await;
            assert_eq!(*result.borrow(), [1, 2]);
            lock.release().unwrap();
            pass().await;
            assert_eq!(*result.borrow(), [1, 2, 3]);
            assert!(t1.done() && t2.done() && t3.done());
        });
    }

    /// CPython test_locks: LockTests.test_acquire_cancel
    #[test]
    fn test_acquire_cancel() {
        run(async {
            let lock = shared();
            lock.acquire().await.forget();
            let task = Rc::new(acquire(&lock));
            let handle = task.clone();
            call_soon(move || handle.cancel());
            passes(3).await;
            assert!(task.cancelled());
            assert_eq!(lock.statistics().waiters, 0);
        });
    }

    /// CPython test_locks: LockTests.test_cancel_race
    #[test]
    fn test_cancel_race() {
        run(async {
            let lock = shared();
            let signal = Signal::default();
            let lock_it = |blocker: Option<Signal>| {
                let lock = lock.clone();
                create_task(async move {
                    let _guard = lock.acquire().await;
                    if let Some(blocker) = blocker {
                        blocker.wait().await;
                    }
                })
            };
            let ta = lock_it(Some(signal.clone()));
            pass().await;
            assert!(lock.locked());
            let tb = lock_it(None);
            pass().await;
            assert_eq!(lock.statistics().waiters, 1);
            let tc = lock_it(None);
            pass().await;
            assert_eq!(lock.statistics().waiters, 2);

            signal.set();
            tb.cancel();
            pass().await;
            assert!(ta.done() && tb.cancelled());
            assert!(lock.locked(), "it went from A over B, who was cancelled, to C");
            tc.await.unwrap();
            assert!(!lock.locked());
        });
    }

    /// CPython test_locks: LockTests.test_cancel_release_race
    #[test]
    fn test_cancel_release_race() {
        run(async {
            let lock = shared();
            let taken = log();
            lock.acquire().await.forget();
            let t1 = Rc::new(acquire_and_note(&lock, &taken, 1));
            let t2 = acquire_and_note(&lock, &taken, 2);
            let t3 = acquire_and_note(&lock, &taken, 3);
            pass().await;
            let (handle, inner) = (t1.clone(), lock.clone());
            call_soon(move || {
                handle.cancel();
                inner.release().unwrap();
            });
            passes(3).await;
            assert_eq!(*taken.borrow(), [2], "only one lock was taken");
            assert!(t1.cancelled() && t2.done() && !t3.done());
            t3.cancel();
            passes(2).await;
            assert!(t3.cancelled());
        });
    }

    /// CPython test_locks: LockTests.test_finished_waiter_cancelled
    #[test]
    fn test_finished_waiter_cancelled() {
        run(async {
            let lock = shared();
            lock.acquire().await.forget();
            let tb = acquire(&lock);
            pass().await;
            assert_eq!(lock.statistics().waiters, 1);
            let tc = acquire(&lock);
            tb.cancel();
            lock.release().unwrap();
            pass().await;
            assert!(lock.locked());
            assert!(tb.cancelled());
            tc.await.unwrap();
        });
    }

    /// CPython test_locks: LockTests.test_release_not_acquired
    #[test]
    fn test_release_not_acquired() {
        assert_eq!(Lock::new(()).release(), Err(LockNotAcquired));
    }

    /// CPython test_locks: LockTests.test_release_no_waiters
    #[test]
    fn test_release_no_waiters() {
        run(async {
            let lock = shared();
            lock.acquire().await.forget();
            assert!(lock.locked());
            lock.release().unwrap();
            assert!(!lock.locked());
        });
    }

    /// CPython test_locks: LockTests.test_context_manager
    #[test]
    fn test_context_manager() {
        run(async {
            let lock = shared();
            assert!(!lock.locked());
            {
                let _guard = lock.acquire().await;
                assert!(lock.locked());
            }
            assert!(!lock.locked());
        });
    }
}

mod event {
    use super::*;
    use asyncio_sync::Event;
    use std::rc::Rc;

    fn wait_and_note(event: &Rc<Event>, log: &Log<u32>, n: u32) -> Task<()> {
        let (event, log) = (event.clone(), log.clone());
        create_task(async move {
            event.wait().await;
            log.borrow_mut().push(n);
        })
    }

    /// CPython test_locks: EventTests.test_repr
    #[test]
    fn test_repr() {
        run(async {
            let event = Rc::new(Event::new());
            assert_eq!(format!("{event:?}"), "<Event [unset]>");
            let waiter = wait_and_note(&event, &log(), 1);
            pass().await;
            assert_eq!(format!("{event:?}"), "<Event [unset, waiters:1]>");
            event.set();
            waiter.await.unwrap();
            assert_eq!(format!("{event:?}"), "<Event [set]>");
        });
    }

    /// CPython test_locks: EventTests.test_wait
    #[test]
    fn test_wait() {
        run(async {
            let (event, result) = (Rc::new(Event::new()), log());
            assert!(!event.is_set());
            let t1 = wait_and_note(&event, &result, 1);
            let t2 = wait_and_note(&event, &result, 2);
            pass().await;
            assert_eq!(*result.borrow(), []);
            let t3 = wait_and_note(&event, &result, 3);
            event.set();
            pass().await;
            assert_eq!(*result.borrow(), [3, 1, 2]);
            assert!(t1.done() && t2.done() && t3.done());
        });
    }

    /// CPython test_locks: EventTests.test_wait_on_set
    #[test]
    fn test_wait_on_set() {
        run(async {
            let event = Event::new();
            event.set();
            event.wait().await;
        });
    }

    /// CPython test_locks: EventTests.test_wait_cancel
    #[test]
    fn test_wait_cancel() {
        run(async {
            let event = Rc::new(Event::new());
            let wait = Rc::new(wait_and_note(&event, &log(), 1));
            let handle = wait.clone();
            call_soon(move || handle.cancel());
            passes(3).await;
            assert!(wait.cancelled());
            assert_eq!(event.statistics().waiters, 0);
        });
    }

    /// CPython test_locks: EventTests.test_clear
    #[test]
    fn test_clear() {
        let event = Event::new();
        assert!(!event.is_set());
        event.set();
        assert!(event.is_set());
        event.clear();
        assert!(!event.is_set());
    }

    /// CPython test_locks: EventTests.test_clear_with_waiters
    #[test]
    fn test_clear_with_waiters() {
        run(async {
            let (event, result) = (Rc::new(Event::new()), log());
            let task = wait_and_note(&event, &result, 1);
            pass().await;
            assert_eq!(*result.borrow(), []);
            event.set();
            event.clear();
            assert!(!event.is_set());
            event.set();
            event.set();
            pass().await;
            assert_eq!(*result.borrow(), [1]);
            assert_eq!(event.statistics().waiters, 0);
            assert!(task.done());
        });
    }
}

mod condition {
    use super::*;
    use asyncio_sync::{Condition, Lock};
    use std::rc::Rc;
    use std::sync::Arc;

    type Shared = Rc<Condition<i32>>;

    fn shared() -> Shared {
        Rc::new(Condition::new(0))
    }

    /// Waits once, notes it, and keeps the lock until the signal.
    fn wait_and_note(condition: &Shared, log: &Log<u32>, n: u32, release: &Signal) -> Task<()> {
        let (condition, log, release) = (condition.clone(), log.clone(), release.clone());
        create_task(async move {
            let guard = condition.acquire().await.wait().await;
            log.borrow_mut().push(n);
            release.wait().await;
            drop(guard);
        })
    }

    /// CPython test_locks: ConditionTests.test_wait
    #[test]
    fn test_wait() {
        run(async {
            let (condition, result) = (shared(), log());
            let [r1, r2, r3] = [(); 3].map(|()| Signal::default());
            let t1 = wait_and_note(&condition, &result, 1, &r1);
            let t2 = wait_and_note(&condition, &result, 2, &r2);
            let t3 = wait_and_note(&condition, &result, 3, &r3);
            pass().await;
            assert_eq!(*result.borrow(), []);
            assert!(!condition.locked());

            let guard = condition.acquire().await;
            guard.notify(1);
            pass().await;
            assert_eq!(*result.borrow(), []);
            assert!(condition.locked());

            drop(guard);
            pass().await;
            assert_eq!(*result.borrow(), [1]);
            assert!(condition.locked());

            // In CPython the lock's holder notifies; here the first task holds it, so it lets go and we notify.
            r1.set();
            let guard = condition.acquire().await;
            guard.notify(2);
            pass().await;
            assert_eq!(*result.borrow(), [1]);
            assert!(condition.locked());

            drop(guard);
            pass().await;
            assert_eq!(*result.borrow(), [1, 2]);
            assert!(condition.locked());

            r2.set();
            passes(2).await;
            assert_eq!(*result.borrow(), [1, 2, 3]);
            assert!(condition.locked());
            r3.set();
            pass().await;
            assert!(t1.done() && t2.done() && t3.done());
        });
    }

    /// CPython test_locks: ConditionTests.test_wait_cancel
    #[test]
    fn test_wait_cancel() {
        run(async {
            let condition = shared();
            let inner = condition.clone();
            let hold = Signal::default();
            let held = hold.clone();
            let task = Rc::new(create_task(async move {
                let guard = inner.acquire().await;
                let (_guard, cancelled) = wait(guard).await;
                held.wait().await;
                cancelled
            }));
            pass().await;
            let handle = task.clone();
            call_soon(move || handle.cancel());
            passes(3).await;
            assert_eq!(condition.statistics().waiters, 0);
            assert!(condition.locked(), "the lock was taken again before the cancel came out");
            hold.set();
            passes(2).await;
            assert!(task.result());
        });
    }

    /// CPython test_locks: ConditionTests.test_wait_cancel_contested
    #[test]
    fn test_wait_cancel_contested() {
        run(async {
            let condition = shared();
            let (inner, hold) = (condition.clone(), Signal::default());
            let held = hold.clone();
            let task = Rc::new(create_task(async move {
                let guard = inner.acquire().await;
                let (_guard, _) = wait(guard).await;
                held.wait().await;
            }));
            pass().await;
            assert!(!condition.locked());
            let guard = Condition::acquire(Box::leak(Box::new(condition.clone()))).await;
            guard.notify(1);
            let handle = task.clone();
            call_soon(move || handle.cancel());
            call_soon(move || drop(guard));
            passes(4).await;
            assert!(condition.locked());
            hold.set();
            passes(2).await;
            assert!(task.done());
        });
    }

    /// CPython test_locks: ConditionTests.test_wait_cancel_after_notify
    #[test]
    fn test_wait_cancel_after_notify() {
        run(async {
            let condition = shared();
            let (inner, waited) = (condition.clone(), log());
            let reached = waited.clone();
            let waiter = create_task(async move {
                let guard = inner.acquire().await;
                reached.borrow_mut().push(true);
                let (_guard, cancelled) = wait(guard).await;
                if cancelled {
                    propagate().await;
                }
            });
            pass().await;
            let guard = condition.acquire().await;
            guard.notify(1);
            pass().await;
            waiter.cancel();
            pass().await;
            drop(guard);
            passes(3).await;
            assert!(waiter.cancelled());
            assert_eq!(*waited.borrow(), [true]);
            assert!(!condition.locked());
        });
    }

    /// CPython test_locks: ConditionTests.test_wait_for
    #[test]
    fn test_wait_for() {
        run(async {
            let (condition, result) = (shared(), log());
            let (inner, log) = (condition.clone(), result.clone());
            let task = create_task(async move {
                let _guard = inner.acquire().await.wait_for(|value| *value > 0).await;
                log.borrow_mut().push(1);
            });
            pass().await;
            assert_eq!(*result.borrow(), []);
            condition.acquire().await.notify(1);
            passes(2).await;
            assert_eq!(*result.borrow(), []);
            {
                let mut guard = condition.acquire().await;
                *guard = 1;
                guard.notify(1);
            }
            passes(2).await;
            assert_eq!(*result.borrow(), [1]);
            assert!(task.done());
        });
    }

    /// CPython test_locks: ConditionTests.test_wait_for_unacquired
    ///
    /// Its first half: a predicate that is true at once does not wait.
    #[test]
    fn test_wait_for_unacquired() {
        run(async {
            let condition = shared();
            let guard = condition.acquire().await.wait_for(|_| true).await;
            assert_eq!(*guard, 0);
        });
    }

    fn waiters(condition: &Shared, log: &Log<u32>, n: u32) -> Vec<Task<()>> {
        let released = Signal::default();
        released.set();
        (1..=n).map(|i| wait_and_note(condition, log, i, &released)).collect()
    }

    /// CPython test_locks: ConditionTests.test_notify
    #[test]
    fn test_notify() {
        run(async {
            let (condition, result) = (shared(), log());
            let tasks = waiters(&condition, &result, 3);
            pass().await;
            assert_eq!(*result.borrow(), []);
            condition.acquire().await.notify(1);
            passes(2).await;
            assert_eq!(*result.borrow(), [1]);
            {
                let guard = condition.acquire().await;
                guard.notify(1);
                guard.notify(2048);
            }
            passes(4).await;
            assert_eq!(*result.borrow(), [1, 2, 3]);
            assert!(tasks.iter().all(Task::done));
        });
    }

    /// CPython test_locks: ConditionTests.test_notify_all
    #[test]
    fn test_notify_all() {
        run(async {
            let (condition, result) = (shared(), log());
            let tasks = waiters(&condition, &result, 2);
            pass().await;
            assert_eq!(*result.borrow(), []);
            condition.acquire().await.notify_all();
            passes(4).await;
            assert_eq!(*result.borrow(), [1, 2]);
            assert!(tasks.iter().all(Task::done));
        });
    }

    /// CPython test_locks: ConditionTests.test_repr
    #[test]
    fn test_repr() {
        run(async {
            let (condition, result) = (shared(), log());
            assert_eq!(format!("{condition:?}"), "<Condition [unlocked]>");
            let tasks = waiters(&condition, &result, 2);
            pass().await;
            let guard = condition.acquire().await;
            assert_eq!(format!("{condition:?}"), "<Condition [locked, waiters:2]>");
            guard.notify_all();
            drop(guard);
            gather(tasks).await;
            assert_eq!(format!("{condition:?}"), "<Condition [unlocked]>");
        });
    }

    /// CPython test_locks: ConditionTests.test_context_manager
    #[test]
    fn test_context_manager() {
        run(async {
            let condition = shared();
            assert!(!condition.locked());
            {
                let _guard = condition.acquire().await;
                assert!(condition.locked());
            }
            assert!(!condition.locked());
        });
    }

    /// CPython test_locks: ConditionTests.test_explicit_lock
    #[test]
    fn test_explicit_lock() {
        run(async {
            let lock = Arc::new(Lock::new(0));
            let condition = Condition::with_lock(lock.clone());
            assert!(std::ptr::eq(condition.lock(), &*lock));
            let both = |locked: bool| {
                assert_eq!((lock.locked(), condition.locked()), (locked, locked));
            };
            both(false);
            let guard = condition.acquire().await;
            both(true);
            drop(guard);
            both(false);
            let guard = lock.acquire().await;
            both(true);
            drop(guard);
            both(false);
        });
    }

    /// CPython test_locks: ConditionTests.test_timeout_in_block
    #[test]
    fn test_timeout_in_block() {
        run(async {
            let condition = shared();
            let guard = condition.acquire().await;
            let (guard, timed_out) = wait_or_time_out(guard, 5).await;
            assert!(timed_out && condition.locked());
            drop(guard);
            assert!(!condition.locked());
        });
    }

    /// Waits until the value is not 0, under cancels of the task; `Err` if there was one.
    fn consumer(condition: &Shared) -> Task<()> {
        let condition = condition.clone();
        create_task(async move {
            let mut guard = condition.acquire().await;
            loop {
                while *guard == 0 {
                    let cancelled;
                    (guard, cancelled) = wait(guard).await;
                    if cancelled {
                        propagate().await;
                    }
                }
                if *guard < 0 {
                    return;
                }
                *guard -= 1;
                guard.notify(1);
            }
        })
    }

    /// CPython test_locks: ConditionTests.test_cancelled_error_wakeup
    ///
    /// Cancelled while it waits for the notification: the cancel comes out, with the lock held until then.
    #[test]
    fn test_cancelled_error_wakeup() {
        run(async {
            let condition = shared();
            let task = consumer(&condition);
            pass().await;
            task.cancel();
            passes(3).await;
            assert!(task.cancelled() && !condition.locked());
        });
    }

    /// CPython test_locks: ConditionTests.test_cancelled_error_re_aquire
    ///
    /// Cancelled while it takes the lock again.
    #[test]
    fn test_cancelled_error_re_aquire() {
        run(async {
            let condition = shared();
            let task = consumer(&condition);
            pass().await;
            let mut guard = condition.acquire().await;
            *guard = 1;
            guard.notify(1);
            pass().await;
            task.cancel();
            drop(guard);
            passes(3).await;
            assert!(task.cancelled() && !condition.locked());
        });
    }

    async fn lost_wakeup(settle_before_cancel: bool) {
        let condition = shared();
        let consumers = [consumer(&condition), consumer(&condition)];
        passes(3).await;
        let mut guard = condition.acquire().await;
        *guard += 1;
        guard.notify(1);
        if settle_before_cancel {
            pass().await;
        }
        consumers[0].cancel();
        let mut timed_out = false;
        for _ in 0..2 {
            if *guard != 0 && !timed_out {
                (guard, timed_out) = wait_or_time_out(guard, 20).await;
            }
        }
        assert_eq!(*guard, 0, "the item was consumed by the other consumer");
        *guard = -1;
        guard.notify_all();
        drop(guard);
        passes(4).await;
        assert!(consumers[0].cancelled() && consumers[1].done() && !consumers[1].cancelled());
    }

    /// CPython test_locks: ConditionTests.test_cancelled_wakeup
    #[test]
    fn test_cancelled_wakeup() {
        run(lost_wakeup(false));
    }

    /// CPython test_locks: ConditionTests.test_cancelled_wakeup_relock
    #[test]
    fn test_cancelled_wakeup_relock() {
        run(lost_wakeup(true));
    }
}

mod semaphore {
    use super::*;
    use asyncio_sync::{BoundedSemaphore, OverReleaseError, Semaphore};
    use std::rc::Rc;

    fn shared(value: usize) -> Rc<Semaphore> {
        Rc::new(Semaphore::new(value))
    }

    fn acquire(semaphore: &Rc<Semaphore>) -> Task<()> {
        acquire_and_note(semaphore, &log(), 0)
    }

    fn acquire_and_note(semaphore: &Rc<Semaphore>, log: &Log<u32>, n: u32) -> Task<()> {
        let (semaphore, log) = (semaphore.clone(), log.clone());
        create_task(async move {
            semaphore.acquire().await.forget();
            log.borrow_mut().push(n);
        })
    }

    /// CPython test_locks: SemaphoreTests.test_initial_value_zero
    #[test]
    fn test_initial_value_zero() {
        assert!(Semaphore::new(0).locked());
    }

    /// CPython test_locks: SemaphoreTests.test_repr
    #[test]
    fn test_repr() {
        run(async {
            let semaphore = shared(1);
            assert_eq!(format!("{semaphore:?}"), "<Semaphore [unlocked, value:1]>");
            semaphore.acquire().await.forget();
            assert_eq!(format!("{semaphore:?}"), "<Semaphore [locked]>");
            let _one = acquire(&semaphore);
            pass().await;
            assert_eq!(format!("{semaphore:?}"), "<Semaphore [locked, waiters:1]>");
            let _two = acquire(&semaphore);
            pass().await;
            assert_eq!(format!("{semaphore:?}"), "<Semaphore [locked, waiters:2]>");
        });
    }

    /// CPython test_locks: SemaphoreTests.test_acquire
    #[test]
    fn test_acquire() {
        run(async {
            let (semaphore, result) = (shared(3), log());
            semaphore.acquire().await.forget();
            semaphore.acquire().await.forget();
            assert!(!semaphore.locked());
            let t1 = acquire_and_note(&semaphore, &result, 1);
            let t2 = acquire_and_note(&semaphore, &result, 2);
            let t3 = acquire_and_note(&semaphore, &result, 3);
            pass().await;
            assert_eq!(*result.borrow(), [1]);
            assert!(semaphore.locked());
            assert_eq!((semaphore.statistics().waiters, semaphore.value()), (2, 0));
            let t4 = acquire_and_note(&semaphore, &result, 4);
            semaphore.release();
            semaphore.release();
            assert_eq!(semaphore.value(), 0);
            pass().await;
            assert_eq!(semaphore.value(), 0);
            assert_eq!(result.borrow().len(), 3);
            assert!(semaphore.locked());
            assert_eq!((semaphore.statistics().waiters, semaphore.value()), (1, 0));
            assert!(t1.done());
            let race = vec![t2, t3, t4];
            assert_eq!(race.iter().filter(|task| task.done()).count(), 2);
            semaphore.release();
            gather(race).await;
        });
    }

    /// CPython test_locks: SemaphoreTests.test_acquire_cancel
    #[test]
    fn test_acquire_cancel() {
        run(async {
            let semaphore = shared(1);
            semaphore.acquire().await.forget();
            let task = Rc::new(acquire(&semaphore));
            let handle = task.clone();
            call_soon(move || handle.cancel());
            passes(3).await;
            assert!(task.cancelled());
            assert_eq!(semaphore.statistics().waiters, 0);
        });
    }

    /// CPython test_locks: SemaphoreTests.test_acquire_cancel_before_awoken
    #[test]
    fn test_acquire_cancel_before_awoken() {
        run(async {
            let semaphore = shared(0);
            let [t1, t2, t3, t4] = [(); 4].map(|()| acquire(&semaphore));
            pass().await;
            t1.cancel();
            t2.cancel();
            semaphore.release();
            passes(2).await;
            assert!(t3.done() && !t4.done());
            t3.cancel();
            t4.cancel();
            passes(2).await;
            assert!(t4.cancelled() && !t3.cancelled());
        });
    }

    /// CPython test_locks: SemaphoreTests.test_acquire_hang
    #[test]
    fn test_acquire_hang() {
        run(async {
            let semaphore = shared(0);
            let (t1, t2) = (acquire(&semaphore), acquire(&semaphore));
            pass().await;
            t1.cancel();
            semaphore.release();
            passes(2).await;
            assert!(semaphore.locked() && t2.done());
        });
    }

    /// CPython test_locks: SemaphoreTests.test_acquire_no_hang
    #[test]
    fn test_acquire_no_hang() {
        run(async {
            let semaphore = shared(1);
            let second: Rc<std::cell::RefCell<Option<Task<()>>>> = Rc::default();
            let (inner, other) = (semaphore.clone(), second.clone());
            let t1 = create_task(async move {
                {
                    let _permit = inner.acquire().await;
                    pass().await;
                }
                other.borrow().as_ref().unwrap().cancel();
            });
            let inner = semaphore.clone();
            *second.borrow_mut() = Some(create_task(async move {
                let _permit = inner.acquire().await;
                unreachable!("it is cancelled first");
            }));
            t1.await.unwrap();
            let t2 = second.take().unwrap();
            assert_eq!(t2.await, Err(Cancelled));
            semaphore.acquire().await.forget();
        });
    }

    /// CPython test_locks: SemaphoreTests.test_release_not_acquired
    #[test]
    fn test_release_not_acquired() {
        assert_eq!(BoundedSemaphore::new(1).release(), Err(OverReleaseError));
    }

    /// CPython test_locks: SemaphoreTests.test_release_no_waiters
    #[test]
    fn test_release_no_waiters() {
        run(async {
            let semaphore = shared(1);
            semaphore.acquire().await.forget();
            assert!(semaphore.locked());
            semaphore.release();
            assert!(!semaphore.locked());
        });
    }

    /// CPython test_locks: SemaphoreTests.test_acquire_fifo_order
    #[test]
    fn test_acquire_fifo_order() {
        run(async {
            let (semaphore, result) = (shared(1), log());
            let coro = |tag: &'static str| {
                let (semaphore, result) = (semaphore.clone(), result.clone());
                create_task(async move {
                    for round in 1..=2 {
                        semaphore.acquire().await.forget();
                        result.borrow_mut().push(format!("{tag}_{round}"));
                        passes(2).await;
                        semaphore.release();
                    }
                })
            };
            gather(vec![coro("c1"), coro("c2"), coro("c3")]).await;
            assert_eq!(*result.borrow(), ["c1_1", "c2_1", "c3_1", "c1_2", "c2_2", "c3_2"]);
        });
    }

    /// CPython test_locks: SemaphoreTests.test_acquire_fifo_order_2
    #[test]
    fn test_acquire_fifo_order_2() {
        run(async {
            let (semaphore, result) = (shared(1), log());
            let t1 = acquire_and_note(&semaphore, &result, 1);
            let (inner, log) = (semaphore.clone(), result.clone());
            let t2 = create_task(async move {
                inner.acquire().await.forget();
                log.borrow_mut().push(2);
                inner.release();
                inner.acquire().await.forget();
                log.borrow_mut().push(4);
            });
            let t3 = acquire_and_note(&semaphore, &result, 3);
            pass().await;
            semaphore.release();
            semaphore.release();
            gather(vec![t1, t2, t3]).await;
            assert_eq!(*result.borrow(), [1, 2, 3, 4]);
        });
    }

    /// CPython test_locks: SemaphoreTests.test_acquire_fifo_order_3
    #[test]
    fn test_acquire_fifo_order_3() {
        run(async {
            let (semaphore, result) = (shared(0), log());
            let t1 = acquire_and_note(&semaphore, &result, 1);
            let t2 = acquire_and_note(&semaphore, &result, 2);
            let t3 = acquire_and_note(&semaphore, &result, 3);
            pass().await;
            t1.cancel();
            pass().await;
            semaphore.release();
            semaphore.release();
            assert_eq!(t1.await, Err(Cancelled));
            gather(vec![t2, t3]).await;
            assert_eq!(*result.borrow(), [2, 3]);
        });
    }

    /// Beyond CPython: a task that gets its unit late lets those behind it take what is free besides.
    #[test]
    fn several_releases_wake_several_waiters() {
        run(async {
            let (semaphore, result) = (shared(0), log());
            let tasks: Vec<_> = (1..=3).map(|n| acquire_and_note(&semaphore, &result, n)).collect();
            pass().await;
            semaphore.release_many(3);
            pass().await;
            assert_eq!(*result.borrow(), [1, 2, 3]);
            gather(tasks).await;
        });
    }
}

mod barrier {
    use super::*;
    use asyncio_sync::{Barrier, BrokenBarrierError};
    use std::cell::Cell;
    use std::rc::Rc;

    const N: usize = 5;

    fn shared(parties: usize) -> Rc<Barrier> {
        Rc::new(Barrier::new(parties))
    }

    fn waits(barrier: &Rc<Barrier>) -> Task<Result<usize, BrokenBarrierError>> {
        let barrier = barrier.clone();
        create_task(async move { barrier.wait().await })
    }

    fn is(barrier: &Barrier, state: &str) -> bool {
        format!("{barrier:?}").contains(state)
    }

    /// What every test ends with: nobody is inside, and nothing is broken.
    fn at_rest(barrier: &Barrier) {
        assert_eq!((barrier.n_waiting(), barrier.broken()), (0, false));
        assert!(!is(barrier, "resetting"));
    }

    async fn all<F: Future<Output = ()> + 'static>(n: usize, coro: impl Fn() -> F) {
        gather((0..n).map(|_| create_task(coro())).collect()).await;
    }

    /// CPython test_locks: BarrierTests.test_barrier
    #[test]
    fn test_barrier() {
        assert!(is(&Barrier::new(N), "filling"));
    }

    /// CPython test_locks: BarrierTests.test_repr
    #[test]
    fn test_repr() {
        run(async {
            let barrier = shared(N);
            assert_eq!(format!("{barrier:?}"), "<Barrier [filling, waiters:0/5]>");
            let mut tasks: Vec<_> = (0..2).map(|_| waits(&barrier)).collect();
            pass().await;
            assert_eq!(format!("{barrier:?}"), "<Barrier [filling, waiters:2/5]>");
            tasks.extend((0..N - 2).map(|_| waits(&barrier)));
            pass().await;
            assert!(is(&barrier, "draining"));
            tasks.extend((0..2).map(|_| waits(&barrier)));
            // CPython's waiters need one pass more to leave than ours, so ours are asked before they run.
            let second = shared(N);
            let mut more: Vec<_> = (0..N).map(|_| waits(&second)).collect();
            pass().await;
            assert!(is(&second, "draining"));
            second.reset();
            assert!(is(&second, "resetting"));
            more.extend((0..2).map(|_| waits(&second)));
            second.abort();
            assert!(is(&second, "broken") && second.broken());
            barrier.abort();
            passes(4).await;
            assert!(tasks.iter().all(Task::done) && more.iter().all(Task::done));
        });
    }

    /// CPython test_locks: BarrierTests.test_barrier_parties
    #[test]
    #[should_panic(expected = "at least one")]
    fn test_barrier_parties() {
        Barrier::new(0);
    }

    /// CPython test_locks: BarrierTests.test_context_manager
    #[test]
    fn test_context_manager() {
        run(async {
            let (barrier, results) = (shared(3), log());
            all(3, || {
                let (barrier, results) = (barrier.clone(), results.clone());
                async move {
                    let index = barrier.wait().await.unwrap();
                    results.borrow_mut().push(index);
                }
            })
            .await;
            results.borrow_mut().sort_unstable();
            assert_eq!(*results.borrow(), [0, 1, 2]);
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_filling_one_task
    #[test]
    fn test_filling_one_task() {
        run(async {
            let barrier = shared(1);
            assert_eq!(barrier.wait().await, Ok(0));
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_filling_one_task_twice
    #[test]
    fn test_filling_one_task_twice() {
        run(async {
            let barrier = shared(1);
            let t1 = waits(&barrier);
            pass().await;
            assert_eq!(barrier.n_waiting(), 0);
            let t2 = waits(&barrier);
            pass().await;
            assert_eq!(t1.result(), t2.result());
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_filling_task_by_task
    #[test]
    fn test_filling_task_by_task() {
        run(async {
            let barrier = shared(3);
            let t1 = waits(&barrier);
            pass().await;
            assert_eq!(barrier.n_waiting(), 1);
            assert!(is(&barrier, "filling"));
            let t2 = waits(&barrier);
            pass().await;
            assert_eq!(barrier.n_waiting(), 2);
            assert!(is(&barrier, "filling"));
            let t3 = waits(&barrier);
            let indices = gather(vec![t1, t2, t3]).await;
            assert_eq!(indices, [Ok(0), Ok(1), Ok(2)]);
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_filling_tasks_wait_twice
    #[test]
    fn test_filling_tasks_wait_twice() {
        run(async {
            let (barrier, results) = (shared(N), log());
            all(N, || {
                let (barrier, results) = (barrier.clone(), results.clone());
                async move {
                    barrier.wait().await.unwrap();
                    results.borrow_mut().push(true);
                    barrier.wait().await.unwrap();
                    results.borrow_mut().push(false);
                }
            })
            .await;
            assert_eq!(results.borrow().len(), 2 * N);
            assert_eq!(results.borrow().iter().filter(|first| **first).count(), N);
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_filling_tasks_check_return_value
    #[test]
    fn test_filling_tasks_check_return_value() {
        run(async {
            let (barrier, results) = (shared(N), log());
            all(N, || {
                let (barrier, results) = (barrier.clone(), results.clone());
                async move {
                    barrier.wait().await.unwrap();
                    let index = barrier.wait().await.unwrap();
                    results.borrow_mut().push(index);
                }
            })
            .await;
            results.borrow_mut().sort_unstable();
            assert_eq!(*results.borrow(), [0, 1, 2, 3, 4]);
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_draining_state
    #[test]
    fn test_draining_state() {
        run(async {
            let (barrier, results) = (shared(N), log());
            all(N, || {
                let (barrier, results) = (barrier.clone(), results.clone());
                async move {
                    barrier.wait().await.unwrap();
                    results.borrow_mut().push(is(&barrier, "draining"));
                }
            })
            .await;
            assert_eq!(*results.borrow(), [true, true, true, true, false]);
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_blocking_tasks_while_draining
    #[test]
    fn test_blocking_tasks_while_draining() {
        run(async {
            let rewait = 2;
            let (barrier, others) = (shared(N), shared(N - rewait));
            let left = Rc::new(Cell::new(rewait));
            all(N, || {
                let (barrier, others, left) = (barrier.clone(), others.clone(), left.clone());
                async move {
                    barrier.wait().await.unwrap();
                    if left.get() > 0 {
                        left.set(left.get() - 1);
                    } else {
                        others.wait().await.unwrap();
                    }
                    barrier.wait().await.unwrap();
                }
            })
            .await;
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_filling_tasks_cancel_one
    #[test]
    fn test_filling_tasks_cancel_one() {
        run(async {
            let barrier = shared(3);
            let t1 = waits(&barrier);
            pass().await;
            assert_eq!(barrier.n_waiting(), 1);
            let t2 = waits(&barrier);
            pass().await;
            assert_eq!(barrier.n_waiting(), 2);
            t1.cancel();
            pass().await;
            assert_eq!(barrier.n_waiting(), 1);
            assert_eq!(t1.await, Err(Cancelled));
            let t3 = waits(&barrier);
            pass().await;
            assert_eq!(barrier.n_waiting(), 2);
            let t4 = waits(&barrier);
            let indices = gather(vec![t2, t3, t4]).await;
            assert_eq!(indices, [Ok(0), Ok(1), Ok(2)], "and no index is given twice");
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_reset_barrier
    #[test]
    fn test_reset_barrier() {
        let barrier = Barrier::new(1);
        barrier.reset();
        at_rest(&barrier);
    }

    /// CPython test_locks: BarrierTests.test_reset_barrier_while_tasks_waiting
    #[test]
    fn test_reset_barrier_while_tasks_waiting() {
        run(async {
            let barrier = shared(N);
            let tasks: Vec<_> = (0..N - 1).map(|_| waits(&barrier)).collect();
            pass().await;
            let inner = barrier.clone();
            call_soon(move || inner.reset());
            assert!(gather(tasks).await.iter().all(Result::is_err));
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_reset_barrier_when_tasks_half_draining
    #[test]
    fn test_reset_barrier_when_tasks_half_draining() {
        run(async {
            let (barrier, failed, passed) = (shared(N), log(), Rc::new(Cell::new(0)));
            all(N, || {
                let (barrier, failed, passed) = (barrier.clone(), failed.clone(), passed.clone());
                async move {
                    if barrier.wait().await.is_err() {
                        failed.borrow_mut().push(true);
                        return;
                    }
                    passed.set(passed.get() + 1);
                    if passed.get() == N - N / 2 {
                        barrier.reset();
                    }
                }
            })
            .await;
            assert_eq!(failed.borrow().len(), N / 2);
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_reset_barrier_when_tasks_half_draining_half_blocking
    #[test]
    fn test_reset_barrier_when_tasks_half_draining_half_blocking() {
        run(async {
            let (barrier, failed, blocked_failed) = (shared(N), log(), log());
            let count = Rc::new(Cell::new(0));
            all(N, || {
                let (barrier, failed, count) = (barrier.clone(), failed.clone(), count.clone());
                let blocked_failed = blocked_failed.clone();
                async move {
                    if barrier.wait().await.is_err() {
                        failed.borrow_mut().push(true);
                        barrier.wait().await.unwrap();
                        return;
                    }
                    count.set(count.get() + 1);
                    if count.get() > N / 2 {
                        barrier.reset();
                        barrier.wait().await.unwrap();
                    } else if barrier.wait().await.is_err() {
                        blocked_failed.borrow_mut().push(true);
                    }
                }
            })
            .await;
            assert_eq!((failed.borrow().len(), blocked_failed.borrow().len()), (N / 2, 0));
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_reset_barrier_while_tasks_waiting_and_waiting_again
    #[test]
    fn test_reset_barrier_while_tasks_waiting_and_waiting_again() {
        run(async {
            let (barrier, failed, passed) = (shared(N), log(), log());
            let tasks: Vec<_> = (0..N - 1)
                .map(|_| {
                    let (barrier, failed, passed) =
                        (barrier.clone(), failed.clone(), passed.clone());
                    create_task(async move {
                        if barrier.wait().await.is_err() {
                            failed.borrow_mut().push(true);
                        }
                        barrier.wait().await.unwrap();
                        passed.borrow_mut().push(true);
                    })
                })
                .collect();
            let inner = barrier.clone();
            call_soon(move || inner.reset());
            pass().await;
            let (inner, last) = (barrier.clone(), passed.clone());
            let task = create_task(async move {
                inner.wait().await.unwrap();
                last.borrow_mut().push(true);
            });
            gather(tasks).await;
            task.await.unwrap();
            assert_eq!((failed.borrow().len(), passed.borrow().len()), (N - 1, N));
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_reset_barrier_while_tasks_draining
    #[test]
    fn test_reset_barrier_while_tasks_draining() {
        run(async {
            let (barrier, second, last) = (shared(N), log(), log());
            let count = Rc::new(Cell::new(0));
            all(N, || {
                let (barrier, second, last) = (barrier.clone(), second.clone(), last.clone());
                let count = count.clone();
                async move {
                    barrier.wait().await.unwrap();
                    count.set(count.get() + 1);
                    if count.get() == N {
                        // The last one out. The others wait for the next round, which is not concerned.
                        barrier.reset();
                        barrier.wait().await.unwrap();
                    } else {
                        let passed = barrier.wait().await.is_ok();
                        second.borrow_mut().push(passed);
                    }
                    barrier.wait().await.unwrap();
                    last.borrow_mut().push(true);
                }
            })
            .await;
            assert_eq!(*second.borrow(), [true; N - 1]);
            assert_eq!(last.borrow().len(), N);
            at_rest(&barrier);
        });
    }

    /// CPython test_locks: BarrierTests.test_abort_barrier
    #[test]
    fn test_abort_barrier() {
        let barrier = Barrier::new(1);
        barrier.abort();
        assert_eq!((barrier.n_waiting(), barrier.broken()), (0, true));
    }

    /// CPython test_locks: BarrierTests.test_abort_barrier_when_tasks_half_draining_half_blocking
    #[test]
    fn test_abort_barrier_when_tasks_half_draining_half_blocking() {
        run(async {
            let (barrier, failed, blocked_failed) = (shared(N), log(), log());
            let count = Rc::new(Cell::new(0));
            all(N, || {
                let (barrier, failed, count) = (barrier.clone(), failed.clone(), count.clone());
                let blocked_failed = blocked_failed.clone();
                async move {
                    if barrier.wait().await.is_err() {
                        return failed.borrow_mut().push(true);
                    }
                    count.set(count.get() + 1);
                    if count.get() > N / 2 {
                        barrier.abort();
                    } else if barrier.wait().await.is_err() {
                        blocked_failed.borrow_mut().push(true);
                    }
                }
            })
            .await;
            assert!(barrier.broken() && barrier.n_waiting() == 0);
            assert_eq!(failed.borrow().len(), N / 2);
            assert_eq!(blocked_failed.borrow().len(), N - N / 2 - 1);
        });
    }

    /// CPython test_locks: BarrierTests.test_abort_barrier_when_exception
    #[test]
    fn test_abort_barrier_when_exception() {
        run(async {
            let (barrier, passed, failed) = (shared(N), log(), log());
            all(N, || {
                let (barrier, passed, failed) = (barrier.clone(), passed.clone(), failed.clone());
                async move {
                    match barrier.wait().await {
                        Ok(index) if index == N / 2 => return barrier.abort(),
                        Ok(_) => {}
                        Err(_) => return failed.borrow_mut().push(true),
                    }
                    match barrier.wait().await {
                        Ok(_) => passed.borrow_mut().push(true),
                        Err(_) => failed.borrow_mut().push(true),
                    }
                }
            })
            .await;
            assert!(barrier.broken() && barrier.n_waiting() == 0);
            assert_eq!((passed.borrow().len(), failed.borrow().len()), (0, N - 1));
        });
    }

    /// CPython test_locks: BarrierTests.test_abort_barrier_when_exception_then_resetting
    #[test]
    fn test_abort_barrier_when_exception_then_resetting() {
        run(async {
            let (first, second) = (shared(N), shared(N));
            let (passed, failed, last) = (log(), log(), log());
            all(N, || {
                let (first, second) = (first.clone(), second.clone());
                let (passed, failed, last) = (passed.clone(), failed.clone(), last.clone());
                async move {
                    match first.wait().await {
                        Ok(index) if index == N / 2 => first.abort(),
                        Ok(_) => match first.wait().await {
                            Ok(_) => passed.borrow_mut().push(true),
                            Err(_) => failed.borrow_mut().push(true),
                        },
                        Err(_) => failed.borrow_mut().push(true),
                    }
                    if second.wait().await.unwrap() == N / 2 {
                        first.reset();
                    }
                    second.wait().await.unwrap();
                    first.wait().await.unwrap();
                    last.borrow_mut().push(true);
                }
            })
            .await;
            assert_eq!((passed.borrow().len(), failed.borrow().len()), (0, N - 1));
            assert_eq!(last.borrow().len(), N);
            at_rest(&first);
        });
    }
}
