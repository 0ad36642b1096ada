//! What a simulated program can ask of its simulation.

use super::world::World;
use crate::events::try_get_running_loop;
use crate::tasks::{create_task, current_task};
use asyncio_base::sync::Mutex;
use asyncio_task::Task;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The simulation that this thread is inside.
#[track_caller]
fn world(what: &str) -> Arc<World> {
    let running = try_get_running_loop().ok();
    match running.and_then(|running| running.world().cloned()) {
        Some(world) => world,
        None => panic!("sim::{what} was called outside of a simulation"),
    }
}

/// How much virtual time has passed since the simulation began.
///
/// # Panics
///
/// Outside of a simulation.
///
/// # Examples
///
/// ```
/// use asyncio::sim::{Sim, elapsed};
/// use asyncio::{secs, sleep};
///
/// Sim::new(1).run(async {
///     sleep(secs(3600.0)).await;
///     assert_eq!(elapsed(), secs(3600.0));
/// }).unwrap();
/// ```
#[track_caller]
pub fn elapsed() -> Duration {
    world("elapsed").elapsed()
}

/// Lets `by` pass: everything that becomes due meanwhile happens in its order, and what that makes ready runs, also what becomes due at the very end.
///
/// # Cancel safety
///
/// Safe: the time that has passed has passed.
///
/// # Panics
///
/// Outside of a simulation.
///
/// # Examples
///
/// ```
/// use asyncio::sim::{Sim, advance};
/// use asyncio::secs;
///
/// Sim::new(3).run(async {
///     let event = std::sync::Arc::new(asyncio::Event::new());
///     let setter = event.clone();
///     let task = asyncio::create_task(async move {
///         asyncio::sleep(secs(10.0)).await;
///         setter.set();
///     });
///     advance(secs(9.0)).await;
///     assert!(!event.is_set());
///     advance(secs(1.0)).await;
///     assert!(event.is_set());
///     task.await.unwrap();
/// }).unwrap();
/// ```
pub async fn advance(by: Duration) {
    drop(world("advance"));
    crate::sleep(by).await;
    settle().await;
}

/// Waits until nothing else is ready to run: all other tasks wait for something, be it a time to come or one another.
///
/// # Cancel safety
///
/// Safe.
///
/// # Panics
///
/// Outside of a simulation.
///
/// # Examples
///
/// ```
/// use asyncio::sim::{Sim, settle};
/// use std::sync::Arc;
///
/// Sim::new(3).run(async {
///     let queue = Arc::new(asyncio::Queue::new(0));
///     let worker = queue.clone();
///     let task = asyncio::create_task(async move { worker.get().await.unwrap() });
///     settle().await;
///     assert!(!task.done(), "it waits for an item");
///     queue.put_nowait(5).unwrap();
///     settle().await;
///     assert!(task.done());
/// }).unwrap();
/// ```
pub async fn settle() {
    let world = world("settle");
    let mut asked = None;
    std::future::poll_fn(|cx| match asked {
        Some(times) if world.settled() > times => Poll::Ready(()),
        Some(_) => Poll::Pending,
        None => {
            asked = Some(world.settled());
            world.wait_settled(cx.waker().clone());
            Poll::Pending
        }
    })
    .await;
}

/// Moves the clock on by `by`, as if the machine had slept: what became due meanwhile finds itself late, and nothing ran in between.
///
/// # Panics
///
/// Outside of a simulation.
///
/// # Examples
///
/// ```
/// use asyncio::sim::{Sim, elapsed, jump_clock};
/// use asyncio::{create_task, secs, sleep};
///
/// Sim::new(1).run(async {
///     let task = create_task(async {
///         sleep(secs(1.0)).await;
///         elapsed()
///     });
///     asyncio::sim::settle().await;
///     jump_clock(secs(60.0));
///     assert_eq!(task.await.unwrap(), secs(60.0), "it is late");
/// }).unwrap();
/// ```
#[track_caller]
pub fn jump_clock(by: Duration) {
    world("jump_clock").jump(by);
}

/// Random numbers that the seed decides, for the program: the same in every run of the seed.
///
/// # Panics
///
/// Outside of a simulation.
///
/// # Examples
///
/// ```
/// use asyncio::sim::{Sim, rng};
///
/// let draw = |seed| Sim::new(seed).run(async { rng().below(1_000_000) }).unwrap();
/// assert_eq!(draw(5), draw(5));
/// assert_ne!(draw(5), draw(6));
/// ```
#[track_caller]
pub fn rng() -> SimRng {
    SimRng(world("rng"))
}

/// Made by [`rng`].
#[derive(Clone)]
pub struct SimRng(Arc<World>);

impl SimRng {
    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.rng().next_u64()
    }

    /// A number below `bound`.
    ///
    /// # Panics
    ///
    /// If `bound` is 0.
    #[track_caller]
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.rng().below(bound)
    }

    /// True once in so many times.
    ///
    /// # Panics
    ///
    /// If `times` is 0.
    #[track_caller]
    pub fn one_in(&mut self, times: u64) -> bool {
        self.0.rng().one_in(times)
    }

    /// Brings the items into any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

impl std::fmt::Debug for SimRng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimRng")
    }
}

/// When a task is interrupted, counted in the times at which it began to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// As soon as it waits.
    Waiting,
    /// When what it waited for has woken it, and it has not gone on yet.
    Woken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Cancel,
    Abort,
}

/// Runs `scenario` again and again, each time in a task of its own that is cancelled at another await: at the first, the second, and so on until one run
/// is over before its turn. At each await it is cancelled twice: once as soon as it waits, and once when it has been woken and has not gone on.
/// Returns how often it has waited at most; what is done at once counts where the seed lets others run first.
///
/// What the task gives is not looked at: look, after each run or at the end, at what it shares with others, which has to be in order.
///
/// # Panics
///
/// Resumes a panic of the scenario; outside of a simulation.
///
/// # Examples
///
/// ```
/// use asyncio::sim::{Sim, cancel_points};
/// use asyncio::Semaphore;
/// use std::sync::Arc;
///
/// Sim::new(1).run(async {
///     let permits = Arc::new(Semaphore::new(2));
///     let awaits = cancel_points(|| {
///         let permits = permits.clone();
///         async move {
///             let _one = permits.acquire().await;
///             asyncio::sleep(asyncio::secs(1.0)).await;
///             let _two = permits.acquire().await;
///             asyncio::yield_now().await;
///         }
///     })
///     .await;
///     assert!(awaits >= 2, "it waits for the time, and lets others run");
///     assert!(permits.try_acquire_many(2).is_some(), "none was lost");
/// }).unwrap();
/// ```
pub async fn cancel_points<F, Fut>(scenario: F) -> usize
where
    F: FnMut() -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    interrupt_points(How::Cancel, scenario).await
}

/// As [`cancel_points`], but the task is [aborted](crate::Task::abort): its future is dropped where it waits, and cannot answer.
///
/// # Panics
///
/// As that.
pub async fn drop_points<F, Fut>(scenario: F) -> usize
where
    F: FnMut() -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    interrupt_points(How::Abort, scenario).await
}

async fn interrupt_points<F, Fut>(how: How, mut scenario: F) -> usize
where
    F: FnMut() -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    drop(world("cancel_points"));
    let mut point = 0;
    loop {
        for at in [At::Waiting, At::Woken] {
            let reached = Arc::new(Mutex::new(false));
            let task = create_task(Interrupted {
                future: Box::pin(scenario()),
                waits_left: point,
                at,
                how,
                armed: false,
                reached: reached.clone(),
            });
            ended(task).await;
            if !*reached.lock() {
                return point;
            }
        }
        point += 1;
    }
}

async fn ended<T>(task: Task<T>) {
    if let Err(error) = task.await {
        if let Ok(panic) = error.try_into_panic() {
            resume_unwind(panic);
        }
    }
}

/// A future whose task is interrupted at one of its awaits.
struct Interrupted<F> {
    future: Pin<Box<F>>,
    /// How often it may wait before.
    waits_left: usize,
    at: At,
    how: How,
    /// It is to be interrupted when it is polled next.
    armed: bool,
    /// It was interrupted.
    reached: Arc<Mutex<bool>>,
}

impl<F> Interrupted<F> {
    fn interrupt(&mut self) {
        self.armed = false;
        *self.reached.lock() = true;
        let task = current_task().expect("it is polled in a task of its own");
        match self.how {
            How::Cancel => task.cancel(),
            How::Abort => task.abort(),
        };
    }
}

impl<F: Future> Future for Interrupted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // A probe is no wake-up.
        if self.armed && !world("cancel_points").is_probing() {
            self.interrupt();
            // The request wakes the task, and is delivered before the future sees what woke it.
            return Poll::Pending;
        }
        let polled = self.future.as_mut().poll(cx);
        let spent = *self.reached.lock();
        if polled.is_pending() && !spent {
            match (self.waits_left.checked_sub(1), self.at) {
                (Some(left), _) => self.waits_left = left,
                (None, At::Waiting) => self.interrupt(),
                (None, At::Woken) => self.armed = true,
            }
        }
        polled
    }
}
