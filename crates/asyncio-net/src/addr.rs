//! What an address may be given as.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// One or several socket addresses, had without asking a resolver.
///
/// As std's trait of this name, but nothing here blocks: a string has to be an address, not a host name.
///
/// # Examples
///
/// ```
/// use asyncio_net::ToSocketAddrs;
///
/// assert_eq!("127.0.0.1:80".to_socket_addrs()?, ["127.0.0.1:80".parse().unwrap()]);
/// assert_eq!(("::1", 80).to_socket_addrs()?, ["[::1]:80".parse().unwrap()]);
/// let error = "example.org:80".to_socket_addrs().unwrap_err();
/// assert_eq!(error.to_string(), r#"host name "example.org" needs a resolver"#);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ToSocketAddrs {
    /// The addresses, in the order in which they are to be tried.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a host name, `InvalidInput` for what is neither an address nor a name.
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>>;
}

macro_rules! one_address {
    ($($ty:ty),*) => { $(
        impl ToSocketAddrs for $ty {
            fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
                Ok(vec![SocketAddr::from(*self)])
            }
        }
    )* };
}

one_address!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

impl ToSocketAddrs for [SocketAddr] {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl<const N: usize> ToSocketAddrs for [SocketAddr; N] {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl ToSocketAddrs for Vec<SocketAddr> {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.clone())
    }
}

impl ToSocketAddrs for str {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return Ok(vec![addr]);
        }
        match self.rsplit_once(':') {
            Some((host, port)) if is_host_name(host) && port.parse::<u16>().is_ok() => {
                Err(needs_resolver(host))
            }
            _ => Err(invalid(self)),
        }
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
            Err(_) if is_host_name(host) => Err(needs_resolver(host)),
            Err(_) => Err(invalid(host)),
        }
    }
}

impl ToSocketAddrs for String {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_socket_addrs()
    }
}

impl ToSocketAddrs for (String, u16) {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        (self.0.as_str(), self.1).to_socket_addrs()
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        (**self).to_socket_addrs()
    }
}

fn is_host_name(host: &str) -> bool {
    let dots_and_digits = host.chars().all(|c| c == '.' || c.is_ascii_digit());
    !dots_and_digits && !host.contains([':', '[', ']', '/', ' '])
}

fn needs_resolver(host: &str) -> io::Error {
    let message = format!("host name {host:?} needs a resolver");
    io::Error::new(io::ErrorKind::Unsupported, message)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("invalid socket address {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(addr: impl ToSocketAddrs) -> io::ErrorKind {
        addr.to_socket_addrs().unwrap_err().kind()
    }

    #[test]
    fn addresses_are_taken_as_they_are() {
        let v4: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let v6: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(v4.to_socket_addrs().unwrap(), [v4]);
        assert_eq!((Ipv4Addr::LOCALHOST, 80).to_socket_addrs().unwrap(), [v4]);
        assert_eq!((IpAddr::from(Ipv6Addr::LOCALHOST), 80).to_socket_addrs().unwrap(), [v6]);
        assert_eq!([v4, v6][..].to_socket_addrs().unwrap(), [v4, v6]);
        assert_eq!([v4, v6].to_socket_addrs().unwrap(), [v4, v6]);
        assert_eq!(String::from("[::1]:80").to_socket_addrs().unwrap(), [v6]);
        assert_eq!(("::1".to_owned(), 80).to_socket_addrs().unwrap(), [v6]);
    }

    #[test]
    fn names_need_a_resolver_and_nonsense_is_refused() {
        assert_eq!(kind("localhost:80"), io::ErrorKind::Unsupported);
        assert_eq!(kind(("localhost", 80)), io::ErrorKind::Unsupported);
        for nonsense in
            ["localhost", "", ":80", "127.0.0.1", "1.2.3:80", "localhost:99999", "[::1:80"]
        {
            assert_eq!(kind(nonsense), io::ErrorKind::InvalidInput, "{nonsense:?}");
        }
        assert_eq!(kind(("1.2.3.4.5", 80)), io::ErrorKind::InvalidInput);
    }
}
