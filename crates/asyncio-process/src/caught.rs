//! Which signals came for a loop, and how the loop is woken.
//!
//! A handler sets the signal's bit, then notifies the reactor; the loop turns the reactor, then takes the bits. A notification that comes
//! before the wait ends the wait, so a bit that is set while the loop goes to sleep is seen at once.
//!
//! `Reactor::notify` is an exchange and at most a write to a descriptor: it may be called in a handler.

use asyncio_base::sync::{AtomicU64, Ordering};
use asyncio_reactor::Reactor;
use std::sync::Arc;

/// Signals up to this number have a bit: signal n has bit n - 1.
pub(crate) const LAST: i32 = 64;

/// Ctrl-C, for the runner, has the bit of a signal that nobody can catch: so one word tells whether anything came.
const INTERRUPT: u64 = bit(libc::SIGKILL);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// The signals that came for one loop.
#[derive(Debug)]
pub struct Caught {
    came: AtomicU64,
    reactor: Arc<Reactor>,
}

/// What came since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came(u64);

impl Caught {
    /// Nothing came yet for the loop of `reactor`.
    pub fn new(reactor: Arc<Reactor>) -> Arc<Self> {
        Arc::new(Caught { came: AtomicU64::new(0), reactor })
    }

    /// For handlers.
    pub(crate) fn note(&self, signal: i32) {
        self.note_bit(bit(signal));
    }

    /// For the handler of Ctrl-C.
    pub(crate) fn note_interrupt(&self) {
        self.note_bit(INTERRUPT);
    }

    fn note_bit(&self, bit: u64) {
        self.came.fetch_or(bit, Ordering::Release);
        self.reactor.notify();
    }

    /// Not 0 if anything came since the last look; for the loop, in each pass.
    pub fn word(&self) -> &AtomicU64 {
        &self.came
    }

    /// What came since the last look, if anything did.
    #[inline]
    pub fn take(&self) -> Option<Came> {
        // What is set at this moment is announced by a notification: then it is seen in the next pass.
        if self.came.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(Came(self.came.swap(0, Ordering::Acquire)))
    }

    /// A Ctrl-C that nobody took is nobody's any more: its run has ended.
    pub(crate) fn forget_interrupt(&self) {
        self.came.fetch_and(!INTERRUPT, Ordering::Relaxed);
    }
}

impl Came {
    /// Whether Ctrl-C came for the runner.
    pub fn interrupt(self) -> bool {
        self.0 & INTERRUPT != 0
    }

    /// The signals, by number.
    pub fn signals(self) -> impl Iterator<Item = i32> {
        let signals = self.0 & !INTERRUPT;
        (1..=LAST).filter(move |&signal| signals & bit(signal) != 0)
    }
}
