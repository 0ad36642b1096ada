//! A file server over HTTP/1.1 with keep-alive, in one file: what the two examples serve with.
//!
//! Files are read by the loop's thread, a piece at a time, which is fine for files that the page cache holds.

use asyncio::net::{TcpListener, TcpStream};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// A request head longer than this is refused.
const HEAD_MAX: usize = 16 * 1024;
/// Files go out in pieces of this size.
const PIECE: usize = 64 * 1024;

/// Serves the files under `root` to everybody who connects, until cancelled.
pub(crate) async fn serve(listener: TcpListener, root: PathBuf) -> io::Result<()> {
    let root: Rc<Path> = root.canonicalize()?.into();
    loop {
        let (stream, _peer) = listener.accept().await?;
        let root = root.clone();
        asyncio::create_local_task(async move {
            // A client that goes away in the middle is no news.
            let _ = connection(stream, &root).await;
        })
        .detach();
    }
}

/// Answers one client's requests, one after the other.
async fn connection(mut stream: TcpStream, root: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Input { buffer: vec![0; HEAD_MAX], filled: 0 };
    let mut piece = Vec::new();
    while let Some(request) = input.next(&mut stream).await? {
        let keep_alive = answer(&mut stream, root, &request, &mut piece).await?;
        if !keep_alive {
            break;
        }
    }
    Ok(())
}

/// What of a request matters here.
struct Request {
    method: String,
    target: String,
    keep_alive: bool,
    /// The head could not be understood.
    bad: Option<Status>,
}

struct Status(&'static str);

const OK: Status = Status("200 OK");
const BAD_REQUEST: Status = Status("400 Bad Request");
const NOT_FOUND: Status = Status("404 Not Found");
const NOT_ALLOWED: Status = Status("405 Method Not Allowed");
const TOO_LARGE: Status = Status("431 Request Header Fields Too Large");

/// Bytes that came and are not used up: requests may come in pieces, or several at once.
struct Input {
    buffer: Vec<u8>,
    filled: usize,
}

impl Input {
    /// The next request; `None` when the client has closed between two.
    async fn next(&mut self, stream: &mut TcpStream) -> io::Result<Option<Request>> {
        loop {
            let here = &self.buffer[..self.filled];
            if let Some(end) = here.windows(4).position(|w| w == b"\r\n\r\n") {
                let request = parse(&here[..end]);
                self.buffer.copy_within(end + 4..self.filled, 0);
                self.filled -= end + 4;
                return Ok(Some(request));
            }
            if self.filled == self.buffer.len() {
                return Ok(Some(Request::bad(TOO_LARGE)));
            }
            let read = stream.read(&mut self.buffer[self.filled..]).await?;
            if read == 0 {
                return if self.filled == 0 { Ok(None) } else { Err(eof()) };
            }
            self.filled += read;
        }
    }
}

fn eof() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

impl Request {
    fn bad(status: Status) -> Self {
        let (method, target) = Default::default();
        Request { method, target, keep_alive: false, bad: Some(status) }
    }
}

fn parse(head: &[u8]) -> Request {
    let Ok(head) = std::str::from_utf8(head) else { return Request::bad(BAD_REQUEST) };
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Request::bad(BAD_REQUEST);
    };
    let mut keep_alive = version == "HTTP/1.1";
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("connection") {
            keep_alive = !value.trim().eq_ignore_ascii_case("close") && keep_alive
                || value.trim().eq_ignore_ascii_case("keep-alive");
        }
        let has_body = name.eq_ignore_ascii_case("transfer-encoding")
            || name.eq_ignore_ascii_case("content-length") && value.trim() != "0";
        if has_body {
            // A body that is not read would be taken for the next request.
            return Request::bad(BAD_REQUEST);
        }
    }
    Request { method: method.into(), target: target.into(), keep_alive, bad: None }
}

/// Sends one answer; whether the connection goes on.
async fn answer(
    stream: &mut TcpStream,
    root: &Path,
    request: &Request,
    piece: &mut Vec<u8>,
) -> io::Result<bool> {
    let (status, file) = match &request.bad {
        Some(status) => (Status(status.0), None),
        None => find(root, request),
    };
    let length = match &file {
        Some((file, _)) => file.metadata()?.len(),
        None => status.0.len() as u64,
    };
    let kind = file.as_ref().map_or("text/plain; charset=utf-8", |(_, path)| content_type(path));
    let connection = if request.keep_alive { "keep-alive" } else { "close" };
    piece.clear();
    piece.extend_from_slice(
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n",
            status.0
        )
        .as_bytes(),
    );
    match file {
        _ if request.method == "HEAD" => stream.write_all(piece).await?,
        Some((file, _)) => send(stream, file, length, piece).await?,
        None => {
            piece.extend_from_slice(status.0.as_bytes());
            stream.write_all(piece).await?;
        }
    }
    Ok(request.keep_alive)
}

/// The file that a request is for.
fn find(root: &Path, request: &Request) -> (Status, Option<(File, PathBuf)>) {
    if request.method != "GET" && request.method != "HEAD" {
        return (NOT_ALLOWED, None);
    }
    let Some(path) = local_path(root, &request.target) else { return (BAD_REQUEST, None) };
    // A link may lead out of the root: what counts is where the file is.
    let found = path.canonicalize().ok().filter(|path| path.starts_with(root) && path.is_file());
    match found.and_then(|path| Some((File::open(&path).ok()?, path))) {
        Some(found) => (OK, Some(found)),
        None => (NOT_FOUND, None),
    }
}

/// The path that a target names under `root`; `None` if it tries to leave it.
fn local_path(root: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let decoded = decode(path)?;
    let relative = Path::new(&decoded);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| root.join(relative))
}

/// Undoes percent-encoding.
fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|path| !path.contains('\0'))
}

/// Writes what is in `piece`, then `length` bytes of the file.
async fn send(
    stream: &mut TcpStream,
    mut file: File,
    length: u64,
    piece: &mut Vec<u8>,
) -> io::Result<()> {
    let mut left = length;
    loop {
        let want = left.min(PIECE as u64);
        let read = file.by_ref().take(want).read_to_end(piece)? as u64;
        if read < want {
            // The file shrank after its length was promised: only closing tells the client.
            return Err(eof());
        }
        stream.write_all(piece).await?;
        piece.clear();
        left -= read;
        if left == 0 {
            return Ok(());
        }
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("rs" | "md" | "toml" | "txt" | "lock" | "yml" | "sh") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
