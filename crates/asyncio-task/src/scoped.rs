//! Tasks that borrow from the frame of a thread which waits for them: [`block_in_scope`].
//!
//! # Why the borrows are good
//!
//! 1. What a task gets is a [`Member`]: the future, and after it a guard. Fields are dropped in this order, so when the guard is dropped the future is
//!    gone with all it borrows, however that came about: it ended, was cancelled or aborted, its loop was closed, or nobody would spawn it.
//! 2. The guards are counted, and `block_in_scope` returns only when there is none, also when its body panics. A member that is leaked keeps it
//!    waiting for ever.
//! 3. An output is in a place shared by the future and the handle. The future lets go of it before its guard does, and the handle cannot outlive
//!    `'scope`.
//!
//! # Why the thread is not left asleep
//!
//! Count and waker are under one lock, and so are an output and the waker of whoever joins: the one who waits leaves its waker in the critical section
//! in which it finds that it has to wait, and the one who changes that takes it in the same.

use crate::blocking::block_on;
use crate::error::{CancelledError, JoinError};
use crate::handle::TaskHandle;
use asyncio_base::sync::Mutex;
use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
// Counts guard nothing but memory: what is seen through them is under the locks.
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What is spawned for a child: it has to be dropped before the scope can end.
pub type BoxedChild = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a task; `None` if it could not, and the child has been dropped.
pub type ChildSpawner<'a> = Box<dyn Fn(BoxedChild) -> Option<TaskHandle> + Send + Sync + 'a>;

#[derive(Default)]
struct Shared(Mutex<Count>);

#[derive(Default)]
struct Count {
    members: usize,
    waiter: Option<Waker>,
    /// Of children that nobody joined.
    panics: Vec<Box<dyn Any + Send>>,
}

/// Counts a member off.
struct Guard(Arc<Shared>);

impl Guard {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.0.lock().members += 1;
        Guard(shared.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut count = self.0.0.lock();
        count.members -= 1;
        let waiter = if count.members == 0 { count.waiter.take() } else { None };
        drop(count);
        waiter.into_iter().for_each(Waker::wake);
    }
}

/// A child's future; the order of the fields is what makes the borrows good.
struct Member<'scope> {
    future: Pin<Box<dyn Future<Output = ()> + Send + 'scope>>,
    _guard: Guard,
}

impl Future for Member<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().poll(cx)
    }
}

/// Makes tasks that may borrow what outlives the scope: see `EventLoop::block_in_scope`.
pub struct ThreadScope<'scope, 'env: 'scope> {
    shared: Arc<Shared>,
    spawner: ChildSpawner<'env>,
    // Invariant in both, as in `std::thread::scope`.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// Runs `body` and waits until every child that it made with `spawner` is gone.
///
/// # Panics
///
/// Resumes a panic of the body, else the first one of a child that nobody joined.
pub fn block_in_scope<'env, R>(
    spawner: ChildSpawner<'env>,
    body: impl for<'scope> FnOnce(&'scope ThreadScope<'scope, 'env>) -> R,
) -> R {
    let shared = Arc::<Shared>::default();
    let scope =
        ThreadScope { shared: shared.clone(), spawner, scope: PhantomData, env: PhantomData };
    let outcome = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    // Nothing before this may return or unwind: see the rules above.
    block_on(poll_fn(|cx| shared.poll_empty(cx)), None);
    let panics = std::mem::take(&mut shared.0.lock().panics);
    match (outcome, panics.into_iter().next()) {
        (Err(panic), _) | (Ok(_), Some(panic)) => resume_unwind(panic),
        (Ok(value), None) => value,
    }
}

impl Shared {
    fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut count = self.0.lock();
        if count.members == 0 {
            return Poll::Ready(());
        }
        let stale = count.waiter.replace(waker);
        drop(count);
        drop(stale);
        Poll::Pending
    }
}

impl<'scope> ThreadScope<'scope, '_> {
    /// Makes a task of `future`, which may borrow from outside of the scope, and runs beside other tasks on the workers of the loop.
    ///
    /// On a closed loop the future is dropped, and joining it says that it was cancelled.
    pub fn spawn<F>(&'scope self, future: F) -> ScopedJoinHandle<'scope, F::Output>
    where
        F: Future + Send + 'scope,
        F::Output: Send + 'scope,
    {
        let state = PlaceState { outcome: None, is_over: false, joiner: None };
        let place = Arc::new(Place { state: Mutex::new(state), shared: self.shared.clone() });
        let future = fill(Box::pin(future), Over(place.clone()));
        let guard = Guard::new(&self.shared);
        let member: Pin<Box<dyn Future<Output = ()> + Send + 'scope>> =
            Box::pin(Member { future: Box::pin(future), _guard: guard });
        // SAFETY: only the lifetime changes. `block_in_scope` does not return, and so `'scope` does not end, before the member's guard is dropped,
        // which comes after everything in it that borrows (rules 1 and 2). What remains after that is memory.
        let member: BoxedChild = unsafe { std::mem::transmute(member) };
        let task = (self.spawner)(member);
        ScopedJoinHandle { place, task, scope: PhantomData }
    }
}

/// Runs a child and puts its outcome in its place.
async fn fill<'scope, T: Send>(
    mut future: Pin<Box<dyn Future<Output = T> + Send + 'scope>>,
    over: Over<T>,
) {
    let polled = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(panic)),
    });
    let outcome = polled.await;
    // The future first: its destructors belong to the child.
    drop(future);
    over.0.state.lock().outcome = Some(outcome);
    drop(over);
}

struct Place<T> {
    state: Mutex<PlaceState<T>>,
    shared: Arc<Shared>,
}

struct PlaceState<T> {
    outcome: Option<std::thread::Result<T>>,
    is_over: bool,
    joiner: Option<Waker>,
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        if let Some(Err(panic)) = self.state.get_mut().outcome.take() {
            self.shared.0.lock().panics.push(panic);
        }
    }
}

/// Says that a child is gone, however it went.
struct Over<T>(Arc<Place<T>>);

impl<T> Drop for Over<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_over = true;
        let joiner = state.joiner.take();
        drop(state);
        joiner.into_iter().for_each(Waker::wake);
    }
}

/// A child of a [`ThreadScope`]. Dropping it changes nothing: the scope waits for the child all the same.
pub struct ScopedJoinHandle<'scope, T> {
    place: Arc<Place<T>>,
    task: Option<TaskHandle>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Blocks until the child has ended, and gives what it returned.
    ///
    /// Not to be called in a task: it would hold a worker that the child may need.
    ///
    /// # Errors
    ///
    /// If the child panicked, or was cancelled or dropped.
    pub fn join(self) -> Result<T, JoinError> {
        let outcome = block_on(poll_fn(|cx| self.place.poll(cx)), None);
        match outcome.expect("without a limit it waits until it is ready") {
            Some(Ok(value)) => Ok(value),
            Some(Err(panic)) => Err(JoinError::panicked(panic)),
            None => Err(JoinError::cancelled(CancelledError::default())),
        }
    }

    /// Asks the child to end; false if it has ended.
    pub fn cancel(&self) -> bool {
        self.task.as_ref().is_some_and(TaskHandle::cancel)
    }

    /// Whether the child has ended.
    pub fn is_finished(&self) -> bool {
        self.place.state.lock().is_over
    }
}

impl<T> Place<T> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<std::thread::Result<T>>> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        if state.is_over {
            return Poll::Ready(state.outcome.take());
        }
        let stale = state.joiner.replace(waker);
        drop(state);
        drop(stale);
        Poll::Pending
    }
}

impl fmt::Debug for ThreadScope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<ThreadScope>")
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_finished() { "finished" } else { "pending" };
        write!(f, "<ScopedJoinHandle {state}>")
    }
}
