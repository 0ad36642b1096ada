//! Names a step while it goes on: what blocks for ever is never slow afterwards.
//!
//! In debug mode each worker writes down what it runs. A thread of the loop's looks at that now and then, and warns of what has run for long: once
//! it is [`STUCK_AFTER`] times slow, and again whenever that time has doubled. The thread ends with debug mode, or with the loop, at its next look.

use crate::debug::Warning;
use crate::diagnostics::Diagnostics;
use crate::events::EventLoop;
use asyncio_base::sync::Mutex;
use asyncio_scheduler::{Driver, Loop, Step};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// A step is stuck when it has lasted so many times what is slow.
const STUCK_AFTER: u32 = 10;

/// The least that is stuck.
const LEAST: Duration = Duration::from_millis(10);

/// Looks in the time after which a step is stuck.
const LOOKS: u32 = 4;

/// What is being run on the workers of a loop.
pub(super) struct Lookout(Mutex<Running>);

struct Running {
    steps: BTreeMap<u64, Begun>,
    last_number: u64,
    /// Whether the thread is there.
    looks: bool,
}

struct Begun {
    step: Step,
    worker: Option<usize>,
    at: Instant,
    /// For how long it had run when it was warned of.
    told: Duration,
}

/// A step that has not ended for long.
struct Stuck {
    step: Step,
    worker: Option<usize>,
    lasts: Duration,
}

impl Stuck {
    /// `Executing <Task …> has taken 1.234 seconds on worker 1 and goes on: …`.
    fn warning(&self) -> Warning {
        let mut warning = Warning::of(&self.step, self.lasts, "has taken");
        warning.worker = self.worker;
        if let Some(worker) = self.worker {
            warning.message += &format!(" on worker {worker}");
        }
        warning.message += " and goes on: does it call something that blocks?";
        warning
    }
}

/// A step that runs; dropped when it has ended.
pub(super) struct Entry<'a> {
    lookout: &'a Lookout,
    number: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let ended = self.lookout.0.lock().steps.remove(&self.number);
        drop(ended);
    }
}

impl Lookout {
    pub(super) const fn new() -> Self {
        let steps = BTreeMap::new();
        Lookout(Mutex::new(Running { steps, last_number: 0, looks: false }))
    }

    pub(super) fn begin(&self, step: &Step, worker: Option<usize>, at: Instant) -> Entry<'_> {
        let step = step.clone();
        let mut running = self.0.lock();
        running.last_number += 1;
        let number = running.last_number;
        running.steps.insert(number, Begun { step, worker, at, told: Duration::ZERO });
        Entry { lookout: self, number }
    }

    /// The warnings that are due.
    fn stuck(&self, now: Instant, limit: Duration) -> Vec<Stuck> {
        let mut stuck = Vec::new();
        for begun in self.0.lock().steps.values_mut() {
            let lasts = now.saturating_duration_since(begun.at);
            if lasts >= limit && lasts >= begun.told * 2 {
                begun.told = lasts;
                stuck.push(Stuck { step: begun.step.clone(), worker: begun.worker, lasts });
            }
        }
        stuck
    }
}

/// Starts the thread, if there is none. A thread that is refused is missed, and nothing else.
pub(super) fn start(event_loop: &EventLoop) {
    let lookout = &event_loop.diagnostics().watch.lookout;
    if std::mem::replace(&mut lookout.0.lock().looks, true) {
        return;
    }
    // It keeps neither: a loop ends when its handles do.
    let diagnostics = Arc::downgrade(event_loop.diagnostics());
    let scheduler = Arc::downgrade(event_loop.scheduler());
    let look = Box::new(move || look(&diagnostics, &scheduler));
    if event_loop.driver().start_thread("asyncio_debug".to_owned(), look).is_err() {
        lookout.0.lock().looks = false;
    }
}

/// The thread.
fn look(diagnostics: &Weak<Diagnostics>, scheduler: &Weak<Loop>) {
    while let Some((diagnostics, scheduler)) = diagnostics.upgrade().zip(scheduler.upgrade()) {
        let watch = &diagnostics.watch;
        let ends = |running: &mut Running| {
            running.looks = scheduler.is_watched() && !scheduler.is_closed();
            !running.looks
        };
        if ends(&mut watch.lookout.0.lock()) {
            return;
        }
        let slow_after = *watch.slow_after.lock();
        let limit = slow_after.saturating_mul(STUCK_AFTER).max(LEAST);
        // Who wants to hear of every step hears of this one in the end.
        if !slow_after.is_zero() {
            diagnostics.warn_of_stuck(limit);
        }
        drop((diagnostics, scheduler));
        std::thread::sleep(limit.min(Duration::from_secs(1)) / LOOKS);
    }
}

impl Diagnostics {
    fn warn_of_stuck(&self, limit: Duration) {
        // Something runs, so the loop is held by whoever runs it.
        let is_idle = self.watch.lookout.0.lock().steps.is_empty();
        let Some(event_loop) = self.event_loop().filter(|_| !is_idle) else { return };
        for stuck in self.watch.lookout.stuck(event_loop.time(), limit) {
            self.warn(&event_loop, stuck.warning());
        }
    }
}
