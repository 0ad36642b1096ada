//! The platform's poller, made when it is first needed: when a source is registered, or somebody is about to wait.
//!
//! A loop that is made, runs what is ready and ends takes nothing from the system, which on Linux is four descriptors and thirteen calls; and
//! a busy one that has no sources does not ask for events.
//!
//! # Why no notification is lost
//!
//! Who is about to wait makes the poller [before](Platform::prepare) it says so in the [parking](crate::parking) word. Who notifies is told by that
//! word, in an exchange that acquires, whether somebody waits: then it finds the poller too, and writes.
//!
//! Models: `loom-tests/tests/reactor.rs`.
//!
//! # When the system refuses one
//!
//! For want of descriptors, as a rule. Who registers a source is told. Who waits has no source, nor can anything be written to it: it naps, for at most
//! [`NAP`], and asks again. So such a loop goes on, with its timers and its other threads, and sleeps as it should once there are descriptors again.

use crate::readiness::Ready;
use crate::sys;
use polling::AsSource;
use std::io;
// Made at most once and never changed, so it is no protocol; and the poller would be no part of a model.
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// How long a wait without a poller lasts at most: what would have ended it is found after it.
const NAP: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Platform(OnceLock<sys::Poller>);

impl Platform {
    pub(crate) fn new() -> Self {
        Platform(OnceLock::new())
    }

    #[inline]
    fn get_or_make(&self) -> io::Result<&sys::Poller> {
        match self.0.get() {
            Some(poller) => Ok(poller),
            None => self.make(),
        }
    }

    #[cold]
    fn make(&self) -> io::Result<&sys::Poller> {
        let poller = sys::Poller::new()?;
        // Another thread may have been faster: then this one goes.
        Ok(self.0.get_or_init(|| poller))
    }

    /// The caller is about to say that it waits.
    #[inline]
    pub(crate) fn prepare(&self) {
        // Refused: it naps.
        let _ = self.get_or_make();
    }

    pub(crate) fn register<T: AsSource>(
        &self,
        source: &T,
        key: u64,
        interest: Ready,
    ) -> io::Result<()> {
        self.get_or_make()?.register(source, key, interest)
    }

    /// For a source that is registered.
    #[inline]
    pub(crate) fn rearm<T: AsSource>(
        &self,
        source: &T,
        key: u64,
        interest: Ready,
    ) -> io::Result<()> {
        self.0.get().map_or(Ok(()), |poller| poller.rearm(source, key, interest))
    }

    /// Unregisters a source that stays open.
    #[inline]
    pub(crate) fn delete<T: AsSource>(&self, source: &T) {
        self.0.get().into_iter().for_each(|poller| poller.delete(source));
    }

    /// The source is about to be closed.
    #[inline]
    pub(crate) fn closing<T: AsSource>(&self, source: &T) {
        self.0.get().into_iter().for_each(|poller| poller.closing(source));
    }

    /// Ends a wait. In a signal's handler too: it is a load and a write.
    pub(crate) fn notify(&self) {
        self.0.get().into_iter().for_each(sys::Poller::notify);
    }

    /// Waits for events.
    #[inline]
    pub(crate) fn wait(
        &self,
        events: &mut sys::Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        match self.0.get() {
            Some(poller) => poller.wait(events, timeout),
            None => {
                // No event was ever taken, so there is none to forget.
                thread::sleep(timeout.map_or(NAP, |timeout| timeout.min(NAP)));
                Ok(())
            }
        }
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_poller_is_made_by_who_is_about_to_wait_and_not_before() {
        let (platform, mut events) = (Platform::new(), sys::Events::new());
        platform.notify();
        platform.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(platform.0.get().is_none());
        platform.prepare();
        assert!(platform.0.get().is_some());
        platform.notify();
        platform.wait(&mut events, None).unwrap();
    }
}
