//! A worker that is stuck freezes nothing but what belongs to it: while another worker exists, no other task, timer or socket is late.
//!
//! Alone in its binary: it measures time. On a busy machine a thread that is ready waits for a processor, which no loop can help, nor that the host
//! of a virtual one takes processors away: where the system tells for how long (Linux: `schedstat`, and `steal` in `/proc/stat`), that is not
//! counted. What else the machine does to a thread, plain ones that only sleep tell.

use asyncio::net::{TcpListener, TcpStream};
use asyncio::{EventLoop, Runner, create_task, get_running_loop, secs, sleep, yield_now};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long the worker is stuck.
const STUCK: Duration = Duration::from_secs(2);

/// As late as anything else may be.
const LATE: Duration = Duration::from_millis(10);

/// How long a thread was ready and had no processor, by its folder in `/proc`; nothing where that is not told.
fn without_processor(thread: &str) -> Duration {
    let told = fs::read_to_string(format!("{thread}/schedstat")).unwrap_or_default();
    let nanos = told.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

/// How long the host has kept processors from this machine since its start, told in ticks; nothing where that is not told.
fn kept_by_the_host() -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let told = fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = told.lines().next().unwrap_or_default();
    let ticks = all.split_whitespace().nth(8).and_then(|ticks| ticks.parse().ok());
    TICK * ticks.unwrap_or_default()
}

/// How long threads were ready and had no processor, all but the plain ones: beside those of the loop there are only some that sleep.
fn loop_without_processor() -> Duration {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let paths = threads.flatten().map(|thread| thread.path().display().to_string());
    let is_plain = |path: &String| {
        fs::read_to_string(format!("{path}/comm")).is_ok_and(|name| name.trim() == PLAIN)
    };
    paths.filter(|path| !is_plain(path)).map(|path| without_processor(&path)).sum()
}

/// A moment, and what the loop had waited for processors by then.
#[derive(Clone, Copy)]
struct Since {
    at: Instant,
    waited: Duration,
}

impl Since {
    fn now() -> Self {
        // Asked before: the asking takes its time too.
        let waited = Self::waited();
        Since { at: Instant::now(), waited }
    }

    fn waited() -> Duration {
        loop_without_processor() + kept_by_the_host()
    }

    /// How much later than `expected` it is, without what the loop has waited for processors.
    fn late(self, expected: Duration) -> Duration {
        let passed = self.at.elapsed();
        let waited = Self::waited().saturating_sub(self.waited);
        passed.saturating_sub(expected).saturating_sub(waited)
    }
}

/// The worst lateness seen.
#[derive(Clone, Default)]
struct Worst(Arc<AtomicU64>);

impl Worst {
    fn note(&self, late: Duration) {
        self.0.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// As many plain threads as the loop has at most, all of which wait in the same period.
const PLAIN_THREADS: usize = 4;

/// Their name.
const PLAIN: &str = "plain";

/// How late the shortest sleeps of plain threads are until they are told to end, without what they wait for processors.
fn machine(over: &Arc<AtomicBool>) -> Vec<thread::JoinHandle<Duration>> {
    let sleep_on = |over: Arc<AtomicBool>| {
        let mut worst = Duration::ZERO;
        let waited = || without_processor("/proc/thread-self");
        while !over.load(Ordering::Relaxed) {
            let (before, waited_before) = (Instant::now(), waited());
            thread::sleep(Duration::from_millis(1));
            let late = before.elapsed().saturating_sub(Duration::from_millis(1));
            worst = worst.max(late.saturating_sub(waited() - waited_before));
        }
        worst
    };
    (0..PLAIN_THREADS)
        .map(|_| {
            let over = over.clone();
            let thread = thread::Builder::new().name(PLAIN.into());
            thread.spawn(move || sleep_on(over)).unwrap()
        })
        .collect()
}

/// Sleeps again and again, noting how late it wakes.
async fn sleeper(over: Arc<AtomicBool>, worst: Worst) -> usize {
    let mut wakes = 0;
    while !over.load(Ordering::Relaxed) {
        let since = Since::now();
        asyncio::sleep_until(since.at + Duration::from_millis(2)).await;
        worst.note(since.late(Duration::from_millis(2)));
        wakes += 1;
    }
    wakes
}

/// Asks an echo server again and again, noting how long the answer takes.
async fn asker(address: std::net::SocketAddr, over: Arc<AtomicBool>, worst: Worst) -> usize {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answers = 0;
    while !over.load(Ordering::Relaxed) {
        let asked = Since::now();
        stream.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        worst.note(asked.late(Duration::ZERO));
        answers += 1;
        sleep(secs(0.001)).await;
    }
    answers
}

async fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 4];
    while stream.read_exact(&mut bytes).await.is_ok() {
        stream.write_all(&bytes).await.unwrap();
    }
}

/// Starts `count` tasks that note how long they wait for their turn.
fn start_noting(count: usize, worst: &Worst) {
    for _ in 0..count {
        let (made, worst) = (Since::now(), worst.clone());
        create_task(async move { worst.note(made.late(Duration::ZERO)) }).detach();
    }
}

/// Blocks its worker, right after it has queued tasks and set a timer there.
async fn stuck(worst: Worst, tasks: usize) {
    let (since, timer) = (Since::now(), worst.clone());
    create_task(async move {
        asyncio::sleep_until(since.at + Duration::from_millis(50)).await;
        timer.note(since.late(Duration::from_millis(50)));
    })
    .detach();
    // Its timer is in this worker's wheel.
    yield_now().await;
    start_noting(tasks, &worst);
    thread::sleep(STUCK);
}

/// Lets `tasks` be queued behind a stuck task, with sleeps and echoes going on; the worst lateness.
fn lateness_beside_a_stuck_worker(workers: usize, tasks: usize) -> Duration {
    let mut runner = Runner::builder().workers(workers).build().unwrap();
    let (worst, over) = (Worst::default(), Arc::new(AtomicBool::new(false)));
    let (noted, ends) = (worst.clone(), over.clone());
    let counts = runner.run(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = create_task(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                create_task(echo(stream)).detach();
            }
        });
        let sleeps = create_task(sleeper(ends.clone(), noted.clone()));
        let answers = create_task(asker(address, ends.clone(), noted.clone()));
        sleep(secs(0.05)).await;
        create_task(stuck(noted.clone(), tasks)).await.unwrap();
        ends.store(true, Ordering::Relaxed);
        let counts = (sleeps.await.unwrap(), answers.await.unwrap());
        server.abort();
        counts
    });
    let (sleeps, answers) = counts.unwrap();
    assert!(sleeps > 100 && answers > 100, "things went on: {sleeps} sleeps, {answers} answers");
    worst.get()
}

/// The most that the loop may be late, given what the machine does to a plain thread meanwhile.
fn within_bounds(what: &str, measure: impl FnOnce() -> Duration) {
    let over = Arc::new(AtomicBool::new(false));
    let machine = machine(&over);
    let worst = measure();
    over.store(true, Ordering::Relaxed);
    let plain = machine.into_iter().map(|thread| thread.join().unwrap()).max();
    // What is measured has up to three waits in it: two workers and a server.
    let bound = LATE + 3 * plain.unwrap_or_default();
    assert!(worst <= bound, "{what}: {worst:?} late, of {bound:?}");
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn one_task_behind_a_stuck_worker_is_found() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|poison| poison.into_inner());
    within_bounds("one task", || lateness_beside_a_stuck_worker(2, 1));
}

#[test]
fn many_tasks_behind_a_stuck_worker_are_found() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|poison| poison.into_inner());
    within_bounds("many tasks", || lateness_beside_a_stuck_worker(4, 50));
}

/// Main itself blocks: everything else goes on.
#[test]
fn a_main_that_blocks_delays_nobody_else() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|poison| poison.into_inner());
    within_bounds("beside main", || {
        let (worst, over) = (Worst::default(), Arc::new(AtomicBool::new(false)));
        let (noted, ends) = (worst.clone(), over.clone());
        let run = |event_loop: EventLoop| async move {
            let sleeps = create_task(sleeper(ends.clone(), noted.clone()));
            start_noting(1, &noted);
            assert_eq!(event_loop, get_running_loop());
            thread::sleep(STUCK);
            ends.store(true, Ordering::Relaxed);
            assert!(sleeps.await.unwrap() > 100);
        };
        let mut runner = Runner::builder().workers(2).build().unwrap();
        let event_loop = runner.get_loop();
        runner.run(run(event_loop)).unwrap();
        worst.get()
    });
}
