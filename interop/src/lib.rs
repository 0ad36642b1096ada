//! Futures of others in tasks of `asyncio`: nothing but tests.
//!
//! A future that knows nothing of `asyncio` takes part in cancellation without a rule of its own: it is dropped where it waits, and scopes that are
//! polled by it, or below it, are asked first.
