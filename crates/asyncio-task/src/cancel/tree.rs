//! The cancel tree of a task: where a request goes, and that it is never lost. A pure data structure; `node.rs` puts the lock round it.
//!
//! Awaitables that have a say in cancellation are *nodes*: a scope that catches, one that holds back, a domain that cancels what is inside it
//! (`timeout`, a task group), an await that forwards to another task. A node's parent is the node in whose poll it was first polled.
//!
//! # A request
//!
//! ```text
//!            deliver                       take                 (the scope has returned it)
//!  origin ────────────► marks on the ────────────► answered
//!    ▲                  innermost nodes
//!    │                       │ raise: the node passes it on to its parent, at the root to the task
//!    └───────────────────────┘
//!       every mark gone and none answered: back to the origin, to be delivered again
//! ```
//!
//! A request comes from the task (`cancel`) or from a domain (its deadline). It is delivered to the *innermost* active nodes below its
//! origin: those without active children. Where one task does several things at once there are several, and each gets a mark.
//!
//! # Rules
//!
//! 1. A request is open while it has marks. A mark ends by being taken (that answers the request), by being raised to the parent (the mark
//!    moves), or with its node.
//! 2. When the last mark of an unanswered request ends with its node, the request goes back to its origin. So it is not lost with a branch of
//!    `select!` that lost, with a scope that finished just then, or with one that held it back. If that happens in turn after turn, as each waits in a new
//!    node, it is raised from where the last one was.
//! 3. A node that holds back stops a request: nothing inside it is marked. It gets the mark, and when it finishes rule 2 applies.
//! 4. A node that meets two requests keeps the one from further out; the other shares its fate there. One that has passed a request on passes
//!    the next one on too.
//! 5. A raised request takes hold of a node when nothing below is *busy*: holding back, or waiting for the clean-up of a task it forwarded to.
//! 6. `uncancel` to 0 voids what the task has asked for and no node has taken or passed on: those marks are as if they were not there.
//! 7. A timeout or group that strikes overrules the timeouts inside it at that moment, whether its request is taken or not: their own requests, when they come
//!    back to them, are those of the outermost that overrules them. (asyncio: who finds more requests than there were when it began lets them pass.)
//! 8. When a group ends with errors, whoever has asked and was not taken back asks again, wherever that was answered: the outermost domain round the group
//!    that has struck, else the task. (asyncio: such a group cancels its task again if that has been cancelled.)
//! 9. A node that has a mark, or is busy while a request waits for that, and is not polled in a turn of its task is awaited no more (it is kept somewhere):
//!    it is taken out, and its mark ends. One with a waker of its own is woken first, and has more turns. A node that outlives its parent is below the
//!    next one outwards until it is polled, and finds its place anew. (`kept.rs`)

use crate::error::JoinError;
use asyncio_base::slab::{Key, Slab};
use std::borrow::Cow;
use std::task::Waker;

mod kept;
#[cfg(test)]
mod tests;

/// So often a request may come back with nodes that are gone, until somebody answers.
const MOST_RETURNS: u32 = 3;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `cancel` on the task.
    Task,
    /// The domain with this key.
    Domain(Key),
}

/// What a node does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Takes it, or raises what is not its own.
    Scope,
    /// Waits for a task; passes it on to that task.
    Forward,
    /// Holds it back until it has finished.
    Shield,
}

/// A request that a node has taken.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) origin: Origin,
    pub(crate) message: Option<Cow<'static, str>>,
}

#[derive(Debug)]
struct Node {
    parent: Option<Key>,
    /// Active children.
    children: u32,
    kind: Kind,
    mark: Option<Mark>,
    /// Other requests that it has met: they end as the mark does, rule 4.
    absorbed: Vec<Key>,
    /// At a clean-up that what is raised past it waits for: a forwarding node that has passed its request on, a group whose tasks end.
    busy: bool,
    /// A forwarding node has met a request that it has not passed on.
    fresh: bool,
    /// The outermost domain that overrules this node, or it itself if it has struck; `Key::NONE` if neither.
    overruled_by: Key,
    /// What the node was last polled with, if that is not the task's own waker.
    waker: Option<Waker>,
    /// It is polled when its own waker is called, not in each turn of the task; also while there is no waker, as it has been called.
    has_own_waker: bool,
    /// The turn in which it was last polled, as far as requests were open.
    turn: u64,
}

impl Node {
    /// Rule 5.
    #[inline]
    fn is_busy(&self) -> bool {
        self.kind == Kind::Shield || self.busy
    }

    /// Whether its own waker was called, and it was not polled since.
    #[inline]
    fn is_woken(&self) -> bool {
        self.has_own_waker && self.waker.is_none()
    }
}

/// A node has to do with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    request: Key,
    /// Raised by a child, not delivered: waits for what is busy below (rule 5).
    raised: bool,
    /// The turn in which the node got it.
    turn: u64,
    /// The node was polled since.
    is_polled: bool,
}

#[derive(Debug)]
struct Open {
    request: Request,
    marks: u32,
    answered: bool,
    /// Of a request of the task that was delivered and not raised: how often those had been voided when it was made.
    epoch: Option<u64>,
}

/// The nodes of one task and the requests that are open.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Slab<Node>,
    open: Slab<Open>,
    /// A request raised to the root: the task ends.
    root: Option<Key>,
    /// The task ends with this.
    pub(crate) failure: Option<JoinError>,
    /// A request of the task that strikes when the task waits next, but not if it ends first; with its message.
    pub(crate) later: Option<Option<Cow<'static, str>>>,
    /// A request of the task that the plain await beside the nodes gets too; counts as a mark.
    offer: Option<Key>,
    epoch: u64,
    /// Turns of the task, as far as requests were open, and deliveries.
    turn: u64,
    /// What the turns have cost (`kept.rs`) since a node was last woken by a waker of its own, or polled after that.
    waited: u32,
    /// How often requests came back since one was answered.
    returns: u32,
    /// Domains that were taken out with a request of their own that nobody had answered.
    cut_short: Vec<Key>,
    asking: kept::Asking,
}

/// What a node leaves behind.
#[derive(Debug)]
pub(crate) struct Remains {
    /// To be dropped outside the lock.
    pub(crate) waker: Option<Waker>,
    mark: Option<Mark>,
    absorbed: Vec<Key>,
    parent: Option<Key>,
    /// It was busy.
    was_busy: bool,
}

impl Remains {
    /// Whether they have to be [buried](Tree::bury).
    pub(crate) fn matter(&self) -> bool {
        self.mark.is_some() || !self.absorbed.is_empty() || self.was_busy
    }
}

/// What is left to do after the lock is released.
#[derive(Debug, Default)]
#[must_use = "wakers have to be called and requests delivered again"]
pub(crate) struct Effects {
    /// To be called, outside the lock.
    pub(crate) wake: Vec<Waker>,
    /// The task needs another turn: a node that is woken with it has a mark, or may look at its mark again.
    pub(crate) wake_task: bool,
    /// The task's own request came back: `must_cancel` again, with this message.
    pub(crate) restore: Option<Option<Cow<'static, str>>>,
}

impl Effects {
    fn add(&mut self, more: Effects) {
        self.wake.extend(more.wake);
        self.wake_task |= more.wake_task;
        self.restore = self.restore.take().or(more.restore);
    }
}

impl Tree {
    // ----- nodes

    /// Adds an active node.
    #[inline]
    pub(crate) fn insert(&mut self, mut parent: Option<Key>, kind: Kind) -> Key {
        if let Some(key) = parent {
            match self.nodes.get_mut(key) {
                Some(node) => node.children += 1,
                // The parent may be gone: a future that was first polled elsewhere and moved.
                None => parent = None,
            }
        }
        self.nodes.insert(Node {
            parent,
            children: 0,
            kind,
            mark: None,
            absorbed: Vec::new(),
            busy: false,
            fresh: false,
            overruled_by: Key::NONE,
            waker: None,
            has_own_waker: false,
            turn: self.turn,
        })
    }

    /// Adds an outermost node that has a request of the task: a new one.
    pub(crate) fn insert_requested(
        &mut self,
        kind: Kind,
        message: Option<Cow<'static, str>>,
    ) -> (Key, Effects) {
        let request = Request { origin: Origin::Task, message };
        let open = Open { request, marks: 0, answered: false, epoch: Some(self.epoch) };
        let request = self.open.insert(open);
        self.insert_marked(kind, request)
    }

    fn insert_marked(&mut self, kind: Kind, request: Key) -> (Key, Effects) {
        let mut effects = Effects::default();
        let node = self.insert(None, kind);
        self.mark(Some(node), self.delivered(request), &mut effects);
        (node, effects)
    }

    fn delivered(&self, request: Key) -> Mark {
        Mark { request, raised: false, turn: self.turn, is_polled: false }
    }

    pub(crate) fn has_nodes(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// Keeps the waker of a node that is not woken with its task; `None` for one that is. Returns the one it replaces.
    pub(crate) fn set_waker(&mut self, node: Key, waker: Option<Waker>) -> Option<Waker> {
        let node = self.nodes.get_mut(node)?;
        if node.is_woken() {
            self.waited = 0;
        }
        node.has_own_waker = waker.is_some();
        std::mem::replace(&mut node.waker, waker)
    }

    /// Takes a node out that leaves nothing behind, which is nearly every one; false, and it is in still, if there is something.
    #[inline]
    pub(crate) fn remove_plain(&mut self, key: Key) -> bool {
        let plain = |node: &&Node| {
            node.mark.is_none() && node.waker.is_none() && !node.is_busy() && node.children == 0
        };
        let Some(parent) = self.nodes.get(key).filter(plain).map(|node| node.parent) else {
            return false;
        };
        self.leave_parent(parent);
        self.nodes.discard(key);
        true
    }

    #[inline]
    fn leave_parent(&mut self, parent: Option<Key>) {
        if let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(parent)) {
            parent.children -= 1;
        }
    }

    /// Takes a node out: it has finished, or was dropped.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Remains> {
        let node = self.nodes.remove(key)?;
        if node.is_woken() {
            self.waited = 0;
        }
        self.leave_parent(node.parent);
        let mut was_busy = node.is_busy() && self.has_requests();
        let mut absorbed = node.absorbed;
        if node.children > 0 {
            self.adopt_children(key, node.parent);
            let (others, busy) = self.forget_requests_of(key);
            absorbed.extend(others);
            was_busy |= busy;
        }
        let Node { waker, mark, parent, .. } = node;
        Some(Remains { waker, mark, absorbed, parent, was_busy })
    }

    /// Takes a node's mark away; the requests that it was of.
    fn unmark(&mut self, key: Key) -> Vec<Key> {
        let Some(node) = self.nodes.get_mut(key) else { return Vec::new() };
        let mut requests = std::mem::take(&mut node.absorbed);
        requests.extend(node.mark.take().map(|mark| mark.request));
        requests
    }

    /// The mark of a node that is gone ends with it: rule 2. Whoever waited for it to be done looks again: rule 5.
    pub(crate) fn bury(&mut self, key: Key, remains: &Remains) -> Effects {
        let mut effects = Effects::default();
        if remains.was_busy {
            self.look_again(remains.parent, &mut effects);
        }
        let mark = remains.mark.map(|mark| mark.request);
        for &request in remains.absorbed.iter().chain(&mark) {
            // A domain's own request ends with it.
            let origin = self.open.get(request).map(|open| open.request.origin);
            let answers = origin == Some(Origin::Domain(key));
            if let Some(unanswered) = self.end_one(request, answers) {
                self.come_back(unanswered, remains.parent, &mut effects);
            }
        }
        effects
    }

    /// A request comes back with a node that is gone. If each turn's wait is another node, none ever answers: after some times it is raised from there.
    fn come_back(&mut self, request: Request, parent: Option<Key>, effects: &mut Effects) {
        self.returns += 1;
        if self.returns <= MOST_RETURNS {
            return self.back_to_origin(request, effects);
        }
        effects.add(self.raise(parent, request));
        effects.wake_task = true;
    }

    /// Whether a domain has a request of its own that nobody has answered, or had one when it was taken out.
    pub(crate) fn asks(&self, domain: Key) -> bool {
        let is_own = |open: &Open| open.request.origin == Origin::Domain(domain) && !open.answered;
        let mut open = (0..self.open.positions()).filter_map(|index| self.open.at(index));
        self.cut_short.contains(&domain) || open.any(is_own)
    }

    /// Nobody will ask any more what became of a domain that was taken out.
    pub(crate) fn forget(&mut self, domain: Key) {
        self.cut_short.retain(|&other| other != domain);
    }

    /// Whether a node is in the tree.
    pub(crate) fn contains(&self, key: Key) -> bool {
        self.nodes.contains(key)
    }

    fn nodes(&self) -> impl Iterator<Item = (Key, &Node)> {
        let at = |index| Some((self.nodes.key_at(index)?, self.nodes.at(index)?));
        (0..self.nodes.positions()).filter_map(at)
    }

    fn keys_of(&self, is: impl Fn(Key, &Node) -> bool) -> Vec<Key> {
        self.nodes().filter(|(key, node)| is(*key, node)).map(|(key, _)| key).collect()
    }

    // ----- requests

    /// A domain overrules those inside it from now on: rule 7. It is noted as overruled by itself, which says that it has struck.
    pub(crate) fn overrule(&mut self, domain: Key) {
        let is_further_out = |by: Key| !self.encloses(domain, Some(by));
        let is_its = |key: Key| {
            self.encloses(domain, Some(key)) && !self.overruled_by(key).is_some_and(is_further_out)
        };
        for key in self.keys_of(|key, _| is_its(key)) {
            if let Some(node) = self.nodes.get_mut(key) {
                node.overruled_by = domain;
            }
        }
    }

    /// A domain asks what is inside it to end; if nothing has a say, it has the request itself.
    pub(crate) fn strike(
        &mut self,
        domain: Key,
        message: Option<Cow<'static, str>>,
        effects: &mut Effects,
    ) {
        if !self.deliver(Origin::Domain(domain), message.clone(), effects) {
            self.mark_itself(domain, message, effects);
        }
    }

    /// The outermost domain round a node that has overruled it and has not ended.
    pub(crate) fn overruled_by(&self, key: Key) -> Option<Key> {
        self.struck_by(key).filter(|&by| by != key)
    }

    /// As [`overruled_by`](Self::overruled_by); the node itself, if it has struck.
    fn struck_by(&self, key: Key) -> Option<Key> {
        let by = self.nodes.get(key)?.overruled_by;
        self.nodes.contains(by).then_some(by)
    }

    /// The outermost domain round a node that has struck, even before the node was there, and has not ended.
    fn struck_round(&self, key: Key) -> Option<Key> {
        match self.struck_from(self.parent(key)) {
            Origin::Domain(domain) => Some(domain),
            Origin::Task => None,
        }
    }

    /// Marks the innermost nodes below `origin`; false, and no request is open, if there are none.
    pub(crate) fn deliver(
        &mut self,
        origin: Origin,
        message: Option<Cow<'static, str>>,
        effects: &mut Effects,
    ) -> bool {
        let request = self.open_below(origin, message, effects);
        if let Some(request) = request {
            self.end_mark(request, false, effects);
        }
        request.is_some()
    }

    /// As [`deliver`](Self::deliver) of a request of the task; if it `awaits`, the plain await is offered it too. It is delivered before a turn.
    pub(crate) fn deliver_to_task(
        &mut self,
        message: Option<Cow<'static, str>>,
        awaits: bool,
        effects: &mut Effects,
    ) -> bool {
        let request = self.open_below(Origin::Task, message, effects);
        self.turn += 1;
        match request {
            Some(request) if awaits => self.offer = Some(request),
            Some(request) => self.end_mark(request, false, effects),
            None => {}
        }
        request.is_some()
    }

    /// Opens a request and marks the innermost nodes below `origin` with it, if there are any; it has one mark more, which is the caller's.
    fn open_below(
        &mut self,
        origin: Origin,
        message: Option<Cow<'static, str>>,
        effects: &mut Effects,
    ) -> Option<Key> {
        let at = match origin {
            Origin::Task => None,
            Origin::Domain(key) => Some(key),
        };
        let innermost: Vec<Key> = self.innermost_below(at);
        if innermost.is_empty() {
            return None;
        }
        let epoch = (origin == Origin::Task).then_some(self.epoch);
        let request = Request { origin, message };
        // A node that keeps the request it has ends the mark at once.
        let request = self.open.insert(Open { request, marks: 1, answered: false, epoch });
        for node in innermost {
            self.mark(Some(node), self.delivered(request), effects);
        }
        Some(request)
    }

    /// Active nodes without active children, or that hold back, with nothing that holds back between them and `at`.
    fn innermost_below(&self, at: Option<Key>) -> Vec<Key> {
        let leaf = |node: &Node| node.children == 0 || node.kind == Kind::Shield;
        self.keys_of(|key, node| Some(key) != at && leaf(node) && self.is_open_to(node.parent, at))
    }

    /// Whether a request from `at` reaches what lies below `from`.
    fn is_open_to(&self, mut from: Option<Key>, at: Option<Key>) -> bool {
        loop {
            if from == at {
                return true;
            }
            match from.and_then(|key| self.nodes.get(key)) {
                Some(node) if node.kind != Kind::Shield => from = node.parent,
                _ => return false,
            }
        }
    }

    /// Puts a mark on a node, or on the root.
    fn mark(&mut self, at: Option<Key>, mark: Mark, effects: &mut Effects) {
        let before = match at.and_then(|key| self.nodes.get(key)) {
            Some(node) => node.mark,
            None => self.root.map(|request| Mark { raised: true, ..self.delivered(request) }),
        };
        let (keep, lose) = match before {
            Some(before) if self.keeps(at, before.request, mark.request) => (before, Some(mark)),
            Some(before) => (mark, Some(before)),
            None => (mark, None),
        };
        if let Some(open) = self.open.get_mut(mark.request) {
            open.marks += 1;
        }
        self.asking.begin(self.turn);
        match at.and_then(|key| self.nodes.get_mut(key)) {
            Some(node) => {
                // What goes on from inside ends a node also if it keeps another request.
                let raised = keep.raised || mark.raised && node.kind == Kind::Shield;
                node.mark = Some(Mark { raised, ..keep });
                node.fresh = true;
                // Taken, not cloned: a clone is user code. The poll that follows leaves a new one.
                if let Some(waker) = node.waker.take() {
                    effects.wake.push(waker);
                    self.waited = 0;
                }
            }
            None => self.root = Some(keep.request),
        }
        let Some(lose) = lose else { return };
        match at.and_then(|key| self.nodes.get_mut(key)) {
            Some(node) => node.absorbed.push(lose.request),
            None => self.end_mark(lose.request, true, effects),
        }
    }

    /// Whether a node that has request `a` keeps it when it meets `b`. Of two equals a node that has passed `a` on keeps `b`.
    fn keeps(&self, at: Option<Key>, a: Key, b: Key) -> bool {
        let passed_on = at.and_then(|key| self.nodes.get(key)).is_some_and(|node| node.busy);
        self.is_further_out(a, b) && !(passed_on && self.is_further_out(b, a))
    }

    /// What was busy below has ended: whoever waits for that, from `from` outwards, has to look again.
    fn look_again(&mut self, mut from: Option<Key>, effects: &mut Effects) {
        let mut waiting = self.root.is_some();
        while let Some(node) = from.and_then(|key| self.nodes.get_mut(key)) {
            if node.mark.is_some_and(|mark| mark.raised) {
                waiting = true;
                effects.wake.extend(node.waker.take());
            }
            from = node.parent;
        }
        effects.wake_task |= waiting;
    }

    /// Whether request `a` comes from further out than `b`; the task is further out than all. Equal counts: the earlier one stays.
    fn is_further_out(&self, a: Key, b: Key) -> bool {
        let origin = |key| self.open.get(key).map(|open| open.request.origin);
        match (origin(a), origin(b)) {
            (Some(Origin::Task), _) => !self.is_void(a),
            (_, Some(Origin::Task)) => false,
            (Some(Origin::Domain(a)), Some(Origin::Domain(b))) => self.is_open_to(Some(b), Some(a)),
            _ => false,
        }
    }

    /// A mark is gone. Rule 2.
    fn end_mark(&mut self, request: Key, answers: bool, effects: &mut Effects) {
        if let Some(unanswered) = self.end_one(request, answers) {
            self.back_to_origin(unanswered, effects);
        }
    }

    /// A mark is gone: gives the request if it was the last, and nobody has answered.
    fn end_one(&mut self, request: Key, answers: bool) -> Option<Request> {
        let open = self.open.get_mut(request)?;
        open.marks -= 1;
        open.answered |= answers;
        if open.marks > 0 {
            return None;
        }
        let void = self.is_void(request);
        let open = self.open.remove(request)?;
        (!open.answered && !void).then_some(open.request)
    }

    fn back_to_origin(&mut self, request: Request, effects: &mut Effects) {
        match request.origin {
            Origin::Task => effects.restore = Some(request.message),
            Origin::Domain(key) => self.redeliver(key, request.message, effects),
        }
    }

    /// A domain's request came back: to the innermost nodes of now, else to the domain itself.
    fn redeliver(
        &mut self,
        domain: Key,
        message: Option<Cow<'static, str>>,
        effects: &mut Effects,
    ) {
        if !self.nodes.contains(domain) {
            return; // The domain has finished: its request with it.
        }
        self.strike(domain, message, effects);
        // The nodes may have had their turn in this poll, or this is no poll of the task at all.
        effects.wake_task = true;
    }

    /// A request that was taken goes back to its origin: as if it had not been. If `later`, the task may end before it strikes.
    pub(crate) fn give_back(&mut self, request: Request, later: bool) -> Effects {
        let mut effects = Effects::default();
        match request.origin {
            Origin::Task if later => self.later = Some(request.message),
            _ => self.back_to_origin(request, &mut effects),
        }
        effects
    }

    /// A group ends with errors: rule 8. `was_cancelled` if the task has been cancelled and that was not taken back.
    pub(crate) fn ask_again(&mut self, group: Key, was_cancelled: bool) -> Effects {
        let origin = match self.struck_round(group) {
            // It tells by itself whether the task was cancelled since.
            Some(domain) => Origin::Domain(domain),
            None if was_cancelled => Origin::Task,
            None => return Effects::default(),
        };
        self.give_back(Request { origin, message: None }, true)
    }

    /// A domain's own request came back to it while something inside was polled for the first time, which has its node now: that has the say.
    fn hand_on(&mut self, key: Key, mark: Mark, effects: &mut Effects) -> bool {
        let Some(request) = self.open.get(mark.request).map(|open| open.request.clone()) else {
            return false;
        };
        let is_own = request.origin == Origin::Domain(key) && !mark.raised;
        if !is_own || !self.deliver(request.origin, request.message, effects) {
            return false;
        }
        for request in self.unmark(key) {
            self.end_mark(request, request == mark.request, effects);
        }
        effects.wake_task = true;
        true
    }

    /// Marks a domain with a request of its own: nothing inside it has a say.
    fn mark_itself(
        &mut self,
        domain: Key,
        message: Option<Cow<'static, str>>,
        effects: &mut Effects,
    ) {
        let request = Request { origin: Origin::Domain(domain), message };
        let open = Open { request, marks: 0, answered: false, epoch: None };
        let request = self.open.insert(open);
        self.mark(Some(domain), self.delivered(request), effects);
    }

    /// Adds an outermost node that has the request which is offered to the plain await beside the nodes, if one is.
    pub(crate) fn insert_offered(&mut self, kind: Kind) -> Option<(Key, Effects)> {
        let (node, mut effects) = self.insert_marked(kind, self.offer?);
        effects.add(self.withdraw_offer());
        Some((node, effects))
    }

    /// Nobody takes what is offered any more.
    pub(crate) fn withdraw_offer(&mut self) -> Effects {
        let mut effects = Effects::default();
        if let Some(request) = self.offer.take() {
            self.end_mark(request, false, &mut effects);
        }
        effects
    }

    fn is_void(&self, request: Key) -> bool {
        let epoch = self.open.get(request).and_then(|open| open.epoch);
        epoch.is_some_and(|epoch| epoch < self.epoch)
    }

    /// `uncancel` has reached 0. Rule 6.
    pub(crate) fn void(&mut self) {
        self.epoch += 1;
        self.returns = 0;
        // What shared the fate of a request that is void now stands for itself.
        let is_free = |node: &Node| !(node.kind == Kind::Forward && node.busy && !node.fresh);
        let is_void = |mark: Mark| self.is_void(mark.request);
        for key in self.keys_of(|_, node| is_free(node) && node.mark.is_some_and(is_void)) {
            self.mark_with_absorbed(key);
        }
    }

    /// Gives a node the request from furthest out of those that it has absorbed, if there is one that is not void.
    fn mark_with_absorbed(&mut self, key: Key) {
        let Some(node) = self.nodes.get(key) else { return };
        let is_open = |request| self.open.contains(request) && !self.is_void(request);
        let open = (0..node.absorbed.len()).filter(|&at| is_open(node.absorbed[at]));
        let further_out = |a: usize, b: usize| {
            if self.is_further_out(node.absorbed[b], node.absorbed[a]) { b } else { a }
        };
        let Some(at) = open.reduce(further_out) else { return };
        let Some(node) = self.nodes.get_mut(key) else { return };
        if let Some(mark) = &mut node.mark {
            std::mem::swap(&mut mark.request, &mut node.absorbed[at]);
            node.fresh = true;
        }
    }

    /// The request that has taken hold of a node: it is the node's to return or to raise, and this answers it.
    pub(crate) fn take(&mut self, key: Key) -> (Option<Request>, Effects) {
        let mut effects = Effects::default();
        self.note_poll(key);
        let Some(mark) = self.nodes.get(key).and_then(|node| node.mark) else {
            return (None, effects);
        };
        if mark.raised && self.is_busy_below(Some(key)) {
            return (None, effects);
        }
        if self.hand_on(key, mark, &mut effects) {
            return (None, effects);
        }
        // What was passed on has been seen, and is not taken back any more.
        let passed_on = |node: &Node| node.kind == Kind::Forward && node.busy && !node.fresh;
        let passed_on = self.nodes.get(key).is_some_and(passed_on);
        let void = self.is_void(mark.request) && !passed_on;
        let request = self.open.get(mark.request).map(|open| open.request.clone());
        for request in self.unmark(key) {
            self.end_mark(request, true, &mut effects);
        }
        let request = request.filter(|_| !void);
        if request.is_some() {
            self.returns = 0;
        }
        (request, effects)
    }

    /// As [`take`](Self::take), of one that holds back: only what was raised inside it. It holds nothing back from then on.
    pub(crate) fn take_raised(&mut self, key: Key) -> (Option<Request>, Effects) {
        let is_raised = |node: &Node| node.mark.is_some_and(|mark| mark.raised);
        if !self.nodes.get(key).is_some_and(is_raised) {
            return (None, Effects::default());
        }
        let taken = self.take(key);
        if taken.0.is_some() {
            self.nodes.get_mut(key).into_iter().for_each(|node| node.kind = Kind::Scope);
        }
        taken
    }

    /// The task has to end: a request was raised to the root and nothing is busy any more.
    pub(crate) fn take_root(&mut self) -> (Option<Request>, Effects) {
        let mut effects = Effects::default();
        let Some(request) = self.root.filter(|_| !self.is_busy_below(None)) else {
            return (None, effects);
        };
        let taken = self.open.get(request).map(|open| open.request.clone());
        (self.root, self.returns) = (None, 0);
        self.end_mark(request, true, &mut effects);
        (taken, effects)
    }

    /// The task has ended by itself: what was raised to the root goes back to it.
    pub(crate) fn give_root_back(&mut self) -> Effects {
        let mut effects = Effects::default();
        if let Some(request) = self.root.take() {
            self.end_mark(request, false, &mut effects);
        }
        effects
    }

    /// Whether any request is open, or the task has to fail: without that nobody has anything to look for.
    pub(crate) fn has_requests(&self) -> bool {
        !self.open.is_empty() || self.failure.is_some() || self.later.is_some()
    }

    /// Rule 5.
    fn is_busy_below(&self, at: Option<Key>) -> bool {
        let below = |node: &Node| {
            let mut from = node.parent;
            while from != at {
                match from.and_then(|key| self.nodes.get(key)) {
                    Some(node) => from = node.parent,
                    None => return false,
                }
            }
            true
        };
        self.nodes().any(|(key, node)| Some(key) != at && node.is_busy() && below(node))
    }

    /// Raises a request at `at`: in the scope with that key, at the root without. The raiser stays pending.
    pub(crate) fn raise(&mut self, at: Option<Key>, request: Request) -> Effects {
        let mut effects = Effects::default();
        let at = at.filter(|&key| self.nodes.contains(key));
        // A domain that does not enclose the place cannot be meant: the outermost is that has struck, else the task.
        let origin = match request.origin {
            Origin::Domain(domain) if !self.encloses(domain, at) => self.struck_from(at),
            origin => origin,
        };
        let request = Request { origin, ..request };
        // What is unwinding goes on: `uncancel` takes back only what nobody has seen.
        let open = Open { request, marks: 0, answered: false, epoch: None };
        let request = self.open.insert(open);
        self.mark(at, Mark { raised: true, ..self.delivered(request) }, &mut effects);
        effects
    }

    fn encloses(&self, domain: Key, mut at: Option<Key>) -> bool {
        while let Some(key) = at {
            if key == domain {
                return true;
            }
            at = self.nodes.get(key).and_then(|node| node.parent);
        }
        false
    }

    /// What was inside `key` is awaited again although a cancellation has ended it: raises that once more, for the outermost domain that has struck, else
    /// the task.
    pub(crate) fn raise_again(&mut self, key: Key) -> Effects {
        let parent = self.parent(key);
        self.raise(parent, Request { origin: self.struck_from(parent), message: None })
    }

    fn struck_from(&self, at: Option<Key>) -> Origin {
        let round = std::iter::successors(at, |&key| self.parent(key));
        let struck = round.filter_map(|key| self.struck_by(key)).last();
        struck.map_or(Origin::Task, Origin::Domain)
    }

    /// Raises a request that `key` has taken in its parent.
    pub(crate) fn raise_to_parent(&mut self, key: Key, request: Request) -> Effects {
        self.raise(self.parent(key), request)
    }

    /// The node that this one is below.
    pub(crate) fn parent(&self, key: Key) -> Option<Key> {
        self.nodes.get(key)?.parent
    }

    /// Whether what was raised in `at` is on its way still.
    pub(crate) fn unwinds(&self, at: Option<Key>) -> bool {
        // A scope with children that was asked itself gives way as soon as it is polled.
        let ends = |node: &Node, mark: Mark| {
            mark.raised || node.kind == Kind::Scope && !self.is_void(mark.request)
        };
        let mut from = at;
        while let Some(key) = from {
            let Some(node) = self.nodes.get(key) else { return false };
            if node.mark.is_some_and(|mark| ends(node, mark)) {
                return true;
            }
            from = node.parent;
        }
        self.root.is_some()
    }

    // ----- forwarding

    /// Whether a forwarding node has a request that it has not passed on; from now on it has. Gives the message.
    pub(crate) fn begin_forward(&mut self, key: Key) -> Option<Option<Cow<'static, str>>> {
        self.note_poll(key);
        let mark = self.nodes.get(key)?.mark?;
        if self.is_void(mark.request) {
            return None;
        }
        let message = self.open.get(mark.request)?.request.message.clone();
        let node = self.nodes.get_mut(key)?;
        node.busy |= node.fresh;
        std::mem::take(&mut node.fresh).then_some(message)
    }

    /// Whether the node has passed its request on.
    pub(crate) fn has_forwarded(&self, key: Key) -> bool {
        self.nodes.get(key).is_some_and(|node| node.busy)
    }

    /// Says whether a node is busy.
    pub(crate) fn set_busy(&mut self, key: Key, busy: bool) {
        if let Some(node) = self.nodes.get_mut(key) {
            node.busy = busy;
        }
    }

    /// What it forwarded to has ended: takes the request back, if it is still one.
    pub(crate) fn end_forward(&mut self, key: Key) -> (Option<Request>, Effects) {
        let taken = self.take(key);
        self.set_busy(key, false);
        taken
    }
}
