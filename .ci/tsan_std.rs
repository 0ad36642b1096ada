//! What ThreadSanitizer has to be told of the standard library, which is built without it. Linked into the tests by `.ci/tsan`, which puts each
//! function here in the place of its original.
//!
//! | original | what the sanitizer does not see | told instead |
//! |---|---|---|
//! | `fetch_sub(Release)` of a word | the fence by which the last owner of an `Arc` sees what the others did; it knows no fences | the operation acquires too |
//! | a relaxed exchange of 1 for 0 | the fence after it, in `Arc::try_unwrap` | the exchange acquires |
//! | `Mutex::lock`, when it has to wait | the exchange that takes the lock | the lock is acquired |
//! | `RwLock::read`, `write`, when they have to wait | the same | the same |
//! | `Condvar::wait`, `wait_timeout` | that the lock is released and taken again | that |
//! | `Once::call` | the exchange that says it is done | released after the closure, acquired after the call |
//! | a scope's count of running threads | the decrement that `thread::scope` waits for | released |
//!
//! Each edge is one that the original makes. Only the first two are told to more than std: to every counter that somebody counts down in that way. Of
//! asyncio's own that is one, the count of those inside in `asyncio-process`.
#![no_std]

use core::ffi::{c_int, c_void};
use core::time::Duration;

/// As C11's, which the sanitizer's interface takes.
const RELAXED: c_int = 0;
const ACQUIRE: c_int = 2;
const RELEASE: c_int = 3;
const ACQ_REL: c_int = 4;

/// Something of std's, by its address.
type This = *const c_void;

/// What a `Once` runs. The argument's type does not matter to how it is passed.
type Body<'a> = &'a mut dyn FnMut(This);

unsafe extern "C" {
    fn __tsan_acquire(word: This);
    fn __tsan_release(word: This);
    fn __real___tsan_atomic64_fetch_sub(word: *mut u64, value: u64, order: c_int) -> u64;
    fn __real___tsan_atomic64_compare_exchange_val(
        word: *mut u64,
        current: u64,
        new: u64,
        order: c_int,
        failure: c_int,
    ) -> u64;
}

unsafe extern "Rust" {
    fn real_mutex_lock_contended(lock: This);
    fn real_rwlock_read_contended(lock: This);
    fn real_rwlock_write_contended(lock: This);
    fn real_condvar_wait(condvar: This, lock: This);
    fn real_condvar_wait_timeout(condvar: This, lock: This, limit: Duration) -> bool;
    fn real_once_call(once: This, ignore_poison: bool, body: Body<'_>, at: This);
    fn real_scope_decrement(scope: This, panicked: bool);
}

// SAFETY, of all of these: they are called as their originals are, and pass on what they got; the sanitizer's own functions take any address.

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap___tsan_atomic64_fetch_sub(
    word: *mut u64,
    value: u64,
    order: c_int,
) -> u64 {
    let order = if order == RELEASE { ACQ_REL } else { order };
    unsafe { __real___tsan_atomic64_fetch_sub(word, value, order) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap___tsan_atomic64_compare_exchange_val(
    word: *mut u64,
    current: u64,
    new: u64,
    order: c_int,
    failure: c_int,
) -> u64 {
    let order = if (current, new, order) == (1, 0, RELAXED) { ACQUIRE } else { order };
    unsafe { __real___tsan_atomic64_compare_exchange_val(word, current, new, order, failure) }
}

#[unsafe(no_mangle)]
unsafe extern "Rust" fn wrap_mutex_lock_contended(lock: This) {
    unsafe {
        real_mutex_lock_contended(lock);
        __tsan_acquire(lock);
    }
}

/// Of the two words of a lock for readers and writers one is its state.
///
/// # Safety
///
/// It is such a lock, of std's.
unsafe fn acquire_rwlock(lock: This) {
    // SAFETY: the second word is part of the lock that the caller has; the sanitizer takes any address.
    unsafe {
        __tsan_acquire(lock);
        __tsan_acquire(lock.cast::<u32>().add(1).cast());
    }
}

#[unsafe(no_mangle)]
unsafe extern "Rust" fn wrap_rwlock_read_contended(lock: This) {
    // SAFETY: std calls this as its own, with a lock that it waits for.
    unsafe {
        real_rwlock_read_contended(lock);
        acquire_rwlock(lock);
    }
}

#[unsafe(no_mangle)]
unsafe extern "Rust" fn wrap_rwlock_write_contended(lock: This) {
    // SAFETY: std calls this as its own, with a lock that it waits for.
    unsafe {
        real_rwlock_write_contended(lock);
        acquire_rwlock(lock);
    }
}

#[unsafe(no_mangle)]
unsafe extern "Rust" fn wrap_condvar_wait(condvar: This, lock: This) {
    unsafe {
        __tsan_release(lock);
        real_condvar_wait(condvar, lock);
        __tsan_acquire(lock);
    }
}

#[unsafe(no_mangle)]
unsafe extern "Rust" fn wrap_condvar_wait_timeout(
    condvar: This,
    lock: This,
    limit: Duration,
) -> bool {
    unsafe {
        __tsan_release(lock);
        let woken = real_condvar_wait_timeout(condvar, lock, limit);
        __tsan_acquire(lock);
        woken
    }
}

#[unsafe(no_mangle)]
unsafe extern "Rust" fn wrap_once_call(once: This, ignore_poison: bool, body: Body<'_>, at: This) {
    let mut told = |state| {
        body(state);
        unsafe { __tsan_release(once) };
    };
    unsafe {
        real_once_call(once, ignore_poison, &mut told, at);
        __tsan_acquire(once);
    }
}

#[unsafe(no_mangle)]
unsafe extern "Rust" fn wrap_scope_decrement(scope: This, panicked: bool) {
    unsafe {
        // The count is in one of the first two words.
        __tsan_release(scope);
        __tsan_release(scope.cast::<usize>().add(1).cast());
        real_scope_decrement(scope, panicked);
    }
}
