//! The settable future. Its protocol is `asyncio_scheduler::promise`.

pub(crate) mod main_future;

use crate::diagnostics::ExceptionContext;
use crate::events::{EventLoop, copied_context, lent_event_loop};
use crate::exceptions::{CancelledError, InvalidStateError};
use asyncio_base::context::ContextSlot;
use asyncio_base::record;
use asyncio_base::shelf::{ShelfArc, ShelfWeak};
use asyncio_base::wait::WaitKind;
use asyncio_scheduler::callback::Kind;
use asyncio_scheduler::promise::{Held, ListenerId, Outcome, Promise};
use asyncio_task::{Forward, Shieldable};
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// An error that many awaiters can be given: the default of [`Future`].
pub type SharedError = Arc<dyn Error + Send + Sync>;

/// Why awaiting a [`Future`] gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FutureError<E> {
    /// The future was cancelled.
    Cancelled(CancelledError),
    /// What was given to [`Future::set_exception`].
    Exception(E),
}

impl<E: fmt::Display> fmt::Display for FutureError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FutureError::Cancelled(error) => error.fmt(f),
            FutureError::Exception(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for FutureError<E> {}

/// A result that somebody sets and any number of tasks await.
///
/// Clones are the same future. It is pending until [`set_result`](Self::set_result), [`set_exception`](Self::set_exception) or
/// [`cancel`](Self::cancel) finishes it, once and for all; then its awaiters wake and its done-callbacks are queued, in the order in which
/// they came.
///
/// Awaiting gives a clone of the outcome to each awaiter; [`take`](Self::take) moves one that cannot be cloned to the one who takes it. The `Clone` of
/// an outcome may use the future that it lies in, but for looking at the outcome, which panics.
///
/// A cancel of a task that awaits cancels the future too, for everybody; see [`shield`](crate::shield) for an await that does not.
///
/// # Cancel safety
///
/// A dropped await changes nothing for the future.
///
/// # Examples
///
/// ```
/// use asyncio::Future;
///
/// asyncio::run(async {
///     let future: Future<u32> = asyncio::get_running_loop().create_future();
///     let setter = future.clone();
///     asyncio::get_running_loop().call_soon(move || setter.set_result(7).unwrap());
///     assert_eq!(future.clone().await.unwrap(), 7);
///     assert_eq!(future.result().unwrap().unwrap(), 7);
/// });
/// ```
///
/// # Python
///
/// `asyncio.Future`. Never confused with `std::future::Future`, the trait: this one is a type.
pub struct Future<T, E = SharedError> {
    shared: ShelfArc<Shared<T, E>>,
    /// This clone's place among the listeners, while it waits.
    waiting: Option<ListenerId>,
    /// Passes a cancel of whoever awaits this clone on to the future.
    forward: Forward,
}

struct Shared<T, E> {
    event_loop: EventLoop,
    location: &'static Location<'static>,
    promise: Promise<T, E, Box<dyn Callback<T, E>>>,
}

/// Names one registered done-callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(ListenerId);

/// What is told of the end of a future.
trait Callback<T, E>: Send {
    /// Called once, by whoever finished the future, or added the callback later.
    fn tell(self: Box<Self>, future: &Future<T, E>);

    /// Where it was registered, if the program did that.
    fn location(&self) -> Option<&'static Location<'static>>;
}

/// A done-callback: goes to the loop's lane.
struct Done<F> {
    function: F,
    context: ContextSlot,
    location: &'static Location<'static>,
}

impl<T, E, F> Callback<T, E> for Done<F>
where
    T: Send + 'static,
    E: Send + 'static,
    F: FnOnce(&Future<T, E>) + Send + 'static,
{
    fn tell(self: Box<Self>, future: &Future<T, E>) {
        let Done { function, context, location } = *self;
        let (scheduler, future) = (future.shared.event_loop.scheduler(), future.clone());
        // A closed loop drops the callback.
        let _ = scheduler.call(Kind::Plain, context, location, move || function(&future));
    }

    fn location(&self) -> Option<&'static Location<'static>> {
        Some(self.location)
    }
}

/// Called by whoever cancels the future, there and then.
struct OnCancel<F>(F);

impl<T, E, F: FnOnce() + Send> Callback<T, E> for OnCancel<F> {
    fn tell(self: Box<Self>, future: &Future<T, E>) {
        if future.cancelled() {
            (self.0)();
        }
    }

    fn location(&self) -> Option<&'static Location<'static>> {
        None
    }
}

/// A future that is not kept by this.
pub(crate) struct WeakFuture<T, E>(ShelfWeak<Shared<T, E>>);

impl<T, E> WeakFuture<T, E> {
    pub(crate) fn upgrade(&self) -> Option<Future<T, E>> {
        self.0.upgrade().map(|shared| Future { shared, waiting: None, forward: Forward::new() })
    }
}

const NOT_READY: InvalidStateError = InvalidStateError::new("Result is not ready.");
const NOT_SET: InvalidStateError = InvalidStateError::new("Exception is not set.");
const ALREADY: InvalidStateError = InvalidStateError::new("invalid state: the future is done");
const TAKEN: InvalidStateError = InvalidStateError::new("Result was taken.");

impl<T, E> Future<T, E> {
    /// A pending future of the running loop, else of the loop set for this thread.
    ///
    /// # Panics
    ///
    /// If there is neither.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it needs a loop, so there is no default")]
    pub fn new() -> Self {
        match lent_event_loop() {
            Ok(event_loop) => Self::on(&event_loop),
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    pub(crate) fn on(event_loop: &EventLoop) -> Self {
        let location = Location::caller();
        let shared = ShelfArc::with(|| {
            let event_loop = event_loop.clone();
            Shared { event_loop, location, promise: Promise::new() }
        });
        Future { shared, waiting: None, forward: Forward::new() }
    }

    /// The loop whose lane runs the done-callbacks.
    pub fn get_loop(&self) -> EventLoop {
        self.shared.event_loop.clone()
    }

    /// Whether the future is finished, in whatever way.
    pub fn done(&self) -> bool {
        self.shared.promise.is_done()
    }

    /// Whether the future was cancelled.
    pub fn cancelled(&self) -> bool {
        self.shared.promise.is_cancelled()
    }

    /// The outcome.
    ///
    /// # Errors
    ///
    /// While the future is pending ("Result is not ready."), and after the outcome was taken.
    ///
    /// # Python
    ///
    /// `Future.result()`, with what it would raise as the inner error.
    pub fn result(&self) -> Result<Result<T, FutureError<E>>, InvalidStateError>
    where
        T: Clone,
        E: Clone,
    {
        self.shared.promise.look(|held| match held {
            Held::Pending => Err(NOT_READY),
            Held::Taken => Err(TAKEN),
            Held::Outcome(outcome) => Ok(copied(outcome)),
        })
    }

    /// The exception, `None` if the future has a result.
    ///
    /// # Errors
    ///
    /// While the future is pending ("Exception is not set."), and after the outcome was taken.
    ///
    /// # Python
    ///
    /// `Future.exception()`, with the `CancelledError` it would raise as the inner error.
    pub fn exception(&self) -> Result<Result<Option<E>, CancelledError>, InvalidStateError>
    where
        E: Clone,
    {
        self.shared.promise.look(|held| match held {
            Held::Pending => Err(NOT_SET),
            Held::Taken => Err(TAKEN),
            Held::Outcome(Outcome::Value(_)) => Ok(Ok(None)),
            Held::Outcome(Outcome::Error(error)) => Ok(Ok(Some(error.clone()))),
            Held::Outcome(Outcome::Cancelled(error)) => Ok(Err((**error).clone())),
        })
    }

    /// Adds a callback for the moment the future is finished: it is called on the loop's lane, in the order of registration and in a copy of
    /// the caller's context. If the future is finished it is queued at once, never called inside this call.
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + Send + 'static) -> CallbackId
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.register(callback, copied_context(), Location::caller())
    }

    /// As [`add_done_callback`](Self::add_done_callback), in `context`.
    #[track_caller]
    pub fn add_done_callback_in(
        &self,
        context: &crate::Context,
        callback: impl FnOnce(&Self) + Send + 'static,
    ) -> CallbackId
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let context = ContextSlot::with(context.clone());
        self.register(callback, context, Location::caller())
    }

    fn register(
        &self,
        function: impl FnOnce(&Self) + Send + 'static,
        context: ContextSlot,
        location: &'static Location<'static>,
    ) -> CallbackId
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let callback = Box::new(Done { function, context, location });
        CallbackId(self.shared.promise.add_callback(callback, |callback| callback.tell(self)))
    }

    pub(crate) fn downgrade(&self) -> WeakFuture<T, E> {
        WeakFuture(self.shared.downgrade())
    }

    /// Has `function` called by whoever cancels this future, which is new, at once and on whatever thread that is.
    pub(crate) fn on_cancel(&self, function: impl FnOnce() + Send + 'static) {
        self.shared.promise.add_callback(Box::new(OnCancel(function)), drop);
    }

    /// Forgets a callback; false if it was not registered here, or is queued already.
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        self.shared.promise.remove_callback(id.0).is_some()
    }

    /// Finishes the future with a value.
    ///
    /// # Errors
    ///
    /// If it is finished already; the value is dropped.
    pub fn set_result(&self, value: T) -> Result<(), InvalidStateError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.finish(Outcome::Value(value), None)
    }

    /// Finishes the future with an error. One that nobody looks at is reported to the loop's exception handler when the last clone of the
    /// future is dropped.
    ///
    /// # Errors
    ///
    /// If it is finished already; the error is dropped.
    pub fn set_exception(&self, error: impl Into<E>) -> Result<(), InvalidStateError>
    where
        T: Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        self.finish(Outcome::Error(error.into()), Some(|error| format!("{error:?}")))
    }

    /// Cancels the future; false if it is finished already. An unseen error of a finished one is not reported any more.
    pub fn cancel(&self) -> bool
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.cancel_by(CancelledError::default())
    }

    /// As [`cancel`](Self::cancel), with a message that every awaiter sees.
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.cancel_by(CancelledError::new(Some(message.into())))
    }

    fn cancel_by(&self, error: CancelledError) -> bool {
        let cancelled = self.finish(Outcome::Cancelled(Box::new(error)), None).is_ok();
        if !cancelled {
            self.shared.promise.forgive();
        }
        cancelled
    }

    #[inline]
    fn finish(
        &self,
        outcome: Outcome<T, E>,
        unseen: Option<fn(&E) -> String>,
    ) -> Result<(), InvalidStateError> {
        let tell = |callback: Box<dyn Callback<T, E>>| callback.tell(self);
        self.shared.promise.finish(outcome, unseen, tell).map_err(|_outcome| ALREADY)
    }

    /// Waits for the outcome and moves it out; for types that cannot be cloned. Whoever comes later finds it taken.
    ///
    /// # Panics
    ///
    /// If the outcome was taken before.
    pub async fn take(mut self) -> Result<T, FutureError<E>> {
        std::future::poll_fn(|cx| self.poll_done(cx)).await;
        match self.shared.promise.take() {
            Held::Outcome(Outcome::Value(value)) => Ok(value),
            Held::Outcome(Outcome::Error(error)) => Err(FutureError::Exception(error)),
            Held::Outcome(Outcome::Cancelled(error)) => Err(FutureError::Cancelled(*error)),
            Held::Pending | Held::Taken => panic!("the outcome of the future was taken"),
        }
    }

    /// Ready once the future is finished; the first poll looks whether the loop refuses this future as its main.
    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none() && main_future::refuses::<Self>(&self.shared.event_loop) {
            return Poll::Pending;
        }
        self.poll_outcome(cx, true)
    }

    /// Ready once the future is finished; a cancel of whoever waits is passed on to the future if `forwards`.
    fn poll_outcome(&mut self, cx: &mut Context<'_>, forwards: bool) -> Poll<()> {
        let ended = self.shared.promise.poll(&mut self.waiting, cx).map(|()| self.cancelled());
        if ended.is_pending() {
            record::waits_for(WaitKind::Future, self.shared.location);
            if !forwards {
                return Poll::Pending;
            }
        }
        // Taken out, as who cancels tells all that listen to this very future.
        let mut forward = std::mem::take(&mut self.forward);
        let cancel = |message| self.cancel_by(CancelledError::new(message));
        let polled = forward.poll(ended, cx.waker(), cancel);
        self.forward = forward;
        polled
    }
}

#[inline]
fn copied<T: Clone, E: Clone>(outcome: &Outcome<T, E>) -> Result<T, FutureError<E>> {
    match outcome {
        Outcome::Value(value) => Ok(value.clone()),
        Outcome::Error(error) => Err(FutureError::Exception(error.clone())),
        Outcome::Cancelled(error) => Err(FutureError::Cancelled((**error).clone())),
    }
}

impl<T: Clone, E: Clone> std::future::Future for Future<T, E> {
    type Output = Result<T, FutureError<E>>;

    /// # Panics
    ///
    /// If the outcome was [taken](Future::take).
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.poll_done(cx));
        Poll::Ready(self.outcome())
    }
}

impl<T: Clone, E: Clone> Shieldable for Future<T, E> {
    type Output = Result<T, FutureError<E>>;

    fn poll_shielded(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.poll_outcome(cx, false));
        Poll::Ready(self.outcome())
    }
}

impl<T: Clone, E: Clone> Future<T, E> {
    /// The outcome of a finished future, for an awaiter.
    #[inline]
    fn outcome(&self) -> Result<T, FutureError<E>> {
        self.shared.promise.look(|held| match held {
            Held::Outcome(outcome) => copied(outcome),
            Held::Pending | Held::Taken => panic!("{TAKEN}"),
        })
    }
}

impl<T, E> Unpin for Future<T, E> {}

impl<T, E> Clone for Future<T, E> {
    fn clone(&self) -> Self {
        Future { shared: self.shared.clone(), waiting: None, forward: Forward::new() }
    }
}

impl<T, E> Drop for Future<T, E> {
    fn drop(&mut self) {
        if let Some(id) = self.waiting {
            self.shared.promise.forget(id);
        }
    }
}

impl<T, E> Drop for Shared<T, E> {
    #[inline]
    fn drop(&mut self) {
        if let Some(text) = self.promise.unseen() {
            self.report(text);
        }
    }
}

impl<T, E> Shared<T, E> {
    #[cold]
    fn report(&self, unseen: String) {
        let report = ExceptionContext::never_retrieved(Unseen(unseen), self.location);
        self.event_loop.call_exception_handler(report);
    }
}

/// The text of an error that nobody retrieved.
#[derive(Debug)]
struct Unseen(String);

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unseen {}

impl<T: fmt::Debug, E: fmt::Debug> fmt::Debug for Future<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shared.promise.peek(|held| match held {
            Held::Pending => f.write_str("<Future pending"),
            Held::Outcome(Outcome::Value(value)) => write!(f, "<Future finished result={value:?}"),
            Held::Outcome(Outcome::Error(error)) => {
                write!(f, "<Future finished exception={error:?}")
            }
            Held::Outcome(Outcome::Cancelled(_)) => f.write_str("<Future cancelled"),
            Held::Taken => f.write_str("<Future finished taken"),
        });
        match shown {
            Some(shown) => shown?,
            None => return f.write_str("<Future locked>"),
        }
        debug_callbacks(f, &self.shared.promise.callbacks(|callback| callback.location()))?;
        f.write_str(">")
    }
}

/// `cb=[first]`, `cb=[first, second]` or `cb=[first, <n more>, last]`: where the callbacks were registered.
fn debug_callbacks(f: &mut fmt::Formatter<'_>, places: &[&Location<'_>]) -> fmt::Result {
    match places {
        [] => Ok(()),
        [one] => write!(f, " cb=[{one}]"),
        [first, last] => write!(f, " cb=[{first}, {last}]"),
        [first, .., last] => write!(f, " cb=[{first}, <{} more>, {last}]", places.len() - 2),
    }
}
