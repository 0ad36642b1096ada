//! After CPython's tests of contexts: `test_context.py`, and those in `test_tasks.py` and `test_futures2.py`.
//!
//! Not ported: `test_asyncio_task_decimal_context` has no decimal module to test with, its promise is checked with a variable. Of
//! signals, threads and eager tasks `signals.rs`, `test_threads.rs` and `test_eager_task_factory.rs` tell.

mod common;

use asyncio::{
    Context, ContextVar, Future, TaskBuilder, TaskGroup, copy_context, create_task,
    get_running_loop, run, secs, sleep, yield_now,
};
use common::{Log, new_loop, one_pass, panic_message};
use std::thread;

static VAR: ContextVar<i32> = ContextVar::new("var");

// ----- variables and contexts

/// The contract's row of `ContextVar`: `get`, `set`, `reset`, tokens.
#[test]
fn a_variable_is_set_and_reset() {
    static OTHER: ContextVar<i32> = ContextVar::new("other");
    Context::new().run(|| {
        assert_eq!((VAR.name(), VAR.get()), ("var", None));
        assert_eq!(VAR.get().unwrap_or(7), 7);
        let first = VAR.set(1);
        let second = VAR.set(2);
        assert_eq!((first.old_value(), second.old_value()), (None, Some(1)));
        assert_eq!((VAR.get(), OTHER.get()), (Some(2), None));
        assert_eq!(VAR.with(|value| value.copied()), Some(2));
        VAR.reset(second);
        assert_eq!(VAR.get(), Some(1));
        VAR.reset(first);
        assert_eq!(VAR.get(), None);
        assert_eq!(format!("{VAR:?}"), "<ContextVar name='var'>");
    });
}

/// A token belongs to one variable and one context. It is used up by `reset`, so a second use does not compile.
#[test]
fn a_token_of_another_variable_or_context_is_refused() {
    static OTHER: ContextVar<i32> = ContextVar::new("other");
    Context::new().run(|| {
        let token = OTHER.set(1);
        let message = panic_message(|| VAR.reset(token));
        assert_eq!(message, "the token was created by a different ContextVar");
        let token = VAR.set(1);
        let message = panic_message(|| copy_context().run(|| VAR.reset(token)));
        assert_eq!(message, "the token was created in a different Context");
    });
}

/// The contract's row of `copy_context`: later changes are invisible to each other.
#[test]
fn a_copy_goes_its_own_way() {
    Context::new().run(|| {
        VAR.set(1);
        let copy = copy_context();
        VAR.set(2);
        copy.run(|| {
            assert_eq!(VAR.get(), Some(1));
            VAR.set(3);
        });
        assert_eq!((VAR.get(), VAR.get_in(&copy)), (Some(2), Some(3)));
    });
}

/// A context that is entered cannot be entered again on the same thread; another one can.
#[test]
fn a_context_is_entered_once() {
    let (context, other) = (Context::new(), Context::new());
    context.run(|| {
        let message = panic_message(|| context.run(|| ()));
        assert_eq!(message, "cannot enter context: it is already entered");
        other.run(|| VAR.set(1));
    });
    // Also after a panic it can be entered again.
    panic_message(|| context.run(|| panic!()));
    context.run(|| assert_eq!(VAR.get(), None));
}

/// Threads do not share what is set outside any context.
#[test]
fn every_thread_has_a_context_of_its_own() {
    let token = VAR.set(1);
    thread::spawn(|| assert_eq!(VAR.get(), None)).join().unwrap();
    assert_eq!(VAR.get(), Some(1));
    VAR.reset(token);
}

// ----- tasks

/// CPython test_tasks: test_context_1
#[test]
fn a_task_runs_in_a_copy_of_its_makers_context() {
    run(async {
        let sub = create_task(async {
            sleep(secs(0.001)).await;
            let inherited = VAR.get();
            VAR.set(2);
            inherited
        });
        VAR.set(1);
        assert_eq!(sub.await.unwrap(), None);
        assert_eq!(VAR.get(), Some(1));
        assert_eq!(create_task(async { VAR.get() }).await.unwrap(), Some(1));
    });
    assert_eq!(VAR.get(), None);
}

/// CPython test_tasks: test_context_2
#[test]
fn callbacks_do_not_change_the_context_of_the_task_they_wake() {
    run(async {
        for round in 0..2 {
            let future: Future<()> = get_running_loop().create_future();
            future.add_done_callback(|_| drop(VAR.set(-1)));
            VAR.set(round);
            let setter = future.clone();
            get_running_loop().call_soon(move || setter.set_result(()).unwrap());
            future.await.unwrap();
            assert_eq!(VAR.get(), Some(round));
            for step in 0..3 {
                VAR.set(100 * step + round);
                sleep(secs(0.001)).await;
                assert_eq!(VAR.get(), Some(100 * step + round));
            }
        }
    });
    assert_eq!(VAR.get(), None);
}

/// CPython test_tasks: test_context_3
///
/// CPython test_context: test_asyncio_task_decimal_context
#[test]
fn a_hundred_tasks_keep_their_values_across_awaits() {
    run(async {
        let tasks: Vec<_> = (0..100)
            .map(|n| {
                create_task(async move {
                    for step in 0..10 {
                        VAR.set(n + step);
                        sleep(secs(f64::from((n * 7 + step) % 5) / 1000.0)).await;
                        assert_eq!(VAR.get(), Some(n + step));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(VAR.get(), None);
    });
}

/// CPython test_tasks: test_context_4, test_context_5, test_context_6
#[test]
fn a_given_context_is_used_itself() {
    let context = Context::new();
    context.run(|| VAR.set(1));
    run(async {
        let in_context = |value| {
            TaskBuilder::new().context(&context).create_task(async move {
                yield_now().await;
                VAR.set(value).old_value()
            })
        };
        assert_eq!(in_context(2).await.unwrap(), Some(1));
        assert_eq!(in_context(3).await.unwrap(), Some(2));
        assert_eq!((VAR.get(), VAR.get_in(&context)), (None, Some(3)));
        // By the loop's own builder too.
        let by_loop = get_running_loop().task_builder().context(&context);
        assert_eq!(by_loop.create_task(async { VAR.get() }).await.unwrap(), Some(3));
        // Several tasks inside at once see each other's changes.
        let (first, second) = (in_context(4), in_context(5));
        let old = (first.await.unwrap(), second.await.unwrap());
        let now = VAR.get_in(&context);
        // Whichever came first.
        let one_after_the_other = [((Some(3), Some(4)), Some(5)), ((Some(5), Some(3)), Some(4))];
        assert!(one_after_the_other.contains(&(old, now)), "{old:?} {now:?}");
    });
}

/// CPython test_tasks: test_get_context
#[test]
fn a_task_names_its_context() {
    run(async {
        let context = Context::new();
        let task = TaskBuilder::new().context(&context).create_task(async {});
        assert!(task.get_context().is(&context) && task.handle().get_context().is(&context));
        // A copy otherwise.
        let plain = create_task(async { VAR.set(4) });
        let own = plain.get_context();
        plain.await.unwrap();
        assert_eq!(VAR.get_in(&own), Some(4));
        task.await.unwrap();
    });
}

/// The contract: awaiting a future directly is the same context.
#[test]
fn what_is_awaited_directly_shares_the_context() {
    async fn sets() {
        yield_now().await;
        VAR.set(9);
    }
    run(async {
        sets().await;
        assert_eq!(VAR.get(), Some(9));
    });
}

/// Nothing is left on the worker after a poll or a callback, also after a panic.
#[test]
fn nothing_leaks_from_one_poll_to_the_next() {
    let event_loop = new_loop();
    let log = Log::new();
    event_loop.set_exception_handler(Some(|_: &_, _: &_| ()));
    let note = || {
        let log = log.clone();
        move || log.push(VAR.get())
    };
    event_loop.call_soon(|| {
        VAR.set(1);
        panic!("a callback");
    });
    event_loop.call_soon(note());
    event_loop
        .create_task(async {
            VAR.set(2);
            panic!("a task");
        })
        .detach();
    event_loop.call_soon(note());
    one_pass(&event_loop);
    assert_eq!((log.take(), VAR.get()), (vec![None, None], None));
    event_loop.close().unwrap();
}

// ----- callbacks

/// The contract's row: a copy of the context at registration, or the one given.
#[test]
fn callbacks_and_timers_run_in_the_context_of_their_registration() {
    let event_loop = new_loop();
    let log = Log::new();
    let note = || {
        let log = log.clone();
        move || log.push(VAR.set(99).old_value())
    };
    let future: Future<()> = event_loop.create_future();
    let given = Context::new();
    given.run(|| VAR.set(7));
    Context::new().run(|| {
        VAR.set(1);
        event_loop.call_soon(note());
        VAR.set(2);
        event_loop.call_soon_threadsafe(note()).unwrap();
        VAR.set(3);
        let call = note();
        future.add_done_callback(move |_| call());
        VAR.set(4);
        let now = event_loop.time();
        event_loop.call_at(now, note());
        VAR.set(5);
        event_loop.call_later(std::time::Duration::ZERO, note());
        VAR.set(6);
        event_loop.call_soon_in(&given, note());
        event_loop.call_at_in(&given, now, note());
        let call = note();
        future.add_done_callback_in(&given, move |_| call());
        assert_eq!(VAR.get(), Some(6));
        future.set_result(()).unwrap();
        assert_eq!(VAR.get(), Some(6));
    });
    one_pass(&event_loop);
    one_pass(&event_loop);
    let mut seen = log.take();
    // All in the one given context, one after the other: the first finds 7, the others what that one left.
    seen.sort();
    let expected = [1, 2, 3, 4, 5, 7, 99, 99].map(Some);
    assert_eq!(seen, expected);
    assert_eq!((VAR.get(), VAR.get_in(&given)), (None, Some(99)));
    event_loop.close().unwrap();
}

/// The contract's row of `get_context`: that of a handle and of a timer.
#[test]
fn handles_name_their_context() {
    let event_loop = new_loop();
    let context = Context::new();
    assert!(event_loop.call_soon_in(&context, || ()).get_context().is(&context));
    let now = event_loop.time();
    assert!(event_loop.call_at_in(&context, now, || ()).get_context().is(&context));
    assert!(!event_loop.call_soon(|| ()).get_context().is(&context));
    event_loop.close().unwrap();
}

/// A task's done-callbacks too are called in a copy of the context of their registration.
#[test]
fn done_callbacks_of_tasks_run_in_the_context_of_their_registration() {
    let event_loop = new_loop();
    let log = Log::new();
    Context::new().run(|| {
        let task = event_loop.create_task(async { VAR.set(1) });
        VAR.set(2);
        let note = log.clone();
        task.add_done_callback(move |_| note.push(VAR.get()));
        VAR.set(3);
    });
    one_pass(&event_loop);
    one_pass(&event_loop);
    assert_eq!(log.take(), [Some(2)]);
    event_loop.close().unwrap();
}

/// CPython test_taskgroups: test_taskgroup_task_context
#[test]
fn a_group_makes_tasks_in_a_given_context() {
    async fn set(value: i32) -> Result<(), String> {
        yield_now().await;
        VAR.set(value);
        Ok(())
    }
    run(async {
        let context = copy_context();
        let ended = TaskGroup::scope(async |group: &TaskGroup<String>| {
            assert_eq!(VAR.get_in(&context), None);
            group.create_task_in(&context, set(1)).await.unwrap();
            assert_eq!(VAR.get_in(&context), Some(1));
            group.create_task_in(&context, set(2)).await.unwrap();
            assert_eq!(VAR.get_in(&context), Some(2));
            // Without one it is a copy of the caller's.
            group.create_task(set(3)).await.unwrap();
            assert_eq!((VAR.get_in(&context), VAR.get()), (Some(2), None));
            Ok(())
        });
        ended.await.unwrap();
    });
}
