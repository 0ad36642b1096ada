//! Ticks at regular times.

use crate::context;
use crate::sleep::Sleep;
use asyncio_base::record;
use asyncio_base::wait::WaitKind;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// What an [`Interval`] does when a tick was asked for too late, after the time of the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTicks {
    /// Catch up: the missed ticks come at once, one after the other, and the rhythm stays. Tokio's `Burst`.
    #[default]
    CatchUp,
    /// Begin a new rhythm: the next tick comes a period after the late one. Tokio's `Delay`.
    StartOver,
    /// Leave them out: the next tick comes at the next time of the old rhythm. Tokio's `Skip`.
    LeaveOut,
}

/// Ticks every `period`; the first tick comes at once, and sets the rhythm.
///
/// # Panics
///
/// If `period` is zero.
///
/// # Examples
///
/// ```
/// use asyncio_timer::{interval, secs};
///
/// async fn report() {
///     let mut interval = interval(secs(60.0));
///     loop {
///         let scheduled = interval.tick().await;
///         println!("the report of {scheduled:?}");
///     }
/// }
/// # drop(report());
/// ```
///
/// # Python
///
/// No twin: asyncio programs write a loop round `sleep`, which drifts.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    Interval::new(Next::First, period, Location::caller())
}

/// Ticks at `start` and every `period` from there.
///
/// # Panics
///
/// If `period` is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    Interval::new(Next::At(start), period, Location::caller())
}

/// Made by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    next: Next,
    period: Duration,
    missed: MissedTicks,
    /// Set to the next tick while `waiting`.
    sleep: Sleep,
    waiting: bool,
    place: &'static Location<'static>,
}

/// When the next tick is scheduled.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// Whenever it is asked for.
    First,
    At(Instant),
    /// Beyond what an `Instant` can be.
    Never,
}

impl Next {
    fn after(at: Instant, period: Duration) -> Self {
        at.checked_add(period).map_or(Next::Never, Next::At)
    }
}

impl Interval {
    #[track_caller]
    fn new(next: Next, period: Duration, place: &'static Location<'static>) -> Self {
        assert!(!period.is_zero(), "the period of an interval is not zero");
        // Reset before it is polled; never polled with this deadline.
        let sleep = Sleep::unset(place);
        Interval { next, period, missed: MissedTicks::default(), sleep, waiting: false, place }
    }

    /// Chooses what happens to ticks that were asked for too late.
    #[must_use]
    pub fn missed_ticks(mut self, missed: MissedTicks) -> Self {
        self.missed = missed;
        self
    }

    /// The time from one tick to the next.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Begins a new rhythm: the next tick comes a period from now, whatever was due.
    ///
    /// # Panics
    ///
    /// If no loop is running on this thread.
    pub fn reset(&mut self) {
        self.waiting = false;
        self.next = Next::after(now(self.place), self.period);
    }

    /// Waits for the next tick and returns the instant it was scheduled for.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no tick is lost.
    ///
    /// # Panics
    ///
    /// If no loop is running on this thread.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// As [`tick`](Self::tick), for code that polls by hand.
    ///
    /// # Panics
    ///
    /// If no loop is running on this thread.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        if !self.waiting {
            if let Some(tick) = ready!(self.poll_now(cx)) {
                return Poll::Ready(tick);
            }
        }
        ready!(Pin::new(&mut self.sleep).poll(cx));
        self.waiting = false;
        let Next::At(tick) = self.next else {
            unreachable!("an interval waits for a known time");
        };
        // The clock is not asked for the rhythm that never needs it.
        let now = if self.missed == MissedTicks::CatchUp { tick } else { now(self.place) };
        Poll::Ready(self.scheduled(tick, now))
    }

    /// The tick if it is due already; else begins to wait for it.
    fn poll_now(&mut self, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        let now = now(self.place);
        let tick = match self.next {
            Next::First => now,
            Next::At(tick) => tick,
            Next::Never => {
                record::waits_for(WaitKind::Sleep, self.place);
                return Poll::Pending;
            }
        };
        if tick <= now {
            if !record::spend() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(Some(self.scheduled(tick, now)));
        }
        self.sleep.reset(tick);
        self.waiting = true;
        Poll::Ready(None)
    }

    /// A tick scheduled for `tick` happens `now`: schedules the next one.
    fn scheduled(&mut self, tick: Instant, now: Instant) -> Instant {
        let late = now.saturating_duration_since(tick);
        self.next = match self.missed {
            MissedTicks::StartOver if late >= self.period => Next::after(now, self.period),
            MissedTicks::LeaveOut if late >= self.period => {
                let into_period = nanos_duration(late.as_nanos() % self.period.as_nanos());
                Next::after(now, self.period - into_period)
            }
            _ => Next::after(tick, self.period),
        };
        tick
    }
}

/// A span shorter than some `Duration`.
fn nanos_duration(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
}

/// The present of the loop that runs on this thread.
fn now(place: &Location<'_>) -> Instant {
    match context::current() {
        Some(wheel) => wheel.now(),
        None => panic!("no running event loop: used an interval made at {place}"),
    }
}
