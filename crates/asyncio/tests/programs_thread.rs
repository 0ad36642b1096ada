//! The programs of blocking code, as `docs/cookbook/thread.md` tells them: what must be seen of each.
//!
//! What takes time is not slept for: each part waits for the others, so that only parts that run at once come to an end.

use asyncio::{
    ContextVar, ThreadPoolExecutor, create_task, gather, get_running_loop, new_event_loop, run,
    run_coroutine_threadsafe, secs, sleep, to_thread,
};
use std::collections::HashSet;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Program P-thread-1
#[test]
fn three_downloads_go_on_beside_each_other_and_a_sleep() {
    const EACH: Duration = Duration::from_millis(50);
    let start = Instant::now();
    let bytes: u64 = run(async {
        let event_loop = get_running_loop();
        let together = Arc::new(Barrier::new(3));
        let parts: Vec<_> = (1..=3_u64)
            .map(|part| {
                let together = together.clone();
                event_loop.run_in_executor(None, move || {
                    together.wait(); // ends only if all three run at once
                    thread::sleep(EACH);
                    part * 100
                })
            })
            .collect();
        sleep(EACH).await;
        let parts = gather(parts).await.unwrap();
        parts.into_iter().map(|part| part.unwrap()).sum()
    });
    assert_eq!(bytes, 600);
    assert!(start.elapsed() >= EACH);
}

/// Program P-thread-2
#[test]
fn the_future_of_a_job_is_shown_before_and_after() {
    run(async {
        let (go_on, gate) = mpsc::channel::<()>();
        let job = move || {
            gate.recv().unwrap();
            111
        };
        let future = get_running_loop().run_in_executor(None, job);
        assert_eq!(format!("{future:?}"), "<Future pending>");
        go_on.send(()).unwrap();
        assert_eq!(future.clone().await.unwrap(), 111);
        assert_eq!(format!("{future:?}"), "<Future finished result=111>");
    });
}

/// Program P-thread-3
#[test]
fn a_function_has_its_arguments_and_the_context() {
    static FIRST: ContextVar<u32> = ContextVar::new("first");
    static SECOND: ContextVar<String> = ContextVar::new("second");
    run(async {
        FIRST.set(1);
        SECOND.set("two".to_owned());
        let (a, b, c) = (3, "four".to_owned(), [5, 6]);
        let call = move || format!("{a} {b} {c:?} {:?} {:?}", FIRST.get(), SECOND.get());
        assert_eq!(to_thread(call).await, r#"3 four [5, 6] Some(1) Some("two")"#);
        // A task that inherits the context hands it on.
        let task = create_task(async { to_thread(|| FIRST.get()).await });
        FIRST.set(2);
        assert_eq!(task.await.unwrap(), Some(1));
    });
}

/// Program P-thread-4
#[test]
fn a_pool_of_four_threads_runs_four_at_once_and_can_be_the_default() {
    run(async {
        let event_loop = get_running_loop();
        let pool = ThreadPoolExecutor::named("mine", 4);
        let together = Arc::new(Barrier::new(4));
        let names: Vec<_> = (0..16)
            .map(|_| {
                let together = together.clone();
                event_loop.run_in_executor(Some(&pool), move || {
                    together.wait();
                    thread::current().name().unwrap().to_owned()
                })
            })
            .collect();
        let mut seen = HashSet::new();
        for name in names {
            seen.insert(name.await.unwrap());
        }
        assert_eq!(seen, ["mine_0", "mine_1", "mine_2", "mine_3"].map(str::to_owned).into());

        event_loop.set_default_executor(pool).unwrap();
        let name = to_thread(|| thread::current().name().unwrap().to_owned()).await;
        assert!(name.starts_with("mine_"), "{name}");
        let (go_on, gate) = mpsc::channel::<()>();
        let last = event_loop.run_in_executor(None, move || gate.recv().is_ok());
        let shutdown = create_task(event_loop.shutdown_default_executor(None));
        asyncio::yield_now().await;
        assert!(!shutdown.done(), "a job is under way, and the loop runs on");
        go_on.send(()).unwrap();
        shutdown.await.unwrap().unwrap();
        assert!(last.await.unwrap());
        assert!(event_loop.run_in_executor(None, || ()).await.is_err());
    });
}

/// Program P-thread-5
#[test]
fn plain_code_asks_a_loop_that_runs_elsewhere() {
    let event_loop = new_event_loop().unwrap();
    let elsewhere = event_loop.clone();
    let runner = thread::spawn(move || elsewhere.run_forever().unwrap());

    let quick = async {
        sleep(secs(0.01)).await;
        (111, thread::current().id())
    };
    let mut task = run_coroutine_threadsafe(quick, &event_loop).unwrap();
    let (answer, thread) = task.blocking_result(Some(secs(60.0))).unwrap();
    assert_eq!(answer, 111);
    assert_ne!(thread, thread::current().id(), "on a worker of the loop");

    let (sender, unwound) = mpsc::channel();
    let slow = async move {
        struct Tell(mpsc::Sender<()>);
        impl Drop for Tell {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let _tell = Tell(sender);
        sleep(secs(3600.0)).await;
    };
    let mut task = run_coroutine_threadsafe(slow, &event_loop).unwrap();
    assert!(task.blocking_result(Some(secs(0.01))).unwrap_err().is_timeout());
    assert!(!task.done());
    assert!(task.cancel());
    assert!(task.blocking_result(Some(secs(60.0))).unwrap_err().is_cancelled());
    unwound.recv().unwrap();

    let stop = event_loop.clone();
    event_loop.call_soon_threadsafe(move || stop.stop()).unwrap();
    runner.join().unwrap();
    event_loop.close().unwrap();
    assert!(run_coroutine_threadsafe(async {}, &event_loop).is_err());
}
