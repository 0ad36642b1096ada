//! The futures of a queue: one poll to try, a place in line, one poll to collect.

use super::state::{GETTERS, JOINERS, PUTTERS};
use super::{BaseQueue, Held, Store, put_in, resume_if, take_out};
use crate::errors::QueueShutDown;
use crate::wake::{let_others_run, own_waker, paying, wake_if};
use asyncio_base::record;
use asyncio_base::slab::Key;
use asyncio_base::wait::WaitKind;
use futures_core::Stream;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of [`BaseQueue::get`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Get<'a, S: Store> {
    queue: &'a BaseQueue<S>,
    /// The place in line, [`Key::NONE`] while there is none.
    key: Key,
    place: &'static Location<'static>,
}

impl<'a, S: Store> Get<'a, S> {
    #[inline]
    pub(super) fn new(queue: &'a BaseQueue<S>, place: &'static Location<'static>) -> Self {
        Get { queue, key: Key::NONE, place }
    }

    /// Takes an item out past others who are here, or joins the line.
    #[cold]
    #[inline(never)]
    fn join_line(
        &mut self,
        mut state: Held<'a, S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Item, QueueShutDown>> {
        let mut spare = None;
        loop {
            state = match take_out(state) {
                Ok(result) => return Poll::Ready(result),
                Err(state) => state,
            };
            if let Some(waker) = spare.take().or_else(|| own_waker(cx)) {
                self.key = state.waiters.push(GETTERS, waker, 0);
                break;
            }
            drop(state);
            spare = Some(cx.waker().clone());
            state = self.queue.state.lock();
        }
        drop(state);
        record::waits_for(WaitKind::Queue, self.place);
        Poll::Pending
    }

    /// Takes what was kept for this getter, or what a shutdown has left over.
    #[cold]
    #[inline(never)]
    fn collect(&mut self, cx: &mut Context<'_>) -> Poll<Result<S::Item, QueueShutDown>> {
        paying(cx, |cx| {
            let mut spare = None;
            loop {
                let mut state = self.queue.state.lock();
                if state.shut {
                    return Poll::Ready(self.collect_rest(state));
                }
                if state.serve_getter(self.key) {
                    self.key = Key::NONE;
                    let (item, waker) = state.remove().expect("an item is kept for who is chosen");
                    drop(state);
                    wake_if(waker);
                    return Poll::Ready(Ok(item));
                }
                if state.waiters.keep(self.key, cx.waker(), &mut spare) {
                    drop(state);
                    record::waits_for(WaitKind::Queue, self.place);
                    return Poll::Pending;
                }
                drop(state);
                spare = Some(cx.waker().clone());
            }
        })
    }

    /// The same once the queue is shut down: nothing is kept for anybody, so the first to come has what is left.
    #[inline(never)]
    fn collect_rest(&mut self, mut state: Held<'a, S>) -> Result<S::Item, QueueShutDown> {
        let (_, stale) = state.getter_leaves(self.key);
        self.key = Key::NONE;
        let removed = state.remove();
        drop(state);
        drop(stale);
        removed.map(|(item, _nobody)| item).ok_or(QueueShutDown(()))
    }

    #[cold]
    #[inline(never)]
    fn leave(&mut self) {
        let mut state = self.queue.state.lock();
        let (claim, stale) = state.getter_leaves(self.key);
        let next = if claim { state.pass_item_on() } else { None };
        drop(state);
        drop(stale);
        wake_if(next);
    }
}

impl<S: Store> Future for Get<'_, S> {
    type Output = Result<S::Item, QueueShutDown>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.key.is_none() {
            return self.collect(cx);
        }
        if !record::spend() {
            let_others_run(cx);
            return Poll::Pending;
        }
        match self.queue.get_quickly() {
            Ok(item) => Poll::Ready(Ok(item)),
            Err(state) => self.join_line(state, cx),
        }
    }
}

impl<S: Store> Drop for Get<'_, S> {
    #[inline]
    fn drop(&mut self) {
        if !self.key.is_none() {
            self.leave();
        }
    }
}

impl<S: Store> fmt::Debug for Get<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Get from {:?}>", self.queue)
    }
}

/// The future of [`BaseQueue::put`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Put<'a, S: Store> {
    queue: &'a BaseQueue<S>,
    /// Empty once it is in the queue or was given back.
    item: Option<S::Item>,
    /// The place in line, [`Key::NONE`] while there is none.
    key: Key,
    place: &'static Location<'static>,
}

/// The item is moved, never pinned.
impl<S: Store> Unpin for Put<'_, S> {}

impl<'a, S: Store> Put<'a, S> {
    #[inline]
    pub(super) fn new(
        queue: &'a BaseQueue<S>,
        item: S::Item,
        place: &'static Location<'static>,
    ) -> Self {
        Put { queue, item: Some(item), key: Key::NONE, place }
    }

    /// Puts the item in past others who are here, or joins the line.
    #[cold]
    #[inline(never)]
    fn join_line(
        &mut self,
        mut state: Held<'a, S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), QueueShutDown<S::Item>>> {
        assert!(self.item.is_some(), "polled again after it was ready");
        let mut spare = None;
        loop {
            state = match put_in(state, &mut self.item) {
                Ok(result) => return Poll::Ready(result),
                Err(state) => state,
            };
            if let Some(waker) = spare.take().or_else(|| own_waker(cx)) {
                self.key = state.waiters.push(PUTTERS, waker, 0);
                break;
            }
            drop(state);
            spare = Some(cx.waker().clone());
            state = self.queue.state.lock();
        }
        drop(state);
        record::waits_for(WaitKind::Queue, self.place);
        Poll::Pending
    }

    /// Uses the room that was kept for this putter, or finds that the queue was shut down.
    #[cold]
    #[inline(never)]
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), QueueShutDown<S::Item>>> {
        paying(cx, |cx| {
            let mut spare = None;
            loop {
                let mut state = self.queue.state.lock();
                if state.shut {
                    return Poll::Ready(Err(QueueShutDown(self.give_up(state))));
                }
                if state.serve_putter(self.key) {
                    self.key = Key::NONE;
                    let item = self.item.take().expect("an item that waits is here");
                    let (waker, pushed) = state.insert(item);
                    drop(state);
                    wake_if(waker);
                    resume_if(pushed);
                    return Poll::Ready(Ok(()));
                }
                if state.waiters.keep(self.key, cx.waker(), &mut spare) {
                    drop(state);
                    record::waits_for(WaitKind::Queue, self.place);
                    return Poll::Pending;
                }
                drop(state);
                spare = Some(cx.waker().clone());
            }
        })
    }

    /// Leaves the queue that was shut down, with the item.
    #[inline(never)]
    fn give_up(&mut self, mut state: Held<'a, S>) -> S::Item {
        let (_, stale) = state.putter_leaves(self.key);
        self.key = Key::NONE;
        let item = self.item.take().expect("an item that waits is here");
        drop(state);
        drop(stale);
        item
    }

    #[cold]
    #[inline(never)]
    fn leave(&mut self) {
        let mut state = self.queue.state.lock();
        let (claim, stale) = state.putter_leaves(self.key);
        let next = if claim { state.pass_slot_on() } else { None };
        drop(state);
        drop(stale);
        wake_if(next);
    }
}

impl<S: Store> Future for Put<'_, S> {
    type Output = Result<(), QueueShutDown<S::Item>>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.key.is_none() {
            return self.fill(cx);
        }
        if !record::spend() {
            let_others_run(cx);
            return Poll::Pending;
        }
        let this = &mut *self;
        match this.queue.put_quickly(&mut this.item) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(state) => this.join_line(state, cx),
        }
    }
}

impl<S: Store> Drop for Put<'_, S> {
    #[inline]
    fn drop(&mut self) {
        if !self.key.is_none() {
            self.leave();
        }
    }
}

impl<S: Store> fmt::Debug for Put<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Put to {:?}>", self.queue)
    }
}

/// The future of [`BaseQueue::join`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Join<'a, S: Store> {
    queue: &'a BaseQueue<S>,
    /// The place in line, [`Key::NONE`] while there is none.
    key: Key,
    place: &'static Location<'static>,
}

impl<'a, S: Store> Join<'a, S> {
    pub(super) fn new(queue: &'a BaseQueue<S>, place: &'static Location<'static>) -> Self {
        Join { queue, key: Key::NONE, place }
    }

    fn begin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !record::spend() {
            let_others_run(cx);
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        let mut state = self.queue.state.lock();
        if state.unfinished == 0 {
            drop(state);
            return Poll::Ready(());
        }
        let joins = state.joins;
        self.key = state.waiters.push(JOINERS, waker, joins);
        drop(state);
        record::waits_for(WaitKind::Queue, self.place);
        Poll::Pending
    }

    fn go_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut spare = None;
        loop {
            let mut state = self.queue.state.lock();
            if state.waiters.tag(self.key).is_none_or(|came| came < state.joins) {
                if !record::spend() {
                    drop(state);
                    let_others_run(cx);
                    return Poll::Pending;
                }
                drop(state);
                self.leave();
                return Poll::Ready(());
            }
            if state.waiters.keep(self.key, cx.waker(), &mut spare) {
                drop(state);
                record::waits_for(WaitKind::Queue, self.place);
                return Poll::Pending;
            }
            drop(state);
            spare = Some(cx.waker().clone());
        }
    }

    fn leave(&mut self) {
        let left = self.queue.state.lock().waiters.leave(self.key);
        drop(left);
        self.key = Key::NONE;
    }
}

impl<S: Store> Future for Join<'_, S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.key.is_none() { self.begin(cx) } else { self.go_on(cx) }
    }
}

impl<S: Store> Drop for Join<'_, S> {
    fn drop(&mut self) {
        if !self.key.is_none() {
            self.leave();
        }
    }
}

impl<S: Store> fmt::Debug for Join<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Join of {:?}>", self.queue)
    }
}

/// The stream of [`BaseQueue::stream`]: the items as they come, until the queue is shut down and empty.
///
/// # Cancel safety
///
/// Dropping the stream takes nothing out; an item that had been kept for it goes to the next getter.
///
/// # Python
///
/// An addition: Python's queues are not asynchronous iterables.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Items<'a, S: Store>(Get<'a, S>);

impl<'a, S: Store> Items<'a, S> {
    pub(super) fn new(queue: &'a BaseQueue<S>, place: &'static Location<'static>) -> Self {
        Items(Get::new(queue, place))
    }
}

impl<S: Store> Stream for Items<'_, S> {
    type Item = S::Item;

    /// A `Get` that is ready has left its line and may be polled anew.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

impl<S: Store> fmt::Debug for Items<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Items of {:?}>", self.0.queue)
    }
}
