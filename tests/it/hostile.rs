//! Input that was made to do harm, against the program itself: a clear 4xx, nothing asked of the
//! upstream, memory and metrics as they were, nothing secret told.

use serde_json::json;

use crate::client::{Client, Response, native, openai};
use crate::gateway::openai_model;
use crate::process::Process;
use crate::upstream::Upstream;
use crate::wire::openai_answer;

const CHAT: &str = "/api/chat";
const COMPLETIONS: &str = "/v1/chat/completions";
/// What the corpus and junk may add for good, in KiB.
const GROWTH_KIB: u64 = 4 * 1024;
/// The allocator gives back at once what it would keep for some milliseconds: what is measured is
/// what is held, and not what the last megabytes left behind.
const MEASURED: [(&str, &str); 2] = [("LOG_LEVEL", "info"), ("MIMALLOC_PURGE_DELAY", "0")];

async fn post(client: &Client, path: &str, body: &[u8]) -> Response {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.send_raw(&[head.as_bytes(), body].concat()).await.whole().await
}

/// A request in OpenAI's dialect with one more field.
fn with_field(field: &str) -> Vec<u8> {
    let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
    format!(r#"{{"model":"test",{messages},{field}}}"#).into_bytes()
}

fn with_content(content: &[u8]) -> Vec<u8> {
    let (head, tail) = (br#"{"messages":[{"role":"user","content":""#, br#""}]}"#);
    [head, content, tail].concat()
}

/// Bodies that are refused in both dialects, and a word that says why.
fn bodies() -> Vec<(Vec<u8>, &'static str)> {
    let deep = |open: &str, close: &str| open.repeat(100_000) + "1" + &close.repeat(100_000);
    let twice = r#"{"messages":[{"role":"user","content":"hi","content":"ho"}]}"#;
    let long = "x".repeat(100_000);
    vec![
        (with_field(&format!("\"x\":{}", deep("[", "]"))), "levels"),
        (with_field(&format!("\"x\":{}", deep("{\"a\":", "}"))), "levels"),
        (with_field(&format!("\"tools\":{}", deep("[", "]"))), "levels"),
        (format!("{{\"messages\":{}}}", deep("[", "]")).into_bytes(), "levels"),
        (deep("[", "]").into_bytes(), "levels"),
        ("[".repeat(100_000).into_bytes(), "levels"),
        (with_field("\"model\":\"other\""), "more than once"),
        (with_field("\"m\\u006fdel\":\"other\""), "more than once"),
        (with_field("\"x\":{\"a\":1,\"a\":2}"), "more than once"),
        (twice.as_bytes().to_vec(), "more than once"),
        (with_field("\"temperature\":1e999"), "temperature"),
        (with_field("\"temperature\":NaN"), "not valid JSON"),
        (with_field("\"temperature\":-1"), "temperature"),
        (with_content(b"\0"), "not valid JSON"),
        (with_content(b"a\nb"), "not valid JSON"),
        (with_content(br"\ud800"), "not valid JSON"),
        (with_content(br"\udc00\ud800"), "not valid JSON"),
        (with_content(b"\xff\xfe"), "not UTF-8"),
        (with_content(b"\xed\xa0\x80"), "not UTF-8"),
        (with_content(b"hi\"}]} trailing {\"x\":[{\"y\":\""), "not valid JSON"),
        ([b"\xef\xbb\xbf".as_slice(), &with_content(b"hi")].concat(), "byte order mark"),
        (b" \r\n".to_vec(), "empty"),
        (with_field(&format!("\"model\":\"{long}\"")), "more than once"),
        (
            format!(r#"{{"model":"{long}","messages":[{{"role":"user","content":"hi"}}]}}"#)
                .into_bytes(),
            "model",
        ),
        (br#"{"model":"a\r\nX-Evil: 1","messages":[{"role":"user","content":"hi"}]}"#.to_vec(), ""),
    ]
}

/// Fields of OpenAI's dialect whose values no upstream should be asked for.
const FIELDS: [&str; 6] = [
    "\"n\":1000000",
    "\"n\":0",
    "\"n\":1e999",
    "\"max_tokens\":1000000000000000000000",
    "\"Model\":\"other\"",
    "\"stream\":\"yes\"",
];

async fn send_corpus(gateway: &Process) {
    for (body, word) in bodies() {
        for path in [CHAT, COMPLETIONS] {
            let answer = post(&gateway.client, path, &body).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            let text = answer.text();
            assert!((400..500).contains(&answer.status), "{path} {shown}: {}", answer.status);
            assert!(path == CHAT || text.contains(word), "{shown}: `{word}` in {text}");
            assert!(answer.proper_end && text.len() < 4096, "{shown}");
            assert_eq!(answer.header("x-evil"), None);
        }
    }
    for field in FIELDS {
        let answer = post(&gateway.client, COMPLETIONS, &with_field(field)).await;
        assert_eq!(answer.status, 400, "{field}: {}", answer.text());
    }
}

#[actix_web::test]
async fn bodies_that_harm_are_refused_and_cost_nothing() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = Process::start_with(&MEASURED, &openai_model(&upstream, "")).await;
    // Until both workers' allocators have what they keep.
    for _ in 0..10 {
        send_corpus(&gateway).await;
    }
    let before = gateway.resident_kib();
    for _ in 0..20 {
        send_corpus(&gateway).await;
    }
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("20 times {} bodies: {grown} KiB grown", 2 * bodies().len() + FIELDS.len());
    assert!(grown < GROWTH_KIB, "{grown} KiB grown");
    assert!(upstream.chats().is_empty());
    let metrics = gateway.client.get("/metrics").await.text();
    assert!(metrics.contains("ai_gateway_streams_started_total{model=\"test\"} 0"), "{metrics}");
    assert_eq!(gateway.client.post(CHAT, &native("hi")).await.native_text(), "a");
    let (_, log) = gateway.terminate().await;
    assert!(log.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[actix_web::test]
async fn odd_targets_lead_nowhere() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = Process::start_logging("info", &openai_model(&upstream, "")).await;
    let targets = [
        "/api/chat/../streams",
        "/api/chat/%2e%2e/models",
        "/api/chat/..%2fmodels",
        "/api/chat/%00",
        "/api/chat/%0d%0aX-Evil:%201",
        "//api//chat",
        "/api/chat/..",
        "/API/CHAT",
        "/v1/../api/models",
    ];
    for target in targets {
        for method in ["GET", "DELETE"] {
            let answer = gateway.client.send(method, target, None).await.whole().await;
            assert!([404, 405].contains(&answer.status), "{method} {target}: {}", answer.status);
            assert_eq!(answer.header("x-evil"), None);
        }
    }
    drop(gateway);
}

#[actix_web::test]
async fn junk_names_and_keys_leave_no_trace() {
    const JUNK: usize = 20_000;
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let key = "k".repeat(32);
    let toml = openai_model(&upstream, "") + &format!("[auth]\nkey = \"{key}\"\n");
    let gateway = Process::start_with(&MEASURED, &toml).await;
    let known = gateway.client.with_header("x-api-key", &key);
    assert_eq!(known.post(CHAT, &native("hi")).await.native_text(), "a");
    // The first look at the metrics adds its own series.
    known.get("/metrics").await;
    let mut seen = (0, 0);
    for round in 0..4 {
        for number in 0..JUNK / 4 {
            let name = format!("junk-{round}-{number}");
            match number % 3 {
                0 => {
                    let mut body = openai("hi", true);
                    body["model"] = json!(name);
                    assert_eq!(known.post(COMPLETIONS, &body).await.status, 404);
                }
                1 => {
                    let stranger = gateway.client.with_header("x-api-key", &name);
                    assert_eq!(stranger.get("/api/models").await.status, 401);
                }
                _ => assert_eq!(known.get(&format!("/{name}")).await.status, 404),
            }
        }
        let metrics = known.get("/metrics").await.text();
        assert!(!metrics.contains("junk"), "{metrics}");
        let now = (metrics.lines().count(), gateway.resident_kib());
        if round == 0 {
            seen = now;
        }
        assert_eq!(now.0, seen.0, "the number of series");
        let grown = now.1.saturating_sub(seen.1);
        assert!(grown < GROWTH_KIB, "{grown} KiB grown");
    }
}
