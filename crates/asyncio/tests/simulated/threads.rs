//! Jobs on threads, which the simulation plays too.

use crate::harness::{Scenario, expect_reports, scenarios};
use asyncio::{
    Future, concurrent_future, create_task, get_running_loop, run_coroutine_threadsafe, secs,
    sleep, sometimes, timeout, to_thread, wrap_future, yield_now,
};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

scenarios! {
    to_thread_runs: Jobs,
    executor: Submitted,
    promises_of_threads: Promised,
    coroutines_from_threads: CalledIn,
}

/// Jobs that run, or are dropped before they have begun.
#[derive(Default)]
pub(crate) struct Jobs {
    asked: AtomicUsize,
    ran: Arc<AtomicUsize>,
    got: AtomicUsize,
}

impl Scenario for Jobs {
    const ROLES: usize = 3;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        for round in 0..2 {
            self.asked.fetch_add(1, SeqCst);
            let ran = self.ran.clone();
            let result = to_thread(move || {
                ran.fetch_add(1, SeqCst);
                role * 10 + round
            })
            .await;
            assert_eq!(result, role * 10 + round);
            self.got.fetch_add(1, SeqCst);
        }
    }

    fn check(&self) {
        let (asked, ran, got) =
            (self.asked.load(SeqCst), self.ran.load(SeqCst), self.got.load(SeqCst));
        assert!(got <= ran && ran <= asked);
        sometimes!("a job does not run", ran < asked);
        sometimes!("a result is not waited for", got < ran);
    }
}

struct Expected;

/// Futures of an executor: they can be kept, cancelled, and fail.
#[derive(Default)]
struct Submitted {
    ran: Arc<AtomicUsize>,
}

impl Scenario for Submitted {
    const ROLES: usize = 3;

    fn new() -> Self {
        expect_reports();
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let ran = self.ran.clone();
        let future: Future<usize> = get_running_loop().run_in_executor(None, move || {
            ran.fetch_add(1, SeqCst);
            if role == 1 {
                resume_unwind(Box::new(Expected));
            }
            role
        });
        yield_now().await;
        let cancelled = role == 2 && future.cancel();
        sometimes!("a job is cancelled", cancelled);
        let outcome = future.clone().take().await;
        assert_eq!(outcome.is_ok(), role == 0 || (role == 2 && !cancelled));
        assert_eq!(future.cancelled(), cancelled);
    }

    fn check(&self) {
        assert!(self.ran.load(SeqCst) <= 3);
    }
}

/// The future of another world, seen from here.
#[derive(Default)]
struct Promised {
    kept: AtomicUsize,
}

impl Scenario for Promised {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let (promise, future) = concurrent_future();
        let future: Future<u32> = wrap_future(future);
        let keeper = create_task(async move {
            yield_now().await;
            if role == 0 {
                promise.set_result(7).unwrap_or_default();
            }
        });
        let outcome = future.take().await;
        assert_eq!(outcome.is_ok(), role == 0, "a promise that is dropped is no promise");
        self.kept.fetch_add(1, SeqCst);
        keeper.await.unwrap();
    }

    fn check(&self) {
        sometimes!("both have their answer", self.kept.load(SeqCst) == 2);
    }
}

/// Tasks made as a thread makes them.
#[derive(Default)]
struct CalledIn {
    called: Arc<AtomicUsize>,
}

impl Scenario for CalledIn {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, _role: usize) {
        let running = get_running_loop();
        let called = self.called.clone();
        let job = to_thread(move || {
            let count = called.clone();
            running
                .call_soon_threadsafe(move || {
                    count.fetch_add(1, SeqCst);
                })
                .unwrap();
            let answer = async move {
                yield_now().await;
                called.fetch_add(10, SeqCst)
            };
            run_coroutine_threadsafe(answer, &running).unwrap()
        });
        let task = job.await;
        let outcome = timeout(secs(1.0), task).await;
        sometimes!("a thread has its answer", outcome.is_ok_and(|answer| answer.is_ok()));
        sleep(secs(0.0)).await;
    }

    fn check(&self) {
        let called = self.called.load(SeqCst);
        assert!(called / 10 <= called % 10, "the callback comes first");
    }
}
