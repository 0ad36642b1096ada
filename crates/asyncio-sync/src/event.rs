//! `Event`: a flag that tasks wait for.
//!
//! # States
//!
//! One word, `SET | QUEUED`, and a FIFO list of waiters under a lock, with the number of the current *round*.
//!
//! | bit | who may change it |
//! |---|---|
//! | `SET` on | anybody, by CAS, while `QUEUED` is clear; else who holds the list's lock |
//! | `SET` off | anybody |
//! | `QUEUED` | who holds the list's lock: set when the first waiter joins, cleared when the last is out of the list |
//!
//! # Protocol
//!
//! *Wait*: `SET` seen, done. Otherwise, under the lock: `QUEUED` is set by a CAS from a word without `SET`, and the waiter joins
//! with the number of the round.
//!
//! *Set*: without waiters, one CAS. With waiters, under the lock: `SET`, and the next round begins. That alone releases
//! everybody who joined in an earlier round, at once, whatever `clear` does afterwards; waking them takes as many batches as
//! it takes. Those who join between two batches belong to the new round and are left alone.
//!
//! # Why no wake-up is lost
//!
//! A waiter joins only under a word without `SET` that it has marked `QUEUED`; from then on a `set` fails its CAS and comes to
//! the lock. `QUEUED` stays as long as anybody is in the list, released or not, so it cannot be missed either.
//!
//! # Orderings
//!
//! `set` is a `Release` RMW even if the flag is set already, and `clear` an `Acquire` one: after `clear` the effects of
//! every `set` before it are visible, so that "clear, look, wait" misses nothing.
//!
//! Models: `loom-tests/tests/sync_event.rs`.

use crate::blocking::{block_on, refuse_in_task};
use crate::waiters::Waiters;
use crate::wake::{let_others_run, wake_in_batches};
use asyncio_base::slab::Key;
use asyncio_base::sync::{AtomicUsize, Mutex, Ordering};
use asyncio_base::wait::WaitKind;
use asyncio_base::{const_fn, record};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

const SET: usize = 1;
const QUEUED: usize = 2;
const LINE: usize = 0;

/// A flag that tasks wait for. [`set`](Self::set) releases all who wait and all who come, until [`clear`](Self::clear).
///
/// # Examples
///
/// ```
/// use asyncio_sync::Event;
///
/// static READY: Event = Event::new();
///
/// # futures_lite::future::block_on(async {
/// READY.set();
/// READY.wait().await;
/// # });
/// ```
///
/// # Python
///
/// `asyncio.Event`.
pub struct Event {
    word: AtomicUsize,
    crowd: Mutex<Crowd>,
}

struct Crowd {
    /// Tagged with the round they joined in.
    waiters: Waiters<u64>,
    round: u64,
}

/// How an [`Event`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStatistics {
    /// Whether the flag is set.
    pub is_set: bool,
    /// How many wait for it.
    pub waiters: usize,
}

impl Event {
    const_fn! {
        /// An event that is not set.
        pub const fn new() -> Self {
            Event { word: AtomicUsize::new(0), crowd: Mutex::new(Crowd { waiters: Waiters::new(), round: 0 }) }
        }
    }

    /// Whether the flag is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// Sets the flag and wakes all who wait, in the order in which they began to wait. They all return, even if
    /// [`clear`](Self::clear) follows before they run.
    #[inline]
    pub fn set(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & (SET | QUEUED) != QUEUED {
            let set = word | SET;
            match self.word.compare_exchange_weak(word, set, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
        self.release_crowd();
    }

    #[cold]
    fn release_crowd(&self) {
        let mut crowd = self.crowd.lock();
        self.word.fetch_or(SET, Ordering::AcqRel);
        crowd.round += 1;
        let round = crowd.round;
        drop(crowd);
        wake_in_batches(None, |batch| {
            let mut crowd = self.crowd.lock();
            while !batch.is_full() {
                if crowd.waiters.front(LINE).is_none_or(|joined| joined >= round) {
                    return false;
                }
                if let Some(waker) = crowd.waiters.choose(LINE) {
                    batch.push(waker);
                }
                self.unmark_if_empty(&crowd);
            }
            true
        });
    }

    fn unmark_if_empty(&self, crowd: &Crowd) {
        if crowd.waiters.is_empty(LINE) {
            self.word.fetch_and(!QUEUED, Ordering::AcqRel);
        }
    }

    /// Clears the flag: who calls [`wait`](Self::wait) from now on waits for the next [`set`](Self::set).
    #[inline]
    pub fn clear(&self) {
        self.word.fetch_and(!SET, Ordering::AcqRel);
    }

    /// Waits until the flag is set; returns at once, without yielding, if it is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the list and has no other effect.
    #[track_caller]
    #[inline]
    pub fn wait(&self) -> EventWait<'_> {
        EventWait { event: self, key: Key::NONE, place: Location::caller() }
    }

    /// Waits for the flag on a plain thread, which sleeps meanwhile.
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_wait(&self) {
        refuse_in_task();
        if !self.is_set() {
            block_on(self.wait());
        }
    }

    /// How the event stands at this moment.
    pub fn statistics(&self) -> EventStatistics {
        EventStatistics { is_set: self.is_set(), waiters: self.crowd.lock().waiters.len(LINE) }
    }

    /// Joins the list, unless the flag is set.
    #[cold]
    fn join(&self, cx: &Context<'_>) -> Option<Key> {
        let waker = cx.waker().clone();
        let mut crowd = self.crowd.lock();
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & SET != 0 {
                drop(crowd);
                return None;
            }
            let queued = word | QUEUED;
            match self.word.compare_exchange(word, queued, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        let round = crowd.round;
        Some(crowd.waiters.push(LINE, waker, round))
    }

    /// Asks whether a round has begun since the waiter joined; `Ready` takes it out of the list.
    #[cold]
    fn poll_released(&self, key: Key, cx: &Context<'_>) -> Poll<()> {
        let mut spare = None;
        loop {
            let mut crowd = self.crowd.lock();
            if crowd.waiters.tag(key).is_none_or(|joined| joined < crowd.round) {
                if !record::spend() {
                    drop(crowd);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let left = crowd.waiters.leave(key);
                self.unmark_if_empty(&crowd);
                drop(crowd);
                drop(left);
                return Poll::Ready(());
            }
            if crowd.waiters.keep(key, cx.waker(), &mut spare) {
                return Poll::Pending;
            }
            drop(crowd);
            spare = Some(cx.waker().clone());
        }
    }

    #[cold]
    fn leave(&self, key: Key) {
        let mut crowd = self.crowd.lock();
        let left = crowd.waiters.leave(key);
        self.unmark_if_empty(&crowd);
        drop(crowd);
        drop(left);
    }
}

impl Default for Event {
    fn default() -> Self {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_set() { "set" } else { "unset" };
        match self.crowd.try_lock().map(|crowd| crowd.waiters.len(LINE)) {
            Some(0) => write!(f, "<Event [{state}]>"),
            Some(n) => write!(f, "<Event [{state}, waiters:{n}]>"),
            None => write!(f, "<Event [{state}, waiters:?]>"),
        }
    }
}

/// The future of [`Event::wait`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct EventWait<'a> {
    event: &'a Event,
    /// The place in the list, [`Key::NONE`] while there is none.
    key: Key,
    place: &'static Location<'static>,
}

impl Future for EventWait<'_> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.key.is_none() {
            if !record::spend() {
                let_others_run(cx);
                return Poll::Pending;
            }
            if self.event.is_set() {
                return Poll::Ready(());
            }
        }
        self.poll_slowly(cx)
    }
}

impl EventWait<'_> {
    #[cold]
    fn poll_slowly(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let done = if self.key.is_none() {
            let key = self.event.join(cx);
            self.key = key.unwrap_or(Key::NONE);
            key.is_none()
        } else {
            self.event.poll_released(self.key, cx).is_ready()
        };
        if done {
            self.key = Key::NONE;
            return Poll::Ready(());
        }
        record::waits_for(WaitKind::Event, self.place);
        Poll::Pending
    }
}

impl Drop for EventWait<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.key.is_none() {
            self.event.leave(self.key);
        }
    }
}

impl fmt::Debug for EventWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<EventWait of {:?}>", self.event)
    }
}
