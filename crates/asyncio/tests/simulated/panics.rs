//! A panic at each place where a program's own code runs: the k-th poll, drop of a future or of an output, wake, clone or drop of a waker, done-callback or
//! callback of the loop, for every k.
//!
//! One role of a scenario is made of such code; the others are as ever. A panic of a waker reaches whoever woke it, after everybody else was woken, so
//! another role may end by it; but nobody is left waiting, nothing stays locked, and the loop runs. What such a role had in its hands goes with it: an item
//! that a getter has taken out when it calls the waker of a putter. So wakers do not panic where items are counted.

use crate::harness::{Scenario, everything_ended};
use crate::{channels, futures, groups, harness, locks, queues, tasks, threads, together};
use asyncio::sim::settle;
use asyncio::{Task, TaskHandle, create_task, get_running_loop, sometimes, yield_now};
use std::cell::Cell;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// What it panics with. It is thrown without the panic hook, so nothing is told of it.
struct Injected;

thread_local! {
    /// How many places are passed before the one that panics.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A place that may panic.
fn place(what: &str) {
    let left = LEFT.get();
    if std::thread::panicking() {
        return;
    }
    LEFT.set(left.and_then(|left| left.checked_sub(1)));
    if left == Some(0) {
        if harness::is_one_run() {
            println!("a panic: {what}");
        }
        resume_unwind(Box::new(Injected));
    }
}

/// A future that may panic when it is polled or dropped, and hands on a waker that may panic.
struct Fragile<F> {
    future: Pin<Box<F>>,
    has_fragile_waker: bool,
}

/// What it gives.
struct Output;

impl Drop for Output {
    fn drop(&mut self) {
        place("drop of an output");
    }
}

impl<F: Future> Future for Fragile<F> {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        place("poll");
        if !self.has_fragile_waker {
            return self.future.as_mut().poll(cx).map(|_| Output);
        }
        let waker = fragile(cx.waker().clone());
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        // The waker inside, which is no place: the drop of the fragile one would be.
        drop(unbox(waker));
        polled.map(|_| Output)
    }
}

impl<F> Drop for Fragile<F> {
    fn drop(&mut self) {
        place("drop of a future");
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn fragile(inner: Waker) -> Waker {
    let data = Arc::into_raw(Arc::new(inner)).cast();
    // SAFETY: `data` comes from `Arc<Waker>`, which is `Send` and `Sync`, and the functions of the table take it for that.
    unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) }
}

/// Takes the waker apart without any of its functions.
fn unbox(waker: Waker) -> Waker {
    let data = waker.data();
    std::mem::forget(waker);
    // SAFETY: one count of the `Arc` made by `fragile` is this waker's, which is forgotten.
    let inner = unsafe { take(data) };
    (*inner).clone()
}

/// # Safety
///
/// `data` is a count of an `Arc<Waker>` that nobody else gives up.
unsafe fn take(data: *const ()) -> Arc<Waker> {
    // SAFETY: as the caller promises.
    unsafe { Arc::from_raw(data.cast()) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    place("clone of a waker");
    // SAFETY: the waker that is cloned has a count of its own, which stays.
    unsafe { Arc::increment_strong_count(data.cast::<Waker>()) };
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the waker that is used up gives its count.
    let inner = unsafe { take(data) };
    inner.wake_by_ref();
    place("wake");
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker stays while this borrows from it.
    let inner = unsafe { &*data.cast::<Waker>() };
    inner.wake_by_ref();
    place("wake by reference");
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: the waker that is dropped gives its count.
    drop(unsafe { take(data) });
    place("drop of a waker");
}

/// Runs a scenario with a panic at the `k`-th place; whether there was one.
async fn panics_at<S: Scenario>(victim: usize, k: u64, has_fragile_waker: bool) -> bool {
    let scenario = Arc::new(S::new());
    harness::expect_reports();
    let handles: Vec<TaskHandle> = (0..S::ROLES)
        .map(|role| {
            let play = Box::pin(scenario.clone().play(role));
            if role == victim {
                let task: Task<Output> = create_task(Fragile { future: play, has_fragile_waker });
                task.add_done_callback(|_: &Result<Output, _>| place("done-callback"));
                get_running_loop().call_soon(|| place("callback"));
                // Nobody looks at it: its output is dropped by the loop.
                return task.handle();
            }
            create_task(play).handle()
        })
        .collect();
    LEFT.set(Some(k));
    settle().await;
    asyncio::sim::advance(asyncio::secs(10.0)).await;
    let fired = LEFT.replace(None).is_none();
    scenario.heal().await;
    for handle in &handles {
        handle.await;
    }
    everything_ended().await;
    scenario.check();
    is_alive().await;
    fired
}

/// Callbacks, timers and tasks run.
async fn is_alive() {
    let count = Arc::new(AtomicUsize::new(0));
    let running = get_running_loop();
    for turn in 0..3 {
        let count = count.clone();
        let add = move || {
            count.fetch_add(1, SeqCst);
        };
        match turn {
            0 => drop(running.call_soon(add)),
            1 => drop(running.call_later(asyncio::secs(1.0), add)),
            _ => create_task(async move {
                yield_now().await;
                add();
            })
            .await
            .unwrap(),
        }
    }
    asyncio::sim::advance(asyncio::secs(2.0)).await;
    assert_eq!(count.load(SeqCst), 3);
}

/// Every place of every role.
async fn panics_everywhere<S: Scenario>(has_fragile_wakers: bool) {
    for victim in 0..S::ROLES {
        let mut places = 0;
        while panics_at::<S>(victim, places, has_fragile_wakers).await {
            places += 1;
        }
        // Polled once and dropped once, at least, and two callbacks.
        assert!(places >= 4);
        sometimes!("a role with many places", places > 8);
    }
}

macro_rules! panics {
    ($($name:ident: $scenario:ty, $wakers:expr);* $(;)?) => {
        $(
            #[test]
            fn $name() {
                let name = concat!("panics::", stringify!($name));
                let seeds = (harness::seeds() / 50).max(1);
                harness::run_whatever_happens(name, seeds, || panics_everywhere::<$scenario>($wakers));
            }
        )*
    };
}

/// Wakers panic, too.
const WAKERS: bool = true;

/// Wakers do not, as items are counted.
const ITEMS: bool = false;

panics! {
    lock: locks::Exclusive, WAKERS;
    event: locks::Gate, WAKERS;
    condition: locks::Shelf, WAKERS;
    semaphore: locks::Permits, WAKERS;
    barrier: locks::Party, WAKERS;
    rwlock: locks::Book, WAKERS;
    queue: queues::Bounded, ITEMS;
    queue_join: queues::Work, ITEMS;
    oneshot: channels::Letter, WAKERS;
    watch: channels::Thermometer, WAKERS;
    gather: together::Gathered, WAKERS;
    timeouts: together::Hurried, ITEMS;
    shield: together::Shielded, WAKERS;
    select: together::Selected, ITEMS;
    group: groups::Family, WAKERS;
    finally: tasks::Tidy, WAKERS;
    future: futures::Promise, WAKERS;
    to_thread: threads::Jobs, WAKERS;
}
