//! Many at once: gather, wait, as_completed, timeouts, shield, and what waits in place.

use crate::harness::{Inside, Ledger, Scenario, UnlessDone, expect_reports, scenarios};
use asyncio::{
    Event, JoinError, Queue, ReturnWhen, Task, as_completed, catch_cancelled, create_task, gather,
    join, now, race, scope, secs, select, shield, sleep, sometimes, timeout, timeout_at,
    timeout_scope, try_gather, uncancellable, wait, wait_for, with_finally, yield_now,
};
use std::iter;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

scenarios! {
    gather_all: Gathered,
    gather_outcomes: GatheredOutcomes,
    gather_tries: Tried,
    gather_cancelled_as_a_group: GroupCancelled,
    wait_all: Waits,
    wait_timeout: WaitsNoLonger,
    as_completed_stream: Completed,
    as_completed_timeout: CompletedUntil,
    timeouts: Hurried,
    timeouts_of_tasks: HurriedTask,
    timeouts_nested: Nested,
    timeouts_with_clean_up: Cleaned,
    timeouts_moved: Moved,
    shield_lets_go: Shielded,
    join_in_place: Joined,
    race_in_place: Raced,
    select_in_place: Selected,
    scope_borrows: Scoped,
}

/// Children that come and go: each is begun once, and each ends, cleaned up if it was cancelled.
#[derive(Default)]
struct Children {
    alive: Inside,
    begun: AtomicUsize,
    returned: AtomicUsize,
    cleaned: AtomicUsize,
}

impl Children {
    /// A child that takes its time, also for its clean-up.
    async fn live(self: Arc<Self>, turns: u32) -> u32 {
        let _here = self.alive.enter();
        self.begun.fetch_add(1, SeqCst);
        let work = async {
            for turn in 0..turns {
                if turn % 2 == 0 {
                    yield_now().await;
                } else {
                    sleep(secs(1.0)).await;
                }
            }
        };
        match catch_cancelled(work).await {
            Ok(()) => {}
            Err(cancelled) => {
                uncancellable(yield_now()).await;
                self.cleaned.fetch_add(1, SeqCst);
                cancelled.propagate().await
            }
        }
        self.returned.fetch_add(1, SeqCst);
        turns
    }

    fn check(&self) {
        assert_eq!(self.alive.count(), 0, "a child is left");
        let begun = self.begun.load(SeqCst);
        assert!(self.returned.load(SeqCst) + self.cleaned.load(SeqCst) <= begun);
    }
}

/// All results, in the order of the arguments.
#[derive(Default)]
pub(crate) struct Gathered(Arc<Children>);

impl Scenario for Gathered {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let children = self.0.clone();
        if role == 0 {
            let results = gather([2, 1, 3].map(|turns| children.clone().live(turns))).await;
            assert_eq!(results.unwrap(), [2, 1, 3]);
        } else {
            let results = gather!(children.clone().live(1), async { "two" }, children.live(0));
            assert_eq!(results.await.unwrap(), (1, "two", 0));
        }
    }

    fn check(&self) {
        self.0.check();
        sometimes!("a gathered child cleans up", self.0.cleaned.load(SeqCst) > 0);
    }
}

/// With `return_exceptions`: a child that ends badly is an item, and nobody is left out.
#[derive(Default)]
struct GatheredOutcomes(Arc<Children>);

impl Scenario for GatheredOutcomes {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let children = self.0.clone();
        let tasks = [2, 1].map(|turns| create_task(children.clone().live(turns)));
        tasks[role].cancel();
        let outcomes = gather::<u32, _>(tasks).return_exceptions().await;
        let ended_well: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
        assert_eq!(ended_well, [role == 1, role == 0]);
        assert!(outcomes[role].as_ref().unwrap_err().is_cancelled());
    }

    fn check(&self) {
        self.0.check();
        sometimes!("a gathered child is cut short", self.0.returned.load(SeqCst) < 2);
    }
}

#[derive(Debug, PartialEq)]
enum Fault {
    Own(u32),
    Joined,
}

impl From<JoinError> for Fault {
    fn from(_: JoinError) -> Self {
        Fault::Joined
    }
}

/// The first error is there at once, and the others live on.
#[derive(Default)]
struct Tried(Arc<Children>);

impl Scenario for Tried {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let tries = (0..3).map(|turns| {
            let children = self.0.clone();
            async move {
                children.live(turns).await;
                if role == 0 && turns == 1 { Err(Fault::Own(turns)) } else { Ok(turns) }
            }
        });
        let outcome = try_gather(tries).await;
        sometimes!("others live on after the first error", self.0.alive.count() > 0);
        assert_eq!(outcome, if role == 0 { Err(Fault::Own(1)) } else { Ok(vec![0, 1, 2]) });
    }

    fn check(&self) {
        self.0.check();
    }
}

/// A gather that is cancelled by itself cancels its children, and says so.
#[derive(Default)]
struct GroupCancelled(Arc<Children>);

impl Scenario for GroupCancelled {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let children = self.0.clone();
        let all = gather([1, 4].map(|turns| children.clone().live(turns)));
        yield_now().await;
        let accepted = role == 0 && all.cancel();
        let outcome = all.await;
        sometimes!("children are cancelled together", accepted);
        match outcome {
            Ok(results) => assert_eq!((results, accepted), (vec![1, 4], false)),
            Err(error) => assert!(error.is_cancelled() && accepted),
        }
    }

    fn check(&self) {
        self.0.check();
    }
}

/// `wait` in its three ways cancels nothing, and says who has ended.
#[derive(Default)]
struct Waits(Arc<Children>);

/// What a task panics with that is meant to fail.
struct Expected;

impl Scenario for Waits {
    const ROLES: usize = 3;

    fn new() -> Self {
        expect_reports();
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let children = self.0.clone();
        let mut tasks = [3, 1, 2].map(|turns| create_task(children.clone().live(turns)));
        if role == 1 {
            tasks[0] = create_task(async { resume_unwind(Box::new(Expected)) });
        }
        let when =
            [ReturnWhen::FirstCompleted, ReturnWhen::FirstException, ReturnWhen::AllCompleted];
        let (done, pending) = wait(tasks).return_when(when[role]).await;
        assert_eq!(done.len() + pending.len(), 3);
        assert!(done.iter().all(Task::done));
        match role {
            0 => assert!(!done.is_empty()),
            1 => assert!(pending.is_empty() || done.iter().any(|task| task.error().is_some())),
            _ => assert!(pending.is_empty()),
        }
        sometimes!("some are pending", !pending.is_empty());
        for task in pending {
            assert!(shield(task).await.is_ok_and(|turns| turns <= 3), "nobody has cancelled it");
        }
    }

    fn check(&self) {
        self.0.check();
        assert_eq!(self.0.cleaned.load(SeqCst), 0, "a wait cancels nothing");
    }
}

/// A wait that has no more time lets go.
#[derive(Default)]
struct WaitsNoLonger(Arc<Children>);

impl Scenario for WaitsNoLonger {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let begin = now();
        let children = self.0.clone();
        let mut tasks = [2, 6].map(|turns| create_task(children.clone().live(turns)));
        // The first one ends at that very moment.
        let (done, pending) = wait(&mut tasks).timeout(secs(1.0)).await;
        assert!(done.len() <= 1 && done.len() + pending.len() == 2);
        assert!(pending.len() == 1 || now() - begin == secs(1.0));
        sometimes!("one ends just in time", !done.is_empty());
        sometimes!("one ends just too late", done.is_empty());
        if role == 1 {
            for task in tasks {
                shield(task).await.unwrap();
            }
        }
    }

    fn check(&self) {
        self.0.check();
        assert_eq!(self.0.cleaned.load(SeqCst), 0, "a wait cancels nothing");
    }
}

/// Each outcome once, in the order of the ends.
#[derive(Default)]
struct Completed(Arc<Children>);

impl Scenario for Completed {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let children = self.0.clone();
        let mut all = as_completed([4, 0, 2].map(|turns| children.clone().live(turns)));
        if role == 0 {
            let mut turns = Vec::new();
            while let Some(outcome) = all.next().await {
                turns.push(outcome.unwrap());
            }
            sometimes!("not the order of the arguments", turns == [0, 2, 4]);
            turns.sort_unstable();
            assert_eq!(turns, [0, 2, 4]);
        } else {
            let mut sum = 0;
            // The second one is awaited first.
            let mut nexts: Vec<_> = all.into_iter().collect();
            nexts.swap(0, 1);
            for next in nexts {
                sum += next.await.unwrap();
            }
            assert_eq!(sum, 6);
        }
    }

    fn check(&self) {
        self.0.check();
        assert_eq!(self.0.cleaned.load(SeqCst), 0, "looking cancels nothing");
    }
}

/// What does not come in time is told of once, and goes on.
#[derive(Default)]
struct CompletedUntil(Arc<Children>);

impl Scenario for CompletedUntil {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let children = self.0.clone();
        let tasks = [0, 2, 8].map(|turns| create_task(children.clone().live(turns)));
        let mut all = as_completed::<u32, _>(tasks).timeout(secs(1.0 + role as f64));
        let mut came = 0;
        let over = loop {
            match all.next().await {
                Some(Ok(outcome)) => came += usize::from(outcome.is_ok()),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert!(over && came <= 2, "the last one takes four seconds");
        sometimes!("one comes just in time", role == 0 && came == 2);
        sometimes!("one comes just too late", role == 0 && came == 1);
        for task in all.into_tasks() {
            task.await.unwrap();
        }
    }

    fn check(&self) {
        self.0.check();
    }
}

/// Two that look for an item again and again, with little time; the items come when the time is over.
pub(crate) struct Hurried {
    queue: Queue<u32>,
    ledger: Ledger,
}

impl Scenario for Hurried {
    const ROLES: usize = 3;

    fn new() -> Self {
        Hurried { queue: Queue::new(0), ledger: Ledger::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            for item in 0..3 {
                sleep(secs(1.0)).await;
                self.queue.put_nowait(item).unwrap();
                self.ledger.put(item);
            }
            return;
        }
        for _ in 0..4 {
            let got = if role == 1 {
                timeout(secs(1.0), self.queue.get()).await
            } else {
                wait_for(self.queue.get(), secs(1.0)).await
            };
            match got {
                Ok(item) => self.ledger.take(item.unwrap()),
                Err(_) => sometimes!("no item in time", true),
            }
        }
    }

    fn check(&self) {
        sometimes!("an item in time", !self.ledger.taken().is_empty());
        self.ledger.check(iter::from_fn(|| self.queue.get_nowait().ok()));
    }
}

/// The same, but a task of its own looks for the item: it is given, or the task says that it was cancelled and has none.
struct HurriedTask {
    queue: Arc<Queue<u32>>,
    ledger: Ledger,
}

impl Scenario for HurriedTask {
    const ROLES: usize = 3;

    fn new() -> Self {
        HurriedTask { queue: Arc::new(Queue::new(0)), ledger: Ledger::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            for item in 0..2 {
                sleep(secs(1.0)).await;
                self.queue.put_nowait(item).unwrap();
                self.ledger.put(item);
            }
            return;
        }
        for _ in 0..3 {
            let queue = self.queue.clone();
            let mut get = create_task(async move { queue.get().await.ok() });
            match timeout(secs(1.0), &mut get).await {
                Ok(Ok(item)) => item.into_iter().for_each(|item| self.ledger.take(item)),
                Ok(Err(error)) => panic!("nobody has cancelled it but the timeout: {error}"),
                // It is waited for, and what it has got meanwhile is not lost.
                Err(_) => match get.try_result().expect("it has ended") {
                    Ok(item) => item.into_iter().for_each(|item| self.ledger.take(item)),
                    Err(error) => assert!(error.is_cancelled()),
                },
            }
        }
    }

    async fn heal(&self) {
        self.queue.shutdown(false);
    }

    fn check(&self) {
        sometimes!("an item in time", !self.ledger.taken().is_empty());
        // A task whose waiter was interrupted may have ended with an item.
        let left: Vec<_> = iter::from_fn(|| self.queue.get_nowait().ok()).collect();
        assert!(self.ledger.taken().len() + left.len() <= 2);
    }
}

/// Which of two timeouts strikes says so, and the other has nothing to say.
#[derive(Default)]
struct Nested {
    event: Event,
}

impl Scenario for Nested {
    const ROLES: usize = 3;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 2 {
            sleep(secs(2.0)).await;
            self.event.set();
            return;
        }
        // Role 0: inner first. Role 1: outer first.
        let inner = [1.0, 3.0][role];
        let outer = [3.0, 1.0][role];
        let begin = now();
        let outcome = timeout_at(begin + secs(outer), async {
            let inside = timeout(secs(inner), self.event.wait()).await;
            yield_now().await;
            inside
        });
        match (role, outcome.await) {
            (0, Ok(Err(_))) | (1, Err(_)) => assert_eq!(now() - begin, secs(1.0)),
            (_, other) => panic!("{other:?}"),
        }
    }

    fn check(&self) {}
}

/// What a timeout cancels cleans up before the timeout says so, and may answer.
#[derive(Default)]
struct Cleaned {
    begun: AtomicUsize,
    cleaned: AtomicUsize,
    aborted: AtomicUsize,
}

impl Scenario for Cleaned {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let dropped = UnlessDone::new(&self.aborted);
        self.begun.fetch_add(1, SeqCst);
        let body = async {
            let slept = catch_cancelled(sleep(secs(5.0))).await;
            match slept {
                Err(cancelled) if role == 0 => cancelled.swallow(),
                Err(cancelled) => cancelled.propagate().await,
                Ok(()) => panic!("there is one second only"),
            }
            "answer"
        };
        let clean_up = async || {
            sleep(secs(1.0)).await;
            self.cleaned.fetch_add(1, SeqCst);
            dropped.done();
        };
        let outcome = timeout(secs(1.0), with_finally(body, clean_up)).await;
        assert_eq!(outcome.is_ok(), role == 0);
        yield_now().await;
    }

    // Role 0 answers whatever cancels it.
    const ANSWERS: bool = true;

    fn check(&self) {
        let ended = self.cleaned.load(SeqCst) + self.aborted.load(SeqCst);
        assert_eq!(ended, self.begun.load(SeqCst), "cleaned up once, unless it was dropped");
        sometimes!("one is dropped in its clean-up", self.aborted.load(SeqCst) > 0);
    }
}

/// A deadline that is moved: out of the way, to now, and away.
#[derive(Default)]
struct Moved;

impl Scenario for Moved {
    const ROLES: usize = 3;

    fn new() -> Self {
        Moved
    }

    async fn play(self: Arc<Self>, role: usize) {
        let begin = now();
        let outcome = timeout_scope(secs(1.0), async |deadline| {
            let mover = deadline.clone();
            let moves = create_task(async move {
                // At the same moment as the first deadline, or before.
                sleep(secs(if role == 0 { 1.0 } else { 0.5 })).await;
                let to = [Some(now() + secs(2.0)), Some(now()), None][role];
                mover.reschedule(to).is_ok()
            });
            let slept = catch_cancelled(sleep(secs(2.0))).await;
            match slept {
                Ok(()) => moves.await.unwrap(),
                Err(cancelled) => cancelled.propagate().await,
            }
        });
        let passed = match (role, outcome.await) {
            (_, Ok(moved)) => {
                assert!(moved && role != 1);
                2.0
            }
            (0, Err(_)) => 1.0,
            (1, Err(_)) => 0.5,
            (_, Err(_)) => panic!("there was no deadline any more"),
        };
        assert_eq!(now() - begin, secs(passed));
        sometimes!("a deadline is moved in its last moment", role == 0 && passed == 2.0);
        sometimes!("a deadline is moved too late", role == 0 && passed == 1.0);
    }

    fn check(&self) {}
}

/// A waiter that is cancelled lets go of what is shielded, which goes on.
#[derive(Default)]
pub(crate) struct Shielded(Arc<Children>);

impl Scenario for Shielded {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let mut task = create_task(self.0.clone().live(2));
        if role == 0 {
            assert_eq!(shield(task).await.unwrap(), 2);
        } else {
            let outcome = timeout(secs(0.5), shield(&mut task)).await;
            assert!(outcome.is_err(), "it takes a second");
            assert_eq!(shield(&mut task).await.unwrap(), 2);
        }
    }

    fn check(&self) {
        self.0.check();
        let Children { begun, returned, .. } = &*self.0;
        assert_eq!(returned.load(SeqCst), begun.load(SeqCst), "nothing was cut short");
        sometimes!("one was let go", true);
    }
}

/// All in one task.
#[derive(Default)]
struct Joined(Arc<Children>);

impl Scenario for Joined {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let live = |turns| self.0.clone().live(turns);
        let results = join!(live(2), live(0), live(1 + role as u32));
        assert_eq!(results, (2, 0, 1 + role as u32));
    }

    fn check(&self) {
        self.0.check();
        sometimes!("two branches clean up", self.0.cleaned.load(SeqCst) > 1);
    }
}

/// The first wins, and the others are dropped.
struct Raced {
    queues: [Queue<u32>; 2],
    ledger: Ledger,
}

impl Raced {
    fn with_items() -> Self {
        Raced { queues: [Queue::new(0), Queue::new(0)], ledger: Ledger::default() }
    }

    async fn feed(&self) {
        for item in 0..4 {
            self.queues[item as usize % 2].put_nowait(item).unwrap();
            self.ledger.put(item);
            if item == 1 {
                yield_now().await;
            }
        }
    }

    fn check_all(&self) {
        let left = self.queues.iter().flat_map(|queue| iter::from_fn(|| queue.get_nowait().ok()));
        self.ledger.check(left);
    }
}

impl Scenario for Raced {
    const ROLES: usize = 3;

    fn new() -> Self {
        Raced::with_items()
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            return self.feed().await;
        }
        for _ in 0..2 {
            let [a, b] = &self.queues;
            match race!(a.get(), b.get()) {
                Ok(item) => self.ledger.take(item),
                Err(_) => return,
            }
        }
    }

    async fn heal(&self) {
        self.queues.iter().for_each(|queue| queue.shutdown(false));
    }

    fn check(&self) {
        sometimes!("an item wins", !self.ledger.taken().is_empty());
        self.check_all();
    }
}

/// As a race, with what is done with each.
pub(crate) struct Selected(Raced);

impl Scenario for Selected {
    const ROLES: usize = 3;

    fn new() -> Self {
        Selected(Raced::with_items())
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            return self.0.feed().await;
        }
        for _ in 0..3 {
            select! {
                Ok(item) = self.0.queues[0].get() => self.0.ledger.take(item),
                Ok(item) = self.0.queues[1].get() => self.0.ledger.take(item),
                _ = sleep(secs(1.0)) => sometimes!("time wins", true),
            }
        }
    }

    async fn heal(&self) {
        self.0.queues.iter().for_each(|queue| queue.shutdown(false));
    }

    fn check(&self) {
        self.0.check_all();
    }
}

/// Children of one task that borrow from it.
#[derive(Default)]
struct Scoped(Arc<Children>);

impl Scenario for Scoped {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, _role: usize) {
        let sum = AtomicUsize::new(0);
        let add = |turns: u32| {
            let (sum, child) = (&sum, self.0.clone().live(turns));
            async move { sum.fetch_add(child.await as usize, SeqCst) }
        };
        scope(|s| async move {
            let first = s.spawn(add(2));
            drop(s.spawn(add(3)));
            first.await
        })
        .await;
        assert_eq!(sum.load(SeqCst), 5, "all have ended");
    }

    fn check(&self) {
        self.0.check();
        sometimes!("children of a scope clean up", self.0.cleaned.load(SeqCst) > 1);
    }
}
