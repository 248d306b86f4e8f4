//! SIGTERM to the program with a thousand streams: who can finish does, everybody else is told.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::client::{Live, Response, native, native_whole, openai};
use crate::gateway::openai_model;
use crate::process::Process;
use crate::upstream::{Gate, Seen, Step, Upstream, openai_end, openai_token, sse_head, whole};

const STREAMS: usize = 1000;
const GRACE: Duration = Duration::from_secs(3);
/// What is promised is 2 s; a machine that is busy with other tests may take longer.
const SLACK: Duration = Duration::from_secs(8);

const FINISHES: &str = "finishes";
const OUTLASTS: &str = "outlasts";
const WHOLE: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"one two"},"finish_reason":"stop"}]}"#;

/// Half of the answers wait for the gate, half for ever; in one piece where that is asked for.
fn script(seen: &Seen, gate: &Gate) -> Vec<Step> {
    let asked = seen.json();
    let wait = match asked["messages"][0]["content"].as_str() {
        Some(FINISHES) => Step::Gate(gate.clone()),
        _ => Step::Silence,
    };
    if asked["stream"] == false {
        return vec![wait, Step::Raw(whole(200, "application/json", WHOLE))];
    }
    let mut steps = vec![sse_head(), openai_token("one"), wait, openai_token(" two")];
    steps.extend(openai_end(7, 2));
    steps
}

/// The ways to ask, in turn: both dialects, streamed and in one piece, each with either prompt.
fn asked(number: usize) -> (&'static str, &'static str, bool, Value) {
    let prompt = if number % 8 < 4 { FINISHES } else { OUTLASTS };
    match number % 4 {
        0 => (prompt, "/api/chat", true, native(prompt)),
        1 => (prompt, "/v1/chat/completions", true, openai(prompt, true)),
        2 => (prompt, "/api/chat", false, native_whole(prompt)),
        _ => (prompt, "/v1/chat/completions", false, openai(prompt, false)),
    }
}

async fn open(gateway: &Process, number: usize) -> Live {
    let (_, path, streamed, body) = asked(number);
    let mut live = gateway.client.send("POST", path, Some(&body.to_string())).await;
    if streamed {
        live.read_until("one").await;
    }
    live
}

/// A whole answer, or the dialect's own word that it is none, and a proper end in any case.
fn check(number: usize, answer: &Response) {
    let (prompt, path, streamed, _) = asked(number);
    let is_native = path == "/api/chat";
    assert!(answer.proper_end, "{number}: cut");
    if prompt == FINISHES {
        let text = match (streamed, is_native) {
            (true, true) => answer.native_text(),
            (true, false) => answer.openai_text(),
            (false, true) => answer.json()["content"].as_str().unwrap().to_owned(),
            (false, false) => {
                answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
            }
        };
        assert_eq!((answer.status, text.as_str()), (200, "one two"), "{number}");
        let last = answer.events().pop().map(|event| event.data);
        assert_eq!(last.is_some_and(|data| data == "[DONE]"), streamed && !is_native);
        return;
    }
    let told = match answer.events().as_slice() {
        [.., last] => last.json(),
        [] => answer.json(),
    };
    let code = match (streamed, is_native) {
        (true, true) => &told["code"],
        (false, true) => &told["error"],
        (_, false) => &told["error"]["code"],
    };
    assert_eq!((code, answer.status), (&json!("DRAINED"), if streamed { 200 } else { 503 }));
    assert_eq!(answer.header("retry-after").is_some(), !streamed, "{number}");
    let terminals = answer.text().matches("DRAINED").count();
    assert!(terminals == 1 && !answer.text().contains("[DONE]"), "{number}: {}", answer.text());
}

/// How many access lines tell of this outcome.
fn outcomes(log: &[String], outcome: &str) -> usize {
    let lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "request" && line["outcome"] == outcome).count()
}

#[actix_web::test]
async fn a_thousand_streams_finish_or_are_told() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let gate = Gate::new();
    let played = gate.clone();
    let upstream = Upstream::start(move |seen| script(seen, &played)).await;
    let server = format!("[server]\ndrain_grace_seconds = {}\n", GRACE.as_secs());
    let model = openai_model(&upstream, &format!("max_concurrency = {STREAMS}"));
    let gateway = Process::start_logging("info", &(server + &model)).await;
    let streams = join_all((0..STREAMS).map(|number| open(&gateway, number))).await;
    upstream.wait_for_chats(STREAMS).await;

    let begun = Instant::now();
    gateway.signal("TERM");
    while gateway.client.get("/ready").await.status != 503 {}
    for (path, body) in
        [("/api/chat", native("late")), ("/v1/chat/completions", openai("late", true))]
    {
        // The workers are told a moment after the readiness is gone.
        let refused = loop {
            let late = gateway.client.post(path, &body).await;
            if late.status != 200 {
                break late;
            }
        };
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        assert!(refused.text().contains("\"DRAINING\""), "{}", refused.text());
    }
    gate.open();
    let answers = join_all(streams.into_iter().map(Live::whole)).await;
    let told = begun.elapsed();
    let (code, log) = gateway.ended().await;
    let ended = begun.elapsed();
    println!(
        "{STREAMS} streams: all told after {told:.2?}, ended after {ended:.2?}, {GRACE:?} grace"
    );

    for (number, answer) in answers.iter().enumerate() {
        check(number, answer);
    }
    assert_eq!(code, Some(0));
    assert!(ended >= GRACE && ended < GRACE + SLACK, "{ended:?}");
    assert_eq!(
        (outcomes(&log, "completed"), outcomes(&log, "drained")),
        (STREAMS / 2, STREAMS / 2)
    );
    upstream.wait_for_aborts(STREAMS / 2).await;
}

/// Their last word cannot reach them; the others must not wait for it.
#[actix_web::test]
async fn clients_that_do_not_read_do_not_hold_up_the_end() {
    const GRACE: Duration = Duration::from_millis(500);
    let upstream = Upstream::start(|_| {
        // More than the kernel holds for a client.
        let flood = (0..100).map(|_| openai_token(&"x".repeat(100_000)));
        std::iter::once(sse_head()).chain(flood).collect()
    })
    .await;
    let server = "[server]\ndrain_grace_seconds = 0.5\n".to_owned();
    let gateway = Process::start_logging("info", &(server + &openai_model(&upstream, ""))).await;
    let mut streams = Vec::new();
    for number in 0..10 {
        let (path, body) = match number % 2 {
            0 => ("/api/chat", native("hi")),
            _ => ("/v1/chat/completions", openai("hi", true)),
        };
        streams.push(gateway.client.open(path, &body).await);
    }
    let begun = Instant::now();
    let (code, log) = gateway.terminate().await;
    let ended = begun.elapsed();
    println!("clients that do not read: ended after {ended:.2?}, {GRACE:?} grace");
    // Not by the access lines: the process may be gone before the last of them.
    let told = log.iter().filter(|line| line.contains("stream ended") && line.contains("DRAINED"));
    assert_eq!((code, told.count()), (Some(0), streams.len()));
    assert!(ended >= GRACE && ended < GRACE + SLACK, "{ended:?}");
}
