//! The plain await: what a task that awaits one thing under no scope needs in order to pass a cancel on. No tree, no allocation, no lock.
//!
//! Such an await notes in the poll record that it is pending, and the end of the poll puts one flag into the task's word (`AWAITS`), in the
//! exchange that is made anyway. Record and flag belong to the token's holder, so nothing here is shared.
//!
//! A timeout that is alone is such an await too, see `timeout.rs`: the node that it becomes ends it where that of another await passes the request on.
//!
//! ```text
//!              pending, alone in this poll                polled with an offer: takes the request
//!   a wait ─────────────────────────────► a plain await ───────────────────────────────────────► a node that has it
//!     │                                        │ another plain await, a scope, another waker
//!     └────────────────────────────────────────┴──────────────────────────────────────────────► a node
//! ```
//!
//! # The offer
//!
//! A cancel of a task whose word has the flag stays in the word: the worker *offers* it to the poll that follows. The plain await that is polled
//! takes it out, in one exchange against `uncancel`, and becomes a node that has it. Until then nothing points to the await: it may be dropped
//! or moved anywhere without a note.
//!
//! # Why no request is lost
//!
//! One that nobody has taken is still in the word. If the task completes, completion finds it there. If it waits, the worker looks after the poll:
//! it offers again if the poll has left another plain await, and else, or after a few times, delivers as to any task: to the nodes there are, or by
//! ending it. Where nodes stand beside the await from the start, they get the request and the await is offered a copy, in the tree.

use super::node::{Node, in_task, task_of};
use super::tree::Kind;
use crate::header::RawTask;
use crate::waker;
use asyncio_base::record::{self, PollRecord};
use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Waker;

thread_local! {
    /// The last number that this thread gave out; 0 if none.
    static LAST: Cell<u64> = const { Cell::new(0) };
}

/// Each thread counts in a range of its own.
const RANGE: u64 = 1 << 44;

// Numbers, no protocol: loom need not see it, and its atomics cannot be statics.
static NEXT_RANGE: AtomicU64 = AtomicU64::new(0);

#[inline]
fn next_number() -> Option<NonZeroU64> {
    let next = LAST.try_with(|last| {
        let next = match last.get() {
            0 => first_number(),
            last => last + 1,
        };
        last.set(next);
        next
    });
    // In a thread that is being torn down, or when the numbers are used up, every await is a node. A number is one bit shorter than a word, of
    // whatever size; as a signed one it is a positive one.
    let fits = |next: &u64| isize::try_from(*next).is_ok_and(|next| next > 0);
    next.ok().filter(fits).and_then(NonZeroU64::new)
}

#[cold]
fn first_number() -> u64 {
    NEXT_RANGE.fetch_add(RANGE, Relaxed) + 1
}

/// An await that is, or was in an earlier poll, the plain one of a task.
///
/// It is a number, and belongs to no task: one that is polled in another task later may be the plain one there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainAwait(NonZeroU64);

/// The task of a record that is polled by no scope, if `waker` is its own.
#[inline]
fn plain_task(record: &PollRecord<'_>, waker: &Waker) -> Option<RawTask> {
    let task = task_of(record).filter(|_| record.scopes.is_empty())?;
    waker::is_of(waker, task).then_some(task)
}

impl PlainAwait {
    /// Not 0, and one bit shorter than a word.
    #[inline]
    pub(super) fn number(self) -> usize {
        self.0.get() as usize
    }

    /// The one with this number, `None` for 0.
    #[inline]
    pub(super) fn numbered(number: usize) -> Option<Self> {
        NonZeroU64::new(number as u64).map(PlainAwait)
    }

    /// Makes a pending await the plain one of this poll; `None` if it needs a node, or this is no task.
    #[inline]
    pub(crate) fn begin(waker: &Waker) -> Option<PlainAwait> {
        record::with(|record| {
            let record = record.filter(|record| plain_task(record, waker).is_some())?;
            PlainAwait::begin_in(record)
        })
    }

    /// As [`begin`](Self::begin), in a poll that no scope is in, for something that is woken with its task.
    #[inline]
    pub(super) fn begin_in(record: &PollRecord<'_>) -> Option<PlainAwait> {
        let is_free = record.plain_await.get() == 0;
        let number = is_free.then(next_number)??;
        record.plain_await.set(number.get());
        Some(PlainAwait(number))
    }

    /// Whether it can be the plain await of this poll, in which it is pending; then it is.
    #[inline]
    pub(crate) fn stays(&self, waker: &Waker) -> bool {
        record::with(|record| {
            let record = record.filter(|record| plain_task(record, waker).is_some());
            record.is_some_and(|record| self.stays_in(record))
        })
    }

    /// As [`stays`](Self::stays), in a poll that no scope is in, for something that is woken with its task.
    #[inline]
    pub(super) fn stays_in(&self, record: &PollRecord<'_>) -> bool {
        let other = record.plain_await.get();
        let stays = other == 0 || other == self.0.get();
        if stays {
            record.plain_await.set(self.0.get());
        }
        stays
    }

    /// Takes the request that is offered in this poll.
    #[inline]
    pub(crate) fn claim(&self) -> Option<Node> {
        record::with(|record| {
            let (record, task) = record.and_then(in_task)?;
            claim(record, task, Kind::Forward)
        })
    }

    /// As [`claim`](Self::claim), for a scope, in the poll of this record and of this task; unless something is round it.
    #[inline]
    pub(super) fn claim_scope(&self, record: &PollRecord<'_>, task: RawTask) -> Option<Node> {
        if record.scopes.is_empty() { claim(record, task, Kind::Scope) } else { None }
    }

    /// It is over or gone: if this is the poll that it is noted in, the note goes too.
    #[inline]
    pub(crate) fn end(&self) {
        record::with(|record| record.into_iter().for_each(|record| self.end_in(record)));
    }

    /// As [`end`](Self::end), unless a request is offered in this poll: then nothing is done, and it is false.
    #[inline]
    pub(crate) fn ends_unasked(&self) -> bool {
        record::with(|record| {
            let Some(record) = record else { return true };
            let unasked = !record.offered.get();
            if unasked {
                self.end_in(record);
            }
            unasked
        })
    }

    #[inline]
    pub(super) fn end_in(&self, record: &PollRecord<'_>) {
        if record.plain_await.get() == self.0.get() {
            record.plain_await.set(0);
        }
    }
}

/// Takes the request that is offered in a poll, with a node that has it.
#[inline]
fn claim(record: &PollRecord<'_>, task: RawTask, kind: Kind) -> Option<Node> {
    if !record.offered.get() {
        return None;
    }
    let node = Node::with_offer(task, record, kind)?;
    record.offered.set(false);
    Some(node)
}
