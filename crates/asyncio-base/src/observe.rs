//! Who holds what, and who waits for whom: noted while a simulation observes this thread, for its report of a deadlock.
//!
//! Elsewhere nothing is noted: one look at a thread-local is what a lock pays. Objects are known by their addresses only, and a note is used only
//! together with a wait that goes on, so one about a thing that is gone does no harm.

use crate::record;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ptr;

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static NOTES: RefCell<Notes> = RefCell::default();
}

#[derive(Default)]
struct Notes {
    /// The last to take a thing.
    takers: HashMap<usize, u64>,
    /// What a task that waits, waits for.
    waits: HashMap<u64, On>,
}

#[derive(Clone, Copy)]
enum On {
    Thing(usize),
    Task(u64),
}

/// Whether this thread is observed.
#[inline]
pub fn is_on() -> bool {
    ON.try_with(Cell::get).unwrap_or(false)
}

/// The task being polled has taken this; without a task, nobody has.
#[inline]
pub fn took<T>(thing: &T) {
    if is_on() {
        note_taker(ptr::from_ref(thing).addr());
    }
}

/// The task being polled waits until this is given to it.
#[inline]
pub fn waits_for_thing<T>(thing: &T) {
    if is_on() {
        note_wait(On::Thing(ptr::from_ref(thing).addr()));
    }
}

/// The task being polled waits for the end of another.
#[inline]
pub fn waits_for_task(task: u64) {
    if is_on() {
        note_wait(On::Task(task));
    }
}

/// The number of the task being polled, 0 without one.
fn this_task() -> u64 {
    record::with(|record| record.map_or(0, |record| record.owner.id()))
}

#[cold]
fn note_taker(thing: usize) {
    let task = this_task();
    let _ = NOTES.try_with(|notes| notes.borrow_mut().takers.insert(thing, task));
}

#[cold]
fn note_wait(on: On) {
    let task = this_task();
    let _ = NOTES.try_with(|notes| notes.borrow_mut().waits.insert(task, on));
}

/// The number of the task that this one waits for, or that was the last to take what it waits for, if it said so when it last began to wait.
pub fn waits_for_whom(task: u64) -> Option<u64> {
    let whom = |notes: &Notes| match *notes.waits.get(&task)? {
        On::Task(whom) => Some(whom),
        On::Thing(thing) => notes.takers.get(&thing).copied().filter(|&taker| taker != 0),
    };
    NOTES.try_with(|notes| whom(&notes.borrow())).ok().flatten()
}

/// Runs `f` while this thread is observed. Calls nest.
pub fn observed<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);

    impl Drop for Restore {
        fn drop(&mut self) {
            ON.with(|on| on.set(self.0));
            if !self.0 {
                NOTES.with(|notes| {
                    let mut notes = notes.borrow_mut();
                    notes.takers.clear();
                    notes.waits.clear();
                });
            }
        }
    }

    let _restore = Restore(ON.with(|on| on.replace(true)));
    f()
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;
    use crate::context::ContextSlot;
    use crate::record::PollRecord;
    use crate::wait::WaitSlot;

    fn as_task(id: usize, f: impl FnOnce()) {
        let (wait, context, owner) = (WaitSlot::new(), ContextSlot::new(), record::numbered(id));
        record::enter(&PollRecord { owner, ..PollRecord::outside(&wait, &context) }, f);
    }

    #[test]
    fn the_last_taker_is_who_is_waited_for() {
        let thing = 5;
        observed(|| {
            as_task(1, || took(&thing));
            as_task(2, || waits_for_thing(&thing));
            assert_eq!(waits_for_whom(2), Some(1));
            as_task(3, || took(&thing));
            assert_eq!(waits_for_whom(2), Some(3));
            as_task(2, || waits_for_task(7));
            assert_eq!(waits_for_whom(2), Some(7));
        });
    }

    #[test]
    fn nothing_is_noted_when_nobody_observes() {
        let thing = 5;
        as_task(1, || took(&thing));
        as_task(2, || waits_for_thing(&thing));
        observed(|| assert_eq!(waits_for_whom(2), None));
        observed(|| as_task(2, || waits_for_task(1)));
        assert_eq!(waits_for_whom(2), None, "notes are gone with the observer");
    }
}
