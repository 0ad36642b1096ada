//! What a thread is while it works for a loop, and what it can be asked as such.
//!
//! The worker is counted in `CURRENT`, and `HERE` leads to it: a plain pointer, since every wake asks for it, with no destructor that a thread's end
//! would have to be asked about. Where `CURRENT` changes (`become_current`) `HERE` is changed first, and where `CURRENT` goes (`Owned`) it leads
//! nowhere from then on. So what `HERE` leads to is alive, on this thread, until either happens.

#![allow(unsafe_code)]

use crate::core::{Core, Rouse};
use crate::run_queue::Entry;
use crate::shard::Shard;
use crate::worker::Worker;
use std::cell::{Cell, RefCell};
use std::ptr;
use std::rc::Rc;

/// The worker that a thread is, if it is one.
#[derive(Default)]
struct Owned(Option<Rc<Worker>>);

#[cfg(not(asyncio_loom))]
thread_local! {
    static CURRENT: RefCell<Owned> = const { RefCell::new(Owned(None)) };
    /// Leads to what is in `CURRENT`: it is asked at every wake, and has no destructor to be asked after.
    static HERE: Cell<*const Worker> = const { Cell::new(ptr::null()) };
}

// loom runs all threads of a model on one OS thread, so the worker must belong to loom's threads.
#[cfg(asyncio_loom)]
loom::thread_local! {
    static CURRENT: RefCell<Owned> = RefCell::default();
    static HERE: Cell<*const Worker> = Cell::new(ptr::null());
}

impl Drop for Owned {
    fn drop(&mut self) {
        lead_to(None);
    }
}

fn lead_to(worker: Option<&Worker>) {
    let _ = HERE.try_with(|here| here.set(worker.map_or(ptr::null(), ptr::from_ref)));
}

/// Says what this thread is; what it was before. In a thread-local destructor the cell may be gone: then it is nothing, and entries take the way of
/// other threads, through the injector.
pub(crate) fn become_current(worker: Option<Rc<Worker>>) -> Option<Rc<Worker>> {
    let replaced = CURRENT.try_with(|current| {
        let mut current = current.borrow_mut();
        lead_to(worker.as_deref());
        std::mem::replace(&mut current.0, worker)
    });
    replaced.ok().flatten()
}

/// Lends the worker of the loop that has `core`, if this thread is one. `f` does not change what the thread is, and no user code runs in it.
#[inline]
fn with_worker<R>(core: &'static Core, f: impl FnOnce(Option<&Worker>) -> R) -> R {
    // Destructors of other thread-locals may wake tasks after this one is gone.
    let here = HERE.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: it leads to what `CURRENT` has a count of: where that changes (`become_current`), and where it goes (`Owned`), this is changed first.
    // `f` does neither.
    f(Worker::of(core, unsafe { here.as_ref() }))
}

/// Puts an entry at the back of this thread's queue, if the thread is a worker of the loop that has `core`; else gives it back.
#[inline]
pub(crate) fn push_local(core: &'static Core, entry: Entry) -> Result<Rouse, Entry> {
    with_worker(core, |worker| match worker {
        Some(worker) => Ok(worker.push(entry)),
        None => Err(entry),
    })
}

/// Puts an entry at the back of the pinned queue, if this thread is worker 0 of the loop that has `core`, else gives it back.
pub(crate) fn push_pinned(core: &'static Core, entry: Entry) -> Result<(), Entry> {
    with_worker(core, |worker| match worker.and_then(Worker::pinned_here) {
        Some(pinned) => {
            pinned.push(entry);
            Ok(())
        }
        None => Err(entry),
    })
}

/// The shard of this thread, if it is a worker of the loop that has `core`.
pub(crate) fn shard_here(core: &'static Core) -> Option<&'static Shard> {
    with_worker(core, |worker| worker.map(|worker| worker.shard))
}

/// Whether this thread works for the loop that has `core`.
pub(crate) fn works_for(core: &'static Core) -> bool {
    shard_here(core).is_some()
}

/// Whether this thread works for some loop.
pub fn is_worker() -> bool {
    HERE.try_with(|here| !here.get().is_null()).unwrap_or(false)
}

/// A number that differs between most threads.
pub(crate) fn thread_number() -> usize {
    // Thread-locals of threads lie at least a page apart.
    HERE.try_with(|here| ptr::from_ref(here).addr() >> 12).unwrap_or(0)
}
