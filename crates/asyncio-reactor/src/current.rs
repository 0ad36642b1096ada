//! Which reactor code on this thread registers with.

use crate::reactor::Reactor;
use crate::system::Inside;
use std::cell::RefCell;
// Shared ownership, not a protocol; and a thread-local of loom's would outlive the model.
use std::sync::Arc;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Reactor>>> = const { RefCell::new(None) };
}

/// Puts the reactor back that was current before, also on unwind.
struct Restore(Option<Arc<Reactor>>);

impl Drop for Restore {
    fn drop(&mut self) {
        let before = self.0.take();
        // A thread that is being torn down has no cell left, and nobody who could read it.
        let entered = CURRENT.try_with(|current| current.replace(before));
        drop(entered);
    }
}

/// Runs `f` with `reactor` as this thread's current reactor.
///
/// Calls nest; the reactor that was current before is so again afterwards, also after a panic.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// let reactor = Arc::new(asyncio_reactor::Reactor::new());
/// asyncio_reactor::enter(&reactor, || {
///     assert!(Arc::ptr_eq(&asyncio_reactor::current().unwrap(), &reactor));
/// });
/// assert!(asyncio_reactor::current().is_none());
/// ```
pub fn enter<R>(reactor: &Arc<Reactor>, f: impl FnOnce() -> R) -> R {
    let _inside = reactor.poller().system().map(|_| Inside::new());
    let entered = Some(reactor.clone());
    // A loop may be closed in the destructor of another thread-local, when this one is gone.
    let before = CURRENT.try_with(|current| current.replace(entered));
    let _restore = Restore(before.ok().flatten());
    f()
}

/// This thread's current reactor.
pub fn current() -> Option<Arc<Reactor>> {
    with_current(|reactor| reactor.cloned())
}

/// Lends this thread's current reactor. `f` is code of this crate that enters no reactor.
pub(crate) fn with_current<R>(f: impl FnOnce(Option<&Arc<Reactor>>) -> R) -> R {
    let mut f = Some(f);
    let mut lend = |reactor: Option<&Arc<Reactor>>| f.take().map(|f| f(reactor));
    let lent = CURRENT.try_with(|current| lend(current.borrow().as_ref()));
    lent.unwrap_or_else(|_gone| lend(None)).expect("called once, with the one or without")
}

#[cfg(all(test, not(asyncio_loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn reactors_nest_and_are_put_back_on_a_panic() {
        let [a, b] = [(); 2].map(|()| Arc::new(Reactor::new()));
        let is = |reactor: &Arc<Reactor>| current().is_some_and(|now| Arc::ptr_eq(&now, reactor));
        enter(&a, || {
            let inner = AssertUnwindSafe(|| enter(&b, || panic!("inside b: {}", is(&b))));
            let message = catch_unwind(inner).unwrap_err();
            assert_eq!(message.downcast_ref::<String>().unwrap(), "inside b: true");
            assert!(is(&a));
        });
        assert!(current().is_none());
        assert_eq!(Arc::strong_count(&a), 1);
    }
}
