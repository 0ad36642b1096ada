//! Tasks: cancelling them, answering that, and what runs when they are done.

use crate::harness::{Inside, Scenario, UnlessDone, ended, run_all, scenarios};
use asyncio::{
    CancelOnDrop, Event, JoinError, Lock, Task, TaskBuilder, catch_cancelled, create_local_task,
    create_task, current_task, secs, sim, sleep, sometimes, uncancellable, with_finally, yield_now,
};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};

scenarios! {
    cancel_and_uncancel: Counted,
    catch_and_go_on: Stubborn,
    finally: Tidy,
    uncancellable_holds_back: Held,
    await_forwards: Forwarded,
    abort_and_clean_up: Aborted,
    cancel_on_drop: Tied,
    eager_start: Eager,
    done_callbacks: Told,
    waited_for_by_many: Awaited,
}

/// Somebody cancels another, and takes it back.
#[derive(Default)]
struct Counted {
    victim: OnceLock<asyncio::TaskHandle>,
    event: Event,
}

impl Scenario for Counted {
    const ROLES: usize = 3;
    const ANSWERS: bool = true;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            let me = current_task().unwrap();
            self.victim.set(me.clone()).unwrap();
            match catch_cancelled(self.event.wait()).await {
                Ok(()) => {}
                Err(cancelled) => {
                    sometimes!("two have cancelled it", me.cancelling() > 1);
                    // One that was taken back in its last moment leaves nothing to take back.
                    me.uncancel();
                    cancelled.swallow();
                }
            }
            return;
        }
        yield_now().await;
        let Some(victim) = self.victim.get() else { return self.event.set() };
        if role == 1 {
            if victim.cancel() {
                yield_now().await;
                sometimes!("a cancel is taken back", victim.uncancel() == 0 && !victim.done());
            }
        } else {
            victim.cancel();
            self.event.set();
        }
    }

    async fn heal(&self) {
        self.event.set();
    }

    fn check(&self) {
        if let Some(victim) = self.victim.get() {
            assert!(victim.done());
            assert!(!victim.cancel(), "it is too late");
        }
    }
}

/// One who answers every cancel, and goes on: later awaits are not disturbed by it.
#[derive(Default)]
struct Stubborn {
    begun: AtomicUsize,
    caught: AtomicUsize,
}

impl Scenario for Stubborn {
    const ROLES: usize = 2;
    const ANSWERS: bool = true;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, _role: usize) {
        self.begun.fetch_add(1, SeqCst);
        let me = current_task().unwrap();
        let mut caught = 0;
        for _ in 0..4 {
            if let Err(cancelled) = catch_cancelled(sleep(secs(1.0))).await {
                caught += 1;
                cancelled.swallow();
            }
            assert!(caught <= me.cancelling(), "nothing is delivered twice");
        }
        // What was asked for between two of them strikes at the next; after the last there is none.
        self.caught.fetch_add(caught, SeqCst);
    }

    fn check(&self) {
        sometimes!("two are caught", self.caught.load(SeqCst) > 1);
    }
}

/// A clean-up that runs once, however the body ends, unless the task is dropped.
#[derive(Default)]
pub(crate) struct Tidy {
    lock: Lock<usize>,
    entered: AtomicUsize,
    cleaned: AtomicUsize,
    dropped: AtomicUsize,
}

impl Scenario for Tidy {
    const ROLES: usize = 3;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, _role: usize) {
        let dropped = UnlessDone::new(&self.dropped);
        self.entered.fetch_add(1, SeqCst);
        let body = async {
            let mut value = self.lock.acquire().await;
            yield_now().await;
            *value += 1;
        };
        let clean_up = async || {
            // The clean-up waits for the lock, too, and is not cancelled there.
            let mut value = self.lock.acquire().await;
            yield_now().await;
            *value += 100;
            self.cleaned.fetch_add(1, SeqCst);
            dropped.done();
        };
        with_finally(body, clean_up).await;
    }

    fn check(&self) {
        let ended = self.cleaned.load(SeqCst) + self.dropped.load(SeqCst);
        assert_eq!(ended, self.entered.load(SeqCst));
        let value = *self.lock.try_acquire().expect("nobody has it");
        assert_eq!(value / 100, self.cleaned.load(SeqCst));
        sometimes!("a body is cut short", value % 100 < 3);
    }
}

/// What must not be cancelled half-way is not; the cancel strikes behind it.
#[derive(Default)]
struct Held {
    halves: [AtomicUsize; 2],
    aborted: AtomicUsize,
}

impl Scenario for Held {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, _role: usize) {
        let me = current_task().unwrap();
        uncancellable(async {
            let aborted = UnlessDone::new(&self.aborted);
            self.halves[0].fetch_add(1, SeqCst);
            yield_now().await;
            sleep(secs(1.0)).await;
            sometimes!("a cancel is held back", me.cancelling() > 0);
            self.halves[1].fetch_add(1, SeqCst);
            aborted.done();
        })
        .await;
        let asked = me.cancelling() > 0;
        sleep(secs(1.0)).await;
        assert!(!asked, "it strikes at the next await");
    }

    fn check(&self) {
        let [first, second] = &self.halves;
        assert_eq!(first.load(SeqCst), second.load(SeqCst) + self.aborted.load(SeqCst));
    }
}

/// A cancel goes down a row of tasks, each awaiting the next; their clean-ups run from the inside out.
#[derive(Default)]
struct Forwarded {
    row: Mutex<Vec<u32>>,
    alive: Inside,
}

impl Forwarded {
    fn level(self: Arc<Self>, depth: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.live(depth))
    }

    async fn live(self: Arc<Self>, depth: u32) {
        let _here = self.alive.enter();
        let inner = async {
            if depth == 0 {
                return sleep(secs(5.0)).await;
            }
            let next = create_task(self.clone().level(depth - 1));
            if let Err(error) = ended(next).await {
                assert!(error.is_cancelled());
                panic!("nobody has cancelled it alone");
            }
        };
        if let Err(cancelled) = catch_cancelled(inner).await {
            yield_now().await;
            self.row.lock().unwrap().push(depth);
            cancelled.propagate().await
        }
    }
}

impl Scenario for Forwarded {
    const ROLES: usize = 1;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, _role: usize) {
        self.level(2).await;
    }

    fn check(&self) {
        assert_eq!(self.alive.count(), 0);
        let row = self.row.lock().unwrap();
        sometimes!("all clean up", row.len() == 3);
        assert!(row.is_sorted(), "{row:?}");
    }
}

/// A task that is dropped where it stands, by one who then waits for it.
#[derive(Default)]
struct Aborted {
    lock: Arc<Lock<usize>>,
    alive: Arc<Inside>,
}

impl Scenario for Aborted {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, _role: usize) {
        let (lock, alive) = (self.lock.clone(), self.alive.clone());
        let mut task = create_task(async move {
            let _here = alive.enter();
            let _guard = lock.acquire().await;
            sleep(secs(1.0)).await;
        });
        yield_now().await;
        let accepted = task.abort();
        let outcome = (&mut task).await;
        assert_eq!(outcome.is_err_and(|error| error.is_cancelled()), accepted);
        sometimes!("one is dropped", accepted);
        assert!(task.done());
    }

    fn check(&self) {
        assert_eq!(self.alive.count(), 0);
        assert!(self.lock.try_acquire().is_some());
    }
}

/// A task that does not outlive its owner.
#[derive(Default)]
struct Tied {
    event: Arc<Event>,
    alive: Arc<Inside>,
    cancelled: Arc<AtomicUsize>,
}

impl Scenario for Tied {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let (event, alive, cancelled) =
            (self.event.clone(), self.alive.clone(), self.cancelled.clone());
        let task: CancelOnDrop<()> = create_task(async move {
            let _here = alive.enter();
            if let Err(error) = catch_cancelled(event.wait()).await {
                cancelled.fetch_add(1, SeqCst);
                error.propagate().await
            }
        })
        .cancel_on_drop();
        yield_now().await;
        if role == 1 {
            drop(task);
            yield_now().await;
        }
        // Nobody sets the event, and nobody is left.
    }

    fn check(&self) {
        assert_eq!(self.alive.count(), 0);
        sometimes!("two are cancelled", self.cancelled.load(SeqCst) == 2);
    }
}

/// A first step inside of the call: order and outcome are those of any task.
#[derive(Default)]
struct Eager {
    lock: Arc<Lock<usize>>,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Scenario for Eager {
    const ROLES: usize = 3;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, _role: usize) {
        let me = current_task().map(|task| task.id());
        let shared = self.clone();
        let task = TaskBuilder::new().eager_start(true).create_task(async move {
            shared.begun.fetch_add(1, SeqCst);
            assert_ne!(current_task().map(|task| task.id()), me);
            let mut value = shared.lock.acquire().await;
            *value += 1;
            shared.ended.fetch_add(1, SeqCst);
        });
        assert_eq!(current_task().map(|task| task.id()), me);
        sometimes!("one is done at once", task.done());
        sometimes!("one has to wait", !task.done());
        ended(task).await.unwrap();
    }

    fn check(&self) {
        let value = *self.lock.try_acquire().expect("nobody has it");
        assert_eq!(value, self.ended.load(SeqCst));
        assert!(self.ended.load(SeqCst) <= self.begun.load(SeqCst));
    }
}

/// Each callback once, in their order, when the outcome is known.
#[derive(Default)]
struct Told {
    task: Mutex<Option<Task<u32>>>,
    row: Arc<Mutex<Vec<usize>>>,
    added: AtomicUsize,
    removed: AtomicBool,
}

impl Scenario for Told {
    const ROLES: usize = 3;

    fn new() -> Self {
        let task = create_task(async {
            sleep(secs(1.0)).await;
            7
        });
        Told { task: Mutex::new(Some(task)), ..Default::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        for turn in 0..2 {
            let added = {
                let task = self.task.lock().unwrap();
                let task = task.as_ref().unwrap();
                let number = self.added.fetch_add(1, SeqCst);
                let row = self.row.clone();
                let id = task.add_done_callback(move |outcome: &Result<u32, JoinError>| {
                    assert_eq!(*outcome.as_ref().unwrap(), 7);
                    row.lock().unwrap().push(number);
                });
                sometimes!("one is told late", task.done());
                id
            };
            sleep(secs(0.5 * role as f64)).await;
            if role == 2 && turn == 0 {
                let task = self.task.lock().unwrap();
                let removed = task.as_ref().unwrap().remove_done_callback(added);
                self.removed.store(removed, SeqCst);
                sometimes!("a callback is taken out", removed);
            }
        }
    }

    fn check(&self) {
        let row = self.row.lock().unwrap();
        assert!(row.is_sorted_by(|a, b| a < b), "{row:?}");
        let removed = usize::from(self.removed.load(SeqCst));
        assert_eq!(row.len(), self.added.load(SeqCst) - removed);
    }
}

/// Many wait for one task; those who are cancelled leave it to the others.
#[derive(Default)]
struct Awaited {
    task: OnceLock<Task<u32>>,
    seen: AtomicUsize,
}

impl Scenario for Awaited {
    const ROLES: usize = 3;

    fn new() -> Self {
        let task = create_task(async {
            sleep(secs(1.0)).await;
            7
        });
        let awaited = Self::default();
        awaited.task.set(task).unwrap();
        awaited
    }

    async fn play(self: Arc<Self>, _role: usize) {
        let task = self.task.get().unwrap();
        task.await;
        assert_eq!(*task.result().unwrap().as_ref().unwrap(), 7);
        self.seen.fetch_add(1, SeqCst);
    }

    fn check(&self) {
        assert!(self.task.get().unwrap().value() == Some(&7));
        sometimes!("all have seen it", self.seen.load(SeqCst) == 3);
    }
}

/// Tasks that are not `Send` stay with main's worker, whoever wakes them.
#[test]
fn local_tasks() {
    run_all("tasks::local_tasks", || async {
        let sum = Rc::new(Cell::new(0));
        let event = Arc::new(Event::new());
        let tasks = [1, 10, 100].map(|amount| {
            let (sum, event) = (sum.clone(), event.clone());
            create_local_task(async move {
                event.wait().await;
                let before = sum.get();
                sum.set(before + amount);
                yield_now().await;
            })
        });
        let waker = event.clone();
        let other = create_task(async move {
            yield_now().await;
            waker.set();
        });
        let victim = sim::rng().below(4) as usize;
        if let Some(task) = tasks.get(victim) {
            yield_now().await;
            task.cancel();
            sometimes!("a local task is cancelled", !task.done());
        }
        for task in tasks {
            let _ = ended(task).await;
        }
        other.await.unwrap();
        assert_eq!(Rc::strong_count(&sum), 1);
    });
}
