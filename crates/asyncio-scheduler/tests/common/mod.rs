//! A loop on a driver without descriptors or clock, and without threads if not told otherwise, and what the tests ask of it.
#![allow(dead_code, unreachable_pub, missing_docs, missing_debug_implementations)]

use asyncio_base::context::ContextSlot;
use asyncio_scheduler::callback::Kind;
use asyncio_scheduler::event_loop::MainOutcome;
use asyncio_scheduler::lane::Panicked;
use asyncio_scheduler::{
    Driver, Handle, Join, Loop, LoopClosed, Reporter, Signs, Step, Wait, Words,
};
use asyncio_task::{JoinError, Task, TaskHandle, Unretrieved};
use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

type Action = Box<dyn FnOnce() + Send>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn note(&self, what: impl Into<String>) {
        lock(&self.0).push(what.into());
    }

    /// What was noted since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }

    /// A closure that notes `what`.
    pub fn noting(&self, what: &'static str) -> impl FnOnce() + Send + Clone + 'static {
        let log = self.clone();
        move || log.note(what)
    }

    /// A value that notes `what` when it is dropped.
    pub fn on_drop(&self, what: &'static str) -> OnDrop {
        OnDrop(Some(Box::new(self.noting(what))))
    }
}

/// Runs code when it is dropped.
pub struct OnDrop(Option<Action>);

impl OnDrop {
    pub fn new(code: impl FnOnce() + Send + 'static) -> Self {
        OnDrop(Some(Box::new(code)))
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(code) = self.0.take() {
            code();
        }
    }
}

#[derive(Default)]
struct Ready {
    io: VecDeque<Action>,
    timers: VecDeque<Action>,
    /// Run when the loop would sleep.
    idle: VecDeque<Action>,
    unparked: bool,
}

impl Ready {
    fn ends_a_sleep(&self) -> bool {
        self.unparked || !self.io.is_empty() || !self.timers.is_empty()
    }
}

#[derive(Default)]
pub struct MockDriver {
    ready: Mutex<Ready>,
    changed: Condvar,
    turns: Mutex<Vec<Wait>>,
    pub on_close: Mutex<Option<Action>>,
    stopped_at: Mutex<Option<Instant>>,
    /// How many threads are refused before each is given; else none is.
    pub refusals: Mutex<Option<usize>>,
    /// Two deadlines and whether there are events, if the next run is to look at them; what lies before 10 is past.
    pub signs: Mutex<Option<Arc<[AtomicU64; 3]>>>,
}

impl MockDriver {
    /// The next look at the descriptors does this.
    pub fn on_io(&self, action: impl FnOnce() + Send + 'static) {
        lock(&self.ready).io.push_back(Box::new(action));
    }

    /// What the next look would do is not done.
    pub fn forget_io(&self) {
        let io = std::mem::take(&mut lock(&self.ready).io);
        drop(io);
    }

    /// The next turn does this after the descriptors.
    pub fn on_timer(&self, action: impl FnOnce() + Send + 'static) {
        lock(&self.ready).timers.push_back(Box::new(action));
    }

    /// The loop does this instead of sleeping, once.
    pub fn on_idle(&self, action: impl FnOnce() + Send + 'static) {
        lock(&self.ready).idle.push_back(Box::new(action));
    }

    /// From now on nothing takes any time.
    pub fn stop_clock(&self) {
        *lock(&self.stopped_at) = Some(Instant::now());
    }

    /// From now on time passes only so.
    pub fn advance(&self, by: Duration) {
        let mut now = lock(&self.stopped_at);
        *now = Some(now.unwrap_or_else(Instant::now) + by);
    }

    /// How each turn since the last call was allowed to wait.
    pub fn take_turns(&self) -> Vec<Wait> {
        std::mem::take(&mut lock(&self.turns))
    }

    fn sleep(&self, at_most: Duration) {
        let mut ready = lock(&self.ready);
        if let Some(action) = ready.idle.pop_front() {
            drop(ready);
            action();
            ready = lock(&self.ready);
        }
        let waits = |ready: &mut Ready| !ready.ends_a_sleep();
        let waited = self.changed.wait_timeout_while(ready, at_most, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.unparked = false;
    }

    fn run(&self, which: impl Fn(&mut Ready) -> &mut VecDeque<Action>) {
        let actions = std::mem::take(which(&mut lock(&self.ready)));
        actions.into_iter().for_each(|action| action());
    }
}

impl Driver for MockDriver {
    fn turn(&self, _worker: usize, wait: Wait) {
        lock(&self.turns).push(wait);
        match wait {
            Wait::UntilReady => self.sleep(Duration::MAX),
            Wait::AtMost(time) => self.sleep(time),
            Wait::No | Wait::TimersOnly => {}
        }
        if wait != Wait::TimersOnly {
            self.run(|ready| &mut ready.io);
        }
        self.run(|ready| &mut ready.timers);
    }

    fn signs(self: Arc<Self>, _worker: usize) -> Option<Signs> {
        let words = lock(&self.signs).clone()?;
        Some(Signs::of(words, |[one, other, events]| Words { deadlines: [one, other], events }))
    }

    fn is_past(&self, deadline: u64) -> bool {
        deadline < 10
    }

    fn unpark(&self) {
        lock(&self.ready).unparked = true;
        self.changed.notify_one();
    }

    fn close(&self) {
        if let Some(action) = lock(&self.on_close).take() {
            action();
        }
    }

    fn now(&self) -> Instant {
        lock(&self.stopped_at).unwrap_or_else(Instant::now)
    }

    fn random(&self, _bound: usize) -> usize {
        0
    }

    fn start_thread(&self, name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<Join> {
        match &mut *lock(&self.refusals) {
            Some(0) => {
                let thread = thread::Builder::new().name(name).spawn(body)?;
                Ok(Box::new(move || thread.join().expect("workers do not panic")))
            }
            refusals => {
                *refusals = refusals.map(|left| left - 1);
                Err(io::Error::other("no threads here"))
            }
        }
    }

    fn as_worker(&self, _: usize, work: &mut dyn FnMut()) {
        work();
    }
}

/// Notes each report; a message that contains "bomb" makes it panic.
pub struct MockReporter(pub Log);

pub fn message(payload: &(dyn Any + Send)) -> String {
    payload.downcast_ref::<&str>().map_or_else(|| "?".to_owned(), |text| (*text).to_owned())
}

impl MockReporter {
    fn note(&self, what: String) {
        let is_bomb = what.contains("bomb");
        self.0.note(what);
        assert!(!is_bomb, "the reporter panics");
    }
}

impl Reporter for MockReporter {
    fn watch(&self, step: &Step, run: &mut dyn FnMut()) {
        let what = match step {
            Step::Task(task) => task.get_name().to_string(),
            Step::Callback(_) => "callback".to_owned(),
        };
        self.note(format!("begins: {what}"));
        run();
        self.note(format!("ends: {what}"));
    }

    fn callback_panicked(&self, callback: Panicked) {
        assert!(callback.location.file().ends_with(".rs"));
        self.note(format!("callback panicked: {}", message(&*callback.payload)));
    }

    fn task_destroyed(&self, task: TaskHandle) {
        self.note(format!("destroyed: {}", task.get_name()));
    }

    fn worker_refused(&self, _: usize, error: io::Error) {
        self.note(format!("worker refused: {error}"));
    }

    fn unretrieved(&self, task: Unretrieved, error: &JoinError) {
        let panic = error.as_panic().expect("only panics are reported");
        self.note(format!("unretrieved: {}: {}", task.name, panic.message()));
    }

    fn destructor_panicked(&self, error: JoinError) {
        let panic = error.as_panic().expect("made from a panic");
        self.note(format!("destructor panicked: {}", panic.message()));
    }
}

/// A loop and its surroundings. The first of its clones closes the loop when it goes, for an open loop lives for ever.
pub struct Rig {
    pub event_loop: Arc<Loop>,
    pub driver: Arc<MockDriver>,
    pub log: Log,
    is_first: bool,
}

impl Clone for Rig {
    fn clone(&self) -> Self {
        let Rig { event_loop, driver, log, .. } = self;
        let (event_loop, driver, log) = (event_loop.clone(), driver.clone(), log.clone());
        Rig { event_loop, driver, log, is_first: false }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.is_first {
            // A test that fails may leave it running.
            let _ = self.event_loop.close();
        }
    }
}

impl Rig {
    pub fn new() -> Self {
        Self::with_workers(1)
    }

    /// Of several workers only the first gets a thread.
    pub fn with_workers(workers: usize) -> Self {
        let log = Log::default();
        let driver = Arc::new(MockDriver::default());
        let event_loop = Loop::new(workers, driver.clone(), Arc::new(MockReporter(log.clone())));
        Rig { event_loop, driver, log, is_first: true }
    }

    /// All get a thread but so many of those that ask first.
    pub fn with_threads(workers: usize, refusals: usize) -> Self {
        let rig = Self::with_workers(workers);
        *lock(&rig.driver.refusals) = Some(refusals);
        rig
    }

    pub fn try_call(&self, function: impl FnOnce() + Send + 'static) -> Result<Handle, LoopClosed> {
        self.event_loop.call(Kind::Plain, ContextSlot::new(), Location::caller(), function)
    }

    pub fn call(&self, function: impl FnOnce() + Send + 'static) -> Handle {
        self.try_call(function).expect("the loop is open")
    }

    pub fn call_threadsafe(&self, function: impl FnOnce() + Send + 'static) -> Handle {
        let (context, location) = (ContextSlot::new(), Location::caller());
        self.event_loop.call(Kind::ThreadSafe, context, location, function).expect("open")
    }

    pub fn call_noting(&self, what: &'static str) -> Handle {
        self.call(self.log.noting(what))
    }

    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let made = self.event_loop.room(ContextSlot::new(), Location::caller()).spawn(future);
        made.unwrap_or_else(|cancelled| cancelled)
    }

    /// A task that notes each of its turns and waits after the first.
    pub fn spawn_noting(&self, what: &'static str) -> Task<()> {
        let log = self.log.clone();
        self.spawn(async move { log.note(what) })
    }

    pub fn stop_soon(&self) {
        let event_loop = self.event_loop.clone();
        self.call(move || event_loop.stop());
    }

    /// One pass that does not sleep.
    pub fn pass(&self) {
        self.event_loop.stop();
        self.event_loop.run_forever().unwrap();
    }

    pub fn run<F: Future>(&self, main: F) -> Option<MainOutcome<F::Output>> {
        let (context, location) = (ContextSlot::new(), Location::caller());
        self.event_loop.run_until_complete(main, context, location, |_| {}).unwrap()
    }
}

/// Lets the loop go on once.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
