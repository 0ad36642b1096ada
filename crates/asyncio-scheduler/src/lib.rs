//! The scheduler of asyncio: one loop, its workers, its lane, its gate. Only `asyncio` promises a stable API; this crate does not.
//!
//! | word | file |
//! |---|---|
//! | **loop** | [`event_loop`]: what `run_forever`, `stop` and `close` do |
//! | **gate** | [`gate`]: idle, running or closed |
//! | **worker**, **pass** | [`worker`]: one turn: collect without blocking, then run what was queued at that moment |
//! | **run queue** | [`run_queue`]: the worker's FIFO, and the injector for other threads |
//! | **lane**, **ticket** | [`lane`]: the serial FIFO of callbacks |
//! | **callback** | [`callback`]: what `call_soon` queues, and its handle |
//! | **core** | [`core`]: what a waker reaches, never freed |
//! | **driver**, **seam** | [`driver`]: readiness, timers, clock, threads: everything that is not determined by the code alone |
//!
//! The scheduler names neither reactor nor timer: it owns the small [`Driver`](driver::Driver) trait, and the facade supplies one made
//! of both.

pub mod callback;
pub mod core;
pub mod driver;
pub mod event_loop;
pub mod gate;
pub mod lane;
pub mod run_queue;
pub mod worker;

pub use callback::Handle;
pub use driver::{Driver, Reporter, Wait};
pub use event_loop::{CloseError, Loop, LoopClosed, RunError};
