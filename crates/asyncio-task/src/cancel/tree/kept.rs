//! Nodes that are kept: rules 9 and 2 for what outlives its place, or is not polled any more.
//!
//! A future that was polled may be kept by whoever polled it, a pinned one by `&mut`, and be polled again in another place, later or never. The tree cannot
//! see that; it sees that there was a turn of the task, and that the node was not polled in it:
//!
//! ```text
//!             it got a mark, or is busy and waited for                no turn's poll
//!   a node ────────────────────────────────────────────► to be polled ──────────────► taken out: what it had goes back
//!     ▲                                                      │
//!     └──────────────────────── polled ──────────────────────┘
//! ```
//!
//! A node with a waker of its own, inside `FuturesUnordered` or the like, is polled only if that is called. So it is woken first, and as such a pool polls
//! but a few in each turn if they wake themselves, and some that are no nodes may be ahead, it is waited for as long as [`PATIENCE`] lasts, which begins
//! anew whenever one of those that were woken is polled. One that has answered is asked again after more and more turns.

use super::{Effects, Key, Kind, Mark, Node, Origin, Remains, Tree};
use std::task::Waker;

/// A turn without a poll of any node that was woken by a waker of its own costs so much patience: one after which nobody but the tree wakes the task says
/// that no pool has more to poll.
const QUIET: u32 = 128;
const BUSY: u32 = 1;
/// When that is used up, those that were woken are awaited no more: after 8 quiet turns.
const PATIENCE: u32 = 8 * QUIET;

/// When those with wakers of their own are asked again to be polled. The answers cost turns, and after those a pool may have turns that it asked for itself;
/// so there are twice as many from one time to the next, or all would go round for ever.
#[derive(Debug, Default)]
pub(super) struct Asking {
    from: u64,
    gap: u64,
}

impl Asking {
    /// There is a new mark, in this turn.
    pub(super) fn begin(&mut self, turn: u64) {
        (self.from, self.gap) = (turn, 1);
    }

    fn is_time(&self, turn: u64) -> bool {
        turn >= self.from
    }

    fn asked(&mut self, turn: u64) {
        self.gap = self.gap.saturating_mul(2);
        self.from = turn.saturating_add(self.gap);
    }
}

impl Tree {
    /// What outlives the node that was `key` is below the next one outwards.
    pub(super) fn adopt_children(&mut self, key: Key, parent: Option<Key>) {
        for child in self.keys_of(|_, node| node.parent == Some(key)) {
            self.put_below(child, parent);
        }
    }

    fn put_below(&mut self, key: Key, parent: Option<Key>) {
        if let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(parent)) {
            parent.children += 1;
        }
        if let Some(node) = self.nodes.get_mut(key) {
            node.parent = parent;
        }
    }

    /// A node is polled in another place: below `parent` from now on. What domains that are not round it there have asked of it, or of what is inside it,
    /// goes back to them.
    pub(crate) fn relocate(&mut self, key: Key, parent: Option<Key>) -> Effects {
        let mut effects = Effects::default();
        self.leave_parent(self.parent(key));
        self.put_below(key, parent);
        let has_strayed = |inside: Key, node: &Node| {
            self.encloses(key, Some(inside)) && node.mark.is_some_and(|m| self.strayed(inside, m))
        };
        for node in self.keys_of(has_strayed) {
            for request in self.let_go(node).0 {
                self.end_mark(request, false, &mut effects);
            }
        }
        effects
    }

    /// Whether a node's mark comes from a domain which is not round it.
    fn strayed(&self, key: Key, mark: Mark) -> bool {
        match self.open.get(mark.request).map(|open| open.request.origin) {
            Some(Origin::Domain(domain)) => !self.encloses(domain, Some(key)),
            _ => false,
        }
    }

    /// Takes the mark of a node away that is not to answer it: the requests that it was of, and whether it was busy with that.
    fn let_go(&mut self, key: Key) -> (Vec<Key>, bool) {
        let is_forward = |node: &&mut Node| node.kind == Kind::Forward;
        let forward = self.nodes.get_mut(key).filter(is_forward);
        let was_busy = forward.is_some_and(|node| std::mem::take(&mut node.busy));
        (self.unmark(key), was_busy)
    }

    /// A domain is gone, and with it what it has asked for, also of what outlives it: what else that had been asked, and whether it was busy with it.
    pub(super) fn forget_requests_of(&mut self, domain: Key) -> (Vec<Key>, bool) {
        let requests = (0..self.open.positions()).filter_map(|index| self.open.key_at(index));
        let is_own = |&key: &Key| {
            self.open.get(key).is_some_and(|open| open.request.origin == Origin::Domain(domain))
        };
        let own: Vec<Key> = requests.filter(is_own).collect();
        let has_own = |_, node: &Node| node.mark.is_some_and(|mark| own.contains(&mark.request));
        let (mut others, mut was_busy) = (Vec::new(), false);
        for key in self.keys_of(has_own) {
            let (requests, busy) = self.let_go(key);
            others.extend(requests);
            was_busy |= busy;
        }
        own.into_iter().for_each(|request| self.open.discard(request));
        (others, was_busy)
    }

    /// Takes everything below a node out: it will not be polled until it is polled in another place, and must not be asked meanwhile. Its marks
    /// end as if it had been dropped: rule 2. Gives the wakers, to be dropped outside the lock.
    pub(crate) fn detach_below(&mut self, at: Key) -> (Vec<Waker>, Effects) {
        let below = self.keys_of(|key, _| key != at && self.encloses(at, Some(key)));
        let mut effects = Effects::default();
        let wakers = self.take_out(below, &mut effects);
        (wakers, effects)
    }

    /// Takes nodes out that are there still. They are buried only when all are out: a request that comes back must not go to one of them again. Gives
    /// their wakers.
    fn take_out(&mut self, keys: Vec<Key>, effects: &mut Effects) -> Vec<Waker> {
        let asking: Vec<Key> = keys.iter().copied().filter(|&key| self.asks(key)).collect();
        self.cut_short.extend(asking);
        let remains: Vec<(Key, Remains)> =
            keys.into_iter().filter_map(|key| Some((key, self.remove(key)?))).collect();
        let mut wakers = Vec::new();
        for (key, remains) in remains {
            effects.add(self.bury(key, &remains));
            wakers.extend(remains.waker);
        }
        wakers
    }

    // ----- turns

    /// A turn of the task has ended: rule 9; if it `was_woken` in it there is another in any case. Gives the wakers of those that were taken out, if there
    /// were any.
    pub(crate) fn end_turn(&mut self, was_woken: bool) -> (Option<Vec<Waker>>, Effects) {
        let mut effects = Effects::default();
        self.waited = self.waited.saturating_add(if was_woken { BUSY } else { QUIET });
        let is_waited_for = self.is_busy_waited_for();
        let late = self.keys_of(|key, node| self.is_late(key, node, is_waited_for));
        let (left, late): (Vec<Key>, Vec<Key>) =
            late.into_iter().partition(|&key| self.is_left(key));
        self.ask_for_polls(late, &mut effects);
        self.turn += 1;
        let has_left = !left.is_empty();
        let wakers = self.take_out(left, &mut effects);
        (has_left.then_some(wakers), effects)
    }

    /// Has those who are late polled in the next turn; those with wakers of their own when it is time for that, and all that were asked before have answered.
    fn ask_for_polls(&mut self, late: Vec<Key>, effects: &mut Effects) {
        let node = |&key: &Key| self.nodes.get(key);
        let is_waiting = late.iter().filter_map(node).any(Node::is_woken);
        effects.wake_task |=
            is_waiting || late.iter().filter_map(node).any(|node| !node.has_own_waker);
        if is_waiting || !self.asking.is_time(self.turn) {
            return;
        }
        let wakers = late.into_iter().filter_map(|key| self.nodes.get_mut(key)?.waker.take());
        let wakers: Vec<Waker> = wakers.collect();
        if !wakers.is_empty() {
            effects.wake.extend(wakers);
            effects.wake_task = true;
            self.waited = 0;
            self.asking.asked(self.turn);
        }
    }

    /// Whether a request waits for what is busy.
    fn is_busy_waited_for(&self) -> bool {
        let is_raised = |(_, node): (Key, &Node)| node.mark.is_some_and(|mark| mark.raised);
        self.root.is_some() || self.nodes().any(is_raised)
    }

    /// At the end of a turn: whether a node is to be polled and was not, in this turn or since it got its mark.
    fn is_late(&self, key: Key, node: &Node, is_waited_for: bool) -> bool {
        match self.awaits_poll(key, node) {
            Some(mark) => !mark.is_polled || node.turn < self.turn,
            None => is_waited_for && node.is_busy() && node.turn < self.turn,
        }
    }

    /// Of one that is late: whether it had its turn.
    fn is_left(&self, key: Key) -> bool {
        let Some(node) = self.nodes.get(key) else { return false };
        match self.awaits_poll(key, node) {
            _ if node.has_own_waker => node.is_woken() && self.waited >= PATIENCE,
            Some(mark) => mark.turn < self.turn,
            // It may have been polled in the turn before this one, before there was anything to note that for.
            None => node.turn + 1 < self.turn,
        }
    }

    /// The mark of a node that is to be polled while it has one.
    fn awaits_poll(&self, key: Key, node: &Node) -> Option<Mark> {
        let mark = node.mark.filter(|mark| !mark.raised)?;
        let origin = self.open.get(mark.request).map(|open| open.request.origin);
        (origin != Some(Origin::Domain(key))).then_some(mark)
    }

    /// A node that may have a request is polled.
    pub(crate) fn note_poll(&mut self, key: Key) {
        let turn = self.turn;
        let Some(node) = self.nodes.get_mut(key) else { return };
        node.turn = turn;
        node.mark.iter_mut().for_each(|mark| mark.is_polled = true);
        if node.is_woken() {
            self.waited = 0;
        }
    }
}
