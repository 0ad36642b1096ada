//! What stands for `signals.rs` without the feature `signal`, and where there are no signals: Ctrl-C ends the program.

use crate::exceptions::RunError;
use asyncio_base::sync::AtomicU64;
use asyncio_reactor::Reactor;
use asyncio_scheduler::Loop;
use asyncio_task::TaskHandle;
use std::sync::Arc;

/// The signals that have come, which are none.
pub(crate) struct Signals(AtomicU64);

pub(crate) struct CtrlC;

impl Signals {
    pub(crate) fn new(_reactor: &Arc<Reactor>) -> Self {
        Signals(AtomicU64::new(0))
    }

    pub(crate) fn word(&self) -> &AtomicU64 {
        &self.0
    }

    pub(crate) fn deliver(&self, _scheduler: impl FnOnce() -> Option<Arc<Loop>>) {}

    pub(crate) fn ctrl_c(&self) -> CtrlC {
        CtrlC
    }

    pub(crate) fn close(&self) {}
}

impl CtrlC {
    pub(crate) fn watch(&self, _task: TaskHandle) {}

    pub(crate) fn finish<T>(self, outcome: Result<T, RunError>) -> Result<T, RunError> {
        outcome
    }
}

pub(crate) fn end_by_interrupt() {}
