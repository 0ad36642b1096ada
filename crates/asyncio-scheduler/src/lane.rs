//! The lane: a loop's serial FIFO of callbacks.
//!
//! `call_soon` appends here and queues one *ticket* on a run queue. Whoever pops a ticket runs exactly one callback, the first, if
//! the lane is free, else leaves the ticket to the holder, who queues it again. So with one worker the order over callbacks and tasks is
//! exact, and with several the callbacks stay FIFO and never overlap.
//!
//! # Rules
//!
//! 1. There are never fewer tickets (queued, in hand or owed) than callbacks: each append queues a ticket.
//! 2. `running` is true from the taking of a callback until it has ended; only the one who set it takes the next.
//! 3. A ticket popped meanwhile adds one to `owed`; the holder, when it lets go, gets the debt and queues that many tickets.
//! 4. A ticket is queued under the lock of the append. So [`close`](Lane::close), which takes that lock, has seen the last ticket: none
//!    comes late, when the queues may belong to another loop. Queueing runs no user code, and waking a sleeper comes after the lock.
//!
//! An only worker holds the lane by being the only one: it just takes the first callback ([`take_one`](Lane::take_one)).
//!
//! A ticket without a callback (its callback went when the lane was closed) is spent on nothing.
//!
//! Models: `loom-tests/tests/lane.rs`.

use crate::callback::Handle;
use asyncio_base::context::Context;
use asyncio_base::sync::Mutex;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

#[derive(Debug, Default)]
struct Inner {
    callbacks: VecDeque<Handle>,
    running: bool,
    owed: usize,
    closed: bool,
}

/// A serial queue of callbacks.
#[derive(Debug, Default)]
pub struct Lane(Mutex<Inner>);

/// A callback that panicked, or whose context did when it was dropped.
#[derive(Debug)]
pub struct Panicked {
    /// The callback; `None` if it is its context that panicked.
    pub handle: Option<Handle>,
    /// Where the callback was queued.
    pub location: &'static Location<'static>,
    /// What it ran in; `None` if that is what panicked.
    pub context: Option<Context>,
    /// What it panicked with.
    pub payload: Box<dyn Any + Send>,
}

impl Lane {
    /// An empty lane.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a callback and queues a ticket by `enqueue`, under the lock; returns what `enqueue` did.
    ///
    /// # Errors
    ///
    /// The callback, if the lane is closed.
    pub fn push<R>(&self, callback: Handle, enqueue: impl FnOnce() -> R) -> Result<R, Handle> {
        let mut inner = self.0.lock();
        if inner.closed {
            // Given back, so that the closure is dropped after the lock.
            return Err(callback);
        }
        inner.callbacks.push_back(callback);
        Ok(enqueue())
    }

    /// Spends a ticket: `run` runs the callback while the lane is held. Returns how many tickets were popped meanwhile: queue as many.
    #[must_use = "owed tickets must be queued again"]
    pub fn run_one(&self, run: impl FnOnce(Handle)) -> usize {
        let mut inner = self.0.lock();
        if inner.running {
            inner.owed += 1;
            return 0;
        }
        let Some(callback) = inner.callbacks.pop_front() else { return 0 };
        inner.running = true;
        drop(inner);
        run(callback);
        let mut inner = self.0.lock();
        inner.running = false;
        std::mem::take(&mut inner.owed)
    }

    /// Where the first callback that waits was made.
    pub fn next_location(&self) -> Option<&'static Location<'static>> {
        self.0.lock().callbacks.front().map(Handle::location)
    }

    /// Spends a ticket where one worker spends them all, one after the other: the first callback, to be run before the next ticket is popped.
    #[inline]
    pub fn take_one(&self) -> Option<Handle> {
        self.0.lock().callbacks.pop_front()
    }

    /// Refuses further callbacks and hands out those that wait, to be discarded outside the lock.
    pub fn close(&self) -> VecDeque<Handle> {
        let mut inner = self.0.lock();
        inner.closed = true;
        std::mem::take(&mut inner.callbacks)
    }
}

/// Runs the callback and lets go of it; the values of its context may be dropped with it, and are anybody's code too. Returns what it panicked with.
pub fn run(callback: Handle) -> Option<Box<Panicked>> {
    let location = callback.location();
    let run = callback.run();
    let handle = run.is_err().then(|| callback.clone());
    let context = handle.as_ref().map(Handle::get_context);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(callback)));
    let payload = run.and(dropped).err()?;
    Some(Box::new(Panicked { handle, location, context, payload }))
}
