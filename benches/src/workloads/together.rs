//! Cancelling, and many at once: ours, and what comes nearest in Tokio.

use crate::report::Report;
use asyncio::{TaskGroup, catch_cancelled, create_task, gather, timeout, yield_now};
use futures_util::future::join_all;
use std::convert::Infallible;
use std::future::{pending, ready};
use std::time::{Duration, Instant};

/// Never reached.
const HOUR: Duration = Duration::from_secs(3600);

/// Awaits `operation` `n` times, one after the other.
async fn repeat(n: usize, mut operation: impl AsyncFnMut()) -> Report {
    let start = Instant::now();
    for _ in 0..n {
        operation().await;
    }
    Report::per_op(n, start.elapsed())
}

/// As [`repeat`], where one call does `MANY` operations.
async fn repeat_many<const MANY: usize>(n: usize, mut operation: impl AsyncFnMut()) -> Report {
    let start = Instant::now();
    for _ in 0..n / MANY {
        operation().await;
    }
    Report::per_op(n, start.elapsed())
}

/// One operation: a task is spawned, waits, is cancelled and awaited.
pub async fn cancel(n: usize) -> Report {
    repeat(n, async || {
        let task = create_task(pending::<()>());
        yield_now().await;
        task.cancel();
        assert!(task.await.is_err());
    })
    .await
}

/// One operation: one yield with nothing round it, which the others here that yield are compared with.
pub async fn bare_yield(n: usize) -> Report {
    repeat(n, async || yield_now().await).await
}

/// One operation: a scope round something that is ready.
pub async fn scope_ready(n: usize) -> Report {
    repeat(n, async || assert!(catch_cancelled(ready(1)).await.is_ok())).await
}

/// One operation: a scope round one yield.
pub async fn scope_yield(n: usize) -> Report {
    repeat(n, async || assert!(catch_cancelled(yield_now()).await.is_ok())).await
}

/// One operation: a timeout round something that is ready.
pub async fn timeout_ready(n: usize) -> Report {
    repeat(n, async || assert!(timeout(HOUR, ready(1)).await.is_ok())).await
}

/// One operation: a timeout round one yield.
pub async fn timeout_yield(n: usize) -> Report {
    repeat(n, async || assert!(timeout(HOUR, yield_now()).await.is_ok())).await
}

/// One operation: one of `MANY` tasks that are spawned, and then awaited in order.
pub async fn join_many<const MANY: usize>(n: usize) -> Report {
    repeat_many::<MANY>(n, async || {
        let tasks: Vec<_> = (0..MANY).map(|i| create_task(async move { i })).collect();
        let mut values = Vec::with_capacity(MANY);
        for task in tasks {
            values.push(task.await.ok());
        }
        assert_eq!(values.len(), MANY);
    })
    .await
}

/// One operation: one of `MANY` tasks that `join_all` of `futures` awaits.
pub async fn join_all_many<const MANY: usize>(n: usize) -> Report {
    repeat_many::<MANY>(n, async || {
        let tasks = join_all((0..MANY).map(|i| create_task(async move { i })));
        assert_eq!(tasks.await.len(), MANY);
    })
    .await
}

/// One operation: one of `MANY` children of a gather.
pub async fn gather_many<const MANY: usize>(n: usize) -> Report {
    repeat_many::<MANY>(n, async || {
        let sums = gather((0..MANY).map(|i| async move { i }));
        assert_eq!(sums.await.map(|values| values.len()).ok(), Some(MANY));
    })
    .await
}

/// One operation: one of `MANY` children of a task group.
pub async fn group_many<const MANY: usize>(n: usize) -> Report {
    repeat_many::<MANY>(n, async || {
        let outcome = TaskGroup::<Infallible>::scope(async |tg| {
            (0..MANY).for_each(|i| tg.spawn(async move { i }).detach());
            Ok(())
        });
        assert!(outcome.await.is_ok());
    })
    .await
}

/// The same with Tokio.
pub mod tokio {
    use super::{HOUR, join_all, repeat, repeat_many};
    use crate::report::Report;
    use std::future::{pending, ready};
    use tokio::task::{JoinSet, yield_now};
    use tokio::time::timeout;

    /// One operation: a task is spawned, waits, is aborted and awaited.
    pub async fn cancel(n: usize) -> Report {
        repeat(n, async || {
            let task = tokio::spawn(pending::<()>());
            yield_now().await;
            task.abort();
            assert!(task.await.is_err());
        })
        .await
    }

    /// One operation: a timeout round something that is ready.
    pub async fn timeout_ready(n: usize) -> Report {
        repeat(n, async || assert!(timeout(HOUR, ready(1)).await.is_ok())).await
    }

    /// One operation: a timeout round one yield.
    pub async fn timeout_yield(n: usize) -> Report {
        repeat(n, async || assert!(timeout(HOUR, yield_now()).await.is_ok())).await
    }

    /// One operation: one of `MANY` tasks whose handles are awaited in order.
    pub async fn join_many<const MANY: usize>(n: usize) -> Report {
        repeat_many::<MANY>(n, async || {
            let tasks: Vec<_> = (0..MANY).map(|i| tokio::spawn(async move { i })).collect();
            let mut values = Vec::with_capacity(MANY);
            for task in tasks {
                values.push(task.await.ok());
            }
            assert_eq!(values.len(), MANY);
        })
        .await
    }

    /// One operation: one of `MANY` tasks that `join_all` of `futures` awaits.
    pub async fn join_all_many<const MANY: usize>(n: usize) -> Report {
        repeat_many::<MANY>(n, async || {
            let tasks = join_all((0..MANY).map(|i| tokio::spawn(async move { i })));
            assert_eq!(tasks.await.len(), MANY);
        })
        .await
    }

    /// One operation: one of `MANY` tasks of a `JoinSet`.
    pub async fn group_many<const MANY: usize>(n: usize) -> Report {
        repeat_many::<MANY>(n, async || {
            let mut set = JoinSet::new();
            (0..MANY).for_each(|i| drop(set.spawn(async move { i })));
            while let Some(joined) = set.join_next().await {
                assert!(joined.is_ok());
            }
        })
        .await
    }
}
