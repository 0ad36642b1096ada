//! Host names: who turns them into addresses.
//!
//! Looking a name up blocks, and this crate has no threads to block. Those above register a [`Resolve`] for a thread while it polls, as they do with
//! their reactor; without one a name is an error that says so.

use crate::addr::{Target, ToSocketAddrs};
use crate::current;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
// Shared ownership, not a protocol; and a thread-local of loom's would outlive the model.
use std::sync::Arc;

/// The addresses of a name, in a while.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks host names up.
pub trait Resolve: Send + Sync {
    /// Looks `host` up without blocking the caller. The addresses carry `port`, and are in the order in which they are to be tried.
    fn resolve(&self, host: &str, port: u16) -> Resolving;
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Resolve>>> = const { RefCell::new(None) };
}

/// Runs `f` with `resolver` as the one that names are given to on this thread. Calls nest.
pub fn with_resolver<R>(resolver: &Arc<dyn Resolve>, f: impl FnOnce() -> R) -> R {
    current::enter(&CURRENT, resolver.clone(), f)
}

/// The addresses of a target: those it is, or those its name has.
pub(crate) async fn addresses(target: io::Result<Target>) -> io::Result<Vec<SocketAddr>> {
    match target? {
        Target::Addrs(addrs) => Ok(addrs),
        Target::Name { host, port } => match current::get(&CURRENT) {
            Some(resolver) => {
                // The future alone is kept over the wait: whoever polls on may have another resolver.
                let resolving = resolver.resolve(&host, port);
                drop(resolver);
                resolving.await
            }
            // Without a resolver the address says what is missing.
            None => (host.as_str(), port).to_socket_addrs(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TcpListener, TcpStream};
    use std::net::Ipv4Addr;
    use std::task::{Context, Poll, Waker};

    /// Knows one name.
    struct Book;

    impl Resolve for Book {
        fn resolve(&self, host: &str, port: u16) -> Resolving {
            let known = host == "here.test";
            Box::pin(async move {
                if known {
                    Ok(vec![(Ipv4Addr::LOCALHOST, port).into()])
                } else {
                    Err(io::Error::new(io::ErrorKind::NotFound, "not in the book"))
                }
            })
        }
    }

    fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the book answers at once"),
        }
    }

    #[test]
    fn names_go_to_the_resolver_of_the_thread_and_addresses_do_not() {
        let book: Arc<dyn Resolve> = Arc::new(Book);
        let kind = |addr: &'static str| ready(TcpStream::connect(addr)).unwrap_err().kind();
        assert_eq!(kind("here.test:1"), io::ErrorKind::Unsupported);
        with_resolver(&book, || {
            let listener = ready(TcpListener::bind("here.test:0")).unwrap();
            assert!(listener.local_addr().unwrap().ip().is_loopback());
            ready(TcpListener::bind(("here.test", 0))).unwrap();
            ready(TcpListener::bind("127.0.0.1:0")).unwrap();
            assert_eq!(kind("there.test:1"), io::ErrorKind::NotFound);
            assert_eq!(kind("no address"), io::ErrorKind::InvalidInput);
        });
        assert_eq!(kind("here.test:1"), io::ErrorKind::Unsupported);
    }
}
