//! What the turns of a task, and `uncancel`, have to do with its cancel tree.

use super::node::{current, with_tree};
use super::tree::Effects;
use crate::cold::Cold;
use crate::error::{CancelledError, JoinError};
use crate::header::RawTask;
use crate::state::{ABORT, Snapshot};
use asyncio_base::sync::Ordering;
use std::borrow::Cow;

/// Whether the task has scopes, or awaits that are nodes.
pub(crate) fn has_nodes(task: RawTask) -> bool {
    task.header().cold_if_any().is_some_and(|cold| cold.tree.lock().has_nodes())
}

/// The poll that a copy of a request was offered to is over.
pub(crate) fn withdraw_offer(task: RawTask) {
    if task.header().cold_if_any().is_some() {
        with_tree(task, |tree| ((), tree.withdraw_offer()));
    }
}

/// Delivers a recorded cancel of the task to its innermost scopes, and leaves a copy for the plain await if it `awaits`; false if there is none
/// any more.
///
/// From the task's word into the tree under the tree's lock, under which `uncancel` looks at both: it finds the request here or there.
///
/// # Errors
///
/// Its message, if it is an abort or there are no scopes: the task has to end.
pub(crate) fn deliver(task: RawTask, awaits: bool) -> Result<bool, Option<Cow<'static, str>>> {
    let header = task.header();
    let message = || header.cold_if_any().and_then(Cold::take_message);
    if header.cold_if_any().is_none() {
        return header.state.take_cancel().map_or(Ok(false), |_| Err(message()));
    }
    with_tree(task, |tree| {
        let mut effects = Effects::default();
        let Some(request) = header.state.take_cancel() else { return (Ok(false), effects) };
        let message = message();
        if request.has(ABORT) || !tree.deliver_to_task(message.clone(), awaits, &mut effects) {
            return (Err(message), effects);
        }
        (Ok(true), effects)
    })
}

/// The task being polled ends with `error` if this poll leaves it pending. Does nothing outside tasks.
pub fn fail_here(error: JoinError) {
    if let Some(task) = current() {
        let before = with_tree(task, |tree| (tree.failure.replace(error), Effects::default()));
        drop(before);
    }
}

/// The task has ended although a request was raised out of its outermost scope, which waited for what is busy: it is the task's own again.
pub(crate) fn give_root_back(task: RawTask) {
    with_tree(task, |tree| ((), tree.give_root_back()));
}

/// What a poll that left the task pending says it has to end with: a failure, or a request raised out of its outermost scope.
#[cold]
pub(crate) fn take_end(task: RawTask, seen: Snapshot) -> Option<JoinError> {
    let failure = with_tree(task, |tree| (tree.failure.take(), Effects::default()));
    failure.or_else(|| {
        let was_woken = task.header().state.load().has_more_wakes_than(seen);
        let left = with_tree(task, |tree| tree.end_turn(was_woken));
        if left.is_some() {
            task.header().cold().detached.fetch_add(1, Ordering::Relaxed);
        }
        drop(left);
        let request = with_tree(task, |tree| {
            let (root, effects) = tree.take_root();
            (root, Effects { restore: tree.later.take().or(effects.restore), ..effects })
        })?;
        Some(JoinError::cancelled(CancelledError::new(request.message)))
    })
}

/// Takes one request back; how many are left. At 0, what was asked of the task and has not been seen is void.
pub(crate) fn uncancel(task: RawTask) -> u64 {
    let header = task.header();
    // One step: neither a request that is just being delivered, nor one that is made between the two, is mistaken for what is taken back.
    let mut tree = header.cold().tree.lock();
    let left = header.state.uncancel();
    if left == 0 {
        tree.void();
    }
    left
}
