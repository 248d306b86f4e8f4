//! Requests that a client sends behind the one that is being answered.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{native, native_whole};
use crate::gateway::TestGateway;
use crate::upstream::{Gate, Step, Upstream};
use crate::wire::{openai_answer, openai_token, sse_head};

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: gateway\r\n\r\n";
/// More than actix-http buffers.
const FLOOD_BYTES: usize = 300_000;

fn chat(body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!(
        "POST /api/chat HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A client that asks, and then asks for more than anybody would buffer.
async fn flood(gateway: &TestGateway, first: &str, then: &str, upstream: &Upstream) -> TcpStream {
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    socket.write_all(first.as_bytes()).await.unwrap();
    upstream.wait_for_chats(1).await;
    // Fails once the gateway has closed the connection.
    let _ = socket.write_all(then.as_bytes()).await;
    socket
}

/// Otherwise the connection would wake itself without end, and take all of its worker's time.
#[actix_web::test]
async fn a_flood_behind_an_answer_ends_the_connection() {
    let endless: Vec<_> = (0..100_000).map(|_| openai_token("and so on")).collect();
    let scripts = [
        vec![Step::Silence],
        vec![sse_head(), openai_token("one"), Step::Silence],
        // The client reads nothing of it.
        [vec![sse_head()], endless, vec![Step::Silence]].concat(),
    ];
    let floods = [
        HEALTH.repeat(FLOOD_BYTES / HEALTH.len()),
        // Of this one actix-http reads no more than it buffers, and then does not see who leaves.
        chat(&native(&"x".repeat(FLOOD_BYTES))),
    ];
    let cases = scripts.iter().flat_map(|script| floods.iter().map(move |flood| (script, flood)));
    for (case, (script, then)) in cases.enumerate() {
        for body in [native("hi"), native_whole("hi")] {
            let script = script.clone();
            let upstream = Upstream::start(move |_| script.clone()).await;
            let gateway = TestGateway::before(&upstream).await;
            let socket = flood(&gateway, &chat(&body), then, &upstream).await;
            upstream.wait_for_aborts(1).await;
            gateway.wait_until_idle().await;
            assert_eq!(gateway.outcomes("cancelled").await, 1, "case {case}");
            drop(socket);
            gateway.inner.shutdown().await;
        }
    }
}

/// Each is more than may come ahead of an answer: none is counted once the answer before it is over.
#[actix_web::test]
async fn large_requests_in_turn_are_all_answered() {
    let upstream = Upstream::start(|_| openai_answer(&["one"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    let mut large = native_whole("hi");
    large["messages"] = vec![large["messages"][0].clone(); 10].into();
    for message in large["messages"].as_array_mut().unwrap() {
        message["content"] = "x".repeat(9_999).into();
    }
    let request = chat(&large);
    for _ in 0..5 {
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut told = Vec::new();
        while !told.ends_with(b"}") {
            assert!(socket.read_buf(&mut told).await.unwrap() > 0, "closed: {told:?}");
        }
        assert!(told.starts_with(b"HTTP/1.1 200"), "{told:?}");
    }
    drop(socket);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_few_requests_behind_an_answer_are_answered_in_turn() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    let requests = chat(&native("hi")) + &HEALTH.repeat(10) + &chat(&native_whole("hi"));
    socket.write_all(requests.as_bytes()).await.unwrap();
    upstream.wait_for_chats(1).await;
    gate.open();
    let mut text = String::new();
    while !text.contains("one two") {
        let mut bytes = [0; 4096];
        let read = socket.read(&mut bytes).await.unwrap();
        assert!(read > 0, "closed after {text}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 12, "{text}");
    drop(socket);
    gateway.inner.shutdown().await;
}
