//! A leaf's say in cancellation, for leaves that must not be dropped half-way.

use std::fmt::Debug;
use std::task::Waker;

/// What a leaf holds against being cancelled before it has brought something back, as a condition brings its lock; made by
/// [`record::hold`](crate::record::hold), where a cancellation then arrives instead of dropping the leaf.
///
/// ```text
///            is_asked: a cancellation has arrived        ends: true, it unwinds
///  waiting ───────────────────────────────────► asked ─────────────────────────► pending until dropped
///     │                                           └ ends: false, it was taken back ─► ready
///     └─ ends: true, it has just arrived ──► pending until dropped
/// ```
pub trait Hold: Send + Sync + Debug {
    /// For a leaf that is about to be pending, with the waker it has left: whether a cancellation has arrived since the last call.
    fn is_asked(&mut self, waker: &Waker) -> bool;

    /// For a leaf that has brought back what it had to: true if a cancellation goes on its way now. Then the leaf stays pending,
    /// however often it is polled, and is dropped by the scope that gets the cancellation.
    fn ends(&mut self) -> bool;
}
