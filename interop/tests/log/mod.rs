//! Who said what.

use std::sync::{Arc, Mutex};

/// What happened.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    pub(crate) fn say(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    /// All that was said, in alphabetical order: several workers have no other.
    pub(crate) fn sorted(&self) -> Vec<&'static str> {
        let mut said = self.0.lock().unwrap().clone();
        said.sort_unstable();
        said
    }

    pub(crate) fn on_drop(&self, what: &'static str) -> OnDrop {
        OnDrop(self.clone(), what)
    }
}

pub(crate) struct OnDrop(Log, &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}
