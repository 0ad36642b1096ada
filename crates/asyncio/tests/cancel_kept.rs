//! Awaits and scopes that outlive the place where they were polled: kept by `&mut` or pinned, they wait on in another place, or in none for a while.
//! What asks the place where they were reaches who is there now, and what asks them where they are now reaches them.

use asyncio::{
    CancelledError, Task, TimeoutError, catch_cancelled, create_task, current_task, race, secs,
    shield, sleep, timeout, uncancellable, with_finally, yield_now,
};
use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;

/// Polls `future` for some passes, and keeps it.
async fn for_a_while(future: impl Future) {
    race!(
        async {
            future.await;
        },
        async {
            for _ in 0..3 {
                yield_now().await;
            }
        }
    );
}

/// Says in `log` that it cleans up, with an await in it.
async fn cleans_up(log: Rc<Cell<u32>>) {
    with_finally(pending::<()>(), || async {
        yield_now().await;
        log.set(log.get() + 1);
    })
    .await;
}

#[asyncio::test]
async fn a_timeout_strikes_what_is_awaited_now_and_not_a_task_that_was() {
    let mut task = create_task(sleep(secs(60.0)));
    let outcome = timeout(secs(1.0), async {
        for_a_while(&mut task).await;
        sleep(secs(5.0)).await;
    });
    assert_eq!(outcome.await, Err(TimeoutError::default()));
    assert_eq!(current_task().unwrap().cancelling(), 0);
    assert!(task.await.is_ok(), "nobody has cancelled it");
}

#[asyncio::test]
async fn a_scope_that_is_kept_is_not_asked_in_its_former_place() {
    let log = Rc::new(Cell::new(0));
    let mut job = pin!(cleans_up(log.clone()));
    let outcome = timeout(secs(1.0), async {
        for_a_while(job.as_mut()).await;
        sleep(secs(5.0)).await;
    });
    assert_eq!(outcome.await, Err(TimeoutError::default()));
    assert_eq!(log.get(), 0);
    assert_eq!(timeout(secs(1.0), job).await, Err(TimeoutError::default()));
    assert_eq!(log.get(), 1);
}

#[asyncio::test]
async fn a_scope_that_moved_out_of_a_timeout_is_asked_where_it_is() {
    let log = Rc::new(Cell::new(0));
    let seen = log.clone();
    let waiter = asyncio::create_local_task(async move {
        let mut job = pin!(cleans_up(log));
        assert_eq!(timeout(secs(1.0), for_a_while(job.as_mut())).await, Ok(()));
        job.await;
    });
    sleep(secs(2.0)).await;
    waiter.cancel();
    assert!(waiter.await.unwrap_err().is_cancelled());
    assert_eq!(seen.get(), 1, "its clean-up has run");
}

#[asyncio::test]
async fn a_scope_that_moved_into_a_timeout_is_asked_by_it() {
    let log = Rc::new(Cell::new(0));
    let mut job = pin!(cleans_up(log.clone()));
    for_a_while(job.as_mut()).await;
    for so_many in 0..3 {
        assert_eq!(log.get(), 0, "after {so_many} timeouts that were in time");
        assert_eq!(timeout(secs(1.0), for_a_while(job.as_mut())).await, Ok(()));
    }
    assert_eq!(timeout(secs(1.0), job).await, Err(TimeoutError::default()));
    assert_eq!(log.get(), 1);
}

#[asyncio::test]
async fn a_body_of_a_group_is_interrupted_where_it_waits_now() {
    let mut kept = create_task(sleep(secs(60.0)));
    let group = asyncio::TaskGroup::scope(async |group: &asyncio::TaskGroup<&str>| {
        for_a_while(&mut kept).await;
        let failing = async {
            sleep(secs(1.0)).await;
            Err::<(), _>("failed")
        };
        group.create_task(failing).detach();
        sleep(secs(50.0)).await;
        Ok(())
    });
    let started = asyncio::get_running_loop().time();
    assert!(group.await.is_err());
    assert!(asyncio::get_running_loop().time() - started < secs(10.0), "interrupted");
    assert!(!kept.done());
    kept.abort();
}

#[asyncio::test]
async fn a_task_that_a_timeout_has_cancelled_gives_its_outcome_again() {
    let mut task = create_task(pending::<()>());
    assert!(timeout(secs(1.0), &mut task).await.is_err());
    assert!(task.await.unwrap_err().is_cancelled());

    let mut task = create_task(pending::<()>());
    let asker = current_task().unwrap();
    asyncio::get_running_loop().call_later(secs(1.0), move || assert!(asker.cancel()));
    catch_cancelled(&mut task).await.unwrap_err().swallow();
    current_task().unwrap().uncancel();
    assert!(shield(task).await.unwrap_err().is_cancelled());
}

#[asyncio::test]
async fn a_task_that_was_cancelled_in_one_waiter_gives_its_outcome_to_another() {
    let mut task = create_task(pending::<()>());
    assert!(timeout(secs(1.0), &mut task).await.is_err());
    let other = create_task(async move { task.await.unwrap_err().is_cancelled() });
    assert!(other.await.unwrap());
}

#[asyncio::test]
async fn a_cancel_in_the_first_poll_of_a_timeout_goes_on() {
    let waiter = create_task(async {
        timeout(secs(1.0), async {
            current_task().unwrap().cancel();
            let cancelled = catch_cancelled(sleep(secs(9.0))).await.unwrap_err();
            sleep(secs(5.0)).await;
            cancelled.propagate::<()>().await;
        })
        .await
    });
    assert!(waiter.await.unwrap_err().is_cancelled());
}

#[asyncio::test]
async fn what_another_task_was_cancelled_with_is_not_the_timeouts_here() {
    let caught: Task<CancelledError> = create_task(async {
        let mut caught = None;
        let _late = timeout(secs(1.0), async {
            caught = Some(catch_cancelled(pending::<()>()).await.unwrap_err());
        })
        .await;
        caught.unwrap()
    });
    let caught = caught.await.unwrap();
    let waiter = create_task(async move { timeout(secs(10.0), caught.propagate::<()>()).await });
    assert!(waiter.await.unwrap_err().is_cancelled(), "no timeout was late here");
}

#[asyncio::test]
async fn one_request_that_two_could_answer_comes_once() {
    let child = create_task(sleep(secs(60.0)));
    let answered = Rc::new(Cell::new(0));
    let seen = answered.clone();
    let waiter = asyncio::create_local_task(async move {
        race!(
            async {
                let _ = child.await;
            },
            async {
                catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                answered.set(1);
            }
        );
        sleep(secs(1.0)).await;
        answered.set(2);
    });
    sleep(secs(1.0)).await;
    waiter.cancel();
    assert!(waiter.await.is_ok(), "it was answered");
    assert_eq!(seen.get(), 2);
}

/// What is held back is no await that was left.
#[asyncio::test]
async fn a_request_that_is_held_back_comes_after_it() {
    let waiter = create_task(async {
        uncancellable(sleep(secs(5.0))).await;
        sleep(secs(5.0)).await;
    });
    sleep(secs(1.0)).await;
    let started = asyncio::get_running_loop().time();
    waiter.cancel();
    assert!(waiter.await.unwrap_err().is_cancelled());
    assert_eq!(asyncio::get_running_loop().time() - started, secs(4.0));
}

#[asyncio::test]
async fn what_holds_back_and_is_kept_holds_nothing_back() {
    let waiter = asyncio::create_local_task(async {
        let mut clean_up = pin!(uncancellable(pending::<()>()));
        for_a_while(clean_up.as_mut()).await;
        sleep(secs(60.0)).await;
    });
    sleep(secs(1.0)).await;
    let started = asyncio::get_running_loop().time();
    waiter.cancel();
    assert!(waiter.await.unwrap_err().is_cancelled());
    assert_eq!(asyncio::get_running_loop().time(), started);
}
