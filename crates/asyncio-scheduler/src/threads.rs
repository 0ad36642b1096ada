//! The threads of the workers other than worker 0.
//!
//! A worker's thread is started when the worker is first woken, and ended when the loop is closed. Between two runs it sleeps.
//!
//! Whoever wakes a worker may be late: the worker was up and lies again, the loop is being closed. So a thread is started under the lock of
//! the threads, and not once the gate says closing: the closer says so first and then takes what the lock guards.

use crate::driver::Join;
use crate::event_loop::Loop;
use crate::shard::Shard;
use crate::worker::Worker;
use asyncio_base::sync::{AtomicBool, Mutex, Ordering};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The threads of one loop.
pub(crate) struct Threads {
    ending: AtomicBool,
    joins: Mutex<Vec<Join>>,
}

impl Threads {
    pub(crate) fn new() -> Self {
        Threads { ending: AtomicBool::new(false), joins: Mutex::new(Vec::new()) }
    }

    /// Ends the sleep of a worker that had no thread: starts one, unless another has done so, or the loop is being closed.
    pub(crate) fn start(&self, event_loop: Arc<Loop>, worker: usize) -> io::Result<()> {
        let shard = &event_loop.core.shards[worker];
        // Locked all the while: who ends the threads finds this one.
        let mut joins = self.joins.lock();
        if event_loop.is_closed() {
            return Ok(());
        }
        if shard.has_thread() {
            drop(joins);
            event_loop.core.unpark(worker);
            return Ok(());
        }
        shard.set_has_thread();
        // It sleeps first, and is woken at once.
        let _no_thread_sleeps_yet = shard.parker.unpark();
        let driver = event_loop.driver_arc();
        let body = Box::new(move || serve(&event_loop, worker));
        joins.push(driver.start_thread(format!("asyncio-worker-{worker}"), body)?);
        Ok(())
    }

    /// Ends the threads and waits for them; for the closer, when all workers lie.
    pub(crate) fn end(&self, shards: &[Shard]) {
        let joins = std::mem::take(&mut *self.joins.lock());
        self.ending.store(true, Ordering::Release);
        for shard in &shards[1..] {
            let _none_lies_in_the_driver = shard.parker.unpark();
        }
        joins.into_iter().for_each(|join| join());
        self.ending.store(false, Ordering::Release);
        shards.iter().for_each(Shard::reset);
    }

    fn are_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("ending", &self.ending).finish_non_exhaustive()
    }
}

/// A thread's life as a worker: it lies, is woken, works until there is nothing to do, lies.
fn serve(event_loop: &Arc<Loop>, index: usize) {
    let worker = Worker::enter(event_loop, index, false);
    loop {
        worker.park();
        if event_loop.core.threads.are_ending() {
            return;
        }
        if !worker.get_up() {
            worker.lie_on();
            continue;
        }
        let mut work = || worker.work();
        let worked = catch_unwind(AssertUnwindSafe(|| {
            event_loop.driver().as_worker(index, &mut work);
        }));
        worked.unwrap_or_else(|panic| event_loop.fail(panic));
        worker.lie();
    }
}
