//! Ctrl-C while a runner runs: the first press is the loop's business, the second ends the program.
//!
//! [`Interrupt::install`] puts a handler in the place of the system's, and dropping the guard puts the system's back. It does neither where the
//! program has a handler of its own: the one set before stays, and one set meanwhile stays when the guard is dropped. A handler set meanwhile that
//! calls the one before it (as the `signal-hook` crates do) reaches ours, which then does nothing: it is not the one that the program wants.
//!
//! The first press sets a bit and wakes the loop. The second is acted on in the handler, because every worker may be stuck in the program's
//! code: it puts the system's action back and raises the signal again, which ends the program when the handler has returned.

use crate::caught::Caught;
use crate::published::Published;
use crate::sys::{self, Action, KeepErrno};
use asyncio_base::sync::{AtomicU64, Ordering};
use libc::{SIGINT, c_int};
use std::io::{self, Write};
use std::sync::Arc;

/// The run that Ctrl-C is for: there is one main thread, so there is one run at most.
static RUN: Published<Run> = Published::new();

#[derive(Debug)]
struct Run {
    presses: AtomicU64,
    caught: Arc<Caught>,
}

/// While this lives, Ctrl-C is for one run.
#[derive(Debug)]
pub struct Interrupt {
    run: Arc<Run>,
}

impl Interrupt {
    /// Has Ctrl-C noted in `caught`; `None` if this is not the main thread, or the program has a handler, or the system refuses.
    pub fn install(caught: &Arc<Caught>) -> Option<Interrupt> {
        if !sys::is_main_thread() || !Action::current(SIGINT).ok()?.is_default() {
            return None;
        }
        let run = Arc::new(Run { presses: AtomicU64::new(0), caught: caught.clone() });
        let before = RUN.publish(run.clone());
        debug_assert!(before.is_none(), "one thread makes one run at a time");
        let interrupt = Interrupt { run };
        let before = Action::calling(on_interrupt).set(SIGINT).ok()?;
        if !before.is_default() {
            // Another thread has set a handler just now.
            before.set(SIGINT).ok()?;
            return None;
        }
        Some(interrupt)
    }

    /// Ends what [`install`](Self::install) began; whether Ctrl-C was pressed.
    pub fn finish(self) -> bool {
        let run = self.run.clone();
        drop(self);
        run.presses.load(Ordering::Acquire) > 0
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        // First the handler, then what it looks at: so every press is counted, or finds the system's action.
        give_back();
        drop(RUN.retract());
        // One that the loop has not looked at was for this run: also where main panicked, and nobody asks.
        self.run.caught.forget_interrupt();
    }
}

/// Puts the system's action back, if ours is still set.
fn give_back() {
    if is_ours() {
        let _ = Action::default_action().set(SIGINT);
    }
}

fn is_ours() -> bool {
    Action::current(SIGINT).is_ok_and(|action| action.calls(on_interrupt))
}

/// What gives way to the program's handler may come back only while there is a run.
pub(crate) fn is_stale(action: &Action) -> bool {
    action.calls(on_interrupt) && RUN.look(|_| ()).is_none()
}

extern "C" fn on_interrupt(_signal: c_int) {
    let _errno = KeepErrno::new();
    if !is_ours() {
        return;
    }
    let pressed = RUN.look(|run| {
        let again = run.presses.fetch_add(1, Ordering::AcqRel) > 0;
        if !again {
            run.caught.note_interrupt();
        }
        again
    });
    if pressed == Some(true) {
        give_back();
        sys::raise(SIGINT);
    }
}

/// Ends the program as Ctrl-C does, so that whoever started it sees why it ended; returns if the program has a handler of its own.
pub fn end_by_interrupt() {
    if Action::current(SIGINT).is_ok_and(|action| action.is_default()) {
        // What was printed is not lost: the signal ends the program as it stands.
        let _ = io::stdout().flush();
        sys::raise(SIGINT);
    }
}
