//! Where tasks are made: their list, and the way to the core. The host of the tasks that are in the list.

use crate::core::Core;
use asyncio_base::context::ContextSlot;
use asyncio_task::{Host, JoinError, TaskHandle, TaskList, Unretrieved};
use std::sync::OnceLock;

/// A list of tasks that have not ended, as a part of a core.
#[derive(Debug)]
pub(crate) struct Home {
    core: OnceLock<&'static Core>,
    pub(crate) tasks: TaskList,
}

impl Home {
    pub(crate) fn new() -> Self {
        Home { core: OnceLock::new(), tasks: TaskList::new() }
    }

    pub(crate) fn link(&self, core: &'static Core) {
        self.core.set(core).expect("a core is linked to its parts once");
    }

    pub(crate) fn core(&self) -> &'static Core {
        self.core.get().expect("a core is linked to its parts when it is made")
    }
}

impl Host for Home {
    fn tasks(&self) -> &TaskList {
        &self.tasks
    }

    fn call_soon(&self, context: ContextSlot, callback: Box<dyn FnOnce() + Send>) {
        self.core().call_soon(context, callback);
    }

    fn panicked(&self, task: &TaskHandle, error: &JoinError) -> bool {
        self.core().task_panicked(task, error)
    }

    fn unretrieved(&self, task: Unretrieved, error: &JoinError) {
        self.core().report(|reporter| reporter.unretrieved(task, error));
    }

    fn is_worker(&self) -> bool {
        self.core().is_worked_for_here()
    }

    fn destructor_panicked(&self, error: JoinError) {
        self.core().report(|reporter| reporter.destructor_panicked(error));
    }
}
