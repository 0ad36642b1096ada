//! Requests that come back, and those that meet in one place: each is heard once, by whom it is for.

use asyncio::{
    CancelledError, TaskGroup, TimeoutError, Yielder, async_generator, catch_cancelled,
    create_local_task, create_task, current_task, join, race, secs, shield, sleep, timeout,
    uncancellable, with_finally, yield_now,
};
use futures_core::Stream;
use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

/// Raises what it is cancelled with.
async fn raises() {
    catch_cancelled(pending::<()>()).await.unwrap_err().propagate().await
}

/// Polls `future` beside something that takes two seconds.
async fn two_seconds_of(future: impl Future) {
    race!(
        async {
            future.await;
        },
        sleep(secs(2.0))
    );
}

/// What a clean-up that is dropped gives back, and what another branch has raised meanwhile, is one request.
#[asyncio::test]
async fn what_two_branches_have_is_heard_once() {
    let waiter = create_local_task(async {
        let caught = catch_cancelled(async {
            race!(with_finally(pending::<()>(), || sleep(secs(5.0))), raises(), sleep(secs(2.0)));
            pending::<()>().await;
        });
        caught.await.unwrap_err().swallow();
        sleep(secs(60.0)).await;
    });
    sleep(secs(1.0)).await;
    waiter.cancel();
    assert!(waiter.await.is_ok(), "one request, which was swallowed");
}

#[asyncio::test]
async fn what_two_branches_have_in_a_group_is_heard_once() {
    let waiter = create_local_task(async {
        let caught = catch_cancelled(async {
            let group =
                TaskGroup::<CancelledError>::scope(async |_: &TaskGroup<CancelledError>| {
                    race!(
                        with_finally(pending::<()>(), || sleep(secs(5.0))),
                        raises(),
                        sleep(secs(2.0))
                    );
                    pending::<()>().await;
                    Ok(())
                });
            let _ = group.await;
        });
        caught.await.unwrap_err().swallow();
        sleep(secs(60.0)).await;
    });
    sleep(secs(1.0)).await;
    waiter.cancel();
    assert!(waiter.await.is_ok(), "one request, which was swallowed");
}

/// A cancel meets a deadline in one await, and is taken back before that is polled.
async fn taken_back_beside_a_deadline(inner: impl AsyncFn() + Clone + 'static) {
    for turns in (0..40).map(|n| n % 4) {
        let takes_back = Rc::new(Cell::new(false));
        let (seen, inner) = (takes_back.clone(), inner.clone());
        let waiter = create_local_task(async move {
            let uncancels = poll_fn(move |_| {
                if !seen.get() {
                    return Poll::Pending;
                }
                current_task().unwrap().uncancel();
                Poll::Ready(())
            });
            let _ = timeout(secs(1.0), async { join!(uncancels, inner()) }).await;
        });
        sleep(secs(1.0)).await;
        for _ in 0..turns {
            yield_now().await;
        }
        takes_back.set(true);
        waiter.cancel();
        sleep(secs(50.0)).await;
        assert!(waiter.done(), "the deadline was lost");
    }
}

#[asyncio::test]
async fn a_deadline_is_not_taken_back_with_a_cancel_that_a_scope_had() {
    taken_back_beside_a_deadline(async || {
        let _ = catch_cancelled(pending::<()>()).await;
    })
    .await;
}

#[asyncio::test]
async fn a_deadline_is_not_taken_back_with_a_cancel_that_an_await_had() {
    taken_back_beside_a_deadline(async || {
        let _ = create_task(pending::<()>()).await;
    })
    .await;
}

#[asyncio::test]
async fn a_clean_up_that_ends_in_another_task_hands_the_request_back() {
    let waiter = create_local_task(async {
        let mut job = Box::pin(with_finally(pending::<()>(), || sleep(secs(5.0))));
        two_seconds_of(job.as_mut()).await;
        let ended = shield(create_local_task(job)).await;
        assert!(ended.unwrap_err().is_cancelled());
        sleep(secs(60.0)).await;
    });
    sleep(secs(1.0)).await;
    waiter.cancel();
    assert!(waiter.await.is_err(), "it is not lost");
}

#[asyncio::test]
async fn a_generator_that_is_dropped_hands_the_request_back() {
    let waiter = create_local_task(async {
        let body = |_: Yielder<u32>| with_finally(pending::<()>(), || sleep(secs(5.0)));
        let mut items = async_generator(body);
        two_seconds_of(items.next()).await;
        drop(items);
        sleep(secs(60.0)).await;
    });
    sleep(secs(1.0)).await;
    waiter.cancel();
    assert!(waiter.await.is_err(), "it is not lost");
}

#[asyncio::test]
async fn a_generator_is_closed_again_after_a_close_that_was_given_up() {
    let waiter = create_local_task(async {
        let mut items = async_generator(|items: Yielder<u32>| {
            with_finally(async move { items.put(1).await }, || sleep(secs(5.0)))
        });
        assert_eq!(items.next().await, Some(1));
        race!(items.aclose(), sleep(secs(1.0)));
        items.aclose().await;
        assert!(items.has_ended());
    });
    assert!(waiter.await.is_ok(), "nobody has cancelled it");
}

#[asyncio::test]
async fn a_deadline_that_is_held_back_strikes_in_a_later_wait_of_a_generator() {
    let waiter = create_local_task(async {
        let mut items = async_generator(|items: Yielder<bool>| async move {
            let late = timeout(secs(1.0), async {
                uncancellable(sleep(secs(5.0))).await;
                pending::<()>().await;
            });
            items.put(late.await.is_err()).await;
        });
        two_seconds_of(items.next()).await;
        items.next().await
    });
    assert_eq!(waiter.await.unwrap(), Some(true));
}

#[asyncio::test]
async fn a_deadline_that_is_held_back_strikes_in_another_task() {
    let mut late = Box::pin(timeout(secs(1.0), async {
        uncancellable(sleep(secs(5.0))).await;
        pending::<()>().await;
    }));
    two_seconds_of(late.as_mut()).await;
    assert_eq!(create_local_task(late).await.unwrap(), Err(TimeoutError::default()));
}

/// As a stream, a generator finds its place anew with each poll.
#[asyncio::test]
async fn a_deadline_in_a_generator_that_is_a_stream_lets_clean_up() {
    let cleaned = Arc::new(AtomicBool::new(false));
    let seen = cleaned.clone();
    let mut items = async_generator(move |items: Yielder<bool>| async move {
        let body = with_finally(pending::<()>(), move || async move {
            cleaned.store(true, Ordering::Relaxed);
        });
        items.put(timeout(secs(1.0), body).await.is_err()).await;
    });
    let item = poll_fn(|cx| Pin::new(&mut items).poll_next(cx)).await;
    assert_eq!((item, seen.load(Ordering::Relaxed)), (Some(true), true));
}

#[asyncio::test]
async fn a_deadline_in_a_generator_that_is_a_stream_cancels_the_awaited_task() {
    let task = create_task(pending::<()>());
    let handle = task.handle();
    let mut items = async_generator(move |items: Yielder<()>| async move {
        let _ = timeout(secs(1.0), task).await;
        items.put(()).await;
    });
    assert_eq!(poll_fn(|cx| Pin::new(&mut items).poll_next(cx)).await, Some(()));
    assert!(handle.cancelled());
}

/// Nobody else has cancelled what a timeout has ended, so the timeout speaks.
#[asyncio::test]
async fn what_a_timeout_has_ended_is_awaited_again_inside_it() {
    let outcome = timeout(secs(1.0), async {
        let mut kept = pin!(timeout(secs(60.0), pending::<()>()));
        catch_cancelled(kept.as_mut()).await.unwrap_err().swallow();
        let _ = kept.await;
    });
    assert_eq!(outcome.await, Err(TimeoutError::default()));
}
