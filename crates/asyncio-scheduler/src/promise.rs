//! The protocol of the settable future: one outcome, set once, and those who wait for it, told in the order in which they came.
//!
//! ```text
//!             finish                    take
//!   PENDING ─────────► DONE (outcome) ───────► DONE (taken)
//! ```
//!
//! # Who may touch what
//!
//! Those who wait lie under a lock. The outcome lies beside it, under a protocol of its own (`kept.rs`) that lends it to one thread at a
//! time; its word tells without the lock whether the promise is done. DONE is set once, under the lock, with `Release`; that pairs with the `Acquire`
//! of whoever asks: what the one who finished did before, the one who found the promise done has seen.
//!
//! No code of others runs under the lock: wakers and callbacks are cloned, called and dropped outside it, and the `Clone` and `Debug` of an outcome run
//! while it is lent. They may do to the promise what they like, except look at the outcome again, which panics.
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
//! A single listener lies in the promise itself, so that one awaiter allocates nothing.
//!
//! Models: `loom-tests/tests/promise.rs`.

mod kept;

use self::kept::{Kept, LentHere};
use asyncio_base::sync::Mutex;
use asyncio_task::CancelledError;
use asyncio_task::contain;
use std::any::Any;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::slice;
use std::task::{Context, Poll, Waker};

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
    kept: Kept<T, E>,
    state: Mutex<State<E, C>>,
}

struct State<E, C> {
    /// Nobody has finished the promise.
    pending: bool,
    /// The finisher is telling those who waited, and comes back for more.
    telling: bool,
    /// Makes the text of an error that nobody has seen.
    describe: Option<fn(&E) -> String>,
    listeners: Listeners<C>,
    last_id: u64,
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

impl<E, C> State<E, C> {
    fn new_id(&mut self) -> ListenerId {
        self.last_id += 1;
        ListenerId(NonZeroU64::new(self.last_id).expect("counted up from 1"))
    }
}

impl<T, E, C> Promise<T, E, C> {
    /// A pending promise.
    pub fn new() -> Self {
        let state = State {
            pending: true,
            telling: false,
            describe: None,
            listeners: Listeners::None,
            last_id: 0,
        };
        Promise { kept: Kept::new(), state: Mutex::new(state) }
    }

    // ----- looking

    /// Whether the promise is finished, in whatever way.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.kept.is_done()
    }

    /// Whether the promise was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.kept.is_cancelled()
    }

    /// Lends what lies in the promise. An error counts as seen.
    ///
    /// # Panics
    ///
    /// If it is lent to code on this thread already.
    #[inline]
    pub fn look<R>(&self, f: impl FnOnce(&Held<T, E>) -> R) -> R {
        self.kept.lend(f).unwrap_or_else(lent_here)
    }

    /// Lends what lies in the promise, for a report; `None` if it is lent.
    pub fn peek<R>(&self, f: impl FnOnce(&Held<T, E>) -> R) -> Option<R> {
        self.kept.peek(f)
    }

    /// What `f` makes of the callbacks that wait, in their order. `f` is called under the lock and must be nobody's code.
    pub fn callbacks<R>(&self, f: impl FnMut(&C) -> Option<R>) -> Vec<R> {
        let state = self.state.lock();
        let callbacks =
            state.listeners.as_slice().iter().filter_map(|(_, listener)| match listener {
                Listener::Callback(callback) => Some(callback),
                Listener::Task(_) => None,
            });
        callbacks.filter_map(f).collect()
    }

    /// Moves the outcome out, if there is one.
    ///
    /// # Panics
    ///
    /// As [`look`](Self::look).
    pub fn take(&self) -> Held<T, E> {
        self.kept.take().unwrap_or_else(lent_here)
    }

    /// Nobody needs to be told of the error, if there is one.
    pub fn forgive(&self) {
        self.kept.forgive();
    }

    /// The text of an error that nobody has seen.
    #[inline]
    pub fn unseen(&mut self) -> Option<String> {
        let describe = self.state.get_mut().describe?;
        self.kept.unseen().map(describe)
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
        if !state.pending {
            return Err(outcome);
        }
        state.pending = false;
        state.describe = unseen;
        state.telling = !state.listeners.is_empty();
        // SAFETY: `pending` was true and never is again, so this is the one call; and the promise is borrowed.
        unsafe { self.kept.put(outcome, unseen.is_some()) };
        if !state.telling {
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
            state.telling = false;
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

    fn register(&self, place: &mut Option<ListenerId>, waker: Waker) -> Poll<()> {
        let mut state = self.state.lock();
        if !state.pending {
            drop(state);
            *place = None;
            return Poll::Ready(());
        }
        let replaced = match place.and_then(|id| state.listeners.get_mut(id)) {
            Some(listener) => Some(std::mem::replace(listener, Listener::Task(waker))),
            None => {
                let id = state.new_id();
                state.listeners.push(id, Listener::Task(waker));
                *place = Some(id);
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
        if state.pending || state.telling {
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
        if !state.pending || !is_callback {
            return None;
        }
        match state.listeners.remove(id) {
            Some(Listener::Callback(callback)) => Some(callback),
            Some(Listener::Task(_)) | None => None,
        }
    }
}

#[cold]
fn lent_here<R>(_: LentHere) -> R {
    panic!("the outcome of a future was looked at by its own `Clone` or `Debug`")
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
