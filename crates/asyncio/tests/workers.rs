//! Several workers: every task runs once, callbacks keep their order, a burst loses nothing.

mod common;

use asyncio::{
    EventLoop, RunError, Runner, create_local_task, create_task, get_running_loop, secs, sleep,
    yield_now,
};
use common::Dropped;
use std::cell::Cell;
use std::collections::HashSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

fn runner(workers: usize) -> Runner {
    Runner::builder().workers(workers).build().unwrap()
}

/// Counts its run and its drop.
struct Token {
    number: usize,
    seen: Arc<[AtomicUsize]>,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Token {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ten million tokens go through the queues of four workers, by spawns from tasks of all of them: each runs once and is dropped once.
#[test]
fn every_task_of_millions_runs_once() {
    let (spawners, each) = if cfg!(debug_assertions) { (50, 4_000) } else { (1_000, 10_000) };
    let seen: Arc<[AtomicUsize]> = (0..spawners * each).map(|_| AtomicUsize::new(0)).collect();
    let dropped = Arc::new(AtomicUsize::new(0));
    let (all, drops) = (seen.clone(), dropped.clone());
    runner(4)
        .run(async move {
            let spawn_many = move |spawner: usize| {
                let (seen, dropped) = (all.clone(), drops.clone());
                async move {
                    let token = |i| Token {
                        number: spawner * each + i,
                        seen: seen.clone(),
                        dropped: dropped.clone(),
                    };
                    for batch in 0..each / 1_000 {
                        let run = |token: Token| async move {
                            if token.number.is_multiple_of(3) {
                                yield_now().await;
                            }
                            token.seen[token.number].fetch_add(1, Ordering::Relaxed);
                        };
                        let tasks: Vec<_> = (batch * 1_000..(batch + 1) * 1_000)
                            .map(|i| create_task(run(token(i))))
                            .collect();
                        for task in tasks {
                            task.await.unwrap();
                        }
                    }
                }
            };
            // A few at a time, so that millions of tasks need no memory for millions.
            for first in (0..spawners).step_by(10) {
                let tasks: Vec<_> =
                    (first..first + 10).map(|spawner| create_task(spawn_many(spawner))).collect();
                for task in tasks {
                    task.await.unwrap();
                }
            }
        })
        .unwrap();
    assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    assert_eq!(dropped.load(Ordering::Relaxed), spawners * each);
}

/// Two tasks that wait for each other by blocking can both end only if two threads run them.
#[test]
fn tasks_run_in_parallel() {
    runner(2)
        .run(async {
            let meeting = Arc::new(Barrier::new(2));
            let meet = |meeting: Arc<Barrier>| async move {
                meeting.wait();
                thread::current().id()
            };
            let tasks = [create_task(meet(meeting.clone())), create_task(meet(meeting))];
            let mut threads = HashSet::new();
            for task in tasks {
                threads.insert(task.await.unwrap());
            }
            assert_eq!(threads.len(), 2);
        })
        .unwrap();
}

/// Main and local tasks stay on the thread that runs the loop, whoever wakes them.
#[test]
fn main_and_local_tasks_stay_on_their_thread() {
    let here = thread::current().id();
    runner(4)
        .run(async {
            let wakes = Rc::new(Cell::new(0));
            let counted = wakes.clone();
            let queue = Arc::new(asyncio::Queue::new(0));
            let items = queue.clone();
            let local = asyncio::create_local_task(async move {
                for _ in 0..1_000 {
                    items.get().await.unwrap();
                    counted.set(counted.get() + 1);
                    assert_eq!(thread::current().id(), here);
                }
            });
            let put = |queue: Arc<asyncio::Queue<usize>>| async move {
                for i in 0..250 {
                    queue.put(i).await.unwrap();
                    yield_now().await;
                }
            };
            let putters: Vec<_> = (0..4).map(|_| create_task(put(queue.clone()))).collect();
            for putter in putters {
                putter.await.unwrap();
                assert_eq!(thread::current().id(), here);
            }
            local.await.unwrap();
            assert_eq!(wakes.get(), 1_000);
        })
        .unwrap();
}

/// A local task has its thread; on another worker none can be made.
#[test]
fn a_local_task_is_refused_on_another_worker() {
    runner(2)
        .run(async {
            let gate = Arc::new(Barrier::new(2));
            let here = thread::current().id();
            let try_it = |gate: Arc<Barrier>| async move {
                gate.wait();
                let elsewhere = thread::current().id() != here;
                let made = std::panic::catch_unwind(|| {
                    asyncio::create_local_task(async {}).detach();
                });
                assert_eq!(made.is_err(), elsewhere);
                elsewhere
            };
            let tasks = [create_task(try_it(gate.clone())), create_task(try_it(gate))];
            let mut elsewhere = 0;
            for task in tasks {
                elsewhere += usize::from(task.await.unwrap());
            }
            assert_eq!(elsewhere, 1);
        })
        .unwrap();
}

/// Callbacks from tasks of all workers: those of one task in their order, none beside another.
#[test]
fn callbacks_keep_their_order_and_never_overlap() {
    let (tasks, each) = (8, 2_000);
    let inside = Arc::new(AtomicBool::new(false));
    let log: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    let (noted, guarded) = (log.clone(), inside.clone());
    runner(4)
        .run(async move {
            let call = move |task: usize| {
                let (log, inside) = (noted.clone(), guarded.clone());
                async move {
                    for i in 0..each {
                        let (log, inside) = (log.clone(), inside.clone());
                        get_running_loop().call_soon(move || {
                            assert!(!inside.swap(true, Ordering::AcqRel), "nobody else is inside");
                            log.lock().unwrap().push((task, i));
                            inside.store(false, Ordering::Release);
                        });
                        if i % 16 == 0 {
                            yield_now().await;
                        }
                    }
                }
            };
            let callers: Vec<_> = (0..tasks).map(|task| create_task(call(task))).collect();
            for caller in callers {
                caller.await.unwrap();
            }
            let last: asyncio::Future<()> = get_running_loop().create_future();
            let set = last.clone();
            get_running_loop().call_soon(move || set.set_result(()).unwrap());
            last.await.unwrap();
        })
        .unwrap();
    let log = log.lock().unwrap();
    assert_eq!(log.len(), tasks * each);
    for task in 0..tasks {
        let own: Vec<_> = log.iter().filter(|entry| entry.0 == task).map(|entry| entry.1).collect();
        assert!(own.iter().copied().eq(0..each));
    }
}

/// Callback timers made on all workers fire in the order of their times, one by one.
#[test]
fn callback_timers_fire_in_their_order() {
    let fired: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = fired.clone();
    runner(4)
        .run(async move {
            let start = get_running_loop().time();
            let arm = move |task: u64| {
                let fired = noted.clone();
                async move {
                    for i in 0..100 {
                        let when =
                            start + Duration::from_micros(500_000 + (i * 37 + task * 11) % 997);
                        let fired = fired.clone();
                        get_running_loop().call_at(when, move || fired.lock().unwrap().push(when));
                    }
                }
            };
            let tasks: Vec<_> = (0..8).map(|task| create_task(arm(task))).collect();
            for task in tasks {
                task.await.unwrap();
            }
            let last: asyncio::Future<()> = get_running_loop().create_future();
            let set = last.clone();
            let after = start + Duration::from_millis(502);
            get_running_loop().call_at(after, move || set.set_result(()).unwrap());
            last.await.unwrap();
        })
        .unwrap();
    let fired = fired.lock().unwrap();
    assert_eq!(fired.len(), 800);
    assert!(fired.is_sorted());
}

/// Sixteen threads spawn and wake at once, in bursts between which the loop sleeps: nothing is lost.
#[test]
fn a_storm_from_sixteen_threads_loses_nothing() {
    let (threads, bursts, each) = (16, 20, if cfg!(debug_assertions) { 50 } else { 500 });
    let mut runner = runner(4);
    let event_loop = runner.get_loop();
    let (count, total) = (Arc::new(AtomicU64::new(0)), threads * bursts * each * 2);
    let (storm, counted) = (event_loop.clone(), count.clone());
    let sender = thread::spawn(move || {
        for _ in 0..bursts {
            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| burst(&storm, each, &counted));
                }
            });
        }
    });
    let waiting = count.clone();
    runner
        .run(async move {
            while waiting.load(Ordering::Relaxed) < total as u64 {
                sleep(secs(0.001)).await;
            }
        })
        .unwrap();
    sender.join().unwrap();
    assert_eq!(count.load(Ordering::Relaxed), total as u64);
}

fn burst(event_loop: &EventLoop, each: usize, count: &Arc<AtomicU64>) {
    for _ in 0..each {
        let counted = count.clone();
        let add = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let called = add.clone();
        event_loop.call_soon_threadsafe(called).unwrap();
        let task = asyncio::run_coroutine_threadsafe(async move { add() }, event_loop);
        drop(task.unwrap());
    }
}

/// What a task leaves behind when the loop is dropped is dropped once, whichever worker's it was.
#[test]
fn what_workers_left_is_dropped_with_the_loop() {
    let mut all = Vec::new();
    let mut runner = runner(4);
    runner
        .run(async {
            for _ in 0..100 {
                let (value, dropped) = Dropped::new();
                all.push(dropped);
                create_task(async move {
                    yield_now().await;
                    create_task(async move {
                        let _value = value;
                        std::future::pending::<()>().await;
                    })
                    .detach();
                })
                .detach();
            }
            sleep(secs(0.005)).await;
        })
        .unwrap();
    runner.close();
    assert!(all.iter().all(|dropped| dropped.load(Ordering::SeqCst)));
}

/// Main and tasks of worker 0 have their turn in that pass as well.
#[test]
fn a_run_that_was_stopped_before_runs_what_is_worker_zeros_own() {
    for workers in [1, 2, 4] {
        let event_loop = EventLoop::with_workers(workers).unwrap();
        let turns = Rc::new(Cell::new(0));
        let counts = turns.clone();
        event_loop
            .run_until_complete(async move {
                let endless = async move {
                    loop {
                        counts.set(counts.get() + 1);
                        yield_now().await;
                    }
                };
                drop(create_local_task(endless));
            })
            .unwrap();
        let before = turns.get();
        event_loop.stop();
        event_loop.run_forever().unwrap();
        assert_eq!(turns.get(), before + 1, "{workers} workers");

        let mut polls = 0;
        event_loop.stop();
        let main = poll_fn(|_cx| {
            polls += 1;
            Poll::<()>::Pending
        });
        assert!(matches!(event_loop.run_until_complete(main), Err(RunError::Stopped)));
        assert_eq!(polls, 1, "{workers} workers");
        event_loop.set_exception_handler(Some(|_: &_, _: &_| {}));
        event_loop.close().unwrap();
    }
}

/// CPython test_base_events: test_run_forever_pre_stopped. One pass, which runs all that was queued before, however much; and nothing that this queues.
#[test]
fn a_run_that_was_stopped_before_runs_all_that_was_queued_before() {
    const EACH: usize = 1_000;
    let event_loop = EventLoop::with_workers(4).unwrap();
    // All four have been up, and hold what a run leaves behind.
    event_loop
        .run_until_complete(async {
            let tasks: Vec<_> = (0..100).map(|_| create_task(yield_now())).collect();
            for task in tasks {
                task.await.unwrap();
            }
        })
        .unwrap();
    let ran = Arc::new(Mutex::new(Vec::new()));
    let polled = Arc::new(AtomicUsize::new(0));
    for i in 0..EACH {
        let (ran, polled) = (ran.clone(), polled.clone());
        let count = move || polled.fetch_add(1, Ordering::Relaxed);
        event_loop.call_soon(move || {
            let mut order = ran.lock().unwrap();
            order.push(i);
            // Stays for the next run.
            let ran = ran.clone();
            drop(get_running_loop().call_soon(move || ran.lock().unwrap().push(EACH + i)));
        });
        event_loop
            .create_task(async move {
                count();
                yield_now().await;
                count();
            })
            .detach();
    }
    event_loop.stop();
    event_loop.run_forever().unwrap();
    assert_eq!(*ran.lock().unwrap(), (0..EACH).collect::<Vec<_>>());
    assert_eq!(polled.load(Ordering::Relaxed), EACH, "each task had one turn");
    event_loop
        .run_until_complete(async {
            while polled.load(Ordering::Relaxed) < 2 * EACH || ran.lock().unwrap().len() < 2 * EACH
            {
                yield_now().await;
            }
        })
        .unwrap();
    assert_eq!(*ran.lock().unwrap(), (0..2 * EACH).collect::<Vec<_>>());
    event_loop.close().unwrap();
}

/// In every run of every loop somebody watches from the first turn on, whoever did so when the last run ended.
#[test]
fn a_first_turn_that_blocks_waits_for_nobody() {
    let blocks_until_others_ran = async |tasks: usize| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..tasks {
            let sender = sender.clone();
            create_task(async move { sender.send(()).unwrap() }).detach();
        }
        for _ in 0..tasks {
            let told = receiver.recv_timeout(Duration::from_secs(20));
            told.expect("another worker runs the task");
        }
    };
    // Each loop has the lasting part of the one before.
    for _ in 0..20 {
        let event_loop = EventLoop::with_workers(4).unwrap();
        event_loop.run_until_complete(blocks_until_others_ran(1)).unwrap();
        // Several get up, and one of them watches, perhaps, when the run ends.
        event_loop.run_until_complete(blocks_until_others_ran(20)).unwrap();
        event_loop.close().unwrap();
    }
}

/// The one that watches is woken before its time, again and again: it looks after the others all the same, and not thousands of calls later.
#[test]
fn what_lies_behind_a_stuck_worker_is_found_beside_calls_without_a_pause() {
    let mut runner = runner(2);
    let (event_loop, over) = (runner.get_loop(), Arc::new(AtomicBool::new(false)));
    let calls = Arc::new(AtomicUsize::new(0));
    let caller = thread::spawn({
        let (over, calls) = (over.clone(), calls.clone());
        move || {
            while !over.load(Ordering::Relaxed) {
                let (call, called) = mpsc::channel();
                event_loop.call_soon_threadsafe(move || call.send(()).unwrap()).unwrap();
                called.recv().unwrap();
                calls.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let most = runner.run(async move {
        let mut most = 0;
        for _ in 0..8 {
            let before = calls.load(Ordering::Relaxed);
            let (run, ran) = mpsc::channel();
            create_task(async move { run.send(()).unwrap() }).detach();
            let ran = ran.recv_timeout(Duration::from_secs(20));
            ran.expect("the other worker runs the task");
            most = most.max(calls.load(Ordering::Relaxed) - before);
            yield_now().await;
        }
        over.store(true, Ordering::Relaxed);
        // Its last call needs the loop.
        asyncio::to_thread(move || caller.join().unwrap()).await;
        most
    });
    let most = most.unwrap();
    assert!(most < 20_000, "{most} calls before the task had its turn");
}
