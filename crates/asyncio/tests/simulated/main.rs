//! The whole public surface under the simulation: see [`harness`] for what is done to each scenario.
//!
//! `ASYNCIO_SEEDS` says by how many seeds (1000 unless it is set), `ASYNCIO_SEED` which one only: a number or a schedule. `.ci/simulate` is the long run.

mod channels;
mod clock;
mod futures;
mod groups;
mod harness;
mod locks;
mod panics;
mod queues;
mod shutdown;
mod streams;
mod tasks;
mod threads;
mod together;
