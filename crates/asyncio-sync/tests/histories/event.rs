//! A flag that lets everybody through who has begun to wait.

use super::steps::{self, Log, Oracle, Rng, TaskId, pass};
use asyncio_sync::Event;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Wants,
    Got,
    Set,
    Clear,
    Saw(bool),
}

/// A flag and two lists.
#[derive(Debug, Default)]
pub(crate) struct Flag {
    is_set: bool,
    waiting: Vec<TaskId>,
    released: Vec<TaskId>,
}

impl Oracle for Flag {
    type Act = Act;

    fn apply(&mut self, task: TaskId, act: &Act) -> Result<(), String> {
        match *act {
            Act::Wants if self.is_set => self.released.push(task),
            Act::Wants => self.waiting.push(task),
            Act::Got => {
                let at = self.released.iter().position(|&released| released == task);
                self.released.remove(at.ok_or("it was not released")?);
            }
            Act::Set => {
                self.is_set = true;
                self.released.append(&mut self.waiting);
            }
            Act::Clear => self.is_set = false,
            Act::Saw(is_set) if is_set != self.is_set => return Err("it is not so".to_owned()),
            Act::Saw(_) => {}
        }
        Ok(())
    }

    fn cancel(&mut self, task: TaskId) {
        self.waiting.retain(|&other| other != task);
        self.released.retain(|&other| other != task);
    }

    fn owed(&self) -> Vec<TaskId> {
        self.released.clone()
    }

    fn waiting(&self) -> Vec<TaskId> {
        self.waiting.clone()
    }
}

pub(crate) struct Subject(Event);

impl steps::Subject for Subject {
    type Oracle = Flag;

    fn new(_: &mut Rng) -> (Self, Flag) {
        (Subject(Event::new()), Flag::default())
    }

    async fn program(self: Rc<Self>, mut rng: Rng, log: Log<Act>) {
        for _ in 0..2 + rng.below(6) {
            match rng.below(8) {
                0..3 => {
                    log.did(Act::Wants);
                    self.0.wait().await;
                    log.did(Act::Got);
                }
                3..5 => {
                    self.0.set();
                    log.did(Act::Set);
                }
                5 => {
                    self.0.clear();
                    log.did(Act::Clear);
                }
                6 => log.did(Act::Saw(self.0.is_set())),
                _ => pass().await,
            }
        }
    }

    fn check_rest(&self) {
        assert_eq!(self.0.statistics().waiters, 0);
    }
}
