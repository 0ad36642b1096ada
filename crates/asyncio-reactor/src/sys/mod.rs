//! The platform: one back-end, chosen here and nowhere else.
//!
//! | file | where | how |
//! |---|---|---|
//! | `epoll.rs` | Linux | epoll called by hand on `polling`'s descriptor, edge-triggered, one system call per wait |
//! | `edge.rs` | BSD and Apple; Linux with `--cfg asyncio_edge` | `polling` in edge mode |
//! | `oneshot.rs` | elsewhere; Linux with `--cfg asyncio_oneshot` | `polling` in one-shot mode, armed anew by whoever waits |
//!
//! Each offers the same: `Events` with `new` and `iter`, which yields the key and what is ready; a `Poller` with `new`,
//! `register`, `rearm`, `delete`, `closing`, `wait`, `notify`; and `SHORT_READ_DRAINS`, whether an event tells of the end of a
//! stream, so that a read that gave less than asked for need not be repeated to learn whether it was the last.

#[cfg(all(target_os = "linux", not(asyncio_oneshot), not(asyncio_edge)))]
#[path = "epoll.rs"]
mod imp;

#[cfg(all(
    not(asyncio_oneshot),
    any(
        asyncio_edge,
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly",
    )
))]
#[path = "edge.rs"]
mod imp;

#[cfg(any(
    asyncio_oneshot,
    not(any(
        asyncio_edge,
        target_os = "linux",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly",
    ))
))]
#[path = "oneshot.rs"]
mod imp;

pub(crate) use imp::{Events, Poller, SHORT_READ_DRAINS};
