//! The one place where the rooms are joined into a running loop: scheduler, timers, reactor.
//!
//! A turn looks at descriptors first, then at timers. Two kinds of timers are served in one order of deadlines: the sleeps of tasks, in the
//! worker's wheel, and the callbacks of `call_later`, in a wheel that belongs to the lane.
//!
//! A callback timer made on another thread notifies the reactor after it is in the wheel; the reactor keeps a notification that comes
//! before the wait, so the sleeper has either seen the timer or is woken.

use crate::resolve::OnRunningLoop;
use crate::signals::Signals;
use asyncio_net::Resolve;
use asyncio_reactor::{Reactor, Stats};
use asyncio_scheduler::{Driver, Handle, Loop, Reporter, Wait, worker};
use asyncio_task::JoinError;
use asyncio_timer::{Clock, Key, LaneTimers, Timers};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// The monotonic clock of the system.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        system_now()
    }
}

/// The one reading of the system's clock.
pub(crate) fn system_now() -> Instant {
    Instant::now()
}

/// Whether this thread works for some loop.
pub(crate) fn outer_loop() -> bool {
    worker::is_worker()
}

/// The driver of a loop on the real system.
pub(crate) struct Wiring {
    timers: Arc<Timers>,
    reactor: Arc<Reactor>,
    lane_timers: LaneTimers<Handle>,
    resolver: Arc<dyn Resolve>,
    scheduler: OnceLock<Weak<Loop>>,
    reporter: Arc<dyn Reporter>,
    signals: Signals,
}

impl Wiring {
    pub(crate) fn new(reporter: Arc<dyn Reporter>) -> io::Result<Arc<Wiring>> {
        let reactor = Arc::new(Reactor::new()?);
        let unpark = {
            let reactor = reactor.clone();
            Box::new(move || reactor.notify())
        };
        let timers = Timers::new(1, Box::new(SystemClock), unpark);
        let lane_timers = LaneTimers::new(timers.now_nanos());
        let resolver: Arc<dyn Resolve> = Arc::new(OnRunningLoop);
        let (scheduler, signals) = (OnceLock::new(), Signals::new(&reactor));
        let wiring =
            Wiring { timers, reactor, lane_timers, resolver, scheduler, reporter, signals };
        Ok(Arc::new(wiring))
    }

    /// Names the loop whose lane the timers feed; once, right after it is made.
    pub(crate) fn attach(&self, scheduler: &Arc<Loop>) {
        let _ = self.scheduler.set(Arc::downgrade(scheduler));
    }

    fn scheduler(&self) -> Option<Arc<Loop>> {
        self.scheduler.get().and_then(Weak::upgrade)
    }

    /// Runs `f` as worker 0: its sleeps, sockets and host names are this loop's.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let f = || asyncio_timer::context::enter(&self.timers, 0, f);
        asyncio_net::with_resolver(&self.resolver, || asyncio_reactor::enter(&self.reactor, f))
    }

    pub(crate) fn clock_now(&self) -> Instant {
        self.timers.now()
    }

    /// `at + delay`, at most the last instant there is.
    pub(crate) fn saturating_add(&self, at: Instant, delay: Duration) -> Instant {
        // A century is as good as never, and every clock has it.
        const CENTURY: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);
        at.checked_add(delay).or_else(|| at.checked_add(CENTURY)).unwrap_or(at)
    }

    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    pub(crate) fn reactor_stats(&self) -> Stats {
        self.reactor.stats()
    }

    // ----- callback timers

    /// Arms a callback; `None` if the loop is closed.
    pub(crate) fn add_timer(&self, when: Instant, handle: Handle) -> Option<Key> {
        let deadline = self.timers.nanos(when);
        let key = self.lane_timers.insert(deadline, handle).ok()?;
        if !self.scheduler().is_some_and(|scheduler| scheduler.is_worker()) {
            self.reactor.notify();
        }
        Some(key)
    }

    /// Disarms a callback, if it has not fired.
    pub(crate) fn remove_timer(&self, key: Key) -> Option<Handle> {
        self.lane_timers.remove(key)
    }

    // ----- turning

    /// Fires what is due, in one order of deadlines over both kinds.
    fn fire_timers(&self) {
        if self.timers.next().is_none() && self.lane_timers.earliest().is_none() {
            return; // No timer at all: the clock is not even read.
        }
        let now = self.timers.now_nanos();
        // Sleeps up to the next callback, then that callback, and so on.
        while let Some(callback) = self.lane_timers.earliest().filter(|&deadline| deadline <= now) {
            self.wake_sleeps(callback);
            // Without a callback the time was only a bound, which is now exact; without a scheduler nobody runs it.
            if let (Some(handle), Some(scheduler)) =
                (self.lane_timers.pop(callback), self.scheduler())
            {
                // A loop that is being closed drops the callback.
                let _ = scheduler.queue_callback(handle);
            }
        }
        self.wake_sleeps(now);
    }

    fn wake_sleeps(&self, until: u64) {
        if self.timers.next().is_some_and(|next| next <= until) {
            self.calling_wakers(|| self.timers.advance_all(0, until));
        }
    }

    /// A waker may be anybody's code: its panic is reported and the loop goes on.
    fn calling_wakers<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        let outcome = catch_unwind(AssertUnwindSafe(f));
        let report = |panic| self.reporter.destructor_panicked(JoinError::panicked(panic));
        outcome.map_err(report).ok()
    }

    /// # Panics
    ///
    /// If the system's poller fails: a loop that cannot hear of its descriptors cannot go on.
    fn look_at_descriptors(&self, timeout: Option<Duration>) {
        if let Some(Err(error)) = self.calling_wakers(|| self.reactor.turn(timeout)) {
            panic!("the poller of the event loop failed: {error}");
        }
    }

    fn sleep(&self) {
        let deadline = [self.timers.park(), self.lane_timers.refresh()].into_iter().flatten().min();
        let until = |at: u64| Duration::from_nanos(at.saturating_sub(self.timers.now_nanos()));
        let timeout = deadline.map(until);
        self.look_at_descriptors(timeout.map(|timeout| timeout.min(LONGEST_SLEEP)));
        self.timers.unparked();
    }
}

/// asyncio's longest poll: a day.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

impl Driver for Wiring {
    fn turn(&self, wait: Wait) {
        match wait {
            Wait::TimersOnly => {}
            Wait::No => self.look_at_descriptors(Some(Duration::ZERO)),
            Wait::UntilReady => self.sleep(),
        }
        self.signals.deliver(|| self.scheduler());
        self.fire_timers();
    }

    fn unpark(&self) {
        self.reactor.notify();
    }

    fn close(&self) {
        // A callback is user code, also when it is dropped; one that somebody has a handle to is dropped all the same.
        for handle in self.lane_timers.close() {
            self.calling_wakers(|| handle.discard());
            self.calling_wakers(|| drop(handle));
        }
        self.calling_wakers(|| self.signals.close());
        self.calling_wakers(|| self.timers.close());
        self.calling_wakers(|| self.reactor.close());
    }

    fn now(&self) -> Instant {
        self.timers.now()
    }

    fn random(&self, bound: usize) -> usize {
        // Each RandomState has keys of its own; their hash of nothing is the number.
        (RandomState::new().build_hasher().finish() % bound as u64) as usize
    }

    fn start_thread(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        std::thread::Builder::new().name(name).spawn(body).map(drop)
    }
}
