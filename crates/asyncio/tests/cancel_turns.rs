//! Cancels of tasks that do much in between: each turn's wait is another, or a pool polls only some of its futures in a turn.

#[path = "common/pool.rs"]
mod pool;

use asyncio::{
    TimeoutError, catch_cancelled, create_local_task, race, secs, timeout, uncancellable,
    with_finally, yield_now,
};
use pool::Pool;
use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;

/// The turns of something that would take 10 000.
#[derive(Clone, Default)]
struct Turns(Rc<Cell<u32>>);

impl Turns {
    /// A wait in each turn, beside `wait`, which is another each time.
    async fn beside(self, wait: impl AsyncFn()) {
        while self.0.get() < 10_000 {
            self.0.set(self.0.get() + 1);
            race!(yield_now(), wait());
        }
    }

    /// A seed may keep all others waiting for a thousand.
    fn are_few(&self) {
        assert!(self.0.get() < 5_000, "it went on for {} turns", self.0.get());
    }
}

async fn caught() {
    let _ = catch_cancelled(pending::<()>()).await;
}

/// Lets another go on until it has begun to count.
async fn begun(turns: &Cell<u32>) {
    while turns.get() == 0 {
        yield_now().await;
    }
}

#[asyncio::test]
async fn a_cancel_of_whom_each_turn_finds_in_another_scope() {
    let turns = Turns::default();
    let waiter = create_local_task(turns.clone().beside(caught));
    begun(&turns.0).await;
    waiter.cancel();
    assert!(waiter.await.unwrap_err().is_cancelled());
    turns.are_few();
}

#[asyncio::test]
async fn a_scope_round_whom_each_turn_finds_in_another_timeout() {
    let turns = Turns::default();
    let timed = async || {
        let _ = timeout(secs(5.0), pending::<()>()).await;
    };
    let body = turns.clone().beside(timed);
    let waiter = create_local_task(async { catch_cancelled(body).await.is_err() });
    begun(&turns.0).await;
    waiter.cancel();
    assert!(waiter.await.unwrap(), "the scope round it has the request");
    turns.are_few();
}

#[asyncio::test]
async fn a_deadline_of_whom_each_turn_finds_in_another_scope() {
    let turns = Turns::default();
    let outcome = timeout(secs(0.0), turns.clone().beside(caught));
    assert_eq!(outcome.await, Err(TimeoutError::default()));
    turns.are_few();
}

type Piece = Pin<Box<dyn Future<Output = ()>>>;

/// A pool with `last`, behind so many that wake themselves for ever.
fn behind(busy: usize, last: impl Future<Output = ()> + 'static) -> Pool<Piece> {
    async fn endless() {
        loop {
            yield_now().await;
        }
    }
    let mut all: Vec<Piece> = Vec::new();
    all.extend((0..busy).map(|_| Box::pin(endless()) as Piece));
    all.push(Box::pin(last));
    Pool::new(all)
}

#[asyncio::test]
async fn a_clean_up_in_a_busy_pool() {
    for busy in [4, 18, 40, 200] {
        let state = Rc::new(Cell::new("new"));
        let (begins, cleans) = (state.clone(), state.clone());
        let body = async move {
            begins.set("begun");
            pending::<()>().await;
        };
        let last = with_finally(body, || async move { cleans.set("cleaned up") });
        let waiter = create_local_task(behind(busy, last));
        while state.get() == "new" {
            yield_now().await;
        }
        waiter.cancel();
        assert!(waiter.await.is_err());
        assert_eq!(state.get(), "cleaned up", "beside {busy}");
    }
}

#[asyncio::test]
async fn what_is_not_cancellable_in_a_busy_pool() {
    let state = Rc::new(Cell::new(0));
    let seen = state.clone();
    let last = async move {
        uncancellable(async {
            for n in 1..50 {
                state.set(n);
                yield_now().await;
            }
        })
        .await;
        state.set(100);
    };
    let waiter = create_local_task(behind(40, last));
    while seen.get() == 0 {
        yield_now().await;
    }
    waiter.cancel();
    assert!(waiter.await.is_err());
    assert_eq!(seen.get(), 100, "dropped half-way");
}

/// Whoever keeps such a pool and does not poll it, but works, is cancelled before long.
#[asyncio::test]
async fn a_busy_task_beside_a_pool_that_it_keeps() {
    let turns = Rc::new(Cell::new(0));
    let seen = turns.clone();
    let waiter = create_local_task(async move {
        let mut pool = Pool::new([Box::pin(caught()) as Piece]);
        race!(&mut pool, async {
            yield_now().await;
            yield_now().await;
        });
        loop {
            turns.set(turns.get() + 1);
            yield_now().await;
        }
    });
    begun(&seen).await;
    waiter.cancel();
    assert!(waiter.await.unwrap_err().is_cancelled());
    assert!(seen.get() < 5_000, "it went on for {} turns", seen.get());
}
