//! A node's place in the cancel tree of its task, and the lock round that tree.
//!
//! The tree is in the task's cold block, so a task that has no scope has no tree and pays nothing. A node belongs to the task in whose poll it
//! was made; a scope that is polled in another task later makes a new one. What the tree wants done (wakers called, the task asked
//! again) is done after its lock is released.

use super::tree::{Effects, Kind, Origin, Request, Tree};

use crate::handle::TaskHandle;
use crate::header::{Header, RawTask};
use crate::id::TaskId;
use crate::runnable::call_waker;
use crate::state::{MUST_CANCEL, Woken};
use crate::waker;
use asyncio_base::record::{self, PollRecord};
use asyncio_base::slab::Key;
use asyncio_base::sync::Ordering;
use std::borrow::Cow;
use std::ptr::NonNull;
use std::task::Waker;

/// An active node; leaves the tree when dropped.
#[derive(Debug)]
pub(crate) struct Node {
    task: TaskHandle,
    key: Key,
    /// The scope that it was put below, `Key::NONE` if none.
    parent: Key,
    /// It has left the tree: what it had is raised, and whoever polls it is to stay pending meanwhile.
    is_unwinding: bool,
    /// Woken with its task: there is no waker of its own in the tree.
    is_woken_with_task: bool,
    /// How often nodes had been detached from the tree when this one was known to be in it.
    seen_detached: u32,
}

/// The task being polled on this thread.
#[inline]
pub(super) fn current() -> Option<RawTask> {
    record::with(|record| task_of(record?))
}

/// Its number.
pub(super) fn current_id() -> Option<TaskId> {
    current().map(|task| task.header().id)
}

/// The task of a record; `None` for a callback's.
#[inline]
pub(super) fn task_of(record: &PollRecord<'_>) -> Option<RawTask> {
    NonNull::new(record.owner.as_ptr().cast_mut().cast::<Header>()).map(RawTask::new)
}

/// A record with its task.
#[inline]
pub(super) fn in_task<'a>(record: &'a PollRecord<'a>) -> Option<(&'a PollRecord<'a>, RawTask)> {
    Some((record, task_of(record)?))
}

/// Whether what was raised in the scope `at`, in the task without, is on its way still, and that task is the one being polled.
pub(super) fn unwinds(task: RawTask, at: Option<Key>) -> bool {
    current() == Some(task) && task.header().cold().tree.lock().unwinds(at)
}

/// Makes the nodes of all scopes that a poll is in; the innermost one's.
#[inline]
fn place(record: &PollRecord<'_>, tree: &mut Tree) -> Option<Key> {
    record.scopes.place(|outer, holds_back| {
        tree.insert(outer, if holds_back { Kind::Shield } else { Kind::Scope })
    })
}

/// As [`place`], if it is the task being polled on this thread.
pub(super) fn place_scopes(task: RawTask, tree: &mut Tree) -> Option<Key> {
    record::with(|record| {
        let record = record.filter(|record| task_of(record) == Some(task))?;
        place(record, tree)
    })
}

/// Changes a task's tree, then does what that left to do.
pub(super) fn with_tree<R>(task: RawTask, f: impl FnOnce(&mut Tree) -> (R, Effects)) -> R {
    let cold = task.header().cold();
    let mut tree = cold.tree.lock();
    // What is delivered in this poll has to find them.
    place_scopes(task, &mut tree);
    let (result, effects) = f(&mut tree);
    // Release pairs with the Acquire of `is_quiet`: a node that is looked at because of a wake or a poll after this finds its request.
    cold.has_requests.store(tree.has_requests(), Ordering::Release);
    drop(tree);
    apply(task, effects);
    result
}

/// No request is open in the task's tree: the common case, known without the lock.
#[inline]
pub(crate) fn is_quiet(task: RawTask) -> bool {
    !task.header().cold_if_any().is_some_and(|cold| cold.has_requests.load(Ordering::Acquire))
}

fn apply(task: RawTask, effects: Effects) {
    if let Some(message) = effects.restore {
        restore(task, message);
    }
    if effects.wake_task {
        wake(task);
    }
    effects.wake.into_iter().for_each(|waker| call_waker(task, waker));
}

/// Gives the task another turn, in which its nodes look at what has changed.
fn wake(task: RawTask) {
    if task.header().state.wake_by_ref() == Woken::Schedule {
        // SAFETY: the word said that the token is ours to make.
        unsafe { task.schedule() };
    }
}

/// The task's own request came back unanswered: it is recorded again, unless it was taken back meanwhile.
fn restore(task: RawTask, message: Option<Cow<'static, str>>) {
    let header = task.header();
    header.cold().restore_message(message);
    if header.state.restore_cancel() {
        // SAFETY: restoring lifted the wakes from 0, so the token is ours to make.
        unsafe { task.schedule() };
    }
}

impl Node {
    /// A node in the task being polled, below the scope being polled; `None` outside tasks.
    pub(crate) fn new(kind: Kind) -> Option<Node> {
        record::with(|record| {
            let record = record?;
            Some(Node::below(task_of(record)?, record, kind))
        })
    }

    /// A node below the scope that `record`, which is this task's, is in.
    pub(super) fn below(task: RawTask, record: &PollRecord<'_>, kind: Kind) -> Node {
        let mut tree = task.header().cold().tree.lock();
        let parent = place(record, &mut tree);
        let key = tree.insert(parent, kind);
        drop(tree);
        Node::with_key(task, record, key)
    }

    /// The node that has this place, which was made in the poll of this record, which is the task's: below the scope that it is in.
    #[inline]
    pub(super) fn with_key(task: RawTask, record: &PollRecord<'_>, key: Key) -> Node {
        let seen_detached = task.header().cold().detached.load(Ordering::Relaxed);
        let parent = record.scopes.innermost().unwrap_or(Key::NONE);
        let task = TaskHandle::new_ref(task);
        Node { task, key, parent, is_unwinding: false, is_woken_with_task: true, seen_detached }
    }

    /// Whether the node is in its tree still; it was put there, so there is a cold block.
    #[inline]
    fn is_in_tree(&self) -> bool {
        let cold = self.task.raw().header().cold();
        // Written by the thread that polls what was detached, or before it got it.
        let detached = cold.detached.load(Ordering::Relaxed);
        detached == self.seen_detached || cold.tree.lock().contains(self.key)
    }

    /// Takes everything inside this node out of the tree: it is not polled for some time, and not asked meanwhile. A request that it had goes back
    /// to where it came from. When it is polled again it finds its place anew.
    pub(crate) fn detach_inside(&self) {
        let cold = self.task.raw().header().cold();
        let wakers = self.with_tree(|tree, key| tree.detach_below(key));
        cold.detached.fetch_add(1, Ordering::Relaxed);
        drop(wakers);
    }

    /// An outermost node of the task being polled, with the request that is offered in this poll; `None` if it was taken back.
    #[cold]
    pub(crate) fn with_offer(task: RawTask, record: &PollRecord<'_>, kind: Kind) -> Option<Node> {
        let header = task.header();
        // Under the lock as in `deliver`.
        let key = with_tree(task, |tree| {
            if let Some((key, effects)) = tree.insert_offered(kind) {
                return (Some(key), effects);
            }
            let message = header.state.take_request().map(|_| header.cold().take_message());
            let Some(message) = message else { return (None, Effects::default()) };
            let (key, effects) = tree.insert_requested(kind, message);
            (Some(key), effects)
        });
        Some(Node::with_key(task, record, key?))
    }

    /// Whether it belongs to the task being polled, and was not detached.
    pub(crate) fn is_here(&self) -> bool {
        current().is_some_and(|task| task == self.task.raw() && self.is_in_tree())
    }

    /// Whether it is unwinding still, or has its place where it is polled now; false if it belongs to another task, or was detached.
    pub(crate) fn stays(&mut self) -> bool {
        if self.is_unwinding {
            return self.unwinds();
        }
        record::with(|record| {
            let here = record.and_then(in_task);
            here.is_some_and(|(record, task)| self.is_at(record, task) || self.come(record, task))
        })
    }

    /// Has it stand where it is polled now, in the poll of this record, which is this task's; false as for [`stays`](Self::stays).
    #[cold]
    pub(super) fn come(&mut self, record: &PollRecord<'_>, task: RawTask) -> bool {
        let is_here = task == self.task.raw() && self.is_in_tree();
        if is_here {
            self.with_tree(|tree, key| {
                let parent = place(record, tree);
                ((), tree.relocate(key, parent))
            });
            self.parent = record.scopes.innermost().unwrap_or(Key::NONE);
        }
        is_here
    }

    /// Whether it belongs to this task, whose record this is, and is where it was put: below the scope that is polled now, and not detached.
    #[inline]
    pub(super) fn is_at(&self, record: &PollRecord<'_>, task: RawTask) -> bool {
        task == self.task.raw() && self.is_below(record) && self.is_in_tree()
    }

    #[inline]
    fn is_below(&self, record: &PollRecord<'_>) -> bool {
        match record.scopes.innermost() {
            None => self.parent.is_none(),
            Some(scope) => scope == self.parent && !scope.is_none(),
        }
    }

    /// Whether it is [where it was put](Self::is_at), and no request is open in its tree: the common case, known without the lock. If not, look closer.
    #[inline]
    pub(super) fn is_idle(&self, record: &PollRecord<'_>, task: RawTask) -> bool {
        let cold = self.task.raw().header().cold();
        task == self.task.raw()
            && self.is_below(record)
            && cold.detached.load(Ordering::Relaxed) == self.seen_detached
            && !cold.has_requests.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::Domain(self.key)
    }

    fn with_tree<R>(&self, f: impl FnOnce(&mut Tree, Key) -> (R, Effects)) -> R {
        with_tree(self.task.raw(), |tree| f(tree, self.key))
    }

    /// Says what wakes this node. The task's own waker needs no keeping: a delivery is followed by a poll of the task.
    #[inline]
    pub(crate) fn set_waker(&mut self, waker: &Waker) {
        let is_task = waker::is_of(waker, self.task.raw());
        if !(is_task && self.is_woken_with_task) {
            self.change_waker(waker, is_task);
        }
    }

    /// It holds requests back, and is pending: says that it is awaited.
    pub(crate) fn holds_on(&mut self, waker: &Waker) {
        self.set_waker(waker);
        if !is_quiet(self.task.raw()) {
            self.with_tree(|tree, key| {
                tree.note_poll(key);
                ((), Effects::default())
            });
        }
    }

    fn change_waker(&mut self, waker: &Waker, is_task: bool) {
        self.is_woken_with_task = is_task;
        // Cloned before the lock is taken, dropped after it is released.
        let waker = (!is_task).then(|| waker.clone());
        let tree = &self.task.raw().header().cold().tree;
        let before = tree.lock().set_waker(self.key, waker);
        drop(before);
    }

    /// The request that has taken hold of this node, if there is one; this answers it.
    #[inline]
    pub(crate) fn take(&self) -> Option<Request> {
        if is_quiet(self.task.raw()) { None } else { self.take_slow() }
    }

    #[cold]
    fn take_slow(&self) -> Option<Request> {
        self.with_tree(|tree, key| tree.take(key))
    }

    /// As [`take`](Self::take), of one that holds requests back: only one that was raised inside it.
    pub(super) fn take_raised(&self) -> Option<Request> {
        if is_quiet(self.task.raw()) {
            return None;
        }
        self.with_tree(|tree, key| tree.take_raised(key))
    }

    /// Passes a request that was taken on to the enclosing scope, and leaves the tree: it is [unwinding](Self::is_unwinding).
    pub(crate) fn unwind(&mut self, request: Request) {
        let raise = |tree: &mut Tree, key| (tree.parent(key), tree.raise_to_parent(key, request));
        let parent = self.with_tree(raise);
        self.leave();
        (self.parent, self.is_unwinding) = (parent.unwrap_or(Key::NONE), true);
    }

    /// Whether it has asked what is inside to end, and was not answered, if need be before it was taken out.
    pub(super) fn asks(&self) -> bool {
        self.task.raw().header().cold().tree.lock().asks(self.key)
    }

    /// Whether a request went on from here.
    pub(crate) fn is_unwinding(&self) -> bool {
        self.is_unwinding
    }

    /// Whether the request that went on from here has not got where it goes, and it is the task being polled.
    pub(crate) fn unwinds(&self) -> bool {
        let parent = (!self.parent.is_none()).then_some(self.parent);
        unwinds(self.task.raw(), parent)
    }

    /// A cancellation has ended what is inside, which is awaited again: if it has got where it goes it is raised once more.
    pub(super) fn unwind_again(&self) {
        if !self.unwinds() {
            self.with_tree(|tree, key| ((), tree.raise_again(key)));
        }
    }

    /// Passes a request that was taken on to the enclosing scope.
    pub(crate) fn raise_to_parent(&self, request: Request) {
        self.with_tree(|tree, key| ((), tree.raise_to_parent(key, request)));
    }

    /// Asks what is inside to end; if nothing has a say, this node has the request. A timeout inside does not end by itself any more.
    pub(crate) fn cancel_inside(&self, message: Option<Cow<'static, str>>) {
        self.with_tree(|tree, key| {
            let mut effects = Effects::default();
            tree.overrule(key);
            tree.strike(key, message, &mut effects);
            ((), effects)
        });
    }

    /// A request to be passed on to what this node waits for, with its message; once for each request.
    pub(crate) fn begin_forward(&self) -> Option<Option<Cow<'static, str>>> {
        if is_quiet(self.task.raw()) {
            return None;
        }
        self.with_tree(|tree, key| (tree.begin_forward(key), Effects::default()))
    }

    /// Nobody took the request: it has not been passed on.
    pub(crate) fn refuse_forward(&self) {
        self.set_busy(false);
    }

    /// Says whether this node is at a clean-up that requests raised past it have to wait for.
    pub(crate) fn set_busy(&self, busy: bool) {
        self.task.raw().header().cold().tree.lock().set_busy(self.key, busy);
    }

    /// Who has asked for an end of all this since the task had been cancelled that often, as the node was made: the task, if it has been told, as what it
    /// has not been told will come; else the outermost domain round this node that has struck.
    pub(super) fn overruled_since(&self, before: usize) -> Option<Origin> {
        let header = self.task.raw().header();
        let state = header.state.load();
        if state.cancels() as usize > before && !state.has(MUST_CANCEL) {
            return Some(Origin::Task);
        }
        header.cold().tree.lock().overruled_by(self.key).map(Origin::Domain)
    }

    /// Whoever has asked for an end of what is round this asks again, answered or not: rule 8.
    pub(super) fn ask_again(&self) {
        let was_cancelled = self.task.cancelling() > 0;
        self.with_tree(|tree, key| ((), tree.ask_again(key, was_cancelled)));
    }

    /// A request that was taken goes back to where it came from, to be delivered again.
    pub(crate) fn give_back(&self, request: Request, later: bool) {
        self.with_tree(|tree, _| ((), tree.give_back(request, later)));
    }

    /// What this node waited for has ended: takes the request back that it had, and says whether it had been passed on.
    pub(crate) fn end_forward(&self) -> Option<(Request, bool)> {
        if is_quiet(self.task.raw()) {
            return None;
        }
        self.with_tree(|tree, key| {
            let forwarded = tree.has_forwarded(key);
            let (request, effects) = tree.end_forward(key);
            (request.map(|request| (request, forwarded)), effects)
        })
    }
}

impl Drop for Node {
    /// A call, so that whoever has none, which is nearly everybody, sees that in line.
    #[inline(always)]
    fn drop(&mut self) {
        self.end();
    }
}

impl Node {
    #[inline(never)]
    fn end(&mut self) {
        let is_out = self.task.raw().header().cold().tree.lock().remove_plain(self.key);
        if !is_out {
            self.leave();
        }
    }

    /// Leaves the tree, and something behind.
    #[cold]
    fn leave(&mut self) {
        let tree = &self.task.raw().header().cold().tree;
        let Some(remains) = tree.lock().remove(self.key) else {
            return tree.lock().forget(self.key);
        };
        if remains.matter() {
            self.with_tree(|tree, key| ((), tree.bury(key, &remains)));
        }
        drop(remains.waker);
    }
}
