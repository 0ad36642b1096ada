//! Everything that the scheduler's code alone does not determine enters here.
//!
//! Between passes the worker asks the [`Driver`] for what has become ready; a worker without work sleeps in it. Put another driver
//! here, one with its own clock and its own choices and without descriptors or threads, and the same scheduler is simulated. What a
//! poller and a socket are is not known here: they have seams of their own where the calls are made, below the driver.

use crate::callback::Handle;
use crate::lane::Panicked;
use crate::signs::Signs;
use crate::simulated::Simulation;
use asyncio_task::{JoinError, TaskHandle, Unretrieved};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a turn may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Look at the calling worker's timers and the lane's only; for a busy worker between two looks at the descriptors. Several workers may do
    /// so at a time, also while another blocks.
    TimersOnly,
    /// Look at everything, and do not block.
    No,
    /// Block until something is ready, a timer is due, or [`Driver::unpark`] is called.
    UntilReady,
    /// As that, but not longer than this.
    AtMost(Duration),
}

/// Waits for a thread to end.
pub type Join = Box<dyn FnOnce() + Send>;

/// Readiness and timers, the clock, threads and chance.
pub trait Driver: Send + Sync + 'static {
    /// Wakes what is ready: first what waits for descriptors, then what waits for a time. Called by a worker, and but for
    /// [`Wait::TimersOnly`] by one at a time.
    fn turn(&self, worker: usize, wait: Wait);

    /// What tells a worker before each of its passes whether a turn for [`Wait::TimersOnly`] has something to do. Asked once, when a thread becomes
    /// the worker; without signs the worker makes such a turn before each pass.
    fn signs(self: Arc<Self>, worker: usize) -> Option<Signs> {
        let _ = worker;
        None
    }

    /// Whether a deadline that the [signs](Self::signs) have named is past.
    fn is_past(&self, deadline: u64) -> bool {
        let _ = deadline;
        true
    }

    /// Ends a [`turn`](Self::turn) that blocks; if none does, the next one that would block does not. Any thread.
    fn unpark(&self);

    /// The loop is closed: nothing will be polled again.
    fn close(&self);

    /// The loop's clock.
    fn now(&self) -> Instant;

    /// A number below `bound`, for choices that must be arbitrary; `bound` is not 0.
    fn random(&self, bound: usize) -> usize;

    /// Starts a thread. The outcome waits for its end, thread-local destructors included; dropped, it lets the thread go.
    ///
    /// # Errors
    ///
    /// What the system said when it refused.
    fn start_thread(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<Join>;

    /// Calls `work` on the thread of a worker other than worker 0, so that the thread is found to run the loop while it does.
    fn as_worker(&self, worker: usize, work: &mut dyn FnMut());

    /// Who decides what is left to chance, if the loop is [played](crate::simulated) on one thread; always or never.
    fn simulation(&self) -> Option<&dyn Simulation> {
        None
    }
}

/// What a worker runs between two looks at its queue.
#[derive(Clone, Debug)]
pub enum Step {
    /// A turn of a task.
    Task(TaskHandle),
    /// A callback.
    Callback(Handle),
}

/// Hears of what went wrong where nobody waits for it: the facade's exception handler.
///
/// A reporter that panics itself is heard by nobody but the panic hook; the loop goes on.
pub trait Reporter: Send + Sync + 'static {
    /// Runs a step by calling `run`, and may look at the clock before and after; while the loop is [watched](crate::Loop::set_watched).
    fn watch(&self, step: &Step, run: &mut dyn FnMut()) {
        let _ = step;
        run();
    }

    /// A callback panicked.
    fn callback_panicked(&self, callback: Panicked);

    /// A task was still pending when its loop was closed.
    fn task_destroyed(&self, task: TaskHandle);

    /// A task is about to end by a panic; true if that is told hereby, and needs no telling should nobody see the outcome.
    fn task_panicked(&self, task: &TaskHandle, error: &JoinError) -> bool {
        let _ = (task, error);
        false
    }

    /// A task panicked and nobody will see its outcome.
    fn unretrieved(&self, task: Unretrieved, error: &JoinError);

    /// A worker has no thread, as the system refused one; the loop goes on without it.
    fn worker_refused(&self, worker: usize, error: io::Error);

    /// A destructor or a waker panicked.
    fn destructor_panicked(&self, error: JoinError);
}
