//! Settable futures, and callbacks of the loop.

use crate::harness::{Scenario, run_all, scenarios};
use asyncio::{
    Future, Handle, create_task, get_running_loop, now, secs, sim, sleep, sometimes, yield_now,
};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

scenarios! {
    future_is_set: Promise,
    future_is_taken: Taken,
    future_callbacks: CalledBack,
}

/// Two set it, two wait for it; whoever waits and is cancelled cancels it for all.
pub(crate) struct Promise {
    future: Future<u32, String>,
    accepted: AtomicUsize,
}

impl Scenario for Promise {
    const ROLES: usize = 4;
    // A waiter finds it done, or cancelled by another.
    const ANSWERS: bool = false;

    fn new() -> Self {
        Promise { future: Future::new(), accepted: AtomicUsize::new(0) }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role < 2 {
            yield_now().await;
            let set = match role {
                0 => self.future.set_result(7),
                _ => self.future.set_exception("no"),
            };
            self.accepted.fetch_add(usize::from(set.is_ok()), SeqCst);
            sometimes!("one comes too late", set.is_err());
            return;
        }
        let outcome = self.future.clone().await;
        assert!(self.future.done());
        match outcome {
            Ok(value) => assert_eq!(value, 7),
            Err(error) => {
                sometimes!("one waits for what is cancelled", self.future.cancelled());
                assert!(self.future.cancelled() || error.to_string().contains("no"));
            }
        }
    }

    async fn heal(&self) {
        let _ = self.future.set_result(7);
    }

    fn check(&self) {
        assert!(self.accepted.load(SeqCst) <= 1);
        assert!(self.future.done());
        drop(self.future.exception());
    }
}

/// The value goes to the one who takes it.
struct Taken {
    future: Future<Vec<u8>>,
}

impl Scenario for Taken {
    const ROLES: usize = 2;

    fn new() -> Self {
        Taken { future: Future::new() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            yield_now().await;
            if self.future.set_result(vec![7]).is_err() {
                sometimes!("nobody takes it any more", true);
                assert!(self.future.cancelled());
            }
        } else {
            assert_eq!(self.future.clone().take().await.unwrap(), [7]);
        }
    }

    async fn heal(&self) {
        let _ = self.future.set_result(vec![7]);
    }

    fn check(&self) {
        assert!(self.future.done());
    }
}

/// Callbacks of a future: each once, in order, also when it is cancelled.
struct CalledBack {
    future: Future<u32>,
    row: Arc<Mutex<Vec<usize>>>,
    added: AtomicUsize,
}

impl Scenario for CalledBack {
    const ROLES: usize = 3;

    fn new() -> Self {
        CalledBack { future: Future::new(), row: Arc::default(), added: AtomicUsize::new(0) }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            yield_now().await;
            let _ = self.future.set_result(7);
            return;
        }
        for _ in 0..2 {
            let row = self.row.clone();
            let number = self.added.fetch_add(1, SeqCst);
            self.future.add_done_callback(move |future| {
                assert!(future.done());
                row.lock().unwrap().push(number);
            });
            sometimes!("a callback is added late", self.future.done());
            yield_now().await;
        }
    }

    async fn heal(&self) {
        self.future.cancel();
    }

    fn check(&self) {
        let row = self.row.lock().unwrap();
        let all: Vec<usize> = (0..self.added.load(SeqCst)).collect();
        assert_eq!(*row, all);
    }
}

/// `call_soon` is a row: in order and one at a time, whoever calls; a handle that is cancelled does not run.
#[test]
fn call_soon() {
    run_all("futures::call_soon", || async {
        let row = Arc::new(Mutex::new((0, Vec::new())));
        let tasks = [0, 1, 2].map(|_| {
            let row = row.clone();
            create_task(async move {
                for _ in 0..3 {
                    let running = get_running_loop();
                    let handle = {
                        let mut made = row.lock().unwrap();
                        made.0 += 1;
                        let (number, noted) = (made.0, row.clone());
                        running.call_soon(move || noted.lock().unwrap().1.push(number))
                    };
                    if sim::rng().one_in(4) {
                        yield_now().await;
                        handle.cancel();
                    }
                    yield_now().await;
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        sim::settle().await;
        let row = row.lock().unwrap();
        assert!(row.1.is_sorted_by(|a, b| a < b), "{:?}", row.1);
        sometimes!("one is cancelled in time", row.1.len() < 9);
        assert!(row.1.len() <= 9);
    });
}

/// Timers fire in the order of their deadlines and of the calls, never early; one that is cancelled does not.
#[test]
fn call_later() {
    run_all("futures::call_later", || async {
        let begin = now();
        let fired = Arc::new(Mutex::new(Vec::new()));
        let mut timers = Vec::new();
        let mut cancelled = Vec::new();
        for number in 0..6_u32 {
            let fired = fired.clone();
            let delay = secs(sim::rng().below(3) as f64);
            let note = move || fired.lock().unwrap().push((now() - begin, delay, number));
            let running = get_running_loop();
            timers.push(match number % 2 {
                0 => running.call_later(delay, note),
                _ => running.call_at(begin + delay, note),
            });
        }
        sleep(secs(1.0)).await;
        for timer in timers {
            if sim::rng().one_in(3) {
                timer.cancel();
                assert!(timer.cancelled());
                cancelled.push(timer.when() - begin);
            }
        }
        sim::advance(secs(5.0)).await;
        let fired = fired.lock().unwrap();
        let row: Vec<_> = fired.iter().map(|&(_, delay, number)| (delay, number)).collect();
        assert!(row.is_sorted(), "{row:?}");
        assert!(fired.iter().all(|(at, delay, _)| at == delay), "{fired:?}");
        assert!(fired.len() >= 6 - cancelled.len());
        sometimes!("one is cancelled in time", fired.len() < 6);
        sometimes!("one is cancelled as it is due", cancelled.contains(&secs(1.0)));
    });
}

/// A handle that is cancelled by a callback before it.
#[test]
fn call_soon_cancelled_by_another() {
    run_all("futures::call_soon_cancelled_by_another", || async {
        let running = get_running_loop();
        let second: Arc<Mutex<Option<Handle>>> = Arc::default();
        let count = Arc::new(AtomicUsize::new(0));
        let (other, first) = (second.clone(), count.clone());
        running.call_soon(move || {
            first.fetch_add(1, SeqCst);
            other.lock().unwrap().take().into_iter().for_each(|handle| handle.cancel());
        });
        let ran = count.clone();
        let handle = running.call_soon(move || {
            ran.fetch_add(10, SeqCst);
        });
        *second.lock().unwrap() = Some(handle);
        sim::settle().await;
        assert_eq!(count.load(SeqCst), 1);
    });
}
