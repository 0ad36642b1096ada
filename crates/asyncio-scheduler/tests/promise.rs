//! The settable future's protocol on one thread; `loom-tests/tests/promise.rs` has it on several.
#![allow(missing_docs)]

use asyncio_scheduler::promise::{Held, ListenerId, Outcome, Promise};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

type Number = Promise<u32, &'static str, &'static str>;
type Code = Box<dyn Fn() + Send + Sync>;

/// A waker that runs code.
struct Runs(Code);

impl Wake for Runs {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(code: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Runs(Box::new(code))))
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn waker(&self, what: &'static str) -> Waker {
        let log = self.clone();
        waker(move || log.note(what))
    }
}

fn wait(promise: &Number, waker: &Waker) -> Option<ListenerId> {
    let mut waiting = None;
    assert!(promise.poll(&mut waiting, &mut Context::from_waker(waker)).is_pending());
    waiting
}

#[test]
fn all_are_told_in_the_order_in_which_they_came() {
    let (promise, log) = (Number::new(), Log::default());
    let queue = |what| log.note(what);
    wait(&promise, &log.waker("task 1"));
    promise.add_callback("callback 1", queue);
    let gone = wait(&promise, &log.waker("gone"));
    wait(&promise, &log.waker("task 2"));
    promise.add_callback("callback 2", queue);
    promise.forget(gone.unwrap());
    assert_eq!(promise.finish(Outcome::Value(1), None, queue), Ok(()));
    assert_eq!(log.take(), ["task 1", "callback 1", "task 2", "callback 2"]);
    promise.add_callback("late", queue);
    assert_eq!(log.take(), ["late"]);
}

#[test]
fn with_the_first_gone_a_newcomer_goes_behind_the_rest() {
    let (promise, log) = (Number::new(), Log::default());
    let first = wait(&promise, &log.waker("first"));
    wait(&promise, &log.waker("second"));
    promise.forget(first.unwrap());
    wait(&promise, &log.waker("third"));
    promise.finish(Outcome::Value(1), None, |_| ()).unwrap();
    assert_eq!(log.take(), ["second", "third"]);
}

#[test]
fn one_outcome_and_no_other() {
    let promise = Number::new();
    assert!(!promise.is_done() && promise.take() == Held::Pending);
    promise.finish(Outcome::Value(1), None, |_| ()).unwrap();
    assert!(promise.is_done() && !promise.is_cancelled());
    let cancelled = Outcome::Cancelled(Box::default());
    assert_eq!(promise.finish(cancelled.clone(), None, |_| ()), Err(cancelled.clone()));
    promise.look(|held| assert_eq!(*held, Held::Outcome(Outcome::Value(1))));
    assert_eq!(promise.take(), Held::Outcome(Outcome::Value(1)));
    assert_eq!(promise.take(), Held::Taken);
    assert!(promise.is_done());

    let promise = Number::new();
    promise.finish(cancelled, None, |_| ()).unwrap();
    assert!(promise.is_done() && promise.is_cancelled());
}

#[test]
fn polled_again_the_newest_waker_counts_at_the_old_place() {
    let (promise, log) = (Number::new(), Log::default());
    let (old, new) = (log.waker("old"), log.waker("new"));
    let mut waiting = wait(&promise, &old);
    wait(&promise, &log.waker("other"));
    for waker in [&old, &new, &new] {
        let place = waiting;
        assert!(promise.poll(&mut waiting, &mut Context::from_waker(waker)).is_pending());
        assert_eq!(waiting, place);
    }
    promise.finish(Outcome::Value(1), None, |_| ()).unwrap();
    assert_eq!(log.take(), ["new", "other"]);
    let mut cx = Context::from_waker(&old);
    assert_eq!((promise.poll(&mut waiting, &mut cx), waiting), (Poll::Ready(()), None));
}

#[test]
fn a_removed_callback_is_not_queued_and_a_queued_one_not_removed() {
    let (promise, log) = (Number::new(), Log::default());
    let id = promise.add_callback("removed", |_| unreachable!());
    let stays = promise.add_callback("stays", |_| unreachable!());
    assert_eq!(promise.remove_callback(id), Some("removed"));
    assert_eq!(promise.remove_callback(id), None);
    promise.finish(Outcome::Value(1), None, |what| log.note(what)).unwrap();
    assert_eq!(promise.remove_callback(stays), None);
    assert_eq!(log.take(), ["stays"]);
}

/// Ids count from 1 in every promise, so the name of a callback of one may be that of a task of another.
#[test]
fn a_callbacks_name_removes_no_task() {
    let (promise, other, log) = (Number::new(), Number::new(), Log::default());
    let id = other.add_callback("other's", |_| unreachable!());
    assert_eq!(wait(&promise, &log.waker("woken")), Some(id));
    assert_eq!(promise.remove_callback(id), None);
    promise.finish(Outcome::Value(1), None, |_| ()).unwrap();
    assert_eq!(log.take(), ["woken"]);
}

#[test]
fn who_comes_while_the_others_are_told_is_told_last() {
    let (promise, log) = (Arc::new(Number::new()), Log::default());
    let (inner, noted) = (promise.clone(), log.clone());
    let registers = waker(move || {
        noted.note("first");
        let id = inner.add_callback("latecomer", |_| unreachable!("it would overtake"));
        assert!(inner.remove_callback(id).is_none(), "it is as good as queued");
    });
    wait(&promise, &registers);
    wait(&promise, &log.waker("second"));
    promise.finish(Outcome::Value(1), None, |what| log.note(what)).unwrap();
    assert_eq!(log.take(), ["first", "second", "latecomer"]);
    promise.add_callback("late", |what| log.note(what));
    assert_eq!(log.take(), ["late"]);
}

#[test]
fn a_panic_of_one_reaches_the_finisher_after_all_were_told() {
    let (promise, log) = (Number::new(), Log::default());
    wait(&promise, &waker(|| panic!("first")));
    wait(&promise, &log.waker("second"));
    promise.add_callback("third", |_| unreachable!());
    let told = RefCell::new(Vec::new());
    let finish = || {
        promise.finish(Outcome::Value(1), None, |what| {
            told.borrow_mut().push(what);
            panic!("third");
        })
    };
    let panic = catch_unwind(AssertUnwindSafe(finish)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"first"));
    assert_eq!((log.take(), told.take()), (vec!["second"], vec!["third"]));
    promise.add_callback("late", |what| log.note(what));
    assert_eq!(log.take(), ["late"], "the telling is over");
}

#[test]
fn an_error_is_unseen_until_somebody_looks_or_forgives() {
    let failed = || {
        let promise = Number::new();
        promise.finish(Outcome::Error("broken"), Some(|e| format!("<{e}>")), |_| ()).unwrap();
        promise
    };
    assert_eq!(failed().unseen().as_deref(), Some("<broken>"));
    let see: [fn(&Number); 3] = [
        |promise| promise.look(|_| ()),
        |promise| promise.forgive(),
        |promise| drop(promise.take()),
    ];
    for see in see {
        let mut promise = failed();
        see(&promise);
        assert_eq!(promise.unseen(), None);
    }
}

#[test]
fn a_value_that_looks_at_its_promise_when_dropped_finds_it_free() {
    type Slot = Mutex<Option<Arc<Promise<Looks, (), ()>>>>;
    struct Looks(Arc<Slot>, Log);
    impl Drop for Looks {
        fn drop(&mut self) {
            let promise = self.0.lock().unwrap().clone();
            if promise.is_some_and(|promise| promise.peek(|_, _| ()).is_some()) {
                self.1.note("free");
            }
        }
    }
    let (cell, log) = (Arc::new(Mutex::new(None)), Log::default());
    let promise = Arc::new(Promise::<Looks, (), ()>::new());
    *cell.lock().unwrap() = Some(promise.clone());
    promise.finish(Outcome::Value(Looks(cell.clone(), log.clone())), None, drop).ok().unwrap();
    // Refused, and dropped by the one who offered it.
    assert!(promise.finish(Outcome::Value(Looks(cell.clone(), log.clone())), None, drop).is_err());
    drop(promise.take());
    assert_eq!(log.take(), ["free", "free"]);
    cell.lock().unwrap().take();
}
