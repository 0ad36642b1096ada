//! Decides whether a notification has to be written to the poller.
//!
//! ```text
//!            park                      notify: write
//!  RUNNING ─────────► PARKED ───────────────────────────► NOTIFIED
//!     ▲ ▲               │ unpark (an event, the timeout)      │ │
//!     │ └───────────────┘                                     │ │
//!     └──────────────── unpark, or park refused ◄─────────────┘ │
//!  RUNNING ───────────── notify: nothing to write ─────────────►┘
//! ```
//!
//! # Protocol
//!
//! * notifier: 1 publish the work; 2 exchange the word for NOTIFIED; 3 it was PARKED: write the poller's eventfd.
//! * owner: 1 look for work, find none; 2 *park*: RUNNING => PARKED, refused if NOTIFIED; 3 wait in the poller; 4 *unpark*:
//!   exchange for RUNNING; 5 look for work.
//!
//! Only the thread that holds the reactor's turn parks and unparks; anybody notifies.
//!
//! # Why no notification is lost
//!
//! All is decided in one word. A notifier's exchange is before the owner's *park*, which is then refused, or after it and
//! before *unpark*, and then it saw PARKED and writes, which ends the wait whether it has begun or not, because the eventfd
//! stays readable and its edge is kept for the wait to come; or after *unpark*, and the owner looks for work after that.
//! A write that comes late, when the owner has unparked and parked again, ends that wait for nothing.
//!
//! # Orderings
//!
//! `AcqRel` on both sides: the owner's step 4 (or a refused step 2) reads from a notifier's step 2, so it sees the work that
//! was published. A notifier that finds NOTIFIED still exchanges, so that its own work joins the release sequence.
//!
//! Models: `loom-tests/tests/reactor.rs`.

use asyncio_base::sync::{AtomicU32, Ordering};

const RUNNING: u32 = 0;
const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

/// Whether the thread that turns the reactor is, or is about to be, in the kernel.
#[derive(Debug)]
pub struct Parking(AtomicU32);

impl Default for Parking {
    fn default() -> Self {
        Self::new()
    }
}

impl Parking {
    /// Nobody is parked and nothing was notified.
    pub fn new() -> Self {
        Parking(AtomicU32::new(RUNNING))
    }

    /// Announces a wait; false, and the notification is used up, if there was one.
    #[must_use]
    pub fn park(&self) -> bool {
        let parked =
            self.0.compare_exchange(RUNNING, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !parked {
            self.unpark();
        }
        parked
    }

    /// The wait is over; a notification that came with it is used up.
    pub fn unpark(&self) {
        self.0.swap(RUNNING, Ordering::AcqRel);
    }

    /// Uses up a notification, if there is one, for a turn that does not wait.
    pub fn consume(&self) {
        if self.0.load(Ordering::Relaxed) == NOTIFIED {
            self.unpark();
        }
    }

    /// Ends the current wait or the next; true if the caller has to write to the poller for that.
    #[must_use]
    pub fn notify(&self) -> bool {
        self.0.swap(NOTIFIED, Ordering::AcqRel) == PARKED
    }
}
