//! Several workers on one thread, for tests of what one of them does beside the others. Nobody else is there: what does not happen by a call from
//! the test does not happen.

use crate::driver::{Driver, Join, Reporter, Wait};
use crate::event_loop::Loop;
use crate::lane::Panicked;
use crate::run_queue::Entry;
use crate::worker::{Entered, Worker};
use asyncio_task::{JoinError, TaskHandle, Unretrieved};
use std::io;
use std::iter;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// A driver that has nothing to do, counts the looks at the descriptors, and panics if somebody sleeps in it.
#[derive(Debug, Default)]
struct Props {
    looks: AtomicUsize,
}

impl Props {
    fn set(self: &Arc<Self>, workers: usize) -> Arc<Loop> {
        Loop::new(workers, self.clone(), self.clone())
    }
}

/// A loop that runs as long as it need not sleep.
pub(crate) fn new_loop(workers: usize) -> Arc<Loop> {
    Arc::new(Props::default()).set(workers)
}

impl Driver for Props {
    fn turn(&self, _worker: usize, wait: Wait) {
        match wait {
            Wait::TimersOnly => {}
            Wait::No => {
                self.looks.fetch_add(1, Ordering::Relaxed);
            }
            Wait::UntilReady | Wait::AtMost(_) => panic!("nobody would wake it"),
        }
    }

    fn unpark(&self) {}

    fn close(&self) {}

    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Whoever begins anywhere begins with worker 0.
    fn random(&self, _bound: usize) -> usize {
        0
    }

    fn start_thread(&self, _: String, _: Box<dyn FnOnce() + Send>) -> io::Result<Join> {
        Err(io::Error::other("no threads here"))
    }

    fn as_worker(&self, _: usize, _: &mut dyn FnMut()) {
        unreachable!("no threads here")
    }
}

impl Reporter for Props {
    fn callback_panicked(&self, _: Panicked) {}

    fn task_destroyed(&self, _: TaskHandle) {}

    fn unretrieved(&self, _: Unretrieved, _: &JoinError) {}

    fn worker_refused(&self, _: usize, _: io::Error) {}

    fn destructor_panicked(&self, _: JoinError) {}
}

/// A loop that does not run, and its workers.
pub(crate) struct Rehearsal {
    event_loop: Arc<Loop>,
    props: Arc<Props>,
    zero: Option<Entered>,
    others: Vec<Rc<Worker>>,
}

impl Rehearsal {
    /// With so many workers, each of which has made a pass.
    pub(crate) fn new(workers: usize) -> Self {
        let props = Arc::new(Props::default());
        let event_loop = props.set(workers);
        let zero = Worker::enter(&event_loop, 0, false);
        let played = |index| Worker::played(&event_loop, index, zero.clone());
        let others = (1..workers).map(played).collect();
        let rehearsal = Rehearsal { event_loop, props, zero: Some(zero), others };
        rehearsal.move_on(0..workers);
        rehearsal
    }

    pub(crate) fn worker(&self, index: usize) -> &Worker {
        let zero = self.zero.iter().map(|zero| &**zero);
        zero.chain(&self.others).nth(index).expect("there is such a worker")
    }

    /// These begin a pass.
    pub(crate) fn move_on(&self, workers: impl IntoIterator<Item = usize>) {
        workers.into_iter().for_each(|index| self.worker(index).shard.beat());
    }

    /// So many entries come to lie with a worker.
    pub(crate) fn queue(&self, worker: usize, entries: usize) {
        let entries = iter::repeat_with(|| Entry::Ticket).take(entries);
        entries.for_each(|entry| self.worker(worker).queue.push(entry));
    }

    /// So many entries come from another thread.
    pub(crate) fn inject(&self, entries: usize) {
        let core = self.event_loop.core;
        let inject = || {
            for _ in 0..entries {
                let _nobody_sleeps = core.enqueue(Entry::Ticket);
            }
        };
        thread::scope(|scope| scope.spawn(inject).join()).expect("it only queues");
    }

    /// How often somebody has looked at the descriptors.
    pub(crate) fn looks(&self) -> usize {
        self.props.looks.load(Ordering::Relaxed)
    }

    /// How many entries lie with each worker.
    pub(crate) fn queued(&self) -> Vec<usize> {
        (0..self.event_loop.workers()).map(|index| self.worker(index).queue.len()).collect()
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.others.drain(..).for_each(Worker::end_played);
        drop(self.zero.take());
        self.event_loop.close().expect("no run goes on");
    }
}
