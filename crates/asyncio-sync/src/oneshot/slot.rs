//! The value of a oneshot on its way, and the word that says how far it is.
//!
//! # States
//!
//! | bit | set by | meaning |
//! |---|---|---|
//! | `SENT` | sender | the value is in the slot, and from now on the receiver's |
//! | `GONE` | sender | no value will come; never together with `SENT` |
//! | `CLOSED` | receiver | no value is wanted; one that is `SENT` already may still be taken |
//! | `RECEIVER` | receiver | has left a waker with the lock |
//! | `SENDER` | sender | has left a waker with the lock, to hear of `CLOSED` |
//! | `SENDER_LEFT`, `RECEIVER_LEFT` | each its own | will not touch this memory any more: `half.rs` |
//!
//! Bits are only ever set. The slot belongs to the sender until `SENT` and to the receiver afterwards. There is one of each, by
//! the types: `Sender::send` takes the sender, and a `Receiver` cannot be cloned.
//!
//! # Protocol
//!
//! *Send*: put the value in, then CAS `SENT` on, unless `CLOSED` is there, in which case the value is still the sender's. Did
//! the word say `RECEIVER`, take its waker from the lock and call it, then leave; else `SENDER_LEFT` goes on with `SENT`. (The
//! receiver cannot have left before: it would have said `CLOSED`.)
//!
//! *Receive*: `SENT`, take the value; `GONE`, there is none. Otherwise put a waker in the lock, then set `RECEIVER` by an RMW: if
//! that finds `SENT` or `GONE`, be ready after all.
//!
//! # Why no wake-up is lost
//!
//! `RECEIVER` and `SENT` are set by RMWs of one word, so one of them sees the other. A receiver that polls again replaces its
//! waker under the lock: before the sender takes it, and the new one is called; or after, and then its RMW finds `SENT`.
//! The other direction, `SENDER` and `CLOSED`, is the same.
//!
//! # Orderings
//!
//! `SENT` is a `Release` of the value, and seeing it an `Acquire`. The other bits order wakers, which the lock does anyhow.
#![allow(unsafe_code)]

use asyncio_base::sync::{AtomicU32, Ordering, UnsafeCell};

pub(super) const SENT: u32 = 1;
pub(super) const GONE: u32 = 2;
pub(super) const CLOSED: u32 = 4;
pub(super) const RECEIVER: u32 = 8;
pub(super) const SENDER: u32 = 16;
pub(super) const SENDER_LEFT: u32 = 32;
pub(super) const RECEIVER_LEFT: u32 = 64;

pub(super) struct Slot<T> {
    word: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value goes from one thread to another, so it must be `Send`; nobody shares it: see the file's head for who may
// touch it when.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    #[inline]
    pub(super) fn new() -> Self {
        Slot { word: AtomicU32::new(0), value: UnsafeCell::new(None) }
    }

    /// The bits that are set; `SENT` among them makes the value visible.
    #[inline]
    pub(super) fn state(&self) -> u32 {
        self.word.load(Ordering::Acquire)
    }

    /// Sets bits other than `SENT` and returns those that were set before.
    pub(super) fn mark(&self, bits: u32) -> u32 {
        debug_assert!(bits & SENT == 0, "sending is `send`");
        self.word.fetch_or(bits, Ordering::AcqRel)
    }

    /// Puts the value in and sets `SENT`, and `SENDER_LEFT` too unless `RECEIVER` was set. Returns the bits that were set before, or
    /// the value if `CLOSED` was among them.
    ///
    /// # Safety
    ///
    /// Called by the sender, at most once.
    #[inline]
    pub(super) unsafe fn send(&self, value: T) -> Result<u32, T> {
        // SAFETY: `SENT` is not set, and only this call sets it, so the slot is ours.
        self.value.with_mut(|slot| unsafe { *slot = Some(value) });
        // Mostly nothing has happened yet; else the exchange says what has.
        let mut word = 0;
        loop {
            let sent = word | SENT | if word & RECEIVER == 0 { SENDER_LEFT } else { 0 };
            match self.word.compare_exchange(word, sent, Ordering::AcqRel, Ordering::Acquire) {
                Ok(before) => return Ok(before),
                Err(now) => word = now,
            }
            if word & CLOSED != 0 {
                // SAFETY: as above; a receiver that closed without seeing `SENT` never looks into the slot.
                let value = self.value.with_mut(|slot| unsafe { (*slot).take() });
                return Err(value.expect("put in above"));
            }
        }
    }

    /// Takes the value out, if it was not taken yet.
    ///
    /// # Safety
    ///
    /// Called by the receiver only, which has seen `SENT`.
    #[inline]
    pub(super) unsafe fn take(&self) -> Option<T> {
        // SAFETY: `SENT` was released after the value was put in and has been seen: the slot is the receiver's, and we are it.
        self.value.with_mut(|slot| unsafe { (*slot).take() })
    }
}

impl<T> Drop for Slot<T> {
    /// To be freed is to be touched: models check that everybody else has done with the slot.
    #[inline]
    fn drop(&mut self) {
        self.value.with_mut(|_| ());
    }
}
