//! The wait for a task's end that takes nothing, so that any number may wait.

use crate::cold::WaiterKey;
use crate::handle;
use crate::header::RawTask;
use asyncio_base::wait::WaitKind;
use asyncio_base::{observe, record};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Waits until a task has ended: what `(&task).await` and `(&handle).await` make.
///
/// Those who wait are woken in the order they began to. The done-callbacks of the task have run by then.
///
/// # Cancel safety
///
/// Dropping the wait changes nothing for the task, and leaves nothing behind in it.
#[derive(Debug)]
#[must_use = "a wait does nothing unless it is awaited"]
pub struct Finished<'a> {
    task: RawTask,
    /// The place among the waiters.
    key: Option<WaiterKey>,
    /// Of the handle, whose claim keeps the cell.
    borrow: PhantomData<&'a ()>,
}

// SAFETY: as for `TaskHandle`: only the state word, the cold block and what never changes are touched.
unsafe impl Send for Finished<'_> {}
// SAFETY: as above.
unsafe impl Sync for Finished<'_> {}

impl Finished<'_> {
    /// The wait for a task on which the caller has a claim for as long as the wait lives.
    pub(crate) fn new(task: RawTask) -> Self {
        Finished { task, key: None, borrow: PhantomData }
    }
}

impl Future for Finished<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.task;
        let header = task.header();
        if !header.state.load().is_finished() {
            handle::refuse_own(task);
            // A clone is user code: made before the lock of the cold block is taken.
            let waker = cx.waker().clone();
            if header.cold().add_waiter(task, &mut self.key, waker) {
                observe::waits_for_task(header.id.get());
                record::waits_for(WaitKind::Task, header.location);
                return Poll::Pending;
            }
        }
        // Whoever finished the task took all waiters out.
        self.key = None;
        Poll::Ready(())
    }
}

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.task.header().cold().remove_waiter(key);
        }
    }
}
