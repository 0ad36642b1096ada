//! A cancel that was caught, and whose handler a timeout ends.

use asyncio::sim::rng;
use asyncio::{catch_cancelled, create_task, current_task, secs, sleep, sometimes, timeout};

/// The clean-up after a cancel from outside takes too long for the timeout round it: the timeout ends it, and the cancel goes on, as in asyncio, where a
/// timeout that finds more requests than there were when it began leaves the error as it is.
#[asyncio::test(seeds = 200)]
async fn a_cancel_whose_clean_up_times_out_goes_on() {
    let task = create_task(async {
        let outcome = timeout(secs(1.0), async {
            match catch_cancelled(sleep(secs(10.0))).await {
                Ok(()) => panic!("there is one second"),
                Err(cancelled) => {
                    sleep(secs(5.0)).await;
                    cancelled.propagate().await
                }
            }
        });
        let outcome: Result<(), _> = outcome.await;
        assert!(outcome.is_err());
        assert_eq!(current_task().unwrap().cancelling(), 0, "the request was lost");
    });
    // Before the timeout, with it, in the clean-up after it, with the end of that, later.
    sleep(secs([0.0, 0.5, 1.0, 3.0, 6.0, 8.0][rng().below(6) as usize])).await;
    let accepted = task.cancel();
    let outcome = task.await;
    sometimes!("the timeout comes first", !accepted);
    match outcome {
        Ok(()) => assert!(!accepted, "the request was lost"),
        Err(error) => assert!(error.is_cancelled() && accepted, "{error}"),
    }
}
