//! A cell: a pointer to an immutable map, swapped by whoever sets a variable.

use super::Values;
use super::sync::{Arc, AtomicPtr, Ordering, yield_now};
use std::ptr;

/// An immutable map; `None` for the empty one.
pub(super) type Map = Option<Arc<Values>>;

pub(super) struct Cell {
    /// From `Arc::into_raw`, or null for the empty map; with `LOCKED` while somebody counts or swaps it.
    map: AtomicPtr<Values>,
    /// What a slot had before it had this cell: whoever reads the slot may be looking at it.
    pub(super) inherited: Map,
}

/// In the address of a cell's map.
const LOCKED: usize = 1;

const _: () = assert!(align_of::<Values>() > LOCKED);

impl Cell {
    /// A cell that starts with these values.
    pub(super) fn with(map: Map) -> Self {
        let map = map.map_or(ptr::null_mut(), |map| Arc::into_raw(map).cast_mut());
        Cell { map: AtomicPtr::new(map), inherited: None }
    }

    /// The values now.
    #[inline]
    pub(super) fn snapshot(&self) -> Map {
        // Code of one context sees its own sets; another thread's set is seen as early as its other effects are (Release in `swap`).
        if self.map.load(Ordering::Acquire).is_null() {
            return None;
        }
        let map = self.lock();
        if !map.is_null() {
            // SAFETY: the pointer came from `Arc::into_raw`, and while the bit is ours nobody takes it out.
            unsafe { Arc::increment_strong_count(map) };
        }
        self.map.store(map, Ordering::Release);
        // SAFETY: the count made above.
        (!map.is_null()).then(|| unsafe { Arc::from_raw(map) })
    }

    /// Takes the bit; the map without it. Whoever has the bit stores a map soon: that gives it back.
    #[inline]
    fn lock(&self) -> *mut Values {
        let mut map = self.map.load(Ordering::Relaxed).map_addr(|address| address & !LOCKED);
        loop {
            let locked = map.map_addr(|address| address | LOCKED);
            let taken =
                self.map.compare_exchange(map, locked, Ordering::Acquire, Ordering::Relaxed);
            match taken {
                Ok(_) => return map,
                Err(now) => map = now.map_addr(|address| address & !LOCKED),
            }
            yield_now();
        }
    }

    /// Puts what `change` makes of the values in their place, and gives what it says. `change` is called again if somebody else was faster.
    pub(super) fn update<R>(&self, mut change: impl FnMut(&mut Values) -> R) -> R {
        loop {
            let before = self.snapshot();
            let mut next = before.as_deref().cloned().unwrap_or_default();
            let result = change(&mut next);
            if self.swap(&before, next) {
                return result;
            }
        }
    }

    /// Puts `next` in the place of `before`; false if something else is there.
    fn swap(&self, before: &Map, next: Values) -> bool {
        let next = Arc::into_raw(Arc::new(next)).cast_mut();
        let expected = before.as_ref().map_or(ptr::null(), Arc::as_ptr);
        let map = self.lock();
        let is_same = ptr::eq(map, expected);
        self.map.store(if is_same { next } else { map }, Ordering::Release);
        let gone = if is_same { map } else { next };
        if !gone.is_null() {
            // SAFETY: the count that the cell had, or the one made above. After the lock: the last values may be anybody's code.
            drop(unsafe { Arc::from_raw(gone) });
        }
        is_same
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let map = self.map.load(Ordering::Relaxed);
        if !map.is_null() {
            // SAFETY: the cell's own count, and nobody has the bit.
            drop(unsafe { Arc::from_raw(map) });
        }
    }
}
