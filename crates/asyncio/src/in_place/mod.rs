//! Several futures at once inside one task, without making tasks: `join!`, `race!`, `select!`.
//!
//! The futures lie one in another as nested pairs, which a macro builds and a type knows how to poll; so nothing is allocated and everything may
//! borrow. All that are pending are polled whenever the task is, in the order in which they are written, so what a program does is the same in every
//! run. A cancel of the task reaches the innermost scopes of each.

pub(crate) mod join;
pub(crate) mod race;
pub(crate) mod scope;
pub(crate) mod select;

/// Nests futures, and ends the nest.
#[doc(hidden)]
#[macro_export]
macro_rules! __nest {
    ($pair:ident;) => { $crate::__private::End };
    ($pair:ident; $first:expr $(, $rest:expr)*) => {
        $crate::__private::$pair(
            ::core::future::IntoFuture::into_future($first),
            $crate::__nest!($pair; $($rest),*),
        )
    };
}

/// The end of a nest. Not public API.
#[doc(hidden)]
#[derive(Debug)]
pub struct End;
