//! How a busy worker collects what has become due: descriptors at their pace, timers in between.

use crate::driver::Wait;
use crate::pace;
use crate::run_queue::Entry;
use crate::signs::{Sign, Signs};
use crate::worker::Worker;
use std::cell::Cell;
use std::collections::VecDeque;
use std::iter;

/// Entries that a look may put others before, as each is taken and put back.
const FEW: usize = 16;

impl Worker {
    /// Looks at the timers, and at the descriptors if it is time for it.
    #[inline]
    pub(crate) fn glance(&self) {
        if self.pace.is_due() {
            self.look();
        } else if self.has_signs_of_something() {
            self.turn(Wait::TimersOnly);
        }
    }

    /// Whether a turn for the timers may have something to do.
    #[inline(always)]
    fn has_signs_of_something(&self) -> bool {
        match self.signs.as_ref().map_or(Sign::Event, Signs::read) {
            Sign::Quiet => false,
            Sign::Timer(deadline) => self.is_past(deadline),
            Sign::Event => true,
        }
    }

    /// Apart, so that its call does not weigh on who has no timer.
    #[inline(never)]
    fn is_past(&self, deadline: u64) -> bool {
        self.event_loop.driver().is_past(deadline)
    }

    /// Looks at the descriptors, unless somebody else does, and at the timers.
    #[inline(never)]
    fn look(&self) {
        let (queued, from) = (self.queue.len(), self.event_loop.driver().now());
        let right = self.core.driving.try_take();
        // Without the right somebody else looks.
        self.turn(if right.is_some() { Wait::No } else { Wait::TimersOnly });
        drop(right);
        let now = self.event_loop.driver().now();
        self.pace.looked(from, now);
        if self.has_others {
            self.put_woken_first(queued);
            self.look_after_others(now);
        }
    }

    /// Puts what a look has woken before the few entries that were queued already: beside tasks that compute, whoever waits for an answer has it
    /// sooner. One of the others still has its turn before the next look, so that none starves. An only worker keeps asyncio's order.
    fn put_woken_first(&self, queued: usize) {
        let woken = self.queue.len().saturating_sub(queued);
        if (1..=FEW).contains(&queued) && (1..pace::MOST).contains(&woken) {
            iter::from_fn(|| self.queue.pop())
                .take(queued)
                .for_each(|entry| self.queue.push(entry));
            self.pace.make_room(woken + 1);
        }
    }

    /// Lets the driver wake what is ready; then tells others, if that is more than this worker can run at once.
    pub(crate) fn turn(&self, wait: Wait) {
        let queued = self.queue.len();
        let batching = Batching::begin(&self.batching);
        self.event_loop.driver().turn(self.shard.index, wait);
        drop(batching);
        if !self.has_others {
            self.take_injected_behind(queued);
        } else if self.queue.len() > 1 {
            self.core.rouse(self.rouse_for_share());
        }
    }

    /// Takes what other threads have brought during a turn of the driver, and puts it behind the first `queued` entries: before what the turn itself
    /// has queued. So a thread that calls in, and then makes a descriptor ready, is served in that order, as by asyncio. For the only worker.
    fn take_injected_behind(&self, queued: usize) {
        if self.queue.len() == queued || !self.core.has_injected() {
            return;
        }
        let mut entries: VecDeque<Entry> = iter::from_fn(|| self.queue.pop()).collect();
        let woken = entries.split_off(queued.min(entries.len()));
        entries.into_iter().for_each(|entry| self.queue.push(entry));
        self.core.take_injected(&self.queue);
        woken.into_iter().for_each(|entry| self.queue.push(entry));
    }
}

/// The worker is in the driver until this is dropped, also by a panic.
struct Batching<'a>(&'a Cell<bool>);

impl<'a> Batching<'a> {
    fn begin(batching: &'a Cell<bool>) -> Self {
        batching.set(true);
        Batching(batching)
    }
}

impl Drop for Batching<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use crate::driver::Wait;
    use crate::rehearsal::Rehearsal;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_worker_whose_driver_panics_shares_what_it_queues_later() {
        let workers = Rehearsal::new(2);
        let worker = workers.worker(1);
        // Nobody may sleep there.
        let turned = catch_unwind(AssertUnwindSafe(|| worker.turn(Wait::UntilReady)));
        assert!(turned.is_err() && !worker.batching.get());
    }
}
