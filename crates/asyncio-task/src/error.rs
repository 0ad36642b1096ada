//! How a task can end without a value.

use crate::cancel::Origin;
use crate::id::TaskId;
use crate::panics::panic_text;
use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Mutex;

/// A task, or the wait of a task, was cancelled.
///
/// # Python
///
/// `asyncio.CancelledError`; the message is the one given to `cancel`.
#[derive(Clone, Debug)]
#[must_use = "it is passed on by `propagate`, or ended on purpose by `swallow`"]
pub struct CancelledError {
    message: Option<Cow<'static, str>>,
    /// Who asked, for raising it again.
    origin: Origin,
    /// The task in which that means something.
    task: Option<TaskId>,
}

impl Default for CancelledError {
    fn default() -> Self {
        Self::new(None)
    }
}

/// Equal if the messages are.
impl PartialEq for CancelledError {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message
    }
}

impl Eq for CancelledError {}

impl CancelledError {
    /// A cancellation with or without a message.
    pub fn new(message: Option<Cow<'static, str>>) -> Self {
        CancelledError { message, origin: Origin::Task, task: None }
    }

    /// What a scope of this task has caught.
    pub(crate) fn caught(
        message: Option<Cow<'static, str>>,
        origin: Origin,
        task: Option<TaskId>,
    ) -> Self {
        CancelledError { message, origin, task }
    }

    /// The message, and who asked, for a task that raises it: what a domain of another has asked for is no domain's there.
    pub(crate) fn into_parts(self, task: Option<TaskId>) -> (Option<Cow<'static, str>>, Origin) {
        let origin = if self.task == task { self.origin } else { Origin::Task };
        (self.message, origin)
    }

    /// What was given to `cancel_with`.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl fmt::Display for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            None => f.write_str("cancelled"),
            Some(message) => write!(f, "cancelled: {message}"),
        }
    }
}

impl Error for CancelledError {}

impl From<CancelledError> for io::Error {
    /// Of kind `Other`: std retries `Interrupted`.
    fn from(error: CancelledError) -> Self {
        io::Error::other(error)
    }
}

/// The result is not there yet, or there already.
///
/// # Python
///
/// `asyncio.InvalidStateError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidStateError(&'static str);

impl InvalidStateError {
    /// An error that says `message`.
    pub const fn new(message: &'static str) -> Self {
        InvalidStateError(message)
    }
}

impl fmt::Display for InvalidStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for InvalidStateError {}

/// What a panicking task left behind.
pub struct PanicError {
    // A payload is `Send` only; the lock makes the error shareable. Nothing but the payload's own text is read under it.
    payload: Mutex<Box<dyn Any + Send>>,
    message: Box<str>,
}

impl PanicError {
    fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = panic_text(&*payload).unwrap_or("a value that is no text").into();
        PanicError { payload: Mutex::new(payload), message }
    }

    /// The panic's message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The panic's payload.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload.into_inner().unwrap_or_else(|poison| poison.into_inner())
    }
}

impl fmt::Debug for PanicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PanicError").field(&self.message).finish()
    }
}

/// Why awaiting a task gave no value.
///
/// One pointer wide, so that the result of a task that cannot fail is no larger than it must be.
pub struct JoinError(Box<Kind>);

#[derive(Debug)]
enum Kind {
    Cancelled(CancelledError),
    Panicked(PanicError),
    Failed,
}

impl JoinError {
    /// The task was cancelled.
    pub fn cancelled(error: CancelledError) -> Self {
        JoinError(Box::new(Kind::Cancelled(error)))
    }

    /// The task panicked.
    pub fn panicked(payload: Box<dyn Any + Send>) -> Self {
        JoinError(Box::new(Kind::Panicked(PanicError::new(payload))))
    }

    /// The task failed and its error went to the group it belongs to.
    pub fn failed() -> Self {
        JoinError(Box::new(Kind::Failed))
    }

    /// Whether the task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(*self.0, Kind::Cancelled(_))
    }

    /// Whether the task failed, by an error or a panic, and left that to its group.
    pub fn is_failed(&self) -> bool {
        matches!(*self.0, Kind::Failed)
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(*self.0, Kind::Panicked(_))
    }

    /// The cancellation, if it is one.
    pub fn as_cancelled(&self) -> Option<&CancelledError> {
        match &*self.0 {
            Kind::Cancelled(error) => Some(error),
            Kind::Panicked(_) | Kind::Failed => None,
        }
    }

    /// The panic, if it is one.
    pub fn as_panic(&self) -> Option<&PanicError> {
        match &*self.0 {
            Kind::Cancelled(_) | Kind::Failed => None,
            Kind::Panicked(error) => Some(error),
        }
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Errors
    ///
    /// Gives the error back if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        match *self.0 {
            Kind::Panicked(error) => Ok(error.into_payload()),
            kind => Err(JoinError(Box::new(kind))),
        }
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// If the task did not panic; see [`try_into_panic`](Self::try_into_panic).
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("into_panic on a task that did not panic: {error}"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinError").field(&self.0).finish()
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Cancelled(error) => match error.message() {
                None => f.write_str("the task was cancelled"),
                Some(message) => write!(f, "the task was cancelled: {message}"),
            },
            Kind::Panicked(error) => write!(f, "the task panicked: {}", error.message()),
            Kind::Failed => f.write_str("the task failed and its error went to its group"),
        }
    }
}

impl Error for JoinError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.0 {
            Kind::Cancelled(error) => Some(error),
            Kind::Panicked(_) | Kind::Failed => None,
        }
    }
}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        io::Error::other(error)
    }
}
