//! Where one worker sleeps: in the driver, or here.
//!
//! ```text
//!              begin_drive          unpark: the driver is to be unparked
//!   ┌──────────────────────► DRIVING ─────────────┐
//!   │        end_drive          │                 │
//! EMPTY ◄───────────────────────┘                 ▼
//!   │ ▲ ◄───── whoever parks takes the note ── NOTIFIED ◄── unpark: nothing else to do ── EMPTY
//!   │ └──────────────────────┐ timeout            ▲
//!   └──────────────────────► PARKED ──────────────┘
//!              park                 unpark: signal
//! ```
//!
//! One thread at a time is the worker and parks; anybody unparks. An unpark is sticky: it ends the sleep that goes on, else the next one.
//!
//! # Why none is lost
//!
//! One word decides. An unpark's exchange comes before the worker's (which then finds the note and does not sleep), or after it, and then
//! the word said where the worker sleeps. PARKED: the worker set it under the mutex and waits, giving the mutex up; the
//! unparker locks the mutex before it signals, so its signal does not fall between the two. DRIVING: the driver keeps an unpark
//! that comes before its block.
//!
//! # Orderings
//!
//! Both exchanges are `AcqRel`: who takes the note sees what was published before it was left. An unpark that finds NOTIFIED exchanges
//! all the same, so that its work too is seen by whoever takes the note.
//!
//! Models: `loom-tests/tests/idle.rs`.

use asyncio_base::sync::{AtomicU32, Condvar, Mutex, Ordering};
use std::time::Duration;

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const DRIVING: u32 = 2;
const NOTIFIED: u32 = 3;

/// What ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// An unpark.
    Unparked,
    /// The time was up.
    TimedOut,
}

/// One worker's place to sleep.
#[derive(Debug)]
pub struct Parker {
    word: AtomicU32,
    mutex: Mutex<()>,
    signal: Condvar,
}

impl Parker {
    /// Nobody sleeps and nothing was said.
    pub fn new() -> Self {
        Parker { word: AtomicU32::new(EMPTY), mutex: Mutex::new(()), signal: Condvar::new() }
    }

    /// Ends the worker's sleep, or its next one; true if it sleeps in the driver, which the caller must then unpark.
    #[must_use]
    pub fn unpark(&self) -> bool {
        match self.word.swap(NOTIFIED, Ordering::AcqRel) {
            PARKED => {
                // The worker holds the mutex until it waits.
                drop(self.mutex.lock());
                self.signal.notify_one();
                false
            }
            before => before == DRIVING,
        }
    }

    /// Sleeps until unparked, at most for `timeout`.
    pub fn park(&self, timeout: Option<Duration>) -> Wake {
        let mut guard = self.mutex.lock();
        if !self.turn_from_empty(PARKED) {
            return Wake::Unparked;
        }
        loop {
            let timed_out;
            (guard, timed_out) = match timeout {
                None => (self.signal.wait(guard), false),
                Some(timeout) => self.signal.wait_timeout(guard, timeout),
            };
            // Waits end for no reason too: then the word is as it was.
            if timed_out || self.word.load(Ordering::Relaxed) == NOTIFIED {
                return self.end();
            }
        }
    }

    /// Says that the worker is about to sleep in the driver; false, and the note is taken, if it was unparked before.
    #[must_use]
    pub fn begin_drive(&self) -> bool {
        self.turn_from_empty(DRIVING)
    }

    /// The worker is back from the driver.
    pub fn end_drive(&self) -> Wake {
        self.end()
    }

    /// Takes a note that nobody will come for; no worker parks here at this time.
    pub fn forget(&self) {
        self.word.store(EMPTY, Ordering::Release);
    }

    /// EMPTY => `to`, else NOTIFIED => EMPTY and false.
    fn turn_from_empty(&self, to: u32) -> bool {
        let turned = self.word.compare_exchange(EMPTY, to, Ordering::AcqRel, Ordering::Acquire);
        if turned.is_err() {
            self.word.swap(EMPTY, Ordering::AcqRel);
        }
        turned.is_ok()
    }

    fn end(&self) -> Wake {
        match self.word.swap(EMPTY, Ordering::AcqRel) {
            NOTIFIED => Wake::Unparked,
            _ => Wake::TimedOut,
        }
    }
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}
