//! Permits, given out first come, first served.

use super::steps::{self, Log, Oracle, Rng, TaskId, pass};
use asyncio_sync::Semaphore;
use std::collections::VecDeque;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Wants(usize),
    Got(usize),
    Tried(usize, bool),
    Released(usize),
}

/// A number, a queue, and who has what.
#[derive(Debug)]
pub(crate) struct Permits {
    free: usize,
    queue: VecDeque<(TaskId, usize)>,
    owed: Vec<(TaskId, usize)>,
    held: Vec<(TaskId, usize)>,
}

impl Permits {
    pub(crate) fn new(free: usize) -> Self {
        Permits { free, queue: VecDeque::new(), owed: Vec::new(), held: Vec::new() }
    }

    fn settle(&mut self) {
        while let Some(&(task, n)) = self.queue.front().filter(|(_, n)| *n <= self.free) {
            self.queue.pop_front();
            self.free -= n;
            self.owed.push((task, n));
        }
    }
}

fn take(list: &mut Vec<(TaskId, usize)>, wanted: (TaskId, usize)) -> Result<(), String> {
    let at = list.iter().position(|&have| have == wanted);
    let at = at.ok_or("it was not its turn, or it has no such thing")?;
    list.remove(at);
    Ok(())
}

impl Oracle for Permits {
    type Act = Act;

    fn apply(&mut self, task: TaskId, act: &Act) -> Result<(), String> {
        match *act {
            Act::Wants(n) => self.queue.push_back((task, n)),
            Act::Got(n) => {
                take(&mut self.owed, (task, n))?;
                self.held.push((task, n));
            }
            Act::Tried(n, got) => {
                let can = self.queue.is_empty() && self.owed.is_empty() && n <= self.free;
                if got != can {
                    return Err(format!("{self:?}"));
                }
                if got {
                    self.free -= n;
                    self.held.push((task, n));
                }
            }
            Act::Released(n) => {
                take(&mut self.held, (task, n))?;
                self.free += n;
            }
        }
        self.settle();
        Ok(())
    }

    fn cancel(&mut self, task: TaskId) {
        self.queue.retain(|&(waiting, _)| waiting != task);
        for list in [&mut self.owed, &mut self.held] {
            list.retain(|&(has, n)| {
                self.free += if has == task { n } else { 0 };
                has != task
            });
        }
        self.settle();
    }

    fn owed(&self) -> Vec<TaskId> {
        self.owed.iter().map(|&(task, _)| task).collect()
    }

    fn waiting(&self) -> Vec<TaskId> {
        self.queue.iter().map(|&(task, _)| task).collect()
    }
}

pub(crate) struct Subject {
    semaphore: Semaphore,
    permits: usize,
}

impl steps::Subject for Subject {
    type Oracle = Permits;

    fn new(rng: &mut Rng) -> (Self, Permits) {
        let permits = 1 + rng.below(4);
        (Subject { semaphore: Semaphore::new(permits), permits }, Permits::new(permits))
    }

    async fn program(self: Rc<Self>, mut rng: Rng, log: Log<Act>) {
        let mut held = Vec::new();
        for _ in 0..1 + rng.below(7) {
            let n = 1 + rng.below(self.permits);
            match rng.below(6) {
                0..3 => {
                    log.did(Act::Wants(n));
                    held.push(self.semaphore.acquire_many(n).await);
                    log.did(Act::Got(n));
                }
                3 => {
                    let got = self.semaphore.try_acquire_many(n);
                    log.did(Act::Tried(n, got.is_some()));
                    held.extend(got);
                }
                4 => {
                    if let Some(permit) = held.pop() {
                        log.did(Act::Released(permit.num_permits()));
                    }
                }
                _ => pass().await,
            }
        }
        while let Some(permit) = held.pop() {
            log.did(Act::Released(permit.num_permits()));
        }
    }

    fn check_rest(&self) {
        assert_eq!(
            (self.semaphore.value(), self.semaphore.statistics().waiters),
            (self.permits, 0)
        );
    }
}
