//! Which of many tasks have ended, in the order in which they did, without asking each.
//!
//! Every task gets a waker of its own, which writes the task's index down and wakes whoever waits for them all. So a wait for a thousand tasks
//! looks at each once. The wakers are pointers into one block, of which each has a count; a task's header keeps one in a word.
//!
//! # Why no end is lost
//!
//! Index and waker are under one lock. Whoever waits leaves its waker and takes the indices in one critical section: an index that is written
//! later finds the waker.

use asyncio_base::sync::Mutex;
use std::fmt;
use std::mem::ManuallyDrop;
// Counts guard nothing but memory: what is seen through them is under the lock.
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// The list of those that have ended.
pub struct Ready {
    ended: Mutex<Ended>,
    marks: Box<[Mark]>,
}

#[derive(Default)]
struct Ended {
    indices: Vec<u32>,
    waiter: Option<Waker>,
}

/// What the waker of one task points to: the one whose `marks` this is in, where its place is the task's index.
#[derive(Clone, Copy)]
struct Mark(*const Ready);

// SAFETY: a mark is never changed, and what it points to may be shared by threads: the rest of `Ready` is a lock.
unsafe impl Send for Mark {}
// SAFETY: as above.
unsafe impl Sync for Mark {}

impl Ready {
    /// For so many tasks.
    ///
    /// # Panics
    ///
    /// With 2^32 tasks or more.
    pub fn for_many(many: usize) -> Arc<Self> {
        assert!(u32::try_from(many).is_ok(), "fewer than 2^32 tasks");
        let ended = Ended { indices: Vec::with_capacity(many), waiter: None };
        Arc::new_cyclic(|ready| {
            let marks = vec![Mark(ready.as_ptr()); many].into_boxed_slice();
            Ready { ended: Mutex::new(ended), marks }
        })
    }

    /// Has the index of a task written down when it ends: `wake_when_finished` is the task's.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline(always)]
    pub fn watch(self: &Arc<Self>, index: usize, wake_when_finished: impl FnOnce(Waker) -> bool) {
        let mark = &self.marks[index];
        // The count of the waker.
        std::mem::forget(self.clone());
        // SAFETY: the functions of the vtable take the pointer for what it is, and the count above is the waker's.
        let waker = unsafe { Waker::new(mark.as_ptr(), &VTABLE) };
        if !wake_when_finished(waker) {
            self.note(mark).into_iter().for_each(Waker::wake);
        }
    }

    /// Writes the index of a mark down; gives who is to be woken.
    #[inline]
    fn note(&self, mark: &Mark) -> Option<Waker> {
        // Neither place nor number is above that of the marks.
        let index = (mark.as_ptr().addr() - self.marks.as_ptr().addr()) / size_of::<Mark>();
        let mut ended = self.ended.lock();
        ended.indices.push(index as u32);
        ended.waiter.take()
    }

    /// Moves those that have ended since the last look to the end of `into`, and has `waiter` woken at the next.
    pub fn take(&self, into: &mut Vec<u32>, waiter: &Waker) {
        let waiter = waiter.clone();
        let mut ended = self.ended.lock();
        if into.is_empty() {
            std::mem::swap(into, &mut ended.indices);
        } else {
            into.append(&mut ended.indices);
        }
        let stale = ended.waiter.replace(waiter);
        drop(ended);
        drop(stale);
    }

    /// Nobody is to be woken any more.
    pub fn stop(&self) {
        let waiter = self.ended.lock().waiter.take();
        drop(waiter);
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Ready of {} tasks>", self.marks.len())
    }
}

// ----- the wakers: pointers to marks

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

impl Mark {
    fn as_ptr(&self) -> *const () {
        std::ptr::from_ref(self).cast()
    }

    /// # Safety
    ///
    /// `data` is the data pointer of a waker made with [`VTABLE`], which counts or borrows a count.
    unsafe fn of<'a>(data: *const ()) -> &'a Mark {
        // SAFETY: such a pointer is a mark's; the mark lives as long as its `Ready`, which the count keeps.
        unsafe { &*data.cast::<Mark>() }
    }

    /// Writes its index down; gives who is to be woken.
    ///
    /// # Safety
    ///
    /// There is a count of the `Ready`.
    unsafe fn note(&self) -> Option<Waker> {
        // SAFETY: the pointer is that of the `Ready` this mark is in, which lives.
        unsafe { &*self.0 }.note(self)
    }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: called through the vtable. The pointer came from the `Arc`, and there is a count.
    unsafe { Arc::increment_strong_count(Mark::of(data).0) };
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: called through the vtable, on a waker whose count it consumes.
    unsafe { noted(data) }.into_iter().for_each(Waker::wake);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: called through the vtable, on a waker that keeps its count during the call.
    unsafe { Mark::of(data).note() }.into_iter().for_each(Waker::wake);
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: called through the vtable, on a waker whose count it consumes.
    drop(unsafe { Arc::from_raw(Mark::of(data).0) });
}

/// Writes the index down that the waker stands for; gives who is to be woken.
///
/// # Safety
///
/// `data` is the data pointer of a waker made with [`VTABLE`], whose count this consumes.
#[inline]
unsafe fn noted(data: *const ()) -> Option<Waker> {
    // SAFETY: the caller says so.
    let mark = unsafe { Mark::of(data) };
    // SAFETY: as above; the count is given back at the end, after the mark was looked at last.
    let _count = unsafe { Arc::from_raw(mark.0) };
    // SAFETY: the count is in `_count`.
    unsafe { mark.note() }
}

/// Does what a waker of this module does but for waking, and gives who is to be woken; another waker itself.
#[inline]
pub(crate) fn woken_by(waker: Waker) -> Option<Waker> {
    match into_pointer(waker) {
        // SAFETY: the pointer is that of such a waker, which was forgotten.
        Ok(data) => unsafe { noted(data) },
        Err(waker) => Some(waker),
    }
}

/// A waker of this module as the pointer that it is; others are given back.
#[inline]
pub(crate) fn into_pointer(waker: Waker) -> Result<*const (), Waker> {
    if !std::ptr::eq(waker.vtable(), &VTABLE) {
        return Err(waker);
    }
    Ok(ManuallyDrop::new(waker).data())
}

/// The waker that [`into_pointer`] took apart.
///
/// # Safety
///
/// It took apart such a waker, and this is called once for it.
pub(crate) unsafe fn from_pointer(pointer: *const ()) -> Waker {
    // SAFETY: data and vtable are those of the waker that was taken apart and forgotten.
    unsafe { Waker::new(pointer, &VTABLE) }
}

/// So many low bits of such a pointer are free.
pub(crate) const ALIGN: usize = align_of::<Mark>();

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_waker_writes_its_index_down_and_keeps_the_list_alive() {
        let ready = Ready::for_many(3);
        let mut wakers = Vec::new();
        for index in 0..3 {
            ready.watch(index, |waker| {
                wakers.push(waker);
                index != 1
            });
        }
        assert_eq!(Arc::strong_count(&ready), 4);
        let mut seen = Vec::new();
        ready.take(&mut seen, Waker::noop());
        assert_eq!(seen, [1], "it had ended before");
        wakers.pop().unwrap().wake();
        wakers[0].wake_by_ref();
        ready.take(&mut seen, Waker::noop());
        assert_eq!((seen, Arc::strong_count(&ready)), (vec![1, 2, 0], 3));
        drop(ready);
        wakers[1].wake_by_ref();
    }

    #[test]
    fn a_waker_survives_the_trip_through_a_pointer() {
        let ready = Ready::for_many(1);
        ready.watch(0, |waker| {
            let same = waker.clone();
            let pointer = into_pointer(waker).unwrap();
            // SAFETY: from the line above.
            let back = unsafe { from_pointer(pointer) };
            assert!(back.will_wake(&same) && into_pointer(Waker::noop().clone()).is_err());
            true
        });
        assert_eq!(Arc::strong_count(&ready), 1);
    }
}
