//! What is to happen sometimes, and what always: `sometimes!` and `always!`.

use crate::events::try_get_running_loop;
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    /// Whether it has happened, in the runs of this thread since [`collect`] began.
    static SEEN: RefCell<Option<BTreeMap<&'static str, bool>>> = const { RefCell::new(None) };
}

/// Notes whether `what` happened. Not public API: see [`sometimes!`](crate::sometimes).
#[doc(hidden)]
pub fn reached(what: &'static str, happened: bool) {
    SEEN.with(|seen| {
        if let Some(seen) = &mut *seen.borrow_mut() {
            *seen.entry(what).or_default() |= happened;
        }
    });
}

/// Whether this thread is inside a simulation. Not public API.
#[doc(hidden)]
pub fn is_simulated() -> bool {
    try_get_running_loop().is_ok_and(|running| running.world().is_some())
}

/// Runs `f`, and names what was looked at in it and never happened.
pub(super) fn collect<R>(f: impl FnOnce() -> R) -> (R, Vec<&'static str>) {
    struct Restore(Option<BTreeMap<&'static str, bool>>);

    impl Drop for Restore {
        fn drop(&mut self) {
            SEEN.with(|seen| seen.replace(self.0.take()));
        }
    }

    let restore = Restore(SEEN.with(|seen| seen.replace(Some(BTreeMap::new()))));
    let result = f();
    let seen = SEEN.with(RefCell::take).unwrap_or_default();
    drop(restore);
    let never = seen.into_iter().filter(|(_, happened)| !happened).map(|(what, _)| what);
    (result, never.collect())
}

/// Says that a condition is to hold *sometimes*: in at least one of the runs of a test that explores many. A test whose runs all come by here, and
/// none with the condition true, fails: it does not test what it was written for.
///
/// Costs a look at a thread-local elsewhere; the condition is always evaluated.
///
/// # Examples
///
/// ```
/// use asyncio::sim::{FailureKind, Sim, explore};
///
/// let never = explore(10, |sim| sim, || async { asyncio::sometimes!("no luck", false) });
/// assert!(matches!(never.unwrap_err().kind, FailureKind::Never(_)));
/// ```
#[macro_export]
macro_rules! sometimes {
    ($what:literal, $condition:expr $(,)?) => {
        $crate::sim::reached($what, $condition)
    };
}

/// Says that a condition holds *always*, whenever a simulated run comes by: else the run fails, with its seed. Outside of simulations the condition is not
/// evaluated.
///
/// # Panics
///
/// Inside a simulation, if the condition is false.
///
/// # Examples
///
/// ```
/// use asyncio::sim::{FailureKind, Sim};
///
/// let failure = Sim::new(1).run(async { asyncio::always!(1 > 2, "one is {}", 1) }).unwrap_err();
/// assert!(matches!(failure.kind, FailureKind::Panic(_)));
/// ```
#[macro_export]
macro_rules! always {
    ($condition:expr $(,)?) => {
        if $crate::sim::is_simulated() {
            assert!($condition);
        }
    };
    ($condition:expr, $($message:tt)+) => {
        if $crate::sim::is_simulated() {
            assert!($condition, $($message)+);
        }
    };
}
