//! What a cancellation has ended, and is awaited again: it is cancelled still. And what is caught on behalf of somebody who then drops it.

#[path = "common/settle.rs"]
mod settle;

use asyncio::{
    CancelledError, TaskGroup, TimeoutError, async_generator, catch_cancelled, create_local_task,
    current_task, race, secs, sleep, timeout, uncancellable, with_finally, yield_now,
};
use settle::settle;
use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::rc::Rc;

/// Cancels this task, and swallows that where `future` is awaited.
async fn cancelled_in(future: Pin<&mut impl Future>) {
    let asker = current_task().unwrap();
    asyncio::get_running_loop().call_soon(move || assert!(asker.cancel()));
    let caught = catch_cancelled(future).await;
    caught.map(drop).expect_err("cancelled").swallow();
    current_task().unwrap().uncancel();
}

/// Whether awaiting `future` again, after a cancel has ended it, is a cancellation once more: in a scope, and in none.
async fn stays_cancelled(future: impl Future) {
    let mut future = pin!(future);
    cancelled_in(future.as_mut()).await;
    let cancelled = catch_cancelled(future.as_mut()).await;
    cancelled.map(drop).expect_err("cancelled still").swallow();
    let again = timeout(secs(1.0), async {
        future.await;
    });
    again.await.expect("nobody waits for the deadline");
}

fn is_cancelled_again<F: Future>(future: impl FnOnce() -> F + 'static) -> impl Future {
    async {
        let waiter = create_local_task(async { stays_cancelled(future()).await });
        let started = asyncio::get_running_loop().time();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert_eq!(asyncio::get_running_loop().time(), started, "at once");
    }
}

#[asyncio::test]
async fn a_timeout() {
    is_cancelled_again(|| timeout(secs(60.0), pending::<()>())).await;
}

#[asyncio::test]
async fn a_timeout_round_a_timeout() {
    is_cancelled_again(|| timeout(secs(60.0), timeout(secs(30.0), pending::<()>()))).await;
}

#[asyncio::test]
async fn a_group() {
    let group = || {
        TaskGroup::<CancelledError>::scope(async |group: &TaskGroup<CancelledError>| {
            group.spawn(pending::<()>()).detach();
            pending::<()>().await;
            Ok(())
        })
    };
    is_cancelled_again(group).await;
}

#[asyncio::test]
async fn a_clean_up() {
    is_cancelled_again(|| with_finally(pending::<()>(), yield_now)).await;
}

#[asyncio::test]
async fn what_raises_again() {
    is_cancelled_again(|| async {
        catch_cancelled(pending::<()>()).await.unwrap_err().propagate::<()>().await;
    })
    .await;
}

#[asyncio::test]
async fn an_uncancellable_that_was_raised_through() {
    let caught = async {
        let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
        uncancellable(caught.propagate::<()>()).await;
    };
    is_cancelled_again(|| caught).await;
}

#[asyncio::test]
async fn a_timeout_whose_deadline_comes_later() {
    let waiter = create_local_task(async {
        let mut kept = pin!(timeout(secs(1.0), pending::<()>()));
        cancelled_in(kept.as_mut()).await;
        sleep(secs(2.0)).await;
        kept.await
    });
    assert!(waiter.await.unwrap_err().is_cancelled(), "that was no timeout");
}

/// A request that is raised waits for a clean-up beside; what it goes through is polled meanwhile.
#[asyncio::test]
async fn what_unwinds_stays_pending_meanwhile() {
    let went_on = Rc::new(Cell::new(false));
    let seen = went_on.clone();
    let waiter = create_local_task(async move {
        let beside = uncancellable(sleep(secs(5.0)));
        let unwinds = async {
            let mut items = async_generator(|_: asyncio::Yielder<u32>| pending());
            items.next().await;
            went_on.set(true);
        };
        let ticks = async {
            loop {
                sleep(secs(0.5)).await;
            }
        };
        race!(beside, unwinds, ticks);
    });
    sleep(secs(1.0)).await;
    waiter.cancel();
    assert!(waiter.await.unwrap_err().is_cancelled());
    assert!(!seen.get());
}

/// Nobody else knows of what `with_finally` has caught.
#[asyncio::test]
async fn a_clean_up_that_is_dropped_hands_the_request_on() {
    let waiter = create_local_task(async {
        let cleaned = with_finally(pending::<()>(), || sleep(secs(5.0)));
        race!(cleaned, sleep(secs(2.0)));
        sleep(secs(60.0)).await;
    });
    sleep(secs(1.0)).await;
    waiter.cancel();
    let started = asyncio::get_running_loop().time();
    assert!(waiter.await.unwrap_err().is_cancelled(), "it is not lost");
    assert_eq!(asyncio::get_running_loop().time() - started, secs(1.0));
}

#[asyncio::test]
async fn a_clean_up_that_is_dropped_hands_a_deadline_on() {
    let outcome = timeout(secs(1.0), async {
        let cleaned = with_finally(pending::<()>(), || sleep(secs(5.0)));
        race!(cleaned, sleep(secs(2.0)));
        sleep(secs(60.0)).await;
    });
    assert_eq!(outcome.await, Err(TimeoutError::default()));
    settle().await;
    assert_eq!(current_task().unwrap().cancelling(), 0);
}
