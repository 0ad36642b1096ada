//! The seam: listeners and connections on a network that lives in this file. No descriptor is opened, and the waiting is the real one.

#[path = "../../asyncio-reactor/tests/common/mod.rs"]
mod common;

use asyncio_net::{
    Direction, Network, Socket, SocketOptions, TcpListener, TcpStream, with_network,
};
use asyncio_reactor::{Io, Reactor, Ready, System, Token};
use common::{block_on, block_on_with, both};
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{self, Shutdown, SocketAddr};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Bytes on the way in one direction.
const ROOM: usize = 100;

/// A network and the poller that watches it.
#[derive(Debug, Default)]
struct World(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sockets: u64,
    /// The bytes on their way to a socket, and whether no more come.
    bytes: HashMap<u64, (VecDeque<u8>, bool)>,
    /// Who listens, and who waits there to be accepted.
    listeners: HashMap<SocketAddr, (u64, VecDeque<(End, SocketAddr)>)>,
    options: HashMap<u64, SocketOptions>,
    watched: HashMap<u64, Token>,
    ready: Vec<(u64, Ready)>,
    /// What `accept` fails with next.
    fault: Option<i32>,
    escapes: Vec<u32>,
}

impl State {
    fn number(&mut self) -> u64 {
        self.sockets += 1;
        self.sockets
    }
}

/// What a loop of this world has in place of the operating system's.
#[derive(Clone, Debug, Default)]
struct Place(Arc<World>);

impl Place {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    fn reactor(&self) -> Arc<Reactor> {
        Arc::new(Reactor::simulated(Arc::new(self.clone())))
    }

    fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let network: Arc<dyn Network> = Arc::new(self.clone());
        with_network(&network, f)
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.enter(|| block_on_with(&self.reactor(), future))
    }
}

impl System for Place {
    fn wait(&self, _: Option<Duration>, ready: &mut Vec<(Token, Ready)>) -> io::Result<()> {
        let mut state = self.lock();
        let events = std::mem::take(&mut state.ready);
        let watched = |(socket, ready)| state.watched.get(&socket).map(|&token| (token, ready));
        ready.extend(events.into_iter().filter_map(watched));
        assert!(!ready.is_empty(), "everybody waits and nothing can happen");
        Ok(())
    }

    fn notify(&self) {}

    fn watch(&self, socket: u64, token: Token) -> io::Result<()> {
        let mut state = self.lock();
        state.watched.insert(socket, token);
        // More than is true, which does no harm.
        state.ready.push((socket, Ready::READ | Ready::WRITE));
        Ok(())
    }

    fn rearm(&self, socket: u64, _: Ready) -> io::Result<()> {
        assert!(self.lock().watched.contains_key(&socket));
        Ok(())
    }

    fn forget(&self, socket: u64) {
        assert!(self.lock().watched.remove(&socket).is_some());
    }

    fn escaped(&self, place: &'static Location<'static>) -> io::Error {
        assert!(place.file().ends_with("simulated.rs"), "{place}");
        self.lock().escapes.push(place.line());
        io::Error::other(format!("leaves the simulation at {place}"))
    }
}

impl Network for Place {
    fn listen(&self, addr: SocketAddr, _: u32) -> io::Result<Box<dyn Socket>> {
        let mut state = self.lock();
        let number = state.number();
        if state.listeners.contains_key(&addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        state.listeners.insert(addr, (number, VecDeque::new()));
        Ok(Box::new(End { world: self.clone(), number, peer: 0, addrs: [addr; 2] }))
    }

    fn connect(&self, addr: SocketAddr) -> io::Result<Box<dyn Socket>> {
        let mut state = self.lock();
        let [here, there] = [state.number(), state.number()];
        let own = SocketAddr::new(addr.ip(), 50_000 + here as u16);
        let end = |number, peer, addrs| End { world: self.clone(), number, peer, addrs };
        let Some((listener, queue)) = state.listeners.get_mut(&addr) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        queue.push_back((end(there, here, [addr, own]), own));
        let listener = *listener;
        state.ready.push((listener, Ready::READ));
        state.bytes.extend([here, there].map(|number| (number, Default::default())));
        Ok(Box::new(end(here, there, [own, addr])))
    }
}

/// One end of a connection, or a listener, which has no peer.
#[derive(Debug)]
struct End {
    world: Place,
    number: u64,
    peer: u64,
    addrs: [SocketAddr; 2],
}

impl End {
    /// No more bytes from here.
    fn end(&self) {
        let mut state = self.world.lock();
        if let Some((_, over)) = state.bytes.get_mut(&self.peer) {
            *over = true;
            state.ready.push((self.peer, Ready::READ_CLOSED));
        }
    }
}

impl Socket for End {
    fn number(&self) -> u64 {
        self.number
    }

    fn accept(&self) -> io::Result<(Box<dyn Socket>, SocketAddr)> {
        let mut state = self.world.lock();
        if let Some(code) = state.fault.take() {
            return Err(io::Error::from_raw_os_error(code));
        }
        let (_, queue) = state.listeners.get_mut(&self.addrs[0]).expect("it listens");
        let (end, peer) = queue.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        Ok((Box::new(end), peer))
    }

    fn established(&self) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut state = self.world.lock();
        let (bytes, over) = state.bytes.get_mut(&self.number).expect("it is connected");
        if bytes.is_empty() && !*over {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let room = bufs.iter_mut().flat_map(|buf| buf.iter_mut());
        let count = room.zip(bytes.drain(..bytes.len().min(ROOM / 4))).map(|(to, byte)| *to = byte);
        let count = count.count();
        state.ready.push((self.peer, Ready::WRITE));
        Ok(count)
    }

    fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let state = self.world.lock();
        let (bytes, over) = &state.bytes[&self.number];
        if bytes.is_empty() && !over {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(buf.iter_mut().zip(bytes).map(|(to, &byte)| *to = byte).count())
    }

    fn write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.world.lock();
        let (bytes, _) = state.bytes.get_mut(&self.peer).expect("it is connected");
        let room = ROOM - bytes.len();
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = bytes.len();
        bytes.extend(bufs.iter().flat_map(|buf| buf.iter()).take(room));
        let moved = bytes.len() - before;
        state.ready.push((self.peer, Ready::READ));
        Ok(moved)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        assert_eq!(how, Shutdown::Write);
        self.end();
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addrs[0])
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addrs[1])
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    fn options(&self) -> io::Result<SocketOptions> {
        Ok(self.world.lock().options.get(&self.number).copied().unwrap_or_default())
    }

    fn set_options(&self, options: SocketOptions) -> io::Result<()> {
        self.world.lock().options.insert(self.number, options);
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.end();
    }
}

fn here() -> SocketAddr {
    "10.0.0.1:80".parse().unwrap()
}

#[test]
fn an_echo_runs_on_a_network_of_ones_own() {
    let world = Place::default();
    let reactor = world.reactor();
    let sent: Vec<u8> = (0..5_000u32).map(|n| n as u8).collect();
    let server = async {
        let listener = TcpListener::bind("10.0.0.1:80").await.unwrap();
        assert_eq!(listener.local_addr().unwrap(), here());
        let (mut stream, peer) = listener.accept().await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), peer);
        let mut buf = [0; 64];
        loop {
            match stream.read(&mut buf).await.unwrap() {
                0 => return,
                n => stream.write_all(&buf[..n]).await.unwrap(),
            }
        }
    };
    let client = async {
        let (mut read, mut write) = TcpStream::connect(here()).await.unwrap().into_split();
        let mut got = vec![0; sent.len()];
        // Both directions at once: neither has room for it all.
        let writing = async {
            write.write_all(&sent).await.unwrap();
            write.stream().shutdown(Shutdown::Write).unwrap();
        };
        let mut parts = (Box::pin(writing), Box::pin(read.read_exact(&mut got)));
        let mut written = false;
        std::future::poll_fn(|cx| {
            written = written || parts.0.as_mut().poll(cx).is_ready();
            parts.1.as_mut().poll(cx).map(Result::unwrap)
        })
        .await;
        drop(parts);
        assert!(written);
        assert_eq!(read.read(&mut [0; 8]).await.unwrap(), 0);
        got
    };
    let ((), got) = world.enter(|| both(&reactor, server, client));
    assert_eq!(got, sent);
    assert_eq!(reactor.stats().registered, 0);
}

#[test]
#[cfg(target_os = "linux")]
fn it_takes_no_descriptor() {
    /// What the descriptors of this process lead to; those of other tests come and go, but none is a poller or a socket of theirs.
    fn sockets() -> usize {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        let targets = all.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        let is = |path: &std::path::Path, what| path.to_string_lossy().contains(what);
        targets.filter(|path| is(path, "socket:") || is(path, "eventpoll")).count()
    }
    // A process of its own, for the other tests here do open some.
    if std::env::var_os("ALONE").is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "it_takes_no_descriptor", "--nocapture"]).env("ALONE", "1");
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let world = Place::default();
    let before = sockets();
    world.run(async {
        let listener = TcpListener::bind_addr(here(), 1).unwrap();
        let client = TcpStream::connect_addr(here()).await.unwrap();
        let _server = listener.accept().await.unwrap();
        assert_eq!(client.try_write(b"x").unwrap(), 1);
        assert_eq!(sockets(), before);
    });
}

#[test]
fn faults_of_the_network_are_the_systems() {
    let world = Place::default();
    world.run(async {
        let refused = TcpStream::connect(here()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let listener = TcpListener::bind(here()).await.unwrap();
        assert_eq!(TcpListener::bind(here()).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let client = TcpStream::connect(here()).await.unwrap();
        // EMFILE is an error of the listener's user, ECONNABORTED one of a connection that is skipped.
        world.lock().fault = Some(24);
        assert!(asyncio_net::is_out_of_resources(&listener.accept().await.unwrap_err()));
        world.lock().fault = Some(if cfg!(target_os = "linux") { 103 } else { 53 });
        let (server, _) = listener.accept().await.unwrap();
        assert!(server.take_error().unwrap().is_none());

        client.set_nodelay(true).unwrap();
        client.set_linger(Some(Duration::ZERO)).unwrap();
        client.set_ttl(7).unwrap();
        assert_eq!((client.nodelay().unwrap(), client.ttl().unwrap()), (true, 7));
        assert_eq!(client.linger().unwrap(), Some(Duration::ZERO));
        assert!(!server.nodelay().unwrap());
        listener.set_ttl(9).unwrap();
        assert_eq!(listener.ttl().unwrap(), 9);
        assert!(format!("{client:?} {listener:?}").contains("End"));
    });
}

#[test]
fn a_real_descriptor_in_a_simulated_loop_is_reported_with_its_place() {
    let world = Place::default();
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let [plain, other] = [(); 2].map(|()| net::TcpStream::connect(addr).unwrap());
    let _servers = [(); 2].map(|()| listener.accept().unwrap());
    // Registered with the real reactor of another loop.
    let mut foreign = TcpStream::from_std(plain).unwrap();
    block_on(async {
        foreign.write_all(b"x").await.unwrap();
        assert_eq!(foreign.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        foreign.writable().await.unwrap();
    });
    let fresh = Io::new(other);
    // Without a network there is only the reactor to notice.
    let line = block_on_with(&world.reactor(), async {
        let line = line!();
        let errors = [
            foreign.read(&mut [0]).await.unwrap_err(),
            fresh.try_io(Direction::Read, || Ok(())).unwrap_err(),
            foreign.writable().await.unwrap_err(),
            foreign.peek(&mut [0]).await.unwrap_err(),
            fresh.call(Direction::Read, |_| Ok(())).await.unwrap_err(),
            TcpListener::from_std(listener).unwrap_err(),
            TcpListener::bind("127.0.0.1:0").await.unwrap_err(),
            TcpListener::bind_addr(addr, 1).unwrap_err(),
            TcpStream::connect(addr).await.unwrap_err(),
            TcpStream::connect_addr(addr).await.unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().starts_with("leaves the simulation at "), "{error}");
        }
        line
    });
    let expected: Vec<u32> = (0..10).map(|n| line + 2 + n).collect();
    assert_eq!(world.lock().escapes, expected);
    // Outside again it works.
    assert_eq!(foreign.try_write(b"x").unwrap(), 1);
}

#[test]
fn a_simulated_socket_has_no_descriptor_and_no_other_reactor() {
    let world = Place::default();
    let (listener, client) = world.run(async {
        let listener = TcpListener::bind(here()).await.unwrap();
        (listener, TcpStream::connect(here()).await.unwrap())
    });
    let message = |f: &mut dyn FnMut()| {
        let panic = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    let mut client = Some(client);
    let said = message(&mut || drop(client.take().unwrap().into_std()));
    assert!(said.starts_with("a simulated socket has no descriptor: "), "{said}");
    let error = block_on(listener.accept()).err();
    // The connection that waits is taken; the next would have to be waited for.
    assert!(error.is_none());
    let error = block_on(listener.accept()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}
