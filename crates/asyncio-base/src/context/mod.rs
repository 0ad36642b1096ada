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
//!
//! Models: `loom-tests/tests/context.rs`, which takes `cell.rs` and `slot.rs` in with loom's atomics. In the models of everything else these are std's:
//! each task has a slot, and a thread-local of loom's types cannot outlive a model.

mod cell;
mod slot;

pub use slot::ContextSlot;

use crate::{const_fn, record};
use cell::Cell;
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use sync::Arc;

/// What the model puts in the place of these.
mod sync {
    pub(super) use std::sync::Arc;
    pub(super) use std::sync::atomic::{AtomicPtr, Ordering};
    pub(super) use std::thread::yield_now;

    #[inline]
    pub(super) fn into_inner<T>(arc: Arc<T>) -> Option<T> {
        Arc::into_inner(arc)
    }
}

/// A value of a variable.
pub type Value = Arc<dyn Any + Send + Sync>;

/// From variable numbers to values.
type Values = BTreeMap<u64, Value>;

/// A set of variable values that tasks and callbacks run in.
///
/// Clones are the same context; [`copy`](Self::copy) makes another that starts with the same values.
#[derive(Clone)]
pub struct Context(Arc<Cell>);

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl Context {
    /// An empty context.
    pub fn new() -> Self {
        Context(Arc::new(Cell::with(None)))
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

impl fmt::Debug for ContextSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(not(asyncio_loom))]
thread_local! {
    /// The context of code that runs outside every task and callback: each thread has its own, as in Python.
    static OUTSIDE: RefCell<ContextSlot> = const { RefCell::new(ContextSlot::new()) };
}

// There a slot is not made in a constant.
#[cfg(asyncio_loom)]
thread_local! {
    static OUTSIDE: RefCell<ContextSlot> = RefCell::new(ContextSlot::new());
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
#[inline]
pub fn with_current<R>(f: impl FnOnce(&ContextSlot) -> R) -> R {
    record::with(|record| match record {
        Some(record) => f(record.context),
        None => with_outside(f),
    })
}

/// Lends the slot of code that runs in no task or callback.
#[cold]
#[inline(never)]
fn with_outside<R>(f: impl FnOnce(&ContextSlot) -> R) -> R {
    let mut f = Some(f);
    let mut lend = |slot: &ContextSlot| f.take().map(|f| f(slot));
    // A destructor of another thread-local may come when this thread's slot is gone: it finds no values.
    let lent = OUTSIDE
        .try_with(|outside| lend(&outside.borrow()))
        .ok()
        .or_else(|| Some(lend(&ContextSlot::new())));
    lent.flatten().expect("called once, on the one slot or the other")
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
        assert!(inherited.shares_values_with(&again) && !slot.shares_values_with(&again));
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
    fn who_lets_go_last_has_the_values() {
        let parent = ContextSlot::new();
        parent.get_or_create().set(1, int(1));
        let [mut first, mut second] = [parent.copy(), parent.copy()];
        drop(parent);
        assert!(first.let_go().is_none() && first.is_empty());
        assert!(second.let_go().is_some() && second.is_empty() && second.let_go().is_none());
        let mut own = ContextSlot::with(Context::new());
        assert!(own.let_go().is_none() && !own.is_empty());
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
