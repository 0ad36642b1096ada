//! A barrier that gives each who comes the number of those who are there: when one is cancelled, the next who comes gets a number that somebody has already
//! (CPython #155233).
//!
//! Found at seed 1 by random, at seed 3 by pct(3).

use asyncio::create_task;
use asyncio::sync::oneshot;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// How many pass together, but for one.
const OTHERS: usize = 2;

#[derive(Default)]
struct Barrier<const FIXED: bool>(Mutex<State>);

#[derive(Default)]
struct State {
    arrivals: u32,
    /// With the number that each was given when it came.
    waiting: BTreeMap<u32, (usize, oneshot::Sender<usize>)>,
}

impl<const FIXED: bool> Barrier<FIXED> {
    async fn wait(&self) -> usize {
        let (place, passed) = {
            let mut state = self.0.lock().unwrap();
            let count = state.waiting.len();
            if count == OTHERS {
                let waiting = std::mem::take(&mut state.waiting);
                for (position, (number, sender)) in waiting.into_values().enumerate() {
                    let _ = sender.send(if FIXED { position } else { number });
                }
                return OTHERS;
            }
            let (sender, passed) = oneshot::channel();
            state.arrivals += 1;
            let place = state.arrivals;
            state.waiting.insert(place, (count, sender));
            (place, passed)
        };
        let _leave = Leave(self, place);
        passed.await.unwrap()
    }
}

struct Leave<'a, const FIXED: bool>(&'a Barrier<FIXED>, u32);

impl<const FIXED: bool> Drop for Leave<'_, FIXED> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().waiting.remove(&self.1);
    }
}

pub(crate) async fn scenario<const FIXED: bool>() {
    let barrier = Arc::new(Barrier::<FIXED>::default());
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let wait = || {
        let (barrier, numbers) = (barrier.clone(), numbers.clone());
        create_task(async move {
            let number = barrier.wait().await;
            numbers.lock().unwrap().push(number);
        })
    };
    let (first, second) = (wait(), wait());
    asyncio::yield_now().await;
    first.cancel();
    assert!(first.await.is_err(), "two do not pass");
    for task in [second, wait(), wait()] {
        task.await.unwrap();
    }
    let mut numbers = std::mem::take(&mut *numbers.lock().unwrap());
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2], "the numbers of a party");
}
