//! The system refuses threads: the loop goes on, a job is run by the threads that there are or is refused aloud, and none is orphaned.
//!
//! The limit is on all processes of a user, and root has none; so each test runs itself again as a process of a user of its own.
//!
//! Not under ThreadSanitizer: that starts a process to find the names that its suppressions are about.
#![cfg(all(target_os = "linux", not(tsan)))]

use asyncio::{SubmitError, create_task, get_running_loop, run, secs, sleep, to_thread};
use rustix::process::{Resource, Rlimit, getrlimit, getuid, setrlimit};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Mutex, mpsc};

const INSIDE: &str = "ASYNCIO_TEST_REFUSED_THREADS";

/// No process else runs as this user.
const LONELY_USER: u32 = 61_234;

/// A process that is started while another test still writes its copy inherits that file open for writing, and then the copy
/// cannot be run: so one test at a time copies and starts.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// From here on the system refuses every thread.
fn refuse_threads() {
    let maximum = getrlimit(Resource::Nproc).maximum;
    setrlimit(Resource::Nproc, Rlimit { current: Some(0), maximum }).unwrap();
    let refused = std::thread::Builder::new().spawn(|| ()).map(drop).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock, "the limit works: {refused}");
}

/// Runs `test` in a process of its own, which runs as a user of its own if this one may choose.
fn in_a_process_of_its_own(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|poison| poison.into_inner());
    // A copy, because a stranger may not be able to reach the build's folder.
    let folder = std::env::temp_dir().join(format!("asyncio-{}-{name}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let copy = folder.join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = Command::new(&copy);
    command.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").current_dir("/");
    // The leak sanitizer needs a process of its own, which is refused as threads are.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    if getuid().is_root() {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(LONELY_USER).gid(LONELY_USER);
    }
    let output = command.output();
    std::fs::remove_dir_all(&folder).unwrap();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "the test ran: {text}");
}

#[test]
fn without_any_thread_a_job_is_refused_and_the_loop_goes_on() {
    in_a_process_of_its_own("without_any_thread_a_job_is_refused_and_the_loop_goes_on", || {
        run(async {
            refuse_threads();
            let event_loop = get_running_loop();
            let refused = event_loop.run_in_executor(None, || unreachable!("no thread")).take();
            let error = match refused.await {
                Err(asyncio::FutureError::Exception(error)) => error,
                other => panic!("{:?}", other.map(|never: ()| never)),
            };
            assert!(matches!(error.downcast_ref().unwrap(), SubmitError::NoThread(_)), "{error}");
            let panicked = create_task(to_thread(|| ())).await.unwrap_err();
            let message = panicked.as_panic().unwrap().message().to_owned();
            assert!(message.starts_with("to_thread: no thread for the job: "), "{message}");
            sleep(secs(0.001)).await;
            assert_eq!(create_task(async { 5 }).await.unwrap(), 5);
        });
    });
}

#[test]
fn with_one_thread_every_job_is_run() {
    in_a_process_of_its_own("with_one_thread_every_job_is_run", || {
        run(async {
            let (go_on, gate) = mpsc::channel::<()>();
            let (started, has_started) = asyncio::sync::oneshot::channel();
            let first = create_task(to_thread(move || {
                started.send(()).unwrap();
                gate.recv().unwrap();
            }));
            has_started.await.unwrap();
            refuse_threads();
            let jobs: Vec<_> = (0..100).map(|i| create_task(to_thread(move || i))).collect();
            asyncio::yield_now().await;
            go_on.send(()).unwrap();
            first.await.unwrap();
            let mut sum = 0;
            for job in jobs {
                sum += job.await.unwrap();
            }
            assert_eq!(sum, 4950);
        });
    });
}

#[test]
fn without_threads_for_its_workers_a_loop_goes_on() {
    in_a_process_of_its_own("without_threads_for_its_workers_a_loop_goes_on", || {
        let mut runner = asyncio::Runner::builder().workers(4).build().unwrap();
        let told = std::sync::Arc::new(Mutex::new(Vec::new()));
        let messages = told.clone();
        runner.get_loop().set_exception_handler(Some(
            move |_: &asyncio::EventLoop, report: &asyncio::ExceptionContext| {
                messages.lock().unwrap().push(report.message.clone());
            },
        ));
        refuse_threads();
        runner
            .run(async {
                let tasks: Vec<_> = (0..1_000).map(|i| create_task(async move { i })).collect();
                let mut sum = 0;
                for task in tasks {
                    sum += task.await.unwrap();
                }
                assert_eq!(sum, 499_500);
                sleep(secs(0.02)).await;
            })
            .unwrap();
        let mut told = told.lock().unwrap().clone();
        told.sort();
        let expected = [1, 2, 3].map(|i| format!("the loop goes on without worker {i}: no thread"));
        assert_eq!(told, expected, "each is told of once");
    });
}
