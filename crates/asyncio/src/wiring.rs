//! The one place where the rooms are joined into a running loop: scheduler, timers, reactor.
//!
//! A turn looks at descriptors first, then at timers. Two kinds of timers are served in one order of deadlines: the sleeps of tasks, in the
//! wheels of the workers, and the callbacks of `call_later`, in a wheel that belongs to the lane. A busy worker serves its own wheel and the
//! lane's; who looks at the descriptors serves them all. One worker at a time serves the lane's, so that callbacks are queued in their order;
//! another that finds it at work goes on, and if a callback became due meanwhile does not sleep.

use crate::resolve::OnRunningLoop;
use crate::signals::Signals;
use crate::sim::seams::{SimClock, SimSystem};
use crate::sim::world::World;
use crate::system_clock::SystemClock;
use asyncio_base::sync::Mutex;
use asyncio_net::Resolve;
use asyncio_reactor::{Reactor, Stats};
use asyncio_scheduler::simulated::Simulation;
use asyncio_scheduler::{Driver, Handle, Join, Loop, Reporter, Signs, Wait, Words, worker};
use asyncio_task::JoinError;
use asyncio_timer::{Key, LaneTimers, Timers};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// Whether this thread works for some loop.
pub(crate) fn outer_loop() -> bool {
    worker::is_worker()
}

/// How a thread becomes one that runs the loop; false if the loop is gone.
pub(crate) type Inside = Box<dyn Fn(&mut dyn FnMut()) -> bool + Send + Sync>;

/// The driver of a loop on the real system.
pub(crate) struct Wiring {
    timers: Arc<Timers>,
    reactor: Arc<Reactor>,
    lane_timers: LaneTimers<Handle>,
    /// Held, never waited for, by the worker that moves due callbacks to the lane.
    serving_lane: Mutex<()>,
    resolver: Arc<dyn Resolve>,
    scheduler: OnceLock<Weak<Loop>>,
    /// Runs its argument so that the loop is found to run on the thread.
    inside: OnceLock<Inside>,
    reporter: Arc<dyn Reporter>,
    signals: Signals,
    /// If the loop is simulated.
    world: Option<Arc<World>>,
}

impl Wiring {
    pub(crate) fn new(workers: usize, reporter: Arc<dyn Reporter>) -> Arc<Wiring> {
        let reactor = Arc::new(Reactor::new());
        let unpark = {
            let reactor = reactor.clone();
            Box::new(move || reactor.notify())
        };
        let timers = Timers::new(workers, Box::new(SystemClock::new()), unpark);
        Self::with(timers, reactor, reporter, None)
    }

    /// For a loop without descriptors, whose time and chance are the world's. All its workers are one thread, and have one wheel.
    pub(crate) fn simulated(world: Arc<World>, reporter: Arc<dyn Reporter>) -> Arc<Wiring> {
        let system = SimSystem(Arc::downgrade(&world));
        let reactor = Arc::new(Reactor::simulated(Arc::new(system)));
        let timers = Timers::new(1, Box::new(SimClock(world.clone())), Box::new(|| {}));
        Self::with(timers, reactor, reporter, Some(world))
    }

    fn with(
        timers: Arc<Timers>,
        reactor: Arc<Reactor>,
        reporter: Arc<dyn Reporter>,
        world: Option<Arc<World>>,
    ) -> Arc<Wiring> {
        let lane_timers = LaneTimers::new(timers.now_nanos());
        let resolver: Arc<dyn Resolve> = Arc::new(OnRunningLoop);
        let signals = Signals::new(&reactor);
        Arc::new(Wiring {
            timers,
            reactor,
            lane_timers,
            serving_lane: Mutex::new(()),
            resolver,
            scheduler: OnceLock::new(),
            inside: OnceLock::new(),
            reporter,
            signals,
            world,
        })
    }

    /// Names the loop whose lane the timers feed, and how its threads find it; once, right after it is made.
    pub(crate) fn attach(&self, scheduler: &Arc<Loop>, inside: Inside) {
        let _ = self.scheduler.set(Arc::downgrade(scheduler));
        let _ = self.inside.set(inside);
    }

    fn scheduler(&self) -> Option<Arc<Loop>> {
        self.scheduler.get().and_then(Weak::upgrade)
    }

    /// Runs `f` as a worker: its sleeps, sockets and host names are this loop's.
    pub(crate) fn enter<R>(&self, worker: usize, f: impl FnOnce() -> R) -> R {
        let _exact = asyncio_process::exact_timers();
        let f = || asyncio_timer::context::enter(&self.timers, worker, f);
        asyncio_net::with_resolver(&self.resolver, || asyncio_reactor::enter(&self.reactor, f))
    }

    /// What the loop is simulated in, if it is.
    pub(crate) fn world(&self) -> Option<&Arc<World>> {
        self.world.as_ref()
    }

    /// The earliest time at which a timer is due.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.lane_timers.refresh();
        let next = self.timers.park_with(|| self.lane_timers.earliest_after_fence());
        self.timers.unparked();
        self.timers.instant(next?)
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
        self.timers.announce(deadline);
        Some(key)
    }

    /// Disarms a callback, if it has not fired.
    pub(crate) fn remove_timer(&self, key: Key) -> Option<Handle> {
        self.lane_timers.remove(key)
    }

    // ----- turning

    /// The earliest deadline of these wheels and the lane's; it may be too early.
    #[inline]
    fn earliest(&self, wheels: Wheels) -> Option<u64> {
        let (sleep, callback) = (self.next(wheels), self.lane_timers.earliest());
        sleep.map_or(callback, |sleep| Some(callback.map_or(sleep, |at| at.min(sleep))))
    }

    /// Fires what is due of these wheels and the lane's, in one order of deadlines.
    fn fire_timers(&self, wheels: Wheels) {
        if self.earliest(wheels).is_none() {
            return; // No timer at all: the clock is not even read.
        }
        let now = self.timers.now_nanos();
        if self.lane_timers.earliest().is_some_and(|deadline| deadline <= now) {
            self.serve_lane(wheels, now);
        }
        self.wake_sleeps(wheels, now);
    }

    /// Wakes sleeps up to the next callback, then moves that callback to the lane, and so on.
    fn serve_lane(&self, wheels: Wheels, now: u64) {
        let Some(_serving) = self.serving_lane.try_lock() else { return };
        while let Some(callback) = self.lane_timers.earliest().filter(|&deadline| deadline <= now) {
            self.wake_sleeps(wheels, callback);
            // Without a callback the time was only a bound, which is now exact; without a scheduler nobody runs it.
            if let (Some(handle), Some(scheduler)) =
                (self.lane_timers.pop(callback), self.scheduler())
            {
                // A loop that is being closed drops the callback.
                let _ = scheduler.queue_callback(handle);
            }
        }
    }

    #[inline]
    fn next(&self, wheels: Wheels) -> Option<u64> {
        match wheels {
            Wheels::Of(worker) => self.timers.next_of(worker),
            Wheels::AllFrom(_) => self.timers.next(),
        }
    }

    fn wake_sleeps(&self, wheels: Wheels, until: u64) {
        if self.next(wheels).is_none_or(|next| next > until) {
            return;
        }
        self.calling_wakers(|| match wheels {
            Wheels::Of(worker) => self.timers.advance(worker, until),
            Wheels::AllFrom(worker) => self.timers.advance_all(worker, until),
        });
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

    fn sleep(&self, limit: Duration) {
        self.lane_timers.refresh();
        let deadline = self.timers.park_with(|| self.lane_timers.earliest_after_fence());
        let until = |at: u64| Duration::from_nanos(at.saturating_sub(self.timers.now_nanos()));
        // Without a deadline and without a limit nothing bounds the wait, and no clock is read.
        let timeout = deadline.map(until).unwrap_or(Duration::MAX).min(limit);
        if timeout != Duration::MAX && timeout != Duration::ZERO {
            asyncio_process::wait_exactly();
        }
        self.look_at_descriptors((timeout != Duration::MAX).then_some(timeout.min(LONGEST_SLEEP)));
        self.timers.unparked();
    }
}

/// asyncio's longest poll: a day.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Whose sleeps are looked at.
#[derive(Clone, Copy)]
enum Wheels {
    /// One worker's.
    Of(usize),
    /// All, beginning with this worker's.
    AllFrom(usize),
}

impl Driver for Wiring {
    fn turn(&self, worker: usize, wait: Wait) {
        if self.world.is_some() {
            // There is nothing to look at before there is a network.
            return self.fire_timers(Wheels::AllFrom(0));
        }
        match wait {
            Wait::TimersOnly => {}
            Wait::No => self.look_at_descriptors(Some(Duration::ZERO)),
            Wait::UntilReady => self.sleep(Duration::MAX),
            Wait::AtMost(limit) => self.sleep(limit),
        }
        self.signals.deliver(|| self.scheduler());
        let only_own = wait == Wait::TimersOnly;
        self.fire_timers(if only_own { Wheels::Of(worker) } else { Wheels::AllFrom(worker) });
    }

    fn signs(self: Arc<Self>, worker: usize) -> Option<Signs> {
        if self.world.is_some() {
            // Played: it is told to make each turn.
            return None;
        }
        Some(Signs::of(self, |wiring| {
            let (sleeps, callbacks) = (wiring.timers.wheel(worker), &wiring.lane_timers);
            let deadlines = [sleeps.next_word(), callbacks.earliest_word()];
            Words { deadlines, events: wiring.signals.word() }
        }))
    }

    fn is_past(&self, deadline: u64) -> bool {
        deadline <= self.timers.now_nanos()
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
        (chance() % bound as u64) as usize
    }

    fn start_thread(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<Join> {
        let body = || {
            let _exact = asyncio_process::exact_timers();
            body();
        };
        let thread = std::thread::Builder::new().name(name).spawn(body)?;
        // What the body panicked with was told by the panic hook.
        Ok(Box::new(move || drop(thread.join())))
    }

    fn as_worker(&self, worker: usize, work: &mut dyn FnMut()) {
        let inside = self.inside.get().expect("a loop is attached before it runs");
        let is_inside = inside(&mut || self.enter(worker, &mut *work));
        assert!(is_inside, "a loop that runs is there");
    }

    fn simulation(&self) -> Option<&dyn Simulation> {
        self.world.as_deref().map(|world| world as &dyn Simulation)
    }
}

/// Any number, another one at each call.
pub(crate) fn chance() -> u64 {
    // Each RandomState has keys of its own; their hash of nothing is the number.
    RandomState::new().build_hasher().finish()
}
