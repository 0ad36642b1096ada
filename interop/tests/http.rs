//! hyper, both sides of a connection in memory: a future that polls futures of ours, among futures that know nothing of us.

mod common;
mod log;
mod pipe;

use asyncio::{Event, Task, TimeoutError, create_task, secs, timeout, with_finally, yield_now};
use common::{settle, with_workers};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, server, service::service_fn};
use log::Log;
use pipe::Pipe;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

type Body = Full<Bytes>;
type Answer = Result<Response<Body>, Infallible>;

/// A server task whose requests `answer` answers, and a client of it with its connection's task.
async fn connected<F>(
    answer: impl Fn(Request<Incoming>) -> F + Send + 'static,
) -> (Task<()>, SendRequest<Body>, Task<()>)
where
    F: Future<Output = Answer> + Send + 'static,
{
    let (ours, theirs) = Pipe::both_ends();
    let server = create_task(async move {
        let connection = server::conn::http1::Builder::new();
        // A client that is gone is no failure of the test.
        let _ = connection.serve_connection(theirs, service_fn(answer)).await;
    });
    let (sender, connection) = handshake(ours).await.unwrap();
    let client = create_task(async move {
        let _ = connection.await;
    });
    (server, sender, client)
}

fn request() -> Request<Body> {
    Request::get("/").header("host", "here").body(Body::default()).unwrap()
}

async fn hello(_: Request<Incoming>) -> Answer {
    yield_now().await;
    Ok(Response::new(Body::from("hello")))
}

#[test]
fn a_request_is_answered() {
    with_workers(|| async {
        let (server, mut sender, client) = connected(hello).await;
        for _ in 0..3 {
            let answer = timeout(secs(60.0), sender.send_request(request())).await.unwrap();
            let body = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "hello");
        }
        drop(sender);
        client.await.unwrap();
        server.await.unwrap();
    });
}

/// A cancel of the task that serves a connection reaches the scope in the handler, below all that is hyper's, and its clean-up is awaited, polled by
/// hyper; then the connection is dropped.
#[test]
fn a_cancelled_server_cleans_up_in_its_handler() {
    with_workers(|| async {
        let (log, reached) = (Log::default(), Arc::new(Event::new()));
        let (inner, reach) = (log.clone(), reached.clone());
        let (server, mut sender, client) = connected(move |_| {
            let (log, reach) = (inner.clone(), reach.clone());
            with_finally(
                async move {
                    reach.set();
                    pending::<Answer>().await
                },
                move || async move {
                    yield_now().await;
                    log.say("cleaned up");
                },
            )
        })
        .await;
        let asker = create_task(async move { sender.send_request(request()).await.is_err() });
        reached.wait().await;
        settle().await;
        server.cancel();
        assert!(server.await.unwrap_err().is_cancelled());
        assert_eq!(log.sorted(), ["cleaned up"]);
        assert!(asker.await.unwrap(), "the connection is gone");
        client.await.unwrap();
    });
}

/// A handler without a scope, and all of hyper round it, is dropped where it waits.
#[test]
fn a_cancelled_server_without_scopes_is_dropped() {
    with_workers(|| async {
        let (log, reached) = (Log::default(), Arc::new(Event::new()));
        let (inner, reach) = (log.clone(), reached.clone());
        let (server, mut sender, client) = connected(move |_| {
            let (guard, reach) = (inner.on_drop("dropped"), reach.clone());
            async move {
                let _guard = guard;
                reach.set();
                pending::<Answer>().await
            }
        })
        .await;
        let asker = create_task(async move { sender.send_request(request()).await.is_err() });
        reached.wait().await;
        server.cancel();
        assert!(server.await.unwrap_err().is_cancelled());
        assert_eq!(log.sorted(), ["dropped"]);
        assert!(asker.await.unwrap());
        client.await.unwrap();
    });
}

/// Whoever asks may be cancelled, or have a deadline: the request is dropped, and the server's handler with its connection.
#[test]
fn a_request_can_be_given_up() {
    with_workers(|| async {
        for by_deadline in [false, true] {
            let (log, reached) = (Log::default(), Arc::new(Event::new()));
            let (inner, reach) = (log.clone(), reached.clone());
            let (server, mut sender, client) = connected(move |_| {
                let (guard, reach) = (inner.on_drop("handler dropped"), reach.clone());
                async move {
                    let _guard = guard;
                    reach.set();
                    pending::<Answer>().await
                }
            })
            .await;
            if by_deadline {
                let asked = async {
                    let asked = sender.send_request(request());
                    let asked = timeout(secs(0.001), asked).await.map(|answer| answer.is_ok());
                    assert_eq!(asked, Err(TimeoutError::default()));
                };
                asked.await;
            } else {
                let asker =
                    create_task(async move { sender.send_request(request()).await.is_ok() });
                reached.wait().await;
                asker.cancel();
                assert!(asker.await.unwrap_err().is_cancelled());
            }
            // The client's side ends, as nobody can ask any more; with it its end of the pipe, and so the server's.
            client.await.unwrap();
            server.await.unwrap();
            assert!(log.sorted().len() <= 1);
        }
    });
}
