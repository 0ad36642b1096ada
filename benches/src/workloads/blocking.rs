//! Functions that block, run by the threads that are for them.

use crate::kit::Kit;
use crate::report::Report;
use crate::runtime::Runtime;
use futures_util::future::join_all;
use std::hint::black_box;
use std::time::Instant;

/// One operation: a function that returns at once is given to another thread and awaited, one after the other.
pub async fn there_and_back<R: Runtime>(n: usize) -> Report {
    let start = Instant::now();
    for number in 0..n {
        black_box(R::Kit::to_thread(move || black_box(number)).await);
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: one of `JOBS` such functions that are given away together and awaited together.
pub async fn many<R: Runtime, const JOBS: usize>(n: usize) -> Report {
    let start = Instant::now();
    for _ in 0..n / JOBS {
        let jobs = (0..JOBS).map(|number| R::Kit::to_thread(move || black_box(number)));
        black_box(join_all(jobs).await);
    }
    Report::per_op(n, start.elapsed())
}
