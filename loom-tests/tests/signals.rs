//! Nobody looks at a value that is gone (`asyncio-process/src/published.rs`).
#![cfg(asyncio_loom)]

mod sync_common;

use asyncio_loom_tests::model;
use asyncio_process::published::Published;
use std::sync::Arc;
use sync_common::{Watched, spawn};

/// A value whose reading and whose end meet if the protocol lets them.
struct Value(Watched);

impl Drop for Value {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

fn value(number: u32) -> Arc<Value> {
    let value = Value(Watched::new(0));
    value.0.set(number);
    Arc::new(value)
}

/// A handler looks while the value is taken away and dropped.
#[test]
fn look_meets_retract() {
    model("signals: look meets retract", None, || {
        let place = Arc::new(Published::new());
        place.publish(value(1));
        let handlers = place.clone();
        let handler = spawn(move || handlers.look(|value| value.0.get()));
        drop(place.retract());
        let seen = handler.join().unwrap();
        assert!(seen.is_none_or(|seen| seen == 1), "{seen:?}");
        assert!(place.look(|_| ()).is_none());
    });
}

/// What is found is whole.
#[test]
fn look_meets_publish() {
    model("signals: look meets publish", None, || {
        let place = Arc::new(Published::new());
        let handlers = place.clone();
        let handler = spawn(move || handlers.look(|value: &Value| value.0.get()));
        place.publish(value(1));
        let seen = handler.join().unwrap();
        assert!(seen.is_none_or(|seen| seen == 1), "{seen:?}");
    });
}

/// Two handlers, and a value that another replaces.
#[test]
fn two_looks_meet_replace() {
    model("signals: two looks meet replace", Some(3), || {
        let place = Arc::new(Published::new());
        place.publish(value(1));
        let looks = [(); 2].map(|()| {
            let place = place.clone();
            spawn(move || place.look(|value| value.0.get()))
        });
        drop(place.publish(value(2)));
        for look in looks {
            let seen = look.join().unwrap();
            assert!(matches!(seen, Some(1 | 2)), "{seen:?}");
        }
    });
}
