//! All workloads by name, for every runtime.

use crate::kit::Queues;
use crate::report::Report;
use crate::runtime::{Runtime, Setup, in_task};
use crate::runtimes::{
    Asyncio, Flume, Kanal, Smol, SmolLocal, SmolStatic, Tokio, TokioCurrentThread,
};
use crate::workloads::{
    bare, blocking, callbacks, messages, net, primitives, resting, spawn, switch, timers, together,
    wake,
};
use std::time::Duration;

/// The runtimes that a comparison takes unless told: the number is that of workers.
pub const RUNTIMES: [&str; 13] = [
    "asyncio-1",
    "tokio-ct",
    "tokio-1",
    "tokio-2",
    "smol-1",
    "smol-2",
    "smol-static-1",
    "smol-local",
    "asyncio-sync",
    "tokio-sync",
    "smol-sync",
    "flume",
    "kanal",
];

/// Python's event loops, where `python3` has them.
pub const PYTHON: [&str; 2] = ["python", "uvloop"];

/// What `python/bench.py` has.
pub const PYTHON_WORKLOADS: [&str; 10] = [
    "spawn",
    "spawn-join",
    "fan-out",
    "yield",
    "echo-1",
    "call-soon",
    "call-soon-chained",
    "call-soon-threadsafe",
    "call-later-cancel",
    "future",
];

/// The workload that needs `wrk`.
pub const HTTP: &str = "http";

/// One workload on one runtime.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name on the command line and in tables.
    pub name: &'static str,
    /// Operations of a run that is timed.
    pub n: usize,
    /// Operations of a short run whose instructions and system calls are counted; `None` if they depend on time.
    pub counted: Option<usize>,
    /// Runs it.
    pub run: fn(Setup) -> Report,
}

impl Workload {
    const fn timed(name: &'static str, n: usize, run: fn(Setup) -> Report) -> Workload {
        Workload { name, n, counted: None, run }
    }

    const fn counted(name: &'static str, n: usize, run: fn(Setup) -> Report) -> Workload {
        Workload { name, n, counted: Some(10_000), run }
    }

    const fn short(mut self, counted: usize) -> Workload {
        self.counted = Some(counted);
        self
    }
}

/// The workloads of a runtime by its name, with the number of workers in it; `None` if there is no such runtime.
pub fn of_runtime(name: &str) -> Option<(Vec<Workload>, usize)> {
    let numbered = name.rsplit_once('-').and_then(|(name, n)| Some((name, n.parse().ok()?)));
    let (name, workers) = numbered.unwrap_or((name, 1));
    let workloads = match name {
        "asyncio" => [tasks::<Asyncio>(), io::<Asyncio>(), ours()].concat(),
        "tokio" => [tasks::<Tokio>(), together_in_tokio::<Tokio>(), io::<Tokio>()].concat(),
        "tokio-ct" => {
            type Ct = TokioCurrentThread;
            [tasks::<Ct>(), together_in_tokio::<Ct>(), io::<Ct>()].concat()
        }
        "smol" => [tasks::<Smol>(), io::<Smol>()].concat(),
        "smol-static" => [tasks::<SmolStatic>(), io::<SmolStatic>()].concat(),
        "smol-local" => [tasks::<SmolLocal>(), io::<SmolLocal>()].concat(),
        "asyncio-sync" => bare::asyncio(),
        "tokio-sync" => bare::tokio(),
        "smol-sync" => bare::smol(),
        "flume" => [queues::<Flume>(), bare::flume()].concat(),
        "kanal" => [queues::<Kanal>(), bare::kanal()].concat(),
        _ => return None,
    };
    Some((workloads, workers))
}

fn tasks<R: Runtime>() -> Vec<Workload> {
    let counted = Workload::counted;
    let mut workloads = vec![
        counted("spawn", 1_000_000, |s| in_task::<R, _>(s, spawn::detached::<R>(s.n))),
        counted("spawn-join", 500_000, |s| in_task::<R, _>(s, spawn::join::<R>(s.n))),
        counted("spawn-join-main", 50_000, |s| R::run(s.workers, spawn::join::<R>(s.n))),
        counted("fan-out", 500_000, |s| in_task::<R, _>(s, spawn::fan_out::<R>(s.n))),
        counted("chained", 500_000, |s| in_task::<R, _>(s, spawn::chained::<R>(s.n))),
        counted("pairs", 200_000, |s| in_task::<R, _>(s, spawn::pairs::<R>(s.n))),
        counted("yield", 1_000_000, |s| in_task::<R, _>(s, switch::yield_alone::<R>(s.n))),
        counted("yield-200", 2_000_000, |s| in_task::<R, _>(s, switch::yield_many::<R>(s.n))),
        counted("ping-pong", 300_000, |s| in_task::<R, _>(s, switch::ping_pong::<R>(s.n))),
        counted("batons", 500_000, |s| in_task::<R, _>(s, switch::batons::<R>(s.n))),
        counted("request", 200_000, |s| in_task::<R, _>(s, messages::request_reply::<R>(s.n))),
        counted("request-main", 50_000, |s| R::run(s.workers, messages::request_reply::<R>(s.n))),
        counted("queue", 1_000_000, |s| {
            in_task::<R, _>(s, messages::uncontended::<R::Kit>(s.n, Some(100)))
        }),
        counted("queue-unbounded", 1_000_000, |s| {
            in_task::<R, _>(s, messages::uncontended::<R::Kit>(s.n, None))
        }),
        counted("producers-1", 1_000_000, |s| in_task::<R, _>(s, messages::producers::<R>(s.n, 1))),
        counted("producers-4", 1_000_000, |s| in_task::<R, _>(s, messages::producers::<R>(s.n, 4))),
        counted("lock", 2_000_000, |s| in_task::<R, _>(s, primitives::lock::<R>(s.n))),
        counted("lock-8", 500_000, |s| in_task::<R, _>(s, primitives::lock_contended::<R>(s.n))),
        counted("semaphore", 2_000_000, |s| in_task::<R, _>(s, primitives::semaphore::<R>(s.n))),
        counted("oneshot", 1_000_000, |s| in_task::<R, _>(s, primitives::oneshot::<R>(s.n))),
    ];
    if R::REMOTE {
        workloads.push(Workload::timed("spawn-remote", 500_000, spawn::remote::<R>));
    }
    workloads
}

fn io<R: Runtime>() -> Vec<Workload> {
    let (counted, timed) = (Workload::counted, Workload::timed);
    vec![
        counted("sleep-drop", 1_000_000, |s| {
            in_task::<R, _>(s, timers::made_and_dropped::<R>(s.n))
        }),
        counted("timers-alive", 1_000_000, |s| in_task::<R, _>(s, timers::many_alive::<R>(s.n))),
        timed("timers-cancelled", 100_000, |s| {
            in_task::<R, _>(s, timers::mostly_cancelled::<R>(s.n))
        }),
        timed("timers-firing", 100_000, |s| in_task::<R, _>(s, timers::firing::<R>(s.n))),
        timed("late-1ms", 200, |s| {
            in_task::<R, _>(s, timers::late::<R>(s.n, Duration::from_millis(1)))
        })
        .short(100),
        timed("late-100us", 500, |s| {
            in_task::<R, _>(s, timers::late::<R>(s.n, Duration::from_micros(100)))
        }),
        counted("to-thread", 50_000, |s| in_task::<R, _>(s, blocking::there_and_back::<R>(s.n)))
            .short(1000),
        timed("to-thread-100", 100_000, |s| in_task::<R, _>(s, blocking::many::<R, 100>(s.n))),
        timed("wake", 50_000, wake::round_trip::<R>),
        counted("echo-1", 50_000, |s| in_task::<R, _>(s, net::round_trips::<R>(s.n, 1)))
            .short(1000),
        timed("echo-64", 100_000, |s| in_task::<R, _>(s, net::round_trips::<R>(s.n, 64))),
        timed("echo-1000", 100_000, |s| in_task::<R, _>(s, net::round_trips::<R>(s.n, 1000))),
        timed("echo-chunks", 10_000, |s| in_task::<R, _>(s, net::chunks::<R>(s.n))),
        timed("server-64", 100_000, net::server::<R>),
        timed(HTTP, 2, net::http::served::<R>),
        counted("accept", 10_000, |s| in_task::<R, _>(s, net::accept_and_close::<R>(s.n)))
            .short(1000),
        timed("echo-beside-cpu", 2_000, net::echo_beside_busy_tasks::<R>),
        timed("idle", 1_000, |s| in_task::<R, _>(s, resting::idle::<R>(s.n))),
        timed("bytes-task", 200_000, |s| in_task::<R, _>(s, resting::waiting_tasks::<R>(s.n))),
        timed("bytes-waker", 200_000, |s| in_task::<R, _>(s, resting::wakeable_tasks::<R>(s.n))),
        timed("bytes-sleep", 200_000, |s| in_task::<R, _>(s, resting::sleeping_tasks::<R>(s.n))),
        timed("bytes-connection", 8_000, |s| {
            in_task::<R, _>(s, resting::idle_connections::<R>(s.n))
        }),
        timed("start-stop", 1_000, resting::start_and_stop::<R>).short(100),
    ]
}

/// What no peer in Rust has.
fn ours() -> Vec<Workload> {
    let (counted, n) = (Workload::counted, 1_000_000);
    vec![
        counted("call-soon", n, |s| in_task::<Asyncio, _>(s, callbacks::call_soon(s.n))),
        counted("call-soon-chained", n, |s| {
            in_task::<Asyncio, _>(s, callbacks::call_soon_chained(s.n))
        }),
        Workload::timed("call-soon-threadsafe", n, |s| {
            in_task::<Asyncio, _>(s, callbacks::call_soon_threadsafe(s.n))
        }),
        counted("call-later-cancel", n, |s| {
            in_task::<Asyncio, _>(s, callbacks::call_later_cancelled(s.n))
        }),
        counted("future", n, |s| in_task::<Asyncio, _>(s, callbacks::future(s.n))),
        counted("cancel", n, |s| in_task::<Asyncio, _>(s, together::cancel(s.n))),
        counted("bare-yield", n, |s| in_task::<Asyncio, _>(s, together::bare_yield(s.n))),
        counted("scope-ready", n, |s| in_task::<Asyncio, _>(s, together::scope_ready(s.n))),
        counted("scope-yield", n, |s| in_task::<Asyncio, _>(s, together::scope_yield(s.n))),
        counted("timeout-ready", n, |s| in_task::<Asyncio, _>(s, together::timeout_ready(s.n))),
        counted("timeout-yield", n, |s| in_task::<Asyncio, _>(s, together::timeout_yield(s.n))),
        counted("gather-100", n, |s| in_task::<Asyncio, _>(s, together::gather_many::<100>(s.n))),
        counted("group-100", n, |s| in_task::<Asyncio, _>(s, together::group_many::<100>(s.n))),
        counted("join-1000", n, |s| in_task::<Asyncio, _>(s, together::join_many::<1000>(s.n))),
        counted("join-all-1000", n, |s| {
            in_task::<Asyncio, _>(s, together::join_all_many::<1000>(s.n))
        }),
        counted("gather-1000", n, |s| in_task::<Asyncio, _>(s, together::gather_many::<1000>(s.n))),
        counted("group-1000", n, |s| in_task::<Asyncio, _>(s, together::group_many::<1000>(s.n))),
    ]
}

/// What comes nearest to ours there.
fn together_in_tokio<R: Runtime>() -> Vec<Workload> {
    use together::tokio;
    let (counted, n) = (Workload::counted, 1_000_000);
    vec![
        counted("cancel", n, |s| in_task::<R, _>(s, tokio::cancel(s.n))),
        counted("timeout-ready", n, |s| in_task::<R, _>(s, tokio::timeout_ready(s.n))),
        counted("timeout-yield", n, |s| in_task::<R, _>(s, tokio::timeout_yield(s.n))),
        counted("gather-100", n, |s| in_task::<R, _>(s, tokio::join_many::<100>(s.n))),
        counted("group-100", n, |s| in_task::<R, _>(s, tokio::group_many::<100>(s.n))),
        counted("join-1000", n, |s| in_task::<R, _>(s, tokio::join_many::<1000>(s.n))),
        counted("join-all-1000", n, |s| in_task::<R, _>(s, tokio::join_all_many::<1000>(s.n))),
        counted("group-1000", n, |s| in_task::<R, _>(s, tokio::group_many::<1000>(s.n))),
    ]
}

/// Without a runtime: nothing here waits for long, and a bare `block_on` is the best such a queue can get.
/// Of a library without a runtime, in a task as all others are: in one of ours.
fn queues<Q: Queues>() -> Vec<Workload> {
    vec![
        Workload::counted("queue", 1_000_000, |s| {
            in_task::<Asyncio, _>(s, messages::uncontended::<Q>(s.n, Some(100)))
        }),
        Workload::counted("queue-unbounded", 1_000_000, |s| {
            in_task::<Asyncio, _>(s, messages::uncontended::<Q>(s.n, None))
        }),
    ]
}
