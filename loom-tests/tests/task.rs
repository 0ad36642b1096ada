//! The task cell: `crates/asyncio-task/src/state.rs` and what stands on it.
//!
//! Every access to a payload (the future, its output, what is published before a wake, what goes with the cell when it is freed)
//! is tracked, so that a missing ordering is a failure, as is a wake-up lost, a value dropped twice or never, a cell freed twice,
//! too early or never.
//!
//! And every model names outcomes that it must have seen by the end: a race that never went both ways modelled nothing. [`race`]
//! stands where user code runs and between the steps of a model, so that it does.
#![cfg(asyncio_loom)]

use asyncio_base::context::{Context as TaskContext, ContextSlot};
use asyncio_base::sync::{AtomicUsize, Ordering, UnsafeCell, thread};
use asyncio_loom_tests::{model, race};
use asyncio_task::state::{self, Idle, State, Woken};
use asyncio_task::{
    Host, JoinError, Ran, Ready, Room, Runnable, Schedule, Task, TaskHandle, TaskList, Unretrieved,
    spawn,
};
use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
// What only counts, or hands over what the model does not look at, is no business of loom's.
use std::sync::atomic::AtomicUsize as Count;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

// ----- a loop

/// A queue as real ones are: popping sees what happened before the push.
struct Queue<T> {
    len: AtomicUsize,
    items: Mutex<VecDeque<T>>,
}

impl<T> Queue<T> {
    fn new() -> Self {
        Queue { len: AtomicUsize::new(0), items: Mutex::default() }
    }

    fn push(&self, item: T) {
        self.items.lock().unwrap().push_back(item);
        self.len.fetch_add(1, Ordering::AcqRel);
    }

    fn pop(&self) -> Option<T> {
        let mut len = self.len.load(Ordering::Acquire);
        while len > 0 {
            match self.len.compare_exchange(len, len - 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return self.items.lock().unwrap().pop_front(),
                Err(now) => len = now,
            }
        }
        None
    }
}

type Callback = Box<dyn FnOnce() + Send>;

struct Loop {
    tasks: TaskList,
    tokens: Queue<Runnable>,
    lane: Queue<Callback>,
    reports: Mutex<Vec<String>>,
    cells: Arc<Cells>,
}

/// The cells alive, and where one was freed.
struct Cells {
    alive: Count,
    home: loom::thread::ThreadId,
    freed_elsewhere: Count,
}

#[derive(Clone, Copy)]
struct Name(&'static Loop);

impl Schedule for Name {
    fn schedule(self, token: Runnable) {
        self.0.tokens.push(token);
    }

    fn host(self) -> &'static dyn Host {
        self.0
    }
}

impl Host for Loop {
    fn tasks(&self) -> &TaskList {
        race();
        &self.tasks
    }

    fn call_soon(&self, _context: ContextSlot, callback: Callback) {
        race();
        self.lane.push(callback);
    }

    fn unretrieved(&self, _task: Unretrieved, error: &JoinError) {
        self.reports.lock().unwrap().push(error.to_string());
    }

    fn destructor_panicked(&self, error: JoinError) {
        self.reports.lock().unwrap().push(error.to_string());
    }
}

impl Loop {
    fn spawn(&'static self, future: Waits) -> Task<Output> {
        let context = TaskContext::new();
        self.cells.alive.fetch_add(1, Ordering::Relaxed);
        context.set(0, Some(Arc::new(Witness(UnsafeCell::new(()), self.cells.clone()))));
        let room = Room::new(Name(self), ContextSlot::with(context), Location::caller());
        let (made, token) = spawn(room, future);
        token.into_iter().for_each(|token| self.tokens.push(token));
        made.into_task()
    }

    /// Runs one token.
    fn step(&'static self) -> bool {
        race();
        let Some(token) = self.tokens.pop() else { return false };
        if let Ran::Again(token) = token.run(u32::MAX) {
            self.tokens.push(token);
        }
        true
    }

    /// Runs tokens until there are none.
    fn run(&'static self) {
        while self.step() {}
        race();
    }

    /// Which thread freed the task's cell.
    fn freer(&self) -> &'static str {
        let elsewhere = self.cells.freed_elsewhere.load(Ordering::Relaxed) > 0;
        if elsewhere { "freed elsewhere" } else { "freed here" }
    }

    /// Runs callbacks until there are none.
    fn call_all(&self) {
        while let Some(callback) = self.lane.pop() {
            callback();
        }
        race();
    }
}

/// Explores `body`, which notes what came of it with `saw`; all of `outcomes` must come up.
fn explore(
    name: &str,
    preemptions: Option<usize>,
    outcomes: &[&str],
    body: impl Fn(&'static Loop, &dyn Fn(&'static str)) + Send + Sync + 'static,
) {
    let seen: Arc<Mutex<BTreeSet<&'static str>>> = Arc::default();
    let sight = seen.clone();
    model(name, preemptions, move || {
        let saw = |outcome| {
            sight.lock().unwrap().insert(outcome);
        };
        with_loop(|lp| body(lp, &saw));
    });
    assert!(seen.lock().unwrap().iter().eq(outcomes), "{name} saw only {seen:?}");
}

/// Runs one schedule of a model with a loop of its own; in the end nothing is left of any task.
fn with_loop(body: impl FnOnce(&'static Loop)) {
    let core = Box::into_raw(Box::new(Loop {
        tasks: TaskList::new(),
        tokens: Queue::new(),
        lane: Queue::new(),
        reports: Mutex::default(),
        cells: Arc::new(Cells {
            alive: Count::new(0),
            home: loom::thread::current().id(),
            freed_elsewhere: Count::new(0),
        }),
    }));
    // SAFETY: boxed above and not unboxed before the end, where no task is left that could use it.
    let lp = unsafe { &*core };
    body(lp);
    lp.run();
    lp.call_all();
    lp.run();
    assert_eq!(*lp.reports.lock().unwrap(), [""; 0]);
    assert!(lp.tasks.is_empty());
    assert_eq!(lp.cells.alive.load(Ordering::Relaxed), 0, "a cell was not freed");
    // SAFETY: as above.
    drop(unsafe { Box::from_raw(core) });
}

// ----- tracked payloads

/// Lies in every cell, by way of its context: when it is dropped, whoever touched the cell must be done.
struct Witness(UnsafeCell<()>, Arc<Cells>);

// SAFETY: loom checks what this promises.
unsafe impl Sync for Witness {}

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.with_mut(|_| ());
        let cells = &self.1;
        assert!(cells.alive.fetch_sub(1, Ordering::Relaxed) > 0, "a cell was freed twice");
        if loom::thread::current().id() != cells.home {
            cells.freed_elsewhere.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Touches the cell.
fn touch(task: &TaskHandle) {
    let witness = task.get_context().get(0).expect("set when it was made");
    witness.downcast_ref::<Witness>().expect("a witness").0.with(|_| ());
}

/// The output of every task.
struct Output(UnsafeCell<u32>, Arc<Count>);

// SAFETY: loom checks what this promises.
unsafe impl Sync for Output {}

impl Output {
    fn read(&self) -> u32 {
        // SAFETY: loom checks it.
        self.0.with(|value| unsafe { *value })
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        race();
        self.0.with_mut(|_| ());
        assert!(self.1.fetch_sub(1, Ordering::Relaxed) > 0, "an output was dropped twice");
    }
}

/// What a model sees of a task.
struct Remote {
    /// How much has been published; the task ends when it has seen `need`.
    published: AtomicUsize,
    need: usize,
    polls: Count,
    /// The waker of the first poll.
    waker: Mutex<Option<Waker>>,
    /// Outputs alive.
    outputs: Arc<Count>,
}

impl Remote {
    fn new(need: usize) -> Arc<Remote> {
        Arc::new(Remote {
            published: AtomicUsize::new(0),
            need,
            polls: Count::new(0),
            waker: Mutex::default(),
            outputs: Arc::default(),
        })
    }

    fn future(self: &Arc<Self>) -> Waits {
        Waits { remote: self.clone(), polls: UnsafeCell::new(0) }
    }

    fn publish(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    fn waker(&self) -> Waker {
        self.waker.lock().unwrap().take().expect("polled")
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }

    fn outputs(&self) -> usize {
        self.outputs.load(Ordering::Relaxed)
    }
}

/// Pending until enough is published; needs each poll to see the one before.
struct Waits {
    remote: Arc<Remote>,
    polls: UnsafeCell<usize>,
}

impl Future for Waits {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        race();
        let remote = &self.remote;
        // SAFETY: loom checks it.
        self.polls.with_mut(|polls| unsafe { *polls += 1 });
        remote.polls.fetch_add(1, Ordering::Relaxed);
        if remote.published.load(Ordering::Relaxed) < remote.need {
            remote.waker.lock().unwrap().get_or_insert_with(|| cx.waker().clone());
            return Poll::Pending;
        }
        remote.outputs.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Output(UnsafeCell::new(7), remote.outputs.clone()))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        race();
        self.polls.with_mut(|_| ());
    }
}

/// A joiner's waker: counts.
#[derive(Default)]
struct Wakes(Count);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        race();
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn new() -> (Waker, Arc<Wakes>) {
        let wakes = Arc::new(Wakes::default());
        (Waker::from(wakes.clone()), wakes)
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether a waker of this kind is still kept somewhere.
    fn is_kept(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    race();
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// The value of a task that must have one.
fn value(outcome: Result<Output, JoinError>) -> u32 {
    match outcome {
        Ok(output) => output.read(),
        Err(error) => panic!("the task has no value: {error}"),
    }
}

/// A task that waits for `need` publications, polled once, and its waker.
fn waiting(lp: &'static Loop, need: usize) -> (Task<Output>, Arc<Remote>, Waker) {
    let remote = Remote::new(need);
    let task = lp.spawn(remote.future());
    lp.run();
    let waker = remote.waker();
    (task, remote, waker)
}

/// A task that will be complete after its first turn.
fn ready(lp: &'static Loop) -> (Task<Output>, Arc<Remote>) {
    let remote = Remote::new(0);
    (lp.spawn(remote.future()), remote)
}

// ----- wakes

/// The token is queued already, so that the wake only counts: what it publishes travels on the word alone.
#[test]
fn wake_and_poll() {
    explore("task::wake_and_poll", None, &["polled again", "seen at once"], |lp, saw| {
        let (mut task, remote, waker) = waiting(lp, 1);
        waker.wake_by_ref();
        let waking = remote.clone();
        let thread = thread::spawn(move || {
            waking.publish();
            waker.wake_by_ref();
            race();
        });
        lp.run();
        thread.join().unwrap();
        lp.run();
        assert_eq!(value(task.try_result().expect("the wake was not lost")), 7);
        assert!(remote.polls() <= 3);
        saw(if remote.polls() == 2 { "seen at once" } else { "polled again" });
    });
}

#[test]
fn wake_by_value_and_poll() {
    explore("task::wake_by_value_and_poll", None, &["polled again", "seen at once"], |lp, saw| {
        let (mut task, remote, waker) = waiting(lp, 1);
        waker.wake_by_ref();
        let waking = remote.clone();
        let thread = thread::spawn(move || {
            waking.publish();
            waker.wake();
            race();
        });
        lp.run();
        thread.join().unwrap();
        lp.run();
        assert_eq!(value(task.try_result().expect("the wake was not lost")), 7);
        saw(if remote.polls() == 2 { "seen at once" } else { "polled again" });
    });
}

/// Both wakes may fall on a queued task, where they only count: what they publish is seen all the same.
#[test]
fn two_wakes_and_poll() {
    explore("task::two_wakes_and_poll", Some(3), &["polled again", "seen at once"], |lp, saw| {
        let (mut task, remote, waker) = waiting(lp, 2);
        let threads = [waker.clone(), waker].map(|waker| {
            let waking = remote.clone();
            thread::spawn(move || {
                waking.publish();
                waker.wake_by_ref();
                race();
                drop(waker);
            })
        });
        lp.run();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        lp.run();
        assert_eq!(value(task.try_result().expect("no wake was lost")), 7);
        assert!(remote.polls() <= 3);
        saw(if remote.polls() == 2 { "seen at once" } else { "polled again" });
    });
}

/// A word full of wakes does not count further ones, but a poll sees what they publish.
#[test]
fn wake_of_many_and_poll() {
    explore("task::wake_of_many_and_poll", None, &["found many", "found none"], |_, saw| {
        let state = Arc::new(State::from_word(
            state::HANDLE | state::REF | (state::WAKES_MANY * state::WAKE),
        ));
        let published = Arc::new(AtomicUsize::new(0));
        let (waking, publishing) = (state.clone(), published.clone());
        let thread = thread::spawn(move || {
            race();
            publishing.store(1, Ordering::Relaxed);
            waking.wake_by_ref()
        });
        let poll = || {
            race();
            let begun = state.begin_poll();
            let seen = published.load(Ordering::Relaxed);
            (seen, state.end_poll(begun, false))
        };
        let (mut seen, mut end) = poll();
        while end == Idle::Again {
            (seen, end) = poll();
        }
        if thread.join().unwrap() == Woken::Schedule {
            (seen, end) = poll();
            saw("found none");
        } else {
            saw("found many");
        }
        assert_eq!(end, Idle::Waiting);
        assert_eq!(seen, 1, "the last poll saw what came before the last wake");
        assert_eq!(state.load().wakes(), 0);
    });
}

/// Two workers, a task that is woken while it runs: polled by one at a time, each poll seeing the one before.
#[test]
fn two_workers() {
    explore("task::two_workers", Some(3), &["polled again", "seen at once"], |lp, saw| {
        let (mut task, remote, waker) = waiting(lp, 1);
        waker.wake_by_ref();
        let worker = thread::spawn(move || lp.run());
        let waking = remote.clone();
        let thread = thread::spawn(move || {
            waking.publish();
            waker.wake();
            lp.run();
        });
        worker.join().unwrap();
        thread.join().unwrap();
        lp.run();
        assert_eq!(value(task.try_result().expect("the wake was not lost")), 7);
        saw(if remote.polls() == 2 { "seen at once" } else { "polled again" });
    });
}

// ----- the last claim

#[test]
fn wake_and_complete() {
    explore("task::wake_and_complete", None, &["freed elsewhere", "freed here"], |lp, saw| {
        let (task, remote, waker) = waiting(lp, 1);
        task.detach();
        remote.publish();
        waker.wake_by_ref();
        let thread = thread::spawn(move || {
            race();
            waker.wake_by_ref();
            race();
            drop(waker);
        });
        lp.run();
        thread.join().unwrap();
        lp.run();
        assert_eq!((remote.polls(), remote.outputs()), (2, 0));
        saw(lp.freer());
    });
}

#[test]
fn last_wake_by_value_and_complete() {
    explore(
        "task::last_wake_by_value_and_complete",
        None,
        &["freed elsewhere", "freed here"],
        |lp, saw| {
            let (task, remote, waker) = waiting(lp, 1);
            task.detach();
            remote.publish();
            waker.wake_by_ref();
            let thread = thread::spawn(move || {
                race();
                waker.wake();
            });
            lp.run();
            thread.join().unwrap();
            lp.run();
            assert_eq!((remote.polls(), remote.outputs()), (2, 0));
            saw(lp.freer());
        },
    );
}

/// Two late wakers at once: each adds its claim and takes it back, and exactly one of three frees the cell.
#[test]
fn two_last_wakes_by_value_and_complete() {
    explore(
        "task::two_last_wakes_by_value_and_complete",
        Some(3),
        &["freed elsewhere", "freed here"],
        |lp, saw| {
            let (task, remote, waker) = waiting(lp, 1);
            task.detach();
            remote.publish();
            waker.wake_by_ref();
            let threads = [waker.clone(), waker].map(|waker| {
                thread::spawn(move || {
                    race();
                    waker.wake();
                    race();
                })
            });
            lp.run();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            lp.run();
            assert_eq!(remote.outputs(), 0);
            saw(lp.freer());
        },
    );
}

#[test]
fn task_handle_dropped_and_complete() {
    explore(
        "task::task_handle_dropped_and_complete",
        None,
        &["freed elsewhere", "freed here"],
        |lp, saw| {
            let (task, remote) = ready(lp);
            let handle = task.handle();
            task.detach();
            let thread = thread::spawn(move || {
                race();
                touch(&handle);
                drop(handle);
                race();
            });
            lp.run();
            thread.join().unwrap();
            assert_eq!(remote.outputs(), 0);
            saw(lp.freer());
        },
    );
}

#[test]
fn two_task_handles_dropped() {
    explore(
        "task::two_task_handles_dropped",
        Some(3),
        &["freed elsewhere", "freed here"],
        |lp, saw| {
            let (task, _remote) = ready(lp);
            let handles = [task.handle(), task.handle()];
            lp.run();
            let threads = handles.map(|handle| {
                thread::spawn(move || {
                    touch(&handle);
                    drop(handle);
                    race();
                })
            });
            race();
            drop(task);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            saw(lp.freer());
        },
    );
}

/// Whoever sees that the task is done sees what it did.
#[test]
fn done_and_complete() {
    explore("task::done_and_complete", None, &["done", "not done"], |lp, saw| {
        let (task, _remote) = ready(lp);
        let runner = thread::spawn(move || lp.run());
        race();
        if task.done() {
            assert_eq!(task.result().unwrap().as_ref().map_or(0, Output::read), 7);
            saw("done");
        } else {
            saw("not done");
        }
        runner.join().unwrap();
        assert_eq!(task.result().unwrap().as_ref().map_or(0, Output::read), 7);
    });
}

// ----- cancelling

#[test]
fn cancel_and_poll() {
    explore("task::cancel_and_poll", None, &["cancelled first", "polled first"], |lp, saw| {
        let (task, remote, waker) = waiting(lp, 1);
        waker.wake();
        let handle = task.handle();
        let thread = thread::spawn(move || {
            race();
            assert!(handle.cancel());
        });
        lp.run();
        thread.join().unwrap();
        lp.run();
        assert!(task.cancelled() && remote.polls() <= 2);
        saw(if remote.polls() == 2 { "polled first" } else { "cancelled first" });
    });
}

/// "Done before" and "recorded" exclude each other.
#[test]
fn cancel_and_complete() {
    explore("task::cancel_and_complete", None, &["done before", "recorded"], |lp, saw| {
        let (mut task, remote) = ready(lp);
        let handle = task.handle();
        let thread = thread::spawn(move || {
            race();
            handle.cancel()
        });
        lp.run();
        let recorded = thread.join().unwrap();
        lp.run();
        assert_eq!(task.cancelled(), recorded);
        saw(if recorded { "recorded" } else { "done before" });
        assert_eq!(remote.outputs(), usize::from(!recorded));
        let outcome = task.try_result().expect("done");
        assert_eq!(outcome.is_err_and(|error| error.is_cancelled()), recorded);
    });
}

/// The same for a task whose value nobody will read: it is dropped before the task ends.
#[test]
fn cancel_and_complete_unread() {
    explore("task::cancel_and_complete_unread", None, &["done before", "recorded"], |lp, saw| {
        let (task, remote) = ready(lp);
        let handle = task.handle();
        task.detach();
        let thread = thread::spawn(move || {
            race();
            let recorded = handle.cancel();
            (handle, recorded)
        });
        lp.run();
        let (handle, recorded) = thread.join().unwrap();
        lp.run();
        assert_eq!((handle.cancelled(), remote.outputs()), (recorded, 0));
        saw(if recorded { "recorded" } else { "done before" });
    });
}

/// A request, its withdrawal, and the end: they happen in one order.
#[test]
fn cancel_and_complete_and_uncancel() {
    explore(
        "task::cancel_and_complete_and_uncancel",
        Some(3),
        &["answered", "done before", "withdrawn", "withdrawn late"],
        |lp, saw| {
            let (task, _remote) = ready(lp);
            let (cancelling, uncancelling) = (task.handle(), task.handle());
            let cancel = thread::spawn(move || {
                race();
                cancelling.cancel()
            });
            let uncancel = thread::spawn(move || {
                race();
                assert_eq!(uncancelling.uncancel(), 0);
            });
            lp.run();
            let recorded = cancel.join().unwrap();
            uncancel.join().unwrap();
            lp.run();
            match (recorded, task.cancelling()) {
                (false, count) => {
                    assert!(count == 0 && !task.cancelled());
                    saw("done before");
                }
                // Nothing took the request back, so it was answered.
                (true, 1) => {
                    assert!(task.cancelled());
                    saw("answered");
                }
                // Withdrawn, before or after it was delivered.
                (true, count) => {
                    assert_eq!(count, 0);
                    saw(if task.cancelled() { "withdrawn late" } else { "withdrawn" });
                }
            }
        },
    );
}

/// Withdrawn on the worker, where nothing can be delivered meanwhile: then nothing is.
#[test]
fn uncancel_between_polls() {
    explore(
        "task::uncancel_between_polls",
        None,
        &["answered", "done before", "withdrawn"],
        |lp, saw| {
            let (mut task, remote, waker) = waiting(lp, 1);
            let handle = task.handle();
            let thread = thread::spawn(move || {
                race();
                let recorded = handle.cancel();
                race();
                recorded
            });
            race();
            let withdrawn = task.cancelling() == 1 && task.uncancel() == 0;
            remote.publish();
            waker.wake();
            lp.run();
            let recorded = thread.join().unwrap();
            lp.run();
            let done = task.try_result().expect("done");
            assert_eq!(done.is_ok(), withdrawn || !recorded);
            saw(match (recorded, withdrawn) {
                (false, _) => "done before",
                (true, false) => "answered",
                (true, true) => "withdrawn",
            });
        },
    );
}

#[test]
fn abort_and_wake() {
    explore("task::abort_and_wake", Some(3), &["aborted first", "polled first"], |lp, saw| {
        let (task, remote, waker) = waiting(lp, 1);
        let handle = task.handle();
        let threads = [
            thread::spawn(move || assert!(handle.abort() && handle.uncancel() == 0)),
            thread::spawn(move || waker.wake()),
        ];
        lp.run();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        lp.run();
        assert!(task.cancelled() && remote.polls() <= 2);
        saw(if remote.polls() == 2 { "polled first" } else { "aborted first" });
    });
}

/// The first message makes the cold block, which both threads may try.
#[test]
fn two_cancels_with_messages() {
    explore("task::two_cancels_with_messages", Some(3), &["a", "b"], |lp, saw| {
        let (mut task, _remote, _waker) = waiting(lp, 1);
        let handle = task.handle();
        let thread = thread::spawn(move || {
            race();
            assert!(handle.cancel_with("a"));
        });
        race();
        assert!(task.cancel_with("b"));
        thread.join().unwrap();
        assert_eq!(task.cancelling(), 2);
        lp.run();
        let error = task.try_result().expect("done").err().expect("cancelled");
        // The first that found the task waiting.
        saw(if error.as_cancelled().unwrap().message() == Some("a") { "a" } else { "b" });
    });
}

// ----- the join waker and the output

#[test]
fn join_poll_and_complete() {
    explore("task::join_poll_and_complete", None, &["pending", "ready"], |lp, saw| {
        let (mut task, _remote) = ready(lp);
        let runner = thread::spawn(move || lp.run());
        let (waker, wakes) = Wakes::new();
        let first = poll(&mut task, &waker);
        if let Poll::Ready(outcome) = first {
            assert_eq!((value(outcome), wakes.get()), (7, 0));
            runner.join().unwrap();
            saw("ready");
        } else {
            saw("pending");
            runner.join().unwrap();
            assert_eq!(wakes.get(), 1, "the joiner was not woken");
            let Poll::Ready(outcome) = poll(&mut task, &waker) else { panic!("not ready") };
            assert_eq!(value(outcome), 7);
        }
        drop((task, waker));
        assert!(!wakes.is_kept());
    });
}

/// The joiner takes the output and drops the handle while the completer may still be telling.
#[test]
fn join_and_drop_while_told() {
    explore("task::join_and_drop_while_told", None, &["dropped", "taken"], |lp, saw| {
        let (mut task, _remote) = ready(lp);
        let (waker, wakes) = Wakes::new();
        assert!(poll(&mut task, &waker).is_pending());
        let runner = thread::spawn(move || lp.run());
        race();
        if let Some(outcome) = task.try_result() {
            assert_eq!(value(outcome), 7);
            saw("taken");
        } else {
            saw("dropped");
        }
        drop(task);
        runner.join().unwrap();
        drop(waker);
        assert!(wakes.get() <= 1 && !wakes.is_kept());
    });
}

#[test]
fn join_waker_replaced_and_complete() {
    explore(
        "task::join_waker_replaced_and_complete",
        None,
        &["first", "neither", "second"],
        |lp, saw| {
            let (mut task, _remote) = ready(lp);
            let ((first, first_wakes), (second, second_wakes)) = (Wakes::new(), Wakes::new());
            assert!(poll(&mut task, &first).is_pending());
            let runner = thread::spawn(move || lp.run());
            let pending = poll(&mut task, &second).is_pending();
            runner.join().unwrap();
            if pending {
                assert_eq!(second_wakes.get(), 1, "the newest waker was not woken");
                assert!(poll(&mut task, &second).is_ready());
            }
            drop((task, first, second));
            saw(match (first_wakes.get(), second_wakes.get()) {
                (0, 0) => "neither",
                (1, 0) => "first",
                (0, 1) => "second",
                both => panic!("woken more than once: {both:?}"),
            });
            assert!(!first_wakes.is_kept() && !second_wakes.is_kept());
        },
    );
}

#[test]
fn handle_dropped_and_complete() {
    explore(
        "task::handle_dropped_and_complete",
        None,
        &["freed elsewhere", "freed here"],
        |lp, saw| {
            let (task, remote) = ready(lp);
            let runner = thread::spawn(move || lp.run());
            race();
            drop(task);
            runner.join().unwrap();
            assert_eq!((remote.polls(), remote.outputs()), (1, 0));
            saw(lp.freer());
        },
    );
}

#[test]
fn joined_handle_dropped_and_complete() {
    explore(
        "task::joined_handle_dropped_and_complete",
        None,
        &["not woken", "woken"],
        |lp, saw| {
            let (mut task, remote) = ready(lp);
            let (waker, wakes) = Wakes::new();
            assert!(poll(&mut task, &waker).is_pending());
            let runner = thread::spawn(move || lp.run());
            race();
            drop(task);
            runner.join().unwrap();
            drop(waker);
            assert_eq!(remote.outputs(), 0);
            assert!(wakes.get() <= 1 && !wakes.is_kept());
            saw(if wakes.get() == 1 { "woken" } else { "not woken" });
        },
    );
}

/// One waits for two, by wakers that are pointers in their headers.
#[test]
fn many_ended_and_their_waiter() {
    let outcomes = &["all seen", "none seen", "one seen"];
    explore("task::many_ended_and_their_waiter", Some(3), outcomes, |lp, saw| {
        let mut tasks = [ready(lp).0, ready(lp).0];
        let ended = Ready::for_many(2);
        for (index, task) in tasks.iter_mut().enumerate() {
            ended.watch(index, |waker| task.wake_when_finished(waker));
        }
        let runner = thread::spawn(move || lp.run());
        let (waker, wakes) = Wakes::new();
        let mut seen = Vec::new();
        race();
        ended.take(&mut seen, &waker);
        saw(["none seen", "one seen", "all seen"][seen.len()]);
        let left = 2 - seen.len();
        runner.join().unwrap();
        assert_eq!(wakes.get(), left.min(1), "woken once, at the next end");
        ended.take(&mut seen, &waker);
        seen.sort_unstable();
        assert_eq!(seen, [0, 1]);
        for task in &mut tasks {
            assert_eq!(value(task.try_result().expect("it has ended")), 7);
        }
        drop((tasks, ended, waker));
        assert!(!wakes.is_kept());
    });
}

// ----- waiters and callbacks

#[test]
fn borrowed_wait_and_complete() {
    explore("task::borrowed_wait_and_complete", None, &["pending", "ready"], |lp, saw| {
        let (task, _remote) = ready(lp);
        let runner = thread::spawn(move || lp.run());
        let (waker, wakes) = Wakes::new();
        let mut wait = (&task).into_future();
        let pending = poll(&mut wait, &waker).is_pending();
        saw(if pending { "pending" } else { "ready" });
        if !pending {
            assert_eq!(task.result().unwrap().as_ref().map_or(0, Output::read), 7);
        }
        runner.join().unwrap();
        assert_eq!(wakes.get(), usize::from(pending), "the waiter was not woken");
        assert!(poll(&mut wait, &waker).is_ready());
        drop((wait, waker));
        assert!(!wakes.is_kept());
    });
}

/// A waiter on a task without a handle, dropped while it may be told.
#[test]
fn borrowed_wait_dropped_and_complete() {
    explore(
        "task::borrowed_wait_dropped_and_complete",
        Some(3),
        &["not woken", "woken"],
        |lp, saw| {
            let (task, remote) = ready(lp);
            let handle = task.handle();
            task.detach();
            let (waker, wakes) = Wakes::new();
            let mut wait = (&handle).into_future();
            assert!(poll(&mut wait, &waker).is_pending());
            let runner = thread::spawn(move || lp.run());
            race();
            drop((wait, waker));
            touch(&handle);
            drop(handle);
            runner.join().unwrap();
            assert_eq!(remote.outputs(), 0);
            assert!(wakes.get() <= 1 && !wakes.is_kept());
            saw(if wakes.get() == 1 { "woken" } else { "not woken" });
        },
    );
}

/// A callback that reads the output and counts.
fn reads(calls: &Arc<Count>) -> impl FnOnce(&Result<Output, JoinError>) + Send + 'static {
    let calls = calls.clone();
    move |outcome| {
        assert_eq!(outcome.as_ref().map_or(0, Output::read), 7);
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn callback_added_and_complete() {
    explore("task::callback_added_and_complete", Some(3), &["early", "late"], |lp, saw| {
        let (mut task, remote) = ready(lp);
        let calls = Arc::new(Count::new(0));
        let runner = thread::spawn(move || lp.run());
        race();
        saw(if task.done() { "late" } else { "early" });
        task.add_done_callback(reads(&calls));
        lp.call_all();
        runner.join().unwrap();
        lp.call_all();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert_eq!(value(task.try_result().expect("its callback has run")), 7);
        assert_eq!(remote.outputs(), 0);
    });
}

#[test]
fn two_callbacks_added_and_complete() {
    explore("task::two_callbacks_added_and_complete", Some(3), &["early", "late"], |lp, saw| {
        let (mut task, _remote) = ready(lp);
        let order: Arc<Mutex<Vec<u32>>> = Arc::default();
        let runner = thread::spawn(move || lp.run());
        for n in 0..2 {
            race();
            saw(if task.done() { "late" } else { "early" });
            let order = order.clone();
            task.add_done_callback(move |_| order.lock().unwrap().push(n));
        }
        runner.join().unwrap();
        lp.call_all();
        assert_eq!(*order.lock().unwrap(), [0, 1]);
        assert_eq!(value(task.try_result().expect("its callbacks have run")), 7);
    });
}

/// The lane runs the first callback while the completer has not sent the second: the round is not over.
#[test]
fn callback_added_while_queued_and_run() {
    explore(
        "task::callback_added_while_queued_and_run",
        Some(3),
        &["0 called", "1 called", "2 called"],
        |lp, saw| {
            let (mut task, _remote) = ready(lp);
            let calls = Arc::new(Count::new(0));
            task.add_done_callback(reads(&calls));
            let runner = thread::spawn(move || lp.run());
            race();
            task.add_done_callback(reads(&calls));
            lp.call_all();
            let called = calls.load(Ordering::Relaxed);
            saw(["0 called", "1 called", "2 called"][called]);
            let early = task.try_result();
            assert!(called == 2 || early.is_none(), "taken before the callbacks");
            runner.join().unwrap();
            lp.call_all();
            assert_eq!(calls.load(Ordering::Relaxed), 2);
            assert_eq!(value(early.or_else(|| task.try_result()).expect("done")), 7);
        },
    );
}

#[test]
fn callback_removed_and_complete() {
    explore("task::callback_removed_and_complete", Some(3), &["called", "removed"], |lp, saw| {
        let (mut task, _remote) = ready(lp);
        let calls = Arc::new(Count::new(0));
        let id = task.add_done_callback(reads(&calls));
        let runner = thread::spawn(move || lp.run());
        race();
        let removed = task.remove_done_callback(id);
        saw(if removed { "removed" } else { "called" });
        runner.join().unwrap();
        lp.call_all();
        assert_eq!(calls.load(Ordering::Relaxed), usize::from(!removed));
        assert_eq!(value(task.try_result().expect("done")), 7);
    });
}

/// The lane runs the last callback while the handle goes: the output is dropped once, after the callback.
#[test]
fn callback_run_and_handle_dropped() {
    explore("task::callback_run_and_handle_dropped", None, &["called", "not called"], |lp, saw| {
        let (mut task, remote) = ready(lp);
        let handle = task.handle();
        let (waker, wakes) = Wakes::new();
        let calls = Arc::new(Count::new(0));
        task.add_done_callback(reads(&calls));
        assert!(poll(&mut task, &waker).is_pending());
        lp.run();
        let lane = thread::spawn(move || lp.call_all());
        race();
        saw(if calls.load(Ordering::Relaxed) == 1 { "called" } else { "not called" });
        drop(task);
        lane.join().unwrap();
        drop(waker);
        assert_eq!((calls.load(Ordering::Relaxed), remote.outputs()), (1, 0));
        drop(handle);
        assert!(!wakes.is_kept());
    });
}

#[test]
fn late_callback_and_handle_dropped() {
    explore(
        "task::late_callback_and_handle_dropped",
        None,
        &["called", "not called"],
        |lp, saw| {
            let (task, remote) = ready(lp);
            lp.run();
            let calls = Arc::new(Count::new(0));
            task.add_done_callback(reads(&calls));
            let lane = thread::spawn(move || lp.call_all());
            race();
            saw(if calls.load(Ordering::Relaxed) == 1 { "called" } else { "not called" });
            drop(task);
            lane.join().unwrap();
            assert_eq!((calls.load(Ordering::Relaxed), remote.outputs()), (1, 0));
        },
    );
}

/// A callback is added while the last one ends: the output stays until both have run.
#[test]
fn late_callback_and_last_callback() {
    explore(
        "task::late_callback_and_last_callback",
        Some(4),
        &["called", "not called"],
        |lp, saw| {
            let (mut task, _remote) = ready(lp);
            let calls = Arc::new(Count::new(0));
            task.add_done_callback(reads(&calls));
            lp.run();
            let lane = thread::spawn(move || lp.call_all());
            race();
            saw(if calls.load(Ordering::Relaxed) == 1 { "called" } else { "not called" });
            task.add_done_callback(reads(&calls));
            race();
            let early = task.try_result();
            if early.is_some() {
                assert_eq!(calls.load(Ordering::Relaxed), 2, "taken before the callbacks");
            }
            lane.join().unwrap();
            lp.call_all();
            assert_eq!(calls.load(Ordering::Relaxed), 2);
            assert_eq!(value(early.or_else(|| task.try_result()).expect("done")), 7);
        },
    );
}

/// A joiner in the slot, told by the completer, while the handle goes on to a callback's round and to another join.
#[test]
fn late_callback_and_joiner_told() {
    explore("task::late_callback_and_joiner_told", Some(3), &["done", "not done"], |lp, saw| {
        let (mut task, _remote) = ready(lp);
        let ((first, first_wakes), (second, second_wakes)) = (Wakes::new(), Wakes::new());
        let calls = Arc::new(Count::new(0));
        assert!(poll(&mut task, &first).is_pending());
        let runner = thread::spawn(move || lp.run());
        race();
        saw(if task.done() { "done" } else { "not done" });
        if task.done() {
            task.add_done_callback(reads(&calls));
            assert!(poll(&mut task, &second).is_pending());
            lp.call_all();
            assert_eq!(second_wakes.get(), 1, "the joiner was not told of the second end");
            assert!(poll(&mut task, &second).is_ready());
        }
        runner.join().unwrap();
        assert_eq!(first_wakes.get(), 1);
        drop((task, first, second));
        assert!(!first_wakes.is_kept() && !second_wakes.is_kept());
    });
}

/// A join that begins while callbacks are outstanding.
#[test]
fn join_and_callback_run() {
    explore("task::join_and_callback_run", None, &["pending", "ready"], |lp, saw| {
        let (mut task, _remote) = ready(lp);
        let calls = Arc::new(Count::new(0));
        task.add_done_callback(reads(&calls));
        lp.run();
        let lane = thread::spawn(move || lp.call_all());
        let (waker, wakes) = Wakes::new();
        let first = poll(&mut task, &waker);
        saw(if first.is_ready() { "ready" } else { "pending" });
        lane.join().unwrap();
        let outcome = match first {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                assert_eq!(wakes.get(), 1, "the joiner was not woken");
                task.try_result().expect("finished")
            }
        };
        assert_eq!(value(outcome), 7);
        drop((task, waker));
        assert!(!wakes.is_kept());
    });
}

// ----- the list

#[test]
fn snapshot_and_complete() {
    explore("task::snapshot_and_complete", None, &["complete", "listed"], |lp, saw| {
        let (task, _remote) = ready(lp);
        task.detach();
        let runner = thread::spawn(move || lp.run());
        race();
        let handles = lp.tasks.snapshot();
        handles.iter().for_each(touch);
        saw(["complete", "listed"][handles.len()]);
        drop(handles);
        runner.join().unwrap();
    });
}

#[test]
fn snapshot_and_spawn_and_complete() {
    explore(
        "task::snapshot_and_spawn_and_complete",
        Some(3),
        &["none", "one", "two"],
        |lp, saw| {
            let (task, _remote) = ready(lp);
            task.detach();
            let runner = thread::spawn(move || {
                lp.step();
            });
            let spawner = thread::spawn(move || ready(lp).0.detach());
            race();
            let handles = lp.tasks.snapshot();
            handles.iter().for_each(touch);
            saw(["none", "one", "two"][handles.len()]);
            drop(handles);
            runner.join().unwrap();
            spawner.join().unwrap();
            lp.run();
            assert!(lp.tasks.is_empty());
        },
    );
}

/// Closing finds a task in the list or refuses it: what `close` of a loop stands on.
#[test]
fn close_and_spawn() {
    explore("task::close_and_spawn", None, &["found", "refused"], |lp, saw| {
        let remote = Remote::new(1);
        let spawning = remote.clone();
        let spawner = thread::spawn(move || lp.spawn(spawning.future()));
        race();
        lp.tasks.set_closed(true);
        let found = lp.tasks.snapshot();
        saw(if found.is_empty() { "refused" } else { "found" });
        found.iter().for_each(|task| assert!(task.abort()));
        let task = spawner.join().unwrap();
        lp.run();
        assert!(task.cancelled());
        assert_eq!(remote.polls(), 0);
    });
}
