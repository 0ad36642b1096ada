//! Ours.

use crate::kit::{Kit, Oneshot, Queues};
use crate::runtime::Runtime;
use asyncio::net::{TcpListener, TcpStream};
use asyncio::{EventLoop, Task};
use asyncio_sync::oneshot::{self, Receiver, Sender};
use asyncio_sync::{Lock, Queue, Semaphore};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A runner: the thread that calls is worker 0.
#[derive(Debug)]
pub struct Asyncio;

impl Runtime for Asyncio {
    type Kit = AsyncioKit;
    type Task<T: Send + 'static> = Task<T>;
    type Remote = EventLoop;

    fn run<F: Future>(workers: usize, main: F) -> F::Output {
        let runner = asyncio::Runner::builder().workers(workers).build();
        let mut runner = runner.expect("the system gives a poller");
        let output = runner.run(main).expect("no main of a workload fails");
        runner.close();
        output
    }

    fn spawn<F>(future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        asyncio::create_task(future)
    }

    async fn join<T: Send + 'static>(task: Task<T>) -> T {
        task.await.expect("no task of a workload fails")
    }

    fn detach<T: Send + 'static>(task: Task<T>) {
        drop(task);
    }

    fn remote() -> EventLoop {
        asyncio::get_running_loop()
    }

    fn spawn_from<F>(remote: &EventLoop, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        remote.create_task(future)
    }
}

/// What comes with asyncio.
#[derive(Debug)]
pub struct AsyncioKit;

impl Queues for AsyncioKit {
    type Sender<T: Send + 'static> = Arc<Queue<T>>;
    type Receiver<T: Send + 'static> = Arc<Queue<T>>;

    fn queue<T: Send + 'static>(capacity: Option<usize>) -> (Arc<Queue<T>>, Arc<Queue<T>>) {
        let queue = Arc::new(Queue::new(capacity.unwrap_or(0)));
        (queue.clone(), queue)
    }

    async fn put<T: Send + 'static>(sender: &Arc<Queue<T>>, item: T) {
        assert!(sender.put(item).await.is_ok(), "the queue is open");
    }

    async fn get<T: Send + 'static>(receiver: &mut Arc<Queue<T>>) -> T {
        receiver.get().await.expect("the queue is open")
    }
}

impl Oneshot for AsyncioKit {
    type OneSender = Sender<u64>;
    type OneReceiver = Receiver<u64>;

    fn oneshot() -> (Sender<u64>, Receiver<u64>) {
        oneshot::channel()
    }

    fn send(sender: Sender<u64>, value: u64) {
        sender.send(value).expect("the receiver is there");
    }

    async fn receive(receiver: Receiver<u64>) -> u64 {
        receiver.await.expect("the sender is there")
    }
}

impl Kit for AsyncioKit {
    type Lock = Lock<u64>;
    type Semaphore = Semaphore;
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn yield_now() -> impl Future<Output = ()> + Send + 'static {
        asyncio::yield_now()
    }

    fn sleep(delay: Duration) -> impl Future<Output = ()> + Send + 'static {
        asyncio::sleep(delay)
    }

    fn to_thread<F, T>(function: F) -> impl Future<Output = T> + Send + 'static
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        asyncio::to_thread(function)
    }

    fn lock() -> Lock<u64> {
        Lock::new(0)
    }

    async fn locked<F: Future<Output = ()> + Send>(lock: &Lock<u64>, inside: F) {
        let mut guard = lock.acquire().await;
        *guard += 1;
        inside.await;
    }

    fn semaphore(permits: usize) -> Semaphore {
        Semaphore::new(permits)
    }

    async fn permit(semaphore: &Semaphore) {
        let _permit = semaphore.acquire().await;
    }

    async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    }

    async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer).await
    }

    async fn read_exact(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
        stream.read_exact(buffer).await
    }

    async fn write_all(stream: &mut TcpStream, buffer: &[u8]) -> io::Result<()> {
        stream.write_all(buffer).await
    }
}
