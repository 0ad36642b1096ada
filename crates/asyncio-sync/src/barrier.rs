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
//! resetting stands at the *entrance*. When the last one inside leaves, as many of those as make a party are *invited*, in order:
//! a place is kept for each, which a newcomer cannot take, and each goes in when it runs. Until then it belongs to the next
//! round only in name: a `reset` does not fail it but voids the invitation. An invitee that is cancelled leaves its place to
//! the next at the entrance.
//!
//! An insider that wakes reads its fate off the state: draining, it passes with its index; resetting or broken, it fails. That is
//! sound because the state cannot become filling again before every insider has left. Who stands at the entrance or is invited
//! is told by `abort` itself, for a `reset` may follow before it runs.
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
use std::task::{Context, Poll, Waker};

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
    /// A place is kept for it, unless the invitations have been voided since this number.
    Invited(u64),
    /// Inside, with its index once the party is complete.
    Inside(usize),
    /// Was at the entrance when the barrier was aborted.
    TurnedAway,
}

struct State {
    phase: Phase,
    /// How many are inside.
    inside: usize,
    /// How many places are kept for those who are invited.
    invited: usize,
    /// The number that invitations carry; it goes on when they are voided.
    edition: u64,
    /// Invitations with a smaller number were voided by an abort.
    aborted: u64,
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
            Barrier { parties, state: Mutex::new(State::new()) }
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
        state.void_invitations();
        state.send_all(INSIDE);
        self.finish(state);
    }

    /// Breaks the barrier: everybody who waits fails, and everybody who comes, until [`reset`](Self::reset).
    pub fn abort(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Broken;
        state.void_invitations();
        state.aborted = state.edition;
        state.turn_away();
        state.send_all(INSIDE);
        self.finish(state);
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

    /// Ends a hold of the lock; wakes whom it concerned.
    fn finish(&self, state: MutexGuard<'_, State>) {
        let anybody = !state.waiters.is_empty(GOING);
        drop(state);
        if anybody {
            wake_in_batches(None, |batch| self.state.lock().collect(batch));
        }
    }
}

impl State {
    const fn new() -> Self {
        let phase = Phase::Filling;
        State { phase, inside: 0, invited: 0, edition: 0, aborted: 0, waiters: Waiters::new() }
    }

    fn n_waiting(&self) -> usize {
        if self.phase == Phase::Filling { self.inside } else { 0 }
    }

    fn void_invitations(&mut self) {
        self.edition += 1;
        self.invited = 0;
    }

    /// Lines up everybody of a line to be woken.
    fn send_all(&mut self, line: usize) {
        while !self.waiters.is_empty(line) {
            self.waiters.move_to(self.waiters.front_key(line), GOING);
        }
    }

    /// Lines up the first of a line to be woken, with another tag.
    fn send_first(&mut self, line: usize, tag: Tag) {
        let key = self.waiters.front_key(line);
        self.waiters.set_tag(key, tag);
        self.waiters.move_to(key, GOING);
    }

    /// Tells everybody at the entrance that there is no next round.
    fn turn_away(&mut self) {
        while !self.waiters.is_empty(ENTRANCE) {
            self.send_first(ENTRANCE, Tag::TurnedAway);
        }
    }

    /// Keeps free places for those who wait at the entrance, if the barrier is filling.
    fn invite(&mut self, parties: usize) {
        while self.phase == Phase::Filling
            && self.inside + self.invited < parties
            && !self.waiters.is_empty(ENTRANCE)
        {
            self.invited += 1;
            self.send_first(ENTRANCE, Tag::Invited(self.edition));
        }
    }

    /// Numbers a complete party in order of arrival and releases it. The last one of it is the caller, who is in no line.
    fn release_party(&mut self) {
        self.phase = Phase::Draining;
        for index in 0..self.waiters.len(INSIDE) {
            self.send_first(INSIDE, Tag::Inside(index));
        }
    }

    /// One has left. If it was the last of a party, the barrier fills again, from the entrance first.
    fn one_left(&mut self, parties: usize) {
        self.inside -= 1;
        if self.inside == 0 && matches!(self.phase, Phase::Draining | Phase::Resetting) {
            self.phase = Phase::Filling;
        }
        self.invite(parties);
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

    /// What a waiter that was woken finds.
    fn fate(&self, key: Key) -> Fate {
        match (self.waiters.tag(key), self.phase) {
            (Some(Tag::Invited(edition)), _) if edition >= self.aborted => Fate::GoesIn,
            (Some(Tag::TurnedAway | Tag::Invited(_)), _) => Fate::Done(Err(BrokenBarrierError)),
            (Some(Tag::Inside(index)), Phase::Draining) => Fate::Done(Ok(index)),
            (Some(Tag::Inside(_)), Phase::Resetting | Phase::Broken) => {
                Fate::Done(Err(BrokenBarrierError))
            }
            (Some(Tag::Outside | Tag::Inside(_)) | None, _) => Fate::Waits,
        }
    }

    /// Takes a waiter out, wherever it stands, and gives its place to the next.
    fn remove(&mut self, key: Key, parties: usize) -> Option<Waker> {
        let tag = self.waiters.tag(key);
        let waker = self.waiters.leave(key).and_then(|left| left.waker);
        match tag {
            Some(Tag::Inside(_)) => self.one_left(parties),
            Some(Tag::Invited(edition)) if edition == self.edition => {
                self.invited -= 1;
                self.invite(parties);
            }
            _ => {}
        }
        waker
    }
}

/// What a waiter that was woken finds.
enum Fate {
    /// It passes, or fails.
    Done(Result<usize, BrokenBarrierError>),
    /// It was invited.
    GoesIn,
    /// Nothing new.
    Waits,
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
    fn arrive(
        &mut self,
        mut state: MutexGuard<'_, State>,
        waker: Waker,
    ) -> Poll<Result<usize, BrokenBarrierError>> {
        let barrier = self.barrier;
        let has_place = state.inside + state.invited < barrier.parties;
        let (line, tag) = match state.phase {
            Phase::Broken => {
                barrier.finish(state);
                return Poll::Ready(Err(BrokenBarrierError));
            }
            Phase::Filling if has_place => {
                state.inside += 1;
                if state.inside == barrier.parties {
                    state.release_party();
                    state.one_left(barrier.parties);
                    barrier.finish(state);
                    return Poll::Ready(Ok(barrier.parties - 1));
                }
                (INSIDE, Tag::Inside(0))
            }
            _ => (ENTRANCE, Tag::Outside),
        };
        self.key = state.waiters.push(line, waker, tag);
        barrier.finish(state);
        record::waits_for(WaitKind::Barrier, self.place);
        Poll::Pending
    }

    /// Asks what became of the wait.
    fn ask(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BrokenBarrierError>> {
        let mut spare = None;
        loop {
            let mut state = self.barrier.state.lock();
            let done = match state.fate(self.key) {
                Fate::Waits => {
                    if state.waiters.keep(self.key, cx.waker(), &mut spare) {
                        drop(state);
                        record::waits_for(WaitKind::Barrier, self.place);
                        return Poll::Pending;
                    }
                    None
                }
                Fate::Done(result) => Some(result),
                Fate::GoesIn => {
                    if let Some(waker) = spare.take() {
                        return self.go_in(state, waker);
                    }
                    None
                }
            };
            if let Some(result) = done {
                return self.return_with(state, result, cx);
            }
            drop(state);
            spare = Some(cx.waker().clone());
        }
    }

    /// Uses the place that was kept, or arrives anew if the invitation is void.
    fn go_in(
        &mut self,
        mut state: MutexGuard<'_, State>,
        waker: Waker,
    ) -> Poll<Result<usize, BrokenBarrierError>> {
        if state.waiters.tag(self.key) == Some(Tag::Invited(state.edition)) {
            state.invited -= 1;
        }
        // Chosen, so its waker is with whoever woke it.
        let left = state.waiters.leave(self.key);
        self.key = Key::NONE;
        let polled = self.arrive(state, waker);
        drop(left);
        polled
    }

    /// Leaves with a result, if the task's budget allows.
    fn return_with(
        &mut self,
        mut state: MutexGuard<'_, State>,
        result: Result<usize, BrokenBarrierError>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, BrokenBarrierError>> {
        if !record::spend() {
            drop(state);
            let_others_run(cx);
            return Poll::Pending;
        }
        let stale = state.remove(self.key, self.barrier.parties);
        self.key = Key::NONE;
        self.barrier.finish(state);
        drop(stale);
        Poll::Ready(result)
    }
}

impl Future for BarrierWait<'_> {
    type Output = Result<usize, BrokenBarrierError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.key.is_none() {
            return self.ask(cx);
        }
        if !record::spend() {
            let_others_run(cx);
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        let state = self.barrier.state.lock();
        self.arrive(state, waker)
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
