#![doc = include_str!("../../../README.md")]
#![forbid(unsafe_code)]

mod as_completed;
mod asyncgens;
mod contextvars;
mod debug;
mod diagnostics;
#[cfg(doctest)]
mod doctests;
mod ensure_future;
mod events;
mod exception_group;
mod exceptions;
mod executors;
mod futures;
mod gather;
mod handles;
mod in_place;
pub mod net;
mod resolve;
mod runners;
#[cfg(all(unix, feature = "signal"))]
mod signals;
#[cfg(not(all(unix, feature = "signal")))]
#[path = "no_signals.rs"]
mod signals;
pub mod sim;
mod system_clock;
mod task_factory;
mod taskgroups;
mod tasks;
mod threads;
mod timeouts;
mod waiting;
mod wiring;

pub use crate::as_completed::{
    AsCompleted, AsCompletedUntil, Completions, NextCompleted, as_completed,
};
pub use crate::asyncgens::{
    AsyncGenerator, GeneratorInfo, NextItem, Put, Yielder, async_generator,
};
pub use crate::contextvars::{Context, ContextVar, Token, copy_context};
pub use crate::debug::{Warning, WarningHandler};
pub use crate::diagnostics::{ExceptionContext, ExceptionHandler, FutureInfo};
pub use crate::ensure_future::{IntoTask, OtherLoop, ensure_future};
pub use crate::events::{
    EventLoop, Metrics, get_event_loop, get_running_loop, new_event_loop, now, set_event_loop,
    try_get_running_loop,
};
pub use crate::exception_group::ExceptionGroup;
pub use crate::exceptions::{
    BlockingError, CancelledError, CloseError, InvalidStateError, JoinError, LoopClosed,
    NoCurrentLoop, NoRunningLoop, PanicError, RunError,
};
pub use crate::executors::{
    ConcurrentFuture, ConcurrentPromise, Executor, ExecutorTimeout, Job, MapResults, SubmitError,
    ThreadPoolExecutor, concurrent_future,
};
pub use crate::futures::{CallbackId, Future, FutureError, SharedError};
pub use crate::gather::{Gather, GatherAll, gather, try_gather};
pub use crate::handles::{Handle, TimerHandle};
pub use crate::in_place::scope::{LocalScope, ScopedTask, scope};
pub use crate::runners::{Runner, RunnerBuilder, default_workers, run};
#[cfg(all(unix, feature = "signal"))]
pub use crate::signals::SignalError;
pub use crate::task_factory::{TaskFactory, eager_task_factory};
pub use crate::taskgroups::TaskGroup;
pub use crate::tasks::{
    Task, TaskBuilder, TaskHandle, TaskId, YieldNow, all_tasks, create_local_task, create_task,
    create_task as spawn, current_task, yield_now,
};
pub use crate::threads::{ToThread, run_coroutine_threadsafe, to_thread, wrap_future};
pub use crate::timeouts::{
    Deadline, DeadlineOver, Timeout, TimeoutError, timeout, timeout_at, timeout_scope, wait_for,
};
pub use crate::waiting::{ReturnWhen, Wait, WaitFuture, Waitable, wait};
pub use asyncio_macros::{main, test};
pub use asyncio_sync::{
    Barrier, BoundedSemaphore, BrokenBarrierError, Condition, Event, LifoQueue, Lock,
    PriorityQueue, Queue, QueueEmpty, QueueFull, QueueShutDown, RwLock, Semaphore,
};
pub use asyncio_task::{
    CancelOnDrop, CatchCancelled, ScopedJoinHandle, Shield, ThreadScope, Uncancellable,
    catch_cancelled, shield, uncancellable, with_finally,
};
pub use asyncio_timer::{
    Interval, MissedTicks, Sleep, interval, interval_at, secs, sleep, sleep_until,
};

/// Locks, events, semaphores, conditions, barriers, queues and channels: the primitives with their guards, futures and errors.
///
/// They belong to no loop and work under any executor, and their `blocking_` twins in plain threads.
pub mod sync {
    pub use asyncio_sync::*;
}

/// What must not compile.
///
/// ```compile_fail
/// #[asyncio::main]
/// fn main() {} // not async
/// ```
///
/// ```compile_fail
/// #[asyncio::main]
/// async fn main(argument: u8) {} // parameters
/// ```
///
/// ```compile_fail
/// #[asyncio::main(workers = 2)] // arguments
/// async fn main() {}
/// ```
///
/// A coroutine that is not a future is refused by its type:
///
/// ```compile_fail,E0277
/// asyncio::run(123);
/// ```
#[cfg(doctest)]
struct MustNotCompile;

/// What the macros expand to. Not public API.
#[doc(hidden)]
pub mod __private {
    pub use crate::ensure_future::{Argument, Awaitable};
    pub use crate::gather::fallible;
    pub use crate::in_place::End;
    pub use crate::in_place::join::{both, join};
    pub use crate::in_place::race::race;
    pub use crate::in_place::select::{Selected, branch, select};
}
