//! The loop's exception handler: where errors go that nobody waits for.

use crate::asyncgens::GeneratorInfo;
use crate::debug::Watch;
use crate::events::{EventLoop, WeakLoop};
use crate::sim::world::World;
use asyncio_base::context::{Context, ContextSlot, run_in};
use asyncio_base::sync::Mutex;
use asyncio_scheduler::{Handle, Reporter, Step, lane};
use asyncio_task::{JoinError, PanicError, TaskHandle, TaskId, Unretrieved, contain};
use std::any::Any;
use std::collections::BTreeSet;
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
    /// The async generator it happened to.
    pub asyncgen: Option<GeneratorInfo>,
    /// The callback it happened to.
    pub handle: Option<Handle>,
    /// The settable future it happened to, as it was then.
    pub future: Option<FutureInfo>,
    /// Where the task, future or callback was made.
    pub source: Option<&'static Location<'static>>,
    /// What the handler was told when it failed itself.
    pub original: Option<Box<ExceptionContext>>,
}

impl ExceptionContext {
    /// The report of a settable future whose error nobody looked at.
    pub(crate) fn never_retrieved(
        error: impl Error + Send + Sync + 'static,
        location: &'static Location<'static>,
    ) -> Self {
        let mut report = Self::new("Future exception was never retrieved");
        report.future = Some(FutureInfo::failed(&error, location));
        report.with_source(location).with_exception(error)
    }

    /// A report that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        ExceptionContext { message: message.into(), ..Self::default() }
    }

    /// The same report, naming the error.
    pub fn with_exception(mut self, error: impl Error + Send + Sync + 'static) -> Self {
        self.exception = Some(Arc::new(error));
        self
    }

    pub(crate) fn with_task(mut self, task: TaskHandle) -> Self {
        self.source = Some(task.location());
        self.task_name = Some(task.get_name());
        self.task = Some(task);
        self
    }

    fn with_source(mut self, source: &'static Location<'static>) -> Self {
        self.source = Some(source);
        self
    }
}

impl ExceptionContext {
    /// Whether nothing that is shown says where it was made.
    fn is_shown_without_source(&self) -> bool {
        self.future.is_none() && self.asyncgen.is_none()
    }
}

impl fmt::Display for ExceptionContext {
    /// The message, then each other part on a line of its own, as asyncio's default handler logs it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(original) = &self.original {
            write!(f, "\ncontext: {}", original.message)?;
        }
        if let Some(asyncgen) = &self.asyncgen {
            write!(f, "\nasyncgen: {asyncgen:?}")?;
        }
        if let Some(future) = &self.future {
            write!(f, "\nfuture: {future:?}")?;
        }
        match (&self.handle, self.source) {
            // Handles and futures show where they were made.
            (Some(handle), _) => write!(f, "\nhandle: {handle:?}")?,
            (None, Some(source)) if self.is_shown_without_source() => {
                write!(f, "\nsource: {source}")?
            }
            (None, _) => {}
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

/// What there is to know of a settable future that nobody holds any more. Its `Debug` text is the future's.
#[derive(Clone)]
pub struct FutureInfo {
    shown: Arc<str>,
    location: &'static Location<'static>,
}

impl FutureInfo {
    /// Of a future that has failed.
    pub(crate) fn failed(error: &dyn fmt::Display, location: &'static Location<'static>) -> Self {
        let shown = format!("<Future finished exception={error} created at {location}>");
        FutureInfo { shown: shown.into(), location }
    }

    /// Where the future was made.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Debug for FutureInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A panic's message, as an error to report.
#[derive(Debug)]
pub(crate) struct Panicked(Box<str>);

impl Panicked {
    fn of(panic: &PanicError) -> Arc<dyn Error + Send + Sync> {
        Arc::new(Panicked(panic.message().into()))
    }

    pub(crate) fn from_payload(payload: Box<dyn Any + Send>) -> Arc<dyn Error + Send + Sync> {
        let error = JoinError::panicked(payload);
        let panicked = Panicked::of(error.as_panic().expect("made from a panic"));
        // The payload's destructor may panic in turn. The panic hook has told of that; the report matters more.
        contain(|| drop(error));
        panicked
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
pub(crate) struct Diagnostics {
    handler: Mutex<Option<ExceptionHandler>>,
    event_loop: Mutex<Option<WeakLoop>>,
    leftovers: Mutex<Leftovers>,
    /// Where reports go that the program has no handler for, if the loop is simulated.
    world: OnceLock<Arc<World>>,
    pub(crate) watch: Watch,
}

/// The tasks that a runner has cancelled at its end.
#[derive(Default)]
struct Leftovers {
    tasks: BTreeSet<TaskId>,
    /// Those that panicked.
    failed: Vec<(TaskHandle, Arc<dyn Error + Send + Sync>)>,
}

/// Hears of tasks whose handles are dropped after their loop: nobody's handler is left, so the default one writes.
static ORPHANS: Diagnostics = Diagnostics::new();

/// Lets the default handler hear of tasks that outlive their loop.
pub(crate) fn hear_orphans() {
    asyncio_scheduler::set_last_resort(&ORPHANS);
}

impl Diagnostics {
    /// For a loop that is to be [named](Self::attach).
    pub(crate) const fn new() -> Self {
        Diagnostics {
            handler: Mutex::new(None),
            event_loop: Mutex::new(None),
            leftovers: Mutex::new(Leftovers { tasks: BTreeSet::new(), failed: Vec::new() }),
            world: OnceLock::new(),
            watch: Watch::new(),
        }
    }

    /// The loop that the handlers are told of.
    pub(crate) fn event_loop(&self) -> Option<EventLoop> {
        self.event_loop.lock().clone().and_then(|weak| weak.upgrade())
    }

    /// A handler of warnings failed.
    pub(crate) fn handler_panicked(&self, panic: Box<dyn Any + Send>, told: &str) {
        let mut report = ExceptionContext::new("Unhandled error in warning handler");
        report.exception = Some(Panicked::from_payload(panic));
        report.original = Some(Box::new(ExceptionContext::new(told)));
        self.call(report);
    }

    /// Names the loop that the handler is told of.
    pub(crate) fn attach(&self, event_loop: WeakLoop) {
        let before = self.event_loop.lock().replace(event_loop);
        drop(before);
    }

    pub(crate) fn set_handler(&self, handler: Option<ExceptionHandler>) {
        let before = std::mem::replace(&mut *self.handler.lock(), handler);
        drop(before);
    }

    pub(crate) fn handler(&self) -> Option<ExceptionHandler> {
        self.handler.lock().clone()
    }

    /// From now on the panics of these are errors of a runner's end.
    pub(crate) fn watch_leftovers(&self, tasks: &[TaskHandle]) {
        self.leftovers.lock().tasks = tasks.iter().map(TaskHandle::id).collect();
    }

    /// They have ended: reports those that panicked.
    pub(crate) fn report_leftovers(&self) {
        let failed = std::mem::take(&mut *self.leftovers.lock()).failed;
        for (task, error) in failed {
            let message = "unhandled exception during asyncio.run() shutdown";
            let mut report = ExceptionContext::new(message).with_task(task);
            report.exception = Some(error);
            self.call(report);
        }
    }

    /// Tells the handler, in the context of the task it is about, if there is one.
    pub(crate) fn call(&self, report: ExceptionContext) {
        let context = report.task.as_ref().map(TaskHandle::get_context);
        self.call_in(context, report);
    }

    fn call_in(&self, context: Option<Context>, report: ExceptionContext) {
        match context {
            Some(context) => run_in(ContextSlot::with(context), || self.tell(report)),
            None => self.tell(report),
        }
    }

    /// Tells the program's handler, else the default one. A handler that panics is reported by the default one.
    fn tell(&self, context: ExceptionContext) {
        let (Some(handler), Some(event_loop)) = (self.handler(), self.event_loop()) else {
            return self.tell_default(&context);
        };
        let told = catch_unwind(AssertUnwindSafe(|| handler(&event_loop, &context)));
        if let Err(panic) = told {
            let mut report = ExceptionContext::new("Unhandled error in exception handler");
            report.exception = Some(Panicked::from_payload(panic));
            report.original = Some(Box::new(context));
            self.tell_default(&report);
        }
    }

    /// From now on a report that the program has no handler for is the world's.
    pub(crate) fn tell_world(&self, world: Arc<World>) {
        let _ = self.world.set(world);
    }

    fn tell_default(&self, context: &ExceptionContext) {
        match self.world.get() {
            Some(world) => world.reported(context.to_string()),
            None => default_exception_handler(context),
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
    fn watch(&self, step: &Step, run: &mut dyn FnMut()) {
        self.watch_step(step, run);
    }

    fn callback_panicked(&self, callback: lane::Panicked) {
        let location = callback.location;
        let report = ExceptionContext::new(format!("Exception in callback created at {location}"));
        let mut report = report.with_source(location);
        report.handle = callback.handle;
        report.exception = Some(Panicked::from_payload(callback.payload));
        self.call_in(callback.context, report);
    }

    fn task_destroyed(&self, task: TaskHandle) {
        self.call(ExceptionContext::new("Task was destroyed but it is pending!").with_task(task));
    }

    fn task_panicked(&self, task: &TaskHandle, error: &JoinError) -> bool {
        let mut leftovers = self.leftovers.lock();
        let (true, Some(panic)) = (leftovers.tasks.contains(&task.id()), error.as_panic()) else {
            return false;
        };
        leftovers.failed.push((task.clone(), Panicked::of(panic)));
        true
    }

    fn unretrieved(&self, task: Unretrieved, error: &JoinError) {
        let report = ExceptionContext::new("Task exception was never retrieved");
        let mut report = report.with_source(task.location);
        report.task_name = Some(task.name);
        report.exception = error.as_panic().map(Panicked::of);
        self.call_in(Some(task.context), report);
    }

    fn worker_refused(&self, worker: usize, error: std::io::Error) {
        let report =
            ExceptionContext::new(format!("the loop goes on without worker {worker}: no thread"));
        self.call(report.with_exception(error));
    }

    fn destructor_panicked(&self, error: JoinError) {
        let mut report = ExceptionContext::new("a destructor or a waker panicked");
        report.exception = error.as_panic().map(Panicked::of);
        self.call(report);
    }
}
