//! One value, once, from one task to another.
//!
//! The value and the word beside it are in `slot.rs`, which tells the protocol. Wakers are left with a short lock, which a value
//! that is there before anybody waits never touches.
//!
//! Models: `loom-tests/tests/sync_oneshot.rs`.

#![allow(unsafe_code)]

mod half;
mod slot;

use crate::blocking::{block_on, refuse_in_task};
use crate::wake::{paying, wake_if};
use asyncio_base::record;
use asyncio_base::sync::Mutex;
use asyncio_base::wait::WaitKind;
use half::{Half, halves};
use slot::{CLOSED, GONE, RECEIVER, RECEIVER_LEFT, SENDER, SENDER_LEFT, SENT, Slot};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

struct Shared<T> {
    slot: Slot<T>,
    wakers: Mutex<Wakers>,
    /// Where the channel was made, for reports of who waits for what.
    place: &'static Location<'static>,
}

/// The wakers of those who wait.
#[derive(Default)]
struct Wakers {
    /// Waits for the value.
    receiver: Option<Waker>,
    /// Waits for the receiver to go.
    sender: Option<Waker>,
}

impl<T> Shared<T> {
    /// Wakes the receiver; `before` is the word as it was when the news was set.
    #[inline]
    fn tell_receiver(&self, before: u32) {
        if before & RECEIVER != 0 {
            let waker = self.wakers.lock().receiver.take();
            wake_if(waker);
        }
    }

    /// Wakes the sender; `before` is the word as it was when the news was set.
    #[inline]
    fn tell_sender(&self, before: u32) {
        if before & SENDER != 0 {
            let waker = self.wakers.lock().sender.take();
            wake_if(waker);
        }
    }
}

/// A channel for one value.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let (sender, receiver) = asyncio_sync::oneshot::channel();
/// sender.send(42)?;
/// assert_eq!(receiver.await, Ok(42));
/// # Ok::<(), i32>(())
/// # }).unwrap();
/// ```
///
/// # Python
///
/// The nearest is a future of `loop.create_future()`, whose result is set once.
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (slot, wakers) = (Slot::new(), Mutex::new(Wakers::default()));
    let (sender, receiver) = halves(Shared { slot, wakers, place: Location::caller() });
    (Sender { shared: Some(sender) }, Receiver { shared: Some(receiver) })
}

/// Sends the value. Dropped without sending, it tells the receiver that none will come.
pub struct Sender<T> {
    /// Empty once the value is sent.
    shared: Option<Half<T, SENDER_LEFT>>,
}

impl<T> Sender<T> {
    /// Sends the value; does not wait.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver has gone.
    #[inline]
    pub fn send(mut self, value: T) -> Result<(), T> {
        let shared = self.shared.take().expect("a sender is used up by sending");
        // SAFETY: `self` was the only sender, and it is used up.
        match unsafe { shared.slot.send(value) } {
            Ok(before) if before & RECEIVER == 0 => shared.has_left(),
            Ok(before) => shared.tell_receiver(before),
            Err(value) => {
                shared.tell_receiver(shared.slot.mark(GONE));
                return Err(value);
            }
        }
        Ok(())
    }

    #[inline]
    fn shared(&self) -> &Shared<T> {
        self.shared.as_ref().expect("a sender is used up by sending")
    }

    /// Whether the receiver has gone, so that sending would be in vain.
    pub fn is_closed(&self) -> bool {
        self.shared().slot.state() & CLOSED != 0
    }

    /// Waits until the receiver has gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    #[track_caller]
    pub fn closed(&mut self) -> Closed<'_, T> {
        Closed { sender: self, place: Location::caller() }
    }
}

impl<T> Drop for Sender<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let before = shared.slot.mark(GONE);
            shared.tell_receiver(before);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<oneshot::Sender>")
    }
}

/// The future of [`Sender::closed`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Closed<'a, T> {
    sender: &'a mut Sender<T>,
    place: &'static Location<'static>,
}

impl<T> Future for Closed<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        paying(cx, |cx| {
            let shared = self.sender.shared();
            if shared.slot.state() & CLOSED == 0 {
                let waker = cx.waker().clone();
                let stale = shared.wakers.lock().sender.replace(waker);
                drop(stale);
                if shared.slot.mark(SENDER) & CLOSED == 0 {
                    record::waits_for(WaitKind::Future, self.place);
                    return Poll::Pending;
                }
            }
            Poll::Ready(())
        })
    }
}

impl<T> fmt::Debug for Closed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<oneshot::Closed>")
    }
}

/// Receives the value: a future of it.
///
/// # Cancel safety
///
/// Polling takes nothing out but the value it returns. Dropping the receiver tells the sender; a value that was sent is dropped.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Receiver<T> {
    /// Empty once it has returned: there is nothing more to come, and nobody to tell.
    shared: Option<Half<T, RECEIVER_LEFT>>,
}

impl<T> Receiver<T> {
    /// Takes the value if it is here.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`], if it is not.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let Some(shared) = &self.shared else { return Err(TryRecvError::Closed) };
        let word = shared.slot.state();
        match self.take(word) {
            Some(Ok(value)) => Ok(value),
            Some(Err(RecvError)) => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Waits for the value on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// If the sender goes without sending.
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, RecvError> {
        refuse_in_task();
        block_on(self)
    }

    /// Refuses a value that is not sent yet; one that is can still be received.
    pub fn close(&mut self) {
        if let Some(shared) = &self.shared {
            let before = shared.slot.mark(CLOSED);
            shared.tell_sender(before);
        }
    }

    /// What this word, read from the slot, means for the receiver, who is done if it means anything.
    #[inline]
    fn take(&mut self, word: u32) -> Option<Result<T, RecvError>> {
        if word & (SENT | GONE) == 0 {
            return None;
        }
        let shared = self.shared.take()?;
        if word & SENT == 0 {
            return Some(Err(RecvError));
        }
        // SAFETY: `self` was the only receiver until now, and `word` has `SENT`.
        let value = unsafe { shared.slot.take() };
        if word & SENDER_LEFT != 0 {
            // SAFETY: `word`, which was read with `Acquire`, says so.
            unsafe { shared.free() };
        }
        Some(value.ok_or(RecvError))
    }

    /// Leaves a waker, unless there is something after all.
    #[cold]
    fn leave_waker(&mut self, cx: &Context<'_>) -> Poll<Result<T, RecvError>> {
        let Some(shared) = &self.shared else { return Poll::Ready(Err(RecvError)) };
        let place = shared.place;
        let waker = cx.waker().clone();
        let stale = shared.wakers.lock().receiver.replace(waker);
        drop(stale);
        let word = shared.slot.mark(RECEIVER);
        if let Some(result) = self.take(word) {
            return Poll::Ready(result);
        }
        record::waits_for(WaitKind::Future, place);
        Poll::Pending
    }

    /// Tells the sender, and drops what was sent and not received: here, not when the last of the two leaves.
    #[cold]
    fn go(&mut self) {
        let Some(shared) = &self.shared else { return };
        let before = shared.slot.mark(CLOSED);
        shared.tell_sender(before);
        drop(self.take(before));
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        paying(cx, |cx| {
            let word = self.shared.as_ref().map_or(GONE, |shared| shared.slot.state());
            match self.take(word) {
                Some(result) => Poll::Ready(result),
                None => self.leave_waker(cx),
            }
        })
    }
}

impl<T> Drop for Receiver<T> {
    #[inline]
    fn drop(&mut self) {
        if self.shared.is_some() {
            self.go();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<oneshot::Receiver>")
    }
}

/// The sender went without sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the oneshot sender was dropped without sending")
    }
}

impl Error for RecvError {}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// It has not been sent yet.
    Empty,
    /// It will never be sent, or was received already.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryRecvError::Empty => f.write_str("the oneshot value is not there yet"),
            TryRecvError::Closed => f.write_str("the oneshot value will not come"),
        }
    }
}

impl Error for TryRecvError {}
