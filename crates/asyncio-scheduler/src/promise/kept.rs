//! The outcome of a promise and its word: how far the promise is, and who looks at the outcome.
//!
//! ```text
//!   bits   63..8           4        3       2        1           0
//!          looker          UNSEEN   TAKEN   WANTED   CANCELLED   DONE
//! ```
//!
//! # Who may touch the outcome
//!
//! 1. While DONE is not set, nobody but the finisher, of whom the promise sees to it that there is one.
//! 2. Then whoever has a *loan*: the thread whose name stands in the word. A loan begins with an exchange of no name for one's own,
//!    and ends with taking it out, also by a panic. Under a loan the outcome may be looked at, or moved out, which sets TAKEN.
//! 3. Who has the promise exclusively.
//!
//! `T` and `E` need not be `Sync`: so one thread at a time looks. Their `Clone` and `Debug` are anybody's code: so nothing else of the promise waits for
//! a loan, and a look inside a look on one thread, which would wait for itself, is told by the name and refused.
//!
//! # Why nobody waits in vain for a loan to end
//!
//! Who waits takes a lock, sets WANTED by an exchange that also tells whether there is a loan still, and sleeps only then, which lets go of the
//! lock. Who ends a loan learns by the same exchange whether WANTED was set; if so it takes that lock once before it notifies, and by then the
//! other one sleeps. The lock is for nothing else.
//!
//! # Orderings
//!
//! DONE is set with `Release` and every loan begins with `Acquire`: the outcome has been written. A loan ends with `Release`, and the exchanges on
//! the word are one release sequence, so each loan sees what the ones before it did to the outcome, be it only a count inside it.
//!
//! Models: `loom-tests/tests/promise.rs`.

use super::{Held, Outcome};
use asyncio_base::sync::{AtomicU64, Condvar, Mutex, Ordering, UnsafeCell};
use std::panic::RefUnwindSafe;

const DONE: u64 = 1;
/// Comes with `DONE`.
const CANCELLED: u64 = 2;
/// Somebody waits for the end of a loan.
const WANTED: u64 = 4;
/// The outcome was moved out.
const TAKEN: u64 = 8;
/// Nobody has looked at the error.
const UNSEEN: u64 = 16;
const LOOKER_SHIFT: u32 = 8;
const BITS: u64 = (1 << LOOKER_SHIFT) - 1;

/// The outcome and the word.
pub(super) struct Kept<T, E> {
    word: AtomicU64,
    outcome: UnsafeCell<Held<T, E>>,
    /// Held from setting WANTED to sleeping.
    sleeping: Mutex<()>,
    returned: Condvar,
}

// SAFETY: the outcome is lent to one thread at a time (rule 2 above), so `Send` is all that its types have to be.
unsafe impl<T: Send, E: Send> Sync for Kept<T, E> {}

/// A panic ends a loan as a return does, and the outcome is whatever its own code has made of it.
impl<T, E> RefUnwindSafe for Kept<T, E> {}

/// The outcome is being looked at by code on this very thread.
#[derive(Debug)]
pub(super) struct LentHere;

/// The right to the outcome.
struct Loan<'a, T, E>(&'a Kept<T, E>);

impl<T, E> Drop for Loan<'_, T, E> {
    #[inline]
    fn drop(&mut self) {
        let before = self.0.word.fetch_and(BITS & !WANTED, Ordering::Release);
        if before & WANTED != 0 {
            self.0.notify();
        }
    }
}

/// What stands in the way of a loan.
enum NoLoan {
    /// There is no outcome yet.
    Pending,
    /// It was moved out.
    Taken,
    /// It is, or was a moment ago, lent to some thread.
    Lent,
}

impl<T, E> Kept<T, E> {
    pub(super) fn new() -> Self {
        Kept {
            word: AtomicU64::new(0),
            outcome: UnsafeCell::new(Held::Pending),
            sleeping: Mutex::new(()),
            returned: Condvar::new(),
        }
    }

    // ----- the word

    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.word.load(Ordering::Acquire) & DONE != 0
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.word.load(Ordering::Acquire) & CANCELLED != 0
    }

    pub(super) fn forgive(&self) {
        self.word.fetch_and(!UNSEEN, Ordering::Relaxed);
    }

    // ----- the outcome

    /// Puts the outcome in. `unseen`: somebody has to look at it.
    ///
    /// # Safety
    ///
    /// This is called once, and nobody has the promise exclusively.
    #[inline]
    pub(super) unsafe fn put(&self, outcome: Outcome<T, E>, unseen: bool) {
        let cancelled = matches!(outcome, Outcome::Cancelled(_));
        let bit = |is: bool, bit: u64| if is { bit } else { 0 };
        let bits = DONE | bit(cancelled, CANCELLED) | bit(unseen, UNSEEN);
        // SAFETY: DONE is not set, as the caller promises, so there is no loan, and this is the one finisher. What is overwritten is `Pending`, which
        // has nothing to drop.
        self.outcome.with_mut(|place| unsafe { place.write(Held::Outcome(outcome)) });
        self.word.store(bits, Ordering::Release);
    }

    /// Lends the outcome, which counts as seen, waiting until it can be had.
    #[inline]
    pub(super) fn lend<R>(&self, f: impl FnOnce(&Held<T, E>) -> R) -> Result<R, LentHere> {
        loop {
            match self.borrow(true) {
                Ok(loan) => return Ok(loan.look(f)),
                Err(no_loan) => match self.wait(no_loan)? {
                    None => {}
                    Some(held) => return Ok(f(&held)),
                },
            }
        }
    }

    /// Lends the outcome for a report; `None` if it is lent.
    pub(super) fn peek<R>(&self, f: impl FnOnce(&Held<T, E>) -> R) -> Option<R> {
        match self.borrow(false) {
            Ok(loan) => Some(loan.look(f)),
            Err(NoLoan::Pending) => Some(f(&Held::Pending)),
            Err(NoLoan::Taken) => Some(f(&Held::Taken)),
            Err(NoLoan::Lent) => None,
        }
    }

    /// Moves the outcome out, waiting until it can be had.
    pub(super) fn take(&self) -> Result<Held<T, E>, LentHere> {
        loop {
            match self.borrow(true) {
                Ok(loan) => return Ok(loan.take()),
                Err(no_loan) => match self.wait(no_loan)? {
                    None => {}
                    Some(held) => return Ok(held),
                },
            }
        }
    }

    /// The error that nobody has seen.
    pub(super) fn unseen(&mut self) -> Option<&E> {
        let unseen = self.word.load(Ordering::Relaxed) & UNSEEN != 0;
        // SAFETY: the promise is borrowed exclusively.
        match self.outcome.with(|held| unsafe { &*held }) {
            Held::Outcome(Outcome::Error(error)) if unseen => Some(error),
            _ => None,
        }
    }

    #[inline]
    fn borrow(&self, sees: bool) -> Result<Loan<'_, T, E>, NoLoan> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & (DONE | TAKEN) != DONE || word > BITS {
                return Err(Self::no_loan(word));
            }
            let seen = if sees { word & !UNSEEN } else { word };
            let lent = seen | this_thread() << LOOKER_SHIFT;
            match self.word.compare_exchange_weak(word, lent, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return Ok(Loan(self)),
                Err(now) => word = now,
            }
        }
    }

    #[cold]
    fn no_loan(word: u64) -> NoLoan {
        match word {
            _ if word > BITS => NoLoan::Lent,
            _ if word & TAKEN != 0 => NoLoan::Taken,
            _ => NoLoan::Pending,
        }
    }

    /// What there is without a loan; `None` once a loan of another thread may have ended.
    #[cold]
    fn wait(&self, no_loan: NoLoan) -> Result<Option<Held<T, E>>, LentHere> {
        match no_loan {
            NoLoan::Pending => Ok(Some(Held::Pending)),
            NoLoan::Taken => Ok(Some(Held::Taken)),
            NoLoan::Lent => {
                let sleeping = self.sleeping.lock();
                // An exchange reads the newest word: the name in an older one may be that of a thread that is gone, which this one has inherited.
                let word = self.word.fetch_or(WANTED, Ordering::Relaxed);
                if word >> LOOKER_SHIFT == this_thread() {
                    return Err(LentHere);
                }
                if word > BITS {
                    drop(self.returned.wait(sleeping));
                }
                Ok(None)
            }
        }
    }

    #[cold]
    fn notify(&self) {
        drop(self.sleeping.lock());
        self.returned.notify_all();
    }
}

impl<T, E> Loan<'_, T, E> {
    #[inline]
    fn look<R>(self, f: impl FnOnce(&Held<T, E>) -> R) -> R {
        // SAFETY: the loan makes this thread the only one to touch the outcome until `self` is dropped, which is after `f` has returned; and this
        // thread makes no second reference meanwhile, for it gets no second loan.
        self.0.outcome.with(|held| f(unsafe { &*held }))
    }

    fn take(self) -> Held<T, E> {
        self.0.word.fetch_or(TAKEN, Ordering::Relaxed);
        // SAFETY: as in `look`; and there is no reference.
        self.0.outcome.with_mut(|held| unsafe { std::mem::replace(&mut *held, Held::Taken) })
    }
}

#[cfg(not(asyncio_loom))]
thread_local! {
    static HERE: u8 = const { 0 };
}

// loom runs all threads of a model on one OS thread.
#[cfg(asyncio_loom)]
loom::thread_local! {
    static HERE: u8 = 0;
}

/// A number that no other living thread has; it fits above the bits, as addresses leave the topmost byte free.
#[inline]
fn this_thread() -> u64 {
    HERE.with(|here| std::ptr::from_ref(here).addr() as u64)
}
