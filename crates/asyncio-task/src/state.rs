//! The task's state word: who polls, who takes the output, who frees the cell.
//!
//! ```text
//!  63          37 36      21 20     11 10                0
//! +--------------+----------+---------+-------------------+
//! |  references  |  wakes   | cancels |       flags       |
//! +--------------+----------+---------+-------------------+
//! ```
//!
//! # The parts
//!
//! * **references**: wakers and [`TaskHandle`](crate::TaskHandle)s.
//! * **wakes**: wake-ups since the task was last found idle. Whoever lifts it from 0 makes the one
//!   [`Runnable`](crate::Runnable), the *token*; while it is above 0 nobody else makes one. The token's holder alone may touch
//!   the future. (The idea of counting wakes instead of marking "scheduled" and "running" is nexosim's.)
//! * **cancels**: requests not taken back by `uncancel`.
//! * **flags**: below.
//!
//! # A cycle
//!
//! ```text
//!              wake: +1, old = 0 → queue the token
//!     idle ───────────────────────────────────────► woken
//!   (wakes 0) ◄─────────────────────────────────── (wakes n)
//!              polled; n was seen before; −n leaves 0
//!
//!     woken ── polled; −n leaves m > 0: woken meanwhile → queue the token again
//!     woken ── polled to its end → COMPLETE, never back
//! ```
//!
//! So a cycle costs two read-modify-writes: the wake and the subtraction. Starting a poll only loads.
//!
//! # Why no wake-up is lost
//!
//! Every wake is an RMW on the word, also a coalesced one, and the load before a poll is `Acquire`: a wake counted in the `n`
//! that was seen happened before the poll, and one that was not seen leaves a remainder, so another poll follows. A wake is
//! never absorbed by a plain load, except by a complete task, which nobody will poll again.
//!
//! The count cannot overflow: from [`WAKES_MANY`] on a wake changes nothing (its RMW still publishes), and a poll that finds so
//! many first brings the count down to one by an RMW, which sees all those wakes; whatever comes afterwards counts again.
//!
//! # Who frees the cell
//!
//! A complete task lives while it has a claim: references, wakes or `HANDLE`. The RMW that leaves none frees it. An incomplete
//! task is never freed: it is in its list, and closing the loop completes it. After `COMPLETE` each wake claim is exactly one:
//! the completing exchange leaves one for the completer if it has somebody to tell, a late waker adds one and takes it back.
//!
//! # The output
//!
//! *Finished* means `COMPLETE` and not `CALLBACKS`. Before, the output belongs to the completer and, shared, to done-callbacks;
//! afterwards to the holder of `HANDLE`. The RMW that makes the task finished tells by its old value whether `HANDLE` is gone:
//! then that side drops the output, otherwise dropping the handle does; a value without a destructor may as well stay. A callback added to a finished task sets `CALLBACKS`
//! again, so a task can finish more than once; the lock of the cold block puts these rounds in a row (`cold.rs`).
//!
//! # The join waker
//!
//! While the task is not complete and `JOIN_WAKER` is clear, the slot belongs to the `Task`, which fills it and sets the bit.
//! From `COMPLETE` on the bit is never set again; the RMW that first finishes the task clears it, and if it was set, the slot
//! belongs to that side, to wake. So the slot is emptied once, however many rounds of callbacks follow.
//!
//! # Cancelling
//!
//! `cancel` sets `MUST_CANCEL`, counts and wakes in one exchange, against completion and `uncancel`: exactly one of "done
//! before" and "recorded" happens. The token's holder delivers by clearing `MUST_CANCEL` in an exchange, before it polls and
//! again before it completes; `uncancel` to 0 clears it too, and whoever clears it decided. An abort cannot be taken back. Where the
//! last poll ended in a plain await, the request stays recorded until that await takes it, in the next poll.
//!
//! Models: `loom-tests/tests/task.rs`; what they would catch: `.ci/weakenings/task.txt`.

use asyncio_base::sync::{AtomicU64, Ordering};

/// The future is gone and the output decided.
pub const COMPLETE: u64 = 1 << 0;
/// The user's `Task<T>` is alive.
pub const HANDLE: u64 = 1 << 1;
/// The join waker slot is filled, and belongs to whoever finishes the task.
pub const JOIN_WAKER: u64 = 1 << 2;
/// A cancel request is recorded and not delivered.
pub const MUST_CANCEL: u64 = 1 << 3;
/// The task ended cancelled; comes with `COMPLETE`.
pub const CANCELLED: u64 = 1 << 4;
/// The cold block has callbacks or waiters that completion must look at.
pub const WATCHED: u64 = 1 << 5;
/// The request is an abort: drop the future, let nothing answer.
pub const ABORT: u64 = 1 << 6;
/// Done-callbacks are outstanding: the output may be read but not taken.
pub const CALLBACKS: u64 = 1 << 7;
/// Somebody has seen the outcome; a panic needs no report.
pub const RETRIEVED: u64 = 1 << 8;
/// The recorded request found the task waiting, so its message stands; means nothing without `MUST_CANCEL`.
pub const SEALED: u64 = 1 << 9;
/// The last poll left the task pending at a plain await (`cancel/forward.rs`). Written by the token's holder, with the end of the poll.
pub const AWAITS: u64 = 1 << 10;

const CANCEL: u64 = 1 << 11;
const CANCEL_MASK: u64 = 0x3FF << 11;
/// One wake-up.
pub const WAKE: u64 = 1 << 21;
const WAKE_MASK: u64 = 0xFFFF << 21;
/// So many wakes are not counted further; half the field, so that racing wakers cannot overflow it.
pub const WAKES_MANY: u64 = 1 << 15;
/// One reference.
pub const REF: u64 = 1 << 37;
const REF_MASK: u64 = !0 << 37;
/// More references than this mean that somebody leaks wakers in a loop.
const REFS_MAX: u64 = 1 << 26;

/// A value of the word, taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Snapshot(pub u64);

impl Snapshot {
    /// Whether all of `flags` are set.
    #[inline]
    pub fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }

    /// Wake-ups counted.
    #[inline]
    pub fn wakes(self) -> u64 {
        (self.0 & WAKE_MASK) / WAKE
    }

    /// Whether more wakes are counted than in an earlier value, of the same poll: then another one follows.
    #[inline]
    pub fn has_more_wakes_than(self, earlier: Snapshot) -> bool {
        (self.0 ^ earlier.0) & WAKE_MASK != 0
    }

    /// References counted.
    #[inline]
    pub fn refs(self) -> u64 {
        (self.0 & REF_MASK) / REF
    }

    /// Cancel requests not taken back.
    pub fn cancels(self) -> u64 {
        (self.0 & CANCEL_MASK) / CANCEL
    }

    /// The output may be taken.
    #[inline]
    pub fn is_finished(self) -> bool {
        self.0 & (COMPLETE | CALLBACKS) == COMPLETE
    }

    /// Nobody can reach the cell any more.
    #[inline]
    fn is_unclaimed(self) -> bool {
        self.0 & (REF_MASK | WAKE_MASK | HANDLE) == 0 && self.has(COMPLETE)
    }

    /// The word with another count of wakes.
    #[inline]
    fn with_wakes(self, wakes: u64) -> u64 {
        (self.0 & !WAKE_MASK) | (wakes * WAKE)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [(u64, &str); 11] = [
            (COMPLETE, "COMPLETE"),
            (HANDLE, "HANDLE"),
            (JOIN_WAKER, "JOIN_WAKER"),
            (MUST_CANCEL, "MUST_CANCEL"),
            (CANCELLED, "CANCELLED"),
            (WATCHED, "WATCHED"),
            (ABORT, "ABORT"),
            (CALLBACKS, "CALLBACKS"),
            (RETRIEVED, "RETRIEVED"),
            (SEALED, "SEALED"),
            (AWAITS, "AWAITS"),
        ];
        for (flag, name) in NAMES {
            if self.has(flag) {
                write!(f, "{name} ")?;
            }
        }
        write!(f, "refs={} wakes={} cancels={}", self.refs(), self.wakes(), self.cancels())
    }
}

/// What a waker has to do.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Woken {
    /// Queue the token.
    Schedule,
    /// Nothing: queued already, being polled, or complete.
    Nothing,
    /// Nothing but to free the cell.
    Free,
}

/// What the end of a poll found.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Idle {
    /// Nobody woke the task meanwhile; the token is spent.
    Waiting,
    /// Woken meanwhile: queue the token again.
    Again,
}

/// The word.
#[derive(Debug)]
pub struct State(AtomicU64);

impl State {
    /// A fresh task: a handle and the token of its first poll.
    pub fn new() -> Self {
        State(AtomicU64::new(HANDLE | WAKE))
    }

    /// A word in mid-life: for models, which cannot count up to [`WAKES_MANY`].
    pub fn from_word(word: u64) -> Self {
        State(AtomicU64::new(word))
    }

    /// The word now; `Acquire`, so what the snapshot tells of has happened.
    #[inline]
    pub fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Replaces the word by `next(word)` unless that is `None`; returns the word replaced, or the one refused.
    #[inline]
    fn update(&self, next: impl Fn(Snapshot) -> Option<u64>) -> Result<Snapshot, Snapshot> {
        let mut now = self.load();
        loop {
            let Some(new) = next(now) else { return Err(now) };
            match self.0.compare_exchange_weak(now.0, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(now),
                Err(seen) => now = Snapshot(seen),
            }
        }
    }

    // ----- wakers

    /// Counts a wake; the caller keeps its reference.
    #[inline]
    pub fn wake_by_ref(&self) -> Woken {
        let now = Snapshot(self.0.load(Ordering::Relaxed));
        if now.has(COMPLETE) {
            return Woken::Nothing;
        }
        if now.wakes() >= WAKES_MANY && self.publish_to_many() {
            return Woken::Nothing;
        }
        let old = Snapshot(self.0.fetch_add(WAKE, Ordering::AcqRel));
        if old.has(COMPLETE) {
            // Too late; the caller's reference keeps the cell, so this cannot be the last claim.
            self.0.fetch_sub(WAKE, Ordering::AcqRel);
            return Woken::Nothing;
        }
        if old.wakes() == 0 { Woken::Schedule } else { Woken::Nothing }
    }

    /// Counts a wake and gives the caller's reference up, in one step.
    #[inline]
    pub fn wake_by_value(&self) -> Woken {
        let now = Snapshot(self.0.load(Ordering::Relaxed));
        if now.has(COMPLETE) || now.wakes() >= WAKES_MANY {
            let woken = self.wake_by_ref();
            if woken == Woken::Schedule {
                // The token is a claim, so the reference is not the last one.
                self.0.fetch_sub(REF, Ordering::AcqRel);
                return woken;
            }
            return if self.release(REF) { Woken::Free } else { Woken::Nothing };
        }
        let old = Snapshot(self.0.fetch_add(WAKE.wrapping_sub(REF), Ordering::AcqRel));
        if old.has(COMPLETE) {
            return if self.release(WAKE) { Woken::Free } else { Woken::Nothing };
        }
        if old.wakes() == 0 { Woken::Schedule } else { Woken::Nothing }
    }

    /// An RMW that changes nothing, as long as there are many wakes: whoever polls next sees what happened before it.
    #[cold]
    fn publish_to_many(&self) -> bool {
        self.update(|now| (!now.has(COMPLETE) && now.wakes() >= WAKES_MANY).then_some(now.0))
            .is_ok()
    }

    // ----- claims

    /// One more reference; only from somebody who has a claim.
    #[inline]
    pub fn add_ref(&self) {
        let old = Snapshot(self.0.fetch_add(REF, Ordering::Relaxed));
        if old.refs() >= REFS_MAX {
            // As `Arc` does: the alternative is a use after free.
            std::process::abort();
        }
    }

    /// Gives `claim` up; true if it was the last one and the caller must free the cell.
    #[must_use]
    #[inline]
    pub fn release(&self, claim: u64) -> bool {
        let old = self.0.fetch_sub(claim, Ordering::AcqRel);
        Snapshot(old - claim).is_unclaimed()
    }

    // ----- the token's holder

    /// Looks before a poll: the word to give to [`end_poll`](Self::end_poll).
    #[inline]
    pub fn begin_poll(&self) -> Snapshot {
        let now = self.load();
        // The highest bit of the count: a test of one bit.
        if now.0 & (WAKES_MANY * WAKE) == 0 {
            return now;
        }
        let surplus = (now.wakes() - 1) * WAKE;
        Snapshot(self.0.fetch_sub(surplus, Ordering::AcqRel) - surplus)
    }

    /// Subtracts the wakes that [`begin_poll`](Self::begin_poll) saw, and notes whether the poll ended in a plain await.
    #[inline]
    pub fn end_poll(&self, seen: Snapshot, awaits: bool) -> Idle {
        // Nobody else changes the flag, so the difference to what was seen is exact.
        let spent = seen.0 & (WAKE_MASK | AWAITS);
        let awaits = u64::from(awaits) * AWAITS;
        let old = self.0.fetch_add(awaits.wrapping_sub(spent), Ordering::AcqRel);
        if (old ^ seen.0) & WAKE_MASK == 0 { Idle::Waiting } else { Idle::Again }
    }

    /// As [`take_cancel`](Self::take_cancel), but leaves an abort.
    pub fn take_request(&self) -> Option<Snapshot> {
        let next = |now: Snapshot| {
            (now.0 & (MUST_CANCEL | ABORT) == MUST_CANCEL).then_some(now.0 & !MUST_CANCEL)
        };
        self.update(next).ok()
    }

    /// Delivers a recorded request: the word before if this call cleared it, `None` if there was none (or `uncancel` took it back).
    pub fn take_cancel(&self) -> Option<Snapshot> {
        if !self.load().has(MUST_CANCEL) {
            return None;
        }
        self.update(|now| now.has(MUST_CANCEL).then_some(now.0 & !(MUST_CANCEL | ABORT))).ok()
    }

    /// Completes the task; for the token's holder.
    ///
    /// Refused while a request is recorded that the outcome must heed (`heeds_cancel`), and while an output is stored that nobody
    /// will read and that has to be dropped (`has_output`): the holder answers the one, drops the other, and asks again.
    #[inline(always)]
    pub fn complete(
        &self,
        flags: u64,
        heeds_cancel: bool,
        has_output: bool,
    ) -> Result<Completed, Refused> {
        let refusal = |now: Snapshot| {
            if heeds_cancel && now.has(MUST_CANCEL) {
                Some(Refused::Cancelled)
            } else if has_output && now.0 & (HANDLE | WATCHED) == 0 {
                Some(Refused::NobodyReads)
            } else {
                None
            }
        };
        let next = |now: Snapshot| {
            // Watched: not finished before the cold block says so, which also takes the join waker.
            let (clear, set) = if now.has(WATCHED) { (0, CALLBACKS) } else { (JOIN_WAKER, 0) };
            let wakes = u64::from(now.0 & (JOIN_WAKER | WATCHED) != 0);
            let kept = Snapshot(now.0 & !(MUST_CANCEL | ABORT | clear));
            kept.with_wakes(wakes) | COMPLETE | set | flags
        };
        match self.update(|now| refusal(now).is_none().then(|| next(now))) {
            Ok(old) => Ok(Completed { old, free: Snapshot(next(old)).is_unclaimed() }),
            Err(now) => Err(refusal(now).expect("the exchange is refused for a reason")),
        }
    }

    /// No done-callback is outstanding any more; under the lock of the cold block. The old word says what the caller has to do
    /// (see the module's docs).
    pub fn finish_callbacks(&self) -> Snapshot {
        Snapshot(self.0.fetch_and(!(CALLBACKS | JOIN_WAKER), Ordering::AcqRel))
    }

    /// A done-callback was added to a complete task; under the lock of the cold block, for the holder of a borrow of the `Task`.
    pub fn add_late_callback(&self) {
        self.0.fetch_or(CALLBACKS, Ordering::AcqRel);
    }

    /// There is something in the cold block; returns the word before.
    pub fn set_watched(&self) -> Snapshot {
        Snapshot(self.0.fetch_or(WATCHED, Ordering::AcqRel))
    }

    /// Somebody has seen the outcome.
    pub fn set_retrieved(&self) {
        self.0.fetch_or(RETRIEVED, Ordering::Relaxed);
    }

    // ----- the handle

    /// Hands the filled slot to whoever finishes the task; false if it is complete: then the slot stays the caller's.
    #[must_use]
    #[inline]
    pub fn set_join_waker(&self) -> bool {
        self.update(|now| (!now.has(COMPLETE)).then_some(now.0 | JOIN_WAKER)).is_ok()
    }

    /// Takes the slot back; false if the task is complete: then the slot is the finisher's.
    #[must_use]
    #[inline]
    pub fn unset_join_waker(&self) -> bool {
        self.update(|now| (!now.has(COMPLETE)).then_some(now.0 & !JOIN_WAKER)).is_ok()
    }

    /// The handle is being dropped before the task finished: whoever finishes it drops the output. False if it is finished; then
    /// the output is the caller's to drop before it [releases](Self::release) `HANDLE`.
    #[must_use]
    #[inline]
    pub fn drop_handle_early(&self) -> bool {
        self.update(|now| (!now.is_finished()).then_some(now.0 & !HANDLE)).is_ok()
    }

    // ----- cancelling

    /// Records a request, counts it and wakes the task, unless it is complete. The word before says what to do.
    pub fn request_cancel(&self, flags: u64) -> Result<Snapshot, Snapshot> {
        self.update(|now| {
            if now.has(COMPLETE) {
                return None;
            }
            let count = if now.0 & CANCEL_MASK == CANCEL_MASK { 0 } else { CANCEL };
            let wake = if now.wakes() >= WAKES_MANY { 0 } else { WAKE };
            let sealed = match (now.has(MUST_CANCEL), now.wakes()) {
                (true, _) => now.0 & SEALED,
                (false, 0) => SEALED,
                (false, _) => 0,
            };
            Some((now.0 & !SEALED | sealed | MUST_CANCEL | flags) + count + wake)
        })
    }

    /// Records a delivered request again that nobody has seen, unless it was taken back; true if the caller has the token to queue.
    #[must_use]
    pub fn restore_cancel(&self) -> bool {
        let restored = self.update(|now| {
            if now.has(COMPLETE) || now.cancels() == 0 {
                return None;
            }
            let wake = if now.wakes() >= WAKES_MANY { 0 } else { WAKE };
            Some((now.0 | MUST_CANCEL) + wake)
        });
        restored.is_ok_and(|old| old.wakes() == 0)
    }

    /// Takes one request back; how many are left. At 0 an undelivered one is void, unless it is an abort.
    pub fn uncancel(&self) -> u64 {
        let lowered = self.update(|now| match now.cancels() {
            0 => None,
            1 if !now.has(ABORT) => Some((now.0 - CANCEL) & !MUST_CANCEL),
            _ => Some(now.0 - CANCEL),
        });
        lowered.map_or(0, |old| old.cancels() - 1)
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// The task is complete.
#[derive(Clone, Copy, Debug)]
pub struct Completed {
    /// The word before. With `JOIN_WAKER` or `WATCHED` in it there is somebody to tell, and the completer keeps one wake as its
    /// claim until it has.
    pub old: Snapshot,
    /// No claim is left: the completer frees the cell.
    pub free: bool,
}

/// Why a task could not be completed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A cancel request came first.
    Cancelled,
    /// The handle is gone and nobody watches.
    NobodyReads,
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_wake_makes_the_token_and_later_ones_do_not() {
        let state = State::new();
        let seen = state.begin_poll();
        assert_eq!(seen.wakes(), 1);
        assert_eq!(state.end_poll(seen, false), Idle::Waiting);
        state.add_ref();
        assert_eq!(state.wake_by_ref(), Woken::Schedule);
        assert_eq!(state.wake_by_ref(), Woken::Nothing);
        assert_eq!(state.wake_by_value(), Woken::Nothing);
        assert_eq!((state.load().wakes(), state.load().refs()), (3, 0));
    }

    #[test]
    fn a_wake_during_the_poll_leaves_a_remainder() {
        let state = State::new();
        let seen = state.begin_poll();
        assert_eq!(state.wake_by_ref(), Woken::Nothing);
        assert_eq!(state.end_poll(seen, false), Idle::Again);
        let seen = state.begin_poll();
        assert_eq!(state.end_poll(seen, false), Idle::Waiting);
    }

    #[test]
    fn wakes_saturate_and_still_count_after_the_poll_began() {
        let state = State::new();
        for _ in 0..3 * WAKES_MANY {
            assert_eq!(state.wake_by_ref(), Woken::Nothing);
        }
        assert_eq!(state.load().wakes(), WAKES_MANY);
        let seen = state.begin_poll();
        assert_eq!(seen.wakes(), 1);
        assert_eq!(state.wake_by_ref(), Woken::Nothing);
        assert_eq!(state.end_poll(seen, false), Idle::Again);
    }

    #[test]
    fn the_last_claim_frees_and_no_other() {
        let state = State::new();
        state.add_ref();
        assert!(state.complete(0, true, false).is_ok());
        assert!(!state.release(REF));
        assert!(state.load().is_finished());
        assert!(state.release(HANDLE));
    }

    #[test]
    fn a_late_wake_of_a_complete_task_changes_nothing() {
        let state = State::new();
        state.add_ref();
        assert!(state.complete(0, true, false).is_ok());
        assert_eq!(state.wake_by_ref(), Woken::Nothing);
        assert!(!state.release(HANDLE));
        assert_eq!(state.wake_by_value(), Woken::Free);
    }

    #[test]
    fn uncancel_to_zero_takes_the_request_back() {
        let state = State::new();
        assert!(state.request_cancel(0).is_ok());
        assert!(state.request_cancel(0).is_ok());
        assert_eq!(state.load().cancels(), 2);
        assert_eq!((state.uncancel(), state.load().has(MUST_CANCEL)), (1, true));
        assert_eq!((state.uncancel(), state.load().has(MUST_CANCEL)), (0, false));
        assert_eq!(state.uncancel(), 0);
        assert!(state.take_cancel().is_none());
    }

    #[test]
    fn completion_heeds_a_request_and_a_request_heeds_completion() {
        let state = State::new();
        assert!(state.request_cancel(0).is_ok());
        assert!(state.complete(0, true, false).is_err());
        assert!(state.take_cancel().is_some());
        assert!(state.complete(CANCELLED, true, false).is_ok());
        assert!(state.request_cancel(0).is_err());
    }

    #[test]
    fn the_cancel_count_saturates() {
        let state = State::new();
        for _ in 0..5000 {
            assert!(state.request_cancel(0).is_ok());
        }
        assert_eq!(state.load().cancels(), 1023);
        assert!(state.load().has(HANDLE | MUST_CANCEL));
    }
}
