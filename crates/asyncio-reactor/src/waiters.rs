//! Where the wakers of one source sit.
//!
//! Each direction has one *chair* and one *queue*. A `poll_*` method has no memory between two polls, so it sits on the chair,
//! and who polls last keeps it: one task per direction, as for every `poll_read` in Rust. A future of ours remembers its place
//! and gives it up when it is dropped, so any number of them (several tasks that accept from one listener) stand in the queue,
//! first come, first woken. Most sources never have a queue, so it is a box made by the first who needs it.

use crate::readiness::Direction;
use std::collections::VecDeque;
use std::task::Waker;

/// Where a waker sits.
#[derive(Debug)]
pub enum Seat<'a> {
    /// The one chair of the direction; a newcomer replaces the sitter.
    Chair,
    /// A place in the queue, named by a ticket once it is taken.
    Queue(&'a mut Option<u64>),
}

/// The wakers of one source.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    chairs: [Option<Waker>; 2],
    queues: Option<Box<Queues>>,
}

#[derive(Debug, Default)]
struct Queues {
    next_ticket: u64,
    queues: [VecDeque<(u64, Waker)>; 2],
}

/// The wakers of one direction, in the order in which they are to be called: the chair's, then the queue's if there is one.
pub(crate) type Taken = (Option<Waker>, Option<VecDeque<(u64, Waker)>>);

impl Waiters {
    pub(crate) fn new() -> Self {
        Waiters { chairs: [None, None], queues: None }
    }

    /// Whether the seat holds a waker that wakes the same task.
    pub(crate) fn holds(&self, direction: Direction, seat: &Seat<'_>, waker: &Waker) -> bool {
        let held = match seat {
            Seat::Chair => self.chairs[direction as usize].as_ref(),
            Seat::Queue(ticket) => self.queued(direction, **ticket),
        };
        held.is_some_and(|held| held.will_wake(waker))
    }

    fn queued(&self, direction: Direction, ticket: Option<u64>) -> Option<&Waker> {
        let queue = &self.queues.as_ref()?.queues[direction as usize];
        let place = queue.binary_search_by_key(&ticket?, |(ticket, _)| *ticket).ok()?;
        queue.get(place).map(|(_, waker)| waker)
    }

    /// Seats a waker; returns the one whose seat it was, to be dropped after the lock.
    pub(crate) fn put(
        &mut self,
        direction: Direction,
        seat: &mut Seat<'_>,
        waker: Waker,
    ) -> Option<Waker> {
        match seat {
            Seat::Chair => self.chairs[direction as usize].replace(waker),
            Seat::Queue(ticket) => {
                self.queues.get_or_insert_default().put(direction, ticket, waker)
            }
        }
    }

    /// Empties a seat.
    pub(crate) fn remove(&mut self, direction: Direction, seat: &mut Seat<'_>) -> Option<Waker> {
        match seat {
            Seat::Chair => self.chairs[direction as usize].take(),
            Seat::Queue(ticket) => {
                let ticket = ticket.take()?;
                let queue = &mut self.queues.as_mut()?.queues[direction as usize];
                let place = queue.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
                queue.remove(place).map(|(_, waker)| waker)
            }
        }
    }

    /// Empties all seats of a direction.
    pub(crate) fn take(&mut self, direction: Direction) -> Taken {
        let queue = self.queues.as_mut().map(|queues| &mut queues.queues[direction as usize]);
        (self.chairs[direction as usize].take(), queue.map(std::mem::take))
    }
}

impl Queues {
    fn put(
        &mut self,
        direction: Direction,
        ticket: &mut Option<u64>,
        waker: Waker,
    ) -> Option<Waker> {
        let queue = &mut self.queues[direction as usize];
        if let Some(held) = *ticket {
            if let Ok(place) = queue.binary_search_by_key(&held, |(ticket, _)| *ticket) {
                return Some(std::mem::replace(&mut queue[place].1, waker));
            }
        }
        // Tickets only grow, so the queue is sorted.
        self.next_ticket += 1;
        *ticket = Some(self.next_ticket);
        queue.push_back((self.next_ticket, waker));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Read, Write};
    use std::sync::Arc;
    use std::task::Wake;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    fn wakers<const N: usize>() -> [Waker; N] {
        std::array::from_fn(|_| Waker::from(Arc::new(Nobody)))
    }

    #[test]
    fn the_chair_keeps_the_last_comer_and_gives_the_first_back() {
        let [a, b] = wakers();
        let mut waiters = Waiters::new();
        assert!(waiters.put(Read, &mut Seat::Chair, a.clone()).is_none());
        assert!(waiters.holds(Read, &Seat::Chair, &a) && !waiters.holds(Write, &Seat::Chair, &a));
        assert!(
            waiters.put(Read, &mut Seat::Chair, b.clone()).is_some_and(|old| old.will_wake(&a))
        );
        assert!(waiters.remove(Read, &mut Seat::Chair).is_some_and(|old| old.will_wake(&b)));
        assert!(waiters.remove(Read, &mut Seat::Chair).is_none());
    }

    #[test]
    fn the_queue_is_fifo_and_a_place_can_be_given_up_or_kept_with_another_waker() {
        let [a, b, c, d] = wakers();
        let mut waiters = Waiters::new();
        let mut tickets = [None; 3];
        for (ticket, waker) in tickets.iter_mut().zip([&a, &b, &c]) {
            assert!(waiters.put(Read, &mut Seat::Queue(ticket), waker.clone()).is_none());
        }
        waiters.remove(Read, &mut Seat::Queue(&mut tickets[1])).unwrap();
        assert!(waiters.remove(Read, &mut Seat::Queue(&mut tickets[1])).is_none());
        let old = waiters.put(Read, &mut Seat::Queue(&mut tickets[0]), d.clone()).unwrap();
        assert!(old.will_wake(&a) && waiters.holds(Read, &Seat::Queue(&mut tickets[0]), &d));
        let (chair, queue) = waiters.take(Read);
        let queue = queue.unwrap();
        assert!(chair.is_none() && queue.len() == 2);
        assert!(queue[0].1.will_wake(&d) && queue[1].1.will_wake(&c));
        // A ticket whose place was taken gets a new place.
        assert!(waiters.put(Read, &mut Seat::Queue(&mut tickets[0]), a.clone()).is_none());
        assert!(waiters.holds(Read, &Seat::Queue(&mut tickets[0]), &a));
        assert!(waiters.take(Write).1.unwrap().is_empty());
    }
}
