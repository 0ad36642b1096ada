//! The tasks of a gather, of one type or of many: what the waiting needs of them, and what it gives for them.

use crate::exceptions::JoinError;
use crate::tasks::Task;
use std::borrow::Cow;
use std::task::Waker;

/// One task of a gather, of whatever type.
#[doc(hidden)]
pub trait Child {
    fn wake_when_finished(&mut self, waker: Waker) -> bool;
    fn cancel(&self, message: Option<Cow<'static, str>>) -> bool;
    fn cancelled(&self) -> bool;
    fn failed(&self) -> bool;
    fn forgive(&self);
}

impl<T> Child for Task<T> {
    #[inline(always)]
    fn wake_when_finished(&mut self, waker: Waker) -> bool {
        Task::wake_when_finished(self, waker)
    }

    fn cancel(&self, message: Option<Cow<'static, str>>) -> bool {
        match message {
            None => Task::cancel(self),
            Some(message) => self.cancel_with(message),
        }
    }

    fn cancelled(&self) -> bool {
        Task::cancelled(self)
    }

    fn failed(&self) -> bool {
        self.error().is_some()
    }

    fn forgive(&self) {
        Task::forgive(self);
    }
}

/// A task whose `Err` is a failure as well.
#[doc(hidden)]
#[derive(Debug)]
pub struct Fallible<T, E>(pub(super) Task<Result<T, E>>);

impl<T, E> Child for Fallible<T, E> {
    fn wake_when_finished(&mut self, waker: Waker) -> bool {
        self.0.wake_when_finished(waker)
    }

    fn cancel(&self, message: Option<Cow<'static, str>>) -> bool {
        Child::cancel(&self.0, message)
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    fn failed(&self) -> bool {
        Child::failed(&self.0) || self.0.value().is_some_and(Result::is_err)
    }

    fn forgive(&self) {
        self.0.forgive();
    }
}

/// The tasks of a gather: a list of one type, or a tuple.
#[doc(hidden)]
pub trait Children: Unpin {
    /// What comes out if none fails.
    type Values;
    /// What is said of the first that failed.
    type Error;

    fn count(&self) -> usize;
    fn child(&self, index: usize) -> &dyn Child;
    fn child_mut(&mut self, index: usize) -> &mut dyn Child;
    /// All have ended and none failed.
    fn values(&mut self) -> Self::Values;
    /// The outcome of the one at `index`, which failed.
    fn failure(&mut self, index: usize) -> Self::Error;
}

/// The outcomes, errors among them.
#[doc(hidden)]
pub trait Outcomes: Children {
    type Outcomes;
    fn outcomes(&mut self) -> Self::Outcomes;
}

#[inline(always)]
fn outcome<T>(task: &mut Task<T>) -> Result<T, JoinError> {
    task.try_result().expect("the task of a gather has ended")
}

#[inline(always)]
fn value<T>(task: &mut Task<T>) -> T {
    outcome(task).expect("no task of the gather has failed")
}

fn error<T>(task: &mut Task<T>) -> JoinError {
    outcome(task).err().expect("the task of the gather has failed")
}

fn fallible_value<T, E>(child: &mut Fallible<T, E>) -> T {
    match value(&mut child.0) {
        Ok(value) => value,
        Err(_) => unreachable!("no task of the gather has failed"),
    }
}

fn fallible_error<T, E: From<JoinError>>(child: &mut Fallible<T, E>) -> E {
    match outcome(&mut child.0) {
        Ok(Err(error)) => error,
        Err(error) => E::from(error),
        Ok(Ok(_)) => unreachable!("the task of the gather has failed"),
    }
}

impl<T> Children for Vec<Task<T>> {
    type Values = Vec<T>;
    type Error = JoinError;

    fn count(&self) -> usize {
        self.len()
    }

    fn child(&self, index: usize) -> &dyn Child {
        &self[index]
    }

    fn child_mut(&mut self, index: usize) -> &mut dyn Child {
        &mut self[index]
    }

    fn values(&mut self) -> Vec<T> {
        self.iter_mut().map(value).collect()
    }

    fn failure(&mut self, index: usize) -> JoinError {
        error(&mut self[index])
    }
}

impl<T> Outcomes for Vec<Task<T>> {
    type Outcomes = Vec<Result<T, JoinError>>;

    fn outcomes(&mut self) -> Self::Outcomes {
        self.iter_mut().map(outcome).collect()
    }
}

impl<T, E: From<JoinError>> Children for Vec<Fallible<T, E>> {
    type Values = Vec<T>;
    type Error = E;

    fn count(&self) -> usize {
        self.len()
    }

    fn child(&self, index: usize) -> &dyn Child {
        &self[index]
    }

    fn child_mut(&mut self, index: usize) -> &mut dyn Child {
        &mut self[index]
    }

    fn values(&mut self) -> Vec<T> {
        self.iter_mut().map(fallible_value).collect()
    }

    fn failure(&mut self, index: usize) -> E {
        fallible_error(&mut self[index])
    }
}

/// A tuple whose elements are all of the same kind.
macro_rules! tuple {
    ($count:literal: $($name:ident $index:tt),+) => {
        impl<$($name),+> Children for ($(Task<$name>,)+) {
            type Values = ($($name,)+);
            type Error = JoinError;

            fn count(&self) -> usize {
                $count
            }

            fn child(&self, index: usize) -> &dyn Child {
                match index { $($index => &self.$index,)+ _ => unreachable!("{index}") }
            }

            fn child_mut(&mut self, index: usize) -> &mut dyn Child {
                match index { $($index => &mut self.$index,)+ _ => unreachable!("{index}") }
            }

            fn values(&mut self) -> Self::Values {
                ($(value(&mut self.$index),)+)
            }

            fn failure(&mut self, index: usize) -> JoinError {
                match index { $($index => error(&mut self.$index),)+ _ => unreachable!("{index}") }
            }
        }

        impl<$($name),+> Outcomes for ($(Task<$name>,)+) {
            type Outcomes = ($(Result<$name, JoinError>,)+);

            fn outcomes(&mut self) -> Self::Outcomes {
                ($(outcome(&mut self.$index),)+)
            }
        }

        impl<$($name,)+ Error> Children for ($(Fallible<$name, Error>,)+)
        where
            Error: From<JoinError>,
        {
            type Values = ($($name,)+);
            type Error = Error;

            fn count(&self) -> usize {
                $count
            }

            fn child(&self, index: usize) -> &dyn Child {
                match index { $($index => &self.$index,)+ _ => unreachable!("{index}") }
            }

            fn child_mut(&mut self, index: usize) -> &mut dyn Child {
                match index { $($index => &mut self.$index,)+ _ => unreachable!("{index}") }
            }

            fn values(&mut self) -> Self::Values {
                ($(fallible_value(&mut self.$index),)+)
            }

            fn failure(&mut self, index: usize) -> Error {
                match index {
                    $($index => fallible_error(&mut self.$index),)+
                    _ => unreachable!("{index}"),
                }
            }
        }
    };
}

tuple!(1: A 0);
tuple!(2: A 0, B 1);
tuple!(3: A 0, B 1, C 2);
tuple!(4: A 0, B 1, C 2, D 3);
tuple!(5: A 0, B 1, C 2, D 3, E 4);
tuple!(6: A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

/// One argument of `try_gather!`. Not public API.
#[doc(hidden)]
pub fn fallible<T, E>(task: Task<Result<T, E>>) -> Fallible<T, E> {
    Fallible(task)
}
