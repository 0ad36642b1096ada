//! What a workload needs besides tasks: time, channels, locks and sockets.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Queues of one library. Sender and receiver are apart, as most libraries have them; the receiver is never shared.
pub trait Queues: 'static {
    /// The end that puts.
    type Sender<T: Send + 'static>: Clone + Send + Sync + 'static;
    /// The end that gets.
    type Receiver<T: Send + 'static>: Send + 'static;

    /// A queue for `capacity` items; `None` is without bound.
    fn queue<T: Send + 'static>(capacity: Option<usize>) -> (Self::Sender<T>, Self::Receiver<T>);

    /// Puts an item, waiting for a free place.
    fn put<T: Send + 'static>(sender: &Self::Sender<T>, item: T)
    -> impl Future<Output = ()> + Send;

    /// Gets an item, waiting for one.
    fn get<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> impl Future<Output = T> + Send;
}

/// A channel for one value.
pub trait Oneshot: 'static {
    /// The end that sends.
    type OneSender: Send + 'static;
    /// The end that receives.
    type OneReceiver: Send + 'static;

    /// A channel for one number.
    fn oneshot() -> (Self::OneSender, Self::OneReceiver);
    /// Sends the number.
    fn send(sender: Self::OneSender, value: u64);
    /// Waits for the number.
    fn receive(receiver: Self::OneReceiver) -> impl Future<Output = u64> + Send;
}

/// What belongs to a family of libraries, whichever of its executors runs.
pub trait Kit: Queues + Oneshot {
    /// A lock round a number.
    type Lock: Send + Sync + 'static;
    /// A counting semaphore.
    type Semaphore: Send + Sync + 'static;
    /// A listening socket.
    type Listener: Send + Sync + 'static;
    /// A connected socket, `TCP_NODELAY` set.
    type Stream: Send + 'static;

    /// Lets others run.
    fn yield_now() -> impl Future<Output = ()> + Send + 'static;
    /// Sleeps.
    fn sleep(delay: Duration) -> impl Future<Output = ()> + Send + 'static;
    /// Has another thread run a function that may block.
    fn to_thread<F, T>(function: F) -> impl Future<Output = T> + Send + 'static
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static;

    /// A lock that is free.
    fn lock() -> Self::Lock;
    /// Takes the lock, adds one, waits for `inside`, and gives the lock back.
    fn locked<F: Future<Output = ()> + Send>(
        lock: &Self::Lock,
        inside: F,
    ) -> impl Future<Output = ()> + Send;
    /// A semaphore with `permits`.
    fn semaphore(permits: usize) -> Self::Semaphore;
    /// Takes one permit and gives it back.
    fn permit(semaphore: &Self::Semaphore) -> impl Future<Output = ()> + Send;

    /// Listens on a free port of the loopback address.
    fn listen() -> impl Future<Output = io::Result<(Self::Listener, SocketAddr)>> + Send;
    /// Takes one connection.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Connects.
    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Reads what is there, at least a byte unless the peer has closed.
    fn read(
        stream: &mut Self::Stream,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;
    /// Reads until the buffer is full.
    fn read_exact(
        stream: &mut Self::Stream,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<()>> + Send;
    /// Writes all of the buffer.
    fn write_all(
        stream: &mut Self::Stream,
        buffer: &[u8],
    ) -> impl Future<Output = io::Result<()>> + Send;
}
