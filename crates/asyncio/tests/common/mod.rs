//! What the tests of the facade share: a log, a loop that runs pass by pass, and a record of what was reported.
#![allow(dead_code, unused_imports, unreachable_pub)] // Each test file uses its part.

mod in_order;
mod settle;

use asyncio::{EventLoop, ExceptionContext, TaskHandle};
pub(crate) use in_order::run_in_order;
pub(crate) use settle::settle;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

/// What happened, in order. Clones are the same log.
#[derive(Debug)]
pub struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Log(self.0.clone())
    }
}

impl<T> Log<T> {
    pub fn new() -> Self {
        Log(Arc::new(Mutex::new(Vec::new())))
    }

    pub fn push(&self, entry: T) {
        self.0.lock().unwrap().push(entry);
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Takes what was noted since the last time.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<T: Send + 'static> Log<T> {
    /// A callback that notes `entry`.
    pub fn note(&self, entry: T) -> impl FnOnce() + Send + 'static {
        let log = self.clone();
        move || log.push(entry)
    }

    /// A done-callback that notes `entry`.
    pub fn noted<F: ?Sized>(&self, entry: T) -> impl FnOnce(&F) + Send + 'static {
        let log = self.clone();
        move |_| log.push(entry)
    }
}

/// A loop with as many workers as the environment says: for rows that hold with any number.
pub fn new_loop() -> EventLoop {
    asyncio::new_event_loop().unwrap()
}

/// A loop with one worker, where everything is in asyncio's order: for rows of cycle order.
pub fn loop_in_order() -> EventLoop {
    EventLoop::with_workers(1).unwrap()
}

/// Runs exactly one pass if the loop has one worker: `stop` comes before the run. Several workers have no passes in common: then
/// everything runs until it waits.
pub fn one_pass(event_loop: &EventLoop) {
    if event_loop.workers() > 1 {
        return event_loop.run_until_complete(settle()).unwrap();
    }
    event_loop.stop();
    event_loop.run_forever().unwrap();
}

/// A report to an exception handler, as far as tests look at it.
#[derive(Debug)]
pub struct Report {
    pub message: String,
    pub exception: Option<String>,
    pub task: Option<TaskHandle>,
    pub task_name: Option<String>,
    pub line: Option<u32>,
}

/// Sets a handler that notes what it is told.
pub fn reports(event_loop: &EventLoop) -> Log<Report> {
    let log = Log::new();
    let noted = log.clone();
    event_loop.set_exception_handler(Some(move |_: &EventLoop, context: &ExceptionContext| {
        noted.push(Report {
            message: context.message.clone(),
            exception: context.exception.as_ref().map(|error| error.to_string()),
            task: context.task.clone(),
            task_name: context.task_name.as_ref().map(|name| name.to_string()),
            line: context.source.map(|source| source.line()),
        });
    }));
    log
}

/// The message of the only report.
pub fn only_message(reports: &Log<Report>) -> String {
    let mut reports = reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    reports.remove(0).message
}

/// Runs one test of this binary in a process of its own, for what goes to standard error. The test looks at [`is_child`].
pub fn in_child(test: &str) -> Output {
    let binary = std::env::current_exe().unwrap();
    let mut command = Command::new(binary);
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    // Some children misuse a loop so that it cannot be closed: what it holds is lost, and the leak sanitizer need not say so.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    command.output().unwrap()
}

const CHILD: &str = "ASYNCIO_TEST_CHILD";

/// Whether this process was started by [`in_child`].
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// What a child wrote to standard error; it must have succeeded.
pub fn stderr_of_child(test: &str) -> String {
    let output = in_child(test);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// The message of the panic that `code` ends in.
pub fn panic_message<R>(code: impl FnOnce() -> R) -> String {
    let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(code)) else {
        panic!("the code was expected to panic");
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&'static str>().unwrap()).to_owned(),
    }
}

/// Notes its destruction.
#[derive(Debug)]
pub struct Dropped(Arc<AtomicBool>);

impl Dropped {
    /// The value to be dropped, and the place to look whether it was.
    pub fn new() -> (Self, Arc<AtomicBool>) {
        let dropped = Arc::new(AtomicBool::new(false));
        (Dropped(dropped.clone()), dropped)
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Panics when dropped.
#[derive(Debug)]
pub struct Bomb(pub &'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// A waker of another executor: counts its wakes, and panics first if it is told to.
#[derive(Debug, Default)]
pub struct Foreign {
    pub wakes: AtomicUsize,
    pub panics: bool,
}

impl Foreign {
    pub fn waker(panics: bool) -> (Waker, Arc<Foreign>) {
        let foreign = Arc::new(Foreign { wakes: AtomicUsize::new(0), panics });
        (Waker::from(foreign.clone()), foreign)
    }
}

impl Wake for Foreign {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "a foreign waker panics");
    }
}
