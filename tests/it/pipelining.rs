//! Requests that a client sends behind the one that is being answered.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{native, native_whole};
use crate::gateway::TestGateway;
use crate::upstream::{Gate, Step, Upstream, openai_token, sse_head};

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
async fn flood(gateway: &TestGateway, first: &str, upstream: &Upstream) -> TcpStream {
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    socket.write_all(first.as_bytes()).await.unwrap();
    upstream.wait_for_chats(1).await;
    // Fails once the gateway has closed the connection.
    let _ = socket.write_all(HEALTH.repeat(FLOOD_BYTES / HEALTH.len()).as_bytes()).await;
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
    for (case, script) in scripts.into_iter().enumerate() {
        for body in [native("hi"), native_whole("hi")] {
            let script = script.clone();
            let upstream = Upstream::start(move |_| script.clone()).await;
            let gateway = TestGateway::before(&upstream).await;
            let socket = flood(&gateway, &chat(&body), &upstream).await;
            upstream.wait_for_aborts(1).await;
            gateway.wait_until_idle().await;
            assert_eq!(gateway.outcomes("cancelled").await, 1, "case {case}");
            drop(socket);
            gateway.inner.shutdown().await;
        }
    }
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
