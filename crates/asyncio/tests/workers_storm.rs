//! Storms of spawns and of wakes from sixteen threads: nothing is lost, and what is brought wakes one worker, not all.
//!
//! Alone in its binary: it counts how often the threads of the process wait. Under `strace -f -c` it tells the system calls besides.
#![cfg(target_os = "linux")]

use asyncio::{EventLoop, Future, create_task, get_running_loop};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: usize = 16;
const WORKERS: usize = 4;

/// The name of the workers' threads; the one that runs the loop gets it here.
const WORKER: &str = "asyncio-worker-";

/// What a storm took.
#[derive(Debug)]
struct Toll {
    /// How often a worker has been waited for by the system, and so been woken.
    wake_ups: u64,
    took: Duration,
}

/// How often the workers have waited so far. Who waits for a lock is counted too.
fn waits_of_workers() -> u64 {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let of_worker = |path: &std::path::PathBuf| {
        fs::read_to_string(path.join("comm")).unwrap_or_default().starts_with(WORKER)
    };
    let waits = |path: std::path::PathBuf| {
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        line.map_or(0, |count| count.trim().parse::<u64>().unwrap())
    };
    threads.filter(of_worker).map(waits).sum()
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Lets `blow` be run by each of the threads, while a loop of four workers serves them; all workers have a thread by then.
fn storm(blow: impl Fn(&EventLoop) + Clone + Send + 'static) -> Toll {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let main = async move {
        let (all_up, up) = mpsc::channel();
        for _ in 0..20 * WORKERS {
            let all_up = all_up.clone();
            create_task(async move {
                thread::sleep(Duration::from_millis(1));
                all_up.send(()).unwrap();
            })
            .detach();
        }
        up.iter().take(20 * WORKERS).for_each(drop);
        let over = Future::<()>::new();
        let (ends, event_loop) = (over.clone(), get_running_loop());
        let left = Arc::new(AtomicUsize::new(THREADS));
        let (before, start) = (waits_of_workers(), Instant::now());
        for _ in 0..THREADS {
            let (blow, event_loop) = (blow.clone(), event_loop.clone());
            let (left, ends) = (left.clone(), ends.clone());
            thread::spawn(move || {
                blow(&event_loop);
                if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    ends.set_result(()).unwrap();
                }
            });
        }
        over.await.unwrap();
        Toll { wake_ups: waits_of_workers() - before, took: start.elapsed() }
    };
    let run = move || {
        let event_loop = EventLoop::with_workers(WORKERS).unwrap();
        let toll = event_loop.run_until_complete(main).unwrap();
        event_loop.close().unwrap();
        toll
    };
    thread::Builder::new().name(format!("{WORKER}0")).spawn(run).unwrap().join().unwrap()
}

/// More wake-ups than things that were brought would be a herd: with four workers, up to four times as many. The watcher wakes besides, every
/// five milliseconds.
fn is_no_herd(toll: &Toll, brought: usize) {
    println!("{brought} brought: {toll:?}");
    let looks = toll.took.as_millis() as u64 / 5;
    let most = brought as u64 * 3 / 2 + 2 * looks + 100;
    assert!(toll.wake_ups <= most, "{toll:?} for {brought}, at most {most}");
}

/// Each thread spawns as fast as it can.
#[test]
fn spawns_from_sixteen_threads() {
    const EACH: usize = 2_000;
    let ran = Arc::new(AtomicUsize::new(0));
    let counts = ran.clone();
    let toll = storm(move |event_loop| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..EACH {
            let (counts, sender) = (counts.clone(), sender.clone());
            event_loop
                .create_task(async move {
                    counts.fetch_add(1, Ordering::Relaxed);
                    sender.send(()).unwrap();
                })
                .detach();
        }
        assert_eq!(receiver.iter().take(EACH).count(), EACH);
    });
    assert_eq!(ran.load(Ordering::Relaxed), THREADS * EACH);
    is_no_herd(&toll, THREADS * EACH);
}

/// Each thread wakes a task, waits for its answer, and wakes it again.
#[test]
fn wakes_from_sixteen_threads() {
    const EACH: usize = 500;
    let toll = storm(move |event_loop| {
        let (asks, mut asked) = asyncio::sync::watch::channel(0);
        let (answer, answers) = mpsc::channel();
        let task = event_loop.create_task(async move {
            while asked.changed().await.is_ok() {
                answer.send(*asked.borrow_and_update()).unwrap();
            }
        });
        for question in 1..=EACH {
            asks.send(question).unwrap();
            assert_eq!(answers.recv().unwrap(), question);
        }
        drop(asks);
        task.detach();
        // Its end of the channel goes with it.
        assert!(answers.recv().is_err());
    });
    is_no_herd(&toll, THREADS * EACH);
}
