//! The cancel tree of a task against other threads: `crates/asyncio-task/src/cancel/`.
//!
//! What must hold in every schedule: a request that was accepted is caught, ends its task, or was taken back; and whoever waits for it gets a turn.
//! Every model names the outcomes that it must have seen by the end.
#![cfg(asyncio_loom)]

use asyncio_base::context::ContextSlot;
use asyncio_base::slab::Key;
use asyncio_base::sync::{AtomicUsize, Mutex, Ordering, UnsafeCell, thread};
use asyncio_loom_tests::{model, race};
use asyncio_scheduler::promise::{Held, ListenerId, Outcome, Promise};
use asyncio_task::{
    CancelledError, Forward, GroupDomain, Host, JoinError, Members, Polled, Ran, Room, Runnable,
    Schedule, Task, TaskHandle, TaskList, TimeoutDomain, Unretrieved, block_in_scope,
    catch_cancelled, shield, spawn, spawn_entered, uncancellable,
};
use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, pending, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
// What only notes an outcome, and the queue's contents, are no business of loom's.
use std::sync::atomic::{AtomicBool as Flag, AtomicUsize as Count, Ordering::Relaxed};
use std::sync::{Arc, Mutex as Plain};
use std::task::{Context, Poll, Waker};

// ----- a loop

/// A queue as real ones are: popping sees what happened before the push.
#[derive(Default)]
struct Queue {
    len: AtomicUsize,
    tokens: Plain<VecDeque<Runnable>>,
}

struct Loop {
    tasks: TaskList,
    queue: Queue,
}

#[derive(Clone, Copy)]
struct Name(&'static Loop);

impl Schedule for Name {
    fn schedule(self, token: Runnable) {
        self.0.push(token);
    }

    fn host(self) -> &'static dyn Host {
        self.0
    }
}

impl Host for Loop {
    fn tasks(&self) -> &TaskList {
        &self.tasks
    }

    fn call_soon(&self, _: ContextSlot, _: Box<dyn FnOnce() + Send>) {
        unreachable!("no callbacks");
    }

    fn unretrieved(&self, _: Unretrieved, error: &JoinError) {
        panic!("unretrieved: {error}");
    }

    fn destructor_panicked(&self, error: JoinError) {
        panic!("a destructor: {error}");
    }
}

impl Loop {
    fn push(&self, token: Runnable) {
        self.queue.tokens.lock().unwrap().push_back(token);
        self.queue.len.fetch_add(1, Ordering::AcqRel);
    }

    fn pop(&self) -> Option<Runnable> {
        let mut len = self.queue.len.load(Ordering::Acquire);
        while len > 0 {
            let next = len - 1;
            match self.queue.len.compare_exchange(len, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return self.queue.tokens.lock().unwrap().pop_front(),
                Err(now) => len = now,
            }
        }
        None
    }

    fn spawn<F>(&'static self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let room = Room::new(Name(self), ContextSlot::new(), Location::caller());
        let (made, token) = spawn(room, future);
        token.into_iter().for_each(|token| self.push(token));
        made.into_task()
    }

    /// Runs tokens until there are none.
    fn run(&'static self) {
        race();
        while let Some(token) = self.pop() {
            if let Ran::Again(token) = token.run(u32::MAX) {
                self.push(token);
            }
        }
        race();
    }

    /// A gate opens, and what that wakes runs, on another thread while the task is cancelled here; whether that was accepted.
    fn cancel_while_opening<T>(&'static self, gate: Arc<Gate>, task: &Task<T>) -> bool {
        let worker = thread::spawn(move || {
            gate.open();
            self.run();
        });
        let accepted = task.cancel();
        self.run();
        worker.join().unwrap();
        self.run();
        accepted
    }

    /// Another thread cancels the task, takes that back and then sets `taken_back`, while this one runs tokens.
    fn run_beside_a_cancel_taken_back<T>(&'static self, task: &Task<T>, taken_back: Arc<Flag>) {
        let handle = task.handle();
        let canceller = thread::spawn(move || {
            assert!(handle.cancel());
            race();
            assert_eq!(handle.uncancel(), 0);
            taken_back.store(true, Relaxed);
        });
        self.run();
        canceller.join().unwrap();
        self.run();
    }
}

/// Explores `body`, which says what came of it; all of `outcomes` must come up, and nothing else.
fn explore(
    name: &str,
    preemptions: usize,
    outcomes: &[&str],
    body: impl Fn(&'static Loop) -> &'static str + Send + Sync + 'static,
) {
    let seen: Arc<Plain<BTreeSet<&'static str>>> = Arc::default();
    let sight = seen.clone();
    model(name, Some(preemptions), move || {
        let core =
            Box::into_raw(Box::new(Loop { tasks: TaskList::new(), queue: Queue::default() }));
        // SAFETY: boxed above and not unboxed before the end, where no task is left that could use it.
        let lp = unsafe { &*core };
        let outcome = body(lp);
        lp.run();
        assert!(lp.tasks.is_empty());
        sight.lock().unwrap().insert(outcome);
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(core) });
    });
    let expected: BTreeSet<_> = outcomes.iter().copied().collect();
    assert_eq!(*seen.lock().unwrap(), expected, "{name}");
}

/// Opened once; whoever waits for it goes on.
#[derive(Default)]
struct Gate(Mutex<(bool, Option<Waker>)>);

impl Gate {
    fn open(&self) {
        let waker = {
            let mut gate = self.0.lock();
            gate.0 = true;
            gate.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn is_open(&self, waker: Waker) -> bool {
        let mut gate = self.0.lock();
        let stale = if gate.0 { Some(waker) } else { gate.1.replace(waker) };
        let is_open = gate.0;
        drop(gate);
        drop(stale);
        is_open
    }

    fn wait(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let gate = self.clone();
        poll_fn(move |cx| {
            race();
            if gate.is_open(cx.waker().clone()) { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

/// A future that was polled in a task, on its way to another thread.
type Moved = Arc<Plain<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>>;

/// Polls the future in `moved` once and leaves it there.
fn poll_once(moved: &Moved, cx: &mut Context<'_>) {
    let mut future = moved.lock().unwrap().take().expect("not moved yet");
    assert!(future.as_mut().poll(cx).is_pending());
    *moved.lock().unwrap() = Some(future);
}

// ----- the models

/// cancel × completion: a request is accepted and answered, or refused.
#[test]
fn cancel_and_completion() {
    let outcomes = ["caught", "ended the task", "refused"];
    explore("cancel_and_completion", 3, &outcomes, |lp| {
        let gate = Arc::new(Gate::default());
        let wait = gate.wait();
        let mut task = lp.spawn(async move { catch_cancelled(wait).await.is_err() });
        lp.run();
        let handle = task.handle();
        let canceller = thread::spawn(move || handle.cancel());
        let opener = thread::spawn(move || gate.open());
        lp.run();
        opener.join().unwrap();
        let accepted = canceller.join().unwrap();
        lp.run();
        match (accepted, task.try_result().expect("it has ended")) {
            (true, Ok(true)) => "caught",
            (true, Err(_)) => "ended the task",
            (false, Ok(false)) => "refused",
            (accepted, outcome) => panic!("accepted: {accepted}, outcome: {outcome:?}"),
        }
    });
}

/// cancel × uncancel × completion: a request that was taken back before it was seen strikes nobody.
#[test]
fn cancel_and_uncancel() {
    let outcomes = ["caught", "ended the task", "refused", "taken back"];
    explore("cancel_and_uncancel", 3, &outcomes, |lp| {
        let gate = Arc::new(Gate::default());
        let wait = gate.wait();
        let mut task = lp.spawn(async move { catch_cancelled(wait).await.is_err() });
        lp.run();
        let handle = task.handle();
        let canceller = thread::spawn(move || {
            let accepted = handle.cancel();
            race();
            assert_eq!(handle.uncancel(), 0);
            accepted
        });
        lp.run();
        gate.open();
        lp.run();
        let accepted = canceller.join().unwrap();
        lp.run();
        match (accepted, task.try_result().expect("it has ended")) {
            (true, Ok(true)) => "caught",
            (true, Ok(false)) => "taken back",
            (true, Err(_)) => "ended the task",
            (false, Ok(false)) => "refused",
            (false, outcome) => panic!("refused, and yet {outcome:?}"),
        }
    });
}

/// forwarding × child completion: a request that the child did not take is the waiter's own.
#[test]
fn forwarding_and_the_child_s_completion() {
    let outcomes = ["child cancelled", "child had ended", "ended the waiter", "refused"];
    explore("forwarding_and_the_child_s_completion", 3, &outcomes, |lp| {
        let gate = Arc::new(Gate::default());
        let child = lp.spawn(gate.wait());
        let child_handle = child.handle();
        let mut parent = lp.spawn(catch_cancelled(child));
        lp.run();
        let accepted = lp.cancel_while_opening(gate, &parent);
        let child_cancelled = child_handle.cancelled();
        match (accepted, parent.try_result().expect("it has ended")) {
            (true, Ok(Err(_))) if child_cancelled => "child cancelled",
            (true, Ok(Err(_))) => "child had ended",
            (true, Err(_)) => "ended the waiter",
            (false, Ok(Ok(Ok(())))) => "refused",
            (accepted, outcome) => panic!("accepted: {accepted}, outcome: {outcome:?}"),
        }
    });
}

/// A plain await (no scope, so no tree) × child completion × cancel.
#[test]
fn a_plain_await_and_the_child_s_completion() {
    let outcomes = ["child cancelled", "child had ended", "refused"];
    explore("a_plain_await_and_the_child_s_completion", 3, &outcomes, |lp| {
        let gate = Arc::new(Gate::default());
        let child = lp.spawn(gate.wait());
        let child_handle = child.handle();
        let (canceller, went_on) = (thread::current().id(), Arc::new(Flag::new(false)));
        let after = went_on.clone();
        let mut parent = lp.spawn(async move {
            let outcome = child.await;
            // Polled by the one who asked before: no code may run between.
            after.store(thread::current().id() == canceller, Relaxed);
            outcome
        });
        lp.run();
        let accepted = lp.cancel_while_opening(gate, &parent);
        let child_cancelled = child_handle.cancelled();
        match (accepted, parent.try_result().expect("it has ended")) {
            (true, Err(_)) if went_on.load(Relaxed) => panic!("it went on although it was asked"),
            (true, Err(_)) if child_cancelled => "child cancelled",
            (true, Err(_)) => "child had ended",
            (false, Ok(Ok(()))) => "refused",
            (accepted, outcome) => panic!("accepted: {accepted}, outcome: {outcome:?}"),
        }
    });
}

/// A plain await × cancel × uncancel: a request that was taken back before it was seen reaches nobody, one that was seen goes on.
#[test]
fn a_plain_await_and_uncancel() {
    let outcomes = ["passed on", "taken back"];
    explore("a_plain_await_and_uncancel", 3, &outcomes, |lp| {
        let gate = Arc::new(Gate::default());
        let child = lp.spawn(gate.wait());
        let child_handle = child.handle();
        let taken_back = Arc::new(Flag::new(false));
        let (see, inner, mut child) = (taken_back.clone(), child_handle.clone(), child);
        let mut parent = lp.spawn(poll_fn(move |cx| {
            race();
            let (is_over, heard) = (see.load(Relaxed), inner.cancelling() > 0);
            let polled = Pin::new(&mut child).poll(cx);
            assert!(!is_over || heard || inner.cancelling() == 0, "asked after it was taken back");
            polled
        }));
        lp.run();
        lp.run_beside_a_cancel_taken_back(&parent, taken_back);
        gate.open();
        lp.run();
        match (child_handle.cancelled(), parent.try_result().expect("it has ended")) {
            (true, Err(error)) if error.is_cancelled() => "passed on",
            (false, Ok(Ok(()))) => "taken back",
            (child, outcome) => panic!("child cancelled: {child}, outcome: {outcome:?}"),
        }
    });
}

/// A plain await beside a scope × cancel × uncancel: what is offered to the await is void with the request, whoever looks first.
#[test]
fn an_offer_beside_a_scope_and_uncancel() {
    let outcomes = ["heard", "taken back"];
    explore("an_offer_beside_a_scope_and_uncancel", 3, &outcomes, |lp| {
        let gates: [Arc<Gate>; 2] = Default::default();
        let mut child = lp.spawn(gates[0].wait());
        let child_handle = child.handle();
        let mut scope = Box::pin(catch_cancelled(gates[1].wait()));
        let taken_back = Arc::new(Flag::new(false));
        let (see, inner) = (taken_back.clone(), child_handle.clone());
        let (mut child_done, mut caught) = (false, None);
        let mut parent = lp.spawn(poll_fn(move |cx| {
            race();
            let (is_over, heard) = (see.load(Relaxed), inner.cancelling() > 0);
            if !child_done {
                child_done = Pin::new(&mut child).poll(cx).is_ready();
            }
            assert!(!is_over || heard || inner.cancelling() == 0, "asked after it was taken back");
            if caught.is_none() {
                if let Poll::Ready(outcome) = scope.as_mut().poll(cx) {
                    assert!(!is_over || outcome.is_ok(), "caught after it was taken back");
                    caught = Some(outcome.is_err());
                }
            }
            if child_done { caught.map_or(Poll::Pending, Poll::Ready) } else { Poll::Pending }
        }));
        lp.run();
        lp.run_beside_a_cancel_taken_back(&parent, taken_back);
        gates.iter().for_each(|gate| gate.open());
        lp.run();
        let outcome = parent.try_result().expect("it has ended");
        assert!(!outcome.as_ref().is_err_and(JoinError::is_panic), "{outcome:?}");
        match (child_handle.cancelled(), outcome) {
            (true, Err(_)) => "heard",
            (false, Ok(false)) => "taken back",
            (child, outcome) => panic!("child cancelled: {child}, outcome: {outcome:?}"),
        }
    });
}

/// shield × child completion × cancel: the waiter lets go or has the value, and the child is never cancelled.
#[test]
fn a_shield_and_the_child_s_completion() {
    let outcomes = ["let go", "had the value", "refused"];
    explore("a_shield_and_the_child_s_completion", 3, &outcomes, |lp| {
        let gate = Arc::new(Gate::default());
        let child = lp.spawn(gate.wait());
        let child_handle = child.handle();
        let mut waiter = lp.spawn(catch_cancelled(shield(child)));
        lp.run();
        let accepted = lp.cancel_while_opening(gate, &waiter);
        assert!(child_handle.done() && !child_handle.cancelled());
        match (accepted, waiter.try_result().expect("it has ended")) {
            (true, Ok(Err(_))) => "let go",
            (true, Err(_)) => "had the value",
            (false, Ok(Ok(Ok(())))) => "refused",
            (accepted, outcome) => panic!("accepted: {accepted}, outcome: {outcome:?}"),
        }
    });
}

/// A plain await is dropped on another thread × cancel: the request is offered, taken by nobody, and ends the task; the child goes on.
#[test]
fn a_plain_await_dropped_on_another_thread() {
    explore("a_plain_await_dropped_on_another_thread", 3, &["ended the task"], |lp| {
        let moved: Moved = Arc::default();
        let gate = Arc::new(Gate::default());
        let child = lp.spawn(gate.wait());
        let child_handle = child.handle();
        *moved.lock().unwrap() = Some(Box::pin(async move { drop(child.await) }));
        let inside = moved.clone();
        let mut first = true;
        let task: Task<()> = lp.spawn(poll_fn(move |cx| {
            if std::mem::take(&mut first) {
                poll_once(&inside, cx);
            }
            Poll::Pending
        }));
        lp.run();
        let awaiting = moved.lock().unwrap().take();
        let dropper = thread::spawn(move || drop(awaiting));
        assert!(task.cancel());
        lp.run();
        dropper.join().unwrap();
        lp.run();
        assert!(task.cancelled(), "the request was lost");
        assert!(!child_handle.done());
        gate.open();
        lp.run();
        assert!(child_handle.done() && !child_handle.cancelled());
        "ended the task"
    });
}

/// A settable future as the facade has it.
type Settable = Arc<Promise<u32, (), ()>>;

fn cancel_promise(promise: &Settable, message: Option<Cow<'static, str>>) -> bool {
    let outcome = Outcome::Cancelled(Box::new(CancelledError::new(message)));
    promise.finish(outcome, None, drop).is_ok()
}

/// Awaits it, as the facade does; true if it has the value.
fn await_promise(promise: Settable) -> impl Future<Output = bool> + Send {
    let (mut waiting, mut forward): (Option<ListenerId>, _) = (None, Forward::new());
    poll_fn(move |cx| {
        let ended = promise.poll(&mut waiting, cx).map(|()| promise.is_cancelled());
        let polled = forward.poll(ended, cx.waker(), |message| cancel_promise(&promise, message));
        polled.map(|()| promise.look(|held| matches!(held, Held::Outcome(Outcome::Value(_)))))
    })
}

/// future set × await × cancel of the awaiter: the future is cancelled, or keeps its value; the request strikes unless it was refused.
#[test]
fn a_future_set_and_its_awaiter_cancelled() {
    let outcomes = ["future cancelled", "future was set", "ended the waiter", "refused"];
    explore("a_future_set_and_its_awaiter_cancelled", 3, &outcomes, |lp| {
        let promise: Settable = Arc::new(Promise::new());
        let awaiting = await_promise(promise.clone());
        let mut task = lp.spawn(catch_cancelled(awaiting));
        lp.run();
        let handle = task.handle();
        let canceller = thread::spawn(move || handle.cancel());
        let set = promise.clone();
        let setter = thread::spawn(move || set.finish(Outcome::Value(7), None, drop).is_ok());
        lp.run();
        let was_set = setter.join().unwrap();
        let accepted = canceller.join().unwrap();
        lp.run();
        assert_eq!(was_set, !promise.is_cancelled());
        match (accepted, task.try_result().expect("it has ended")) {
            (true, Ok(Err(_))) if was_set => "future was set",
            (true, Ok(Err(_))) => "future cancelled",
            (true, Err(_)) if was_set => "ended the waiter",
            (false, Ok(Ok(true))) => "refused",
            (accepted, outcome) => panic!("accepted: {accepted}, outcome: {outcome:?}"),
        }
    });
}

/// A scope is dropped on another thread × cancel: the request goes back to the task, which is given a turn for it.
#[test]
fn a_scope_dropped_on_another_thread() {
    let outcomes = ["came back", "met no scope"];
    explore("a_scope_dropped_on_another_thread", 3, &outcomes, |lp| {
        let moved: Moved = Arc::default();
        let scope = catch_cancelled(pending::<()>());
        *moved.lock().unwrap() = Some(Box::pin(async move { drop(scope.await) }));
        let polls = Arc::new(Count::new(0));
        let (inside, count) = (moved.clone(), polls.clone());
        let task: Task<()> = lp.spawn(poll_fn(move |cx| {
            if count.fetch_add(1, Relaxed) == 0 {
                poll_once(&inside, cx);
            }
            Poll::Pending
        }));
        lp.run();
        let scope = moved.lock().unwrap().take();
        let dropper = thread::spawn(move || drop(scope));
        assert!(task.cancel());
        lp.run();
        dropper.join().unwrap();
        lp.run();
        assert!(task.cancelled(), "the request was lost");
        if polls.load(Relaxed) > 1 { "came back" } else { "met no scope" }
    });
}

/// A request raised to the root waits for a shield, which is polled in each turn until another thread takes it, and drops it: the task gets a turn to end
/// in.
#[test]
fn a_shield_dropped_on_another_thread() {
    let outcomes = ["raised while it held back", "raised after"];
    explore("a_shield_dropped_on_another_thread", 3, &outcomes, |lp| {
        let moved: Moved = Arc::default();
        *moved.lock().unwrap() = Some(Box::pin(uncancellable(pending::<()>())));
        let (inside, raised) = (moved.clone(), Arc::new(Flag::new(false)));
        let (to_drop, raised_before) = (moved.clone(), raised.clone());
        let mut raises = Box::pin(async move {
            let caught = catch_cancelled(pending::<()>()).await.unwrap_err();
            raised_before.store(true, Relaxed);
            caught.propagate().await
        });
        let task: Task<()> = lp.spawn(poll_fn(move |cx| {
            let polled = raises.as_mut().poll(cx);
            race();
            if inside.lock().unwrap().is_some() {
                poll_once(&inside, cx);
            }
            polled
        }));
        lp.run();
        let dropper = thread::spawn(move || {
            race();
            let shield = to_drop.lock().unwrap().take();
            let held_back = shield.is_some() && raised.load(Relaxed);
            drop(shield);
            held_back
        });
        assert!(task.cancel());
        lp.run();
        let held_back = dropper.join().unwrap();
        lp.run();
        // The other thread may have come while it was polled.
        drop(moved.lock().unwrap().take());
        lp.run();
        assert!(task.cancelled(), "the request was lost");
        if held_back { "raised while it held back" } else { "raised after" }
    });
}

/// A group's last task ends × the group is cancelled from outside: it ends, and the request strikes unless it was over.
#[test]
fn a_group_s_last_task_and_a_cancel() {
    let outcomes = ["cancelled", "refused"];
    explore("a_group_s_last_task_and_a_cancel", 3, &outcomes, |lp| {
        let last = Arc::new(Gate::default());
        let (is_over, mut domain) = (last.clone(), GroupDomain::new());
        let mut body = Some(std::future::ready(()));
        let mut task = lp.spawn(poll_fn(move |cx| {
            if body.is_some() {
                match domain.poll_body(Pin::new(&mut body), cx) {
                    Poll::Ready(_) => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
            domain.poll_ending(cx);
            if !is_over.is_open(cx.waker().clone()) || domain.raise() {
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
        lp.run();
        let accepted = lp.cancel_while_opening(last, &task);
        match (accepted, task.try_result().expect("it has ended")) {
            (true, Err(_)) => "cancelled",
            (false, Ok(())) => "refused",
            (accepted, outcome) => panic!("accepted: {accepted}, outcome: {outcome:?}"),
        }
    });
}

/// What a child of a scope borrows.
struct Borrowed(UnsafeCell<u32>);

// SAFETY: the model looks at it in turns; loom says so if that is wrong.
unsafe impl Sync for Borrowed {}

impl Borrowed {
    fn add(&self) {
        // SAFETY: as above.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }
}

/// A thread waits in a scope × the child ends, or is cancelled and dropped, on another thread: what the child borrowed is the thread's again.
#[test]
fn a_scope_s_thread_and_its_child() {
    let outcomes = ["cancelled", "ended"];
    explore("a_scope_s_thread_and_its_child", 3, &outcomes, |lp| {
        /// Touches what it borrows with its last breath.
        struct Last<'a>(&'a Borrowed);
        impl Drop for Last<'_> {
            fn drop(&mut self) {
                race();
                self.0.add();
            }
        }
        let borrowed = Borrowed(UnsafeCell::new(0));
        let spawner = move |child| Some(lp.spawn(child).handle());
        let (worker, ended) = block_in_scope(Box::new(spawner), |s| {
            let last = Last(&borrowed);
            let child = s.spawn(async move {
                race();
                drop(last);
            });
            let worker = thread::spawn(move || lp.run());
            let accepted = child.cancel();
            drop(child);
            lp.run();
            (worker, !accepted)
        });
        borrowed.add();
        worker.join().unwrap();
        // SAFETY: the child is gone.
        let value = borrowed.0.with(|value| unsafe { *value });
        assert_eq!(value, 2);
        if ended { "ended" } else { "cancelled" }
    });
}

// ----- task groups

/// A member of a group while it lives.
struct Place {
    members: Arc<Members>,
    key: Key,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.members.leave(self.key);
    }
}

/// A future with a place in a group, as children of a `TaskGroup` are.
struct Child<F> {
    future: Pin<Box<F>>,
    place: Option<Place>,
}

impl<F: Future> Child<F> {
    fn new(future: F) -> Self {
        Child { future: Box::pin(future), place: None }
    }

    fn enter(&mut self, members: &Arc<Members>, key: Key) {
        self.place = Some(Place { members: members.clone(), key });
    }
}

impl<F: Future> Future for Child<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl Loop {
    /// Makes a member; it has ended if the group does not take it.
    fn spawn_member<F>(&'static self, members: &Arc<Members>, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let enter = |child: &mut Child<F>, task| {
            members.enter(Some(task)).map(|key| child.enter(members, key)).is_ok()
        };
        let room = Room::new(Name(self), ContextSlot::new(), Location::caller());
        let (made, token) = spawn_entered(room, Child::new(future), enter);
        token.into_iter().for_each(|token| self.push(token));
        made.into_task()
    }
}

/// Waits until a group is over. That may look in vain for as long as others do not run.
async fn over(members: Arc<Members>) {
    poll_fn(|cx| {
        race();
        let polled = members.poll_over(cx);
        if polled.is_pending() {
            thread::yield_now();
        }
        polled
    })
    .await
}

/// A group is over × its last two members end on two threads: both are done by then, and the waiter does not sleep on.
#[test]
fn the_last_members_of_a_group() {
    let outcomes = ["over"];
    explore("the_last_members_of_a_group", 3, &outcomes, |lp| {
        let members = Arc::new(Members::new());
        let gates = [(); 2].map(|()| Arc::new(Gate::default()));
        let children = gates.clone().map(|gate| lp.spawn_member(&members, gate.wait()).handle());
        let waited = members.clone();
        let mut waiter = lp.spawn(async move {
            over(waited).await;
            assert!(children.iter().all(TaskHandle::done), "the group was over too early");
        });
        lp.run();
        let [one, two] = gates;
        let worker = thread::spawn(move || {
            one.open();
            lp.run();
        });
        two.open();
        lp.run();
        worker.join().unwrap();
        lp.run();
        waiter.try_result().expect("the waiter sleeps on").unwrap();
        "over"
    });
}

/// A group is aborted × a member is made, and runs: the abort finds it, or it is refused.
#[test]
fn a_member_made_while_its_group_is_aborted() {
    let outcomes = ["cancelled", "refused"];
    explore("a_member_made_while_its_group_is_aborted", 3, &outcomes, |lp| {
        let members = Arc::new(Members::new());
        let mut waiter = lp.spawn(over(members.clone()));
        let aborter = {
            let members = members.clone();
            thread::spawn(move || {
                members.abort(None);
                lp.run();
            })
        };
        let child = lp.spawn_member(&members, pending::<()>());
        // One that is refused was asked nothing.
        let refused = child.done() && child.cancelling() == 0;
        lp.run();
        aborter.join().unwrap();
        lp.run();
        assert!(child.cancelled(), "the abort missed it");
        waiter.try_result().expect("the waiter sleeps on").unwrap();
        if refused { "refused" } else { "cancelled" }
    });
}

/// As [`a_member_made_while_its_group_is_aborted`], for one that is entered before its task is made and may end before it is settled.
#[test]
fn a_member_settled_while_its_group_is_aborted() {
    let outcomes = ["cancelled", "refused"];
    explore("a_member_settled_while_its_group_is_aborted", 3, &outcomes, |lp| {
        let members = Arc::new(Members::new());
        let aborter = {
            let members = members.clone();
            thread::spawn(move || {
                members.abort(None);
                lp.run();
            })
        };
        let mut child = Child::new(pending::<()>());
        let key = members.enter(None);
        let task = key.ok().map(|key| {
            child.enter(&members, key);
            let task = lp.spawn(child);
            if !members.settle(key, task.handle()) {
                task.cancel();
            }
            task
        });
        lp.run();
        aborter.join().unwrap();
        let mut waiter = lp.spawn(over(members.clone()));
        lp.run();
        waiter.try_result().expect("a member is left").unwrap();
        match task {
            None => "refused",
            Some(task) => {
                assert!(task.cancelled(), "the abort missed it");
                "cancelled"
            }
        }
    });
}

/// What came to pass in a group's task, in order.
type Said = Arc<Plain<Vec<&'static str>>>;

/// A task with the scope of a group round `body`, as `TaskGroup::scope` polls it; true if a request ended the body.
fn spawn_group<F>(lp: &'static Loop, members: &Arc<Members>, said: &Said, body: F) -> Task<bool>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (members, said, mut domain) = (members.clone(), said.clone(), GroupDomain::new());
    let mut body = Box::pin(Some(body));
    lp.spawn(poll_fn(move |cx| {
        race();
        members.set_waiter(cx.waker());
        if members.has_news() && domain.cancel() {
            members.take_news();
            said.lock().unwrap().push("strike");
        }
        let ended = domain.poll_body(body.as_mut(), cx);
        ended.map(|ended| {
            let interrupted = ended.map(Result::unwrap).is_none();
            assert!(!domain.raise(), "nobody else has asked for that");
            interrupted
        })
    }))
}

/// A timeout round `future`, whose deadline is a gate; true if the future was ended by it.
async fn until<F: Future>(deadline: Arc<Gate>, said: Said, future: F) -> bool {
    let (mut domain, mut future, mut is_past) = (TimeoutDomain::new(), pin!(Some(future)), false);
    poll_fn(move |cx| {
        race();
        if !is_past && deadline.is_open(cx.waker().clone()) {
            is_past = true;
            said.lock().unwrap().push("deadline");
            assert!(!domain.strike(future.as_mut()));
        }
        poll_timeout(&mut domain, future.as_mut(), cx)
    })
    .await
}

/// Polls what is inside a timeout's domain; true if the timeout's own request ended it.
fn poll_timeout<F: Future>(
    domain: &mut TimeoutDomain,
    future: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<bool> {
    match domain.poll(future, cx) {
        Polled::Returned(_) => Poll::Ready(false),
        Polled::Cancelled => Poll::Ready(true),
        Polled::Waits { .. } => Poll::Pending,
    }
}

/// Runs `group` while it is aborted here and `gate` opens on another thread; whether a request ended its body.
fn strike_while_opening(
    lp: &'static Loop,
    members: &Members,
    gate: Arc<Gate>,
    group: &mut Task<bool>,
) -> bool {
    let opener = thread::spawn(move || {
        gate.open();
        lp.run();
    });
    members.abort(None);
    lp.run();
    opener.join().unwrap();
    lp.run();
    group.try_result().expect("the strike was lost").unwrap()
}

/// A group strikes × a timeout in its body ends, as what is inside does: the request strikes inside, or at the body's next wait.
#[test]
fn a_group_s_strike_and_the_end_of_a_timeout() {
    let outcomes = ["struck after it", "struck inside"];
    explore("a_group_s_strike_and_the_end_of_a_timeout", 3, &outcomes, |lp| {
        let (members, gate) = (Arc::new(Members::new()), Arc::new(Gate::default()));
        let said = Said::default();
        let (says, wait) = (said.clone(), gate.wait());
        let body = async move {
            let timed_out = until(Arc::default(), says.clone(), wait).await;
            assert!(!timed_out, "no deadline has passed");
            says.lock().unwrap().push("end");
            pending().await
        };
        let mut group = spawn_group(lp, &members, &said, body);
        lp.run();
        assert!(strike_while_opening(lp, &members, gate, &mut group), "the body goes on");
        match said.lock().unwrap().contains(&"end") {
            true => "struck after it",
            false => "struck inside",
        }
    });
}

/// A group strikes × the deadline of a timeout in its body passes: what was struck before it passed is not ended by the timeout.
#[test]
fn a_group_s_strike_and_a_deadline() {
    let outcomes = ["struck after it", "struck first"];
    explore("a_group_s_strike_and_a_deadline", 3, &outcomes, |lp| {
        let (members, deadline) = (Arc::new(Members::new()), Arc::new(Gate::default()));
        let said = Said::default();
        let (says, passes) = (said.clone(), deadline.clone());
        let body = async move {
            let timed_out = until(passes, says.clone(), pending::<()>()).await;
            assert!(timed_out);
            says.lock().unwrap().push("timed out");
            pending().await
        };
        let mut group = spawn_group(lp, &members, &said, body);
        lp.run();
        assert!(strike_while_opening(lp, &members, deadline, &mut group), "the body goes on");
        match said.lock().unwrap()[..] {
            ["deadline", "timed out", "strike"] => "struck after it",
            ["strike"] | ["strike", "deadline"] => "struck first",
            ref other => panic!("{other:?}"),
        }
    });
}

/// As [`a_group_s_strike_and_a_deadline`], where what is inside swallows the first request: once the group has struck, the timeout passes that on
/// instead of ending by itself.
#[test]
fn a_swallowed_strike_and_a_deadline() {
    let outcomes = ["both at once", "strike first", "deadline first"];
    explore("a_swallowed_strike_and_a_deadline", 3, &outcomes, |lp| {
        let (members, deadline) = (Arc::new(Members::new()), Arc::new(Gate::default()));
        let (said, last) = (Said::default(), Arc::new(Gate::default()));
        let (says, passes, wait) = (said.clone(), deadline.clone(), last.wait());
        let body = async move {
            let swallows = async {
                catch_cancelled(pending::<()>()).await.unwrap_err().swallow();
                says.lock().unwrap().push("swallowed");
                wait.await;
            };
            let timed_out = until(passes, says.clone(), swallows).await;
            assert!(!timed_out, "the group had struck");
        };
        let mut group = spawn_group(lp, &members, &said, body);
        lp.run();
        let opener = thread::spawn(move || {
            deadline.open();
            lp.run();
        });
        members.abort(None);
        lp.run();
        opener.join().unwrap();
        lp.run();
        // Two requests that meet are one: then it waits still.
        last.open();
        lp.run();
        let interrupted = group.try_result().expect("it has ended").unwrap();
        match (interrupted, &said.lock().unwrap()[..]) {
            (true, ["strike", "swallowed", "deadline"]) => "strike first",
            (true, ["deadline", "swallowed", "strike"]) => "deadline first",
            (false, ["strike", "deadline", "swallowed"]) => "both at once",
            other => panic!("{other:?}"),
        }
    });
}

// ----- a timeout's domain, which has no node while it is alone

/// Says that it was dropped.
struct Gone(Arc<Flag>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Polls what is inside a timeout's domain; true if the domain's own request ended it.
async fn under_a_timeout(inside: impl Future<Output = ()>) -> bool {
    let (mut domain, mut inside) = (TimeoutDomain::new(), Box::pin(Some(inside)));
    poll_fn(move |cx| poll_timeout(&mut domain, inside.as_mut(), cx)).await
}

/// A timeout × cancel × uncancel: a request that was taken back before it was seen ends nothing, one that was seen goes on.
#[test]
fn a_timeout_and_uncancel() {
    let outcomes = ["ended the task", "taken back"];
    explore("a_timeout_and_uncancel", 3, &outcomes, |lp| {
        let (gate, [taken_back, open, gone]) = (Arc::new(Gate::default()), Default::default());
        let flags = [&taken_back, &open, &gone].map(|flag: &Arc<Flag>| flag.clone());
        let (wait, guard) = (gate.wait(), Gone(gone.clone()));
        let mut timeout = Box::pin(under_a_timeout(async move {
            let _guard = guard;
            wait.await;
        }));
        let mut task = lp.spawn(poll_fn(move |cx| {
            race();
            let [is_over, is_open, was_gone] = flags.each_ref().map(|flag| flag.load(Relaxed));
            let polled = timeout.as_mut().poll(cx);
            let is_dropped = !was_gone && flags[2].load(Relaxed);
            assert!(!is_over || is_open || !is_dropped, "ended after it was taken back");
            polled
        }));
        lp.run();
        lp.run_beside_a_cancel_taken_back(&task, taken_back);
        open.store(true, Relaxed);
        gate.open();
        lp.run();
        match task.try_result().expect("it has ended") {
            Err(error) if error.is_cancelled() => "ended the task",
            Ok(false) => "taken back",
            outcome => panic!("{outcome:?}"),
        }
    });
}

/// A timeout beside a scope × cancel × uncancel: both hear of it or neither does. The scope may go on, the timeout ends the task.
#[test]
fn a_timeout_beside_a_scope() {
    let outcomes = ["heard", "taken back"];
    explore("a_timeout_beside_a_scope", 3, &outcomes, |lp| {
        let gates: [Arc<Gate>; 2] = Default::default();
        let mut timeout = Box::pin(under_a_timeout(gates[0].wait()));
        let mut scope = Box::pin(catch_cancelled(gates[1].wait()));
        let caught = Arc::new(Flag::new(false));
        let (see, mut timed, mut scoped) = (caught.clone(), false, false);
        let mut task = lp.spawn(poll_fn(move |cx| {
            race();
            timed = timed || timeout.as_mut().poll(cx).is_ready();
            if !scoped {
                if let Poll::Ready(outcome) = scope.as_mut().poll(cx) {
                    see.store(outcome.is_err(), Relaxed);
                    scoped = true;
                }
            }
            if timed && scoped { Poll::Ready(()) } else { Poll::Pending }
        }));
        lp.run();
        lp.run_beside_a_cancel_taken_back(&task, Arc::default());
        gates.iter().for_each(|gate| gate.open());
        lp.run();
        match (caught.load(Relaxed), task.try_result().expect("it has ended")) {
            (_, Err(error)) if error.is_cancelled() => "heard",
            (false, Ok(())) => "taken back",
            (caught, outcome) => panic!("caught: {caught}, outcome: {outcome:?}"),
        }
    });
}

/// A timeout whose deadline strikes × cancel: the task ends cancelled if the cancel was accepted, and otherwise the timeout has its say.
#[test]
fn a_deadline_and_a_cancel() {
    let outcomes = ["cancelled", "timed out"];
    explore("a_deadline_and_a_cancel", 3, &outcomes, |lp| {
        let deadline = Arc::new(Gate::default());
        let passes = deadline.clone();
        let (mut domain, mut inside) = (TimeoutDomain::new(), Box::pin(Some(pending::<()>())));
        let mut struck = false;
        let mut task = lp.spawn(poll_fn(move |cx| {
            if !struck && passes.is_open(cx.waker().clone()) {
                struck = true;
                assert!(!domain.strike(inside.as_mut()));
            }
            poll_timeout(&mut domain, inside.as_mut(), cx)
        }));
        lp.run();
        let accepted = lp.cancel_while_opening(deadline, &task);
        match (accepted, task.try_result().expect("it has ended")) {
            (true, Err(error)) if error.is_cancelled() => "cancelled",
            (false, Ok(true)) => "timed out",
            (accepted, outcome) => panic!("accepted: {accepted}, outcome: {outcome:?}"),
        }
    });
}

/// A timeout is dropped on another thread × cancel: nobody has taken the request, so it ends the task.
#[test]
fn a_timeout_dropped_on_another_thread() {
    explore("a_timeout_dropped_on_another_thread", 3, &["ended the task"], |lp| {
        let (moved, gate): (Moved, _) = (Arc::default(), Arc::new(Gate::default()));
        let timeout = under_a_timeout(gate.wait());
        *moved.lock().unwrap() = Some(Box::pin(async { _ = timeout.await }));
        let inside = moved.clone();
        let mut first = true;
        let task: Task<()> = lp.spawn(poll_fn(move |cx| {
            if std::mem::take(&mut first) {
                poll_once(&inside, cx);
            }
            Poll::Pending
        }));
        lp.run();
        let timeout = moved.lock().unwrap().take();
        let dropper = thread::spawn(move || {
            drop(timeout);
            // Wakes the task all the same.
            gate.open();
        });
        assert!(task.cancel());
        lp.run();
        dropper.join().unwrap();
        lp.run();
        assert!(task.cancelled(), "the request was lost");
        "ended the task"
    });
}
