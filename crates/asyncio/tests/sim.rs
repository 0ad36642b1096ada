//! The simulation: virtual time, deadlocks, schedules, and the attribute.

#[path = "common/quiet.rs"]
mod quiet;

use asyncio::sim::{FailureKind, Sim, Strategy, WaitKind, explore};
use asyncio::{Lock, create_task, secs, sleep, yield_now};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const STRATEGIES: [Strategy; 3] = [Strategy::Fifo, Strategy::Random, Strategy::Pct(3)];

#[test]
fn a_year_passes_in_no_time() {
    let year = Duration::from_secs(365 * 24 * 3600);
    for strategy in STRATEGIES {
        // The fastest of some: the machine may be busy with something else.
        let fastest = (0..20).map(|seed| {
            let begin = Instant::now();
            let passed = Sim::new(seed).strategy(strategy).run(async move {
                let begin = asyncio::now();
                sleep(year).await;
                asyncio::now() - begin
            });
            assert_eq!(passed.unwrap(), year);
            begin.elapsed()
        });
        assert!(fastest.min() < Some(Duration::from_millis(1)));
    }
}

async fn opposite_orders() {
    let (a, b) = (Arc::new(Lock::new(())), Arc::new(Lock::new(())));
    let (a2, b2) = (a.clone(), b.clone());
    let other = create_task(async move {
        let _b = b2.acquire().await;
        yield_now().await;
        let _a = a2.acquire().await;
    });
    let _a = a.acquire().await;
    sleep(secs(1.0)).await;
    let _b = b.acquire().await;
    other.await.unwrap();
}

#[test]
fn a_deadlock_names_who_waits_for_whom() {
    for strategy in STRATEGIES {
        let failure = Sim::new(7).strategy(strategy).run(opposite_orders()).unwrap_err();
        let text = failure.to_string();
        let FailureKind::Deadlock { waiting } = failure.kind else { panic!("{text}") };
        assert_eq!(waiting.len(), 2);
        for task in &waiting {
            assert_eq!(task.waits_for.map(|(kind, _)| kind), Some(WaitKind::Lock));
            assert!(waiting.iter().any(|other| Some(other.id.get()) == task.whom));
        }
        assert!(text.contains("each waits for the next: \"main\" -> "), "{text}");
        assert_eq!(failure.time, Duration::from_secs(1));
    }
}

#[asyncio::test]
async fn a_test_sleeps_for_an_hour() {
    let begin = asyncio::now();
    sleep(secs(3600.0)).await;
    assert_eq!(asyncio::now() - begin, secs(3600.0));
}

#[asyncio::test(seeds = 100, workers = 2, timeout = 60)]
async fn a_test_may_return_an_error() -> Result<(), io::Error> {
    sleep(secs(36.0)).await;
    Ok(())
}

#[asyncio::test(real, workers = 2, timeout = 60)]
async fn a_test_may_be_real() {
    let begin = Instant::now();
    sleep(secs(0.01)).await;
    assert!(begin.elapsed() >= secs(0.01));
}

/// Two tasks that add 1, with an await between reading and writing.
async fn add_twice() {
    let number = Arc::new(AtomicU32::new(0));
    let add = |number: Arc<AtomicU32>| async move {
        let before = number.load(Ordering::Relaxed);
        yield_now().await;
        number.store(before + 1, Ordering::Relaxed);
    };
    let tasks = [create_task(add(number.clone())), create_task(add(number.clone()))];
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(number.load(Ordering::Relaxed), 2, "an addition was lost");
}

#[asyncio::test(seeds = 1000)]
#[should_panic(expected = "an addition was lost")]
async fn a_race_is_found() {
    add_twice().await;
}

/// A plain `#[test]` is ambiguous beside the glob until it is imported by its name.
mod everything_imported {
    use asyncio::*;
    use core::prelude::v1::test;

    #[test]
    fn a_plain_test_is_in_no_simulation() {
        assert!(try_get_running_loop().is_err());
    }

    #[asyncio::test]
    async fn a_test_by_its_path_is_in_one() {
        let begin = now();
        sleep(secs(3600.0)).await;
        assert_eq!(now() - begin, secs(3600.0));
    }
}

#[test]
fn a_schedule_that_failed_fails_again() {
    let failure = explore(1000, |sim| sim, add_twice).unwrap_err();
    let again = Sim::replay(&failure.schedule.to_string()).unwrap().run(add_twice()).unwrap_err();
    assert!(matches!(again.kind, FailureKind::Panic(_)));
    assert_eq!(again.step, failure.step);
    assert_eq!(again.schedule.choices, failure.schedule.choices);
}

/// Two withdrawals that look, each under the lock, and then take, under the lock again. Nobody waits in between, as the lock is free.
async fn withdraw_twice() {
    let account = Arc::new(Lock::new(100));
    let withdraw = |account: Arc<Lock<i32>>| async move {
        if *account.acquire().await >= 80 {
            *account.acquire().await -= 80;
        }
    };
    let tasks = [create_task(withdraw(account.clone())), create_task(withdraw(account.clone()))];
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*account.acquire().await, 20);
}

#[test]
fn a_task_is_interrupted_also_where_it_need_not_wait() {
    for strategy in [Strategy::Random, Strategy::Pct(3)] {
        let found = quiet::quietly(|| explore(1000, |sim| sim.strategy(strategy), withdraw_twice));
        assert!(matches!(found.unwrap_err().kind, FailureKind::Panic(_)));
        // On one worker a task runs until it waits.
        explore(200, |sim| sim.strategy(strategy).workers(1), withdraw_twice).unwrap();
    }
    explore(1, |sim| sim.strategy(Strategy::Fifo), withdraw_twice).unwrap();
}
