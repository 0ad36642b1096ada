//! The schedules of a simulation: where choices come from, how they are written down, replayed and made small. Only `asyncio` promises a
//! stable API; this crate does not.
//!
//! | module | what it holds |
//! |---|---|
//! | [`rng`] | numbers from a seed |
//! | [`choices`] | the choices of one run: drawn from a seed or read from a schedule, and noted |
//! | [`strategy`] | which of several ready tasks comes next |
//! | [`schedule`] | a run as a short line of text |
//! | [`shrink`](mod@shrink) | from a run that fails to a simple one that fails |
//!
//! Nothing here knows of loops or tasks: a run is a row of numbers, each below a bound. That is what makes it possible to replay one, and
//! to try a simpler one: 0 is always the plainest choice, and a row that is too short goes on with zeros.
#![forbid(unsafe_code)]

pub mod choices;
pub mod rng;
pub mod schedule;
pub mod shrink;
pub mod strategy;

pub use choices::Choices;
pub use rng::Rng;
pub use schedule::{BadSchedule, Schedule};
pub use shrink::shrink;
pub use strategy::{BadStrategy, Picker, Strategy};
