//! A loop with nothing to do does nothing, however many workers it has.
//!
//! Alone in its binary: the times that all threads of the process wake are counted. Not under ThreadSanitizer, which has a thread of its own.
#![cfg(all(target_os = "linux", not(tsan)))]

use asyncio::{EventLoop, Runner, create_task, to_thread, yield_now};
use std::fs;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// How often the threads of this process have waited, and so been woken, and their time on a processor in ticks.
fn waits_and_ticks() -> (u64, u64) {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let each = threads.map(|thread| {
        let path = thread.unwrap().path();
        let status = fs::read_to_string(path.join("status")).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        let waits = line.unwrap().trim().parse::<u64>().unwrap();
        let stat = fs::read_to_string(path.join("stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<u64>().unwrap();
        (waits, ticks(11) + ticks(12))
    });
    each.fold((0, 0), |sum, thread| (sum.0 + thread.0, sum.1 + thread.1))
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn an_idle_loop_wakes_nobody() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut runner = Runner::builder().workers(4).build().unwrap();
    runner
        .run(async {
            // All workers have a thread and have been busy.
            let busy = |_| {
                create_task(async {
                    for _ in 0..1_000 {
                        yield_now().await;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                })
            };
            let tasks: Vec<_> = (0..64).map(busy).collect();
            for task in tasks {
                task.await.unwrap();
            }
            // A thread looks on, so that nothing of the loop has to wake for that.
            let (before, after) = to_thread(|| {
                std::thread::sleep(Duration::from_millis(300));
                let before = waits_and_ticks();
                std::thread::sleep(Duration::from_secs(3));
                (before, waits_and_ticks())
            })
            .await;
            let (waits, ticks) = (after.0 - before.0, after.1 - before.1);
            assert!(waits <= 1, "{waits} waits in three seconds, one of them the onlooker's");
            assert!(ticks <= 1, "{ticks} ticks in three seconds");
        })
        .unwrap();
}

/// Also those that watched when the run ended sleep until the next one.
#[test]
fn loops_that_do_not_run_wake_nobody() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let run = |_| {
        let event_loop = EventLoop::with_workers(4).unwrap();
        event_loop
            .run_until_complete(async {
                let (sender, receiver) = mpsc::channel();
                for _ in 0..20 {
                    let sender = sender.clone();
                    create_task(async move { sender.send(()).unwrap() }).detach();
                }
                // Somebody watches, as this worker is stuck until others have run all of them.
                receiver.iter().take(20).for_each(drop);
            })
            .unwrap();
        event_loop
    };
    // Often the one who watches sleeps on a futex, and not in the driver, when the run ends.
    let loops: Vec<EventLoop> = (0..16).map(run).collect();
    std::thread::sleep(Duration::from_millis(300));
    let before = waits_and_ticks();
    std::thread::sleep(Duration::from_secs(1));
    let after = waits_and_ticks();
    let (waits, ticks) = (after.0 - before.0, after.1 - before.1);
    assert!(waits <= 1, "{waits} waits in a second, one of them the onlooker's");
    assert!(ticks <= 1, "{ticks} ticks in a second");
    loops.into_iter().for_each(|event_loop| event_loop.close().unwrap());
}
