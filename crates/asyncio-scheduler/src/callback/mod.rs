//! A callback queued on a lane, and the handle that can cancel it.
//!
//! One allocation holds both. There are two kinds, which differ in whether `cancel` waits out a run in progress: `plain.rs` and `waited.rs`. For
//! both, whoever takes the closure out, to run it or to drop it, does so once, and no lock is held while it runs or is dropped.
//!
//! Models: `loom-tests/tests/callback.rs`.

mod plain;
mod waited;

use self::plain::Plain;
use self::waited::Waited;
use asyncio_base::context::{Context, ContextSlot};
use asyncio_base::record::{self, PollRecord};
use asyncio_base::shelf::ShelfArc;
use asyncio_base::wait::WaitSlot;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

/// Which handle a callback has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From `call_soon`: `cancel` never waits.
    Plain,
    /// From `call_soon_threadsafe`: `cancel` and `cancelled` wait out a run in progress.
    ThreadSafe,
}

/// What both kinds have besides the closure.
struct Origin {
    context: ContextSlot,
    location: &'static Location<'static>,
}

impl Origin {
    /// Calls a closure in the callback's context.
    #[inline]
    fn call(&self, function: impl FnOnce()) -> Result<(), Box<dyn Any + Send>> {
        let wait = WaitSlot::new();
        let record = PollRecord::outside(&wait, &self.context);
        record::enter(&record, || catch_unwind(AssertUnwindSafe(function)))
    }
}

/// The erased callback.
trait Callback: Send + Sync {
    fn run(&self) -> Result<(), Box<dyn Any + Send>>;
    fn cancel(&self);
    fn cancelled(&self) -> bool;
    /// As `cancelled`, without waiting.
    fn is_cancelled_by_now(&self) -> bool;
    fn discard(&self);
    fn origin(&self) -> &Origin;
}

/// A queued callback: cancels it.
///
/// # Python
///
/// `asyncio.Handle`.
#[derive(Clone)]
pub struct Handle(ShelfArc<dyn Callback>);

impl Handle {
    /// A callback that waits for its turn.
    pub fn new(
        kind: Kind,
        context: ContextSlot,
        location: &'static Location<'static>,
        function: impl FnOnce() + Send + 'static,
    ) -> Self {
        let origin = Origin { context, location };
        Handle(match kind {
            Kind::Plain => {
                let callback = ShelfArc::new(Plain::new(origin, function));
                // SAFETY: a coercion.
                unsafe { callback.unsize(|callback| callback as _) }
            }
            Kind::ThreadSafe => {
                let callback = ShelfArc::new(Waited::new(origin, function));
                // SAFETY: a coercion.
                unsafe { callback.unsize(|callback| callback as _) }
            }
        })
    }

    /// Runs the callback, unless it was cancelled or has run.
    ///
    /// # Errors
    ///
    /// The payload of its panic.
    pub fn run(&self) -> Result<(), Box<dyn Any + Send>> {
        self.0.run()
    }

    /// The callback will not run, unless it has started; it and what it captured are dropped at once.
    ///
    /// On the handle of `call_soon_threadsafe` this waits until a callback that is running on another thread has ended: after the
    /// call, it has either fully run or never will. Called from inside the callback it has no effect on the run in progress.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether the callback was cancelled; waits like [`cancel`](Self::cancel).
    pub fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    /// As [`cancelled`](Self::cancelled), without waiting: for texts.
    pub fn is_cancelled_by_now(&self) -> bool {
        self.0.is_cancelled_by_now()
    }

    /// Drops the callback unless it has started: its loop is closed. It does not count as cancelled.
    pub fn discard(&self) {
        self.0.discard();
    }

    /// The context the callback runs in.
    pub fn get_context(&self) -> Context {
        self.0.origin().context.get_or_create()
    }

    /// Where the callback was queued.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.origin().location
    }

    /// Whether both name the same callback.
    pub fn is(&self, other: &Handle) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never waits: a report may be made while the callback runs.
        let cancelled = if self.is_cancelled_by_now() { " cancelled" } else { "" };
        write!(f, "<Handle{cancelled} created at {}>", self.location())
    }
}
