//! Ctrl-C and other signals, after CPython's `test_runners.py` (`test_interrupt_*`) and `test_unix_events.py` (`SelectorEventLoopSignalTests`).
//!
//! Each test starts this binary again as a child that does one thing on its main thread, sends it real signals, and looks at what it printed and how it
//! ended. (The usual harness runs no test on the main thread, so this file brings a small one of its own.) The child says on standard output when
//! it is ready for a signal.
//!
//! Not under ThreadSanitizer: it keeps a signal back until the thread calls something that it knows, and a loop sleeps in a bare system call.

#![cfg_attr(any(not(unix), tsan), allow(unused))]

#[cfg(any(not(unix), tsan))]
fn main() {}

#[cfg(all(unix, not(tsan)))]
fn main() {
    unix::main();
}

#[cfg(all(unix, not(tsan)))]
mod unix {
    use asyncio::{
        ContextVar, Future, RunError, Runner, SignalError, all_tasks, catch_cancelled, create_task,
        current_task, get_running_loop, new_event_loop, run, secs, sleep, with_finally, yield_now,
    };
    use std::future::pending;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    // ----- the harness

    const CHILD: &str = "ASYNCIO_TEST_CHILD";

    /// A test: what its child does, and what its parent looks at.
    type Test = (&'static str, fn(), fn(&str));

    macro_rules! tests {
        ($($test:ident),* $(,)?) => {
            const TESTS: &[Test] = &[$((stringify!($test), $test::child, $test::parent)),*];
        };
    }

    pub(super) fn main() {
        if let Ok(name) = std::env::var(CHILD) {
            take_signals();
            let test = TESTS.iter().find(|(known, ..)| *known == name);
            return test.expect("a test of this file").1();
        }
        let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
        let wanted = |name: &str| filter.as_ref().is_none_or(|filter| name.contains(filter));
        let mut ran = 0;
        for (name, _, parent) in TESTS.iter().filter(|(name, ..)| wanted(name)) {
            parent(name);
            println!("test {name} ... ok");
            ran += 1;
        }
        println!("\ntest result: ok. {ran} passed; 0 failed\n");
    }

    /// Takes the system's action for the signals of the tests: what starts the tests in the background may have them ignored, and children inherit that.
    fn take_signals() {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2] {
            // SAFETY: the action is the system's own, so there is no handler that could do anything wrong.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }

    /// A running child.
    struct Started {
        child: Child,
        stdout: BufReader<ChildStdout>,
    }

    fn start(test: &str) -> Started {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(CHILD, test)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Started { child, stdout }
    }

    impl Started {
        /// Waits for the line `expected`.
        fn line(&mut self, expected: &str) -> &mut Self {
            let mut line = String::new();
            self.stdout.read_line(&mut line).unwrap();
            assert_eq!(line.trim_end(), expected, "{}", self.stderr());
            self
        }

        fn signal(&mut self, signal: i32) -> &mut Self {
            // SAFETY: the call takes no pointers. The child has not been waited for, so the number is its own.
            assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
            self
        }

        fn press(&mut self) -> &mut Self {
            self.signal(libc::SIGINT)
        }

        fn stderr(&mut self) -> String {
            let mut text = String::new();
            if let Some(mut stderr) = self.child.stderr.take() {
                let _ = self.child.kill();
                stderr.read_to_string(&mut text).unwrap();
            }
            text
        }

        /// How the child ended, and what it printed since the last line.
        fn end(&mut self) -> (ExitStatus, String) {
            let mut rest = String::new();
            self.stdout.read_to_string(&mut rest).unwrap();
            (self.child.wait().unwrap(), rest)
        }

        /// The child was ended by SIGINT, having printed `rest`.
        #[track_caller]
        fn ends_by_sigint(&mut self, rest: &str) {
            let (status, printed) = self.end();
            assert_eq!(printed, rest, "{}", self.stderr());
            assert_eq!(status.signal(), Some(libc::SIGINT), "{status}: {}", self.stderr());
        }

        /// The child ended well, having printed `rest`.
        #[track_caller]
        fn ends_well(&mut self, rest: &str) {
            let (status, printed) = self.end();
            assert_eq!((printed.as_str(), status.code()), (rest, Some(0)), "{}", self.stderr());
        }
    }

    fn say(text: &str) {
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).unwrap();
    }

    // ----- the tests

    tests! {
        a_main_that_sleeps_is_woken_and_cleans_up,
        a_busy_main_is_interrupted,
        what_main_waits_for_is_cancelled,
        main_may_answer_with_a_value,
        the_second_press_ends_a_main_that_goes_on,
        the_second_press_ends_a_stuck_worker,
        a_press_during_the_shutdown_ends_at_once,
        somebody_else_cancelled_main_too,
        a_runner_goes_on_after_an_interrupt,
        a_handler_set_before_is_respected,
        a_handler_set_meanwhile_is_respected,
        elsewhere_than_on_the_main_thread_nothing_is_installed,
        ctrl_c_on_a_raw_loop,
        handlers_are_called_on_the_lane,
        bad_signals_are_refused,
        a_handler_of_sigint_replaces_the_runners,
        a_removed_handler_of_sigint_leaves_the_systems,
        closing_the_loop_gives_signals_back,
        loops_that_hand_a_signal_on_give_back_what_was_before_the_first,
        a_press_as_main_panics_is_not_for_the_next_main,
    }

    /// Clean-ups with awaits run, of main and of what it left, before the program ends by the signal. Half a line that was printed is not lost.
    mod a_main_that_sleeps_is_woken_and_cleans_up {
        use super::*;

        pub(super) fn child() {
            run(async {
                let clean_up = || async {
                    sleep(secs(0.001)).await;
                    say("left cleaned up");
                };
                create_task(with_finally(pending::<()>(), clean_up)).detach();
                yield_now().await;
                let wait = async {
                    say("ready");
                    sleep(secs(3600.0)).await;
                };
                let clean_up = || async {
                    sleep(secs(0.001)).await;
                    say("main cleaned up");
                    print!("half a line");
                };
                with_finally(wait, clean_up).await;
                say("never");
            });
            say("never");
        }

        pub(super) fn parent(test: &str) {
            let rest = "main cleaned up\nhalf a lineleft cleaned up\n";
            start(test).line("ready").press().ends_by_sigint(rest);
        }
    }

    /// CPython test_runners: test_interrupt_call_soon
    mod a_busy_main_is_interrupted {
        use super::*;

        pub(super) fn child() {
            let mut runner = Runner::new().unwrap();
            let outcome = runner.run(async {
                say("ready");
                loop {
                    yield_now().await;
                }
            });
            assert_eq!(outcome, Err::<(), _>(RunError::Interrupted));
            runner.close();
            say("interrupted");
        }

        pub(super) fn parent(test: &str) {
            start(test).line("ready").press().ends_well("interrupted\n");
        }
    }

    /// CPython test_runners: test_interrupt_wait
    mod what_main_waits_for_is_cancelled {
        use super::*;

        pub(super) fn child() {
            let mut runner = Runner::new().unwrap();
            let event_loop = runner.get_loop();
            let waited_for: Future<()> = event_loop.create_future();
            let future = waited_for.clone();
            let outcome = runner.run(async move {
                say("ready");
                future.await
            });
            assert_eq!(outcome.unwrap_err(), RunError::Interrupted);
            assert!(waited_for.cancelled());
            let outcome = runner.run(async {
                let task = create_task(pending::<()>());
                say("again");
                task.await
            });
            assert_eq!(outcome.unwrap_err(), RunError::Interrupted);
            runner.close();
        }

        pub(super) fn parent(test: &str) {
            start(test).line("ready").press().line("again").press().ends_well("");
        }
    }

    /// The contract's row 5: main caught the cancel and returned.
    mod main_may_answer_with_a_value {
        use super::*;

        pub(super) fn child() {
            let answer = run(async {
                let wait = async {
                    say("ready");
                    pending::<()>().await;
                };
                catch_cancelled(wait).await.unwrap_err().swallow();
                sleep(secs(0.001)).await;
                42
            });
            say(&answer.to_string());
            // And the system's handler is back.
            assert!(!is_caught());
        }

        pub(super) fn parent(test: &str) {
            start(test).line("ready").press().ends_well("42\n");
        }
    }

    /// The contract's row 3.
    mod the_second_press_ends_a_main_that_goes_on {
        use super::*;

        pub(super) fn child() {
            run(async {
                let wait = async {
                    say("ready");
                    pending::<()>().await;
                };
                let clean_up = || async {
                    say("cleaning up");
                    pending::<()>().await;
                };
                with_finally(wait, clean_up).await;
            });
        }

        pub(super) fn parent(test: &str) {
            start(test).line("ready").press().line("cleaning up").press().ends_by_sigint("");
        }
    }

    /// A worker that never comes back to its loop hears of no first press; the second is not the loop's business.
    mod the_second_press_ends_a_stuck_worker {
        use super::*;

        pub(super) fn child() {
            run(async {
                say("ready");
                loop {
                    std::thread::park();
                }
            });
        }

        pub(super) fn parent(test: &str) {
            // Two that are pending at once count as one: so again, until the second has come.
            let mut child = start(test);
            child.line("ready");
            while child.child.try_wait().unwrap().is_none() {
                child.press();
            }
            child.ends_by_sigint("");
        }
    }

    /// Between main's end and the end of the program the system's handler is back: a hanging clean-up of a leftover holds nobody up.
    mod a_press_during_the_shutdown_ends_at_once {
        use super::*;

        pub(super) fn child() {
            run(async {
                let clean_up = || async {
                    say("hanging");
                    pending::<()>().await;
                };
                create_task(with_finally(pending::<()>(), clean_up)).detach();
                yield_now().await;
            });
        }

        pub(super) fn parent(test: &str) {
            start(test).line("hanging").press().ends_by_sigint("");
        }
    }

    /// CPython test_runners: test_asyncio_run_without_uncancel
    ///
    /// The contract's row 4: a cancel of somebody else's is left, so main was cancelled.
    mod somebody_else_cancelled_main_too {
        use super::*;

        pub(super) fn child() {
            let mut runner = Runner::new().unwrap();
            let outcome = runner.run(async {
                say("ready");
                let clean_up = || async {
                    current_task().unwrap().cancel();
                };
                with_finally(pending::<()>(), clean_up).await;
            });
            assert!(matches!(outcome, Err(RunError::Cancelled(_))), "{outcome:?}");
            runner.close();
        }

        pub(super) fn parent(test: &str) {
            start(test).line("ready").press().ends_well("");
        }
    }

    /// CPython test_runners: test_interrupt_cancelled_task
    ///
    /// Each run has its own first press.
    mod a_runner_goes_on_after_an_interrupt {
        use super::*;

        pub(super) fn child() {
            let mut runner = Runner::new().unwrap();
            for _ in 0..3 {
                let outcome = runner.run(async {
                    say("ready");
                    sleep(secs(3600.0)).await;
                });
                assert_eq!(outcome, Err(RunError::Interrupted));
            }
            assert_eq!(runner.run(async { 1 }), Ok(1));
            runner.close();
            say("closed");
        }

        pub(super) fn parent(test: &str) {
            let mut child = start(test);
            for _ in 0..3 {
                child.line("ready").press();
            }
            child.ends_well("closed\n");
        }
    }

    /// Counts the signals that reach it, besides whoever else hears of them.
    fn register_own(signal: i32) -> Arc<AtomicUsize> {
        let heard = Arc::new(AtomicUsize::new(0));
        let count = heard.clone();
        let action = move || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        // SAFETY: the action is one atomic operation.
        unsafe { signal_hook_registry::register(signal, action) }.unwrap();
        heard
    }

    /// Whether somebody has a handler of SIGINT.
    fn is_caught() -> bool {
        // SAFETY: all zeros is a valid `sigaction`, and the call fills it in.
        let action = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGINT, std::ptr::null(), &mut action);
            action
        };
        action.sa_sigaction != libc::SIG_DFL
    }

    /// The contract's first sentence of Ctrl-C.
    mod a_handler_set_before_is_respected {
        use super::*;

        pub(super) fn child() {
            let heard = register_own(libc::SIGINT);
            run(async {
                say("ready");
                while heard.load(Ordering::SeqCst) == 0 {
                    sleep(secs(0.001)).await;
                }
                yield_now().await;
                assert_eq!(current_task().unwrap().cancelling(), 0);
            });
            assert!(is_caught(), "the program's handler stays");
            say("went on");
        }

        pub(super) fn parent(test: &str) {
            start(test).line("ready").press().ends_well("went on\n");
        }
    }

    /// The program's handler calls ours, which was there before it: ours knows that it is not wanted.
    mod a_handler_set_meanwhile_is_respected {
        use super::*;

        pub(super) fn child() {
            run(async {
                let heard = register_own(libc::SIGINT);
                say("ready");
                while heard.load(Ordering::SeqCst) == 0 {
                    sleep(secs(0.001)).await;
                }
                yield_now().await;
                assert_eq!(current_task().unwrap().cancelling(), 0);
            });
            assert!(is_caught(), "the program's handler stays");
            say("went on");
        }

        pub(super) fn parent(test: &str) {
            start(test).line("ready").press().ends_well("went on\n");
        }
    }

    /// CPython test_runners: test_signal_install_not_supported_ok
    mod elsewhere_than_on_the_main_thread_nothing_is_installed {
        use super::*;

        pub(super) fn child() {
            let thread = std::thread::spawn(|| {
                run(async {
                    assert!(!is_caught());
                    say("ready");
                    sleep(secs(3600.0)).await;
                });
            });
            thread.join().unwrap();
        }

        pub(super) fn parent(test: &str) {
            start(test).line("ready").press().ends_by_sigint("");
        }
    }

    /// Program P-loop-6
    mod ctrl_c_on_a_raw_loop {
        use super::*;

        pub(super) fn child() {
            let event_loop = new_event_loop().unwrap();
            let stopper = event_loop.clone();
            event_loop.add_signal_handler(libc::SIGINT, move || stopper.stop()).unwrap();
            for number in 0..10 {
                let sleeper = with_finally(sleep(secs(3600.0)), move || async move {
                    yield_now().await;
                    say(&format!("ended {number}"));
                });
                event_loop.create_task(sleeper).detach();
            }
            let outcome = event_loop.run_until_complete(async {
                yield_now().await;
                say("ready");
                sleep(secs(3600.0)).await;
            });
            assert_eq!(outcome, Err(RunError::Stopped));
            let tasks = event_loop.all_tasks();
            assert_eq!(tasks.len(), 10);
            for task in &tasks {
                assert!(task.cancel());
            }
            for task in &tasks {
                event_loop.run_until_complete(task).unwrap();
            }
            assert!(tasks.iter().all(|task| task.cancelled()) && event_loop.all_tasks().is_empty());
            event_loop.close().unwrap();
        }

        pub(super) fn parent(test: &str) {
            let mut child = start(test);
            let (status, printed) = child.line("ready").press().end();
            let mut ended: Vec<&str> = printed.lines().collect();
            ended.sort_unstable();
            let expected: Vec<String> = (0..10).map(|number| format!("ended {number}")).collect();
            assert_eq!(
                (ended, status.code()),
                (expected.iter().map(String::as_str).collect(), Some(0)),
                "{}",
                child.stderr()
            );
        }
    }

    /// CPython test_events: test_add_signal_handler, test_signal_handling_args
    ///
    /// The callback is a loop callback: in the context of the one who set it, and it may use the loop.
    mod handlers_are_called_on_the_lane {
        use super::*;

        static WHO: ContextVar<&str> = ContextVar::new("who");

        pub(super) fn child() {
            run(async {
                let event_loop = get_running_loop();
                let first = event_loop.create_future::<(), String>();
                event_loop.add_signal_handler(libc::SIGUSR1, || unreachable!("replaced")).unwrap();
                WHO.set("setter");
                let setter = first.clone();
                let call = move || {
                    assert_eq!(WHO.get(), Some("setter"));
                    let setter = setter.clone();
                    get_running_loop().call_soon(move || {
                        say("called");
                        let _ = setter.set_result(());
                    });
                };
                event_loop.add_signal_handler(libc::SIGUSR1, call).unwrap();
                WHO.set("main");
                say("ready");
                first.await.unwrap();
                assert!(event_loop.remove_signal_handler(libc::SIGUSR1));
                assert!(!event_loop.remove_signal_handler(libc::SIGUSR1));
                say("removed");
                sleep(secs(3600.0)).await;
            });
        }

        pub(super) fn parent(test: &str) {
            let mut child = start(test);
            child.line("ready").signal(libc::SIGUSR1).line("called").line("removed");
            let (status, _) = child.signal(libc::SIGUSR1).end();
            assert_eq!(status.signal(), Some(libc::SIGUSR1), "the system's action is back");
        }
    }

    /// CPython test_unix_events: test_add_signal_handler_setup_error, test_remove_signal_handler
    mod bad_signals_are_refused {
        use super::*;

        pub(super) fn child() {
            let event_loop = new_event_loop().unwrap();
            let add = |signal| event_loop.add_signal_handler(signal, || {}).unwrap_err();
            for signal in [0, -1, 129, i32::MAX, i32::MIN] {
                assert_eq!(add(signal), SignalError::NoSignal(signal));
                assert!(!event_loop.remove_signal_handler(signal));
            }
            assert_eq!(add(libc::SIGKILL), SignalError::CannotBeCaught(libc::SIGKILL));
            let message = format!("signal {} cannot be caught", libc::SIGSTOP);
            assert_eq!(add(libc::SIGSTOP).to_string(), message);
            assert_eq!(add(0).to_string(), "0 is not a valid signal number");
            std::thread::scope(|scope| {
                scope.spawn(|| assert_eq!(add(libc::SIGUSR1), SignalError::NotMainThread));
            });
            // The last of Linux.
            assert!(
                cfg!(not(target_os = "linux")) || event_loop.add_signal_handler(64, || {}).is_ok()
            );
            event_loop.close().unwrap();
            assert_eq!(add(libc::SIGUSR1), SignalError::Closed);
        }

        pub(super) fn parent(test: &str) {
            start(test).ends_well("");
        }
    }

    /// The contract's last row of signals.
    mod a_handler_of_sigint_replaces_the_runners {
        use super::*;

        pub(super) fn child() {
            run(async {
                let event_loop = get_running_loop();
                let heard = event_loop.create_future::<(), String>();
                let setter = heard.clone();
                let hear = move || {
                    let _ = setter.set_result(());
                };
                event_loop.add_signal_handler(libc::SIGINT, hear).unwrap();
                say("ready");
                heard.await.unwrap();
                assert_eq!(current_task().unwrap().cancelling(), 0);
                assert!(event_loop.remove_signal_handler(libc::SIGINT));
                assert_eq!(all_tasks().len(), 1);
                // Now it is the runner's again.
                let wait = async {
                    say("removed");
                    pending::<()>().await;
                };
                catch_cancelled(wait).await.unwrap_err().swallow();
                event_loop.add_signal_handler(libc::SIGINT, || {}).unwrap();
            });
            // The loop was closed after the run: what the handler had replaced was the runner's, and is gone.
            assert!(!is_caught());
            say("done");
        }

        pub(super) fn parent(test: &str) {
            start(test).line("ready").press().line("removed").press().ends_well("done\n");
        }
    }

    /// CPython test_unix_events: test_remove_signal_handler_2
    ///
    /// Outside a run Ctrl-C is the system's again.
    mod a_removed_handler_of_sigint_leaves_the_systems {
        use super::*;

        pub(super) fn child() {
            let event_loop = new_event_loop().unwrap();
            event_loop.add_signal_handler(libc::SIGINT, || {}).unwrap();
            event_loop.add_signal_handler(libc::SIGHUP, || {}).unwrap();
            assert!(is_caught());
            assert!(event_loop.remove_signal_handler(libc::SIGINT));
            assert!(!is_caught());
            assert!(!event_loop.remove_signal_handler(libc::SIGINT));
            event_loop.close().unwrap();
            say("removed");
            loop {
                std::thread::park();
            }
        }

        pub(super) fn parent(test: &str) {
            start(test).line("removed").press().ends_by_sigint("");
        }
    }

    /// CPython test_unix_events: test_close
    mod closing_the_loop_gives_signals_back {
        use super::*;

        pub(super) fn child() {
            let event_loop = new_event_loop().unwrap();
            event_loop.add_signal_handler(libc::SIGINT, || {}).unwrap();
            event_loop.add_signal_handler(libc::SIGUSR2, || {}).unwrap();
            assert!(is_caught());
            event_loop.close().unwrap();
            assert!(!is_caught());
            say("closed");
            loop {
                std::thread::park();
            }
        }

        pub(super) fn parent(test: &str) {
            let (status, _) = start(test).line("closed").signal(libc::SIGUSR2).end();
            assert_eq!(status.signal(), Some(libc::SIGUSR2));
        }
    }
    /// Two loops that are open at a time want the same signal, which was ignored before.
    mod loops_that_hand_a_signal_on_give_back_what_was_before_the_first {
        use super::*;

        pub(super) fn child() {
            // SAFETY: to ignore a signal calls nothing.
            unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
            let loops = [new_event_loop().unwrap(), new_event_loop().unwrap()];
            for event_loop in &loops {
                event_loop.add_signal_handler(libc::SIGHUP, || {}).unwrap();
            }
            loops.into_iter().for_each(|event_loop| event_loop.close().unwrap());
            // SAFETY: raises a signal that is ignored, or ends this process.
            unsafe { libc::raise(libc::SIGHUP) };
            say("ignored");
        }

        pub(super) fn parent(test: &str) {
            start(test).ends_well("ignored\n");
        }
    }

    /// It comes after the loop's last look.
    mod a_press_as_main_panics_is_not_for_the_next_main {
        use super::*;
        use std::panic::{AssertUnwindSafe, catch_unwind};

        pub(super) fn child() {
            let mut runner = Runner::builder().workers(1).build().unwrap();
            let panicking = async {
                // SAFETY: raises a signal that has a handler, the runner's.
                let press = || assert_eq!(unsafe { libc::raise(libc::SIGINT) }, 0);
                get_running_loop().call_soon(press);
                panic!("of main");
            };
            let panicked = catch_unwind(AssertUnwindSafe(|| runner.run(panicking)));
            assert!(panicked.is_err());
            let next = async {
                sleep(secs(0.001)).await;
                "went on"
            };
            say(runner.run(next).unwrap());
            runner.close();
        }

        pub(super) fn parent(test: &str) {
            start(test).ends_well("went on\n");
        }
    }
}
