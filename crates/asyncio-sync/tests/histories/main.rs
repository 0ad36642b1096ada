//! Generated histories of the primitives against sequential oracles.
//!
//! A history is what a few tasks did to one primitive: they run random programs on one thread, in a random order, each step chosen
//! by a seed, are cancelled at random points, polled for no reason and with changing wakers. Every effect is written down in the
//! order in which it happened. Then an oracle, a few numbers and lists without wakers, reads the history and says whether each step was allowed;
//! and in the end, whether somebody still waits who had been given something: a lost wake-up.
//!
//! `ASYNCIO_HISTORIES` sets how many per primitive, `ASYNCIO_SEED` where they begin. A failure names its seed.

mod event;
mod lock;
mod queue;
mod semaphore;
mod steps;

use steps::{Entry, Oracle, Subject, history, judge};

/// Per primitive.
const HISTORIES: u64 = 50_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn check<S: Subject>() {
    let first = number("ASYNCIO_SEED", 0);
    for seed in first..first + number("ASYNCIO_HISTORIES", HISTORIES) {
        let (oracle, entries) = history::<S>(seed);
        if let Err(complaint) = judge(oracle, &entries) {
            panic!("ASYNCIO_SEED={seed} ASYNCIO_HISTORIES=1: {complaint}\n{entries:#?}");
        }
    }
}

#[test]
fn of_a_lock() {
    check::<lock::Subject>();
}

#[test]
fn of_a_semaphore() {
    check::<semaphore::Subject>();
}

#[test]
fn of_an_event() {
    check::<event::Subject>();
}

#[test]
fn of_a_queue() {
    check::<queue::Subject>();
}

/// How many of 2 000 histories are refused when one entry is left out.
fn refused<S: Subject>() -> usize {
    (0..2_000)
        .filter(|&seed| {
            let (oracle, mut entries) = history::<S>(seed);
            if !entries.is_empty() {
                entries.remove(seed as usize % entries.len());
            }
            judge(oracle, &entries).is_err()
        })
        .count()
}

/// The oracles see something: most histories with a hole are impossible. (Some are not: nobody notices a missing `try` that failed.)
#[test]
fn an_oracle_notices_what_is_missing() {
    let counts = [
        refused::<lock::Subject>(),
        refused::<semaphore::Subject>(),
        refused::<event::Subject>(),
        refused::<queue::Subject>(),
    ];
    assert!(counts.iter().all(|&refused| refused > 800), "refused: {counts:?} of 2000 each");
}

/// The same seed gives the same history.
#[test]
fn a_seed_is_replayed() {
    for seed in 0..100 {
        let text = |entries: Vec<Entry<_>>| format!("{entries:?}");
        let (first, second) = (history::<queue::Subject>(seed), history::<queue::Subject>(seed));
        assert_eq!(text(first.1), text(second.1));
    }
}

/// Cancelled before its turn, in its turn, while it waits: all of that happens.
#[test]
fn histories_reach_the_rare_states() {
    let (mut cancelled, mut passed_on, mut blocked) = (0, 0, 0);
    for seed in 0..2_000 {
        let (mut oracle, entries) = history::<semaphore::Subject>(seed);
        for entry in &entries {
            match entry {
                Entry::Did(task, act) => oracle.apply(*task, act).expect("judged elsewhere"),
                Entry::Cancelled(task) => {
                    cancelled += 1;
                    passed_on += usize::from(oracle.owed().contains(task));
                    oracle.cancel(*task);
                }
            }
        }
        blocked += usize::from(!oracle.waiting().is_empty());
    }
    assert!(cancelled > 1_000, "{cancelled} cancels");
    assert!(
        passed_on > 20,
        "{passed_on} tasks were cancelled with a permit that they did not know of"
    );
    assert!(blocked > 20, "{blocked} histories ended with tasks that wait for ever");
}
