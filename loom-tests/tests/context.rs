//! A context's values are whole and alive for whoever reads them, and no set is lost (`asyncio-base/src/context`).
//!
//! The crate's own atomics are std's here as elsewhere, so the two files of the protocol are taken in with loom's.
#![cfg(asyncio_loom)]
#![allow(dead_code, unreachable_pub, missing_docs, missing_debug_implementations)] // Each model uses its part.

mod sync_common;

use asyncio_base::const_fn;
use asyncio_loom_tests::{model, race};
use cell::Cell;
use slot::ContextSlot;
use sync::Arc;
use sync_common::{Watched, spawn};

#[path = "../../crates/asyncio-base/src/context/cell.rs"]
mod cell;
#[path = "../../crates/asyncio-base/src/context/slot.rs"]
mod slot;

mod sync {
    pub(super) use loom::sync::Arc;
    pub(super) use loom::sync::atomic::{AtomicPtr, Ordering};
    pub(super) use loom::thread::yield_now;

    pub(super) fn into_inner<T>(arc: Arc<T>) -> Option<T> {
        Arc::try_unwrap(arc).ok()
    }
}

type Value = u32;

/// A map of two variables, that loom watches.
struct Values([Watched; 2]);

impl Values {
    fn get(&self, variable: &u64) -> Option<&Value> {
        // Lent only to be copied.
        let value: &'static Value = Box::leak(Box::new(self.0[*variable as usize].get()));
        Some(value).filter(|value| **value != 0)
    }
}

impl Default for Values {
    fn default() -> Self {
        Values([Watched::new(0), Watched::new(0)])
    }
}

impl Clone for Values {
    fn clone(&self) -> Self {
        Values([0, 1].map(|at| Watched::new(self.0[at].get())))
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        self.0.iter().for_each(|value| value.set(0));
    }
}

/// What `Context` is there.
pub struct Context(Arc<Cell>);

impl Context {
    fn set(&self, variable: usize, value: Value) {
        self.0.update(|values| values.0[variable].set(value));
    }

    fn get(&self, variable: u64) -> Option<Value> {
        self.0.snapshot()?.get(&variable).copied()
    }
}

/// A slot that was inherited from a context in which variable 0 is 1.
fn inherited() -> Arc<ContextSlot> {
    let parent = ContextSlot::new();
    parent.get_or_create().set(0, 1);
    Arc::new(parent.copy())
}

/// A reader of what was inherited while another thread asks for the context and sets the variable.
#[test]
fn a_read_meets_a_set() {
    model("context: a read meets a set", Some(3), || {
        let slot = inherited();
        let reading = slot.clone();
        let reader = spawn(move || [reading.value(0), reading.value(0)]);
        slot.get_or_create().set(0, 2);
        let seen = reader.join().unwrap();
        let possible = [[1, 1], [1, 2], [2, 2]].map(|pair| pair.map(Some));
        assert!(possible.contains(&seen), "{seen:?}");
        assert_eq!(slot.value(0), Some(2));
    });
}

/// The same of one who inherits.
#[test]
fn a_copy_meets_a_set() {
    model("context: a copy meets a set", None, || {
        let slot = inherited();
        let copying = slot.clone();
        let copier = spawn(move || copying.copy());
        slot.get_or_create().set(0, 2);
        drop(slot);
        let copy = copier.join().unwrap();
        assert!(matches!(copy.value(0), Some(1 | 2)), "its own from now on");
    });
}

/// Both ask for the context of an inherited slot: it is one, and neither set is lost.
#[test]
fn two_setters_meet() {
    model("context: two setters meet", Some(3), || {
        let slot = inherited();
        let setting = slot.clone();
        let setter = spawn(move || setting.get_or_create().set(0, 2));
        slot.get_or_create().set(1, 3);
        setter.join().unwrap();
        assert_eq!((slot.value(0), slot.value(1)), (Some(2), Some(3)));
    });
}

/// Both ask for the context of an empty slot.
#[test]
fn two_creators_meet() {
    model("context: two creators meet", None, || {
        let slot = Arc::new(ContextSlot::new());
        let other = slot.clone();
        let creator = spawn(move || {
            race();
            other.get_or_create().set(0, 2);
            race();
        });
        race();
        let here = slot.get_or_create();
        race();
        let early = here.get(0);
        assert!(matches!(early, None | Some(2)));
        creator.join().unwrap();
        assert_eq!((here.get(0), slot.value(0)), (Some(2), Some(2)));
    });
}

/// One cell, read by one thread while another sets.
#[test]
fn a_snapshot_meets_a_swap() {
    model("context: a snapshot meets a swap", None, || {
        let slot = ContextSlot::new();
        let context = slot.get_or_create();
        context.set(0, 1);
        let reading = spawn(move || slot.copy().value(0));
        context.set(0, 2);
        assert!(matches!(reading.join().unwrap(), Some(1 | 2)));
    });
}
