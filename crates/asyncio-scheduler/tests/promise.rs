//! The settable future's protocol on one thread; `loom-tests/tests/promise.rs` has it on several.
#![allow(missing_docs)]

use asyncio_scheduler::promise::{Held, ListenerId, Outcome, Promise};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

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
            if promise.is_some_and(|promise| promise.peek(|_| ()).is_some()) {
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

/// Runs code when it is cloned.
struct Clones(Arc<dyn Fn() + Send + Sync>);

impl Clone for Clones {
    fn clone(&self) -> Self {
        (self.0)();
        Clones(self.0.clone())
    }
}

type Cloned = Promise<Clones, (), ()>;

/// A finished promise whose outcome runs `code` when it is cloned.
fn finished(code: impl Fn(&Cloned) + Send + Sync + 'static) -> Arc<Cloned> {
    let promise = Arc::new(Cloned::new());
    let weak = Arc::downgrade(&promise);
    let clones = Clones(Arc::new(move || code(&weak.upgrade().unwrap())));
    promise.finish(Outcome::Value(clones), None, drop).ok().unwrap();
    promise
}

fn clone_outcome(promise: &Cloned) {
    promise.look(|held| match held {
        Held::Outcome(Outcome::Value(value)) => drop(value.clone()),
        _ => panic!("it is finished"),
    });
}

#[test]
fn code_of_the_outcome_may_use_its_promise() {
    let log = Log::default();
    let noted = log.clone();
    let promise = finished(move |promise| {
        promise.add_callback((), |()| noted.note("called back"));
        assert!(promise.is_done() && !promise.is_cancelled());
        assert!(promise.finish(Outcome::Error(()), None, drop).is_err());
        promise.forgive();
        assert!(promise.poll(&mut None, &mut Context::from_waker(Waker::noop())).is_ready());
        assert!(promise.callbacks(|()| Some(())).is_empty() && promise.peek(|_| ()).is_none());
        // The one thing it may not.
        let panic = catch_unwind(AssertUnwindSafe(|| promise.look(|_| ()))).unwrap_err();
        assert!(panic.downcast_ref::<&str>().unwrap().contains("its own `Clone`"));
        assert!(catch_unwind(AssertUnwindSafe(|| promise.take())).is_err());
        noted.note("cloned");
    });
    clone_outcome(&promise);
    assert_eq!(log.take(), ["called back", "cloned"]);
    // A panic of it changes nothing for the next.
    let calls = Mutex::new(0);
    let promise = finished(move |_| {
        let mut calls = calls.lock().unwrap_or_else(|poison| poison.into_inner());
        *calls += 1;
        assert_ne!(*calls, 1, "the first clone");
    });
    assert!(catch_unwind(AssertUnwindSafe(|| clone_outcome(&promise))).is_err());
    clone_outcome(&promise);
}

#[test]
fn code_of_the_outcome_stops_no_other_thread() {
    let promise = finished(|promise| {
        // Another thread may do everything but look, while this one waits for it.
        std::thread::scope(|scope| {
            let others = scope.spawn(|| {
                promise.add_callback((), drop);
                assert!(promise.is_done() && promise.peek(|_| ()).is_none());
                assert!(
                    promise.poll(&mut None, &mut Context::from_waker(Waker::noop())).is_ready()
                );
            });
            others.join().unwrap();
        });
    });
    clone_outcome(&promise);
}

type Hook = std::rc::Rc<dyn Fn(&'static str)>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Calls the hook with `what`, if there is one and it is not running.
fn hooked(what: &'static str) {
    let hook = HOOK.take();
    if let Some(hook) = hook {
        hook(what);
        HOOK.set(Some(hook));
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |_| {
        hooked("clone");
        RawWaker::new(std::ptr::null(), &VTABLE)
    },
    |_| hooked("wake"),
    |_| hooked("wake by reference"),
    |_| hooked("drop"),
);

#[test]
fn code_of_a_waker_may_use_the_promise() {
    // SAFETY: the functions of the table use no pointer.
    let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) };
    let promise = std::rc::Rc::new(Promise::<u32, (), Waker>::new());
    let (log, used) = (Log::default(), promise.clone());
    let noted = log.clone();
    HOOK.set(Some(std::rc::Rc::new(move |what| {
        noted.note(what);
        // Each takes the lock of those who wait, the last that of the outcome too.
        assert!(used.callbacks(|_| Some(())).len() < 2);
        let mut waiting = None;
        if used.poll(&mut waiting, &mut Context::from_waker(Waker::noop())).is_pending() {
            used.forget(waiting.unwrap());
        }
        used.look(|_| ());
    })));
    let mut waiting = None;
    let poll = |waiting: &mut _, waker| promise.poll(waiting, &mut Context::from_waker(waker));
    assert!(poll(&mut waiting, &waker).is_pending());
    assert_eq!(log.take(), ["clone"]);
    // Another waker takes its place.
    assert!(poll(&mut waiting, Waker::noop()).is_pending());
    assert!(poll(&mut waiting, &waker).is_pending());
    assert_eq!(log.take(), ["drop", "clone"]);
    promise.forget(waiting.take().unwrap());
    assert_eq!(log.take(), ["drop"]);
    // And a callback that is foreign code when it is dropped.
    let id = promise.add_callback(waker.clone(), drop);
    drop(promise.remove_callback(id));
    assert_eq!(log.take(), ["clone", "drop"]);
    assert!(poll(&mut waiting, &waker).is_pending());
    promise.add_callback(waker.clone(), drop);
    promise.finish(Outcome::Value(1), None, drop).unwrap();
    assert_eq!(log.take(), ["clone", "clone", "wake", "drop"]);
    HOOK.set(None);
}
