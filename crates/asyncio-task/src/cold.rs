//! What few tasks need: a name, a cancel message, done-callbacks, waiters beside the one joiner.
//!
//! One block behind a pointer in the header, made when first needed, under one lock that is never held while user code runs.
//!
//! # Callbacks and completion
//!
//! Whoever adds a callback or a waiter sets `WATCHED` under the lock and looks at the word before:
//!
//! | word before | then |
//! |---|---|
//! | not `COMPLETE` | the completer will find `WATCHED` in its exchange and come for the lock |
//! | `COMPLETE`, and `WATCHED` already | the completer is on its way, or has been here (`Queuer`) |
//! | `COMPLETE` only | no completer comes: the adder sees to its callback itself |
//!
//! *Queueing* is the work of sending the registered callbacks to the lane, batch by batch, in the order of registration. One
//! thread at a time does it: first the completer, later whoever adds a callback when nobody queues. So a callback never
//! overtakes an earlier one.
//!
//! # Finishing
//!
//! From the completing exchange, or from the adding of a late callback, until the round is over the word has `CALLBACKS`. The
//! round is over when nobody queues and no queued callback is outstanding. Whoever makes that true, under the lock, finishes the
//! task there: clears `CALLBACKS` and takes the join waker and all waiters, to wake them after the lock. Hence:
//!
//! 1. A late callback, also added under the lock, starts its round wholly before or after that: it is never left out of one.
//! 2. A waiter that locked before is among those taken; one that locks afterwards finds the task finished.

use crate::cancel::Tree;
use crate::handle::TaskHandle;
use crate::header::RawTask;
use crate::panics;
use crate::runnable::{call_waker, drop_output};
use crate::state::{COMPLETE, HANDLE, JOIN_WAKER, MUST_CANCEL, SEALED, Snapshot, WATCHED};
use asyncio_base::context::{self, ContextSlot};
use asyncio_base::sync::{AtomicBool, AtomicU32, Mutex};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

/// Names one registered done-callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

/// Names one registered waiter; they are woken in the order of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaiterKey(u64);

impl WaiterKey {
    /// The `Task` itself, when it finds the task complete and callbacks outstanding: the slot in the header is the finisher's then.
    pub(crate) const JOINER: WaiterKey = WaiterKey(0);
}

/// The cold block of a task.
#[derive(Debug, Default)]
pub(crate) struct Cold {
    inner: Mutex<Inner>,
    /// The cancel tree; locked by scopes only.
    pub(crate) tree: Mutex<Tree>,
    /// Whether a request is open in the tree; written under its lock.
    pub(crate) has_requests: AtomicBool,
    /// How often nodes were detached from the tree.
    pub(crate) detached: AtomicU32,
}

#[derive(Default)]
struct Inner {
    name: Option<Arc<str>>,
    message: Option<Cow<'static, str>>,
    /// The keys and ids given out.
    last_number: u64,
    queuer: Queuer,
    callbacks: Vec<Callback>,
    /// Callbacks sent to the lane that have not run.
    outstanding: usize,
    waiters: BTreeMap<WaiterKey, Waker>,
}

/// Who sends callbacks to the lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Queuer {
    /// The completer, when it comes.
    #[default]
    Completer,
    /// Somebody is at it.
    Busy,
    /// The completer is done or never comes: whoever adds a callback.
    Adder,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("name", &self.name).finish_non_exhaustive()
    }
}

type Function = Box<dyn FnOnce(RawTask) + Send>;

struct Callback {
    id: CallbackId,
    function: Function,
    context: ContextSlot,
}

/// What the finisher took under the lock and has to see to after it.
struct Finish {
    old: Snapshot,
    joiner: Option<Waker>,
    waiters: BTreeMap<WaiterKey, Waker>,
}

impl Cold {
    pub(crate) fn name(&self) -> Option<Arc<str>> {
        self.inner.lock().name.clone()
    }

    pub(crate) fn set_name(&self, name: Arc<str>) {
        let old = self.inner.lock().name.replace(name);
        drop(old);
    }

    /// Makes a cancel request and keeps its message by asyncio's rule: of the requests on a waiting task the first one's, on one
    /// that is queued or runs the last one's.
    pub(crate) fn request_cancel(
        &self,
        message: Option<Cow<'static, str>>,
        request: impl FnOnce() -> Result<Snapshot, Snapshot>,
    ) -> Result<Snapshot, Snapshot> {
        let mut inner = self.inner.lock();
        let old = request()?;
        if !old.has(MUST_CANCEL | SEALED) {
            inner.message = message;
        }
        Ok(old)
    }

    /// The message of the request being delivered.
    pub(crate) fn take_message(&self) -> Option<Cow<'static, str>> {
        self.inner.lock().message.take()
    }

    /// A request goes back to the task, with its message unless another has come.
    pub(crate) fn restore_message(&self, message: Option<Cow<'static, str>>) {
        let mut inner = self.inner.lock();
        inner.message = inner.message.take().or(message);
    }

    /// Registers a waiter, or gives the one registered another waker; false if the task is finished.
    pub(crate) fn add_waiter(
        &self,
        task: RawTask,
        key: &mut Option<WaiterKey>,
        waker: Waker,
    ) -> bool {
        let mut inner = self.inner.lock();
        if inner.watch(task).is_finished() {
            drop(inner);
            return false;
        }
        let key = *key.get_or_insert_with(|| WaiterKey(inner.next_number()));
        let stale = inner.waiters.insert(key, waker);
        drop(inner);
        drop(stale);
        true
    }

    /// Forgets a waiter.
    pub(crate) fn remove_waiter(&self, key: WaiterKey) {
        let removed = self.inner.lock().waiters.remove(&key);
        drop(removed);
    }

    /// Registers a done-callback; on a complete task it is sent to the lane before this returns, or by whoever is at it.
    ///
    /// The caller borrows the `Task`.
    pub(crate) fn add_callback(&self, task: RawTask, function: Function) -> CallbackId {
        let context = context::with_current(ContextSlot::copy);
        let mut inner = self.inner.lock();
        let id = CallbackId(inner.next_number());
        inner.callbacks.push(Callback { id, function, context });
        let late = inner.watch(task).has(COMPLETE);
        let queue = late && inner.queuer == Queuer::Adder;
        if queue {
            inner.queuer = Queuer::Busy;
            task.header().state.add_late_callback();
        }
        drop(inner);
        if queue {
            self.queue_callbacks(task);
        }
        id
    }

    /// Forgets a callback that is not queued yet; false if there is none.
    pub(crate) fn remove_callback(&self, id: CallbackId) -> bool {
        let mut inner = self.inner.lock();
        let found = inner.callbacks.iter().position(|callback| callback.id == id);
        let removed = found.map(|index| inner.callbacks.remove(index));
        drop(inner);
        removed.is_some()
    }

    /// The task is complete and was watched; for its completer.
    pub(crate) fn completed(&self, task: RawTask) {
        self.inner.lock().queuer = Queuer::Busy;
        self.queue_callbacks(task);
    }

    /// Sends callbacks to the lane until there are no more; for the one who is `Busy`.
    fn queue_callbacks(&self, task: RawTask) {
        let finished = loop {
            let mut inner = self.inner.lock();
            if inner.callbacks.is_empty() {
                inner.queuer = Queuer::Adder;
                break inner.finish_if_over(task);
            }
            let batch = std::mem::take(&mut inner.callbacks);
            inner.outstanding += batch.len();
            drop(inner);
            batch.into_iter().for_each(|callback| callback.queue(task));
        };
        if let Some(finished) = finished {
            finished.tell(task);
        }
    }

    /// One queued callback has run or was dropped.
    fn callback_done(&self, task: RawTask) {
        let mut inner = self.inner.lock();
        inner.outstanding -= 1;
        let finished = inner.finish_if_over(task);
        drop(inner);
        if let Some(finished) = finished {
            finished.tell(task);
        }
    }
}

impl Inner {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Sets `WATCHED`; the word before.
    fn watch(&mut self, task: RawTask) -> Snapshot {
        let old = task.header().state.set_watched();
        if old.has(COMPLETE) && !old.has(WATCHED) {
            self.queuer = Queuer::Adder;
        }
        old
    }

    /// Finishes the task if the round of callbacks is over.
    fn finish_if_over(&mut self, task: RawTask) -> Option<Finish> {
        if self.queuer != Queuer::Adder || self.outstanding > 0 {
            return None;
        }
        let old = task.header().state.finish_callbacks();
        let joiner = old.has(JOIN_WAKER).then(|| {
            // SAFETY: the RMW that finished the task gave us the slot.
            unsafe { task.header().join.take() }
        });
        let waiters = std::mem::take(&mut self.waiters);
        Some(Finish { old, joiner: joiner.flatten(), waiters })
    }
}

impl Finish {
    /// Drops the output if nobody is left to read it, and wakes everybody.
    fn tell(self, task: RawTask) {
        if !self.old.has(HANDLE) {
            drop_output(task);
        }
        self.joiner.into_iter().chain(self.waiters.into_values()).for_each(|w| call_waker(task, w));
    }
}

impl Callback {
    /// Sends the callback to the lane of the task's loop.
    fn queue(self, task: RawTask) {
        let call = Call { task: TaskHandle::new_ref(task), function: Some(self.function) };
        task.host().call_soon(self.context, Box::new(move || call.run()));
    }
}

/// A callback on its way; counts itself done also if it panics or if a closed loop drops it.
struct Call {
    task: TaskHandle,
    function: Option<Function>,
}

impl Call {
    fn run(mut self) {
        if let Some(function) = self.function.take() {
            function(self.task.raw());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let task = self.task.raw();
        // A callback that a closed loop drops may be dropped by the completer, who must not unwind.
        panics::reporting(|| task.host(), || drop(self.function.take()));
        task.header().cold().callback_done(task);
    }
}
