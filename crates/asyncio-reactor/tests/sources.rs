//! Sources and their waiters, over pairs of Unix sockets.
#![cfg(unix)]

mod common;

use asyncio_base::context::ContextSlot;
use asyncio_base::outlook;
use asyncio_base::record::{self, PollRecord};
use asyncio_base::wait::{WaitKind, WaitSlot};
use asyncio_reactor::{Direction, Io, Reactor, enter};
use common::{Count, OnWake, block_on, block_on_with, poll};
use std::cell::Cell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const NOW: Option<Duration> = Some(Duration::ZERO);

/// Where no event tells of the end, every short read is followed by another; else it is known to be the last.
const EDGE_WITHOUT_END: bool = cfg!(asyncio_edge) || cfg!(not(target_os = "linux"));

fn reactor() -> Arc<Reactor> {
    Arc::new(Reactor::new())
}

/// A source, and its peer.
fn pair() -> (Io<UnixStream>, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    (Io::exclusive(a), b)
}

fn read(io: &Io<UnixStream>, waker: &Waker) -> Poll<io::Result<usize>> {
    let mut buf = [0; 16];
    let cx = &mut Context::from_waker(waker);
    io.poll_io(Direction::Read, cx, || io.get_ref().read(&mut buf))
}

/// Reads so many bytes at most, as from a stream, and counts the calls that are made.
fn transfer(io: &Io<UnixStream>, len: usize, calls: &Cell<usize>) -> Poll<io::Result<usize>> {
    let place = Location::caller();
    let cx = &mut Context::from_waker(Waker::noop());
    io.poll_transfer(Direction::Read, len, place, cx, || {
        calls.set(calls.get() + 1);
        io.get_ref().read(&mut [0; 16][..len])
    })
}

fn ready<T>(poll: Poll<io::Result<T>>) -> T {
    match poll {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("pending"),
    }
}

#[test]
fn a_source_registers_when_it_first_would_block() {
    let reactor = reactor();
    let (io, mut peer) = pair();
    enter(&reactor, || {
        peer.write_all(b"abc").unwrap();
        assert_eq!(ready(read(&io, Waker::noop())), 3);
        assert_eq!(reactor.stats().registered, 0);
        let (count, waker) = Count::new();
        assert!(read(&io, &waker).is_pending());
        assert_eq!(reactor.stats().registered, 1);
        peer.write_all(b"de").unwrap();
        assert_eq!((count.get(), reactor.turn(NOW).unwrap(), count.get()), (0, 1, 1));
        assert_eq!(ready(read(&io, &waker)), 2);
        drop(io);
        assert_eq!(reactor.stats().registered, 0);
    });
}

#[test]
fn what_was_there_before_registering_is_told() {
    let reactor = reactor();
    let (io, mut peer) = pair();
    enter(&reactor, || {
        peer.write_all(b"abc").unwrap();
        let (count, waker) = Count::new();
        let mut readable = io.readable();
        assert!(poll(&mut readable, &waker).is_pending(), "nothing is known of a new source");
        reactor.turn(NOW).unwrap();
        assert_eq!(count.get(), 1);
        ready(poll(&mut readable, &waker));
        assert_eq!(io.try_io(Direction::Read, || io.get_ref().read(&mut [0; 8])).unwrap(), 3);
    });
}

#[test]
fn a_regular_file_is_refused_and_leaves_nothing_behind() {
    let reactor = reactor();
    let io = Io::exclusive(File::open("/proc/self/exe").unwrap());
    let error = block_on_with(&reactor, io.readable()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(reactor.stats().registered, 0);
    assert!(io.reactor().is_none());
    let n = block_on_with(&reactor, io.call(Direction::Read, |mut file| file.read(&mut [0; 4])));
    assert_eq!(n.unwrap(), 4, "calls on it never block, so they need no registration");
}

#[test]
fn without_a_reactor_polling_panics() {
    let (io, _peer) = pair();
    let call = AssertUnwindSafe(|| read(&io, Waker::noop()));
    let message = catch_unwind(call).unwrap_err();
    assert_eq!(message.downcast_ref::<String>().unwrap(), "no running event loop");
    let (count, waker) = Count::new();
    let reactor = reactor();
    enter(&reactor, || assert!(read(&io, &waker).is_pending()));
    // Registered, it knows its reactor by itself.
    assert!(read(&io, &waker).is_pending());
    assert_eq!(count.get(), 0);
}

#[test]
fn a_closed_reactor_wakes_all_and_refuses_all() {
    let reactor = reactor();
    let ((io, _peer), (fresh, _other)) = (pair(), pair());
    enter(&reactor, || {
        let (count, waker) = Count::new();
        let mut readable = io.readable();
        assert!(poll(&mut readable, &waker).is_pending());
        assert!(read(&io, &waker).is_pending());
        reactor.close();
        reactor.close();
        assert_eq!(count.get(), 2);
        let refused = |poll: Poll<io::Result<()>>| match poll {
            Poll::Ready(Err(error)) => assert_eq!(error.to_string(), "event loop is closed"),
            other => panic!("{other:?}"),
        };
        refused(poll(&mut readable, &waker));
        refused(read(&io, &waker).map_ok(drop));
        refused(read(&fresh, &waker).map_ok(drop));
        refused(poll(&mut fresh.writable(), &waker));
        refused(Poll::Ready(reactor.turn(NOW).map(drop)));
        refused(Poll::Ready(io.try_io(Direction::Write, || Ok(()))));
        assert_eq!(reactor.stats().registered, 1);
    });
    drop(io);
    assert_eq!(reactor.stats().registered, 0);
}

#[test]
fn a_source_taken_out_can_be_registered_again() {
    let reactor = reactor();
    let (io, mut peer) = pair();
    let wait = |io: &Io<UnixStream>| enter(&reactor, || read(io, Waker::noop()).is_pending());
    assert!(wait(&io));
    let again = Io::exclusive(io.into_inner());
    assert_eq!(reactor.stats().registered, 0);
    assert!(wait(&again));
    peer.write_all(b"x").unwrap();
    assert_eq!(reactor.turn(NOW).unwrap(), 1);
    assert_eq!(ready(read(&again, Waker::noop())), 1);
}

#[test]
fn a_borrowed_descriptor_is_unregistered_when_dropped() {
    let reactor = reactor();
    let (stream, mut peer) = UnixStream::pair().unwrap();
    stream.set_nonblocking(true).unwrap();
    peer.write_all(b"x").unwrap();
    for _ in 0..3 {
        let io = Io::new(stream.as_fd());
        block_on_with(&reactor, io.readable()).unwrap();
    }
    assert_eq!(reactor.stats().registered, 0);
}

#[test]
fn an_event_of_the_same_batch_for_a_source_that_has_gone_is_dropped() {
    let reactor = reactor();
    enter(&reactor, || {
        let ((first, mut first_peer), (second, mut second_peer)) = (pair(), pair());
        let (count, waker) = Count::new();
        let (stale, stale_waker) = Count::new();
        assert!(read(&second, &stale_waker).is_pending());
        let (third, mut third_peer) = pair();
        let third = Arc::new(third);
        let (inner, second) = (third.clone(), Mutex::new(Some(second)));
        // The first event's waker closes the second source, and a third takes its slot.
        let on_first = OnWake::waker(move || {
            drop(second.lock().unwrap().take());
            assert!(read(&inner, &waker).is_pending());
        });
        assert!(read(&first, &on_first).is_pending());
        first_peer.write_all(b"1").unwrap();
        second_peer.write_all(b"2").unwrap();
        assert_eq!(reactor.turn(NOW).unwrap(), 2);
        assert_eq!(reactor.stats().registered, 2);
        // Either order of the two events is possible; the third source must not profit from any.
        assert!(stale.get() <= 1);
        assert_eq!(count.get(), 0);
        assert!(read(&third, Waker::noop()).is_pending());
        third_peer.write_all(b"333").unwrap();
        assert_eq!(reactor.turn(NOW).unwrap(), 1);
        assert_eq!(ready(read(&third, Waker::noop())), 3);
    });
}

#[test]
fn one_event_wakes_all_waiters_in_order() {
    let reactor = reactor();
    enter(&reactor, || {
        let (io, mut peer) = pair();
        let order = Arc::new(Mutex::new(Vec::new()));
        let waker = |name: &'static str| {
            let order = order.clone();
            OnWake::waker(move || order.lock().unwrap().push(name))
        };
        let mut futures = [io.readable(), io.readable(), io.readable()];
        for (future, name) in futures.iter_mut().zip(["first", "second", "third"]) {
            assert!(poll(future, &waker(name)).is_pending());
        }
        assert!(read(&io, &waker("chair")).is_pending());
        assert!(read(&io, &waker("chair again")).is_pending());
        let [first, second, third] = futures;
        drop(second);
        peer.write_all(b"x").unwrap();
        reactor.turn(NOW).unwrap();
        assert_eq!(*order.lock().unwrap(), ["chair again", "first", "third"]);
        drop((first, third));
    });
}

#[test]
fn a_dropped_waiter_leaves_no_waker_behind() {
    let reactor = reactor();
    enter(&reactor, || {
        let (io, _peer) = pair();
        let (count, waker) = Count::new();
        let mut readable = io.readable();
        for _ in 0..3 {
            assert!(poll(&mut readable, &waker).is_pending());
        }
        assert_eq!(Arc::strong_count(&count), 3, "one is ours, one the waker's, one in the queue");
        drop(readable);
        assert_eq!(Arc::strong_count(&count), 2);
        assert!(read(&io, &waker).is_pending());
        drop(io);
        assert_eq!(Arc::strong_count(&count), 2);
    });
}

#[test]
fn a_false_alarm_is_noticed_by_the_call_and_costs_one() {
    let reactor = reactor();
    enter(&reactor, || {
        let (io, mut peer) = pair();
        let (count, waker) = Count::new();
        let mut readable = io.readable();
        assert!(poll(&mut readable, &waker).is_pending());
        peer.write_all(b"x").unwrap();
        reactor.turn(NOW).unwrap();
        // Somebody else takes what the event told of.
        io.get_ref().read_exact(&mut [0]).unwrap();
        ready(poll(&mut readable, &waker));
        let mut calls = 0;
        for _ in 0..3 {
            let call = || {
                calls += 1;
                io.get_ref().read(&mut [0])
            };
            let error = io.try_io(Direction::Read, call).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
        assert_eq!(calls, 1, "until an event comes it is known to block");
        assert!(poll(&mut readable, &waker).is_pending());
        peer.write_all(b"y").unwrap();
        reactor.turn(NOW).unwrap();
        assert_eq!(count.get(), 2);
        ready(poll(&mut readable, &waker));
    });
}

#[test]
fn interrupted_calls_are_made_again_and_a_panic_takes_no_readiness() {
    let reactor = reactor();
    enter(&reactor, || {
        let (io, mut peer) = pair();
        assert!(read(&io, Waker::noop()).is_pending());
        peer.write_all(b"x").unwrap();
        reactor.turn(NOW).unwrap();
        let cx = &mut Context::from_waker(Waker::noop());
        let panics = AssertUnwindSafe(|| io.poll_io::<()>(Direction::Read, cx, || panic!("call")));
        assert!(catch_unwind(panics).is_err());
        let mut interruptions = 3;
        let cx = &mut Context::from_waker(Waker::noop());
        let n = ready(io.poll_io(Direction::Read, cx, || match interruptions {
            0 => io.get_ref().read(&mut [0; 8]),
            _ => {
                interruptions -= 1;
                Err(io::ErrorKind::Interrupted.into())
            }
        }));
        assert_eq!((n, interruptions), (1, 0));
    });
}

#[test]
fn a_panicking_waker_keeps_no_event_from_the_others() {
    let reactor = reactor();
    enter(&reactor, || {
        let sources: Vec<_> = (0..100).map(|_| pair()).collect();
        let (count, waker) = Count::new();
        let panicking = OnWake::waker(|| panic!("from a waker"));
        for (i, (io, peer)) in sources.iter().enumerate() {
            let waker = if i % 40 == 0 { &panicking } else { &waker };
            assert!(read(io, waker).is_pending());
            (&mut &*peer).write_all(b"x").unwrap();
        }
        let turn = AssertUnwindSafe(|| reactor.turn(NOW));
        let message = catch_unwind(turn).unwrap_err();
        assert_eq!(message.downcast_ref::<&str>(), Some(&"from a waker"));
        assert_eq!(count.get(), 97);
        assert_eq!(reactor.turn(NOW).unwrap(), 0, "and the reactor can be turned again");
    });
}

/// The call of one finds that another has begun to wait meanwhile, whose waker panics: that keeps the result from nobody.
#[test]
fn a_panicking_waker_keeps_no_result_from_who_called() {
    let reactor = reactor();
    let (io, mut peer) = pair();
    enter(&reactor, || {
        assert!(read(&io, Waker::noop()).is_pending());
        peer.write_all(b"x").unwrap();
        reactor.turn(NOW).unwrap();
        let panicking = OnWake::waker(|| panic!("from a waker"));
        let mut other = io.readable();
        let cx = &mut Context::from_waker(Waker::noop());
        let n = io.poll_io(Direction::Read, cx, || {
            assert!(poll(&mut other, &panicking).is_pending());
            io.get_ref().read(&mut [0; 4])
        });
        assert!(matches!(n, Poll::Ready(Ok(1))), "{n:?}");
    });
}

#[test]
fn the_poll_record_is_told_and_its_budget_spent() {
    let reactor = reactor();
    let (io, mut peer) = pair();
    let (wait, context) = (WaitSlot::new(), ContextSlot::new());
    let record = PollRecord::outside(&wait, &context);
    record.budget.set(2);
    enter(&reactor, || {
        record::enter(&record, || {
            let (count, waker) = Count::new();
            assert!(read(&io, &waker).is_pending());
            let (kind, place) = wait.get().unwrap();
            assert_eq!((kind, place.file()), (WaitKind::Readable, file!()));
            assert_eq!(record.budget.get(), 1);
            let mut waiting = io.readable();
            for _ in 0..5 {
                assert!(poll(&mut waiting, &waker).is_pending());
            }
            assert_eq!((record.budget.get(), count.get()), (1, 0), "waiting costs nothing");
            peer.write_all(&[0; 32]).unwrap();
            reactor.turn(NOW).unwrap();
            let woken = count.get();
            assert_eq!((ready(read(&io, &waker)), record.budget.get()), (16, 0));
            assert!(read(&io, &waker).is_pending());
            assert_eq!(count.get(), woken + 1, "it woke itself");
            assert!(poll(&mut waiting, &waker).is_pending());
            record.budget.set(9);
            assert_eq!(ready(read(&io, &waker)), 16, "and nothing was taken");
        });
    });
}

/// Beside tasks that compute for long, the peer may have answered before anybody looks.
#[test]
fn a_short_read_is_followed_by_another_while_looks_are_far() {
    let reactor = reactor();
    enter(&reactor, || {
        let (io, mut peer) = pair();
        let calls = Cell::new(0);
        let transfer = || transfer(&io, 16, &calls);
        assert!(transfer().is_pending());
        peer.write_all(b"ask").unwrap();
        reactor.turn(NOW).unwrap();
        outlook::allow(3);
        assert_eq!(ready(transfer()), 3);
        peer.write_all(b"again").unwrap();
        assert_eq!(ready(transfer()), 5, "found without a look");
        assert!(transfer().is_pending());
        assert_eq!(calls.get(), 4);
        assert!(transfer().is_pending());
        assert_eq!(calls.get(), 4, "one call for nothing, not one a poll");
        peer.write_all(b"once more").unwrap();
        reactor.turn(NOW).unwrap();
        assert_eq!(ready(transfer()), 9);
        peer.write_all(b"still more").unwrap();
        assert_eq!(ready(transfer()), 10, "the third that was allowed");
        peer.write_all(b"too much").unwrap();
        assert_eq!(transfer().is_pending(), !EDGE_WITHOUT_END, "none is left, and no event came");
    });
}

#[test]
fn a_short_transfer_is_not_followed_by_a_call_that_would_block() {
    let reactor = reactor();
    enter(&reactor, || {
        let (io, mut peer) = pair();
        let calls = Cell::new(0);
        let transfer = |len: usize| transfer(&io, len, &calls);
        assert!(transfer(4).is_pending());
        peer.write_all(b"abcdef").unwrap();
        reactor.turn(NOW).unwrap();
        assert_eq!(ready(transfer(4)), 4);
        assert_eq!(ready(transfer(4)), 2);
        assert_eq!(calls.get(), 3);
        assert!(transfer(4).is_pending());
        assert_eq!(calls.get(), if EDGE_WITHOUT_END { 4 } else { 3 });
        peer.write_all(b"g").unwrap();
        drop(peer);
        reactor.turn(NOW).unwrap();
        assert_eq!(ready(transfer(4)), 1);
        for _ in 0..3 {
            let mut end = transfer(4);
            if end.is_pending() && cfg!(any(asyncio_oneshot, not(target_os = "linux"))) {
                // One-shot, the end is told to whoever asks for it.
                reactor.turn(NOW).unwrap();
                end = transfer(4);
            }
            assert_eq!(ready(end), 0, "the end came with the data and stays");
        }
    });
}

#[test]
fn reader_and_writer_wait_on_one_source_without_disturbing_each_other() {
    let reactor = reactor();
    let (io, peer) = pair();
    peer.set_nonblocking(true).unwrap();
    let peer = Io::exclusive(peer);
    let total = 3_000_000;
    let pump = async |from: &Io<UnixStream>, to: &Io<UnixStream>| {
        let (mut sent, mut got) = (0, 0);
        poll_fn(|cx| {
            let place = Location::caller();
            while sent < total {
                let asked = 4096.min(total - sent);
                match to.poll_transfer(Direction::Write, asked, place, cx, || {
                    to.get_ref().write(&[1; 4096][..asked])
                }) {
                    Poll::Ready(n) => sent += n.unwrap(),
                    Poll::Pending => break,
                }
            }
            while got < total {
                let mut buf = [0; 1500];
                match from.poll_transfer(Direction::Read, 1500, place, cx, || {
                    from.get_ref().read(&mut buf)
                }) {
                    Poll::Ready(n) => got += n.unwrap(),
                    Poll::Pending => break,
                }
            }
            if sent == total && got == total { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    };
    let mut executor = common::Executor::new(&reactor);
    executor.spawn(pump(&io, &io));
    executor.spawn(pump(&peer, &peer));
    executor.run();
    assert!(reactor.stats().events > 2);
}

#[test]
fn many_tasks_call_one_source_and_each_gets_its_share() {
    let (io, mut peer) = pair();
    let got = Mutex::new(Vec::new());
    let all: Vec<u8> = (0..50).collect();
    let mut executor = common::Executor::default();
    for _ in 0..50 {
        executor.spawn(async {
            let byte = io
                .call(Direction::Read, |mut stream| {
                    let mut buf = [0];
                    stream.read_exact(&mut buf).map(|()| buf[0])
                })
                .await;
            got.lock().unwrap().push(byte.unwrap());
        });
    }
    executor.spawn(async {
        peer.write_all(&all).unwrap();
    });
    executor.run();
    drop(executor);
    let mut got = got.into_inner().unwrap();
    got.sort_unstable();
    assert_eq!(got, all);
}

#[test]
fn the_end_of_a_pair_is_told_to_both_directions() {
    let (io, peer) = pair();
    block_on(async {
        let mut readable = io.readable();
        assert!(poll(&mut readable, Waker::noop()).is_pending());
        drop(peer);
        readable.await.unwrap();
        let mut buf = [0; 4];
        assert_eq!(io.call(Direction::Read, |mut s| s.read(&mut buf)).await.unwrap(), 0);
        let error = io.call(Direction::Write, |mut s| s.write(b"x")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn debug_says_what_is_known() {
    let reactor = reactor();
    let (io, _peer) = pair();
    assert!(format!("{io:?}").contains("readiness: None"));
    enter(&reactor, || assert!(read(&io, Waker::noop()).is_pending()));
    let text = format!("{io:?}");
    assert!(text.contains(r#"read: ["waiting"], write: ["ready"]"#), "{text}");
    assert!(format!("{reactor:?}").contains("registered: 1"));
    assert!(format!("{:?}", io.readable()).contains(file!()));
}
