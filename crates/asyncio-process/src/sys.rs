//! The system calls: what a signal does, and raising one.

use libc::{c_int, sigaction};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// What is called when a signal comes. It may call only what POSIX lists as safe there, and gets `errno` back as it was.
pub(crate) type Handler = extern "C" fn(c_int);

/// What the system does when a signal comes.
#[derive(Clone, Copy)]
pub(crate) struct Action(sigaction);

impl Action {
    /// What the system does for `signal` now. May be called in a handler.
    pub(crate) fn current(signal: c_int) -> io::Result<Action> {
        let mut action = MaybeUninit::<sigaction>::uninit();
        // SAFETY: a null pointer asks and changes nothing; the other one leads to room for the answer.
        let asked = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
        if asked != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so it has filled the answer in.
        Ok(Action(unsafe { action.assume_init() }))
    }

    /// What the system does when nobody has said anything.
    pub(crate) fn default_action() -> Action {
        Self::with(libc::SIG_DFL)
    }

    /// Calls `handler`.
    pub(crate) fn calling(handler: Handler) -> Action {
        Self::with(address(handler))
    }

    fn with(handler: libc::sighandler_t) -> Action {
        // SAFETY: all zeros is a valid value of this struct of integers and a pointer that may be null.
        let mut action: sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler;
        // Calls that the signal interrupts go on by themselves, and a program with small stacks may keep one for signals.
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        Action(action)
    }

    pub(crate) fn is_default(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_DFL
    }

    pub(crate) fn calls(&self, handler: Handler) -> bool {
        self.0.sa_sigaction == address(handler)
    }

    /// Makes this what the system does for `signal`; returns what it did before. May be called in a handler.
    pub(crate) fn set(&self, signal: c_int) -> io::Result<Action> {
        let mut before = MaybeUninit::<sigaction>::uninit();
        // SAFETY: the action is one that was asked for or made above, whose handler keeps to what handlers may do; the other pointer
        // leads to room for the answer.
        if unsafe { libc::sigaction(signal, &self.0, before.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so it has filled the answer in.
        Ok(Action(unsafe { before.assume_init() }))
    }
}

fn address(handler: Handler) -> libc::sighandler_t {
    handler as *const () as libc::sighandler_t
}

/// Sends `signal` to this thread. In a handler of the same signal it comes when that has returned.
pub(crate) fn raise(signal: c_int) {
    // SAFETY: the call takes no pointers, and what comes of it is up to the action that is set.
    unsafe { libc::raise(signal) };
}

/// Whether `signal` is one.
pub(crate) fn is_signal(signal: c_int) -> bool {
    signal > 0 && Action::current(signal).is_ok()
}

/// Whether this thread is the one that the program began with.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_main_thread() -> bool {
    // SAFETY: neither call takes anything.
    unsafe { libc::getpid() == libc::gettid() }
}

/// Whether this thread is the one that the program began with.
#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "openbsd",
    target_os = "netbsd"
))]
pub(crate) fn is_main_thread() -> bool {
    // SAFETY: the call takes nothing.
    unsafe { libc::pthread_main_np() != 0 }
}

/// Whether this thread is the one that the program began with: nobody can say.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "openbsd",
    target_os = "netbsd"
)))]
pub(crate) fn is_main_thread() -> bool {
    false
}

/// Gives `errno` back as it was when a handler began: the interrupted code may be about to read it.
pub(crate) struct KeepErrno(c_int);

impl KeepErrno {
    pub(crate) fn new() -> Self {
        KeepErrno(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

impl Drop for KeepErrno {
    fn drop(&mut self) {
        // SAFETY: the pointer is to this thread's own `errno`, which lives as long as the thread.
        unsafe { *errno() = self.0 };
    }
}

#[cfg(any(target_os = "illumos", target_os = "solaris"))]
use libc::___errno as errno;
#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
use libc::__errno as errno;
#[cfg(any(
    target_os = "linux",
    target_os = "emscripten",
    target_os = "redox",
    target_os = "hurd"
))]
use libc::__errno_location as errno;
#[cfg(target_os = "dragonfly")]
use libc::__errno_location as errno;
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
use libc::__error as errno;
