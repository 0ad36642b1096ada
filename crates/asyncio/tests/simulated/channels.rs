//! The channels: oneshot, broadcast, watch.

use crate::harness::{Ledger, Scenario, scenarios};
use asyncio::sync::{broadcast, oneshot, watch};
use asyncio::{sometimes, yield_now};
use std::sync::{Arc, Mutex};

scenarios! {
    oneshot: Letter,
    broadcast: News,
    watch: Thermometer,
}

/// Takes what a role plays with; it goes when the role does.
fn take<T>(from: &Mutex<Option<T>>) -> T {
    from.lock().unwrap().take().expect("one role plays with it")
}

/// One letter, one who sends it, one who reads it.
pub(crate) struct Letter {
    sender: Mutex<Option<oneshot::Sender<u32>>>,
    receiver: Mutex<Option<oneshot::Receiver<u32>>>,
    ledger: Ledger,
}

impl Scenario for Letter {
    const ROLES: usize = 2;

    fn new() -> Self {
        let (sender, receiver) = oneshot::channel();
        Letter {
            sender: Mutex::new(Some(sender)),
            receiver: Mutex::new(Some(receiver)),
            ledger: Ledger::default(),
        }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            let mut sender = take(&self.sender);
            yield_now().await;
            if sender.is_closed() {
                sender.closed().await;
            }
            match sender.send(7) {
                // Whoever reads may be gone before he has read it.
                Ok(()) => sometimes!("a letter is sent", true),
                Err(letter) => {
                    sometimes!("a letter comes back", true);
                    self.ledger.put(letter);
                    self.ledger.take(letter);
                }
            }
        } else {
            let receiver = take(&self.receiver);
            match receiver.await {
                Ok(letter) => self.ledger.take(letter),
                Err(_) => sometimes!("a letter does not come", true),
            }
        }
    }

    async fn heal(&self) {
        // If the role has not begun.
        drop(self.sender.lock().unwrap().take());
    }

    fn check(&self) {
        self.ledger.check([]);
    }
}

/// News for two, who may come too late for some.
pub(crate) struct News {
    sender: Mutex<Option<broadcast::Sender<u32>>>,
    receivers: Mutex<Vec<broadcast::Receiver<u32>>>,
}

impl Scenario for News {
    const ROLES: usize = 3;

    fn new() -> Self {
        let (sender, receiver) = broadcast::channel(2);
        let receivers = vec![sender.subscribe(), receiver];
        News { sender: Mutex::new(Some(sender)), receivers: Mutex::new(receivers) }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            let sender = take(&self.sender);
            for item in 0..4 {
                let _ = sender.send(item);
                yield_now().await;
            }
            return;
        }
        let mut receiver = self.receivers.lock().unwrap().pop().unwrap();
        let mut next = 0;
        loop {
            match receiver.recv().await {
                Ok(item) => {
                    assert_eq!(item, next, "in order, with nothing left out that was not told of");
                    next += 1;
                }
                Err(broadcast::RecvError::Lagged(missed)) => {
                    sometimes!("one is late", true);
                    next += missed as u32;
                }
                Err(broadcast::RecvError::Closed) => return,
            }
        }
    }

    async fn heal(&self) {
        // If the role has not begun.
        drop(self.sender.lock().unwrap().take());
    }

    fn check(&self) {}
}

/// A value that changes, and two who look at it.
pub(crate) struct Thermometer {
    sender: Mutex<Option<watch::Sender<u32>>>,
    receiver: watch::Receiver<u32>,
}

impl Scenario for Thermometer {
    const ROLES: usize = 3;

    fn new() -> Self {
        let (sender, receiver) = watch::channel(0);
        Thermometer { sender: Mutex::new(Some(sender)), receiver }
    }

    async fn play(self: Arc<Self>, role: usize) {
        if role == 0 {
            let sender = take(&self.sender);
            for value in 1..4 {
                sender.send(value).unwrap();
                yield_now().await;
            }
            return;
        }
        let mut receiver = self.receiver.clone();
        let mut last = *receiver.borrow_and_update();
        while receiver.changed().await.is_ok() {
            let now = *receiver.borrow_and_update();
            assert!(now > last, "{now} after {last}");
            sometimes!("a change is not seen", now > last + 1);
            last = now;
        }
        assert_eq!(*receiver.borrow(), last, "the last value is seen before the end");
    }

    async fn heal(&self) {
        drop(self.sender.lock().unwrap().take());
    }

    fn check(&self) {}
}
