//! Timeouts in timeouts, and in groups: who speaks when several have struck.
//!
//! In asyncio each that has struck counts one request more, and one that finds more when it ends than there were when it began lets the cancellation pass.
//! So of those that have struck the outermost speaks, whatever was caught meanwhile and in whatever order. The tables were compared with CPython 3.11 and 3.13, which agree.

mod together;

use asyncio::sim::rng;
use asyncio::{
    CancelledError, Deadline, TaskGroup, TimeoutError, catch_cancelled, now, run, secs, sleep,
    sometimes, timeout, timeout_scope,
};
use std::cell::RefCell;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use together::Oops;

/// How the innermost body ends, once it has caught what it was to catch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    RaisesTheLast,
    RaisesTheFirst,
    /// Its clean-up is ended by the last request, which it does not catch.
    IsEnded,
    Swallows,
    Fails,
}

/// What a level of timeouts said.
type Said = Result<Result<(), Oops>, TimeoutError>;

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Lets the deadlines strike one after the other, in this order, and catches what comes.
async fn body(deadlines: [Deadline; 3], order: &[usize], end: End) -> Result<(), Oops> {
    let mut caught: Vec<CancelledError> = Vec::new();
    for (turn, &level) in order.iter().enumerate() {
        deadlines[level].reschedule(now()).unwrap();
        if end == End::IsEnded && turn + 1 == order.len() {
            pending::<()>().await;
        }
        caught.push(catch_cancelled(pending::<()>()).await.unwrap_err());
    }
    match end {
        End::RaisesTheLast => caught.pop().unwrap().propagate().await,
        End::RaisesTheFirst => caught.swap_remove(0).propagate().await,
        End::IsEnded => unreachable!("the last request was not caught"),
        End::Swallows => Ok(()),
        End::Fails => Err(Oops::Value),
    }
}

/// Three levels, 0 the outermost: what each that went on said.
async fn three(order: &[usize], end: End) -> Vec<(usize, Said)> {
    let log = RefCell::new(Vec::new());
    let note = |level, said: Said| {
        log.borrow_mut().push((level, said));
        said.unwrap_or(Ok(()))
    };
    let outermost = timeout_scope(None, async |zero| {
        let middle = timeout_scope(None, async |one| {
            let inner =
                timeout_scope(None, async |two| body([zero.clone(), one, two], order, end).await);
            note(2, inner.await)
        });
        note(1, middle.await)
    });
    let said = outermost.await;
    let _ = note(0, said);
    log.into_inner()
}

/// What asyncio says to that.
fn expected(struck: &[usize], end: End) -> Vec<(usize, Said)> {
    match end {
        End::Swallows => [2, 1, 0].map(|level| (level, Ok(Ok(())))).into(),
        End::Fails => [2, 1, 0].map(|level| (level, Ok(Err(Oops::Value)))).into(),
        _ => {
            let speaker = *struck.iter().min().unwrap();
            let said =
                |level| if level == speaker { Err(TimeoutError::default()) } else { Ok(Ok(())) };
            (0..=speaker).rev().map(|level| (level, said(level))).collect()
        }
    }
}

/// Contract §4.5: the outermost that has struck speaks, in every order of three, with every part of what they ask caught.
#[test]
fn of_those_that_have_struck_the_outermost_speaks() {
    let ends = [End::RaisesTheLast, End::RaisesTheFirst, End::IsEnded, End::Swallows, End::Fails];
    run(async {
        for order in ORDERS {
            for struck in (1..=3).map(|count| &order[..count]) {
                for end in ends {
                    let said = three(struck, end).await;
                    assert_eq!(said, expected(struck, end), "{struck:?} {end:?}");
                }
            }
        }
    });
}

/// Contract §4.5: those that strike in one pass are one request.
#[test]
fn of_those_that_strike_in_one_pass_the_outermost_speaks() {
    run(async {
        for (first, second) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
            let passed = AtomicBool::new(false);
            let outcome = timeout_scope(None, async |zero| {
                let middle = timeout_scope(None, async |one| {
                    timeout_scope(None, async |two| {
                        let deadlines = [&zero, &one, &two];
                        let moment = now();
                        deadlines[first].reschedule(moment).unwrap();
                        deadlines[second].reschedule(moment).unwrap();
                        catch_cancelled(pending::<()>()).await.unwrap_err().propagate::<()>().await;
                    })
                    .await
                });
                let said = middle.await;
                passed.store(true, SeqCst);
                said
            });
            let outcome = outcome.await;
            let speaker = first.min(second);
            assert_eq!(outcome.is_err(), speaker == 0, "{first} {second}");
            assert_eq!(passed.load(SeqCst), speaker != 0);
            if let Ok(middle) = outcome {
                assert_eq!(middle, Err(TimeoutError::default()), "{first} {second}");
            }
        }
    });
}

/// Contract §4.5: it is the requests since it began that count: in the clean-up of another's body a timeout is what it always is.
#[test]
fn one_that_begins_in_a_clean_up_speaks_for_itself() {
    run(async {
        let outcome = timeout_scope(None, async |outer| {
            outer.reschedule(now()).unwrap();
            let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
            let inner = timeout_scope(None, async |inner| {
                inner.reschedule(now()).unwrap();
                pending::<()>().await;
            });
            assert_eq!(inner.await, Err(TimeoutError::default()));
            caught.propagate::<()>().await
        });
        assert_eq!(outcome.await, Err(TimeoutError::default()));
    });
}

/// Contract §4.5 and §5: a group whose child has failed asks its body to end; a timeout in there that ends the clean-up after that lets it go on.
#[test]
fn a_timeout_does_not_keep_the_body_of_a_failed_group() {
    run(async {
        let went_on = AtomicBool::new(false);
        let outcome = TaskGroup::<Oops>::scope(async |tg| {
            tg.create_task(async { Err::<(), _>(Oops::Value) }).detach();
            let inner = timeout_scope(None, async |deadline| {
                catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                deadline.reschedule(now()).unwrap();
                pending::<()>().await;
            });
            let _ = inner.await;
            went_on.store(true, SeqCst);
            Ok(())
        });
        assert_eq!(outcome.await.unwrap_err().exceptions(), [Oops::Value]);
        assert!(!went_on.load(SeqCst));
    });
}

/// With the clock: an outer deadline, an inner one, and clean-ups that outlast them, each with the time it is drawn.
#[asyncio::test(seeds = 300)]
async fn deadlines_that_outlast_clean_ups() {
    let draw = || rng().below(6) as f64;
    let (outer, inner) = (1.0 + draw(), 1.5 + draw());
    let clean_ups = [draw(), draw()];
    let begin = now();
    let inner_spoke = AtomicBool::new(false);
    let outcome = timeout(secs(outer), async {
        let said = timeout(secs(inner), async {
            let mut last = catch_cancelled(sleep(secs(20.0))).await.unwrap_err();
            for clean_up in clean_ups {
                match catch_cancelled(sleep(secs(clean_up))).await {
                    Ok(()) => break,
                    Err(another) => last = another,
                }
            }
            last.propagate::<()>().await
        });
        let said = said.await;
        inner_spoke.store(true, SeqCst);
        said
    });
    let outcome = outcome.await;
    let ended = now() - begin;
    let outer_struck = ended >= secs(outer);
    sometimes!("both have struck", outer_struck && ended >= secs(inner));
    sometimes!("the inner one alone", !outer_struck);
    assert_eq!(outcome.is_err(), outer_struck);
    assert_eq!(inner_spoke.load(SeqCst), !outer_struck);
}
