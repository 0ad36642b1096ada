//! A run on one worker.

use asyncio::Runner;

/// [`asyncio::run`] on one worker, where everything is in asyncio's order.
pub(crate) fn run_in_order<F: IntoFuture>(main: F) -> F::Output {
    let mut runner = Runner::builder().workers(1).build().unwrap();
    let outcome = runner.run(main);
    runner.close();
    outcome.unwrap()
}
