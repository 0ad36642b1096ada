//! Nobody waits in vain for a promise, one outcome wins, and all are told in their order (`asyncio-scheduler/src/promise.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_base::sync::Mutex;
use asyncio_loom_tests::{model, race};
use asyncio_scheduler::promise::{Held, ListenerId, Outcome, Promise};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use sync_common::{Watched, block_on, spawn};

type Number = Promise<u32, (), u32>;

/// Done-callbacks are numbers; queueing one notes it here. So does waking one of its wakers.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<u32>>>);

struct Note(u32, Notes);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.1.note(self.0);
    }
}

impl Notes {
    fn note(&self, number: u32) {
        self.0.lock().push(number);
    }

    fn noting(&self) -> impl FnMut(u32) + use<> {
        let notes = self.clone();
        move |number| notes.note(number)
    }

    fn waker(&self, number: u32) -> Waker {
        Waker::from(Arc::new(Note(number, self.clone())))
    }

    fn take(&self) -> Vec<u32> {
        std::mem::take(&mut self.0.lock())
    }
}

fn poll(promise: &Number, waiting: &mut Option<ListenerId>, waker: &Waker) -> Poll<()> {
    promise.poll(waiting, &mut Context::from_waker(waker))
}

/// Waits for the outcome and looks at it.
async fn wait(promise: &Number) -> u32 {
    let mut waiting = None;
    std::future::poll_fn(|cx| promise.poll(&mut waiting, cx)).await;
    assert!(waiting.is_none());
    promise.look(|held| match held {
        Held::Outcome(Outcome::Value(value)) => *value,
        _ => unreachable!("it was awaited"),
    })
}

fn set(promise: &Number, value: u32) -> bool {
    promise.finish(Outcome::Value(value), None, |_| ()).is_ok()
}

#[test]
fn set_meets_await() {
    model("promise: set meets await", None, || {
        let promise = Arc::new(Number::new());
        let setter = promise.clone();
        let thread = spawn(move || assert!(set(&setter, 7)));
        assert_eq!(block_on(wait(&promise)), 7);
        thread.join().unwrap();
    });
}

/// Whoever finds the promise done has seen what was done before it was set, without taking the lock.
#[test]
fn done_publishes() {
    model("promise: done publishes", None, || {
        let (promise, data) = (Arc::new(Number::new()), Arc::new(Watched::new(0)));
        let (setter, written) = (promise.clone(), data.clone());
        let thread = spawn(move || {
            written.set(1);
            assert!(set(&setter, 7));
        });
        if promise.is_done() {
            assert_eq!(data.get(), 1);
        }
        thread.join().unwrap();
        assert!(promise.is_done());
    });
}

#[test]
fn set_meets_await_and_a_dropped_await() {
    model("promise: set meets await and a dropped await", Some(3), || {
        let promise = Arc::new(Number::new());
        let (setter, fickle) = (promise.clone(), promise.clone());
        let thread = spawn(move || assert!(set(&setter, 7)));
        let gives_up = spawn(move || {
            let mut waiting = None;
            let polled = poll(&fickle, &mut waiting, Waker::noop());
            assert_eq!(polled.is_ready(), waiting.is_none());
            waiting.into_iter().for_each(|id| fickle.forget(id));
        });
        assert_eq!(block_on(wait(&promise)), 7);
        thread.join().unwrap();
        gives_up.join().unwrap();
    });
}

/// The awaiter moves to another task while the promise is set: the new one's waker is called, or it finds the promise done.
#[test]
fn change_of_waker_meets_set() {
    model("promise: change of waker meets set", None, || {
        let (promise, notes) = (Arc::new(Number::new()), Notes::default());
        let mut waiting = None;
        assert!(poll(&promise, &mut waiting, &notes.waker(1)).is_pending());
        let setter = promise.clone();
        let thread = spawn(move || assert!(set(&setter, 7)));
        let moved = poll(&promise, &mut waiting, &notes.waker(2));
        thread.join().unwrap();
        let told = notes.take();
        assert!(if moved.is_ready() { told == [1] } else { told == [2] });
    });
}

#[test]
fn set_meets_cancel() {
    model("promise: set meets cancel", None, || {
        let (promise, notes) = (Arc::new(Number::new()), Notes::default());
        promise.add_callback(1, |_| unreachable!("pending"));
        let setter = promise.clone();
        let mut queue = notes.noting();
        let thread = spawn(move || setter.finish(Outcome::Value(7), None, &mut queue).is_ok());
        let cancel = Outcome::Cancelled(Box::default());
        let cancelled = promise.finish(cancel, None, notes.noting()).is_ok();
        let set = thread.join().unwrap();
        assert!(set != cancelled, "exactly one wins");
        assert_eq!(promise.is_cancelled(), cancelled);
        promise.look(|held| assert_eq!(*held == Held::Outcome(Outcome::Value(7)), set));
        assert_eq!(notes.take(), [1], "and tells the callback, once");
    });
}

/// A callback is queued once, by the finisher or by the one who adds it, and never before those that were there.
#[test]
fn add_callback_meets_set() {
    model("promise: add callback meets set", None, || {
        let (promise, notes) = (Arc::new(Number::new()), Notes::default());
        promise.add_callback(1, |_| unreachable!("pending"));
        let setter = promise.clone();
        let queue = notes.noting();
        let thread = spawn(move || setter.finish(Outcome::Value(7), None, queue).is_ok());
        promise.add_callback(2, notes.noting());
        promise.add_callback(3, notes.noting());
        assert!(thread.join().unwrap());
        assert_eq!(notes.take(), [1, 2, 3]);
    });
}

#[test]
fn remove_callback_meets_set() {
    model("promise: remove callback meets set", None, || {
        let (promise, notes) = (Arc::new(Number::new()), Notes::default());
        let id = promise.add_callback(1, |_| unreachable!("pending"));
        promise.add_callback(2, |_| unreachable!("pending"));
        let setter = promise.clone();
        let queue = notes.noting();
        let thread = spawn(move || setter.finish(Outcome::Value(7), None, queue).is_ok());
        let removed = promise.remove_callback(id);
        assert!(thread.join().unwrap());
        match removed {
            Some(callback) => assert_eq!((callback, notes.take()), (1, vec![2])),
            None => assert_eq!(notes.take(), [1, 2]),
        }
    });
}

#[test]
fn take_meets_take() {
    model("promise: take meets take", None, || {
        let promise = Arc::new(Promise::<Watched, (), ()>::new());
        let setter = promise.clone();
        let value = Watched::new(0);
        let thread =
            spawn(move || assert!(setter.finish(Outcome::Value(value), None, drop).is_ok()));
        let other = promise.clone();
        let take = |promise: &Promise<Watched, (), ()>| match promise.take() {
            Held::Outcome(Outcome::Value(value)) => {
                value.set(1);
                1
            }
            Held::Pending | Held::Taken => 0,
            Held::Outcome(_) => unreachable!("a value was set"),
        };
        let taker = spawn(move || take(&other));
        let taken = take(&promise);
        thread.join().unwrap();
        let taken = taken + taker.join().unwrap();
        assert_eq!(taken + take(&promise), 1, "one has it");
    });
}

#[test]
fn two_awaiters_wake_in_order() {
    model("promise: two awaiters wake in order", None, || {
        let (promise, notes) = (Arc::new(Number::new()), Notes::default());
        let setter = promise.clone();
        let thread = spawn(move || assert!(set(&setter, 7)));
        let waits = |number| {
            let mut waiting = None;
            let polled = poll(&promise, &mut waiting, &notes.waker(number));
            assert_eq!(polled.is_pending(), waiting.is_some());
            polled.is_pending()
        };
        let waiting: Vec<u32> = [1, 2].into_iter().filter(|&number| waits(number)).collect();
        thread.join().unwrap();
        assert_eq!(notes.take(), waiting, "all that wait, in order");
    });
}

type Looked = Promise<Watched, (), ()>;

/// Looks, and changes what it looks at, as the `Clone` of an outcome that is not `Sync` may.
fn change(promise: &Looked) {
    race();
    promise.look(|held| match held {
        Held::Outcome(Outcome::Value(value)) => value.set(value.get() + 1),
        Held::Pending | Held::Taken | Held::Outcome(_) => unreachable!("it was set"),
    });
    race();
}

fn finished() -> Arc<Looked> {
    let promise = Arc::new(Looked::new());
    assert!(promise.finish(Outcome::Value(Watched::new(0)), None, drop).is_ok());
    promise
}

fn value(promise: &Looked) -> u32 {
    match promise.take() {
        Held::Outcome(Outcome::Value(value)) => value.get(),
        _ => unreachable!("nobody took it"),
    }
}

/// One thread at a time looks, sees what the one before did, and waits for no longer than that one looks.
#[test]
fn look_meets_look() {
    model("promise: look meets look", None, || {
        let promise = finished();
        let other = promise.clone();
        let thread = spawn(move || change(&other));
        change(&promise);
        thread.join().unwrap();
        assert_eq!(value(&promise), 2);
    });
}

#[test]
fn three_look() {
    model("promise: three look", Some(3), || {
        let promise = finished();
        let threads =
            [promise.clone(), promise.clone()].map(|promise| spawn(move || change(&promise)));
        change(&promise);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(value(&promise), 3);
    });
}

/// A report is made of an outcome that nobody uses, or not at all.
#[test]
fn peek_meets_look() {
    model("promise: peek meets look", None, || {
        let promise = finished();
        let other = promise.clone();
        let thread = spawn(move || change(&other));
        race();
        let seen = promise.peek(|held| match held {
            Held::Outcome(Outcome::Value(value)) => value.get(),
            _ => unreachable!("it was set"),
        });
        race();
        assert!(matches!(seen, None | Some(0 | 1)));
        thread.join().unwrap();
        assert_eq!(value(&promise), 1);
    });
}

/// Whoever looks while the promise is set sees nothing, or all of it.
#[test]
fn look_meets_set() {
    model("promise: look meets set", None, || {
        let promise = Arc::new(Looked::new());
        let setter = promise.clone();
        let thread = spawn(move || {
            assert!(setter.finish(Outcome::Value(Watched::new(7)), None, drop).is_ok());
            race();
        });
        race();
        let seen = promise.look(|held| match held {
            Held::Outcome(Outcome::Value(value)) => Some(value.get()),
            Held::Pending => None,
            Held::Taken | Held::Outcome(_) => unreachable!("only set"),
        });
        assert!(matches!(seen, None | Some(7)));
        thread.join().unwrap();
    });
}
