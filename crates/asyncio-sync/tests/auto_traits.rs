//! Which public types are `Send` and `Sync`, and which are not; the twins that must not compile are in `src/misuse.rs`.

use asyncio_sync::queue::{BaseQueue, Fifo, Get, Items, Join, Lifo, Put, Smallest};
use asyncio_sync::{broadcast, oneshot, watch, *};
use std::cell::Cell;
use std::sync::{Arc, MutexGuard};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn unpin<T: Unpin>() {}

macro_rules! table {
    ($($type:ty: $($bound:ident)*;)*) => {
        #[test]
        fn every_public_type_is_what_it_should_be() {
            $( $( $bound::<$type>(); )* )*
        }
    };
}

/// `Send` and not `Sync`.
type Movable = Cell<u32>;
/// `Sync` and not `Send`.
type Shareable = MutexGuard<'static, u32>;
/// Not `Unpin`.
type Pinned = std::marker::PhantomPinned;

table! {
    Lock: send sync unpin;
    Lock<Movable>: send sync;
    LockGuard<'static, u32>: send sync unpin;
    LockGuard<'static, Movable>: send;
    OwnedLockGuard<u32>: send sync unpin;
    OwnedLockGuard<Movable>: send;
    LockAcquire<'static, Movable>: send sync unpin;
    LockAcquireOwned<Movable>: send sync unpin;
    LockStatistics: send sync unpin;
    Event: send sync unpin;
    EventWait<'static>: send sync unpin;
    EventStatistics: send sync unpin;
    Condition: send sync unpin;
    Condition<Movable>: send sync;
    ConditionGuard<'static, u32>: send sync unpin;
    ConditionGuard<'static, Movable>: send;
    ConditionAcquire<'static, Movable>: send sync unpin;
    ConditionAcquireOwned<Movable>: send sync unpin;
    OwnedConditionGuard<u32>: send sync unpin;
    OwnedConditionGuard<Movable>: send;
    condition::Wait<&'static Condition<Movable>>: send unpin;
    condition::WaitMut<'static, &'static Condition<Movable>>: send unpin;
    condition::WaitFor<&'static Condition<Movable>, fn(&mut Movable) -> bool>: send unpin;
    condition::Wait<Arc<Condition<Movable>>>: send unpin;
    ConditionStatistics: send sync unpin;
    Semaphore: send sync unpin;
    BoundedSemaphore: send sync unpin;
    SemaphorePermit<'static>: send sync unpin;
    OwnedSemaphorePermit: send sync unpin;
    OwnedBoundedPermit: send sync unpin;
    SemaphoreAcquire<'static>: send sync unpin;
    SemaphoreAcquireOwned: send sync unpin;
    BoundedAcquireOwned: send sync unpin;
    SemaphoreStatistics: send sync unpin;
    Barrier: send sync unpin;
    BarrierWait<'static>: send sync unpin;
    BarrierStatistics: send sync unpin;
    RwLock: send sync unpin;
    RwLock<u32>: send sync;
    RwLock<Movable>: send;
    ReadGuard<'static, u32>: send sync unpin;
    WriteGuard<'static, u32>: send sync unpin;
    OwnedReadGuard<u32>: send sync unpin;
    OwnedWriteGuard<u32>: send sync unpin;
    Read<'static, u32>: send sync unpin;
    Write<'static, u32>: send sync unpin;
    ReadOwned<u32>: send sync unpin;
    WriteOwned<u32>: send sync unpin;
    RwLockStatistics: send sync unpin;
    Queue<Movable>: send sync;
    LifoQueue<Movable>: send sync;
    PriorityQueue<u32>: send sync;
    BaseQueue<Fifo<u32>>: send sync unpin;
    Fifo<Movable>: send;
    Lifo<Movable>: send;
    Smallest<u32>: send sync;
    Get<'static, Fifo<Movable>>: send sync unpin;
    Put<'static, Fifo<Movable>>: send unpin;
    Put<'static, Fifo<Pinned>>: unpin;
    Join<'static, Fifo<Movable>>: send sync unpin;
    Items<'static, Fifo<Movable>>: send sync unpin;
    QueueStatistics: send sync unpin;
    oneshot::Sender<Movable>: send sync unpin;
    oneshot::Receiver<Movable>: send sync unpin;
    oneshot::Receiver<Pinned>: unpin;
    oneshot::Closed<'static, Movable>: send sync unpin;
    broadcast::Sender<u32>: send sync unpin;
    broadcast::Receiver<u32>: send sync unpin;
    broadcast::Recv<'static, u32>: send sync unpin;
    watch::Sender<u32>: send sync unpin;
    watch::Receiver<u32>: send sync unpin;
    watch::Changed<'static, u32>: send sync unpin;
    watch::Closed<'static, u32>: send sync unpin;
    watch::Ref<u32>: send sync unpin;
    QueueFull<Movable>: send;
    QueueShutDown: send sync unpin;
    PutNowaitError<Movable>: send;
    GetNowaitError: send sync unpin;
    QueueEmpty: send sync unpin;
    TaskDoneError: send sync unpin;
    BrokenBarrierError: send sync unpin;
    LockNotAcquired: send sync unpin;
    OverReleaseError: send sync unpin;
}

/// Whoever only reads needs no `Send`.
#[test]
fn a_value_that_must_stay_on_its_thread_can_be_locked_there() {
    let lock = std::sync::Mutex::new(1);
    let leaked: &'static std::sync::Mutex<u32> = Box::leak(Box::new(lock));
    let own: RwLock<Shareable> = RwLock::new(leaked.lock().unwrap());
    assert_eq!(**own.try_read().unwrap(), 1);
}
