//! The timers of callbacks: one wheel behind a lock, its earliest deadline published beside it.
//!
//! The loop asks at every pass whether a callback is due, and nearly always none is: that question is one load. The published deadline is
//! never later than the truth. It is lowered by an insert and made exact by [`refresh`](LaneTimers::refresh) and [`pop`](LaneTimers::pop), under
//! the lock; a removed timer leaves it as it is, at the price of one look in vain.

use crate::wheel::{Key, Wheel};
use asyncio_base::sync::{AtomicU64, Mutex, Ordering, load_after_fence};

/// No timer.
const NEVER: u64 = u64::MAX;

/// Timers that hand out what was put in, such as callbacks for the lane, in the order of their deadlines.
#[derive(Debug)]
pub struct LaneTimers<T> {
    /// Not later than the earliest deadline; written under the lock.
    earliest: AtomicU64,
    /// `None` once closed.
    wheel: Mutex<Option<Wheel<T>>>,
}

impl<T> LaneTimers<T> {
    /// No timers, at `now` on the loop's scale.
    pub fn new(now: u64) -> Self {
        let wheel = Mutex::new(Some(Wheel::new(now)));
        LaneTimers { earliest: AtomicU64::new(NEVER), wheel }
    }

    /// Adds a timer; a thread that may sleep beyond it is told by [`announce`](crate::Timers::announce).
    ///
    /// # Errors
    ///
    /// Gives the value back if closed.
    pub fn insert(&self, deadline: u64, value: T) -> Result<Key, T> {
        let mut wheel = self.wheel.lock();
        let Some(open) = wheel.as_mut() else { return Err(value) };
        let key = open.insert(deadline, value);
        if deadline < self.earliest.load(Ordering::Relaxed) {
            // Release: who loads it and takes the lock finds the timer anyway; the pair keeps the two in order for who only looks.
            self.earliest.store(deadline, Ordering::Release);
        }
        Ok(key)
    }

    /// Takes a timer out before it is due.
    pub fn remove(&self, key: Key) -> Option<T> {
        self.wheel.lock().as_mut()?.remove(key)
    }

    /// A time before which nothing is due; `None` without timers. One load.
    #[inline]
    pub fn earliest(&self) -> Option<u64> {
        Some(self.earliest.load(Ordering::Acquire)).filter(|&deadline| deadline != NEVER)
    }

    /// The word of [`earliest`](Self::earliest), `u64::MAX` without timers, for whoever reads it more often than anything else.
    pub fn earliest_word(&self) -> &AtomicU64 {
        &self.earliest
    }

    /// As [`earliest`](Self::earliest), `u64::MAX` without timers, for a parker after its fence: see `alarm.rs`.
    pub fn earliest_after_fence(&self) -> u64 {
        load_after_fence(&self.earliest)
    }

    /// As [`earliest`](Self::earliest), made exact first, for whoever goes to sleep.
    pub fn refresh(&self) -> Option<u64> {
        let mut wheel = self.wheel.lock();
        self.publish(wheel.as_mut()?)
    }

    /// Takes the earliest timer out if it is due by `until`.
    pub fn pop(&self, until: u64) -> Option<T> {
        let mut wheel = self.wheel.lock();
        let open = wheel.as_mut()?;
        let popped = open.pop(until);
        self.publish(open);
        popped.map(|(_, _, value)| value)
    }

    fn publish(&self, wheel: &mut Wheel<T>) -> Option<u64> {
        let next = wheel.next_deadline();
        self.earliest.store(next.unwrap_or(NEVER), Ordering::Release);
        next
    }

    /// Refuses timers from now on and hands out those that wait, in their order.
    pub fn close(&self) -> Vec<T> {
        let mut wheel = self.wheel.lock();
        self.earliest.store(NEVER, Ordering::Release);
        // Where it lies: a wheel is too large to be moved for this.
        let waiting = wheel.as_mut().map(Wheel::drain).unwrap_or_default();
        *wheel = None;
        waiting
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_out_in_order_and_the_bound_is_never_late() {
        let timers = LaneTimers::new(0);
        assert_eq!((timers.earliest(), timers.refresh()), (None, None));
        let far = timers.insert(1_000_000, "far").unwrap();
        timers.insert(500, "near").unwrap();
        timers.insert(500, "near too").unwrap();
        assert_eq!(timers.earliest(), Some(500));
        assert_eq!(timers.pop(499), None);
        assert_eq!(
            [timers.pop(500), timers.pop(500), timers.pop(500)],
            [Some("near"), Some("near too"), None]
        );
        assert!(timers.earliest().is_some_and(|bound| bound <= 1_000_000));
        assert_eq!(timers.remove(far), Some("far"));
        assert_eq!(timers.refresh(), None);
        assert_eq!(timers.earliest(), None);
    }

    #[test]
    fn closed_timers_give_back_what_they_had_and_what_comes() {
        let timers = LaneTimers::new(0);
        timers.insert(2, "b").unwrap();
        timers.insert(1, "a").unwrap();
        assert_eq!(timers.close(), ["a", "b"]);
        assert_eq!(timers.insert(3, "c"), Err("c"));
        assert_eq!((timers.pop(u64::MAX), timers.earliest()), (None, None));
        assert!(timers.close().is_empty());
    }
}
