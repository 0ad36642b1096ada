//! How exact the timers of a thread are.
//!
//! Linux lets a thread that waits with a time limit sleep on for its *timer slack*, 50 us unless it was told otherwise, so that several threads
//! can be woken at once. A loop's thread has one wait for all its timers: it has batched them itself, and the slack only makes them late.

/// This thread's waits end on time until this is dropped; then its slack is again what it was.
#[derive(Debug)]
pub struct ExactTimers(#[cfg(target_os = "linux")] Option<std::num::NonZeroU64>);

/// Makes this thread's waits end on time, where the system has something to say about it. Threads that it starts meanwhile inherit that.
#[cfg(target_os = "linux")]
pub fn exact_timers() -> ExactTimers {
    use rustix::thread::{current_timer_slack, set_current_timer_slack};
    let before = current_timer_slack().ok().and_then(std::num::NonZeroU64::new);
    // A system that refuses has timers that are a little late.
    let set = set_current_timer_slack(Some(std::num::NonZeroU64::MIN));
    ExactTimers(before.filter(|_| set.is_ok()))
}

/// Makes this thread's waits end on time, where the system has something to say about it.
#[cfg(not(target_os = "linux"))]
pub fn exact_timers() -> ExactTimers {
    ExactTimers()
}

#[cfg(target_os = "linux")]
impl Drop for ExactTimers {
    fn drop(&mut self) {
        if self.0.is_some() {
            // It was set before, so it can be set back.
            let _ = rustix::thread::set_current_timer_slack(self.0);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::thread::current_timer_slack;

    #[test]
    fn the_slack_is_given_back() {
        let before = current_timer_slack().unwrap();
        assert!(before > 1, "the test says nothing where there is no slack");
        {
            let _outer = exact_timers();
            assert_eq!(current_timer_slack().unwrap(), 1);
            drop(exact_timers());
            assert_eq!(current_timer_slack().unwrap(), 1);
        }
        assert_eq!(current_timer_slack().unwrap(), before);
    }
}
