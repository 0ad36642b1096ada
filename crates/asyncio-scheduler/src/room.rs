//! Where a task of a loop is made.

use crate::core::{Anywhere, Core, Pinned};
use crate::eager;
use crate::errors::LoopClosed;
use crate::here;
use crate::run_queue::Entry;
use asyncio_base::context::ContextSlot;
use asyncio_task::{Task, TaskHandle, spawn, spawn_cancelled, spawn_entered, spawn_local};
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// Room for a task that any worker may run, got from [`Loop::room`](crate::Loop::room) before the future is on its way: see [`asyncio_task::Room`].
#[derive(Debug)]
pub struct Room<F: Future> {
    core: &'static Core,
    inner: asyncio_task::Room<F, Anywhere>,
}

impl<F: Future + 'static> Room<F> {
    #[inline(always)]
    pub(crate) fn new(
        core: &'static Core,
        context: ContextSlot,
        location: &'static Location<'static>,
    ) -> Self {
        let scheduler = Anywhere(&core.shard_here().home);
        Room { core, inner: asyncio_task::Room::new(scheduler, context, location) }
    }

    /// Gives the task this name, if any; else it is `Task-N`.
    pub fn named(self, name: Option<Arc<str>>) -> Self {
        Room { inner: self.inner.named(name), ..self }
    }
}

impl<F> Room<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    /// Makes a task and queues its first turn, from any thread.
    ///
    /// # Errors
    ///
    /// If the loop is closed: the future has been dropped, and the task has ended cancelled.
    #[inline(always)]
    pub fn spawn(self, future: F) -> Result<Task<F::Output>, Task<F::Output>> {
        let (made, token) = spawn(self.inner, future);
        let Some(token) = token else { return Err(made.into_task()) };
        self.core.push(Entry::Task(token));
        Ok(made.into_task())
    }

    /// As [`spawn`](Self::spawn), for those that race with `close`.
    ///
    /// # Errors
    ///
    /// If the loop is closed: the future has been dropped.
    pub fn try_spawn(self, future: F) -> Result<Task<F::Output>, LoopClosed> {
        self.spawn(future).map_err(|_cancelled| LoopClosed)
    }

    /// As [`spawn`](Self::spawn), for a future that `enter` enters somewhere together with its task before that can run.
    ///
    /// # Errors
    ///
    /// If the loop is closed, or `enter` says no: the future has been dropped, and the task has ended cancelled.
    #[inline(always)]
    pub fn spawn_entered(
        self,
        future: F,
        enter: impl FnOnce(&mut F, TaskHandle) -> bool,
    ) -> Result<Task<F::Output>, Task<F::Output>> {
        let (made, token) = spawn_entered(self.inner, future, enter);
        let Some(token) = token else { return Err(made.into_task()) };
        self.core.push(Entry::Task(token));
        Ok(made.into_task())
    }

    /// As [`spawn`](Self::spawn), but on a worker of this loop the task has its first turn before this returns, unless too many lie in one
    /// another.
    ///
    /// # Errors
    ///
    /// If the loop is closed: the future has been dropped, and the task has ended cancelled.
    pub fn spawn_eager(self, future: F) -> Result<Task<F::Output>, Task<F::Output>> {
        let (made, token) = spawn(self.inner, future);
        let Some(token) = token else { return Err(made.into_task()) };
        let is_worker = here::works_for(self.core);
        let left = if is_worker { eager::run_first_turn(token) } else { Some(token) };
        left.into_iter().for_each(|token| self.core.push(Entry::Task(token)));
        Ok(made.into_task())
    }

    /// A task that has ended cancelled, its future dropped unpolled.
    pub fn spawn_cancelled(self, future: F) -> Task<F::Output> {
        spawn_cancelled(self.inner, future)
    }
}

/// Room for a task that stays on worker 0, got there from [`Loop::local_room`](crate::Loop::local_room).
#[derive(Debug)]
pub struct LocalRoom<F: Future> {
    core: &'static Core,
    inner: asyncio_task::Room<F, Pinned>,
}

impl<F> LocalRoom<F>
where
    F: Future + 'static,
    F::Output: 'static,
{
    /// For worker 0.
    pub(crate) fn new(
        core: &'static Core,
        context: ContextSlot,
        location: &'static Location<'static>,
    ) -> Self {
        LocalRoom { core, inner: asyncio_task::Room::new(Pinned(core), context, location) }
    }

    /// Gives the task this name, if any; else it is `Task-N`.
    pub fn named(self, name: Option<Arc<str>>) -> Self {
        LocalRoom { inner: self.inner.named(name), ..self }
    }

    /// Makes a task and queues its first turn.
    pub fn spawn(self, future: F) -> Task<F::Output> {
        let (made, token) = spawn_local(self.inner, future);
        token.into_iter().for_each(|token| self.core.push_pinned(Entry::Task(token)));
        made.into_task()
    }

    /// As [`spawn`](Self::spawn), with the first turn as in [`Room::spawn_eager`].
    pub fn spawn_eager(self, future: F) -> Task<F::Output> {
        let (made, token) = spawn_local(self.inner, future);
        let left = token.and_then(eager::run_first_turn);
        left.into_iter().for_each(|token| self.core.push_pinned(Entry::Task(token)));
        made.into_task()
    }
}
