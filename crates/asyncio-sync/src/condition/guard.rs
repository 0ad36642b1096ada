//! Guards: the lock of a condition is held, and what may be done only then.

use super::wait::{Wait, WaitFor, WaitMut};
use super::{Condition, Holder};
use crate::blocking::{block_on, refuse_in_task};
use crate::grant::{Grant, Permitted};
use crate::guarded::{Exclusive, Guarded, Guards};
use crate::permits::Permits;
use asyncio_base::wait::WaitKind;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

/// The lock of a condition, as something that grants come from.
pub(crate) struct LockOf<P>(pub(super) P);

impl<P: Holder> Permitted for LockOf<P> {
    const KIND: WaitKind = WaitKind::Lock;

    #[inline]
    fn permits(&self) -> &Permits {
        self.0.condition().lock().permits()
    }

    #[inline]
    fn bound(&self) -> usize {
        self.0.condition().lock().bound()
    }
}

impl<P: Holder> Guards for LockOf<P> {
    type Data = P::Data;
    const ALL: usize = 1;

    #[inline]
    fn data(&self) -> &Guarded<P::Data> {
        self.0.condition().lock().data()
    }
}

/// The lock, if this guard has it.
pub(super) type Held<P> = Option<Exclusive<LockOf<P>>>;

/// Holds the lock of a [`Condition`] and lends what it guards; by the names [`ConditionGuard`](super::ConditionGuard) and
/// [`OwnedConditionGuard`](super::OwnedConditionGuard).
#[must_use = "a lock is released when its guard is dropped"]
pub struct Guard<P: Holder> {
    /// Empty while [`wait_mut`](Self::wait_mut) waits.
    held: Held<P>,
    /// `Sync` only if the data is: a shared guard gives `&T`.
    marker: PhantomData<Box<P::Data>>,
}

impl<P: Holder> Guard<P> {
    #[inline]
    pub(super) fn new(grant: Grant<LockOf<P>>) -> Self {
        Guard { held: Some(Exclusive::new(grant)), marker: PhantomData }
    }

    #[inline]
    fn held(&self) -> &Exclusive<LockOf<P>> {
        self.held.as_ref().expect("the lock was lost when a `wait_mut` was dropped half-way")
    }

    pub(super) fn held_mut(&mut self) -> &mut Held<P> {
        &mut self.held
    }

    pub(super) fn holder(&self) -> &P {
        &self.held().grant().from().0
    }

    /// The condition whose lock is held.
    pub fn condition(&self) -> &Condition<P::Data> {
        self.holder().condition()
    }

    /// Releases the lock, waits until somebody notifies, takes the lock again and returns with it.
    ///
    /// It may return without a notification; look again at what you wait for, or use [`wait_for`](Self::wait_for).
    ///
    /// # Cancel safety
    ///
    /// A cancellation of the task, or a timeout round this, takes effect once the lock is held again, so that what unwinds
    /// releases a lock that it has; a notification that had been received goes to the next waiter. To go on with the lock after
    /// it, use [`wait_mut`](Self::wait_mut). A future that is dropped by anybody else leaves without the lock, and passes the
    /// notification on all the same.
    #[track_caller]
    pub fn wait(self) -> Wait<P> {
        Wait::new(self, Location::caller())
    }

    /// As [`wait`](Self::wait), but the guard stays where it is: whoever catches a cancellation, or a timeout, of the wait has the
    /// lock again.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait). A future that is dropped half-way by a foreign `select!`, or given up with its whole task, cannot
    /// take the lock again: the guard is empty then.
    ///
    /// # Panics
    ///
    /// An empty guard panics when it is used.
    #[track_caller]
    pub fn wait_mut(&mut self) -> WaitMut<'_, P> {
        WaitMut::new(self, Location::caller())
    }

    /// Waits until the predicate says yes, which is asked at once and then after every notification, with the lock held.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for<F: FnMut(&mut P::Data) -> bool>(self, predicate: F) -> WaitFor<P, F> {
        WaitFor::new(self, predicate, Location::caller())
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
        self.condition().choose(n);
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.condition().choose(usize::MAX);
    }
}

impl<P: Holder> Deref for Guard<P> {
    type Target = P::Data;

    #[inline]
    fn deref(&self) -> &P::Data {
        self.held()
    }
}

impl<P: Holder> DerefMut for Guard<P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut P::Data {
        self.held.as_mut().expect("the lock was lost when a `wait_mut` was dropped half-way")
    }
}

impl<P: Holder> fmt::Debug for Guard<P>
where
    P::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.held {
            Some(held) => (**held).fmt(f),
            None => f.write_str("<ConditionGuard [lost]>"),
        }
    }
}
