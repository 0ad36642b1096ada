//! The generators of a loop that were started and have not ended.
//!
//! The registry keeps them: one that is dropped unfinished lives here until it is closed, by a task that its drop has made, else by
//! `shutdown_asyncgens`, else (a loop that is closed without) by being dropped with the loop.

use crate::asyncgens::{GeneratorInfo, Shared, closing};
use crate::debug::Warning;
use crate::diagnostics::ExceptionContext;
use crate::events::{EventLoop, WeakLoop};
use asyncio_base::context::ContextSlot;
use asyncio_base::sync::Mutex;
use asyncio_scheduler::Reporter;
use asyncio_task::{JoinError, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

/// A generator, whatever its items.
pub(crate) trait Closable: Send + Sync {
    fn info(&self) -> GeneratorInfo;

    /// Ends the body and waits for it; a panic of it goes on.
    fn close(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Drops the body.
    fn discard(&self);
}

impl<T: Send + 'static> Closable for Shared<T> {
    fn info(&self) -> GeneratorInfo {
        self.info
    }

    fn close(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(closing::close(self))
    }

    fn discard(&self) {
        Shared::discard(self);
    }
}

#[derive(Default)]
pub(crate) struct Registry(Mutex<State>);

#[derive(Default)]
struct State {
    live: BTreeMap<u64, Arc<dyn Closable>>,
    last_key: u64,
    /// The tasks that close generators which were dropped, by the keys of those.
    closers: BTreeMap<u64, TaskId>,
    /// `shutdown_asyncgens` was called.
    shut: bool,
}

/// A generator's place in its loop's registry.
pub(crate) struct Home {
    event_loop: WeakLoop,
    key: u64,
}

impl Registry {
    /// A generator is started on `event_loop`.
    pub(crate) fn join(event_loop: &EventLoop, generator: Arc<dyn Closable>) -> Home {
        let info = generator.info();
        let (key, late) = {
            let mut state = event_loop.generators().0.lock();
            state.last_key += 1;
            let key = state.last_key;
            state.live.insert(key, generator);
            (key, state.shut)
        };
        if late {
            let message = format!("{info:?} was started after shutdown_asyncgens");
            let source = Some(info.location());
            event_loop.warn(Warning { message, source, ..Warning::default() });
        }
        Home { event_loop: event_loop.downgrade(), key }
    }

    fn leave(&self, key: u64) {
        let mut state = self.0.lock();
        state.closers.remove(&key);
        let left = state.live.remove(&key);
        drop(state);
        drop(left);
    }

    /// The tasks that close generators: they are not cancelled with the others.
    pub(crate) fn closers(&self) -> BTreeSet<TaskId> {
        self.0.lock().closers.values().copied().collect()
    }

    /// Whether none is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().live.is_empty()
    }

    /// Refuses to be quiet about further ones, and gives those there are.
    fn shut(&self) -> Vec<Arc<dyn Closable>> {
        let mut state = self.0.lock();
        state.shut = true;
        state.live.values().cloned().collect()
    }

    /// The loop is closed: drops the bodies that are left.
    pub(crate) fn discard(&self, reporter: &dyn Reporter) {
        let left = std::mem::take(&mut self.0.lock().live);
        left.into_values().for_each(|generator| discard(generator, reporter));
    }
}

/// Drops a body; a panic in that is reported, as it is in the midst of other work.
fn discard(generator: Arc<dyn Closable>, reporter: &dyn Reporter) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(move || generator.discard())) {
        reporter.destructor_panicked(JoinError::panicked(panic));
    }
}

impl Home {
    /// The generator has ended.
    pub(crate) fn leave(&self) {
        if let Some(event_loop) = self.event_loop.upgrade() {
            event_loop.generators().leave(self.key);
        }
    }

    /// The generator was dropped unfinished: a task of its loop closes it; one of a loop that is closed is dropped here.
    pub(crate) fn close_later(&self) {
        let Some(event_loop) = self.event_loop.upgrade() else { return };
        let generator = event_loop.generators().0.lock().live.get(&self.key).cloned();
        let Some(generator) = generator else { return };
        if !self.spawn_closer(&event_loop, generator.clone()) {
            event_loop.generators().leave(self.key);
            discard(generator, &**event_loop.diagnostics());
        }
    }

    /// Makes a task that closes the generator; false if the loop is closed.
    fn spawn_closer(&self, event_loop: &EventLoop, generator: Arc<dyn Closable>) -> bool {
        let location = generator.info().location();
        let weak = event_loop.downgrade();
        let closer = async move { close_one(&weak, generator).await };
        let room = event_loop.scheduler().room(ContextSlot::new(), location);
        // Under the lock, so that the generator leaves when its closer is known; making a task runs no code of the program's.
        let mut state = event_loop.generators().0.lock();
        let made = room.try_spawn(closer);
        let made = made.map(|task| state.closers.insert(self.key, task.id()));
        drop(state);
        made.is_ok()
    }
}

/// Closes a generator and reports what goes wrong.
async fn close_one(event_loop: &WeakLoop, generator: Arc<dyn Closable>) {
    let info = generator.info();
    let Err(error) = closing::catching(generator.close()).await else { return };
    let message = format!("an error occurred during closing of asynchronous generator {info:?}");
    let mut report = ExceptionContext::new(message);
    report.asyncgen = Some(info);
    report.source = Some(info.location());
    report.exception = Some(error);
    if let Some(event_loop) = event_loop.upgrade() {
        event_loop.call_exception_handler(report);
    }
}

impl EventLoop {
    /// Closes all generators that were started on this loop and have not ended, at the same time, and waits for them. What goes wrong is
    /// reported to the exception handler. Generators that are started later are warned of.
    ///
    /// A [`Runner`](crate::Runner) does this when it ends.
    ///
    /// # Cancel safety
    ///
    /// What was begun goes on; it can be waited for again.
    ///
    /// # Examples
    ///
    /// ```
    /// let event_loop = asyncio::new_event_loop()?;
    /// event_loop.run_until_complete(event_loop.shutdown_asyncgens())?;
    /// event_loop.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Python
    ///
    /// `loop.shutdown_asyncgens()`.
    pub fn shutdown_asyncgens(&self) -> impl Future<Output = ()> + Send + 'static {
        let weak = self.downgrade();
        async move {
            let Some(event_loop) = weak.upgrade() else { return };
            let generators = event_loop.generators().shut();
            drop(event_loop);
            let here = Location::caller();
            let mut closers = Vec::with_capacity(generators.len());
            for generator in generators {
                let weak = weak.clone();
                let closer = async move { close_one(&weak, generator).await };
                closers.push(crate::tasks::create_task_at(closer, here));
            }
            for closer in &closers {
                closer.await;
            }
        }
    }
}
