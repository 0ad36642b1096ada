//! Linux: epoll, edge-triggered, on the descriptor that `polling` owns.
//!
//! `polling` makes five system calls per wait on Linux and never asks for RDHUP. Its poller keeps no state per source and its
//! own descriptors stay silent unless its own `wait` and `notify` are used, so this file registers and waits by hand: one call
//! per wait, with a timeout in nanoseconds, and RDHUP and PRI with every source, without which the end of a stream that comes together
//! with the last data would be lost on a reader that stops at a short read. So would data behind an urgent byte, at which TCP ends a read
//! short: PRI tells of it, and from then on a short read of that source proves nothing.
//!
//! The wake-up is an eventfd of our own, edge-triggered and never read: each write is an edge. Its counter is read only when it
//! is full, which takes 2^64 - 2 notifications.
//!
//! A source is forgotten by the kernel when its last descriptor is closed. A copy that somebody made (`dup`) keeps it
//! registered after that: its events then carry a key whose generation is gone and are dropped, one edge at a time.

use crate::readiness::Ready;
use asyncio_base::sync::{AtomicBool, Ordering};
use polling::AsSource;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// RDHUP tells of the end of a stream, also when it comes with the last data.
pub(crate) const SHORT_READ_DRAINS: bool = true;

/// Events taken with one call.
const CAPACITY: usize = 256;
/// The key of the eventfd; no slot has it, for no slab has 2^32 slots.
const NOTIFY_KEY: u64 = u64::MAX;

/// What the last wait brought.
pub(crate) struct Events(Vec<libc::epoll_event>);

impl Events {
    pub(crate) fn new() -> Self {
        Events(Vec::with_capacity(CAPACITY))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Ready)> {
        let all = self
            .0
            .iter()
            .map(|event| (event.u64, ready(EventFlags::from_bits_retain(event.events))));
        all.filter(|(key, _)| *key != NOTIFY_KEY)
    }
}

/// What epoll's bits mean for a reader and a writer.
fn ready(flags: EventFlags) -> Ready {
    let both_closed = Ready::READ_CLOSED | Ready::WRITE_CLOSED;
    let meanings = [
        (EventFlags::IN, Ready::READ),
        (EventFlags::OUT, Ready::WRITE),
        (EventFlags::PRI, Ready::READ_CLOSED),
        (EventFlags::RDHUP, Ready::READ_CLOSED),
        (EventFlags::HUP, both_closed),
        (EventFlags::ERR, both_closed),
    ];
    meanings.into_iter().fold(Ready::NONE, |sum, (flag, meaning)| match flags.contains(flag) {
        true => sum | meaning,
        false => sum,
    })
}

#[derive(Debug)]
pub(crate) struct Poller {
    poller: polling::Poller,
    eventfd: OwnedFd,
    /// The kernel, a seccomp filter or an emulator lacks `epoll_pwait2`.
    lacks_pwait2: AtomicBool,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let poller = polling::Poller::new()?;
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let data = EventData::new_u64(NOTIFY_KEY);
        epoll::add(poller.as_fd(), &eventfd, data, EventFlags::IN | EventFlags::ET)?;
        Ok(Poller { poller, eventfd, lacks_pwait2: AtomicBool::new(false) })
    }

    /// Registers a source for all events; what it is ready for now is told by the next wait.
    pub(crate) fn register<T: AsSource>(
        &self,
        source: &T,
        key: u64,
        _interest: Ready,
    ) -> io::Result<()> {
        let in_and_out = EventFlags::IN | EventFlags::OUT;
        let flags = in_and_out | EventFlags::PRI | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(self.poller.as_fd(), source.as_fd(), EventData::new_u64(key), flags)?)
    }

    /// An edge needs no arming.
    pub(crate) fn rearm<T: AsSource>(&self, _: &T, _key: u64, _interest: Ready) -> io::Result<()> {
        Ok(())
    }

    /// Unregisters a source that stays open.
    pub(crate) fn delete<T: AsSource>(&self, source: &T) {
        // It fails only for a source that is not registered, which is what is wanted.
        let _ = epoll::delete(self.poller.as_fd(), source.as_fd());
    }

    /// The source is about to be closed, and with it the kernel forgets it.
    pub(crate) fn closing<T: AsSource>(&self, _: &T) {}

    /// Ends a wait.
    pub(crate) fn notify(&self) {
        while let Err(Errno::AGAIN) = rustix::io::write(&self.eventfd, &1u64.to_ne_bytes()) {
            // The counter is full. Reading sets it to zero, and the write after it makes the edge.
            let _ = rustix::io::read(&self.eventfd, &mut [0; 8]);
        }
    }

    /// Waits for events; a signal does not end it.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.0.clear();
        let deadline = match timeout {
            None | Some(Duration::ZERO) => None,
            Some(timeout) => Instant::now().checked_add(timeout),
        };
        let mut left = timeout;
        loop {
            let error = match self.wait_once(&mut events.0, left) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
            if let Some(deadline) = deadline {
                left = Some(deadline.saturating_duration_since(Instant::now()));
            }
        }
    }

    fn wait_once(
        &self,
        events: &mut Vec<libc::epoll_event>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if self.lacks_pwait2.load(Ordering::Relaxed) {
            return self.epoll(events, Precision::Millis(timeout.map_or(-1, millis)));
        }
        match self.epoll(events, Precision::Nanos(timeout.map(timespec))) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                self.lacks_pwait2.store(true, Ordering::Relaxed);
                self.wait_once(events, timeout)
            }
            result => result,
        }
    }

    /// The system call. By way of libc, because rustix decides between the two calls when it is compiled; and not by libc's
    /// `epoll_pwait2`, which older libraries lack.
    fn epoll(&self, events: &mut Vec<libc::epoll_event>, timeout: Precision) -> io::Result<()> {
        let fd = self.poller.as_raw_fd();
        let spare = events.spare_capacity_mut();
        let len = spare.len().min(CAPACITY) as libc::c_int;
        let buffer: *mut libc::epoll_event = spare.as_mut_ptr().cast();
        // SAFETY: `fd` is the epoll descriptor that `self.poller` keeps open. The kernel writes at most `len` events into
        // `buffer`, which is `spare`: memory of the vector with at least `len` places. `timeout` is null or points to a value
        // that outlives the call; the signal mask is null, so its size is not looked at. The call returns how many events it
        // wrote; these places are then initialized and follow those that the vector already counts.
        unsafe {
            let written = match timeout {
                Precision::Millis(millis) => libc::epoll_wait(fd, buffer, len, millis),
                Precision::Nanos(timeout) => {
                    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
                    let mask: *const libc::sigset_t = std::ptr::null();
                    let call = libc::SYS_epoll_pwait2;
                    libc::syscall(call, fd, buffer, len, timeout, mask, 0usize) as libc::c_int
                }
            };
            if written < 0 {
                return Err(io::Error::last_os_error());
            }
            events.set_len(events.len() + written as usize);
        }
        Ok(())
    }
}

/// How exactly the kernel is told when to stop.
enum Precision {
    /// In whole milliseconds; -1 is never.
    Millis(libc::c_int),
    Nanos(Option<KernelTimespec>),
}

/// `struct __kernel_timespec`: 64 bits each on every architecture, unlike libc's type.
#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanoseconds: i64,
}

fn timespec(timeout: Duration) -> KernelTimespec {
    // The kernel takes any number of seconds and stops counting at its longest time, 292 years.
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    KernelTimespec { seconds, nanoseconds: i64::from(timeout.subsec_nanos()) }
}

/// Rounded up, for a wait that ends early is followed by one more; at most 24 days, after which the turn ends early.
fn millis(timeout: Duration) -> libc::c_int {
    libc::c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_rounded_up_and_never_overflow() {
        let cases = [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2)];
        for (nanos, expected) in cases {
            assert_eq!(millis(Duration::from_nanos(nanos)), expected);
        }
        assert_eq!(millis(Duration::MAX), libc::c_int::MAX);
        assert_eq!(timespec(Duration::MAX).seconds, i64::MAX);
        assert_eq!(timespec(Duration::from_millis(1500)).nanoseconds, 500_000_000);
    }

    #[test]
    fn a_full_counter_still_makes_an_edge() {
        let poller = Poller::new().unwrap();
        let full = (u64::MAX - 1).to_ne_bytes();
        assert_eq!(rustix::io::write(&poller.eventfd, &full), Ok(8));
        let mut events = Events::new();
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events.0.len(), 1);
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events.0.len(), 0, "an edge is told once");
        poller.notify();
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!((events.0.len(), events.iter().count()), (1, 0));
    }

    #[test]
    fn without_pwait2_waits_work_in_milliseconds() {
        let poller = Poller::new().unwrap();
        poller.lacks_pwait2.store(true, Ordering::Relaxed);
        let mut events = Events::new();
        let start = Instant::now();
        poller.wait(&mut events, Some(Duration::from_micros(1500))).unwrap();
        assert!(start.elapsed() >= Duration::from_micros(1500));
        poller.notify();
        poller.wait(&mut events, None).unwrap();
        assert_eq!(events.0.len(), 1);
    }

    #[test]
    fn the_end_of_a_stream_is_an_end_for_readers_only() {
        let rdhup = ready(EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP);
        assert_eq!(rdhup, Ready::READ_CLOSED | Ready::WRITE);
        assert_eq!(ready(EventFlags::HUP), Ready::READ_CLOSED | Ready::WRITE_CLOSED);
        assert_eq!(ready(EventFlags::PRI), Ready::READ_CLOSED);
        assert!(ready(EventFlags::empty()).is_empty());
    }
}
