//! The wrapper that every loom model of asyncio runs in.
//!
//! loom passes *silently* when one of its limits stops it. [`model`] leaves those limits unset, so a model that returns has
//! been explored to its end within its preemption bound; one that takes too long fails, and one that explored a single
//! schedule fails too, because it modelled nothing. The count of schedules is printed.
//!
//! Run the models with `RUSTFLAGS="--cfg asyncio_loom" cargo test -p asyncio-loom-tests --release`.
#![cfg(asyncio_loom)]

use loom::sync::atomic::AtomicUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A model that needs longer is too big for the suite: split it.
const LIMIT: Duration = Duration::from_secs(300);

/// Explores every schedule of `f` with at most `preemptions` preemptions (`None`: any number) and prints how many there were.
///
/// # Panics
///
/// If a schedule fails, if the exploration is not exhausted within five minutes, or if there was only one schedule.
pub fn model(name: &str, preemptions: Option<usize>, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 100_000;
    builder.max_permutations = None;
    builder.max_duration = None;

    let schedules = Arc::new(AtomicU64::new(0));
    let counter = schedules.clone();
    let start = Instant::now();
    let label = name.to_owned();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        assert!(start.elapsed() < LIMIT, "model {label}: not exhausted within {LIMIT:?}");
        f();
    });
    let schedules = schedules.load(Ordering::Relaxed);
    let bound = preemptions.map_or("unbounded".to_owned(), |n| format!("bound {n}"));
    println!("model {name}: exhausted, {bound}, {schedules} schedules, {:?}", start.elapsed());
    assert!(schedules > 1, "model {name}: a single schedule models nothing");
}

loom::lazy_static! {
    static ref RACE: AtomicUsize = AtomicUsize::new(0);
}

/// A point whose order against all other such points of the model is tried.
///
/// loom looks for another order of two accesses only where one follows the other *directly* among those to the same object. So a
/// plain load is not tried after a write if the writer's thread loads first, as every exchange loop does. This makes up for it:
/// a relaxed read-modify-write of one word, to stand before a load that decides something and after a write that decides it. It
/// orders no memory.
pub fn race() {
    RACE.fetch_add(1, Ordering::Relaxed);
}
