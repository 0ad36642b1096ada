//! Between a generator's body and whoever asks it for items.
//!
//! Items are numbered. The body's `put` leaves an item and waits until whoever asks has come back for more than that one.

use asyncio_base::sync::Mutex;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Where the item lies.
pub(crate) struct Slot<T> {
    item: Option<T>,
    /// How many items were put.
    put: u64,
    /// Up to which item the body may go on.
    resumed: u64,
    /// The waker of the last `put`, for bodies that poll their parts only when woken.
    waker: Option<Waker>,
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Self {
        Slot { item: None, put: 0, resumed: 0, waker: None }
    }

    /// The item, if one was put.
    pub(crate) fn item(&mut self) -> Option<T> {
        self.item.take()
    }

    /// Lets the body go on: everything that was put has been taken. The caller polls the body with `own` next.
    pub(crate) fn resume(slot: &Mutex<Self>, own: &Waker) {
        let mut slot = slot.lock();
        slot.resumed = slot.put;
        let waker = slot.waker.take();
        drop(slot);
        waker.into_iter().filter(|waker| !waker.will_wake(own)).for_each(Waker::wake);
    }
}

/// Where a generator's body puts its items.
///
/// # Python
///
/// Stands for the word `yield`.
pub struct Yielder<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

impl<T> Yielder<T> {
    pub(crate) fn new(slot: Arc<Mutex<Slot<T>>>) -> Self {
        Yielder { slot }
    }

    /// Gives `item` to whoever asked for one, and goes on when the next is asked for.
    ///
    /// # Cancel safety
    ///
    /// An item is given once the wait was polled; dropping it then takes nothing back.
    pub fn put(&self, item: T) -> Put<'_, T> {
        Put { slot: &self.slot, item: Some(item), number: 0 }
    }
}

impl<T> fmt::Debug for Yielder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}

/// Made by [`Yielder::put`].
#[must_use = "futures do nothing unless awaited"]
pub struct Put<'a, T> {
    slot: &'a Mutex<Slot<T>>,
    /// Until it was left.
    item: Option<T>,
    /// Its number then.
    number: u64,
}

impl<T> Unpin for Put<'_, T> {}

impl<T> Future for Put<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let this = &mut *self;
        let mut slot = this.slot.lock();
        if this.item.is_some() && slot.item.is_none() {
            slot.item = this.item.take();
            slot.put += 1;
            this.number = slot.put;
        } else if this.item.is_none() && slot.resumed >= this.number {
            return Poll::Ready(());
        }
        // Or somebody else's item lies there: the body does several things at once.
        let before = slot.waker.replace(waker);
        drop(slot);
        drop(before);
        Poll::Pending
    }
}

impl<T> fmt::Debug for Put<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("left", &self.item.is_none()).finish_non_exhaustive()
    }
}
