//! How exact the timers of a thread are.
//!
//! Linux lets a thread that waits with a time limit sleep on for its *timer slack*, 50 us unless it was told otherwise, so that several threads
//! can be woken at once. A loop's thread has one wait for all its timers: it has batched them itself, and the slack only makes them late.
//!
//! The slack is changed before the first wait that has a limit: a loop that never waits so, or is there for a moment, makes no call for it.

#[cfg(target_os = "linux")]
use std::cell::Cell;
#[cfg(target_os = "linux")]
use std::num::NonZeroU64;

/// What this thread wants of its timers.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
enum Slack {
    /// What the system gives.
    Given,
    /// None, from the next wait that has a limit.
    Unwanted,
    /// None, and it was this before, if that could be changed.
    Gone(Option<NonZeroU64>),
}

#[cfg(target_os = "linux")]
thread_local! {
    static SLACK: Cell<Slack> = const { Cell::new(Slack::Given) };
}

/// This thread's waits end on time until this is dropped, if each is told of by [`wait_exactly`]; then its slack is again what it was.
#[derive(Debug)]
pub struct ExactTimers(());

/// Makes this thread's waits end on time, where the system has something to say about it. Threads that it starts meanwhile may inherit that.
///
/// Inside another one it changes nothing.
#[cfg(target_os = "linux")]
pub fn exact_timers() -> Option<ExactTimers> {
    let is_given = matches!(SLACK.get(), Slack::Given);
    is_given.then(|| {
        SLACK.set(Slack::Unwanted);
        ExactTimers(())
    })
}

/// To be called before a wait that has a limit.
#[cfg(target_os = "linux")]
#[inline]
pub fn wait_exactly() {
    if let Slack::Unwanted = SLACK.get() {
        change();
    }
}

#[cfg(target_os = "linux")]
#[cold]
fn change() {
    use rustix::thread::{current_timer_slack, set_current_timer_slack};
    let before = current_timer_slack().ok().and_then(NonZeroU64::new);
    // A system that refuses has timers that are a little late.
    let set = set_current_timer_slack(Some(NonZeroU64::MIN));
    SLACK.set(Slack::Gone(before.filter(|_| set.is_ok())));
}

#[cfg(target_os = "linux")]
impl Drop for ExactTimers {
    fn drop(&mut self) {
        if let Slack::Gone(before @ Some(_)) = SLACK.replace(Slack::Given) {
            // It was set before, so it can be set back.
            let _ = rustix::thread::set_current_timer_slack(before);
        }
    }
}

/// Makes this thread's waits end on time, where the system has something to say about it.
#[cfg(not(target_os = "linux"))]
pub fn exact_timers() -> Option<ExactTimers> {
    Some(ExactTimers(()))
}

/// To be called before a wait that has a limit.
#[cfg(not(target_os = "linux"))]
#[inline]
pub fn wait_exactly() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::thread::current_timer_slack;

    #[test]
    fn the_slack_goes_with_the_first_wait_and_is_given_back() {
        let slack = || current_timer_slack().unwrap();
        let before = slack();
        assert!(before > 1, "the test says nothing where there is no slack");
        wait_exactly();
        assert_eq!(slack(), before, "nobody wants it");
        {
            let outer = exact_timers();
            assert_eq!(slack(), before, "nobody waits yet");
            let inner = exact_timers();
            wait_exactly();
            assert_eq!(slack(), 1);
            drop(inner);
            assert_eq!(slack(), 1);
            drop(outer);
        }
        assert_eq!(slack(), before);
        drop(exact_timers());
        wait_exactly();
        assert_eq!(slack(), before);
    }
}
