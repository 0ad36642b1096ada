//! Programs that a simulation has to bear: panics in destructors, loops inside loops, times beyond all clocks. Each by every strategy, on one worker and
//! on many, with polls for no reason and without.

#[path = "common/quiet.rs"]
mod quiet;

use asyncio::sim::{Failure, FailureKind, Sim, Strategy, explore, jump_clock};
use asyncio::{Event, Lock, Queue, create_task, get_running_loop, secs, sleep, yield_now};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STRATEGIES: [Strategy; 4] =
    [Strategy::Fifo, Strategy::Random, Strategy::Pct(1), Strategy::Pct(3)];

fn each(check: impl Fn(Sim)) {
    let check = |strategy, workers, wakes| {
        for seed in 0..5 {
            check(Sim::new(seed).strategy(strategy).workers(workers).spurious_wakes(wakes));
        }
    };
    for strategy in STRATEGIES {
        for workers in [1, 2, 16] {
            check(strategy, workers, false);
            check(strategy, workers, true);
        }
    }
}

fn fails<T>(ran: Result<T, Box<Failure>>, is_it: impl Fn(&FailureKind) -> bool) {
    let failure = ran.err().expect("it fails");
    assert!(is_it(&failure.kind), "{failure}");
}

/// Panics when dropped, if nothing panics already.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "expected: a destructor panics");
    }
}

#[test]
fn destructors_may_panic() {
    let bomb = || async {
        let _bomb = Bomb;
        Event::new().wait().await;
    };
    quiet::quietly(|| {
        each(|sim| {
            let cancelled = sim.run(async {
                let task = create_task(bomb());
                yield_now().await;
                task.cancel();
                assert!(task.await.is_err());
            });
            cancelled.unwrap();
            fails(sim.run(bomb()), |kind| matches!(kind, FailureKind::Deadlock { .. }));
            let left = sim.run(async { drop(create_task(bomb())) });
            fails(left, |kind| matches!(kind, FailureKind::Leak { .. }));
            assert_eq!(sim.run(async { 3 }).unwrap(), 3, "the thread is as it was");
        });
    });
}

#[test]
fn an_output_may_make_tasks_as_it_is_dropped() {
    struct Maker;

    impl Drop for Maker {
        fn drop(&mut self) {
            if let Ok(event_loop) = asyncio::try_get_running_loop() {
                drop(event_loop.create_task(yield_now()));
            }
        }
    }

    each(|sim| {
        drop(sim.run(async { Maker }).unwrap());
        sim.run(async { drop(create_task(async { Maker }).await.unwrap()) }).unwrap();
        let left = sim.run(async {
            drop(create_task(pending::<()>()));
            Maker
        });
        fails(left, |kind| matches!(kind, FailureKind::Leak { .. }));
    });
}

#[test]
fn loops_inside_are_refused_and_beside_are_not() {
    quiet::quietly(|| {
        each(|sim| {
            let inner = sim.clone();
            let inside = sim.run(async move { inner.run(async {}).is_ok() });
            fails(inside, |kind| matches!(kind, FailureKind::Panic(_)));
            let real = sim.run(async { asyncio::run(async {}) });
            fails(real, |kind| matches!(kind, FailureKind::Panic(_)));
        });
    });
    each(|sim| {
        let inner = sim.clone();
        let beside = sim.run(async move {
            let task = async { create_task(async { 4 }).await.unwrap() };
            std::thread::spawn(move || inner.run(task).unwrap()).join().unwrap()
        });
        assert_eq!(beside.unwrap(), 4);
    });
}

#[test]
fn a_loop_may_be_stopped() {
    each(|sim| {
        let stopped = sim.run(async {
            create_task(async { get_running_loop().stop() }).await.unwrap();
            sleep(secs(1.0)).await;
        });
        fails(stopped, |kind| matches!(kind, FailureKind::Stopped));
    });
}

#[test]
fn times_may_be_beyond_all_clocks() {
    each(|sim| {
        let ran = sim.run(async {
            let endless = [Duration::MAX, Duration::from_secs(u64::MAX / 4)];
            let endless = endless.map(|time| create_task(sleep(time)));
            for _ in 0..2 {
                sleep(secs(1.0)).await;
                jump_clock(Duration::MAX);
            }
            assert!(endless.iter().all(|task| task.cancel()));
            for task in endless {
                drop(task.await);
            }
            asyncio::timeout(Duration::MAX, sleep(secs(1.0))).await.unwrap();
        });
        ran.unwrap();
        let late = sim.clone().time_limit(Duration::ZERO).run(sleep(secs(1.0)));
        fails(late, |kind| matches!(kind, FailureKind::TimeLimit { .. }));
    });
}

#[test]
fn a_run_may_have_no_step_at_all() {
    each(|sim| {
        let steps = |most| {
            let ran = sim.clone().steps(most).run(async { yield_now().await });
            ran.map_err(|failure| {
                (matches!(failure.kind, FailureKind::StepLimit { .. }), failure.step)
            })
        };
        assert_eq!(steps(0), Err((true, 0)));
        assert_eq!(steps(1), Err((true, 1)));
        assert_eq!(steps(9), Ok(()));
    });
}

#[test]
fn waits_for_several_things_are_no_lost_wake_ups() {
    each(|sim| {
        let ran = sim.run(async {
            let event = Arc::new(Event::new());
            let raced = event.clone();
            let race = create_task(async move {
                asyncio::race!(raced.wait(), pending::<()>());
            });
            let join = create_task(async { asyncio::join!(pending::<()>(), sleep(secs(3.0))) });
            let inner = create_task(async move {
                event.wait().await;
            });
            drop((asyncio::shield(inner).await, race.await, join.await));
        });
        fails(ran, |kind| matches!(kind, FailureKind::Deadlock { .. }));
    });
}

/// What a program with some of everything has seen, names and numbers of tasks too.
async fn seen() -> String {
    let log = Arc::new(Lock::new(Vec::new()));
    let queue = Arc::new(Queue::new(2));
    let work = |number: u64| {
        let (log, queue) = (log.clone(), queue.clone());
        async move {
            for turn in 0..3 {
                let name = asyncio::current_task().unwrap().get_name();
                log.acquire().await.push((name, turn, asyncio::sim::elapsed()));
                match number % 2 {
                    0 => queue.put(number).await.unwrap(),
                    _ => drop(queue.get().await.unwrap()),
                }
                asyncio::to_thread(|| ()).await;
                sleep(Duration::from_millis(asyncio::sim::rng().below(3))).await;
            }
        }
    };
    let tasks: Vec<_> = (0..4).map(|number| create_task(work(number))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    format!("{:?}", log.acquire().await)
}

#[test]
fn a_seed_gives_the_same_run_on_every_thread() {
    let all = || {
        let seen = Mutex::new(Vec::new());
        each(|sim| seen.lock().unwrap().push(sim.run(seen_twice()).unwrap()));
        seen.into_inner().unwrap()
    };
    async fn seen_twice() -> (String, String) {
        (seen().await, seen().await)
    }
    let threads = [(); 3].map(|()| std::thread::spawn(all));
    let [one, two, three] = threads.map(|thread| thread.join().unwrap());
    assert!(one == two && two == three);
}

/// One report of each run, whoever makes it.
fn report<F: Future>(sim: &Sim, main: F) -> Option<Box<Failure>> {
    sim.run(main).err()
}

#[test]
fn a_replay_is_exact() {
    async fn in_any_order_but_one() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let task = |number| {
            let order = order.clone();
            async move {
                sleep(secs(1.0)).await;
                yield_now().await;
                order.lock().unwrap().push(number);
            }
        };
        let tasks: Vec<_> = (0..4).map(|number| create_task(task(number))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_ne!(*order.lock().unwrap(), [3, 1, 2, 0], "expected: just this order");
    }

    quiet::quietly(|| {
        for (strategy, workers) in
            [(Strategy::Random, 1), (Strategy::Random, 16), (Strategy::Pct(3), 2)]
        {
            let sim = |sim: Sim| sim.strategy(strategy).workers(workers);
            let mut all = (0..20_000).map(|seed| sim(Sim::new(seed)));
            let found = all.find_map(|sim| report(&sim, in_any_order_but_one())).unwrap();
            let shrunk = explore(20_000, sim, in_any_order_but_one).unwrap_err();
            let again = Sim::replay(&found.schedule.to_string()).unwrap();
            let again = report(&again, in_any_order_but_one()).unwrap();
            assert_eq!(again.to_string(), found.to_string());
            let again = Sim::replay(&shrunk.schedule.to_string()).unwrap();
            let again = report(&again, in_any_order_but_one()).unwrap();
            assert_eq!((again.step, &again.schedule), (shrunk.step, &shrunk.schedule));
        }
    });
}
