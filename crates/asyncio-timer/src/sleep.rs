//! Futures that wait for a deadline.

use crate::clock::duration_nanos;
use crate::context;
use crate::wheel::Key;
use crate::worker::{Status, WorkerWheel};
use asyncio_base::record;
use asyncio_base::sync::Arc;
use asyncio_base::wait::WaitKind;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Waits for this long, counted from the first poll.
///
/// As with asyncio's coroutine, calling `sleep` starts nothing: the time runs from the moment the future is first awaited.
/// Use [`sleep_until`] for a deadline that is fixed at once. A zero delay lets other tasks run once and does not touch any
/// timer. A delay too long for the clock never ends.
///
/// # Cancel safety
///
/// Dropping the future removes the timer.
///
/// # Panics
///
/// The first poll panics if the delay is not zero and no loop is running on this thread.
///
/// # Examples
///
/// ```
/// use asyncio_timer::{secs, sleep};
///
/// async fn twice_a_second() {
///     loop {
///         println!("tick");
///         sleep(secs(0.5)).await;
///     }
/// }
/// # drop(twice_a_second());
/// ```
///
/// # Python
///
/// `asyncio.sleep(delay)`. There is no `result` argument.
#[track_caller]
pub fn sleep(delay: Duration) -> Sleep {
    Sleep::new(State::Delay(delay), None, Location::caller())
}

/// Waits for this instant. One that has passed lets other tasks run once, as `sleep` with zero does.
///
/// # Cancel safety
///
/// Dropping the future removes the timer.
///
/// # Panics
///
/// The first poll panics if no loop is running on this thread.
///
/// # Python
///
/// No twin: `loop.call_at` takes an absolute time, `asyncio.sleep` does not.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new(State::Until(deadline), None, Location::caller())
}

/// The future of [`sleep`] and [`sleep_until`]. It is `Unpin`: it may be kept and moved, also between polls.
///
/// It stays in the wheel of the worker that polled it first, wherever it goes. Once it was ready it stays ready until it is
/// [reset](Self::reset). After its loop was closed one that had not fired stays pending, and so does one that is polled first then.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    state: State,
    /// Given to [`on`](Self::on): no other wheel will do.
    is_bound: bool,
    /// Where the timer is or was; always there while `Armed`.
    wheel: Option<Arc<WorkerWheel>>,
    place: &'static Location<'static>,
}

#[derive(Clone, Copy)]
enum State {
    /// Not polled yet: the time has not begun to run.
    Delay(Duration),
    /// Not polled since the deadline was set.
    Until(Instant),
    /// In the wheel until it fires: then the key names nothing.
    Armed { key: Key, deadline: u64 },
    /// Has given way to others once.
    Yielded(Option<Instant>),
    /// Polled first when the loop was closed.
    Refused(Option<Instant>),
    /// Was ready.
    Elapsed(Option<Instant>),
}

impl Sleep {
    #[inline]
    fn new(
        state: State,
        wheel: Option<Arc<WorkerWheel>>,
        place: &'static Location<'static>,
    ) -> Self {
        Sleep { state, is_bound: wheel.is_some(), wheel, place }
    }

    /// A sleep to be reset before it is polled.
    pub(crate) fn unset(place: &'static Location<'static>) -> Self {
        Sleep::new(State::Delay(Duration::MAX), None, place)
    }

    /// A sleep bound to a wheel.
    pub(crate) fn on(
        wheel: Arc<WorkerWheel>,
        deadline: Instant,
        place: &'static Location<'static>,
    ) -> Self {
        Sleep::new(State::Until(deadline), Some(wheel), place)
    }

    /// Sets another deadline, before or after the first poll, and also when the old one has passed.
    ///
    /// A future that was polled since it was made or reset wakes its task at the new deadline without another poll.
    /// To a later deadline this costs next to nothing.
    pub fn reset(&mut self, deadline: Instant) {
        if let (State::Armed { key, deadline: current }, Some(wheel)) =
            (&mut self.state, &self.wheel)
        {
            let nanos = wheel.nanos(deadline);
            if wheel.reschedule(*key, *current, nanos) {
                *current = nanos;
                return;
            }
        }
        // It begins anew, with the worker that polls it next.
        self.state = State::Until(deadline);
        if !self.is_bound {
            self.wheel = None;
        }
    }

    /// When it ends: `None` for a [`sleep`] before its first poll, and for a time beyond what an [`Instant`] can be.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Delay(_) => None,
            State::Until(deadline) => Some(deadline),
            State::Armed { deadline, .. } => self.wheel.as_ref()?.instant(deadline),
            State::Yielded(at) | State::Refused(at) | State::Elapsed(at) => at,
        }
    }

    /// Whether the next poll is ready because the deadline has passed and its loop has taken notice.
    pub fn is_elapsed(&self) -> bool {
        match self.state {
            State::Armed { key, .. } => self.wheel.as_ref().is_some_and(|w| w.has_fired(key)),
            State::Yielded(_) | State::Elapsed(_) => true,
            State::Delay(_) | State::Until(_) | State::Refused(_) => false,
        }
    }

    /// The first poll of a relative sleep.
    #[inline]
    fn start(&mut self, delay: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if delay.is_zero() {
            return self.give_way(None, cx);
        }
        let place = self.place;
        let wheel = self.wheel.get_or_insert_with(|| running_wheel(place));
        let deadline = wheel.now_nanos().saturating_add(duration_nanos(delay));
        self.arm(deadline, cx)
    }

    /// The first poll since an absolute deadline was set.
    fn start_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let place = self.place;
        let wheel = self.wheel.get_or_insert_with(|| running_wheel(place));
        if deadline <= wheel.now() {
            return self.give_way(Some(deadline), cx);
        }
        let nanos = wheel.nanos(deadline);
        self.arm(nanos, cx)
    }

    /// Nothing to wait for, but others come first.
    fn give_way(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        self.state = State::Yielded(deadline);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    #[inline]
    fn arm(&mut self, deadline: u64, cx: &mut Context<'_>) -> Poll<()> {
        let wheel = self.wheel.as_ref().expect("a wheel was chosen");
        self.state = match wheel.arm(deadline, cx.waker().clone()) {
            Some(key) => State::Armed { key, deadline },
            None => State::Refused(wheel.instant(deadline)),
        };
        self.pending()
    }

    #[inline]
    fn pending(&self) -> Poll<()> {
        record::waits_for(WaitKind::Sleep, self.place);
        Poll::Pending
    }

    /// Any poll but the first.
    fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let status = match (self.state, &self.wheel) {
            (State::Armed { key, .. }, Some(wheel)) => wheel.poll(key, cx.waker()),
            (State::Refused(_), _) => Status::Waiting,
            _ => Status::Fired,
        };
        match status {
            Status::Waiting => self.pending(),
            Status::Fired => {
                self.state = State::Elapsed(self.deadline());
                Poll::Ready(())
            }
        }
    }
}

/// The wheel of the worker that polls.
#[inline]
fn running_wheel(place: &Location<'_>) -> Arc<WorkerWheel> {
    context::current().unwrap_or_else(|| no_loop(place))
}

#[cold]
fn no_loop(place: &Location<'_>) -> ! {
    panic!("no running event loop: polled a sleep made at {place}")
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        match this.state {
            State::Delay(delay) => this.start(delay, cx),
            State::Until(deadline) => this.start_until(deadline, cx),
            _ => this.poll_again(cx),
        }
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        if let (State::Armed { key, .. }, Some(wheel)) = (self.state, &self.wheel) {
            wheel.cancel(key);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Sleep");
        match &self.state {
            State::Delay(delay) => debug.field("delay", delay),
            _ => debug.field("deadline", &self.deadline()).field("elapsed", &self.is_elapsed()),
        };
        debug.finish()
    }
}
