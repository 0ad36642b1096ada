//! What a workload needs from a runtime: tasks.

use crate::kit::Kit;
use std::future::Future;

/// A runtime that workloads can run on.
///
/// Everything is found from where the code runs, as programs do it: no workload passes a handle round, except to spawn from outside.
pub trait Runtime: 'static {
    /// How its tasks sleep, talk and do I/O.
    type Kit: Kit;
    /// The handle of a task.
    type Task<T: Send + 'static>: Send + 'static;
    /// What another thread needs in order to spawn; `()` if it cannot.
    type Remote: Clone + Send + 'static;

    /// Whether [`spawn_from`](Self::spawn_from) works.
    const REMOTE: bool = true;

    /// Makes a runtime with this many workers, runs `main` on it and ends it.
    fn run<F: Future>(workers: usize, main: F) -> F::Output;

    /// Makes a task from within the runtime.
    fn spawn<F>(future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Waits for a task and takes its output.
    fn join<T: Send + 'static>(task: Self::Task<T>) -> impl Future<Output = T> + Send;

    /// Lets a task run on without its handle.
    fn detach<T: Send + 'static>(task: Self::Task<T>);

    /// What [`spawn_from`](Self::spawn_from) needs; called from within.
    fn remote() -> Self::Remote;

    /// Makes a task from a thread outside the runtime.
    fn spawn_from<F>(remote: &Self::Remote, future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;
}

/// How a workload is to run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Threads that run tasks, the one that called included where the runtime uses it.
    pub workers: usize,
    /// Operations to do.
    pub n: usize,
}

/// Runs `body` in a task: where the main future is no task, it would be measured from outside the pool.
pub fn in_task<R: Runtime, F>(setup: Setup, body: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    R::run(setup.workers, async { R::join(R::spawn(body)).await })
}
