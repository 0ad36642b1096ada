//! Lets a test go on when all has come to rest.

use asyncio::{TaskId, all_tasks, current_task, get_running_loop, yield_now};
use std::sync::{Mutex, MutexGuard};

/// The tasks that are in [`settle`].
static SETTLING: Mutex<Vec<TaskId>> = Mutex::new(Vec::new());

fn settling() -> MutexGuard<'static, Vec<TaskId>> {
    SETTLING.lock().unwrap()
}

struct Settling(TaskId);

impl Drop for Settling {
    fn drop(&mut self) {
        let mut settling = settling();
        let own = settling.iter().position(|task| *task == self.0);
        settling.swap_remove(own.expect("it was entered"));
    }
}

/// Lets callbacks that are queued run, and every other task of the loop until it waits, however many workers there are.
///
/// What one brings about while others are looked at is seen in the next of several looks. Tasks that settle too are not waited for.
pub(crate) async fn settle() {
    let own = current_task().expect("only tasks settle").id();
    settling().push(own);
    let _settling = Settling(own);
    let mut looks = 0;
    while looks < 10 {
        yield_now().await;
        after_callbacks().await;
        looks = if others_wait() { looks + 1 } else { 0 };
    }
}

fn others_wait() -> bool {
    let tasks = all_tasks();
    let settling = settling();
    tasks.iter().all(|task| task.is_waiting() || task.done() || settling.contains(&task.id()))
}

/// Lets everything run that was queued with `call_soon` before this.
async fn after_callbacks() {
    let event_loop = get_running_loop();
    let queued = event_loop.create_future::<(), String>();
    let setter = queued.clone();
    event_loop.call_soon(move || {
        // Refused if whoever settles was cancelled meanwhile.
        let _ = setter.set_result(());
    });
    queued.await.unwrap();
}
