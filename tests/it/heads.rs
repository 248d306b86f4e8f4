//! Request heads that are odd: whom they are for, who sent them, how large they are, how slow.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::client::{Client, Response, native};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{PATIENCE, Upstream};
use crate::wire::openai_answer;

const KEY: &str = "alice-0123456789-0123456789-0123456789";
const OTHER: &str = "other-0123456789-0123456789-0123456789";
/// So many clients that send their requests a byte at a time.
const SLOW: usize = 300;

async fn head(client: &Client, target: &str, lines: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n");
    client.send_raw(request.as_bytes()).await.whole().await
}

#[actix_web::test]
async fn a_request_is_for_one_well_formed_host() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    for host in ["gateway", "gateway.example:3000", "127.0.0.1", "[::1]:80", "gateway:"] {
        let answer = head(&gateway.client, "/api/models", &format!("Host: {host}")).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    // In the dialect's shape, where the head can be read at all.
    for host in [
        "",
        "a b",
        "user@gateway",
        "gateway:99999",
        "gateway:x",
        "gateway:80:80",
        "a,b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "<a>",
        "a%00",
        "[::1",
        "::1",
        "\u{e9}",
    ] {
        let line = format!("Host: {host}");
        let answer = head(&gateway.client, "/api/models", &line).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!("INVALID_REQUEST")),
            "{host}"
        );
        let answer = head(&gateway.client, "/v1/models", &line).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["code"]), (400, &json!("INVALID_REQUEST")), "{host}");
        assert!(error["message"].as_str().unwrap().contains("Host: gateway.example"), "{error}");
        assert!(answer.header("x-request-id").is_some());
    }
    for lines in ["X-Padding: a", "Host: a\r\nHost: a", "Host: a\r\nhost: b", "Host: a\0b"] {
        assert_eq!(head(&gateway.client, "/api/models", lines).await.status, 400, "{lines}");
    }
    for (target, status) in [
        ("http://gateway/api/models", 200),
        ("http://elsewhere:81/api/models", 200),
        ("http://user@gateway/api/models", 400),
        ("http://a,b/api/models", 400),
        ("http:///api/models", 400),
        ("api/models", 400),
    ] {
        assert_eq!(head(&gateway.client, target, "Host: gateway").await.status, status, "{target}");
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn several_keys_are_one_or_none() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let keys = format!(
        "[[auth.keys]]\nname = \"alice\"\nkey = \"{KEY}\"\n[[auth.keys]]\nname = \"other\"\nkey = \"{OTHER}\"\n"
    );
    let gateway = TestGateway::start(&(openai_model(&upstream, "") + &keys)).await;
    let bearer = |key: &str| format!("Authorization: Bearer {key}");
    let api_key = |key: &str| format!("x-api-key: {key}");
    let none = String::new();
    for (lines, status) in [
        ([bearer(KEY), api_key(KEY)], 200),
        ([bearer(KEY), bearer(KEY)], 200),
        ([api_key(KEY), api_key(KEY)], 200),
        // Not a key, but another scheme's credentials.
        (["Authorization: Basic YTpi".to_owned(), api_key(KEY)], 200),
        ([bearer(KEY), api_key(OTHER)], 401),
        ([bearer(KEY), bearer(OTHER)], 401),
        ([bearer(KEY), bearer("wrong")], 401),
        ([bearer("wrong"), bearer(KEY)], 401),
        ([api_key(KEY), api_key(OTHER)], 401),
        ([api_key(KEY), api_key("")], 401),
        ([bearer("\u{e9}"), api_key(KEY)], 401),
        ([bearer(&format!("{KEY}, {OTHER}")), none.clone()], 401),
        ([bearer(&KEY[..KEY.len() - 1]), none.clone()], 401),
        ([api_key(&KEY.to_uppercase()), none], 401),
    ] {
        let lines: Vec<_> = lines.iter().filter(|line| !line.is_empty()).cloned().collect();
        let lines = format!("Host: g\r\n{}", lines.join("\r\n"));
        let answer = head(&gateway.client, "/api/models", &lines).await;
        assert_eq!(answer.status, status, "{lines}");
        assert!(status == 200 || answer.json()["error"] == "UNAUTHORIZED", "{lines}");
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn heads_that_are_too_large_are_not_read_to_their_end() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let many = "x-padding: a\r\n".repeat(200);
    let large = format!("x-padding: {}", "a".repeat(1_000_000));
    let long = format!("/{}", "a".repeat(1_000_000));
    for (target, lines, statuses) in [
        ("/api/models", format!("Host: g\r\n{}", many.trim_end()), [431, 431]),
        ("/api/models", format!("Host: g\r\n{large}"), [431, 431]),
        (&long, "Host: g".to_owned(), [431, 431]),
        // What is no longer a URI is a bad request before it is too large.
        (&long[..70_000], "Host: g".to_owned(), [400, 431]),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\n{lines}\r\n\r\n");
        let status = first_status(&gateway, request.as_bytes()).await;
        assert!(statuses.contains(&status), "{}: {status}", &target[..target.len().min(20)]);
    }
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "a");
    gateway.inner.shutdown().await;
}

/// Writes while it reads: who refuses a head need not read all of it.
async fn first_status(gateway: &TestGateway, request: &[u8]) -> u16 {
    let socket = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
    let (mut from, mut to) = socket.into_split();
    let mut told = Vec::new();
    let write = async {
        let _ = to.write_all(request).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = write => {}
        () = async {
            let mut part = [0; 1024];
            while told.len() < 12 {
                let read = from.read(&mut part).await.unwrap_or_default();
                assert!(read > 0, "closed without a word");
                told.extend_from_slice(&part[..read]);
            }
        } => {}
    }
    std::str::from_utf8(&told[9..12]).unwrap().parse().unwrap()
}

#[actix_web::test]
async fn an_expectation_is_met_and_a_refusal_does_not_wait_for_the_body() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway =
        TestGateway::start_with_server("body_limit_bytes = 2000", &openai_model(&upstream, ""))
            .await;
    let head = |length: usize| {
        format!(
            "POST /api/chat HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\n\
             Expect: 100-continue\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let body = native("hi").to_string();
    let mut live = gateway.client.send_raw(head(body.len()).as_bytes()).await;
    live.read_head().await;
    assert_eq!(live.status(), 100);
    live.socket.write_all(body.as_bytes()).await.unwrap();
    let said = read_to_end(live.socket).await;
    assert!(said.contains("HTTP/1.1 200") && said.contains("chat.completion.done"), "{said}");

    let live = gateway.client.send_raw(head(1 << 40).as_bytes()).await;
    let said = read_to_end(live.socket).await;
    assert!(said.contains("HTTP/1.1 413") && said.contains("PAYLOAD_TOO_LARGE"), "{said}");
    assert_eq!(upstream.chats().len(), 1);
    gateway.inner.shutdown().await;
}

async fn read_to_end(mut socket: tokio::net::TcpStream) -> String {
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut said)).await;
    read.expect("the connection is closed").unwrap();
    String::from_utf8(said).unwrap()
}

/// Half send heads, half bodies, that never end; all are told so in time. Meanwhile others are
/// served.
#[actix_web::test]
async fn slow_clients_are_sent_away_and_harm_nobody() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let limits = "header_timeout_seconds = 2\nbody_timeout_seconds = 2";
    let gateway = TestGateway::start_with_server(limits, &openai_model(&upstream, "")).await;
    let alone = latencies(&gateway).await;

    let slow = (0..SLOW).map(|number| {
        let client = gateway.client.clone();
        actix_rt::spawn(async move { slowly(&client, number % 2 == 0).await })
    });
    let slow: Vec<_> = slow.collect();
    let beside = latencies(&gateway).await;
    let mut told = Vec::new();
    for client in slow {
        told.push(client.await.unwrap());
    }
    assert!(told.iter().all(|status| *status == 408), "{told:?}");
    let p99 = |of: &[Duration]| of[of.len() * 99 / 100];
    println!(
        "{SLOW} slow clients: all 408; others' p99 {:?}, alone {:?}, {:.2} times",
        p99(&beside),
        p99(&alone),
        p99(&beside).as_secs_f64() / p99(&alone).as_secs_f64()
    );
    assert!(beside.last().unwrap() < &PATIENCE);
    let asked = alone.len() + beside.len();
    assert_eq!(upstream.chats().len(), asked, "slow requests ask nothing of the upstream");
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("completed").await, asked as u64);
    gateway.inner.shutdown().await;
}

/// How long 400 short answers take, one after the other, the quickest first.
async fn latencies(gateway: &TestGateway) -> Vec<Duration> {
    let mut all = Vec::new();
    for _ in 0..400 {
        let asked = Instant::now();
        assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "a");
        all.push(asked.elapsed());
    }
    all.sort_unstable();
    all
}

/// Sends a byte now and then until it is answered; gives the status.
async fn slowly(client: &Client, in_the_head: bool) -> u16 {
    let line = "POST /api/chat HTTP/1.1\r\nHost: g\r\n";
    let rest = "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n";
    let sent = if in_the_head { format!("{line}X-Padding: ") } else { format!("{line}{rest}{{") };
    let mut answer = client.send_raw(sent.as_bytes()).await;
    let mut told = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(400));
    loop {
        tokio::select! {
            _ = ticks.tick() => { let _ = answer.socket.write_all(b" ").await; }
            read = answer.socket.read_buf(&mut told) => {
                if told.len() >= 12 {
                    return std::str::from_utf8(&told[9..12]).unwrap().parse().unwrap();
                }
                assert!(read.unwrap_or_default() > 0, "closed without a word");
            }
        }
    }
}
