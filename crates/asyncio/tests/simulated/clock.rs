//! A clock that jumps, as it does when the machine has slept: nothing is early, what is overdue happens at once, and nothing spins.

use crate::harness::{run, seeds};
use asyncio::sim::{Sim, jump_clock, rng, settle};
use asyncio::{
    Deadline, Task, create_task, get_running_loop, interval, now, secs, sleep, sleep_until,
    sometimes, timeout_at, timeout_scope,
};
use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const JUMPS: [Duration; 4] =
    [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(25 * 60), YEAR];

/// Few steps: a loop that looks at the clock again and again would make more.
fn few_steps(sim: Sim) -> Sim {
    sim.steps(500)
}

fn at_its_time(
    at: Instant,
    wait: impl Future<Output = ()> + Send + 'static,
) -> (Instant, Task<()>) {
    let task = create_task(async move {
        wait.await;
        assert!(now() >= at, "early");
    });
    (at, task)
}

/// All that waits for a time, until then.
fn waits_until(at: Instant) -> [(Instant, Task<()>); 3] {
    let plain = sleep_until(at);
    let limit = async move { assert!(timeout_at(at, pending::<()>()).await.is_err()) };
    let scope = async move {
        let over = timeout_scope(None, async |deadline: Deadline| {
            deadline.reschedule(at).unwrap();
            pending::<()>().await
        });
        assert!(over.await.is_err());
    };
    [at_its_time(at, plain), at_its_time(at, limit), at_its_time(at, scope)]
}

#[test]
fn what_is_overdue_happens_at_once() {
    run("clock::what_is_overdue_happens_at_once", seeds(), few_steps, || async {
        let begin = now();
        let fired = Arc::new(AtomicUsize::new(0));
        let delays = [Duration::ZERO, Duration::from_nanos(1), secs(1.0), secs(1500.0), 2 * YEAR];
        let mut waits = Vec::new();
        for delay in delays {
            let (at, count) = (begin + delay, fired.clone());
            waits.extend(waits_until(at));
            get_running_loop().call_at(at, move || {
                assert!(now() >= at, "early");
                count.fetch_add(1, SeqCst);
            });
        }
        for _ in 0..4 {
            let jump = JUMPS[rng().below(4) as usize];
            jump_clock(jump);
            let jumped_to = now();
            // No time passes before all is at rest.
            settle().await;
            assert_eq!(now(), jumped_to);
            let (due, rest): (Vec<_>, Vec<_>) = waits.into_iter().partition(|(at, _)| *at <= now());
            sometimes!("a year is overdue", due.len() > 3 && jump == YEAR);
            for (_, task) in due {
                assert!(task.done(), "overdue");
                task.await.unwrap();
            }
            assert_eq!(fired.load(SeqCst), delays.iter().filter(|&&d| begin + d <= now()).count());
            assert!(rest.iter().all(|(_, task)| !task.done()));
            waits = rest;
            if rng().one_in(2) {
                sleep(Duration::from_nanos(rng().below(2_000_000_000))).await;
            }
        }
        for (_, task) in waits {
            task.await.unwrap();
        }
        settle().await;
        assert_eq!(fired.load(SeqCst), delays.len());
    });
}

#[test]
fn an_interval_that_slept_too_long() {
    run("clock::an_interval_that_slept_too_long", seeds(), few_steps, || async {
        let begin = now();
        let jump = JUMPS[rng().below(4) as usize];
        let jumper = create_task(async move {
            sleep(secs(1.5)).await;
            jump_clock(jump);
        });
        let mut ticks = interval(secs(1.0));
        for count in 0..6 {
            let due = ticks.tick().await;
            assert_eq!(due, begin + secs(f64::from(count)), "each tick, in its turn");
            assert!(due <= now(), "early");
        }
        sometimes!("all are late", now() > begin + YEAR);
        assert!(now() - begin >= secs(5.0));
        assert!(now() - begin <= secs(5.0) + jump);
        jumper.await.unwrap();
    });
}
