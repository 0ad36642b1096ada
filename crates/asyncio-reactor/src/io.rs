//! A non-blocking descriptor whose calls turn into polls.
//!
//! An [`Io`] starts out unregistered and tries its calls straight away: most descriptors are ready when they are new, and a
//! short connection may never wait. The first call that would block registers with the current reactor. Registering asks the
//! kernel what is ready now, so nothing that happened before is lost. From then on [`crate::readiness`] decides.

mod future;

pub use self::future::{CallFuture, ReadyFuture};

use self::future::Place;
use crate::current::with_current;
use crate::reactor::{Reactor, ReactorClosed};
use crate::readiness::{Armed, Attempt, Begin, Direction, Readiness, Ready};
use crate::slab::{Key, Page};
use crate::source::{Handle, Source};
use crate::sys::SHORT_READ_DRAINS;
use crate::system;
use crate::waiters::Seat;
use asyncio_base::outlook;
use asyncio_base::record;
use asyncio_base::sync::{AtomicBool, Mutex, Ordering};
use asyncio_base::wait::WaitKind;
use std::fmt;
use std::io;
use std::panic::Location;
// Written once, under `registering`, and then only read: nothing for loom to explore.
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

/// A registration: the reactor, and the slot there.
struct Registration {
    reactor: Arc<Reactor>,
    page: Arc<Page>,
    key: Key,
}

impl Registration {
    #[inline]
    fn readiness(&self) -> &Readiness {
        self.page.get(self.key)
    }
}

/// A non-blocking descriptor or socket of a simulated system, or what owns one, that can be waited for.
///
/// The source must be in non-blocking mode already. It is registered, with the reactor that is [current](crate::current()),
/// when a call on it first would block, and belongs to that reactor until it is dropped or [taken out](Self::into_inner).
///
/// # Who may wait
///
/// `poll_*` methods keep the waker of the last poll only, one per direction: so one task may read and another write. The
/// futures ([`ready`](Self::ready), [`call`](Self::call)) keep one waker each; any number of tasks may await them. An event
/// wakes all who wait in its direction, the `poll_*` waiter first, then the futures in the order they began to wait; those
/// who find nothing left wait again.
///
/// # Examples
///
/// ```no_run
/// use asyncio_reactor::{Direction, Io};
/// use std::io::Read;
/// use std::net::TcpStream;
///
/// # async fn f() -> std::io::Result<()> {
/// let stream = TcpStream::connect("127.0.0.1:80")?;
/// stream.set_nonblocking(true)?;
/// let stream = Io::exclusive(stream);
/// let mut buffer = [0; 1024];
/// let n = stream.call(Direction::Read, |mut stream: &TcpStream| stream.read(&mut buffer)).await?;
/// # let _ = n; Ok(())
/// # }
/// ```
pub struct Io<T: Source> {
    /// `None` only on the way out.
    source: Option<T>,
    registration: OnceLock<Registration>,
    /// Held while a registration is made.
    registering: Mutex<()>,
    /// The descriptor is nobody else's, as far as is known here.
    exclusive: AtomicBool,
}

impl<T: Source> Io<T> {
    /// Wraps a source that may share its descriptor with others, or borrow it. Dropping the `Io` unregisters it first.
    pub fn new(source: T) -> Self {
        Io::with(source, false)
    }

    /// Wraps a source that owns its descriptor alone and closes it when dropped.
    ///
    /// Where closing is all it takes to unregister (Linux), dropping this makes no other system call. Who hands the descriptor out, so that it
    /// may be copied, [lends](Self::lend) it.
    pub fn exclusive(source: T) -> Self {
        Io::with(source, true)
    }

    fn with(source: T, exclusive: bool) -> Self {
        Io {
            source: Some(source),
            registration: OnceLock::new(),
            registering: Mutex::new(()),
            exclusive: AtomicBool::new(exclusive),
        }
    }

    /// The source. Calls made on it directly are not known here: make them in [`try_io`](Self::try_io) and its kin.
    pub fn get_ref(&self) -> &T {
        self.source.as_ref().expect("only `into_inner` and `drop` take the source out")
    }

    /// The source, for code that may copy its descriptor. A copy would keep it registered after it is closed: so from now on it is unregistered
    /// first.
    pub fn lend(&self) -> &T {
        self.exclusive.store(false, Ordering::Relaxed);
        self.get_ref()
    }

    /// The source, unregistered; it stays open and in non-blocking mode.
    pub fn into_inner(mut self) -> T {
        self.deregister(false);
        self.source.take().expect("only `into_inner` and `drop` take the source out")
    }

    /// The reactor this is registered with, if it is.
    pub fn reactor(&self) -> Option<&Arc<Reactor>> {
        self.registration.get().map(|registration| &registration.reactor)
    }

    /// Makes a call, or waits in the `poll_*` seat until it can be made.
    ///
    /// `op` is called when the direction is worth trying, again after `EINTR`, and not at all while nothing happened. An `op`
    /// that moves a number of bytes through a stream had better go through [`poll_transfer`](Self::poll_transfer).
    ///
    /// # Errors
    ///
    /// What `op` failed with; [`ReactorClosed`]; or what registering failed with, in which case nothing is registered.
    ///
    /// # Panics
    ///
    /// If no reactor is current when the source is not registered yet: "no running event loop".
    #[track_caller]
    pub fn poll_io<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        op: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let wait = Wait { direction, place: Location::caller(), seat: Seat::Chair };
        self.poll_call(wait, cx, op, |_| false)
    }

    /// As [`poll_io`](Self::poll_io), for a call on a stream that asks for `asked` bytes and says how many it moved.
    ///
    /// If it moved fewer, the next call would block, and is not tried before an event says otherwise; but a read may be, where the
    /// next event is [far](asyncio_base::outlook). `place` is what reports of waiting tasks show.
    ///
    /// # Errors
    ///
    /// As [`poll_io`](Self::poll_io).
    ///
    /// # Panics
    ///
    /// As [`poll_io`](Self::poll_io).
    pub fn poll_transfer(
        &self,
        direction: Direction,
        asked: usize,
        place: &'static Location<'static>,
        cx: &mut Context<'_>,
        op: impl FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let wait = Wait { direction, place, seat: Seat::Chair };
        self.poll_call(wait, cx, op, |moved| awaits_event(direction, asked, *moved))
    }

    /// Waits in the `poll_*` seat until a call is worth trying.
    ///
    /// It stays so until a call in [`try_io`](Self::try_io) would block. It may turn out that it would block at once.
    ///
    /// # Errors
    ///
    /// [`ReactorClosed`], or what registering failed with.
    ///
    /// # Panics
    ///
    /// As [`poll_io`](Self::poll_io).
    #[track_caller]
    pub fn poll_ready(&self, direction: Direction, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_wait(Wait { direction, place: Location::caller(), seat: Seat::Chair }, cx)
    }

    /// Waits until a call is worth trying.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// As [`poll_ready`](Self::poll_ready).
    ///
    /// # Panics
    ///
    /// As [`poll_io`](Self::poll_io).
    #[track_caller]
    pub fn ready(&self, direction: Direction) -> ReadyFuture<'_, T> {
        ReadyFuture(Place::new(self, direction, Location::caller()))
    }

    /// Waits until reading is worth trying; as [`ready`](Self::ready).
    #[track_caller]
    pub fn readable(&self) -> ReadyFuture<'_, T> {
        self.ready(Direction::Read)
    }

    /// Waits until writing is worth trying; as [`ready`](Self::ready).
    #[track_caller]
    pub fn writable(&self) -> ReadyFuture<'_, T> {
        self.ready(Direction::Write)
    }

    /// Makes a call as soon as it does not block. Any number of tasks may do this at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready makes no call, or only calls that would have blocked.
    ///
    /// # Errors
    ///
    /// As [`poll_io`](Self::poll_io).
    ///
    /// # Panics
    ///
    /// As [`poll_io`](Self::poll_io).
    #[track_caller]
    pub fn call<R, F>(&self, direction: Direction, op: F) -> CallFuture<'_, T, F>
    where
        F: FnMut(&T) -> io::Result<R>,
    {
        CallFuture { place: Place::new(self, direction, Location::caller()), op }
    }

    /// Makes a call if it is worth trying, and never waits.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, also without a call while no event has come since the last one that would have blocked; else as
    /// [`poll_io`](Self::poll_io).
    #[track_caller]
    pub fn try_io<R>(
        &self,
        direction: Direction,
        op: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        self.try_call(direction, Location::caller(), op, |_| false)
    }

    /// As [`try_io`](Self::try_io), for a call on a stream: see [`poll_transfer`](Self::poll_transfer).
    ///
    /// # Errors
    ///
    /// As [`try_io`](Self::try_io).
    #[track_caller]
    pub fn try_transfer(
        &self,
        direction: Direction,
        asked: usize,
        op: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.try_call(direction, Location::caller(), op, |moved| {
            awaits_event(direction, asked, *moved)
        })
    }

    /// Whether the source may be used in the loop that this thread works for, which may be a simulated one. Asked before a source
    /// that is not registered is tried, and before any is waited for: not on the way of a call on a registered source that is ready.
    fn admit(&self, place: &'static Location<'static>) -> io::Result<()> {
        if !system::anywhere() {
            return Ok(());
        }
        match self.get_ref().handle() {
            Handle::Descriptor(_) => system::admit_descriptor(place),
            Handle::Simulated(_) => Ok(()),
        }
    }

    /// Whether a source that is not registered may be tried.
    fn first_try(&self, place: &'static Location<'static>) -> io::Result<()> {
        if current_is_closed() {
            return Err(ReactorClosed.into());
        }
        self.admit(place)
    }

    fn try_call<R>(
        &self,
        direction: Direction,
        place: &'static Location<'static>,
        mut op: impl FnMut() -> io::Result<R>,
        drained: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        let Some(registration) = self.registration.get() else {
            self.admit(place)?;
            return uninterrupted(&mut op);
        };
        match registration.readiness().begin(direction) {
            Begin::Shut => Err(ReactorClosed.into()),
            Begin::Wait => Err(io::ErrorKind::WouldBlock.into()),
            Begin::Try(attempt) => settle(attempt, uninterrupted(&mut op), drained),
        }
    }

    /// The loop of every call: try, and if that would block, arm; if an event came in between, try again.
    fn poll_call<R>(
        &self,
        mut wait: Wait<'_>,
        cx: &mut Context<'_>,
        mut op: impl FnMut() -> io::Result<R>,
        drained: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        loop {
            match self.try_once(&wait, &mut op, &drained) {
                Tried::Done(result) => return Poll::Ready(result),
                Tried::Spent => return yield_now(cx),
                Tried::Blocked => {}
            }
            self.admit(wait.place)?;
            // Not tried yet, the other direction is as good as ready.
            let others = match wait.direction {
                Direction::Read => Ready::WRITE,
                Direction::Write => Ready::READ,
            };
            if let Some(error) = std::task::ready!(self.poll_arm(&mut wait, others, cx)) {
                return Poll::Ready(Err(error));
            }
        }
    }

    fn try_once<R>(
        &self,
        wait: &Wait<'_>,
        op: &mut impl FnMut() -> io::Result<R>,
        drained: impl Fn(&R) -> bool,
    ) -> Tried<R> {
        let attempt = match self.registration.get().map(Registration::readiness) {
            None => match self.first_try(wait.place) {
                Ok(()) => None,
                Err(error) => return Tried::Done(Err(error)),
            },
            Some(readiness) => match readiness.begin(wait.direction) {
                Begin::Shut => return Tried::Done(Err(ReactorClosed.into())),
                Begin::Wait => return Tried::Blocked,
                Begin::Try(attempt) => Some(attempt),
            },
        };
        if !record::spend() {
            // The attempt puts back what it took.
            return Tried::Spent;
        }
        let result = uninterrupted(op);
        let result = match attempt {
            Some(attempt) => settle(attempt, result, drained),
            None => result,
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Tried::Blocked,
            result => Tried::Done(result),
        }
    }

    fn poll_wait(&self, mut wait: Wait<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.admit(wait.place)?;
        loop {
            let known = self.registration.get().map(Registration::readiness);
            match known.map_or(Armed::Waiting, |readiness| readiness.poll(wait.direction)) {
                Armed::Shut => return Poll::Ready(Err(ReactorClosed.into())),
                Armed::Ready if record::spend() => return Poll::Ready(Ok(())),
                Armed::Ready => return yield_now(cx),
                Armed::Waiting => {}
            }
            if let Some(error) = std::task::ready!(self.poll_arm(&mut wait, Ready::NONE, cx)) {
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Pending once the waker is armed; ready with nothing if an event came first, or with what went wrong.
    fn poll_arm(
        &self,
        wait: &mut Wait<'_>,
        others: Ready,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Error>> {
        match self.arm(wait, others, cx.waker()) {
            Ok(Armed::Ready) => Poll::Ready(None),
            Ok(Armed::Shut) => Poll::Ready(Some(ReactorClosed.into())),
            Ok(Armed::Waiting) => {
                record::waits_for(wait.kind(), wait.place);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Some(error)),
        }
    }

    fn arm(&self, wait: &mut Wait<'_>, others: Ready, waker: &Waker) -> io::Result<Armed> {
        let registration = self.register(Ready::of(wait.direction), others)?;
        let (reactor, key) = (&registration.reactor, registration.key.to_bits());
        // Asked for before the lock that `arm` takes: it is code of the source's type.
        let source = self.get_ref().handle();
        let listen = |interest| reactor.poller().rearm(source, key, interest);
        registration.readiness().arm(wait.direction, &mut wait.seat, waker, listen)
    }

    /// The registration, made now if there is none: an event that comes before a waker is armed is found when arming.
    fn register(&self, interest: Ready, others: Ready) -> io::Result<&Registration> {
        if let Some(registration) = self.registration.get() {
            return Ok(registration);
        }
        let reactor = crate::current().expect(NO_LOOP);
        let source = self.get_ref().handle();
        let _one_at_a_time = self.registering.lock();
        if self.registration.get().is_none() {
            let key = reactor.register(source, others, interest)?;
            let page = reactor.slab().page_of(key);
            let registration = Registration { reactor, page, key };
            assert!(self.registration.set(registration).is_ok(), "only set under `registering`");
        }
        Ok(self.registration.get().expect("set above"))
    }

    fn deregister(&mut self, closing: bool) {
        if let (Some(registration), Some(source)) = (self.registration.take(), &self.source) {
            registration.reactor.deregister(registration.key, source.handle(), closing);
        }
    }
}

impl<T: Source> Drop for Io<T> {
    fn drop(&mut self) {
        self.deregister(self.exclusive.load(Ordering::Relaxed));
    }
}

impl<T: Source + fmt::Debug> fmt::Debug for Io<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readiness = self.registration.get().map(Registration::readiness);
        f.debug_struct("Io").field("source", &self.source).field("readiness", &readiness).finish()
    }
}

const NO_LOOP: &str = "no running event loop";

/// Whether the current reactor is closed.
fn current_is_closed() -> bool {
    with_current(|reactor| reactor.expect(NO_LOOP).is_closed())
}

/// What one waiter wants, where in the source it stands, and where its waker sits.
struct Wait<'a> {
    direction: Direction,
    place: &'static Location<'static>,
    seat: Seat<'a>,
}

impl Wait<'_> {
    fn kind(&self) -> WaitKind {
        match self.direction {
            Direction::Read => WaitKind::Readable,
            Direction::Write => WaitKind::Writable,
        }
    }
}

/// How a try ended.
enum Tried<R> {
    Done(io::Result<R>),
    /// It would block.
    Blocked,
    /// Not tried: the task's budget is spent.
    Spent,
}

/// Lets other tasks run first.
fn yield_now<R>(cx: &mut Context<'_>) -> Poll<R> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

fn uninterrupted<R>(op: &mut impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match op() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Ends an attempt as its result says.
fn settle<R>(
    attempt: Attempt<'_>,
    result: io::Result<R>,
    drained: impl Fn(&R) -> bool,
) -> io::Result<R> {
    match &result {
        Ok(value) if drained(value) => attempt.drained(),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => attempt.would_block(),
        _ => drop(attempt),
    }
    result
}

/// The most that Linux moves with one call, of whatever it was asked for.
const MOST: usize = 0x7fff_f000;

/// Whether a stream that moved `moved` of `asked` bytes would block next.
///
/// A read of nothing is the end, which is found again by every later read. A write that was cut short filled the buffer.
fn is_drained(direction: Direction, asked: usize, moved: usize) -> bool {
    let told_of_the_end = SHORT_READ_DRAINS || direction == Direction::Write;
    moved > 0 && moved < asked.min(MOST) && told_of_the_end
}

/// Whether the next call is to wait for an event. A read that would block uses up one that is [allowed](outlook) all the same, if there is one: more may
/// have come by then.
fn awaits_event(direction: Direction, asked: usize, moved: usize) -> bool {
    is_drained(direction, asked, moved) && (direction == Direction::Write || !outlook::spend())
}

#[cfg(all(test, not(asyncio_loom), target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_that_was_as_large_as_can_be_proves_nothing() {
        let drained = |asked, moved| is_drained(Direction::Write, asked, moved);
        assert!(drained(10, 9) && drained(usize::MAX, MOST - 1));
        assert!(!drained(10, 10) && !drained(10, 0) && !drained(usize::MAX, MOST));
    }
}
