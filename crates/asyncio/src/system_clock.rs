//! The monotonic clock of the system.
//!
//! Timers count nanoseconds from an epoch, and every sleep asks for the present. An [`Instant`] does not say its nanoseconds, and to subtract two takes
//! twice as long as to read the clock. So on Linux, where it is the kernel's `CLOCK_MONOTONIC`, the timers' present is read from there.
//!
//! Both readings are of one clock, so they differ by a constant: what lies between the epoch and the first reading after it. By so much the timers' present is
//! behind, never ahead: a timer that has fired is due by any `Instant` that is read then. It is some fifty nanoseconds; a thread that is put
//! aside between the two readings makes them again.

use asyncio_timer::Clock;
#[cfg(target_os = "linux")]
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// The one reading of the system's clock.
pub(crate) fn system_now() -> Instant {
    Instant::now()
}

/// What the epoch and the first reading may lie apart.
const APART: Duration = Duration::from_micros(1);
/// How often that is tried, on a machine that is too busy for it.
const TRIES: usize = 8;

pub(crate) struct SystemClock {
    epoch: Instant,
    /// The kernel's clock at the epoch or shortly after.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "instants are subtracted"))]
    first: u64,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        let mut clock = Self::read();
        for _ in 1..TRIES {
            if clock.1 <= APART {
                break;
            }
            let again = Self::read();
            if again.1 < clock.1 {
                clock = again;
            }
        }
        clock.0
    }

    /// A clock whose epoch is now, and no less than what its readings lie apart.
    fn read() -> (Self, Duration) {
        let epoch = system_now();
        let first = kernel_nanos();
        (SystemClock { epoch, first }, system_now() - epoch)
    }
}

#[cfg(target_os = "linux")]
#[inline]
fn kernel_nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

#[cfg(not(target_os = "linux"))]
fn kernel_nanos() -> u64 {
    0
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        system_now()
    }

    fn epoch(&self) -> Instant {
        self.epoch
    }

    #[cfg(target_os = "linux")]
    fn nanos_since_epoch(&self) -> u64 {
        // A step back is none.
        kernel_nanos().saturating_sub(self.first)
    }

    #[cfg(not(target_os = "linux"))]
    fn nanos_since_epoch(&self) -> u64 {
        u64::try_from(system_now().saturating_duration_since(self.epoch).as_nanos())
            .unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_nanoseconds_go_with_instants_and_never_before_them() {
        let clock = SystemClock::new();
        let mut behind = u128::MAX;
        for _ in 0..1000 {
            let before = (clock.now() - clock.epoch()).as_nanos();
            let nanos = u128::from(clock.nanos_since_epoch());
            let after = (clock.now() - clock.epoch()).as_nanos();
            assert!(nanos <= after, "{nanos} is ahead of {after}");
            behind = behind.min(before.saturating_sub(nanos));
        }
        // Of a thousand readings one at least comes without delay, as one of the first eight did.
        assert!(behind < 1_000_000, "{behind} ns behind");
    }
}
