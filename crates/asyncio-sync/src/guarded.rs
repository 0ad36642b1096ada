//! Data behind permits.
//!
//! [`Guarded`] lends its value to whoever holds a grant: shared for any grant of a reader, exclusive for a grant of *all* the
//! permits there are. That the two never meet is the protocol of [`permits`](crate::permits): permits are taken out of the
//! word by one CAS, or by the holder of the list's lock for a chosen waiter, and a permit that is out is in one grant only.
#![allow(unsafe_code)]

use crate::grant::{Grant, Permitted};
use asyncio_base::const_fn;
use asyncio_base::sync::UnsafeCell;
use std::ops::{Deref, DerefMut};

/// A value that is reached through grants.
pub(crate) struct Guarded<T>(UnsafeCell<T>);

// SAFETY: the value is reached only through `Shared` and `Exclusive`. Several threads may have it one after the other, so it
// must be `Send`. Several at a time get `&T` from `RwLock` only, whose `PhantomData<T>` asks for `T: Sync` besides.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    const_fn! {
        pub(crate) const fn new(value: T) -> Self {
            Guarded(UnsafeCell::new(value))
        }
    }

    /// The value, without the lock.
    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

/// A lock: permits that guard a value.
pub(crate) trait Guards: Permitted {
    /// What is guarded.
    type Data;
    /// How many permits there are; who holds all of them is alone.
    const ALL: usize;

    /// The guarded value.
    fn data(&self) -> &Guarded<Self::Data>;
}

impl<P: Guards> Guards for &P {
    type Data = P::Data;
    const ALL: usize = P::ALL;

    #[inline]
    fn data(&self) -> &Guarded<P::Data> {
        (**self).data()
    }
}

impl<P: Guards> Guards for std::sync::Arc<P> {
    type Data = P::Data;
    const ALL: usize = P::ALL;

    #[inline]
    fn data(&self) -> &Guarded<P::Data> {
        (**self).data()
    }
}

/// Shared access, for as long as the grant is held.
pub(crate) struct Shared<P: Guards>(Grant<P>);

impl<P: Guards> Shared<P> {
    #[inline]
    pub(crate) fn new(grant: Grant<P>) -> Self {
        assert!(grant.permits() > 0, "a grant of nothing guards nothing");
        Shared(grant)
    }

    pub(crate) fn grant(&self) -> &Grant<P> {
        &self.0
    }
}

impl<P: Guards> Deref for Shared<P> {
    type Target = P::Data;

    #[inline]
    fn deref(&self) -> &P::Data {
        // SAFETY: this grant holds a permit, so no grant holds all of them: there is no `Exclusive`, hence no `&mut`, while
        // `self` is borrowed.
        self.0.from().data().0.with(|data| unsafe { &*data })
    }
}

/// Exclusive access, for as long as the grant of all permits is held.
pub(crate) struct Exclusive<P: Guards>(Grant<P>);

impl<P: Guards> Exclusive<P> {
    #[inline]
    pub(crate) fn new(grant: Grant<P>) -> Self {
        assert!(grant.permits() == P::ALL, "exclusive access takes all permits");
        Exclusive(grant)
    }

    pub(crate) fn grant(&self) -> &Grant<P> {
        &self.0
    }

    pub(crate) fn into_grant(self) -> Grant<P> {
        self.0
    }

    /// Lets readers in.
    pub(crate) fn downgrade(mut self) -> Shared<P> {
        self.0.shrink_to(1);
        Shared(self.0)
    }
}

impl<P: Guards> Deref for Exclusive<P> {
    type Target = P::Data;

    #[inline]
    fn deref(&self) -> &P::Data {
        // SAFETY: this grant holds every permit there is, so no other `Shared` or `Exclusive` exists. (`Lock<()>::release` can
        // free a lock that is held; two `&mut ()` do not alias, for they cover no byte.)
        self.0.from().data().0.with(|data| unsafe { &*data })
    }
}

impl<P: Guards> DerefMut for Exclusive<P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut P::Data {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        self.0.from().data().0.with_mut(|data| unsafe { &mut *data })
    }
}
