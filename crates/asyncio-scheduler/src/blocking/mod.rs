//! The blocking pool: threads for code that blocks.
//!
//! | file | what it holds |
//! |---|---|
//! | [`pool`] | the pool: submitting, its threads, the end |
//! | [`word`] | the one word that decides who runs a job and who may leave |
//! | [`channel`] | the queue of jobs: crossbeam's, and its twin for the models |
//! | [`mod@job`] | a function as a job, and the handle to its result |
//!
//! A pool belongs to no loop: a loop's default executor is one, and a program may make its own.

pub mod channel;
pub mod job;
pub mod pool;
pub mod word;

pub use job::{ConcurrentFuture, Job, job};
pub use pool::{Pool, PoolOptions, StartThread, SubmitError, default_threads};

#[cfg(not(asyncio_loom))]
pub use pool::SystemThreads;
