//! The timers of asyncio: a pure wheel and, on it, the timers of a loop. Only `asyncio` promises a stable API; this crate
//! does not.
//!
//! | module | what it holds |
//! |---|---|
//! | [`wheel`] | the timer wheel, a pure data structure |
//! | [`clock`] | where time comes from, and the scale it is measured on |
//! | [`timers`] | the timers of one loop: a wheel of wakers per worker, and the sleep in the poller |
//! | `alarm` | the protocol between an inserter and the sleeper: publish, fence, look |
//! | [`worker`] | one worker's wheel behind its lock |
//! | [`lane`] | the timers of callbacks |
//! | [`context`] | whose wheel this thread's timers go to |
//! | [`sleep`](mod@sleep), [`interval`](mod@interval) | the futures |
//!
//! No thread is started here, no system call made and no clock read: a [`Clock`] is handed in.
#![forbid(unsafe_code)]

mod alarm;
pub mod clock;
pub mod context;
pub mod interval;
pub mod lane;
pub mod sleep;
pub mod timers;
pub mod wheel;
pub mod worker;

pub use clock::{Clock, secs};
pub use interval::{Interval, MissedTicks, interval, interval_at};
pub use lane::LaneTimers;
pub use sleep::{Sleep, sleep, sleep_until};
pub use timers::Timers;
pub use wheel::{Key, Wheel};
pub use worker::WorkerWheel;
