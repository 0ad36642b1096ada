//! Waking from another thread.

use crate::baton::{Baton, Countdown};
use crate::report::Report;
use crate::runtime::{Runtime, Setup, in_task};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// One operation: a thread wakes a task of an otherwise idle runtime by its waker, and the task unparks the thread.
pub fn round_trip<R: Runtime>(setup: Setup) -> Report {
    let (baton, ended) = (Arc::new(Baton::default()), Countdown::new(1));
    let (task_baton, task_ended) = (baton.clone(), ended.clone());
    in_task::<R, _>(setup, async move {
        let (answer, answered) = std::sync::mpsc::sync_channel::<()>(1);
        let waker = thread::spawn(move || {
            let start = Instant::now();
            for _ in 0..setup.n {
                baton.pass();
                answered.recv().expect("the task is there");
            }
            ended.arrive();
            Report::per_op(setup.n, start.elapsed())
        });
        for _ in 0..setup.n {
            task_baton.take().await;
            answer.send(()).expect("the thread is there");
        }
        task_ended.wait().await;
        waker.join().expect("the thread does not panic")
    })
}
