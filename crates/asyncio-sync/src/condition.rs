//! `Condition`: a lock, and tasks that wait for what it guards to change.
//!
//! # Protocol
//!
//! *Wait*, with the lock held: join the list, then release the lock. *Notify*, with the lock held: choose the first `n` of the
//! list. *A chosen waiter* asks for the lock again and returns with it.
//!
//! # Why no notification is lost
//!
//! A waiter is in the list before the lock is released, and a notifier holds the lock: whatever it changed before, it changed
//! before the waiter looked, or it finds the waiter in the list. What a chosen waiter has in hand is a [`Notice`], which chooses
//! the next waiter when it is dropped; only returning with the lock uses it up.
//!
//! Models: `loom-tests/tests/sync_condition.rs`.

use crate::blocking::{block_on, refuse_in_task};
use crate::lock::{Lock, LockAcquire, LockGuard};
use crate::waiters::Waiters;
use crate::wake::{let_others_run, wake_if, wake_in_batches};
use asyncio_base::slab::Key;
use asyncio_base::sync::{Mutex, MutexGuard};
use asyncio_base::wait::WaitKind;
use asyncio_base::{const_fn, record};
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

const LINE: usize = 0;

type Line = Waiters<()>;

/// A lock with data, and a way to wait until another holder has changed it.
///
/// `wait` and `notify` are methods of the guard, so that neither can be called without the lock.
///
/// # Examples
///
/// ```
/// use asyncio_sync::Condition;
/// use std::sync::Arc;
///
/// async fn consume(jobs: Arc<Condition<Vec<u32>>>) -> u32 {
///     let mut guard = jobs.acquire().await;
///     while guard.is_empty() {
///         guard = guard.wait().await;
///     }
///     guard.pop().expect("not empty")
/// }
///
/// async fn produce(jobs: Arc<Condition<Vec<u32>>>) {
///     let mut guard = jobs.acquire().await;
///     guard.push(7);
///     guard.notify(1);
/// }
/// # let jobs = Arc::new(Condition::new(Vec::new()));
/// # let both = futures_lite::future::zip(consume(jobs.clone()), produce(jobs));
/// # assert_eq!(futures_lite::future::block_on(both).0, 7);
/// ```
///
/// # Python
///
/// `asyncio.Condition`. The guard is passed through [`wait`](ConditionGuard::wait) by value; “cannot wait on un-acquired
/// lock” is a compile error.
pub struct Condition<T = ()> {
    lock: Source<T>,
    line: Mutex<Line>,
}

/// A lock of one's own, or one that several conditions share.
enum Source<T> {
    Own(Lock<T>),
    Shared(Arc<Lock<T>>),
}

/// How a [`Condition`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConditionStatistics {
    /// Whether somebody holds the lock.
    pub locked: bool,
    /// How many wait for the lock.
    pub lock_waiters: usize,
    /// How many wait for a notification.
    pub waiters: usize,
}

impl<T> Condition<T> {
    const_fn! {
        /// A condition with a lock of its own round `value`.
        pub const fn new(value: T) -> Self {
            Condition { lock: Source::Own(Lock::new(value)), line: Mutex::new(Waiters::new()) }
        }
    }

    /// A condition on a lock that others use too, other conditions among them.
    pub fn with_lock(lock: Arc<Lock<T>>) -> Self {
        Condition { lock: Source::Shared(lock), line: Mutex::new(Waiters::new()) }
    }

    /// The lock.
    #[inline]
    pub fn lock(&self) -> &Lock<T> {
        match &self.lock {
            Source::Own(lock) => lock,
            Source::Shared(lock) => lock,
        }
    }

    /// Waits until the lock is free and takes it.
    ///
    /// # Cancel safety
    ///
    /// As [`Lock::acquire`].
    #[track_caller]
    #[inline]
    pub fn acquire(&self) -> ConditionAcquire<'_, T> {
        ConditionAcquire { condition: self, acquire: self.lock().acquire() }
    }

    /// Takes the lock if it is free and nobody waits for it.
    #[inline]
    pub fn try_acquire(&self) -> Option<ConditionGuard<'_, T>> {
        self.lock().try_acquire().map(|guard| ConditionGuard { guard, condition: self })
    }

    /// Takes the lock from a plain thread, which sleeps until its turn comes.
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_acquire(&self) -> ConditionGuard<'_, T> {
        ConditionGuard { guard: self.lock().blocking_acquire(), condition: self }
    }

    /// Whether somebody holds the lock.
    pub fn locked(&self) -> bool {
        self.lock().locked()
    }

    /// How the condition stands at this moment.
    pub fn statistics(&self) -> ConditionStatistics {
        let lock = self.lock().statistics();
        let waiters = self.line.lock().len(LINE);
        ConditionStatistics { locked: lock.locked, lock_waiters: lock.waiters, waiters }
    }

    /// Chooses up to `n` waiters and wakes them, in the order in which they began to wait.
    fn choose(&self, n: usize) {
        if n == 1 {
            let first = self.line.lock().choose(LINE);
            return wake_if(first);
        }
        let mut left = n;
        wake_in_batches(None, |batch| {
            let mut line = self.line.lock();
            while left > 0 && !batch.is_full() {
                let Some(waker) = line.choose(LINE) else { return false };
                batch.push(waker);
                left -= 1;
            }
            left > 0
        });
    }
}

impl<T: Default> Default for Condition<T> {
    fn default() -> Self {
        Condition::new(T::default())
    }
}

impl<T> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.locked() { "locked" } else { "unlocked" };
        match self.line.try_lock().map(|line| line.len(LINE)) {
            Some(0) => write!(f, "<Condition [{state}]>"),
            Some(n) => write!(f, "<Condition [{state}, waiters:{n}]>"),
            None => write!(f, "<Condition [{state}, waiters:?]>"),
        }
    }
}

/// The future of [`Condition::acquire`].
#[must_use = "a future does nothing unless it is awaited"]
#[derive(Debug)]
pub struct ConditionAcquire<'a, T> {
    condition: &'a Condition<T>,
    acquire: LockAcquire<'a, T>,
}

impl<'a, T> Future for ConditionAcquire<'a, T> {
    type Output = ConditionGuard<'a, T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let condition = self.condition;
        Pin::new(&mut self.acquire).poll(cx).map(|guard| ConditionGuard { guard, condition })
    }
}

/// Holds the lock of a [`Condition`] and lends what it guards.
#[must_use = "a lock is released when its guard is dropped"]
pub struct ConditionGuard<'a, T = ()> {
    guard: LockGuard<'a, T>,
    condition: &'a Condition<T>,
}

impl<'a, T> ConditionGuard<'a, T> {
    /// The condition whose lock is held.
    pub fn condition(&self) -> &'a Condition<T> {
        self.condition
    }

    /// Releases the lock, waits until somebody notifies, takes the lock again and returns with it.
    ///
    /// It may return without a notification; look again at what you wait for, or use [`wait_for`](Self::wait_for).
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves without the lock; a notification that it had received goes to the next waiter. A
    /// scope that has to come back with the lock calls [`give_up`](ConditionWait::give_up) and polls on.
    #[track_caller]
    pub fn wait(self) -> ConditionWait<'a, T> {
        self.wait_at(Location::caller())
    }

    fn wait_at(self, place: &'static Location<'static>) -> ConditionWait<'a, T> {
        ConditionWait { condition: self.condition, step: Step::Holding(self.guard), place }
    }

    /// Waits until the predicate says yes, which is asked at once and then after every notification, with the lock held.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for<F: FnMut(&mut T) -> bool>(self, predicate: F) -> ConditionWaitFor<'a, T, F> {
        let place = Location::caller();
        ConditionWaitFor { guard: Some(self), wait: None, predicate, gave_up: false, place }
    }

    /// Waits on a plain thread, which sleeps until somebody notifies and the lock is its own again.
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_wait(self) -> Self {
        refuse_in_task();
        block_on(self.wait())
    }

    /// Wakes up to `n` waiters, in the order in which they began to wait. They go on once they have the lock.
    #[doc(alias = "notify_one")]
    pub fn notify(&self, n: usize) {
        self.condition.choose(n);
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.condition.choose(usize::MAX);
    }
}

impl<T> Deref for ConditionGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for ConditionGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: fmt::Debug> fmt::Debug for ConditionGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A notification that was received and not used yet. Dropped, it notifies the next waiter.
struct Notice<'a, T>(&'a Condition<T>);

impl<T> Notice<'_, T> {
    /// The notification has done its work.
    fn use_up(self) {
        std::mem::forget(self);
    }
}

impl<T> Drop for Notice<'_, T> {
    fn drop(&mut self) {
        self.0.choose(1);
    }
}

/// How far a wait has come.
enum Step<'a, T> {
    /// Not polled yet.
    Holding(LockGuard<'a, T>),
    /// In the list.
    Waiting(Key),
    /// Asking for the lock again; without a notice, it has given up.
    Returning(LockAcquire<'a, T>, Option<Notice<'a, T>>),
    /// Given up before it was polled: nothing but to return.
    Back(LockGuard<'a, T>),
    /// Returned.
    Done,
}

/// The future of [`ConditionGuard::wait`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct ConditionWait<'a, T> {
    condition: &'a Condition<T>,
    step: Step<'a, T>,
    place: &'static Location<'static>,
}

impl<'a, T> ConditionWait<'a, T> {
    /// Stops waiting for a notification; the future now only takes the lock again, and is ready once it has it.
    ///
    /// A notification that had been received already goes to the next waiter. This is how a scope that cancels the wait gets
    /// the guard back, as asyncio's `wait` re-acquires its lock before it lets an error through.
    pub fn give_up(&mut self) {
        self.step = match std::mem::replace(&mut self.step, Step::Done) {
            Step::Holding(guard) => Step::Back(guard),
            Step::Waiting(key) => {
                drop(self.leave(key));
                Step::Returning(self.condition.lock().acquire_at(self.place), None)
            }
            Step::Returning(acquire, notice) => {
                drop(notice);
                Step::Returning(acquire, None)
            }
            other => other,
        };
    }

    /// Leaves the list, with the notification if there was one.
    fn leave(&self, key: Key) -> Option<Notice<'a, T>> {
        let left = self.condition.line.lock().leave(key)?;
        left.chosen.then(|| Notice(self.condition))
    }

    /// Joins the list, then releases the lock.
    fn begin(&mut self, guard: LockGuard<'a, T>, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let key = self.condition.line.lock().push(LINE, waker, ());
        self.step = Step::Waiting(key);
        drop(guard);
        record::waits_for(WaitKind::Condition, self.place);
    }

    /// Asks whether this waiter was chosen.
    fn look(&self, key: Key, cx: &Context<'_>) -> bool {
        let mut spare = None;
        loop {
            let mut line: MutexGuard<'_, Line> = self.condition.line.lock();
            if line.is_chosen(key) {
                return true;
            }
            if line.keep(key, cx.waker(), &mut spare) {
                drop(line);
                record::waits_for(WaitKind::Condition, self.place);
                return false;
            }
            drop(line);
            spare = Some(cx.waker().clone());
        }
    }
}

impl<'a, T> Future for ConditionWait<'a, T> {
    type Output = ConditionGuard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Step::Waiting(key) = this.step {
            if !this.look(key, cx) {
                return Poll::Pending;
            }
            let notice = this.leave(key);
            this.step = Step::Returning(this.condition.lock().acquire_at(this.place), notice);
        }
        let guard = match std::mem::replace(&mut this.step, Step::Done) {
            Step::Holding(guard) => {
                this.begin(guard, cx);
                return Poll::Pending;
            }
            Step::Returning(mut acquire, notice) => match Pin::new(&mut acquire).poll(cx) {
                Poll::Pending => {
                    this.step = Step::Returning(acquire, notice);
                    return Poll::Pending;
                }
                Poll::Ready(guard) => {
                    if let Some(notice) = notice {
                        notice.use_up();
                    }
                    guard
                }
            },
            Step::Back(guard) => guard,
            Step::Waiting(_) | Step::Done => panic!("polled again after it was ready"),
        };
        Poll::Ready(ConditionGuard { guard, condition: this.condition })
    }
}

impl<T> Drop for ConditionWait<'_, T> {
    fn drop(&mut self) {
        if let Step::Waiting(key) = self.step {
            drop(self.leave(key));
        }
    }
}

impl<T> fmt::Debug for ConditionWait<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ConditionWait of {:?}>", self.condition)
    }
}

/// The future of [`ConditionGuard::wait_for`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct ConditionWaitFor<'a, T, F> {
    /// Here while the predicate may be asked.
    guard: Option<ConditionGuard<'a, T>>,
    /// Here while it said no.
    wait: Option<ConditionWait<'a, T>>,
    predicate: F,
    /// Whether to return whatever the predicate says.
    gave_up: bool,
    place: &'static Location<'static>,
}

impl<T, F> ConditionWaitFor<'_, T, F> {
    /// As [`ConditionWait::give_up`]: the future now only takes the lock again. The predicate is not asked any more.
    pub fn give_up(&mut self) {
        self.gave_up = true;
        if let Some(wait) = &mut self.wait {
            wait.give_up();
        }
    }
}

/// The predicate is called, never pinned.
impl<T, F> Unpin for ConditionWaitFor<'_, T, F> {}

impl<'a, T, F: FnMut(&mut T) -> bool> Future for ConditionWaitFor<'a, T, F> {
    type Output = ConditionGuard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.wait.is_none() && !record::spend() {
            let_others_run(cx);
            return Poll::Pending;
        }
        loop {
            if let Some(wait) = &mut this.wait {
                let Poll::Ready(guard) = Pin::new(wait).poll(cx) else { return Poll::Pending };
                this.wait = None;
                this.guard = Some(guard);
            }
            let mut guard = this.guard.take().expect("polled again after it was ready");
            if this.gave_up || (this.predicate)(&mut guard) {
                return Poll::Ready(guard);
            }
            this.wait = Some(guard.wait_at(this.place));
        }
    }
}

impl<T, F> fmt::Debug for ConditionWaitFor<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionWaitFor").field("wait", &self.wait).finish_non_exhaustive()
    }
}
