//! The scheduler of asyncio: one loop, its workers, its lane, its gate. Only `asyncio` promises a stable API; this crate does not.
//!
//! | word | file |
//! |---|---|
//! | **loop** | [`event_loop`]: what `run_forever` and `stop` do, `close.rs` what `close` does, [`errors`] why they did not |
//! | **gate** | [`gate`]: idle, running or closed |
//! | **worker**, **pass** | [`worker`]: one turn: collect without blocking, then run what was queued at that moment; `search.rs`: what it does without work, `pace.rs`: how often it looks at descriptors |
//! | **run queue** | [`run_queue`]: the worker's FIFO, and the injector for other threads |
//! | **idle** | [`idle`]: who is awake, and whether bringing work means waking somebody; [`parker`]: where one worker sleeps |
//! | **watch** | [`watch`]: a worker that is stuck freezes nothing |
//! | **home** | `home.rs`: where tasks are made: their list, and the way to the core |
//! | **shard** | `shard.rs`: what others reach of one worker; `threads.rs`: the workers' threads |
//! | **lane**, **ticket** | [`lane`]: the serial FIFO of callbacks |
//! | **callback** | [`callback`]: what `call_soon` queues, and its handle |
//! | **core** | [`core`]: what a waker reaches, never freed |
//! | **promise** | [`promise`]: the settable future: one outcome, set once, and those who wait for it in their order |
//! | **blocking pool** | [`blocking`]: threads for code that blocks |
//! | **simulation** | [`simulated`]: the workers played one step at a time on one thread |
//! | **driver**, **seam** | [`driver`]: readiness, timers, clock, threads: everything that is not determined by the code alone; [`signs`]: what a worker reads of it by itself before each pass |
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
mod here;
mod home;
pub mod idle;
pub mod lane;
mod look;
mod pace;
pub mod parker;
pub mod promise;
#[cfg(all(test, not(asyncio_loom)))]
mod rehearsal;
mod right;
mod room;
pub mod run_queue;
mod search;
mod shard;
pub mod signs;
pub mod simulated;
mod threads;
pub mod watch;
pub mod worker;

pub use callback::Handle;
pub use core::set_last_resort;
pub use driver::{Driver, Join, Reporter, Step, Wait};
pub use errors::{CloseError, LoopClosed, RunError};
pub use event_loop::Loop;
pub use room::{LocalRoom, Room};
pub use signs::{Signs, Words};

/// How many processors this process may use, asked once.
pub fn processors() -> usize {
    // Plain std: it outlives any model.
    static PROCESSORS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *PROCESSORS.get_or_init(num_cpus::get)
}
