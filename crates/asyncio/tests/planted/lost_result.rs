//! A `wait_for` that, when the time is over, cancels the task and says so, though the task may have ended meanwhile: what it had got is lost (bpo-37658).
//!
//! Found at seed 0 by random, at seed 212 by pct(3).

use asyncio::{Queue, Task, TimeoutError, create_task, secs, sleep, timeout, yield_now};
use std::sync::Arc;
use std::time::Duration;

async fn wait_for<const FIXED: bool, T>(
    mut task: Task<T>,
    limit: Duration,
) -> Result<T, TimeoutError> {
    let over = asyncio::wait([&mut task]).timeout(limit).await.0.is_empty();
    if over {
        // Somebody is told first.
        yield_now().await;
        task.cancel();
    }
    match task.await {
        Ok(value) if FIXED || !over => Ok(value),
        _ => Err(timeout(Duration::ZERO, std::future::pending::<()>()).await.unwrap_err()),
    }
}

pub(crate) async fn scenario<const FIXED: bool>() {
    let queue = Arc::new(Queue::new(0));
    let getter = queue.clone();
    let get = create_task(async move { getter.get().await.unwrap() });
    let putter = queue.clone();
    let put = create_task(async move {
        sleep(secs(1.0)).await;
        putter.put(7).await.unwrap();
    });
    let got = wait_for::<FIXED, u32>(get, secs(1.0)).await;
    put.await.unwrap();
    let items = usize::from(got.is_ok()) + queue.qsize();
    assert_eq!(items, 1, "an item was taken and lost");
}
