//! `race!`: the first of several futures, in place.

use super::End;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// One future and its rivals. Not public API.
    #[doc(hidden)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Race<F, R> {
        #[pin]
        first: F,
        #[pin]
        rest: R,
    }
}

/// Not public API.
#[doc(hidden)]
pub fn race<F, R>(first: F, rest: R) -> Race<F, R> {
    Race { first, rest }
}

/// Futures of which the first to end counts. Not public API.
#[doc(hidden)]
pub trait Rivals<T> {
    fn poll_any(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T>;
}

impl<T> Rivals<T> for End {
    fn poll_any(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        Poll::Pending
    }
}

impl<F: Future, R: Rivals<F::Output>> Rivals<F::Output> for Race<F, R> {
    fn poll_any(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.first.poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => this.rest.poll_any(cx),
        }
    }
}

impl<F: Future, R: Rivals<F::Output>> Future for Race<F, R> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.poll_any(cx)
    }
}

/// Awaits several futures of one type at once, in this task, and gives the output of the first that ends; the others are dropped. If several are
/// ready, the one written first wins.
///
/// # Cancel safety
///
/// The losers are dropped, without a clean-up that awaits: [`with_finally`](crate::with_finally) in one does not run. A task that is awaited in one runs
/// on; see [`Task::cancel_on_drop`](crate::Task::cancel_on_drop). A cancel that a loser had not answered is not lost: it strikes next.
///
/// # Examples
///
/// ```
/// use asyncio::{race, secs, sleep};
///
/// asyncio::run(async {
///     let after = async |delay, name| {
///         sleep(secs(delay)).await;
///         name
///     };
///     assert_eq!(race!(after(5.0, "tortoise"), after(0.001, "hare")), "hare");
/// });
/// ```
///
/// # Python
///
/// `wait(…, return_when=FIRST_COMPLETED)` comes near; it needs tasks.
#[macro_export]
macro_rules! race {
    ($($future:expr),+ $(,)?) => { $crate::__nest!(race; $($future),+).await };
}
