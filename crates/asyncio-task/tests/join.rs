//! Ways to an outcome: await by value, await a borrow, `result`, `try_result`; and who drops an output nobody takes.

mod common;

use asyncio_task::Task;
use common::{Alive, Bomb, Count, Loop, Remote, counting_waker, poll_once, poll_with};
use std::future::{IntoFuture, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

#[test]
fn an_await_by_value_takes_the_output() {
    let (lp, remote, alive) = (Loop::new(), Remote::default(), Alive::default());
    let mut task = lp.spawn(remote.future(alive.token()));
    let (waker, wakes) = counting_waker();
    assert!(poll_with(&mut task, &waker).is_pending());
    lp.run();
    assert!(poll_with(&mut task, &waker).is_pending());
    remote.finish();
    assert_eq!((wakes.get(), task.done()), (0, false), "woken, not run");
    lp.run();
    assert_eq!((wakes.get(), task.done(), alive.count()), (1, true, 1));
    let Poll::Ready(Ok(value)) = poll_with(&mut task, &waker) else { panic!("done with a value") };
    drop(task);
    assert_eq!(alive.count(), 1, "the value is the awaiter's");
    drop(value);
    assert_eq!((alive.count(), wakes.get()), (0, 1));
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let mut task = lp.spawn(remote.future(()));
    let ((first, first_wakes), (second, second_wakes)) = (counting_waker(), counting_waker());
    lp.run();
    assert!(poll_with(&mut task, &first).is_pending());
    assert!(poll_with(&mut task, &second).is_pending());
    assert!(poll_with(&mut task, &second).is_pending());
    remote.finish();
    lp.run();
    assert_eq!((first_wakes.get(), second_wakes.get()), (0, 1));
}

#[test]
fn one_task_awaits_another() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let inner = lp.spawn(remote.future(20));
    let outer = lp.spawn(async move { inner.await.unwrap() + 1 });
    lp.run();
    let waits_for = outer.handle().waits_for();
    assert_eq!(waits_for.unwrap().0, asyncio_base::wait::WaitKind::Task);
    remote.finish();
    assert_eq!(lp.run(), 2);
    assert_eq!(outer.result().unwrap().as_ref().unwrap(), &21);
    assert!(outer.handle().waits_for().is_none(), "a task that ended waits for nothing");
}

#[test]
fn a_task_waits_unless_it_is_queued_or_running_or_done() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let inner = remote.future(());
    let task = lp.spawn(async move {
        let own = asyncio_task::current().unwrap();
        assert!(!own.is_waiting(), "it runs");
        inner.await;
        assert!(!own.is_waiting(), "it runs again");
    });
    let handle = task.handle();
    assert!(!handle.is_waiting(), "it is queued");
    lp.run();
    assert!(handle.is_waiting());
    remote.finish();
    assert!(!handle.is_waiting(), "it is woken");
    lp.run();
    assert!(task.done() && !handle.is_waiting());
}

#[test]
fn a_borrowed_await_takes_nothing() {
    let (lp, remote, alive) = (Loop::new(), Remote::default(), Alive::default());
    let task = lp.spawn(remote.future(alive.token()));
    let (waker, wakes) = counting_waker();
    let mut wait = (&task).into_future();
    lp.run();
    assert!(poll_with(&mut wait, &waker).is_pending());
    assert!(poll_with(&mut wait, &waker).is_pending());
    remote.finish();
    lp.run();
    assert_eq!(wakes.get(), 1, "registered once");
    assert!(poll_with(&mut wait, &waker).is_ready());
    assert!(poll_once(&mut task.handle().into_wait()).is_ready(), "ready at once when it is done");
    assert!(task.result().unwrap().is_ok());
    assert_eq!(alive.count(), 1);
    drop(wait);
    drop(task);
    assert_eq!(alive.count(), 0);
}

/// `(&handle).into_future()` on a temporary.
trait IntoWait {
    fn into_wait(self) -> Pin<Box<dyn Future<Output = ()>>>;
}

impl IntoWait for asyncio_task::TaskHandle {
    fn into_wait(self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move { (&self).await })
    }
}

#[test]
fn many_wait_and_are_woken_in_the_order_they_began() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(()));
    lp.run();
    let order: Arc<std::sync::Mutex<Vec<usize>>> = Arc::default();
    let waiters: Vec<_> = (0..5)
        .map(|n| {
            let (handle, order) = (task.handle(), order.clone());
            lp.spawn(async move {
                (&handle).await;
                order.lock().unwrap().push(n);
            })
        })
        .collect();
    lp.run();
    remote.finish();
    assert_eq!(lp.run(), 6);
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert!(waiters.iter().all(Task::done));
}

#[test]
fn a_dropped_wait_leaves_no_waker_behind() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(()));
    lp.run();
    let (waker, wakes) = counting_waker();
    let (other, other_wakes) = counting_waker();
    for _ in 0..3 {
        let mut wait = (&task).into_future();
        assert!(poll_with(&mut wait, &waker).is_pending());
        assert!(poll_with(&mut wait, &other).is_pending(), "the waker is replaced");
    }
    let mut stays = (&task).into_future();
    assert!(poll_with(&mut stays, &other).is_pending());
    remote.finish();
    lp.run();
    assert_eq!((wakes.get(), other_wakes.get()), (0, 1));
    assert!(poll_once(&mut stays).is_ready());
}

#[test]
fn result_reads_and_try_result_takes() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let mut task = lp.spawn(remote.future(5));
    assert_eq!(task.result().unwrap_err().to_string(), "Result is not ready.");
    assert!(task.try_result().is_none());
    lp.run();
    remote.finish();
    lp.run();
    assert_eq!(*task.result().unwrap().as_ref().unwrap(), 5);
    assert_eq!(*task.result().unwrap().as_ref().unwrap(), 5);
    assert_eq!(task.try_result().unwrap().unwrap(), 5);
    assert!(task.try_result().is_none());
    assert_eq!(task.result().unwrap_err().to_string(), "Result was taken.");
    let again = catch_unwind(AssertUnwindSafe(|| poll_once(&mut task)));
    assert!(again.is_err(), "awaited again after it gave its result");
}

#[test]
fn an_output_that_nobody_takes_is_dropped_once_by_the_right_side() {
    // Handle dropped: before the first poll, while waiting, after the end. Then: alive before and after the drop.
    let cases = [("before", 1, 1), ("while waiting", 1, 1), ("after", 1, 0)];
    for (n, (when, before, after)) in cases.into_iter().enumerate() {
        let (lp, remote, alive) = (Loop::new(), Remote::default(), Alive::default());
        let task = lp.spawn(remote.future(alive.token()));
        let mut task = Some(task);
        if n > 0 {
            lp.run();
            let (waker, _) = counting_waker();
            assert!(poll_with(task.as_mut().unwrap(), &waker).is_pending());
        }
        if n == 2 {
            remote.finish();
            lp.run();
        }
        assert_eq!(alive.count(), before, "{when}");
        task.take();
        assert_eq!(alive.count(), after, "{when}");
        if n < 2 {
            lp.run();
            remote.finish();
            lp.run();
        }
        assert_eq!((alive.count(), remote.alive.count()), (0, 0), "{when}");
        assert!(lp.reports().is_empty());
    }
}

#[test]
fn a_watched_task_without_its_handle_drops_the_output_before_it_tells() {
    let (lp, remote, alive) = (Loop::new(), Remote::default(), Alive::default());
    let task = lp.spawn(remote.future(alive.token()));
    lp.run();
    let handle = task.handle();
    drop(task);
    let watcher = alive.clone();
    let seen = lp.spawn(async move {
        (&handle).await;
        watcher.count()
    });
    lp.run();
    remote.finish();
    lp.run();
    assert_eq!(*seen.result().unwrap().as_ref().unwrap(), 0);
}

#[test]
fn the_claims_may_end_in_any_order() {
    // Which of handle, TaskHandle, waker, and the run goes when: every permutation ends with everything dropped.
    let orders = (0..256_usize).filter_map(|code| {
        let order = [code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6 & 3];
        (0..4).all(|n| order.contains(&n)).then_some(order)
    });
    let mut count = 0;
    for order in orders {
        let (lp, remote, alive) = (Loop::new(), Remote::default(), Alive::default());
        let task = lp.spawn(remote.future(alive.token()));
        lp.run();
        let (mut handle, mut waker) = (Some(task.handle()), Some(remote.waker()));
        let mut task = Some(task);
        for what in order {
            match what {
                0 => drop(task.take()),
                1 => drop(handle.take()),
                2 => drop(waker.take()),
                _ => {
                    remote.finish();
                    assert_eq!(lp.run(), 1);
                }
            }
        }
        assert_eq!((alive.count(), remote.alive.count()), (0, 0), "{order:?}");
        count += 1;
    }
    assert_eq!(count, 24);
}

#[test]
fn a_task_that_awaits_itself_panics() {
    let lp = Loop::new();
    let slot: Arc<std::sync::Mutex<Option<Task<()>>>> = Arc::default();
    let own = slot.clone();
    let task = lp.spawn(async move {
        let task = own.lock().unwrap().take().unwrap();
        let _ = task.await;
    });
    let (handle, borrowed) = (
        task.handle(),
        lp.spawn(async {
            let own = asyncio_task::current().unwrap();
            (&own).await;
        }),
    );
    *slot.lock().unwrap() = Some(task);
    lp.run();
    assert!(handle.done());
    let error = borrowed.result().unwrap().as_ref().unwrap_err();
    assert!(error.as_panic().unwrap().message().starts_with("a task cannot await itself: Task-"));
    let reports = lp.reports();
    assert!(reports.len() == 1 && reports[0].contains("a task cannot await itself"), "{reports:?}");
}

#[test]
fn names_numbers_places_and_debug() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(3));
    let line = line!() - 1;
    let (id, handle) = (task.id(), task.handle());
    assert_eq!((task.get_name(), handle.id()), (format!("Task-{id}").into(), id));
    assert_eq!((task.location().line(), handle.location().line()), (line, line));
    assert!(task.get_coro().contains("Scripted") && handle.get_coro().contains("Scripted"));
    assert!(task.get_context().is(&handle.get_context()));
    let task = task.named("first");
    assert_eq!(&*handle.get_name(), "first");
    handle.set_name("second");
    assert_eq!(&*task.get_name(), "second");
    task.set_name(String::from("third"));
    let text = format!("{handle:?}");
    assert!(text.starts_with("<Task pending name='third' coro=<") && text.ends_with('>'), "{text}");
    assert!(task.cancel());
    assert!(format!("{task:?}").starts_with("<Task cancelling"));
    assert_eq!(task.uncancel(), 0);
    lp.run();
    remote.finish();
    lp.run();
    let text = format!("{task:?}");
    assert!(text.starts_with("<Task finished") && text.ends_with(" result=3>"), "{text}");
    assert!(handle == handle.clone() && handle != lp.spawn(async {}).handle());
}

#[test]
fn current_is_the_task_being_polled() {
    let lp = Loop::new();
    assert!(asyncio_task::current().is_none());
    let task = lp.spawn(async { asyncio_task::current().unwrap() });
    lp.run();
    assert_eq!(*task.result().unwrap().as_ref().unwrap(), task.handle());
    assert!(asyncio_task::current().is_none());
}

#[test]
fn a_waker_whose_clone_or_drop_panics_leaves_the_handle_usable() {
    struct State {
        clones: Count,
        drops: Count,
        panic_in: &'static str,
    }
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, release, |_| {}, release);
    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: the data of this test's wakers is a `State` that outlives them.
        let state = unsafe { &*data.cast::<State>() };
        assert!(state.panic_in != "clone", "clone");
        state.clones.add();
        RawWaker::new(data, &VTABLE)
    }
    unsafe fn release(data: *const ()) {
        // SAFETY: as above.
        let state = unsafe { &*data.cast::<State>() };
        state.drops.add();
        assert!(state.panic_in != "drop", "drop");
    }
    for panic_in in ["clone", "drop"] {
        let state = State { clones: Count::default(), drops: Count::default(), panic_in };
        // SAFETY: the vtable's functions fit the data, which outlives the wakers; the original is never dropped.
        let bad =
            std::mem::ManuallyDrop::new(unsafe { Waker::new((&raw const state).cast(), &VTABLE) });
        let (lp, remote) = (Loop::new(), Remote::default());
        let mut task = lp.spawn(remote.future(1));
        lp.run();
        let first = catch_unwind(AssertUnwindSafe(|| poll_with(&mut task, &bad)));
        assert_eq!(first.is_err(), panic_in == "clone");
        // Replacing the bad waker drops it.
        let (good, wakes) = counting_waker();
        let second = catch_unwind(AssertUnwindSafe(|| poll_with(&mut task, &good)));
        assert_eq!(second.is_err(), panic_in == "drop");
        remote.finish();
        lp.run();
        assert_eq!(wakes.get(), 1, "{panic_in}: the good waker was in place all the same");
        assert!(matches!(poll_with(&mut task, &good), Poll::Ready(Ok(1))));
        assert_eq!(state.clones.get(), state.drops.get(), "{panic_in}");

        // A handle dropped with the bad waker in its slot.
        let mut task = lp.spawn(poll_fn(|_: &mut Context<'_>| Poll::<()>::Pending));
        let handle = task.handle();
        lp.run();
        let _ = catch_unwind(AssertUnwindSafe(|| poll_with(&mut task, &bad)));
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(task)));
        assert_eq!(dropped.is_err(), panic_in == "drop");
        assert!(handle.cancel());
        lp.run();
        assert!(handle.cancelled(), "{panic_in}");
        assert_eq!(state.clones.get(), state.drops.get(), "{panic_in}");
    }
}

#[test]
fn an_output_with_a_bad_destructor_is_reported() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(Bomb("output")));
    lp.run();
    remote.finish();
    lp.run();
    drop(task);
    assert_eq!(lp.reports(), ["destructor: the task panicked: output"]);
}

#[test]
fn an_output_need_be_neither_send_nor_sync_on_its_own_thread() {
    let lp = Loop::new();
    let value = Rc::new(1);
    let inner = value.clone();
    let task = lp.spawn_local(async move { inner });
    lp.run();
    assert_eq!(Rc::strong_count(&value), 2);
    drop(task);
    assert_eq!(Rc::strong_count(&value), 1);
}
