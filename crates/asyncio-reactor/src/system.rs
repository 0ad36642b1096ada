//! The seam: what stands in for the operating system under a simulated loop.
//!
//! A [`Reactor::simulated`](crate::Reactor::simulated) asks a [`System`] what has become ready where another asks the kernel; everything above,
//! from the readiness word to the waiters' order, is the same code. Sockets of the system are made by whoever knows both it and the
//! network (`asyncio_net::Network`), and registered by their number.
//!
//! While a thread works for a simulated loop, a real descriptor is a way out of the simulation, and is reported to the system with the place that
//! used it: when it is taken over or made ([`admit_descriptor`]), when an [`Io`](crate::Io) that is not registered is tried, and when any is waited for.
//! A call on a ready source that a real loop has registered before is not looked at, so that such calls cost nothing more; what it finds had arrived
//! before the simulation, and the first wait is reported.

use crate::current;
use crate::readiness::Ready;
use std::fmt;
use std::io;
use std::panic::Location;
// A static would outlive a model of loom's; and the count orders nothing, for a thread sees its own entry.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The operating system of a simulated loop, as its reactor sees it.
///
/// The reactor calls it without a lock held, but for [`rearm`](Self::rearm).
pub trait System: Send + Sync + fmt::Debug + 'static {
    /// Lets at most `timeout` pass (`None`: whatever it takes) until something is ready or [`notify`](Self::notify) is called, and appends
    /// what is ready in the order in which the waiters are to hear of it. Readiness is told once, when it begins; more often does no harm.
    ///
    /// # Errors
    ///
    /// Where the system's poller is to fail.
    fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<(Token, Ready)>) -> io::Result<()>;

    /// Ends a [`wait`](Self::wait) of another thread.
    fn notify(&self);

    /// From now on `token` stands for the socket in what [`wait`](Self::wait) tells, beginning with what it is ready for now.
    ///
    /// # Errors
    ///
    /// Where the system is to refuse.
    fn watch(&self, socket: u64, token: Token) -> io::Result<()>;

    /// Somebody waits for the directions `interest` again; a system that tells of every change has nothing to do.
    ///
    /// # Errors
    ///
    /// Where the system is to refuse.
    fn rearm(&self, _socket: u64, _interest: Ready) -> io::Result<()> {
        Ok(())
    }

    /// Ends what [`watch`](Self::watch) began.
    fn forget(&self, socket: u64);

    /// A real descriptor was used at `place` by a thread that works for this loop. The call is not made; it fails with the error.
    fn escaped(&self, place: &'static Location<'static>) -> io::Error;
}

/// A registration, as the reactor knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub(crate) u64);

/// Threads inside simulated loops, in the whole process.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// Counts this thread among those inside simulated loops.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn new() -> Self {
        INSIDE.fetch_add(1, Ordering::Relaxed);
        Inside(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether any thread may be inside a simulated loop. No other thread's entry matters, so nothing is ordered by it.
#[inline]
pub(crate) fn anywhere() -> bool {
    INSIDE.load(Ordering::Relaxed) != 0
}

/// Whether code on this thread may use a real descriptor. `place` is where it does.
///
/// For calls that do not go through an [`Io`](crate::Io), such as taking over a socket of std's.
///
/// # Errors
///
/// What the [`System`] of the simulated loop says that this thread works for.
pub fn admit_descriptor(place: &'static Location<'static>) -> io::Result<()> {
    if !anywhere() {
        return Ok(());
    }
    let reactor = current::current();
    match reactor.as_ref().and_then(|reactor| reactor.poller().system()) {
        Some(system) => Err(system.escaped(place)),
        None => Ok(()),
    }
}
