//! Contexts: the values of context variables that a task, callback or timer carries along.
//!
//! A [`Context`] names a *cell*: a tiny lock round a pointer to an immutable map. Setting a variable swaps the map; getting
//! sees the last one set. Copying a context makes a new cell that starts with the same map, at the cost of one pointer. Any
//! number of tasks may share a cell.
//!
//! Most programs never set a variable, so a task has no cell until something is set: its [`ContextSlot`] is one empty word.

use crate::record;
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ptr;
// The slot is filled once and read afterwards, and the tiny lock guards one pointer: no protocol for loom to explore, and
// thread-locals of loom types cannot outlive a model.
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A value of a variable.
pub type Value = Arc<dyn Any + Send + Sync>;

/// An immutable map from variable numbers to values; `None` for the empty one.
type Map = Option<Arc<BTreeMap<u64, Value>>>;

#[derive(Default)]
struct Cell {
    map: Mutex<Map>,
    /// Whether anything was ever set: most contexts stay empty, and a copy of an empty one is made at every spawn.
    touched: AtomicBool,
}

impl Cell {
    /// A cell that starts with these values.
    fn with(map: Map) -> Self {
        Cell { touched: AtomicBool::new(map.is_some()), map: Mutex::new(map) }
    }

    /// The values now.
    fn snapshot(&self) -> Map {
        // Code of one context sees its own sets; another thread's set is seen as early as its other effects are (Release in `set`).
        if self.touched.load(Ordering::Acquire) { self.lock().clone() } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        // Values are cloned and dropped outside the lock, so nothing that runs under it can panic half-way.
        self.map.lock().unwrap_or_else(|poison| poison.into_inner())
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
        self.0.lock().as_ref()?.get(&variable).cloned()
    }

    /// Sets or, with `None`, removes a variable; returns what it was.
    pub fn set(&self, variable: u64, value: Option<Value>) -> Option<Value> {
        let mut map = self.0.lock();
        let mut next = Map::clone(&map);
        let inner = Arc::make_mut(next.get_or_insert_default());
        let before = match value {
            Some(value) => inner.insert(variable, value),
            None => inner.remove(&variable),
        };
        let old = std::mem::replace(&mut *map, next);
        self.0.touched.store(true, Ordering::Release);
        drop(map);
        // The old map may hold the last reference to values whose destructors are user code.
        drop(old);
        before
    }

    /// Another context with the same values; what is set in one is not seen in the other.
    pub fn copy(&self) -> Context {
        Context(Arc::new(Cell::with(self.0.snapshot())))
    }

    /// How many variables are set.
    pub fn len(&self) -> usize {
        self.0.lock().as_ref().map_or(0, |map| map.len())
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
        match self.0.map.try_lock() {
            Ok(map) => {
                let len = map.as_ref().map_or(0, |map| map.len());
                write!(f, "<Context with {len} variables>")
            }
            Err(_) => f.write_str("<Context locked>"),
        }
    }
}

/// The one word of a task or callback that names its context; empty until something is set.
#[derive(Default)]
pub struct ContextSlot(AtomicPtr<Cell>);

impl ContextSlot {
    /// An empty slot: a context that has no values and costs nothing.
    pub const fn new() -> Self {
        ContextSlot(AtomicPtr::new(ptr::null_mut()))
    }

    /// A slot that names `context`.
    pub fn with(context: Context) -> Self {
        ContextSlot(AtomicPtr::new(Arc::into_raw(context.0).cast_mut()))
    }

    /// The context named here, `None` while nothing was ever set in it.
    pub fn get(&self) -> Option<Context> {
        let cell = self.0.load(Ordering::Acquire);
        if cell.is_null() {
            return None;
        }
        // SAFETY: a pointer in the slot came from `Arc::into_raw` and is never replaced, and the slot's own count is given
        // back only by `drop`, which has exclusive access; so the count is at least one while we add ours.
        unsafe {
            Arc::increment_strong_count(cell);
            Some(Context(Arc::from_raw(cell)))
        }
    }

    /// The context named here, made now if there is none.
    pub fn get_or_create(&self) -> Context {
        if let Some(context) = self.get() {
            return context;
        }
        let context = Context::new();
        let fresh = Arc::into_raw(context.0.clone()).cast_mut();
        let empty = ptr::null_mut();
        // Release publishes the new cell to the Acquire in `get`.
        match self.0.compare_exchange(empty, fresh, Ordering::Release, Ordering::Acquire) {
            Ok(_) => context,
            Err(_) => {
                // SAFETY: `fresh` is the count made above, which the failed exchange did not hand over.
                drop(unsafe { Arc::from_raw(fresh) });
                self.get().expect("the exchange failed because the slot is filled")
            }
        }
    }

    /// A slot that starts with a copy of this one's values. A copy of nothing is empty and costs nothing.
    pub fn copy(&self) -> ContextSlot {
        // SAFETY: as in `get`: the slot's own count keeps the cell alive while the slot is borrowed.
        let cell = unsafe { self.0.load(Ordering::Acquire).as_ref() };
        match cell.and_then(Cell::snapshot) {
            None => ContextSlot::new(),
            map => ContextSlot::with(Context(Arc::new(Cell::with(map)))),
        }
    }
}

impl Drop for ContextSlot {
    fn drop(&mut self) {
        let cell = *self.0.get_mut();
        if !cell.is_null() {
            // SAFETY: the slot's own count, taken back once.
            drop(unsafe { Arc::from_raw(cell) });
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
