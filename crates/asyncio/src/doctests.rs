//! Snippets that are compiled and run as documentation tests only: the cookbook, and what must not compile.

/// The loop by hand.
#[doc = include_str!("../../../docs/cookbook/loop.md")]
struct CookbookLoop;

/// Callbacks.
#[doc = include_str!("../../../docs/cookbook/call.md")]
struct CookbookCall;

/// Coroutines and tasks.
#[doc = include_str!("../../../docs/cookbook/task.md")]
struct CookbookTask;

/// The settable future.
#[doc = include_str!("../../../docs/cookbook/future.md")]
struct CookbookFuture;

/// Many at once.
#[doc = include_str!("../../../docs/cookbook/group.md")]
struct CookbookGroup;

/// Blocking code.
#[doc = include_str!("../../../docs/cookbook/thread.md")]
struct CookbookThread;

/// Primitives and queues.
#[doc = include_str!("../../../docs/cookbook/sync.md")]
struct CookbookSync;

/// Simulated tests.
#[doc = include_str!("../../../docs/testing.md")]
struct Testing;

/// `#[asyncio::test]` says what is wrong with an option or a function:
///
/// ```compile_fail
/// #[asyncio::test(seed = 7)]
/// async fn test() {}
/// ```
///
/// ```compile_fail
/// #[asyncio::test(seeds)]
/// async fn test() {}
/// ```
///
/// ```compile_fail
/// #[asyncio::test(seeds = 7, seeds = 8)]
/// async fn test() {}
/// ```
///
/// ```compile_fail
/// #[asyncio::test]
/// fn test() {}
/// ```
///
/// ```compile_fail
/// #[asyncio::test]
/// async fn test(number: u32) {}
/// ```
struct TestAttribute;

/// What CPython finds out while the program runs, types say before.
///
/// CPython test_base_events: test_call_coroutine
/// A coroutine is no callback:
///
/// ```compile_fail,E0277
/// # let event_loop = asyncio::new_event_loop().unwrap();
/// async fn coroutine() {}
/// event_loop.call_soon(coroutine());
/// ```
///
/// CPython test_base_events: test_call_soon_non_callable
///
/// ```compile_fail,E0277
/// # let event_loop = asyncio::new_event_loop().unwrap();
/// event_loop.call_soon(7);
/// ```
///
/// CPython test_unix_events: test_add_signal_handler_coroutine_error
///
/// ```compile_fail,E0277
/// # let event_loop = asyncio::new_event_loop().unwrap();
/// async fn coroutine() {}
/// event_loop.add_signal_handler(2, coroutine());
/// ```
///
/// CPython test_base_events: test_set_exc_handler_invalid
///
/// ```compile_fail,E0277
/// # let event_loop = asyncio::new_event_loop().unwrap();
/// event_loop.set_exception_handler(Some("spam"));
/// ```
///
/// CPython test_base_events: test_set_task_factory_invalid
///
/// ```compile_fail,E0277
/// # let event_loop = asyncio::new_event_loop().unwrap();
/// event_loop.set_task_factory(Some(1));
/// ```
///
/// CPython test_base_events: test_run_until_complete_type_error
///
/// ```compile_fail,E0277
/// # let event_loop = asyncio::new_event_loop().unwrap();
/// event_loop.run_until_complete("blah");
/// ```
///
/// CPython test_base_events: test_set_default_executor_error
///
/// ```compile_fail,E0277
/// # let event_loop = asyncio::new_event_loop().unwrap();
/// event_loop.set_default_executor("no executor");
/// ```
///
/// CPython test_futures: test_constructor_positional
///
/// ```compile_fail,E0061
/// asyncio::Future::<u32>::new(42);
/// ```
///
/// CPython test_tasks: test_create_task_with_noncoroutine
///
/// ```compile_fail,E0277
/// asyncio::create_task(123);
/// ```
///
/// CPython test_tasks: test_task_set_methods
/// A task is finished by its future and by nobody else:
///
/// ```compile_fail,E0599
/// # async fn f(task: asyncio::Task<u32>) {
/// task.set_result(1);
/// # }
/// ```
///
/// CPython test_runners: test_asyncio_run_only_coro, test_run_non_coro
///
/// ```compile_fail,E0277
/// asyncio::run(|| ());
/// ```
///
/// CPython test_runners: test_second_with_block_raises, test_double_close
/// A runner is used up by its close:
///
/// ```compile_fail,E0382
/// let mut runner = asyncio::Runner::new().unwrap();
/// runner.close();
/// runner.run(async {}).unwrap();
/// ```
///
/// A token takes back one change, once:
///
/// ```compile_fail,E0382
/// static VAR: asyncio::ContextVar<u8> = asyncio::ContextVar::new("var");
/// let token = VAR.set(1);
/// VAR.reset(token);
/// VAR.reset(token);
/// ```
///
/// What is not `Send` does not go to the lane:
///
/// ```compile_fail,E0277
/// # let event_loop = asyncio::new_event_loop().unwrap();
/// let shared = std::rc::Rc::new(1);
/// event_loop.call_soon(move || drop(shared));
/// ```
struct DoesNotCompile;

/// What groups, timeouts and many at once find out at run time in CPython.
///
/// CPython test_tasks: test_as_completed_invalid_args
/// A single awaitable is no list of them:
///
/// ```compile_fail,E0277
/// # asyncio::run(async {
/// asyncio::as_completed::<(), _>(asyncio::create_task(async {}));
/// # });
/// ```
///
/// CPython test_tasks: test_as_completed_duplicate_coroutines
/// Nothing can be given twice:
///
/// ```compile_fail,E0382
/// # asyncio::run(async {
/// let coroutine = async { "spam" };
/// asyncio::as_completed([coroutine, coroutine]);
/// # });
/// ```
///
/// CPython test_tasks: test_issue46672
///
/// ```compile_fail,E0599
/// # asyncio::run(async {
/// asyncio::gather!(async {}, 5).await;
/// # });
/// ```
///
/// CPython test_base_events: test_set_task_factory_invalid
///
/// ```compile_fail,E0277
/// # let event_loop = asyncio::new_event_loop().unwrap();
/// event_loop.set_task_factory(Some(1));
/// ```
///
/// CPython test_timeouts: test_timeout_already_entered, test_timeout_double_enter
/// A timeout is used up by its await:
///
/// ```compile_fail,E0382
/// # asyncio::run(async {
/// let timeout = asyncio::timeout(asyncio::secs(0.1), async {});
/// timeout.await.unwrap();
/// timeout.await.unwrap();
/// # });
/// ```
///
/// CPython test_timeouts: test_timeout_not_entered
/// There is a deadline to be moved only inside its scope:
///
/// ```compile_fail,E0599
/// asyncio::timeout(asyncio::secs(0.1), async {}).reschedule(None);
/// ```
///
/// CPython test_taskgroups: test_taskgroup_not_entered, test_taskgroup_already_entered, test_taskgroup_double_enter
/// A group exists only inside its scope, which is entered once:
///
/// ```compile_fail,E0624
/// let group = asyncio::TaskGroup::<std::io::Error>::new();
/// ```
struct MustNotCompileEither;

/// Tasks and cancellation: what a program cannot get wrong.
///
/// A future that is not `Send` is no task that any worker may run, nor a child of a group; `create_local_task` makes one that stays:
///
/// ```compile_fail
/// asyncio::run(async {
///     let not_send = std::rc::Rc::new(());
///     asyncio::create_task(async move { drop(not_send) }).await
/// });
/// ```
///
/// ```compile_fail
/// # asyncio::run(async {
/// asyncio::TaskGroup::<std::io::Error>::scope(async |tg| {
///     let not_send = std::rc::Rc::new(());
///     tg.spawn(async move { drop(not_send) }).detach();
///     Ok(())
/// })
/// .await
/// # });
/// ```
///
/// ```
/// asyncio::run(async {
///     let not_send = std::rc::Rc::new(());
///     asyncio::create_local_task(async move { drop(not_send) }).await
/// })
/// .unwrap();
/// ```
///
/// A task borrows nothing from its maker, who may be gone before; the children of `scope` do:
///
/// ```compile_fail,E0597
/// asyncio::run(async {
///     let text = String::new();
///     let borrowed = &text;
///     asyncio::create_task(async move { borrowed.len() }).await
/// });
/// ```
///
/// ```compile_fail,E0597
/// asyncio::run(async {
///     let text = String::new();
///     let borrowed = &text;
///     asyncio::gather([async move { borrowed.len() }]).await
/// });
/// ```
///
/// ```
/// asyncio::run(async {
///     let text = String::new();
///     let borrowed = &text;
///     asyncio::scope(|s| async move { s.spawn(async { borrowed.len() }).await }).await
/// });
/// ```
///
/// A child of `scope` does not outlive it, and borrows nothing that is made inside:
///
/// ```compile_fail,E0597
/// # asyncio::run(async {
/// let mut kept = None;
/// {
///     let text = String::new();
///     let borrowed = &text;
///     let kept = &mut kept;
///     asyncio::scope(|s| async move { *kept = Some(s.spawn(async { borrowed })) }).await;
/// }
/// kept.unwrap().await;
/// # });
/// ```
///
/// A lock's guard of the standard library is not held over an await in a task:
///
/// ```compile_fail
/// # asyncio::run(async {
/// static LOCK: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
/// asyncio::create_task(async {
///     let guard = LOCK.lock().unwrap();
///     asyncio::yield_now().await;
///     drop(guard);
/// });
/// # });
/// ```
///
/// What `catch_cancelled` gives is looked at before there is a value:
///
/// ```compile_fail,E0308
/// # asyncio::run(async {
/// let value: u32 = asyncio::catch_cancelled(async { 1 }).await;
/// # });
/// ```
///
/// A cancellation that was caught is not forgotten: not the result,
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # asyncio::run(async {
/// asyncio::catch_cancelled(async {}).await;
/// # });
/// ```
///
/// not the error,
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # asyncio::run(async {
/// asyncio::catch_cancelled(async {}).await.unwrap_err();
/// # });
/// ```
///
/// nor that passing it on has to be awaited; and it is passed on once:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # async fn f(cancelled: asyncio::CancelledError) {
/// cancelled.propagate::<()>();
/// # }
/// ```
///
/// ```compile_fail,E0382
/// # async fn f(cancelled: asyncio::CancelledError) {
/// cancelled.swallow();
/// cancelled.propagate::<()>().await
/// # }
/// ```
///
/// Nothing of all this happens without an await, and a task that nobody keeps is let go on purpose:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # async fn f() {
/// asyncio::timeout(asyncio::secs(1.0), async {});
/// # }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # async fn f() {
/// asyncio::create_task(async {});
/// # }
/// ```
///
/// Who awaits a task by value has its result, once:
///
/// ```compile_fail,E0382
/// # asyncio::run(async {
/// let task = asyncio::create_task(async { 1 });
/// task.await.unwrap();
/// task.await.unwrap();
/// # });
/// ```
///
/// The branches of `race!` end alike:
///
/// ```compile_fail,E0271
/// # asyncio::run(async {
/// asyncio::race!(async { 1 }, async { "two" }).await;
/// # });
/// ```
///
/// CPython test_tasks: test_wait_invalid_args
/// A wait is for tasks, several of them:
///
/// ```compile_fail,E0277
/// # asyncio::run(async {
/// asyncio::wait(asyncio::create_task(async {})).await;
/// # });
/// ```
///
/// ```compile_fail,E0277
/// # asyncio::run(async {
/// asyncio::wait([async {}]).await;
/// # });
/// ```
///
/// CPython test_tasks: test_wait_errors
/// There are three ways to wait:
///
/// ```compile_fail,E0308
/// # asyncio::run(async {
/// asyncio::wait([asyncio::create_task(async {})]).return_when(-1).await;
/// # });
/// ```
struct MustNotCompileInTasks;
