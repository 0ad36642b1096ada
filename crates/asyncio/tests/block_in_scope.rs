//! Tasks that borrow from a thread which waits for them.

use asyncio::{EventLoop, Future, new_event_loop, yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

/// A loop that runs on another thread until it is stopped.
struct Running(EventLoop, Option<JoinHandle<()>>);

impl Running {
    fn new() -> Self {
        let event_loop = new_event_loop().unwrap();
        let remote = event_loop.clone();
        let thread = thread::spawn(move || remote.run_forever().unwrap());
        Running(event_loop, Some(thread))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
        self.1.take().unwrap().join().unwrap();
        self.0.close().unwrap();
    }
}

fn panic_of<R>(code: impl FnOnce() -> R) -> String {
    let panic = catch_unwind(AssertUnwindSafe(code)).err().expect("a panic");
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .unwrap_or_else(|| *panic.downcast().unwrap())
}

#[test]
fn children_borrow_and_change_what_the_thread_has() {
    let running = Running::new();
    let mut numbers = [1, 2, 3, 4];
    let sum = AtomicUsize::new(0);
    running.0.block_in_scope(|s| {
        for number in &mut numbers {
            let sum = &sum;
            s.spawn(async move {
                yield_now().await;
                *number *= 2;
                sum.fetch_add(*number, SeqCst);
            });
        }
    });
    assert_eq!((numbers, sum.into_inner()), ([2, 4, 6, 8], 20));
}

#[test]
fn results_are_joined_and_may_borrow() {
    let running = Running::new();
    let text = String::from("a b c");
    let longest = running.0.block_in_scope(|s| {
        let words: Vec<_> = text.split(' ').map(|word| s.spawn(async move { word })).collect();
        words.into_iter().map(|word| word.join().unwrap()).max()
    });
    assert_eq!(longest, Some("c"));
}

#[test]
fn the_scope_waits_for_those_that_nobody_joined() {
    let running = Running::new();
    let (sender, receiver) = mpsc::channel();
    let ended = AtomicUsize::new(0);
    let gate: Future<()> = running.0.create_future();
    let setter = gate.clone();
    let opener = thread::spawn(move || {
        receiver.recv().unwrap();
        setter.set_result(()).unwrap();
    });
    running.0.block_in_scope(|s| {
        let (ended, gate) = (&ended, gate);
        drop(s.spawn(async move {
            gate.await.unwrap();
            ended.fetch_add(1, SeqCst);
        }));
        sender.send(()).unwrap();
    });
    assert_eq!(ended.load(SeqCst), 1);
    opener.join().unwrap();
}

#[test]
fn a_child_may_make_children() {
    let running = Running::new();
    let count = AtomicUsize::new(0);
    let count = &count;
    running.0.block_in_scope(|s| {
        s.spawn(async move {
            for _ in 0..3 {
                s.spawn(async move {
                    count.fetch_add(1, SeqCst);
                });
            }
        });
    });
    assert_eq!(count.load(SeqCst), 3);
}

#[test]
fn panics_come_out_when_all_have_ended() {
    let running = Running::new();
    let ended = AtomicUsize::new(0);
    let of_body = panic_of(|| {
        running.0.block_in_scope(|s| {
            s.spawn(async {
                yield_now().await;
                ended.fetch_add(1, SeqCst);
            });
            panic!("of the body")
        })
    });
    assert_eq!((&*of_body, ended.load(SeqCst)), ("of the body", 1));
    let of_child = panic_of(|| {
        running.0.block_in_scope(|s| {
            s.spawn(async { panic!("of a child") });
        });
    });
    assert_eq!(of_child, "of a child");
    // One that was joined was heard.
    running.0.block_in_scope(|s| {
        let error = s.spawn(async { panic!("heard") }).join().unwrap_err();
        assert_eq!(error.as_panic().unwrap().message(), "heard");
    });
}

#[test]
fn a_child_can_be_cancelled_and_a_closed_loop_drops_it() {
    let running = Running::new();
    running.0.block_in_scope(|s| {
        let child = s.spawn(std::future::pending::<()>());
        assert!(child.cancel() && format!("{child:?}").contains("ScopedJoinHandle"));
        assert!(child.join().unwrap_err().is_cancelled());
    });
    let closed = new_event_loop().unwrap();
    closed.close().unwrap();
    closed.block_in_scope(|s| {
        let child = s.spawn(async { unreachable!("the loop is closed") });
        assert!(child.is_finished());
        let error: asyncio::JoinError = child.join().unwrap_err();
        assert!(error.is_cancelled());
    });
}

#[test]
fn closing_the_loop_ends_the_scope() {
    let event_loop = new_event_loop().unwrap();
    let closer = event_loop.clone();
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        receiver.recv().unwrap();
        closer.close().unwrap();
    });
    let text = String::from("borrowed");
    event_loop.block_in_scope(|s| {
        drop(s.spawn(async {
            std::future::pending::<()>().await;
            unreachable!("{text}");
        }));
        sender.send(()).unwrap();
    });
    assert_eq!(text, "borrowed");
    thread.join().unwrap();
}

#[test]
fn a_worker_may_not_block() {
    let event_loop = new_event_loop().unwrap();
    let inside = event_loop.clone();
    let message =
        panic_of(|| event_loop.run_until_complete(async move { inside.block_in_scope(|_| ()) }));
    assert!(message.starts_with("block_in_scope on a worker"), "{message}");
    event_loop.close().unwrap();
}
