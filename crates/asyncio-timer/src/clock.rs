//! Where time comes from: a clock is handed in, never read from the system here.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// A source of the present time; a real one or one that a simulation turns by hand.
///
/// Meant to be monotonic. Timers survive one that is not: a step back is ignored.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Instant;

    /// The instant from which this clock counts. Asked once, by what it is handed to.
    fn epoch(&self) -> Instant;

    /// Nanoseconds from the epoch to the present.
    ///
    /// Every sleep asks for this once. A clock that counts nanoseconds itself answers without the detour over [`Instant`],
    /// whose subtraction takes longer than the rest of a sleep's arithmetic. It may be behind [`now`](Self::now), but not ahead.
    fn nanos_since_epoch(&self) -> u64;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn epoch(&self) -> Instant {
        (**self).epoch()
    }

    fn nanos_since_epoch(&self) -> u64 {
        (**self).nanos_since_epoch()
    }
}

/// The epoch as a number: deadlines before it have numbers too.
const EPOCH: u64 = 1 << 62;

/// The scale of a loop's time: nanoseconds from an epoch 2^62 ns after zero, so from 146 years before it to 438 years after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale(Instant);

impl Scale {
    pub(crate) fn new(epoch: Instant) -> Self {
        Scale(epoch)
    }

    #[inline]
    pub(crate) fn nanos(self, at: Instant) -> u64 {
        match at.checked_duration_since(self.0) {
            Some(after) => EPOCH.saturating_add(duration_nanos(after)),
            None => EPOCH.saturating_sub(duration_nanos(self.0.duration_since(at))),
        }
    }

    /// The present, read from the clock whose epoch it is.
    #[inline]
    pub(crate) fn present(clock: &dyn Clock) -> u64 {
        EPOCH.saturating_add(clock.nanos_since_epoch())
    }

    pub(crate) fn instant(self, nanos: u64) -> Option<Instant> {
        match nanos.checked_sub(EPOCH) {
            Some(after) => self.0.checked_add(Duration::from_nanos(after)),
            None => self.0.checked_sub(Duration::from_nanos(EPOCH - nanos)),
        }
    }
}

/// A span in nanoseconds; `u64::MAX` for one that is longer than that.
#[inline]
pub(crate) fn duration_nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(span.subsec_nanos()))
}

/// A number of seconds as a [`Duration`], the way Python's delays are given: `secs(0.5)`.
///
/// A negative number is zero, as everywhere in asyncio; infinity, or more than fits, is [`Duration::MAX`].
///
/// # Panics
///
/// If `seconds` is not a number: `invalid delay: NaN`.
///
/// # Examples
///
/// ```
/// use asyncio_timer::secs;
/// use std::time::Duration;
///
/// assert_eq!(secs(0.5), Duration::from_millis(500));
/// assert_eq!(secs(-1.0), Duration::ZERO);
/// assert_eq!(secs(f64::INFINITY), Duration::MAX);
/// ```
///
/// # Python
///
/// `asyncio.sleep(float("nan"))` raises `ValueError: Invalid delay: NaN (not a number)`.
#[track_caller]
pub fn secs(seconds: f64) -> Duration {
    assert!(!seconds.is_nan(), "invalid delay: NaN");
    if seconds <= 0.0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_reaches_before_the_epoch_and_saturates() {
        let epoch = Instant::now();
        let scale = Scale::new(epoch);
        assert_eq!(scale.nanos(epoch), EPOCH);
        for nanos in [EPOCH, EPOCH + 1, EPOCH - 1, EPOCH + 3_600_000_000_000] {
            assert_eq!(scale.nanos(scale.instant(nanos).unwrap()), nanos);
        }
        let far = epoch + Duration::from_secs(1 << 40);
        assert_eq!(scale.nanos(far), u64::MAX);
    }

    #[test]
    fn long_spans_saturate() {
        assert_eq!(duration_nanos(Duration::MAX), u64::MAX);
        assert_eq!(duration_nanos(Duration::from_nanos(u64::MAX)), u64::MAX);
        assert_eq!(duration_nanos(Duration::from_nanos(u64::MAX - 1)), u64::MAX - 1);
        assert_eq!(duration_nanos(Duration::ZERO), 0);
    }

    #[test]
    fn seconds_are_clamped_at_both_ends() {
        let table = [
            (1.5, Duration::from_millis(1500)),
            (1e-9, Duration::from_nanos(1)),
            (0.0, Duration::ZERO),
            (-0.0, Duration::ZERO),
            (-1e300, Duration::ZERO),
            (f64::NEG_INFINITY, Duration::ZERO),
            (1e300, Duration::MAX),
            (f64::INFINITY, Duration::MAX),
        ];
        for (seconds, duration) in table {
            assert_eq!(secs(seconds), duration, "{seconds}");
        }
    }

    #[test]
    #[should_panic(expected = "invalid delay: NaN")]
    fn not_a_number_is_refused() {
        secs(f64::NAN);
    }
}
