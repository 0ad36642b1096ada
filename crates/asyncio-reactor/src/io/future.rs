//! The futures of an [`Io`], which stand in the queue of their direction.

use super::{Io, Registration, Wait};
use crate::readiness::Direction;
use crate::source::Source;
use crate::waiters::Seat;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A place in the queue of a direction, given up when dropped.
pub(super) struct Place<'a, T: Source> {
    io: &'a Io<T>,
    direction: Direction,
    place: &'static Location<'static>,
    ticket: Option<u64>,
}

impl<'a, T: Source> Place<'a, T> {
    pub(super) fn new(
        io: &'a Io<T>,
        direction: Direction,
        place: &'static Location<'static>,
    ) -> Self {
        Place { io, direction, place, ticket: None }
    }

    fn wait(&mut self) -> Wait<'_> {
        let seat = Seat::Queue(&mut self.ticket);
        Wait { direction: self.direction, place: self.place, seat }
    }
}

impl<T: Source> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let readiness = self.io.registration.get().map(Registration::readiness);
        if let (Some(_), Some(readiness)) = (self.ticket, readiness) {
            readiness.leave(self.direction, &mut Seat::Queue(&mut self.ticket));
        }
    }
}

impl<T: Source> fmt::Debug for Place<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.direction, self.place)
    }
}

/// The future of [`Io::ready`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct ReadyFuture<'a, T: Source>(pub(super) Place<'a, T>);

impl<T: Source> ReadyFuture<'_, T> {
    /// Names another place in the source for reports of waiting tasks.
    pub fn at(mut self, place: &'static Location<'static>) -> Self {
        self.0.place = place;
        self
    }
}

impl<T: Source> Future for ReadyFuture<'_, T> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = self.0.io;
        io.poll_wait(self.0.wait(), cx)
    }
}

/// The future of [`Io::call`].
#[must_use = "futures do nothing unless awaited"]
pub struct CallFuture<'a, T: Source, F> {
    pub(super) place: Place<'a, T>,
    pub(super) op: F,
}

impl<T: Source, F> CallFuture<'_, T, F> {
    /// Names another place in the source for reports of waiting tasks.
    pub fn at(mut self, place: &'static Location<'static>) -> Self {
        self.place.place = place;
        self
    }
}

/// The call is never pinned, only called.
impl<T: Source, F> Unpin for CallFuture<'_, T, F> {}

impl<T, R, F> Future for CallFuture<'_, T, F>
where
    T: Source,
    F: FnMut(&T) -> io::Result<R>,
{
    type Output = io::Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        let CallFuture { place, op } = &mut *self;
        let io = place.io;
        io.poll_call(place.wait(), cx, || op(io.get_ref()), |_| false)
    }
}

impl<T: Source, F> fmt::Debug for CallFuture<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallFuture").field(&self.place).finish()
    }
}
