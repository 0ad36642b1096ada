//! A clock turned by hand and wakers that write down when they are called.
#![allow(dead_code)]

use asyncio_timer::{Clock, Timers};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

pub(crate) struct ManualClock {
    epoch: Instant,
    now: Mutex<Instant>,
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        *self.now.lock().unwrap()
    }

    fn epoch(&self) -> Instant {
        self.epoch
    }

    fn nanos_since_epoch(&self) -> u64 {
        self.now().saturating_duration_since(self.epoch).as_nanos() as u64
    }
}

/// Timers, the clock they go by and how often they called `unpark`.
pub(crate) struct Loop {
    pub(crate) timers: Arc<Timers>,
    pub(crate) clock: Arc<ManualClock>,
    unparks: Arc<AtomicUsize>,
}

impl Loop {
    pub(crate) fn new(workers: usize) -> Self {
        let clock = {
            let epoch = Instant::now();
            Arc::new(ManualClock { epoch, now: Mutex::new(epoch) })
        };
        let unparks = Arc::new(AtomicUsize::new(0));
        let count = unparks.clone();
        let unpark = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let timers = Timers::new(workers, Box::new(clock.clone()), Box::new(unpark));
        Loop { timers, clock, unparks }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn nanos(&self) -> u64 {
        self.timers.nanos(self.now())
    }

    /// Turns the clock forward and lets a worker look at the timers.
    pub(crate) fn pass(&self, worker: usize, by: Duration) -> usize {
        *self.clock.now.lock().unwrap() += by;
        self.timers.advance_all(worker, self.nanos())
    }

    /// As `pass` for worker 0.
    pub(crate) fn turn(&self, by: Duration) -> usize {
        self.pass(0, by)
    }

    pub(crate) fn enter<R>(&self, worker: usize, f: impl FnOnce() -> R) -> R {
        asyncio_timer::context::enter(&self.timers, worker, f)
    }

    /// What `unpark` was called since the last time this was asked.
    pub(crate) fn unparks(&self) -> usize {
        self.unparks.swap(0, Ordering::Relaxed)
    }
}

/// Writes its name down whenever it is woken.
pub(crate) struct Note {
    name: usize,
    notes: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.notes.lock().unwrap().push(self.name);
    }
}

/// The names written down so far.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<usize>>>);

impl Notes {
    pub(crate) fn waker(&self, name: usize) -> Waker {
        Waker::from(Arc::new(Note { name, notes: self.0.clone() }))
    }

    pub(crate) fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// How many wakers hold on to these notes.
    pub(crate) fn wakers(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

pub(crate) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
