//! Tokio, with its multi-thread and its current-thread scheduler.

use crate::kit::{Kit, Oneshot, Queues};
use crate::runtime::Runtime;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

/// The multi-thread scheduler; `workers` besides the thread that calls.
#[derive(Debug)]
pub struct Tokio;

/// The current-thread scheduler.
#[derive(Debug)]
pub struct TokioCurrentThread;

macro_rules! runtime {
    ($name:ident, |$workers:ident| $builder:expr) => {
        impl Runtime for $name {
            type Kit = TokioKit;
            type Task<T: Send + 'static> = JoinHandle<T>;
            type Remote = Handle;

            fn run<F: Future>($workers: usize, main: F) -> F::Output {
                let runtime = $builder.enable_all().build().expect("a Tokio runtime");
                runtime.block_on(main)
            }

            fn spawn<F>(future: F) -> JoinHandle<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                tokio::spawn(future)
            }

            async fn join<T: Send + 'static>(task: JoinHandle<T>) -> T {
                task.await.expect("no task of a workload fails")
            }

            fn detach<T: Send + 'static>(task: JoinHandle<T>) {
                drop(task);
            }

            fn remote() -> Handle {
                Handle::current()
            }

            fn spawn_from<F>(remote: &Handle, future: F) -> JoinHandle<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                remote.spawn(future)
            }
        }
    };
}

runtime!(Tokio, |workers| Builder::new_multi_thread().worker_threads(workers));
runtime!(TokioCurrentThread, |_workers| Builder::new_current_thread());

/// What comes with Tokio.
#[derive(Debug)]
pub struct TokioKit;

/// A sender that may have a bound.
#[derive(Debug)]
pub enum Sender<T> {
    /// With a bound.
    Bounded(mpsc::Sender<T>),
    /// Without.
    Unbounded(mpsc::UnboundedSender<T>),
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        match self {
            Sender::Bounded(sender) => Sender::Bounded(sender.clone()),
            Sender::Unbounded(sender) => Sender::Unbounded(sender.clone()),
        }
    }
}

/// A receiver that may have a bound.
#[derive(Debug)]
pub enum Receiver<T> {
    /// With a bound.
    Bounded(mpsc::Receiver<T>),
    /// Without.
    Unbounded(mpsc::UnboundedReceiver<T>),
}

impl Queues for TokioKit {
    type Sender<T: Send + 'static> = Sender<T>;
    type Receiver<T: Send + 'static> = Receiver<T>;

    fn queue<T: Send + 'static>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
        match capacity {
            Some(capacity) => {
                let (sender, receiver) = mpsc::channel(capacity);
                (Sender::Bounded(sender), Receiver::Bounded(receiver))
            }
            None => {
                let (sender, receiver) = mpsc::unbounded_channel();
                (Sender::Unbounded(sender), Receiver::Unbounded(receiver))
            }
        }
    }

    async fn put<T: Send + 'static>(sender: &Sender<T>, item: T) {
        let sent = match sender {
            Sender::Bounded(sender) => sender.send(item).await,
            Sender::Unbounded(sender) => sender.send(item),
        };
        assert!(sent.is_ok(), "the receiver is there");
    }

    async fn get<T: Send + 'static>(receiver: &mut Receiver<T>) -> T {
        let item = match receiver {
            Receiver::Bounded(receiver) => receiver.recv().await,
            Receiver::Unbounded(receiver) => receiver.recv().await,
        };
        item.expect("the sender is there")
    }
}

impl Oneshot for TokioKit {
    type OneSender = oneshot::Sender<u64>;
    type OneReceiver = oneshot::Receiver<u64>;

    fn oneshot() -> (Self::OneSender, Self::OneReceiver) {
        oneshot::channel()
    }

    fn send(sender: Self::OneSender, value: u64) {
        sender.send(value).expect("the receiver is there");
    }

    async fn receive(receiver: Self::OneReceiver) -> u64 {
        receiver.await.expect("the sender is there")
    }
}

impl Kit for TokioKit {
    type Lock = Mutex<u64>;
    type Semaphore = Semaphore;
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn yield_now() -> impl Future<Output = ()> + Send + 'static {
        tokio::task::yield_now()
    }

    fn sleep(delay: Duration) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep(delay)
    }

    fn to_thread<F, T>(function: F) -> impl Future<Output = T> + Send + 'static
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let job = tokio::task::spawn_blocking(function);
        async { job.await.expect("no function of a workload fails") }
    }

    fn lock() -> Mutex<u64> {
        Mutex::new(0)
    }

    async fn locked<F: Future<Output = ()> + Send>(lock: &Mutex<u64>, inside: F) {
        let mut guard = lock.lock().await;
        *guard += 1;
        inside.await;
    }

    fn semaphore(permits: usize) -> Semaphore {
        Semaphore::new(permits)
    }

    async fn permit(semaphore: &Semaphore) {
        let _permit = semaphore.acquire().await.expect("open");
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
        stream.read_exact(buffer).await.map(drop)
    }

    async fn write_all(stream: &mut TcpStream, buffer: &[u8]) -> io::Result<()> {
        stream.write_all(buffer).await
    }
}
