//! Items in the order in which they came, room in the order in which it was asked for.

use super::steps::{self, Log, Oracle, Rng, TaskId, pass};
use asyncio_sync::{GetNowaitError, PutNowaitError, Queue};
use std::collections::VecDeque;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(crate) enum Act {
    WantsToPut(u32),
    /// Whether it went in, or the queue was shut.
    Put(bool),
    WantsToGet,
    /// The item, or nothing because the queue was shut.
    Got(Option<u32>),
    TriedToPut(u32, Tried),
    TriedToGet(Option<u32>, Tried),
    Shut,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tried {
    Done,
    MustWait,
    IsShut,
}

/// Lists: of items, of those who wait, of those for whom something is kept.
#[derive(Debug)]
pub(crate) struct Line {
    maxsize: usize,
    items: VecDeque<u32>,
    putters: VecDeque<(TaskId, u32)>,
    getters: VecDeque<TaskId>,
    may_put: Vec<(TaskId, u32)>,
    may_get: Vec<TaskId>,
    is_shut: bool,
}

impl Line {
    fn can_put(&self) -> bool {
        self.items.len() + self.may_put.len() < self.maxsize
    }

    fn can_get(&self) -> bool {
        self.items.len() > self.may_get.len()
    }

    fn settle(&mut self) {
        while (self.is_shut || self.can_put()) && !self.putters.is_empty() {
            self.may_put.extend(self.putters.pop_front());
        }
        while (self.is_shut || self.can_get()) && !self.getters.is_empty() {
            self.may_get.extend(self.getters.pop_front());
        }
    }

    fn put(&mut self, task: TaskId, went_in: bool) -> Result<(), String> {
        let at = self.may_put.iter().position(|&(putter, _)| putter == task);
        let (_, item) = self.may_put.remove(at.ok_or("it was not its turn")?);
        if went_in == self.is_shut {
            return Err(format!("shut: {}", self.is_shut));
        }
        self.items.extend(went_in.then_some(item));
        Ok(())
    }

    fn got(&mut self, task: TaskId, item: Option<u32>) -> Result<(), String> {
        let at = self.may_get.iter().position(|&getter| getter == task);
        self.may_get.remove(at.ok_or("it was not its turn")?);
        match (self.items.pop_front(), item) {
            (None, None) if self.is_shut => Ok(()),
            (next, item) if next == item && item.is_some() => Ok(()),
            (next, _) => Err(format!("{next:?} was next")),
        }
    }

    fn tried(&self, is_possible: bool, tried: Tried) -> Result<(), String> {
        let should = match is_possible {
            true => Tried::Done,
            false if self.is_shut => Tried::IsShut,
            false => Tried::MustWait,
        };
        if tried == should { Ok(()) } else { Err(format!("{should:?} in {self:?}")) }
    }
}

impl Oracle for Line {
    type Act = Act;

    fn apply(&mut self, task: TaskId, act: &Act) -> Result<(), String> {
        match *act {
            Act::WantsToPut(item) => self.putters.push_back((task, item)),
            Act::Put(went_in) => self.put(task, went_in)?,
            Act::WantsToGet => self.getters.push_back(task),
            Act::Got(item) => self.got(task, item)?,
            Act::TriedToPut(item, tried) => {
                self.tried(!self.is_shut && self.can_put(), tried)?;
                self.items.extend((tried == Tried::Done).then_some(item));
            }
            Act::TriedToGet(item, tried) => {
                let can = if self.is_shut { !self.items.is_empty() } else { self.can_get() };
                self.tried(can, tried)?;
                if item.is_some() && self.items.pop_front() != item {
                    return Err("another was next".to_owned());
                }
            }
            Act::Shut => self.is_shut = true,
        }
        self.settle();
        Ok(())
    }

    fn cancel(&mut self, task: TaskId) {
        self.putters.retain(|&(putter, _)| putter != task);
        self.getters.retain(|&getter| getter != task);
        self.may_put.retain(|&(putter, _)| putter != task);
        self.may_get.retain(|&getter| getter != task);
        self.settle();
    }

    fn owed(&self) -> Vec<TaskId> {
        let putters = self.may_put.iter().map(|&(task, _)| task);
        self.may_get.iter().copied().chain(putters).collect()
    }

    fn waiting(&self) -> Vec<TaskId> {
        let putters = self.putters.iter().map(|&(task, _)| task);
        self.getters.iter().copied().chain(putters).collect()
    }
}

pub(crate) struct Subject(Queue<u32>);

impl steps::Subject for Subject {
    type Oracle = Line;

    fn new(rng: &mut Rng) -> (Self, Line) {
        let maxsize = rng.below(4);
        let oracle = Line {
            maxsize: if maxsize == 0 { usize::MAX } else { maxsize },
            items: VecDeque::new(),
            putters: VecDeque::new(),
            getters: VecDeque::new(),
            may_put: Vec::new(),
            may_get: Vec::new(),
            is_shut: false,
        };
        (Subject(Queue::new(maxsize)), oracle)
    }

    async fn program(self: Rc<Self>, mut rng: Rng, log: Log<Act>) {
        for _ in 0..2 + rng.below(8) {
            let item = rng.below(1_000_000) as u32;
            match rng.below(40) {
                0..13 => {
                    log.did(Act::WantsToPut(item));
                    let went_in = self.0.put(item).await.is_ok();
                    log.did(Act::Put(went_in));
                }
                13..26 => {
                    log.did(Act::WantsToGet);
                    let item = self.0.get().await.ok();
                    log.did(Act::Got(item));
                }
                26..30 => {
                    let tried = match self.0.put_nowait(item) {
                        Ok(()) => Tried::Done,
                        Err(PutNowaitError::Full(_)) => Tried::MustWait,
                        Err(PutNowaitError::ShutDown(_)) => Tried::IsShut,
                    };
                    log.did(Act::TriedToPut(item, tried));
                }
                30..34 => {
                    let got = self.0.get_nowait();
                    let tried = match got {
                        Ok(_) => Tried::Done,
                        Err(GetNowaitError::Empty(_)) => Tried::MustWait,
                        Err(GetNowaitError::ShutDown(_)) => Tried::IsShut,
                    };
                    log.did(Act::TriedToGet(got.ok(), tried));
                }
                34 => {
                    self.0.shutdown(false);
                    log.did(Act::Shut);
                }
                _ => pass().await,
            }
        }
    }

    fn check_rest(&self) {
        let rest = self.0.statistics();
        assert_eq!((rest.getters, rest.putters), (0, 0));
        // Nothing is kept for anybody who has gone: what is in can be taken out.
        assert_eq!((0..rest.qsize).filter(|_| self.0.get_nowait().is_ok()).count(), rest.qsize);
    }
}
