//! The poller of a reactor: the platform's, or that of a simulated system.

use crate::platform::Platform;
use crate::readiness::Ready;
use crate::source::Handle;
use crate::sys;
use crate::system::{System, Token};
use std::io;
// Shared ownership, not a protocol.
use std::sync::Arc;
use std::time::Duration;

/// What the last wait brought.
pub(crate) struct Events {
    platform: sys::Events,
    simulated: Vec<(Token, Ready)>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Events { platform: sys::Events::new(), simulated: Vec::new() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Ready)> {
        self.platform.iter().chain(self.simulated.iter().map(|&(token, ready)| (token.0, ready)))
    }
}

#[derive(Debug)]
pub(crate) enum Poller {
    Platform(Platform),
    Simulated(Arc<dyn System>),
}

impl Poller {
    pub(crate) fn system(&self) -> Option<&Arc<dyn System>> {
        match self {
            Poller::Platform(_) => None,
            Poller::Simulated(system) => Some(system),
        }
    }

    pub(crate) fn register(&self, source: Handle<'_>, key: u64, interest: Ready) -> io::Result<()> {
        match (self, source) {
            (Poller::Platform(poller), Handle::Descriptor(fd)) => {
                poller.register(&fd, key, interest)
            }
            (Poller::Simulated(system), Handle::Simulated(socket)) => {
                system.watch(socket, Token(key))
            }
            (Poller::Platform(_), Handle::Simulated(_)) => {
                Err(out_of_place("a simulated socket cannot be waited for outside its simulation"))
            }
            // An `Io` reports it before it gets here.
            (Poller::Simulated(_), Handle::Descriptor(_)) => {
                Err(out_of_place("a descriptor cannot be waited for in a simulation"))
            }
        }
    }

    pub(crate) fn rearm(&self, source: Handle<'_>, key: u64, interest: Ready) -> io::Result<()> {
        match (self, source) {
            (Poller::Platform(poller), Handle::Descriptor(fd)) => poller.rearm(&fd, key, interest),
            (Poller::Simulated(system), Handle::Simulated(socket)) => {
                system.rearm(socket, interest)
            }
            _ => Ok(()), // It was not registered.
        }
    }

    /// Ends a registration; the source is closed next if `closing`, else it stays open.
    pub(crate) fn forget(&self, source: Handle<'_>, closing: bool) {
        match (self, source) {
            (Poller::Platform(poller), Handle::Descriptor(fd)) if closing => poller.closing(&fd),
            (Poller::Platform(poller), Handle::Descriptor(fd)) => poller.delete(&fd),
            (Poller::Simulated(system), Handle::Simulated(socket)) => system.forget(socket),
            _ => {} // It was not registered.
        }
    }

    /// The caller is about to say that it waits.
    #[inline]
    pub(crate) fn prepare(&self) {
        match self {
            Poller::Platform(poller) => poller.prepare(),
            Poller::Simulated(_) => {}
        }
    }

    pub(crate) fn notify(&self) {
        match self {
            Poller::Platform(poller) => poller.notify(),
            Poller::Simulated(system) => system.notify(),
        }
    }

    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Poller::Platform(poller) => poller.wait(&mut events.platform, timeout),
            Poller::Simulated(system) => {
                events.simulated.clear();
                system.wait(timeout, &mut events.simulated)
            }
        }
    }
}

fn out_of_place(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, message)
}
