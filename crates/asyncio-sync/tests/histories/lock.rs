//! One at a time, and each sees what the one before left.

use super::semaphore::{self, Permits};
use super::steps::{self, Log, Oracle, Rng, TaskId, pass};
use asyncio_sync::Lock;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Wants,
    /// With the number that was found, and raised.
    Got(u32),
    Tried(Option<u32>),
    Released,
}

/// One permit and a number.
#[derive(Debug)]
pub(crate) struct Counter {
    permits: Permits,
    count: u32,
}

impl Counter {
    fn found(&mut self, count: u32) -> Result<(), String> {
        if count != self.count {
            return Err(format!("found {count} and not {}", self.count));
        }
        self.count += 1;
        Ok(())
    }
}

impl Oracle for Counter {
    type Act = Act;

    fn apply(&mut self, task: TaskId, act: &Act) -> Result<(), String> {
        let (same, found) = match *act {
            Act::Wants => (semaphore::Act::Wants(1), None),
            Act::Got(count) => (semaphore::Act::Got(1), Some(count)),
            Act::Tried(count) => (semaphore::Act::Tried(1, count.is_some()), count),
            Act::Released => (semaphore::Act::Released(1), None),
        };
        self.permits.apply(task, &same)?;
        found.map_or(Ok(()), |count| self.found(count))
    }

    fn cancel(&mut self, task: TaskId) {
        self.permits.cancel(task);
    }

    fn owed(&self) -> Vec<TaskId> {
        self.permits.owed()
    }

    fn waiting(&self) -> Vec<TaskId> {
        self.permits.waiting()
    }
}

pub(crate) struct Subject(Lock<u32>);

fn raise(count: &mut u32) -> u32 {
    *count += 1;
    *count - 1
}

impl steps::Subject for Subject {
    type Oracle = Counter;

    fn new(_: &mut Rng) -> (Self, Counter) {
        (Subject(Lock::new(0)), Counter { permits: Permits::new(1), count: 0 })
    }

    async fn program(self: Rc<Self>, mut rng: Rng, log: Log<Act>) {
        let mut held = None;
        for _ in 0..2 + rng.below(8) {
            match (rng.below(5), held.is_some()) {
                (0..2, false) => {
                    log.did(Act::Wants);
                    let mut guard = self.0.acquire().await;
                    log.did(Act::Got(raise(&mut guard)));
                    held = Some(guard);
                }
                (2, _) => {
                    let mut got = self.0.try_acquire();
                    log.did(Act::Tried(got.as_deref_mut().map(raise)));
                    held = held.or(got);
                }
                (0..4, true) => {
                    held = None;
                    log.did(Act::Released);
                }
                _ => pass().await,
            }
        }
        if held.take().is_some() {
            log.did(Act::Released);
        }
    }

    fn check_rest(&self) {
        assert!(!self.0.locked() && self.0.statistics().waiters == 0);
    }
}
