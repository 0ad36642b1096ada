//! Shows `.ci/tsan` that the sanitizer still sees a race, and takes for none what `tsan_std.rs` tells it of: `race`, `relaxed` and `arc` each have a
//! race, anything else has none.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, RwLock};
use std::time::Duration;
use std::{env, thread};

/// A number that nothing guards.
#[derive(Default)]
struct Bare(UnsafeCell<usize>);

// SAFETY: there is none; that is what the races are about.
unsafe impl Sync for Bare {}

impl Bare {
    fn add(&self) {
        // SAFETY: as its callers see to, or not.
        unsafe { *self.0.get() += 1 };
    }

    fn read(&self) -> usize {
        // SAFETY: as for `add`.
        unsafe { *self.0.get() }
    }
}

const THREADS: usize = 4;
const ROUNDS: usize = 2_000;

/// Waits until all threads are here, without any order between them. A thread that were over before the next one starts would be ordered with it
/// by what it and its handle share.
fn meet(arrived: &AtomicUsize, threads: usize) {
    arrived.fetch_add(1, Ordering::Relaxed);
    while arrived.load(Ordering::Relaxed) < threads {
        thread::yield_now();
    }
}

fn race() {
    let (bare, arrived) = (Bare::default(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                meet(&arrived, THREADS);
                bare.add();
            });
        }
    });
}

/// A flag that does not order what it stands for.
fn published(order: Ordering) {
    for _ in 0..ROUNDS / 100 {
        let (bare, flag, arrived) = (Bare::default(), AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                bare.add();
                flag.store(true, order);
                meet(&arrived, 2);
            });
            while !flag.load(if order == Ordering::Release { Ordering::Acquire } else { order }) {
                thread::yield_now();
            }
            bare.add();
            meet(&arrived, 2);
        });
    }
}

/// The owners of an `Arc` write without more order between them than the count has, which only the last one sees.
fn arc() {
    let bare = Arc::new((Bare::default(), AtomicUsize::new(0)));
    let threads = (0..THREADS).map(|_| {
        let bare = bare.clone();
        thread::spawn(move || {
            meet(&bare.1, THREADS);
            bare.0.add();
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

/// Written by its only owners, one after the other, and freed by the last.
fn last_owner() {
    struct Last(Bare);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.add();
        }
    }
    for _ in 0..ROUNDS {
        let shared = Arc::new((Last(Bare::default()), AtomicBool::new(false)));
        let (one, other) = (shared.clone(), shared);
        let writes = move |shared: Arc<(Last, AtomicBool)>| {
            if !shared.1.swap(true, Ordering::Relaxed) {
                shared.0.0.add();
            }
        };
        let thread = thread::spawn(move || writes(one));
        writes(other);
        thread.join().unwrap();
    }
}

/// As that, and what it owned is taken out.
fn only_owner() {
    for _ in 0..ROUNDS {
        let shared = Arc::new(Bare::default());
        let other = shared.clone();
        let take = |shared: Arc<Bare>| {
            let _shared_still = Arc::strong_count(&shared);
            Arc::try_unwrap(shared).map(|bare| bare.add()).is_ok()
        };
        let thread = thread::spawn(move || take(other));
        take(shared);
        thread.join().unwrap();
    }
}

fn locked() {
    let (bare, lock, changed) = (Bare::default(), Mutex::new(0), Condvar::new());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (bare, lock, changed) = (&bare, &lock, &changed);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let mut turn = lock.lock().unwrap();
                    while *turn % THREADS != thread {
                        turn = match thread % 2 {
                            0 => changed.wait(turn).unwrap(),
                            _ => changed.wait_timeout(turn, Duration::from_secs(60)).unwrap().0,
                        };
                    }
                    *turn += 1;
                    bare.add();
                    changed.notify_all();
                }
            });
        }
    });
    // Nothing but the end of the scope orders this.
    bare.add();
}

/// Who holds the lock lets others run, so that they have to wait.
fn read_and_written() {
    let (bare, lock) = (Bare::default(), RwLock::new(()));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (bare, lock) = (&bare, &lock);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    if thread % 2 == 0 {
                        let _written = lock.write().unwrap();
                        bare.add();
                        thread::yield_now();
                    } else {
                        let _read = lock.read().unwrap();
                        assert!(bare.read() <= ROUNDS * THREADS);
                        thread::yield_now();
                    }
                }
            });
        }
    });
    assert_eq!(bare.read(), ROUNDS * THREADS / 2);
}

fn once() {
    for _ in 0..ROUNDS / 10 {
        let once = OnceLock::new();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| assert_eq!(once.get_or_init(|| vec![1, 2, 3]).len(), 3));
            }
        });
    }
}

fn main() {
    match env::args().nth(1).as_deref() {
        Some("race") => race(),
        Some("relaxed") => published(Ordering::Relaxed),
        Some("arc") => arc(),
        _ => {
            published(Ordering::Release);
            last_owner();
            only_owner();
            locked();
            read_and_written();
            once();
        }
    }
}
