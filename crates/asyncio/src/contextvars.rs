//! Context variables: values that tasks, callbacks and timers inherit from whoever made them.

pub use asyncio_base::context::Context;
use asyncio_base::context::{ContextSlot, Value, with_current};
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A variable whose value belongs to the context that code runs in.
///
/// A task, callback or timer starts with a copy of the values that its maker had, and what it sets stays its own.
///
/// # Examples
///
/// ```
/// use asyncio::ContextVar;
///
/// static REQUEST: ContextVar<u64> = ContextVar::new("request");
///
/// asyncio::run(async {
///     REQUEST.set(7);
///     let task = asyncio::create_task(async {
///         let inherited = REQUEST.get();
///         REQUEST.set(8);
///         inherited
///     });
///     assert_eq!(task.await.unwrap(), Some(7));
///     assert_eq!(REQUEST.get(), Some(7));
/// });
/// ```
///
/// # Python
///
/// `contextvars.ContextVar`; a default is given where the value is read (`get().unwrap_or(..)`).
pub struct ContextVar<T> {
    name: &'static str,
    number: OnceLock<u64>,
    value: PhantomData<fn() -> T>,
}

impl<T: Any + Send + Sync> ContextVar<T> {
    /// A variable without a value, usually a `static`. The name is for reports.
    pub const fn new(name: &'static str) -> Self {
        ContextVar { name, number: OnceLock::new(), value: PhantomData }
    }

    fn number(&self) -> u64 {
        *self.number.get_or_init(|| NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The variable's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The value here, if one was set.
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.with(|value| value.cloned())
    }

    /// Lends the value here to `f`.
    pub fn with<R>(&self, f: impl FnOnce(Option<&T>) -> R) -> R {
        let value = with_current(|slot| slot.value(self.number()));
        f(value.as_ref().and_then(|value| value.downcast_ref()))
    }

    /// The value in `context`, if one was set there.
    pub fn get_in(&self, context: &Context) -> Option<T>
    where
        T: Clone,
    {
        context.get(self.number())?.downcast_ref().cloned()
    }

    /// Sets the value here; the token takes it back.
    pub fn set(&self, value: T) -> Token<T> {
        let context = with_current(|slot| slot.get_or_create());
        let before = context.set(self.number(), Some(Arc::new(value)));
        Token { before, context, number: self.number(), value: PhantomData }
    }

    /// Gives the variable the value it had before the [`set`](Self::set) that made `token`.
    ///
    /// # Panics
    ///
    /// If the token was made by another variable, or in another context.
    #[track_caller]
    pub fn reset(&self, token: Token<T>) {
        assert!(token.number == self.number(), "the token was created by a different ContextVar");
        let here = with_current(|slot| slot.get_or_create());
        assert!(here.is(&token.context), "the token was created in a different Context");
        token.context.set(token.number, token.before);
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ContextVar name='{}'>", self.name)
    }
}

/// Takes one [`ContextVar::set`] back.
pub struct Token<T> {
    before: Option<Value>,
    context: Context,
    number: u64,
    value: PhantomData<fn() -> T>,
}

impl<T: Any + Clone> Token<T> {
    /// The value before, if there was one.
    pub fn old_value(&self) -> Option<T> {
        self.before.as_ref()?.downcast_ref().cloned()
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("had_value", &self.before.is_some()).finish()
    }
}

/// A copy of the context that the caller runs in.
pub fn copy_context() -> Context {
    with_current(ContextSlot::copy).get_or_create()
}
