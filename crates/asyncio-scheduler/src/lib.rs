//! The scheduler of asyncio: one loop, its workers, its lane, its gate. Only `asyncio` promises a stable API; this crate does not.
//!
//! | word | file |
//! |---|---|
//! | **loop** | [`event_loop`]: what `run_forever` and `stop` do, `close.rs` what `close` does, [`errors`] why they did not |
//! | **gate** | [`gate`]: idle, running or closed |
//! | **worker**, **pass** | [`worker`]: one turn: collect without blocking, then run what was queued at that moment |
//! | **run queue** | [`run_queue`]: the worker's FIFO, and the injector for other threads |
//! | **sleep** | [`sleep`]: whether a thread that brings work has to wake the worker |
//! | **lane**, **ticket** | [`lane`]: the serial FIFO of callbacks |
//! | **callback** | [`callback`]: what `call_soon` queues, and its handle |
//! | **core** | [`core`]: what a waker reaches, never freed |
//! | **promise** | [`promise`]: the settable future: one outcome, set once, and those who wait for it in their order |
//! | **blocking pool** | [`blocking`]: threads for code that blocks |
//! | **driver**, **seam** | [`driver`]: readiness, timers, clock, threads: everything that is not determined by the code alone |
//!
//! The scheduler names neither reactor nor timer: it owns the small [`Driver`] trait, and the facade supplies one made
//! of both.

pub mod blocking;
pub mod callback;
mod close;
pub mod core;
pub mod driver;
mod eager;
pub mod errors;
pub mod event_loop;
pub mod gate;
pub mod lane;
mod panics;
pub mod promise;
pub mod run_queue;
pub mod sleep;
pub mod worker;

pub use callback::Handle;
pub use core::set_last_resort;
pub use driver::{Driver, Reporter, Step, Wait};
pub use errors::{CloseError, LoopClosed, RunError};
pub use event_loop::Loop;
