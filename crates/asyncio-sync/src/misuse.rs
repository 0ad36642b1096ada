//! What must not compile, each beside a twin that does, so that it is known to fail for the reason it names.
//!
//! # A primitive cannot be awaited
//!
//! ```
//! async fn good(lock: &asyncio_sync::Lock) { lock.acquire().await; }
//! ```
//! ```compile_fail,E0277
//! async fn bad(lock: &asyncio_sync::Lock) { lock.await; }
//! ```
//! ```compile_fail,E0277
//! async fn bad(event: &asyncio_sync::Event) { event.await; }
//! ```
//! ```compile_fail,E0277
//! async fn bad(condition: &asyncio_sync::Condition) { condition.await; }
//! ```
//! ```compile_fail,E0277
//! async fn bad(semaphore: &asyncio_sync::Semaphore) { semaphore.await; }
//! ```
//! ```compile_fail,E0277
//! async fn bad(semaphore: &asyncio_sync::BoundedSemaphore) { semaphore.await; }
//! ```
//! ```compile_fail,E0277
//! async fn bad(barrier: &asyncio_sync::Barrier) { barrier.await; }
//! ```
//!
//! # Waiting and notifying need the lock
//!
//! ```
//! async fn good(condition: &asyncio_sync::Condition) { condition.acquire().await.wait().await; }
//! ```
//! ```compile_fail,E0599
//! async fn bad(condition: &asyncio_sync::Condition) { condition.wait().await; }
//! ```
//! ```compile_fail,E0599
//! async fn bad(condition: &asyncio_sync::Condition) { condition.wait_for(|_| true).await; }
//! ```
//! ```
//! async fn good(condition: &asyncio_sync::Condition) { condition.acquire().await.notify(1); }
//! ```
//! ```compile_fail,E0599
//! fn bad(condition: &asyncio_sync::Condition) { condition.notify(1); }
//! ```
//! ```compile_fail,E0599
//! fn bad(condition: &asyncio_sync::Condition) { condition.notify_all(); }
//! ```
//!
//! # A guard cannot be used after it waited
//!
//! ```compile_fail,E0382
//! async fn bad(condition: &asyncio_sync::Condition<u32>) {
//!     let guard = condition.acquire().await;
//!     guard.wait().await;
//!     drop(guard);
//! }
//! ```
//!
//! # A lock with data cannot be released behind its guard's back
//!
//! ```
//! fn good(lock: &asyncio_sync::Lock<()>) { let _ = lock.release(); }
//! ```
//! ```compile_fail,E0599
//! fn bad(lock: &asyncio_sync::Lock<u32>) { let _ = lock.release(); }
//! ```
//! ```compile_fail,E0599
//! fn bad(guard: asyncio_sync::LockGuard<'_, u32>) { guard.forget(); }
//! ```
//!
//! # Data does not outlive its guard
//!
//! ```compile_fail,E0597
//! fn bad(lock: &asyncio_sync::Lock<u32>) -> u32 {
//!     let data: &u32;
//!     { let guard = lock.try_acquire().unwrap(); data = &*guard; }
//!     *data
//! }
//! ```
//!
//! # Auto traits
//!
//! What `tests/auto_traits.rs` says yes to, with a type that is not `Send`, or not `Sync`, in place of one that is.
//!
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::Lock<*const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::Lock<*const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::LockGuard<'static, std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::LockGuard<'static, *const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::OwnedLockGuard<std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::OwnedLockGuard<*const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::LockAcquire<'static, *const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::RwLock<std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::RwLock<std::sync::MutexGuard<'static, u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::ReadGuard<'static, std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::WriteGuard<'static, std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::OwnedReadGuard<std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::OwnedWriteGuard<std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::Condition<*const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::ConditionGuard<'static, std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::condition::Wait<&'static asyncio_sync::Condition<*const ()>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::OwnedConditionGuard<std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::OwnedConditionGuard<*const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::Queue<*const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::LifoQueue<*const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn sync<T: Sync>() {}
//! fn bad() { sync::<asyncio_sync::PriorityQueue<*const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::queue::Put<'static, asyncio_sync::queue::Fifo<*const ()>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::queue::Get<'static, asyncio_sync::queue::Fifo<*const ()>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::oneshot::Sender<*const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::oneshot::Receiver<*const ()>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::broadcast::Sender<std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::broadcast::Receiver<std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::watch::Sender<std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::watch::Receiver<std::cell::Cell<u32>>>(); }
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! fn bad() { send::<asyncio_sync::watch::Ref<std::cell::Cell<u32>>>(); }
//! ```
