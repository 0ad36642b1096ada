//! What is allocated, and what is kept.

use asyncio_sync::{LifoQueue, PriorityQueue, Queue, Semaphore, oneshot};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The system's allocator, counting the bytes that this thread has out: the harness has a thread of its own.
struct Counting;

thread_local! {
    static OUT: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    OUT.set(OUT.get().wrapping_add(bytes));
}

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size().wrapping_neg());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn out() -> usize {
    OUT.get()
}

/// How many bytes an operation leaves allocated.
fn kept(f: impl FnOnce()) -> usize {
    let before = out();
    f();
    out().wrapping_sub(before)
}

fn every_end_of_a_oneshot() {
    let mut cx = Context::from_waker(Waker::noop());
    let value = || Box::new(7);
    for waits in [false, true] {
        for end in 0..6 {
            let (sender, mut receiver) = oneshot::channel();
            if waits {
                assert!(Pin::new(&mut receiver).poll(&mut cx).is_pending());
            }
            match end {
                0 => {
                    sender.send(value()).unwrap();
                    assert_eq!(Pin::new(&mut receiver).poll(&mut cx), Poll::Ready(Ok(value())));
                }
                1 => sender.send(value()).unwrap(),
                2 => drop(sender),
                3 => {
                    drop(receiver);
                    assert_eq!(sender.send(value()), Err(value()));
                }
                4 => {
                    receiver.close();
                    assert_eq!(sender.send(value()), Err(value()));
                    assert!(receiver.try_recv().is_err());
                }
                _ => {
                    sender.send(value()).unwrap();
                    receiver.close();
                    assert_eq!(receiver.try_recv(), Ok(value()));
                }
            }
        }
    }
}

#[test]
fn memory_is_bounded_and_lazy() {
    const BURST: u64 = 10_000;
    /// Items and waiters that may stay allocated.
    const KEPT: usize = 64;

    macro_rules! forgets {
        ($queue:ty, $entry:expr) => {{
            let queue = <$queue>::new(0);
            assert_eq!(
                kept(|| assert!(queue.get_nowait().is_err())),
                0,
                "nothing until the first item"
            );
            let after_burst = kept(|| {
                (0..BURST).for_each(|i| queue.put_nowait(i).unwrap());
                assert!((0..BURST).all(|_| queue.get_nowait().is_ok()));
            });
            assert!(after_burst <= KEPT * $entry, "{after_burst} bytes are kept");
            queue.put_nowait(1).unwrap();
            let in_use = kept(|| {
                for i in 0..1000 {
                    queue.put_nowait(i).unwrap();
                    queue.get_nowait().unwrap();
                }
            });
            assert_eq!(in_use, 0, "a queue in steady use allocates nothing");
        }};
    }
    forgets!(Queue<u64>, 8);
    forgets!(LifoQueue<u64>, 8);
    forgets!(PriorityQueue<u64>, 16);

    // The first time puts on the shelf what the next one takes.
    every_end_of_a_oneshot();
    assert_eq!(kept(every_end_of_a_oneshot), 0, "a oneshot is freed however it ends");

    let semaphore = Semaphore::new(0);
    let mut waits = Vec::with_capacity(BURST as usize);
    let after_crowd = kept(|| {
        waits.extend((0..BURST).map(|_| semaphore.acquire()));
        for wait in &mut waits {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(wait).poll(&mut cx).is_pending());
        }
        waits.clear();
    });
    assert!(after_crowd <= KEPT * 64, "{after_crowd} bytes are kept");
}
