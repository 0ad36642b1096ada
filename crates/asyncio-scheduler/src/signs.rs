//! What a worker reads for itself before each pass, so that it asks the driver only if there may be something to do.
//!
//! A pass of few entries would feel a call, and nearly always there is nothing: no timer, no event. Each of that is told by a word that belongs to
//! whoever writes it. The worker has a share in the driver and knows where the words lie.
//!
//! Nothing is published through these words, so they are read relaxed: what a raised one tells of, the driver's turn looks up by the protocol of
//! its owner. A word that is raised by the worker itself, or before something that the worker has taken, is found raised in the next pass. One
//! that another thread raises at this moment may be found later, as if it had been raised later: that thread then sees to it that no worker
//! sleeps, and the next look at the descriptors, or at the end of a sleep, makes a turn whatever the signs say.

#![allow(unsafe_code)]

use asyncio_base::sync::{AtomicU64, Ordering};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// The words that tell whether a turn for a worker's timers has something to do.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// Nothing is due before any of these; `u64::MAX` is never.
    pub deadlines: [&'a AtomicU64; 2],
    /// 0 if there are none.
    pub events: &'a AtomicU64,
}

/// The words, read where they lie, and a share in what they lie in.
pub struct Signs {
    deadlines: [NonNull<AtomicU64>; 2],
    events: NonNull<AtomicU64>,
    _owner: Arc<dyn Send + Sync>,
}

/// What the signs say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// There is nothing.
    Quiet,
    /// Nothing is due before this.
    Timer(u64),
    /// There is an event.
    Event,
}

impl Signs {
    /// The words that `find` finds in `owner`.
    pub fn of<T: Send + Sync + 'static>(
        owner: Arc<T>,
        find: impl FnOnce(&T) -> Words<'_>,
    ) -> Signs {
        let Words { deadlines, events } = find(&owner);
        let (deadlines, events) = (deadlines.map(NonNull::from), NonNull::from(events));
        Signs { deadlines, events, _owner: owner }
    }

    #[inline(always)]
    pub(crate) fn read(&self) -> Sign {
        // SAFETY: each word was lent for as long as the owner is, for any such time, as `find` could not know which: so it lies in what nobody
        // moves, changes or drops while the owner is shared, as it is here.
        let read = |word: NonNull<AtomicU64>| unsafe { word.as_ref() }.load(Ordering::Relaxed);
        let [one, other] = self.deadlines;
        let earliest = read(one).min(read(other));
        if read(self.events) != 0 {
            Sign::Event
        } else if earliest == u64::MAX {
            Sign::Quiet
        } else {
            Sign::Timer(earliest)
        }
    }
}

impl fmt::Debug for Signs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signs").field(&self.read()).finish()
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    fn signs(owner: Arc<[AtomicU64; 3]>) -> Signs {
        Signs::of(owner, |[one, other, events]| Words { deadlines: [one, other], events })
    }

    #[test]
    fn an_event_comes_before_a_timer_and_the_earlier_of_two_timers_counts() {
        let words = Arc::new([u64::MAX, u64::MAX, 0].map(AtomicU64::new));
        let signs = signs(words.clone());
        assert_eq!(signs.read(), Sign::Quiet);
        words[0].store(7, Ordering::Relaxed);
        assert_eq!(signs.read(), Sign::Timer(7));
        words[1].store(5, Ordering::Relaxed);
        assert_eq!(signs.read(), Sign::Timer(5));
        words[2].store(1, Ordering::Relaxed);
        assert_eq!(signs.read(), Sign::Event);
        words[2].store(0, Ordering::Relaxed);
        words[0].store(u64::MAX, Ordering::Relaxed);
        assert_eq!(signs.read(), Sign::Timer(5));
    }

    #[test]
    fn signs_keep_what_the_words_lie_in() {
        let words = Arc::new([u64::MAX, 3, 0].map(AtomicU64::new));
        let (signs, weak) = (signs(words.clone()), Arc::downgrade(&words));
        drop(words);
        assert_eq!(signs.read(), Sign::Timer(3));
        drop(signs);
        assert!(weak.upgrade().is_none());
    }
}
