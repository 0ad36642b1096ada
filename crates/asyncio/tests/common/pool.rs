//! Several futures that are polled as `FuturesUnordered` polls its own: only what was woken, each with a waker of its own, few in one turn.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// The most that are polled in one turn.
const MOST: usize = 2;

/// Ends when all of them have.
pub(crate) struct Pool<F>(Vec<Member<F>>);

struct Member<F> {
    future: F,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken {
    is_set: AtomicBool,
    pool: Mutex<Option<Waker>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_set.store(true, Ordering::Relaxed);
        let pool = self.pool.lock().unwrap().take();
        pool.into_iter().for_each(Waker::wake);
    }
}

impl<F> Pool<F> {
    pub(crate) fn new(futures: impl IntoIterator<Item = F>) -> Self {
        let member = |future| {
            let woken = Arc::<Woken>::default();
            woken.is_set.store(true, Ordering::Relaxed);
            Member { future, woken }
        };
        Pool(futures.into_iter().map(member).collect())
    }
}

impl<F: Future<Output = ()> + Unpin> Future for Pool<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        for member in &self.0 {
            *member.woken.pool.lock().unwrap() = Some(cx.waker().clone());
        }
        for _ in 0..MOST {
            let is_woken = |member: &Member<F>| member.woken.is_set.load(Ordering::Relaxed);
            let Some(next) = self.0.iter().position(is_woken) else { break };
            // To the back: the others come first.
            let mut member = self.0.remove(next);
            member.woken.is_set.store(false, Ordering::Relaxed);
            let waker = Waker::from(member.woken.clone());
            let polled = Pin::new(&mut member.future).poll(&mut Context::from_waker(&waker));
            if polled.is_pending() {
                self.0.push(member);
            }
        }
        if self.0.iter().any(|member| member.woken.is_set.load(Ordering::Relaxed)) {
            cx.waker().wake_by_ref();
        }
        if self.0.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}
