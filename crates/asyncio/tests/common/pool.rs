//! Several futures that are polled as `FuturesUnordered` polls its own: only what was woken, each with a waker of its own, in the order in which they were
//! woken, and no more in a turn once some have woken themselves.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// A turn ends after so many that have woken themselves.
const MOST: usize = 2;

/// Ends when all of them have.
pub(crate) struct Pool<F> {
    futures: Vec<Option<F>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    woken: Mutex<VecDeque<usize>>,
    waiter: Mutex<Option<Waker>>,
}

/// One future's waker.
struct Member(Arc<Shared>, usize);

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        let mut woken = self.0.woken.lock().unwrap();
        if !woken.contains(&self.1) {
            woken.push_back(self.1);
        }
        drop(woken);
        let waiter = self.0.waiter.lock().unwrap().take();
        waiter.into_iter().for_each(Waker::wake);
    }
}

impl<F> Pool<F> {
    pub(crate) fn new(futures: impl IntoIterator<Item = F>) -> Self {
        let futures: Vec<Option<F>> = futures.into_iter().map(Some).collect();
        let shared = Arc::<Shared>::default();
        shared.woken.lock().unwrap().extend(0..futures.len());
        Pool { futures, shared }
    }
}

impl<F: Future<Output = ()> + Unpin> Future for Pool<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared.clone();
        *shared.waiter.lock().unwrap() = Some(cx.waker().clone());
        let mut have_woken_themselves = 0;
        while have_woken_themselves < MOST {
            let next = shared.woken.lock().unwrap().pop_front();
            let Some(index) = next else { break };
            let Some(future) = &mut self.futures[index] else { continue };
            let waker = Waker::from(Arc::new(Member(shared.clone(), index)));
            if Pin::new(future).poll(&mut Context::from_waker(&waker)).is_ready() {
                self.futures[index] = None;
            } else if shared.woken.lock().unwrap().contains(&index) {
                have_woken_themselves += 1;
            }
        }
        if !shared.woken.lock().unwrap().is_empty() {
            cx.waker().wake_by_ref();
        }
        if self.futures.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    }
}
