//! Signals that the program has asked its loop to hear of.
//!
//! Each signal is heard of by one loop at most: whoever asked last. A [`Catch`] that is dropped gives the signal back to whom it had before.

use crate::caught::{Caught, LAST};
use crate::interrupt;
use crate::published::Published;
use crate::sys::{self, Action, KeepErrno};
use asyncio_base::sync::Mutex;
use libc::c_int;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Who hears of each signal.
static LOOPS: [Published<Caught>; LAST as usize] = [const { Published::new() }; LAST as usize];

fn place(signal: c_int) -> Option<&'static Published<Caught>> {
    LOOPS.get(usize::try_from(signal).ok()?.checked_sub(1)?)
}

/// What each signal did before the first of the loops that took it from one another. Locked while a signal changes hands.
static BEFORE: Mutex<BTreeMap<c_int, Action>> = Mutex::new(BTreeMap::new());

/// While this lives, a signal is noted for a loop.
pub struct Catch {
    signal: c_int,
    place: &'static Published<Caught>,
    caught: Arc<Caught>,
}

/// Why a signal cannot be caught.
#[derive(Debug)]
#[non_exhaustive]
pub enum CatchError {
    /// There is no signal of this number.
    NoSignal(i32),
    /// The system lets nobody catch it.
    CannotBeCaught(i32),
    /// This is not the thread that the program began with.
    NotMainThread,
}

impl fmt::Display for CatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatchError::NoSignal(signal) => write!(f, "{signal} is not a valid signal number"),
            CatchError::CannotBeCaught(signal) => write!(f, "signal {signal} cannot be caught"),
            CatchError::NotMainThread => {
                f.write_str("signal handlers can only be set on the main thread")
            }
        }
    }
}

impl Error for CatchError {}

impl Catch {
    /// Has `signal` noted in `caught`.
    ///
    /// # Errors
    ///
    /// If it is no signal, cannot be caught, or this is not the main thread.
    pub fn new(signal: i32, caught: &Arc<Caught>) -> Result<Catch, CatchError> {
        let place = place(signal).filter(|_| sys::is_signal(signal));
        let place = place.ok_or(CatchError::NoSignal(signal))?;
        if !sys::is_main_thread() {
            return Err(CatchError::NotMainThread);
        }
        let mut befores = BEFORE.lock();
        let refused = |_: io::Error| CatchError::CannotBeCaught(signal);
        let before = Action::current(signal).map_err(refused)?;
        // Published first: a signal that comes at once is not lost.
        drop(place.publish(caught.clone()));
        if let Err(error) = Action::calling(on_signal).set(signal) {
            drop(place.retract());
            return Err(refused(error));
        }
        // Ours already: then another loop gives way.
        if !before.calls(on_signal) {
            befores.insert(signal, before);
        }
        Ok(Catch { signal, place, caught: caught.clone() })
    }

    fn is_current(&self) -> bool {
        let here = |caught: &Caught| std::ptr::eq(caught, &*self.caught);
        self.place.look(here) == Some(true)
    }
}

impl Drop for Catch {
    fn drop(&mut self) {
        let befores = BEFORE.lock();
        // Another loop has it now.
        if !self.is_current() {
            return;
        }
        let current = Action::current(self.signal);
        if current.is_ok_and(|action| action.calls(on_signal)) {
            let before = befores[&self.signal];
            let stale = interrupt::is_stale(&before);
            let _ = if stale { Action::default_action() } else { before }.set(self.signal);
        }
        drop(self.place.retract());
    }
}

impl fmt::Debug for Catch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catch").field("signal", &self.signal).finish_non_exhaustive()
    }
}

extern "C" fn on_signal(signal: c_int) {
    let _errno = KeepErrno::new();
    if let Some(place) = place(signal) {
        place.look(|caught| caught.note(signal));
    }
}
