//! `ASYNCIO_SEED` and `ASYNCIO_SEEDS`, and the report of a test that fails: read from child processes that run a test of this file.

use asyncio::{create_task, yield_now};
use std::env;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Set for the children, which alone are to fail.
const CHILD: &str = "SIM_ENVIRONMENT_CHILD";
const FAILS: &str = "fails";

#[asyncio::test]
async fn child() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    println!("first number {}", asyncio::sim::rng().next_u64());
    let last = Arc::new(AtomicU32::new(0));
    let tasks = [1, 2].map(|number| {
        let last = last.clone();
        create_task(async move {
            yield_now().await;
            last.store(number, Ordering::Relaxed);
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    let may_fail = env::var_os(CHILD).is_some_and(|value| value == FAILS);
    assert!(!may_fail || last.load(Ordering::Relaxed) == 2, "expected: the first was last");
}

struct Ran {
    succeeded: bool,
    output: String,
}

impl Ran {
    fn line(&self, start: &str) -> &str {
        let line = self.output.lines().find_map(|line| line.trim_start().strip_prefix(start));
        line.unwrap_or_else(|| panic!("no line {start:?} in {}", self.output)).trim()
    }

    fn runs(&self) -> usize {
        self.output.matches("first number").count()
    }
}

fn run_child(seed: Option<&str>, seeds: Option<&str>) -> Ran {
    run_child_that(FAILS, seed, seeds)
}

fn run_child_that(does: &str, seed: Option<&str>, seeds: Option<&str>) -> Ran {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(CHILD, does).env("RUST_BACKTRACE", "0");
    for (name, value) in [("ASYNCIO_SEED", seed), ("ASYNCIO_SEEDS", seeds)] {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let ran = command.output().unwrap();
    let output = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    Ran { succeeded: ran.status.success(), output }
}

#[test]
fn without_words_a_test_runs_the_schedule_of_its_name() {
    let [one, other] = [run_child(None, None), run_child(None, None)];
    assert_eq!(one.runs(), other.runs());
    assert_eq!(one.line("first number"), other.line("first number"));
}

#[test]
fn a_failure_is_seen_again_by_what_it_says() {
    let found = run_child(Some("1"), Some("1000"));
    assert!(!found.succeeded, "{}", found.output);
    assert!(found.output.contains("expected: the first was last"), "{}", found.output);
    let command = found.line("once more:");
    let seed = command.strip_prefix("ASYNCIO_SEED=").unwrap();
    let seed = seed.strip_suffix(" cargo test child").expect(command);
    assert!(!run_child(Some(seed), None).succeeded);

    let attribute = found.line("as a test:");
    let schedule = attribute.strip_prefix("#[asyncio::test(replay = \"").unwrap();
    let schedule = schedule.strip_suffix("\")]").expect(attribute);
    let again = run_child(Some(schedule), None);
    assert!(!again.succeeded && again.runs() >= 1);
    assert_eq!(again.line("as a test:"), attribute);
}

#[test]
fn the_number_of_schedules_is_the_environments() {
    assert_eq!(run_child_that("passes", None, None).runs(), 1);
    // The fifty-first and the hundred-and-first are run twice.
    let ran = run_child_that("passes", Some("0x1"), Some("120"));
    assert!(ran.succeeded);
    assert_eq!(ran.runs(), 122);
}

#[test]
fn what_the_variables_cannot_mean_is_refused() {
    for (seed, seeds, told) in [
        (Some("seven"), None, "ASYNCIO_SEED is \"seven\""),
        (None, Some("0"), "ASYNCIO_SEEDS is \"0\""),
        (None, Some("many"), "ASYNCIO_SEEDS is \"many\""),
    ] {
        let ran = run_child(seed, seeds);
        assert!(!ran.succeeded && ran.output.contains(told), "{}", ran.output);
    }
}

#[test]
fn any_seed_is_another_one() {
    let drawn = [(); 2].map(|()| run_child(Some("random"), None).line("first number").to_owned());
    assert_ne!(drawn[0], drawn[1]);
}
