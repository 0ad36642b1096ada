//! Main: a future that stays in its caller's frame.

mod common;

use asyncio_task::{JoinError, Task, with_borrowed};
use common::{Alive, Bomb, Loop, Remote, poll_once};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;

/// Runs `main` as a task of `lp` until it ends or nothing is left to do.
fn run<F: Future>(
    lp: &'static Loop,
    main: F,
) -> (Option<Result<(), JoinError>>, Option<F::Output>) {
    with_borrowed(main, |main| {
        let mut task = lp.spawn_local(main);
        lp.run();
        let joined = task.try_result();
        if joined.is_none() {
            assert!(task.abort());
            lp.run();
        }
        joined
    })
}

#[test]
fn main_may_borrow_and_return_what_it_borrowed() {
    let lp = Loop::new();
    let (text, count) = (String::from("frame"), Cell::new(0));
    let (joined, output) = run(lp, async {
        count.set(count.get() + 1);
        &text
    });
    assert!(matches!(joined, Some(Ok(()))));
    assert!(std::ptr::eq(output.unwrap(), &text));
    assert_eq!(count.get(), 1);
}

#[test]
fn main_is_a_task_that_can_wait_and_be_woken() {
    let (lp, remote) = (Loop::new(), Remote::default());
    let other = remote.clone();
    lp.spawn(async move { other.finish() }).detach();
    let (steps, wait) = (RefCell::new(Vec::new()), remote.future(3));
    let (joined, output) = with_borrowed(
        async {
            steps.borrow_mut().push("start");
            let value = wait.await;
            steps.borrow_mut().push("end");
            value
        },
        |main| {
            let mut task = lp.spawn_local(main);
            // Main first, so that it waits when the other task wakes it.
            assert!(lp.queued() == 2 && !task.done());
            asyncio_task::Host::tasks(lp).snapshot().iter().for_each(|task| assert!(!task.done()));
            let token_of_other = lp.step_second();
            assert!(token_of_other);
            lp.run();
            task.try_result()
        },
    );
    assert!(matches!(joined, Some(Ok(()))));
    assert_eq!((output, steps.into_inner()), (Some(3), vec!["start", "end"]));
}

/// Lets the second token of the queue run before the first.
trait StepSecond {
    fn step_second(&'static self) -> bool;
}

impl StepSecond for Loop {
    fn step_second(&'static self) -> bool {
        self.rotate();
        self.step()
    }
}

#[test]
fn an_aborted_main_is_dropped_before_the_frame_ends() {
    let (lp, alive) = (Loop::new(), Alive::default());
    let token = alive.token();
    let watch = alive.clone();
    let (joined, output) = run(lp, async move {
        let _token = token;
        pending::<()>().await;
    });
    assert!(joined.is_none() && output.is_none());
    assert_eq!(watch.count(), 0);
}

#[test]
fn a_main_that_panics_is_dropped_in_place_and_tells() {
    let (lp, alive) = (Loop::new(), Alive::default());
    let token = alive.token();
    let (joined, output) = run(lp, async move {
        let _token = token;
        panic!("main");
    });
    let output: Option<()> = output;
    assert!(output.is_none());
    assert_eq!(joined.unwrap().unwrap_err().as_panic().unwrap().message(), "main");
    assert_eq!(alive.count(), 0);
}

#[test]
fn the_frame_may_end_before_the_task() {
    let (lp, alive) = (Loop::new(), Alive::default());
    let token = alive.token();
    let local = Cell::new(0);
    // The task outlives the frame: what it holds is inert from then on.
    let (mut task, output) = with_borrowed(
        async {
            let _token = token;
            local.set(local.get() + 1);
            pending::<()>().await;
        },
        |main| {
            let task = lp.spawn_local(main);
            lp.run();
            task
        },
    );
    assert_eq!((local.get(), output, alive.count()), (1, None, 0));
    asyncio_task::Host::tasks(lp).snapshot().iter().for_each(|task| assert!(task.abort()));
    lp.run();
    assert!(task.try_result().unwrap().unwrap_err().is_cancelled());
}

#[test]
fn an_inert_main_is_pending() {
    let (mut escaped, output) = with_borrowed(async { 1 }, |main| main);
    assert_eq!((format!("{escaped:?}").as_str(), output), ("Borrowed { revoked: true }", None));
    assert!(poll_once(&mut escaped).is_pending());
}

#[test]
fn a_panic_of_the_body_takes_the_pointer_away_and_drops_the_future() {
    let (lp, alive) = (Loop::new(), Alive::default());
    let token = alive.token();
    let escaped: Rc<RefCell<Option<Task<()>>>> = Rc::default();
    let slot = escaped.clone();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        with_borrowed(
            async move {
                let _token = token;
                pending::<()>().await;
            },
            |main| {
                *slot.borrow_mut() = Some(lp.spawn_local(main));
                lp.run();
                panic!("body");
            },
        )
    }));
    assert!(unwound.is_err());
    assert_eq!(alive.count(), 0);
    let task = escaped.borrow_mut().take().unwrap();
    assert!(task.abort());
    lp.run();
    assert!(task.cancelled());
}

#[test]
fn the_borrowed_future_is_dropped_with_its_stand_in() {
    let alive = Alive::default();
    let token = alive.token();
    let watch = alive.clone();
    with_borrowed(
        async move {
            let _token = token;
        },
        |main| {
            assert_eq!(watch.count(), 1);
            drop(main);
            assert_eq!(watch.count(), 0);
        },
    );
}

#[test]
fn bad_destructors_in_the_frame_drop_nothing_twice() {
    // Of the future when it is aborted.
    let lp = Loop::new();
    let (_, output) = run(lp, async {
        let _bomb = Bomb("future");
        pending::<()>().await;
    });
    assert!(output.is_none());
    assert!(lp.reports()[0].ends_with("never retrieved: the task panicked: future"));

    // Of what is left of the future when its output is made: the output gives way.
    let (lp, alive) = (Loop::new(), Alive::default());
    let (token, bomb) = (alive.token(), Bomb("left over"));
    let mut token = Some(token);
    let (joined, output) = run(
        lp,
        std::future::poll_fn(move |_| {
            let _keep = &bomb;
            Poll::Ready(token.take())
        }),
    );
    assert!(joined.unwrap().unwrap_err().is_panic());
    assert_eq!((output.is_some(), alive.count()), (false, 0));
}

#[test]
fn an_output_that_the_body_leaves_is_returned_and_else_dropped_once() {
    let alive = Alive::default();
    let token = alive.token();
    let ((), output) = with_borrowed(async move { token }, |mut main| {
        assert!(poll_once(&mut main).is_ready());
        assert!(poll_once(&mut main).is_ready(), "an end is an end");
    });
    assert_eq!(alive.count(), 1);
    drop(output);
    assert_eq!(alive.count(), 0);
}
