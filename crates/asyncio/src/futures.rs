//! The settable future.

use crate::diagnostics::ExceptionContext;
use crate::events::{EventLoop, copied_context, get_event_loop};
use crate::exceptions::{CancelledError, InvalidStateError};
use asyncio_base::context::ContextSlot;
use asyncio_base::record;
use asyncio_base::sync::Mutex;
use asyncio_base::wait::WaitKind;
use asyncio_scheduler::callback::Kind;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

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
/// Awaiting gives a clone of the outcome to each awaiter; [`take`](Self::take) moves one that cannot be cloned to the one who takes it.
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
    shared: Arc<Shared<T, E>>,
    /// This clone's place among the listeners, while it waits.
    waiting: Option<CallbackId>,
}

struct Shared<T, E> {
    event_loop: EventLoop,
    location: &'static Location<'static>,
    state: Mutex<State<T, E>>,
}

/// Names one registered done-callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

struct State<T, E> {
    outcome: Outcome<T, E>,
    /// Those who wait, in the order in which they came.
    listeners: Vec<(CallbackId, Listener<T, E>)>,
    next_id: u64,
    /// An error that nobody has seen is reported when the future goes away: this makes its text.
    unseen: Option<fn(&E) -> String>,
}

enum Outcome<T, E> {
    Pending,
    Result(T),
    Exception(E),
    Cancelled(CancelledError),
    Taken,
}

type Callback<T, E> = Box<dyn FnOnce(&Future<T, E>) + Send>;

enum Listener<T, E> {
    Task(Waker),
    Callback(Callback<T, E>, ContextSlot, &'static Location<'static>),
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
        match get_event_loop() {
            Ok(event_loop) => Self::on(&event_loop),
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    pub(crate) fn on(event_loop: &EventLoop) -> Self {
        let state =
            State { outcome: Outcome::Pending, listeners: Vec::new(), next_id: 0, unseen: None };
        let (event_loop, location) = (event_loop.clone(), Location::caller());
        let shared = Arc::new(Shared { event_loop, location, state: Mutex::new(state) });
        Future { shared, waiting: None }
    }

    /// The loop whose lane runs the done-callbacks.
    pub fn get_loop(&self) -> EventLoop {
        self.shared.event_loop.clone()
    }

    /// Whether the future is finished, in whatever way.
    pub fn done(&self) -> bool {
        !matches!(self.shared.state.lock().outcome, Outcome::Pending)
    }

    /// Whether the future was cancelled.
    pub fn cancelled(&self) -> bool {
        matches!(self.shared.state.lock().outcome, Outcome::Cancelled(_))
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
        let mut state = self.shared.state.lock();
        let outcome = match &state.outcome {
            Outcome::Pending => return Err(NOT_READY),
            Outcome::Taken => return Err(TAKEN),
            Outcome::Result(value) => Ok(value.clone()),
            Outcome::Exception(error) => Err(FutureError::Exception(error.clone())),
            Outcome::Cancelled(error) => Err(FutureError::Cancelled(error.clone())),
        };
        state.unseen = None;
        Ok(outcome)
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
        let mut state = self.shared.state.lock();
        let exception = match &state.outcome {
            Outcome::Pending => return Err(NOT_SET),
            Outcome::Taken => return Err(TAKEN),
            Outcome::Result(_) => Ok(None),
            Outcome::Exception(error) => Ok(Some(error.clone())),
            Outcome::Cancelled(error) => Err(error.clone()),
        };
        state.unseen = None;
        Ok(exception)
    }

    /// Adds a callback for the moment the future is finished: it is called on the loop's lane, in the order of registration and in a copy of
    /// the caller's context. If the future is finished it is queued at once, never called inside this call.
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + Send + 'static) -> CallbackId
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.register(Box::new(callback), copied_context(), Location::caller())
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
        self.register(Box::new(callback), context, Location::caller())
    }

    fn register(
        &self,
        callback: Callback<T, E>,
        context: ContextSlot,
        location: &'static Location<'static>,
    ) -> CallbackId
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let mut state = self.shared.state.lock();
        let listener = Listener::Callback(callback, context, location);
        if matches!(state.outcome, Outcome::Pending) {
            return state.listen(listener);
        }
        let id = state.next_id();
        drop(state);
        self.notify(listener);
        id
    }

    /// Forgets a callback; false if it was not registered here, or is queued already.
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        let removed = self.shared.state.lock().forget(id);
        removed.is_some()
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
        self.finish(Outcome::Result(value), None)
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
        self.finish(Outcome::Exception(error.into()), Some(|error| format!("{error:?}")))
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

    fn cancel_by(&self, error: CancelledError) -> bool
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let cancelled = self.finish(Outcome::Cancelled(error), None).is_ok();
        if !cancelled {
            self.shared.state.lock().unseen = None;
        }
        cancelled
    }

    fn finish(
        &self,
        outcome: Outcome<T, E>,
        unseen: Option<fn(&E) -> String>,
    ) -> Result<(), InvalidStateError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let mut state = self.shared.state.lock();
        if !matches!(state.outcome, Outcome::Pending) {
            return Err(ALREADY);
        }
        state.outcome = outcome;
        state.unseen = unseen;
        let listeners = std::mem::take(&mut state.listeners);
        drop(state);
        listeners.into_iter().for_each(|(_, listener)| self.notify(listener));
        Ok(())
    }

    /// Tells one who waits; without the lock.
    fn notify(&self, listener: Listener<T, E>)
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        match listener {
            Listener::Task(waker) => waker.wake(),
            Listener::Callback(callback, context, location) => {
                let future = self.clone();
                let call = move || callback(&future);
                // A closed loop drops the callback.
                let _ =
                    self.shared.event_loop.scheduler().call(Kind::Plain, context, location, call);
            }
        }
    }

    /// Waits for the outcome and moves it out; for types that cannot be cloned. Whoever comes later finds it taken.
    ///
    /// # Panics
    ///
    /// If the outcome was taken before.
    pub async fn take(mut self) -> Result<T, FutureError<E>> {
        std::future::poll_fn(|cx| {
            self.poll_done(cx).map(|()| {
                let mut state = self.shared.state.lock();
                state.unseen = None;
                let outcome = std::mem::replace(&mut state.outcome, Outcome::Taken);
                drop(state);
                match outcome {
                    Outcome::Result(value) => Ok(value),
                    Outcome::Exception(error) => Err(FutureError::Exception(error)),
                    Outcome::Cancelled(error) => Err(FutureError::Cancelled(error)),
                    Outcome::Pending | Outcome::Taken => {
                        panic!("the outcome of the future was taken")
                    }
                }
            })
        })
        .await
    }

    /// Ready once the future is finished.
    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Cloned before the lock is taken: a waker is user code.
        let waker = cx.waker().clone();
        let mut state = self.shared.state.lock();
        if !matches!(state.outcome, Outcome::Pending) {
            drop(state);
            self.waiting = None;
            return Poll::Ready(());
        }
        let listener = Listener::Task(waker);
        let replaced = match self.waiting {
            Some(id) => state.replace(id, listener),
            None => {
                self.waiting = Some(state.listen(listener));
                None
            }
        };
        drop(state);
        drop(replaced);
        record::waits_for(WaitKind::Future, self.shared.location);
        Poll::Pending
    }
}

impl<T, E> State<T, E> {
    fn next_id(&mut self) -> CallbackId {
        self.next_id += 1;
        CallbackId(self.next_id)
    }

    fn listen(&mut self, listener: Listener<T, E>) -> CallbackId {
        let id = self.next_id();
        self.listeners.push((id, listener));
        id
    }

    /// Takes a listener out, to be dropped outside the lock.
    fn forget(&mut self, id: CallbackId) -> Option<Listener<T, E>> {
        // Ids grow along the list.
        let index = self.listeners.binary_search_by_key(&id.0, |(id, _)| id.0).ok()?;
        Some(self.listeners.remove(index).1)
    }

    /// Puts a listener in another's place; returns the old one, to be dropped outside the lock.
    fn replace(&mut self, id: CallbackId, listener: Listener<T, E>) -> Option<Listener<T, E>> {
        let index = self.listeners.binary_search_by_key(&id.0, |(id, _)| id.0).ok()?;
        Some(std::mem::replace(&mut self.listeners[index].1, listener))
    }
}

impl<T: Clone, E: Clone> std::future::Future for Future<T, E> {
    type Output = Result<T, FutureError<E>>;

    /// # Panics
    ///
    /// If the outcome was [taken](Future::take).
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_done(cx).map(|()| match self.result() {
            Ok(outcome) => outcome,
            Err(error) => panic!("{error}"),
        })
    }
}

impl<T, E> Unpin for Future<T, E> {}

impl<T, E> Clone for Future<T, E> {
    fn clone(&self) -> Self {
        Future { shared: self.shared.clone(), waiting: None }
    }
}

impl<T, E> Drop for Future<T, E> {
    fn drop(&mut self) {
        if let Some(id) = self.waiting {
            let listener = self.shared.state.lock().forget(id);
            drop(listener);
        }
    }
}

impl<T, E> Drop for Shared<T, E> {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let (Outcome::Exception(error), Some(describe)) = (&state.outcome, state.unseen) {
            let mut report = ExceptionContext::new("Future exception was never retrieved");
            report.exception = Some(Arc::new(Unseen(describe(error))));
            report.source = Some(self.location);
            self.event_loop.call_exception_handler(report);
        }
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
        let Some(state) = self.shared.state.try_lock() else {
            return f.write_str("<Future locked>");
        };
        match &state.outcome {
            Outcome::Pending => f.write_str("<Future pending"),
            Outcome::Result(value) => write!(f, "<Future finished result={value:?}"),
            Outcome::Exception(error) => write!(f, "<Future finished exception={error:?}"),
            Outcome::Cancelled(_) => f.write_str("<Future cancelled"),
            Outcome::Taken => f.write_str("<Future finished taken"),
        }?;
        state.debug_callbacks(f)?;
        f.write_str(">")
    }
}

impl<T, E> State<T, E> {
    /// `cb=[first]`, `cb=[first, second]` or `cb=[first, <n more>, last]`: where the callbacks were registered.
    fn debug_callbacks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<_> = self
            .listeners
            .iter()
            .filter_map(|(_, listener)| match listener {
                Listener::Callback(_, _, location) => Some(location),
                Listener::Task(_) => None,
            })
            .collect();
        match places[..] {
            [] => Ok(()),
            [one] => write!(f, " cb=[{one}]"),
            [first, last] => write!(f, " cb=[{first}, {last}]"),
            [first, .., last] => write!(f, " cb=[{first}, <{} more>, {last}]", places.len() - 2),
        }
    }
}
