//! Where in a wheel a deadline lies.
//!
//! A deadline in nanoseconds, less its low 16 bits, is its *tick*: 48 bits, that is eight digits of six bits. A level of the
//! wheel stands for one digit, a slot of a level for one value of that digit. A timer lies on the level of the highest digit
//! in which its tick differs from the wheel's own, so
//!
//! - every tick of 64 bits of nanoseconds has a place: there is no horizon and no list for what lies beyond it;
//! - on each level only slots above the wheel's own digit are in use, so the first set bit of a level is its earliest slot,
//!   and every timer of a level is earlier than every timer of the next: nothing ever wraps round.

use std::fmt;

/// Nanoseconds in a tick, as a power of two: 65.5 µs.
pub(super) const TICK_BITS: u32 = 16;
const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = 8;

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
pub(super) struct Place(u16);

impl Place {
    /// How many there are.
    pub(super) const COUNT: usize = LEVELS * SLOTS;

    /// Where a tick lies in a wheel that has come to tick `current`, which is not later.
    #[inline]
    pub(super) fn of(tick: u64, current: u64) -> Place {
        // The low digit counts as differing: a tick equal to `current` lies on level 0.
        let differing = (tick ^ current) | (SLOTS as u64 - 1);
        let level = (u64::BITS - 1 - differing.leading_zeros()) / DIGIT_BITS;
        let slot = (tick >> (level * DIGIT_BITS)) as u16 & (SLOTS as u16 - 1);
        Place((level as u16) << DIGIT_BITS | slot)
    }

    /// The place with this number.
    #[inline]
    pub(super) fn from_index(index: usize) -> Place {
        debug_assert!(index < Place::COUNT);
        Place(index as u16)
    }

    /// The number of the place, from 0 up to [`COUNT`](Self::COUNT).
    #[inline]
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    fn level(self) -> usize {
        self.index() / SLOTS
    }

    fn slot(self) -> u64 {
        u64::from(self.0) % SLOTS as u64
    }

    /// The ticks it covers in a wheel that has come to tick `current`: the first, and the one after the last.
    pub(super) fn ticks(self, current: u64) -> (u64, u64) {
        let digit = self.level() as u32 * DIGIT_BITS;
        let above = current >> (digit + DIGIT_BITS) << (digit + DIGIT_BITS);
        let first = above | self.slot() << digit;
        (first, first + (1 << digit))
    }
}

/// The heads of all lists of a wheel, and one bit for each that is not empty.
pub(super) struct Heads {
    /// Which slots of each level are in use.
    slots: [u64; LEVELS],
    heads: [u32; Place::COUNT],
}

impl Heads {
    /// No node.
    pub(super) const NONE: u32 = u32::MAX;

    pub(super) const fn new() -> Self {
        Heads { slots: [0; LEVELS], heads: [Self::NONE; Place::COUNT] }
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
        self.slots[place.level()] |= 1 << place.slot();
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
        self.slots[place.level()] &= !(1 << place.slot());
    }

    /// The earliest place that is not empty.
    pub(super) fn first(&self) -> Option<Place> {
        let level = self.slots.iter().position(|&slots| slots != 0)?;
        let slot = self.slots[level].trailing_zeros() as usize;
        Some(Place::from_index(level * SLOTS + slot))
    }
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.slots.iter().map(|bits| format!("{bits:#x}"))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: u64 = (1 << 48) - 1;

    #[test]
    fn a_place_is_the_highest_digit_that_differs() {
        // (tick, current, level, slot)
        let table = [
            (0, 0, 0, 0),
            (63, 0, 0, 63),
            (64, 0, 1, 1),
            (64, 63, 1, 1),
            (65, 64, 0, 1),
            (4095, 0, 1, 63),
            (4096, 0, 2, 1),
            (4096, 4095, 2, 1),
            (LAST, 0, 7, 63),
            (LAST, LAST, 0, 63),
            (LAST, LAST - 1, 0, 63),
            (1 << 47, (1 << 47) - 1, 7, 32),
            (1 << 42, (1 << 42) - 1, 7, 1),
        ];
        for (tick, current, level, slot) in table {
            let place = Place::of(tick, current);
            assert_eq!((place.level(), place.slot()), (level, slot), "{tick} from {current}");
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
                assert_eq!(Place::of(first.max(current), current), place);
                assert_eq!(Place::of(end - 1, current), place);
            }
        }
    }

    #[test]
    fn the_first_place_is_the_lowest_level_in_use() {
        let mut heads = Heads::new();
        assert_eq!(heads.first(), None);
        for index in [511, 448, 65, 64, 63, 0] {
            heads.set(Place::from_index(index), 7);
            assert_eq!(heads.first(), Some(Place::from_index(index)));
        }
        for index in [0, 63, 64, 65, 448, 511] {
            assert_eq!(heads.first(), Some(Place::from_index(index)));
            heads.clear(Place::from_index(index));
        }
        assert_eq!(heads.first(), None);
    }

    #[test]
    fn the_tick_after_the_last_begins_at_the_end_of_time() {
        assert_eq!((nanos_of(0), nanos_of(1)), (0, 65536));
        assert_eq!((nanos_of(LAST), nanos_of(LAST + 1)), (u64::MAX - 65535, u64::MAX));
        assert_eq!(tick_of(u64::MAX), LAST);
    }
}
