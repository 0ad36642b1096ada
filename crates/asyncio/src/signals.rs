//! Signals: Ctrl-C for main, and `add_signal_handler`. What may be done inside a signal handler is `asyncio-process`'s business; this is the
//! loop's side, in its passes.

use crate::events::EventLoop;
use crate::exceptions::{LoopClosed, RunError};
use asyncio_base::context::{Context, ContextSlot, with_current};
use asyncio_base::sync::{AtomicU64, Mutex};
use asyncio_process::{Came, Catch, CatchError, Caught, Interrupt};
use asyncio_reactor::Reactor;
use asyncio_scheduler::Loop;
use asyncio_scheduler::callback::Kind;
use asyncio_task::TaskHandle;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

pub(crate) use asyncio_process::end_by_interrupt;

/// Why a signal's handler was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignalError {
    /// There is no signal of this number.
    NoSignal(i32),
    /// The system lets nobody catch it.
    CannotBeCaught(i32),
    /// This is not the program's main thread.
    NotMainThread,
    /// The loop is closed.
    Closed,
    /// The loop is simulated, and gets no signals.
    Simulated,
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignalError::NoSignal(signal) => CatchError::NoSignal(*signal).fmt(f),
            SignalError::CannotBeCaught(signal) => CatchError::CannotBeCaught(*signal).fmt(f),
            SignalError::NotMainThread => CatchError::NotMainThread.fmt(f),
            SignalError::Closed => LoopClosed.fmt(f),
            SignalError::Simulated => f.write_str("a simulated loop gets no signals"),
        }
    }
}

impl Error for SignalError {}

impl From<CatchError> for SignalError {
    fn from(error: CatchError) -> Self {
        match error {
            CatchError::NoSignal(signal) => SignalError::NoSignal(signal),
            CatchError::CannotBeCaught(signal) => SignalError::CannotBeCaught(signal),
            _ => SignalError::NotMainThread,
        }
    }
}

/// What a loop does about signals.
pub(crate) struct Signals {
    caught: Arc<Caught>,
    /// Whom Ctrl-C cancels.
    main: Mutex<Option<Main>>,
    /// `None` once the loop is closed.
    handlers: Mutex<Option<BTreeMap<i32, Handler>>>,
}

struct Main {
    task: TaskHandle,
    /// Ctrl-C came and the task had not ended.
    told: bool,
}

struct Handler {
    callback: Callback,
    /// Gives the signal back when dropped.
    _catch: Catch,
}

#[derive(Clone)]
struct Callback {
    function: Arc<dyn Fn() + Send + Sync>,
    context: Context,
    location: &'static Location<'static>,
}

impl Signals {
    pub(crate) fn new(reactor: &Arc<Reactor>) -> Self {
        let caught = Caught::new(reactor.clone());
        Signals { caught, main: Mutex::new(None), handlers: Mutex::new(Some(BTreeMap::new())) }
    }

    /// Not 0 while there is something to [deliver](Self::deliver); read in each pass.
    pub(crate) fn word(&self) -> &AtomicU64 {
        self.caught.word()
    }

    /// Does what the signals that came ask for.
    #[inline]
    pub(crate) fn deliver(&self, scheduler: impl FnOnce() -> Option<Arc<Loop>>) {
        if let Some(came) = self.caught.take() {
            self.hand_out(came, scheduler());
        }
    }

    #[cold]
    fn hand_out(&self, came: Came, scheduler: Option<Arc<Loop>>) {
        if came.interrupt() {
            self.cancel_main();
        }
        let callbacks: Vec<Callback> = {
            let handlers = self.handlers.lock();
            came.signals()
                .filter_map(|signal| Some(handlers.as_ref()?.get(&signal)?.callback.clone()))
                .collect()
        };
        let Some(scheduler) = scheduler else { return };
        for Callback { function, context, location } in callbacks {
            // A loop that is being closed drops the callback.
            let call = move || function();
            let _ = scheduler.call(Kind::Plain, ContextSlot::with(context), location, call);
        }
    }

    fn cancel_main(&self) {
        let task = self.main.lock().as_ref().map(|main| main.task.clone());
        let told = task.is_some_and(|task| task.cancel());
        if let Some(main) = self.main.lock().as_mut() {
            main.told = told;
        }
    }

    /// While what this gives lives, Ctrl-C is for the run.
    pub(crate) fn ctrl_c(&self) -> CtrlC<'_> {
        CtrlC { signals: self, interrupt: Interrupt::install(&self.caught) }
    }

    fn replace(&self, signal: i32, callback: Callback) -> Result<(), SignalError> {
        let mut locked = self.handlers.lock();
        let handlers = locked.as_mut().ok_or(SignalError::Closed)?;
        if let Some(handler) = handlers.get_mut(&signal) {
            let before = std::mem::replace(&mut handler.callback, callback);
            drop(locked);
            drop(before);
            return Ok(());
        }
        let _catch = Catch::new(signal, &self.caught)?;
        handlers.insert(signal, Handler { callback, _catch });
        Ok(())
    }

    fn remove(&self, signal: i32) -> bool {
        let removed = self.handlers.lock().as_mut().and_then(|handlers| handlers.remove(&signal));
        removed.is_some()
    }

    /// Gives all signals back, and takes no more.
    pub(crate) fn close(&self) {
        let handlers = self.handlers.lock().take();
        drop(handlers);
    }
}

/// Ctrl-C, for one run.
pub(crate) struct CtrlC<'a> {
    signals: &'a Signals,
    interrupt: Option<Interrupt>,
}

impl CtrlC<'_> {
    /// Names the task that Ctrl-C cancels.
    pub(crate) fn watch(&self, task: TaskHandle) {
        *self.signals.main.lock() = Some(Main { task, told: false });
    }

    /// What the run gives, with regard to Ctrl-C.
    ///
    /// A main that was told decides: it may have answered with a value. If it ended cancelled, that was the interrupt, unless somebody else has
    /// cancelled it too. A press that came when main had ended was told to nobody, so it counts.
    pub(crate) fn finish<T>(mut self, outcome: Result<T, RunError>) -> Result<T, RunError> {
        let main = self.signals.main.lock().take();
        if !self.interrupt.take().is_some_and(Interrupt::finish) {
            return outcome;
        }
        match (main, outcome) {
            (Some(Main { task, told: true }), Err(RunError::Cancelled(error))) => {
                Err(if task.uncancel() == 0 {
                    RunError::Interrupted
                } else {
                    RunError::Cancelled(error)
                })
            }
            (Some(Main { told: true, .. }), outcome) => outcome,
            _ => Err(RunError::Interrupted),
        }
    }
}

impl Drop for CtrlC<'_> {
    fn drop(&mut self) {
        let main = self.signals.main.lock().take();
        drop(main);
    }
}

impl EventLoop {
    /// Has `callback` called on the loop's lane whenever `signal` comes, in a copy of the caller's context; it takes the place of the one before.
    /// Signals of one number that come together may count as one.
    ///
    /// While a handler of `SIGINT` is set, Ctrl-C does not cancel main.
    ///
    /// # Errors
    ///
    /// If there is no such signal, it cannot be caught, this is not the program's main thread, the loop is closed, or it is simulated.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let event_loop = asyncio::new_event_loop()?;
    /// let stop = event_loop.clone();
    /// event_loop.add_signal_handler(15, move || stop.stop())?;
    /// event_loop.run_forever()?;
    /// event_loop.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Python
    ///
    /// `loop.add_signal_handler()`.
    #[track_caller]
    pub fn add_signal_handler(
        &self,
        signal: i32,
        callback: impl Fn() + Send + Sync + 'static,
    ) -> Result<(), SignalError> {
        if self.is_closed() {
            return Err(SignalError::Closed);
        }
        if let Some(world) = self.world() {
            world.escaped("add_signal_handler", Some(Location::caller()));
            return Err(SignalError::Simulated);
        }
        let context = with_current(ContextSlot::copy).get_or_create();
        let function = Arc::new(callback);
        let callback = Callback { function, context, location: Location::caller() };
        self.signals().replace(signal, callback)
    }

    /// Gives a signal back to the system, or to the runner; false if no handler was set. Closing the loop does the same for all.
    ///
    /// # Python
    ///
    /// `loop.remove_signal_handler()`.
    pub fn remove_signal_handler(&self, signal: i32) -> bool {
        self.signals().remove(signal)
    }
}
