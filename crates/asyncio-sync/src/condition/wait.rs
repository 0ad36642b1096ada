//! The wait of a condition: it lets the lock go, and brings it back.
//!
//! ```text
//!           first poll: joins the list,               chosen: asks for              has it
//!  HOLDING ─── then releases the lock ──► WAITING ─── the lock again ──► RETURNING ────────► ENDED
//!     │                                      │                               ▲                 ▲
//!     │                                      └─────────── gives up ──────────┘                 │
//!     └────────────────────────────────── gives up ────────────────────────────────────────────┘
//! ```
//!
//! What a chosen waiter has in hand is a [`Notice`]: dropped, it chooses the next. Only returning uses it up: a wait that has the lock
//! and a cancellation too passes it on.
//!
//! # Cancellation
//!
//! In a task of asyncio a wait *holds* against cancellation ([`Hold`]): instead of being dropped it is asked, gives up, and takes the
//! lock again. Once it has it, the cancellation goes on and the wait stays pending, to be dropped with the lock in its guard.
//! Further cancellations meanwhile change nothing. Dropped by anybody else, it leaves as it is.

use super::guard::{Guard, Held, LockOf};
use super::{Holder, LINE, Line};
use crate::grant::{Acquiring, Grant};
use crate::guarded::Exclusive;
use crate::wake::let_others_run;
use asyncio_base::hold::Hold;
use asyncio_base::record;
use asyncio_base::slab::Key;
use asyncio_base::sync::MutexGuard;
use asyncio_base::wait::WaitKind;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

/// A notification that was received and not used yet. Dropped, it notifies the next waiter.
struct Notice<P: Holder>(Option<P>);

impl<P: Holder> Notice<P> {
    /// The notification has done its work.
    fn use_up(mut self) {
        self.0 = None;
    }
}

impl<P: Holder> Drop for Notice<P> {
    fn drop(&mut self) {
        if let Some(of) = &self.0 {
            of.condition().choose(1);
        }
    }
}

/// How far a wait has come.
enum Step<P: Holder> {
    /// Not polled yet; the guard has the lock.
    Holding,
    /// In the list.
    Waiting(Key),
    /// Asking for the lock again; without a notice, it has given up.
    Returning(Acquiring<LockOf<P>>, Option<Notice<P>>),
    /// The guard has the lock again; the notice is not used up before it is known that no cancellation goes on from here.
    Ended(Option<Notice<P>>),
}

/// The part that all waits share; the guard is beside it.
struct Core<P: Holder> {
    of: P,
    step: Step<P>,
    /// Made when the wait is first pending in a task.
    hold: Option<Box<dyn Hold>>,
    place: &'static Location<'static>,
}

impl<P: Holder> Core<P> {
    fn new(of: P, place: &'static Location<'static>) -> Self {
        Core { of, step: Step::Holding, hold: None, place }
    }

    fn give_up(&mut self) {
        match &mut self.step {
            Step::Holding => self.step = Step::Ended(None),
            Step::Waiting(key) => {
                let key = *key;
                drop(self.leave(key));
                self.step = Step::Returning(self.ask_for_lock(), None);
            }
            Step::Returning(_, notice) | Step::Ended(notice) => drop(notice.take()),
        }
    }

    fn ask_for_lock(&self) -> Acquiring<LockOf<P>> {
        Acquiring::new(LockOf(self.of.clone()), 1, self.place)
    }

    /// Leaves the list, with the notification if there was one.
    fn leave(&self, key: Key) -> Option<Notice<P>> {
        let left = self.of.condition().line.lock().leave(key)?;
        left.chosen.then(|| Notice(Some(self.of.clone())))
    }

    /// Joins the list, then releases the lock.
    fn begin(&mut self, held: &mut Held<P>, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let key = self.of.condition().line.lock().push(LINE, waker, ());
        self.step = Step::Waiting(key);
        drop(held.take());
        record::waits_for(WaitKind::Condition, self.place);
    }

    /// Asks whether this waiter was chosen.
    fn look(&self, key: Key, cx: &Context<'_>) -> bool {
        let mut spare = None;
        loop {
            let mut line: MutexGuard<'_, Line> = self.of.condition().line.lock();
            if line.is_chosen(key) {
                return true;
            }
            if line.keep(key, cx.waker(), &mut spare) {
                drop(line);
                record::waits_for(WaitKind::Condition, self.place);
                return false;
            }
            drop(line);
            spare = Some(cx.waker().clone());
        }
    }

    /// Goes on until there is something to wait for; ready when the guard has the lock.
    fn go_on(&mut self, held: &mut Held<P>, cx: &mut Context<'_>) -> Poll<()> {
        if let Step::Waiting(key) = self.step {
            if !self.look(key, cx) {
                return Poll::Pending;
            }
            let notice = self.leave(key);
            self.step = Step::Returning(self.ask_for_lock(), notice);
        }
        match &mut self.step {
            Step::Holding => {
                self.begin(held, cx);
                Poll::Pending
            }
            Step::Returning(acquiring, notice) => {
                let grant: Grant<_> = ready!(acquiring.poll(cx));
                let notice = notice.take();
                *held = Some(Exclusive::new(grant));
                self.step = Step::Ended(notice);
                Poll::Ready(())
            }
            Step::Ended(_) => Poll::Ready(()),
            Step::Waiting(_) => Poll::Pending,
        }
    }

    /// One poll, with the task's cancellation in mind.
    fn poll(&mut self, held: &mut Held<P>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.go_on(held, cx).is_ready() {
                return self.end();
            }
            if !self.is_asked(cx.waker()) {
                return Poll::Pending;
            }
            self.give_up();
        }
    }

    /// The guard has the lock: ready, unless a cancellation goes on from here, whose receiver will drop this future.
    fn end(&mut self) -> Poll<()> {
        if self.hold.as_mut().is_some_and(|hold| hold.ends()) {
            self.give_up();
            return Poll::Pending;
        }
        if let Step::Ended(notice) = &mut self.step {
            notice.take().into_iter().for_each(Notice::use_up);
        }
        Poll::Ready(())
    }

    fn is_asked(&mut self, waker: &Waker) -> bool {
        if self.hold.is_none() {
            self.hold = record::hold();
        }
        self.hold.as_mut().is_some_and(|hold| hold.is_asked(waker))
    }
}

impl<P: Holder> Drop for Core<P> {
    fn drop(&mut self) {
        if let Step::Waiting(key) = self.step {
            drop(self.leave(key));
        }
    }
}

/// The future of [`Guard::wait`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Wait<P: Holder> {
    /// Empty once it has returned.
    guard: Option<Guard<P>>,
    core: Core<P>,
}

impl<P: Holder> Wait<P> {
    pub(super) fn new(guard: Guard<P>, place: &'static Location<'static>) -> Self {
        let core = Core::new(guard.holder().clone(), place);
        Wait { guard: Some(guard), core }
    }

    /// Stops waiting for a notification; the future now only takes the lock again, and is ready once it has it.
    ///
    /// A notification that had been received already goes to the next waiter. In a task of asyncio a cancellation does this by
    /// itself; it is for scopes of other runtimes.
    pub fn give_up(&mut self) {
        self.core.give_up();
    }
}

impl<P: Holder> Future for Wait<P> {
    type Output = Guard<P>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Guard<P>> {
        let this = &mut *self;
        let guard = this.guard.as_mut().expect("polled again after it was ready");
        ready!(this.core.poll(guard.held_mut(), cx));
        this.guard.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<P: Holder> fmt::Debug for Wait<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ConditionWait of {:?}>", self.core.of.condition())
    }
}

/// The future of [`Guard::wait_mut`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct WaitMut<'g, P: Holder> {
    guard: &'g mut Guard<P>,
    core: Core<P>,
}

impl<'g, P: Holder> WaitMut<'g, P> {
    pub(super) fn new(guard: &'g mut Guard<P>, place: &'static Location<'static>) -> Self {
        let core = Core::new(guard.holder().clone(), place);
        WaitMut { guard, core }
    }

    /// As [`Wait::give_up`].
    pub fn give_up(&mut self) {
        self.core.give_up();
    }
}

impl<P: Holder> Future for WaitMut<'_, P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.core.poll(this.guard.held_mut(), cx)
    }
}

impl<P: Holder> fmt::Debug for WaitMut<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ConditionWaitMut of {:?}>", self.core.of.condition())
    }
}

/// The future of [`Guard::wait_for`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct WaitFor<P: Holder, F> {
    /// Empty once it has returned.
    guard: Option<Guard<P>>,
    /// Here while the predicate said no.
    core: Option<Core<P>>,
    predicate: F,
    /// Whether to return whatever the predicate says.
    gave_up: bool,
    place: &'static Location<'static>,
}

impl<P: Holder, F> WaitFor<P, F> {
    pub(super) fn new(guard: Guard<P>, predicate: F, place: &'static Location<'static>) -> Self {
        WaitFor { guard: Some(guard), core: None, predicate, gave_up: false, place }
    }

    /// As [`Wait::give_up`]: the future now only takes the lock again. The predicate is not asked any more.
    pub fn give_up(&mut self) {
        self.gave_up = true;
        if let Some(core) = &mut self.core {
            core.give_up();
        }
    }
}

/// The predicate is called, never pinned.
impl<P: Holder, F> Unpin for WaitFor<P, F> {}

impl<P: Holder, F: FnMut(&mut P::Data) -> bool> Future for WaitFor<P, F> {
    type Output = Guard<P>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Guard<P>> {
        let this = &mut *self;
        if this.core.is_none() && !record::spend() {
            let_others_run(cx);
            return Poll::Pending;
        }
        let guard = this.guard.as_mut().expect("polled again after it was ready");
        loop {
            if let Some(core) = &mut this.core {
                ready!(core.poll(guard.held_mut(), cx));
                this.core = None;
            }
            if this.gave_up || (this.predicate)(guard) {
                break;
            }
            this.core = Some(Core::new(guard.holder().clone(), this.place));
        }
        this.guard.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<P: Holder, F> fmt::Debug for WaitFor<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_waiting = self.core.is_some();
        f.debug_struct("ConditionWaitFor").field("is_waiting", &is_waiting).finish_non_exhaustive()
    }
}
