//! Where in a wheel a deadline lies.
//!
//! A deadline in nanoseconds, less its low 16 bits, is its *tick*. Level `n` of the wheel cuts the ticks into spans of 64^n; a slot
//! of a level is one span, and the number of the span is its *digit*. A timer that comes goes to the finest level on which
//! it is fewer than 64 digits ahead, so eight levels hold every tick of 64 bits of nanoseconds: there is no horizon and no list for what
//! lies beyond it.
//!
//! A level has room for twice that, 128 digits from that of the present on: while time is in one slot of the level above, the
//! nodes of that level's *next* slot are moved down a few at a time, see `sweep.rs`. Hence
//!
//! - a digit lies at its low seven bits, and no two digits in use share a slot, as all lie between the present and the end of the next
//!   slot of the level above;
//! - a slot overlaps slots of finer levels if it is the next of its level, and no others: all other timers of a level are later
//!   than every timer of the finer ones.

use std::fmt;

/// Nanoseconds in a tick, as a power of two: 65.5 µs.
pub(super) const TICK_BITS: u32 = 16;
const DIGIT_BITS: u32 = 6;
/// How many digits ahead what comes to a level may be.
const AHEAD: u64 = 1 << DIGIT_BITS;
const SLOT_BITS: u32 = DIGIT_BITS + 1;
const SLOTS: usize = 1 << SLOT_BITS;
/// How many levels there are.
pub(super) const LEVELS: usize = 8;

/// The tick that an instant lies in.
#[inline]
pub(super) fn tick_of(nanos: u64) -> u64 {
    nanos >> TICK_BITS
}

/// The first nanosecond of a tick; `u64::MAX` for the tick after the last.
pub(super) fn nanos_of(tick: u64) -> u64 {
    if tick >> (u64::BITS - TICK_BITS) == 0 { tick << TICK_BITS } else { u64::MAX }
}

/// One slot of one level. Made in such a way that the compiler sees it is below [`COUNT`](Place::COUNT).
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
        Place((level % LEVELS) as u32 * SLOTS as u32 + digit as u32 % SLOTS as u32)
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
        Place((index % Place::COUNT) as u32)
    }

    /// The number of the place, from 0 up to [`COUNT`](Self::COUNT).
    #[inline]
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    fn level(self) -> usize {
        self.index() / SLOTS
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
    /// Which places are in use, a bit each.
    used: [u64; Place::COUNT / 64],
    heads: [u32; Place::COUNT],
}

impl Heads {
    /// No node.
    pub(super) const NONE: u32 = u32::MAX;

    pub(super) const fn new() -> Self {
        Heads { used: [0; Place::COUNT / 64], heads: [Self::NONE; Place::COUNT] }
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
        self.used[place.index() / 64] |= 1 << (place.index() % 64);
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
        self.used[place.index() / 64] &= !(1 << (place.index() % 64));
    }

    /// Whether anything lies on a level.
    #[inline(always)]
    fn is_used(&self, level: usize) -> bool {
        self.used[2 * level] | self.used[2 * level + 1] != 0
    }

    /// The slot of a level that time enters next, if anything lies there.
    #[inline]
    pub(super) fn next(&self, level: usize, current: u64) -> Option<Place> {
        if !self.is_used(level) {
            return None;
        }
        Some(Place::next(level, current)).filter(|&place| self.get(place) != Self::NONE)
    }

    /// The place in use that begins first in a wheel that has come to tick `current`; of several the coarsest, which may hold what
    /// comes before the rest.
    pub(super) fn first(&self, current: u64) -> Option<Place> {
        let (mut first, mut begin) = (None, u64::MAX);
        for level in 0..LEVELS {
            if !self.is_used(level) {
                continue;
            }
            let bits = level as u32 * DIGIT_BITS;
            let tick = self.first_digit(level, current >> bits) << bits;
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

    /// The first digit in use of a level that is in use, where `present` is that of the present.
    #[inline(always)]
    fn first_digit(&self, level: usize, present: u64) -> u64 {
        // The digits in use are those from the present one to the end of the next slot of the level above: no more than the rest of the
        // half that the present lies in, and the other half.
        let half = present >> DIGIT_BITS;
        let word = 2 * level + half as usize % 2;
        let (used, half) = match self.used[word] {
            0 => (self.used[word ^ 1], half + 1),
            used => (used, half),
        };
        half << DIGIT_BITS | u64::from(used.trailing_zeros())
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
    fn a_tick_goes_to_the_finest_level_where_it_is_fewer_than_64_digits_ahead() {
        // (tick, current, level, slot)
        let table = [
            (0, 0, 0, 0),
            (63, 0, 0, 63),
            (64, 0, 1, 1),
            (64, 63, 0, 64),
            (126, 63, 0, 126),
            (127, 63, 1, 1),
            (128, 65, 0, 0),
            (4095, 0, 1, 63),
            (4095 + 64, 64, 1, 64),
            (4096, 0, 2, 1),
            (4096 + 64, 64, 2, 1),
            (LAST, 0, 7, 63),
            (LAST, LAST, 0, 127),
            (LAST, LAST - 64, 1, 127),
            (1 << 47, (1 << 47) - 1, 0, 0),
            ((1 << 42) + 1, 1, 7, 1),
        ];
        for (tick, current, level, slot) in table {
            let place = Place::of(tick, current);
            assert_eq!(place.index(), level * SLOTS + slot, "{tick} from {current}");
            assert_eq!(Place::from_index(place.index()), place);
        }
    }

    #[test]
    fn a_place_covers_the_ticks_that_lie_there() {
        for current in [0, 1, 63, 64, 4095, 1 << 30, (1 << 47) - 1, 1 << 47, LAST] {
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
        for current in [0, 1, 63, 64, 127, 128, 4095, 8191, 1 << 30, (1 << 41) - 1] {
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
        let current = 62;
        assert_eq!(heads.first(current), None);
        let in_order = [(0, 62), (0, 63), (2, 64), (1, 64), (0, 64), (0, 126), (1, 128), (1, 8191)];
        let place = |(level, tick)| if level == 2 { (2, 4096) } else { (level, tick) };
        let mut places: Vec<_> = in_order.map(place).to_vec();
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
        let places = [Place::at(0, 4096), Place::at(1, 4096), Place::at(2, 4096)];
        for place in places {
            heads.set(place, 7);
            assert_eq!(heads.first(4096), Some(place));
            assert_eq!(heads.first(4095), Some(place));
        }
    }

    #[test]
    fn the_tick_after_the_last_begins_at_the_end_of_time() {
        assert_eq!((nanos_of(0), nanos_of(1)), (0, 65536));
        assert_eq!((nanos_of(LAST), nanos_of(LAST + 1)), (u64::MAX - 65535, u64::MAX));
        assert_eq!(tick_of(u64::MAX), LAST);
    }
}
