//! A slab whose keys carry a generation.
//!
//! Waiter lists and the timer wheel keep their nodes here instead of linking them by pointer: a key to a node that is gone
//! finds nothing, so a stale key is harmless and no unsafe code is needed.

/// Names one value in a [`Slab`]; a key outlives its value without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// A key that no slab ever gives out: it finds nothing. The end of a chain of keys, or "no place yet".
    pub const NONE: Key = Key { index: NONE, generation: 0 };

    /// Whether this is [`NONE`](Self::NONE). One comparison, for paths where two would be felt.
    #[inline(always)]
    pub fn is_none(self) -> bool {
        self.index == NONE
    }

    /// The key as one word, for storing in an atomic.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key that [`to_bits`](Self::to_bits) gave this word.
    pub fn from_bits(bits: u64) -> Self {
        Key { index: bits as u32, generation: (bits >> 32) as u32 }
    }

    /// The position in the slab; two live values never share one.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

#[derive(Debug)]
enum Entry<T> {
    Full {
        generation: u32,
        value: T,
    },
    /// `generation` is the one the next value will get.
    Free {
        generation: u32,
        next: u32,
    },
}

/// End of the free list.
const NONE: u32 = u32::MAX;
/// So many positions are made at a time, at least, and at most.
const LEAST: u32 = 4;
const MOST: u32 = 64;
/// Positions lie below this: whoever links values has a bit to spare.
const LIMIT: u32 = 1 << 31;

/// Values at stable positions, found by generation-checked keys.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
    /// The generation of a position used for the first time.
    first_generation: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// An empty slab; allocates nothing.
    pub const fn new() -> Self {
        Slab { entries: Vec::new(), free: NONE, len: 0, first_generation: 0 }
    }

    /// How many values are in.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no value is in.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many values fit without asking for more memory.
    pub fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// Puts a value in.
    ///
    /// # Panics
    ///
    /// With 2^31 values in already.
    #[inline(always)]
    pub fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        let index = self.free;
        // The end of the free list is a position that no slab has: one question answers both.
        let Some(entry) = self.entries.get_mut(index as usize) else {
            return self.insert_and_grow(value);
        };
        let Entry::Free { generation, next } = *entry else {
            unreachable!("the free list links free entries only");
        };
        *entry = Entry::Full { generation, value };
        self.free = next;
        Key { index, generation }
    }

    /// As [`insert`](Self::insert) where no position is free: the new ones are linked as free, some at a time.
    #[cold]
    #[inline(never)]
    fn insert_and_grow(&mut self, value: T) -> Key {
        let index = self.entries.len() as u32;
        let end = LIMIT.min(index + index.clamp(LEAST, MOST));
        assert!(index < end, "a slab holds no more than 2^31 values");
        let generation = self.first_generation;
        let free = |next| Entry::Free { generation, next };
        self.entries.reserve((end - index) as usize);
        self.entries.extend((index + 1..end).map(free).chain([free(NONE)]));
        let first = &mut self.entries[index as usize];
        let Entry::Free { next, .. } = *first else { unreachable!("it was made free above") };
        *first = Entry::Full { generation, value };
        self.free = next;
        Key { index, generation }
    }

    /// Takes the value out, if the key still names one.
    #[inline]
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index())?;
        if !matches!(entry, Entry::Full { generation, .. } if *generation == key.generation) {
            return None;
        }
        let free = Entry::Free { generation: key.generation.wrapping_add(1), next: self.free };
        let Entry::Full { value, .. } = std::mem::replace(entry, free) else {
            unreachable!("matched above");
        };
        self.free = key.index;
        self.len -= 1;
        Some(value)
    }

    /// Drops the value where it lies, if the key still names one.
    #[inline(always)]
    pub fn discard(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(key.index()) else { return };
        if matches!(entry, Entry::Full { generation, .. } if *generation == key.generation) {
            let free = Entry::Free { generation: key.generation.wrapping_add(1), next: self.free };
            self.free = key.index;
            self.len -= 1;
            // Last: a destructor that panics leaves the slab in order.
            *entry = free;
        }
    }

    /// The value, if the key still names one.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.entries.get(key.index())? {
            Entry::Full { generation, value } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value, if the key still names one.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.entries.get_mut(key.index())? {
            Entry::Full { generation, value } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value at a position, for links between values: whoever keeps a position must know that its value is still in.
    #[inline]
    pub fn at(&self, index: usize) -> Option<&T> {
        match self.entries.get(index)? {
            Entry::Full { value, .. } => Some(value),
            Entry::Free { .. } => None,
        }
    }

    /// The value at a position, for links between values: whoever keeps a position must know that its value is still in.
    #[inline]
    pub fn at_mut(&mut self, index: usize) -> Option<&mut T> {
        match self.entries.get_mut(index)? {
            Entry::Full { value, .. } => Some(value),
            Entry::Free { .. } => None,
        }
    }

    /// The key of the value at a position.
    #[inline]
    pub fn key_at(&self, index: usize) -> Option<Key> {
        match self.entries.get(index)? {
            Entry::Full { generation, .. } => {
                Some(Key { index: index as u32, generation: *generation })
            }
            Entry::Free { .. } => None,
        }
    }

    /// How many positions there are, free ones included.
    pub fn positions(&self) -> usize {
        self.entries.len()
    }

    /// Whether the key still names a value.
    pub fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    /// Gives the memory back if the slab is empty. Stale keys stay stale: later values get later generations.
    pub fn shrink_if_empty(&mut self) {
        if self.len == 0 {
            let generations = self.entries.iter().map(|entry| match entry {
                Entry::Full { generation, .. } | Entry::Free { generation, .. } => *generation,
            });
            self.first_generation = generations.fold(self.first_generation, u32::max);
            self.entries = Vec::new();
            self.free = NONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_finds_its_value_until_it_is_removed() {
        let mut slab = Slab::new();
        let a = slab.insert("a");
        let b = slab.insert("b");
        assert_eq!((slab.get(a), slab.get(b), slab.len()), (Some(&"a"), Some(&"b"), 2));
        assert_eq!(slab.remove(a), Some("a"));
        assert_eq!((slab.remove(a), slab.len()), (None, 1));
        assert_eq!(slab.get(a), None);
        slab.discard(a);
        assert_eq!(slab.len(), 1, "a stale key discards nothing");
        slab.discard(b);
        assert_eq!((slab.get(b), slab.len()), (None, 0));
    }

    #[test]
    fn a_stale_key_does_not_find_the_next_tenant() {
        let mut slab = Slab::new();
        let old = slab.insert(1);
        slab.remove(old);
        let new = slab.insert(2);
        assert_eq!(old.index(), new.index());
        assert!(slab.get_mut(old).is_none());
        assert_eq!((slab.get(old), slab.get(new)), (None, Some(&2)));
    }

    #[test]
    fn a_position_finds_its_value_and_its_key_while_it_is_in() {
        let mut slab = Slab::new();
        let [a, b] = ["a", "b"].map(|value| slab.insert(value));
        assert_eq!((slab.at(a.index()), slab.key_at(a.index())), (Some(&"a"), Some(a)));
        *slab.at_mut(b.index()).unwrap() = "c";
        assert_eq!(slab.remove(b), Some("c"));
        assert_eq!((slab.at(b.index()), slab.key_at(b.index()), slab.positions()), (None, None, 4));
        assert!(
            slab.at_mut(b.index()).is_none() && slab.at(2).is_none() && slab.key_at(2).is_none()
        );
    }

    #[test]
    fn a_key_survives_the_trip_through_a_word() {
        let mut slab = Slab::new();
        let first = slab.insert(());
        slab.remove(first);
        let key = slab.insert(());
        assert_eq!(Key::from_bits(key.to_bits()), key);
        assert_ne!(Key::from_bits(first.to_bits()), key);
    }

    #[test]
    fn the_key_of_nothing_finds_nothing() {
        let mut slab = Slab::new();
        slab.insert(1);
        assert_eq!(slab.remove(Key::NONE), None);
        assert_eq!((slab.get(Key::NONE), slab.len()), (None, 1));
        assert_eq!(Key::from_bits(Key::NONE.to_bits()), Key::NONE);
        assert!(Key::NONE.is_none() && !slab.insert(2).is_none());
    }

    #[test]
    fn shrinking_keeps_stale_keys_stale() {
        let mut slab = Slab::new();
        let old = slab.insert(1);
        assert!(slab.capacity() > 0);
        slab.shrink_if_empty();
        assert_eq!(slab.get(old), Some(&1), "a slab in use keeps its memory");
        slab.remove(old);
        slab.shrink_if_empty();
        assert_eq!(slab.capacity(), 0);
        let new = slab.insert(2);
        assert_eq!((slab.get(old), slab.get(new)), (None, Some(&2)));
    }
}
