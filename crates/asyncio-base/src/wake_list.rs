//! Wakers collected under a lock and called after it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// How many wakers a list holds before it asks to be emptied: enough for one lock hold, small enough for the stack.
pub const CAPACITY: usize = 32;

/// A short list of wakers, woken in the order they were pushed.
///
/// A waker is user code: it may lock, allocate, panic or re-enter. So no lock of asyncio is held when one is called or
/// dropped; the holder pushes it here, lets go, and wakes. A list that is dropped wakes what is still in it: a waker taken
/// from its slot has no other way to be heard.
#[derive(Debug, Default)]
pub struct WakeList {
    wakers: [Option<Waker>; CAPACITY],
    len: usize,
}

impl WakeList {
    /// An empty list.
    pub const fn new() -> Self {
        WakeList { wakers: [const { None }; CAPACITY], len: 0 }
    }

    /// How many wakers are in.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no waker is in.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the next push would not fit: release the lock, [`wake_all`](Self::wake_all), take it again.
    pub fn is_full(&self) -> bool {
        self.len == CAPACITY
    }

    /// Adds a waker.
    ///
    /// # Panics
    ///
    /// When [full](Self::is_full).
    pub fn push(&mut self, waker: Waker) {
        self.wakers[self.len] = Some(waker);
        self.len += 1;
    }

    /// Wakes all, in order, and empties the list.
    ///
    /// # Panics
    ///
    /// If a waker panicked, with the first such panic, after every other waker has been called.
    pub fn wake_all(&mut self) {
        let mut panicked = None;
        let len = std::mem::take(&mut self.len);
        for waker in self.wakers[..len].iter_mut().filter_map(Option::take) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panicked.get_or_insert(panic);
            }
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
    }
}

impl Drop for WakeList {
    fn drop(&mut self) {
        if self.len > 0 {
            // A second panic while unwinding would abort; the first is the one worth telling.
            let _ = catch_unwind(AssertUnwindSafe(|| self.wake_all()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    struct Note(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Note {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
            assert_ne!(self.0, 1, "the second waker panics");
        }
    }

    fn list(n: usize, order: &Arc<Mutex<Vec<usize>>>) -> WakeList {
        let mut list = WakeList::new();
        (0..n).for_each(|i| list.push(Waker::from(Arc::new(Note(i, order.clone())))));
        list
    }

    #[test]
    fn wakes_in_order_and_past_a_panic() {
        let order = Arc::default();
        let mut list = list(3, &order);
        assert!(catch_unwind(AssertUnwindSafe(|| list.wake_all())).is_err());
        assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
        assert!(list.is_empty());
    }

    #[test]
    fn a_dropped_list_loses_no_wake() {
        let order = Arc::default();
        drop(list(CAPACITY, &order));
        assert_eq!(order.lock().unwrap().len(), CAPACITY);
    }
}
