//! CPython's `test_queues`, on one thread in asyncio's order, under three executors; each test names the one it restates.
//!
//! Not restated:
//!
//! | CPython test | why |
//! |---|---|
//! | `QueueBasicTests.test_generic_alias` | a notion of Python |
//! | `QueuePutTests.test_float_maxsize` | sizes are whole numbers |
//! | `QueueBasicTests.test_str` | one `Debug` serves for `repr` and `str`; see `test_repr` |
//!
//! Where CPython lets a `get_nowait` take what a woken getter was woken for, and the getter wait again, here it is kept for the
//! getter; no test of CPython depends on it.

use crate::ported::tasks::*;
use asyncio_sync::{
    GetNowaitError, LifoQueue, PriorityQueue, PutNowaitError, Queue, QueueEmpty, QueueFull,
    QueueShutDown, TaskDoneError,
};
use std::rc::Rc;

mod basic {
    use super::*;

    /// CPython test_queues: QueueBasicTests.test_repr
    #[test]
    fn test_repr() {
        run(async {
            let queue = Rc::new(Queue::new(0));
            assert_eq!(format!("{queue:?}"), "<Queue maxsize=0>");
            let inner = queue.clone();
            let getter = create_task(async move { inner.get().await });
            pass().await;
            assert!(format!("{queue:?}").contains("_getters[1]"));
            queue.put_nowait(0).unwrap();
            assert_eq!(getter.await, Ok(Ok(0)));

            let queue = Rc::new(Queue::new(1));
            queue.put_nowait(1).unwrap();
            let inner = queue.clone();
            let putter = create_task(async move { inner.put(2).await });
            pass().await;
            assert!(format!("{queue:?}").contains("_putters[1]"));
            queue.get_nowait().unwrap();
            assert_eq!(putter.await, Ok(Ok(())));
            assert_eq!(format!("{queue:?}"), "<Queue maxsize=1 _queue[1] tasks=2>");
        });
    }

    /// CPython test_queues: QueueBasicTests.test_empty
    #[test]
    fn test_empty() {
        run(async {
            let queue = Queue::new(0);
            assert!(queue.empty());
            queue.put(1).await.unwrap();
            assert!(!queue.empty());
            assert_eq!(queue.get().await, Ok(1));
            assert!(queue.empty());
        });
    }

    /// CPython test_queues: QueueBasicTests.test_full
    #[test]
    fn test_full() {
        run(async {
            assert!(!Queue::<u32>::new(0).full());
            let queue = Queue::new(1);
            queue.put(1).await.unwrap();
            assert!(queue.full());
        });
    }

    /// CPython test_queues: QueueBasicTests.test_order
    #[test]
    fn test_order() {
        run(async {
            let queue = Queue::new(0);
            for i in [1, 3, 2] {
                queue.put(i).await.unwrap();
            }
            let items = [queue.get().await, queue.get().await, queue.get().await];
            assert_eq!(items, [Ok(1), Ok(3), Ok(2)]);
        });
    }

    /// CPython test_queues: QueueBasicTests.test_maxsize
    #[test]
    fn test_maxsize() {
        run(async {
            let (queue, have_been_put) = (Rc::new(Queue::new(2)), log());
            assert_eq!(queue.maxsize(), 2);
            let (inner, log) = (queue.clone(), have_been_put.clone());
            let task = create_task(async move {
                for i in 0..3 {
                    inner.put(i).await.unwrap();
                    log.borrow_mut().push(i);
                }
            });
            passes(2).await;
            assert_eq!(*have_been_put.borrow(), [0, 1]);
            assert_eq!(queue.get().await, Ok(0));
            pass().await;
            assert_eq!(*have_been_put.borrow(), [0, 1, 2]);
            assert_eq!((queue.get().await, queue.get().await), (Ok(1), Ok(2)));
            assert!(task.done());
        });
    }
}

mod get {
    use super::*;

    fn getter(queue: &Rc<Queue<u32>>) -> Task<Result<u32, QueueShutDown>> {
        let queue = queue.clone();
        create_task(async move { queue.get().await })
    }

    /// CPython test_queues: QueueGetTests.test_blocking_get
    #[test]
    fn test_blocking_get() {
        run(async {
            let queue = Queue::new(0);
            queue.put_nowait(1).unwrap();
            assert_eq!(queue.get().await, Ok(1));
        });
    }

    /// CPython test_queues: QueueGetTests.test_get_with_putters
    #[test]
    fn test_get_with_putters() {
        run(async {
            let queue = Rc::new(Queue::new(1));
            queue.put(1).await.unwrap();
            let inner = queue.clone();
            let putter = create_task(async move { inner.put(2).await });
            pass().await;
            assert_eq!(queue.get().await, Ok(1));
            assert_eq!(queue.statistics().putters, 0, "it was woken");
            assert_eq!(putter.await, Ok(Ok(())));
        });
    }

    /// CPython test_queues: QueueGetTests.test_blocking_get_wait
    #[test]
    fn test_blocking_get_wait() {
        run(async {
            let queue = Rc::new(Queue::new(0));
            let started = Signal::default();
            let (inner, begun) = (queue.clone(), started.clone());
            let task = create_task(async move {
                begun.set();
                inner.get().await
            });
            started.wait().await;
            assert!(!task.done());
            let inner = queue.clone();
            call_soon(move || inner.put_nowait(1).unwrap());
            assert_eq!(task.await, Ok(Ok(1)));
        });
    }

    /// CPython test_queues: QueueGetTests.test_nonblocking_get
    #[test]
    fn test_nonblocking_get() {
        let queue = Queue::new(0);
        queue.put_nowait(1).unwrap();
        assert_eq!(queue.get_nowait(), Ok(1));
    }

    /// CPython test_queues: QueueGetTests.test_nonblocking_get_exception
    #[test]
    fn test_nonblocking_get_exception() {
        let queue = Queue::<u32>::new(0);
        assert_eq!(queue.get_nowait(), Err(GetNowaitError::Empty(QueueEmpty)));
    }

    /// CPython test_queues: QueueGetTests.test_get_cancelled_race
    #[test]
    fn test_get_cancelled_race() {
        run(async {
            let queue = Rc::new(Queue::new(0));
            let (t1, t2) = (getter(&queue), getter(&queue));
            pass().await;
            t1.cancel();
            pass().await;
            assert!(t1.done());
            queue.put(7).await.unwrap();
            pass().await;
            assert_eq!(t2.await, Ok(Ok(7)));
        });
    }

    /// CPython test_queues: QueueGetTests.test_get_with_waiting_putters
    #[test]
    fn test_get_with_waiting_putters() {
        run(async {
            let queue = Rc::new(Queue::new(1));
            for item in ["a", "b"] {
                let queue = queue.clone();
                create_task(async move { queue.put(item).await });
            }
            assert_eq!((queue.get().await, queue.get().await), (Ok("a"), Ok("b")));
        });
    }

    /// CPython test_queues: QueueGetTests.test_why_are_getters_waiting
    #[test]
    fn test_why_are_getters_waiting() {
        run(async {
            let queue = Rc::new(Queue::new(1));
            let (inner, n) = (queue.clone(), 5);
            let producer = create_task(async move {
                for i in 0..n {
                    inner.put(i).await.unwrap();
                }
            });
            let inner = queue.clone();
            let consumer = create_task(async move {
                for i in 0..n {
                    assert_eq!(inner.get().await, Ok(i));
                }
            });
            gather(vec![producer, consumer]).await;
        });
    }

    /// CPython test_queues: QueueGetTests.test_cancelled_getters_not_being_held_in_self_getters
    #[test]
    fn test_cancelled_getters_not_being_held_in_self_getters() {
        run(async {
            let queue = Rc::new(Queue::new(5));
            let task = getter(&queue);
            pass().await;
            assert_eq!(queue.statistics().getters, 1);
            task.cancel();
            assert_eq!(task.await, Err(Cancelled));
            assert_eq!(queue.statistics().getters, 0);
        });
    }

    /// CPython test_queues: QueuePutTests.test_get_cancel_drop_one_pending_reader
    #[test]
    fn test_get_cancel_drop_one_pending_reader() {
        run(async {
            let queue = Rc::new(Queue::new(0));
            let reader = getter(&queue);
            pass().await;
            queue.put_nowait(1).unwrap();
            queue.put_nowait(2).unwrap();
            reader.cancel();
            assert_eq!(reader.await, Err(Cancelled));
            assert_eq!(getter(&queue).await, Ok(Ok(1)), "2 would mean that 1 was dropped");
        });
    }

    /// CPython test_queues: QueuePutTests.test_get_cancel_drop_many_pending_readers
    #[test]
    fn test_get_cancel_drop_many_pending_readers() {
        run(async {
            let queue = Rc::new(Queue::new(0));
            let [r1, r2, r3] = [(); 3].map(|()| getter(&queue));
            pass().await;
            queue.put_nowait(1).unwrap();
            queue.put_nowait(2).unwrap();
            r1.cancel();
            assert_eq!(r1.await, Err(Cancelled));
            let mut items: Vec<u32> = gather(vec![r2, r3]).await.into_iter().flatten().collect();
            items.sort_unstable();
            assert_eq!(items, [1, 2]);
        });
    }
}

mod put {
    use super::*;

    fn putter(queue: &Rc<Queue<u32>>, item: u32) -> Task<Result<(), QueueShutDown<u32>>> {
        let queue = queue.clone();
        create_task(async move { queue.put(item).await })
    }

    /// CPython test_queues: QueuePutTests.test_blocking_put
    #[test]
    fn test_blocking_put() {
        run(async {
            let queue = Queue::new(0);
            queue.put(1).await.unwrap();
            assert_eq!(queue.get().await, Ok(1));
        });
    }

    /// CPython test_queues: QueuePutTests.test_blocking_put_wait
    #[test]
    fn test_blocking_put_wait() {
        run(async {
            let queue = Rc::new(Queue::new(1));
            let started = Signal::default();
            let (inner, begun) = (queue.clone(), started.clone());
            let task = create_task(async move {
                begun.set();
                inner.put(1).await.unwrap();
                inner.put(2).await.unwrap();
            });
            started.wait().await;
            assert!(!task.done());
            let inner = queue.clone();
            call_soon(move || assert_eq!(inner.get_nowait(), Ok(1)));
            task.await.unwrap();
            assert_eq!(queue.get_nowait(), Ok(2));
        });
    }

    /// CPython test_queues: QueuePutTests.test_nonblocking_put
    #[test]
    fn test_nonblocking_put() {
        let queue = Queue::new(0);
        queue.put_nowait(1).unwrap();
        assert_eq!(queue.get_nowait(), Ok(1));
    }

    /// CPython test_queues: QueuePutTests.test_put_cancel_drop
    #[test]
    fn test_put_cancel_drop() {
        run(async {
            let queue = Rc::new(Queue::new(1));
            queue.put_nowait(1).unwrap();
            let writer = putter(&queue, 2);
            pass().await;
            assert_eq!(queue.get_nowait(), Ok(1));
            writer.cancel();
            assert_eq!(writer.await, Err(Cancelled));
            assert_eq!(putter(&queue, 2).await, Ok(Ok(())));
            assert_eq!((queue.get_nowait(), queue.qsize()), (Ok(2), 0));
        });
    }

    /// CPython test_queues: QueuePutTests.test_nonblocking_put_exception
    #[test]
    fn test_nonblocking_put_exception() {
        let queue = Queue::new(1);
        queue.put_nowait(1).unwrap();
        assert_eq!(queue.put_nowait(2), Err(PutNowaitError::Full(QueueFull(2))));
    }

    /// CPython test_queues: QueuePutTests.test_put_cancelled
    #[test]
    fn test_put_cancelled() {
        run(async {
            let queue = Rc::new(Queue::new(0));
            let task = putter(&queue, 1);
            assert_eq!(queue.get().await, Ok(1));
            assert!(task.done());
            assert_eq!(task.result(), Ok(()));
        });
    }

    /// CPython test_queues: QueuePutTests.test_put_cancelled_race
    #[test]
    fn test_put_cancelled_race() {
        run(async {
            let queue = Rc::new(Queue::new(1));
            let [a, b, c] = [1, 2, 9].map(|item| putter(&queue, item));
            pass().await;
            assert!(a.done() && !b.done());
            c.cancel();
            pass().await;
            assert!(c.done());
            assert_eq!(queue.get_nowait(), Ok(1));
            pass().await;
            assert_eq!(queue.get_nowait(), Ok(2));
            assert_eq!(b.await, Ok(Ok(())));
        });
    }

    /// CPython test_queues: QueuePutTests.test_put_with_waiting_getters
    #[test]
    fn test_put_with_waiting_getters() {
        run(async {
            let queue = Rc::new(Queue::new(0));
            let inner = queue.clone();
            let task = create_task(async move { inner.get().await });
            pass().await;
            queue.put(7).await.unwrap();
            assert_eq!(task.await, Ok(Ok(7)));
        });
    }

    /// CPython test_queues: QueuePutTests.test_why_are_putters_waiting
    #[test]
    fn test_why_are_putters_waiting() {
        run(async {
            let queue = Rc::new(Queue::new(2));
            let inner = queue.clone();
            let getter = create_task(async move {
                pass().await;
                for _ in 0..inner.qsize() {
                    inner.get_nowait().unwrap();
                }
            });
            let putters = (0..4).map(|item| putter(&queue, item)).collect();
            assert!(gather(putters).await.iter().all(Result::is_ok));
            getter.await.unwrap();
        });
    }

    /// CPython test_queues: QueuePutTests.test_cancelled_puts_not_being_held_in_self_putters
    #[test]
    fn test_cancelled_puts_not_being_held_in_self_putters() {
        run(async {
            let queue = Rc::new(Queue::new(1));
            queue.put_nowait(1).unwrap();
            let task = putter(&queue, 1);
            pass().await;
            assert_eq!(queue.statistics().putters, 1);
            task.cancel();
            assert_eq!(task.await, Err(Cancelled));
            assert_eq!(queue.statistics().putters, 0);
        });
    }

    /// CPython test_queues: QueuePutTests.test_cancelled_put_silence_value_error_exception
    #[test]
    fn test_cancelled_put_silence_value_error_exception() {
        run(async {
            let queue = Rc::new(Queue::new(1));
            queue.put_nowait(1).unwrap();
            let task = putter(&queue, 1);
            pass().await;
            queue.get_nowait().unwrap();
            task.cancel();
            assert_eq!(task.await, Err(Cancelled));
            assert!(!queue.full(), "the room that had been kept for it is free again");
        });
    }
}

/// CPython test_queues: LifoQueueTests.test_order
#[test]
fn lifo_test_order() {
    run(async {
        let queue = LifoQueue::new(0);
        for i in [1, 3, 2] {
            queue.put(i).await.unwrap();
        }
        let items = [queue.get().await, queue.get().await, queue.get().await];
        assert_eq!(items, [Ok(2), Ok(3), Ok(1)]);
    });
}

/// CPython test_queues: PriorityQueueTests.test_order
#[test]
fn priority_test_order() {
    run(async {
        let queue = PriorityQueue::new(0);
        for i in [1, 3, 2] {
            queue.put(i).await.unwrap();
        }
        let items = [queue.get().await, queue.get().await, queue.get().await];
        assert_eq!(items, [Ok(1), Ok(2), Ok(3)]);
    });
}

/// The tests that CPython runs for each of its three queues.
macro_rules! for_each_queue {
    ($($module:ident: $queue:ident;)*) => { $(
        mod $module {
            use super::*;

            type Subject = $queue<u32>;

            /// CPython test_queues: _QueueJoinTestMixin.test_task_done_underflow
            #[test]
            fn test_task_done_underflow() {
                assert_eq!(Subject::new(0).task_done(), Err(TaskDoneError));
            }

            /// CPython test_queues: _QueueJoinTestMixin.test_task_done
            #[test]
            fn test_task_done() {
                run(async {
                    let queue = Rc::new(Subject::new(0));
                    (0..100).for_each(|i| queue.put_nowait(i).unwrap());
                    let accumulator = log();
                    let workers: Vec<_> = (0..2).map(|_| {
                        let (queue, sum) = (queue.clone(), accumulator.clone());
                        create_task(async move {
                            while let Ok(item) = queue.get().await {
                                sum.borrow_mut().push(item);
                                queue.task_done().unwrap();
                            }
                        })
                    }).collect();
                    queue.join().await;
                    assert_eq!(accumulator.borrow().iter().sum::<u32>(), (0..100).sum());
                    queue.shutdown(false);
                    gather(workers).await;
                });
            }

            /// CPython test_queues: _QueueJoinTestMixin.test_join_empty_queue
            #[test]
            fn test_join_empty_queue() {
                run(async {
                    let queue = Subject::new(0);
                    queue.join().await;
                    queue.join().await;
                });
            }

            /// CPython test_queues: _QueueJoinTestMixin.test_format
            #[test]
            fn test_format() {
                let queue = Subject::new(0);
                assert!(format!("{queue:?}").ends_with("Queue maxsize=0>"));
                queue.put_nowait(1).unwrap();
                queue.put_nowait(1).unwrap();
                queue.get_nowait().unwrap();
                queue.get_nowait().unwrap();
                assert!(format!("{queue:?}").ends_with("Queue maxsize=0 tasks=2>"));
            }

            /// CPython test_queues: _QueueShutdownTestMixin.test_format
            #[test]
            fn test_shutdown_format() {
                let queue = Subject::new(0);
                queue.shutdown(false);
                assert!(format!("{queue:?}").ends_with("Queue maxsize=0 shutdown>"));
            }

            /// No more puts, no more gets.
            async fn refuses_everything(queue: &Subject) {
                assert_eq!(queue.put(9).await, Err(QueueShutDown(9)));
                assert_eq!(queue.put_nowait(9), Err(PutNowaitError::ShutDown(QueueShutDown(9))));
                assert_eq!(queue.get().await, Err(QueueShutDown(())));
                assert_eq!(queue.get_nowait(), Err(GetNowaitError::ShutDown(QueueShutDown(()))));
            }

            fn join(queue: &Rc<Subject>) -> Task<()> {
                let queue = queue.clone();
                create_task(async move { queue.join().await })
            }

            /// CPython test_queues: _QueueShutdownTestMixin.test_shutdown_empty
            #[test]
            fn test_shutdown_empty() {
                run(async {
                    let queue = Rc::new(Subject::new(0));
                    let inner = queue.clone();
                    let getter = create_task(async move { inner.get().await });
                    pass().await;
                    queue.shutdown(false);
                    assert_eq!(queue.qsize(), 0);
                    queue.join().await;
                    pass().await;
                    assert!(getter.done());
                    assert_eq!(getter.await, Ok(Err(QueueShutDown(()))));
                    refuses_everything(&queue).await;
                });
            }

            /// CPython test_queues: _QueueShutdownTestMixin.test_shutdown_nonempty
            #[test]
            fn test_shutdown_nonempty() {
                run(async {
                    let queue = Rc::new(Subject::new(1));
                    queue.put_nowait(1).unwrap();
                    let join = join(&queue);
                    let inner = queue.clone();
                    let putter = create_task(async move { inner.put(2).await });
                    pass().await;
                    assert!(!putter.done());
                    queue.shutdown(false);
                    assert_eq!(queue.qsize(), 1);
                    pass().await;
                    assert!(putter.done());
                    assert_eq!(putter.await, Ok(Err(QueueShutDown(2))));
                    assert_eq!(queue.get().await, Ok(1));
                    pass().await;
                    assert!(!join.done());
                    refuses_everything(&queue).await;
                    queue.task_done().unwrap();
                    pass().await;
                    assert!(join.done());
                    assert_eq!(queue.task_done(), Err(TaskDoneError));
                });
            }

            /// CPython test_queues: _QueueShutdownTestMixin.test_shutdown_immediate
            #[test]
            fn test_shutdown_immediate() {
                run(async {
                    let queue = Rc::new(Subject::new(0));
                    queue.put_nowait(1).unwrap();
                    let join = join(&queue);
                    pass().await;
                    queue.shutdown(true);
                    assert_eq!(queue.qsize(), 0);
                    pass().await;
                    assert!(join.done());
                    refuses_everything(&queue).await;
                    assert_eq!(queue.task_done(), Err(TaskDoneError));
                });
            }

            /// CPython test_queues: _QueueShutdownTestMixin.test_shutdown_immediate_with_unfinished
            #[test]
            fn test_shutdown_immediate_with_unfinished() {
                run(async {
                    let queue = Rc::new(Subject::new(0));
                    queue.put_nowait(1).unwrap();
                    queue.put_nowait(1).unwrap();
                    let join = join(&queue);
                    assert_eq!(queue.get().await, Ok(1));
                    queue.shutdown(true);
                    assert_eq!(queue.qsize(), 0);
                    pass().await;
                    assert!(!join.done());
                    refuses_everything(&queue).await;
                    queue.task_done().unwrap();
                    assert_eq!(queue.task_done(), Err(TaskDoneError));
                    pass().await;
                    assert!(join.done());
                });
            }

            /// Beyond CPython: graceful, then immediate.
            #[test]
            fn shutdown_twice() {
                run(async {
                    let queue = Rc::new(Subject::new(0));
                    queue.put_nowait(1).unwrap();
                    let join = join(&queue);
                    pass().await;
                    queue.shutdown(false);
                    queue.shutdown(false);
                    assert_eq!(queue.qsize(), 1);
                    queue.shutdown(true);
                    pass().await;
                    assert!(join.done() && queue.qsize() == 0);
                });
            }
        }
    )* };
}

for_each_queue! {
    queue: Queue;
    lifo: LifoQueue;
    priority: PriorityQueue;
}
