//! Generators, intervals, contexts.

use crate::harness::{Inside, Scenario, run_all, scenarios};
use asyncio::{
    AsyncGenerator, ContextVar, MissedTicks, Yielder, async_generator, create_task, interval, now,
    secs, sim, sleep, sometimes, timeout, with_finally, yield_now,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

scenarios! {
    generator: Numbers,
    generator_closed: Closed,
    interval_ticks: Ticks,
    contexts: Contexts,
}

#[derive(Default)]
struct Body {
    alive: Inside,
    begun: AtomicUsize,
    cleaned: AtomicUsize,
}

/// Three numbers and a clean-up that awaits.
fn numbers(body: &Arc<Body>) -> AsyncGenerator<u32> {
    let body = body.clone();
    async_generator(|items: Yielder<u32>| async move {
        let _here = body.alive.enter();
        body.begun.fetch_add(1, SeqCst);
        let work = async {
            for number in 0..3 {
                items.put(number).await;
                yield_now().await;
            }
        };
        let clean_up = async || {
            sleep(secs(1.0)).await;
            body.cleaned.fetch_add(1, SeqCst);
        };
        with_finally(work, clean_up).await;
    })
}

/// Generators that are read, left, and dropped: their clean-ups run.
#[derive(Default)]
pub(crate) struct Numbers(Arc<Body>);

impl Scenario for Numbers {
    const ROLES: usize = 2;
    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let mut generator = numbers(&self.0);
        let mut next = 0;
        while let Some(number) = generator.next().await {
            assert_eq!(number, next);
            next += 1;
            if role == 1 && next == 2 {
                sometimes!("a generator is left", true);
                return;
            }
            yield_now().await;
        }
        assert!(generator.has_ended() && next == 3);
    }

    fn check(&self) {
        assert_eq!(self.0.alive.count(), 0, "a generator is left open");
        assert!(self.0.cleaned.load(SeqCst) <= self.0.begun.load(SeqCst));
        sometimes!("both clean up", self.0.cleaned.load(SeqCst) == 2);
    }
}

/// Generators that are closed, also from outside of the timeout in which they were read.
#[derive(Default)]
struct Closed(Arc<Body>);

impl Scenario for Closed {
    const ROLES: usize = 2;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let mut generator = numbers(&self.0);
        let read = timeout(secs(0.5), async {
            for _ in 0..=2 * role + 1 {
                generator.next().await;
            }
        });
        // Role 1 reads to the end, and is interrupted in the clean-up, which is not cancelled.
        let begin = now();
        let in_time = read.await.is_ok();
        assert!(in_time, "the clean-up ends, and with it the generator");
        sometimes!("a clean-up is waited for", now() - begin > secs(0.5));
        generator.aclose().await;
        assert!(generator.has_ended());
    }

    fn check(&self) {
        assert_eq!(self.0.alive.count(), 0, "a generator is left open");
    }
}

/// An interval is never early, and skips or delays what it has missed.
#[derive(Default)]
struct Ticks {
    ticked: AtomicUsize,
}

impl Scenario for Ticks {
    const ROLES: usize = 3;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        let begin = now();
        let missed = [MissedTicks::CatchUp, MissedTicks::StartOver, MissedTicks::LeaveOut][role];
        let mut ticks = interval(secs(1.0)).missed_ticks(missed);
        let mut last = None;
        for count in 0..5_u32 {
            let due = ticks.tick().await;
            assert!(due <= now(), "early");
            assert!(last < Some(due));
            assert!(due >= begin + secs(1.0) * count || role == 0);
            last = Some(due);
            self.ticked.fetch_add(1, SeqCst);
            if count == 1 {
                sleep(secs(2.5)).await;
            }
        }
        let passed = now() - begin;
        let expected = [secs(4.0), secs(5.5), secs(5.0)][role];
        assert_eq!(passed, expected);
    }

    fn check(&self) {
        sometimes!("all tick", self.ticked.load(SeqCst) == 15);
    }
}

static NAME: ContextVar<usize> = ContextVar::new("name");

/// Each has a context of its own, whichever worker it runs on.
#[derive(Default)]
struct Contexts {
    seen: Arc<AtomicUsize>,
}

impl Scenario for Contexts {
    const ROLES: usize = 3;

    fn new() -> Self {
        Self::default()
    }

    async fn play(self: Arc<Self>, role: usize) {
        assert_eq!(NAME.get(), None);
        NAME.set(role);
        yield_now().await;
        let child = create_task(async move {
            assert_eq!(NAME.get(), Some(role));
            NAME.set(role + 10);
            yield_now().await;
            assert_eq!(NAME.get(), Some(role + 10));
        });
        let seen = self.seen.clone();
        asyncio::get_running_loop().call_soon(move || {
            assert_eq!(NAME.get(), Some(role));
            seen.fetch_add(1, SeqCst);
        });
        let on_thread = asyncio::to_thread(move || NAME.get()).await;
        assert_eq!((NAME.get(), on_thread), (Some(role), Some(role)));
        child.await.unwrap();
    }

    fn check(&self) {
        sometimes!("all callbacks have run", self.seen.load(SeqCst) == 3);
        assert_eq!(NAME.get(), None);
    }
}

/// A generator that is left open is closed when the loop is told so.
#[test]
fn generators_are_shut_down() {
    run_all("streams::generators_are_shut_down", || async {
        let body = Arc::new(Body::default());
        let mut generators = [numbers(&body), numbers(&body)];
        for generator in &mut generators {
            for _ in 0..sim::rng().below(3) {
                generator.next().await;
            }
        }
        asyncio::get_running_loop().shutdown_asyncgens().await;
        assert_eq!(body.alive.count(), 0);
        assert_eq!(body.cleaned.load(SeqCst), body.begun.load(SeqCst));
        sometimes!("both were open", body.begun.load(SeqCst) == 2);
    });
}
