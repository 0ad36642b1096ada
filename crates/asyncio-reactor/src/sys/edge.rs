//! BSD and Apple: `polling` in edge mode, which is kqueue with `EV_CLEAR`.
//!
//! `polling` does not say whether the peer has closed, so a short read is not taken for the last: reading goes on until a call
//! would block.

use crate::readiness::Ready;
use polling::{AsRawSource, AsSource, Event, PollMode};
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a key takes 64 bits, and polling's are as wide as a pointer");

/// A short read may have been the last before the end of the stream, of which no further edge will tell.
pub(crate) const SHORT_READ_DRAINS: bool = false;

/// What the last wait brought.
pub(crate) struct Events(polling::Events);

impl Events {
    pub(crate) fn new() -> Self {
        Events(polling::Events::new())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Ready)> {
        self.0.iter().map(|event| {
            let read = if event.readable { Ready::READ } else { Ready::NONE };
            let write = if event.writable { Ready::WRITE } else { Ready::NONE };
            (event.key as u64, read | write)
        })
    }
}

#[derive(Debug)]
pub(crate) struct Poller(polling::Poller);

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        polling::Poller::new().map(Poller)
    }

    /// Registers a source for all events; what it is ready for now is told by the next wait.
    pub(crate) fn register<T: AsSource>(
        &self,
        source: &T,
        key: u64,
        _interest: Ready,
    ) -> io::Result<()> {
        let fd = source.as_fd().as_raw_fd();
        // SAFETY: `polling` asks that the source is deleted before it is closed. `fd` is open now, for `source` lends it, and
        // an `Io` calls `closing` or `delete` before it drops or gives away its source.
        unsafe { self.0.add_with_mode(fd.raw(), Event::all(key as usize), PollMode::Edge) }
    }

    /// An edge needs no arming.
    pub(crate) fn rearm<T: AsSource>(&self, _: &T, _key: u64, _interest: Ready) -> io::Result<()> {
        Ok(())
    }

    /// Unregisters a source that stays open.
    pub(crate) fn delete<T: AsSource>(&self, source: &T) {
        // It fails only for a source that is not registered, which is what is wanted.
        let _ = self.0.delete(source.as_fd());
    }

    /// The source is about to be closed.
    pub(crate) fn closing<T: AsSource>(&self, source: &T) {
        self.delete(source);
    }

    /// Ends a wait.
    pub(crate) fn notify(&self) {
        // A poller that cannot be notified has lost its descriptors; the wait that this should end fails then, too.
        let _ = self.0.notify();
    }

    /// Waits for events; a signal does not end it.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.0.clear();
        self.0.wait(&mut events.0, timeout).map(drop)
    }
}
