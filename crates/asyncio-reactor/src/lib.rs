//! Readiness of file descriptors, on `polling`. Only `asyncio` promises a stable API; this crate does not.
//!
//! A [`Reactor`] is one poller of the operating system. Some thread [turns](Reactor::turn) it: it waits there for events and
//! calls the wakers of those who wait. An [`Io`] is a non-blocking descriptor whose calls turn into polls: it tries the
//! call first, and only when that would block does it register with the thread's [current](current()) reactor and wait.
//!
//! | module | what it holds |
//! |---|---|
//! | [`readiness`] | the state word of a source, and why no wake-up is lost |
//! | [`parking`] | whether a notification has to be written |
//! | [`System`] | what stands in for the operating system under a simulated loop |
//! | [`slab`] | slots that keep their place, found by keys with a generation |
//! | `sys` | the platform: epoll by hand, edge-triggered `polling`, one-shot `polling` |
//!
//! # Cost
//!
//! A registered source costs 64 bytes of heap, one `epoll_ctl` when it first would block, and none to unregister if it owns its
//! descriptor alone ([`Io::exclusive`]). A call on a ready source costs the system call and two atomic exchanges; a wait one
//! system call for all sources.
//!
//! # Unsafe
//!
//! Only in `sys`, one block per back-end: the wait of epoll, and `polling`'s `add`.

mod current;
mod io;
pub mod parking;
mod platform;
mod poller;
mod reactor;
pub mod readiness;
pub mod slab;
mod source;
mod sys;
mod system;
mod waiters;
mod wakes;

pub use crate::current::{current, enter};
pub use crate::io::{CallFuture, Io, ReadyFuture};
pub use crate::reactor::{Reactor, ReactorClosed, Stats};
pub use crate::readiness::{Direction, Ready};
pub use crate::source::{Handle, Source};
pub use crate::system::{System, Token, admit_descriptor};
pub use crate::waiters::Seat;
pub use crate::wakes::Wakes;
pub use polling::AsSource;
