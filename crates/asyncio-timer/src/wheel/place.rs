//! Where in a wheel a deadline lies.
//!
//! A deadline in nanoseconds, less its low 16 bits, is its *tick*. Level `n` of the wheel cuts the ticks into spans of 32^n; a slot
//! of a level is one span, and the number of the span is its *digit*. A timer that comes goes to the finest level on which
//! it is fewer than 32 digits ahead, so ten levels hold every tick of 64 bits of nanoseconds: there is no horizon and no list for what
//! lies beyond it.
//!
//! A level has room for twice that, 64 digits from that of the present on: while time is in one slot of the level above, the
//! nodes of that level's *next* slot are moved down a few at a time, see `sweep.rs`. Hence
//!
//! - a digit lies at its low six bits, and no two digits in use share a slot, as all lie between the present and the end of the next
//!   slot of the level above;
//! - a slot overlaps slots of finer levels if it is the next of its level, and no others: all other timers of a level are later
//!   than every timer of the finer ones.

use std::fmt;

/// Nanoseconds in a tick, as a power of two: 65.5 µs.
pub(super) const TICK_BITS: u32 = 16;
const DIGIT_BITS: u32 = 5;
/// How many digits ahead what comes to a level may be.
const AHEAD: u64 = 1 << DIGIT_BITS;
const SLOT_BITS: u32 = DIGIT_BITS + 1;
const SLOTS: usize = 1 << SLOT_BITS;
/// How many levels there are.
pub(super) const LEVELS: usize = 10;

/// The tick that an instant lies in.
#[inline]
pub(super) fn tick_of(nanos: u64) -> u64 {
    nanos >> TICK_BITS
}

/// The first nanosecond of a tick; `u64::MAX` for the tick after the last.
pub(super) fn nanos_of(tick: u64) -> u64 {
    if tick >> (u64::BITS - TICK_BITS) == 0 { tick << TICK_BITS } else { u64::MAX }
}

/// One slot of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// How many there are.
    pub(super) const COUNT: usize = LEVELS * SLOTS;

    /// Where a tick goes in a wheel that has come to tick `current`, which is not later.
    #[inline]
    pub(super) fn of(tick: u64, current: u64) -> Place {
        // Less than `AHEAD` counts as that: it lies on level 0.
        let ahead = (tick - current) | (AHEAD - 1);
        let level = (u64::BITS - 1 - ahead.leading_zeros()) / DIGIT_BITS;
        Place::at(level as usize, tick)
    }

    /// The slot of a level that covers a tick.
    #[inline]
    fn at(level: usize, tick: u64) -> Place {
        let digit = tick >> (level as u32 * DIGIT_BITS);
        Place(level as u32 * SLOTS as u32 + digit as u32 % SLOTS as u32)
    }

    /// The slot of a level that time enters next, in a wheel that has come to tick `current`.
    pub(super) fn next(level: usize, current: u64) -> Place {
        Place::at(level, current + (1 << (level as u32 * DIGIT_BITS)))
    }

    /// Whether it is the next slot of a level that has finer ones.
    pub(super) fn is_next(self, current: u64) -> bool {
        !self.is_finest() && self == Place::next(self.level(), current)
    }

    /// Whether no level is finer.
    pub(super) fn is_finest(self) -> bool {
        self.level() == 0
    }

    /// The place on the next finer level, for a tick that this one covers.
    pub(super) fn finer(self, tick: u64) -> Place {
        Place::at(self.level() - 1, tick)
    }

    /// The place with this number.
    #[inline]
    pub(super) fn from_index(index: usize) -> Place {
        debug_assert!(index < Place::COUNT);
        Place(index as u32)
    }

    /// The number of the place, from 0 up to [`COUNT`](Self::COUNT).
    #[inline]
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    fn level(self) -> usize {
        self.index() / SLOTS
    }

    fn slot(self) -> usize {
        self.index() % SLOTS
    }

    /// The ticks it covers in a wheel that has come to tick `current`: the first, and the one after the last.
    pub(super) fn ticks(self, current: u64) -> (u64, u64) {
        let bits = self.level() as u32 * DIGIT_BITS;
        let present = current >> bits;
        let ahead = (self.index() as u64).wrapping_sub(present) % SLOTS as u64;
        let digit = present + ahead;
        (digit << bits, (digit + 1) << bits)
    }
}

/// The heads of all lists of a wheel, and one bit for each that is not empty.
pub(super) struct Heads {
    /// Which slots of each level are in use, a bit each.
    used: [u64; LEVELS],
    heads: [u32; Place::COUNT],
}

impl Heads {
    /// No node: positions lie below. Its bytes differ, so that new heads are not filled byte by byte.
    pub(super) const NONE: u32 = 1 << 31;

    pub(super) const fn new() -> Self {
        Heads { used: [0; LEVELS], heads: [Self::NONE; Place::COUNT] }
    }

    /// The first node at a place, [`NONE`](Self::NONE) if it is empty.
    #[inline]
    pub(super) fn get(&self, place: Place) -> u32 {
        self.heads[place.index()]
    }

    /// Puts the first node at a place.
    #[inline]
    pub(super) fn set(&mut self, place: Place, node: u32) {
        self.heads[place.index()] = node;
        self.used[place.level()] |= 1 << place.slot();
    }

    /// Another node is the first at a place that has nodes.
    #[inline]
    pub(super) fn replace(&mut self, place: Place, node: u32) {
        self.heads[place.index()] = node;
    }

    /// Empties a place.
    #[inline]
    pub(super) fn clear(&mut self, place: Place) {
        self.heads[place.index()] = Self::NONE;
        self.used[place.level()] &= !(1 << place.slot());
    }

    /// The slot of a level that time enters next, if anything lies there.
    #[inline]
    pub(super) fn next(&self, level: usize, current: u64) -> Option<Place> {
        if self.used[level] == 0 {
            return None;
        }
        Some(Place::next(level, current)).filter(|&place| self.get(place) != Self::NONE)
    }

    /// The place in use that begins first in a wheel that has come to tick `current`; of several the coarsest, which may hold what
    /// comes before the rest.
    pub(super) fn first(&self, current: u64) -> Option<Place> {
        let (mut first, mut begin) = (None, u64::MAX);
        for (level, &used) in self.used.iter().enumerate() {
            if used == 0 {
                continue;
            }
            let bits = level as u32 * DIGIT_BITS;
            let present = current >> bits;
            // The bit of the present comes first, and after the last one those before it.
            let ahead = used.rotate_right(present as u32 % SLOTS as u32).trailing_zeros();
            let tick = (present + u64::from(ahead)) << bits;
            if tick <= begin {
                (first, begin) = (Some(Place::at(level, tick)), tick);
            }
            // The coarser levels begin with their next slots, none of which is earlier than that of the next level; where that begins just
            // now, one of them may still be in the midst of being swept.
            if (begin ^ current.wrapping_sub(1)) >> (bits + DIGIT_BITS) == 0 {
                break;
            }
        }
        first
    }
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.used.iter().map(|bits| format!("{bits:#x}"))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: u64 = (1 << 48) - 1;

    #[test]
    fn a_tick_goes_to_the_finest_level_where_it_is_fewer_than_32_digits_ahead() {
        // (tick, current, level, slot)
        let table = [
            (0, 0, 0, 0),
            (31, 0, 0, 31),
            (32, 0, 1, 1),
            (32, 31, 0, 32),
            (62, 31, 0, 62),
            (63, 31, 1, 1),
            (64, 33, 0, 0),
            (1023, 0, 1, 31),
            (1023 + 32, 32, 1, 32),
            (1024, 0, 2, 1),
            (1024 + 32, 32, 2, 1),
            (LAST, 0, 9, 7),
            (LAST, LAST, 0, 63),
            (LAST, LAST - 32, 1, 63),
            (1 << 47, (1 << 47) - 1, 0, 0),
            ((1 << 45) + 1, 1, 9, 1),
        ];
        for (tick, current, level, slot) in table {
            let place = Place::of(tick, current);
            assert_eq!((place.level(), place.slot()), (level, slot), "{tick} from {current}");
            assert_eq!(Place::from_index(place.index()), place);
        }
    }

    #[test]
    fn a_place_covers_the_ticks_that_lie_there() {
        for current in [0, 1, 31, 32, 1023, 1 << 30, (1 << 47) - 1, 1 << 47, LAST] {
            for ahead in (0..48).map(|bit| 1_u64 << bit).chain([0, 3, 63, 65, 4097]) {
                let tick = (current + ahead).min(LAST);
                let place = Place::of(tick, current);
                let (first, end) = place.ticks(current);
                assert!(first <= tick && tick < end, "{tick} from {current}");
                assert_eq!(end - first, AHEAD.pow(place.level() as u32));
                assert!(place.is_finest() || current < first, "time has not entered it");
            }
        }
    }

    #[test]
    fn all_that_the_next_slot_covers_has_room_on_the_finer_level() {
        for current in [0, 1, 31, 32, 63, 64, 1023, 2047, 1 << 30, (1 << 41) - 1] {
            for level in 1..LEVELS {
                let next = Place::next(level, current);
                let (first, end) = next.ticks(current);
                assert!(next.is_next(current) && !Place::of(current, current).is_next(current));
                assert!(current < first && first - current <= AHEAD.pow(level as u32));
                for tick in [first, end - 1] {
                    let (begin, close) = next.finer(tick).ticks(current);
                    assert!(begin <= tick && tick < close, "{tick} from {current}");
                    assert_eq!(close - begin, AHEAD.pow(level as u32 - 1));
                }
            }
        }
    }

    #[test]
    fn the_first_place_begins_first_and_is_the_coarsest_that_does() {
        let mut heads = Heads::new();
        let current = 30;
        assert_eq!(heads.first(current), None);
        let mut places =
            [(0, 30), (0, 31), (2, 1024), (1, 32), (0, 32), (0, 62), (1, 64), (1, 2047)];
        places.sort_by_key(|&(level, tick)| (tick, LEVELS - level));
        for &(level, tick) in places.iter().rev() {
            heads.set(Place::at(level, tick), 7);
            assert_eq!(heads.first(current), Some(Place::at(level, tick)));
        }
        for &(level, tick) in &places {
            assert_eq!(heads.first(current), Some(Place::at(level, tick)));
            heads.clear(Place::at(level, tick));
        }
        assert_eq!(heads.first(current), None);
    }

    #[test]
    fn coarse_places_that_begin_now_come_before_a_fine_one_that_does() {
        let mut heads = Heads::new();
        let places = [Place::at(0, 1024), Place::at(1, 1024), Place::at(2, 1024)];
        for place in places {
            heads.set(place, 7);
            assert_eq!(heads.first(1024), Some(place));
            assert_eq!(heads.first(1023), Some(place));
        }
    }

    #[test]
    fn the_tick_after_the_last_begins_at_the_end_of_time() {
        assert_eq!((nanos_of(0), nanos_of(1)), (0, 65536));
        assert_eq!((nanos_of(LAST), nanos_of(LAST + 1)), (u64::MAX - 65535, u64::MAX));
        assert_eq!(tick_of(u64::MAX), LAST);
    }
}
