//! The error of trying several addresses in vain.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Every address was tried and failed; inside an [`io::Error`] whose kind is theirs if they agree, else `Other`.
///
/// A single address that failed is told by its own error instead.
#[derive(Debug)]
pub struct ConnectError {
    attempts: Vec<(SocketAddr, io::Error)>,
}

impl ConnectError {
    /// What was tried and how it failed, in order.
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.attempts
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("every address failed")?;
        for (i, (addr, error)) in self.attempts.iter().enumerate() {
            write!(f, "{} {addr}: {error}", if i == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.attempts.last().map(|(_, error)| error as _)
    }
}

/// The one error for all these attempts.
pub(crate) fn failed(mut attempts: Vec<(SocketAddr, io::Error)>) -> io::Error {
    match attempts.len() {
        0 => io::Error::new(io::ErrorKind::InvalidInput, "no address was given"),
        1 => attempts.remove(0).1,
        _ => {
            let first = attempts[0].1.kind();
            let same = attempts.iter().all(|(_, error)| error.kind() == first);
            let kind = if same { first } else { io::ErrorKind::Other };
            io::Error::new(kind, ConnectError { attempts })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_failures_are_told_together() {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, InvalidInput, Other};
        let attempt = |port, kind: io::ErrorKind| (([127, 0, 0, 1], port).into(), kind.into());
        assert_eq!(failed(vec![]).kind(), InvalidInput);
        assert_eq!(failed(vec![attempt(1, ConnectionRefused)]).kind(), ConnectionRefused);
        let same = failed(vec![attempt(1, ConnectionRefused), attempt(2, ConnectionRefused)]);
        assert_eq!(same.kind(), ConnectionRefused);
        let mixed = failed(vec![attempt(1, ConnectionRefused), attempt(2, HostUnreachable)]);
        assert_eq!(mixed.kind(), Other);
        let text =
            "every address failed: 127.0.0.1:1: connection refused, 127.0.0.1:2: host unreachable";
        assert_eq!(mixed.to_string(), text);
        let inner = mixed.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        assert_eq!(inner.attempts().len(), 2);
    }
}
