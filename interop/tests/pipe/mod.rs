//! Bytes in memory, both ways, as hyper wants to read and write them.

use hyper::rt::{Read, ReadBufCursor, Write};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// One direction.
#[derive(Default)]
struct Bytes {
    bytes: VecDeque<u8>,
    is_over: bool,
    reader: Option<Waker>,
}

type Direction = Arc<Mutex<Bytes>>;

/// One end.
pub(crate) struct Pipe {
    from: Direction,
    to: Direction,
}

impl Pipe {
    pub(crate) fn both_ends() -> (Pipe, Pipe) {
        let (a, b) = (Direction::default(), Direction::default());
        (Pipe { from: a.clone(), to: b.clone() }, Pipe { from: b, to: a })
    }

    fn end(&self) {
        change(&self.to, |bytes| bytes.is_over = true);
        // Who writes to an end that is gone is told so.
        change(&self.from, |bytes| bytes.is_over = true);
    }
}

/// Changes what the reader waits for, and wakes it.
fn change<R>(direction: &Direction, f: impl FnOnce(&mut Bytes) -> R) -> R {
    let mut bytes = direction.lock().unwrap();
    let result = f(&mut bytes);
    let reader = bytes.reader.take();
    drop(bytes);
    reader.into_iter().for_each(Waker::wake);
    result
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.end();
    }
}

impl Read for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut from = self.from.lock().unwrap();
        if from.bytes.is_empty() && !from.is_over {
            from.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = from.bytes.len().min(into.remaining());
        let bytes: Vec<u8> = from.bytes.drain(..count).collect();
        into.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl Write for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(change(&self.to, |to| {
            if to.is_over {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            to.bytes.extend(from);
            Ok(from.len())
        }))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        change(&self.to, |to| to.is_over = true);
        Poll::Ready(Ok(()))
    }
}
