//! `join!`: all of several futures, in place.

use super::End;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A future, then its output.
    #[project = SlotProjection]
    #[project_replace = SlotReplaced]
    enum Slot<F: Future> {
        Future { #[pin] future: F },
        Output { output: F::Output },
        Taken,
    }
}

pin_project! {
    /// One future and the rest. Not public API.
    #[doc(hidden)]
    pub struct Both<F: Future, R> {
        #[pin]
        first: Slot<F>,
        #[pin]
        rest: R,
    }
}

/// Not public API.
#[doc(hidden)]
pub fn both<F: Future, R>(first: F, rest: R) -> Both<F, R> {
    Both { first: Slot::Future { future: first }, rest }
}

/// Futures that are polled until all have ended. Not public API.
#[doc(hidden)]
pub trait All {
    /// Their outputs, nested as they are.
    type Nested;

    /// Polls those that are pending; true when none is.
    fn poll_all(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool;

    /// All have ended.
    fn take(self: Pin<&mut Self>) -> Self::Nested;
}

impl All for End {
    type Nested = ();

    fn poll_all(self: Pin<&mut Self>, _: &mut Context<'_>) -> bool {
        true
    }

    fn take(self: Pin<&mut Self>) {}
}

impl<F: Future, R: All> All for Both<F, R> {
    type Nested = (F::Output, R::Nested);

    fn poll_all(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let mut this = self.project();
        let is_ready = match this.first.as_mut().project() {
            SlotProjection::Future { future } => match future.poll(cx) {
                Poll::Ready(output) => {
                    // One that has ended is dropped, not kept until the others have.
                    this.first.set(Slot::Output { output });
                    true
                }
                Poll::Pending => false,
            },
            SlotProjection::Output { .. } => true,
            SlotProjection::Taken => panic!("`join!` was polled again after it ended"),
        };
        this.rest.poll_all(cx) && is_ready
    }

    fn take(self: Pin<&mut Self>) -> Self::Nested {
        let this = self.project();
        let SlotReplaced::Output { output } = this.first.project_replace(Slot::Taken) else {
            unreachable!("every future has ended")
        };
        (output, this.rest.take())
    }
}

pin_project! {
    /// Made by `join!`. Not public API.
    #[doc(hidden)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Join<B> {
        #[pin]
        all: B,
    }
}

/// Not public API.
#[doc(hidden)]
pub fn join<B: All>(all: B) -> Join<B> {
    Join { all }
}

impl<B: All> Future for Join<B>
where
    B::Nested: Flat,
{
    type Output = <B::Nested as Flat>::Tuple;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut all = self.project().all;
        if all.as_mut().poll_all(cx) { Poll::Ready(all.take().flat()) } else { Poll::Pending }
    }
}

/// Nested pairs that are a tuple. Not public API.
#[doc(hidden)]
pub trait Flat {
    type Tuple;
    fn flat(self) -> Self::Tuple;
}

macro_rules! nested {
    () => { () };
    ($first:ident $($rest:ident)*) => { ($first, nested!($($rest)*)) };
}

macro_rules! flat {
    ($($name:ident)+) => {
        impl<$($name),+> Flat for nested!($($name)+) {
            type Tuple = ($($name,)+);

            #[allow(non_snake_case, reason = "one name for a type and its value")]
            fn flat(self) -> Self::Tuple {
                let nested!($($name)+) = self;
                ($($name,)+)
            }
        }
    };
}

flat!(A);
flat!(A B);
flat!(A B C);
flat!(A B C D);
flat!(A B C D E);
flat!(A B C D E F);
flat!(A B C D E F G);
flat!(A B C D E F G H);
flat!(A B C D E F G H I);
flat!(A B C D E F G H I J);
flat!(A B C D E F G H I J K);
flat!(A B C D E F G H I J K L);

/// Awaits several futures at once, in this task, and gives a tuple of their outputs: up to twelve, of any types.
///
/// They run by turns, never in parallel, may borrow and need not be `Send`. For tasks of their own see [`gather!`](crate::gather!).
///
/// # Cancel safety
///
/// All end together: a cancel of the task goes to the innermost scopes of each, and dropping the await drops all.
///
/// # Examples
///
/// ```
/// use asyncio::{join, secs, sleep};
///
/// asyncio::run(async {
///     let text = String::from("borrowed");
///     let (length, first, ()) = join!(
///         async { text.len() },
///         async { text.chars().next() },
///         sleep(secs(0.001)),
///     );
///     assert_eq!((length, first), (8, Some('b')));
/// });
/// ```
///
/// # Python
///
/// No twin: `gather` makes tasks.
#[macro_export]
macro_rules! join {
    ($($future:expr),+ $(,)?) => {
        $crate::__private::join($crate::__nest!(both; $($future),+)).await
    };
}
