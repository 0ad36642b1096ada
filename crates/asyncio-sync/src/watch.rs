//! One value that changes, and tasks that want to see the latest.
//!
//! # State
//!
//! Under one short lock: the value, behind a pointer so that nobody needs the lock to look at it; the number of its version;
//! and who waits for the next version or for the last receiver to go. A waiter is tagged with the version it knows.
//!
//! # Why no wake-up is lost
//!
//! A receiver compares versions and joins the list in one hold of the lock; a sender that installs a version wakes everybody
//! whose tag is older. What the receiver knows is its own, so a version that comes while it does not wait is still new to it.
//!
//! Models: `loom-tests/tests/sync_watch.rs`.

use crate::blocking::{block_on, refuse_in_task};
use crate::waiters::Waiters;
use crate::wake::{paying, wake_in_batches};
use asyncio_base::record;
use asyncio_base::slab::Key;
use asyncio_base::sync::{Arc, Mutex};
use asyncio_base::wait::WaitKind;
use asyncio_base::wake_list::WakeList;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
// The value's own pointer: it is read and replaced under the lock, and only its count is touched outside.
use std::sync::Arc as ValueArc;
use std::task::{Context, Poll};

const RECEIVERS: usize = 0;
const SENDERS: usize = 1;

struct State<T> {
    value: ValueArc<T>,
    version: u64,
    senders: usize,
    receivers: usize,
    waiters: Waiters<u64, 2>,
}

struct Shared<T>(Mutex<State<T>>);

impl<T> Shared<T> {
    /// Wakes whoever knows only versions before `version`.
    fn wake_receivers(&self, version: u64) {
        wake_in_batches(None, |batch| self.0.lock().collect(RECEIVERS, version, batch));
    }

    /// Installs a value and wakes those who wait for it. The old one comes back.
    fn install(&self, value: ValueArc<T>) -> ValueArc<T> {
        let mut state = self.0.lock();
        let old = std::mem::replace(&mut state.value, value);
        state.version += 1;
        let version = state.version;
        let anybody = !state.waiters.is_empty(RECEIVERS);
        drop(state);
        if anybody {
            self.wake_receivers(version);
        }
        old
    }
}

impl<T> State<T> {
    /// Chooses waiters of a line with a tag below `limit`, as far as the batch goes; false when none is left.
    fn collect(&mut self, line: usize, limit: u64, batch: &mut WakeList) -> bool {
        while self.waiters.front(line).is_some_and(|tag| tag < limit) {
            if batch.is_full() {
                return true;
            }
            if let Some(waker) = self.waiters.choose(line) {
                batch.push(waker);
            }
        }
        false
    }
}

/// A channel that holds one value, the latest.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let (sender, mut receiver) = asyncio_sync::watch::channel("idle");
/// sender.send("busy")?;
/// receiver.changed().await.expect("the sender is alive");
/// assert_eq!(*receiver.borrow(), "busy");
/// # Ok::<(), asyncio_sync::watch::SendError<&str>>(())
/// # }).unwrap();
/// ```
///
/// # Python
///
/// None; Rust programs expect one.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared(Mutex::new(State {
        value: ValueArc::new(value),
        version: 0,
        senders: 1,
        receivers: 1,
        waiters: Waiters::new(),
    })));
    (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
}

/// A look at the value as it was at one moment. It holds no lock: nobody waits for it, and it may be kept.
pub struct Ref<T>(ValueArc<T>);

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        Ref(self.0.clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Changes the value.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sets the value and wakes the receivers that wait for a change.
    ///
    /// # Errors
    ///
    /// Gives the value back if there is no receiver.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.receiver_count() == 0 {
            return Err(SendError(value));
        }
        drop(self.shared.install(ValueArc::new(value)));
        Ok(())
    }

    /// Sets the value, also if nobody looks, and returns the one before.
    pub fn send_replace(&self, value: T) -> Ref<T> {
        Ref(self.shared.install(ValueArc::new(value)))
    }

    /// Changes a copy of the value and sets that, again and again if another sender was faster meanwhile.
    pub fn send_modify(&self, mut change: impl FnMut(&mut T))
    where
        T: Clone,
    {
        loop {
            let before = self.borrow();
            let mut value = (*before).clone();
            change(&mut value);
            let mut state = self.shared.0.lock();
            if !ValueArc::ptr_eq(&state.value, &before.0) {
                continue;
            }
            // Nobody can have set another value at this address: `before` keeps it taken.
            let fresh = ValueArc::new(value);
            let old = std::mem::replace(&mut state.value, fresh);
            state.version += 1;
            let version = state.version;
            drop(state);
            drop(old);
            return self.shared.wake_receivers(version);
        }
    }

    /// The value.
    pub fn borrow(&self) -> Ref<T> {
        Ref(self.shared.0.lock().value.clone())
    }

    /// Another receiver, to which the value as it is now is not new.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.shared.0.lock();
        state.receivers += 1;
        let seen = state.version;
        drop(state);
        Receiver { shared: self.shared.clone(), seen }
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.0.lock().receivers
    }

    /// Whether there is no receiver.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    #[track_caller]
    pub fn closed(&self) -> Closed<'_, T> {
        Closed { wait: Wait::new(&self.shared, SENDERS, Location::caller()) }
    }
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
        f.write_str("<watch::Sender>")
    }
}

/// Sees the value and waits for changes. Clones have seen what it has seen.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version it knows.
    seen: u64,
}

impl<T> Receiver<T> {
    /// The value, whether new or not; it stays as new as it was.
    pub fn borrow(&self) -> Ref<T> {
        Ref(self.shared.0.lock().value.clone())
    }

    /// The value, which is not new any more.
    pub fn borrow_and_update(&mut self) -> Ref<T> {
        let state = self.shared.0.lock();
        self.seen = state.version;
        Ref(state.value.clone())
    }

    /// Whether the value is new.
    ///
    /// # Errors
    ///
    /// If it is not and never will be: all senders have gone.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        let state = self.shared.0.lock();
        match state.version != self.seen {
            false if state.senders == 0 => Err(RecvError),
            changed => Ok(changed),
        }
    }

    /// Waits until the value is new, and takes note of it. Several changes count as one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: what was new stays new.
    ///
    /// # Errors
    ///
    /// If it is not new and never will be: all senders have gone.
    #[track_caller]
    pub fn changed(&mut self) -> Changed<'_, T> {
        let wait = Wait::new(&self.shared, RECEIVERS, Location::caller());
        Changed { wait, seen: &mut self.seen }
    }

    /// Waits on a plain thread, which sleeps until the value is new.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_changed(&mut self) -> Result<(), RecvError> {
        refuse_in_task();
        block_on(self.changed())
    }

    /// Waits until the predicate accepts the value, and returns it. It is asked at once, and after every change.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// If all senders have gone before.
    pub async fn wait_for(
        &mut self,
        mut predicate: impl FnMut(&T) -> bool,
    ) -> Result<Ref<T>, RecvError> {
        loop {
            let value = self.borrow_and_update();
            if predicate(&value) {
                return Ok(value);
            }
            drop(value);
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.0.lock().receivers += 1;
        Receiver { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.0.lock();
        state.receivers -= 1;
        let last = state.receivers == 0 && !state.waiters.is_empty(SENDERS);
        drop(state);
        if last {
            wake_in_batches(None, |batch| self.shared.0.lock().collect(SENDERS, u64::MAX, batch));
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<watch::Receiver>")
    }
}

/// A place in one of the lines.
struct Wait<'a, T> {
    shared: &'a Shared<T>,
    line: usize,
    key: Key,
    place: &'static Location<'static>,
}

impl<'a, T> Wait<'a, T> {
    fn new(shared: &'a Shared<T>, line: usize, place: &'static Location<'static>) -> Self {
        Wait { shared, line, key: Key::NONE, place }
    }

    /// Polls until `ready` has an answer.
    fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut ready: impl FnMut(&State<T>) -> Option<R>,
    ) -> Poll<R> {
        paying(cx, |cx| {
            let mut spare = None;
            loop {
                let mut state = self.shared.0.lock();
                if let Some(answer) = ready(&state) {
                    let left = state.waiters.leave(self.key);
                    drop(state);
                    drop(left);
                    self.key = Key::NONE;
                    return Poll::Ready(answer);
                }
                // A waiter that was woken for nothing, as when a last receiver went and another came, lines up again.
                if state.waiters.is_chosen(self.key) {
                    let left = state.waiters.leave(self.key);
                    drop(state);
                    drop(left);
                    self.key = Key::NONE;
                    continue;
                }
                let version = state.version;
                let settled = match (self.key.is_none(), spare.take()) {
                    (true, None) => false,
                    (true, Some(waker)) => {
                        self.key = state.waiters.push(self.line, waker, version);
                        true
                    }
                    (false, fresh) => {
                        spare = fresh;
                        state.waiters.keep(self.key, cx.waker(), &mut spare)
                    }
                };
                drop(state);
                if settled {
                    record::waits_for(WaitKind::Queue, self.place);
                    return Poll::Pending;
                }
                spare = Some(cx.waker().clone());
            }
        })
    }
}

impl<T> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        if !self.key.is_none() {
            let left = self.shared.0.lock().waiters.leave(self.key);
            drop(left);
        }
    }
}

/// The future of [`Receiver::changed`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Changed<'a, T> {
    wait: Wait<'a, T>,
    seen: &'a mut u64,
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let seen = *this.seen;
        let answer = this.wait.poll(cx, |state| {
            if state.version != seen {
                return Some(Ok(state.version));
            }
            (state.senders == 0).then_some(Err(RecvError))
        });
        answer.map(|result| result.map(|version| *this.seen = version))
    }
}

impl<T> fmt::Debug for Changed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<watch::Changed>")
    }
}

/// The future of [`Sender::closed`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Closed<'a, T> {
    wait: Wait<'a, T>,
}

impl<T> Future for Closed<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.wait.poll(cx, |state| (state.receivers == 0).then_some(()))
    }
}

impl<T> fmt::Debug for Closed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<watch::Closed>")
    }
}

/// Nobody looks; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the watch channel has no receiver")
    }
}

impl<T> Error for SendError<T> {}

/// The value will not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the watch channel has no sender")
    }
}

impl Error for RecvError {}
