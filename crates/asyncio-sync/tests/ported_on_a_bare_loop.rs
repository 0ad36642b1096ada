//! CPython's tests on a loop as small as it can be: one thread and one queue, which notices a deadlock.

mod ported;

mod executor {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Wake, Waker};

    type Body = Pin<Box<dyn Future<Output = ()>>>;
    type Ready = Arc<Mutex<VecDeque<usize>>>;

    thread_local! {
        /// All tasks that were made, by number; empty once they have ended or while they run.
        static TASKS: RefCell<Vec<Option<Body>>> = RefCell::default();
        static READY: Ready = Ready::default();
    }

    /// Puts a task in the ready queue, once.
    struct TaskWaker {
        queued: AtomicBool,
        number: usize,
        ready: Ready,
    }

    impl Wake for TaskWaker {
        fn wake(self: Arc<Self>) {
            if !self.queued.swap(true, Ordering::Relaxed) {
                self.ready.lock().unwrap().push_back(self.number);
            }
        }
    }

    /// A task that keeps its waker beside it.
    pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
        let number = TASKS.with_borrow(Vec::len);
        let queued = AtomicBool::new(false);
        let task = Arc::new(TaskWaker { queued, number, ready: READY.with(Arc::clone) });
        let waker = Waker::from(task.clone());
        let mut future = Box::pin(future);
        let body = std::future::poll_fn(move |_| {
            task.queued.store(false, Ordering::Relaxed);
            future.as_mut().poll(&mut Context::from_waker(&waker))
        });
        TASKS.with_borrow_mut(|tasks| tasks.push(Some(Box::pin(body))));
        READY.with(|ready| ready.lock().unwrap().push_back(number));
    }

    pub(crate) fn run<T>(main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
                READY.with(|ready| ready.lock().unwrap().clear());
                drop(TASKS.take());
                return output;
            }
            let next = READY.with(|ready| ready.lock().unwrap().pop_front());
            step(next.expect("deadlock: nothing is ready and main is not done"));
        }
    }

    fn step(number: usize) {
        let body = TASKS.with_borrow_mut(|tasks| tasks[number].take());
        let Some(mut body) = body else { return };
        if body.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            TASKS.with_borrow_mut(|tasks| tasks[number] = Some(body));
        }
    }
}
