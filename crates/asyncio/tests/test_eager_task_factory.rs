//! After CPython's `test_eager_task_factory.py`, and the tests of task factories in `test_base_events` and `test_tasks`.
//!
//! Not ported: `test_staggered_race_with_eager_tasks*` (there is no staggered race yet), the C and Python halves of each test, and those of
//! factories that make tasks of another class (there is one class).

mod common;

use asyncio::{
    ContextVar, Future, Task, TaskBuilder, TaskGroup, all_tasks, create_task, current_task,
    eager_task_factory, gather, get_running_loop, run, run_coroutine_threadsafe, secs, sleep,
    wait_for, yield_now,
};
use common::{Log, loop_in_order, new_loop, panic_message, reports};
use std::future::{Future as _, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::thread;

/// Runs `main` on a loop whose tasks start eagerly.
fn run_eagerly<T>(main: impl std::future::Future<Output = T>) -> T {
    run(async {
        get_running_loop().set_task_factory(Some(eager_task_factory));
        main.await
    })
}

fn eager() -> TaskBuilder {
    TaskBuilder::new().eager_start(true)
}

/// CPython test_eager_task_factory: test_eager_task_factory_set
#[test]
fn the_factory_is_set_and_makes_eager_tasks() {
    run(async {
        assert!(get_running_loop().get_task_factory().is_none());
    });
    run_eagerly(async {
        assert!(get_running_loop().get_task_factory().is_some());
        assert!(create_task(async {}).done());
    });
}

/// CPython test_eager_task_factory: test_await_future_during_eager_step
#[test]
fn a_first_turn_may_wait() {
    run_eagerly(async {
        let future: Future<u8> = Future::new();
        let inner = future.clone();
        let task = create_task(async move { inner.await.unwrap() });
        assert!(!task.done());
        get_running_loop().call_soon(move || future.set_result(1).unwrap());
        assert_eq!(task.await.unwrap(), 1);
    });
}

/// CPython test_eager_task_factory: test_eager_completion, test_issue122332
#[test]
fn a_task_that_never_waits_has_ended() {
    run_eagerly(async {
        let task = create_task(async { "done" });
        assert!(task.done());
        // The description is of the type, so it stays.
        assert!(task.get_coro().contains("closure"));
        let called = Log::new();
        let noted = called.clone();
        task.add_done_callback(move |outcome| noted.push(*outcome.as_ref().unwrap()));
        assert!(called.take().is_empty(), "queued as for any task that is done");
        assert_eq!(task.await.unwrap(), "done");
        assert_eq!(called.take(), ["done"]);
    });
}

/// CPython test_eager_task_factory: test_block_after_eager_step
#[test]
fn a_task_that_waited_in_its_first_turn_is_like_any_other() {
    run_eagerly(async {
        let log = Log::new();
        let inner = log.clone();
        let task = create_task(async move {
            inner.push("first");
            yield_now().await;
            inner.push("second");
        });
        assert_eq!(log.take(), ["first"]);
        task.await.unwrap();
        assert_eq!(log.take(), ["second"]);
    });
}

/// CPython test_eager_task_factory: test_cancellation_after_eager_completion
#[test]
fn one_that_has_ended_cannot_be_cancelled() {
    run_eagerly(async {
        let task = create_task(async { 1 });
        assert!(!task.cancel());
        assert_eq!(task.await.unwrap(), 1);
    });
}

/// CPython test_eager_task_factory: test_cancellation_after_eager_step_blocks
#[test]
fn one_that_waits_can_be_cancelled() {
    run_eagerly(async {
        let task: Task<()> = create_task(pending());
        assert!(!task.done());
        assert!(task.cancel_with("stop"));
        let error = task.await.unwrap_err();
        assert_eq!(error.as_cancelled().unwrap().message(), Some("stop"));
    });
}

/// CPython test_eager_task_factory: test_cancelling_self_in_eager_task
#[test]
fn one_that_cancels_itself_and_returns_has_ended_cancelled() {
    run_eagerly(async {
        let task = create_task(async { current_task().unwrap().cancel() });
        assert!(task.done() && task.cancelled());
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// CPython test_eager_task_factory: test_current_task
#[test]
fn the_current_task_is_the_new_one_and_then_the_maker_again() {
    static VAR: ContextVar<u8> = ContextVar::new("var");
    run_eagerly(async {
        VAR.set(1);
        let maker = current_task().unwrap();
        let task = create_task(async {
            VAR.set(2);
            current_task().unwrap()
        });
        assert!(task.done());
        assert_eq!(current_task().unwrap(), maker);
        assert_eq!(VAR.get(), Some(1));
        let handle = task.handle();
        assert_eq!(task.await.unwrap(), handle);
    });
}

/// CPython test_eager_task_factory: test_all_tasks_with_eager_completion
#[test]
fn it_is_among_all_tasks_in_its_first_turn_only() {
    run_eagerly(async {
        let task = create_task(async { all_tasks().contains(&current_task().unwrap()) });
        assert!(!all_tasks().contains(&task.handle()));
        assert!(task.await.unwrap());
    });
}

/// CPython test_eager_task_factory: test_all_tasks_with_blocking
#[test]
fn one_that_waits_stays_among_all_tasks() {
    run_eagerly(async {
        let future: Future<()> = Future::new();
        let inner = future.clone();
        let task = create_task(inner);
        assert!(all_tasks().contains(&task.handle()));
        future.set_result(()).unwrap();
        let handle = task.handle();
        task.await.unwrap().unwrap();
        assert!(!all_tasks().contains(&handle));
    });
}

/// CPython test_eager_task_factory: test_context_vars
#[test]
fn contexts_are_inherited_and_kept_apart() {
    static VAR: ContextVar<u8> = ContextVar::new("depth");
    fn nested(depth: u8) -> Pin<Box<dyn std::future::Future<Output = ()> + Send>> {
        Box::pin(async move {
            assert_eq!(VAR.get(), Some(depth));
            VAR.set(depth + 1);
            if depth < 10 {
                create_task(nested(depth + 1)).await.unwrap();
            }
            assert_eq!(VAR.get(), Some(depth + 1));
        })
    }
    run_eagerly(async {
        VAR.set(0);
        create_task(nested(0)).await.unwrap();
        assert_eq!(VAR.get(), Some(0));
    });
}

/// A tree of tasks by `gather`.
fn fan(depth: u32) -> Pin<Box<dyn std::future::Future<Output = u64> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            return 1;
        }
        gather((0..3).map(|_| fan(depth - 1))).await.unwrap().into_iter().sum()
    })
}

/// CPython test_eager_task_factory: test_recursive_gather
#[test]
fn a_tree_of_gathers_that_never_wait_is_done_at_once() {
    run_eagerly(async {
        let task = create_task(fan(5));
        assert!(task.done(), "nothing was scheduled");
        assert_eq!(task.await.unwrap(), 243);
    });
}

/// A tree of tasks by groups.
fn groups(depth: u32) -> Pin<Box<dyn std::future::Future<Output = u64> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            return 1;
        }
        let sum = TaskGroup::<std::io::Error>::scope(async |tg| {
            let children = [(); 3].map(|()| tg.spawn(groups(depth - 1)));
            let mut sum = 0;
            for child in children {
                sum += child.await.unwrap();
            }
            Ok(sum)
        });
        sum.await.unwrap()
    })
}

/// CPython test_eager_task_factory: test_recursive_taskgroups
#[test]
fn a_tree_of_groups_that_never_wait_is_done_at_once() {
    run_eagerly(async {
        let task = create_task(groups(4));
        assert!(task.done(), "nothing was scheduled");
        assert_eq!(task.await.unwrap(), 81);
    });
}

/// CPython test_eager_task_factory: test_eager_start_false
#[test]
fn a_task_may_refuse_the_eager_start() {
    run_eagerly(async {
        let task = TaskBuilder::new().eager_start(false).create_task(async { 1 });
        assert!(!task.done());
        assert_eq!(task.await.unwrap(), 1);
    });
}

/// CPython test_eager_task_factory: test_eager_start_true_with_default_factory
#[test]
fn a_task_may_ask_for_it_without_a_factory() {
    run(async {
        assert!(eager().create_task(async { 1 }).done());
        assert!(eager().create_local_task(async { 1 }).done());
        assert!(!create_task(async { 1 }).done());
    });
}

/// Contract §3.5: only while the loop runs, and on its own thread; otherwise the task is scheduled as usual.
#[test]
fn elsewhere_it_is_queued() {
    let event_loop = new_loop();
    let polled_on = async { thread::current().id() };
    let other = thread::scope(|scope| {
        let spawner = scope.spawn(|| {
            let task = event_loop.task_builder().eager_start(true).create_task(polled_on);
            (thread::current().id(), task)
        });
        spawner.join().unwrap()
    });
    let (spawner, task) = other;
    assert!(!task.done());
    assert_ne!(event_loop.run_until_complete(task).unwrap().unwrap(), spawner);
    event_loop.close().unwrap();
    // One worker, which waits: then nobody can have run it.
    let event_loop = loop_in_order();
    let task = event_loop.task_builder().eager_start(true).create_task(async { 1 });
    assert!(!task.done());
    assert_eq!(event_loop.run_until_complete(task).unwrap().unwrap(), 1);
    let remote = event_loop.clone();
    let main = async move {
        let other =
            thread::spawn(move || remote.task_builder().eager_start(true).create_task(async { 2 }));
        let task = other.join().unwrap();
        assert!(!task.done());
        task.await.unwrap()
    };
    assert_eq!(event_loop.run_until_complete(main).unwrap(), 2);
    event_loop.close().unwrap();
}

/// A fatal error has no twin; a panic in the first turn is the task's, not the maker's.
#[test]
fn a_panic_in_the_first_turn_is_the_task_s() {
    run_eagerly(async {
        let task: Task<()> = create_task(async { panic!("at once") });
        assert!(task.done());
        assert_eq!(task.await.unwrap_err().as_panic().unwrap().message(), "at once");
        assert!(current_task().is_some());
    });
}

/// The execution model: at most 64 lie in one another, the next is queued.
#[test]
fn a_chain_without_end_does_not_overflow_the_stack() {
    static DEEPEST: AtomicU32 = AtomicU32::new(0);
    fn chain(depth: u32) -> Pin<Box<dyn std::future::Future<Output = ()> + Send>> {
        Box::pin(async move {
            DEEPEST.fetch_max(depth, Ordering::Relaxed);
            if depth < 1000 {
                create_task(chain(depth + 1)).await.unwrap();
            }
        })
    }
    run_eagerly(async {
        let task = create_task(chain(1));
        assert!(!task.done());
        assert_eq!(DEEPEST.load(Ordering::Relaxed), 64);
        task.await.unwrap();
        assert_eq!(DEEPEST.load(Ordering::Relaxed), 1000);
    });
}

/// Contract §5, 11: an eager child's failure does not cancel the parent in the middle of `create_task`.
#[test]
fn a_group_hears_of_an_eager_failure_when_its_body_waits() {
    run_eagerly(async {
        let log = Log::new();
        let noted = log.clone();
        let outcome = TaskGroup::<&str>::scope(async move |tg| {
            let failed: Task<()> = tg.create_task(async { Err("oops") });
            assert!(failed.done());
            noted.push("after create_task");
            pending::<()>().await;
            Ok(())
        });
        assert_eq!(outcome.await.unwrap_err().exceptions(), ["oops"]);
        assert_eq!(log.take(), ["after create_task"]);
    });
}

/// A woken task is queued after its first turn; nothing is lost.
#[test]
fn a_wake_in_the_first_turn_brings_another() {
    run_eagerly(async {
        let task = create_task(async {
            let mut left = 3;
            std::future::poll_fn(|cx| {
                left -= 1;
                cx.waker().wake_by_ref();
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
        assert!(!task.done());
        wait_for(task, secs(10.0)).await.unwrap().unwrap();
    });
}

/// The same with what is polled in the turn of the maker.
#[test]
fn a_timeout_works_in_a_first_turn() {
    run_eagerly(async {
        let task = create_task(async { wait_for(sleep(secs(10.0)), secs(0.001)).await });
        assert!(!task.done());
        assert!(task.await.unwrap().is_err());
        let mut ready = create_task(async { 1 });
        let polled = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut ready).poll(cx)));
        assert!(polled.await.is_ready());
    });
}

// ----- factories

/// CPython test_base_events: test_create_named_task_with_custom_factory
#[test]
fn names_go_through_the_factory() {
    let event_loop = new_loop();
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    event_loop.set_task_factory(Some(move |builder: TaskBuilder| {
        count.fetch_add(1, Ordering::Relaxed);
        let name = builder.get_name().map_or("unnamed".to_owned(), |name| format!("my {name}"));
        builder.name(name)
    }));
    let named = event_loop.task_builder().name("task").create_task(async {});
    let unnamed = event_loop.create_task(async {});
    assert_eq!((&*named.get_name(), &*unnamed.get_name()), ("my task", "unnamed"));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    event_loop.run_until_complete(async { (named.await, unnamed.await) }).unwrap().0.unwrap();
    event_loop.set_task_factory(None::<fn(TaskBuilder) -> TaskBuilder>);
    assert!(event_loop.get_task_factory().is_none());
    event_loop.close().unwrap();
}

/// A factory that panics: nothing is made, and the caller hears of it.
#[test]
fn a_factory_s_panic_is_the_caller_s() {
    let event_loop = new_loop();
    event_loop.set_task_factory(Some(|_| -> TaskBuilder { panic!("no task today") }));
    assert_eq!(panic_message(|| event_loop.create_task(async {})), "no task today");
    assert!(event_loop.all_tasks().is_empty());
    event_loop.close().unwrap();
}

/// CPython test_tasks: test_run_coroutine_threadsafe_task_factory_exception
#[test]
fn a_factory_s_panic_is_told_to_the_handle_and_the_loop() {
    let event_loop = new_loop();
    let reported = reports(&event_loop);
    event_loop.set_task_factory(Some(|_| -> TaskBuilder { panic!("no task today") }));
    let remote = event_loop.clone();
    let task = thread::spawn(move || run_coroutine_threadsafe(async { 1 }, &remote).unwrap());
    let task = task.join().unwrap();
    let error = event_loop.run_until_complete(task).unwrap().unwrap_err();
    assert_eq!(error.as_panic().unwrap().message(), "no task today");
    let reported = reported.take();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].message, "a task factory panicked");
    assert!(reported[0].exception.as_ref().unwrap().contains("no task today"));
    event_loop.close().unwrap();
}
