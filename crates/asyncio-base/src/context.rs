//! Contexts: the values of context variables that a task, callback or timer carries along.
//!
//! A [`Context`] names a *cell*, which holds a pointer to an immutable map. Setting a variable swaps the map; getting sees the last one set. Any number
//! of tasks may share a cell.
//!
//! A task has a [`ContextSlot`], one word, which is one of
//!
//! | word | context |
//! |---|---|
//! | null | nothing was set, here or by whom it was inherited |
//! | map | inherited, and nothing was set here: the map of whoever made the task, at the cost of a count |
//! | cell | something was set, or somebody asked for the context as a thing |
//!
//! It goes down this table only. Most programs never set a variable, and of those that do most tasks only read.
//!
//! # Who may touch what
//!
//! A slot is read by any thread, without a lock. So a map that was ever in it lives as long as the slot: when the slot goes from map to cell, the slot's
//! count goes into the cell (`inherited`), which lives as long as the slot.
//!
//! The map in a cell is counted anew by each reader and swapped by each setter, under a lock of one bit in the pointer to it, held for an increment or a
//! swap. Values are cloned and dropped outside of it.

use crate::record;
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ptr;
// The slot goes one way by single exchanges, and the lock of one bit guards one pointer: nothing for loom to explore, and thread-locals of
// loom types cannot outlive a model.
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value of a variable.
pub type Value = Arc<dyn Any + Send + Sync>;

/// From variable numbers to values.
type Values = BTreeMap<u64, Value>;

/// An immutable map; `None` for the empty one.
type Map = Option<Arc<Values>>;

#[derive(Default)]
struct Cell {
    /// From `Arc::into_raw`, or null for the empty map; with `LOCKED` while somebody counts or swaps it.
    map: AtomicPtr<Values>,
    /// What a slot had before it had this cell: whoever reads the slot may be looking at it.
    inherited: Map,
}

/// In the address of a cell's map.
const LOCKED: usize = 1;
/// In the word of a slot: it is a map.
const MAP: usize = 1;

const _: () = assert!(align_of::<Values>() > LOCKED && align_of::<Cell>() > MAP);

impl Cell {
    /// A cell that starts with these values.
    fn with(map: Map) -> Self {
        let map = map.map_or(ptr::null_mut(), |map| Arc::into_raw(map).cast_mut());
        Cell { map: AtomicPtr::new(map), inherited: None }
    }

    /// The values now.
    #[inline]
    fn snapshot(&self) -> Map {
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
            std::thread::yield_now();
        }
    }

    /// Puts what `change` makes of the values in their place, and gives what it says. `change` is called again if somebody else was faster.
    fn update<R>(&self, mut change: impl FnMut(&mut Values) -> R) -> R {
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
        let map = *self.map.get_mut();
        if !map.is_null() {
            // SAFETY: the cell's own count, and nobody has the bit.
            drop(unsafe { Arc::from_raw(map) });
        }
    }
}

/// A set of variable values that tasks and callbacks run in.
///
/// Clones are the same context; [`copy`](Self::copy) makes another that starts with the same values.
#[derive(Clone, Default)]
pub struct Context(Arc<Cell>);

impl Context {
    /// An empty context.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a variable here.
    pub fn get(&self, variable: u64) -> Option<Value> {
        self.0.snapshot()?.get(&variable).cloned()
    }

    /// Sets or, with `None`, removes a variable; returns what it was.
    pub fn set(&self, variable: u64, value: Option<Value>) -> Option<Value> {
        self.0.update(|values| match value.clone() {
            Some(value) => values.insert(variable, value),
            None => values.remove(&variable),
        })
    }

    /// Another context with the same values; what is set in one is not seen in the other.
    pub fn copy(&self) -> Context {
        Context(Arc::new(Cell::with(self.0.snapshot())))
    }

    /// How many variables are set.
    pub fn len(&self) -> usize {
        self.0.snapshot().map_or(0, |map| map.len())
    }

    /// Whether no variable is set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether both are the same context, not merely equal.
    pub fn is(&self, other: &Context) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Context {
    /// Runs `f` in this context: what it sets is kept here, what it gets comes from here. Otherwise `f` runs where it is called, in the
    /// same task.
    ///
    /// # Panics
    ///
    /// If this context is entered already on this thread: "cannot enter context: it is already entered".
    #[track_caller]
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let address = Arc::as_ptr(&self.0).addr();
        let entered = ENTERED.with(|entered| entered.borrow().contains(&address));
        assert!(!entered, "cannot enter context: it is already entered");
        ENTERED.with(|entered| entered.borrow_mut().push(address));
        let _leave = Leave;
        run_in(ContextSlot::with(self.clone()), f)
    }
}

thread_local! {
    /// The contexts that `Context::run` has entered on this thread, innermost last.
    static ENTERED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Leaves the innermost context, also on unwind.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        ENTERED.with(|entered| entered.borrow_mut().pop());
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Context with {} variables>", self.len())
    }
}

/// The one word of a task or callback that names its context; empty until something is set.
#[derive(Default)]
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

impl ContextSlot {
    /// An empty slot: a context that has no values and costs nothing.
    pub const fn new() -> Self {
        ContextSlot(AtomicPtr::new(ptr::null_mut()))
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
        let map = match Word::of(word) {
            Word::Empty => return ContextSlot::new(),
            Word::Map(map) => {
                // SAFETY: as in `value`; the count is the new slot's.
                unsafe { Arc::increment_strong_count(map) };
                return ContextSlot(AtomicPtr::new(word));
            }
            // SAFETY: as in `get`.
            Word::Cell(cell) => unsafe { &*cell }.snapshot(),
        };
        ContextSlot(AtomicPtr::new(map.map_or(ptr::null_mut(), Word::map)))
    }
}

impl Drop for ContextSlot {
    #[inline]
    fn drop(&mut self) {
        match Word::of(*self.0.get_mut()) {
            Word::Empty => {}
            // SAFETY: the slot's own count, taken back once.
            Word::Map(map) => drop(unsafe { Arc::from_raw(map) }),
            // SAFETY: as above.
            Word::Cell(cell) => drop(unsafe { Arc::from_raw(cell) }),
        }
    }
}

impl fmt::Debug for ContextSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

thread_local! {
    /// The context of code that runs outside every task and callback: each thread has its own, as in Python.
    static OUTSIDE: RefCell<ContextSlot> = const { RefCell::new(ContextSlot::new()) };
}

/// Runs `f` in the context that `slot` names. Otherwise `f` runs where it is called: in the same task, or outside all of them, where
/// it may block.
pub fn run_in<R>(slot: ContextSlot, f: impl FnOnce() -> R) -> R {
    record::with(|outer| match outer {
        Some(outer) => record::enter_context(outer, &slot, f),
        None => {
            let _restore = Outside::set(slot);
            f()
        }
    })
}

/// Gives the thread the context back that it had, also on unwind.
struct Outside(Option<ContextSlot>);

impl Outside {
    fn set(slot: ContextSlot) -> Self {
        // A destructor of another thread-local may come when this one is gone: then there is no context.
        Outside(OUTSIDE.try_with(|outside| outside.replace(slot)).ok())
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let Some(before) = self.0.take() else { return };
        let slot = OUTSIDE.try_with(|outside| outside.replace(before));
        // The last reference to a context's values, whose destructors are user code: outside the borrow.
        drop(slot);
    }
}

/// Lends the slot of the context that code on this thread runs in.
pub fn with_current<R>(f: impl FnOnce(&ContextSlot) -> R) -> R {
    record::with(|record| match record {
        Some(record) => f(record.context),
        None => {
            let mut f = Some(f);
            let mut lend = |slot: &ContextSlot| f.take().map(|f| f(slot));
            // A destructor of another thread-local may come when this thread's slot is gone: it finds no values.
            let lent = OUTSIDE
                .try_with(|outside| lend(&outside.borrow()))
                .ok()
                .or_else(|| Some(lend(&ContextSlot::new())));
            lent.flatten().expect("called once, on the one slot or the other")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: i32) -> Option<Value> {
        Some(Arc::new(value))
    }

    fn read(context: &Context, variable: u64) -> Option<i32> {
        context.get(variable).map(|v| *v.downcast_ref().unwrap())
    }

    #[test]
    fn a_copy_starts_equal_and_goes_its_own_way() {
        let context = Context::new();
        context.set(1, int(10));
        let copy = context.copy();
        copy.set(1, int(20));
        context.set(2, int(30));
        assert_eq!((read(&context, 1), read(&copy, 1), read(&copy, 2)), (Some(10), Some(20), None));
        assert!(!context.is(&copy) && context.is(&context.clone()));
    }

    #[test]
    fn setting_returns_what_was_there() {
        let context = Context::new();
        assert!(context.set(1, int(1)).is_none());
        assert_eq!(*context.set(1, int(2)).unwrap().downcast_ref::<i32>().unwrap(), 1);
        assert!(context.set(1, None).is_some());
        assert!(context.is_empty());
    }

    #[test]
    fn a_slot_is_empty_until_asked_and_then_names_one_context() {
        let slot = ContextSlot::new();
        assert!(slot.get().is_none() && slot.copy().get().is_none());
        let context = slot.get_or_create();
        assert!(slot.get_or_create().is(&context));
        context.set(1, int(5));
        let copy = slot.copy().get().unwrap();
        assert_eq!(read(&copy, 1), Some(5));
        assert!(!copy.is(&context));
    }

    #[test]
    fn a_thread_being_torn_down_still_has_a_context() {
        struct Late(std::sync::mpsc::Sender<bool>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.0.send(with_current(|_slot| true)).unwrap();
            }
        }
        thread_local!(static LATE: std::cell::OnceCell<Late> = const { std::cell::OnceCell::new() });

        let (sender, lent) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // Registered first, so destroyed last (where that is the order).
            assert!(LATE.with(|late| late.set(Late(sender)).is_ok()));
            with_current(|slot| slot.get_or_create().set(1, int(1)));
        });
        thread.join().unwrap();
        assert!(lent.recv().unwrap());
    }

    #[test]
    fn a_copy_shares_the_values_until_somebody_sets_one() {
        let slot = ContextSlot::new();
        slot.get_or_create().set(1, int(1));
        let inherited = slot.copy();
        let again = inherited.copy();
        assert!(matches!((inherited.word(), again.word()), (Word::Map(a), Word::Map(b)) if a == b));
        slot.get_or_create().set(1, int(2));
        let seen = |slot: &ContextSlot| *slot.value(1).unwrap().downcast_ref::<i32>().unwrap();
        assert_eq!((seen(&slot), seen(&inherited), seen(&again)), (2, 1, 1));
        inherited.get_or_create().set(1, int(3));
        assert_eq!((seen(&slot), seen(&inherited), seen(&again)), (2, 3, 1));
        assert!(inherited.get().unwrap().is(&inherited.get_or_create()));
    }

    #[test]
    fn no_value_is_lost_or_kept_too_long() {
        let value: Value = Arc::new(5);
        let slot = ContextSlot::new();
        slot.get_or_create().set(1, Some(value.clone()));
        let copies: Vec<_> = (0..3).map(|_| slot.copy()).collect();
        drop(copies[0].get_or_create());
        drop(copies[1].get());
        drop(slot);
        assert!(copies.iter().all(|copy| copy.value(1).is_some()));
        drop(copies);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn setters_on_several_threads_lose_nothing() {
        let context = Context::new();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let context = &context;
                scope.spawn(move || {
                    for n in 0..200 {
                        context.set(thread * 1000 + n, int(1));
                        assert!(context.copy().get(thread * 1000 + n).is_some());
                    }
                });
            }
        });
        assert_eq!(context.len(), 800);
    }

    #[test]
    fn racing_creators_of_what_was_inherited_agree_and_readers_read_on() {
        let parent = ContextSlot::new();
        let value: Value = Arc::new(7);
        parent.get_or_create().set(1, Some(value.clone()));
        for _ in 0..200 {
            let slot = parent.copy();
            std::thread::scope(|scope| {
                scope.spawn(|| slot.get_or_create().set(1, int(8)));
                scope.spawn(|| slot.get_or_create().set(2, int(9)));
                scope.spawn(|| {
                    assert!(
                        (0..50).all(|_| slot.value(1).is_some() && slot.copy().value(1).is_some())
                    )
                });
            });
            assert!(read(&slot.get().unwrap(), 1) == Some(8) && slot.value(2).is_some());
        }
        drop(parent);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn racing_creators_agree() {
        for _ in 0..200 {
            let slot = ContextSlot::new();
            let [a, b] = std::thread::scope(|s| {
                [(); 2].map(|()| s.spawn(|| slot.get_or_create())).map(|t| t.join().unwrap())
            });
            assert!(a.is(&b));
        }
    }

    #[test]
    fn code_run_in_a_context_reads_and_writes_it() {
        let context = Context::new();
        context.set(1, int(1));
        context.run(|| {
            with_current(|slot| {
                assert_eq!(read(&slot.get().unwrap(), 1), Some(1));
                slot.get_or_create().set(2, int(2));
            });
            let again = std::panic::AssertUnwindSafe(|| context.run(|| ()));
            assert!(std::panic::catch_unwind(again).is_err());
        });
        assert_eq!(read(&context, 2), Some(2));
        with_current(|slot| assert!(slot.get().is_none()));
        context.run(|| ());
    }

    #[test]
    fn a_plain_thread_in_a_context_is_a_plain_thread_still() {
        let context = Context::new();
        context.set(1, int(1));
        with_current(|slot| slot.get_or_create().set(1, int(0)));
        let seen = run_in(ContextSlot::with(context.copy()), || {
            assert!(record::with(|record| record.is_none()), "what polls nothing may block");
            with_current(|slot| read(&slot.get_or_create(), 1))
        });
        assert_eq!(seen, Some(1));
        let panicking = || run_in(ContextSlot::with(context.clone()), || panic!("in a context"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).is_err());
        assert_eq!(with_current(|slot| read(&slot.get_or_create(), 1)), Some(0));
    }
}
