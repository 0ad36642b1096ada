//! CPython's tests on smol's executor.

mod ported;

mod executor {
    use async_executor::LocalExecutor;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    thread_local! {
        static EXECUTOR: LocalExecutor<'static> = const { LocalExecutor::new() };
    }

    pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
        EXECUTOR.with(|executor| executor.spawn(future).detach());
    }

    /// Ticks by hand: so its queue is first in, first out, and a deadlock is noticed.
    pub(crate) fn run<T>(main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
                return output;
            }
            let ran = EXECUTOR.with(LocalExecutor::try_tick);
            assert!(ran, "deadlock: nothing is ready and main is not done");
        }
    }
}
