//! The floor that every other crate of asyncio stands on. Only `asyncio` promises a stable API; this crate does not.
//!
//! | module | what it holds |
//! |---|---|
//! | [`sync`] | the one switch for atomics, locks and cells: std, loom (`--cfg asyncio_loom`) or ThreadSanitizer (`--cfg tsan`) |
//! | [`record`] | the poll record: what this thread is polling right now |
//! | [`wait`] | the wait slot, where a leaf future says what it waits for |
//! | [`observe`] | who waits for whom, noted while a simulation observes |
//! | [`outlook`] | how soon somebody on this thread looks at the descriptors again |
//! | [`hold`] | a leaf's say in cancellation |
//! | [`lent`] | what a thread is lent for the length of a closure |
//! | [`context`] | context variables: the map, the cell that tasks share, the slot in a task |
//! | [`ring`] | a FIFO for one thread at a time |
//! | [`slab`] | a slab whose keys carry a generation, for waiter lists and the wheel |
//! | [`shelf`] | freed memory of the small things that come and go, kept per thread |
//! | [`wake_list`] | wakers collected under a lock and called after it |
//!
//! # Unsafe
//!
//! Six places hold unsafe code: `record.rs` and `lent.rs` (one thread-local pointer each, valid while a closure runs), `wait.rs` (an address
//! turned back into the `&'static Location` it came from), `context` (an `Arc` kept as one word), `ring.rs` (slots that
//! may be empty) and `shelf` (memory).

mod cache_padded;
pub mod context;
pub mod hold;
pub mod lent;
pub mod observe;
pub mod outlook;
pub mod record;
pub mod ring;
pub mod shelf;
pub mod slab;
pub mod sync;
pub mod wait;
pub mod wake_list;

pub use cache_padded::CachePadded;
