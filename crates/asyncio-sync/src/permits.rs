//! A number of permits, handed out first come, first served: the mechanism under `Lock`, `Semaphore` and `RwLock`.
//!
//! # States
//!
//! One word: `permits << 1 | QUEUED`. Beside it a FIFO list of waiters, each with the number of permits it needs.
//!
//! | word | meaning | who may change it |
//! |---|---|---|
//! | `QUEUED` clear | nobody is in the list; that many permits are free | anybody, by CAS |
//! | `QUEUED` set | somebody is in the list, waiting or chosen; what is free is not enough for the first that waits | only who holds the list's lock |
//!
//! # Protocol
//!
//! *Take*: CAS the word down, if `QUEUED` is clear and enough is free. Otherwise, under the list's lock: take after all, or set
//! `QUEUED` by a CAS from the very word that says there is not enough, and join the list.
//!
//! *Give back*: CAS the word up, if `QUEUED` is clear. Otherwise, under the list's lock: add, then hand out: as long as the
//! first waiter's need is met, take the permits out of the word *for it* and choose it. Wakers are called after the lock is
//! released.
//!
//! *Collect*, under the lock: a chosen waiter that runs leaves the list with its permits. With the last one in the list
//! `QUEUED` goes.
//!
//! *Cancel*, under the lock: a waiter that waits leaves, and whoever is first now may be served with less. One that was chosen
//! owns permits, so it gives them back as anybody does; they go to the next. See [`Grant`](crate::grant::Grant).
//!
//! While a chosen waiter has not run, a newcomer does not overtake it, even if there is enough for both: it joins the list, is
//! chosen on the spot, and its wake-up stands behind the other's. It does not *depend* on the other: that one may never be polled
//! again.
//!
//! # Why no wake-up is lost
//!
//! A waiter joins under a word that is marked `QUEUED`, and from then on every return of permits fails its CAS and comes to the
//! lock that the waiter held when it joined. So a permit is never returned to the word past somebody who could use it. A chosen waiter's permits have left the word: nobody can take them in between,
//! which is what makes the order of service the order of arrival, fixed when the grant is made.
//!
//! # Orderings
//!
//! `Release` when permits come back, `Acquire` when they are taken: what the last holder did happens before what the next one
//! does. Every change is an RMW, so those in between do not break the chain. A chosen waiter synchronises through the list's
//! lock, under which it was chosen and finds that it was.
//!
//! # Rejected
//!
//! Barging (a newcomer may take what was just returned): a higher peak rate under contention, but asyncio's order is strict.
//! A waiter that spins first: tasks that poll twice cost more than the list.
//!
//! Models: `loom-tests/tests/sync_permits.rs`, `sync_grant.rs`.

use crate::waiters::Waiters;
use crate::wake::{paying, wake, wake_in_batches};
use asyncio_base::const_fn;
use asyncio_base::slab::Key;
use asyncio_base::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use std::task::{Context, Poll, Waker};

/// Somebody is in the list.
const QUEUED: usize = 1;

/// The most permits there can be.
pub(crate) const MAX_PERMITS: usize = usize::MAX >> 1;

/// The only line of the list.
const LINE: usize = 0;

type List = Waiters<usize>;

/// Permits and those who wait for them.
pub(crate) struct Permits {
    word: AtomicUsize,
    waiters: Mutex<List>,
}

/// A place in the list that nobody knows of yet: it is left, with what came with it, if a waker panics.
struct Unclaimed<'a> {
    permits: &'a Permits,
    key: Key,
    n: usize,
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        if self.permits.cancel(self.key) {
            // As many as were taken out: there is room for them.
            let _ = self.permits.release(self.n, MAX_PERMITS);
        }
    }
}

/// More came back than the bound allows.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Permits {
    const_fn! {
        /// `permits` are free, at most [`MAX_PERMITS`].
        pub(crate) const fn new(permits: usize) -> Self {
            assert!(permits <= MAX_PERMITS, "a semaphore holds at most usize::MAX / 2 permits");
            Permits { word: AtomicUsize::new(permits << 1), waiters: Mutex::new(Waiters::new()) }
        }
    }

    /// Takes `n` permits if they are free and nobody waits.
    #[inline]
    pub(crate) fn try_acquire(&self, n: usize) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & QUEUED != 0 || word >> 1 < n {
                return false;
            }
            let less = word - (n << 1);
            match self.word.compare_exchange_weak(word, less, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Gives back `n` permits.
    ///
    /// # Errors
    ///
    /// If more than `bound` would be free then; nothing is given back.
    #[inline]
    pub(crate) fn release(&self, n: usize, bound: usize) -> Result<(), TooMany> {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & QUEUED == 0 {
            if n > bound || word >> 1 > bound - n {
                return Err(TooMany);
            }
            let more = word + (n << 1);
            match self.word.compare_exchange_weak(word, more, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
        self.release_queued(n, bound)
    }

    #[cold]
    fn release_queued(&self, n: usize, bound: usize) -> Result<(), TooMany> {
        let waiters = self.waiters.lock();
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if n > bound || word >> 1 > bound - n {
                return Err(TooMany);
            }
            // The queue may have gone meanwhile, so others may be at the word as well. AcqRel: what is granted below carries
            // on what was released before.
            let more = word + (n << 1);
            match self.word.compare_exchange(word, more, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        self.hand_out(waiters);
        Ok(())
    }

    /// Serves the first waiter, if its need is met.
    fn serve_first(&self, waiters: &mut List) -> Option<Waker> {
        let need = waiters.front(LINE)?;
        // Somebody waits and we hold the lock: the word is ours.
        if self.word.load(Ordering::Relaxed) >> 1 < need {
            return None;
        }
        self.word.fetch_sub(need << 1, Ordering::AcqRel);
        waiters.choose(LINE)
    }

    /// Somebody has left the list.
    fn unmark_if_empty(&self, waiters: &List) {
        if waiters.nobody() {
            self.word.fetch_and(!QUEUED, Ordering::AcqRel);
        }
    }

    /// Serves waiters while there is enough, then wakes them with the lock released.
    fn hand_out(&self, mut waiters: MutexGuard<'_, List>) {
        let Some(first) = self.serve_first(&mut waiters) else { return };
        let free = self.word.load(Ordering::Relaxed) >> 1;
        let more = waiters.front(LINE).is_some_and(|need| need <= free);
        drop(waiters);
        if !more {
            return wake(first);
        }
        wake_in_batches(Some(first), |batch| {
            let mut waiters = self.waiters.lock();
            while !batch.is_full() {
                let Some(waker) = self.serve_first(&mut waiters) else { return false };
                batch.push(waker);
            }
            true
        });
    }

    /// Takes `n` permits or joins the list; `None` if they were taken.
    #[cold]
    pub(crate) fn join(&self, n: usize, waker: Waker) -> Option<Key> {
        let mut waiters = self.waiters.lock();
        let mut word = self.word.load(Ordering::Relaxed);
        while word & QUEUED == 0 {
            let enough = word >> 1 >= n;
            let next = if enough { word - (n << 1) } else { word | QUEUED };
            match self.word.compare_exchange(word, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if enough => {
                    drop(waiters);
                    return None;
                }
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        let key = waiters.push(LINE, waker, n);
        let place = Unclaimed { permits: self, key, n };
        // It may be chosen on the spot; its waker is called then, and may panic.
        self.hand_out(waiters);
        std::mem::forget(place);
        Some(key)
    }

    /// Asks whether the waiter has been chosen. `Ready` takes it out of the list: from then on the permits are the caller's.
    #[cold]
    pub(crate) fn poll_chosen(&self, key: Key, cx: &mut Context<'_>) -> Poll<()> {
        paying(cx, |cx| {
            let mut spare = None;
            loop {
                let mut waiters = self.waiters.lock();
                if waiters.leave_if_chosen(key) {
                    self.unmark_if_empty(&waiters);
                    return Poll::Ready(());
                }
                if waiters.keep(key, cx.waker(), &mut spare) {
                    return Poll::Pending;
                }
                drop(waiters);
                spare = Some(cx.waker().clone());
            }
        })
    }

    /// Takes a waiter out of the list; true if it had been chosen, so that its permits are the caller's to give back.
    #[cold]
    pub(crate) fn cancel(&self, key: Key) -> bool {
        let mut waiters = self.waiters.lock();
        let Some(left) = waiters.leave(key) else { return false };
        self.unmark_if_empty(&waiters);
        if left.chosen {
            return true;
        }
        // The one that left may have been first and needed more than the next does.
        self.hand_out(waiters);
        drop(left.waker);
        false
    }

    /// How many permits are free.
    pub(crate) fn free(&self) -> usize {
        self.word.load(Ordering::Relaxed) >> 1
    }

    /// Whether one permit could not be taken now.
    pub(crate) fn locked(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        word & QUEUED != 0 || word >> 1 == 0
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiters.lock().len(LINE)
    }

    /// How many wait, `None` if that cannot be said without waiting for the list's lock.
    pub(crate) fn waiting_now(&self) -> Option<usize> {
        self.waiters.try_lock().map(|waiters| waiters.len(LINE))
    }
}
