//! A reactor whose poller is a list in this file: the seam under which a loop is simulated.

mod common;

use asyncio_reactor::{Direction, Handle, Io, Reactor, Ready, Source, System, Token, enter};
use common::OnWake;
use std::collections::HashMap;
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

/// Tells what it was told to tell.
#[derive(Debug, Default)]
struct Script(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tokens: HashMap<u64, Token>,
    next: Vec<(u64, Ready)>,
    timeouts: Vec<Option<Duration>>,
    refuses: bool,
}

impl Script {
    fn tell(&self, events: impl IntoIterator<Item = (u64, Ready)>) {
        self.0.lock().unwrap().next.extend(events);
    }
}

impl System for Script {
    fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<(Token, Ready)>) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.timeouts.push(timeout);
        let events = std::mem::take(&mut state.next);
        ready.extend(events.into_iter().map(|(number, ready)| (state.tokens[&number], ready)));
        Ok(())
    }

    fn notify(&self) {}

    fn watch(&self, socket: u64, token: Token) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.refuses {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        assert_eq!(state.tokens.insert(socket, token), None);
        Ok(())
    }

    fn forget(&self, socket: u64) {
        assert!(self.0.lock().unwrap().tokens.remove(&socket).is_some());
    }

    fn escaped(&self, place: &'static Location<'static>) -> io::Error {
        io::Error::other(place.to_string())
    }
}

/// A socket that is nothing but its number.
struct Number(u64);

impl Source for Number {
    fn handle(&self) -> Handle<'_> {
        Handle::Simulated(self.0)
    }
}

fn script() -> (Arc<Script>, Arc<Reactor>) {
    let script = Arc::new(Script::default());
    (script.clone(), Arc::new(Reactor::simulated(script)))
}

#[test]
fn waiters_hear_in_the_order_that_the_system_tells() {
    let (script, reactor) = script();
    let sockets: Vec<_> = (0..3).map(|number| Io::new(Number(number))).collect();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waits: Vec<_> = sockets.iter().map(Io::readable).collect();
    enter(&reactor, || {
        for (number, wait) in waits.iter_mut().enumerate() {
            let order = order.clone();
            let waker = OnWake::waker(move || order.lock().unwrap().push(number));
            assert!(pin!(wait).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(reactor.stats().registered, 3);
        script.tell([2, 0, 1].map(|number| (number, Ready::READ)));
        assert_eq!(reactor.turn(Some(Duration::from_secs(9))).unwrap(), 3);
    });
    assert_eq!(*order.lock().unwrap(), [2, 0, 1]);
    assert_eq!(script.0.lock().unwrap().timeouts, [Some(Duration::from_secs(9))]);
    drop(waits);
    drop(sockets);
    assert!(script.0.lock().unwrap().tokens.is_empty());
}

#[test]
fn a_call_is_tried_again_only_after_an_event() {
    let (script, reactor) = script();
    let socket = Io::exclusive(Number(7));
    let mut calls = 0;
    enter(&reactor, || {
        let mut call = pin!(socket.call(Direction::Write, |_| {
            calls += 1;
            if calls < 3 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(calls) }
        }));
        let mut poll = || call.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(poll().is_pending() && poll().is_pending());
        script.tell([(7, Ready::WRITE)]);
        reactor.turn(None).unwrap();
        assert!(poll().is_pending() && poll().is_pending());
        script.tell([(7, Ready::WRITE)]);
        reactor.turn(None).unwrap();
        assert!(matches!(poll(), Poll::Ready(Ok(3))));
    });
}

#[test]
fn a_system_may_refuse_and_closing_wakes() {
    let (script, reactor) = script();
    let socket = Io::new(Number(1));
    script.0.lock().unwrap().refuses = true;
    enter(&reactor, || {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Err(error)) = socket.poll_ready(Direction::Read, &mut context) else {
            panic!("it waits");
        };
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        assert_eq!(reactor.stats().registered, 0);
        script.0.lock().unwrap().refuses = false;
        let woken = Arc::new(Mutex::new(false));
        let told = woken.clone();
        let waker = OnWake::waker(move || *told.lock().unwrap() = true);
        let mut context = Context::from_waker(&waker);
        assert!(socket.poll_ready(Direction::Read, &mut context).is_pending());
        reactor.close();
        assert!(*woken.lock().unwrap());
    });
}
