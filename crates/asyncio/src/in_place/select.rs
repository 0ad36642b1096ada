//! `select!`: the first of several futures, with code for each.

use super::End;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// One branch and the rest. Not public API.
    #[doc(hidden)]
    pub struct Branch<F, M, R> {
        // `None` is a branch that is disabled.
        #[pin]
        future: Option<F>,
        // Whether the pattern takes an output.
        matches: M,
        #[pin]
        rest: R,
    }
}

/// Not public API.
#[doc(hidden)]
pub fn branch<F, M, R>(future: Option<F>, matches: M, rest: R) -> Branch<F, M, R>
where
    F: Future,
    M: FnMut(&F::Output) -> bool,
{
    Branch { future, matches, rest }
}

/// Which branch, and its output. Not public API.
#[doc(hidden)]
#[derive(Debug)]
pub enum Selected<A, B> {
    This(A),
    Other(B),
}

/// Branches of a `select!`. Not public API.
#[doc(hidden)]
pub trait Branches {
    type Selected;

    /// Ready with `None` if no branch is enabled.
    fn poll_branches(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Selected>>;
}

impl Branches for End {
    type Selected = std::convert::Infallible;

    fn poll_branches(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Selected>> {
        Poll::Ready(None)
    }
}

impl<F, M, R> Branches for Branch<F, M, R>
where
    F: Future,
    M: FnMut(&F::Output) -> bool,
    R: Branches,
{
    type Selected = Selected<F::Output, R::Selected>;

    fn poll_branches(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Selected>> {
        let mut this = self.project();
        let mut is_pending = false;
        if let Some(future) = this.future.as_mut().as_pin_mut() {
            match future.poll(cx) {
                Poll::Pending => is_pending = true,
                Poll::Ready(output) if (this.matches)(&output) => {
                    return Poll::Ready(Some(Selected::This(output)));
                }
                Poll::Ready(_) => this.future.set(None),
            }
        }
        let other = ready!(this.rest.poll_branches(cx));
        if other.is_none() && is_pending {
            return Poll::Pending;
        }
        Poll::Ready(other.map(Selected::Other))
    }
}

pin_project! {
    /// Made by `select!`. Not public API.
    #[doc(hidden)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Select<B> {
        #[pin]
        branches: B,
    }
}

/// Not public API.
#[doc(hidden)]
pub fn select<B: Branches>(branches: B) -> Select<B> {
    Select { branches }
}

impl<B: Branches> Future for Select<B> {
    type Output = Option<B::Selected>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().branches.poll_branches(cx)
    }
}

/// Awaits several futures at once, in this task, and runs the code of the first that ends; the others are dropped before it runs.
///
/// ```text
/// select! {
///     pattern = future => code,
///     pattern = future, if condition => code,
///     else => code,
/// }
/// ```
///
/// The code may await, return, break and use `?`. A branch whose condition is false, or whose output its pattern does not take, is *disabled*;
/// `else` runs when all are. The futures are polled in the order written, so of several that are ready the first one wins; put what is
/// always ready last. A `ref` or `mut` inside a pattern does not compile, as patterns are tried on a reference first.
///
/// # Cancel safety
///
/// As [`race!`](crate::race!): the losers are dropped where they wait. To go on with one in the next round give it by `&mut`, and make it
/// [`pin!`](std::pin::pin) if it is not `Unpin`; tasks, futures and sleeps are.
///
/// # Panics
///
/// If all branches are disabled and there is no `else`.
///
/// # Examples
///
/// ```
/// use asyncio::{Queue, secs, select, sleep};
///
/// asyncio::run(async {
///     let queue = Queue::new(10);
///     queue.put_nowait(1).unwrap();
///     queue.put_nowait(2).unwrap();
///     let (mut sum, mut limit) = (0, sleep(secs(0.01)));
///     loop {
///         select! {
///             Ok(item) = queue.get() => sum += item,
///             () = &mut limit => break,
///         }
///     }
///     assert_eq!(sum, 3);
/// });
/// ```
///
/// # Python
///
/// `wait(…, return_when=FIRST_COMPLETED)` and a look at what is done; it needs tasks.
#[macro_export]
macro_rules! select {
    ($($branches:tt)+) => { $crate::__select!(@parse [] $($branches)+) };
}

/// The steps of `select!`: parse the branches into a list, nest their futures, dispatch on the outcome.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    (@parse [$($list:tt)*]) => {
        $crate::__select!(@run [$($list)*] {
            panic!("all branches of `select!` are disabled and there is no `else`")
        })
    };
    (@parse [$($list:tt)*] else => $code:expr $(,)?) => {
        $crate::__select!(@run [$($list)*] $code)
    };
    (@parse [$($list:tt)*] $pattern:pat = $future:expr, if $condition:expr => $code:block, $($rest:tt)*) => {
        $crate::__select!(@parse [$($list)* ($pattern, $future, $condition, $code)] $($rest)*)
    };
    (@parse [$($list:tt)*] $pattern:pat = $future:expr, if $condition:expr => $code:block $($rest:tt)*) => {
        $crate::__select!(@parse [$($list)* ($pattern, $future, $condition, $code)] $($rest)*)
    };
    (@parse [$($list:tt)*] $pattern:pat = $future:expr, if $condition:expr => $code:expr $(, $($rest:tt)*)?) => {
        $crate::__select!(@parse [$($list)* ($pattern, $future, $condition, $code)] $($($rest)*)?)
    };
    (@parse [$($list:tt)*] $pattern:pat = $future:expr => $code:block, $($rest:tt)*) => {
        $crate::__select!(@parse [$($list)* ($pattern, $future, true, $code)] $($rest)*)
    };
    (@parse [$($list:tt)*] $pattern:pat = $future:expr => $code:block $($rest:tt)*) => {
        $crate::__select!(@parse [$($list)* ($pattern, $future, true, $code)] $($rest)*)
    };
    (@parse [$($list:tt)*] $pattern:pat = $future:expr => $code:expr $(, $($rest:tt)*)?) => {
        $crate::__select!(@parse [$($list)* ($pattern, $future, true, $code)] $($($rest)*)?)
    };

    (@run [$(($pattern:pat, $future:expr, $condition:expr, $code:expr))+] $else:expr) => {{
        let branches = $crate::__select!(@nest $(($pattern, $future, $condition))+);
        match $crate::__private::select(branches).await {
            ::core::option::Option::None => $else,
            ::core::option::Option::Some(selected) => {
                $crate::__select!(@dispatch selected; $(($pattern, $code))+)
            }
        }
    }};

    (@nest) => { $crate::__private::End };
    (@nest ($pattern:pat, $future:expr, $condition:expr) $($rest:tt)*) => {
        $crate::__private::branch(
            if $condition {
                ::core::option::Option::Some(::core::future::IntoFuture::into_future($future))
            } else {
                ::core::option::Option::None
            },
            #[allow(unused, clippy::all)]
            |output| match output {
                $pattern => true,
                _ => false,
            },
            $crate::__select!(@nest $($rest)*),
        )
    };

    (@dispatch $selected:ident;) => { match $selected {} };
    (@dispatch $selected:ident; ($pattern:pat, $code:expr) $($rest:tt)*) => {
        match $selected {
            #[allow(unreachable_patterns, clippy::all)]
            $crate::__private::Selected::This(output) => match output {
                $pattern => $code,
                _ => unreachable!("the pattern took it by reference"),
            },
            $crate::__private::Selected::Other(other) => {
                $crate::__select!(@dispatch other; $($rest)*)
            }
        }
    };
}
