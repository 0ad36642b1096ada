//! Closing a generator: its body is cancelled where it is suspended, in the task that closes.
//!
//! One that was never polled is dropped; else:
//!
//! 1. The body is polled once, so that its cancel scopes join the tree of this task. Its `put` does not go on: nobody has asked.
//! 2. The domain round it is cancelled: the request goes to the body's innermost scopes, and without any the body is dropped.
//! 3. The body is polled until it has ended. One that puts an item instead of ending has ignored its close: it is dropped, and that is an error.
//!
//! Whoever closes holds the generator's lock. If that one gives up, the body is put back as it is, and the next one goes on with it.

use crate::asyncgens::Shared;
use crate::diagnostics::Panicked;
use asyncio_task::{Domain, Inside};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Closes the generator, or waits for whoever does.
pub(super) async fn close<T: Send + 'static>(shared: Arc<Shared<T>>) {
    let _closing = shared.closing.acquire().await;
    if shared.drop_fresh() {
        return;
    }
    let mut closing = Closing { shared: &shared, domain: Domain::new(), asked: false };
    poll_fn(|cx| closing.poll(cx)).await;
}

/// The body, while it is being closed.
struct Closing<'a, T: Send + 'static> {
    shared: &'a Shared<T>,
    domain: Domain,
    asked: bool,
}

impl<T: Send + 'static> Closing<'_, T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.asked {
            if self.poll_body(cx).is_ready() {
                return Poll::Ready(());
            }
            self.asked = true;
            // What it put before, or on its way to where it waits, nobody will take.
            drop(self.shared.slot.lock().item());
            self.domain.cancel(None);
        }
        if self.poll_body(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.shared.slot.lock().item().is_some() {
            self.shared.discard();
            panic!("the async generator ignored its close");
        }
        Poll::Pending
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Inside<()>> {
        self.shared.poll_body(&mut self.domain, cx)
    }
}

impl<T: Send + 'static> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.domain.detach();
    }
}

/// The outcome of a future that may panic.
pub(crate) async fn catching(
    future: impl Future<Output = ()>,
) -> Result<(), Arc<dyn Error + Send + Sync>> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(Panicked::from_payload(panic))),
    })
    .await
}
