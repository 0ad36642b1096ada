//! Turning a reactor: timeouts, notifications, signals, several threads.
#![cfg(unix)]

mod common;

use asyncio_reactor::{Direction, Io, Reactor, enter};
use common::{Count, OnWake};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn reactor() -> Arc<Reactor> {
    Arc::new(Reactor::new())
}

#[test]
fn a_turn_waits_as_long_as_it_is_told() {
    let reactor = reactor();
    for micros in [1, 50, 300, 1000, 2500, 20_000] {
        let timeout = Duration::from_micros(micros);
        let start = Instant::now();
        assert_eq!(reactor.turn(Some(timeout)).unwrap(), 0);
        assert!(start.elapsed() >= timeout, "{timeout:?}: {:?}", start.elapsed());
    }
    assert_eq!(reactor.stats().waits, 6);
}

#[test]
fn a_notification_before_a_turn_ends_it_and_is_used_up() {
    let reactor = reactor();
    for _ in 0..5 {
        reactor.notify();
    }
    assert_eq!(reactor.turn(None).unwrap(), 0);
    reactor.notify();
    assert_eq!(reactor.turn(NOW).unwrap(), 0);
    let start = Instant::now();
    reactor.turn(Some(Duration::from_millis(5))).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(5));
    assert_eq!(reactor.stats().notifies, 0, "nobody was waiting, so nothing was written");
}

#[test]
fn a_notification_ends_a_wait_of_another_thread() {
    let reactor = reactor();
    for round in 0..200 {
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                reactor.notify();
            });
            barrier.wait();
            let limit = if round % 2 == 0 { None } else { Some(Duration::MAX) };
            assert_eq!(reactor.turn(limit).unwrap(), 0);
        });
    }
    let stats = reactor.stats();
    assert!(stats.notifies <= 200 && stats.waits == 200, "{stats:?}");
}

#[test]
fn a_storm_of_notifications_writes_at_most_once_per_wait() {
    let reactor = reactor();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    reactor.notify();
                }
            });
        }
        for _ in 0..2000 {
            reactor.turn(None).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let stats = reactor.stats();
    assert!(stats.notifies <= stats.waits, "{stats:?}");
}

#[test]
fn a_turn_within_a_turn_returns_at_once() {
    let reactor = reactor();
    let (stream, mut peer) = UnixStream::pair().unwrap();
    stream.set_nonblocking(true).unwrap();
    let io = Io::exclusive(stream);
    let inner = Arc::new(AtomicUsize::new(9));
    let (result, again) = (inner.clone(), reactor.clone());
    let waker = OnWake::waker(move || result.store(again.turn(None).unwrap(), Ordering::SeqCst));
    enter(&reactor, || {
        let cx = &mut Context::from_waker(&waker);
        assert!(io.poll_ready(Direction::Read, cx).is_pending());
    });
    peer.write_all(b"x").unwrap();
    assert_eq!(reactor.turn(None).unwrap(), 1);
    assert_eq!(inner.load(Ordering::SeqCst), 0);
}

#[test]
fn closing_ends_a_wait_of_another_thread() {
    for _ in 0..50 {
        let reactor = reactor();
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                reactor.close();
            });
            barrier.wait();
            // It was waiting, or came too late.
            let first = reactor.turn(None);
            assert!(first.is_ok_and(|n| n == 0) || reactor.is_closed());
            assert_eq!(reactor.turn(None).unwrap_err().to_string(), "event loop is closed");
        });
    }
}

extern "C" fn ignore(_: libc::c_int) {}

/// Signals that interrupt every system call of `victim` as often as possible, until `f` is done.
fn under_signals(f: impl FnOnce() + Send) {
    // SAFETY: the handler does nothing, and the structure is a plain one for which zeros are valid.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
    let done = AtomicBool::new(false);
    // SAFETY: asks for this thread's own id.
    let victim = unsafe { libc::pthread_self() };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // SAFETY: the scope ends only after the victim, this scope's owner, has stored `done`.
                unsafe { libc::pthread_kill(victim, libc::SIGUSR1) };
                thread::yield_now();
            }
        });
        f();
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn signals_neither_end_nor_lengthen_a_wait() {
    let reactor = reactor();
    under_signals(|| {
        let timeout = Duration::from_millis(100);
        let start = Instant::now();
        assert_eq!(reactor.turn(Some(timeout)).unwrap(), 0);
        let elapsed = start.elapsed();
        assert!(elapsed >= timeout && elapsed < timeout * 50, "{elapsed:?}");
    });
}

/// A thread's sleeping place.
struct Unpark(thread::Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::SeqCst);
        self.0.unpark();
    }
}

/// Waits on this thread while another turns the reactor.
fn wait_parked(reactor: &Arc<Reactor>, io: &Io<UnixStream>) -> usize {
    let unpark = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
    let waker = Waker::from(unpark.clone());
    enter(reactor, || {
        loop {
            let cx = &mut Context::from_waker(&waker);
            let mut buf = [0; 8];
            let call = || io.get_ref().read(&mut buf);
            if let std::task::Poll::Ready(n) = io.poll_io(Direction::Read, cx, call) {
                return n.unwrap();
            }
            let start = Instant::now();
            while !unpark.1.swap(false, Ordering::SeqCst) {
                assert!(start.elapsed() < Duration::from_secs(20), "a wake-up was lost");
                thread::park_timeout(Duration::from_secs(20));
            }
        }
    })
}

#[test]
fn tasks_on_other_threads_are_woken_by_whoever_turns() {
    let reactor = reactor();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (a, b) = UnixStream::pair().unwrap();
                let [a, b] = [a, b].map(|stream| {
                    stream.set_nonblocking(true).unwrap();
                    Io::exclusive(stream)
                });
                thread::scope(|inner| {
                    let rounds = 3000;
                    let (reactor, b) = (&reactor, &b);
                    inner.spawn(move || {
                        for _ in 0..rounds {
                            assert_eq!(wait_parked(reactor, b), 1);
                            b.get_ref().write_all(b"<").unwrap();
                        }
                    });
                    for _ in 0..rounds {
                        a.get_ref().write_all(b">").unwrap();
                        assert_eq!(wait_parked(reactor, &a), 1);
                    }
                });
                done.fetch_add(1, Ordering::SeqCst);
                reactor.notify();
            });
        }
        while done.load(Ordering::SeqCst) < 2 {
            reactor.turn(None).unwrap();
        }
    });
    assert_eq!(reactor.stats().registered, 0);
}

#[test]
fn sources_come_and_go_on_one_thread_while_another_turns() {
    let reactor = reactor();
    let done = AtomicBool::new(false);
    let (count, waker) = Count::new();
    let waker = &waker;
    thread::scope(|scope| {
        scope.spawn(|| {
            enter(&reactor, || {
                for round in 0..20_000 {
                    let (stream, mut peer) = UnixStream::pair().unwrap();
                    stream.set_nonblocking(true).unwrap();
                    let io = Io::exclusive(stream);
                    let cx = &mut Context::from_waker(waker);
                    assert!(io.poll_ready(Direction::Read, cx).is_pending());
                    peer.write_all(b"x").unwrap();
                    if round % 3 == 0 {
                        drop(io.into_inner());
                    }
                }
            });
            done.store(true, Ordering::SeqCst);
            reactor.notify();
        });
        while !done.load(Ordering::SeqCst) {
            reactor.turn(None).unwrap();
        }
    });
    assert_eq!(reactor.stats().registered, 0);
    // Not before the turns have ended: one may be about to let go of a waker that it has called.
    assert_eq!(Arc::strong_count(&count), 2, "this waker's and the test's own");
}
