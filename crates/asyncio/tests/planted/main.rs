//! Bugs that were put there on purpose: does the simulation find them?
//!
//! Each file is a small primitive in two forms, with one of the classic bugs (`FIXED` is false) and without. The broken one has to be found within 10 000
//! seeds by either strategy, and the other has to pass as many as are tried. The numbers are those of the seeds that found it when this was written; they change
//! with every choice that the simulation makes.
//!
//! `cargo test --test planted -- --nocapture` tells them anew; `ASYNCIO_SEEDS` says by how many seeds the fixed ones are tried.

#[path = "../common/quiet.rs"]
mod quiet;

use asyncio::sim::{FailureKind, Sim, Strategy, explore};
use std::future::Future;

const MOST: u64 = 10_000;

/// What a bug shows itself by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shows {
    Panic,
    Deadlock,
    StepLimit,
}

fn shown(kind: &FailureKind) -> Option<Shows> {
    match kind {
        FailureKind::Panic(_) => Some(Shows::Panic),
        FailureKind::Deadlock { .. } => Some(Shows::Deadlock),
        FailureKind::StepLimit { .. } => Some(Shows::StepLimit),
        _ => None,
    }
}

/// Bounded, for the one that never ends.
fn played(sim: Sim, strategy: Strategy) -> Sim {
    sim.strategy(strategy).steps(2_000)
}

fn check<B, F>(name: &str, shows: Shows, broken: impl Fn() -> B, fixed: impl Fn() -> F)
where
    B: Future<Output = ()>,
    F: Future<Output = ()>,
{
    let tried = std::env::var("ASYNCIO_SEEDS").ok().and_then(|text| text.parse().ok());
    for strategy in [Strategy::Random, Strategy::Pct(3)] {
        let found = quiet::quietly(|| explore(MOST, |sim| played(sim, strategy), &broken));
        let failure = found.expect_err("the bug was not found");
        assert_eq!(shown(&failure.kind), Some(shows), "{failure}");
        println!("{name}: found at seed {} by {strategy}", failure.seed);
        if let Err(failure) = explore(tried.unwrap_or(1_000), |sim| played(sim, strategy), &fixed) {
            panic!("the fixed {name} fails: {failure}");
        }
    }
}

macro_rules! planted {
    ($($bug:ident shows $shows:ident),* $(,)?) => {
        $(
            mod $bug;

            #[test]
            fn $bug() {
                check(stringify!($bug), Shows::$shows, $bug::scenario::<false>, $bug::scenario::<true>);
            }
        )*
    };
}

planted! {
    lost_permit shows Deadlock,
    missed_recheck shows Deadlock,
    barging_lock shows Panic,
    dropped_item shows Panic,
    starving_pair shows StepLimit,
    barrier_index shows Panic,
    lost_result shows Panic,
    swallowed_cancel shows Panic,
    lost_notify shows Deadlock,
    gone_writer shows Deadlock,
}
