//! Random programs of scopes, timeouts, groups and awaits, some of which are kept and polled again elsewhere, under a cancel at a random time:
//! it is never lost, nothing hangs, no timeout is late.
//!
//! Each seed of the simulation makes a program of its own.

#[path = "common/pool.rs"]
mod pool;

use asyncio::{
    CancelledError, Task, TaskGroup, all_tasks, catch_cancelled, create_local_task, current_task,
    now, race, secs, sim, sleep, timeout, uncancellable, with_finally, yield_now,
};
use pool::Pool;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

thread_local! {
    /// A cancel has ended with a branch that had taken it.
    static ANSWERED: Cell<bool> = const { Cell::new(false) };
}

type Piece = Pin<Box<dyn Future<Output = ()>>>;

/// The longest that a piece waits by itself, and that a clean-up takes.
const LONGEST: Duration = Duration::from_secs(8);

fn below(bound: u64) -> u64 {
    sim::rng().below(bound)
}

fn some_time() -> Duration {
    Duration::from_millis(below(LONGEST.as_millis() as u64))
}

/// A piece of program; what it contains is less deep.
fn piece(depth: u32) -> Piece {
    if depth == 0 {
        return Box::pin(leaf());
    }
    let inner = move || piece(depth - 1);
    match below(12) {
        0 => Box::pin(leaf()),
        1 => Box::pin(async move {
            inner().await;
            inner().await;
        }),
        2 => Box::pin(caught(inner(), uncancellable(clean_up()))),
        3 => Box::pin(caught(inner(), clean_up())),
        4 => Box::pin(timed(inner())),
        5 => Box::pin(async move {
            race!(inner(), inner());
        }),
        6 => Box::pin(kept(inner(), inner(), inner())),
        7 => Box::pin(kept_task(inner(), inner(), inner())),
        8 => Box::pin(with_finally(inner(), clean_up)),
        9 => Box::pin(Pool::new((0..4).map(|_| inner()))),
        10 => Box::pin(kept(Box::pin(Pool::new([inner(), inner()])), inner(), inner())),
        _ => Box::pin(async move {
            let group =
                TaskGroup::<CancelledError>::scope(async |_: &TaskGroup<CancelledError>| {
                    inner().await;
                    Ok(())
                });
            assert!(group.await.is_ok(), "nothing in it fails");
        }),
    }
}

async fn leaf() {
    match below(3) {
        0 => yield_now().await,
        1 => sleep(some_time()).await,
        _ => uncancellable(sleep(some_time())).await,
    }
}

async fn clean_up() {
    yield_now().await;
    if below(2) == 0 {
        sleep(secs(0.1)).await;
    }
}

/// A clean-up after a cancel, which goes on then. Who drops that half-way has ended the cancel.
async fn caught(inner: Piece, clean_up: impl Future<Output = ()>) {
    struct Dropped;

    impl Drop for Dropped {
        fn drop(&mut self) {
            ANSWERED.set(true);
        }
    }

    if let Err(caught) = catch_cancelled(inner).await {
        let dropped = Dropped;
        clean_up.await;
        std::mem::forget(dropped);
        caught.propagate().await
    }
}

/// A timeout ends what is in it in time, but for what that does at its end.
async fn timed(inner: Piece) {
    let (began, most) = (now(), some_time());
    let outcome = timeout(most, inner).await;
    let took = now() - began;
    assert!(outcome.is_ok() || took >= most, "after {took:?} of {most:?}");
}

/// Something is polled beside another, then kept and not awaited, then perhaps awaited in another place.
async fn kept(mut inner: Piece, beside: Piece, meanwhile: Piece) {
    let mut is_over = false;
    race!(
        async {
            inner.as_mut().await;
            is_over = true;
        },
        beside
    );
    meanwhile.await;
    if !is_over && below(2) == 0 {
        timed(inner).await;
    }
}

/// The same with a task.
async fn kept_task(inner: Piece, beside: Piece, meanwhile: Piece) {
    let mut task: Task<()> = create_local_task(inner);
    let mut is_over = false;
    race!(
        async {
            let _ = (&mut task).await;
            is_over = true;
        },
        beside
    );
    meanwhile.await;
    if !is_over && below(2) == 0 {
        let _ = task.await;
    }
}

/// Longer than all that is uncancellable one after the other.
const END: Duration = Duration::from_secs(60);

async fn cancelled_at_some_time() {
    ANSWERED.set(false);
    let task = create_local_task(piece(4));
    sleep(some_time()).await;
    let (is_asked, began) = (task.cancel(), now());
    let outcome = task.await;
    assert!(now() - began < END, "{:?} after the cancel", now() - began);
    match outcome {
        Ok(()) => assert!(!is_asked || ANSWERED.get(), "the cancel was lost"),
        Err(error) => assert!(is_asked && error.is_cancelled(), "{error}"),
    }
    // Tasks that were kept, and then left.
    let own = current_task().expect("main is one").id();
    let left = all_tasks().into_iter().filter(|task| task.id() != own);
    for task in left {
        task.abort();
    }
    while all_tasks().len() > 1 {
        yield_now().await;
    }
}

#[test]
fn a_cancel_ends_whatever_goes_on() {
    let seeds = std::env::var("ASYNCIO_SEEDS").ok().and_then(|text| text.parse().ok());
    let explored = sim::explore(seeds.unwrap_or(10_000), |sim| sim, cancelled_at_some_time);
    explored.unwrap_or_else(|failure| panic!("{failure}"));
}
