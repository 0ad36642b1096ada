//! `scope`: children that borrow, on one task.
//!
//! The children lie in the scope's future. Each has a waker that writes its number down, so only those are polled that were woken.
//!
//! # Why no wake is lost
//!
//! Numbers and the scope's waker are under one lock. The scope takes all numbers and leaves its waker in one critical section, before it polls
//! anybody: a number that is written down later, also during these polls, finds the waker and brings the scope another turn.

use asyncio_base::sync::Mutex;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

type Child<'env> = Pin<Box<dyn Future<Output = ()> + Send + 'env>>;

/// The number of the body.
const BODY: usize = 0;
/// Written down when there are new children.
const NEW: usize = 1;
/// The number of the first child.
const FIRST: usize = 2;

/// Makes the children of a [`scope`]. Clones make children of the same scope, and may be moved into them.
pub struct LocalScope<'env> {
    new: Arc<Mutex<New<'env>>>,
    woken: Arc<Woken>,
}

/// Children that the scope has not taken over yet; `None` when it is over.
struct New<'env>(Option<Vec<Child<'env>>>);

#[derive(Default)]
struct Woken(Mutex<List>);

#[derive(Default)]
struct List {
    /// The numbers of those that were woken, each once.
    numbers: Vec<usize>,
    is_listed: Vec<bool>,
    scope: Option<Waker>,
}

impl Woken {
    fn wake(&self, number: usize) {
        let mut list = self.0.lock();
        if list.is_listed.len() <= number {
            list.is_listed.resize(number + 1, false);
        }
        if std::mem::replace(&mut list.is_listed[number], true) {
            return;
        }
        list.numbers.push(number);
        let scope = list.scope.take();
        drop(list);
        scope.into_iter().for_each(Waker::wake);
    }

    /// Takes those that were woken until now; and has `scope` woken at the next.
    fn take(&self, into: &mut Vec<usize>, scope: &Waker) {
        let waker = scope.clone();
        let mut list = self.0.lock();
        std::mem::swap(into, &mut list.numbers);
        for &number in &*into {
            list.is_listed[number] = false;
        }
        let stale = list.scope.replace(waker);
        drop(list);
        drop(stale);
    }
}

/// The waker of one child.
struct Tell(Arc<Woken>, usize);

impl Wake for Tell {
    fn wake(self: Arc<Self>) {
        self.0.wake(self.1);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake(self.1);
    }
}

/// Awaits `body` and every child that was made with the [`LocalScope`] it is given. The children run by turns with the body, on this task, and may
/// borrow what outlives the scope.
///
/// For children in parallel see [`TaskGroup`](crate::TaskGroup), whose tasks borrow nothing; and [`EventLoop::block_in_scope`](crate::EventLoop::block_in_scope).
///
/// # Cancel safety
///
/// Dropping it drops body and children where they wait. A cancel of the task reaches the innermost scopes of each.
///
/// # Panics
///
/// As the body or a child does: the panic goes through at once, and the others are dropped.
///
/// # Examples
///
/// ```
/// use asyncio::{scope, yield_now};
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// asyncio::run(async {
///     let (words, letters) = (["a", "bc", "def"], AtomicU32::new(0));
///     let letters = &letters;
///     let first = scope(|s| async move {
///         let mut counts = words.map(|word| {
///             s.spawn(async move {
///                 yield_now().await;
///                 letters.fetch_add(word.len() as u32, Relaxed)
///             })
///         });
///         (&mut counts[0]).await
///     });
///     assert_eq!(first.await, 0);
///     assert_eq!(letters.load(Relaxed), 6);
/// });
/// ```
///
/// # Python
///
/// No twin; the nearest is a `TaskGroup`.
pub async fn scope<'env, R, F>(body: impl FnOnce(LocalScope<'env>) -> F) -> R
where
    F: Future<Output = R>,
{
    let (new, woken) = (Arc::new(Mutex::new(New(Some(Vec::new())))), Arc::<Woken>::default());
    let body = body(LocalScope { new: new.clone(), woken: woken.clone() });
    woken.wake(BODY);
    let waker = Waker::from(Arc::new(Tell(woken.clone(), BODY)));
    let children = Children { places: Vec::new(), free: Vec::new() };
    let over = Over(new.clone());
    Running { body: Some(body), output: None, waker, children, new, woken, over }.await
}

/// No child may be made any more, and none that was made is left in a circle with its own handle.
struct Over<'env>(Arc<Mutex<New<'env>>>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let left = self.0.lock().0.take();
        drop(left);
    }
}

pin_project! {
    struct Running<'env, F: Future> {
        #[pin]
        body: Option<F>,
        output: Option<F::Output>,
        waker: Waker,
        children: Children<'env>,
        new: Arc<Mutex<New<'env>>>,
        woken: Arc<Woken>,
        over: Over<'env>,
    }
}

impl<F: Future> Future for Running<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let mut woken = Vec::new();
        this.woken.take(&mut woken, cx.waker());
        for number in woken {
            match number {
                BODY => {
                    let Some(body) = this.body.as_mut().as_pin_mut() else { continue };
                    if let Poll::Ready(output) = body.poll(&mut Context::from_waker(this.waker)) {
                        this.body.set(None);
                        *this.output = Some(output);
                    }
                }
                NEW => {}
                child => this.children.poll(child - FIRST),
            }
        }
        this.children.adopt(this.new, this.woken);
        if this.output.is_none() || !this.children.is_empty() || !close(this.new) {
            return Poll::Pending;
        }
        Poll::Ready(this.output.take().expect("the body has ended"))
    }
}

/// Takes no more children, unless one has just been made on another thread, which wakes the scope.
fn close(new: &Mutex<New<'_>>) -> bool {
    let mut new = new.lock();
    let is_over = new.0.as_ref().is_none_or(Vec::is_empty);
    if is_over {
        new.0 = None;
    }
    is_over
}

struct Children<'env> {
    /// `None` for one that has ended.
    places: Vec<Option<(Child<'env>, Waker)>>,
    free: Vec<usize>,
}

impl<'env> Children<'env> {
    fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Takes over those that were made meanwhile.
    fn adopt(&mut self, new: &Mutex<New<'env>>, woken: &Arc<Woken>) {
        let Some(adopted) = new.lock().0.as_mut().map(std::mem::take) else { return };
        for child in adopted {
            let at = self.free.pop().unwrap_or_else(|| {
                self.places.push(None);
                self.places.len() - 1
            });
            let waker = Waker::from(Arc::new(Tell(woken.clone(), FIRST + at)));
            self.places[at] = Some((child, waker));
            woken.wake(FIRST + at);
        }
    }

    /// Polls a child, unless it has ended: a waker of one that is gone may still be about.
    fn poll(&mut self, at: usize) {
        let Some((child, waker)) = &mut self.places[at] else { return };
        if child.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
            self.places[at] = None;
            self.free.push(at);
        }
    }
}

impl<'env> LocalScope<'env> {
    /// Makes a child; it is first polled when the body, or whoever makes it, next waits.
    ///
    /// # Panics
    ///
    /// If the scope is over.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> ScopedTask<F::Output>
    where
        F: Future + Send + 'env,
        F::Output: Send + 'env,
    {
        let place = Arc::new(Mutex::new(Place { output: None, is_over: false, waiter: None }));
        let told = Told(place.clone());
        let child = async move {
            let output = future.await;
            told.0.lock().output = Some(output);
            drop(told);
        };
        let child: Child<'env> = Box::pin(child);
        let mut new = self.new.lock();
        let Some(children) = &mut new.0 else {
            drop(new);
            panic!("this scope is over");
        };
        children.push(child);
        drop(new);
        self.woken.wake(NEW);
        ScopedTask(place)
    }
}

impl Clone for LocalScope<'_> {
    fn clone(&self) -> Self {
        LocalScope { new: self.new.clone(), woken: self.woken.clone() }
    }
}

impl fmt::Debug for LocalScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<LocalScope>")
    }
}

struct Place<T> {
    output: Option<T>,
    /// The child has ended, or was dropped.
    is_over: bool,
    waiter: Option<Waker>,
}

/// Says that the child is gone, however it went.
struct Told<T>(Arc<Mutex<Place<T>>>);

impl<T> Drop for Told<T> {
    fn drop(&mut self) {
        let mut place = self.0.lock();
        place.is_over = true;
        let waiter = place.waiter.take();
        drop(place);
        waiter.into_iter().for_each(Waker::wake);
    }
}

/// A child of a [`scope`]; awaiting it gives what it returns. Dropping it changes nothing: the scope waits for the child all the same.
#[must_use = "the child runs all the same; say so with `drop`"]
pub struct ScopedTask<T>(Arc<Mutex<Place<T>>>);

impl<T> ScopedTask<T> {
    /// Whether the child has ended.
    pub fn done(&self) -> bool {
        self.0.lock().is_over
    }
}

impl<T> Unpin for ScopedTask<T> {}

impl<T> Future for ScopedTask<T> {
    type Output = T;

    /// # Panics
    ///
    /// When polled again after it gave its result, and if the child was dropped with its scope.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let waker = cx.waker().clone();
        let mut place = self.0.lock();
        if let Some(output) = place.output.take() {
            drop(place);
            return Poll::Ready(output);
        }
        assert!(
            !place.is_over,
            "a child of a scope gives its result once, and none without its scope"
        );
        let stale = place.waiter.replace(waker);
        drop(place);
        drop(stale);
        Poll::Pending
    }
}

impl<T> fmt::Debug for ScopedTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.done() { "<ScopedTask finished>" } else { "<ScopedTask pending>" })
    }
}
