//! Virtual time, and the order of things in it.

use asyncio::sim::{
    Sim, Strategy, advance, cancel_points, drop_points, elapsed, jump_clock, settle,
};
use asyncio::{Queue, Runner, Semaphore, create_task, get_running_loop, secs, sleep, yield_now};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Runs it in asyncio's order and by some seeds.
fn simulate<F: Future>(main: impl Fn() -> F) {
    Sim::new(0).strategy(Strategy::Fifo).run(main()).unwrap();
    for seed in 0..200 {
        Sim::new(seed).run(main()).unwrap();
    }
}

/// As that, without polls for no reason, where turns are counted.
fn simulate_quietly<F: Future>(main: impl Fn() -> F) {
    for seed in 0..200 {
        Sim::new(seed).spurious_wakes(false).run(main()).unwrap();
    }
}

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, what: &str) {
    log.lock().unwrap().push(format!("{what} at {:?}", elapsed()));
}

fn noted(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

#[test]
fn advancing_runs_everything_in_between() {
    simulate(|| async {
        let log = Log::default();
        let of_task = log.clone();
        let task = create_task(async move {
            for _ in 0..3 {
                sleep(10 * MS).await;
                note(&of_task, "task");
            }
        });
        let of_callback = log.clone();
        get_running_loop().call_later(15 * MS, move || {
            note(&of_callback, "callback");
            get_running_loop().call_later(5 * MS, move || note(&of_callback, "its callback"));
        });
        settle().await;
        advance(14 * MS).await;
        assert_eq!(noted(&log), ["task at 10ms"]);
        advance(MS).await;
        assert_eq!(noted(&log), ["callback at 15ms"]);
        advance(85 * MS).await;
        let mut rest = noted(&log);
        rest.sort_unstable();
        assert_eq!(rest, ["its callback at 20ms", "task at 20ms", "task at 30ms"]);
        assert_eq!(elapsed(), 100 * MS);
        task.await.unwrap();
    });
}

#[test]
fn callbacks_of_one_time_come_in_the_order_of_their_making() {
    simulate(|| async {
        let log = Log::default();
        let at = get_running_loop().time() + 5 * MS;
        for name in ["one", "two", "three"] {
            let log = log.clone();
            get_running_loop().call_at(at, move || note(&log, name));
        }
        sleep(10 * MS).await;
        assert_eq!(noted(&log), ["one at 5ms", "two at 5ms", "three at 5ms"]);
    });
}

#[test]
fn all_clocks_agree() {
    simulate(|| async {
        let begin = asyncio::now();
        assert_eq!(get_running_loop().time(), begin);
        let late = asyncio::timeout(5 * MS, sleep(secs(1e6))).await;
        assert!(late.is_err());
        assert_eq!(asyncio::now() - begin, 5 * MS);
        assert_eq!(get_running_loop().time() - begin, elapsed());
        asyncio::timeout(5 * MS, sleep(4 * MS)).await.unwrap();
        assert_eq!(elapsed(), 9 * MS);
    });
}

#[test]
fn settling_lets_no_time_pass() {
    simulate(|| async {
        let queue = Arc::new(Queue::new(0));
        let taker = queue.clone();
        let task = create_task(async move {
            let first = taker.get().await.unwrap();
            yield_now().await;
            first + taker.get().await.unwrap()
        });
        let sleeper = create_task(sleep(MS));
        queue.put_nowait(1).unwrap();
        settle().await;
        assert!(!task.done() && !sleeper.done());
        queue.put_nowait(2).unwrap();
        settle().await;
        assert!(task.done() && !sleeper.done());
        assert_eq!(elapsed(), Duration::ZERO);
        assert_eq!(task.await.unwrap(), 3);
        sleeper.await.unwrap();
    });
}

#[test]
fn several_may_settle_at_once() {
    simulate(|| async {
        let settling: Vec<_> = (0..3).map(|_| create_task(settle())).collect();
        settle().await;
        for task in settling {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_clock_that_jumps_makes_sleeps_late_and_none_early() {
    for jump in
        [Duration::ZERO, Duration::from_nanos(1), 25 * 60 * secs(1.0), 366 * 86_400 * secs(1.0)]
    {
        simulate(|| async move {
            let log = Log::default();
            let tasks: Vec<_> = [1, 10, 10_000_000]
                .map(|ms| {
                    let log = log.clone();
                    create_task(async move {
                        let due = asyncio::now() + ms * MS;
                        sleep(ms * MS).await;
                        assert!(asyncio::now() >= due);
                        note(&log, &ms.to_string());
                    })
                })
                .into();
            settle().await;
            jump_clock(jump);
            settle().await;
            let fired = noted(&log).len();
            let due = [MS, 10 * MS, 10_000_000 * MS].iter().filter(|&&at| at <= jump).count();
            assert_eq!(fired, due);
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(elapsed(), jump.max(10_000_000 * MS));
        });
    }
}

// ----- asyncio's order

/// Callbacks, tasks and timers, noted as they come. The timers are so many times `unit` away.
async fn program(log: Log, unit: Duration) {
    let add = |what: &str| log.lock().unwrap().push(what.to_owned());
    let event_loop = get_running_loop();
    let logging = |what: &'static str| {
        let log = log.clone();
        move || log.lock().unwrap().push(what.to_owned())
    };
    let soon = logging("soon, by a callback");
    let inner = event_loop.clone();
    event_loop.call_soon(logging("soon"));
    event_loop.call_soon(move || drop(inner.call_soon(soon)));
    event_loop.call_later(Duration::ZERO, logging("at once"));
    event_loop.call_later(3 * unit, logging("after 3"));
    event_loop.call_later(unit, logging("after 1"));
    let tasks: Vec<_> = (0..3)
        .map(|number| {
            let log = log.clone();
            create_task(async move {
                for turn in 0..3 {
                    log.lock().unwrap().push(format!("task {number}, turn {turn}"));
                    match (number, turn) {
                        (1, 1) => sleep(2 * unit).await,
                        (2, 0) => sleep(Duration::ZERO).await,
                        _ => yield_now().await,
                    }
                }
            })
        })
        .collect();
    tasks[0].add_done_callback({
        let log = log.clone();
        move |_| log.lock().unwrap().push("task 0 is done".to_owned())
    });
    yield_now().await;
    add("main goes on");
    for task in tasks {
        task.await.unwrap();
        add("joined");
    }
    sleep(5 * unit).await;
}

#[test]
fn fifo_is_the_order_of_one_real_worker() {
    let simulated = Log::default();
    Sim::new(0).strategy(Strategy::Fifo).run(program(simulated.clone(), MS)).unwrap();
    let simulated = noted(&simulated);
    // A machine that is busy with something else fires timers late: then once more, with more time between them.
    let real = [5, 50, 500].map(|times| {
        move || {
            let real = Log::default();
            let mut runner = Runner::builder().workers(1).build().unwrap();
            runner.run(program(real.clone(), times * MS)).unwrap();
            noted(&real)
        }
    });
    assert!(real.iter().any(|real| real() == simulated), "not as {simulated:?}");
}

// ----- interruptions

#[test]
fn every_await_is_interrupted_twice() {
    simulate_quietly(|| async {
        let counts = Arc::new(Mutex::new((0, 0)));
        let scenario = || {
            let counts = counts.clone();
            async move {
                counts.lock().unwrap().0 += 1;
                sleep(MS).await;
                yield_now().await;
                sleep(MS).await;
                counts.lock().unwrap().1 += 1;
            }
        };
        assert_eq!(cancel_points(scenario).await, 3);
        // Two runs for each await, and one that nobody interrupts; whoever is interrupted does not finish.
        assert_eq!(*counts.lock().unwrap(), (7, 1));
        assert_eq!(drop_points(scenario).await, 3);
        assert_eq!(*counts.lock().unwrap(), (14, 2));
    });
}

#[test]
fn a_scenario_that_answers_a_cancel_goes_on() {
    simulate_quietly(|| async {
        let finished = Arc::new(Mutex::new(0));
        cancel_points(|| {
            let finished = finished.clone();
            async move {
                if let Err(cancelled) = asyncio::catch_cancelled(sleep(MS)).await {
                    cancelled.swallow();
                }
                *finished.lock().unwrap() += 1;
            }
        })
        .await;
        assert_eq!(*finished.lock().unwrap(), 3);
    });
}

#[test]
fn a_permit_is_not_lost_wherever_its_owner_is_interrupted() {
    simulate(|| async {
        let permits = Arc::new(Semaphore::new(1));
        let scenario = || {
            let permits = permits.clone();
            async move {
                let other = permits.clone();
                let holder = create_task(async move {
                    let _permit = other.acquire().await;
                    yield_now().await;
                });
                yield_now().await;
                drop(permits.acquire().await);
                drop(holder.await);
            }
        };
        assert!(cancel_points(scenario).await > 0);
        assert!(drop_points(scenario).await > 0);
        settle().await;
        assert!(permits.try_acquire().is_some());
    });
}
