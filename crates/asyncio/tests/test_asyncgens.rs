//! Async generators, after CPython's tests of them in `test_base_events.py`, `test_runners.py` and `test_asyncgen.py`.
//!
//! Not ported: what is about the generator protocol itself (`asend`, `athrow`, `StopAsyncIteration`, hooks), which is the language's there and has no
//! twin here.

mod common;

use asyncio::{
    AsyncGenerator, ContextVar, EventLoop, ExceptionContext, Runner, Task, TimeoutError, Warning,
    Yielder, all_tasks, async_generator, catch_cancelled, create_task, current_task,
    get_running_loop, run, secs, sleep, timeout, uncancellable, with_finally, yield_now,
};
use common::{Dropped, Log, new_loop, one_pass, panic_message, reports, run_in_order, settle};
use futures_core::Stream;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts without end, notes its end.
fn counter(log: &Log<&'static str>) -> AsyncGenerator<u32> {
    let log = log.clone();
    async_generator(|items: Yielder<u32>| {
        let body = async move {
            for n in 0.. {
                items.put(n).await;
                yield_now().await;
            }
        };
        let clean_up = || async move {
            yield_now().await;
            log.push("cleaned up");
        };
        with_finally(body, clean_up)
    })
}

async fn take(generator: &mut AsyncGenerator<u32>, count: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.extend(generator.next().await);
    }
    taken
}

async fn passes(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// CPython test_asyncgen: test_async_gen_asyncio_01, test_async_gen_asyncio_02
#[test]
fn a_generator_gives_its_items_and_then_none() {
    run(async {
        let mut squares = async_generator(|items| async move {
            for n in 1..=3_u32 {
                items.put(n * n).await;
                sleep(secs(0.001)).await;
            }
        });
        let mut seen = Vec::new();
        while let Some(item) = squares.next().await {
            seen.push(item);
        }
        assert_eq!(seen, [1, 4, 9]);
        assert!(squares.has_ended());
        assert_eq!(squares.next().await, None);
        squares.aclose().await;
        assert_eq!(all_tasks().len(), 1);
    });
}

/// The contract's row of contexts: the body runs where its items are asked for.
#[test]
fn the_body_runs_in_the_task_and_context_of_whoever_asks() {
    static VAR: ContextVar<u32> = ContextVar::new("var");
    run(async {
        let mut generator = async_generator(|items| async move {
            loop {
                items.put((VAR.get(), current_task().unwrap().get_name())).await;
                VAR.set(VAR.get().unwrap_or(0) + 1);
            }
        });
        VAR.set(1);
        let main = current_task().unwrap().get_name();
        assert_eq!(generator.next().await.unwrap(), (Some(1), main.clone()));
        assert_eq!(generator.next().await.unwrap(), (Some(2), main));
        assert_eq!(VAR.get(), Some(2));
        let other = create_task(async move {
            VAR.set(10);
            generator.next().await.unwrap()
        });
        assert_eq!(other.named("other").await.unwrap(), (Some(11), "other".into()));
        assert_eq!(VAR.get(), Some(2));
    });
}

/// CPython test_asyncgen: test_async_gen_asyncio_aclose_06, test_async_gen_asyncio_aclose_07, test_async_gen_asyncio_aclose_10
#[test]
fn closing_runs_the_clean_ups_and_waits_for_them() {
    run(async {
        let log = Log::new();
        let mut generator = counter(&log);
        assert_eq!(take(&mut generator, 3).await, [0, 1, 2]);
        generator.aclose().await;
        assert_eq!(log.take(), ["cleaned up"]);
        assert_eq!(generator.next().await, None);
        generator.aclose().await;
        drop(generator);
        settle().await;
        assert!(log.take().is_empty() && all_tasks().len() == 1);
    });
}

/// CPython test_asyncgen: test_async_gen_aclose_after_init, test_async_gen_asyncio_gc_aclose_09
#[test]
fn one_that_was_not_started_has_nothing_to_clean_up() {
    run(async {
        let (held, dropped) = Dropped::new();
        let start = || {
            async_generator(|_: Yielder<u32>| async move {
                let _held = held;
                unreachable!("never polled")
            })
        };
        let mut generator = start();
        generator.aclose().await;
        assert!(dropped.load(Ordering::SeqCst) && generator.has_ended());
        let log = Log::new();
        drop(counter(&log));
        settle().await;
        assert!(log.take().is_empty());
    });
}

/// CPython test_base_events: test_asyncgen_finalization_by_gc
///
/// [C] is that the loop has not begun before the one who drops it lets go.
#[test]
fn one_that_is_dropped_unfinished_is_closed_by_its_loop() {
    run_in_order(async {
        let log = Log::new();
        let mut generator = counter(&log);
        take(&mut generator, 2).await;
        drop(generator);
        assert!(log.take().is_empty());
        settle().await;
        assert_eq!(log.take(), ["cleaned up"]);
        assert_eq!(all_tasks().len(), 1);
    });
}

/// CPython test_base_events: test_asyncgen_finalization_by_gc_in_other_thread
#[test]
fn one_that_is_dropped_on_another_thread_is_closed_by_its_loop() {
    run(async {
        let log = Log::new();
        let mut generator = counter(&log);
        take(&mut generator, 2).await;
        asyncio::to_thread(move || drop(generator)).await;
        settle().await;
        assert_eq!(log.take(), ["cleaned up"]);
    });
    // The loop is woken for it.
    let (event_loop, log) = (new_loop(), Log::new());
    let mut generator = counter(&log);
    event_loop.run_until_complete(take(&mut generator, 1)).unwrap();
    let (stop, note) = (event_loop.clone(), log.clone());
    let thread = std::thread::spawn(move || {
        drop(generator);
        while note.take().is_empty() {
            std::thread::yield_now();
        }
        stop.stop();
    });
    event_loop.run_forever().unwrap();
    thread.join().unwrap();
    event_loop.close().unwrap();
}

/// CPython test_asyncgen: test_async_gen_asyncio_shutdown_01
///
/// What tasks held is closed after them, and so is what nobody dropped; all at the same time.
#[test]
fn a_runner_closes_what_is_left_after_the_tasks() {
    let log = Log::new();
    let note = log.clone();
    run(async move {
        let consume = |note: Log<&'static str>| async move {
            let mut generator = counter(&note);
            let clean_up = || async move { note.push("task ended") };
            let body = async {
                take(&mut generator, 2).await;
                pending::<()>().await;
            };
            with_finally(body, clean_up).await;
        };
        create_task(consume(note.clone())).detach();
        let mut leaked = counter(&note);
        take(&mut leaked, 1).await;
        std::mem::forget(leaked);
        settle().await;
        assert!(note.take().is_empty());
    });
    assert_eq!(log.take(), ["task ended", "cleaned up", "cleaned up"]);
}

/// CPython test_runners: test_asyncio_run_closes_gens_after_hanging_tasks_errors
#[test]
fn generators_are_closed_also_if_a_leftover_fails() {
    let log = Log::new();
    let note = log.clone();
    let reported = Log::new();
    let told = reported.clone();
    run(async move {
        told.push(reports(&get_running_loop()));
        let clean_up = || async { panic!("hanging") };
        create_task(with_finally(pending::<()>(), clean_up)).detach();
        let mut generator = counter(&note);
        take(&mut generator, 1).await;
        std::mem::forget(generator);
        settle().await;
    });
    assert_eq!(log.take(), ["cleaned up"]);
    let [report] = <[_; 1]>::try_from(reported.take()[0].take()).unwrap();
    assert_eq!(report.message, "unhandled exception during asyncio.run() shutdown");
}

/// CPython test_asyncgen: test_async_gen_asyncio_shutdown_exception_01, test_async_gen_asyncio_shutdown_exception_02
#[test]
fn errors_of_closing_are_reported() {
    let log = Log::new();
    let note = log.clone();
    let mut runner = Runner::new().unwrap();
    runner.get_loop().set_exception_handler(Some(
        move |_: &EventLoop, context: &ExceptionContext| {
            note.push((context.to_string(), context.asyncgen));
        },
    ));
    let fail = || {
        async_generator(|items: Yielder<u32>| {
            with_finally(async move { items.put(1).await }, || async { panic!("closing") })
        })
    };
    let line = line!() - 4;
    let dropped = runner.run(async move {
        let mut dropped = fail();
        dropped.next().await;
        drop(dropped);
        settle().await;
        let mut leaked = fail();
        leaked.next().await;
        std::mem::forget(leaked);
    });
    dropped.unwrap();
    runner.close();
    let told = log.take();
    assert_eq!(told.len(), 2);
    for (shown, info) in told {
        let info = info.unwrap();
        assert_eq!(info.location().line(), line);
        let begin =
            format!("an error occurred during closing of asynchronous generator {info:?}\n");
        assert!(shown.starts_with(&begin), "{shown}");
        assert!(shown.ends_with("\nexception: panic: closing"), "{shown}");
    }
}

/// Its scopes are open while it is suspended, but a cancel of the task is for what the task waits for.
#[test]
fn a_cancel_between_two_items_is_no_business_of_the_generators() {
    run(async {
        let log = Log::new();
        let note = log.clone();
        let task: Task<()> = create_task(async move {
            let mut generator = counter(&note);
            take(&mut generator, 2).await;
            catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
            note.push("caught");
            assert_eq!(take(&mut generator, 2).await, [2, 3]);
            pending::<()>().await;
        });
        settle().await;
        task.cancel();
        settle().await;
        assert_eq!(log.take(), ["caught"]);
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        settle().await;
        assert_eq!(log.take(), ["cleaned up"]);
    });
}

/// CPython test_asyncgen: test_async_gen_asyncio_anext_06
///
/// While an item is waited for the cancel strikes in the body, whose clean-ups come first.
#[test]
fn a_cancel_while_an_item_is_waited_for_strikes_in_the_body() {
    run(async {
        let log = Log::new();
        let note = log.clone();
        let task: Task<()> = create_task(async move {
            let inside = note.clone();
            let mut generator = async_generator(|items: Yielder<u32>| {
                let body = async move {
                    items.put(1).await;
                    pending::<()>().await;
                };
                let clean_up = || async move {
                    yield_now().await;
                    inside.push("inside");
                };
                with_finally(body, clean_up)
            });
            let outside = note.clone();
            let body = async {
                generator.next().await;
                generator.next().await;
                unreachable!("cancelled");
            };
            with_finally(body, || async move { outside.push("outside") }).await;
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["inside", "outside"]);
        assert_eq!(all_tasks().len(), 1);
    });
}

/// A body that answers the cancel goes on.
#[test]
fn a_body_may_swallow_the_cancel() {
    run(async {
        let task = create_task(async {
            let mut generator = async_generator(|items: Yielder<&str>| async move {
                catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                items.put("swallowed").await;
            });
            generator.next().await
        });
        settle().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), Some("swallowed"));
    });
}

/// The cancel safety of `next`.
#[test]
fn a_dropped_wait_loses_nothing() {
    run(async {
        let mut generator = async_generator(|items: Yielder<u32>| async move {
            items.put(1).await;
            with_finally(sleep(secs(3600.0)), || async {}).await;
            items.put(2).await;
        });
        assert_eq!(generator.next().await, Some(1));
        let early = timeout(secs(0.001), generator.next()).await;
        assert_eq!(early, Err(TimeoutError::default()));
        // The timeout's request was answered by the scope inside: that is its right, and the generator has ended by it.
        assert_eq!(generator.next().await, None);

        let mut generator = async_generator(|items: Yielder<u32>| async move {
            items.put(1).await;
            uncancellable(passes(3)).await;
            items.put(2).await;
        });
        assert_eq!(generator.next().await, Some(1));
        // Polled once and dropped: no request was made.
        poll_fn(|cx| {
            assert!(Pin::new(&mut generator.next()).poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        assert_eq!(generator.next().await, Some(2));
        assert_eq!(generator.next().await, None);
    });
}

/// CPython test_asyncgen: test_async_gen_asyncio_aclose_12
#[test]
fn a_body_that_ignores_its_close_is_dropped() {
    let stubborn = |held: Dropped| {
        async_generator(|items: Yielder<u32>| async move {
            let _held = held;
            loop {
                if let Err(cancelled) = catch_cancelled(items.put(1)).await {
                    cancelled.swallow();
                }
            }
        })
    };
    let (held, dropped) = Dropped::new();
    let message = panic_message(move || {
        run(async move {
            let mut generator = stubborn(held);
            generator.next().await;
            generator.aclose().await;
        })
    });
    assert_eq!(message, "the async generator ignored its close");
    assert!(dropped.load(Ordering::SeqCst));
}

/// CPython test_asyncgen: test_async_gen_asyncio_03
#[test]
fn a_panic_of_the_body_ends_the_generator() {
    let message = panic_message(|| {
        run(async {
            let mut generator = async_generator(|items: Yielder<u32>| async move {
                items.put(1).await;
                panic!("in the body");
            });
            assert_eq!(generator.next().await, Some(1));
            generator.next().await;
        })
    });
    assert_eq!(message, "in the body");
    run(async {
        let generator = async_generator(|_: Yielder<u32>| async { panic!("in the body") });
        let mut generator = Some(generator);
        let poll = async { generator.as_mut().unwrap().next().await };
        assert!(create_local(poll).await.is_panic());
        assert!(generator.as_ref().unwrap().has_ended());
        assert_eq!(generator.unwrap().next().await, None);
    });
}

/// How a future ends that panics.
async fn create_local<F: Future>(future: F) -> asyncio::JoinError {
    let mut future = Box::pin(future);
    poll_fn(move |cx| {
        let poll = std::panic::AssertUnwindSafe(|| future.as_mut().poll(cx).is_ready());
        let panic = std::panic::catch_unwind(poll).expect_err("it panics at once");
        std::task::Poll::Ready(asyncio::JoinError::panicked(panic))
    })
    .await
}

/// As a stream, under adapters of other crates. There a cancel drops the wait; the loop does the rest.
#[test]
fn a_generator_is_a_stream() {
    run(async {
        let log = Log::new();
        let note = log.clone();
        let task: Task<()> = create_task(async move {
            let mut generator = counter(&note);
            for expected in 0..3 {
                let item = poll_fn(|cx| Pin::new(&mut generator).poll_next(cx)).await;
                assert_eq!(item, Some(expected));
            }
            let mut stuck = async_generator(|_: Yielder<u32>| with_finally(pending(), || async {}));
            poll_fn(|cx| Pin::new(&mut stuck).poll_next(cx)).await;
        });
        settle().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        settle().await;
        assert_eq!(log.take(), ["cleaned up"]);
        assert_eq!(all_tasks().len(), 1);
    });
}

/// CPython test_asyncgen: test_async_gen_asyncio_shutdown_02
#[test]
fn one_that_is_started_after_the_shutdown_is_warned_of() {
    let event_loop = new_loop();
    let log = Log::new();
    let note = log.clone();
    event_loop.set_warning_handler(Some(move |_: &EventLoop, warning: &Warning| {
        note.push(warning.to_string());
    }));
    let noted = Log::new();
    let mut early = counter(&noted);
    event_loop.run_until_complete(take(&mut early, 1)).unwrap();
    event_loop.run_until_complete(event_loop.shutdown_asyncgens()).unwrap();
    assert_eq!(noted.take(), ["cleaned up"]);
    assert!(early.has_ended() && log.take().is_empty());
    let mut late = counter(&noted);
    event_loop.run_until_complete(take(&mut late, 1)).unwrap();
    assert_eq!(log.take(), [format!("{late:?} was started after shutdown_asyncgens")]);
    event_loop.close().unwrap();
}

/// A loop that is closed by hand drops the bodies; one that outlives it too.
#[test]
fn a_closed_loop_drops_the_bodies() {
    let event_loop = new_loop();
    let hold = |held: Dropped| {
        async_generator(|items: Yielder<u32>| async move {
            let _held = held;
            items.put(1).await;
        })
    };
    let [(held, kept), (lost, leaked)] = [Dropped::new(), Dropped::new()];
    let (mut held, mut lost) = (hold(held), hold(lost));
    event_loop.run_until_complete(held.next()).unwrap();
    event_loop.run_until_complete(lost.next()).unwrap();
    std::mem::forget(lost);
    // Dropped while the loop is idle: its task waits for a run that does not come.
    let (late, waiting) = Dropped::new();
    let mut late = hold(late);
    event_loop.run_until_complete(late.next()).unwrap();
    drop(late);
    let reports = reports(&event_loop);
    event_loop.close().unwrap();
    assert!([&kept, &leaked, &waiting].iter().all(|dropped| dropped.load(Ordering::SeqCst)));
    assert!(held.has_ended());
    drop(held);
    assert_eq!(reports.take().len(), 1, "the task that was to close one");
}

/// A generator may be shut down while somebody waits for an item: that one hears of the end.
#[test]
fn a_wait_ends_when_the_generator_is_closed() {
    run(async {
        let task = create_task(async {
            let mut generator =
                async_generator(|_: Yielder<u32>| with_finally(pending(), || async {}));
            generator.next().await
        });
        settle().await;
        get_running_loop().shutdown_asyncgens().await;
        assert_eq!(task.await.unwrap(), None);
    });
}

/// A close that is given up half-way is gone on with.
#[test]
fn a_close_may_be_given_up() {
    let (event_loop, log) = (new_loop(), Log::new());
    let mut generator = counter(&log);
    event_loop
        .run_until_complete(async {
            take(&mut generator, 1).await;
            poll_fn(|cx| {
                assert!(Box::pin(generator.aclose()).as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        })
        .unwrap();
    assert!(log.take().is_empty() && !generator.has_ended());
    drop(generator);
    (0..4).for_each(|_| one_pass(&event_loop));
    assert_eq!(log.take(), ["cleaned up"]);
    event_loop.close().unwrap();
}

/// Bodies that do several things at once may put from each.
#[test]
fn two_parts_of_a_body_may_put() {
    run(async {
        let mut generator = async_generator(|items: Yielder<u32>| async move {
            let mut parts = [Box::pin(items.put(1)), Box::pin(items.put(2))].map(Some);
            poll_fn(move |cx| {
                for part in &mut parts {
                    if part.as_mut().is_some_and(|part| part.as_mut().poll(cx).is_ready()) {
                        *part = None;
                    }
                }
                match parts.iter().all(Option::is_none) {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                }
            })
            .await;
        });
        assert_eq!(generator.next().await, Some(1));
        assert_eq!(generator.next().await, Some(2));
        assert_eq!(generator.next().await, None);
    });
}

/// On several workers and threads: each generator that was started cleans up once, however it ends.
#[test]
fn every_generator_cleans_up_once() {
    const TASKS: usize = 240;
    let (started, cleaned) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let make = {
        let (started, cleaned) = (started.clone(), cleaned.clone());
        move || {
            let (started, cleaned) = (started.clone(), cleaned.clone());
            async_generator(|items: Yielder<u32>| async move {
                started.fetch_add(1, Ordering::SeqCst);
                let body = async {
                    for n in 0..4 {
                        items.put(n).await;
                        yield_now().await;
                    }
                };
                let clean_up = || async {
                    passes(2).await;
                    cleaned.fetch_add(1, Ordering::SeqCst);
                };
                with_finally(body, clean_up).await;
            })
        }
    };
    let mut runner = Runner::builder().workers(4).build().unwrap();
    let main = async {
        let mut tasks = Vec::new();
        for number in 0..TASKS {
            let mut generator = make();
            tasks.push(create_task(async move {
                let asked = number % 7;
                for _ in 0..asked {
                    generator.next().await;
                }
                match number % 6 {
                    0 => generator.aclose().await,
                    1 => drop(generator),
                    2 => drop(std::thread::spawn(move || drop(generator)).join()),
                    3 => std::mem::forget(generator),
                    4 => drop(create_task(async move { generator.next().await }).await),
                    // Held until the runner cancels it.
                    _ => pending::<()>().await,
                }
            }));
            if number % 16 == 0 {
                yield_now().await;
            }
        }
        for task in tasks.iter().filter(|task| task.id().get() % 2 == 0) {
            task.cancel();
        }
        passes(20).await;
    };
    runner.run(main).unwrap();
    runner.close();
    let (started, cleaned) = (started.load(Ordering::SeqCst), cleaned.load(Ordering::SeqCst));
    assert!(started > TASKS / 4, "{started}");
    assert_eq!(started, cleaned);
}
