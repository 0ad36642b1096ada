//! Wakes and polls: each wake gives one turn at most, none is lost, and a waker outlives everything.
#![expect(clippy::waker_clone_wake, reason = "wakes by value are what is tested")]

mod common;

use common::{Loop, Remote, poll_once};
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Poll, Waker};
use std::thread;

#[test]
fn a_task_is_polled_once_per_wake() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(7));
    assert_eq!((remote.polls.get(), lp.queued()), (0, 1));
    assert_eq!((lp.run(), remote.polls.get()), (1, 1));
    assert_eq!((lp.run(), remote.polls.get()), (0, 1), "nobody woke it");
    remote.waker().wake_by_ref();
    assert_eq!((lp.queued(), remote.polls.get()), (1, 1));
    assert_eq!((lp.run(), remote.polls.get()), (1, 2));
    remote.finish();
    assert_eq!((lp.run(), remote.polls.get(), remote.alive.count()), (1, 3, 0));
    assert!(task.done());
}

#[test]
fn wakes_of_a_queued_task_are_one_turn() {
    let (lp, remote) = (Loop::new(), Remote::default());
    lp.spawn(remote.future(())).detach();
    lp.run();
    let waker = remote.waker();
    waker.wake_by_ref();
    waker.wake_by_ref();
    waker.clone().wake();
    assert_eq!(lp.queued(), 1);
    assert_eq!((lp.run(), remote.polls.get()), (1, 2));
    waker.wake();
    assert_eq!((lp.run(), remote.polls.get()), (1, 3));
}

#[test]
fn a_wake_during_the_poll_is_one_more_turn() {
    let lp = Loop::new();
    let mut polls = 0;
    let task = lp.spawn(poll_fn(move |cx| {
        polls += 1;
        if polls == 3 {
            return Poll::Ready(polls);
        }
        cx.waker().wake_by_ref();
        cx.waker().clone().wake();
        Poll::Pending
    }));
    assert!(lp.step());
    assert_eq!((lp.queued(), task.done()), (1, false), "two wakes, one turn");
    assert_eq!(lp.run(), 2);
    assert!(task.done());
}

#[test]
fn a_storm_of_wakes_neither_overflows_nor_is_forgotten() {
    const STORM: usize = 3 << 15;
    let (lp, remote) = (Loop::new(), Remote::default());
    let task = lp.spawn(remote.future(()));
    lp.run();
    let waker = remote.waker();
    (0..STORM).for_each(|_| waker.wake_by_ref());
    assert_eq!((lp.queued(), lp.run(), remote.polls.get()), (1, 1, 2));
    (0..STORM).for_each(|_| waker.clone().wake());
    assert_eq!((lp.queued(), lp.run(), remote.polls.get()), (1, 1, 3));
    assert!(
        (task.cancelling(), task.done()) == (0, false),
        "the neighbouring fields are untouched"
    );
    remote.set_ready();
    (0..STORM).for_each(|_| waker.wake_by_ref());
    assert_eq!((lp.run(), task.done()), (1, true));
    (0..STORM).for_each(|_| waker.wake_by_ref());
    drop(task);
    waker.wake();
    assert_eq!(lp.queued(), 0);
}

#[test]
fn a_storm_during_the_poll_leaves_one_turn() {
    const STORM: usize = 3 << 15;
    let lp = Loop::new();
    let mut polls = 0;
    let task = lp.spawn(poll_fn(move |cx| {
        polls += 1;
        if polls == 2 {
            return Poll::Ready(());
        }
        (0..STORM).for_each(|_| cx.waker().wake_by_ref());
        Poll::Pending
    }));
    assert!(lp.step());
    assert_eq!((lp.queued(), lp.run(), task.done()), (1, 1, true));
}

#[test]
fn a_waker_may_be_the_last_that_is_left() {
    type Use = fn(Waker);
    let uses: [(&str, Use); 4] = [
        ("dropped", drop),
        ("woken by value", Waker::wake),
        ("woken by reference", |w| w.wake_by_ref()),
        ("cloned", |w| w.clone().wake()),
    ];
    for (how, last_use) in uses {
        let (lp, remote) = (Loop::new(), Remote::default());
        lp.spawn(remote.future(())).detach();
        lp.run();
        let waker = remote.waker();
        remote.finish();
        assert_eq!((lp.run(), remote.alive.count()), (1, 0), "{how}");
        assert!(waker.will_wake(&waker.clone()), "{how}");
        // On another thread, as that of a pool or a driver would be.
        thread::spawn(move || last_use(waker)).join().unwrap();
        assert_eq!(lp.queued(), 0, "{how}: a complete task is not queued");
    }
}

#[test]
fn wakers_of_one_task_are_alike_and_of_two_are_not() {
    let (lp, one, two) = (Loop::new(), Remote::default(), Remote::default());
    lp.spawn(one.future(())).detach();
    lp.spawn(two.future(())).detach();
    lp.run();
    let first = one.waker();
    first.wake_by_ref();
    lp.run();
    assert!(one.waker().will_wake(&first));
    assert!(!two.waker().will_wake(&first));
}

#[test]
fn a_destructor_of_a_thread_local_may_wake_and_spawn() {
    struct AtExit {
        lp: &'static Loop,
        waker: Option<Waker>,
        ended: Arc<AtomicUsize>,
    }
    impl Drop for AtExit {
        fn drop(&mut self) {
            self.waker.take().unwrap().wake();
            let ended = self.ended.clone();
            let task = self.lp.spawn(async move { ended.fetch_add(1, Ordering::Relaxed) });
            let also = self.ended.clone();
            task.add_done_callback(move |_| {
                also.fetch_add(10, Ordering::Relaxed);
            });
            assert!(asyncio_task::current().is_none());
        }
    }
    thread_local!(static AT_EXIT: std::cell::OnceCell<AtExit> = const { std::cell::OnceCell::new() });

    let (lp, remote) = (Loop::new(), Remote::default());
    lp.spawn(remote.future(())).detach();
    lp.run();
    let ended = Arc::new(AtomicUsize::new(0));
    let at_exit = AtExit { lp, waker: Some(remote.take_waker()), ended: ended.clone() };
    let thread = thread::spawn(move || {
        assert!(AT_EXIT.with(|cell| cell.set(at_exit).is_ok()));
        // The thread's block of task numbers and its context are in use, so that they go before the destructor runs.
        lp.spawn(async {}).detach();
        asyncio_base::context::with_current(|slot| slot.get_or_create());
    });
    thread.join().unwrap();
    assert_eq!((lp.run(), remote.polls.get(), lp.call_all()), (3, 2, 1));
    assert_eq!(ended.load(Ordering::Relaxed), 11);
}

/// Four threads hammer a task's wakers while this one runs it: the task counts what it was told of, and ends when it has seen all.
#[test]
fn what_is_published_before_a_wake_is_seen_by_a_later_poll() {
    const THREADS: usize = 4;
    const WAKES: usize = 20_000;
    struct Shared {
        published: AtomicUsize,
        waker: Mutex<Option<Waker>>,
    }
    let lp = Loop::new();
    let shared = Arc::new(Shared { published: AtomicUsize::new(0), waker: Mutex::new(None) });
    let seen = shared.clone();
    let mut polls = 0_usize;
    let mut task = lp.spawn(poll_fn(move |cx| {
        polls += 1;
        seen.waker.lock().unwrap().get_or_insert_with(|| cx.waker().clone());
        match seen.published.load(Ordering::Relaxed) {
            n if n == THREADS * WAKES => Poll::Ready(polls),
            _ => Poll::Pending,
        }
    }));
    lp.run();
    let start = Arc::new(Barrier::new(THREADS + 1));
    let threads: Vec<_> = (0..THREADS)
        .map(|n| {
            let (shared, start) = (shared.clone(), start.clone());
            thread::spawn(move || {
                let waker = shared.waker.lock().unwrap().clone().unwrap();
                start.wait();
                for i in 0..WAKES {
                    shared.published.fetch_add(1, Ordering::Relaxed);
                    if (i + n) % 2 == 0 { waker.wake_by_ref() } else { waker.clone().wake() }
                }
            })
        })
        .collect();
    start.wait();
    let mut turns = 0;
    // A lost wake-up would spin here for ever: the last wake always leaves a turn.
    while !task.done() {
        turns += usize::from(lp.step());
        std::hint::spin_loop();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let polls = task.try_result().unwrap().unwrap();
    assert_eq!((polls, lp.queued()), (turns + 1, 0));
    assert!(turns <= THREADS * WAKES);
    drop(shared);
}

/// Two workers, tasks that hop between them, wakers on a third thread: no task is polled twice at once and each ends.
#[test]
fn a_task_is_never_polled_by_two_threads_at_once() {
    const TASKS: usize = 200;
    const TURNS: usize = 50;
    let lp = Loop::new();
    let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
    let inside: Vec<_> = (0..TASKS).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let tasks: Vec<_> = inside
        .iter()
        .map(|inside| {
            let (inside, wakers) = (inside.clone(), wakers.clone());
            let mut turns = 0;
            lp.spawn(poll_fn(move |cx| {
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                turns += 1;
                wakers.lock().unwrap().push(cx.waker().clone());
                cx.waker().wake_by_ref();
                assert_eq!(inside.fetch_sub(1, Ordering::Relaxed), 1);
                if turns == TURNS { Poll::Ready(turns) } else { Poll::Pending }
            }))
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while tasks.iter().any(|task| !task.done()) {
                    lp.step();
                }
            });
        }
        scope.spawn(|| {
            while tasks.iter().any(|task| !task.done()) {
                let woken = std::mem::take(&mut *wakers.lock().unwrap());
                woken.into_iter().for_each(Waker::wake);
            }
        });
    });
    for mut task in tasks {
        assert!(matches!(poll_once(&mut task), Poll::Ready(Ok(TURNS))));
    }
}
