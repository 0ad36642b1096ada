//! The eager start: a task's first turn inside the call that makes it.
//!
//! The turn is nested in the one of the maker, on its worker; the poll record nests with it. At most [`MOST`] of them lie in one another, as each
//! takes its share of the stack; the next is queued. So is a task that was woken in its first turn.

use asyncio_base::record;
use asyncio_task::{Ran, Runnable};
use std::cell::Cell;

/// So many eager starts may be nested.
const MOST: u32 = 64;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Counts down again, also on unwind.
struct Nested(u32);

impl Drop for Nested {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(self.0));
    }
}

/// Gives a task that was just made its first turn here, on a worker of its loop; returns what has to be queued.
pub(crate) fn run_first_turn(token: Runnable) -> Option<Runnable> {
    // A thread that is being torn down nests no further.
    let depth = DEPTH.try_with(Cell::get).unwrap_or(MOST);
    if depth >= MOST {
        return Some(token);
    }
    let _nested = Nested(depth);
    let _ = DEPTH.try_with(|now| now.set(depth + 1));
    // Ready operations are the maker's to spend.
    let budget = record::with(|maker| maker.map_or(record::BUDGET, |maker| maker.budget.get()));
    match token.run(budget) {
        Ran::Again(token) => Some(token),
        Ran::Waiting | Ran::Complete => None,
    }
}
