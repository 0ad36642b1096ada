//! Closing a loop.
//!
//! 1. Through the gate: from now on nothing runs.
//! 2. The task lists and the lane refuse: nothing spawns or queues. The lane's callbacks are dropped.
//! 3. Every pending task is aborted and its token run, on this thread, as a worker: its future is dropped there.
//! 4. Each of them is reported.
//! 5. The driver closes, and with it the timers.
//! 6. The other workers' threads end; they lay all the while. Those that had got none may have one in the next loop.
//!
//! # Nothing is left behind
//!
//! A token is only ever that of a task in a list, and after step 2 no task joins. So when the lists are empty there is no token, neither
//! queued nor on its way: the closer waits for a thread that has counted a wake and not pushed the token yet, a matter of instructions.
//! A ticket is queued under the lane's lock, so after step 2 none comes any more. What is queued then is drained in step 3.
//!
//! # User code
//!
//! Destructors run all along: of callbacks, futures, timers. They may call anything of this loop or another; of this one they find it
//! closed. None runs under a lock, and the panic of one is reported and stops nothing.

use crate::errors::CloseError;
use crate::event_loop::Loop;
use crate::gate::NotIdle;
use crate::worker::Worker;
use asyncio_base::sync::thread;
use std::sync::Arc;

impl Loop {
    /// Closes the loop; closing a closed one does nothing. False if it was closed already.
    ///
    /// # Errors
    ///
    /// If the loop is running, or has local tasks of another thread.
    pub fn close(self: &Arc<Self>) -> Result<bool, CloseError> {
        match self.gate.try_run() {
            Ok(()) => {}
            Err(NotIdle::Running) => return Err(CloseError::Running),
            Err(NotIdle::Closed) => return Ok(false),
        }
        if !self.is_right_thread() {
            self.gate.leave();
            return Err(CloseError::WrongThread);
        }
        self.gate.begin_close();
        self.core.refuse_tasks(true);
        // All others lie since the last run ended.
        let worker = self.become_worker(true);
        self.discard_callbacks();
        self.destroy_tasks(&worker);
        self.reporting(|| self.driver().close());
        drop(worker);
        self.core.threads.end(&self.core.shards);
        self.core.idle.take_back();
        self.gate.set_closed();
        self.core.close(self);
        Ok(true)
    }

    fn discard_callbacks(&self) {
        for callback in self.lane().close() {
            self.reporting(|| callback.discard());
            // Perhaps with the values of its context.
            self.reporting(|| drop(callback));
        }
    }

    fn destroy_tasks(&self, worker: &Worker) {
        let pending = self.all_tasks();
        pending.iter().for_each(|task| {
            task.abort();
        });
        loop {
            worker.run_all();
            if self.core.has_no_task() {
                break;
            }
            thread::yield_now();
        }
        pending.into_iter().for_each(|task| self.report(|r| r.task_destroyed(task)));
    }
}
