//! CPython's tests on Tokio's current-thread runtime.

mod ported;

mod executor {
    use std::future::Future;
    use tokio::runtime::Builder;
    use tokio::task::LocalSet;

    pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
        drop(tokio::task::spawn_local(future));
    }

    pub(crate) fn run<T>(main: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().build().expect("a runtime of one thread");
        LocalSet::new().block_on(&runtime, main)
    }
}
