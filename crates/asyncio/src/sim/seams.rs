//! What a simulated loop has in the place of a clock, a poller and threads.

use super::world::World;
use crate::executors::{Executor, Job, SubmitError};
use asyncio_reactor::{Ready, System, Token};
use asyncio_timer::Clock;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The clock of a simulated loop.
pub(crate) struct SimClock(pub(crate) Arc<World>);

impl Clock for SimClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn epoch(&self) -> Instant {
        self.0.beginning()
    }

    fn nanos_since_epoch(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The poller of a simulated loop. There is no simulated network yet: this is its place.
pub(crate) struct SimSystem(pub(crate) Weak<World>);

impl System for SimSystem {
    fn wait(&self, _: Option<Duration>, _: &mut Vec<(Token, Ready)>) -> io::Result<()> {
        Ok(())
    }

    fn notify(&self) {}

    fn watch(&self, _socket: u64, _token: Token) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a simulated loop has no network"))
    }

    fn forget(&self, _socket: u64) {}

    fn escaped(&self, place: &'static Location<'static>) -> io::Error {
        if let Some(world) = self.0.upgrade() {
            world.escaped("a real descriptor", Some(place));
        }
        let told = format!("a real descriptor leaves the simulation at {place}");
        io::Error::new(io::ErrorKind::Unsupported, told)
    }
}

impl fmt::Debug for SimSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimSystem")
    }
}

/// Runs jobs on the thread of the simulation, one at a time, when nothing else is ready or before.
pub(crate) struct SimExecutor(pub(crate) Weak<World>);

impl Executor for SimExecutor {
    fn submit(&self, job: Job) -> Result<(), SubmitError> {
        match self.0.upgrade() {
            Some(world) => {
                world.take_job(job);
                Ok(())
            }
            None => Err(SubmitError::ShutDown),
        }
    }
}
