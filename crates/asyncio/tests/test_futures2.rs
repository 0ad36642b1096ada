//! After CPython's `test_futures2.py`.
//!
//! Not ported: `test_task_exc_handler_custom`-like tests of subclasses, which are Python only.

mod common;

use asyncio::{Future, create_task, get_running_loop, run};
use common::{Log, loop_in_order, new_loop, one_pass};
use std::fmt;
use std::sync::Arc;

/// CPython test_futures2: test_future_traceback
///
/// The very same error each time, not a copy that grows.
#[test]
fn one_error_is_given_to_all_and_stays_the_same() {
    run(async {
        let future: Future<()> = get_running_loop().create_future();
        future.set_exception(Box::from("42")).unwrap();
        let mut first = None;
        for _ in 0..5 {
            let Err(asyncio::FutureError::Exception(error)) = future.clone().await else {
                panic!("the error was expected")
            };
            assert_eq!(error.to_string(), "42");
            assert!(Arc::ptr_eq(first.get_or_insert(error.clone()), &error));
        }
    });
}

/// CPython test_futures2: test_recursive_repr_for_pending_tasks
#[test]
fn debug_texts_of_tasks_that_know_each_other_end() {
    let tasks = run(async { create_task(async { asyncio::all_tasks() }).await }).unwrap();
    assert_eq!(tasks.len(), 2);
    assert!(format!("{tasks:?}").matches("<Task ").count() == 2);
}

/// The same for futures, where the result may hold the future itself.
#[test]
fn the_debug_text_of_a_future_that_holds_itself_ends() {
    #[derive(Clone)]
    struct Holder(Future<Holder, String>);
    impl fmt::Debug for Holder {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }
    let event_loop = new_loop();
    let future: Future<Holder, String> = event_loop.create_future();
    future.set_result(Holder(future.clone())).unwrap();
    let shown = format!("{future:?}");
    assert!(shown.starts_with("<Future finished result="), "{shown}");
    // Out of the circle again.
    let held = event_loop.run_until_complete(future.take()).unwrap().unwrap();
    drop(held);
    event_loop.close().unwrap();
}

/// Rows of the contract's section 2 in one program: an end queues callbacks and wakes waiters in the order in which they came.
///
/// [C]: with several workers callbacks run in their order, and waiters beside them.
#[test]
fn callbacks_and_waiters_are_told_in_one_order() {
    let event_loop = loop_in_order();
    let log = Log::new();
    let future: Future<u8, String> = event_loop.create_future();
    for n in 0..6 {
        let note = log.clone();
        if n % 2 == 0 {
            let future = future.clone();
            event_loop
                .create_task(async move {
                    future.await.unwrap();
                    note.push(n);
                })
                .detach();
            one_pass(&event_loop);
        } else {
            future.add_done_callback(move |_| note.push(n));
        }
    }
    future.set_result(1).unwrap();
    one_pass(&event_loop);
    assert_eq!(log.take(), (0..6).collect::<Vec<_>>());
    event_loop.close().unwrap();
}
