//! A grant: permits that are held, as a value.
//!
//! Whoever holds a [`Grant`] holds the permits, and dropping it gives them back, to the next waiter if there is one. So a
//! waiter that was chosen and is cancelled before it runs cannot lose what it was given: its future turns the claim into a
//! grant and drops that. Guards and permits of the public types are grants with clothes on.
//!
//! ```text
//!  Acquiring ── first poll: free ──────────────────────────► Grant ── drop ──► next waiter, or the word
//!     │ not free                                               ▲
//!     ▼                                                        │
//!  in the list ── chosen ── polled ───────────────────────────►┤
//!     │ dropped: leaves            └─ dropped before that ─────┘
//! ```
//!
//! Models: `loom-tests/tests/sync_grant.rs`.

use crate::permits::Permits;
use crate::wake::let_others_run;
use asyncio_base::slab::Key;
use asyncio_base::wait::WaitKind;
use asyncio_base::{observe, record};
use std::panic::Location;
// Owned guards come from methods on `Arc<Self>`, a receiver that only std's `Arc` can be.
use std::sync::Arc;
use std::task::{Context, Poll};

/// Something that hands out permits.
pub(crate) trait Permitted {
    /// What its waiters wait for, in reports.
    const KIND: WaitKind;

    /// The permits.
    fn permits(&self) -> &Permits;

    /// How many there may be free at most.
    fn bound(&self) -> usize;
}

impl<P: Permitted> Permitted for &P {
    const KIND: WaitKind = P::KIND;

    #[inline]
    fn permits(&self) -> &Permits {
        (**self).permits()
    }

    #[inline]
    fn bound(&self) -> usize {
        (**self).bound()
    }
}

impl<P: Permitted> Permitted for Arc<P> {
    const KIND: WaitKind = P::KIND;

    #[inline]
    fn permits(&self) -> &Permits {
        (**self).permits()
    }

    #[inline]
    fn bound(&self) -> usize {
        (**self).bound()
    }
}

/// `n` permits of `from`, given back on drop.
#[must_use = "dropping a grant gives it back"]
pub(crate) struct Grant<P: Permitted> {
    /// Empty once the grant was forgotten.
    from: Option<P>,
    n: usize,
}

impl<P: Permitted> Grant<P> {
    /// Of `n` permits that were taken.
    #[inline]
    fn new(from: P, n: usize) -> Self {
        observe::took(from.permits());
        Grant { from: Some(from), n }
    }

    /// Takes `n` permits if they are free and nobody waits.
    #[inline]
    pub(crate) fn try_take(from: P, n: usize) -> Option<Self> {
        // Not `then_some`: a grant that was made is given back when it is dropped.
        from.permits().try_acquire(n).then(|| Grant::new(from, n))
    }

    /// What the permits are of.
    ///
    /// # Panics
    ///
    /// After [`forget`](Self::forget).
    #[inline]
    pub(crate) fn from(&self) -> &P {
        self.from.as_ref().expect("a grant that is used was not forgotten")
    }

    /// How many permits these are.
    #[inline]
    pub(crate) fn permits(&self) -> usize {
        self.n
    }

    /// Gives up the claim without giving the permits back.
    pub(crate) fn forget(mut self) -> Option<P> {
        self.from.take()
    }

    /// Gives back all but `n` of the permits.
    pub(crate) fn shrink_to(&mut self, n: usize) {
        let surplus = self.n - n;
        self.n = n;
        give_back(self.from(), surplus);
    }
}

impl<P: Permitted + Clone> Grant<P> {
    /// Splits `n` permits off as a grant of their own, if there are that many.
    pub(crate) fn split(&mut self, n: usize) -> Option<Self> {
        self.n = self.n.checked_sub(n)?;
        Some(Grant { from: self.from.clone(), n })
    }
}

#[inline]
fn give_back<P: Permitted>(from: &P, n: usize) {
    if from.permits().release(n, from.bound()).is_err() {
        fill_up(from, n);
    }
}

/// Gives back as many as there is room for.
///
/// There is room for all, unless somebody called a plain `release` without a permit of their own: then what does not fit is
/// their surplus, and a destructor has nobody to tell.
#[cold]
fn fill_up<P: Permitted>(from: &P, n: usize) {
    let _ = (0..n).try_for_each(|_| from.permits().release(1, from.bound()));
}

impl<P: Permitted> Drop for Grant<P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(from) = &self.from {
            give_back(from, self.n);
        }
    }
}

/// The future of a grant; its owners are the public futures.
pub(crate) struct Acquiring<P: Permitted> {
    /// Empty once the grant was made.
    from: Option<P>,
    n: usize,
    /// The place in the list, [`Key::NONE`] while there is none.
    key: Key,
    place: &'static Location<'static>,
}

impl<P: Permitted> Acquiring<P> {
    /// Will ask for `n` permits when polled first.
    #[inline]
    pub(crate) fn new(from: P, n: usize, place: &'static Location<'static>) -> Self {
        Acquiring { from: Some(from), n, key: Key::NONE, place }
    }

    /// Whether it stands in the list, or has been chosen from it.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.key.is_none()
    }

    /// Asks for the permits.
    ///
    /// # Panics
    ///
    /// When polled again after it was ready.
    #[inline(always)]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Grant<P>> {
        let permits = self.from.as_ref().expect("polled again after it was ready").permits();
        if self.key.is_none() {
            if !record::spend() {
                let_others_run(cx);
                return Poll::Pending;
            }
            if permits.try_acquire(self.n) {
                return Poll::Ready(self.grant());
            }
        }
        self.poll_slowly(cx)
    }

    #[cold]
    #[inline(never)]
    fn poll_slowly(&mut self, cx: &mut Context<'_>) -> Poll<Grant<P>> {
        let permits = self.from.as_ref().expect("asked by `poll`").permits();
        let taken = if self.key.is_none() {
            let key = permits.join(self.n, cx.waker().clone());
            self.key = key.unwrap_or(Key::NONE);
            key.is_none()
        } else {
            permits.poll_chosen(self.key, cx).is_ready()
        };
        if taken {
            self.key = Key::NONE;
            return Poll::Ready(self.grant());
        }
        observe::waits_for_thing(permits);
        record::waits_for(P::KIND, self.place);
        Poll::Pending
    }

    #[inline]
    fn grant(&mut self) -> Grant<P> {
        Grant::new(self.from.take().expect("asked by `poll`"), self.n)
    }

    #[cold]
    fn leave(&mut self) {
        let Some(from) = self.from.take() else { return };
        if from.permits().cancel(self.key) {
            // Chosen, but never told: the grant exists and goes to the next.
            drop(Grant { from: Some(from), n: self.n });
        }
    }
}

impl<P: Permitted> Drop for Acquiring<P> {
    #[inline]
    fn drop(&mut self) {
        if !self.key.is_none() {
            self.leave();
        }
    }
}

/// Declares a public future that waits for a grant and dresses it.
macro_rules! acquire_future {
    ($(#[$meta:meta])* $vis:vis struct $name:ident[$($param:tt)*]($from:ty) -> $output:ty;) => {
        $(#[$meta])*
        #[must_use = "a future does nothing unless it is awaited"]
        $vis struct $name<$($param)*>(crate::grant::Acquiring<$from>);

        impl<$($param)*> std::future::Future for $name<$($param)*> {
            type Output = $output;

            #[inline(always)]
            fn poll(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<$output> {
                self.0.poll(cx).map(<$output>::new)
            }
        }

        impl<$($param)*> std::fmt::Debug for $name<$($param)*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let state = if self.0.is_waiting() { "waiting" } else { "idle" };
                write!(f, "<{} [{state}]>", stringify!($name))
            }
        }
    };
}
pub(crate) use acquire_future;
