//! Executors: who runs code that blocks.

pub use asyncio_scheduler::blocking::{ConcurrentFuture, Job, SubmitError};

use asyncio_base::context::ContextSlot;
use asyncio_base::sync::Mutex;
use asyncio_scheduler::blocking::{Pool, PoolOptions, SystemThreads, job};
use asyncio_task::BlockingError;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Runs jobs somewhere: on threads that may be blocked, or wherever it likes.
///
/// [`ThreadPoolExecutor`] is one; a program may bring its own, for instance one that hands jobs to another library's threads.
///
/// # Examples
///
/// ```
/// use asyncio::{Executor, Job, SubmitError};
///
/// /// Every job gets a thread of its own.
/// struct NewThread;
///
/// impl Executor for NewThread {
///     fn submit(&self, job: Job) -> Result<(), SubmitError> {
///         std::thread::Builder::new().spawn(|| job.run()).map(drop).map_err(SubmitError::NoThread)
///     }
/// }
///
/// asyncio::run(async {
///     let here = std::thread::current().id();
///     let there = asyncio::get_running_loop()
///         .run_in_executor(Some(&NewThread), || std::thread::current().id());
///     assert_ne!(there.await.unwrap(), here);
/// });
/// ```
///
/// # Python
///
/// `concurrent.futures.Executor`.
pub trait Executor: Send + Sync + 'static {
    /// Takes a job, to be run once. A job that is dropped unrun, now or later, counts as cancelled: nobody waits for it in vain.
    ///
    /// # Errors
    ///
    /// If the job is not taken; it has been dropped.
    fn submit(&self, job: Job) -> Result<(), SubmitError>;

    /// Refuses jobs from now on, and waits for nothing. Called by the loop whose default executor this is, when it is shut down.
    fn close(&self) {}

    /// Ready when, after [`close`](Self::close), all jobs have been run and all threads have ended.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }
}

impl<E: Executor + ?Sized> Executor for Arc<E> {
    fn submit(&self, job: Job) -> Result<(), SubmitError> {
        (**self).submit(job)
    }

    fn close(&self) {
        (**self).close();
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        (**self).poll_closed(cx)
    }
}

impl Executor for Pool {
    fn submit(&self, job: Job) -> Result<(), SubmitError> {
        Pool::submit(self, job)
    }

    fn close(&self) {
        self.shutdown();
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_joined(cx)
    }
}

/// Threads of one's own for code that blocks.
///
/// They are started as jobs come, up to the bound, and leave after ten idle seconds. Dropping the executor runs what it has taken and waits for
/// its threads, unless it was [shut down](Self::shutdown) before: so do not drop it inside a task with long jobs under way.
///
/// # Examples
///
/// From plain threads:
///
/// ```
/// use asyncio::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(4);
/// let mut square = pool.submit(|| 7 * 7)?;
/// assert_eq!(square.result(None)?, 49);
/// let lengths: Vec<usize> = pool.map(["one", "three"], str::len)?.collect();
/// assert_eq!(lengths, [3, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// From a task:
///
/// ```
/// use asyncio::ThreadPoolExecutor;
///
/// asyncio::run(async {
///     let pool = ThreadPoolExecutor::new(4);
///     let sum = asyncio::get_running_loop().run_in_executor(Some(&pool), || (1..=100).sum::<u32>());
///     assert_eq!(sum.await.unwrap(), 5050);
/// });
/// ```
///
/// # Python
///
/// `concurrent.futures.ThreadPoolExecutor`.
#[derive(Debug)]
pub struct ThreadPoolExecutor {
    pool: Pool,
}

impl ThreadPoolExecutor {
    /// A pool of at most `threads_max` threads, called `ThreadPoolExecutor_0` and so on.
    ///
    /// # Panics
    ///
    /// If `threads_max` is 0.
    #[track_caller]
    pub fn new(threads_max: usize) -> Self {
        Self::named("ThreadPoolExecutor", threads_max)
    }

    /// As [`new`](Self::new), with threads called `name_0` and so on. (Linux shows fifteen letters.)
    ///
    /// # Panics
    ///
    /// If `threads_max` is 0, or `name` has a zero byte.
    #[track_caller]
    pub fn named(name: impl Into<String>, threads_max: usize) -> Self {
        let name = name.into();
        assert!(!name.contains('\0'), "the name of a thread may not have a zero byte");
        let options = PoolOptions { name, threads_max, ..PoolOptions::default() };
        ThreadPoolExecutor { pool: Pool::new(options, Box::new(SystemThreads)) }
    }

    /// Queues `function`; the handle gives its result.
    ///
    /// # Errors
    ///
    /// If the executor is shut down, or has no thread and gets none; the function has been dropped.
    #[track_caller]
    pub fn submit<F, R>(&self, function: F) -> Result<ConcurrentFuture<R>, SubmitError>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        submit_to(&self.pool, ContextSlot::new(), function)
    }

    /// Queues `function` for each of `items`; the iterator gives the results in the order of the items, waiting for each. Dropped early, it
    /// cancels what has not started.
    ///
    /// # Errors
    ///
    /// If a job is refused; those before it are cancelled unless they have started.
    ///
    /// # Panics
    ///
    /// The iterator, inside a task or callback, whose worker it would stop; and it resumes a panic of `function`.
    #[track_caller]
    pub fn map<I, F, R>(&self, items: I, function: F) -> Result<MapResults<R>, SubmitError>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let function = Arc::new(function);
        let mut results = MapResults { waiting: Vec::new() };
        for item in items {
            let function = function.clone();
            results.waiting.push(self.submit(move || function(item))?);
        }
        results.waiting.reverse();
        Ok(results)
    }

    /// Refuses jobs from now on; with `wait`, waits until those taken have been run and the threads have ended. Once is enough.
    ///
    /// On one of the executor's own threads it waits for nothing, as it would wait for itself.
    pub fn shutdown(&self, wait: bool) {
        self.pool.shutdown();
        if wait {
            self.pool.join(None);
        }
    }

    /// As [`shutdown`](Self::shutdown), but jobs that have not started are cancelled.
    ///
    /// # Python
    ///
    /// `shutdown(wait, cancel_futures=True)`.
    pub fn shutdown_and_cancel(&self, wait: bool) {
        self.pool.shutdown_and_cancel();
        if wait {
            self.pool.join(None);
        }
    }

    /// As [`shutdown`](Self::shutdown), waiting for at most about `limit`.
    ///
    /// # Errors
    ///
    /// If the threads have not ended by then; each ends when its job does.
    pub fn shutdown_within(&self, limit: Duration) -> Result<(), ExecutorTimeout> {
        self.pool.shutdown();
        if self.pool.join(Some(limit)) { Ok(()) } else { Err(ExecutorTimeout { limit }) }
    }

    /// How many threads there are now.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        // Who has shut it down has said whether to wait.
        if !self.pool.is_shut_down() {
            self.shutdown(true);
        }
    }
}

impl Executor for ThreadPoolExecutor {
    fn submit(&self, job: Job) -> Result<(), SubmitError> {
        self.pool.submit(job)
    }

    fn close(&self) {
        self.pool.shutdown();
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.pool.poll_joined(cx)
    }
}

/// The results of [`ThreadPoolExecutor::map`].
#[derive(Debug)]
pub struct MapResults<R> {
    /// The next one is the last.
    waiting: Vec<ConcurrentFuture<R>>,
}

impl<R> Iterator for MapResults<R> {
    type Item = R;

    /// # Panics
    ///
    /// Inside a task or callback; if a job was cancelled because the executor was shut down. Resumes a panic of the function.
    fn next(&mut self) -> Option<R> {
        match self.waiting.pop()?.result(None) {
            Ok(value) => Some(value),
            Err(BlockingError::Join(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(error) => panic!("a result of `map` is missing: {error}"),
            },
            Err(error @ BlockingError::Timeout) => unreachable!("there is no limit: {error}"),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.waiting.len(), Some(self.waiting.len()))
    }
}

impl<R> ExactSizeIterator for MapResults<R> {}

impl<R> Drop for MapResults<R> {
    fn drop(&mut self) {
        self.waiting.iter().for_each(|job| {
            job.cancel();
        });
    }
}

/// An executor's threads had not ended when the time for it was over. They end when their jobs do.
///
/// # Python
///
/// `RuntimeWarning: The executor did not finishing joining its threads within N seconds.`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutorTimeout {
    pub(crate) limit: Duration,
}

impl fmt::Display for ExecutorTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.limit.as_secs_f64();
        write!(f, "the executor did not finish joining its threads within {seconds} seconds")
    }
}

impl std::error::Error for ExecutorTimeout {}

/// A result that a plain thread is to give, and the handle for whoever waits for it: a task, another thread, or a loop by
/// [`wrap_future`](crate::wrap_future).
///
/// # Examples
///
/// ```
/// use asyncio::{concurrent_future, wrap_future};
///
/// asyncio::run(async {
///     let (promise, answer) = concurrent_future();
///     let thread = std::thread::spawn(move || promise.set_result(42).unwrap());
///     assert_eq!(wrap_future(answer).await.unwrap(), 42);
///     thread.join().unwrap();
/// });
/// ```
///
/// # Python
///
/// A `concurrent.futures.Future` made by hand; its two sides are two values here.
#[track_caller]
pub fn concurrent_future<R: Send + 'static>() -> (ConcurrentPromise<R>, ConcurrentFuture<R>) {
    let value = Arc::new(Mutex::new(None));
    let given = value.clone();
    let take = move || given.lock().take().expect("the value is there before the job runs");
    let (job, future) = job(ContextSlot::new(), take);
    (ConcurrentPromise { value, job }, future)
}

/// The side of a [`concurrent_future`] that gives the result. Dropped without, it cancels: nobody waits in vain.
#[must_use = "a promise that is dropped cancels its future"]
pub struct ConcurrentPromise<R> {
    value: Arc<Mutex<Option<R>>>,
    job: Job,
}

impl<R: Send + 'static> ConcurrentPromise<R> {
    /// Gives the result and tells those who wait, on this thread.
    ///
    /// # Errors
    ///
    /// The result, if the future was cancelled.
    pub fn set_result(self, result: R) -> Result<(), R> {
        *self.value.lock() = Some(result);
        self.job.run();
        let refused = self.value.lock().take();
        refused.map_or(Ok(()), Err)
    }
}

impl<R> fmt::Debug for ConcurrentPromise<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrentPromise").finish_non_exhaustive()
    }
}

/// Makes a job of `function` and gives it to `executor`.
#[track_caller]
pub(crate) fn submit_to<F, R>(
    executor: &(impl Executor + ?Sized),
    context: ContextSlot,
    function: F,
) -> Result<ConcurrentFuture<R>, SubmitError>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let (job, handle) = job(context, function);
    executor.submit(job)?;
    Ok(handle)
}

/// The default executor of a loop: a pool made when it is first needed, unless one was set.
#[derive(Default)]
pub(crate) struct DefaultExecutor(Mutex<Slot>);

#[derive(Default)]
struct Slot {
    executor: Option<Arc<dyn Executor>>,
    /// No other takes its place: the loop is simulated.
    is_fixed: bool,
    shut_down: bool,
}

impl DefaultExecutor {
    pub(crate) fn get(&self) -> Result<Arc<dyn Executor>, SubmitError> {
        let mut slot = self.0.lock();
        if slot.shut_down {
            return Err(SubmitError::ShutDown);
        }
        Ok(slot.executor.get_or_insert_with(new_default_pool).clone())
    }

    pub(crate) fn set(&self, executor: Arc<dyn Executor>) -> Result<(), SubmitError> {
        let mut slot = self.0.lock();
        if slot.shut_down {
            return Err(SubmitError::ShutDown);
        }
        let other = if slot.is_fixed { Some(executor) } else { slot.executor.replace(executor) };
        drop(slot);
        // Perhaps the last reference, and its destructor waits.
        drop(other);
        Ok(())
    }

    /// Sets it for good.
    pub(crate) fn fix(&self, executor: Arc<dyn Executor>) {
        let mut slot = self.0.lock();
        slot.executor = Some(executor);
        slot.is_fixed = true;
    }

    /// Forbids further use, and closes the executor if there is one.
    pub(crate) fn shut_down(&self) -> Option<Arc<dyn Executor>> {
        let executor = {
            let mut slot = self.0.lock();
            slot.shut_down = true;
            slot.executor.clone()
        };
        executor.inspect(|executor| executor.close())
    }
}

#[cold]
fn new_default_pool() -> Arc<dyn Executor> {
    Arc::new(Pool::new(PoolOptions::default(), Box::new(SystemThreads)))
}
