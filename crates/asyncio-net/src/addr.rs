//! What an address may be given as.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Where to connect to, or what to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// These addresses, in the order in which they are to be tried.
    Addrs(Vec<SocketAddr>),
    /// Whatever addresses a host has.
    Name {
        /// The host's name.
        host: String,
        /// The port, whatever the address.
        port: u16,
    },
}

/// One or several socket addresses, or a host name and a port.
///
/// As std's trait of this name, but nothing here blocks: a name stays a name until [`Resolve`](crate::Resolve) looks it up.
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
    /// The addresses, or the name that has some.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for what is neither an address nor a name.
    fn to_target(&self) -> io::Result<Target>;

    /// The addresses, in the order in which they are to be tried, had without asking a resolver.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a host name, `InvalidInput` for what is neither an address nor a name.
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        match self.to_target()? {
            Target::Addrs(addrs) => Ok(addrs),
            Target::Name { host, .. } => Err(needs_resolver(&host)),
        }
    }
}

macro_rules! one_address {
    ($($ty:ty),*) => { $(
        impl ToSocketAddrs for $ty {
            fn to_target(&self) -> io::Result<Target> {
                Ok(Target::Addrs(vec![SocketAddr::from(*self)]))
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
    fn to_target(&self) -> io::Result<Target> {
        Ok(Target::Addrs(self.to_vec()))
    }
}

impl<const N: usize> ToSocketAddrs for [SocketAddr; N] {
    fn to_target(&self) -> io::Result<Target> {
        Ok(Target::Addrs(self.to_vec()))
    }
}

impl ToSocketAddrs for Vec<SocketAddr> {
    fn to_target(&self) -> io::Result<Target> {
        Ok(Target::Addrs(self.clone()))
    }
}

impl ToSocketAddrs for str {
    fn to_target(&self) -> io::Result<Target> {
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return Ok(Target::Addrs(vec![addr]));
        }
        match self.rsplit_once(':') {
            Some((host, port)) if is_host_name(host) => match port.parse() {
                Ok(port) => Ok(name(host, port)),
                Err(_) => Err(invalid(self)),
            },
            _ => Err(invalid(self)),
        }
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn to_target(&self) -> io::Result<Target> {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => Ok(Target::Addrs(vec![SocketAddr::new(ip, port)])),
            Err(_) if is_host_name(host) => Ok(name(host, port)),
            Err(_) => Err(invalid(host)),
        }
    }
}

impl ToSocketAddrs for String {
    fn to_target(&self) -> io::Result<Target> {
        self.as_str().to_target()
    }
}

impl ToSocketAddrs for (String, u16) {
    fn to_target(&self) -> io::Result<Target> {
        (self.0.as_str(), self.1).to_target()
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_target(&self) -> io::Result<Target> {
        (**self).to_target()
    }
}

fn is_host_name(host: &str) -> bool {
    let dots_and_digits = host.chars().all(|c| c == '.' || c.is_ascii_digit());
    !dots_and_digits && !host.contains([':', '[', ']', '/', ' '])
}

fn name(host: &str, port: u16) -> Target {
    Target::Name { host: host.to_owned(), port }
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
