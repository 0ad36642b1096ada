//! The word of a pool: how many threads there are, who of them has nothing to do, whether jobs are taken.
//!
//! ```text
//! { balance: 47 bits, signed │ threads: 16 │ closed: 1 }
//! ```
//!
//! A thread is either *busy* (from the message it took until [`Word::finished`]) or *at the channel* (receiving, or on the way there
//! without running foreign code). A message is *promised* if some thread at the channel is there for it. Which thread takes which message
//! does not matter, so threads and messages are only counted:
//!
//! * `balance > 0`: so many threads at the channel are there for nothing: they are *idle*;
//! * `balance < 0`: so many messages are in the channel, or about to be, for which nobody is there: they are the *backlog*;
//! * so never are both a thread idle and a job without a thread.
//!
//! # Transitions
//!
//! | who | when | does |
//! |---|---|---|
//! | submitter | a thread is idle, or no more may be started | `balance - 1`, then sends the job |
//! | submitter | else, under the roster's lock | `threads + 1`, starts a thread, then sends the job: it is promised to that thread |
//! | submitter | whose thread was refused | `threads - 1, balance - 1`, sends the job: the others will come to it. No others: takes the job back |
//! | thread | has run a job | `balance + 1`, goes to the channel; closed and no backlog: `threads - 1`, ends |
//! | thread | waited in vain for the keep-alive | `balance > 0`: `balance - 1, threads - 1`, ends; else a message is on its way: waits on |
//! | closer | once | `closed`, `balance` down to 0, sends as many orders to leave: each is promised to one who was idle |
//! | thread | took an order to leave | `threads - 1`, ends |
//!
//! # Why no job is orphaned
//!
//! A message is either promised, or in the backlog. Of the threads at the channel as many stay as there are promised messages: one leaves only
//! by lowering a positive balance. Which of them stays is open: one that comes late may take what another was there for; that other one
//! is idle then, so it must ask again after its next wait in vain, and may not wait for ever. With a backlog each thread that finishes goes to
//! the channel for one of it, and none may end (`balance < 0` refuses both ways of leaving). There is such a thread: a job enters the backlog
//! only while there is a thread that is busy or is there for another job. *There is* means that it runs, not that it has been asked of the
//! system: threads are started under a lock, so whoever is refused counts only threads that run.
//!
//! # Orderings
//!
//! Every step is one read-modify-write of this one word, so their order is total and each sees the last; jobs are published by the
//! channel, and the end of a thread by the lock of `Ended`. So nothing is published through the word, and `Relaxed` is enough.
//!
//! Models: `loom-tests/tests/blocking.rs`.

use asyncio_base::sync::{AtomicU64, Ordering};
use std::fmt;

/// The most threads that a pool can have: what the field holds.
pub const THREADS_MAX: usize = u16::MAX as usize;

const CLOSED: u64 = 1;
const THREAD: u64 = 1 << 1;
const THREAD_BITS: u64 = 0xffff << 1;
const BALANCE: u64 = 1 << 17;

/// The word, taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Snapshot(u64);

impl Snapshot {
    /// Idle threads if positive, jobs without a thread if negative.
    pub fn balance(self) -> i64 {
        (self.0 as i64) >> BALANCE.trailing_zeros()
    }

    /// Threads that run or are being started.
    pub fn threads(self) -> usize {
        ((self.0 & THREAD_BITS) / THREAD) as usize
    }

    /// Whether jobs are refused.
    pub fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Closed, and every thread has ended.
    pub fn is_over(self) -> bool {
        self.is_closed() && self.threads() == 0
    }

    fn add_balance(self, n: i64) -> Self {
        Snapshot(self.0.wrapping_add(BALANCE.wrapping_mul(n as u64)))
    }

    fn add_thread(self) -> Self {
        Snapshot(self.0 + THREAD)
    }

    fn sub_thread(self) -> Self {
        debug_assert!(self.threads() > 0);
        Snapshot(self.0 - THREAD)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (balance, threads, closed) = (self.balance(), self.threads(), self.is_closed());
        write!(f, "{{ balance: {balance}, threads: {threads}, closed: {closed} }}")
    }
}

/// What a submitter has to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Submit {
    /// Nothing: the pool is closed.
    Refused,
    /// Send the job: somebody is, or will be, there for it.
    Send,
    /// Start a thread.
    Start,
}

/// What a submitter has to do whose thread was refused.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Alone {
    /// Send the job: the threads that there are will come to it.
    No,
    /// Take the job back.
    Yes,
}

/// What a thread has to do that has run a job.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Then {
    /// Go to the channel.
    Receive,
    /// End.
    End,
}

/// The state of a pool.
pub struct Word(AtomicU64);

impl Word {
    /// No thread, no job, open.
    pub fn new() -> Self {
        Word(AtomicU64::new(0))
    }

    /// What the word is now; for those who only watch, and for `is_over`, which never ceases to be true.
    pub fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Relaxed))
    }

    /// One transition: `step` gives the next state and an answer, or the answer alone.
    fn update<T>(&self, mut step: impl FnMut(Snapshot) -> (Option<Snapshot>, T)) -> T {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let (next, answer) = step(Snapshot(now));
            let Some(next) = next else { return answer };
            let exchanged =
                self.0.compare_exchange_weak(now, next.0, Ordering::Relaxed, Ordering::Relaxed);
            match exchanged {
                Ok(_) => return answer,
                Err(seen) => now = seen,
            }
        }
    }

    /// A job comes; at most `max` threads. With [`Submit::Start`] nothing has changed: see [`reserve`](Self::reserve).
    pub fn submit(&self, max: usize) -> Submit {
        self.update(|now| {
            if now.is_closed() {
                (None, Submit::Refused)
            } else if now.balance() > 0 || now.threads() >= max {
                (Some(now.add_balance(-1)), Submit::Send)
            } else {
                (None, Submit::Start)
            }
        })
    }

    /// As [`submit`](Self::submit), with the roster locked; with [`Submit::Start`] the new thread is counted already.
    pub fn reserve(&self, max: usize) -> Submit {
        self.update(|now| {
            if now.is_closed() {
                (None, Submit::Refused)
            } else if now.balance() > 0 || now.threads() >= max {
                (Some(now.add_balance(-1)), Submit::Send)
            } else {
                (Some(now.add_thread()), Submit::Start)
            }
        })
    }

    /// The reserved thread was refused by the system; the roster is locked still.
    pub fn refused(&self) -> Alone {
        self.update(|now| {
            let without = now.sub_thread();
            if without.threads() > 0 {
                (Some(without.add_balance(-1)), Alone::No)
            } else {
                (Some(without), Alone::Yes)
            }
        })
    }

    /// A thread has run a job.
    pub fn finished(&self) -> Then {
        self.update(|now| {
            if now.is_closed() && now.balance() >= 0 {
                (Some(now.sub_thread()), Then::End)
            } else {
                (Some(now.add_balance(1)), Then::Receive)
            }
        })
    }

    /// A thread has waited in vain; true if it may end.
    pub fn leave_idle(&self) -> bool {
        self.update(|now| {
            if now.balance() > 0 {
                (Some(now.add_balance(-1).sub_thread()), true)
            } else {
                (None, false)
            }
        })
    }

    /// A thread took an order to leave.
    pub fn ordered_away(&self) {
        self.update(|now| (Some(now.sub_thread()), ()));
    }

    /// Refuses jobs from now on. The first closer gets the number of idle threads, to each of which it owes an order to leave.
    pub fn close(&self) -> Option<usize> {
        self.update(|now| {
            if now.is_closed() {
                return (None, None);
            }
            let idle = now.balance().max(0);
            let next = Snapshot(now.add_balance(-idle).0 | CLOSED);
            (Some(next), Some(usize::try_from(idle).expect("there are fewer threads than that")))
        })
    }

    /// The closer has taken a job out of the channel. True if it was promised: then it owes an order to leave in its stead.
    pub fn withdrawn(&self) -> bool {
        self.update(|now| {
            if now.balance() < 0 { (Some(now.add_balance(1)), false) } else { (None, true) }
        })
    }
}

impl Default for Word {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    fn parts(word: &Word) -> (i64, usize, bool) {
        let now = word.load();
        (now.balance(), now.threads(), now.is_closed())
    }

    #[test]
    fn threads_are_started_up_to_the_bound_and_jobs_queue_behind() {
        let word = Word::new();
        for threads in 1..=2 {
            assert_eq!(word.submit(2), Submit::Start);
            assert_eq!(word.reserve(2), Submit::Start);
            assert_eq!(parts(&word), (0, threads, false));
        }
        assert_eq!(word.submit(2), Submit::Send);
        assert_eq!(word.reserve(2), Submit::Send);
        assert_eq!(parts(&word), (-2, 2, false));
        assert!(!word.leave_idle(), "a job is waiting");
        for balance in [-1, 0, 1, 2] {
            assert_eq!(word.finished(), Then::Receive);
            assert_eq!(word.load().balance(), balance);
        }
        assert_eq!(word.submit(2), Submit::Send);
        assert!(word.leave_idle());
        assert!(!word.leave_idle(), "the other one is promised a job");
        assert_eq!(parts(&word), (0, 1, false));
    }

    #[test]
    fn whoever_is_refused_a_thread_relies_on_those_there_are() {
        let word = Word::new();
        assert_eq!(word.reserve(4), Submit::Start);
        assert_eq!(word.refused(), Alone::Yes);
        assert_eq!(parts(&word), (0, 0, false));
        assert_eq!(word.reserve(4), Submit::Start);
        assert_eq!(word.reserve(4), Submit::Start);
        assert_eq!(word.refused(), Alone::No);
        assert_eq!(parts(&word), (-1, 1, false));
    }

    #[test]
    fn closing_frees_the_idle_and_lets_the_busy_finish_the_backlog() {
        let word = Word::new();
        for _ in 0..3 {
            assert_eq!(word.reserve(3), Submit::Start);
        }
        assert_eq!(word.finished(), Then::Receive);
        assert_eq!(word.close(), Some(1));
        assert_eq!(word.close(), None);
        assert_eq!(word.submit(3), Submit::Refused);
        word.ordered_away();
        assert_eq!(word.finished(), Then::End);
        assert_eq!(word.finished(), Then::End);
        assert!(word.load().is_over());

        let word = Word::new();
        assert_eq!(word.reserve(1), Submit::Start);
        assert_eq!(word.submit(1), Submit::Send);
        assert_eq!(word.close(), Some(0));
        assert_eq!(word.finished(), Then::Receive);
        assert_eq!(word.finished(), Then::End);
        assert!(word.load().is_over());
    }

    #[test]
    fn a_job_withdrawn_from_the_backlog_leaves_nobody_waiting() {
        let word = Word::new();
        assert_eq!(word.reserve(1), Submit::Start);
        assert_eq!(word.submit(1), Submit::Send);
        assert_eq!(word.close(), Some(0));
        // Two jobs, one promised: the first counts as the one of the backlog.
        assert!(!word.withdrawn());
        assert!(word.withdrawn(), "the thread is at the channel for it");
    }
}
