//! Cancellation that can answer: scopes that catch, hold back, forward.
//!
//! `tree.rs` decides where a request goes; `node.rs` is one node's place in its task; `scope.rs` is what all scopes do, `scopes.rs` has the scopes
//! themselves, `forward.rs` the await that passes a request on, `plain.rs` how that, or a timeout, does without a tree, `domain.rs` what cancels what is inside it,
//! `timeout.rs` what timeouts and `group.rs` what task groups make of that.

mod domain;
mod finally;
mod forward;
mod group;
mod node;
mod place;
mod plain;
mod raise;
mod scope;
mod scopes;
mod shield;
mod timeout;
mod tree;
mod turns;

pub use domain::{Domain, Inside};
pub use finally::with_finally;
pub use forward::Forward;
pub use group::GroupDomain;
pub(crate) use node::is_quiet;
pub use scopes::{CatchCancelled, Uncancellable, catch_cancelled, uncancellable};
pub use shield::{Shield, Shieldable, shield};
pub use timeout::{Polled, Standing, TimeoutDomain};
pub(crate) use tree::{Origin, Tree};
pub use turns::fail_here;
pub(crate) use turns::{deliver, give_root_back, has_nodes, take_end, uncancel, withdraw_offer};
