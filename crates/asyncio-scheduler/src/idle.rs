//! Who is awake, and whether bringing work means waking somebody.
//!
//! One word counts the workers that are awake and those among them that *search*, that is, have no work and look for some with others; it also
//! says whether the loop runs (*open*). The list names the workers that lie asleep, the last one last. A worker is in the list exactly while it
//! is not counted awake: both change together under the list's lock. `searching` may change without it.
//!
//! # The wake rule
//!
//! Whoever brings work wakes one sleeper only if nobody searches: a searcher will find the work, and the last one that finds some wakes the
//! next. So a burst wakes the workers one after the other, as far as there is work for them. The sleeper is taken from the list by the one who
//! wakes it, and counts as a searcher from then on; one that gets up by itself (the driver had something, its time is up) takes itself out.
//!
//! # Why no work is slept over
//!
//! | brings work from outside | lies down |
//! |---|---|
//! | 1. push to the injector | 1. count down, join the list |
//! | 2. fence | 2. fence |
//! | 3. nobody searches and somebody sleeps? wake one | 3. nobody searches any more? look at all queues; work: do as one who brings it |
//!
//! Of the two fences one is first in their total order. If the pusher's, the other sees the work in step 3, and wakes somebody: perhaps
//! itself, as it is in the list by then. If the sleeper's, the pusher sees the counts after step 1. Where the pusher leaves the work to a
//! searcher, that one finds it; or lies down and goes through steps 1 to 3; or has found other work and, if it was the
//! last to search, makes step 3 too, after a fence ([`end_search`](Idle::end_search)). Then whoever it wakes searches.
//!
//! Work that a worker queues for itself needs no fence: it is awake and will run it. It wakes others by a mere look at the word, and
//! `watch.rs` says what happens if it is stuck instead.
//!
//! # Open and shut
//!
//! The run opens the word for worker 0 and shuts it at its end. Shut, nobody is woken: counting up needs the open word, under
//! the lock. So when worker 0 has waited for the count to become zero, all workers lie, and none gets up; but for one that sleeps in the driver.
//! That one counts itself up before it gives the right to the driver back, and then lies down once more. So worker 0 waits for both, the count
//! and the right, and looks at them whenever somebody lies down. One that was taken from the list before the end counts until it lies, or
//! until it is found to have no thread: then nobody takes its place, least of all worker 0, which lies in the list while it waits.
//!
//! # Orderings
//!
//! `AcqRel` for what counts, so that a worker that is woken, and the run's end, see what was done before; between pushing and lying down the
//! fences order.
//!
//! Models: `loom-tests/tests/idle.rs`.

use asyncio_base::CachePadded;
use asyncio_base::sync::{AtomicU64, Condvar, Mutex, Ordering, load_after_fence, store_load_fence};

const SEARCHING: u64 = 1;
const AWAKE: u64 = 1 << 20;
const OPEN: u64 = 1 << 63;

/// As many workers as the counts can tell apart, with room to spare.
pub const MOST_WORKERS: usize = 1 << 16;

#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    fn searching(self) -> u64 {
        self.0 % AWAKE
    }

    fn awake(self) -> u64 {
        self.0 % OPEN / AWAKE
    }

    fn is_open(self) -> bool {
        self.0 & OPEN != 0
    }
}

/// The counts and the list.
#[derive(Debug)]
pub struct Idle {
    word: CachePadded<AtomicU64>,
    sleepers: CachePadded<Mutex<Vec<usize>>>,
    all_lie: Condvar,
    workers: u64,
}

/// How a worker lies down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The loop does not run: sleep until the next run.
    Shut,
    /// Others search: sleep.
    Quiet,
    /// Nobody searches: look at all queues, and if there is work, wake somebody.
    LookAgain,
}

/// How a worker got up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Up {
    /// It was woken to search, and counts as a searcher.
    ToSearch,
    /// By itself.
    Alone,
}

impl Idle {
    /// All of so many workers lie, and the loop does not run.
    pub fn new(workers: usize) -> Self {
        Idle {
            word: CachePadded(AtomicU64::new(0)),
            sleepers: CachePadded(Mutex::new(Self::all(workers))),
            all_lie: Condvar::new(),
            workers: workers as u64,
        }
    }

    /// The list of all workers: the first to be woken is the last of it.
    fn all(workers: usize) -> Vec<usize> {
        (0..workers).rev().collect()
    }

    // ----- bringing work

    /// For whoever has pushed where every worker looks: the worker to wake, which is awake from now on.
    #[must_use]
    pub fn worker_to_wake(&self) -> Option<usize> {
        store_load_fence();
        self.wants_searcher(Word(load_after_fence(&self.word))).then(|| self.take_sleeper())?
    }

    /// As [`worker_to_wake`](Self::worker_to_wake), for a worker that has queued more than it can run at once.
    #[must_use]
    #[inline]
    pub fn worker_to_share_with(&self) -> Option<usize> {
        let word = Word(self.word.load(Ordering::Relaxed));
        self.wants_searcher(word).then(|| self.take_sleeper())?
    }

    fn wants_searcher(&self, word: Word) -> bool {
        word.is_open() && word.searching() == 0 && word.awake() < self.workers
    }

    #[cold]
    fn take_sleeper(&self) -> Option<usize> {
        let mut sleepers = self.sleepers.lock();
        // Another may have been faster: its searcher is as good as ours.
        if !self.wants_searcher(Word(self.word.load(Ordering::Acquire))) {
            return None;
        }
        let worker = sleepers.pop()?;
        self.word.fetch_add(AWAKE + SEARCHING, Ordering::AcqRel);
        Some(worker)
    }

    /// A worker that was to be woken has no thread: it is out. If it was to search, another does in its place: the one returned, or nobody
    /// (then look at the queues again, as when lying down). If the run has ended meanwhile, its end waits for this count, and nobody searches.
    /// `tell` hears of it under the lock: [nobody appoints](Self::some_sleeper) the worker from then on.
    pub fn retire(&self, worker: usize, tell: impl FnOnce()) -> Retired {
        let mut sleepers = self.sleepers.lock();
        tell();
        if let Some(place) = sleepers.iter().position(|&sleeper| sleeper == worker) {
            sleepers.remove(place);
            return Retired::WasAsleep;
        }
        if !self.is_open() {
            self.count_out(AWAKE + SEARCHING);
            return Retired::Shut;
        }
        match sleepers.pop() {
            Some(next) => Retired::InItsPlace(next),
            None => {
                self.count_out(AWAKE + SEARCHING);
                Retired::LookAgain
            }
        }
    }

    /// Counts down, under the list's lock, and tells the end of the run if that waits for it; what is left.
    fn count_out(&self, minus: u64) -> Word {
        let now = Word(self.word.fetch_sub(minus, Ordering::AcqRel) - minus);
        if !now.is_open() && now.awake() == 0 {
            self.all_lie.notify_all();
        }
        now
    }

    /// A worker that lies, and goes on lying while `tell` hears of it.
    pub fn some_sleeper(&self, tell: impl FnOnce(usize)) -> Option<usize> {
        let word = Word(load_after_fence(&self.word));
        if !word.is_open() || word.awake() == self.workers {
            return None;
        }
        let sleepers = self.sleepers.lock();
        let sleeper = *sleepers.first()?;
        tell(sleeper);
        Some(sleeper)
    }

    /// Whether a worker is awake.
    pub fn is_anybody_awake(&self) -> bool {
        Word(self.word.load(Ordering::Relaxed)).awake() > 0
    }

    // ----- searching

    /// Counts the calling worker as a searcher, unless half of those awake search already.
    #[must_use]
    pub fn begin_search(&self) -> bool {
        let word = Word(self.word.load(Ordering::Relaxed));
        if 2 * word.searching() >= word.awake().max(2) {
            return false;
        }
        self.word.fetch_add(SEARCHING, Ordering::AcqRel);
        // Who pushed before this was counted may have woken nobody: what it pushed is seen from here on.
        store_load_fence();
        true
    }

    /// A searcher has found work; true if nobody searches any more: look at all queues, and if there is more work, wake somebody.
    #[must_use]
    pub fn end_search(&self) -> bool {
        let before = Word(self.word.fetch_sub(SEARCHING, Ordering::AcqRel));
        store_load_fence();
        before.searching() == 1
    }

    // ----- lying down and getting up

    /// The worker lies down; `searching` says whether it counts as a searcher.
    pub fn lie_down(&self, worker: usize, searching: bool) -> Lie {
        let mut sleepers = self.sleepers.lock();
        let minus = AWAKE + if searching { SEARCHING } else { 0 };
        let now = self.count_out(minus);
        sleepers.push(worker);
        if !now.is_open() {
            return Lie::Shut;
        }
        drop(sleepers);
        store_load_fence();
        if now.searching() == 0 { Lie::LookAgain } else { Lie::Quiet }
    }

    /// The worker's sleep is over; `None` if nobody woke it to search and the loop does not run: then it goes on lying.
    pub fn get_up(&self, worker: usize) -> Option<Up> {
        self.rise(worker, false)
    }

    /// As [`get_up`](Self::get_up), also if the loop does not run any more; for a worker that has the right to the driver, which the end of the
    /// run waits for.
    pub fn get_up_anyway(&self, worker: usize) -> Up {
        self.rise(worker, true).unwrap_or(Up::Alone)
    }

    fn rise(&self, worker: usize, even_if_shut: bool) -> Option<Up> {
        let mut sleepers = self.sleepers.lock();
        let Some(place) = sleepers.iter().position(|&sleeper| sleeper == worker) else {
            return Some(Up::ToSearch);
        };
        if !even_if_shut && !self.is_open() {
            return None;
        }
        sleepers.remove(place);
        self.word.fetch_add(AWAKE, Ordering::AcqRel);
        Some(Up::Alone)
    }

    // ----- running

    /// Whether the loop runs.
    #[inline]
    pub fn is_open(&self) -> bool {
        Word(self.word.load(Ordering::Acquire)).is_open()
    }

    /// A run begins: worker 0 is up, and others may be woken.
    pub fn open(&self) {
        let mut sleepers = self.sleepers.lock();
        sleepers.retain(|&sleeper| sleeper != 0);
        self.word.fetch_add(OPEN + AWAKE, Ordering::AcqRel);
    }

    /// Worker 0 ends the run: nobody is woken any more.
    pub fn shut(&self) {
        let mut sleepers = self.sleepers.lock();
        self.word.fetch_sub(OPEN + AWAKE, Ordering::AcqRel);
        sleepers.push(0);
    }

    /// Those that were out for want of a thread lie again, as all do; for the next loop, between two runs.
    pub fn take_back(&self) {
        *self.sleepers.lock() = Self::all(self.workers as usize);
    }

    /// Waits until all lie and nobody is in the driver; for worker 0, after it has shut.
    pub fn wait_until_all_lie(&self, is_in_driver: impl Fn() -> bool) {
        let mut sleepers = self.sleepers.lock();
        while Word(self.word.load(Ordering::Acquire)).awake() > 0 || is_in_driver() {
            sleepers = self.all_lie.wait(sleepers);
        }
    }
}

/// What becomes of a wake-up for a worker without a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// It was to watch: let somebody else do so.
    WasAsleep,
    /// This one searches in its place: wake it.
    InItsPlace(usize),
    /// Nobody does: look at all queues, and if there is work, wake somebody.
    LookAgain,
    /// The run has ended: nobody is to be woken.
    Shut,
}
