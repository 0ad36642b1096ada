//! Queues of libraries that belong to no runtime.

use crate::kit::Queues;

/// flume.
#[derive(Debug)]
pub struct Flume;

impl Queues for Flume {
    type Sender<T: Send + 'static> = flume::Sender<T>;
    type Receiver<T: Send + 'static> = flume::Receiver<T>;

    fn queue<T: Send + 'static>(capacity: Option<usize>) -> (flume::Sender<T>, flume::Receiver<T>) {
        capacity.map_or_else(flume::unbounded, flume::bounded)
    }

    async fn put<T: Send + 'static>(sender: &flume::Sender<T>, item: T) {
        assert!(sender.send_async(item).await.is_ok(), "the receiver is there");
    }

    async fn get<T: Send + 'static>(receiver: &mut flume::Receiver<T>) -> T {
        receiver.recv_async().await.expect("the sender is there")
    }
}

/// kanal.
#[derive(Debug)]
pub struct Kanal;

impl Queues for Kanal {
    type Sender<T: Send + 'static> = kanal::AsyncSender<T>;
    type Receiver<T: Send + 'static> = kanal::AsyncReceiver<T>;

    fn queue<T: Send + 'static>(
        capacity: Option<usize>,
    ) -> (kanal::AsyncSender<T>, kanal::AsyncReceiver<T>) {
        capacity.map_or_else(kanal::unbounded_async, kanal::bounded_async)
    }

    async fn put<T: Send + 'static>(sender: &kanal::AsyncSender<T>, item: T) {
        assert!(sender.send(item).await.is_ok(), "the receiver is there");
    }

    async fn get<T: Send + 'static>(receiver: &mut kanal::AsyncReceiver<T>) -> T {
        receiver.recv().await.expect("the sender is there")
    }
}
