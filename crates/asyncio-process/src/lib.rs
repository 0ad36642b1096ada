//! The signals of the process, and the clock and the timers of a thread. Only `asyncio` promises a stable API; this crate does not.
//!
//! | module | what it holds |
//! |---|---|
//! | [`published`] | a value that signal handlers may look at, and that can be taken away from them |
//! | `caught` | which signals came for a loop, and how the loop is woken |
//! | `interrupt` | Ctrl-C while a runner runs: the first press is the loop's business, the second ends the program |
//! | `clock` | how long a thread was on a processor |
//! | `slack` | how exact the timers of a thread are |
//! | `catch` | signals that the program has asked its loop to hear of |
//!
//! A signal handler interrupts any code at any point, so it may do next to nothing: it sets a bit, ends the poller's wait and returns.
//! The loop does the rest in its next pass.
//!
//! # Unsafe
//!
//! `sys.rs` and `clock.rs` (the system calls) and `published.rs` (a pointer that handlers may be looking through).

pub mod published;

// The handlers' values are statics, which loom's atomics cannot be.
#[cfg(all(unix, not(asyncio_loom)))]
mod catch;
#[cfg(all(unix, not(asyncio_loom)))]
mod caught;
mod clock;
#[cfg(all(unix, not(asyncio_loom)))]
mod interrupt;
mod slack;
#[cfg(all(unix, not(asyncio_loom)))]
mod sys;

#[cfg(all(unix, not(asyncio_loom)))]
pub use catch::{Catch, CatchError};
#[cfg(all(unix, not(asyncio_loom)))]
pub use caught::{Came, Caught};
pub use clock::thread_time;
#[cfg(all(unix, not(asyncio_loom)))]
pub use interrupt::{Interrupt, end_by_interrupt};
pub use slack::{ExactTimers, exact_timers, wait_exactly};
