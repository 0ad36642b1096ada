//! The smol family: async-executor's three executors on async-io, with async-lock, async-channel and blocking.
//!
//! The thread that calls is one of the workers, which is faster than smol's own global executor with threads besides.

use crate::kit::{Kit, Oneshot, Queues};
use crate::runtime::Runtime;
use async_channel::{Receiver, Sender};
use async_executor::{Executor, LocalExecutor, StaticExecutor, StaticLocalExecutor, Task};
use async_io::{Async, Timer, block_on};
use async_lock::{Mutex, Semaphore};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

/// async-executor's `Executor`.
#[derive(Debug)]
pub struct Smol;

/// Its `StaticExecutor`, which forgets how to end and is faster for it.
#[derive(Debug)]
pub struct SmolStatic;

/// Its `StaticLocalExecutor`: one thread, no `Send`, never ends.
#[derive(Debug)]
pub struct SmolLocal;

static EXECUTOR: LazyLock<Executor<'static>> = LazyLock::new(Executor::new);
static STATIC: StaticExecutor = StaticExecutor::new();

thread_local! {
    static LOCAL: &'static StaticLocalExecutor = LocalExecutor::new().leak();
}

/// Runs `main` here and `helper` on threads beside, until main has ended.
fn with_helpers<F: Future, H: Future<Output = ()>>(
    workers: usize,
    main: F,
    helper: impl Fn(Receiver<()>) -> H + Copy + Send,
) -> F::Output {
    let (running, stop) = async_channel::bounded::<()>(1);
    thread::scope(|scope| {
        for _ in 1..workers {
            let stop = stop.clone();
            scope.spawn(move || block_on(helper(stop)));
        }
        let output = block_on(main);
        drop(running);
        output
    })
}

macro_rules! runtime {
    ($name:ident, $remote:literal, $executor:expr, |$workers:ident, $main:ident| $run:expr) => {
        impl Runtime for $name {
            type Kit = SmolKit;
            type Task<T: Send + 'static> = Task<T>;
            type Remote = ();
            const REMOTE: bool = $remote;

            fn run<F: Future>($workers: usize, $main: F) -> F::Output {
                $run
            }

            fn spawn<F>(future: F) -> Task<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                $executor.spawn(future)
            }

            fn join<T: Send + 'static>(task: Task<T>) -> impl Future<Output = T> + Send {
                task
            }

            fn detach<T: Send + 'static>(task: Task<T>) {
                task.detach();
            }

            fn remote() {}

            fn spawn_from<F>((): &(), future: F) -> Task<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                $executor.spawn(future)
            }
        }
    };
}

runtime!(Smol, true, EXECUTOR, |workers, main| {
    with_helpers(workers, EXECUTOR.run(main), |stop| async move {
        let _ = EXECUTOR.run(stop.recv()).await;
    })
});
runtime!(SmolStatic, true, STATIC, |workers, main| {
    with_helpers(workers, STATIC.run(main), |stop| async move {
        let _ = STATIC.run(stop.recv()).await;
    })
});
runtime!(SmolLocal, false, LOCAL.with(|local| *local), |_workers, main| {
    block_on(LOCAL.with(|local| *local).run(main))
});

/// What comes with smol.
#[derive(Debug)]
pub struct SmolKit;

impl Queues for SmolKit {
    type Sender<T: Send + 'static> = Sender<T>;
    type Receiver<T: Send + 'static> = Receiver<T>;

    fn queue<T: Send + 'static>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
        capacity.map_or_else(async_channel::unbounded, async_channel::bounded)
    }

    async fn put<T: Send + 'static>(sender: &Sender<T>, item: T) {
        assert!(sender.send(item).await.is_ok(), "the receiver is there");
    }

    async fn get<T: Send + 'static>(receiver: &mut Receiver<T>) -> T {
        receiver.recv().await.expect("the sender is there")
    }
}

/// smol has no oneshot; a channel for one item is what its programs use.
impl Oneshot for SmolKit {
    type OneSender = Sender<u64>;
    type OneReceiver = Receiver<u64>;

    fn oneshot() -> (Sender<u64>, Receiver<u64>) {
        async_channel::bounded(1)
    }

    fn send(sender: Sender<u64>, value: u64) {
        sender.try_send(value).expect("the receiver is there");
    }

    async fn receive(receiver: Receiver<u64>) -> u64 {
        receiver.recv().await.expect("the sender is there")
    }
}

impl Kit for SmolKit {
    type Lock = Mutex<u64>;
    type Semaphore = Semaphore;
    type Listener = Async<TcpListener>;
    type Stream = Async<TcpStream>;

    fn yield_now() -> impl Future<Output = ()> + Send + 'static {
        futures_lite::future::yield_now()
    }

    async fn sleep(delay: Duration) {
        Timer::after(delay).await;
    }

    fn to_thread<F, T>(function: F) -> impl Future<Output = T> + Send + 'static
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        blocking::unblock(function)
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
        let _permit = semaphore.acquire().await;
    }

    async fn listen() -> io::Result<(Async<TcpListener>, SocketAddr)> {
        let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.get_ref().local_addr()?;
        Ok((listener, addr))
    }

    async fn accept(listener: &Async<TcpListener>) -> io::Result<Async<TcpStream>> {
        let (stream, _) = listener.accept().await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect(addr: SocketAddr) -> io::Result<Async<TcpStream>> {
        let stream = Async::<TcpStream>::connect(addr).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(stream: &mut Async<TcpStream>, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer).await
    }

    async fn read_exact(stream: &mut Async<TcpStream>, buffer: &mut [u8]) -> io::Result<()> {
        stream.read_exact(buffer).await
    }

    async fn write_all(stream: &mut Async<TcpStream>, buffer: &[u8]) -> io::Result<()> {
        stream.write_all(buffer).await
    }
}
