//! `Semaphore` and `BoundedSemaphore`: a number of permits, served first come, first served.

use crate::blocking::{block_on, refuse_in_task};
use crate::errors::OverReleaseError;
use crate::grant::{Acquiring, Grant, Permitted, acquire_future};
use crate::permits::{MAX_PERMITS, Permits};
use asyncio_base::const_fn;
use asyncio_base::wait::WaitKind;
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
// Owned permits come from methods on `Arc<Self>`, a receiver that only std's `Arc` can be.
use std::sync::Arc;

/// A counter of permits that tasks take and give back.
///
/// Waiters are served in the order in which they began to wait, also those that want several permits at once: a small request
/// does not overtake a large one. A permit that comes back goes directly to the first waiter. A waiter that is cancelled
/// leaves the queue, and if permits had been given to it, they go on to the next.
///
/// # Examples
///
/// ```
/// use asyncio_sync::Semaphore;
///
/// static CONNECTIONS: Semaphore = Semaphore::new(10);
///
/// async fn fetch() {
///     let _permit = CONNECTIONS.acquire().await;
///     // at most ten tasks are here at a time
/// }
/// # futures_lite::future::block_on(fetch());
/// ```
///
/// # Python
///
/// `asyncio.Semaphore`; `acquire_many` is an addition.
pub struct Semaphore {
    permits: Permits,
    /// More than this are never free.
    bound: usize,
}

/// How a [`Semaphore`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreStatistics {
    /// How many permits are free.
    pub value: usize,
    /// How many wait for permits.
    pub waiters: usize,
}

impl Semaphore {
    const_fn! {
        /// A semaphore with `value` free permits.
        ///
        /// # Panics
        ///
        /// With more than `usize::MAX / 2` permits.
        pub const fn new(value: usize) -> Self {
            Semaphore { permits: Permits::new(value), bound: MAX_PERMITS }
        }
    }

    /// Waits for one permit and takes it. A free permit is taken without yielding.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue; a permit that had been handed to it goes to the next waiter.
    #[track_caller]
    #[inline]
    pub fn acquire(&self) -> SemaphoreAcquire<'_> {
        SemaphoreAcquire(Acquiring::new(self, 1, Location::caller()))
    }

    /// Waits until `n` permits are free, and takes them all at once.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// If there can never be that many.
    #[track_caller]
    pub fn acquire_many(&self, n: usize) -> SemaphoreAcquire<'_> {
        self.check_demand(n);
        SemaphoreAcquire(Acquiring::new(self, n, Location::caller()))
    }

    /// As [`acquire`](Self::acquire), with a permit that keeps the semaphore alive by itself, to be moved into tasks.
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> SemaphoreAcquireOwned {
        SemaphoreAcquireOwned(Acquiring::new(self, 1, Location::caller()))
    }

    /// As [`acquire_many`](Self::acquire_many), with a permit that keeps the semaphore alive by itself.
    ///
    /// # Panics
    ///
    /// If there can never be that many.
    #[track_caller]
    pub fn acquire_many_owned(self: Arc<Self>, n: usize) -> SemaphoreAcquireOwned {
        self.check_demand(n);
        SemaphoreAcquireOwned(Acquiring::new(self, n, Location::caller()))
    }

    /// Takes a permit if one is free and nobody waits.
    #[inline]
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        Grant::try_take(self, 1).map(SemaphorePermit::new)
    }

    /// Takes `n` permits if they are free and nobody waits.
    pub fn try_acquire_many(&self, n: usize) -> Option<SemaphorePermit<'_>> {
        Grant::try_take(self, n).map(SemaphorePermit::new)
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that keeps the semaphore alive by itself.
    pub fn try_acquire_owned(self: Arc<Self>) -> Option<OwnedSemaphorePermit> {
        Grant::try_take(self, 1).map(OwnedSemaphorePermit::new)
    }

    /// Takes a permit from a plain thread, which sleeps until its turn comes.
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_acquire(&self) -> SemaphorePermit<'_> {
        refuse_in_task();
        self.try_acquire().unwrap_or_else(|| block_on(self.acquire()))
    }

    /// Adds a permit, or hands it to the first waiter. The permit need not have been acquired.
    ///
    /// A [`SemaphorePermit`] gives its permit back by itself; this is for one that was [forgotten](SemaphorePermit::forget),
    /// and for semaphores that count things as they come in.
    ///
    /// # Panics
    ///
    /// If there are `usize::MAX / 2` permits already.
    #[doc(alias = "add_permits")]
    #[track_caller]
    pub fn release(&self) {
        self.release_many(1);
    }

    /// Adds `n` permits.
    ///
    /// # Panics
    ///
    /// If there would be more than `usize::MAX / 2`.
    #[track_caller]
    pub fn release_many(&self, n: usize) {
        let released = self.permits.release(n, self.bound);
        assert!(released.is_ok(), "a semaphore holds at most usize::MAX / 2 permits");
    }

    /// Whether a permit could not be taken at once: none is free, or others wait.
    pub fn locked(&self) -> bool {
        self.permits.locked()
    }

    /// How many permits are free.
    #[doc(alias = "available_permits")]
    pub fn value(&self) -> usize {
        self.permits.free()
    }

    /// How the semaphore stands at this moment.
    pub fn statistics(&self) -> SemaphoreStatistics {
        SemaphoreStatistics { value: self.value(), waiters: self.permits.waiting() }
    }

    #[track_caller]
    fn check_demand(&self, n: usize) {
        assert!(
            n <= self.bound,
            "{n} permits are wanted, but there are never more than {}",
            self.bound
        );
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let waiters = match self.permits.waiting_now() {
            Some(0) => String::new(),
            Some(n) => format!(", waiters:{n}"),
            None => ", waiters:?".to_owned(),
        };
        match self.locked() {
            true => write!(f, "<{name} [locked{waiters}]>"),
            false => write!(f, "<{name} [unlocked, value:{}{waiters}]>", self.value()),
        }
    }
}

impl Default for Semaphore {
    /// One permit, as in Python.
    fn default() -> Self {
        Semaphore::new(1)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "Semaphore")
    }
}

impl Permitted for Semaphore {
    const KIND: WaitKind = WaitKind::Semaphore;

    #[inline]
    fn permits(&self) -> &Permits {
        &self.permits
    }

    #[inline]
    fn bound(&self) -> usize {
        self.bound
    }
}

/// A [`Semaphore`] that never has more free permits than it began with: a `release` too many is an error.
///
/// It dereferences to its semaphore for everything but `release`.
///
/// # Examples
///
/// ```
/// use asyncio_sync::BoundedSemaphore;
///
/// let semaphore = BoundedSemaphore::new(1);
/// semaphore.try_acquire().expect("one is free").forget();
/// assert!(semaphore.release().is_ok());
/// assert_eq!(semaphore.release().unwrap_err().to_string(), "BoundedSemaphore released too many times");
/// ```
///
/// # Python
///
/// `asyncio.BoundedSemaphore`.
pub struct BoundedSemaphore(Semaphore);

impl BoundedSemaphore {
    const_fn! {
        /// A semaphore with `value` free permits, and never more.
        ///
        /// # Panics
        ///
        /// With more than `usize::MAX / 2` permits.
        pub const fn new(value: usize) -> Self {
            BoundedSemaphore(Semaphore { permits: Permits::new(value), bound: value })
        }
    }

    /// Gives back a permit that was acquired and [forgotten](SemaphorePermit::forget).
    ///
    /// # Errors
    ///
    /// If no permit is out; nothing changes then.
    pub fn release(&self) -> Result<(), OverReleaseError> {
        self.release_many(1)
    }

    /// Gives back `n` permits.
    ///
    /// # Errors
    ///
    /// If fewer than `n` are out; nothing changes then.
    pub fn release_many(&self, n: usize) -> Result<(), OverReleaseError> {
        self.0.permits.release(n, self.0.bound).map_err(|_| OverReleaseError)
    }

    /// As [`Semaphore::acquire_owned`].
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> BoundedAcquireOwned {
        BoundedAcquireOwned(Acquiring::new(self, 1, Location::caller()))
    }
}

impl Default for BoundedSemaphore {
    /// One permit, as in Python.
    fn default() -> Self {
        BoundedSemaphore::new(1)
    }
}

impl Deref for BoundedSemaphore {
    type Target = Semaphore;

    fn deref(&self) -> &Semaphore {
        &self.0
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, "BoundedSemaphore")
    }
}

impl Permitted for BoundedSemaphore {
    const KIND: WaitKind = WaitKind::Semaphore;

    fn permits(&self) -> &Permits {
        &self.0.permits
    }

    fn bound(&self) -> usize {
        self.0.bound
    }
}

macro_rules! permit {
    ($(#[$meta:meta])* $name:ident[$($param:tt)*]($from:ty)) => {
        $(#[$meta])*
        #[must_use = "a permit is given back when it is dropped"]
        pub struct $name<$($param)*>(Grant<$from>);

        impl<$($param)*> $name<$($param)*> {
            #[inline]
            fn new(grant: Grant<$from>) -> Self {
                $name(grant)
            }

            /// How many permits these are.
            pub fn num_permits(&self) -> usize {
                self.0.permits()
            }

            /// Keeps the permits out for good, or until somebody calls `release`.
            pub fn forget(self) {
                self.0.forget();
            }

            /// Splits off `n` of the permits, if there are that many.
            pub fn split(&mut self, n: usize) -> Option<Self> {
                self.0.split(n).map($name)
            }
        }

        impl<$($param)*> fmt::Debug for $name<$($param)*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "<{} [{}]>", stringify!($name), self.num_permits())
            }
        }
    };
}

permit! {
    /// Permits of a [`Semaphore`], given back on drop.
    SemaphorePermit['a](&'a Semaphore)
}

permit! {
    /// A [`SemaphorePermit`] that keeps its semaphore alive by itself.
    OwnedSemaphorePermit[](Arc<Semaphore>)
}

permit! {
    /// A permit of a [`BoundedSemaphore`] that keeps it alive by itself.
    OwnedBoundedPermit[](Arc<BoundedSemaphore>)
}

acquire_future! {
    /// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
    pub struct SemaphoreAcquire['a](&'a Semaphore) -> SemaphorePermit<'a>;
}

acquire_future! {
    /// The future of [`Semaphore::acquire_owned`] and [`Semaphore::acquire_many_owned`].
    pub struct SemaphoreAcquireOwned[](Arc<Semaphore>) -> OwnedSemaphorePermit;
}

acquire_future! {
    /// The future of [`BoundedSemaphore::acquire_owned`].
    pub struct BoundedAcquireOwned[](Arc<BoundedSemaphore>) -> OwnedBoundedPermit;
}
