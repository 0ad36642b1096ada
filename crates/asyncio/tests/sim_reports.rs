//! What a simulation reports, and how.

use asyncio::sim::{Explored, Failure, FailureKind, Sim, Strategy, explore};
use asyncio::{Event, create_task, get_running_loop, secs, sleep, yield_now};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::time::Duration;

/// The report of a run that fails, by each strategy.
fn failures<F: std::future::Future>(main: impl Fn() -> F) -> Vec<Failure> {
    let strategies = [Strategy::Fifo, Strategy::Random, Strategy::Pct(3)];
    let run = |strategy| Sim::new(3).strategy(strategy).run(main());
    strategies.map(|strategy| *run(strategy).err().expect("it fails")).into()
}

fn assert_told(failures: &[Failure], told: &[&str]) {
    for failure in failures {
        let text = failure.to_string();
        told.iter().for_each(|told| assert!(text.contains(told), "{told:?} is not in {text}"));
    }
}

#[test]
fn a_task_that_is_left_behind_is_named() {
    let failures = failures(|| async {
        let forever = asyncio::TaskBuilder::new().name("forgotten");
        drop(forever.create_task(async {
            Event::new().wait().await;
        }));
    });
    assert_told(
        &failures,
        &["leak: ", "\"forgotten\" (made at crates/asyncio/tests/sim_reports.rs:"],
    );
    assert_told(&failures, &["waits at ", "for an event"]);
    let is_leak = |failure: &Failure| match &failure.kind {
        FailureKind::Leak { tasks } => tasks.len() == 1 && &*tasks[0].name == "forgotten",
        _ => false,
    };
    assert!(failures.iter().all(is_leak));
}

#[test]
fn a_task_that_ends_by_itself_is_no_leak() {
    for seed in 0..100 {
        let ran = Sim::new(seed).run(async {
            drop(create_task(async {
                yield_now().await;
                yield_now().await;
            }));
        });
        ran.unwrap();
    }
}

#[test]
fn leaks_can_be_allowed() {
    let ran = Sim::new(1).allow_leaks(true).run(async {
        drop(create_task(sleep(secs(5.0))));
        7
    });
    assert_eq!(ran.unwrap(), 7);
}

#[test]
fn a_wake_up_that_was_forgotten_is_told_from_a_deadlock() {
    // Polls for no reason may hide it: they are what such a future lives by.
    let quiet = |strategy| Sim::new(3).strategy(strategy).spurious_wakes(false);
    for strategy in [Strategy::Fifo, Strategy::Random, Strategy::Pct(3)] {
        let ran = quiet(strategy).run(async {
            let set = Arc::new(Mutex::new(false));
            let looked = set.clone();
            let task = create_task(poll_fn(move |_cx| match *looked.lock().unwrap() {
                true => Poll::Ready(()),
                // Nobody is told whom to wake.
                false => Poll::Pending,
            }));
            // Until it waits.
            asyncio::sim::settle().await;
            *set.lock().unwrap() = true;
            task.await.unwrap();
        });
        let failure = ran.unwrap_err();
        assert!(matches!(failure.kind, FailureKind::LostWakeUp { .. }), "{failure}");
        assert_told(&[*failure], &["lost wake-up: ", "\"Task-"]);
    }
}

#[test]
fn a_run_without_end_is_stopped() {
    let ran = Sim::new(1).steps(1000).run(async {
        loop {
            yield_now().await;
        }
    });
    let failure = ran.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::StepLimit { limit: 1000, .. }), "{failure}");
}

#[test]
fn a_task_that_asks_again_and_again_is_no_run_without_end() {
    for seed in 0..8 {
        let ran = Sim::new(seed).strategy(Strategy::Pct(1)).steps(20_000).run(async {
            let task = create_task(yield_now());
            while !task.done() {
                yield_now().await;
            }
        });
        ran.unwrap();
    }
}

#[test]
fn a_report_is_the_same_to_the_letter_and_tells_what_each_step_did() {
    let report = || {
        let failure = Sim::new(1).spurious_wakes(false).run(async {
            let event = Arc::new(Event::new());
            let waiter = event.clone();
            let task = create_task(async move {
                sleep(secs(1.0)).await;
                waiter.wait().await;
            });
            task.await.unwrap();
        });
        failure.unwrap_err().to_string()
    };
    let told = report();
    assert_eq!(told, report());
    let steps: Vec<&str> = told.lines().filter(|line| line.starts_with("  step")).collect();
    let did = ["\"main\" (made at ", "\"Task-2\" (made at ", "\"Task-2\" waits at "];
    assert_eq!(steps.len(), did.len(), "{told}");
    assert!(steps.iter().zip(did).all(|(step, did)| step.contains(did)), "{told}");
    assert!(steps[0].contains(" waits for the end of the task made at "), "{told}");
    assert!(steps[1].ends_with(" for a time to come") && steps[2].ends_with(" for an event"));
}

#[test]
fn what_comes_of_an_escape_is_not_what_is_told() {
    let failures = failures(|| async {
        asyncio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("expected: it fails")
    });
    let is_escape = |failure: &Failure| matches!(failure.kind, FailureKind::Escape { .. });
    assert!(failures.iter().all(is_escape), "{failures:?}");
}

#[test]
fn virtual_time_can_be_limited() {
    let limit = Duration::from_secs(60);
    assert!(Sim::new(1).time_limit(limit).run(sleep(limit)).is_ok());
    let failure = Sim::new(1).time_limit(limit).run(sleep(limit * 2)).unwrap_err();
    assert!(matches!(failure.kind, FailureKind::TimeLimit { .. }), "{failure}");
    assert_told(&[*failure], &["\"main\"", "for a time to come"]);
}

#[test]
fn an_error_that_nobody_waits_for_fails_the_run() {
    let failures = failures(|| async {
        get_running_loop().call_soon(|| panic!("expected: nobody waits for it"));
        sleep(secs(1.0)).await;
    });
    assert_told(&failures, &["an error that nobody handled", "expected: nobody waits for it"]);
    // Unless the program has a handler for such errors.
    let handled = Sim::new(1).run(async {
        get_running_loop().set_exception_handler(Some(|_: &_, _: &_| {}));
        get_running_loop().call_soon(|| panic!("expected: it is handled"));
        sleep(secs(1.0)).await;
    });
    handled.unwrap();
}

#[test]
fn a_panic_of_a_task_that_nobody_awaits_fails_the_run() {
    let failures = failures(|| async {
        drop(create_task(async { panic!("expected: nobody awaits it") }));
        sleep(secs(1.0)).await;
    });
    assert_told(&failures, &["an error that nobody handled", "expected: nobody awaits it"]);
}

#[test]
fn main_may_be_cancelled_or_stopped() {
    let cancelled = Sim::new(1).run(async {
        asyncio::current_task().unwrap().cancel();
        yield_now().await;
    });
    assert!(matches!(cancelled.unwrap_err().kind, FailureKind::Cancelled));
    let stopped = Sim::new(1).run(async {
        get_running_loop().stop();
        pending::<()>().await;
    });
    assert!(matches!(stopped.unwrap_err().kind, FailureKind::Stopped));
}

// ----- ways out of the simulation

#[test]
fn a_real_socket_is_a_way_out() {
    let failures = failures(|| async {
        let bound = asyncio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::Unsupported);
    });
    assert_told(
        &failures,
        &["a real descriptor leaves the simulation at crates/asyncio/tests/sim_reports.rs:"],
    );
}

#[test]
fn the_resolver_is_a_way_out_and_numbers_are_not() {
    let failures = failures(|| async {
        let asked = get_running_loop().getaddrinfo("localhost", 80).await;
        assert_eq!(asked.unwrap_err().kind(), io::ErrorKind::Unsupported);
    });
    assert_told(
        &failures,
        &["the system's resolver leaves the simulation at crates/asyncio/tests/sim_reports.rs:"],
    );
    let numbers = Sim::new(1).run(async { get_running_loop().getaddrinfo("127.0.0.1", 80).await });
    assert_eq!(numbers.unwrap().unwrap(), [SocketAddr::from((Ipv4Addr::LOCALHOST, 80))]);
}

#[cfg(all(unix, feature = "signal"))]
#[test]
fn a_signal_handler_is_a_way_out() {
    let failures = failures(|| async {
        let added = get_running_loop().add_signal_handler(15, || {});
        assert_eq!(added, Err(asyncio::SignalError::Simulated));
    });
    assert_told(&failures, &["add_signal_handler leaves the simulation at "]);
}

/// Runs `f` on a thread of its own, and waits for its end.
fn elsewhere(f: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name("elsewhere".into());
    thread.spawn(f).unwrap().join().unwrap();
}

#[test]
fn a_call_from_another_thread_is_a_way_in() {
    let failures = failures(|| async {
        let event_loop = get_running_loop();
        elsewhere(move || drop(event_loop.call_soon_threadsafe(|| {})));
        yield_now().await;
    });
    assert_told(&failures, &["call_soon_threadsafe leaves the simulation at "]);
    assert_told(&failures, &["tests/sim_reports.rs:", "on the thread \"elsewhere\""]);
}

#[test]
fn a_coroutine_from_another_thread_is_a_way_in() {
    let failures = failures(|| async {
        let event_loop = get_running_loop();
        elsewhere(move || drop(asyncio::run_coroutine_threadsafe(async {}, &event_loop)));
        yield_now().await;
    });
    assert_told(&failures, &["run_coroutine_threadsafe leaves the simulation at "]);
}

#[test]
fn a_wake_from_another_thread_is_told_with_the_task() {
    let failures = failures(|| async {
        let woken = Arc::new(Event::new());
        let setter = woken.clone();
        let waiter = asyncio::TaskBuilder::new().name("waiter");
        let waiter = waiter.create_task(async move {
            woken.wait().await;
        });
        asyncio::sim::settle().await;
        elsewhere(move || setter.set());
        waiter.await.unwrap();
    });
    assert_told(&failures, &["another thread woke a task of the simulation", "\"waiter\""]);
}

#[test]
fn main_woken_from_another_thread_is_told_too() {
    for workers in [1, 4] {
        let sim = Sim::new(2).workers(workers).spurious_wakes(false);
        let failure = sim.run(async {
            let waker = Arc::new(Mutex::new(None));
            let taken = waker.clone();
            let waking = create_task(async move {
                asyncio::sim::settle().await;
                let waker: Option<Waker> = taken.lock().unwrap().take();
                elsewhere(|| waker.unwrap().wake());
            });
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                *waker.lock().unwrap() = Some(cx.waker().clone());
                if polls == 1 { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            waking.await.unwrap();
        });
        assert_told(&[*failure.unwrap_err()], &["another thread woke a task", "\"main\""]);
    }
}

// ----- jobs

#[test]
fn jobs_run_on_the_simulated_thread() {
    let here = std::thread::current().id();
    let pool = Arc::new(asyncio::ThreadPoolExecutor::new(2));
    for seed in 0..50 {
        let pool = pool.clone();
        let ran = Sim::new(seed).run(async move {
            let one = asyncio::to_thread(|| std::thread::current().id()).await;
            let other = get_running_loop()
                .run_in_executor(Some(&pool), || std::thread::current().id())
                .await
                .unwrap();
            (one, other)
        });
        assert_eq!(ran.unwrap(), (here, here));
    }
    assert_eq!(pool.threads(), 0, "no thread was started");
}

#[test]
fn who_waits_for_a_job_names_the_place_of_the_call() {
    let ran = Sim::new(1).strategy(Strategy::Fifo).run(async {
        let asking = create_task(async { asyncio::to_thread(|| 7).await });
        yield_now().await;
        let place = asking.handle().waits_for().map(|(_, place)| place.file());
        (place, asking.await.unwrap())
    });
    assert_eq!(ran.unwrap(), (Some(file!()), 7));
}

#[test]
fn a_job_that_waits_for_the_loop_is_told() {
    let failures = failures(|| async {
        let mut task = create_task(sleep(secs(1.0)));
        asyncio::to_thread(move || task.blocking_result(None)).await.unwrap();
    });
    assert_told(&failures, &["main panicked: ", "blocking_result"]);
}

#[test]
fn a_job_that_waits_for_a_task_is_told() {
    let failures = failures(|| async {
        let queue = Arc::new(asyncio::Queue::new(1));
        let getter = queue.clone();
        let job = create_task(asyncio::to_thread(move || getter.blocking_get()));
        sleep(secs(1.0)).await;
        queue.put(1).await.unwrap();
        assert_eq!(job.await.unwrap(), Ok(1));
    });
    assert_told(&failures, &["a job of a simulation would wait for its own thread"]);
}

// ----- many runs

#[test]
fn what_never_happens_is_named() {
    let never = explore(
        20,
        |sim| sim,
        || async {
            asyncio::sometimes!("it rains", asyncio::sim::rng().one_in(2));
            asyncio::sometimes!("it rains upwards", false);
        },
    );
    let failure = never.unwrap_err();
    let FailureKind::Never(what) = &failure.kind else { panic!("{failure}") };
    assert_eq!(what, &["it rains upwards"]);
}

#[test]
fn a_run_that_does_not_depend_on_the_seed_alone_is_found_out() {
    let times = Rc::new(Cell::new(0));
    let failure = explore(
        60,
        |sim| sim,
        || {
            times.set(times.get() + 1);
            let longer = times.get() > 40;
            async move {
                yield_now().await;
                if longer && times_is_odd() {
                    yield_now().await;
                }
            }
        },
    );
    let failure = failure.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::NotDeterministic { .. }), "{failure}");
    assert_told(&[*failure], &["the same seed gave another run", "once: ", "again: "]);
}

/// Every other call.
fn times_is_odd() -> bool {
    thread_local!(static ODD: Cell<bool> = const { Cell::new(false) });
    ODD.replace(!ODD.get())
}

#[test]
fn the_same_seed_gives_the_same_run_every_time() {
    let (sent, runs) = mpsc::channel();
    for seed in [1, 1, 1, 2] {
        let log = sent.clone();
        let ran = Sim::new(seed).run(async move {
            let tasks: Vec<_> = (0..5)
                .map(|task| {
                    let log = log.clone();
                    create_task(async move {
                        for _ in 0..5 {
                            sleep(Duration::from_millis(asyncio::sim::rng().below(3))).await;
                            log.send(task).unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        ran.unwrap();
    }
    let all: Vec<i32> = runs.try_iter().collect();
    let [a, b, c, d] = [0, 1, 2, 3].map(|run| &all[run * 25..][..25]);
    assert!(a == b && b == c && c != d);
}

#[test]
fn explored_runs_are_counted() {
    let explored: Explored = explore(75, |sim| sim.workers(1), || async {}).unwrap();
    assert_eq!(explored.runs, 75);
    assert!(explored.steps >= 75);
}

#[test]
fn a_simple_schedule_is_found() {
    // Needs one task to overtake another, in a long run in which nothing else matters.
    let failure = explore(
        2000,
        |sim| sim.workers(1),
        || async {
            let first = Arc::new(Mutex::new(None));
            let tasks: Vec<_> = (0..6)
                .map(|number| {
                    let first = first.clone();
                    create_task(async move {
                        yield_now().await;
                        first.lock().unwrap().get_or_insert(number);
                        yield_now().await;
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_ne!(*first.lock().unwrap(), Some(5), "expected: the last was first");
        },
    );
    let failure = failure.unwrap_err();
    let choices = failure.schedule.choices.iter().filter(|&&choice| choice != 0).count();
    assert!(choices <= 2, "{}", failure.schedule);
}
