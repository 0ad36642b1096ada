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
use std::mem;
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
    Sleep { state: State::Delay(delay), place: Location::caller() }
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
    Sleep { state: State::Until { deadline, on: None }, place: Location::caller() }
}

/// The future of [`sleep`] and [`sleep_until`]. It is `Unpin`: it may be kept and moved, also between polls.
///
/// It stays in the wheel of the worker that polled it first, wherever it goes. Once it was ready it stays ready until it is
/// [reset](Self::reset). After its loop was closed one that had not fired stays pending, and so does one that is polled first then.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    state: State,
    place: &'static Location<'static>,
}

enum State {
    /// Not polled yet: the time has not begun to run.
    Delay(Duration),
    /// Not polled since the deadline was set. `on`: the wheel it is bound to.
    Until { deadline: Instant, on: Option<Arc<WorkerWheel>> },
    /// In a wheel until it fires: then the key names nothing.
    Armed { wheel: Arc<WorkerWheel>, key: Key, deadline: u64 },
    /// Has given way to others once.
    Yielded(Option<Instant>),
    /// Polled first when the loop was closed.
    Refused(Option<Instant>),
    /// Was ready.
    Elapsed(Option<Instant>),
}

impl Sleep {
    /// A sleep to be reset before it is polled.
    pub(crate) fn unset(place: &'static Location<'static>) -> Self {
        Sleep { state: State::Delay(Duration::MAX), place }
    }

    /// A sleep bound to a wheel.
    pub(crate) fn on(
        wheel: Arc<WorkerWheel>,
        deadline: Instant,
        place: &'static Location<'static>,
    ) -> Self {
        Sleep { state: State::Until { deadline, on: Some(wheel) }, place }
    }

    /// Sets another deadline, before or after the first poll, and also when the old one has passed.
    ///
    /// A future that was polled since it was made or reset wakes its task at the new deadline without another poll.
    /// To a later deadline this costs next to nothing.
    pub fn reset(&mut self, deadline: Instant) {
        let on = match &mut self.state {
            State::Armed { wheel, key, deadline: current } => {
                let nanos = wheel.nanos(deadline);
                if wheel.reschedule(*key, *current, nanos) {
                    *current = nanos;
                    return;
                }
                Some(wheel.clone())
            }
            State::Until { on, .. } => on.take(),
            _ => None,
        };
        self.state = State::Until { deadline, on };
    }

    /// When it ends: `None` for a [`sleep`] before its first poll, and for a time beyond what an [`Instant`] can be.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Delay(_) => None,
            State::Until { deadline, .. } => Some(*deadline),
            State::Armed { wheel, deadline, .. } => wheel.instant(*deadline),
            State::Yielded(at) | State::Refused(at) | State::Elapsed(at) => *at,
        }
    }

    /// Whether the next poll is ready because the deadline has passed and its loop has taken notice.
    pub fn is_elapsed(&self) -> bool {
        match &self.state {
            State::Armed { wheel, key, .. } => wheel.has_fired(*key),
            State::Yielded(_) | State::Elapsed(_) => true,
            State::Delay(_) | State::Until { .. } | State::Refused(_) => false,
        }
    }

    /// The first poll since the deadline was set.
    fn start(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Delay(delay) => {
                let delay = *delay;
                if delay.is_zero() {
                    return self.give_way(None, cx);
                }
                let wheel = running_wheel(self.place);
                let now = wheel.nanos(wheel.now());
                self.arm(wheel, now.saturating_add(duration_nanos(delay)), cx)
            }
            State::Until { deadline, on } => {
                let deadline = *deadline;
                let wheel = on.take().unwrap_or_else(|| running_wheel(self.place));
                if deadline <= wheel.now() {
                    return self.give_way(Some(deadline), cx);
                }
                let nanos = wheel.nanos(deadline);
                self.arm(wheel, nanos, cx)
            }
            _ => unreachable!("only an unarmed sleep starts"),
        }
    }

    /// Nothing to wait for, but others come first.
    fn give_way(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        self.state = State::Yielded(deadline);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn arm(&mut self, wheel: Arc<WorkerWheel>, deadline: u64, cx: &mut Context<'_>) -> Poll<()> {
        self.state = match wheel.arm(deadline, cx.waker().clone()) {
            Some(key) => State::Armed { wheel, key, deadline },
            None => State::Refused(wheel.instant(deadline)),
        };
        self.pending()
    }

    fn pending(&self) -> Poll<()> {
        record::waits_for(WaitKind::Sleep, self.place);
        Poll::Pending
    }
}

/// The wheel of the worker that polls.
fn running_wheel(place: &Location<'_>) -> Arc<WorkerWheel> {
    match context::current() {
        Some(wheel) => wheel,
        None => panic!("no running event loop: polled a sleep made at {place}"),
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        match &this.state {
            State::Delay(_) | State::Until { .. } => return this.start(cx),
            State::Armed { wheel, key, .. } => match wheel.poll(*key, cx.waker()) {
                Status::Waiting => return this.pending(),
                Status::Fired => {}
            },
            State::Refused(_) => return this.pending(),
            State::Yielded(_) => {}
            State::Elapsed(_) => return Poll::Ready(()),
        }
        // Armed means fired here, so there is nothing to cancel; the wheel is let go.
        let deadline = this.deadline();
        this.state = State::Elapsed(deadline);
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // The state moves out first: dropping a waker runs code of others, which may panic.
        if let State::Armed { wheel, key, deadline } =
            mem::replace(&mut self.state, State::Elapsed(None))
        {
            wheel.cancel(key, deadline);
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
