//! What these tests share.

#[path = "../../../crates/asyncio/tests/common/settle.rs"]
mod settle;

use asyncio::Runner;
pub(crate) use settle::settle;

/// Runs a test with one worker, two and four.
pub(crate) fn with_workers<F>(test: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    for workers in [1, 2, 4] {
        let mut runner = Runner::builder().workers(workers).build().unwrap();
        // In a task: main has a worker of its own.
        runner.run(async { asyncio::create_task(test()).await.unwrap() }).unwrap();
    }
}
