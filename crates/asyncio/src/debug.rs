//! Debug mode: slow steps are named, and calls from the wrong thread.
//!
//! Off, it costs the loop one load and a branch for each pass; on, two readings of two clocks and two turns of a lock. A step that does not end is
//! named while it lasts, by [`lookout`].

mod lookout;

use crate::debug::lookout::Lookout;
use crate::diagnostics::Diagnostics;
use crate::events::EventLoop;
use asyncio_base::sync::Mutex;
use asyncio_scheduler::{Handle, Step};
use asyncio_task::TaskHandle;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// What a step may take.
const SLOW_AFTER: Duration = Duration::from_millis(100);

/// Debug mode noticed something.
///
/// # Python
///
/// A line that the logger `asyncio` gets as a warning.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Warning {
    /// What was noticed, in a sentence; it names the task or callback.
    pub message: String,
    /// The task it is about.
    pub task: Option<TaskHandle>,
    /// The callback it is about.
    pub handle: Option<Handle>,
    /// The place in the source: where the task or callback was made, or the call.
    pub source: Option<&'static Location<'static>>,
    /// The number of the worker that runs or ran it.
    pub worker: Option<usize>,
    /// How long it took.
    pub duration: Option<Duration>,
}

impl Warning {
    /// `Executing <Task …> took 0.123 seconds`.
    fn of(step: &Step, duration: Duration, took: &str) -> Warning {
        let seconds = duration.as_secs_f64();
        let mut warning = Warning { duration: Some(duration), ..Warning::default() };
        match step {
            Step::Task(task) => {
                warning.message = format!("Executing {task:?} {took} {seconds:.3} seconds");
                warning.source = Some(task.location());
                warning.task = Some(task.clone());
            }
            Step::Callback(handle) => {
                warning.message = format!("Executing {handle:?} {took} {seconds:.3} seconds");
                warning.source = Some(handle.location());
                warning.handle = Some(handle.clone());
            }
        }
        warning
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A handler of warnings, set by the program.
pub type WarningHandler = Arc<dyn Fn(&EventLoop, &Warning) + Send + Sync>;

/// What debug mode is told to do.
pub(crate) struct Watch {
    slow_after: Mutex<Duration>,
    handler: Mutex<Option<WarningHandler>>,
    lookout: Lookout,
}

impl Watch {
    pub(crate) const fn new() -> Self {
        Watch {
            slow_after: Mutex::new(SLOW_AFTER),
            handler: Mutex::new(None),
            lookout: Lookout::new(),
        }
    }
}

/// Whether the environment asks for debug mode: `ASYNCIO_DEBUG` is neither empty nor 0.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os("ASYNCIO_DEBUG").is_some_and(|value| !value.is_empty() && value != "0")
}

impl Diagnostics {
    /// Runs a step and warns if it took long.
    pub(crate) fn watch_step(&self, step: &Step, run: &mut dyn FnMut()) {
        let Some(event_loop) = self.event_loop() else { return run() };
        let (begun, worked) = (event_loop.time(), asyncio_process::thread_time());
        let worker = event_loop.scheduler().worker_here();
        let running = self.watch.lookout.begin(step, worker, begun);
        run();
        drop(running);
        let took = event_loop.time().saturating_duration_since(begun);
        if took >= *self.watch.slow_after.lock() {
            let worked = asyncio_process::thread_time().zip(worked);
            let idle = worked.map(|(now, then)| took.saturating_sub(now.saturating_sub(then)));
            let warning = Warning { worker, ..slow(step, took, idle) };
            self.warn(&event_loop, warning);
        }
    }

    /// Tells the program's handler, else standard error.
    fn warn(&self, event_loop: &EventLoop, warning: Warning) {
        let handler = self.watch.handler.lock().clone();
        let Some(handler) = handler else {
            // A closed standard error must not turn a warning into a panic.
            let _ = writeln!(std::io::stderr(), "{warning}");
            return;
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| handler(event_loop, &warning))) {
            self.handler_panicked(panic, &warning.message);
        }
    }
}

/// A step took long; `idle` is how much of it the thread was not on a processor.
fn slow(step: &Step, took: Duration, idle: Option<Duration>) -> Warning {
    let mut warning = Warning::of(step, took, "took");
    if let Some(idle) = idle.filter(|&idle| idle > took / 2) {
        let idle = idle.as_secs_f64();
        warning.message +=
            &format!(", {idle:.3} of them not on a processor: does it call something that blocks?");
    }
    warning
}

impl EventLoop {
    /// Switches debug mode, from any thread and also while the loop runs. In debug mode the loop warns of
    ///
    /// * turns of tasks and callbacks that take [long](Self::set_slow_callback_duration), with the task's name and where it was made, and whether the
    ///   thread was waiting instead of working;
    /// * those that have not ended after ten times as long, while they go on and as often as that time has doubled, with the number of the worker that
    ///   is stuck in them;
    /// * [`call_soon`](Self::call_soon), `call_later` and `call_at` on threads that do not run the loop, with the place of the call.
    ///
    /// A new loop is in debug mode if the environment variable `ASYNCIO_DEBUG` is set to something other than 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio::{EventLoop, Warning, secs};
    /// use std::sync::{Arc, Mutex};
    ///
    /// let heard = Arc::new(Mutex::new(Vec::new()));
    /// let note = heard.clone();
    /// asyncio::run(async move {
    ///     let event_loop = asyncio::get_running_loop();
    ///     event_loop.set_debug(true);
    ///     event_loop.set_warning_handler(Some(move |_: &EventLoop, warning: &Warning| {
    ///         note.lock().unwrap().push(warning.to_string());
    ///     }));
    ///     let blocks = async { std::thread::sleep(secs(0.15)) };
    ///     asyncio::create_task(blocks).named("culprit").await.unwrap();
    /// });
    /// let heard = heard.lock().unwrap();
    /// assert!(heard[0].starts_with("Executing <Task finished name='culprit' "), "{heard:?}");
    /// ```
    ///
    /// # Python
    ///
    /// `loop.set_debug()`; the environment variable is `PYTHONASYNCIODEBUG`. There a call from the wrong thread is an error.
    pub fn set_debug(&self, debug: bool) {
        self.scheduler().set_watched(debug);
        if debug {
            lookout::start(self);
        }
    }

    /// Whether the loop is in debug mode.
    pub fn get_debug(&self) -> bool {
        self.scheduler().is_watched()
    }

    /// What a step may take without being warned of in debug mode.
    pub fn slow_callback_duration(&self) -> Duration {
        *self.diagnostics().watch.slow_after.lock()
    }

    /// Sets what a step may take without being warned of in debug mode; a tenth of a second unless set.
    ///
    /// # Python
    ///
    /// `loop.slow_callback_duration`.
    pub fn set_slow_callback_duration(&self, duration: Duration) {
        *self.diagnostics().watch.slow_after.lock() = duration;
    }

    /// Sets who hears of the warnings of debug mode; `None` brings the default back, which writes them to standard error.
    ///
    /// # Python
    ///
    /// A handler of the logger `asyncio`.
    pub fn set_warning_handler<H>(&self, handler: Option<H>)
    where
        H: Fn(&EventLoop, &Warning) + Send + Sync + 'static,
    {
        let handler = handler.map(|handler| Arc::new(handler) as WarningHandler);
        let before = std::mem::replace(&mut *self.diagnostics().watch.handler.lock(), handler);
        drop(before);
    }

    /// Warns, in debug mode or out of it.
    pub(crate) fn warn(&self, warning: Warning) {
        self.diagnostics().warn(self, warning);
    }

    /// In debug mode: warns if this thread is not one that runs the loop, which is running.
    #[inline]
    pub(crate) fn check_thread(&self, called: &str, location: &'static Location<'static>) {
        if self.get_debug() {
            self.warn_of_thread(called, location);
        }
    }

    #[cold]
    fn warn_of_thread(&self, called: &str, location: &'static Location<'static>) {
        if !self.is_running() || self.scheduler().is_worker() {
            return;
        }
        let message = format!(
            "{called} at {location} was called on a thread that does not run the loop: call_soon_threadsafe is meant for that"
        );
        self.warn(Warning { message, source: Some(location), ..Warning::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use asyncio_base::context::ContextSlot;
    use asyncio_scheduler::callback::Kind;

    #[test]
    fn a_step_that_waited_is_asked_about() {
        let handle = Handle::new(Kind::Plain, ContextSlot::new(), Location::caller(), || ());
        let step = Step::Callback(handle.clone());
        let took = Duration::from_millis(1500);
        let message = |idle| slow(&step, took, idle).message;
        let plain = format!("Executing {handle:?} took 1.500 seconds");
        assert_eq!(message(None), plain);
        assert_eq!(message(Some(Duration::from_millis(750))), plain);
        let blocked = message(Some(Duration::from_millis(1499)));
        assert_eq!(
            blocked,
            plain + ", 1.499 of them not on a processor: does it call something that blocks?"
        );
    }
}
