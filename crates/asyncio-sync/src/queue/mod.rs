//! `Queue`, `LifoQueue` and `PriorityQueue`: one mechanism, three orders.

mod fifo;
mod futures;
mod lifo;
mod priority;
mod state;
mod store;

pub use fifo::Fifo;
pub use futures::{Get, Items, Join, Put};
pub use lifo::Lifo;
pub use priority::Smallest;
pub use store::Store;

use crate::blocking::{block_on, refuse_in_task};
use crate::errors::{
    GetNowaitError, PutNowaitError, QueueEmpty, QueueFull, QueueShutDown, TaskDoneError,
};
use crate::wake::{wake_if, wake_in_batches};
use asyncio_base::const_fn;
use asyncio_base::sync::{Mutex, MutexGuard};
use state::{GETTERS, JOINERS, PUTTERS, State};
use std::fmt;
use std::panic::{Location, resume_unwind};
use store::Panic;

/// A first-in, first-out queue; see [`BaseQueue`] for everything it does.
///
/// # Python
///
/// `asyncio.Queue`.
pub type Queue<T> = BaseQueue<Fifo<T>>;

/// A queue whose newest item comes out first; see [`BaseQueue`] for everything it does.
///
/// # Python
///
/// `asyncio.LifoQueue`.
pub type LifoQueue<T> = BaseQueue<Lifo<T>>;

/// A queue whose smallest item comes out first, and of equal ones the oldest; see [`BaseQueue`] for everything it does.
///
/// Items are compared under the queue's lock: `Ord` must not use the queue itself. A comparison that panics in `put` leaves
/// the item in; one that panics in `get` may drop the item that was about to come out. The order of the others is unspecified
/// then.
///
/// # Python
///
/// `asyncio.PriorityQueue`, where the order of equal items is unspecified.
pub type PriorityQueue<T> = BaseQueue<Smallest<T>>;

/// A queue between tasks, bounded or not, by the names [`Queue`], [`LifoQueue`] and [`PriorityQueue`].
///
/// Getters that wait for an item and putters that wait for room are served in the order in which they began to wait. An item
/// that arrives while somebody waits belongs to that task, and nobody can take it first; likewise room. A task that is
/// cancelled meanwhile passes its claim on: no item is lost or doubled.
///
/// The queue counts [unfinished](Self::task_done) items for [`join`](Self::join), and ends by [`shutdown`](Self::shutdown).
///
/// # Examples
///
/// ```
/// use asyncio_sync::Queue;
///
/// # futures_lite::future::block_on(async {
/// let queue = Queue::new(10);
/// queue.put("job").await?;
/// assert_eq!(queue.get().await, Ok("job"));
/// queue.shutdown(false);
/// assert_eq!(queue.put("late").await.unwrap_err().0, "late");
/// # Ok::<(), asyncio_sync::QueueShutDown<&str>>(())
/// # }).unwrap();
/// ```
///
/// # Python
///
/// The methods of `asyncio.Queue`. A woken getter in Python may find that a `get_nowait` was faster, and waits again; here what
/// woke it is kept for it. So [`empty`](Self::empty) and [`full`](Self::full) say whether a newcomer would find something,
/// while [`qsize`](Self::qsize) counts all items.
pub struct BaseQueue<S: Store> {
    maxsize: usize,
    state: Mutex<State<S>>,
}

/// The lock, held.
type Held<'q, S> = MutexGuard<'q, State<S>>;

/// What came of an attempt; the lock, still held, if nothing could be done.
type Tried<'q, S, T> = Result<T, Held<'q, S>>;

/// Resumes a panic of an item's own code, now that the lock is free.
#[inline]
fn resume_if(pushed: Result<(), Panic>) {
    if let Err(panic) = pushed {
        resume_unwind(panic);
    }
}

/// How a queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStatistics {
    /// How many items it may hold; 0 for any number.
    pub maxsize: usize,
    /// How many items are in.
    pub qsize: usize,
    /// How many tasks wait for an item.
    pub getters: usize,
    /// How many tasks wait for room.
    pub putters: usize,
    /// How many tasks wait for all items to be done.
    pub joiners: usize,
    /// How many items were put and are not reported done.
    pub unfinished: usize,
    /// Whether it was shut down.
    pub is_shutdown: bool,
}

impl<T> BaseQueue<Fifo<T>> {
    const_fn! {
        /// An empty queue for at most `maxsize` items; 0 means any number. It holds no memory until its first item.
        pub const fn new(maxsize: usize) -> Self {
            BaseQueue { maxsize, state: Mutex::new(State::new(Fifo::new(), maxsize)) }
        }
    }
}

impl<T> BaseQueue<Lifo<T>> {
    const_fn! {
        /// An empty queue for at most `maxsize` items; 0 means any number. It holds no memory until its first item.
        pub const fn new(maxsize: usize) -> Self {
            BaseQueue { maxsize, state: Mutex::new(State::new(Lifo::new(), maxsize)) }
        }
    }
}

impl<T: Ord> BaseQueue<Smallest<T>> {
    const_fn! {
        /// An empty queue for at most `maxsize` items; 0 means any number. It holds no memory until its first item.
        pub const fn new(maxsize: usize) -> Self {
            BaseQueue { maxsize, state: Mutex::new(State::new(Smallest::new(), maxsize)) }
        }
    }
}

impl<S: Store> BaseQueue<S> {
    /// Puts an item in, once there is room.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready puts nothing in and drops the item; room that had been kept for it goes to the
    /// next putter.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] with the item, if the queue is shut down, also while this waits.
    #[doc(alias = "send")]
    #[doc(alias = "push")]
    #[track_caller]
    #[inline]
    pub fn put(&self, item: S::Item) -> Put<'_, S> {
        Put::new(self, item, Location::caller())
    }

    /// Puts an item in if there is room now.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] or [`QueueShutDown`], with the item.
    #[doc(alias = "try_send")]
    #[inline]
    pub fn put_nowait(&self, item: S::Item) -> Result<(), PutNowaitError<S::Item>> {
        let mut slot = Some(item);
        match self.put_quickly(&mut slot) {
            Ok(()) => Ok(()),
            Err(state) => Self::put_or_refuse(state, slot),
        }
    }

    #[cold]
    fn put_or_refuse(
        state: Held<'_, S>,
        mut slot: Option<S::Item>,
    ) -> Result<(), PutNowaitError<S::Item>> {
        match put_in(state, &mut slot) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(shut)) => Err(PutNowaitError::ShutDown(shut)),
            Err(state) => {
                drop(state);
                Err(PutNowaitError::Full(QueueFull(slot.expect("a full queue takes nothing"))))
            }
        }
    }

    /// Takes an item out, once there is one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready takes nothing out; an item that had been kept for it goes to the next getter.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`], if the queue is shut down and empty, also while this waits.
    #[doc(alias = "recv")]
    #[doc(alias = "pop")]
    #[track_caller]
    #[inline]
    pub fn get(&self) -> Get<'_, S> {
        Get::new(self, Location::caller())
    }

    /// Takes an item out if there is one now that is nobody else's.
    ///
    /// # Errors
    ///
    /// [`QueueEmpty`], or [`QueueShutDown`] if besides no item will ever come.
    #[doc(alias = "try_recv")]
    #[inline]
    pub fn get_nowait(&self) -> Result<S::Item, GetNowaitError> {
        match self.get_quickly() {
            Ok(item) => Ok(item),
            Err(state) => Self::take_or_refuse(state),
        }
    }

    #[cold]
    fn take_or_refuse(state: Held<'_, S>) -> Result<S::Item, GetNowaitError> {
        match take_out(state) {
            Ok(Ok(item)) => Ok(item),
            Ok(Err(shut)) => Err(GetNowaitError::ShutDown(shut)),
            Err(_) => Err(GetNowaitError::Empty(QueueEmpty)),
        }
    }

    /// Puts an item in from a plain thread, which sleeps until there is room.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_put(&self, item: S::Item) -> Result<(), QueueShutDown<S::Item>> {
        refuse_in_task();
        match self.put_nowait(item) {
            Ok(()) => Ok(()),
            Err(PutNowaitError::ShutDown(shut)) => Err(shut),
            Err(PutNowaitError::Full(QueueFull(item))) => block_on(self.put(item)),
        }
    }

    /// Takes an item out from a plain thread, which sleeps until there is one.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_get(&self) -> Result<S::Item, QueueShutDown> {
        refuse_in_task();
        let tried = take_out(self.state.lock()).ok();
        tried.unwrap_or_else(|| block_on(self.get()))
    }

    /// The items as they come, until the queue is shut down and empty.
    #[track_caller]
    pub fn stream(&self) -> Items<'_, S> {
        Items::new(self, Location::caller())
    }

    /// Waits until every item that was put has been reported [done](Self::task_done); at once if none is left.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    #[track_caller]
    pub fn join(&self) -> Join<'_, S> {
        Join::new(self, Location::caller())
    }

    /// Waits on a plain thread until every item has been reported done.
    ///
    /// # Panics
    ///
    /// Inside a task or callback of asyncio, whose worker it would stop.
    #[track_caller]
    pub fn blocking_join(&self) {
        refuse_in_task();
        block_on(self.join());
    }

    /// Reports an item that was taken out as done; the last one lets [`join`](Self::join) return.
    ///
    /// # Errors
    ///
    /// If it is called more often than items were put.
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        let mut state = self.state.lock();
        if state.unfinished == 0 {
            return Err(TaskDoneError);
        }
        if state.finish(1) {
            let joins = state.joins;
            let anybody = !state.waiters.is_empty(JOINERS);
            drop(state);
            if anybody {
                self.wake_joiners(joins);
            }
        }
        Ok(())
    }

    /// Ends the queue: puts fail from now on, also those that wait. What is in can still be taken out; then gets fail too.
    /// With `immediate`, what is in is dropped and counts as done.
    ///
    /// May be called again, to follow a graceful end by an immediate one.
    #[doc(alias = "close")]
    pub fn shutdown(&self, immediate: bool) {
        let mut state = self.state.lock();
        state.shut();
        let dropped = immediate.then(|| std::mem::replace(&mut state.items, S::empty()));
        let all_done = dropped.as_ref().is_some_and(|items| state.finish(items.len()));
        let joins = state.joins;
        drop(state);
        wake_in_batches(None, |batch| self.state.lock().collect_for_shutdown(batch));
        if all_done {
            self.wake_joiners(joins);
        }
        // Destructors of items are user code: last, and outside the lock.
        drop(dropped);
    }

    /// How many items it may hold; 0 for any number.
    pub fn maxsize(&self) -> usize {
        self.maxsize
    }

    /// How many items are in, those included that are kept for a getter which has not run yet.
    #[doc(alias = "len")]
    pub fn qsize(&self) -> usize {
        self.state.lock().items.len()
    }

    /// Whether a get would have to wait.
    #[doc(alias = "is_empty")]
    pub fn empty(&self) -> bool {
        !self.state.lock().has_item()
    }

    /// Whether a put would have to wait; never, if the queue is unbounded.
    #[doc(alias = "is_full")]
    pub fn full(&self) -> bool {
        let state = self.state.lock();
        self.maxsize != 0 && state.items.len() + (state.kept_slots as usize) >= self.maxsize
    }

    /// Whether it was shut down.
    #[doc(alias = "is_closed")]
    pub fn is_shutdown(&self) -> bool {
        self.state.lock().shut
    }

    /// How the queue stands at this moment.
    pub fn statistics(&self) -> QueueStatistics {
        self.describe(&self.state.lock())
    }

    fn describe(&self, state: &State<S>) -> QueueStatistics {
        QueueStatistics {
            maxsize: self.maxsize,
            qsize: state.items.len(),
            getters: state.waiters.len(GETTERS),
            putters: state.waiters.len(PUTTERS),
            joiners: state.waiters.len(JOINERS),
            unfinished: state.unfinished,
            is_shutdown: state.shut,
        }
    }

    /// Puts the item in if that is all there is to it: there is room, and nobody waits.
    #[inline(always)]
    fn put_quickly(&self, slot: &mut Option<S::Item>) -> Tried<'_, S, ()> {
        let mut state = self.state.lock();
        // Nobody is here, so no room is kept for anybody.
        if !state.waiters.nobody() || state.items.len() >= state.limit {
            return Err(state);
        }
        let item = slot.take().expect("polled again after it was ready");
        let pushed = state.push(item);
        drop(state);
        resume_if(pushed);
        Ok(())
    }

    /// Takes an item out if that is all there is to it: there is one, and nobody waits.
    #[inline(always)]
    fn get_quickly(&self) -> Tried<'_, S, S::Item> {
        let mut state = self.state.lock();
        if !state.waiters.nobody() || state.items.len() == 0 {
            return Err(state);
        }
        let item = state.pop();
        drop(state);
        Ok(item.expect("there is an item"))
    }

    #[cold]
    fn wake_joiners(&self, joins: u64) {
        wake_in_batches(None, |batch| self.state.lock().collect_joiners(joins, batch));
    }
}

/// Puts the item in or refuses it; if there is no room, the item stays in its slot and the lock comes back.
#[inline]
fn put_in<'q, S: Store>(
    mut state: Held<'q, S>,
    slot: &mut Option<S::Item>,
) -> Tried<'q, S, Result<(), QueueShutDown<S::Item>>> {
    let refused = state.shut;
    if !refused && !state.has_room() {
        return Err(state);
    }
    let item = slot.take().expect("polled again after it was ready");
    if refused {
        return Ok(Err(QueueShutDown(item)));
    }
    let (waker, pushed) = state.insert(item);
    drop(state);
    wake_if(waker);
    resume_if(pushed);
    Ok(Ok(()))
}

/// Takes an item out or refuses; if there is no item for a newcomer, the lock comes back.
#[inline]
fn take_out<S: Store>(mut state: Held<'_, S>) -> Tried<'_, S, Result<S::Item, QueueShutDown>> {
    if !state.has_item() {
        return if state.shut { Ok(Err(QueueShutDown(()))) } else { Err(state) };
    }
    let (item, waker) = state.remove().expect("there is an item");
    drop(state);
    wake_if(waker);
    Ok(Ok(item))
}

impl<S: Store> fmt::Debug for BaseQueue<S> {
    /// Counts, not items: their `Debug` is user code and must not run under the lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} maxsize={}", S::NAME, self.maxsize)?;
        let Some(state) = self.state.try_lock() else { return f.write_str(" locked>") };
        let seen = self.describe(&state);
        drop(state);
        for (name, n) in
            [("_queue", seen.qsize), ("_getters", seen.getters), ("_putters", seen.putters)]
        {
            if n > 0 {
                write!(f, " {name}[{n}]")?;
            }
        }
        if seen.unfinished > 0 {
            write!(f, " tasks={}", seen.unfinished)?;
        }
        f.write_str(if seen.is_shutdown { " shutdown>" } else { ">" })
    }
}
