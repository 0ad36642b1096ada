//! Task factories: a loop's say in how its tasks are made.

use crate::events::EventLoop;
use crate::tasks::TaskBuilder;
use asyncio_base::sync::{AtomicBool, Mutex, Ordering};
use std::fmt;
use std::sync::Arc;

/// What a loop asks for every task that is made on it: gets the options that were asked for, and returns those to be used.
pub type TaskFactory = Arc<dyn Fn(TaskBuilder) -> TaskBuilder + Send + Sync>;

/// A loop's factory, if it has one.
#[derive(Default)]
pub(crate) struct FactorySlot {
    /// Looked at for every task, so that a loop without a factory pays one load.
    is_set: AtomicBool,
    factory: Mutex<Option<TaskFactory>>,
}

impl FactorySlot {
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    fn get(&self) -> Option<TaskFactory> {
        self.factory.lock().clone()
    }

    fn set(&self, factory: Option<TaskFactory>) {
        let mut slot = self.factory.lock();
        self.is_set.store(factory.is_some(), Ordering::Relaxed);
        let before = std::mem::replace(&mut *slot, factory);
        drop(slot);
        drop(before);
    }
}

impl fmt::Debug for FactorySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FactorySlot").field(&self.is_set()).finish()
    }
}

impl EventLoop {
    /// Has `factory` asked for every task that is made on this loop, `None` for none.
    ///
    /// It may name tasks, give them a context or an [eager start](TaskBuilder::eager_start); it is called where the task is made, and its panic is
    /// that of the call.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio::{TaskBuilder, create_task, eager_task_factory, get_running_loop};
    ///
    /// asyncio::run(async {
    ///     get_running_loop().set_task_factory(Some(eager_task_factory));
    ///     assert!(create_task(async { 1 }).done());
    ///     get_running_loop().set_task_factory(None::<fn(TaskBuilder) -> TaskBuilder>);
    ///     assert!(!create_task(async { 1 }).done());
    /// });
    /// ```
    ///
    /// # Python
    ///
    /// `loop.set_task_factory()`. There a factory makes the task and may choose its class; here tasks are of one type, and it chooses their options.
    pub fn set_task_factory<F>(&self, factory: Option<F>)
    where
        F: Fn(TaskBuilder) -> TaskBuilder + Send + Sync + 'static,
    {
        let factory = factory.map(|factory| Arc::new(factory) as TaskFactory);
        self.task_factory().set(factory);
    }

    /// The factory that was set, if one was.
    ///
    /// # Python
    ///
    /// `loop.get_task_factory()`.
    pub fn get_task_factory(&self) -> Option<TaskFactory> {
        self.task_factory().get()
    }

    /// What the factory makes of the options of a task, if there is one.
    pub(crate) fn ask_factory(&self, builder: TaskBuilder) -> TaskBuilder {
        match self.task_factory().get() {
            Some(factory) => factory(builder),
            None => builder,
        }
    }
}

/// A task factory that starts every task eagerly, unless it was made with [`eager_start(false)`](TaskBuilder::eager_start).
///
/// # Python
///
/// `asyncio.eager_task_factory`. `create_eager_task_factory` has no twin, as there is one class of tasks.
pub fn eager_task_factory(builder: TaskBuilder) -> TaskBuilder {
    if builder.is_eager().is_some() { builder } else { builder.eager_start(true) }
}
