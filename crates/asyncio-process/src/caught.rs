//! Which signals came for a loop, and how the loop is woken.
//!
//! A handler sets the signal's bit, then notifies the reactor; the loop turns the reactor, then takes the bits. A notification that comes
//! before the wait ends the wait, so a bit that is set while the loop goes to sleep is seen at once.
//!
//! `Reactor::notify` is an exchange and at most a write to a descriptor: it may be called in a handler.

use asyncio_base::sync::{AtomicBool, AtomicU64, Ordering};
use asyncio_reactor::Reactor;
use std::sync::Arc;

/// Signals up to this number have a bit: signal n has bit n - 1.
pub(crate) const LAST: i32 = 64;

/// The signals that came for one loop.
#[derive(Debug)]
pub struct Caught {
    signals: AtomicU64,
    /// Ctrl-C, for the runner.
    interrupt: AtomicBool,
    reactor: Arc<Reactor>,
}

/// What came since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// Whether Ctrl-C came for the runner.
    pub interrupt: bool,
    signals: u64,
}

impl Caught {
    /// Nothing came yet for the loop of `reactor`.
    pub fn new(reactor: Arc<Reactor>) -> Arc<Self> {
        let (signals, interrupt) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Caught { signals, interrupt, reactor })
    }

    /// For handlers.
    pub(crate) fn note(&self, signal: i32) {
        self.signals.fetch_or(1 << (signal - 1), Ordering::Release);
        self.reactor.notify();
    }

    /// For the handler of Ctrl-C.
    pub(crate) fn note_interrupt(&self) {
        self.interrupt.store(true, Ordering::Release);
        self.reactor.notify();
    }

    /// Whether anything came since the last look; for the loop, in each pass.
    #[inline]
    pub fn has_some(&self) -> bool {
        // What is set at this moment is announced by a notification: then it is seen in the next pass.
        self.signals.load(Ordering::Relaxed) != 0 || self.interrupt.load(Ordering::Relaxed)
    }

    /// What came since the last look, if anything did.
    #[inline]
    pub fn take(&self) -> Option<Came> {
        if !self.has_some() {
            return None;
        }
        let interrupt = self.interrupt.swap(false, Ordering::Acquire);
        Some(Came { interrupt, signals: self.signals.swap(0, Ordering::Acquire) })
    }

    /// A Ctrl-C that nobody took is nobody's any more: its run has ended.
    pub(crate) fn forget_interrupt(&self) {
        self.interrupt.store(false, Ordering::Relaxed);
    }
}

impl Came {
    /// The signals, by number.
    pub fn signals(self) -> impl Iterator<Item = i32> {
        (1..=LAST).filter(move |signal| self.signals >> (signal - 1) & 1 != 0)
    }
}
