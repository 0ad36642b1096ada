//! The slots of all registered sources: memory that keeps its type and its place.
//!
//! A key is an index and a generation. The kernel gives keys back with events, perhaps after the source has gone; such a key
//! still leads to a slot, never to freed memory, and the slot's generation says that the event is stale.
//!
//! Slots live in pages of 64 that are made when first needed and freed with the slab and the last source. Page pointers live in directories,
//! each twice as long as all before it, so growing moves nothing and a look-up takes no lock: two loads after the index
//! arithmetic. A source spares itself that by holding on to its [page](Page). A source costs one slot of 64 bytes; the directories add a quarter of a byte, the free list four bytes for a
//! slot that is free.
//!
//! The lock guards the free list and the decision "closed": a slot is handed out either before the slab closes, and is then
//! shut with the rest, or not at all.

use crate::readiness::{Readiness, Ready};
use crate::wakes::Wakes;
use asyncio_base::sync::{AtomicBool, Mutex, Ordering};
use std::fmt;
// Pages are written once and then only read; there is no protocol in them for loom to explore.
use std::sync::{Arc, OnceLock};

/// Slots per page: 4 KiB.
const PAGE: usize = if cfg!(asyncio_loom) { 2 } else { 64 };
/// Directory `d` holds `2^d` pages.
const DIRECTORIES: usize = 26;

/// Names one tenancy of one slot; a key outlives its source without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The key as the word that the kernel hands back with an event.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key that [`to_bits`](Self::to_bits) gave this word.
    pub fn from_bits(bits: u64) -> Self {
        Key { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// One slot, on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Slot(Readiness);

#[cfg(not(any(asyncio_loom, tsan, asyncio_count_rmw)))]
const _: () = assert!(size_of::<Slot>() == 64, "a source costs one cache line");

/// Slots that were made together, for the sources that have one of them.
pub(crate) struct Page([Slot; PAGE]);

impl Page {
    /// The state of a source whose slot is [here](Slab::page_of).
    #[inline]
    pub(crate) fn get(&self, key: Key) -> &Readiness {
        &self.0[key.index as usize % PAGE].0
    }
}

type Place = OnceLock<Arc<Page>>;

#[derive(Debug, Default)]
struct Free {
    /// Slots that were used and are free; the last freed is used first, while it is in a cache.
    list: Vec<u32>,
    /// Slots from here on were never used.
    fresh: u32,
    live: usize,
}

/// All slots of a reactor.
pub struct Slab {
    directories: [OnceLock<Box<[Place]>>; DIRECTORIES],
    free: Mutex<Free>,
    /// Written under the lock of `free`.
    closed: AtomicBool,
}

impl Default for Slab {
    fn default() -> Self {
        Self::new()
    }
}

impl Slab {
    /// No slots.
    pub fn new() -> Self {
        Slab {
            directories: [const { OnceLock::new() }; DIRECTORIES],
            free: Mutex::new(Free::default()),
            closed: AtomicBool::new(false),
        }
    }

    /// How many sources are registered.
    pub fn len(&self) -> usize {
        self.free.lock().live
    }

    /// Whether no source is registered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Begins a tenancy that takes `ready` for ready; `None` if the slab is closed.
    ///
    /// # Panics
    ///
    /// With more than 2^31 sources.
    pub fn insert(&self, ready: Ready) -> Option<Key> {
        let index = {
            let mut free = self.free.lock();
            if self.closed.load(Ordering::Relaxed) {
                return None;
            }
            free.live += 1;
            free.list.pop().unwrap_or_else(|| {
                free.fresh += 1;
                free.fresh - 1
            })
        };
        let slot = self.slot_or_grow(index);
        slot.open(ready);
        Some(Key { index, generation: slot.generation() })
    }

    /// The state of a source. Whoever holds a stale key must not use this: see [`fire`](Self::fire).
    ///
    /// # Panics
    ///
    /// If the key was not given out by this slab.
    pub fn get(&self, key: Key) -> &Readiness {
        self.slot(key.index).expect("a key names a slot of the slab that gave it out")
    }

    /// Where the slot of a source is.
    pub(crate) fn page_of(&self, key: Key) -> Arc<Page> {
        let (directory, page, _) = locate(key.index);
        let pages = self.directories[directory].get();
        let page = pages.and_then(|pages| pages[page].get());
        page.expect("a key names a slot of the slab that gave it out").clone()
    }

    /// Delivers an event; false if the source is gone.
    pub fn fire(&self, key: Key, ready: Ready, wakes: &mut Wakes) -> bool {
        self.slot(key.index).is_some_and(|slot| slot.fire(key.generation, ready, wakes))
    }

    /// Ends a tenancy.
    pub fn remove(&self, key: Key) {
        self.get(key).release();
        let mut free = self.free.lock();
        free.live -= 1;
        free.list.push(key.index);
    }

    /// Hands out no more slots and shuts those that are out; true the first time.
    pub fn close(&self, wakes: &mut Wakes) -> bool {
        let used = {
            let free = self.free.lock();
            if self.closed.load(Ordering::Relaxed) {
                return false;
            }
            self.closed.store(true, Ordering::Release);
            free.fresh
        };
        for index in 0..used {
            // The page of a slot that is being handed out right now may have to be made here.
            self.slot_or_grow(index).shut(wakes);
        }
        true
    }

    fn slot(&self, index: u32) -> Option<&Readiness> {
        let (directory, page, place) = locate(index);
        let slots = self.directories.get(directory)?.get()?.get(page)?.get()?;
        slots.0.get(place).map(|slot| &slot.0)
    }

    fn slot_or_grow(&self, index: u32) -> &Readiness {
        if let Some(slot) = self.slot(index) {
            return slot;
        }
        let (directory, page, place) = locate(index);
        let pages = self.directories[directory]
            .get_or_init(|| (0..1usize << directory).map(|_| Place::new()).collect());
        let slots = || Arc::new(Page(std::array::from_fn(|_| Slot::default())));
        &pages[page].get_or_init(slots).0[place].0
    }
}

/// The directory of a slot, its page there, and its place in the page.
fn locate(index: u32) -> (usize, usize, usize) {
    let nth_page = index as usize / PAGE + 1;
    let directory = nth_page.ilog2() as usize;
    (directory, nth_page - (1 << directory), index as usize % PAGE)
}

impl fmt::Debug for Slab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slab").field("len", &self.len()).field("closed", &self.is_closed()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::{Armed, Direction};

    #[test]
    fn indices_fill_the_directories_without_gap_or_overlap() {
        let mut expected = (0, 0, 0);
        for index in 0..(PAGE * 40) as u32 {
            assert_eq!(locate(index), expected);
            expected.2 += 1;
            if expected.2 == PAGE {
                expected = (expected.0, expected.1 + 1, 0);
            }
            if expected.1 == 1 << expected.0 {
                expected = (expected.0 + 1, 0, 0);
            }
        }
        assert!(locate(u32::MAX >> 1).0 < DIRECTORIES);
    }

    #[test]
    fn slots_do_not_move_when_the_slab_grows() {
        let slab = Slab::new();
        let first = slab.insert(Ready::NONE).unwrap();
        let address = std::ptr::from_ref(slab.get(first));
        let keys: Vec<Key> = (0..PAGE * 9).map(|_| slab.insert(Ready::NONE).unwrap()).collect();
        assert_eq!(std::ptr::from_ref(slab.get(first)), address);
        assert_eq!(slab.len(), PAGE * 9 + 1);
        keys.into_iter().for_each(|key| slab.remove(key));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn a_stale_event_does_not_touch_the_next_tenant() {
        let slab = Slab::new();
        let old = slab.insert(Ready::NONE).unwrap();
        slab.remove(old);
        let new = slab.insert(Ready::NONE).unwrap();
        assert_eq!((old.index, new.generation), (new.index, old.generation + 1));
        let mut wakes = Wakes::new();
        assert!(!slab.fire(Key::from_bits(old.to_bits()), Ready::READ_CLOSED, &mut wakes));
        assert_eq!(slab.get(new).poll(Direction::Read), Armed::Waiting);
        assert!(slab.fire(new, Ready::READ, &mut wakes));
        assert_eq!(slab.get(new).poll(Direction::Read), Armed::Ready);
        let never = Key { index: 12_345_678, generation: 0 };
        assert!(!slab.fire(never, Ready::READ, &mut wakes));
    }

    #[test]
    fn a_closed_slab_shuts_what_is_out_and_gives_nothing_more() {
        let slab = Slab::new();
        let key = slab.insert(Ready::READ).unwrap();
        let mut wakes = Wakes::new();
        assert!(slab.close(&mut wakes) && !slab.close(&mut wakes));
        assert_eq!(slab.get(key).poll(Direction::Read), Armed::Shut);
        assert!(slab.insert(Ready::NONE).is_none());
        slab.remove(key);
        assert!(slab.is_empty());
    }
}
