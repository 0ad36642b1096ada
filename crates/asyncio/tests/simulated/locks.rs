//! Locks, events, conditions, semaphores, barriers.

use crate::harness::{Inside, Row, Scenario, scenarios};
use asyncio::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, RwLock, Semaphore, secs, sleep, sometimes,
    yield_now,
};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

scenarios! {
    lock: Exclusive,
    lock_in_order: InOrder,
    event: Gate,
    event_cleared: Turnstile,
    condition: Shelf,
    condition_wait_for: Counted,
    semaphore: Permits,
    semaphore_in_order: Seats,
    bounded_semaphore: Bounded,
    barrier: Party,
    barrier_reset: Restless,
    rwlock: Book,
    rwlock_downgrade: Downgraded,
}

#[derive(Default)]
pub(crate) struct Exclusive {
    lock: Lock<usize>,
    inside: Inside,
    entered: AtomicUsize,
}

impl Scenario for Exclusive {
    const ROLES: usize = 4;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        for _ in 0..2 {
            sometimes!("a lock is waited for", self.lock.locked());
            let mut value = self.lock.acquire().await;
            let _here = self.inside.enter();
            assert_eq!(self.inside.count(), 1);
            let before = *value;
            if role % 2 == 0 {
                yield_now().await;
            }
            *value = before + 1;
            self.entered.fetch_add(1, SeqCst);
        }
    }

    fn at_rest(&self) {
        assert!(!self.lock.locked());
    }

    fn check(&self) {
        let value = self.lock.try_acquire().expect("nobody has it");
        assert_eq!(*value, self.entered.load(SeqCst));
    }
}

#[derive(Default)]
struct InOrder {
    lock: Arc<Lock>,
    row: Row,
}

impl Scenario for InOrder {
    const ROLES: usize = 4;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, _role: usize) {
        for _ in 0..2 {
            sometimes!("three wait for a lock", self.row.len() == 3);
            let acquire = self.lock.clone().acquire_owned();
            let guard = self.row.wait(acquire, || self.lock.statistics().waiters).await;
            yield_now().await;
            drop(guard);
            if self.lock.try_acquire().is_some() {
                assert_eq!(self.row.len(), 0, "a lock that is waited for is handed over");
            }
        }
    }

    fn check(&self) {
        assert_eq!(self.row.len(), 0);
        assert!(self.lock.try_acquire().is_some());
    }
}

#[derive(Default)]
pub(crate) struct Gate {
    event: Event,
    passed: AtomicUsize,
}

impl Scenario for Gate {
    const ROLES: usize = 4;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            yield_now().await;
            self.event.set();
            return;
        }
        sometimes!("an event is waited for", !self.event.is_set());
        self.event.wait().await;
        assert!(self.event.is_set());
        self.passed.fetch_add(1, SeqCst);
    }

    fn at_rest(&self) {
        let waiting = self.event.statistics().waiters;
        assert!(waiting == 0 || !self.event.is_set(), "{waiting} wait at an open gate");
    }

    async fn heal(&self) {
        self.event.set();
    }

    fn check(&self) {
        assert!(self.event.is_set());
        assert!(self.passed.load(SeqCst) < 4);
        assert_eq!(self.event.statistics().waiters, 0);
    }
}

/// An event that is cleared as soon as it was set lets those pass who waited.
#[derive(Default)]
struct Turnstile {
    event: Event,
}

impl Scenario for Turnstile {
    const ROLES: usize = 4;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            yield_now().await;
            self.event.set();
            self.event.clear();
            assert_eq!(self.event.statistics().waiters, 0);
            yield_now().await;
            self.event.set();
            return;
        }
        self.event.wait().await;
        sometimes!("one passes through an event that is clear again", !self.event.is_set());
    }

    async fn heal(&self) {
        self.event.set();
    }

    fn check(&self) {
        assert!(self.event.is_set());
        assert_eq!(self.event.statistics().waiters, 0);
    }
}

/// One puts, others take: an item on the shelf and one who waits for it is a lost notification.
pub(crate) struct Shelf {
    condition: Condition<Vec<u32>>,
    taken: AtomicUsize,
    put: AtomicUsize,
}

impl Scenario for Shelf {
    const ROLES: usize = 4;

    fn new() -> Self {
        Shelf {
            condition: Condition::new(Vec::new()),
            taken: AtomicUsize::new(0),
            put: AtomicUsize::new(0),
        }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            for item in 0..3 {
                let mut shelf = self.condition.acquire().await;
                shelf.push(item);
                self.put.fetch_add(1, SeqCst);
                shelf.notify(1);
                if item == 1 {
                    yield_now().await;
                }
            }
            return;
        }
        let mut shelf = self.condition.acquire().await;
        while shelf.is_empty() {
            shelf = shelf.wait().await;
            sometimes!("a shelf is empty again", shelf.is_empty());
        }
        shelf.pop();
        self.taken.fetch_add(1, SeqCst);
    }

    fn at_rest(&self) {
        let waiting = self.condition.statistics().waiters;
        let shelf = self.condition.try_acquire().expect("nobody has it");
        assert!(waiting == 0 || shelf.is_empty(), "{waiting} wait at a full shelf");
    }

    async fn heal(&self) {
        let mut shelf = self.condition.acquire().await;
        for item in 10..13 {
            shelf.push(item);
            self.put.fetch_add(1, SeqCst);
        }
        shelf.notify_all();
    }

    fn check(&self) {
        let left = self.condition.try_acquire().expect("nobody has it").len();
        assert_eq!(self.taken.load(SeqCst) + left, self.put.load(SeqCst));
        assert_eq!(self.condition.statistics().waiters, 0);
    }
}

/// `wait_for` a number that goes up, and `wait_mut`, which gives the lock back on a cancel.
struct Counted {
    condition: Condition<u32>,
}

impl Scenario for Counted {
    const ROLES: usize = 4;

    fn new() -> Self {
        Counted { condition: Condition::new(0) }
    }

    async fn play(self: Arc<Self>, role: usize) {
        match role {
            0 => {
                for _ in 0..3 {
                    let mut number = self.condition.acquire().await;
                    *number += 1;
                    number.notify_all();
                }
            }
            1 => {
                let mut number = self.condition.acquire().await;
                while *number < 2 {
                    number.wait_mut().await;
                }
            }
            limit => {
                let number = self.condition.acquire().await;
                sometimes!("a number has to go up", *number < limit as u32);
                let number = number.wait_for(|number| *number >= limit as u32).await;
                assert!(*number >= limit as u32);
            }
        }
    }

    async fn heal(&self) {
        let mut number = self.condition.acquire().await;
        *number = 3;
        number.notify_all();
    }

    fn check(&self) {
        assert!(!self.condition.locked());
        assert_eq!(self.condition.statistics().waiters, 0);
    }
}

/// Permits, one or more at a time.
pub(crate) struct Permits {
    semaphore: Semaphore,
    inside: Inside,
}

impl Scenario for Permits {
    const ROLES: usize = 4;

    fn new() -> Self {
        Permits { semaphore: Semaphore::new(2), inside: Inside::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        for round in 0..2 {
            let many = 1 + (role + round) % 2;
            sometimes!("permits are waited for", self.semaphore.value() < many);
            let _permit = self.semaphore.acquire_many(many).await;
            let _here = self.inside.enter_with(many);
            assert!(self.inside.count() <= 2);
            yield_now().await;
        }
    }

    fn at_rest(&self) {
        assert_eq!(self.semaphore.value(), 2);
    }

    fn check(&self) {
        assert_eq!(self.semaphore.value(), 2);
        assert!(self.semaphore.try_acquire_many(2).is_some());
    }
}

/// Nobody overtakes, be it that he wants less. Never two have permits at once, so they are seen in the order in which they were served.
struct Seats {
    semaphore: Arc<Semaphore>,
    row: Row,
}

impl Scenario for Seats {
    const ROLES: usize = 4;

    fn new() -> Self {
        Seats { semaphore: Arc::new(Semaphore::new(2)), row: Row::default() }
    }

    async fn play(self: Arc<Self>, role: usize) {
        for _ in 0..2 {
            sometimes!("three wait for permits", self.row.len() == 3);
            let many = if role == 0 { 1 } else { 2 };
            let acquire = self.semaphore.clone().acquire_many_owned(many);
            let permit = self.row.wait(acquire, || self.semaphore.statistics().waiters).await;
            yield_now().await;
            drop(permit);
        }
    }

    fn check(&self) {
        assert_eq!((self.semaphore.value(), self.row.len()), (2, 0));
    }
}

/// Permits that are given back by hand.
pub(crate) struct Bounded {
    semaphore: BoundedSemaphore,
    inside: Inside,
}

struct GiveBack<'a>(&'a BoundedSemaphore);

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        self.0.release().expect("it was taken");
    }
}

impl Scenario for Bounded {
    const ROLES: usize = 3;

    fn new() -> Self {
        Bounded { semaphore: BoundedSemaphore::new(1), inside: Inside::default() }
    }

    async fn play(self: Arc<Self>, _role: usize) {
        for _ in 0..2 {
            sometimes!("a permit is waited for", self.semaphore.locked());
            self.semaphore.acquire().await.forget();
            let _back = GiveBack(&self.semaphore);
            let _here = self.inside.enter();
            assert_eq!(self.inside.count(), 1);
            yield_now().await;
        }
    }

    fn check(&self) {
        assert_eq!(self.semaphore.value(), 1);
        assert!(self.semaphore.release().is_err(), "there is no room for another permit");
    }
}

/// Three that meet twice; a fourth that meets nobody twice is not among them.
pub(crate) struct Party {
    barrier: Barrier,
    /// How often each place was given.
    places: Mutex<[usize; 3]>,
    arrivals: AtomicUsize,
}

impl Scenario for Party {
    const ROLES: usize = 3;

    fn new() -> Self {
        Party { barrier: Barrier::new(3), places: Mutex::default(), arrivals: AtomicUsize::new(0) }
    }

    async fn play(self: Arc<Self>, _role: usize) {
        for _ in 0..2 {
            self.arrivals.fetch_add(1, SeqCst);
            match self.barrier.wait().await {
                Ok(place) => self.places.lock().unwrap()[place] += 1,
                Err(_) => {
                    sometimes!("a party is broken up", true);
                    return;
                }
            }
        }
    }

    fn at_rest(&self) {
        assert!(self.barrier.n_waiting() < 3);
    }

    async fn heal(&self) {
        if self.barrier.n_waiting() > 0 {
            self.barrier.abort();
        }
    }

    fn check(&self) {
        let parties = self.arrivals.load(SeqCst) / 3;
        let places = *self.places.lock().unwrap();
        assert!(places.iter().all(|&given| given <= parties), "{places:?} of {parties}");
        sometimes!("two parties are complete", places == [2, 2, 2]);
        assert_eq!(self.barrier.n_waiting(), 0);
    }
}

/// A party that somebody breaks up: they meet again.
struct Restless {
    barrier: Barrier,
    passed: AtomicUsize,
}

impl Scenario for Restless {
    const ROLES: usize = 4;

    fn new() -> Self {
        Restless { barrier: Barrier::new(3), passed: AtomicUsize::new(0) }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 3 {
            yield_now().await;
            sometimes!("two are sent away", self.barrier.n_waiting() == 2);
            self.barrier.reset();
            // Whoever had passed by then does not come back, and the others would wait for him.
            sleep(secs(1.0)).await;
            if self.barrier.n_waiting() > 0 {
                self.barrier.abort();
            }
            return;
        }
        while self.barrier.wait().await.is_err() {
            if self.barrier.broken() {
                return;
            }
        }
        self.passed.fetch_add(1, SeqCst);
    }

    async fn heal(&self) {
        if self.barrier.n_waiting() > 0 {
            self.barrier.abort();
        }
    }

    fn check(&self) {
        assert!(self.passed.load(SeqCst) <= 3);
        assert_eq!(self.barrier.n_waiting(), 0);
    }
}

/// Two that read and two that write what has to agree.
#[derive(Default)]
pub(crate) struct Book {
    lock: RwLock<(u32, u32)>,
    readers: Inside,
    writers: Inside,
}

impl Scenario for Book {
    const ROLES: usize = 4;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        for _ in 0..2 {
            if role % 2 == 0 {
                let mut book = self.lock.write().await;
                let _here = self.writers.enter();
                assert_eq!((self.readers.count(), self.writers.count()), (0, 1));
                let before = *book;
                yield_now().await;
                *book = (before.0 + 1, before.1 + 1);
            } else {
                let book = self.lock.read().await;
                let _here = self.readers.enter();
                sometimes!("two read at once", self.readers.count() == 2);
                yield_now().await;
                assert_eq!(book.0, book.1);
                assert_eq!(self.writers.count(), 0);
            }
        }
    }

    fn at_rest(&self) {
        assert!(!self.lock.locked());
    }

    fn check(&self) {
        let book = self.lock.try_write().expect("nobody has it");
        assert_eq!(book.0, book.1);
    }
}

/// A writer that goes on as a reader lets others read, and nobody write in between.
#[derive(Default)]
struct Downgraded {
    lock: Arc<RwLock<u32>>,
}

impl Scenario for Downgraded {
    const ROLES: usize = 4;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role < 2 {
            let mut written = self.lock.clone().write_owned().await;
            *written += 1;
            let mine = *written;
            yield_now().await;
            let read = written.downgrade();
            yield_now().await;
            sometimes!("another reads with one who wrote", Arc::strong_count(&self.lock) > 2);
            assert_eq!(*read, mine);
        } else {
            let read = self.lock.clone().read_owned().await;
            let before = *read;
            yield_now().await;
            assert_eq!(*read, before);
        }
    }

    fn check(&self) {
        assert!(self.lock.try_write().is_some());
    }
}
