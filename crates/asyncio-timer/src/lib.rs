//! The timers of asyncio: a pure wheel and, on it, the timers of a loop. Only `asyncio` promises a stable API; this crate
//! does not.
//!
//! | module | what it holds |
//! |---|---|
//! | [`wheel`] | the timer wheel, a pure data structure |
#![forbid(unsafe_code)]

pub mod wheel;

pub use wheel::{Key, Wheel};
