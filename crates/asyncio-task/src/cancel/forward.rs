//! Awaiting something that can be cancelled itself: a cancel of the waiter goes to what it waits for, whose clean-up is awaited.

use super::node::Node;
use super::place::{Place, Seen};
use super::plain::PlainAwait;
use super::tree::Kind;
use asyncio_base::hold::Hold;
use std::borrow::Cow;
use std::task::{Poll, Waker};

/// The part of an await that forwards; for the poll of a task, a settable future, or many at once.
///
/// ```text
///            pass_on: the request goes on            ended(true): cancelled, so the waiter is too
///  WAITING ───────────────────────────────► FORWARDED ──────────────────────────────► UNWINDING
///     │                                           │ ended(false): it swallowed the request
///     │ ended: a request came too late to         └──────────────────────────────► over, the outcome counts
///     └─ be passed on ──► UNWINDING
/// ```
///
/// Who is unwinding stays pending until the request has got where it goes. Kept longer than that, and polled again, it has the outcome: the cancellation.
#[derive(Debug)]
pub struct Forward {
    /// Where a request finds the wait.
    place: Place,
}

impl Default for Forward {
    fn default() -> Self {
        Self::new()
    }
}

impl Forward {
    /// A fresh wait.
    pub const fn new() -> Self {
        Forward { place: Place::NOWHERE }
    }

    /// Sends one poll of what is awaited through here: whether it has ended, and if so, whether it was cancelled. Ready when the outcome may be
    /// given to the waiter.
    #[inline]
    pub fn poll(
        &mut self,
        ended: Poll<bool>,
        waker: &Waker,
        cancel: impl FnOnce(Option<Cow<'static, str>>) -> bool,
    ) -> Poll<()> {
        match ended {
            Poll::Ready(was_cancelled) if self.ended(was_cancelled) => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => {
                self.pass_on(waker, cancel);
                Poll::Pending
            }
        }
    }

    /// To be called whenever the wait is about to be pending, with the waker it leaves: passes each request on by `cancel`, once, with its
    /// message. `cancel` says whether anybody took it; if not, what is awaited has ended and the request is the waiter's own again.
    #[inline]
    pub fn pass_on(
        &mut self,
        waker: &Waker,
        cancel: impl FnOnce(Option<Cow<'static, str>>) -> bool,
    ) {
        // Nearly every wait begins like this, and ends with its next poll.
        if let Seen::Nowhere = self.place.get() {
            if let Some(plain) = PlainAwait::begin(waker) {
                return self.go_to(Place::plain(plain));
            }
        }
        self.pass_on_from_place(waker, cancel);
    }

    #[inline(never)]
    fn pass_on_from_place(
        &mut self,
        waker: &Waker,
        cancel: impl FnOnce(Option<Cow<'static, str>>) -> bool,
    ) {
        self.find_place(waker);
        let Some(node) = self.place.node_mut().filter(|node| !node.is_unwinding()) else { return };
        node.set_waker(waker);
        if let Some(message) = node.begin_forward() {
            // Without the tree's lock: a cancel locks the tree of the task it is for.
            if !cancel(message) {
                node.refuse_forward();
            }
        }
    }

    /// Sees to it that a request finds this wait, which is about to be pending.
    fn find_place(&mut self, waker: &Waker) {
        if self.place.node_mut().is_some_and(Node::stays) {
            return;
        }
        let claimed = match self.place.get() {
            Seen::Plain(plain) => match plain.claim() {
                None if plain.stays(waker) => return,
                claimed => {
                    plain.end();
                    claimed
                }
            },
            Seen::Nowhere | Seen::Node(_) => match PlainAwait::begin(waker) {
                Some(plain) => return self.place = Place::plain(plain),
                None => None,
            },
        };
        let node = claimed.or_else(|| Node::new(Kind::Forward));
        self.place = node.map_or(Place::NOWHERE, Place::node);
    }

    /// To be called when what is awaited has ended, before its outcome is taken: true if the waiter has to stay pending, because a cancellation
    /// is on its way through it.
    #[must_use]
    #[inline]
    pub fn ended(&mut self, was_cancelled: bool) -> bool {
        match self.place.get() {
            Seen::Nowhere => false,
            Seen::Plain(plain) if plain.ends_unasked() => {
                self.go_to(Place::NOWHERE);
                false
            }
            _ => self.ended_in_place(was_cancelled),
        }
    }

    /// From a place that is no node, and so has nothing to drop: the compiler need not look.
    #[inline]
    fn go_to(&mut self, place: Place) {
        std::mem::forget(std::mem::replace(&mut self.place, place));
    }

    #[inline(never)]
    fn ended_in_place(&mut self, was_cancelled: bool) -> bool {
        if let Seen::Node(node) = self.place.get() {
            if node.is_unwinding() && node.unwinds() {
                return true;
            }
        }
        let node = match self.place.take() {
            Seen::Nowhere => None,
            Seen::Plain(plain) => {
                plain.end();
                plain.claim()
            }
            // What it had elsewhere goes back to where that came from.
            Seen::Node(node) => (!node.is_unwinding() && node.is_here()).then_some(node),
        };
        let Some(mut node) = node else { return false };
        let Some((request, forwarded)) = node.end_forward() else { return false };
        if forwarded && !was_cancelled {
            return false;
        }
        node.unwind(request);
        self.place = Place::node(node);
        true
    }
}

/// A leaf that brings something back first is awaited like a task that cleans up: what reaches it ends it by that very cancellation.
impl Hold for Forward {
    fn is_asked(&mut self, waker: &Waker) -> bool {
        let mut asked = false;
        self.pass_on(waker, |_| {
            asked = true;
            true
        });
        asked
    }

    fn ends(&mut self) -> bool {
        self.ended(true)
    }
}

impl Forward {
    /// For leaves that know nothing of tasks.
    pub(crate) fn hold() -> Box<dyn Hold> {
        Box::new(Forward::new())
    }
}
