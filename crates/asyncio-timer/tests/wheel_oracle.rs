//! The wheel against a sorted map: random operations, times from every edge of the 64 bits.

use asyncio_timer::{Key, Wheel};
use proptest::prelude::*;
use std::collections::BTreeMap;

const TICK: u64 = 1 << 16;

#[derive(Clone, Debug)]
enum Op {
    Insert(When),
    /// One of the live timers, counted from the oldest.
    Remove(usize),
    Reschedule(usize, When),
    Advance(When),
    /// Takes this many due timers at most.
    Pop(When, usize),
    /// Advances to the next deadline.
    Wait,
}

/// A time: absolute, or so much before or after the present.
#[derive(Clone, Copy, Debug)]
enum When {
    At(u64),
    In(u64),
    Ago(u64),
}

impl When {
    fn resolve(self, now: u64) -> u64 {
        match self {
            When::At(time) => time,
            When::In(delay) => now.saturating_add(delay),
            When::Ago(delay) => now.saturating_sub(delay),
        }
    }
}

/// Numbers near the edges: powers of two, the borders of slots and levels, calendar-sized spans.
fn edgy() -> impl Strategy<Value = u64> {
    let second = 1_000_000_000_u64;
    let near = (0_u32..64, -2_i64..=2).prop_map(|(bit, by)| (1_u64 << bit).wrapping_add_signed(by));
    let level = (0_u32..10, 1_u64..32, -1_i64..=1)
        .prop_map(|(level, slot, by)| (slot << (16 + 5 * level)).wrapping_add_signed(by));
    prop_oneof![
        4 => 0_u64..4 * TICK,
        4 => near,
        4 => level,
        2 => 0_u64..100 * second,
        1 => (1_u64..30).prop_map(move |years| years * 365 * 24 * 3600 * second),
        1 => prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(u64::MAX - 1), Just(1 << 63)],
        1 => any::<u64>(),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        1 => edgy().prop_map(When::At),
        6 => edgy().prop_map(When::In),
        2 => edgy().prop_map(When::Ago),
    ]
}

/// Times for moving on: mostly short steps, so that a run does not end at once at the end of time.
fn step() -> impl Strategy<Value = When> {
    prop_oneof![
        6 => (0_u64..8 * TICK).prop_map(When::In),
        3 => (0_u32..45, -1_i64..=1)
            .prop_map(|(bit, by)| When::In((1_u64 << bit).saturating_add_signed(by))),
        1 => (0_u32..58).prop_map(|bit| When::In(1 << bit)),
        1 => edgy().prop_map(When::Ago),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => when().prop_map(Op::Insert),
        3 => any::<prop::sample::Index>().prop_map(|i| Op::Remove(i.index(usize::MAX))),
        4 => (any::<prop::sample::Index>(), when())
            .prop_map(|(i, when)| Op::Reschedule(i.index(usize::MAX), when)),
        4 => step().prop_map(Op::Advance),
        2 => (step(), 0_usize..4).prop_map(|(when, most)| Op::Pop(when, most)),
        3 => Just(Op::Wait),
    ]
}

/// The wheel, and what it should hold.
struct Pair {
    wheel: Wheel<u64>,
    oracle: BTreeMap<(u64, u64), (u64, Key)>,
    now: u64,
    sequence: u64,
}

impl Pair {
    fn new(now: u64) -> Self {
        Pair { wheel: Wheel::new(now), oracle: BTreeMap::new(), now, sequence: 0 }
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn pick(&self, nth: usize) -> Option<(u64, u64)> {
        let count = self.oracle.len();
        (count > 0).then(|| *self.oracle.keys().nth(nth % count).unwrap())
    }

    fn insert(&mut self, deadline: u64) {
        let id = self.next_sequence();
        let key = self.wheel.insert(deadline, id);
        self.oracle.insert((deadline, id), (id, key));
    }

    fn remove(&mut self, nth: usize) {
        let Some(at) = self.pick(nth) else { return };
        let (id, key) = self.oracle.remove(&at).unwrap();
        assert_eq!(self.wheel.deadline(key), Some(at.0));
        assert_eq!(self.wheel.remove(key), Some(id));
        assert_eq!(self.wheel.remove(key), None);
    }

    fn reschedule(&mut self, nth: usize, deadline: u64) {
        let Some(at) = self.pick(nth) else { return };
        let entry = self.oracle.remove(&at).unwrap();
        let sequence = self.next_sequence();
        assert!(self.wheel.reschedule(entry.1, deadline));
        self.oracle.insert((deadline, sequence), entry);
    }

    fn pop(&mut self, now: u64) -> bool {
        self.now = self.now.max(now);
        let expected =
            self.oracle.first_key_value().filter(|((deadline, _), _)| *deadline <= self.now);
        let expected = expected.map(|((deadline, _), (id, key))| (*key, *deadline, *id));
        assert_eq!(self.wheel.pop(now), expected);
        if expected.is_some() {
            self.oracle.pop_first();
        }
        expected.is_some()
    }

    fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        let mut fired = Vec::new();
        self.wheel.advance(now, |key, deadline, id| fired.push((key, deadline, id)));
        let later = match self.now.checked_add(1) {
            Some(after) => self.oracle.split_off(&(after, 0)),
            None => BTreeMap::new(),
        };
        let due = std::mem::replace(&mut self.oracle, later);
        let due: Vec<_> = due.into_iter().map(|((at, _), (id, key))| (key, at, id)).collect();
        assert_eq!(fired, due);
    }

    /// With as few timers as these runs hold, the next deadline is always exact.
    fn check(&mut self) {
        assert_eq!(self.wheel.len(), self.oracle.len());
        let expected = self.oracle.first_key_value().map(|((deadline, _), _)| *deadline);
        assert_eq!(self.wheel.next_deadline(), expected);
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Insert(when) => self.insert(when.resolve(self.now)),
            Op::Remove(nth) => self.remove(nth),
            Op::Reschedule(nth, when) => self.reschedule(nth, when.resolve(self.now)),
            Op::Advance(when) => self.advance(when.resolve(self.now)),
            Op::Pop(when, most) => {
                let now = when.resolve(self.now);
                (0..most).take_while(|_| self.pop(now)).for_each(drop);
            }
            Op::Wait => {
                if let Some(deadline) = self.wheel.next_deadline() {
                    let before = self.oracle.len();
                    self.advance(deadline);
                    assert!(self.oracle.len() < before, "waiting for {deadline} fired nothing");
                }
            }
        }
    }

    fn finish(mut self) {
        let expected: Vec<u64> = self.oracle.values().map(|(id, _)| *id).collect();
        assert_eq!(self.wheel.drain(), expected);
        self.oracle.clear();
        self.check();
    }
}

/// `PROPTEST_CASES` asks for more.
fn cases(default: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    let cases = asked.unwrap_or(default);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(1024))]

    #[test]
    fn the_wheel_does_what_a_sorted_map_does(start in edgy(), ops in prop::collection::vec(op(), 1..60)) {
        let mut pair = Pair::new(start);
        for op in &ops {
            pair.apply(op);
            pair.check();
        }
        pair.finish();
    }

    /// Without looking at the next deadline after each step: its look at a slot repairs things too.
    #[test]
    fn nobody_has_to_ask_for_the_next_deadline(start in edgy(), ops in prop::collection::vec(op(), 1..60)) {
        let mut pair = Pair::new(start);
        ops.iter().filter(|op| !matches!(op, Op::Wait)).for_each(|op| pair.apply(op));
        pair.finish();
    }

    /// More timers in a slot than the look for the earliest takes in: the bound is early or exact, and waiting ends.
    #[test]
    fn crowded_slots_are_never_late(
        start in edgy(),
        spread in 0_u32..50,
        salts in prop::collection::vec(any::<u64>(), 80..300),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        moved in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        removed_between in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
    ) {
        let mut pair = Pair::new(start);
        salts.iter().for_each(|salt| pair.insert(start.saturating_add(salt >> (63 - spread))));
        removed.iter().for_each(|i| pair.remove(i.index(usize::MAX)));
        for i in &moved {
            let at = pair.pick(i.index(usize::MAX));
            let later = at.map_or(0, |at| at.0.saturating_add(1 << spread));
            pair.reschedule(i.index(usize::MAX), later);
        }
        let mut waits = 0;
        while let Some(earliest) = pair.oracle.keys().next().map(|at| at.0) {
            let wait = pair.wheel.next_deadline().unwrap();
            prop_assert!(wait <= earliest);
            pair.advance(wait);
            if let Some(i) = removed_between.get(waits) {
                pair.remove(i.index(usize::MAX));
            }
            waits += 1;
            prop_assert!(waits <= 20 * salts.len(), "waiting makes no progress");
        }
        pair.finish();
    }
}
