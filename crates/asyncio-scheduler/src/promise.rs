//! The protocol of the settable future: one outcome, set once, and those who wait for it, told in the order in which they came.
//!
//! ```text
//!             finish                    take
//!   PENDING ─────────► DONE (outcome) ───────► DONE (taken)
//! ```
//!
//! # Who may touch what
//!
//! Everything lies under one lock, but for the phase, which is changed under the lock and is an atomic so that `done` and the poll of a
//! finished future take none. It leaves PENDING once; that `Release` pairs with the `Acquire` of whoever asks: what the one who finished
//! did before, the one who found the promise done has seen.
//!
//! Wakers and callbacks are cloned, called and dropped outside the lock. `T` and `E` are cloned under it, because neither has to be `Sync`: a
//! `Clone` must not look at the outcome of the promise that it lies in.
//!
//! # Why nobody waits in vain
//!
//! A listener joins the list under the lock, while the promise is pending. Whoever finishes it changes the phase and takes the list out
//! under the same lock: a listener is in that list, or it finds the promise done.
//!
//! # In the order of registration
//!
//! Tasks that await and done-callbacks stand in one list. While the finisher tells them, outside the lock, TELLING is set: a callback that comes
//! meanwhile joins the list instead of overtaking, and the finisher tells it too, until it finds the list empty. The panic of one
//! (a waker is anybody's code) reaches whoever finished, after all have been told.
//!
//! A single listener lies in the promise itself, so that one awaiter allocates nothing.
//!
//! Models: `loom-tests/tests/promise.rs`.

use crate::panics::contain;
use asyncio_base::sync::{AtomicU8, Mutex, Ordering};
use asyncio_task::CancelledError;
use std::any::Any;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::slice;
use std::task::{Context, Poll, Waker};

const PENDING: u8 = 0;
const DONE: u8 = 1;
/// Comes with `DONE`.
const CANCELLED: u8 = 2;
/// Comes with `DONE`: the finisher is telling those who waited, and comes back for more. Read under the lock only.
const TELLING: u8 = 4;

/// How a promise was finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T, E> {
    /// With a value.
    Value(T),
    /// With an error.
    Error(E),
    /// It was cancelled. Boxed, as it is large and rare.
    Cancelled(Box<CancelledError>),
}

impl<T, E> Outcome<T, E> {
    fn phase(&self) -> u8 {
        match self {
            Outcome::Value(_) | Outcome::Error(_) => DONE,
            Outcome::Cancelled(_) => DONE | CANCELLED,
        }
    }
}

/// What lies in a promise.
#[derive(Debug, PartialEq, Eq)]
pub enum Held<T, E> {
    /// Nothing yet.
    Pending,
    /// The outcome.
    Outcome(Outcome<T, E>),
    /// The outcome was moved out.
    Taken,
}

/// Names one who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(NonZeroU64);

/// A promise of a `T`, or an `E`. `C` is a done-callback; whoever owns the promise says how one is queued.
pub struct Promise<T, E, C> {
    phase: AtomicU8,
    state: Mutex<State<T, E, C>>,
}

struct State<T, E, C> {
    held: Held<T, E>,
    listeners: Listeners<C>,
    last_id: u64,
    /// Makes the text of an error that nobody has seen.
    unseen: Option<fn(&E) -> String>,
}

enum Listener<C> {
    Task(Waker),
    Callback(C),
}

type Entry<C> = (ListenerId, Listener<C>);

/// Those who wait, by growing id.
enum Listeners<C> {
    None,
    One(Entry<C>),
    Many(Vec<Entry<C>>),
}

impl<C> Listeners<C> {
    fn as_slice(&self) -> &[Entry<C>] {
        match self {
            Listeners::None => &[],
            Listeners::One(entry) => slice::from_ref(entry),
            Listeners::Many(entries) => entries,
        }
    }

    fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    fn push(&mut self, id: ListenerId, listener: Listener<C>) {
        let entry = (id, listener);
        match self {
            Listeners::None => *self = Listeners::One(entry),
            Listeners::Many(entries) => entries.push(entry),
            Listeners::One(_) => {
                let both = self.take_one().into_iter().chain([entry]);
                *self = Listeners::Many(both.collect());
            }
        }
    }

    fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener<C>> {
        let entries = match self {
            Listeners::None => &mut [],
            Listeners::One(entry) => slice::from_mut(entry),
            Listeners::Many(entries) => &mut entries[..],
        };
        let index = entries.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&mut entries[index].1)
    }

    /// Takes one out, to be dropped outside the lock.
    fn remove(&mut self, id: ListenerId) -> Option<Listener<C>> {
        let index = self.as_slice().binary_search_by_key(&id, |(id, _)| *id).ok()?;
        match self {
            Listeners::Many(entries) => Some(entries.remove(index).1),
            Listeners::One(_) | Listeners::None => self.take_one().map(|entry| entry.1),
        }
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Listeners::None)
    }

    fn take_one(&mut self) -> Option<Entry<C>> {
        match self.take() {
            Listeners::One(entry) => Some(entry),
            Listeners::Many(_) | Listeners::None => None,
        }
    }
}

impl<T, E, C> State<T, E, C> {
    fn is_pending(&self) -> bool {
        matches!(self.held, Held::Pending)
    }

    fn new_id(&mut self) -> ListenerId {
        self.last_id += 1;
        ListenerId(NonZeroU64::new(self.last_id).expect("counted up from 1"))
    }
}

impl<T, E, C> Promise<T, E, C> {
    /// A pending promise.
    pub fn new() -> Self {
        let state =
            State { held: Held::Pending, listeners: Listeners::None, last_id: 0, unseen: None };
        Promise { phase: AtomicU8::new(PENDING), state: Mutex::new(state) }
    }

    // ----- looking

    /// Whether the promise is finished, in whatever way.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.phase.load(Ordering::Acquire) != PENDING
    }

    /// Whether the promise was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.phase.load(Ordering::Acquire) & CANCELLED != 0
    }

    /// Lends what lies in the promise, under the lock. An error counts as seen.
    #[inline]
    pub fn look<R>(&self, f: impl FnOnce(&Held<T, E>) -> R) -> R {
        let mut state = self.state.lock();
        state.unseen = None;
        f(&state.held)
    }

    /// Lends what lies in the promise and the callbacks that wait, for a report; `None` if it is being used.
    pub fn peek<R>(
        &self,
        f: impl FnOnce(&Held<T, E>, &mut dyn Iterator<Item = &C>) -> R,
    ) -> Option<R> {
        let state = self.state.try_lock()?;
        let listeners = state.listeners.as_slice().iter();
        let mut callbacks = listeners.filter_map(|(_, listener)| match listener {
            Listener::Callback(callback) => Some(callback),
            Listener::Task(_) => None,
        });
        Some(f(&state.held, &mut callbacks))
    }

    /// Moves the outcome out, if there is one.
    pub fn take(&self) -> Held<T, E> {
        let mut state = self.state.lock();
        state.unseen = None;
        if state.is_pending() {
            Held::Pending
        } else {
            std::mem::replace(&mut state.held, Held::Taken)
        }
    }

    /// Nobody needs to be told of the error, if there is one.
    pub fn forgive(&self) {
        self.state.lock().unseen = None;
    }

    /// The text of an error that nobody has seen.
    #[inline]
    pub fn unseen(&mut self) -> Option<String> {
        let state = self.state.get_mut();
        let describe = state.unseen?;
        match &state.held {
            Held::Outcome(Outcome::Error(error)) => Some(describe(error)),
            _ => None,
        }
    }

    // ----- finishing

    /// Finishes the promise and tells those who wait; callbacks by `queue`. `unseen` makes the text of an error for
    /// [`unseen`](Self::unseen).
    ///
    /// # Errors
    ///
    /// The outcome, if the promise is finished already.
    ///
    /// # Panics
    ///
    /// If a waker or `queue` panicked, after all have been told.
    #[inline]
    pub fn finish(
        &self,
        outcome: Outcome<T, E>,
        unseen: Option<fn(&E) -> String>,
        queue: impl FnMut(C),
    ) -> Result<(), Outcome<T, E>> {
        let mut state = self.state.lock();
        if !state.is_pending() {
            return Err(outcome);
        }
        let telling = if state.listeners.is_empty() { 0 } else { TELLING };
        self.phase.store(outcome.phase() | telling, Ordering::Release);
        state.held = Held::Outcome(outcome);
        state.unseen = unseen;
        if telling == 0 {
            return Ok(());
        }
        let listeners = state.listeners.take();
        drop(state);
        self.tell(listeners, queue);
        Ok(())
    }

    #[cold]
    fn tell(&self, mut listeners: Listeners<C>, mut queue: impl FnMut(C)) {
        let mut panicked: Option<Box<dyn Any + Send>> = None;
        let mut tell = |(_, listener): Entry<C>| {
            let told = catch_unwind(AssertUnwindSafe(|| match listener {
                Listener::Task(waker) => waker.wake(),
                Listener::Callback(callback) => queue(callback),
            }));
            match (told, &panicked) {
                (Ok(()), _) => {}
                (Err(panic), None) => panicked = Some(panic),
                // A payload is anybody's value and may panic when dropped.
                (Err(panic), Some(_)) => contain(|| drop(panic)),
            }
        };
        loop {
            match listeners {
                Listeners::None => break,
                Listeners::One(entry) => tell(entry),
                Listeners::Many(entries) => entries.into_iter().for_each(&mut tell),
            }
            listeners = self.take_latecomers();
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
    }

    /// Those who came while the others were told; once there are none, nobody joins the list any more.
    fn take_latecomers(&self) -> Listeners<C> {
        let mut state = self.state.lock();
        if state.listeners.is_empty() {
            self.phase.store(self.phase.load(Ordering::Relaxed) & !TELLING, Ordering::Release);
            return Listeners::None;
        }
        state.listeners.take()
    }

    // ----- waiting

    /// Ready once the promise is finished. `waiting` is the caller's place among those who wait; whoever gives up before
    /// the end calls [`forget`](Self::forget) with it.
    #[inline]
    pub fn poll(&self, waiting: &mut Option<ListenerId>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_done() {
            *waiting = None;
            return Poll::Ready(());
        }
        if waiting.is_some_and(|id| self.is_waker_of(id, cx.waker())) {
            return Poll::Pending;
        }
        // Cloned before the lock is taken: a waker is anybody's code.
        self.register(waiting, cx.waker().clone())
    }

    /// Whether the one who waits under `id` will be woken by `waker`.
    fn is_waker_of(&self, id: ListenerId, waker: &Waker) -> bool {
        match self.state.lock().listeners.get_mut(id) {
            Some(Listener::Task(known)) => known.will_wake(waker),
            _ => false,
        }
    }

    fn register(&self, waiting: &mut Option<ListenerId>, waker: Waker) -> Poll<()> {
        let mut state = self.state.lock();
        if !state.is_pending() {
            drop(state);
            *waiting = None;
            return Poll::Ready(());
        }
        let replaced = match waiting.and_then(|id| state.listeners.get_mut(id)) {
            Some(listener) => Some(std::mem::replace(listener, Listener::Task(waker))),
            None => {
                let id = state.new_id();
                state.listeners.push(id, Listener::Task(waker));
                *waiting = Some(id);
                None
            }
        };
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// The one who waits under `id` gives up.
    pub fn forget(&self, id: ListenerId) {
        if !self.is_done() {
            let listener = self.state.lock().listeners.remove(id);
            drop(listener);
        }
    }

    /// Adds a callback, which goes to `queue` at once if the promise is finished and all who came earlier have been told.
    pub fn add_callback(&self, callback: C, queue: impl FnOnce(C)) -> ListenerId {
        let mut state = self.state.lock();
        let id = state.new_id();
        if state.is_pending() || self.phase.load(Ordering::Relaxed) & TELLING != 0 {
            state.listeners.push(id, Listener::Callback(callback));
            return id;
        }
        drop(state);
        queue(callback);
        id
    }

    /// Takes a callback out; `None` if there is none of this name, or if the promise is finished: then it is as good as queued.
    pub fn remove_callback(&self, id: ListenerId) -> Option<C> {
        let mut state = self.state.lock();
        // An id of another promise may be that of a task here.
        let is_callback = matches!(state.listeners.get_mut(id), Some(Listener::Callback(_)));
        if !state.is_pending() || !is_callback {
            return None;
        }
        match state.listeners.remove(id) {
            Some(Listener::Callback(callback)) => Some(callback),
            Some(Listener::Task(_)) | None => None,
        }
    }
}

impl<T, E, C> Default for Promise<T, E, C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, E, C> fmt::Debug for Promise<T, E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").field("done", &self.is_done()).finish_non_exhaustive()
    }
}
