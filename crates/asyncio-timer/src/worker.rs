//! One worker's wheel behind its lock.
//!
//! # Who may touch what
//!
//! The wheel and `closed` are touched under the lock only; `next` and `stale` are written under it and read by anyone.
//! `next` is never later than the earliest live timer: it is lowered with an insert, raised only after a look at the wheel.
//! Nor is it later than the wheel's own bound, from which it is taken, beside which it is lowered, and which rises by itself only to
//! what is later than all that was known: so an insert or a cancel that the wheel says does not concern the first need not read it.
//! How an earlier `next` reaches a sleeping poller is told in `alarm.rs`.
//!
//! Wakers are cloned before the lock is taken, taken out under it, and called or dropped after it.
//!
//! # A timer's life
//!
//! ```text
//!  arm ──► waiting ──► fired      the waker was taken out to be called, the key names nothing any more
//!             │  └───► cancelled  by the future that holds the key: the waker was taken out to be dropped
//!             └──────► closed     the waker was taken out to be dropped, the key names an empty entry
//! ```
//!
//! Each arrow is one step under the lock, so exactly one happens: a timer that its future cancelled is not woken, except by a
//! wake-up already under way; one that fired is found fired at the next poll, also after the loop was closed.

use crate::alarm::{Alarm, NEVER};
use crate::clock::{Clock, Scale};
use crate::wheel::{Key, Wheel};
use asyncio_base::CachePadded;
use asyncio_base::sync::{
    Arc, AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, load_after_fence,
};
use asyncio_base::wake_list::WakeList;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;
use std::time::Instant;

/// What all wheels of a loop share; never written but for the word inside `alarm`.
pub(crate) struct Shared {
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) scale: Scale,
    pub(crate) alarm: Alarm,
}

/// A timer without a waker is one that the closed loop will not fire.
type Entry = Option<Waker>;

pub(crate) struct State {
    wheel: Wheel<Entry>,
    closed: bool,
}

/// Words for those who do not hold the lock.
struct Published {
    /// No live timer is earlier; `NEVER` if there is none. Read by parkers after their fence.
    next: AtomicU64,
    /// The timer that `next` stands for is gone: the wheel may have a later one to name. A hint.
    stale: AtomicBool,
}

/// What became of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Waiting,
    Fired,
}

/// The timers of one worker of a loop.
///
/// Other workers advance it too while its own is busy. It is what a [`Sleep`](crate::Sleep) holds on to: its reference
/// count is on a cache line of this worker, not on one shared by all.
pub struct WorkerWheel {
    index: usize,
    shared: Arc<Shared>,
    published: CachePadded<Published>,
    state: CachePadded<Mutex<State>>,
}

impl WorkerWheel {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Self {
        let now = Scale::present(&*shared.clock);
        let published = Published { next: AtomicU64::new(NEVER), stale: AtomicBool::new(false) };
        let state = State { wheel: Wheel::new(now), closed: false };
        WorkerWheel {
            index,
            shared,
            published: CachePadded(published),
            state: CachePadded(Mutex::new(state)),
        }
    }

    /// Which worker's wheel this is.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The present, by the loop's clock.
    #[inline]
    pub fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    /// The present on the loop's scale of nanoseconds, as [`Timers::now_nanos`](crate::Timers::now_nanos).
    #[inline]
    pub fn now_nanos(&self) -> u64 {
        Scale::present(&*self.shared.clock)
    }

    /// An instant on the loop's scale of nanoseconds, as [`Timers::nanos`](crate::Timers::nanos).
    pub fn nanos(&self, at: Instant) -> u64 {
        self.shared.scale.nanos(at)
    }

    pub(crate) fn instant(&self, nanos: u64) -> Option<Instant> {
        self.shared.scale.instant(nanos)
    }

    pub(crate) fn shares_with(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }

    /// Adds a timer; `None` once the loop is closed.
    #[inline]
    pub(crate) fn arm(&self, deadline: u64, waker: Waker) -> Option<Key> {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            drop(waker);
            return None;
        }
        let (key, first) = state.wheel.add(deadline, Some(waker));
        // `next` is no later than what the wheel says.
        let lowered = first && self.lower(deadline);
        drop(state);
        if lowered {
            self.shared.alarm.announce(deadline);
        }
        Some(key)
    }

    /// Takes out a timer, if it has not fired.
    #[inline]
    pub(crate) fn cancel(&self, key: Key) {
        let mut state = self.state.lock();
        // What has fired was published by who took it out.
        let Some((entry, was_first)) = state.wheel.take(key) else { return };
        if was_first {
            self.first_is_gone(&state);
        }
        drop(state);
        drop(entry);
    }

    /// A timer was taken out that `next` may stand for, or the last one; the caller holds the lock.
    #[cold]
    fn first_is_gone(&self, state: &State) {
        if state.wheel.is_empty() {
            self.published.next.store(NEVER, Ordering::Relaxed);
        } else {
            self.published.stale.store(true, Ordering::Relaxed);
        }
    }

    /// Moves a timer from one deadline to another; false if it has fired.
    pub(crate) fn reschedule(&self, key: Key, before: u64, deadline: u64) -> bool {
        let mut state = self.state.lock();
        let found = state.wheel.reschedule(key, deadline);
        let lowered = found && !state.closed && self.lower(deadline);
        if found && !lowered {
            self.mark_stale(before);
        }
        drop(state);
        if lowered {
            self.shared.alarm.announce(deadline);
        }
        found
    }

    /// Looks whether a timer has fired; if not, it will wake this waker from now on.
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> Status {
        let state = self.state.lock();
        match state.wheel.get(key) {
            None => Status::Fired,
            Some(None) => Status::Waiting,
            Some(Some(known)) if known.will_wake(waker) => Status::Waiting,
            Some(Some(_)) => {
                drop(state);
                self.change_waker(key, waker.clone())
            }
        }
    }

    #[cold]
    fn change_waker(&self, key: Key, mut waker: Waker) -> Status {
        let mut state = self.state.lock();
        let entry = state.wheel.get_mut(key);
        // It may have fired while nobody held the lock.
        let status = if entry.is_some() { Status::Waiting } else { Status::Fired };
        if let Some(Some(known)) = entry {
            std::mem::swap(known, &mut waker);
        }
        drop(state);
        drop(waker);
        status
    }

    /// Whether a timer has fired.
    pub(crate) fn has_fired(&self, key: Key) -> bool {
        self.state.lock().wheel.get(key).is_none()
    }

    /// Lowers `next` to this deadline if that is earlier; the caller holds the lock and announces it after.
    #[inline]
    fn lower(&self, deadline: u64) -> bool {
        let lower = deadline < self.published.next.load(Ordering::Relaxed);
        if lower {
            self.published.next.store(deadline, Ordering::Relaxed);
        }
        lower
    }

    /// A timer that had this deadline has it no more; the caller holds the lock.
    #[inline]
    fn mark_stale(&self, deadline: u64) {
        if deadline <= self.published.next.load(Ordering::Relaxed) {
            self.published.stale.store(true, Ordering::Relaxed);
        }
    }

    /// Publishes what the wheel says; the caller holds the lock.
    fn publish(&self, state: &mut State) {
        let next = if state.closed { None } else { state.wheel.next_deadline() };
        self.published.next.store(next.unwrap_or(NEVER), Ordering::Relaxed);
        self.published.stale.store(false, Ordering::Relaxed);
    }

    /// The published deadline, for a parker after its fence.
    pub(crate) fn next_after_fence(&self) -> u64 {
        load_after_fence(&self.published.next)
    }

    /// The published deadline: no timer is earlier, `u64::MAX` if there is none.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.published.next.load(Ordering::Relaxed)
    }

    /// The word of [`next`](Self::next), for whoever reads it more often than anything else.
    pub fn next_word(&self) -> &AtomicU64 {
        &self.published.next
    }

    /// Publishes a better deadline if the published one is known to be too early and nobody is in the way.
    pub(crate) fn refresh(&self) {
        if !self.published.stale.load(Ordering::Relaxed) {
            return;
        }
        if let Some(mut state) = self.state.try_lock() {
            self.publish(&mut state);
        }
    }

    /// Wakes what is due, waiting for the lock.
    pub(crate) fn advance(&self, now: u64) -> usize {
        self.advance_locked(now, self.state.lock())
    }

    /// Wakes what is due, unless somebody is at work here.
    pub(crate) fn try_advance(&self, now: u64) -> usize {
        self.state.try_lock().map_or(0, |state| self.advance_locked(now, state))
    }

    /// Wakes what is due in batches, each after a hold of the lock.
    ///
    /// No more than were in at the start: wakers may run code that inserts timers, without end.
    fn advance_locked<'a>(&'a self, now: u64, mut state: MutexGuard<'a, State>) -> usize {
        let (mut left, mut fired, mut panicked) = (state.wheel.len(), 0, None);
        let mut wakers = WakeList::new();
        loop {
            let more = state.take_due(now, &mut left, &mut wakers);
            if !more {
                self.publish(&mut state);
            }
            drop(state);
            fired += wakers.len();
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| wakers.wake_all())) {
                panicked.get_or_insert(panic);
            }
            if !more {
                break;
            }
            state = self.state.lock();
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
        fired
    }

    /// Refuses timers from now on and drops all wakers.
    pub(crate) fn close(&self) {
        let mut wakers = Vec::new();
        let mut state = self.state.lock();
        state.closed = true;
        state.wheel.for_each_value(|entry| wakers.extend(entry.take()));
        self.publish(&mut state);
        drop(state);
        drop(wakers);
    }

    /// How many timers wait here.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().wheel.len()
    }
}

impl State {
    /// Moves due wakers into the list until it is full (true) or nothing is due.
    fn take_due(&mut self, now: u64, left: &mut usize, wakers: &mut WakeList) -> bool {
        while !self.closed && *left > 0 {
            if wakers.is_full() {
                return true;
            }
            let Some((_, _, waker)) = self.wheel.pop(now) else {
                return false;
            };
            wakers.push(waker.expect("only a closed wheel has timers without wakers"));
            *left -= 1;
        }
        false
    }
}

impl fmt::Debug for WorkerWheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = self.instant(self.next());
        f.debug_struct("WorkerWheel").field("index", &self.index).field("next", &next).finish()
    }
}
