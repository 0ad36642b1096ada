//! Closing a loop with everything pending that can be leaves no descriptor open.
//!
//! Alone in its binary: descriptors are counted for the whole process.
#![cfg(target_os = "linux")]

use asyncio::net::{TcpListener, TcpStream};
use asyncio::{create_task, secs, sleep};
use std::io;
use std::time::Duration;

/// Descriptors that this process has open.
/// Under ThreadSanitizer they are not counted: it opens pipes of its own when it has something to say.
fn open_descriptors() -> usize {
    if cfg!(tsan) { 0 } else { std::fs::read_dir("/proc/self/fd").unwrap().count() }
}

/// Everything that can be pending is: an accept, reads on both ends, a write into a full buffer, sleeps, callbacks, timers, a future.
async fn leave_everything_pending() -> io::Result<()> {
    let event_loop = asyncio::get_running_loop();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let client = TcpStream::connect(address).await?;
    let (server, _) = listener.accept().await?;
    let (mut reader, mut writer) = client.into_split();
    let (mut server_reader, server_writer) = server.into_split();
    create_task(async move { listener.accept().await.map(drop) }).detach();
    create_task(async move { reader.read(&mut [0; 8]).await }).detach();
    create_task(async move {
        let mut byte = [0];
        let read = server_reader.read(&mut byte).await;
        std::future::pending::<()>().await;
        read
    })
    .detach();
    create_task(async move {
        let chunk = vec![0; 64 * 1024];
        loop {
            writer.write_all(&chunk).await?;
            if false {
                return io::Result::Ok(());
            }
        }
    })
    .detach();
    create_task(async move {
        sleep(secs(3600.0)).await;
        drop(server_writer);
    })
    .detach();
    let future: asyncio::Future<u32> = event_loop.create_future();
    let setter = future.clone();
    create_task(future).detach();
    event_loop.call_later(Duration::from_secs(3600), move || setter.set_result(1).unwrap());
    for _ in 0..3 {
        asyncio::yield_now().await;
    }
    // Another worker may run it before the loop stops.
    event_loop.call_soon(|| ());
    Ok(())
}

#[test]
fn closing_with_everything_pending_leaves_nothing_open() {
    let rounds = if cfg!(debug_assertions) { 300 } else { 10_000 };
    let close_once = || {
        let event_loop = asyncio::new_event_loop().unwrap();
        event_loop.set_exception_handler(Some(
            |_: &asyncio::EventLoop, report: &asyncio::ExceptionContext| {
                assert_eq!(report.message, "Task was destroyed but it is pending!");
            },
        ));
        let stop = event_loop.clone();
        let mut main = event_loop.create_task(async move {
            let left = leave_everything_pending().await;
            stop.stop();
            left
        });
        event_loop.run_forever().unwrap();
        main.try_result().expect("main has ended").unwrap().unwrap();
        event_loop.close().unwrap();
    };
    close_once();
    let before = open_descriptors();
    (0..rounds).for_each(|_| close_once());
    assert_eq!(open_descriptors(), before);
}
