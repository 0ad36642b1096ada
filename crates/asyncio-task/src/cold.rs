//! What few tasks need: a name, a cancel message, done-callbacks, waiters beside the one joiner.
//!
//! One block behind a pointer in the header, made when first needed, under one lock that is never held while user code runs.
//!
//! # Callbacks and completion
//!
//! Whoever adds a callback or a waiter sets `WATCHED` under the lock and looks at the word before. Not complete: the completer
//! will find `WATCHED` in its exchange and come for the lock. Complete with `WATCHED` set and not `drained`: the completer is on its
//! way. Otherwise nobody comes, and the adder serves itself: a waiter is ready, a callback is queued at once.
//!
//! While callbacks are outstanding the word has `CALLBACKS`. The last one clears it, and only then takes the waiters under the
//! lock: a waiter that locked before is in the list, one that locks afterwards finds the task finished.

use crate::handle::TaskHandle;
use crate::header::RawTask;
use crate::runnable::{call_waker, finish_callbacks};
use crate::state::{COMPLETE, MUST_CANCEL, Snapshot, WATCHED};
use asyncio_base::context::{self, ContextSlot};
use asyncio_base::sync::Mutex;
use std::borrow::Cow;
use std::sync::Arc;
use std::task::Waker;

/// Names one registered done-callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

/// The cold block of a task.
#[derive(Debug, Default)]
pub(crate) struct Cold(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    name: Option<Arc<str>>,
    message: Option<Cow<'static, str>>,
    /// The recorded request found the task waiting: later ones do not change its message.
    message_sealed: bool,
    callbacks: Vec<Callback>,
    next_callback: u64,
    /// Callbacks queued on the lane that have not run.
    outstanding: usize,
    /// The completer has been here.
    drained: bool,
    waiters: Vec<Waker>,
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

impl Cold {
    pub(crate) fn name(&self) -> Option<Arc<str>> {
        self.0.lock().name.clone()
    }

    pub(crate) fn set_name(&self, name: Arc<str>) {
        let old = self.0.lock().name.replace(name);
        drop(old);
    }

    /// Makes a cancel request and keeps its message by asyncio's rule: of the requests on a waiting task the first one's, on one
    /// that is queued or runs the last one's.
    pub(crate) fn request_cancel(
        &self,
        message: Option<Cow<'static, str>>,
        request: impl FnOnce() -> Result<Snapshot, Snapshot>,
    ) -> Result<Snapshot, Snapshot> {
        let mut inner = self.0.lock();
        let old = request()?;
        if !old.has(MUST_CANCEL) {
            inner.message_sealed = old.wakes() == 0;
            inner.message = message;
        } else if !inner.message_sealed {
            inner.message = message;
        }
        Ok(old)
    }

    /// The message of the request being delivered.
    pub(crate) fn take_message(&self) -> Option<Cow<'static, str>> {
        self.0.lock().message.take()
    }

    /// Registers a waiter; false if the task is finished.
    pub(crate) fn add_waiter(&self, task: RawTask, waker: Waker) -> bool {
        let mut inner = self.0.lock();
        if task.header().state.set_watched().is_finished() {
            drop(inner);
            return false;
        }
        let known = inner.waiters.iter().any(|waiter| waiter.will_wake(&waker));
        if !known {
            inner.waiters.push(waker);
        }
        true
    }

    /// Registers a done-callback, or queues it at once on a task that is complete.
    pub(crate) fn add_callback(&self, task: RawTask, function: Function) -> CallbackId {
        let context = context::with_current(ContextSlot::copy);
        let mut inner = self.0.lock();
        let id = CallbackId(inner.next_callback);
        inner.next_callback += 1;
        let callback = Callback { id, function, context };
        let old = task.header().state.set_watched();
        if old.has(COMPLETE) && (inner.drained || !old.has(WATCHED)) {
            inner.outstanding += 1;
            task.header().state.add_late_callback();
            drop(inner);
            callback.queue(task);
        } else {
            inner.callbacks.push(callback);
        }
        id
    }

    /// Forgets a callback that is not queued yet; false if there is none.
    pub(crate) fn remove_callback(&self, id: CallbackId) -> bool {
        let mut inner = self.0.lock();
        let found = inner.callbacks.iter().position(|callback| callback.id == id);
        let removed = found.map(|index| inner.callbacks.remove(index));
        drop(inner);
        removed.is_some()
    }

    /// The task is complete and was watched; for its completer.
    pub(crate) fn completed(&self, task: RawTask) {
        let mut inner = self.0.lock();
        inner.drained = true;
        let callbacks = std::mem::take(&mut inner.callbacks);
        inner.outstanding += callbacks.len();
        // With a late callback outstanding, its end finishes the task.
        let finished = inner.outstanding == 0;
        drop(inner);
        if finished {
            self.finished(task);
        }
        callbacks.into_iter().for_each(|callback| callback.queue(task));
    }

    /// One queued callback has run or was dropped.
    fn callback_done(&self, task: RawTask) {
        let mut inner = self.0.lock();
        inner.outstanding -= 1;
        let finished = inner.outstanding == 0;
        drop(inner);
        if finished {
            self.finished(task);
        }
    }

    fn finished(&self, task: RawTask) {
        finish_callbacks(task);
        let waiters = std::mem::take(&mut self.0.lock().waiters);
        waiters.into_iter().for_each(|waker| call_waker(task, waker));
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
        task.header().cold().callback_done(task);
    }
}
