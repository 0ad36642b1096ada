//! Atomics that count their locked read-modify-writes, for the benchmarks' count of RMWs per operation.

use std::sync::atomic::{self as std_atomic, Ordering};

static COUNT: std_atomic::AtomicU64 = std_atomic::AtomicU64::new(0);

/// Locked read-modify-writes done so far by this process through asyncio's atomics and locks.
pub fn rmw_count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

fn count(n: u64) {
    COUNT.fetch_add(n, Ordering::Relaxed);
}

/// A lock held costs one RMW to take and one to release.
pub(super) fn count_lock() {
    count(2);
}

macro_rules! counted {
    ($name:ident $(<$t:ident>)?, $std:ty, $value:ty, [$($op:ident),*]) => {
        /// The std atomic of the same name, its read-modify-writes counted.
        #[derive(Debug)]
        #[repr(transparent)]
        pub struct $name $(<$t>)? ($std);

        impl $(<$t>)? Default for $name $(<$t>)? {
            fn default() -> Self {
                Self(<$std>::default())
            }
        }

        impl $(<$t>)? $name $(<$t>)? {
            /// A new atomic.
            pub const fn new(value: $value) -> Self {
                Self(<$std>::new(value))
            }
            /// Not counted: a load is no RMW.
            pub fn load(&self, order: Ordering) -> $value {
                self.0.load(order)
            }
            /// Not counted: a store is no RMW.
            pub fn store(&self, value: $value, order: Ordering) {
                self.0.store(value, order);
            }
            /// The value, by way of the exclusive borrow.
            pub fn get_mut(&mut self) -> &mut $value {
                self.0.get_mut()
            }
            /// Counted.
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                count(1);
                self.0.swap(value, order)
            }
            /// Counted.
            pub fn compare_exchange(
                &self, current: $value, new: $value, ok: Ordering, err: Ordering,
            ) -> Result<$value, $value> {
                count(1);
                self.0.compare_exchange(current, new, ok, err)
            }
            /// Counted.
            pub fn compare_exchange_weak(
                &self, current: $value, new: $value, ok: Ordering, err: Ordering,
            ) -> Result<$value, $value> {
                count(1);
                self.0.compare_exchange_weak(current, new, ok, err)
            }
            $(
                /// Counted.
                pub fn $op(&self, value: $value, order: Ordering) -> $value {
                    count(1);
                    self.0.$op(value, order)
                }
            )*
        }
    };
}

counted!(AtomicBool, std_atomic::AtomicBool, bool, [fetch_or, fetch_and]);
counted!(AtomicU8, std_atomic::AtomicU8, u8, [fetch_add, fetch_sub, fetch_or, fetch_and]);
counted!(AtomicU32, std_atomic::AtomicU32, u32, [fetch_add, fetch_sub, fetch_or, fetch_and]);
counted!(
    AtomicU64,
    std_atomic::AtomicU64,
    u64,
    [fetch_add, fetch_sub, fetch_or, fetch_and, fetch_min, fetch_max]
);
counted!(AtomicUsize, std_atomic::AtomicUsize, usize, [fetch_add, fetch_sub, fetch_or, fetch_and]);
counted!(AtomicPtr<T>, std_atomic::AtomicPtr<T>, *mut T, []);
