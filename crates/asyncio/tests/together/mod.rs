//! What the tests of cancellation and of many at once share.
#![allow(dead_code, unused_imports, reason = "each file of tests uses a part")]

#[path = "../common/in_order.rs"]
mod in_order;
#[path = "../common/settle.rs"]
mod settle;

pub(crate) use in_order::run_in_order;
pub(crate) use settle::settle;
use std::fmt;
use std::sync::{Arc, Mutex};

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn say(&self, what: impl fmt::Display) {
        self.0.lock().unwrap().push(what.to_string());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Says so when it is dropped.
pub(crate) struct OnDrop(pub(crate) Log, pub(crate) &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}

/// An error of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oops {
    Value,
    Type,
    ZeroDivision,
    Cancelled,
}

impl fmt::Display for Oops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Oops {}

impl From<asyncio::JoinError> for Oops {
    fn from(_: asyncio::JoinError) -> Self {
        Oops::Cancelled
    }
}
