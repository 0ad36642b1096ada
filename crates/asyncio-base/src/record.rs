//! The poll record: what this thread is polling right now.
//!
//! One thread-local pointer, empty outside asyncio's own tasks and callbacks. Sync, timer and reactor know this and nothing
//! of tasks or scheduler, so with the pointer empty every primitive works under any executor.
//!
//! The pointer is set for the length of one closure and put back when it ends, also by a panic. So a record is borrowed, never
//! owned, and records nest: a callback run inside a poll sees its own, the poll sees its own again afterwards.

use crate::context::ContextSlot;
use crate::hold::Hold;
use crate::slab::Key;
use crate::wait::{WaitKind, WaitSlot};
use std::cell::Cell;
use std::panic::Location;
use std::ptr;
use std::task::{RawWakerVTable, Waker};

/// Ready operations a task may do in one poll before it has to let others run.
pub const BUDGET: u32 = 128;

/// The task behind a record, as the crate that polls tasks knows it; opaque to everybody else.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    task: *const (),
    kind: Option<&'static Kind>,
}

/// What all tasks of one crate have in common.
#[derive(Debug)]
pub struct Kind {
    /// Makes a leaf's say in the cancellation of the task.
    pub hold: MakeHold,
    /// Of the wakers whose data pointer is the task: to clone one is to count, and runs no code of anybody else.
    pub waker: Option<&'static RawWakerVTable>,
    /// The number of a task, given what [`Owner::new`] was.
    pub id: unsafe fn(*const ()) -> u64,
}

/// Makes a [`Hold`] for the task being polled.
pub type MakeHold = fn() -> Box<dyn Hold>;

impl Owner {
    /// No task: a callback.
    pub const NONE: Owner = Owner { task: ptr::null(), kind: None };

    /// Names a task, and what it has in common with others.
    ///
    /// # Safety
    ///
    /// Whoever reads it back dereferences it: `task` must be of the type that the reading crate expects and stay valid for
    /// as long as the record is current.
    pub const unsafe fn new(task: *const (), kind: &'static Kind) -> Self {
        Owner { task, kind: Some(kind) }
    }

    /// The task's number; 0 for [`NONE`](Self::NONE).
    pub fn id(self) -> u64 {
        // SAFETY: whoever made this promised that the task is what its kind expects, while the record is current that it comes from.
        self.kind.map_or(0, |kind| unsafe { (kind.id)(self.task) })
    }

    /// The pointer given to [`new`](Self::new), null for [`NONE`](Self::NONE).
    pub fn as_ptr(self) -> *const () {
        self.task
    }

    /// Whether it is the waker of this task, as [`Kind::waker`] says.
    #[inline]
    fn has_waker(self, waker: &Waker) -> bool {
        // No waker has the null one.
        let vtable = self.kind.and_then(|kind| kind.waker).map_or(ptr::null(), ptr::from_ref);
        waker.data() == self.task && ptr::eq(waker.vtable(), vtable)
    }
}

/// A cancel scope that is being polled: one link of the chain that a poll goes down.
///
/// Most scopes are ready at their first poll, so a scope gets its place in the task's tree only when it, or something in it, has to wait. Whoever
/// waits inside makes the places of all scopes round it.
#[derive(Debug)]
pub struct Scope<'a> {
    /// The place in the tree; `Key::NONE` until it is needed.
    key: &'a Cell<Key>,
    /// Whether it holds requests back.
    holds_back: bool,
    /// The scope in whose poll this one is polled, null if there is none; means nothing while it is not polled.
    outer: Cell<*const Scope<'static>>,
}

impl<'a> Scope<'a> {
    /// A scope whose place is kept, or will be put, in `key`.
    #[inline]
    pub fn new(key: &'a Cell<Key>, holds_back: bool) -> Self {
        Scope { key, holds_back, outer: Cell::new(ptr::null()) }
    }

    /// Gives this scope and those round it their places, outermost first; the place of this one.
    fn place(&self, make: &mut dyn FnMut(Option<Key>, bool) -> Key) -> Key {
        if !self.key.get().is_none() {
            return self.key.get();
        }
        // SAFETY: only scopes that are being polled are asked for their places, by the cell or by the one inside. So `outer` was put there by a
        // `Scopes::polling` of this scope that has not returned. It is what was in the cell then: null, or a scope whose own `polling` surrounds that
        // one, and so is borrowed still.
        let outer = unsafe { self.outer.get().as_ref() };
        let around = outer.map(|outer| outer.place(make));
        let key = make(around, self.holds_back);
        self.key.set(key);
        key
    }
}

/// The scopes of one poll, by the innermost; each knows the next one outwards.
#[derive(Debug, Default)]
pub struct Scopes(Cell<*const Scope<'static>>);

impl Scopes {
    /// No scope.
    #[inline]
    pub const fn new() -> Self {
        Scopes(Cell::new(ptr::null()))
    }

    /// Whether no scope is being polled.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.get().is_null()
    }

    /// Gives each scope being polled its place in the tree, unless it has one: `make` is told the place of the next one outwards and whether the scope
    /// holds requests back. The place of the innermost scope; `None` without scopes.
    pub fn place(&self, mut make: impl FnMut(Option<Key>, bool) -> Key) -> Option<Key> {
        // SAFETY: what is in the cell was put there by a `polling` that has not returned and borrows the scope, of these scopes or of those they are a
        // copy of for the length of one closure (`enter_context`).
        let innermost = unsafe { self.0.get().as_ref() };
        innermost.map(|scope| scope.place(&mut make))
    }

    /// The place of the innermost scope, `Key::NONE` if it has none yet; `None` without scopes.
    #[inline]
    pub fn innermost(&self) -> Option<Key> {
        // SAFETY: as in `place`.
        let innermost = unsafe { self.0.get().as_ref() };
        innermost.map(|scope| scope.key.get())
    }

    /// Runs `f`, which polls what is inside of `scope`.
    #[inline]
    pub fn polling<R>(&self, scope: &Scope<'_>, f: impl FnOnce() -> R) -> R {
        /// Takes the scope out again, also after a panic.
        struct Leave<'a>(&'a Scopes, &'a Scope<'a>);

        impl Drop for Leave<'_> {
            #[inline]
            fn drop(&mut self) {
                self.0.0.set(self.1.outer.get());
            }
        }

        scope.outer.set(self.0.replace(ptr::from_ref(scope).cast()));
        let _leave = Leave(self, scope);
        f()
    }
}

/// What is being polled on this thread.
#[derive(Debug)]
pub struct PollRecord<'a> {
    /// The task; none for a callback.
    pub owner: Owner,
    /// Where leaves say what they wait for.
    pub wait: &'a WaitSlot,
    /// The context that variables are read from and written to.
    pub context: &'a ContextSlot,
    /// The cancel scopes being polled.
    pub scopes: Scopes,
    /// The await that this poll has left pending, where one is all there is, as that crate numbers them; 0 for none.
    pub plain_await: Cell<u64>,
    /// A cancel waits in this poll for the plain await of the last one.
    pub offered: Cell<bool>,
    /// Ready operations left before [`spend`] says no; `u32::MAX` counts nothing.
    pub budget: Cell<u32>,
}

impl<'a> PollRecord<'a> {
    /// For code that is no task, such as a callback: only a context.
    pub fn outside(wait: &'a WaitSlot, context: &'a ContextSlot) -> Self {
        PollRecord {
            owner: Owner::NONE,
            wait,
            context,
            scopes: Scopes::new(),
            plain_await: Cell::new(0),
            offered: Cell::new(false),
            budget: Cell::new(u32::MAX),
        }
    }
}

/// Runs `f` in another context, in the same poll of the same task.
pub(crate) fn enter_context<R>(
    outer: &PollRecord<'_>,
    context: &ContextSlot,
    f: impl FnOnce() -> R,
) -> R {
    /// What has been noted inside is noted outside too, also after a panic.
    struct Back<'a>(&'a PollRecord<'a>, &'a PollRecord<'a>);

    impl Drop for Back<'_> {
        fn drop(&mut self) {
            self.0.copy_notes(self.1);
        }
    }

    let PollRecord { owner, wait, .. } = *outer;
    let inner = PollRecord { owner, ..PollRecord::outside(wait, context) };
    inner.copy_notes(outer);
    let _back = Back(outer, &inner);
    enter(&inner, f)
}

impl PollRecord<'_> {
    /// Takes over what changes while a poll goes on.
    fn copy_notes(&self, of: &PollRecord<'_>) {
        self.scopes.0.set(of.scopes.0.get());
        self.plain_await.set(of.plain_await.get());
        self.offered.set(of.offered.get());
        self.budget.set(of.budget.get());
    }
}

#[cfg(not(asyncio_loom))]
thread_local! {
    static CURRENT: Cell<*const PollRecord<'static>> = const { Cell::new(ptr::null()) };
}

// loom runs all threads of a model on one OS thread, so the pointer must belong to loom's threads.
#[cfg(asyncio_loom)]
loom::thread_local! {
    static CURRENT: Cell<*const PollRecord<'static>> = Cell::new(ptr::null());
}

/// Puts the pointer back that was there before, also on unwind.
struct Restore(*const PollRecord<'static>);

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        // A thread that is being torn down has no cell left, and nobody who could read it.
        let _ = CURRENT.try_with(|current| current.set(self.0));
    }
}

/// Runs `f` with `record` as this thread's poll record.
#[inline]
pub fn enter<R>(record: &PollRecord<'_>, f: impl FnOnce() -> R) -> R {
    let pointer: *const PollRecord<'_> = record;
    let before = CURRENT.try_with(|current| current.replace(pointer.cast()));
    let _restore = Restore(before.unwrap_or(ptr::null()));
    f()
}

/// Lends the record of what this thread polls, `None` outside asyncio's tasks and callbacks.
#[inline(always)]
pub fn with<R>(f: impl FnOnce(Option<&PollRecord<'_>>) -> R) -> R {
    // SAFETY: the reference handed on cannot leave the closure.
    f(unsafe { current() })
}

/// As [`with`], for a hot path that a closure would cut in two.
///
/// # Safety
///
/// The reference must not leave the function that calls this: that function was called by what an [`enter`] on this thread runs, which ends after it.
#[inline(always)]
pub unsafe fn current<'a>() -> Option<&'a PollRecord<'a>> {
    let pointer = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: a pointer in `CURRENT` was put there by an `enter` on this thread that has not returned: `Restore` takes it out
    // before `enter` gives its borrow of the record back. For how long this one lasts, the caller sees to.
    unsafe { pointer.as_ref() }
}

/// Says what the task being polled waits for; for a leaf that is about to return `Pending`.
#[inline]
pub fn waits_for(kind: WaitKind, place: &'static Location<'static>) {
    with(|record| {
        if let Some(record) = record {
            record.wait.set(kind, place);
        }
    });
}

/// A say in the cancellation of the task being polled; `None` outside asyncio's tasks, where nobody can be asked to come back.
pub fn hold() -> Option<Box<dyn Hold>> {
    let kind = with(|record| record.and_then(|record| record.owner.kind));
    kind.map(|kind| (kind.hold)())
}

/// Whether it is the waker of the task being polled, which asyncio made: such a waker may be cloned also under a lock.
#[inline]
pub fn is_own_waker(waker: &Waker) -> bool {
    with(|record| record.is_some_and(|record| record.owner.has_waker(waker)))
}

/// Takes one ready operation from the task's budget; false when it is spent.
///
/// A leaf that gets false wakes its own waker and returns `Pending` before it touches anything, so that a task which awaits
/// only ready things lets others run. One that pays at every poll gives it [back](refund) when it goes on waiting. Outside asyncio's tasks, and on a loop with one
/// worker, nothing is counted.
#[inline]
pub fn spend() -> bool {
    with(|record| match record {
        None => true,
        Some(record) => match record.budget.get() {
            u32::MAX => true,
            0 => false,
            left => {
                record.budget.set(left - 1);
                true
            }
        },
    })
}

/// Gives back what [`spend`] took: nothing was ready.
#[inline]
pub fn refund() {
    with(|record| {
        if let Some(record) = record {
            let left = record.budget.get();
            record.budget.set(left.saturating_add(1));
        }
    });
}

#[cfg(test)]
pub(crate) use tests::numbered;

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a task that is nothing but its number.
    pub(crate) fn numbered(id: usize) -> Owner {
        static KIND: Kind = Kind {
            hold: || unreachable!("nobody asks for a hold"),
            waker: None,
            id: |task| task.addr() as u64,
        };
        // SAFETY: it is not dereferenced.
        unsafe { Owner::new(ptr::without_provenance(id), &KIND) }
    }

    fn record<'a>(id: usize, wait: &'a WaitSlot, context: &'a ContextSlot) -> PollRecord<'a> {
        let (owner, budget) = (numbered(id), Cell::new(2));
        PollRecord { owner, budget, ..PollRecord::outside(wait, context) }
    }

    fn current() -> Option<u64> {
        with(|record| record.map(|r| r.owner.id()))
    }

    #[test]
    fn records_nest_and_are_put_back_on_a_panic() {
        let (wait, context) = (WaitSlot::new(), ContextSlot::new());
        assert_eq!(current(), None);
        enter(&record(1, &wait, &context), || {
            assert_eq!(current(), Some(1));
            let inner = std::panic::AssertUnwindSafe(|| {
                enter(&record(2, &wait, &context), || panic!("seen: {:?}", current()));
            });
            assert!(std::panic::catch_unwind(inner).is_err());
            assert_eq!(current(), Some(1));
        });
        assert_eq!(current(), None);
    }

    #[test]
    fn a_waker_is_the_tasks_own_by_task_and_vtable() {
        let (wait, context) = (WaitSlot::new(), ContextSlot::new());
        let own = Waker::noop();
        let hold: MakeHold = || unreachable!("nobody asks for a hold");
        let kind = Kind { hold, waker: Some(own.vtable()), id: |_| 0 };
        let kind: &'static Kind = Box::leak(Box::new(kind));
        assert!(!is_own_waker(own), "outside");
        for (task, is_own) in [(own.data(), true), (ptr::from_ref(&wait).cast(), false)] {
            // SAFETY: nobody reads it back.
            let owner = unsafe { Owner::new(task, kind) };
            enter(&PollRecord { owner, ..record(1, &wait, &context) }, || {
                assert_eq!(is_own_waker(own), is_own);
            });
        }
        enter(&record(1, &wait, &context), || assert!(!is_own_waker(own)));
    }

    #[test]
    fn another_context_is_part_of_the_same_poll() {
        let (wait, context, other) = (WaitSlot::new(), ContextSlot::new(), ContextSlot::new());
        let outer = record(1, &wait, &context);
        outer.offered.set(true);
        enter(&outer, || {
            enter_context(&outer, &other, || {
                with(|inner| {
                    let inner = inner.unwrap();
                    assert!(inner.offered.replace(false));
                    inner.plain_await.set(7);
                });
                assert!(spend());
            });
        });
        let notes = (outer.offered.get(), outer.plain_await.get(), outer.budget.get());
        assert_eq!(notes, (false, 7, 1));
    }

    #[test]
    fn scopes_get_their_places_from_the_outside_and_once() {
        let mut slab = crate::slab::Slab::new();
        let mut make = |outer, holds_back| slab.insert((outer, holds_back));
        let scopes = Scopes::new();
        assert_eq!(scopes.place(&mut make), None);
        let keys = [const { Cell::new(Key::NONE) }; 2];
        let (outer, inner) = (Scope::new(&keys[0], false), Scope::new(&keys[1], true));
        let place = scopes.polling(&outer, || scopes.polling(&inner, || scopes.place(&mut make)));
        let [outer_key, inner_key] = keys.each_ref().map(Cell::get);
        assert_eq!((place, outer_key.is_none()), (Some(inner_key), false));
        let again = scopes.polling(&outer, || scopes.polling(&inner, || scopes.place(&mut make)));
        assert_eq!((again, scopes.is_empty()), (place, true));
        assert_eq!(slab.len(), 2);
        assert_eq!(slab.get(outer_key), Some(&(None, false)));
        assert_eq!(slab.get(inner_key), Some(&(Some(outer_key), true)));
    }

    #[test]
    fn a_panic_leaves_the_scopes_as_they_were() {
        let scopes = Scopes::new();
        let keys = [const { Cell::new(Key::NONE) }; 2];
        let [outer, inner] = keys.each_ref().map(|key| Scope::new(key, false));
        scopes.polling(&outer, || {
            let panics =
                std::panic::AssertUnwindSafe(|| scopes.polling(&inner, || panic!("inside")));
            assert!(std::panic::catch_unwind(panics).is_err());
            let mut slab = crate::slab::Slab::new();
            assert_eq!(scopes.place(|outer, _| slab.insert(outer)), Some(keys[0].get()));
            assert_eq!((slab.len(), keys[1].get()), (1, Key::NONE));
        });
    }

    #[test]
    fn the_budget_runs_out_and_nothing_is_counted_outside() {
        let (wait, context) = (WaitSlot::new(), ContextSlot::new());
        enter(&record(1, &wait, &context), || {
            assert_eq!([spend(), spend(), spend(), spend()], [true, true, false, false]);
            refund();
            assert_eq!([spend(), spend()], [true, false]);
        });
        assert!((0..1000).all(|_| spend()));
    }
}
