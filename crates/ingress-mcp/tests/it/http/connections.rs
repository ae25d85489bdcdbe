//! Connections: how many, how long, how slow, over which version of HTTP, and what a stop does to them.

use super::client::{Ask, LONG};
use super::fakes::{CALLED, Gateway, INITIALIZE, Setup, call, gateway, get, pay, post, read};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn requests_come_one_after_the_other_on_one_connection() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let mut client = gateway.client().await;
    let both = [post(&session, &read(1, "a")).text(), post(&session, &read(2, "b")).text()].concat();
    client.write(both.as_bytes()).await;
    assert!(client.answer().await.body.contains(r#""id":1"#));
    assert!(client.answer().await.body.contains(r#""id":2"#));
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_back() {
    let mut setup = Setup::default();
    setup.config.connections_max = 1;
    let gateway = setup.start().await;
    let mut first = gateway.client().await;
    assert_eq!(first.ask(Ask::get("/livez")).await.status, 200);
    let refused = gateway.client().await.answer().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(first.ask(Ask::get("/livez")).await.status, 200);
}

async fn quickly_bored() -> Gateway {
    let mut setup = Setup::default();
    setup.config.quiet = SHORT * 10;
    setup.start().await
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_half_a_head_is_closed() {
    let gateway = quickly_bored().await;
    for said in ["", "P", "PRI * HT", "POST /mcp HTTP/1.1\r\nHost: local"] {
        let mut client = gateway.client().await;
        client.write(said.as_bytes()).await;
        assert!(client.is_closed().await, "{said}");
    }
    let mut client = gateway.client().await;
    assert_eq!(client.ask(Ask::get("/livez")).await.status, 200);
    assert!(client.is_closed().await, "it asked for nothing more");
}

#[tokio::test]
async fn a_connection_that_waits_for_us_is_not_quiet() {
    let gateway = quickly_bored().await;
    let session = gateway.session().await;
    let mut client = gateway.client().await;
    client.write(post(&session, &read(1, "wait:a")).text().as_bytes()).await;
    gateway.world.until("reads wait:a").await;
    tokio::time::sleep(SHORT * 20).await;
    gateway.world.release();
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_body_that_trickles_in_is_given_up() {
    let mut setup = Setup::default();
    setup.config.body_timeout = SHORT;
    let gateway = setup.start().await;
    let mut client = gateway.client().await;
    client.write(Ask::post("/mcp/shop", "{").instead("Content-Length", "100").text().as_bytes()).await;
    assert_eq!(client.answer().await.status, 408);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let gateway = gateway().await;
    let large = Ask::get("/livez").with("X-Large", &"x".repeat(70 * 1024));
    assert_eq!(gateway.ask(large).await.status, 431);
    let many = (0..200).fold(Ask::get("/livez"), |ask, number| ask.with(&format!("X-{number}"), "x"));
    assert_eq!(gateway.ask(many).await.status, 431);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up_and_its_answer_is_not_flushed() {
    let mut setup = Setup::default();
    setup.config.write_timeout = SHORT;
    let gateway = setup.start().await;
    let session = gateway.session().await;
    gateway.world.release();
    let mut client = gateway.client().await;
    let large = pay(1).replace("{}", r#"{"as":"large"}"#);
    client.write(post(&session, &large).text().as_bytes()).await;
    gateway.world.until("Lost").await;
    assert_eq!(gateway.world.noted("Flushed"), 0);
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_ends_what_would_never_end() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let (mut waits, mut own, mut idle) = (gateway.client().await, gateway.client().await, gateway.client().await);
    assert_eq!(idle.ask(Ask::get("/livez")).await.status, 200);
    own.ask(get(&session)).await;
    own.event().await.expect("the first event");
    waits.write(call(&session, 1).text().as_bytes()).await;
    gateway.world.until(CALLED).await;
    gateway.stop.cancel();
    assert_eq!(own.event().await, None);
    assert!(idle.is_closed().await);
    let (address, world) = (gateway.address, std::sync::Arc::clone(&gateway.world));
    world.release();
    let paid = waits.answer().await;
    assert!(paid.status == 200 && paid.body.contains("paid"), "{paid:?}");
    gateway.end().await;
    assert_eq!(world.noted("Flushed"), 1);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let mut setup = Setup::default();
    setup.config.drain = SHORT;
    let gateway = setup.start().await;
    let session = gateway.session().await;
    let mut client = gateway.client().await;
    client.write(post(&session, &read(1, "wait:a")).text().as_bytes()).await;
    gateway.world.until("reads wait:a").await;
    let world = std::sync::Arc::clone(&gateway.world);
    gateway.end().await;
    world.until("gave up wait:a").await;
    assert!(client.is_closed().await);
}

//= S-23
#[tokio::test]
async fn a_client_that_asks_again_on_its_connection_has_seen_the_answer_before() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    gateway.world.release();
    let mut client = gateway.client().await;
    assert_eq!(client.ask(post(&session, &pay(1))).await.status, 200);
    gateway.world.until("Flushed").await;
    let mut another = gateway.client().await;
    assert_eq!(another.ask(post(&session, &read(2, "a"))).await.status, 200);
    assert_eq!(gateway.world.noted("Seen"), 0, "another connection says nothing about this one");
    assert_eq!(client.ask(post(&session, &read(3, "a"))).await.status, 200);
    gateway.world.until("Seen").await;
    assert_eq!(gateway.world.noted("Seen"), 1);
    assert_eq!(client.ask(post(&session, &read(4, "a"))).await.status, 200);
    assert_eq!((gateway.world.noted("Seen"), gateway.world.noted("Lost")), (1, 0), "and each answer once");
}

#[tokio::test]
async fn http_2_is_spoken_on_the_same_port() {
    let gateway = gateway().await;
    let stream = TcpStream::connect(gateway.address).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let driven = tokio::spawn(connection);
    let request = |host: &str, body: String, session: Option<&str>| {
        let request = http::Request::post(format!("http://{host}/mcp/shop"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        let request = match session {
            Some(session) => request.header("mcp-session-id", session),
            None => request,
        };
        request.body(Full::new(Bytes::from(body))).expect("a request")
    };
    let begun = sender.send_request(request("localhost", INITIALIZE.into(), None)).await.expect("an answer");
    let session = begun.headers()["mcp-session-id"].to_str().expect("text").to_owned();
    gateway.world.release();
    let paid = sender.send_request(request("localhost", pay(1), Some(&session))).await.expect("an answer");
    assert_eq!((paid.version(), paid.status().as_u16()), (http::Version::HTTP_2, 200));
    let body = paid.into_body().collect().await.expect("a body").to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("paid"));
    gateway.world.until("Flushed").await;
    let foreign = sender.send_request(request("evil.test", pay(2), Some(&session))).await.expect("an answer");
    assert_eq!(foreign.status().as_u16(), 403);
    assert_eq!(gateway.world.noted("Seen"), 0, "requests of one connection of HTTP/2 do not wait for each other");
    gateway.stop.cancel();
    timeout(LONG, driven).await.expect("it ends").expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_client_of_http_2_that_resets_its_request_has_left() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let stream = TcpStream::connect(gateway.address).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let driven = tokio::spawn(connection);
    let request = http::Request::post("http://localhost/mcp/shop")
        .header("content-type", "application/json")
        .header("mcp-session-id", session)
        .body(Full::new(Bytes::from(read(1, "wait:a"))))
        .expect("a request");
    let asked = tokio::spawn(async move { sender.send_request(request).await.map(drop) });
    gateway.world.until("reads wait:a").await;
    asked.abort();
    gateway.world.until("gave up wait:a").await;
    driven.abort();
}

#[tokio::test]
async fn garbage_on_the_wire_harms_nobody_else() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let good = post(&session, &read(1, "a")).text().into_bytes();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).expect("small")
    };
    for _ in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            bytes[at] = u8::try_from(next(256)).expect("a byte");
        }
        bytes.truncate(1 + next(bytes.len()));
        let mut client = gateway.client().await;
        client.write(&bytes).await;
    }
    assert_eq!(gateway.ask(post(&session, &read(1, "a"))).await.status, 200);
}
