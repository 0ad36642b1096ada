//! Host names, looked up on the default executor.

use crate::events::{EventLoop, try_get_running_loop};
use crate::executors::submit_to;
use crate::threads::{Unstarted, value_of};
use asyncio_base::context::ContextSlot;
use asyncio_net::{Resolve, Resolving};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::panic::Location;

impl EventLoop {
    /// The addresses of a host, in the order in which they are to be tried, each with `port`. The system's resolver is asked on a thread of the
    /// default executor, but not for what is an address already.
    ///
    /// # Cancel safety
    ///
    /// Safe: a lookup that has not started is dropped; one that has ends by itself.
    ///
    /// # Errors
    ///
    /// What the resolver says of the name; if the default executor refuses the job.
    ///
    /// # Examples
    ///
    /// ```
    /// asyncio::run(async {
    ///     let event_loop = asyncio::get_running_loop();
    ///     let addresses = event_loop.getaddrinfo("127.0.0.1", 80).await.unwrap();
    ///     assert_eq!(addresses, ["127.0.0.1:80".parse().unwrap()]);
    /// });
    /// ```
    ///
    /// # Python
    ///
    /// `loop.getaddrinfo()` for stream sockets; a port is a number here, never the name of a service.
    #[track_caller]
    pub fn getaddrinfo(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static + use<> {
        let event_loop = self.clone();
        let (host, place) = (host.to_owned(), Location::caller());
        async move {
            match host.parse::<IpAddr>() {
                Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
                Err(_) => {
                    event_loop.refuse_if_simulated(&host, place)?;
                    event_loop.ask_resolver(host, port).await
                }
            }
        }
    }

    /// A simulated loop asks nobody outside.
    fn refuse_if_simulated(&self, host: &str, place: &'static Location<'static>) -> io::Result<()> {
        let Some(world) = self.world() else { return Ok(()) };
        world.escaped("a question to the system's resolver", Some(place));
        let told = format!("a simulated loop does not look up {host:?}");
        Err(io::Error::new(io::ErrorKind::Unsupported, told))
    }

    async fn ask_resolver(&self, host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        let executor = self.default_executor().get().map_err(io::Error::other)?;
        let lookup = move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        let job = submit_to(&*executor, ContextSlot::new(), lookup).map_err(io::Error::other)?;
        let mut job = Unstarted(job);
        value_of((&mut job.0).await)
    }
}

/// Looks names up for whatever loop runs on the thread.
pub(crate) struct OnRunningLoop;

impl Resolve for OnRunningLoop {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        match try_get_running_loop() {
            Ok(event_loop) => Box::pin(event_loop.getaddrinfo(host, port)),
            Err(error) => Box::pin(std::future::ready(Err(io::Error::other(error)))),
        }
    }
}
