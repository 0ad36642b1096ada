//! What is known about one source: the word that tells whether a call is worth trying, and the wakers of those who wait.
//!
//! # States
//!
//! One 64-bit word holds, for each [`Direction`], three bits; above them stand the bit SHUT (the reactor is closed) and the
//! 32-bit generation of the slot's tenant.
//!
//! | bit | set by | cleared by |
//! |---|---|---|
//! | READY: a call is worth trying | an event; the end of a call that did not drain the source | the start of a call |
//! | CLOSED: the peer hung up, shut down, failed, or sent something urgent | an event | nobody: it stays until the tenant goes |
//! | WAITING: somebody's waker is to be called | whoever arms a waker | whoever sets READY, and with it owes the call |
//!
//! ```text
//!             begin                    WouldBlock: arm
//!   READY ────────────► (call running) ────────────────► WAITING
//!     ▲  ▲                 │    │                           │
//!     │  └── not drained ──┘    │ drained (short read)      │
//!     │                         ▼                           │
//!     └──────── event ────── EMPTY ── event: READY + wake ◄─┘
//! ```
//!
//! The wakers lie behind a mutex that is held only while a waker is moved in or out. A call that finds its source ready
//! never touches it, an event touches it only for directions with WAITING set.
//!
//! # Steps
//!
//! * call: 1 take READY away; 2 make the system call; 3 it gave all that was asked for: put READY back; it gave less, and the
//!   source tells of its end: leave it, unless one more call is allowed all the same; it would block: *arm*.
//! * arm, under the mutex: 1 put the waker in its seat; 2 set WAITING, unless READY came back: then try the call again.
//! * event: 1 set READY (and CLOSED) and take WAITING away, in one exchange that fails if the generation is another; 2 if
//!   WAITING was set, take the wakers out under the mutex; 3 call them, with no lock held.
//!
//! # Why no wake-up is lost
//!
//! 1. READY is taken away *before* the system call. Let the call find nothing. It looked at the source under a lock of the
//!    kernel that whoever makes the source ready takes later, so taking READY away happens before the event sets it: the edge
//!    stays. There is no counter to compare and none to wrap.
//! 2. Arming sets WAITING only in an exchange that sees READY clear. An event is before it in the order of this one word, and
//!    the armer tries again, or after it, and then it sees WAITING.
//! 3. The event takes the wakers after the mutex was released by everybody whose WAITING it saw, so it finds their wakers
//!    unless another event took them, which then calls them. It may find younger ones too; that wakes somebody for nothing.
//! 4. Putting READY back is an event like any other: it wakes. So when two tasks accept from one listener and one of them
//!    takes a connection without draining the queue, the other does not sleep on the rest.
//! 5. All wakers of a direction are woken, not the first alone: no grant is lost with a waiter that was dropped.
//!
//! CLOSED makes step 3 of a call put READY back also after a short read, because the end of the stream is still to be read and
//! no further edge will come. It decides nothing else: a call that would block is believed. So where it turns out to be wrong (a
//! FIFO that gets a new writer) it costs one more call after each short read. An event that brings CLOSED brings READY, so a
//! call that began before it and was short finds READY set again.
//!
//! A waker that nobody needs any more (its future was dropped, or its call succeeded) is harmless: it is called once, or
//! dropped with the slot.
//!
//! # Generations
//!
//! A slot is type-stable memory that tenants share one after the other. The generation changes before the slot is free, and an
//! event's exchange compares it, so an event for a former tenant changes nothing. The worst it can do, if the tenant changed
//! between its steps 1 and 2, is to wake the new tenant's waiters once for nothing.
//!
//! # Orderings
//!
//! Every change of the word is a read-modify-write, so the word is one release sequence. Setting READY is `Release` and taking
//! it is `Acquire`: what the poller's thread saw is visible to the caller. Setting WAITING is `Release`, and the event's
//! exchange `Acquire`; the wakers themselves are ordered by the mutex. An event whose bits are set already still exchanges
//! the word, to join the release sequence.
//!
//! # Rejected
//!
//! A readiness counter ("tick") that makes clearing after the call safe: it wraps, and clearing first needs none. A waker in
//! an `UnsafeCell` locked by two more bits of the word: saves two uncontended exchanges of about ten per message, and needs
//! unsafe code and a list beside it anyway. Waking one waiter at a time: see 5.
//!
//! Models: `loom-tests/tests/reactor.rs`.

use crate::waiters::{Seat, Waiters};
use crate::wakes::Wakes;
use asyncio_base::sync::{AtomicU64, Mutex, Ordering};
use std::fmt;
use std::io;
use std::ops::BitOr;
use std::task::Waker;

/// Which way data flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards us: reading, accepting.
    Read,
    /// Away from us: writing, connecting.
    Write,
}

impl Direction {
    /// Both, reading first.
    pub const BOTH: [Direction; 2] = [Direction::Read, Direction::Write];

    /// Where the bits of this direction begin.
    const fn shift(self) -> u32 {
        match self {
            Direction::Read => 0,
            Direction::Write => 4,
        }
    }

    const fn bit(self, bit: u64) -> u64 {
        bit << self.shift()
    }
}

const READY: u64 = 1;
const CLOSED: u64 = 2;
const WAITING: u64 = 4;
/// READY of both directions.
const READY_BOTH: u64 = Direction::Read.bit(READY) | Direction::Write.bit(READY);
const SHUT: u64 = 1 << 8;
const GENERATION_SHIFT: u32 = 32;

const fn generation_of(word: u64) -> u32 {
    (word >> GENERATION_SHIFT) as u32
}

/// What an event says: a set of directions that are ready, each of them perhaps for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready(u64);

impl Ready {
    /// Nothing.
    pub const NONE: Ready = Ready(0);
    /// Reading is worth trying.
    pub const READ: Ready = Ready(Direction::Read.bit(READY));
    /// Writing is worth trying.
    pub const WRITE: Ready = Ready(Direction::Write.bit(READY));
    /// Reading is worth trying until it would block, however short a read was: the peer will send no more.
    pub const READ_CLOSED: Ready = Ready(Direction::Read.bit(READY | CLOSED));
    /// Writing is worth trying until it would block: the peer takes no more.
    pub const WRITE_CLOSED: Ready = Ready(Direction::Write.bit(READY | CLOSED));

    /// One direction.
    pub const fn of(direction: Direction) -> Ready {
        Ready(direction.bit(READY))
    }

    /// Whether nothing is in.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the direction is in.
    pub const fn has(self, direction: Direction) -> bool {
        self.0 & direction.bit(READY) != 0
    }
}

impl BitOr for Ready {
    type Output = Ready;

    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

/// What [`Readiness::begin`] decided.
#[must_use]
#[derive(Debug)]
pub enum Begin<'a> {
    /// Make the call, and say how it ended.
    Try(Attempt<'a>),
    /// The call would block: arm a waker.
    Wait,
    /// The reactor is closed.
    Shut,
}

/// What [`Readiness::arm`] decided.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Armed {
    /// The waker will be called.
    Waiting,
    /// An event came meanwhile: begin again.
    Ready,
    /// The reactor is closed.
    Shut,
}

/// The state of one source: 56 bytes, and no more while at most one task reads and one writes.
pub struct Readiness {
    word: AtomicU64,
    waiters: Mutex<Waiters>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// A state that knows of no readiness, of generation 0.
    pub fn new() -> Self {
        Readiness { word: AtomicU64::new(0), waiters: Mutex::new(Waiters::new()) }
    }

    /// The generation of the present tenant.
    pub fn generation(&self) -> u32 {
        generation_of(self.word.load(Ordering::Acquire))
    }

    /// Begins a tenancy that takes `ready` for ready.
    ///
    /// Only for whoever took this slot from the free list; nobody else holds a key of this generation yet.
    pub fn open(&self, ready: Ready) {
        self.word.fetch_or(ready.0, Ordering::AcqRel);
    }

    /// Whether a call is worth trying; takes nothing away.
    pub fn poll(&self, direction: Direction) -> Armed {
        let word = self.word.load(Ordering::Acquire);
        match () {
            () if word & SHUT != 0 => Armed::Shut,
            () if word & direction.bit(READY) != 0 => Armed::Ready,
            () => Armed::Waiting,
        }
    }

    /// Takes READY away, to make the call that it stands for.
    pub fn begin(&self, direction: Direction) -> Begin<'_> {
        match self.poll(direction) {
            Armed::Shut => return Begin::Shut,
            Armed::Waiting => return Begin::Wait,
            Armed::Ready => {}
        }
        let before = self.word.fetch_and(!direction.bit(READY), Ordering::AcqRel);
        if before & direction.bit(READY) == 0 {
            // Another task took it between the two looks; what it leaves over it will tell.
            return Begin::Wait;
        }
        let closed = before & direction.bit(CLOSED) != 0;
        Begin::Try(Attempt { readiness: self, direction, closed })
    }

    /// Seats `waker` and sets WAITING, unless the direction is ready.
    ///
    /// `listen` is called under the slot's mutex with all directions that are waited for; a poller that disarms after each
    /// event arms itself there.
    ///
    /// # Errors
    ///
    /// What `listen` failed with. The waker is then not seated, or harmless.
    pub fn arm(
        &self,
        direction: Direction,
        seat: &mut Seat<'_>,
        waker: &Waker,
        listen: impl FnOnce(Ready) -> io::Result<()>,
    ) -> io::Result<Armed> {
        // Cloning is user code, so it comes before the lock. A waiter that is polled again for nothing clones nothing.
        let waits = self.word.load(Ordering::Relaxed) & direction.bit(WAITING) != 0;
        let seated = waits && self.waiters.lock().holds(direction, seat, waker);
        let fresh = if seated { None } else { Some(waker.clone()) };

        let mut waiters = self.waiters.lock();
        let displaced = fresh.and_then(|waker| waiters.put(direction, seat, waker));
        let outcome = match self.set_waiting(direction) {
            Ok(word) => listen(waited_for(word)).map(|()| Armed::Waiting),
            Err(armed) => Ok(armed),
        };
        // A waker that stays behind would keep its task alive for nothing.
        let unused = match outcome {
            Ok(Armed::Waiting) => None,
            _ => waiters.remove(direction, seat),
        };
        drop(waiters);
        drop((displaced, unused));
        outcome
    }

    fn set_waiting(&self, direction: Direction) -> Result<u64, Armed> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & SHUT != 0 {
                return Err(Armed::Shut);
            }
            if word & direction.bit(READY) != 0 {
                return Err(Armed::Ready);
            }
            let next = word | direction.bit(WAITING);
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(next),
                Err(now) => word = now,
            }
        }
    }

    /// Gives up a seat in the queue.
    pub fn leave(&self, direction: Direction, seat: &mut Seat<'_>) {
        let waker = self.waiters.lock().remove(direction, seat);
        drop(waker);
    }

    /// Delivers an event to the tenant of `generation`; false if that one is gone.
    pub fn fire(&self, generation: u32, ready: Ready, wakes: &mut Wakes) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if generation_of(word) != generation {
                return false;
            }
            let (next, owed) = with_ready(word, ready.0);
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    self.wake(owed, wakes);
                    return true;
                }
                Err(now) => word = now,
            }
        }
    }

    /// The reactor is closed: wakes everybody, and every later call is refused.
    pub fn shut(&self, wakes: &mut Wakes) {
        self.word.fetch_or(SHUT, Ordering::AcqRel);
        self.wake(READY_BOTH, wakes);
    }

    /// Ends the tenancy. From here on an event for it changes nothing.
    pub fn release(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let next = u64::from(generation_of(word).wrapping_add(1)) << GENERATION_SHIFT;
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        let former = std::mem::take(&mut *self.waiters.lock());
        drop(former);
    }

    /// Takes out and collects the wakers of the directions whose READY bit is in `directions`.
    fn wake(&self, directions: u64, wakes: &mut Wakes) {
        for direction in Direction::BOTH {
            if directions & direction.bit(READY) != 0 {
                let taken = self.waiters.lock().take(direction);
                wakes.extend(taken);
            }
        }
    }

    /// Puts READY back, and wakes who armed meanwhile.
    fn restore(&self, direction: Direction) {
        let before = self.word.fetch_or(direction.bit(READY), Ordering::AcqRel);
        if before & direction.bit(WAITING) != 0 {
            self.wake_others(direction);
        }
    }

    #[cold]
    fn wake_others(&self, direction: Direction) {
        let waiting = direction.bit(WAITING);
        let mut wakes = Wakes::new();
        if self.word.fetch_and(!waiting, Ordering::AcqRel) & waiting != 0 {
            self.wake(direction.bit(READY), &mut wakes);
        }
        // Whose waker panics is not the business of who made the call, and has its result: dropped, the batch calls all and contains that.
        drop(wakes);
    }
}

/// The word after an event, and the READY bits of the directions whose waiters are to be woken.
fn with_ready(word: u64, bits: u64) -> (u64, u64) {
    let waiting = (bits & READY_BOTH) << 2;
    let owed = (word & waiting) >> 2;
    ((word | bits) & !waiting, owed)
}

/// The directions with WAITING set.
fn waited_for(word: u64) -> Ready {
    Ready(word >> 2 & READY_BOTH)
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Ordering::Relaxed);
        let flags = |direction: Direction| {
            let bits = word >> direction.shift();
            [(READY, "ready"), (CLOSED, "closed"), (WAITING, "waiting")]
                .into_iter()
                .filter_map(|(bit, name)| (bits & bit != 0).then_some(name))
                .collect::<Vec<_>>()
        };
        f.debug_struct("Readiness")
            .field("generation", &generation_of(word))
            .field("read", &flags(Direction::Read))
            .field("write", &flags(Direction::Write))
            .field("shut", &(word & SHUT != 0))
            .finish()
    }
}

/// A call in progress, for which READY was taken away.
///
/// Dropped, also by a panic of the call, it puts READY back: nothing is known to be drained.
#[must_use]
#[derive(Debug)]
pub struct Attempt<'a> {
    readiness: &'a Readiness,
    direction: Direction,
    /// Whether CLOSED was set when the call began.
    closed: bool,
}

impl Attempt<'_> {
    /// The call took or gave less than it asked for, on a source that tells of its end by an event: the next would block.
    pub fn drained(self) {
        if !self.closed {
            std::mem::forget(self);
        }
    }

    /// The call would block.
    pub fn would_block(self) {
        std::mem::forget(self);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.readiness.restore(self.direction);
    }
}
