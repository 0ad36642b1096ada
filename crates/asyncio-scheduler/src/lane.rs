//! The lane: a loop's serial FIFO of callbacks.
//!
//! `call_soon` appends here and pushes one *ticket* on a run queue. Whoever pops a ticket runs exactly one callback, the first, if
//! the lane is free, else leaves the ticket to the holder, who queues it again. So with one worker the order over callbacks and tasks is
//! exact, and with several the callbacks stay FIFO and never overlap.
//!
//! # Rules
//!
//! 1. There are never fewer tickets (queued, in hand or owed) than callbacks: each append is followed by a ticket.
//! 2. `running` is true from the taking of a callback until it has ended; only the one who set it takes the next.
//! 3. A ticket popped meanwhile adds one to `owed`; the holder, when it lets go, gets the debt and queues that many tickets.
//!
//! A ticket without a callback (its callback went when the lane was closed) is spent on nothing.
//!
//! Models: `loom-tests/tests/lane.rs`.

use crate::callback::Handle;
use asyncio_base::sync::Mutex;
use std::any::Any;
use std::collections::VecDeque;

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

/// What became of a ticket.
#[derive(Debug)]
#[must_use = "owed tickets must be queued again"]
pub struct Spent {
    /// Tickets that were popped meanwhile: queue as many.
    pub owed: usize,
    /// The callback that ran and panicked.
    pub panicked: Option<(Handle, Box<dyn Any + Send>)>,
}

impl Lane {
    /// An empty lane.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a callback; the caller pushes a ticket. False, and the callback is not queued, if the lane is closed.
    #[must_use]
    pub fn push(&self, callback: Handle) -> bool {
        let mut inner = self.0.lock();
        if inner.closed {
            // The caller's clone or this one drops the closure: after the lock.
            drop(inner);
            drop(callback);
            return false;
        }
        inner.callbacks.push_back(callback);
        true
    }

    /// Spends a ticket.
    pub fn run_one(&self) -> Spent {
        let mut inner = self.0.lock();
        if inner.running {
            inner.owed += 1;
            return Spent { owed: 0, panicked: None };
        }
        let Some(callback) = inner.callbacks.pop_front() else {
            return Spent { owed: 0, panicked: None };
        };
        inner.running = true;
        drop(inner);
        let outcome = callback.run();
        let mut inner = self.0.lock();
        inner.running = false;
        let owed = std::mem::take(&mut inner.owed);
        drop(inner);
        Spent { owed, panicked: outcome.err().map(|panic| (callback, panic)) }
    }

    /// Refuses further callbacks and hands out those that wait, to be dropped outside the lock.
    pub fn close(&self) -> VecDeque<Handle> {
        let mut inner = self.0.lock();
        inner.closed = true;
        std::mem::take(&mut inner.callbacks)
    }
}
