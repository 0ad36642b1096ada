//! The end of a run, whatever main has left: it comes, and in the order of the contract: tasks first, then generators.

use crate::harness::{Inside, expect_reports, seeds};
use asyncio::sim::{Sim, rng};
use asyncio::{
    AsyncGenerator, Event, Yielder, async_generator, catch_cancelled, create_task,
    get_running_loop, secs, sleep, to_thread, with_finally, yield_now,
};
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// What main leaves.
#[derive(Default)]
struct Left {
    tasks: Inside,
    generators: Inside,
    /// When the first generator was closed by the runner: how many tasks were there.
    tasks_then: Mutex<Option<usize>>,
    spawned: AtomicUsize,
    resisted: AtomicUsize,
    panicked: AtomicUsize,
    reported: Arc<AtomicUsize>,
    main_is_over: AtomicBool,
    kept: Mutex<Vec<AsyncGenerator<u32>>>,
}

struct Expected;

impl Left {
    /// Does not end when it is asked to, but after an hour.
    async fn resist(self: Arc<Self>) {
        let _here = self.tasks.enter();
        for _ in 0..2 {
            match catch_cancelled(sleep(secs(3600.0))).await {
                Ok(()) => return,
                Err(cancelled) => {
                    cancelled.swallow();
                    self.resisted.fetch_add(1, SeqCst);
                    sleep(secs(1.0)).await;
                }
            }
        }
    }

    /// Makes another when it is cancelled, and that one another.
    async fn breed(self: Arc<Self>, left: u32) {
        let _here = self.tasks.enter();
        if let Err(cancelled) = catch_cancelled(Event::new().wait()).await {
            if left > 0 {
                create_task(self.clone().breed_later(left - 1)).detach();
                self.spawned.fetch_add(1, SeqCst);
                yield_now().await;
            }
            cancelled.propagate().await
        }
    }

    fn breed_later(self: Arc<Self>, left: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.breed(left))
    }

    /// Panics in its clean-up.
    async fn panic(self: Arc<Self>) {
        let _here = self.tasks.enter();
        let clean_up = async || {
            yield_now().await;
            self.panicked.fetch_add(1, SeqCst);
            resume_unwind(Box::new(Expected));
        };
        with_finally(Event::new().wait(), clean_up).await;
    }

    /// Gives numbers for ever, and is left open.
    fn generate(self: Arc<Self>) -> AsyncGenerator<u32> {
        async_generator(|items: Yielder<u32>| async move {
            let _here = self.generators.enter();
            let work = async {
                for number in 0.. {
                    items.put(number).await;
                }
            };
            let clean_up = async || {
                let tasks = self.tasks.count();
                self.tasks_then.lock().unwrap().get_or_insert(tasks);
                sleep(secs(1.0)).await;
            };
            with_finally(work, clean_up).await;
        })
    }

    async fn main(self: Arc<Self>) -> u32 {
        let reported = self.reported.clone();
        get_running_loop().set_exception_handler(Some(move |_: &_, _: &_| {
            reported.fetch_add(1, SeqCst);
        }));
        create_task(self.clone().resist()).detach();
        create_task(self.clone().breed(2)).detach();
        create_task(self.clone().panic()).detach();
        let mut generator = self.clone().generate();
        assert_eq!(generator.next().await, Some(0));
        self.kept.lock().unwrap().push(generator);
        let shared = self.clone();
        let job = create_task(async move {
            let _here = shared.tasks.enter();
            to_thread(|| 7).await
        });
        for _ in 0..rng().below(8) {
            yield_now().await;
        }
        job.detach();
        self.main_is_over.store(true, SeqCst);
        7
    }

    fn check(&self) {
        assert!(self.main_is_over.load(SeqCst));
        assert_eq!(self.tasks.count(), 0, "a task was left");
        assert_eq!(self.generators.count(), 0, "a generator was left open");
        assert_eq!(*self.tasks_then.lock().unwrap(), Some(0), "tasks end before generators");
        let panicked = self.panicked.load(SeqCst);
        assert_eq!(self.reported.load(SeqCst), panicked, "what ends badly is told of");
    }
}

#[test]
fn what_main_leaves_ends() {
    let (mut resisted, mut spawned, mut panicked) = (0, 0, 0);
    for seed in 0..seeds() {
        let left = Arc::new(Left::default());
        let sim = Sim::new(seed).steps(10_000).allow_leaks(true);
        match sim.run(left.clone().main()) {
            Ok(result) => assert_eq!(result, 7),
            Err(failure) => panic!("{failure}"),
        }
        left.check();
        resisted = resisted.max(left.resisted.load(SeqCst));
        spawned = spawned.max(left.spawned.load(SeqCst));
        panicked = panicked.max(left.panicked.load(SeqCst));
    }
    assert_eq!((resisted, spawned, panicked), (1, 2, 1), "it has happened what it is about");
}

/// Main panics: what it leaves ends all the same.
#[test]
fn main_that_panics_leaves_nothing() {
    for seed in 0..seeds() / 4 {
        let left = Arc::new(Left::default());
        let main = left.clone();
        let sim = Sim::new(seed).steps(10_000).allow_leaks(true);
        let outcome = sim.run(async move {
            expect_reports();
            main.main().await;
            resume_unwind(Box::new(Expected));
        });
        assert!(outcome.is_err());
        assert_eq!((left.tasks.count(), left.generators.count()), (0, 0));
    }
}
