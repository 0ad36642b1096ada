//! A `wait` that, when it is cancelled, looks whether what it waited for has come meanwhile, and then goes on as if nothing was: the request is lost, and the one
//! who cancelled waits in vain (CPython #86296).
//!
//! Found at seed 8 by random, at seed 134 by pct(3).

use asyncio::{Event, catch_cancelled, create_task, yield_now};
use std::sync::Arc;

async fn wait<const FIXED: bool>(event: &Event) {
    match catch_cancelled(event.wait()).await {
        Err(cancelled) if !FIXED && event.is_set() => cancelled.swallow(),
        Err(cancelled) => cancelled.propagate().await,
        Ok(()) => {}
    }
}

pub(crate) async fn scenario<const FIXED: bool>() {
    let event = Arc::new(Event::new());
    let waiter = event.clone();
    let task = create_task(async move {
        wait::<FIXED>(&waiter).await;
        yield_now().await;
    });
    yield_now().await;
    event.set();
    yield_now().await;
    if task.cancel() {
        assert!(task.await.is_err(), "the request was lost");
    }
}
