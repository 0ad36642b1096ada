//! Task groups: when the scope has ended, so have its children, and every error is in it.

use crate::harness::{Inside, Scenario, expect_reports, scenarios};
use asyncio::{
    Event, Semaphore, TaskGroup, catch_cancelled, secs, sleep, sometimes, timeout, uncancellable,
    yield_now,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

scenarios! {
    group: Family,
    group_error: Failing,
    group_body_error: FailingBody,
    group_nested: Nested,
    group_cancel: Ended,
    group_spawns_while_aborting: Breeding,
    group_in_timeout: Hurried,
}

/// Children that are counted, also in their clean-up.
#[derive(Default)]
struct Home {
    alive: Inside,
    cleaned: AtomicUsize,
}

impl Home {
    async fn live(self: Arc<Self>, turns: u32) -> u32 {
        let _here = self.alive.enter();
        let work = async {
            for _ in 0..turns {
                yield_now().await;
            }
            if turns > 2 {
                sleep(secs(1.0)).await;
            }
        };
        if let Err(cancelled) = catch_cancelled(work).await {
            uncancellable(yield_now()).await;
            self.cleaned.fetch_add(1, SeqCst);
            cancelled.propagate().await
        }
        turns
    }

    /// Fails, also if it is cancelled.
    async fn fail(self: Arc<Self>, turns: u32) -> Result<u32, u32> {
        if let Err(cancelled) = catch_cancelled(self.live(turns)).await {
            cancelled.swallow();
        }
        Err(turns)
    }

    async fn succeed(self: Arc<Self>, turns: u32) -> Result<u32, u32> {
        Ok(self.live(turns).await)
    }

    fn check(&self) {
        assert_eq!(self.alive.count(), 0, "a child is left");
    }
}

/// The homes of two roles.
#[derive(Default)]
struct Homes([Arc<Home>; 2]);

impl Homes {
    fn of(&self, role: usize) -> &Arc<Home> {
        &self.0[role]
    }

    /// The role's scope has ended, and so must its children have.
    fn are_empty_of(&self, role: usize) {
        assert_eq!(self.0[role].alive.count(), 0, "the scope waits for its children");
    }

    fn check(&self) {
        self.0.iter().for_each(|home| home.check());
    }
}

/// All children of all roles, with permits that they have to give back.
pub(crate) struct Family {
    homes: Homes,
    permits: Arc<Semaphore>,
}

impl Scenario for Family {
    const ROLES: usize = 2;

    fn new() -> Self {
        Family { homes: Homes::default(), permits: Arc::new(Semaphore::new(2)) }
    }

    async fn play(self: Arc<Self>, role: usize) {
        let home = self.homes.of(role);
        let sum = TaskGroup::<()>::scope(async |group| {
            let tasks = [0, 1, 3].map(|turns| {
                let (home, permits) = (home.clone(), self.permits.clone());
                group.spawn(async move {
                    let _permit = permits.acquire().await;
                    home.live(turns).await
                })
            });
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            Ok(sum)
        });
        assert_eq!(sum.await.unwrap(), 4);
        self.homes.are_empty_of(role);
    }

    fn check(&self) {
        self.homes.check();
        let cleaned: usize = self.homes.0.iter().map(|home| home.cleaned.load(SeqCst)).sum();
        sometimes!("two children clean up", cleaned > 1);
        assert_eq!(self.permits.value(), 2);
    }
}

/// The first error ends the others and the body.
#[derive(Default)]
struct Failing(Homes);

impl Scenario for Failing {
    const ROLES: usize = 2;
    // Errors come before a cancel.
    const ANSWERS: bool = true;

    fn new() -> Self {
        expect_reports();
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let home = self.0.of(role);
        let outcome = TaskGroup::scope(async |group| {
            group.create_task(home.clone().fail(1)).detach();
            group.create_task(home.clone().fail(1 + role as u32)).detach();
            group.create_task(home.clone().succeed(3)).detach();
            sleep(secs(5.0)).await;
            Ok(())
        });
        let errors = outcome.await.unwrap_err();
        self.0.are_empty_of(role);
        sometimes!("two errors", errors.exceptions().len() == 2);
        sometimes!("one error", errors.exceptions().len() == 1);
        assert!(errors.into_iter().all(|turns| turns < 3));
    }

    fn check(&self) {
        self.0.check();
    }
}

/// An error of the body ends the children.
#[derive(Default)]
struct FailingBody(Homes);

impl Scenario for FailingBody {
    const ROLES: usize = 2;
    const ANSWERS: bool = true;

    fn new() -> Self {
        expect_reports();
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let home = self.0.of(role);
        let outcome = TaskGroup::scope(async |group| {
            group.create_task(home.clone().succeed(3)).detach();
            if role == 1 {
                group.create_task(home.clone().fail(1)).detach();
            }
            yield_now().await;
            Err::<(), _>(7)
        });
        let errors = outcome.await.unwrap_err();
        self.0.are_empty_of(role);
        sometimes!("two errors", errors.exceptions().len() == 2);
        assert!(errors.into_iter().all(|error| error == 7 || error == 1));
    }

    fn check(&self) {
        self.0.check();
    }
}

/// A group in a child of a group: the error of the outer one ends the inner one.
#[derive(Default)]
struct Nested(Homes);

impl Scenario for Nested {
    const ROLES: usize = 2;
    const ANSWERS: bool = true;

    fn new() -> Self {
        expect_reports();
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let home = self.0.of(role).clone();
        let outcome = TaskGroup::scope(async |outer| {
            let inside = home.clone();
            let inner = outer.create_task(async move {
                let outcome = TaskGroup::scope(async |inner| {
                    inner.create_task(inside.clone().succeed(3)).detach();
                    if role == 1 {
                        inner.create_task(inside.clone().fail(2)).detach();
                    }
                    Ok(())
                });
                outcome.await.map_err(|errors| 10 + errors.into_first().unwrap())
            });
            outer.create_task(home.clone().fail(1)).detach();
            let _ = inner.await;
            Ok(())
        });
        let errors = outcome.await.unwrap_err();
        self.0.are_empty_of(role);
        sometimes!("both groups fail", errors.exceptions().len() == 2);
        assert!(errors.into_iter().all(|error| error == 1 || (error == 12 && role == 1)));
    }

    fn check(&self) {
        self.0.check();
    }
}

/// A group that is ended by one of its children.
#[derive(Default)]
struct Ended(Homes);

impl Scenario for Ended {
    const ROLES: usize = 2;
    const ANSWERS: bool = true;

    fn new() -> Self {
        expect_reports();
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let home = self.0.of(role);
        let event = Event::new();
        let outcome = TaskGroup::<u32>::scope(async |group| {
            group.create_task(home.clone().succeed(3)).detach();
            let ends = group.clone();
            group
                .spawn(async move {
                    yield_now().await;
                    ends.cancel();
                })
                .detach();
            if role == 0 {
                event.wait().await;
            }
            Ok("returned")
        });
        let outcome = outcome.await;
        self.0.are_empty_of(role);
        match outcome {
            Ok(_) => assert_eq!(role, 1),
            Err(errors) => assert!(errors.exceptions().is_empty()),
        }
        // What the group asked for is over with it.
        yield_now().await;
    }

    fn check(&self) {
        self.0.check();
    }
}

type Child = Pin<Box<dyn Future<Output = Result<(), u32>> + Send>>;

/// Children that make children, until one fails.
#[derive(Default)]
struct Breeding(Homes);

impl Breeding {
    fn breed(group: TaskGroup<u32>, home: Arc<Home>, left: u32) -> Child {
        Box::pin(async move {
            for _ in 0..2 {
                if left == 0 {
                    return home.fail(0).await.map(drop);
                }
                let child = Self::breed(group.clone(), home.clone(), left - 1);
                group.create_task(child).detach();
                if let Err(cancelled) = catch_cancelled(home.clone().live(1)).await {
                    let late = group.spawn(home.clone().live(1));
                    sometimes!("one is born to a group that ends", late.done());
                    cancelled.propagate().await
                }
            }
            Ok(())
        })
    }
}

impl Scenario for Breeding {
    const ROLES: usize = 2;
    const ANSWERS: bool = true;

    fn new() -> Self {
        expect_reports();
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let home = self.0.of(role);
        let outcome = TaskGroup::scope(async |group| {
            Self::breed(group.clone(), home.clone(), 2).await?;
            Ok(())
        });
        assert!(outcome.await.is_err());
        self.0.are_empty_of(role);
    }

    fn check(&self) {
        self.0.check();
    }
}

/// A group that has too little time.
#[derive(Default)]
pub(crate) struct Hurried(Homes);

impl Scenario for Hurried {
    const ROLES: usize = 2;
    const ANSWERS: bool = true;

    fn new() -> Self {
        expect_reports();
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let home = self.0.of(role);
        // At the same moment as the child ends.
        let outcome = timeout(
            secs(1.0),
            TaskGroup::scope(async |group| {
                group.create_task(home.clone().succeed(3)).detach();
                if role == 1 {
                    sleep(secs(1.0)).await;
                    return Err(1);
                }
                Ok(())
            }),
        );
        let outcome = outcome.await;
        self.0.are_empty_of(role);
        sometimes!("in time", role == 0 && outcome.is_ok());
        sometimes!("too late", role == 0 && outcome.is_err());
    }

    fn check(&self) {
        self.0.check();
    }
}
