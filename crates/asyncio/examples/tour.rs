//! A file server and a crawler in one loop: the server offers this repository, the crawler fetches every file over 500 connections at once
//! and compares every byte; timers and callbacks run beside them. Ends with a report of one screen.

mod http;

use asyncio::net::{TcpListener, TcpStream};
use asyncio::{Future, Task, create_local_task, get_running_loop};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Connections of the crawler, all open at the same time.
const CONNECTIONS: usize = 500;
/// Every connection fetches at least so many files.
const REQUESTS_EACH: usize = 40;

fn main() -> ExitCode {
    match asyncio::run(tour()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tour: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the crawler has done so far.
#[derive(Default)]
struct Tally {
    /// Files still to be fetched, by their place in the list.
    queue: RefCell<VecDeque<usize>>,
    latencies: RefCell<Vec<Duration>>,
    bytes: Cell<u64>,
    open: Cell<usize>,
}

/// What every connection of the crawler is given.
#[derive(Clone)]
struct Crawl {
    address: SocketAddr,
    files: Rc<Vec<Expected>>,
    tally: Rc<Tally>,
    callbacks: Arc<AtomicU64>,
    /// Done once so many connections are open.
    everybody: usize,
    everybody_is_here: Future<()>,
}

async fn tour() -> io::Result<()> {
    let root = repository();
    let files = Rc::new(files_under(&root)?);
    let connections = CONNECTIONS.min(allowed_connections());
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind_addr(loopback, CONNECTIONS as u32)?;
    let address = listener.local_addr()?;
    let server = create_local_task(http::serve(listener, root.clone()));

    let tally = Rc::new(Tally::default());
    let rounds = (connections * REQUESTS_EACH).div_ceil(files.len());
    tally.queue.borrow_mut().extend((0..rounds).flat_map(|_| 0..files.len()));
    let beats = heartbeat();
    let callbacks = Arc::new(AtomicU64::new(0));

    let crawl = Crawl {
        address,
        files: files.clone(),
        tally: tally.clone(),
        callbacks: callbacks.clone(),
        everybody: connections,
        everybody_is_here: get_running_loop().create_future(),
    };
    let crawlers: Vec<Task<io::Result<()>>> =
        (0..connections).map(|_| create_local_task(crawl.clone().run())).collect();
    crawl.everybody_is_here.clone().await.map_err(io::Error::other)?;
    let start = Instant::now();
    for crawler in crawlers {
        crawler.await??;
    }
    let elapsed = start.elapsed();
    // Callbacks run one after the other: with this one all before it have run, on whatever worker.
    let last: asyncio::Future<()> = get_running_loop().create_future();
    let done = last.clone();
    get_running_loop().call_soon(move || done.set_result(()).expect("nobody else sets it"));
    last.await.map_err(io::Error::other)?;
    server.cancel();
    beats.task.cancel();

    let fetched = tally.latencies.borrow().len();
    assert_eq!(fetched, rounds * files.len(), "every file of every round was fetched");
    assert_eq!(callbacks.load(Ordering::Relaxed), fetched as u64, "every callback ran");
    report(&root, files.len(), &tally, elapsed, beats.count.get());
    Ok(())
}

/// The repository that this example was built from.
fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    here.canonicalize().unwrap_or(here)
}

/// A file as it lies on disk: what the crawler compares with.
struct Expected {
    target: String,
    content: Vec<u8>,
}

/// All files under `root`, but not what builds and version control leave there.
fn files_under(root: &Path) -> io::Result<Vec<Expected>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            let skipped = entry.file_name().to_string_lossy().starts_with("target")
                || entry.file_name() == ".git";
            if kind.is_dir() && !skipped {
                folders.push(path);
            } else if kind.is_file() {
                let target = path.strip_prefix(root).map_err(io::Error::other)?;
                let target = format!("/{}", encode(&target.to_string_lossy()));
                found.push(Expected { target, content: fs::read(&path)? });
            }
        }
    }
    Ok(found)
}

fn encode(path: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.bytes()
        .map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Both ends of a connection are in this process, so each needs two descriptors.
fn allowed_connections() -> usize {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // The soft limit is a default, and raising it to the hard one is everybody's right.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
        let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        (current.saturating_sub(64) / 3).try_into().unwrap_or(usize::MAX)
    }
    #[cfg(not(target_os = "linux"))]
    {
        60
    }
}

struct Heartbeat {
    task: Task<()>,
    count: Rc<Cell<u64>>,
}

/// A timer beside the traffic: counts every ten milliseconds.
fn heartbeat() -> Heartbeat {
    let count = Rc::new(Cell::new(0));
    let counter = count.clone();
    let task = create_local_task(async move {
        let mut interval = asyncio::interval(Duration::from_millis(10));
        loop {
            interval.tick().await;
            counter.set(counter.get() + 1);
        }
    });
    Heartbeat { task, count }
}

impl Crawl {
    /// Opens a connection, waits for the others, and fetches files until none is left.
    async fn run(self) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        self.tally.open.set(self.tally.open.get() + 1);
        if self.tally.open.get() == self.everybody {
            self.everybody_is_here.set_result(()).map_err(io::Error::other)?;
        }
        self.everybody_is_here.clone().await.map_err(io::Error::other)?;
        let mut answer = Vec::new();
        loop {
            let Some(next) = self.tally.queue.borrow_mut().pop_front() else { return Ok(()) };
            self.fetch(&mut stream, &self.files[next], &mut answer).await?;
        }
    }

    /// Fetches one file and compares it.
    async fn fetch(
        &self,
        stream: &mut TcpStream,
        file: &Expected,
        answer: &mut Vec<u8>,
    ) -> io::Result<()> {
        let start = Instant::now();
        fetch(stream, &file.target, answer).await?;
        self.tally.latencies.borrow_mut().push(start.elapsed());
        check(file, answer)?;
        self.tally.bytes.set(self.tally.bytes.get() + file.content.len() as u64);
        let callbacks = self.callbacks.clone();
        get_running_loop().call_soon(move || {
            callbacks.fetch_add(1, Ordering::Relaxed);
        });
        Ok(())
    }
}

/// Sends a request and reads the body of its answer.
async fn fetch(stream: &mut TcpStream, target: &str, body: &mut Vec<u8>) -> io::Result<()> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    body.clear();
    let mut piece = [0; 16 * 1024];
    let head = loop {
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        body.extend_from_slice(&piece[..read]);
        if let Some(end) = body.windows(4).position(|w| w == b"\r\n\r\n") {
            break body.drain(..end + 4).collect::<Vec<u8>>();
        }
    };
    let length = content_length(&head)?;
    let have = body.len();
    body.resize(length.max(have), 0);
    stream.read_exact(&mut body[have..]).await
}

fn content_length(head: &[u8]) -> io::Result<usize> {
    let head = String::from_utf8_lossy(head);
    let bad = || io::Error::other(format!("unexpected answer: {head}"));
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(bad());
    }
    let mut values = head.lines().filter_map(|line| line.strip_prefix("Content-Length: "));
    values.next().and_then(|value| value.trim().parse().ok()).ok_or_else(bad)
}

fn check(file: &Expected, answer: &[u8]) -> io::Result<()> {
    if file.content == answer {
        return Ok(());
    }
    let (want, got) = (file.content.len(), answer.len());
    Err(io::Error::other(format!(
        "{}: {want} bytes on disk differ from {got} received",
        file.target
    )))
}

fn report(root: &Path, files: usize, tally: &Tally, elapsed: Duration, beats: u64) {
    let mut latencies = tally.latencies.borrow_mut();
    latencies.sort_unstable();
    let percentile = |p: usize| latencies[(latencies.len() * p / 100).min(latencies.len() - 1)];
    let megabytes = tally.bytes.get() as f64 / 1e6;
    let seconds = elapsed.as_secs_f64();
    let metrics = get_running_loop().metrics();
    println!("served and fetched {}", root.display());
    println!("  files        {files:>10}");
    println!("  connections  {:>10}   open at once", tally.open.get());
    println!(
        "  requests     {:>10}   {:.0} a second",
        latencies.len(),
        latencies.len() as f64 / seconds
    );
    println!(
        "  megabytes    {megabytes:>10.1}   {:.1} a second, every byte compared",
        megabytes / seconds
    );
    println!("  latency p50  {:>10.2?}", percentile(50));
    println!("  latency p99  {:>10.2?}", percentile(99));
    println!("meanwhile the loop");
    println!("  called back  {:>10}   times", latencies.len());
    println!(
        "  asked        {:>10}   times for events and heard of {}",
        metrics.waits, metrics.events
    );
    println!("  kept         {beats:>10}   beats of a 10 ms timer in {elapsed:.2?}");
}
