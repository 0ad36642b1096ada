//! `timeout`, `wait_for` and their kin: cancel what takes too long, let it clean up, and say so.

use crate::events::now;
use crate::executors::ConcurrentFuture;
use crate::gather::{Gather, GatherAll};
use crate::in_place::scope::ScopedTask;
use crate::tasks::Task;
use asyncio_base::sync::Mutex;
use asyncio_task::{CancelOnDrop, Finished, Polled, Shield, TimeoutDomain};
use asyncio_timer::{Sleep, sleep_until};
use pin_project_lite::pin_project;
use std::any::type_name;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The deadline passed.
///
/// # Python
///
/// `TimeoutError`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeoutError;

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed")
    }
}

impl std::error::Error for TimeoutError {}

impl From<TimeoutError> for io::Error {
    fn from(error: TimeoutError) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

/// When a timeout strikes.
#[derive(Clone, Copy, Debug)]
enum When {
    /// So long after the first poll.
    After(Duration),
    At(Instant),
    Never,
}

/// Whether an `F` is something that goes on already, and awaiting only looks at it; by the names of the types, as an `F` that borrows has no id.
/// Were one not recognised, it would be dropped instead of cancelled.
fn is_under_way<F>() -> bool {
    fn head<T: ?Sized>() -> &'static str {
        let name = type_name::<T>().trim_start_matches("&mut ");
        name.split_once('<').map_or(name, |(head, _)| head)
    }
    let known = [
        head::<Task<()>>(),
        head::<Finished<'_>>(),
        head::<ScopedTask<()>>(),
        head::<CancelOnDrop<()>>(),
        head::<crate::Future<()>>(),
        head::<Shield<Task<()>>>(),
        head::<Gather<Vec<Task<()>>>>(),
        head::<GatherAll<Vec<Task<()>>>>(),
        head::<ConcurrentFuture<()>>(),
    ];
    known.contains(&head::<F>())
}

pin_project! {
    /// Made by [`timeout`], [`timeout_at`] and [`wait_for`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: Option<F>,
        domain: TimeoutDomain,
        alarm: Alarm,
    }
}

impl<F> Timeout<F> {
    fn new(when: When, phase: Phase, future: F) -> Self {
        let alarm = Alarm { when, began: None, sleep: None, phase };
        Timeout { future: Some(future), domain: TimeoutDomain::new(), alarm }
    }

    /// The deadline; `None` without one, or before the first poll of one that counts from there.
    pub fn when(&self) -> Option<Instant> {
        self.alarm.deadline()
    }

    /// Whether the deadline has struck.
    pub fn expired(&self) -> bool {
        self.alarm.phase == Phase::Expired
    }
}

impl<F> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.alarm.phase, &self.future) {
            (Phase::Created | Phase::OnlyLooks, _) => "created",
            (Phase::Active | Phase::Due, Some(_)) => "active",
            (Phase::Active | Phase::Due, None) => "finished",
            (Phase::Expired, Some(_)) => "expiring",
            (Phase::Expired, None) => "expired",
        };
        write!(f, "<Timeout [{state}] when={:?}>", self.when())
    }
}

/// Waits for `future` no longer than `delay` from the first poll.
///
/// When the deadline strikes, what is inside is cancelled and *waited for*: a scope in it may clean up with awaits first. If it answers the
/// cancellation with a value after all, that value is returned. A cancellation from elsewhere passes through. A future that is ready at its
/// first poll is never timed out, and costs no timer.
///
/// # Cancel safety
///
/// Dropping it drops the future. If a cancellation has ended it and it is kept (pinned, and awaited by `&mut` in a
/// [`catch_cancelled`](crate::catch_cancelled)), awaiting it again is cancelled again.
///
/// # Errors
///
/// [`TimeoutError`] if the deadline struck and the cancellation was not answered. If the task itself was cancelled meanwhile, or a timeout round this
/// one has struck, also by a request that was caught inside, there is no error: the cancellation goes on, and of nested timeouts the outermost speaks.
///
/// # Panics
///
/// If it has to wait where no loop runs: "no running event loop". Polled again after it was ready: "a timeout was polled again after it ended".
///
/// # Examples
///
/// ```
/// use asyncio::{TimeoutError, secs, sleep, timeout};
///
/// asyncio::run(async {
///     assert_eq!(timeout(secs(5.0), async { 1 }).await, Ok(1));
///     assert_eq!(timeout(secs(0.01), sleep(secs(5.0))).await, Err(TimeoutError::default()));
/// });
/// ```
///
/// # Python
///
/// `async with asyncio.timeout(delay):`.
pub fn timeout<F: IntoFuture>(delay: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout::new(When::After(delay), Phase::Created, future.into_future())
}

/// As [`timeout`], until a moment on the loop's clock.
///
/// # Python
///
/// `async with asyncio.timeout_at(when):`.
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout::new(When::At(deadline), Phase::Created, future.into_future())
}

/// As [`timeout`], where `None` waits for as long as it takes, and no time at all means: look only. Then a task, a [`Future`](crate::Future) or a
/// gather that is not done is cancelled and waited for, a task that is only borrowed is left alone, and any other future is dropped without a line of it
/// run.
///
/// # Examples
///
/// ```
/// use asyncio::{create_task, wait_for};
/// use std::time::Duration;
///
/// asyncio::run(async {
///     let done = create_task(async { 1 });
///     (&done).await;
///     assert_eq!(wait_for(done, Duration::ZERO).await.unwrap().unwrap(), 1);
///     assert!(wait_for(async { unreachable!() }, Duration::ZERO).await.is_err());
/// });
/// ```
///
/// # Python
///
/// `asyncio.wait_for()`.
pub fn wait_for<F: IntoFuture>(
    future: F,
    limit: impl Into<Option<Duration>>,
) -> Timeout<F::IntoFuture> {
    let (when, phase) = match limit.into() {
        None => (When::Never, Phase::Created),
        Some(Duration::ZERO) if !is_under_way::<F::IntoFuture>() => (When::Never, Phase::OnlyLooks),
        Some(limit) => (When::After(limit), Phase::Created),
    };
    Timeout::new(when, phase, future.into_future())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Created,
    Active,
    /// The deadline has passed, at the start or since, and strikes in the task's next turn, before what is inside runs: after every other deadline of
    /// this turn, so that of two with one deadline the outer one speaks.
    Due,
    /// The deadline has struck.
    Expired,
    /// It is over before the first poll.
    OnlyLooks,
}

/// The timer of a timeout: not made before it has to wait.
struct Alarm {
    when: When,
    /// When it was first polled, if it counts from there.
    began: Option<Instant>,
    sleep: Option<Sleep>,
    phase: Phase,
}

impl Alarm {
    /// The first poll: what counts from now, counts.
    #[inline(always)]
    fn begin(&mut self) {
        self.phase = Phase::Active;
        let has_passed = match self.when {
            When::After(delay) => {
                self.began = Some(now());
                delay.is_zero()
            }
            _ => self.has_passed(),
        };
        if has_passed {
            self.phase = Phase::Due;
        }
    }

    /// Whether it counts from nowhere and is due all the same.
    #[inline(never)]
    fn has_passed(&self) -> bool {
        matches!(self.when, When::At(deadline) if deadline <= now())
    }

    /// The deadline, once it is known.
    fn deadline(&self) -> Option<Instant> {
        match self.when {
            // Beyond the clock's range is never.
            When::After(delay) => self.began?.checked_add(delay),
            When::At(deadline) => Some(deadline),
            When::Never => None,
        }
    }

    /// It is pending: has the task woken for the deadline, and for the turn in which it strikes.
    #[inline(never)]
    fn arm(&mut self, cx: &mut Context<'_>) {
        if self.phase == Phase::Active && !self.is_due(cx) {
            return;
        }
        if self.phase == Phase::Due {
            cx.waker().wake_by_ref();
        }
    }

    /// Whether the deadline has passed; if not, the task is woken when it does.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        if self.sleep.is_none() {
            self.sleep = self.deadline().map(sleep_until);
        }
        let Some(sleep) = &mut self.sleep else { return false };
        if Pin::new(sleep).poll(cx).is_pending() {
            return false;
        }
        self.sleep = None;
        self.phase = Phase::Due;
        true
    }

    fn set(&mut self, deadline: Option<Instant>) {
        match (deadline, &mut self.sleep) {
            (Some(deadline), Some(sleep)) => sleep.reset(deadline),
            (None, sleep) => *sleep = None,
            (Some(_), None) => {}
        }
        self.when = deadline.map_or(When::Never, When::At);
        if self.phase == Phase::Due {
            self.phase = Phase::Active;
        }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimeoutError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.alarm.phase {
            Phase::Active => {}
            Phase::Created => this.alarm.begin(),
            _ => {
                let ended = strikes(this.alarm, this.domain, this.future.as_mut(), cx);
                if let Some(outcome) = ended {
                    return Poll::Ready(outcome);
                }
            }
        }
        match this.domain.poll(this.future.as_mut(), cx) {
            Polled::Returned(output) => Poll::Ready(Ok(output)),
            Polled::Cancelled => Poll::Ready(Err(TimeoutError)),
            Polled::Waits { is_woken } => {
                // There is another turn, by which it is most often ready: no timer yet.
                if !is_woken {
                    this.alarm.arm(cx);
                }
                Poll::Pending
            }
        }
    }
}

/// If the deadline is due it strikes, before what is inside is polled; gives the outcome if that is the end of all.
///
/// It strikes what is below it where it is polled now. If that is another place than before, what is inside is polled there first; and if it had struck in
/// the other place, and nobody had answered, it strikes once more.
#[cold]
#[inline(never)]
fn strikes<F: Future>(
    alarm: &mut Alarm,
    domain: &mut TimeoutDomain,
    mut future: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Option<Result<F::Output, TimeoutError>> {
    // A cancellation has ended it.
    if future.is_none() {
        return None;
    }
    if alarm.phase == Phase::OnlyLooks {
        alarm.phase = Phase::Expired;
        future.set(None);
        return Some(Err(TimeoutError));
    }
    let standing = domain.standing();
    if alarm.phase != Phase::Due && !standing.is_cut_short {
        return None;
    }
    if !standing.is_here {
        if let Polled::Returned(output) = domain.poll(future.as_mut(), cx) {
            return Some(Ok(output));
        }
    }
    alarm.phase = Phase::Expired;
    domain.strike(future).then_some(Err(TimeoutError))
}

/// The deadline of a [`timeout_scope`], to look at and to move.
///
/// # Python
///
/// `asyncio.Timeout`.
#[derive(Clone)]
pub struct Deadline(Arc<Mutex<Shared>>);

struct Shared {
    when: Option<Instant>,
    moved: bool,
    phase: ScopePhase,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScopePhase {
    Active,
    Expiring,
    Expired,
    Finished,
}

/// The deadline of a scope that has struck, or whose scope has ended, cannot be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineOver {
    state: &'static str,
}

impl fmt::Display for DeadlineOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot change state of {} Timeout", self.state)
    }
}

impl std::error::Error for DeadlineOver {}

impl Deadline {
    /// The deadline; `None` while there is none.
    pub fn when(&self) -> Option<Instant> {
        self.0.lock().when
    }

    /// Whether the deadline has struck, also after the scope has ended.
    pub fn expired(&self) -> bool {
        matches!(self.0.lock().phase, ScopePhase::Expiring | ScopePhase::Expired)
    }

    /// Moves the deadline, or takes it away.
    ///
    /// # Errors
    ///
    /// If it has struck, or the scope has ended.
    ///
    /// # Python
    ///
    /// `Timeout.reschedule()`.
    pub fn reschedule(&self, when: impl Into<Option<Instant>>) -> Result<(), DeadlineOver> {
        let when = when.into();
        let mut shared = self.0.lock();
        let state = match shared.phase {
            ScopePhase::Active => {
                (shared.when, shared.moved) = (when, true);
                let waker = shared.waker.take();
                drop(shared);
                waker.into_iter().for_each(Waker::wake);
                return Ok(());
            }
            ScopePhase::Expiring => "expiring",
            ScopePhase::Expired => "expired",
            ScopePhase::Finished => "finished",
        };
        Err(DeadlineOver { state })
    }

    fn set_phase(&self, phase: ScopePhase) {
        self.0.lock().phase = phase;
    }

    /// The new deadline, if it was moved since the last look; leaves the waker for the next move. If it was not and is due, it cannot be moved from
    /// now on.
    fn moved(&self, waker: &Waker, is_due: bool) -> Option<Option<Instant>> {
        let waker = waker.clone();
        let mut shared = self.0.lock();
        let stale = shared.waker.replace(waker);
        let moved = std::mem::take(&mut shared.moved).then_some(shared.when);
        if is_due && moved.is_none() {
            shared.phase = ScopePhase::Expiring;
        }
        drop(shared);
        drop(stale);
        moved
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.try_lock() {
            Some(shared) => {
                let state = format!("{:?}", shared.phase).to_lowercase();
                write!(f, "<Timeout [{state}] when={:?}>", shared.when)
            }
            None => f.write_str("<Timeout locked>"),
        }
    }
}

/// Runs the future that `body` makes of its [`Deadline`], which it may look at and move.
///
/// # Cancel safety
///
/// As [`timeout`].
///
/// # Errors
///
/// As [`timeout`].
///
/// # Examples
///
/// ```
/// use asyncio::{now, secs, sleep, timeout_scope};
///
/// asyncio::run(async {
///     let outcome = timeout_scope(secs(0.01), async |deadline| {
///         deadline.reschedule(now() + secs(10.0)).unwrap();
///         sleep(secs(0.02)).await;
///         "in time"
///     });
///     assert_eq!(outcome.await, Ok("in time"));
/// });
/// ```
///
/// # Python
///
/// `async with asyncio.timeout(delay) as deadline:`.
pub async fn timeout_scope<R>(
    delay: impl Into<Option<Duration>>,
    body: impl AsyncFnOnce(Deadline) -> R,
) -> Result<R, TimeoutError> {
    let when = delay.into().and_then(|delay| now().checked_add(delay));
    let shared = Shared { when, moved: false, phase: ScopePhase::Active, waker: None };
    let deadline = Deadline(Arc::new(Mutex::new(shared)));
    let (when, body) = (when.map_or(When::Never, When::At), body(deadline.clone()));
    let mut timeout = std::pin::pin!(Timeout::new(when, Phase::Created, body));
    let outcome = std::future::poll_fn(|cx| poll_scope(timeout.as_mut(), &deadline, cx)).await;
    let expired = deadline.expired();
    deadline.set_phase(if expired { ScopePhase::Expired } else { ScopePhase::Finished });
    outcome
}

fn poll_scope<F: Future>(
    mut timeout: Pin<&mut Timeout<F>>,
    deadline: &Deadline,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, TimeoutError>> {
    let polled = timeout.as_mut().poll(cx);
    if polled.is_ready() {
        return polled;
    }
    while let Some(when) = deadline.moved(cx.waker(), timeout.alarm.phase == Phase::Due) {
        // Moved while it was polled: the timer has to be armed for the new one. What is inside is not polled again: another timeout in there would take that for
        // a turn of the task and strike before this one.
        let alarm = timeout.as_mut().project().alarm;
        alarm.set(when);
        alarm.arm(cx);
    }
    Poll::Pending
}
