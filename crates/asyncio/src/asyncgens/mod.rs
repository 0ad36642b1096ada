//! Async generators: streams written as code, which end in good order.
//!
//! A body suspended at a [`put`](Yielder::put) may hold things whose clean-up awaits. So a generator that was started is known to its loop
//! ([`registry`]) until it has ended. One that is dropped unfinished, on whatever thread, is [closed](closing) by a task of its loop; what is left when
//! a runner ends is closed by the runner.
//!
//! # Where the body is polled
//!
//! In the task that asks for the next item, so its context and its cancel scopes are that task's. The body lies under a lock; whoever polls it
//! takes it out for that time. Between two items its scopes are detached from the task's cancel tree: a cancel of the task while it does something
//! else is no business of the generator's.

pub(crate) mod closing;
pub(crate) mod registry;
mod yielder;

pub use yielder::{Put, Yielder};

use crate::asyncgens::registry::{Home, Registry};
use crate::events::try_get_running_loop;
use asyncio_base::sync::Mutex;
use asyncio_task::{Domain, Inside};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use yielder::Slot;

/// A stream of the items that an async block [puts](Yielder::put), and whose end is orderly: however it ends, the clean-ups of the block run.
///
/// Made by [`async_generator`]. It implements [`Stream`](futures_core::Stream) too.
///
/// # Closing
///
/// [`aclose`](Self::aclose) cancels the body where it is suspended and waits for it: its [`with_finally`](crate::with_finally) and
/// [`catch_cancelled`](crate::catch_cancelled) run there, and may await. A generator that is dropped after its first item and before its
/// end is closed the same way by a task of the loop on which it was started, on whatever thread it is dropped. What is still open when a
/// [`Runner`](crate::Runner) ends is closed by the runner, after all tasks have ended; by hand see
/// [`EventLoop::shutdown_asyncgens`](crate::EventLoop::shutdown_asyncgens).
///
/// # Examples
///
/// ```
/// use asyncio::{AsyncGenerator, Yielder, async_generator, secs, sleep, with_finally};
///
/// fn ticks() -> AsyncGenerator<u32> {
///     async_generator(|items: Yielder<u32>| {
///         let body = async move {
///             for n in 0.. {
///                 items.put(n).await;
///                 sleep(secs(0.001)).await;
///             }
///         };
///         with_finally(body, || async { println!("cleaned up") })
///     })
/// }
///
/// asyncio::run(async {
///     let mut ticks = ticks();
///     while let Some(n) = ticks.next().await {
///         if n == 3 {
///             break;
///         }
///     }
///     ticks.aclose().await;
/// });
/// ```
///
/// # Python
///
/// An asynchronous generator: `put` is its `yield`. What it gives back has no twin of `asend`'s value.
#[must_use = "a generator runs only while it is asked for items"]
pub struct AsyncGenerator<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    /// In the task that asks for items, while it waits.
    domain: Domain,
}

/// Makes a generator of what `body` makes of the place to put items.
#[track_caller]
pub fn async_generator<T, F, B>(body: B) -> AsyncGenerator<T>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
    B: FnOnce(Yielder<T>) -> F,
{
    let slot = Arc::new(Mutex::new(Slot::new()));
    let body: BoxedBody = Box::pin(body(Yielder::new(slot.clone())));
    let shared = Shared {
        info: GeneratorInfo { name: std::any::type_name::<F>(), location: Location::caller() },
        slot,
        body: Mutex::new(Body::Fresh(body)),
        home: OnceLock::new(),
        closing: asyncio_sync::Lock::new(()),
        waiting: Mutex::new(None),
    };
    AsyncGenerator { shared: Arc::new(shared), domain: Domain::new() }
}

/// What there is to know of a generator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GeneratorInfo {
    name: &'static str,
    location: &'static Location<'static>,
}

impl GeneratorInfo {
    /// The type of the body's future.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where the generator was made.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Debug for GeneratorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<async generator {} at {}>", self.name, self.location)
    }
}

type BoxedBody = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the body is.
enum Body {
    /// Never polled.
    Fresh(BoxedBody),
    Suspended(BoxedBody),
    /// Somebody is polling it.
    Out,
    Ended,
}

/// What the generator and its loop share.
struct Shared<T> {
    info: GeneratorInfo,
    slot: Arc<Mutex<Slot<T>>>,
    body: Mutex<Body>,
    /// Set at the first poll on a loop.
    home: OnceLock<Home>,
    /// Held by the one who closes.
    closing: asyncio_sync::Lock<()>,
    /// Whoever waits for an item, to be told when somebody else closes the generator.
    waiting: Mutex<Option<Waker>>,
}

impl<T: Send + 'static> Shared<T> {
    /// Takes the body out; `None` if it has ended, or is being polled on another thread.
    fn take_body(&self) -> Option<BoxedBody> {
        let mut body = self.body.lock();
        match std::mem::replace(&mut *body, Body::Out) {
            Body::Fresh(future) | Body::Suspended(future) => Some(future),
            other => {
                *body = other;
                None
            }
        }
    }

    /// Puts the body back, or says that it has ended.
    fn put_body(&self, future: Option<BoxedBody>) {
        let ended = future.is_none();
        *self.body.lock() = future.map_or(Body::Ended, Body::Suspended);
        if ended {
            self.home.get().into_iter().for_each(Home::leave);
            let waiting = self.waiting.lock().take();
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    fn has_ended(&self) -> bool {
        matches!(*self.body.lock(), Body::Ended)
    }

    /// Drops the body if it was never polled; then this is true.
    fn drop_fresh(&self) -> bool {
        let is_fresh = matches!(*self.body.lock(), Body::Fresh(_));
        if is_fresh {
            self.discard();
        }
        is_fresh
    }

    /// Drops the body where it is.
    fn discard(&self) {
        if let Some(body) = self.take_body() {
            let _ended = Ended(self);
            drop(body);
        }
    }

    /// Polls the body inside `domain`.
    fn poll_body(&self, domain: &mut Domain, cx: &mut Context<'_>) -> Poll<Inside<()>> {
        let Some(body) = self.take_body() else {
            let unwinds = domain.unwinds();
            return if unwinds { Poll::Pending } else { Poll::Ready(Inside::Cancelled) };
        };
        // Also if it panics.
        let ended = Ended(self);
        let mut body = Some(body);
        let polled = domain.poll(Pin::new(&mut body), cx);
        std::mem::forget(ended);
        // Without a body: it ended, or a cancel of the task has unwound it.
        self.put_body(body);
        polled
    }

    /// Registers with the running loop, once.
    fn settle(self: &Arc<Self>) {
        if self.home.get().is_some() {
            return;
        }
        if let Ok(event_loop) = try_get_running_loop() {
            let home = Registry::join(&event_loop, self.clone());
            // Nobody else can have asked for an item.
            let _ = self.home.set(home);
        }
    }

    /// Tells whoever waits for an item apart from this.
    fn wait(&self, waker: &Waker) {
        let known = self.waiting.lock().as_ref().is_some_and(|known| known.will_wake(waker));
        if !known {
            let waker = waker.clone();
            let before = self.waiting.lock().replace(waker);
            drop(before);
        }
    }
}

/// Says that the body has ended when dropped: it panicked, or is dropped.
struct Ended<'a, T: Send + 'static>(&'a Shared<T>);

impl<T: Send + 'static> Drop for Ended<'_, T> {
    fn drop(&mut self) {
        self.0.put_body(None);
    }
}

impl<T: Send + 'static> AsyncGenerator<T> {
    /// The next item; `None` when the body has returned or was closed.
    ///
    /// A cancel of the task strikes inside the body, which may answer.
    ///
    /// # Cancel safety
    ///
    /// A dropped wait changes nothing: the body stays suspended where it was, and goes on with the next wait.
    ///
    /// # Panics
    ///
    /// Resumes a panic of the body; the generator has ended then.
    ///
    /// # Python
    ///
    /// `anext(generator)`, where the end is an exception.
    #[expect(clippy::should_implement_trait, reason = "the word for it in streams everywhere")]
    pub fn next(&mut self) -> NextItem<'_, T> {
        NextItem { generator: self }
    }

    /// Ends the body where it is suspended, and waits for its clean-ups. Once it has ended this does nothing.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped half-way, the loop closes the generator, as if that had been dropped.
    ///
    /// # Panics
    ///
    /// Resumes a panic of the body. If the body puts an item instead of ending: "the async generator ignored its close".
    pub async fn aclose(&mut self) {
        self.domain.detach();
        closing::close(self.shared.clone()).await;
    }

    /// Whether the body has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.has_ended()
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.shared.settle();
        Slot::resume(&self.shared.slot, cx.waker());
        let polled = self.shared.poll_body(&mut self.domain, cx);
        let item = self.shared.slot.lock().item();
        if item.is_some() || polled.is_ready() {
            self.domain.detach();
            return Poll::Ready(item);
        }
        self.shared.wait(cx.waker());
        Poll::Pending
    }
}

/// Waits for an item of an [`AsyncGenerator`]: made by [`next`](AsyncGenerator::next).
#[must_use = "futures do nothing unless awaited"]
pub struct NextItem<'a, T: Send + 'static> {
    generator: &'a mut AsyncGenerator<T>,
}

impl<T: Send + 'static> Future for NextItem<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.generator.poll_item(cx)
    }
}

impl<T: Send + 'static> Drop for NextItem<'_, T> {
    fn drop(&mut self) {
        self.generator.domain.detach();
    }
}

/// A cancel of the task does not strike inside the body: nobody could tell a wait that goes on from one that was dropped. It drops the wait.
impl<T: Send + 'static> futures_core::Stream for AsyncGenerator<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let polled = self.poll_item(cx);
        self.domain.detach();
        polled
    }
}

impl<T: Send + 'static> Unpin for AsyncGenerator<T> {}

impl<T: Send + 'static> Drop for AsyncGenerator<T> {
    fn drop(&mut self) {
        self.domain.detach();
        // One that was not started has nothing to clean up.
        if let Some(home) = self.shared.home.get() {
            if !self.shared.has_ended() {
                home.close_later();
            }
        }
    }
}

impl<T: Send + 'static> fmt::Debug for AsyncGenerator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.info.fmt(f)
    }
}

impl<T: Send + 'static> fmt::Debug for NextItem<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<next of {:?}>", self.generator.shared.info)
    }
}
