//! `call_soon`, `call_later` and the handles they give.

use crate::wiring::Wiring;
use asyncio_base::context::Context;
pub use asyncio_scheduler::Handle;
use asyncio_timer::Key;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// A callback that waits for its time.
///
/// Handles are ordered by their time; equal if they name the same callback.
///
/// # Python
///
/// `asyncio.TimerHandle`.
#[derive(Clone)]
pub struct TimerHandle {
    handle: Handle,
    when: Instant,
    key: Key,
    wiring: Weak<Wiring>,
}

impl TimerHandle {
    pub(crate) fn new(handle: Handle, when: Instant, key: Key, wiring: &Arc<Wiring>) -> Self {
        TimerHandle { handle, when, key, wiring: Arc::downgrade(wiring) }
    }

    /// The time at which the callback is due, on the loop's clock.
    pub fn when(&self) -> Instant {
        self.when
    }

    /// The callback will not run, unless it has started; it, what it captured and its timer are gone at once.
    pub fn cancel(&self) {
        if let Some(wiring) = self.wiring.upgrade() {
            drop(wiring.remove_timer(self.key));
        }
        self.handle.cancel();
    }

    /// Whether the callback was cancelled.
    pub fn cancelled(&self) -> bool {
        self.handle.cancelled()
    }

    /// The context the callback runs in.
    pub fn get_context(&self) -> Context {
        self.handle.get_context()
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cancelled = if self.handle.is_cancelled_by_now() { " cancelled" } else { "" };
        let location = self.handle.location();
        write!(f, "<TimerHandle{cancelled} when={:?} created at {location}>", self.when)
    }
}

impl PartialEq for TimerHandle {
    fn eq(&self, other: &Self) -> bool {
        self.when == other.when && self.handle.is(&other.handle)
    }
}

impl Eq for TimerHandle {}

impl PartialOrd for TimerHandle {
    /// By time; handles of one time are comparable only if they are the same.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.when.cmp(&other.when) {
            Ordering::Equal if !self.handle.is(&other.handle) => None,
            order => Some(order),
        }
    }
}

impl Hash for TimerHandle {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.when.hash(hasher);
    }
}
