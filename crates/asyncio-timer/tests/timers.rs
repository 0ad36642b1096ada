//! The timers of a loop: order, wheels of other workers, parking, closing, wakers that misbehave.

mod common;

use asyncio_timer::{sleep, sleep_until};
use common::{Loop, Notes, ms, poll};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

/// Polls a sleep for the first time on a worker.
fn start(l: &Loop, worker: usize, delay: Duration, waker: &Waker) -> asyncio_timer::Sleep {
    let mut sleep = sleep(delay);
    assert!(l.enter(worker, || poll(&mut sleep, waker)).is_pending());
    sleep
}

#[test]
fn timers_wake_in_the_order_of_deadlines_and_ties_by_registration() {
    let (l, notes) = (Loop::new(1), Notes::default());
    let delays = [30, 10, 20, 10, 30, 20, 10];
    let sleeps: Vec<_> = (0..7).map(|i| start(&l, 0, ms(delays[i]), &notes.waker(i))).collect();
    assert_eq!(l.turn(ms(9)), 0);
    assert_eq!(l.turn(ms(1)), 3);
    assert_eq!(l.turn(ms(50)), 4);
    assert_eq!(notes.take(), [1, 3, 6, 2, 5, 0, 4]);
    assert!(sleeps.iter().all(|sleep| sleep.is_elapsed()));
    assert_eq!(notes.wakers(), 0);
}

#[test]
fn more_than_a_batch_keeps_the_order() {
    let (l, notes) = (Loop::new(1), Notes::default());
    let sleeps: Vec<_> =
        (0..1000).map(|i| start(&l, 0, ms(1000 - i as u64), &notes.waker(i))).collect();
    assert_eq!(l.turn(ms(2000)), 1000);
    assert_eq!(notes.take(), (0..1000).rev().collect::<Vec<_>>());
    drop(sleeps);
}

#[test]
fn whoever_turns_wakes_the_timers_of_busy_workers_its_own_first() {
    let (l, notes) = (Loop::new(3), Notes::default());
    let sleeps: Vec<_> = (0..3).map(|i| start(&l, i, ms(1), &notes.waker(i))).collect();
    assert_eq!(l.pass(1, ms(1)), 3);
    assert_eq!(notes.take(), [1, 2, 0]);
    assert!(l.timers.is_empty());
    drop(sleeps);
}

#[test]
fn the_parker_learns_the_earliest_deadline_of_all_wheels() {
    let (l, notes) = (Loop::new(2), Notes::default());
    assert_eq!(l.timers.park(), None);
    l.timers.unparked();
    let late = start(&l, 0, ms(20), &notes.waker(0));
    let early = start(&l, 1, ms(10), &notes.waker(1));
    let at = |delay| Some(l.timers.nanos(l.now() + delay));
    assert_eq!((l.timers.park(), l.timers.next()), (at(ms(10)), at(ms(10))));
    l.timers.unparked();
    drop(early);
    assert_eq!(l.timers.park(), at(ms(20)), "one wait for a timer, not one for each that is gone");
    l.timers.unparked();
    drop(late);
    assert_eq!((l.timers.park(), l.unparks()), (None, 0));
}

#[test]
fn a_cancelled_timer_costs_the_parker_no_wait_while_others_sleep() {
    let (l, notes) = (Loop::new(1), Notes::default());
    let late = start(&l, 0, ms(20), &notes.waker(0));
    drop(start(&l, 0, ms(5), &notes.waker(1)));
    assert_eq!(l.timers.park(), Some(l.timers.nanos(l.now() + ms(20))));
    l.timers.unparked();
    let mut moved = start(&l, 0, ms(5), &notes.waker(1));
    moved.reset(l.now() + ms(15));
    assert_eq!(l.timers.park(), Some(l.timers.nanos(l.now() + ms(15))));
    drop(late);
}

#[test]
fn only_an_earlier_timer_unparks_and_only_once() {
    let (l, notes) = (Loop::new(2), Notes::default());
    let waker = notes.waker(0);
    let mut sleeps = vec![start(&l, 0, ms(10), &waker), start(&l, 1, ms(10), &waker)];
    assert_eq!(l.unparks(), 0, "nobody is parked");
    l.timers.park();
    sleeps.push(start(&l, 0, ms(10), &waker));
    sleeps.push(start(&l, 1, ms(11), &waker));
    assert_eq!(l.unparks(), 0, "not earlier");
    sleeps.push(start(&l, 1, ms(9), &waker));
    assert_eq!(l.unparks(), 1);
    sleeps.push(start(&l, 0, ms(8), &waker));
    assert_eq!(l.unparks(), 0, "told already");
    l.timers.unparked();
    sleeps.push(start(&l, 0, ms(1), &waker));
    assert_eq!(l.unparks(), 0, "arming a timer on the thread that will poll it wakes nobody");
    assert_eq!(l.timers.park(), Some(l.timers.nanos(l.now() + ms(1))));
    sleeps[0].reset(l.now() + Duration::from_nanos(1));
    assert_eq!(l.unparks(), 1, "a reset to an earlier time counts as an insert");
}

#[test]
fn a_parker_without_timers_is_woken_by_the_first() {
    let (l, notes) = (Loop::new(1), Notes::default());
    assert_eq!(l.timers.park(), None);
    let far = start(&l, 0, Duration::from_secs(1 << 32), &notes.waker(0));
    assert_eq!(l.unparks(), 1);
    drop(far);
}

#[test]
fn a_panicking_waker_does_not_keep_the_others_from_being_woken() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("from a waker");
        }
    }
    let (l, notes) = (Loop::new(1), Notes::default());
    let panics = Waker::from(Arc::new(Panics));
    let mut sleeps = vec![start(&l, 0, ms(1), &panics)];
    sleeps.extend((0..100).map(|i| start(&l, 0, ms(1), &notes.waker(i))));
    let panicked = catch_unwind(AssertUnwindSafe(|| l.turn(ms(1)))).unwrap_err();
    assert_eq!(panicked.downcast_ref(), Some(&"from a waker"));
    assert_eq!(notes.take(), (0..100).collect::<Vec<_>>());
    assert_eq!((l.timers.len(), l.timers.next()), (0, None));
}

#[test]
fn wakers_are_called_and_dropped_without_a_lock() {
    /// Uses the timers whenever it is woken or dropped.
    struct Nosy(Arc<Loop>, Notes);
    impl Wake for Nosy {
        fn wake(self: Arc<Self>) {
            self.1.waker(1).wake();
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            assert!(self.0.timers.len() < 100);
            self.1.waker(2).wake();
        }
    }
    let (l, notes) = (Arc::new(Loop::new(1)), Notes::default());
    let nosy = || Waker::from(Arc::new(Nosy(l.clone(), notes.clone())));
    let fired = start(&l, 0, ms(1), &nosy());
    l.turn(ms(1));
    drop(start(&l, 0, ms(1), &nosy()));
    let mut changed = start(&l, 0, ms(1), &nosy());
    assert!(poll(&mut changed, Waker::noop()).is_pending());
    let closed = start(&l, 0, ms(1), &nosy());
    l.timers.close();
    assert!(l.enter(0, || poll(&mut sleep(ms(1)), &nosy())).is_pending());
    assert_eq!(notes.take(), [1, 2, 2, 2, 2, 2]);
    drop((fired, closed));
}

#[test]
fn a_waker_that_sleeps_again_in_the_past_does_not_keep_a_pass_from_ending() {
    struct Again(Arc<Loop>);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            // Before the present of the pass, which is later than the clock.
            let waker = Waker::from(self.clone());
            std::mem::forget(start(&self.0, 0, Duration::from_nanos(1), &waker));
        }
    }
    let l = Arc::new(Loop::new(1));
    let sleep = start(&l, 0, ms(1), &Waker::from(Arc::new(Again(l.clone()))));
    let ahead = l.timers.nanos(l.now() + ms(2));
    assert_eq!(l.timers.advance_all(0, ahead), 1);
    assert_eq!((l.timers.len(), l.timers.advance_all(0, ahead)), (1, 1));
    l.timers.close();
    drop(sleep);
}

#[test]
fn a_closed_loop_drops_all_wakers_and_refuses_more() {
    let (l, notes) = (Loop::new(2), Notes::default());
    let mut fired = start(&l, 0, ms(1), &notes.waker(0));
    l.turn(ms(1));
    let mut waiting = start(&l, 1, ms(1), &notes.waker(1));
    l.timers.close();
    assert_eq!((notes.wakers(), l.timers.next(), l.turn(ms(5))), (0, None, 0));
    assert!(poll(&mut waiting, &notes.waker(1)).is_pending());
    assert!(!waiting.is_elapsed());
    waiting.reset(l.now());
    assert!(poll(&mut waiting, &notes.waker(1)).is_pending());
    let mut late = start(&l, 0, ms(1), &notes.waker(2));
    assert!(poll(&mut late, &notes.waker(2)).is_pending());
    assert!(poll(&mut fired, &notes.waker(0)).is_ready(), "what had fired has fired");
    l.timers.close();
    assert_eq!((l.turn(ms(5)), notes.take(), notes.wakers()), (0, vec![0], 0));
}

#[test]
fn cancelled_timers_are_gone_at_once_with_their_wakers() {
    let (l, notes) = (Loop::new(1), Notes::default());
    let waker = notes.waker(0);
    let sleeps: Vec<_> = (0..100_000).map(|i| start(&l, 0, ms(i + 1), &waker)).collect();
    assert_eq!((l.timers.len(), notes.wakers()), (100_000, 1));
    drop(sleeps);
    assert_eq!((l.timers.len(), l.timers.next()), (0, None));
}

#[test]
fn a_clock_that_jumps_a_year_or_back_neither_loses_nor_hastens_a_timer() {
    let (l, notes) = (Loop::new(1), Notes::default());
    let day = Duration::from_secs(24 * 3600);
    let sleeps: Vec<_> =
        (0..400).map(|i| start(&l, 0, day * (400 - i as u32), &notes.waker(i))).collect();
    assert_eq!(l.turn(day * 365), 365);
    assert_eq!(notes.take(), (35..400).rev().collect::<Vec<_>>());
    assert_eq!(l.timers.advance_all(0, 0), 0);
    assert_eq!(l.timers.next(), Some(l.timers.nanos(l.now() + day)));
    assert_eq!(l.turn(day * 35), 35);
    drop(sleeps);
}

#[test]
fn threads_outside_the_loop_use_one_of_its_wheels() {
    let (l, notes) = (Loop::new(2), Notes::default());
    let mut sleep = l.timers.sleep_until(l.now() + ms(1));
    assert!(poll(&mut sleep, &notes.waker(0)).is_pending());
    l.enter(1, || assert_eq!(l.timers.local().index(), 1));
    let other = Loop::new(1);
    other.enter(0, || assert!(l.timers.local().index() < 2));
    assert_eq!(l.turn(ms(1)), 1);
    assert!(poll(&mut sleep, &notes.waker(0)).is_ready());
}

#[test]
fn entering_nests_and_is_undone_by_a_panic() {
    let l = Loop::new(3);
    let current = || asyncio_timer::context::current().map(|wheel| wheel.index());
    l.enter(1, || {
        let panicked = catch_unwind(AssertUnwindSafe(|| l.enter(2, || panic!("{:?}", current()))));
        assert_eq!(panicked.unwrap_err().downcast_ref::<String>().unwrap(), "Some(2)");
        assert_eq!(current(), Some(1));
    });
    assert_eq!(current(), None);
}

#[test]
fn sleeping_until_an_instant_before_the_epoch_of_the_loop_is_in_the_past() {
    let (l, notes) = (Loop::new(1), Notes::default());
    let Some(past) = l.now().checked_sub(ms(5)) else { return };
    assert!(l.timers.nanos(past) < l.nanos());
    assert_eq!(l.timers.instant(l.timers.nanos(past)), Some(past));
    let mut sleep = sleep_until(past);
    assert!(l.enter(0, || poll(&mut sleep, &notes.waker(0))).is_pending());
    assert_eq!(notes.take(), [0]);
    assert!(poll(&mut sleep, &notes.waker(0)).is_ready());
}
