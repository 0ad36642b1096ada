//! After CPython's `test_futures.py`: the settable future and its done-callbacks.
//!
//! Not ported:
//!
//! | CPython | why |
//! |---|---|
//! | `test_constructor_positional`, `test_generic_alias`, `test_uninitialized`, `test_inherit_without_calling_super_init`, `test_isfuture`, `test_log_traceback` | types, or CPython's insides |
//! | `test_stop_iteration_exception*`, `test_future_stop_iteration_args`, `test_future_iter_throw`, `test_iter`, `test_yield_from_twice` | generators |
//! | `test_future_*_segfault`, `test_future_del_collect` | CPython's garbage collector |
//! | `test_wrap_future*` | in `test_executors.rs` |
//! | `test_copy_state` | in `test_executors.rs` |
//! | `test_ensure_future` | a settable future becomes a task, as everything that is none |
//! | `*_list_clear`, `test_schedule_callbacks_list_mutation_2` | callbacks are removed by id: no user code runs while they are looked for |
//!
//! Adapted: `remove_done_callback` takes the id that `add_done_callback` gave and answers whether there was one.

mod common;

use asyncio::{
    CallbackId, CancelledError, EventLoop, Future, FutureError, create_task, run, set_event_loop,
};
use common::{Log, loop_in_order, new_loop, one_pass, panic_message, reports, settle};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

type IntFuture = Future<i32, Failure>;

/// An error of the tests' own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure(&'static str);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Failure {}

fn with_loop<R>(code: impl FnOnce(&EventLoop) -> R) -> R {
    with(new_loop(), code)
}

fn with_loop_in_order<R>(code: impl FnOnce(&EventLoop) -> R) -> R {
    with(loop_in_order(), code)
}

fn with<R>(event_loop: EventLoop, code: impl FnOnce(&EventLoop) -> R) -> R {
    let result = code(&event_loop);
    event_loop.close().unwrap();
    result
}

// ----- making

/// CPython test_futures: test_constructor_without_loop
#[test]
fn a_future_needs_a_loop() {
    let message = panic_message(IntFuture::new);
    assert!(message.starts_with("there is no current event loop in thread"), "{message}");
}

/// CPython test_futures: test_constructor_use_running_loop
#[test]
fn a_future_belongs_to_the_running_loop() {
    with_loop(|event_loop| {
        let [future] = event_loop.run_until_complete(async { [IntFuture::new()] }).unwrap();
        assert_eq!(future.get_loop(), *event_loop);
    });
}

/// CPython test_futures: test_constructor_use_global_loop
#[test]
fn a_future_made_before_the_run_belongs_to_the_loop_that_was_set() {
    with_loop(|event_loop| {
        set_event_loop(Some(event_loop));
        assert_eq!(IntFuture::new().get_loop(), *event_loop);
        set_event_loop(None);
    });
}

// ----- states

/// CPython test_futures: test_initial_state
#[test]
fn a_new_future_is_pending() {
    with_loop(|event_loop| {
        let future: IntFuture = event_loop.create_future();
        assert!(!future.cancelled() && !future.done());
        assert!(future.cancel());
        assert!(future.cancelled());
    });
}

/// CPython test_futures: test_cancel
#[test]
fn a_cancelled_future_stays_cancelled() {
    with_loop(|event_loop| {
        let future: IntFuture = event_loop.create_future();
        assert!(future.cancel());
        assert!(future.cancelled() && future.done());
        let cancelled = CancelledError::default();
        assert_eq!(future.result(), Ok(Err(FutureError::Cancelled(cancelled.clone()))));
        assert_eq!(future.exception(), Ok(Err(cancelled)));
        future.set_result(1).unwrap_err();
        future.set_exception(Failure("late")).unwrap_err();
        assert!(!future.cancel());
    });
}

/// CPython test_futures: test_result
#[test]
fn a_result_is_set_once() {
    with_loop(|event_loop| {
        let future: IntFuture = event_loop.create_future();
        assert_eq!(future.result().unwrap_err().to_string(), "Result is not ready.");
        future.set_result(42).unwrap();
        assert!(!future.cancelled() && future.done());
        assert_eq!(future.result(), Ok(Ok(42)));
        assert_eq!(future.exception(), Ok(Ok(None)));
        future.set_result(43).unwrap_err();
        future.set_exception(Failure("late")).unwrap_err();
        assert!(!future.cancel());
        assert_eq!(future.result(), Ok(Ok(42)));
    });
}

/// CPython test_futures: test_exception
#[test]
fn an_exception_is_set_once() {
    with_loop(|event_loop| {
        let future: IntFuture = event_loop.create_future();
        assert_eq!(future.exception().unwrap_err().to_string(), "Exception is not set.");
        future.set_exception(Failure("no")).unwrap();
        assert!(!future.cancelled() && future.done());
        assert_eq!(future.result(), Ok(Err(FutureError::Exception(Failure("no")))));
        assert_eq!(future.exception(), Ok(Ok(Some(Failure("no")))));
        future.set_result(1).unwrap_err();
        future.set_exception(Failure("again")).unwrap_err();
        assert!(!future.cancel());
    });
}

/// CPython test_futures: test_exception_class
///
/// What is turned into an instance there is converted here.
#[test]
fn an_exception_is_converted() {
    with_loop(|event_loop| {
        let future: Future<i32, String> = event_loop.create_future();
        future.set_exception("a text").unwrap();
        assert_eq!(future.exception(), Ok(Ok(Some("a text".to_owned()))));
        let future: Future<i32> = event_loop.create_future();
        future.set_exception(Box::from(Failure("boxed"))).unwrap();
        assert_eq!(future.exception().unwrap().unwrap().unwrap().to_string(), "boxed");
    });
}

/// CPython test_futures: test_future_cancel_message_getter, test_future_cancel_message_setter
#[test]
fn a_cancellation_carries_its_message() {
    with_loop(|event_loop| {
        let future: IntFuture = event_loop.create_future();
        assert!(future.cancel_with("my message"));
        assert!(!future.cancel_with("too late"));
        let error = future.exception().unwrap().unwrap_err();
        assert_eq!(error.message(), Some("my message"));
        // Also for who awaits it.
        let waited = event_loop.run_until_complete(future).unwrap().unwrap_err();
        assert_eq!(waited, FutureError::Cancelled(error));
    });
}

/// CPython test_futures: test_future_repr
#[test]
fn the_debug_text_is_asyncios() {
    with_loop(|event_loop| {
        let future = || event_loop.create_future::<i32, Failure>();
        assert_eq!(format!("{:?}", future()), "<Future pending>");
        let cancelled = future();
        cancelled.cancel();
        assert_eq!(format!("{cancelled:?}"), "<Future cancelled>");
        let finished = future();
        finished.set_result(4).unwrap();
        assert_eq!(format!("{finished:?}"), "<Future finished result=4>");
        let failed = future();
        failed.set_exception(Failure("no")).unwrap();
        assert_eq!(format!("{failed:?}"), "<Future finished exception=Failure(\"no\")>");
        failed.cancel();
    });
}

/// CPython test_futures: test_future_repr, test_future_source_traceback
#[test]
fn the_debug_text_names_callbacks() {
    with_loop(|event_loop| {
        let future: IntFuture = event_loop.create_future();
        let shown_with = |more| {
            for _ in 0..more {
                future.add_done_callback(|_| ());
            }
            format!("{future:?}")
        };
        let place = format!("{}:{}:", file!(), line!() - 4);
        let one = shown_with(1);
        let place_of = |text: &str| {
            Some(text.strip_prefix("<Future pending cb=[")?.strip_suffix("]>")?.to_owned())
        };
        let cb = place_of(&one).unwrap();
        assert!(cb.starts_with(&place), "{one}");
        assert_eq!(shown_with(1), format!("<Future pending cb=[{cb}, {cb}]>"));
        assert_eq!(shown_with(8), format!("<Future pending cb=[{cb}, <8 more>, {cb}]>"));
        future.cancel();
        assert_eq!(format!("{future:?}"), "<Future cancelled>");
    });
}

// ----- awaiting

/// The contract's row of await: done gives its outcome at once without yielding.
#[test]
fn awaiting_a_done_future_does_not_yield() {
    with_loop(|event_loop| {
        let log = Log::new();
        let note = log.clone();
        event_loop
            .run_until_complete(async move {
                let future: IntFuture = asyncio::get_running_loop().create_future();
                future.set_result(7).unwrap();
                asyncio::get_running_loop().call_soon(note.note("yielded"));
                for _ in 0..3 {
                    assert_eq!(future.clone().await, Ok(7));
                }
                assert!(note.take().is_empty());
            })
            .unwrap();
        assert_eq!(log.take(), ["yielded"]);
    });
}

/// The contract's row of await: several tasks may await one future, and wake in the order in which they began.
///
/// [C]: they also begin and run in it.
#[test]
fn waiters_wake_in_the_order_in_which_they_began() {
    with_loop_in_order(|event_loop| {
        let log = Log::new();
        let future: IntFuture = event_loop.create_future();
        for waiter in 0..10 {
            let (future, note) = (future.clone(), log.clone());
            event_loop.create_task(async move { note.push((waiter, future.await)) }).detach();
        }
        one_pass(event_loop);
        future.set_result(1).unwrap();
        assert!(log.take().is_empty());
        one_pass(event_loop);
        assert_eq!(log.take(), (0..10).map(|waiter| (waiter, Ok(1))).collect::<Vec<_>>());
    });
}

/// Row 2 of the contract's chapter 0.4: the new state is visible before any waiter or callback runs.
#[test]
fn the_state_is_visible_before_anybody_is_told() {
    with_loop(|event_loop| {
        let log = Log::new();
        let future: IntFuture = event_loop.create_future();
        let (waiting, note) = (future.clone(), log.clone());
        event_loop
            .create_task(async move {
                let seen = waiting.clone();
                let got = waiting.await;
                note.push((seen.done(), got));
            })
            .detach();
        let note = log.clone();
        future.add_done_callback(move |future| {
            note.push((future.done(), future.result().unwrap()));
        });
        one_pass(event_loop);
        future.set_result(3).unwrap();
        one_pass(event_loop);
        assert_eq!(log.take(), [(true, Ok(3)), (true, Ok(3))]);
    });
}

/// A dropped await leaves nothing behind and takes nothing.
#[test]
fn a_dropped_await_changes_nothing() {
    with_loop(|event_loop| {
        let future: IntFuture = event_loop.create_future();
        let (waker, foreign) = common::Foreign::waker(false);
        let mut cx = Context::from_waker(&waker);
        let mut lost = future.clone();
        assert!(Pin::new(&mut lost).poll_pending(&mut cx));
        drop(lost);
        assert_eq!(Arc::strong_count(&foreign), 2, "the waker is gone but for ours");
        let mut kept = future.clone();
        assert!(Pin::new(&mut kept).poll_pending(&mut cx));
        future.set_result(1).unwrap();
        assert_eq!(foreign.wakes.load(std::sync::atomic::Ordering::SeqCst), 1);
        assert_eq!(event_loop.run_until_complete(kept).unwrap(), Ok(1));
    });
}

/// Polls once and says whether it is pending.
trait PollPending {
    fn poll_pending(self, cx: &mut Context<'_>) -> bool;
}

impl<F: std::future::Future> PollPending for Pin<&mut F> {
    fn poll_pending(self, cx: &mut Context<'_>) -> bool {
        matches!(self.poll(cx), Poll::Pending)
    }
}

/// An awaited future that was moved to another waker wakes the last one only.
#[test]
fn the_last_waker_counts() {
    with_loop(|event_loop| {
        let mut future: IntFuture = event_loop.create_future();
        let setter = future.clone();
        let (first, stale) = common::Foreign::waker(false);
        let (second, fresh) = common::Foreign::waker(false);
        for waker in [&first, &second] {
            assert!(Pin::new(&mut future).poll_pending(&mut Context::from_waker(waker)));
        }
        setter.set_result(1).unwrap();
        let wakes = |f: &common::Foreign| f.wakes.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!((wakes(&stale), wakes(&fresh)), (0, 1));
    });
}

/// `take` moves out what cannot be cloned, once.
#[test]
fn an_outcome_that_cannot_be_cloned_is_taken() {
    #[derive(Debug, PartialEq)]
    struct NotClone(u8);
    with_loop(|event_loop| {
        let future: Future<NotClone, Failure> = event_loop.create_future();
        let setter = future.clone();
        event_loop.call_soon(move || setter.set_result(NotClone(1)).unwrap());
        assert_eq!(event_loop.run_until_complete(future.clone().take()).unwrap(), Ok(NotClone(1)));
        assert!(future.done());
        let message = panic_message(|| event_loop.run_until_complete(future.take()));
        assert_eq!(message, "the outcome of the future was taken");
    });
}

/// What is awaited may belong to another loop, and may be set by any thread.
#[test]
fn a_future_of_another_loop_can_be_awaited() {
    with_loop(|event_loop| {
        with_loop(|other| {
            for _ in 0..100 {
                let future: IntFuture = other.create_future();
                let setter = future.clone();
                thread::scope(|scope| {
                    scope.spawn(|| setter.set_result(9).unwrap());
                    let mut awaits = event_loop.create_task(future);
                    let got = event_loop.run_until_complete(&mut awaits).unwrap();
                    assert_eq!(got.unwrap(), Ok(9));
                });
            }
        });
    });
}

/// Eight threads set one future: exactly one succeeds, and that is what everybody sees.
#[test]
fn of_many_setters_one_wins() {
    with_loop(|event_loop| {
        for _ in 0..100 {
            let future: IntFuture = event_loop.create_future();
            let won: Vec<bool> = thread::scope(|scope| {
                let set = |n| {
                    let future = &future;
                    scope.spawn(move || match n % 3 {
                        0 => future.set_result(n).is_ok(),
                        1 => future.set_exception(Failure("thread")).is_ok(),
                        _ => future.cancel(),
                    })
                };
                let threads: Vec<_> = (0..4).map(set).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(won.iter().filter(|&&won| won).count(), 1);
            let winner = won.iter().position(|&won| won).unwrap() as i32;
            let expected = match winner % 3 {
                0 => Ok(winner),
                1 => Err(FutureError::Exception(Failure("thread"))),
                _ => Err(FutureError::Cancelled(CancelledError::default())),
            };
            assert_eq!(event_loop.run_until_complete(future).unwrap(), expected);
        }
    });
}

// ----- done-callbacks

fn note(future: &IntFuture, log: &Log<i32>, entry: i32) -> CallbackId {
    future.add_done_callback(log.noted(entry))
}

/// CPython test_futures: test_callbacks_invoked_on_set_result
#[test]
fn callbacks_run_in_the_order_of_registration() {
    with_loop(|event_loop| {
        let (future, log): (IntFuture, _) = (event_loop.create_future(), Log::new());
        note(&future, &log, 42);
        note(&future, &log, 17);
        future.set_result(1).unwrap();
        // Queued, never called inside the call that finishes the future.
        assert!(log.take().is_empty());
        one_pass(event_loop);
        assert_eq!(log.take(), [42, 17]);
        one_pass(event_loop);
        assert!(log.take().is_empty(), "each exactly once");
    });
}

/// CPython test_futures: test_callbacks_invoked_on_set_exception
#[test]
fn callbacks_run_for_every_kind_of_end() {
    with_loop(|event_loop| {
        for end in [
            (|future| future.set_exception(Failure("no")).unwrap()) as fn(&IntFuture),
            |future| assert!(future.cancel()),
            |future| future.set_result(1).unwrap(),
        ] {
            let (future, log): (IntFuture, _) = (event_loop.create_future(), Log::new());
            note(&future, &log, 100);
            end(&future);
            one_pass(event_loop);
            assert_eq!(log.take(), [100]);
            future.cancel();
        }
    });
}

/// The contract's row of `add_done_callback`: on a done future it is queued at once, not called inside the call.
#[test]
fn a_callback_for_a_done_future_is_queued_at_once() {
    with_loop(|event_loop| {
        let (future, log): (IntFuture, _) = (event_loop.create_future(), Log::new());
        future.set_result(1).unwrap();
        event_loop.call_soon(log.note(1));
        note(&future, &log, 2);
        event_loop.call_soon(log.note(3));
        assert!(log.take().is_empty());
        one_pass(event_loop);
        assert_eq!(log.take(), [1, 2, 3]);
    });
}

/// A callback gets the future it was registered with, and may register more.
///
/// [C]: they come one pass after the other.
#[test]
fn a_callback_gets_the_future() {
    with_loop_in_order(|event_loop| {
        let (future, log): (IntFuture, _) = (event_loop.create_future(), Log::new());
        let notes = log.clone();
        future.add_done_callback(move |future| {
            notes.push(future.result().unwrap().unwrap());
            note(future, &notes, 6);
        });
        future.set_result(5).unwrap();
        one_pass(event_loop);
        assert_eq!(log.take(), [5]);
        one_pass(event_loop);
        assert_eq!(log.take(), [6]);
    });
}

/// CPython test_futures: test_callbacks_remove_first_callback, test_callbacks_remove_first_and_second_callback, test_callbacks_remove_third_callback
#[test]
fn removed_callbacks_do_not_run() {
    with_loop(|event_loop| {
        for (remove, left) in
            [(&[0][..], &[17, 100][..]), (&[0, 1], &[100]), (&[2], &[42, 17]), (&[0, 1, 2], &[])]
        {
            let (future, log): (IntFuture, _) = (event_loop.create_future(), Log::new());
            let ids = [42, 17, 100].map(|entry| note(&future, &log, entry));
            for &index in remove {
                assert!(future.remove_done_callback(ids[index]));
                assert!(!future.remove_done_callback(ids[index]));
            }
            future.set_result(1).unwrap();
            one_pass(event_loop);
            assert_eq!(log.take(), left);
        }
    });
}

/// CPython test_futures: test_remove_done_callback
#[test]
fn removing_answers_whether_there_was_one() {
    with_loop(|event_loop| {
        let (future, log): (IntFuture, _) = (event_loop.create_future(), Log::new());
        let first = note(&future, &log, 1);
        let second = note(&future, &log, 2);
        assert!(future.remove_done_callback(second));
        assert!(!future.remove_done_callback(second));
        let again = note(&future, &log, 2);
        assert_ne!(again, second);
        let ones: Vec<_> = (0..5).map(|_| note(&future, &log, 1)).collect();
        assert!(ones.into_iter().chain([first]).all(|id| future.remove_done_callback(id)));
        future.set_result(1).unwrap();
        one_pass(event_loop);
        assert_eq!(log.take(), [2]);
    });
}

/// CPython test_futures: test_schedule_callbacks_list_mutation_1
#[test]
fn a_queued_callback_cannot_be_removed() {
    with_loop(|event_loop| {
        let (future, log): (IntFuture, _) = (event_loop.create_future(), Log::new());
        let ids = Arc::new(std::sync::Mutex::new(Vec::new()));
        let later = ids.clone();
        future.add_done_callback(move |future| {
            let removed = later.lock().unwrap().drain(..).any(|id| future.remove_done_callback(id));
            assert!(!removed);
        });
        ids.lock().unwrap().extend([1, 2].map(|entry| note(&future, &log, entry)));
        future.set_result(1).unwrap();
        one_pass(event_loop);
        assert_eq!(log.take(), [1, 2]);
    });
}

/// Callbacks of a future may be added while other threads finish it: each runs exactly once, in its order.
#[test]
fn callbacks_added_during_the_end_run_once() {
    with_loop(|event_loop| {
        for _ in 0..200 {
            let (future, log): (IntFuture, _) = (event_loop.create_future(), Log::new());
            thread::scope(|scope| {
                scope.spawn(|| future.set_result(1).unwrap());
                for entry in 0..5 {
                    note(&future, &log, entry);
                }
            });
            event_loop.run_until_complete(settle()).unwrap();
            assert_eq!(log.take(), [0, 1, 2, 3, 4]);
        }
    });
}

// ----- errors nobody looked at

/// What was reported about a future that `code` made and dropped.
fn reported(code: impl FnOnce(IntFuture)) -> Vec<String> {
    with_loop(|event_loop| {
        let reports = reports(event_loop);
        code(event_loop.create_future());
        one_pass(event_loop);
        reports.take().into_iter().map(|report| report.message).collect()
    })
}

/// CPython test_futures: test_future_exception_never_retrieved, test_future_exception_never_retrieved_debug, test_tb_logger_exception_unretrieved
#[test]
fn an_error_nobody_saw_is_reported_with_its_place() {
    with_loop(|event_loop| {
        let reports = reports(event_loop);
        let future: IntFuture = event_loop.create_future();
        let line = line!() - 1;
        let clone = future.clone();
        future.set_exception(Failure("boom")).unwrap();
        drop(future);
        assert!(reports.take().is_empty(), "a clone is left");
        drop(clone);
        let [report] = <[_; 1]>::try_from(reports.take()).unwrap();
        assert_eq!(report.message, "Future exception was never retrieved");
        assert_eq!(report.exception.as_deref(), Some("Failure(\"boom\")"));
        assert_eq!(report.line, Some(line));
    });
}

/// CPython test_futures: test_tb_logger_exception_retrieved, test_tb_logger_exception_result_retrieved
#[test]
fn an_error_that_was_read_is_not_reported() {
    let read: [fn(&IntFuture); 3] = [
        |future| assert!(future.exception().unwrap().unwrap().is_some()),
        |future| assert!(future.result().unwrap().is_err()),
        |future| {
            let awaited = Pin::new(&mut future.clone()).poll_pending(&mut noop());
            assert!(!awaited);
        },
    ];
    for read in read {
        let reports = reported(|future| {
            future.set_exception(Failure("boom")).unwrap();
            read(&future);
        });
        assert!(reports.is_empty(), "{reports:?}");
    }
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// CPython test_futures: test_tb_logger_result_unretrieved, test_tb_logger_result_retrieved, test_tb_logger_abandoned
#[test]
fn futures_without_an_error_are_not_reported() {
    for end in [
        (|_| ()) as fn(&IntFuture),
        |future| future.set_result(42).unwrap(),
        |future| assert!(future.cancel()),
    ] {
        let reports = reported(|future| end(&future));
        assert!(reports.is_empty(), "{reports:?}");
    }
}

/// CPython test_futures: test_tb_logger_not_called_after_cancel
#[test]
fn cancelling_a_failed_future_silences_it() {
    let reports = reported(|future| {
        future.set_exception(Failure("boom")).unwrap();
        assert!(!future.cancel());
    });
    assert!(reports.is_empty(), "{reports:?}");
}

/// Awaited from a task, an error is seen too.
#[test]
fn an_error_that_a_task_awaited_is_not_reported() {
    let log = Log::new();
    let note = log.clone();
    run(async move {
        let event_loop = asyncio::get_running_loop();
        let reports = reports(&event_loop);
        let future: IntFuture = event_loop.create_future();
        let waiter = create_task(future.clone());
        future.set_exception(Failure("seen")).unwrap();
        drop(future);
        assert_eq!(waiter.await.unwrap(), Err(FutureError::Exception(Failure("seen"))));
        note.push(reports.take().len());
    });
    assert_eq!(log.take(), [0]);
}

/// CPython test_futures: test_set_result_unless_cancelled
///
/// Its helper is what every waiter does here: it sets, and does not mind the refusal.
#[test]
fn a_result_that_comes_after_the_cancel_is_ignored() {
    let event_loop = new_loop();
    let future: IntFuture = event_loop.create_future();
    assert!(future.cancel());
    assert!(future.set_result(2).is_err());
    assert!(future.cancelled() && future.done());
    event_loop.close().unwrap();
}

/// CPython test_futures: test_remove_done_callbacks_list_mutation
///
/// Nothing is compared here, but what a removed callback captured is dropped, and that may remove others.
#[test]
fn a_callback_may_remove_others_when_it_is_dropped() {
    /// Removes callbacks, and notes how many were there.
    struct Removes(IntFuture, Vec<CallbackId>, Log<usize>);
    impl Drop for Removes {
        fn drop(&mut self) {
            let removed = self.1.iter().filter(|&&id| self.0.remove_done_callback(id));
            self.2.push(removed.count());
        }
    }
    let event_loop = new_loop();
    let future: IntFuture = event_loop.create_future();
    let (log, removed) = (Log::new(), Log::new());
    let others: Vec<_> = (0..63).map(|_| future.add_done_callback(log.noted("other"))).collect();
    let evil = Removes(future.clone(), others, removed.clone());
    let evil = future.add_done_callback(move |_| drop(evil));
    future.add_done_callback(log.noted("last"));
    assert!(future.remove_done_callback(evil));
    assert_eq!(removed.take(), [63]);
    future.set_result(1).unwrap();
    one_pass(&event_loop);
    assert_eq!(log.take(), ["last"]);
    // While the callbacks are being queued: dropped by a loop that takes none, with the future done.
    let future: IntFuture = event_loop.create_future();
    let evil = Removes(future.clone(), vec![], removed.clone());
    future.add_done_callback(move |_| drop(evil));
    let late = future.add_done_callback(log.noted("late"));
    event_loop.close().unwrap();
    future.set_result(1).unwrap();
    assert!(!future.remove_done_callback(late));
    assert_eq!((removed.take(), log.take()), (vec![0], vec![]));
}
