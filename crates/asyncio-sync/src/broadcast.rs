//! Every value to every receiver.
//!
//! # State
//!
//! Under one short lock: a ring of the values that somebody has not received yet, at most `capacity` of them, numbered from
//! `first`; per value how many receivers still want it; and who waits, tagged with the number it waits for. A receiver knows the
//! number of its next value. If the ring is full, the oldest value goes, and who had not received it is told how many it missed.
//!
//! Values live behind pointers, so that the lock is never held while one is cloned or dropped.
//!
//! # Why no wake-up is lost
//!
//! A receiver finds that its next value is not there and joins the list in one hold of the lock; a sender appends a value and
//! chooses everybody who waits for it, or for an earlier one, under the same lock.
//!
//! Models: `loom-tests/tests/sync_broadcast.rs`.

use crate::blocking::{block_on, refuse_in_task};
use crate::waiters::Waiters;
use crate::wake::{paying, wake_in_batches};
use asyncio_base::record;
use asyncio_base::slab::Key;
use asyncio_base::sync::{Arc, Mutex};
use asyncio_base::wait::WaitKind;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
// A value's own pointer: it is handed out under the lock, and only its count is touched outside.
use std::sync::Arc as ValueArc;
use std::task::{Context, Poll};

const LINE: usize = 0;

/// A value and how many receivers still want it.
struct Slot<T> {
    value: ValueArc<T>,
    wanted: usize,
}

struct State<T> {
    ring: VecDeque<Slot<T>>,
    /// The number of the value at the front of the ring, or of the next one.
    first: u64,
    capacity: usize,
    senders: usize,
    receivers: usize,
    /// Tagged with the number they wait for.
    waiters: Waiters<u64>,
}

impl<T> State<T> {
    /// The number of the value that is sent next.
    fn end(&self) -> u64 {
        self.first + self.ring.len() as u64
    }

    /// Takes out the front value.
    fn drop_front(&mut self) -> Option<ValueArc<T>> {
        let slot = self.ring.pop_front()?;
        self.first += 1;
        Some(slot.value)
    }

    /// What a receiver finds whose next value has this number; the number goes on accordingly. `None`: not sent yet.
    fn receive(&mut self, next: &mut u64) -> Option<Result<ValueArc<T>, RecvError>> {
        if *next < self.first {
            let missed = self.first - *next;
            *next = self.first;
            return Some(Err(RecvError::Lagged(missed)));
        }
        let index = (*next - self.first) as usize;
        let Some(slot) = self.ring.get_mut(index) else {
            return (self.senders == 0).then_some(Err(RecvError::Closed));
        };
        *next += 1;
        slot.wanted -= 1;
        // Older values are wanted by whoever wants this one or has a lag, so the last to want one finds it at the front.
        if slot.wanted == 0 && index == 0 {
            return self.drop_front().map(Ok);
        }
        Some(Ok(slot.value.clone()))
    }

    /// Removes from the front what nobody wants any more.
    fn drop_unwanted(&mut self, into: &mut Vec<ValueArc<T>>) {
        while self.ring.front().is_some_and(|slot| slot.wanted == 0) {
            into.extend(self.drop_front());
        }
    }
}

struct Shared<T>(Mutex<State<T>>);

impl<T> Shared<T> {
    /// Wakes whoever waits for a value with a number below `end`.
    fn wake_receivers(&self, end: u64) {
        wake_in_batches(None, |batch| {
            let mut state = self.0.lock();
            while state.waiters.front(LINE).is_some_and(|number| number < end) {
                if batch.is_full() {
                    return true;
                }
                if let Some(waker) = state.waiters.choose(LINE) {
                    batch.push(waker);
                }
            }
            false
        });
    }
}

/// A channel that delivers every value to every receiver, and keeps at most `capacity` for the slow ones.
///
/// # Panics
///
/// For a capacity of 0.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let (sender, mut one) = asyncio_sync::broadcast::channel(8);
/// let mut two = sender.subscribe();
/// sender.send("news")?;
/// assert_eq!((one.recv().await, two.recv().await), (Ok("news"), Ok("news")));
/// # Ok::<(), asyncio_sync::broadcast::SendError<&str>>(())
/// # }).unwrap();
/// ```
///
/// # Python
///
/// None; Rust programs expect one.
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a broadcast channel keeps at least one value");
    let shared = Arc::new(Shared(Mutex::new(State {
        ring: VecDeque::new(),
        first: 0,
        capacity,
        senders: 1,
        receivers: 1,
        waiters: Waiters::new(),
    })));
    (Sender { shared: shared.clone() }, Receiver { shared, next: 0 })
}

/// Sends values to all receivers.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends a value and returns how many receivers will find it; does not wait.
    ///
    /// # Errors
    ///
    /// Gives the value back if there is no receiver.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let value = ValueArc::new(value);
        let mut state = self.shared.0.lock();
        let receivers = state.receivers;
        if receivers == 0 {
            drop(state);
            let value = ValueArc::into_inner(value).expect("nobody else has seen the value");
            return Err(SendError(value));
        }
        let oldest = if state.ring.len() == state.capacity { state.drop_front() } else { None };
        state.ring.push_back(Slot { value, wanted: receivers });
        let end = state.end();
        let anybody = !state.waiters.is_empty(LINE);
        drop(state);
        if anybody {
            self.shared.wake_receivers(end);
        }
        drop(oldest);
        Ok(receivers)
    }

    /// Another receiver, for the values that are sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        subscribe(&self.shared)
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.0.lock().receivers
    }

    /// How many values are kept for receivers that have not received them yet.
    pub fn len(&self) -> usize {
        self.shared.0.lock().ring.len()
    }

    /// Whether every receiver has received everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn subscribe<T>(shared: &Arc<Shared<T>>) -> Receiver<T> {
    let mut state = shared.0.lock();
    state.receivers += 1;
    let next = state.end();
    drop(state);
    Receiver { shared: shared.clone(), next }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.0.lock().senders += 1;
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.0.lock();
        state.senders -= 1;
        let last = state.senders == 0;
        drop(state);
        if last {
            self.shared.wake_receivers(u64::MAX);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<broadcast::Sender>")
    }
}

/// Receives every value that is sent during its life, unless it is too slow.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The number of its next value.
    next: u64,
}

impl<T> Receiver<T> {
    /// Another receiver, for the values that are sent from now on.
    pub fn resubscribe(&self) -> Receiver<T> {
        subscribe(&self.shared)
    }

    /// How many values are there to be received, missed ones included.
    pub fn len(&self) -> usize {
        (self.shared.0.lock().end() - self.next) as usize
    }

    /// Whether there is nothing to be received now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next value.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call receives the same value.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`], once, if values were dropped because this receiver was too slow; the next call goes on with the
    /// oldest one that is left. [`RecvError::Closed`], if all was received and no sender is left.
    #[track_caller]
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv { receiver: self, key: Key::NONE, place: Location::caller() }
    }

    /// Receives the next value if it is there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`TryRecvError::Empty`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let received = self.shared.0.lock().receive(&mut self.next);
        match received {
            Some(Ok(value)) => Ok(ValueArc::unwrap_or_clone(value)),
            Some(Err(RecvError::Closed)) => Err(TryRecvError::Closed),
            Some(Err(RecvError::Lagged(missed))) => Err(TryRecvError::Lagged(missed)),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Waits for the next value on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        refuse_in_task();
        block_on(self.recv())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut unwanted = Vec::new();
        let mut state = self.shared.0.lock();
        state.receivers -= 1;
        let from = self.next.saturating_sub(state.first) as usize;
        state.ring.iter_mut().skip(from).for_each(|slot| slot.wanted -= 1);
        state.drop_unwanted(&mut unwanted);
        drop(state);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<broadcast::Receiver>")
    }
}

/// The future of [`Receiver::recv`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Recv<'a, T> {
    receiver: &'a mut Receiver<T>,
    /// The place in line, [`Key::NONE`] while there is none.
    key: Key,
    place: &'static Location<'static>,
}

impl<T: Clone> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        paying(cx, |cx| {
            let this = &mut *self;
            let receiver = &mut *this.receiver;
            let mut spare = None;
            loop {
                let mut state = receiver.shared.0.lock();
                if let Some(received) = state.receive(&mut receiver.next) {
                    let left = state.waiters.leave(this.key);
                    drop(state);
                    drop(left);
                    this.key = Key::NONE;
                    return Poll::Ready(received.map(ValueArc::unwrap_or_clone));
                }
                let settled = match (this.key.is_none(), spare.take()) {
                    (true, None) => false,
                    (true, Some(waker)) => {
                        this.key = state.waiters.push(LINE, waker, receiver.next);
                        true
                    }
                    (false, fresh) => {
                        spare = fresh;
                        state.waiters.keep(this.key, cx.waker(), &mut spare)
                    }
                };
                drop(state);
                if settled {
                    record::waits_for(WaitKind::Queue, this.place);
                    return Poll::Pending;
                }
                spare = Some(cx.waker().clone());
            }
        })
    }
}

impl<T> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        if !self.key.is_none() {
            let left = self.receiver.shared.0.lock().waiters.leave(self.key);
            drop(left);
        }
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<broadcast::Recv>")
    }
}

/// Nobody receives; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the broadcast channel has no receiver")
    }
}

impl<T> Error for SendError<T> {}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All was received, and no sender is left.
    Closed,
    /// So many values were dropped before this receiver came to them.
    Lagged(u64),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Closed => f.write_str("the broadcast channel has no sender"),
            RecvError::Lagged(n) => {
                write!(f, "the broadcast receiver was too slow and missed {n} values")
            }
        }
    }
}

impl Error for RecvError {}

/// Why there is no value now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// None was sent yet.
    Empty,
    /// All was received, and no sender is left.
    Closed,
    /// So many values were dropped before this receiver came to them.
    Lagged(u64),
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryRecvError::Empty => f.write_str("the broadcast channel has no new value"),
            TryRecvError::Closed => RecvError::Closed.fmt(f),
            TryRecvError::Lagged(n) => RecvError::Lagged(*n).fmt(f),
        }
    }
}

impl Error for TryRecvError {}
