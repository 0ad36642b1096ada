//! Channels of others: a wait that is cancelled loses no item, and no wake-up.

mod common;

use asyncio::{Task, catch_cancelled, create_task};
use common::{settle, with_workers};
use futures_util::{SinkExt, StreamExt};

/// A receiver is cancelled while it waits, and receives again: the request was delivered once.
macro_rules! receives_again {
    ($name:ident, $channel:expr, |$sender:ident| $send:expr, |$receiver:ident| $receive:expr) => {
        #[test]
        #[allow(unused_mut)]
        fn $name() {
            with_workers(|| async {
                let (mut $sender, mut $receiver) = $channel;
                let task = create_task(async move {
                    catch_cancelled(async { $receive }).await.unwrap_err().swallow();
                    let first = $receive;
                    let second = catch_cancelled(async { $receive }).await.unwrap();
                    (first, second)
                });
                settle().await;
                task.cancel();
                settle().await;
                $send;
                settle().await;
                $send;
                assert_eq!(task.await.unwrap(), (Some(7), Some(7)));
            });
        }
    };
}

receives_again!(
    async_channel_receives_again,
    async_channel::bounded::<i32>(1),
    |sender| sender.send(7).await.unwrap(),
    |receiver| receiver.recv().await.ok()
);
receives_again!(
    flume_receives_again,
    flume::bounded::<i32>(1),
    |sender| sender.send_async(7).await.unwrap(),
    |receiver| receiver.recv_async().await.ok()
);
receives_again!(
    tokio_receives_again,
    tokio::sync::mpsc::channel::<i32>(1),
    |sender| sender.send(7).await.unwrap(),
    |receiver| receiver.recv().await
);
receives_again!(
    futures_receives_again,
    futures_channel::mpsc::channel::<i32>(1),
    |sender| sender.send(7).await.unwrap(),
    |receiver| receiver.next().await
);

/// Two wait; an item comes for the first, which is cancelled before it runs: the item is the other's.
///
/// The cancel goes by before any code of the first runs, although what it waits for has come: its wait is dropped, and passes the item on.
macro_rules! passes_on {
    ($name:ident, $channel:expr, |$receiver:ident| $receive:expr) => {
        #[test]
        fn $name() {
            with_workers(|| async {
                let (sender, receiver) = $channel;
                let spawn = || {
                    let $receiver = receiver.clone();
                    create_task(async move { $receive })
                };
                let first: Task<Option<i32>> = spawn();
                settle().await;
                let second: Task<Option<i32>> = spawn();
                settle().await;
                first.cancel();
                sender.try_send(7).unwrap();
                assert!(first.await.unwrap_err().is_cancelled());
                assert_eq!(second.await.unwrap(), Some(7));
            });
        }
    };
}

passes_on!(async_channel_passes_on, async_channel::bounded(1), |receiver| {
    receiver.recv().await.ok()
});
passes_on!(flume_passes_on, flume::bounded(1), |receiver| receiver.recv_async().await.ok());

/// A sender is cancelled while it waits for room: its item is gone with it, the others come through in order.
macro_rules! drops_what_was_not_sent {
    ($name:ident, $channel:expr, |$sender:ident, $item:ident| $send:expr, |$receiver:ident| $receive:expr) => {
        #[test]
        #[allow(unused_mut)]
        fn $name() {
            with_workers(|| async {
                let (sender, mut $receiver) = $channel;
                let spawn = |$item: i32| {
                    let mut $sender = sender.clone();
                    create_task(async move { $send })
                };
                spawn(1).await.unwrap();
                // Waits for room.
                let full = spawn(2);
                settle().await;
                full.cancel();
                assert!(full.await.unwrap_err().is_cancelled());
                let next = spawn(3);
                settle().await;
                assert_eq!($receive, Some(1));
                next.await.unwrap();
                assert_eq!($receive, Some(3));
            });
        }
    };
}

drops_what_was_not_sent!(
    async_channel_drops_what_was_not_sent,
    async_channel::bounded::<i32>(1),
    |sender, item| sender.send(item).await.unwrap(),
    |receiver| receiver.recv().await.ok()
);
drops_what_was_not_sent!(
    flume_drops_what_was_not_sent,
    flume::bounded::<i32>(1),
    |sender, item| sender.send_async(item).await.unwrap(),
    |receiver| receiver.recv_async().await.ok()
);
drops_what_was_not_sent!(
    tokio_drops_what_was_not_sent,
    tokio::sync::mpsc::channel::<i32>(1),
    |sender, item| sender.send(item).await.unwrap(),
    |receiver| receiver.recv().await
);
