//! `Barrier`: a party of tasks that go on together.
//!
//! # States
//!
//! ```text
//!             last of the party arrives
//!   filling ────────────────────────────► draining
//!      ▲ ▲                                   │ │
//!      │ └───────── last one leaves ─────────┘ │ reset
//!      │                                       ▼
//!      └───────── last one leaves ───────── resetting ◄── reset (somebody inside) ── filling
//!
//!   any ── abort ──► broken ── reset ──► filling, or resetting if somebody is still inside
//! ```
//!
//! *Inside* are those who arrived while the barrier was filling and have not left yet. Who arrives while it is draining or
//! resetting stands at the *entrance*; when the last one inside leaves, as many of those as make a party go in, in order. If they
//! are a full party, they are released on the spot.
//!
//! An insider that wakes reads its fate off the state: draining, it passes with its index; resetting or broken, it fails. That is
//! sound because the state cannot become filling again before every insider has left. Who stands at the entrance is told by
//! `abort` itself, for a `reset` may follow before it runs.
//!
//! Indices are given out when the party is complete, in order of arrival: a task that was cancelled before has left no gap and
//! no index is given twice.
//!
//! # Why no wake-up is lost
//!
//! Everything happens under one lock, and each change of state chooses everybody whom it concerns in the same hold of the lock.
//!
//! Models: `loom-tests/tests/sync_barrier.rs`.

use crate::blocking::{block_on, refuse_in_task};
use crate::errors::BrokenBarrierError;
use crate::waiters::Waiters;
use crate::wake::{let_others_run, wake_in_batches};
use asyncio_base::slab::Key;
use asyncio_base::sync::{Mutex, MutexGuard};
use asyncio_base::wait::WaitKind;
use asyncio_base::wake_list::WakeList;
use asyncio_base::{const_fn, record};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

const ENTRANCE: usize = 0;
const INSIDE: usize = 1;
/// Those who are to be woken; a line of its own, so that the batches cannot run into newcomers.
const GOING: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Filling,
    Draining,
    Resetting,
    Broken,
}

/// What a waiter's tag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    /// Waits at the entrance.
    Outside,
    /// Inside, with its index once the party is complete.
    Inside(usize),
    /// Was at the entrance when the barrier was aborted.
    TurnedAway,
}

struct State {
    phase: Phase,
    /// How many are inside.
    inside: usize,
    waiters: Waiters<Tag, 3>,
}

/// A meeting point: [`wait`](Self::wait) lets nobody go on until `parties` tasks wait.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let barrier = asyncio_sync::Barrier::new(2);
/// let (a, b) = futures_lite::future::zip(barrier.wait(), barrier.wait()).await;
/// assert_eq!((a, b), (Ok(0), Ok(1)));
/// # });
/// ```
///
/// # Python
///
/// `asyncio.Barrier`; [`reset`](Self::reset) and [`abort`](Self::abort) need no `await`. Indices stay distinct when a waiter is
/// cancelled.
pub struct Barrier {
    parties: usize,
    state: Mutex<State>,
}

/// How a [`Barrier`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BarrierStatistics {
    /// How many tasks make a party.
    pub parties: usize,
    /// How many of them are here.
    pub n_waiting: usize,
    /// How many wait for the next round.
    pub at_entrance: usize,
    /// Whether it is broken.
    pub broken: bool,
}

impl Barrier {
    const_fn! {
        /// A barrier for parties of this many tasks.
        ///
        /// # Panics
        ///
        /// For parties of none.
        pub const fn new(parties: usize) -> Self {
            assert!(parties > 0, "a party has at least one task");
            let state = State { phase: Phase::Filling, inside: 0, waiters: Waiters::new() };
            Barrier { parties, state: Mutex::new(state) }
        }
    }

    /// Waits until the party is complete, and returns how many had arrived before. The last one to arrive does not wait.
    ///
    /// Who comes while the last party is still leaving waits for the next round.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the party, which then needs one more; the barrier is not broken by it.
    ///
    /// # Errors
    ///
    /// If the barrier is broken, or is reset or aborted before this task has left it.
    #[track_caller]
    pub fn wait(&self) -> BarrierWait<'_> {
        BarrierWait { barrier: self, key: Key::NONE, place: Location::caller() }
    }

    /// Waits on a plain thread, which sleeps until the party is complete.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_wait(&self) -> Result<usize, BrokenBarrierError> {
        refuse_in_task();
        block_on(self.wait())
    }

    /// Fails everybody who is inside, also those who were released and have not run yet, and makes the barrier usable again.
    /// Who waits for the next round goes on waiting.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        if state.inside == 0 {
            state.phase = Phase::Filling;
            return;
        }
        state.phase = Phase::Resetting;
        state.send_all(INSIDE);
        drop(state);
        self.wake_those_going();
    }

    /// Breaks the barrier: everybody who waits fails, and everybody who comes, until [`reset`](Self::reset).
    pub fn abort(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Broken;
        state.turn_away();
        state.send_all(INSIDE);
        drop(state);
        self.wake_those_going();
    }

    /// How many tasks make a party.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many tasks of an incomplete party are here; 0 while a party leaves.
    pub fn n_waiting(&self) -> usize {
        self.state.lock().n_waiting()
    }

    /// Whether it was aborted and not reset since.
    #[doc(alias = "is_broken")]
    pub fn broken(&self) -> bool {
        self.state.lock().phase == Phase::Broken
    }

    /// How the barrier stands at this moment.
    pub fn statistics(&self) -> BarrierStatistics {
        let state = self.state.lock();
        BarrierStatistics {
            parties: self.parties,
            n_waiting: state.n_waiting(),
            at_entrance: state.waiters.len(ENTRANCE),
            broken: state.phase == Phase::Broken,
        }
    }

    fn wake_those_going(&self) {
        wake_in_batches(None, |batch| self.state.lock().collect(batch));
    }

    /// Ends a hold of the lock; wakes whom it concerned.
    fn finish(&self, state: MutexGuard<'_, State>) {
        let anybody = !state.waiters.is_empty(GOING);
        drop(state);
        if anybody {
            self.wake_those_going();
        }
    }
}

impl State {
    fn n_waiting(&self) -> usize {
        if self.phase == Phase::Filling { self.inside } else { 0 }
    }

    /// Lines up everybody of a line to be woken.
    fn send_all(&mut self, line: usize) {
        while !self.waiters.is_empty(line) {
            self.waiters.move_to(self.waiters.front_key(line), GOING);
        }
    }

    /// Tells everybody at the entrance that there is no next round.
    fn turn_away(&mut self) {
        while !self.waiters.is_empty(ENTRANCE) {
            let key = self.waiters.front_key(ENTRANCE);
            self.waiters.set_tag(key, Tag::TurnedAway);
            self.waiters.move_to(key, GOING);
        }
    }

    /// Numbers a complete party in order of arrival and releases it. The last one of it may be the caller, who is in no line.
    fn release_party(&mut self) {
        self.phase = Phase::Draining;
        let mut index = 0;
        while !self.waiters.is_empty(INSIDE) {
            let key = self.waiters.front_key(INSIDE);
            self.waiters.set_tag(key, Tag::Inside(index));
            self.waiters.move_to(key, GOING);
            index += 1;
        }
    }

    /// One has left. If it was the last, the barrier fills again, from the entrance first.
    fn one_left(&mut self, parties: usize) {
        self.inside -= 1;
        if self.inside > 0 || !matches!(self.phase, Phase::Draining | Phase::Resetting) {
            return;
        }
        self.phase = Phase::Filling;
        while self.inside < parties && !self.waiters.is_empty(ENTRANCE) {
            let key = self.waiters.front_key(ENTRANCE);
            self.waiters.set_tag(key, Tag::Inside(0));
            self.waiters.move_to(key, INSIDE);
            self.inside += 1;
        }
        if self.inside == parties {
            self.release_party();
        }
    }

    /// Takes out wakers of those who are going, as far as the batch goes; false when none is left.
    fn collect(&mut self, batch: &mut WakeList) -> bool {
        while !self.waiters.is_empty(GOING) {
            if batch.is_full() {
                return true;
            }
            if let Some(waker) = self.waiters.choose(GOING) {
                batch.push(waker);
            }
        }
        false
    }

    /// What became of a waiter; `None` if it still has to wait.
    fn fate(&self, key: Key) -> Option<Result<usize, BrokenBarrierError>> {
        match (self.waiters.tag(key)?, self.phase) {
            (Tag::TurnedAway, _) => Some(Err(BrokenBarrierError)),
            (Tag::Outside, _) | (Tag::Inside(_), Phase::Filling) => None,
            (Tag::Inside(index), Phase::Draining) => Some(Ok(index)),
            (Tag::Inside(_), Phase::Resetting | Phase::Broken) => Some(Err(BrokenBarrierError)),
        }
    }

    /// Takes a waiter out, wherever it stands.
    fn remove(&mut self, key: Key, parties: usize) -> Option<std::task::Waker> {
        let was_inside = matches!(self.waiters.tag(key), Some(Tag::Inside(_)));
        let waker = self.waiters.leave(key).and_then(|left| left.waker);
        if was_inside {
            self.one_left(parties);
        }
        waker
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(state) = self.state.try_lock() else { return f.write_str("<Barrier [?]>") };
        let (phase, n) = (state.phase, state.n_waiting());
        drop(state);
        let name = match phase {
            Phase::Filling => "filling",
            Phase::Draining => "draining",
            Phase::Resetting => "resetting",
            Phase::Broken => "broken",
        };
        match phase {
            Phase::Broken => write!(f, "<Barrier [{name}]>"),
            _ => write!(f, "<Barrier [{name}, waiters:{n}/{}]>", self.parties),
        }
    }
}

/// The future of [`Barrier::wait`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct BarrierWait<'a> {
    barrier: &'a Barrier,
    /// The place in a line, [`Key::NONE`] while there is none.
    key: Key,
    place: &'static Location<'static>,
}

impl BarrierWait<'_> {
    /// Arrives: fails, completes the party, or joins a line.
    fn arrive(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BrokenBarrierError>> {
        if !record::spend() {
            let_others_run(cx);
            return Poll::Pending;
        }
        let (barrier, waker) = (self.barrier, cx.waker().clone());
        let mut state = barrier.state.lock();
        let (line, tag) = match state.phase {
            Phase::Broken => {
                drop(state);
                return Poll::Ready(Err(BrokenBarrierError));
            }
            Phase::Draining | Phase::Resetting => (ENTRANCE, Tag::Outside),
            Phase::Filling => {
                state.inside += 1;
                if state.inside == barrier.parties {
                    state.release_party();
                    state.one_left(barrier.parties);
                    barrier.finish(state);
                    return Poll::Ready(Ok(barrier.parties - 1));
                }
                (INSIDE, Tag::Inside(0))
            }
        };
        self.key = state.waiters.push(line, waker, tag);
        drop(state);
        record::waits_for(WaitKind::Barrier, self.place);
        Poll::Pending
    }

    /// Asks what became of the wait.
    fn ask(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BrokenBarrierError>> {
        let mut spare = None;
        loop {
            let mut state = self.barrier.state.lock();
            if let Some(fate) = state.fate(self.key) {
                if !record::spend() {
                    drop(state);
                    let_others_run(cx);
                    return Poll::Pending;
                }
                let stale = state.remove(self.key, self.barrier.parties);
                self.key = Key::NONE;
                self.barrier.finish(state);
                drop(stale);
                return Poll::Ready(fate);
            }
            if state.waiters.keep(self.key, cx.waker(), &mut spare) {
                drop(state);
                record::waits_for(WaitKind::Barrier, self.place);
                return Poll::Pending;
            }
            drop(state);
            spare = Some(cx.waker().clone());
        }
    }
}

impl Future for BarrierWait<'_> {
    type Output = Result<usize, BrokenBarrierError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.key.is_none() { self.arrive(cx) } else { self.ask(cx) }
    }
}

impl Drop for BarrierWait<'_> {
    fn drop(&mut self) {
        if self.key.is_none() {
            return;
        }
        let mut state = self.barrier.state.lock();
        let stale = state.remove(self.key, self.barrier.parties);
        self.barrier.finish(state);
        drop(stale);
    }
}

impl fmt::Debug for BarrierWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<BarrierWait of {:?}>", self.barrier)
    }
}
