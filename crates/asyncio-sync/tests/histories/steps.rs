//! Steps chosen by a seed, and what they leave behind.

use std::cell::RefCell;
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A task by its number.
pub(crate) type TaskId = usize;

/// Random numbers that a seed fixes (splitmix64).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) enum Entry<A> {
    Did(TaskId, A),
    Cancelled(TaskId),
}

/// Where one task writes down what it does.
pub(crate) struct Log<A> {
    task: TaskId,
    entries: Rc<RefCell<Vec<Entry<A>>>>,
}

impl<A> Log<A> {
    pub(crate) fn did(&self, act: A) {
        self.entries.borrow_mut().push(Entry::Did(self.task, act));
    }
}

/// What is allowed.
pub(crate) trait Oracle {
    type Act: Clone + Debug;

    /// A task did this: was that right?
    fn apply(&mut self, task: TaskId, act: &Self::Act) -> Result<(), String>;
    /// A task was dropped, with all that it held.
    fn cancel(&mut self, task: TaskId);
    /// Who was given what it waits for and has not taken it yet.
    fn owed(&self) -> Vec<TaskId>;
    /// Who waits and was given nothing.
    fn waiting(&self) -> Vec<TaskId>;
}

/// A primitive under test.
pub(crate) trait Subject: Sized + 'static {
    type Oracle: Oracle;

    /// A new one, with its oracle.
    fn new(rng: &mut Rng) -> (Self, Self::Oracle);
    /// What a task does.
    fn program(
        self: Rc<Self>,
        rng: Rng,
        log: Log<<Self::Oracle as Oracle>::Act>,
    ) -> impl Future<Output = ()>;
    /// All tasks have gone: everything was given back.
    fn check_rest(&self);
}

/// Lets others run.
pub(crate) async fn pass() {
    let mut passed = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    id: TaskId,
    body: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
}

impl Task {
    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed)
    }

    /// One poll; true once it is done.
    fn poll(&mut self, fresh_waker: bool) -> bool {
        if fresh_waker {
            self.woken = Arc::default();
        }
        self.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(self.woken.clone());
        self.body.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }
}

/// What the tasks did.
pub(crate) type Entries<S> = Vec<Entry<<<S as Subject>::Oracle as Oracle>::Act>>;

/// Runs tasks on one subject until none is ready. The oracle comes as it was before.
pub(crate) fn history<S: Subject>(seed: u64) -> (S::Oracle, Entries<S>) {
    let mut rng = Rng::new(seed);
    let (subject, oracle) = S::new(&mut rng);
    let subject = Rc::new(subject);
    let entries = Rc::default();
    let mut tasks: Vec<Task> = (0..2 + rng.below(5))
        .map(|id| {
            let log = Log { task: id, entries: Rc::clone(&entries) };
            let body = Box::pin(subject.clone().program(Rng::new(rng.next()), log));
            let woken = Arc::new(Woken(AtomicBool::new(true)));
            Task { id, body, woken }
        })
        .collect();
    // A poll for no reason would hide a lost wake-up, so half of the histories have none.
    let polls_for_nothing = rng.once_in(2);
    loop {
        let ready: Vec<usize> = (0..tasks.len()).filter(|&i| tasks[i].is_woken()).collect();
        if ready.is_empty() {
            break;
        }
        if rng.once_in(8) {
            let task = tasks.swap_remove(rng.below(tasks.len()));
            entries.borrow_mut().push(Entry::Cancelled(task.id));
            continue;
        }
        let next = match polls_for_nothing && rng.once_in(6) {
            true => rng.below(tasks.len()),
            false => ready[rng.below(ready.len())],
        };
        if tasks[next].poll(rng.once_in(4)) {
            tasks.swap_remove(next);
        }
    }
    drop(tasks);
    subject.check_rest();
    let entries = entries.take();
    (oracle, entries)
}

/// Whether a history is possible, and nobody was left waiting for what was his.
pub(crate) fn judge<O: Oracle>(mut oracle: O, entries: &[Entry<O::Act>]) -> Result<(), String> {
    for (i, entry) in entries.iter().enumerate() {
        match entry {
            Entry::Cancelled(task) => oracle.cancel(*task),
            Entry::Did(task, act) => {
                let complaint = |text| format!("entry {i}, task {task}, {act:?}: {text}");
                oracle.apply(*task, act).map_err(complaint)?;
            }
        }
    }
    match oracle.owed()[..] {
        [] => Ok(()),
        ref owed => Err(format!("tasks {owed:?} were never woken")),
    }
}
