//! Everywhere else: `polling` in one-shot mode.
//!
//! An event disarms the source in both directions, so it counts as one for both: each waiter is woken, tries its call, and if
//! that would block arms again. Arming happens under the slot's mutex with all directions that are waited for at that moment,
//! so a reader and a writer never arm over each other: the last of them asked for both.
//!
//! Whoever arms is told at once of what is ready already (arming compares the level), so a short read needs no second look.

use crate::readiness::{Direction, Ready};
use polling::{AsSource, Event, PollMode};
use std::io;
use std::time::Duration;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a key takes 64 bits, and polling's are as wide as a pointer");

/// Arming tells of an end that came with the last data.
pub(crate) const SHORT_READ_DRAINS: bool = true;

/// What the last wait brought.
pub(crate) struct Events(polling::Events);

impl Events {
    pub(crate) fn new() -> Self {
        Events(polling::Events::new())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Ready)> {
        self.0.iter().map(|event| (event.key as u64, Ready::READ | Ready::WRITE))
    }
}

#[derive(Debug)]
pub(crate) struct Poller(polling::Poller);

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        polling::Poller::new().map(Poller)
    }

    /// Registers a source for one event.
    pub(crate) fn register<T: AsSource>(
        &self,
        source: &T,
        key: u64,
        interest: Ready,
    ) -> io::Result<()> {
        // SAFETY: `polling` asks that the source is deleted before it is closed. It is open now, for `source` lends it, and an
        // `Io` calls `closing` or `delete` before it drops or gives away its source.
        unsafe { self.0.add_with_mode(raw(source), event(key, interest), PollMode::Oneshot) }
    }

    /// Arms the source again.
    pub(crate) fn rearm<T: AsSource>(
        &self,
        source: &T,
        key: u64,
        interest: Ready,
    ) -> io::Result<()> {
        self.0.modify_with_mode(source.source(), event(key, interest), PollMode::Oneshot)
    }

    /// Unregisters a source that stays open.
    pub(crate) fn delete<T: AsSource>(&self, source: &T) {
        // It fails only for a source that is not registered, which is what is wanted.
        let _ = self.0.delete(source.source());
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

fn event(key: u64, interest: Ready) -> Event {
    Event::new(key as usize, interest.has(Direction::Read), interest.has(Direction::Write))
}

#[cfg(unix)]
fn raw<T: AsSource>(source: &T) -> std::os::fd::RawFd {
    use std::os::fd::AsRawFd;
    source.source().as_raw_fd()
}

#[cfg(windows)]
fn raw<T: AsSource>(source: &T) -> std::os::windows::io::RawSocket {
    use std::os::windows::io::AsRawSocket;
    source.source().as_raw_socket()
}
