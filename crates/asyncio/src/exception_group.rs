//! Several errors as one.

use std::error::Error;
use std::fmt;

/// Errors that belong together: those of a [`TaskGroup`](crate::TaskGroup).
///
/// Displayed as a tree: a group among the errors has its own below it.
///
/// # Examples
///
/// ```
/// use asyncio::ExceptionGroup;
///
/// let group = ExceptionGroup::new("three went wrong", vec![1, 2, 3]);
/// let (odd, even) = group.split(|n| n % 2 == 1);
/// assert_eq!(odd.unwrap().to_string(), "three went wrong (2 errors)\n├─ 1\n└─ 3");
/// assert_eq!(even.unwrap().into_first(), Some(2));
/// ```
///
/// # Python
///
/// `ExceptionGroup`; [`split`](Self::split) is what `except*` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionGroup<E> {
    message: String,
    exceptions: Vec<E>,
}

impl<E> ExceptionGroup<E> {
    /// A group of `exceptions`.
    pub fn new(message: impl Into<String>, exceptions: Vec<E>) -> Self {
        ExceptionGroup { message: message.into(), exceptions }
    }

    /// What the errors have in common.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The errors.
    pub fn exceptions(&self) -> &[E] {
        &self.exceptions
    }

    /// The first error; `None` only for a group that was ended by [`TaskGroup::cancel`](crate::TaskGroup::cancel) before its body had a value.
    pub fn into_first(self) -> Option<E> {
        self.exceptions.into_iter().next()
    }

    /// Those for which `is_wanted` says true, and the rest; `None` for none.
    ///
    /// # Python
    ///
    /// `BaseExceptionGroup.split()`.
    pub fn split(self, is_wanted: impl FnMut(&E) -> bool) -> (Option<Self>, Option<Self>) {
        let (wanted, rest) = self.exceptions.into_iter().partition::<Vec<E>, _>(is_wanted);
        let group = |exceptions: Vec<E>| {
            let message = self.message.clone();
            (!exceptions.is_empty()).then_some(ExceptionGroup { message, exceptions })
        };
        (group(wanted), group(rest))
    }
}

impl<E> IntoIterator for ExceptionGroup<E> {
    type Item = E;
    type IntoIter = std::vec::IntoIter<E>;

    fn into_iter(self) -> Self::IntoIter {
        self.exceptions.into_iter()
    }
}

impl<E: fmt::Display> fmt::Display for ExceptionGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.exceptions.len();
        write!(f, "{} ({count} error{})", self.message, if count == 1 { "" } else { "s" })?;
        for (index, exception) in self.exceptions.iter().enumerate() {
            let (branch, below) =
                if index + 1 < count { ("├─ ", "│  ") } else { ("└─ ", "   ") };
            let text = exception.to_string();
            for (line, text) in text.lines().enumerate() {
                write!(f, "\n{}{text}", if line == 0 { branch } else { below })?;
            }
        }
        Ok(())
    }
}

impl<E: fmt::Debug + fmt::Display> Error for ExceptionGroup<E> {}
