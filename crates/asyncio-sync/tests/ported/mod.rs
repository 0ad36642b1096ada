//! CPython's tests of locks and queues. They know an `executor`, which the test binary that includes them has.
#![allow(unreachable_pub)]

mod tasks;
mod test_locks;
mod test_queues;
