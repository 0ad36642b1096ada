//! How long a thread was on a processor.

use std::time::Duration;

/// The time that this thread has spent on a processor; `None` where the system does not say.
#[cfg(unix)]
pub fn thread_time() -> Option<Duration> {
    let mut time = std::mem::MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer leads to room for the answer.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so it has filled the answer in.
    let time = unsafe { time.assume_init() };
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// The time that this thread has spent on a processor; `None` where the system does not say.
#[cfg(not(unix))]
pub fn thread_time() -> Option<Duration> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_while_the_thread_works() {
        let begun = thread_time().unwrap();
        while thread_time().unwrap() == begun {
            std::hint::spin_loop();
        }
        assert!(thread_time().unwrap() > begun);
    }
}
