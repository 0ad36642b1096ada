//! `Sleep` and `Interval`, on a clock turned by hand.

mod common;

use asyncio_base::context::ContextSlot;
use asyncio_base::record::{self, PollRecord};
use asyncio_base::wait::{WaitKind, WaitSlot};
use asyncio_timer::{
    Interval, MissedTicks, Sleep, interval, interval_at, secs, sleep, sleep_until,
};
use common::{Loop, Notes, ms, poll};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

fn is_unpin_send_sync<T: Unpin + Send + Sync>() {}

#[test]
fn sleeps_can_be_kept_moved_and_sent() {
    is_unpin_send_sync::<Sleep>();
    is_unpin_send_sync::<Interval>();
    assert!(size_of::<Sleep>() <= 48, "{} bytes", size_of::<Sleep>());
}

#[test]
fn the_time_counts_from_the_first_poll() {
    let (l, notes) = (Loop::new(1), Notes::default());
    let waker = notes.waker(0);
    l.enter(0, || {
        let mut sleep = sleep(ms(10));
        assert_eq!((sleep.deadline(), l.turn(ms(100))), (None, 0));
        assert!(poll(&mut sleep, &waker).is_pending());
        assert_eq!(sleep.deadline(), Some(l.now() + ms(10)));
        assert_eq!(l.turn(ms(10) - Duration::from_nanos(1)), 0);
        assert!(poll(&mut sleep, &waker).is_pending());
        assert!(!sleep.is_elapsed());
        assert_eq!(l.turn(Duration::from_nanos(1)), 1);
        assert!(sleep.is_elapsed());
        let deadline = Some(l.now());
        assert_eq!(notes.take(), [0]);
        assert!(poll(&mut sleep, &waker).is_ready());
        assert!(poll(&mut sleep, &waker).is_ready(), "it stays ready");
        assert_eq!(sleep.deadline(), deadline);
    });
}

#[test]
fn zero_gives_way_once_and_needs_no_loop() {
    let notes = Notes::default();
    let mut sleep = sleep(Duration::ZERO);
    assert!(poll(&mut sleep, &notes.waker(0)).is_pending());
    assert_eq!(notes.take(), [0]);
    assert!(poll(&mut sleep, &notes.waker(0)).is_ready());
    assert!(notes.take().is_empty());
}

#[test]
fn a_deadline_that_has_come_gives_way_once() {
    let (l, notes) = (Loop::new(1), Notes::default());
    let mut sleep = sleep_until(l.now());
    assert!(l.enter(0, || poll(&mut sleep, &notes.waker(0))).is_pending());
    assert_eq!((notes.take(), l.timers.len()), (vec![0], 0));
    assert!(poll(&mut sleep, &notes.waker(0)).is_ready());
}

#[test]
fn short_and_long_delays_are_exact_or_never() {
    let exact = [
        Duration::from_nanos(1),
        Duration::from_nanos(65_535),
        ms(1),
        Duration::from_secs(25 * 24 * 3600),
        ms((1 << 36) + 1),
        Duration::from_secs(300 * 365 * 24 * 3600),
    ];
    for delay in exact {
        let l = Loop::new(1);
        let mut sleep = sleep(delay);
        assert!(l.enter(0, || poll(&mut sleep, Waker::noop())).is_pending());
        assert_eq!(l.timers.park(), Some(l.timers.nanos(l.now() + delay)), "{delay:?}");
        assert_eq!(l.turn(delay - Duration::from_nanos(1)), 0, "{delay:?}");
        assert_eq!(l.turn(Duration::from_nanos(1)), 1, "{delay:?}");
        assert!(poll(&mut sleep, Waker::noop()).is_ready());
    }
    let l = Loop::new(1);
    let mut forever = sleep(Duration::MAX);
    assert!(l.enter(0, || poll(&mut forever, Waker::noop())).is_pending());
    assert_eq!((l.timers.park(), l.turn(Duration::from_secs(1 << 33))), (None, 0));
    assert!(poll(&mut forever, Waker::noop()).is_pending());
}

#[test]
fn dropping_removes_the_timer_and_its_waker_also_on_another_thread() {
    let (l, notes) = (Loop::new(2), Notes::default());
    for remote in [false, true] {
        let mut sleep = sleep(ms(1));
        assert!(l.enter(1, || poll(&mut sleep, &notes.waker(0))).is_pending());
        assert_eq!((l.timers.len(), notes.wakers()), (1, 1));
        if remote {
            std::thread::spawn(|| drop(sleep)).join().unwrap();
        } else {
            drop(sleep);
        }
        assert_eq!((l.timers.len(), notes.wakers(), l.turn(ms(5))), (0, 0, 0));
    }
    assert!(notes.take().is_empty());
}

#[test]
fn another_waker_replaces_the_first() {
    let (l, notes) = (Loop::new(1), Notes::default());
    let mut sleep = sleep(ms(1));
    assert!(l.enter(0, || poll(&mut sleep, &notes.waker(1))).is_pending());
    assert!(poll(&mut sleep, &notes.waker(2)).is_pending());
    assert_eq!(notes.wakers(), 1);
    l.turn(ms(1));
    assert_eq!(notes.take(), [2]);
}

#[test]
fn a_sleep_keeps_its_wheel_when_it_moves() {
    let (l, notes) = (Loop::new(2), Notes::default());
    let mut moved = sleep(ms(1));
    assert!(l.enter(1, || poll(&mut moved, &notes.waker(0))).is_pending());
    assert!(l.enter(0, || poll(&mut moved, &notes.waker(1))).is_pending());
    assert_eq!((l.timers.wheel(0).index(), l.timers.len()), (0, 1));
    assert_eq!(l.pass(1, ms(1)), 1);
    assert!(l.enter(0, || poll(&mut moved, &notes.waker(1))).is_ready());
}

#[test]
fn reset_moves_the_deadline_at_any_time_of_life() {
    let (l, notes) = (Loop::new(1), Notes::default());
    let waker = notes.waker(0);
    l.enter(0, || {
        let mut sleep = sleep(ms(1));
        sleep.reset(l.now() + ms(5));
        assert_eq!(sleep.deadline(), Some(l.now() + ms(5)));
        assert!(poll(&mut sleep, &waker).is_pending());
        sleep.reset(l.now() + ms(9));
        assert_eq!(l.turn(ms(8)), 0);
        sleep.reset(l.now() + ms(90));
        sleep.reset(l.now() + ms(2));
        assert_eq!((l.turn(ms(1)), l.turn(ms(1))), (0, 1), "woken without another poll");
        sleep.reset(l.now() + ms(1));
        assert!(!sleep.is_elapsed());
        assert!(poll(&mut sleep, &waker).is_pending());
        assert_eq!(l.turn(ms(1)), 1);
        assert!(poll(&mut sleep, &waker).is_ready());
        sleep.reset(l.now() + ms(1));
        assert!(poll(&mut sleep, &waker).is_pending());
        sleep.reset(l.now());
        assert_eq!(l.turn(Duration::ZERO), 1);
        assert!(poll(&mut sleep, &waker).is_ready());
        assert_eq!((notes.take().len(), l.timers.len()), (3, 0));
    });
}

#[test]
fn without_a_loop_the_first_poll_says_so_and_where_the_sleep_was_made() {
    let mut sleep = sleep(ms(1));
    let line = line!() - 1;
    let panic = catch_unwind(AssertUnwindSafe(|| poll(&mut sleep, Waker::noop()))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("no running event loop"), "{message}");
    assert!(message.contains(&format!("sleep.rs:{line}:")), "{message}");
}

#[test]
fn the_wait_slot_names_the_sleep_while_it_waits() {
    let l = Loop::new(1);
    let (wait, context) = (WaitSlot::new(), ContextSlot::new());
    let record = PollRecord::outside(&wait, &context);
    let mut nothing = sleep(Duration::ZERO);
    let (mut long, line): (_, _) = (sleep(ms(1)), line!());
    l.enter(0, || {
        record::enter(&record, || {
            assert!(poll(&mut nothing, Waker::noop()).is_pending());
            assert_eq!(wait.get(), None, "giving way is not waiting");
            assert!(poll(&mut long, Waker::noop()).is_pending());
        })
    });
    let (kind, place): (WaitKind, &Location<'_>) = wait.get().unwrap();
    assert_eq!((kind, place.line()), (WaitKind::Sleep, line));
}

#[test]
fn debug_says_what_is_known() {
    let l = Loop::new(1);
    let mut s = sleep(secs(0.5));
    assert_eq!(format!("{s:?}"), "Sleep { delay: 500ms }");
    assert!(l.enter(0, || poll(&mut s, Waker::noop())).is_pending());
    assert!(format!("{s:?}").ends_with("elapsed: false }"));
}

/// The next tick, if it is there, in milliseconds from `start`.
fn tick(l: &Loop, interval: &mut Interval, start: Instant) -> Option<u64> {
    let mut cx = Context::from_waker(Waker::noop());
    match l.enter(0, || interval.poll_tick(&mut cx)) {
        Poll::Ready(at) => Some(at.duration_since(start).as_millis() as u64),
        Poll::Pending => None,
    }
}

#[test]
fn an_interval_ticks_at_once_and_then_every_period() {
    let l = Loop::new(1);
    let mut interval = interval(ms(10));
    l.turn(ms(3));
    let start = l.now();
    assert_eq!((tick(&l, &mut interval, start), tick(&l, &mut interval, start)), (Some(0), None));
    l.turn(ms(9));
    assert_eq!(tick(&l, &mut interval, start), None);
    assert_eq!(l.turn(ms(1)), 1);
    assert_eq!(tick(&l, &mut interval, start), Some(10));
    assert_eq!(tick(&l, &mut interval, start), None);
    l.turn(ms(12));
    assert_eq!(tick(&l, &mut interval, start), Some(20), "a late tick does not move the rhythm");
    l.turn(ms(8));
    assert_eq!(tick(&l, &mut interval, start), Some(30));
}

#[test]
fn missed_ticks_follow_the_policy() {
    let table = [
        (MissedTicks::CatchUp, [Some(10), Some(20), Some(30), None], 40),
        (MissedTicks::StartOver, [Some(10), None, None, None], 45),
        (MissedTicks::LeaveOut, [Some(10), None, None, None], 40),
    ];
    for (policy, at_once, then) in table {
        let l = Loop::new(1);
        let start = l.now();
        let mut interval = interval(ms(10)).missed_ticks(policy);
        assert_eq!(tick(&l, &mut interval, start), Some(0));
        l.turn(ms(35));
        assert_eq!([(); 4].map(|()| tick(&l, &mut interval, start)), at_once, "{policy:?}");
        l.turn(ms(then - 35));
        assert_eq!(tick(&l, &mut interval, start), Some(then), "{policy:?}");
    }
}

#[test]
fn a_tick_while_waiting_that_comes_late_follows_the_policy_too() {
    for (policy, then) in [(MissedTicks::StartOver, 45), (MissedTicks::LeaveOut, 40)] {
        let l = Loop::new(1);
        let start = l.now();
        let mut interval = interval_at(start + ms(10), ms(10)).missed_ticks(policy);
        assert_eq!(tick(&l, &mut interval, start), None);
        l.turn(ms(35));
        assert_eq!(tick(&l, &mut interval, start), Some(10));
        assert_eq!(tick(&l, &mut interval, start), None);
        l.turn(ms(then - 35));
        assert_eq!(tick(&l, &mut interval, start), Some(then), "{policy:?}");
    }
}

#[test]
fn a_tick_exactly_one_period_late_is_not_repeated_when_left_out() {
    let l = Loop::new(1);
    let start = l.now();
    let mut interval = interval_at(start, ms(10)).missed_ticks(MissedTicks::LeaveOut);
    l.turn(ms(10));
    assert_eq!(tick(&l, &mut interval, start), Some(0));
    assert_eq!(tick(&l, &mut interval, start), None);
    l.turn(ms(10));
    assert_eq!(tick(&l, &mut interval, start), Some(20));
}

#[test]
fn a_dropped_tick_is_not_lost_and_reset_begins_anew() {
    let l = Loop::new(1);
    let start = l.now();
    let mut interval = interval_at(start + ms(5), ms(10));
    assert!(l.enter(0, || {
        let mut tick = Box::pin(interval.tick());
        poll(&mut tick, Waker::noop()).is_pending()
    }));
    l.turn(ms(5));
    assert_eq!(tick(&l, &mut interval, start), Some(5));
    l.turn(ms(3));
    l.enter(0, || interval.reset());
    l.turn(ms(9));
    assert_eq!(tick(&l, &mut interval, start), None);
    l.turn(ms(1));
    assert_eq!((tick(&l, &mut interval, start), interval.period()), (Some(18), ms(10)));
}

#[test]
fn ticks_that_are_due_are_counted_as_ready_operations() {
    let l = Loop::new(1);
    let start = l.now();
    let mut interval = interval_at(start, ms(1));
    l.turn(ms(100));
    let (wait, context) = (WaitSlot::new(), ContextSlot::new());
    let record = PollRecord { budget: Cell::new(2), ..PollRecord::outside(&wait, &context) };
    let ticks = record::enter(&record, || [(); 3].map(|()| tick(&l, &mut interval, start)));
    assert_eq!(ticks, [Some(0), Some(1), None]);
    assert_eq!(tick(&l, &mut interval, start), Some(2));
}

#[test]
fn an_interval_longer_than_the_clock_never_ticks_again() {
    let l = Loop::new(1);
    let mut interval = interval(Duration::MAX);
    let start = l.now();
    assert_eq!((tick(&l, &mut interval, start), tick(&l, &mut interval, start)), (Some(0), None));
    assert!(l.timers.is_empty());
}

#[test]
#[should_panic(expected = "the period of an interval is not zero")]
fn a_period_of_zero_is_refused() {
    drop(interval(Duration::ZERO));
}
