//! The edges by name. `tests/wheel_oracle.rs` compares the wheel with a sorted map over all of them at random.

use super::*;

const TICK: u64 = 1 << place::TICK_BITS;
const YEAR: u64 = 365 * 24 * 3600 * 1_000_000_000;

fn fired<T>(wheel: &mut Wheel<T>, now: u64) -> Vec<T> {
    let mut values = Vec::new();
    let (mut last, present) = (0, now.max(wheel.now));
    wheel.advance(now, |_, deadline, value| {
        assert!(deadline <= present, "{deadline} fired at {present}");
        assert!(last <= deadline, "{deadline} after {last}");
        last = deadline;
        values.push(value);
    });
    values
}

#[test]
fn a_waker_in_the_wheel_takes_48_bytes_with_its_generation() {
    assert_eq!(size_of::<Node<Option<std::task::Waker>>>(), 40);
    assert!(size_of::<Wheel<()>>() <= 2752, "{}", size_of::<Wheel<()>>());
}

#[test]
fn equal_deadlines_fire_in_the_order_of_insertion_whatever_levels_they_came_down() {
    let mut wheel = Wheel::new(0);
    let deadline = 70 * 32 * TICK + 5;
    wheel.insert(deadline, 0);
    assert!(fired(&mut wheel, 32 * TICK).is_empty());
    wheel.insert(deadline, 1);
    assert!(fired(&mut wheel, deadline - TICK).is_empty());
    wheel.insert(deadline, 2);
    wheel.insert(deadline - 1, 3);
    assert!(fired(&mut wheel, deadline - 2).is_empty());
    wheel.insert(deadline, 4);
    assert_eq!(fired(&mut wheel, deadline), [3, 0, 1, 2, 4]);
    assert!(wheel.is_empty());
}

#[test]
fn what_was_drawn_to_a_finer_slot_does_not_overtake_its_elder() {
    for edge in [0, 1, TICK] {
        let mut wheel = Wheel::new(0);
        let deadline = 32 * TICK + edge;
        wheel.insert(deadline, 0);
        for i in 1..100 {
            wheel.insert(deadline + 1, i);
        }
        wheel.insert(deadline, 100);
        wheel.insert(TICK, 101);
        assert_eq!(fired(&mut wheel, TICK), [101]);
        let coarse = Place::next(1, wheel.tick);
        assert!(wheel.heads.get(coarse) != Heads::NONE, "some were drawn, not all");
        assert!(wheel.heads.get(coarse.finer(32)) != Heads::NONE || edge == TICK);
        assert_eq!(fired(&mut wheel, deadline), [0, 100]);
        assert_eq!(fired(&mut wheel, deadline + 1), (1..100).collect::<Vec<_>>());
    }
}

#[test]
fn what_comes_to_a_coarse_slot_does_not_overtake_what_was_drawn_from_it() {
    for edge in [0, 1, TICK] {
        let mut wheel = Wheel::new(0);
        let deadline = 32 * TICK + edge;
        wheel.insert(deadline, "elder");
        wheel.insert(0, "now");
        assert_eq!(fired(&mut wheel, 0), ["now"]);
        assert!(wheel.heads.get(Place::next(1, 0)) == Heads::NONE, "drawn");
        wheel.insert(deadline, "younger");
        assert_eq!(fired(&mut wheel, deadline), ["elder", "younger"]);
    }
}

#[test]
fn a_coarse_slot_of_which_a_part_was_drawn_is_whole() {
    let mut wheel = Wheel::new(0);
    let deadline = 32 * TICK;
    let keys: Vec<_> = (0..100).map(|i| wheel.insert(deadline + i, i)).collect();
    wheel.insert(0, 100);
    assert_eq!(fired(&mut wheel, 0), [100]);
    let first = wheel.heads.get(Place::next(1, 0)) as usize;
    assert!(first != 99 && first > 50, "drawn are the last that came, not all");
    for gone in [first, first - 1, 40, first + 1, 0] {
        assert_eq!(wheel.remove(keys[gone]), Some(gone as u64));
    }
    let left = |i: &u64| ![first, first - 1, 40, first + 1, 0].contains(&(*i as usize));
    assert_eq!(fired(&mut wheel, deadline + 99), (0..100).filter(left).collect::<Vec<_>>());
    assert!(wheel.is_empty());
}

#[test]
fn coarse_slots_are_empty_when_time_enters_them() {
    let mut wheel = Wheel::new(0);
    let step = TICK / 5;
    for i in 0..5 * 1024 * 3 {
        wheel.insert((i * 7919 % (5 * 1024 * 3)) * step, ());
    }
    // What lies in the slots that time enters first had nobody to draw it.
    fired(&mut wheel, 1024 * TICK);
    for now in (1024..3 * 1024).map(|tick| tick * TICK) {
        fired(&mut wheel, now);
        let left = |level| wheel.heads.get(Place::next(level, wheel.tick)) != Heads::NONE;
        assert!(wheel.tick % 32 < 16 || !left(1), "level 1 at {}", wheel.tick);
        assert!(wheel.tick % 1024 < 512 || !left(2), "level 2 at {}", wheel.tick);
    }
}

#[test]
fn past_deadlines_fire_at_the_next_advance_in_deadline_order() {
    let now = 1 << 40;
    let mut wheel = Wheel::new(now);
    wheel.insert(now, "now");
    wheel.insert(now - 1_000_000_000, "a second ago");
    wheel.insert(0, "at zero");
    wheel.insert(now - 2_000_000_000, "two seconds ago");
    wheel.insert(now + 1, "soon");
    assert_eq!(wheel.next_deadline(), Some(0));
    assert_eq!(fired(&mut wheel, now), ["at zero", "two seconds ago", "a second ago", "now"]);
    assert_eq!(wheel.next_deadline(), Some(now + 1));
}

#[test]
fn a_timer_does_not_fire_a_nanosecond_early() {
    for start in [0, 1, TICK - 1, TICK, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX - YEAR] {
        for delay in [1, 2, TICK - 1, TICK, TICK + 1, 32 * TICK, 1024 * TICK - 1, YEAR - 1] {
            let mut wheel = Wheel::new(start);
            wheel.insert(start + delay, ());
            assert_eq!(wheel.next_deadline(), Some(start + delay));
            assert!(fired(&mut wheel, start + delay - 1).is_empty(), "{start} + {delay}");
            assert_eq!(wheel.next_deadline(), Some(start + delay));
            assert_eq!(fired(&mut wheel, start + delay).len(), 1, "{start} + {delay}");
        }
    }
}

#[test]
fn one_sleeping_timer_needs_one_wait_at_any_distance() {
    for bit in 0..64 {
        let mut wheel = Wheel::new(12_345);
        let deadline = (1_u64 << bit).saturating_add(12_345);
        wheel.insert(deadline, bit);
        let wait = wheel.next_deadline().unwrap();
        assert_eq!(fired(&mut wheel, wait), [bit]);
    }
}

#[test]
fn the_end_of_time_is_a_deadline_like_any_other() {
    let mut wheel = Wheel::new(u64::MAX - 1);
    wheel.insert(u64::MAX, "end");
    wheel.insert(0, "past");
    assert_eq!(fired(&mut wheel, u64::MAX - 1), ["past"]);
    assert_eq!(wheel.next_deadline(), Some(u64::MAX));
    assert_eq!(fired(&mut wheel, u64::MAX), ["end"]);
    wheel.insert(u64::MAX, "again");
    wheel.insert(5, "late");
    assert_eq!(fired(&mut wheel, 0), ["late", "again"], "time does not go back");
    assert_eq!((wheel.next_deadline(), fired(&mut wheel, u64::MAX).len()), (None, 0));
}

#[test]
fn from_the_beginning_to_the_end_of_time_in_one_step() {
    let mut wheel = Wheel::new(0);
    let deadlines: Vec<u64> = (0..64).map(|bit| 1 << bit).chain([0, u64::MAX]).collect();
    for &deadline in deadlines.iter().rev() {
        wheel.insert(deadline, deadline);
    }
    let mut sorted = deadlines;
    sorted.sort_unstable();
    assert_eq!(fired(&mut wheel, u64::MAX), sorted);
}

#[test]
fn a_clock_that_jumps_a_year_fires_everything_in_between_in_order() {
    let start = 1 << 62;
    let mut wheel = Wheel::new(start);
    let step = YEAR / 1000 - 7;
    for i in (0..1100).rev() {
        wheel.insert(start + i * step, i);
    }
    assert_eq!(fired(&mut wheel, start + YEAR), (0..=1000).collect::<Vec<_>>());
    assert_eq!(wheel.next_deadline(), Some(start + 1001 * step));
}

#[test]
fn years_of_uptime_with_a_timer_in_the_top_level_stop_nothing() {
    let mut wheel = Wheel::new(0);
    wheel.insert(u64::MAX - 1, 0);
    let mut now = 0;
    for i in 1..4000 {
        now += 12 * 24 * 3600 * 1_000_000_000;
        wheel.insert(now + 1_000_000, i);
        assert!(fired(&mut wheel, now + 999_999).is_empty());
        assert_eq!(wheel.next_deadline(), Some(now + 1_000_000));
        assert_eq!(fired(&mut wheel, now + 1_000_000), [i]);
    }
    assert_eq!(wheel.next_deadline(), Some(u64::MAX - 1));
}

#[test]
fn time_going_back_is_ignored() {
    let mut wheel = Wheel::new(1_000 * TICK);
    assert!(fired(&mut wheel, 10).is_empty());
    wheel.insert(999 * TICK, "past");
    wheel.insert(1_000 * TICK + 1, "soon");
    assert_eq!(fired(&mut wheel, 11), ["past"]);
    assert_eq!(fired(&mut wheel, 2_000 * TICK), ["soon"]);
}

#[test]
fn a_removed_timer_is_gone_and_its_key_stays_stale() {
    let mut wheel = Wheel::new(0);
    let key = wheel.insert(10, "old");
    assert_eq!(wheel.remove(key), Some("old"));
    let new = wheel.insert(20, "new");
    assert_eq!((wheel.remove(key), wheel.get(key), wheel.deadline(key)), (None, None, None));
    assert!(!wheel.reschedule(key, 5));
    assert_eq!((wheel.get(new), wheel.deadline(new), wheel.len()), (Some(&"new"), Some(20), 1));
    *wheel.get_mut(new).unwrap() = "changed";
    assert_eq!(fired(&mut wheel, 30), ["changed"]);
    assert_eq!(wheel.remove(new), None);
}

#[test]
fn removing_from_the_middle_the_front_and_the_back_of_a_slot_keeps_the_rest() {
    for gone in 0..5 {
        let mut wheel = Wheel::new(0);
        let keys: Vec<_> = (0..5).map(|i| wheel.insert(1_000 + i, i)).collect();
        assert_eq!(wheel.remove(keys[gone]), Some(gone as u64));
        let left: Vec<_> = (0..5).filter(|&i| i != gone as u64).collect();
        assert_eq!(wheel.next_deadline(), Some(1_000 + left[0]));
        assert_eq!(fired(&mut wheel, 2_000), left);
    }
}

#[test]
fn rescheduling_moves_a_timer_either_way_and_behind_its_equals() {
    let mut wheel = Wheel::new(0);
    let key = wheel.insert(100, "moved");
    wheel.insert(TICK * 100, "fixed");
    assert!(wheel.reschedule(key, TICK * 100));
    assert_eq!(wheel.next_deadline(), Some(TICK * 100));
    assert!(fired(&mut wheel, TICK * 100 - 1).is_empty());
    assert!(wheel.reschedule(key, TICK * 99));
    assert_eq!(wheel.next_deadline(), Some(TICK * 99));
    assert!(wheel.reschedule(key, TICK * 100));
    assert_eq!(fired(&mut wheel, TICK * 100), ["fixed", "moved"]);
}

#[test]
fn a_timer_rescheduled_past_its_neighbour_does_not_hide_it() {
    let mut wheel = Wheel::new(0);
    let keep_alive = wheel.insert(10 * TICK, "keep alive");
    wheel.insert(15 * TICK, "other");
    wheel.reschedule(keep_alive, 5000 * TICK);
    assert_eq!(wheel.next_deadline(), Some(15 * TICK));
    assert_eq!(fired(&mut wheel, 15 * TICK), ["other"]);
    assert_eq!(wheel.next_deadline(), Some(5000 * TICK));
}

#[test]
fn a_timer_rescheduled_into_a_later_slot_waits_for_its_turn_there() {
    let mut wheel = Wheel::new(0);
    let moved = wheel.insert(TICK, "moved");
    wheel.insert(2 * TICK, "earlier in that slot");
    wheel.reschedule(moved, 2 * TICK + 1);
    wheel.insert(2 * TICK + 1, "registered later");
    let expected = ["earlier in that slot", "moved", "registered later"];
    assert_eq!(fired(&mut wheel, 9 * TICK), expected);
}

#[test]
fn a_timer_rescheduled_before_the_present_fires_at_the_next_advance() {
    let mut wheel = Wheel::new(5_000 * TICK);
    let key = wheel.insert(9_000 * TICK, "moved");
    wheel.insert(5_000 * TICK, "due");
    wheel.reschedule(key, 7);
    assert_eq!(fired(&mut wheel, 5_000 * TICK), ["moved", "due"]);
}

#[test]
fn what_happens_between_two_pops_counts() {
    let mut wheel = Wheel::new(0);
    let keys: Vec<_> = (0..6).map(|i| wheel.insert(100 + i, i)).collect();
    assert_eq!(wheel.pop(1_000).map(|fired| fired.2), Some(0));
    assert_eq!(wheel.remove(keys[1]), Some(1));
    assert!(wheel.reschedule(keys[2], 2_000));
    assert!(wheel.reschedule(keys[3], 105));
    wheel.insert(1, 10);
    wheel.insert(105, 11);
    assert_eq!((wheel.next_deadline(), wheel.len()), (Some(1), 6));
    assert_eq!(fired(&mut wheel, 1_000), [10, 4, 5, 3, 11]);
    assert_eq!(wheel.next_deadline(), Some(2_000));
}

#[test]
fn a_panic_while_firing_loses_nothing() {
    let mut wheel = Wheel::new(0);
    for i in 0..4 {
        wheel.insert(i, i);
    }
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wheel.advance(10, |_, _, i| assert_ne!(i, 1, "the second one panics"));
    }));
    assert!(panicked.is_err());
    assert_eq!(fired(&mut wheel, 10), [2, 3]);
}

#[test]
fn a_crowded_slot_gives_an_early_bound_and_reaches_the_earliest_in_few_steps() {
    let mut wheel = Wheel::new(0);
    let base = 30_000_000_000;
    let keys: Vec<_> = (0..10_000).map(|i| wheel.insert(base + i * 100_000, i)).collect();
    for &key in &keys[..5_000] {
        wheel.remove(key).unwrap();
    }
    let mut steps = 0;
    loop {
        let wait = wheel.next_deadline().unwrap();
        assert!(wait <= base + 5_000 * 100_000, "never too late");
        steps += 1;
        if !fired(&mut wheel, wait).is_empty() {
            break;
        }
    }
    assert!(steps <= 8, "{steps} waits");
}

/// As a worker does it: who publishes the earliest deadline looks at it only when told that it may have changed.
#[test]
fn who_is_told_of_the_first_never_publishes_too_late() {
    let mut wheel = Wheel::new(0);
    let (mut live, mut published, mut now, mut salt) = (Vec::new(), u64::MAX, 0, 1_u64);
    let mut random = |below: u64| {
        salt = salt.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (salt >> 33) % below
    };
    for _ in 0..40_000 {
        match random(8) {
            0..=3 => {
                let deadline = now + (1 << random(30)) + random(TICK);
                let (key, first) = wheel.add(deadline, ());
                published = if first { published.min(deadline) } else { published };
                live.push((deadline, key));
            }
            4 | 5 if !live.is_empty() => {
                let (deadline, key) = live.swap_remove(random(live.len() as u64) as usize);
                let (_, was_first) = wheel.take(key).unwrap();
                let stands_for_it = deadline <= published || wheel.is_empty();
                assert!(was_first || !stands_for_it, "{deadline} is what was published");
            }
            6 => {
                now += random(70 * TICK);
                while wheel.pop(now).is_some() && random(4) != 0 {}
                live.retain(|&(_, key)| wheel.get(key).is_some());
            }
            _ => published = wheel.next_deadline().unwrap_or(u64::MAX),
        }
        let earliest = live.iter().map(|at| at.0).min().unwrap_or(u64::MAX);
        assert!(published <= earliest, "{published} is later than {earliest}");
    }
}

#[test]
fn memory_is_given_back_after_a_hundred_thousand_cancelled_timers() {
    let mut wheel = Wheel::new(0);
    let keys: Vec<_> = (0..100_000).map(|i| wheel.insert(i * 1_000_000, i)).collect();
    assert!(wheel.nodes.positions() >= 100_000);
    for key in keys {
        wheel.remove(key).unwrap();
    }
    assert_eq!((wheel.len(), wheel.nodes.positions(), wheel.due.capacity()), (0, 0, 0));
    assert_eq!(wheel.next_deadline(), None);

    for i in 0..100_000 {
        wheel.insert(i % 50_000, i);
    }
    assert_eq!(fired(&mut wheel, 50_000).len(), 100_000);
    assert!(wheel.nodes.positions() <= KEEP && wheel.due.capacity() <= 1024);
}

#[test]
fn cancelled_timers_are_reused_at_once() {
    let mut wheel = Wheel::new(0);
    for i in 0..100_000 {
        let key = wheel.insert(i + 30_000_000_000, ());
        wheel.remove(key);
    }
    assert_eq!(wheel.nodes.positions(), 4);
}

#[test]
fn draining_takes_everything_in_firing_order() {
    let mut wheel = Wheel::new(1_000 * TICK);
    let moved = wheel.insert(3, "moved");
    wheel.insert(u64::MAX, "end");
    wheel.insert(2_000 * TICK, "b");
    wheel.insert(2_000 * TICK, "c");
    wheel.insert(4, "a");
    wheel.reschedule(moved, 2_000 * TICK);
    assert_eq!(wheel.drain(), ["a", "b", "c", "moved", "end"]);
    assert!(wheel.is_empty() && wheel.next_deadline().is_none());
    assert_eq!(wheel.remove(moved), None);
    wheel.insert(7, "next");
    assert_eq!(fired(&mut wheel, 2_000 * TICK), ["next"]);
}
