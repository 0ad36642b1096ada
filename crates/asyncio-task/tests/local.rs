//! Tasks that stay on their thread, and what may leave it all the same.

mod common;

use common::{Loop, Remote};
use std::cell::Cell;
use std::rc::Rc;
use std::thread::{self, ThreadId};

/// `!Send`, and particular about the thread it is dropped on.
struct Homely {
    home: ThreadId,
    drops: Rc<Cell<usize>>,
}

impl Homely {
    fn new(drops: &Rc<Cell<usize>>) -> Self {
        Homely { home: thread::current().id(), drops: drops.clone() }
    }
}

impl Drop for Homely {
    fn drop(&mut self) {
        assert_eq!(thread::current().id(), self.home);
        self.drops.set(self.drops.get() + 1);
    }
}

#[test]
fn wakers_and_handles_may_go_elsewhere_and_be_the_last() {
    let (lp, remote, drops) = (Loop::new(), Remote::default(), Rc::new(Cell::new(0)));
    let (wait, homely) = (remote.future(()), Homely::new(&drops));
    let task = lp.spawn_local(async move {
        wait.await;
        homely
    });
    lp.run();
    let (waker, handle) = (remote.take_waker(), task.handle());
    remote.set_ready();
    let handle = thread::spawn(move || {
        waker.wake_by_ref();
        drop(waker);
        handle
    })
    .join()
    .unwrap();
    assert_eq!((lp.run(), drops.get(), task.done()), (1, 0, true));
    drop(task);
    assert_eq!(drops.get(), 1, "the output goes with the handle, on its thread");
    thread::spawn(move || drop(handle)).join().unwrap();
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_cancel_from_elsewhere_is_carried_out_at_home() {
    let (lp, drops) = (Loop::new(), Rc::new(Cell::new(0)));
    for abort in [false, true] {
        let homely = Homely::new(&drops);
        let task = lp.spawn_local(async move {
            std::future::pending::<()>().await;
            drop(homely);
        });
        lp.run();
        let (handle, before) = (task.handle(), drops.get());
        thread::spawn(move || if abort { handle.abort() } else { handle.cancel() }).join().unwrap();
        assert_eq!((drops.get(), lp.queued()), (before, 1));
        lp.run();
        assert_eq!((drops.get(), task.cancelled()), (before + 1, true));
    }
}

#[test]
fn a_watcher_elsewhere_does_not_draw_the_output_to_it() {
    let (lp, other, remote, drops) =
        (Loop::new(), Loop::new(), Remote::default(), Rc::new(Cell::new(0)));
    let (wait, homely) = (remote.future(()), Homely::new(&drops));
    let task = lp.spawn_local(async move {
        wait.await;
        homely
    });
    let handle = task.handle();
    drop(task);
    let watcher = other.spawn(async move { (&handle).await });
    other.run();
    lp.run();
    remote.finish();
    lp.run();
    assert_eq!((drops.get(), other.queued()), (1, 1));
    thread::spawn(move || other.run()).join().unwrap();
    assert!(watcher.done());
}

#[test]
fn a_refused_local_task_is_dropped_here() {
    let (lp, drops) = (Loop::new(), Rc::new(Cell::new(0)));
    asyncio_task::Host::tasks(lp).set_closed(true);
    let homely = Homely::new(&drops);
    let task = lp.spawn_local(async move { homely });
    assert_eq!((drops.get(), task.cancelled()), (1, true));
}
