//! The queue of jobs, and the bed of idle threads.
//!
//! It is crossbeam's. loom cannot see into crossbeam, so under it there is a twin behind a lock, which makes the same promises:
//! first in, first out; whoever receives sleeps until a message is there, and no message is lost on a sleeper.
//!
//! The twin knows no time: a wait of no length is over at once, and every other one has no end.

use super::Job;
use std::time::Duration;

/// What a thread of the pool is told.
pub(crate) enum Message {
    /// Run this.
    Run(Job),
    /// End.
    Leave,
}

#[cfg(not(asyncio_loom))]
mod imp {
    use super::{Duration, Message};
    use crossbeam_channel::{Receiver, Sender, unbounded};

    pub(crate) struct Channel {
        sender: Sender<Message>,
        receiver: Receiver<Message>,
    }

    impl Channel {
        pub(crate) fn new() -> Self {
            let (sender, receiver) = unbounded();
            Channel { sender, receiver }
        }

        pub(crate) fn send(&self, message: Message) {
            // Both ends are here, so neither is ever gone.
            let sent = self.sender.send(message);
            debug_assert!(sent.is_ok());
        }

        pub(crate) fn try_receive(&self) -> Option<Message> {
            self.receiver.try_recv().ok()
        }

        pub(crate) fn receive_within(&self, limit: Duration) -> Option<Message> {
            self.receiver.recv_timeout(limit).ok()
        }
    }
}

#[cfg(asyncio_loom)]
mod imp {
    use super::{Duration, Message};
    use asyncio_base::sync::{Condvar, Mutex};
    use std::collections::VecDeque;

    pub(crate) struct Channel {
        queue: Mutex<VecDeque<Message>>,
        sent: Condvar,
    }

    impl Channel {
        pub(crate) fn new() -> Self {
            Channel { queue: Mutex::new(VecDeque::new()), sent: Condvar::new() }
        }

        pub(crate) fn send(&self, message: Message) {
            self.queue.lock().push_back(message);
            self.sent.notify_one();
        }

        pub(crate) fn try_receive(&self) -> Option<Message> {
            self.queue.lock().pop_front()
        }

        pub(crate) fn receive_within(&self, limit: Duration) -> Option<Message> {
            let mut queue = self.queue.lock();
            while queue.is_empty() && !limit.is_zero() {
                queue = self.sent.wait(queue);
            }
            queue.pop_front()
        }
    }
}

pub(crate) use imp::Channel;
