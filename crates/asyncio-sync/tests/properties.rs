//! The three queues against a model that is too simple to be wrong: lists of numbers.
//!
//! A history is a list of operations on one thread; waiting is a future that was polled and returned `Pending`, and giving up is
//! dropping it. After every step the queue and the model agree on what came out and on all counts.

use asyncio_sync::queue::{BaseQueue, Get, Put, Store};
use asyncio_sync::{GetNowaitError, LifoQueue, PriorityQueue, PutNowaitError, Queue};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

#[derive(Clone, Debug)]
enum Op {
    PutNowait(u8),
    GetNowait,
    /// Begins to wait, or is ready at once.
    Put(u8),
    Get,
    /// Polls one of those that wait.
    PollPut(usize),
    PollGet(usize),
    DropPut(usize),
    DropGet(usize),
    TaskDone,
    ShutDown(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => any::<u8>().prop_map(Op::PutNowait),
        4 => Just(Op::GetNowait),
        6 => any::<u8>().prop_map(Op::Put),
        6 => Just(Op::Get),
        4 => (0..6usize).prop_map(Op::PollPut),
        4 => (0..6usize).prop_map(Op::PollGet),
        3 => (0..6usize).prop_map(Op::DropPut),
        3 => (0..6usize).prop_map(Op::DropGet),
        3 => Just(Op::TaskDone),
        1 => any::<bool>().prop_map(Op::ShutDown),
    ]
}

/// Takes the item whose turn it is.
type Take = fn(&mut Vec<u8>) -> u8;

#[derive(Debug)]
struct Model {
    take: Take,
    maxsize: usize,
    items: Vec<u8>,
    unfinished: usize,
    shut: bool,
    /// Identities of those who wait, in order.
    getters: VecDeque<u32>,
    putters: VecDeque<u32>,
    /// Identities of those for whom something is kept.
    chosen_getters: Vec<u32>,
    chosen_putters: Vec<u32>,
}

/// What an attempt comes to.
#[derive(Debug, PartialEq)]
enum Outcome<T> {
    Done(T),
    Refused,
    Waits,
}

impl Model {
    fn has_item(&self) -> bool {
        self.items.len() > self.chosen_getters.len()
    }

    fn has_room(&self) -> bool {
        self.maxsize == 0 || self.items.len() + self.chosen_putters.len() < self.maxsize
    }

    /// Everything that is free goes to those who wait.
    fn settle(&mut self) {
        while !self.shut && self.has_item() && !self.getters.is_empty() {
            self.chosen_getters.extend(self.getters.pop_front());
        }
        while !self.shut && self.has_room() && !self.putters.is_empty() {
            self.chosen_putters.extend(self.putters.pop_front());
        }
    }

    fn insert(&mut self, item: u8) {
        self.items.push(item);
        self.unfinished += 1;
        self.settle();
    }

    fn remove(&mut self) -> u8 {
        let item = (self.take)(&mut self.items);
        self.settle();
        item
    }

    fn try_put(&mut self, item: u8) -> Outcome<()> {
        if self.shut {
            return Outcome::Refused;
        }
        if !self.has_room() {
            return Outcome::Waits;
        }
        self.insert(item);
        Outcome::Done(())
    }

    fn try_get(&mut self) -> Outcome<u8> {
        if self.has_item() {
            return Outcome::Done(self.remove());
        }
        if self.shut { Outcome::Refused } else { Outcome::Waits }
    }

    fn poll_put(&mut self, id: u32, item: u8) -> Outcome<()> {
        if self.shut {
            return Outcome::Refused;
        }
        let Some(at) = self.chosen_putters.iter().position(|&other| other == id) else {
            return Outcome::Waits;
        };
        self.chosen_putters.remove(at);
        self.insert(item);
        Outcome::Done(())
    }

    fn poll_get(&mut self, id: u32) -> Outcome<u8> {
        if self.shut {
            return if self.items.is_empty() {
                Outcome::Refused
            } else {
                Outcome::Done(self.remove())
            };
        }
        let Some(at) = self.chosen_getters.iter().position(|&other| other == id) else {
            return Outcome::Waits;
        };
        self.chosen_getters.remove(at);
        Outcome::Done(self.remove())
    }

    fn forget(&mut self, id: u32) {
        for list in [&mut self.chosen_getters, &mut self.chosen_putters] {
            list.retain(|&other| other != id);
        }
        for list in [&mut self.getters, &mut self.putters] {
            list.retain(|&other| other != id);
        }
        self.settle();
    }

    fn shut_down(&mut self, immediate: bool) {
        self.shut = true;
        self.getters.clear();
        self.putters.clear();
        self.chosen_getters.clear();
        self.chosen_putters.clear();
        if immediate {
            self.unfinished = self.unfinished.saturating_sub(self.items.len());
            self.items.clear();
        }
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn outcome<T, U, E>(polled: Poll<Result<T, E>>, of: impl Fn(T) -> U) -> Outcome<U> {
    match polled {
        Poll::Ready(Ok(value)) => Outcome::Done(of(value)),
        Poll::Ready(Err(_)) => Outcome::Refused,
        Poll::Pending => Outcome::Waits,
    }
}

/// Runs a history against both.
struct Run<'a, S: Store<Item = u8>> {
    queue: &'a BaseQueue<S>,
    model: Model,
    gets: Vec<(u32, Get<'a, S>)>,
    puts: Vec<(u32, u8, Put<'a, S>)>,
    next_id: u32,
}

impl<'a, S: Store<Item = u8>> Run<'a, S> {
    fn new(queue: &'a BaseQueue<S>, take: Take) -> Self {
        let model = Model {
            take,
            maxsize: queue.maxsize(),
            items: Vec::new(),
            unfinished: 0,
            shut: false,
            getters: VecDeque::new(),
            putters: VecDeque::new(),
            chosen_getters: Vec::new(),
            chosen_putters: Vec::new(),
        };
        Run { queue, model, gets: Vec::new(), puts: Vec::new(), next_id: 0 }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match *op {
            Op::PutNowait(item) => {
                let seen = match self.queue.put_nowait(item) {
                    Ok(()) => Outcome::Done(()),
                    Err(PutNowaitError::ShutDown(_)) => Outcome::Refused,
                    Err(PutNowaitError::Full(_)) => Outcome::Waits,
                };
                prop_assert_eq!(seen, self.model.try_put(item));
            }
            Op::GetNowait => {
                let seen = match self.queue.get_nowait() {
                    Ok(item) => Outcome::Done(item),
                    Err(GetNowaitError::ShutDown(_)) => Outcome::Refused,
                    Err(GetNowaitError::Empty(_)) => Outcome::Waits,
                };
                prop_assert_eq!(seen, self.model.try_get());
            }
            Op::Put(item) => {
                let mut put = self.queue.put(item);
                let seen = outcome(poll(&mut put), |()| ());
                prop_assert_eq!(&seen, &self.model.try_put(item));
                if seen == Outcome::Waits {
                    self.model.putters.push_back(self.next_id);
                    self.puts.push((self.next_id, item, put));
                    self.next_id += 1;
                }
            }
            Op::Get => {
                let mut get = self.queue.get();
                let seen = outcome(poll(&mut get), |item| item);
                prop_assert_eq!(&seen, &self.model.try_get());
                if seen == Outcome::Waits {
                    self.model.getters.push_back(self.next_id);
                    self.gets.push((self.next_id, get));
                    self.next_id += 1;
                }
            }
            Op::PollPut(at) if at < self.puts.len() => {
                let (id, item, put) = &mut self.puts[at];
                let seen = outcome(poll(put), |()| ());
                prop_assert_eq!(&seen, &self.model.poll_put(*id, *item));
                if seen != Outcome::Waits {
                    drop(self.puts.remove(at));
                }
            }
            Op::PollGet(at) if at < self.gets.len() => {
                let (id, get) = &mut self.gets[at];
                let seen = outcome(poll(get), |item| item);
                prop_assert_eq!(&seen, &self.model.poll_get(*id));
                if seen != Outcome::Waits {
                    drop(self.gets.remove(at));
                }
            }
            Op::DropPut(at) if at < self.puts.len() => {
                let (id, ..) = self.puts.remove(at);
                self.model.forget(id);
            }
            Op::DropGet(at) if at < self.gets.len() => {
                let (id, _) = self.gets.remove(at);
                self.model.forget(id);
            }
            Op::TaskDone => {
                let legal = self.model.unfinished > 0;
                prop_assert_eq!(self.queue.task_done().is_ok(), legal);
                self.model.unfinished -= usize::from(legal);
            }
            Op::ShutDown(immediate) => {
                self.queue.shutdown(immediate);
                self.model.shut_down(immediate);
            }
            Op::PollPut(_) | Op::PollGet(_) | Op::DropPut(_) | Op::DropGet(_) => {}
        }
        self.agree()
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        let (seen, model) = (self.queue.statistics(), &self.model);
        prop_assert_eq!(seen.qsize, model.items.len());
        prop_assert_eq!(seen.getters, model.getters.len());
        prop_assert_eq!(seen.putters, model.putters.len());
        prop_assert_eq!(seen.unfinished, model.unfinished);
        prop_assert_eq!(self.queue.empty(), !model.has_item());
        let full =
            model.maxsize != 0 && model.items.len() + model.chosen_putters.len() >= model.maxsize;
        prop_assert_eq!(self.queue.full(), full);
        Ok(())
    }
}

fn check<S: Store<Item = u8>>(
    queue: BaseQueue<S>,
    take: Take,
    ops: &[Op],
) -> Result<(), TestCaseError> {
    let mut run = Run::new(&queue, take);
    ops.iter().try_for_each(|op| run.step(op))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_is_a_list(maxsize in 0..4usize, ops in prop::collection::vec(op(), 0..80)) {
        check(Queue::new(maxsize), |items| items.remove(0), &ops)?;
    }

    #[test]
    fn a_lifo_queue_is_a_stack(maxsize in 0..4usize, ops in prop::collection::vec(op(), 0..80)) {
        check(LifoQueue::new(maxsize), |items| items.pop().expect("not empty"), &ops)?;
    }

    #[test]
    fn a_priority_queue_is_sorted(maxsize in 0..4usize, ops in prop::collection::vec(op(), 0..80)) {
        let smallest: Take = |items| {
            let at = (0..items.len()).min_by_key(|&i| items[i]).expect("not empty");
            items.remove(at)
        };
        check(PriorityQueue::new(maxsize), smallest, &ops)?;
    }
}

/// Equal items come out in the order in which they went in.
#[test]
fn equal_priorities_keep_their_order() {
    #[derive(Debug)]
    struct Job(u8, usize);
    impl PartialEq for Job {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Job {}
    impl PartialOrd for Job {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Job {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }
    let queue = PriorityQueue::new(0);
    (0..300).for_each(|i| queue.put_nowait(Job((i % 3) as u8, i)).unwrap());
    let out: Vec<Job> = std::iter::from_fn(|| queue.get_nowait().ok()).collect();
    assert!(out.windows(2).all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1)));
    assert_eq!(out.len(), 300);
}
