//! A slot: what a task or callback has of a context, in one word.

use super::cell::Cell;
use super::sync::{Arc, AtomicPtr, Ordering, into_inner};
use super::{Context, Value, Values, const_fn};
use std::ptr;

/// In the word: it is a map.
const MAP: usize = 1;

const _: () = assert!(align_of::<Values>() > MAP && align_of::<Cell>() > MAP);

/// The one word of a task or callback that names its context; empty until something is set.
pub struct ContextSlot(AtomicPtr<()>);

/// What the word says.
enum Word {
    Empty,
    Map(*const Values),
    Cell(*const Cell),
}

impl Word {
    #[inline]
    fn of(word: *mut ()) -> Word {
        if word.is_null() {
            Word::Empty
        } else if word.addr() & MAP != 0 {
            Word::Map(word.map_addr(|address| address & !MAP).cast())
        } else {
            Word::Cell(word.cast())
        }
    }

    fn map(map: Arc<Values>) -> *mut () {
        Arc::into_raw(map).cast_mut().cast::<()>().map_addr(|address| address | MAP)
    }

    fn cell(cell: Arc<Cell>) -> *mut () {
        Arc::into_raw(cell).cast_mut().cast()
    }
}

impl Default for ContextSlot {
    fn default() -> Self {
        Self::new()
    }
}

impl ContextSlot {
    const_fn! {
        /// An empty slot: a context that has no values and costs nothing.
        pub const fn new() -> Self {
            ContextSlot(AtomicPtr::new(ptr::null_mut()))
        }
    }

    /// A slot that names `context`.
    pub fn with(context: Context) -> Self {
        ContextSlot(AtomicPtr::new(Word::cell(context.0)))
    }

    /// Acquires what was published with the word.
    #[inline]
    fn word(&self) -> Word {
        Word::of(self.0.load(Ordering::Acquire))
    }

    /// Whether nothing was ever set or inherited.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire).is_null()
    }

    /// Whether both are the same map as they were inherited; for tests.
    #[cfg(test)]
    pub(super) fn shares_values_with(&self, other: &ContextSlot) -> bool {
        matches!((self.word(), other.word()), (Word::Map(here), Word::Map(there)) if here == there)
    }

    /// The context named here, `None` while nothing was ever set in it.
    pub fn get(&self) -> Option<Context> {
        match self.word() {
            Word::Empty => None,
            Word::Map(_) => Some(self.get_or_create()),
            // SAFETY: a cell in the slot came from `Arc::into_raw` and is never replaced, and the slot's own count is given back only by `drop`,
            // which has exclusive access; so the count is at least one while we add ours.
            Word::Cell(cell) => unsafe {
                Arc::increment_strong_count(cell);
                Some(Context(Arc::from_raw(cell)))
            },
        }
    }

    /// The value of a variable here.
    pub fn value(&self, variable: u64) -> Option<Value> {
        match self.word() {
            Word::Empty => None,
            // SAFETY: a map that was in the slot lives as long as the slot, which is borrowed (see the head of this file).
            Word::Map(map) => unsafe { &*map }.get(&variable).cloned(),
            // SAFETY: as in `get`.
            Word::Cell(cell) => unsafe { &*cell }.snapshot()?.get(&variable).cloned(),
        }
    }

    /// The context named here, made now if there is none.
    pub fn get_or_create(&self) -> Context {
        let before = self.0.load(Ordering::Acquire);
        let inherited = match Word::of(before) {
            Word::Cell(_) => return self.get().expect("a slot that has a cell keeps it"),
            Word::Empty => None,
            // SAFETY: as in `value`; this count is the new cell's, for the values that it starts with.
            Word::Map(map) => Some(unsafe {
                Arc::increment_strong_count(map);
                Arc::from_raw(map)
            }),
        };
        // A second count stands for the slot's own, which goes into the cell if the exchange succeeds: together there are as many as before.
        let mut cell = Cell::with(inherited.clone());
        cell.inherited = inherited;
        let context = Context(Arc::new(cell));
        let fresh = Word::cell(context.0.clone());
        // Release publishes the new cell to the Acquire in `word`.
        match self.0.compare_exchange(before, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(before) => {
                if let Word::Map(map) = Word::of(before) {
                    // SAFETY: the slot's own count, which the exchange took out. The cell has another that lives as long.
                    drop(unsafe { Arc::from_raw(map) });
                }
                context
            }
            Err(_) => {
                if let Word::Cell(cell) = Word::of(fresh) {
                    // SAFETY: the count made above, which the failed exchange did not hand over.
                    drop(unsafe { Arc::from_raw(cell) });
                }
                self.get_or_create()
            }
        }
    }

    /// A slot that starts with a copy of this one's values. A copy of nothing is empty and costs nothing; a copy of what was inherited costs a count.
    #[inline]
    pub fn copy(&self) -> ContextSlot {
        let word = self.0.load(Ordering::Acquire);
        match Word::of(word) {
            Word::Empty => ContextSlot::new(),
            Word::Map(map) => {
                // SAFETY: as in `value`; the count is the new slot's.
                unsafe { Arc::increment_strong_count(map) };
                ContextSlot(AtomicPtr::new(word))
            }
            // SAFETY: as in `get`.
            Word::Cell(cell) => Self::copy_of(unsafe { &*cell }),
        }
    }

    #[inline(never)]
    fn copy_of(cell: &Cell) -> ContextSlot {
        ContextSlot(AtomicPtr::new(cell.snapshot().map_or(ptr::null_mut(), Word::map)))
    }

    /// Gives back what was inherited, if nothing was set since: the slot is empty. The values, if this was the last count: their destructors are
    /// anybody's code, and are left to the caller.
    #[inline]
    pub fn let_go(&mut self) -> Option<impl Sized + use<>> {
        let Word::Map(map) = self.word() else { return None };
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: the slot's own count, taken back once, as it has forgotten it. The access is exclusive.
        into_inner(unsafe { Arc::from_raw(map) })
    }
}

impl Drop for ContextSlot {
    #[inline]
    fn drop(&mut self) {
        match Word::of(self.0.load(Ordering::Relaxed)) {
            Word::Empty => {}
            // SAFETY: the slot's own count, taken back once.
            Word::Map(map) => drop(unsafe { Arc::from_raw(map) }),
            // SAFETY: as above.
            Word::Cell(cell) => drop(unsafe { Arc::from_raw(cell) }),
        }
    }
}
