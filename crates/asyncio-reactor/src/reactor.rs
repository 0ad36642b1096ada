//! One poller, and the sources registered with it.

use crate::parking::Parking;
use crate::platform::Platform;
use crate::poller::{Events, Poller};
use crate::readiness::Ready;
use crate::slab::{Key, Slab};
use crate::source::Handle;
use crate::system::System;
use crate::wakes::Wakes;
use asyncio_base::CachePadded;
use asyncio_base::sync::{AtomicU64, Mutex, Ordering};
use std::fmt;
use std::io;
// Shared ownership, not a protocol.
use std::sync::Arc;
use std::time::Duration;

/// The error of an operation on a closed reactor; inside an [`io::Error`] of kind `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReactorClosed;

impl fmt::Display for ReactorClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("event loop is closed")
    }
}

impl std::error::Error for ReactorClosed {}

impl From<ReactorClosed> for io::Error {
    fn from(closed: ReactorClosed) -> Self {
        io::Error::other(closed)
    }
}

/// Counters of a reactor since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sources registered now.
    pub registered: usize,
    /// Events delivered, stale ones included.
    pub events: u64,
    /// Waits in the operating system.
    pub waits: u64,
    /// Notifications that had to be written.
    pub notifies: u64,
}

/// What a turn works with, kept from one to the next because it is large.
struct Turn {
    events: Events,
    wakes: Wakes,
}

/// One poller and its sources; shared as an `Arc`.
///
/// One thread at a time [turns](Self::turn) it. Everything else may be called from any thread at any moment.
pub struct Reactor {
    poller: Poller,
    slab: Slab,
    /// On a line of its own: notifiers write it, and the polled sources are read all the time.
    parking: CachePadded<Parking>,
    /// The right to turn. Only ever *tried*: holding it during a wait, or while wakers are called, blocks nobody.
    turning: Mutex<Turn>,
    /// Written by whoever turns.
    events: AtomicU64,
    waits: AtomicU64,
    notifies: AtomicU64,
}

impl Reactor {
    /// A reactor with no sources. It takes no descriptor before its first source is registered, or its first turn waits.
    pub fn new() -> Reactor {
        Reactor::with(Poller::Platform(Platform::new()))
    }

    /// A reactor with no sources, which asks `system` instead of the operating system. It takes no descriptor.
    pub fn simulated(system: Arc<dyn System>) -> Reactor {
        Reactor::with(Poller::Simulated(system))
    }

    fn with(poller: Poller) -> Reactor {
        Reactor {
            poller,
            slab: Slab::new(),
            parking: CachePadded(Parking::new()),
            turning: Mutex::new(Turn { events: Events::new(), wakes: Wakes::new() }),
            events: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            notifies: AtomicU64::new(0),
        }
    }

    /// Waits for events, at most for `timeout` (`None`: without limit), delivers them and calls the wakers, in the order of the
    /// events. Returns how many there were.
    ///
    /// A [notification](Self::notify) that came since the last turn, or comes during this one, ends the wait; so look for work
    /// after each turn. A turn may also end early for no reason. If another thread is in a turn of this reactor, returns 0 at
    /// once.
    ///
    /// # Errors
    ///
    /// If the reactor is closed, or the operating system fails.
    ///
    /// # Panics
    ///
    /// If a waker panicked, after all events were delivered.
    pub fn turn(&self, timeout: Option<Duration>) -> io::Result<usize> {
        let Some(mut turn) = self.turning.try_lock() else { return Ok(0) };
        let Turn { events, wakes } = &mut *turn;
        if self.slab.is_closed() {
            return Err(ReactorClosed.into());
        }
        self.wait(events, timeout)?;
        let mut count = 0;
        for (key, ready) in events.iter() {
            count += 1;
            self.slab.fire(Key::from_bits(key), ready, wakes);
        }
        // One thread at a time gets here, so these need no exchange.
        self.events.store(self.events.load(Ordering::Relaxed) + count as u64, Ordering::Relaxed);
        wakes.finish();
        Ok(count)
    }

    fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.waits.store(self.waits.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if timeout == Some(Duration::ZERO) {
            self.parking.consume();
            return self.poller.wait(events, timeout);
        }
        self.poller.prepare();
        if !self.parking.park() {
            return self.poller.wait(events, Some(Duration::ZERO));
        }
        let result = self.poller.wait(events, timeout);
        self.parking.unpark();
        result
    }

    /// Ends the wait of the current turn, or of the next if there is none. Notifications that come together count as one, and
    /// nothing is written unless somebody waits.
    pub fn notify(&self) {
        if self.parking.notify() {
            self.notifies.fetch_add(1, Ordering::Relaxed);
            self.poller.notify();
        }
    }

    /// Closes the reactor: wakes everybody who waits for a source, and lets every later operation on it fail with
    /// [`ReactorClosed`].
    ///
    /// Sources that are still alive stay open and give their slots back when they are dropped; the descriptors of the poller
    /// itself are closed with the last reference to the reactor.
    ///
    /// # Panics
    ///
    /// If a waker panicked, after all have been called.
    pub fn close(&self) {
        let mut wakes = Wakes::new();
        if self.slab.close(&mut wakes) {
            self.notify();
        }
        wakes.finish();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.slab.is_closed()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats {
            registered: self.slab.len(),
            events: self.events.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
            notifies: self.notifies.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn slab(&self) -> &Slab {
        &self.slab
    }

    pub(crate) fn poller(&self) -> &Poller {
        &self.poller
    }

    /// Ends a registration. The source is about to be closed if `closing`, else somebody keeps it open.
    pub(crate) fn deregister(&self, key: Key, source: Handle<'_>, closing: bool) {
        // The kernel may still deliver events for the key; they are stale from here on.
        self.poller.forget(source, closing);
        self.slab.remove(key);
    }

    /// Registers a source that somebody is about to wait for in the directions `interest`, and takes it to be `ready` in others.
    pub(crate) fn register(
        &self,
        source: Handle<'_>,
        ready: Ready,
        interest: Ready,
    ) -> io::Result<Key> {
        let key = self.slab.insert(ready).ok_or(ReactorClosed)?;
        match self.poller.register(source, key.to_bits(), interest) {
            Ok(()) => Ok(key),
            Err(error) => {
                self.slab.remove(key);
                Err(error)
            }
        }
    }
}

impl Default for Reactor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("stats", &self.stats())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Any thread may call into a reactor.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Reactor>();
};
