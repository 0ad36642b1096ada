//! The protocol of the settable future: one outcome, set once, and those who wait for it, told in the order in which they came.
//!
//! ```text
//!             finish                    take
//!   PENDING ─────────► DONE (outcome) ───────► DONE (taken)
//! ```
//!
//! # Who may touch what
//!
//! Everything lies under one lock, but for the phase, which is also an atomic so that `done` and the poll of a finished future take no lock. It
//! changes once, under the lock, from PENDING to VALUE, ERROR or CANCELLED. Its `Release` pairs with the `Acquire` of whoever asks:
//! what the one who finished did before, the one who found the promise done has seen.
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
//! Tasks that await and done-callbacks stand in one list. While the finisher tells them, outside the lock, `telling` is set: a callback that comes
//! meanwhile joins the list instead of overtaking, and the finisher tells it too, until it finds the list empty. The panic of one
//! (a waker is anybody's code) reaches whoever finished, after all have been told.
//!
//! The first listener lies in the promise itself, so that one that has a single awaiter allocates nothing.
//!
//! Models: `loom-tests/tests/promise.rs`.

use asyncio_base::sync::{AtomicU8, Mutex, Ordering};
use asyncio_task::CancelledError;
use std::any::Any;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Context, Poll, Waker};

const PENDING: u8 = 0;
const VALUE: u8 = 1;
const ERROR: u8 = 2;
const CANCELLED: u8 = 3;

/// How a promise was finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T, E> {
    /// With a value.
    Value(T),
    /// With an error.
    Error(E),
    /// It was cancelled.
    Cancelled(CancelledError),
}

impl<T, E> Outcome<T, E> {
    fn phase(&self) -> u8 {
        match self {
            Outcome::Value(_) => VALUE,
            Outcome::Error(_) => ERROR,
            Outcome::Cancelled(_) => CANCELLED,
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
    /// The finisher is telling those who waited, and comes back for more.
    telling: bool,
    /// Makes the text of an error that nobody has seen.
    unseen: Option<fn(&E) -> String>,
}

enum Listener<C> {
    Task(Waker),
    Callback(C),
}

/// Those who wait, by growing id: the first, then the rest. Empty only if both parts are.
struct Listeners<C> {
    first: Option<(ListenerId, Listener<C>)>,
    rest: Vec<(ListenerId, Listener<C>)>,
}

impl<C> Listeners<C> {
    const NONE: Self = Listeners { first: None, rest: Vec::new() };

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    fn push(&mut self, id: ListenerId, listener: Listener<C>) {
        // With the first gone but others left, a newcomer still goes behind them.
        if self.is_empty() {
            self.first = Some((id, listener));
        } else {
            self.rest.push((id, listener));
        }
    }

    fn is_first(&self, id: ListenerId) -> bool {
        self.first.as_ref().is_some_and(|(first, _)| *first == id)
    }

    fn index(&self, id: ListenerId) -> Option<usize> {
        self.rest.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener<C>> {
        if self.is_first(id) {
            return self.first.as_mut().map(|(_, listener)| listener);
        }
        let index = self.index(id)?;
        Some(&mut self.rest[index].1)
    }

    /// Takes one out, to be dropped outside the lock.
    fn remove(&mut self, id: ListenerId) -> Option<Listener<C>> {
        if self.is_first(id) {
            return self.first.take().map(|(_, listener)| listener);
        }
        let index = self.index(id)?;
        Some(self.rest.remove(index).1)
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::NONE)
    }

    fn into_iter(self) -> impl Iterator<Item = Listener<C>> {
        self.first.into_iter().chain(self.rest).map(|(_, listener)| listener)
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
        let state = State {
            held: Held::Pending,
            listeners: Listeners::NONE,
            last_id: 0,
            telling: false,
            unseen: None,
        };
        Promise { phase: AtomicU8::new(PENDING), state: Mutex::new(state) }
    }

    // ----- looking

    /// Whether the promise is finished, in whatever way.
    pub fn is_done(&self) -> bool {
        self.phase.load(Ordering::Acquire) != PENDING
    }

    /// Whether the promise was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.phase.load(Ordering::Acquire) == CANCELLED
    }

    /// Lends what lies in the promise, under the lock. An error counts as seen.
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
        let Listeners { first, rest } = &state.listeners;
        let mut callbacks = first.iter().chain(rest).filter_map(|(_, listener)| match listener {
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
    pub fn unseen(&mut self) -> Option<String> {
        let state = self.state.get_mut();
        match (&state.held, state.unseen) {
            (Held::Outcome(Outcome::Error(error)), Some(describe)) => Some(describe(error)),
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
        self.phase.store(outcome.phase(), Ordering::Release);
        state.held = Held::Outcome(outcome);
        state.unseen = unseen;
        if state.listeners.is_empty() {
            return Ok(());
        }
        state.telling = true;
        let listeners = state.listeners.take();
        drop(state);
        self.tell(listeners, queue);
        Ok(())
    }

    fn tell(&self, mut listeners: Listeners<C>, mut queue: impl FnMut(C)) {
        let mut panicked: Option<Box<dyn Any + Send>> = None;
        while !listeners.is_empty() {
            for listener in listeners.into_iter() {
                let told = catch_unwind(AssertUnwindSafe(|| match listener {
                    Listener::Task(waker) => waker.wake(),
                    Listener::Callback(callback) => queue(callback),
                }));
                panicked = panicked.or(told.err());
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
        state.telling = !state.listeners.is_empty();
        state.listeners.take()
    }

    // ----- waiting

    /// Ready once the promise is finished. `waiting` is the caller's place among those who wait; whoever gives up before
    /// the end calls [`forget`](Self::forget) with it.
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
        if state.is_pending() || state.telling {
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
