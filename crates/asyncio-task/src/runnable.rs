//! The token: the right and the duty to poll a woken task.

use crate::cancel;
use crate::error::{CancelledError, JoinError};
use crate::handle::{self, TaskHandle};
use crate::header::{Header, RawTask};
use crate::panics;
use crate::ready;
use crate::state::{
    self, ABORT, AWAITS, CANCELLED, Completed, Idle, JOIN_WAKER, MUST_CANCEL, RETRIEVED, Refused,
    Snapshot, WATCHED,
};
use crate::waker;
use asyncio_base::record::{self, Kind, Owner, PollRecord, Scopes};
use std::borrow::Cow;
use std::cell::Cell;
use std::task::{Context, Waker};

/// A woken task, to be run once by whoever takes it from a queue.
///
/// There is at most one per task. Dropping it instead of running it would strand the task, so that is a bug: queues are drained
/// by running.
#[derive(Debug)]
#[must_use = "a token that is not run strands its task"]
pub struct Runnable(RawTask);

// SAFETY: the token gives sole access to the future, which is `Send`, or else (`spawn_local`) the scheduler promises to keep the
// token on the future's thread.
unsafe impl Send for Runnable {}

/// What every task of this crate is to leaves that know nothing of tasks.
static KIND: Kind = Kind { hold: cancel::Forward::hold, waker: Some(&waker::VTABLE), id: id_of };

/// # Safety
///
/// `task` was made an [`Owner`] in a turn of that task, which has not ended.
unsafe fn id_of(task: *const ()) -> u64 {
    // SAFETY: as above; an owner's pointer is to the header, in a cell that outlives the turn.
    unsafe { (*task.cast::<Header>()).id.get() }
}

/// How often a request is offered in one turn, before it is delivered as if nobody awaited anything: for code whose every poll starts another await.
const MOST_OFFERS: usize = 3;

/// How a turn ended.
#[must_use]
#[derive(Debug)]
pub enum Ran {
    /// The task waits; its next wake makes a new token.
    Waiting,
    /// Woken while it ran: to the back of the queue with it.
    Again(Runnable),
    /// The task is complete.
    Complete,
}

impl Runnable {
    /// The token that the state word has given out.
    pub(crate) fn new(task: RawTask) -> Self {
        Runnable(task)
    }

    /// The task it is the token of.
    pub(crate) fn task(&self) -> RawTask {
        self.0
    }

    /// The task's number.
    pub fn id(&self) -> crate::TaskId {
        self.0.header().id
    }

    /// A handle to the task.
    pub fn handle(&self) -> TaskHandle {
        TaskHandle::new_ref(self.0)
    }

    /// Gives the task one turn: delivers a recorded cancel, or polls the future once.
    ///
    /// `budget` is the number of ready operations the task may do, `u32::MAX` for any number. Never panics: a panic of the
    /// future is the task's outcome.
    pub fn run(self, budget: u32) -> Ran {
        self.run_inlined(budget)
    }

    /// As [`run`](Self::run), for the one loop that all turns of a busy worker come from.
    #[inline(always)]
    pub fn run_inlined(self, budget: u32) -> Ran {
        let task = self.0;
        let header = task.header();
        let seen = header.state.begin_poll();
        // SAFETY: the cell outlives the turn, as the token does, and the record does not outlive this call.
        let owner = unsafe { Owner::new(task.as_ptr().as_ptr().cast_const().cast(), &KIND) };
        let record = PollRecord {
            owner,
            wait: &header.wait,
            context: &header.context,
            scopes: Scopes::new(),
            plain_await: Cell::new(0),
            offered: Cell::new(false),
            budget: Cell::new(budget),
        };
        // Outside the record again when the task is finished: finishing may free what the record borrows.
        if record::enter(&record, || self.turn(&record, seen)) {
            finish(task);
            return Ran::Complete;
        }
        match header.state.end_poll(seen, record.plain_await.get() != 0) {
            Idle::Waiting => Ran::Waiting,
            Idle::Again => Ran::Again(self),
        }
    }

    /// Delivers or polls; true once the outcome is stored.
    #[inline(always)]
    fn turn(&self, record: &PollRecord<'_>, seen: Snapshot) -> bool {
        if seen.has(MUST_CANCEL) {
            return self.turn_cancelled(record, seen);
        }
        let is_complete = self.poll();
        self.has_ended(is_complete, seen)
    }

    #[inline]
    fn poll(&self) -> bool {
        let task = self.0;
        // What the last poll waited for says nothing about this one.
        task.header().wait.clear();
        // SAFETY: the token is a claim, and the waker is gone from this frame before the token is.
        let waker = unsafe { waker::borrowed(task) };
        let mut cx = Context::from_waker(&waker);
        // SAFETY: the vtable belongs to the cell and the token is ours.
        unsafe { (task.vtable().poll)(task, &mut cx) }
    }

    /// A turn of a task with a recorded request: it is offered to the await that the last poll ended in, if it was a plain one, and delivered to
    /// the task's scopes otherwise. See `cancel/plain.rs`.
    #[cold]
    #[inline(never)]
    fn turn_cancelled(&self, record: &PollRecord<'_>, seen: Snapshot) -> bool {
        let (task, mut awaits) = (self.0, seen.has(AWAITS));
        for _ in 0..MOST_OFFERS {
            let now = task.header().state.load();
            let is_request = now.has(MUST_CANCEL) && !now.has(ABORT);
            if !awaits || !is_request || cancel::has_nodes(task) {
                break;
            }
            record.offered.set(true);
            // What ends the task from inside comes before a request that nobody took.
            let is_complete = self.poll();
            if self.has_ended(is_complete, seen) {
                return true;
            }
            if !record.offered.replace(false) {
                return false;
            }
            awaits = record.plain_await.replace(0) != 0;
        }
        if !self.deliver(record, awaits) {
            return true;
        }
        let is_complete = self.poll();
        if record.offered.replace(false) {
            cancel::withdraw_offer(task);
        }
        self.has_ended(is_complete, seen)
    }

    /// Delivers the recorded request to the task's innermost scopes; without any the task ends, and this is false. An abort asks nobody.
    fn deliver(&self, record: &PollRecord<'_>, awaits: bool) -> bool {
        let task = self.0;
        let delivered = cancel::deliver(task, awaits);
        record.offered.set(awaits && delivered == Ok(true));
        delivered.map_err(|message| self.fail(cancelled(message))).is_ok()
    }

    /// After a poll: whether the task has ended, by itself or from inside; then the outcome is stored.
    #[inline]
    fn has_ended(&self, is_complete: bool, seen: Snapshot) -> bool {
        // Every poll comes by here, and hardly any task has a scope.
        if cancel::is_quiet(self.0) { is_complete } else { self.look_at_the_end(is_complete, seen) }
    }

    #[cold]
    #[inline(never)]
    fn look_at_the_end(&self, is_complete: bool, seen: Snapshot) -> bool {
        if is_complete {
            // In the task's word it is found when the task completes.
            cancel::give_root_back(self.0);
            return true;
        }
        cancel::take_end(self.0, seen).map(|error| self.fail(error)).is_some()
    }

    /// Ends a task that was never queued.
    pub(crate) fn refuse(self, error: JoinError) {
        self.fail(error);
        complete(self.0);
    }

    fn fail(&self, error: JoinError) {
        // SAFETY: the vtable belongs to the cell and the token is ours.
        unsafe { (self.0.vtable().fail)(self.0, error) };
    }
}

/// The message of the request being delivered.
fn message(task: RawTask) -> Option<Cow<'static, str>> {
    task.header().cold_if_any().and_then(|cold| cold.take_message())
}

fn cancelled(message: Option<Cow<'static, str>>) -> JoinError {
    JoinError::cancelled(CancelledError::new(message))
}

/// The output is stored: out of the list, complete, everybody told.
#[inline(never)]
fn finish(task: RawTask) {
    task.host().tasks().remove(task);
    complete(task);
}

/// What is known of the stored output while the outcome is decided.
struct Outcome {
    /// It is a value, which yields to a request that came while it was made; a cancellation or a panic answers it.
    is_value: bool,
    /// The flags that go with it.
    flags: u64,
    /// It has to be dropped if nobody reads it.
    has_output: bool,
}

impl Outcome {
    #[inline(always)]
    fn decide(&self, task: RawTask) -> Result<Completed, Refused> {
        task.header().state.complete(self.flags, self.is_value, self.has_output)
    }
}

/// Decides the outcome against a racing cancel and a racing drop of the handle, then tells joiner and watchers.
#[inline]
fn complete(task: RawTask) {
    // Most end with a value that needs no dropping; the exchange is made for them, with all that is known of them beforehand.
    if !task.vtable().drops_values {
        // SAFETY: the output is ours until the task is complete.
        let is_value = unsafe { (task.vtable().error)(task) }.is_none();
        if let Some(Ok(done)) = is_value.then(|| task.header().state.complete(0, true, false)) {
            return tell(task, done);
        }
    }
    complete_any(task);
}

/// For any outcome, also one that was refused just now.
#[inline(never)]
fn complete_any(task: RawTask) {
    let outcome = outcome(task);
    match outcome.decide(task) {
        Ok(done) => tell(task, done),
        Err(refused) => complete_after(task, refused, outcome),
    }
}

/// Does what stands in the way of completing, and completes.
#[cold]
fn complete_after(task: RawTask, mut refused: Refused, mut known: Outcome) {
    let done = loop {
        match refused {
            // Also when the value is dropped already: a request that was recorded is answered.
            Refused::Cancelled => {
                if task.header().state.take_cancel().is_some() {
                    // SAFETY: the output is ours until the task is complete.
                    unsafe { (task.vtable().fail)(task, cancelled(message(task))) };
                    known = outcome(task);
                }
            }
            Refused::NobodyReads => {
                drop_output(task);
                known.has_output = false;
            }
        }
        match known.decide(task) {
            Ok(done) => break done,
            Err(again) => refused = again,
        }
    };
    tell(task, done);
}

/// Looks at the stored output.
fn outcome(task: RawTask) -> Outcome {
    // SAFETY: the output is ours until the task is complete, and nothing changes it in this function.
    let (is_value, flags) = match unsafe { (task.vtable().error)(task).map(|error| &*error) } {
        None => (true, 0),
        Some(error) if error.is_cancelled() => (false, CANCELLED),
        Some(error) => {
            tell_of_panic(task, error);
            (false, 0)
        }
    };
    Outcome { is_value, flags, has_output: !is_value || task.vtable().drops_values }
}

/// Tells the host before anybody else can see the outcome.
#[cold]
fn tell_of_panic(task: RawTask, error: &JoinError) {
    if !error.is_panic() {
        return;
    }
    // The caller has the token or, while it completes the task, the output: a claim, so there may be a handle.
    let told = task.host().panicked(&TaskHandle::new_ref(task), error);
    if told {
        task.header().state.set_retrieved();
    }
}

/// After the exchange: the one place that wakes joiners.
fn tell(task: RawTask, done: Completed) {
    if done.free {
        // SAFETY: the word said that no claim is left.
        return unsafe { task.free() };
    }
    // With either bit the exchange left us one wake as a claim.
    if done.old.has(WATCHED) {
        task.header().cold().completed(task);
    } else if done.old.has(JOIN_WAKER) {
        wake_joiner(task);
    } else {
        return;
    }
    if task.header().state.release(state::WAKE) {
        // SAFETY: the word said that no claim is left.
        unsafe { task.free() };
    }
}

/// Wakes the joiner; for the completer who found `JOIN_WAKER` and nobody else watching.
fn wake_joiner(task: RawTask) {
    // SAFETY: the RMW that finished the task gave us the slot.
    if let Some(waker) = unsafe { task.header().join.take() } {
        call_waker(task, waker);
    }
}

/// A joiner's waker may be anybody's code; its panic is reported and hurts nobody else. A task's is ours.
#[inline]
pub(crate) fn call_waker(task: RawTask, waker: Waker) {
    if waker::is_ours(&waker) {
        return waker.wake();
    }
    let Some(waker) = ready::woken_by(waker) else { return };
    panics::reporting(|| task.host(), || waker.wake());
}

/// Drops the output, which is the caller's and may be gone already, and reports a panic that nobody saw.
pub(crate) fn drop_output(task: RawTask) {
    // SAFETY: the output is the caller's.
    let error = unsafe { (task.vtable().error)(task) };
    let seen = task.header().state.load().has(RETRIEVED);
    // SAFETY: the error lies in the output, which is there until dropped below.
    if let Some(error) = error.map(|error| unsafe { &*error }).filter(|e| e.is_panic() && !seen) {
        // The host may call a user's exception handler.
        panics::contain(|| task.host().unretrieved(handle::unretrieved(task), error));
    }
    // SAFETY: as above.
    unsafe { (task.vtable().drop_output)(task) };
}
