//! The loop's exception handler: where errors go that nobody waits for.

use crate::events::{EventLoop, WeakLoop};
use asyncio_base::sync::Mutex;
use asyncio_scheduler::Reporter;
use asyncio_task::{JoinError, PanicError, TaskHandle, Unretrieved};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::{Arc, OnceLock};

/// What went wrong.
///
/// # Python
///
/// The `context` dict of `loop.call_exception_handler`, its keys as fields.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ExceptionContext {
    /// What happened, in a sentence.
    pub message: String,
    /// The error, if there is one.
    pub exception: Option<Arc<dyn Error + Send + Sync>>,
    /// The task it happened to.
    pub task: Option<TaskHandle>,
    /// The name of the task it happened to, also when the task is gone.
    pub task_name: Option<Arc<str>>,
    /// Where the task, future or callback was made.
    pub source: Option<&'static Location<'static>>,
    /// What the handler was told when it failed itself.
    pub original: Option<Box<ExceptionContext>>,
}

impl ExceptionContext {
    /// A report that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        ExceptionContext { message: message.into(), ..Self::default() }
    }

    /// The same report, naming the error.
    pub fn with_exception(mut self, error: impl Error + Send + Sync + 'static) -> Self {
        self.exception = Some(Arc::new(error));
        self
    }

    fn with_source(mut self, source: &'static Location<'static>) -> Self {
        self.source = Some(source);
        self
    }
}

impl fmt::Display for ExceptionContext {
    /// The message, then each other part on a line of its own, as asyncio's default handler logs it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(original) = &self.original {
            write!(f, "\ncontext: {}", original.message)?;
        }
        if let Some(source) = self.source {
            write!(f, "\nsource: {source}")?;
        }
        match (&self.task, &self.task_name) {
            (Some(task), _) => write!(f, "\ntask: {task:?}")?,
            (None, Some(name)) => write!(f, "\ntask: '{name}'")?,
            (None, None) => {}
        }
        match &self.exception {
            Some(error) => write!(f, "\nexception: {error}"),
            None => Ok(()),
        }
    }
}

/// A panic's message, as an error to report.
#[derive(Debug)]
struct Panicked(Box<str>);

impl Panicked {
    fn of(panic: &PanicError) -> Arc<dyn Error + Send + Sync> {
        Arc::new(Panicked(panic.message().into()))
    }

    fn from_payload(payload: Box<dyn Any + Send>) -> Arc<dyn Error + Send + Sync> {
        let error = JoinError::panicked(payload);
        Panicked::of(error.as_panic().expect("made from a panic"))
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panic: {}", self.0)
    }
}

impl Error for Panicked {}

/// A handler set by the program.
pub type ExceptionHandler = Arc<dyn Fn(&EventLoop, &ExceptionContext) + Send + Sync>;

/// The handler of one loop.
#[derive(Default)]
pub(crate) struct Diagnostics {
    handler: Mutex<Option<ExceptionHandler>>,
    event_loop: OnceLock<WeakLoop>,
}

/// Hears of tasks whose handles are dropped after their loop: nobody's handler is left, so the default one writes.
static ORPHANS: Diagnostics =
    Diagnostics { handler: Mutex::new(None), event_loop: OnceLock::new() };

/// Lets the default handler hear of tasks that outlive their loop.
pub(crate) fn hear_orphans() {
    asyncio_scheduler::set_last_resort(&ORPHANS);
}

impl Diagnostics {
    pub(crate) fn attach(&self, event_loop: WeakLoop) {
        // Attached once, right after both are made.
        let _ = self.event_loop.set(event_loop);
    }

    pub(crate) fn set_handler(&self, handler: Option<ExceptionHandler>) {
        let before = std::mem::replace(&mut *self.handler.lock(), handler);
        drop(before);
    }

    pub(crate) fn handler(&self) -> Option<ExceptionHandler> {
        self.handler.lock().clone()
    }

    /// Tells the program's handler, else the default one. A handler that panics is reported by the default one.
    pub(crate) fn call(&self, context: ExceptionContext) {
        let event_loop = self.event_loop.get().and_then(WeakLoop::upgrade);
        let (Some(handler), Some(event_loop)) = (self.handler(), event_loop) else {
            return default_exception_handler(&context);
        };
        let told = catch_unwind(AssertUnwindSafe(|| handler(&event_loop, &context)));
        if let Err(panic) = told {
            let mut report = ExceptionContext::new("Unhandled error in exception handler");
            report.exception = Some(Panicked::from_payload(panic));
            report.original = Some(Box::new(context));
            default_exception_handler(&report);
        }
    }
}

/// Writes the report to standard error.
pub(crate) fn default_exception_handler(context: &ExceptionContext) {
    use std::io::Write;
    // A closed standard error must not turn a report into a panic.
    let _ = writeln!(std::io::stderr(), "{context}");
}

impl Reporter for Diagnostics {
    fn callback_panicked(&self, location: &'static Location<'static>, panic: Box<dyn Any + Send>) {
        let report = ExceptionContext::new(format!("Exception in callback created at {location}"));
        let mut report = report.with_source(location);
        report.exception = Some(Panicked::from_payload(panic));
        self.call(report);
    }

    fn task_destroyed(&self, task: TaskHandle) {
        let report = ExceptionContext::new("Task was destroyed but it is pending!");
        let mut report = report.with_source(task.location());
        report.task_name = Some(task.get_name());
        report.task = Some(task);
        self.call(report);
    }

    fn unretrieved(&self, task: Unretrieved, error: &JoinError) {
        let report = ExceptionContext::new("Task exception was never retrieved");
        let mut report = report.with_source(task.location);
        report.task_name = Some(task.name);
        report.exception = error.as_panic().map(Panicked::of);
        self.call(report);
    }

    fn destructor_panicked(&self, error: JoinError) {
        let mut report = ExceptionContext::new("a destructor or a waker panicked");
        report.exception = error.as_panic().map(Panicked::of);
        self.call(report);
    }
}
