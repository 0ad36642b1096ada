//! `FuturesUnordered`, which polls only what was woken, with wakers of its own, and gives way after a few that wake themselves; and the macros of
//! `futures`.

mod common;
mod log;

use asyncio::{
    TimeoutError, catch_cancelled, create_task, race, secs, timeout, uncancellable, with_finally,
    yield_now,
};
use common::{settle, with_workers};
use futures_util::stream::{FuturesUnordered, StreamExt};
use log::Log;
use std::future::pending;

#[test]
fn a_cancel_reaches_every_scope_inside() {
    with_workers(|| async {
        let (log, inner) = (Log::default(), Log::default());
        let said = inner.clone();
        let task = create_task(async move {
            let futures: FuturesUnordered<_> = ["a", "b", "c"]
                .into_iter()
                .map(|name| {
                    let log = said.clone();
                    async move {
                        let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
                        // A clean-up that waits: polled by a waker of the list's again.
                        yield_now().await;
                        log.say(name);
                        caught.swallow();
                        name
                    }
                })
                .collect();
            futures.count().await
        });
        settle().await;
        assert!(task.cancel_with("enough"));
        assert_eq!(task.await.unwrap(), 3, "each answered with a value");
        assert_eq!((inner.sorted(), log.sorted()), (vec!["a", "b", "c"], vec![]));
    });
}

#[test]
fn without_scopes_it_is_dropped_where_it_waits() {
    with_workers(|| async {
        let log = Log::default();
        let inner = log.clone();
        let task = create_task(async move {
            let mut futures = FuturesUnordered::new();
            for name in ["a", "b"] {
                let guard = inner.on_drop(name);
                futures.push(async move {
                    pending::<()>().await;
                    drop(guard);
                });
            }
            futures.next().await;
            inner.say("went on");
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.sorted(), ["a", "b"]);
    });
}

/// Tasks awaited by value inside: each is cancelled, and its clean-up awaited, before the one who waits for them ends.
#[test]
fn a_cancel_goes_on_to_awaited_tasks() {
    with_workers(|| async {
        let log = Log::default();
        let inner = log.clone();
        let task = create_task(async move {
            let children: FuturesUnordered<_> = ["a", "b"]
                .into_iter()
                .map(|name| {
                    let log = inner.clone();
                    create_task(with_finally(pending::<()>(), move || async move {
                        yield_now().await;
                        log.say(name);
                    }))
                })
                .collect();
            children.count().await
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.sorted(), ["a", "b"]);
    });
}

/// One branch raises: a sibling at a clean-up that holds back is waited for, one without a say is dropped.
#[test]
fn what_one_raises_waits_for_the_clean_ups_of_the_others() {
    with_workers(|| async {
        let log = Log::default();
        let inner = log.clone();
        let task = create_task(async move {
            let cleaned = inner.clone();
            let tidy = with_finally(pending::<()>(), move || async move {
                for _ in 0..3 {
                    yield_now().await;
                }
                cleaned.say("cleaned up");
            });
            let guard = inner.on_drop("dropped");
            let plain = async move {
                let _guard = guard;
                pending::<()>().await;
            };
            let raises = async {
                catch_cancelled(pending::<()>()).await.unwrap_err().propagate::<()>().await;
            };
            let mut futures = FuturesUnordered::new();
            let boxed: [std::pin::Pin<Box<dyn Future<Output = ()> + Send>>; 3] =
                [Box::pin(tidy), Box::pin(plain), Box::pin(raises)];
            futures.extend(boxed);
            futures.count().await
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.sorted(), ["cleaned up", "dropped"]);
    });
}

#[test]
fn a_deadline_asks_the_scopes_inside() {
    with_workers(|| async {
        let scopes: FuturesUnordered<_> = (0..3)
            .map(|n| async move {
                catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                n
            })
            .collect();
        let mut answers = timeout(secs(0.001), scopes.collect::<Vec<i32>>()).await.unwrap();
        answers.sort_unstable();
        assert_eq!(answers, [0, 1, 2]);
        let futures: FuturesUnordered<_> = (0..3).map(|_| pending::<()>()).collect();
        assert_eq!(timeout(secs(0.001), futures.count()).await, Err(TimeoutError::default()));
    });
}

#[test]
fn a_request_is_not_lost_with_a_branch_of_select_that_loses() {
    with_workers(|| async {
        let (sender, receiver) = futures_channel::oneshot::channel::<()>();
        let task = create_task(async move {
            let scope = Box::pin(catch_cancelled(pending::<()>()));
            let first = futures_util::future::select(receiver, scope).await;
            assert!(matches!(first, futures_util::future::Either::Left(_)));
            drop(first);
            catch_cancelled(pending::<()>()).await.is_err()
        });
        settle().await;
        // Both before the task has its turn: the receiver wins, and the scope is dropped with the request.
        sender.send(()).unwrap();
        task.cancel();
        assert!(task.await.unwrap(), "the next scope has it");
    });
}

#[test]
fn join_hears_in_both_branches() {
    with_workers(|| async {
        let task = create_task(async {
            let scope = || async { catch_cancelled(pending::<()>()).await.is_err() };
            futures_util::join!(scope(), scope())
        });
        settle().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), (true, true));
    });
}

/// More than it polls in one turn.
#[test]
fn a_cancel_reaches_every_one_of_many_that_clean_up_in_turns() {
    with_workers(|| async {
        let task = create_task(async move {
            let scopes = (0..100).map(|_| async {
                let caught = catch_cancelled(pending::<()>()).await.is_err();
                for _ in 0..10 {
                    yield_now().await;
                }
                usize::from(caught)
            });
            let scopes: FuturesUnordered<_> = scopes.collect();
            scopes.fold(0, |all, one| async move { all + one }).await
        });
        settle().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), 100);
    });
}

/// One of its futures is at a clean-up, another raises, and nobody polls it any more: what was raised does not wait for ever.
#[test]
fn a_clean_up_in_one_that_is_not_polled_any_more_is_not_waited_for() {
    with_workers(|| async {
        let task = create_task(async move {
            let mut futures = FuturesUnordered::new();
            futures.push(uncancellable(pending::<()>()));
            race!(
                async {
                    futures.next().await;
                },
                async {
                    for _ in 0..3 {
                        yield_now().await;
                    }
                }
            );
            let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
            caught.propagate::<()>().await;
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// While it is polled it is.
#[test]
fn a_clean_up_that_takes_long_is_waited_for() {
    with_workers(|| async {
        let log = Log::default();
        let inner = log.clone();
        let task = create_task(async move {
            let long = async move {
                uncancellable(async {
                    for _ in 0..100 {
                        asyncio::sleep(secs(0.0002)).await;
                    }
                    inner.say("cleaned up");
                })
                .await;
            };
            let raises = async {
                catch_cancelled(pending::<()>()).await.unwrap_err().propagate::<()>().await;
            };
            let busy = async {
                for _ in 0..1000 {
                    yield_now().await;
                }
            };
            let mut futures = FuturesUnordered::new();
            let boxed: [std::pin::Pin<Box<dyn Future<Output = ()> + Send>>; 3] =
                [Box::pin(long), Box::pin(raises), Box::pin(busy)];
            futures.extend(boxed);
            futures.count().await
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.sorted(), ["cleaned up"]);
    });
}
