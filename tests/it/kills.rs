//! Ten thousand upstreams killed in mid-answer, at any byte, in any manner, before others that can go
//! on: every client reads the whole text, every token once and in order, or an honest error; and no
//! request is asked more often than the configuration allows.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::client::{Client, Response, anthropic, native, native_whole, openai};
use crate::gateway::TestGateway;
use crate::upstream::{Seen, Step, TEMPLATE, Upstream, ollama_shown};

/// Where the kills fall; `KILLS_SEED` sets another.
pub const SEED: u64 = 6;
const KILLS: usize = 10_000;
const AT_ONCE: usize = 32;
/// Legs of one answer: the model's own, and `max_continuations`.
const LEGS: usize = 3;
/// No two are alike, so that one that is lost, doubled or out of its place is seen.
pub const TOKENS: [&str; 12] = [
    "One",
    " two",
    " \"three\"",
    " vi\u{e8}r",
    "\n\n",
    "5\\",
    "{\"six\":6}",
    " \u{1f600}",
    "8",
    "data: 9",
    "\t10 ",
    ".",
];
pub const WIRES: [&str; 2] = ["openai", "ollama"];
pub const DIALECTS: [Dialect; 6] = [
    Dialect::Native,
    Dialect::NativeWhole,
    Dialect::OpenAi,
    Dialect::Anthropic,
    Dialect::Ollama,
    Dialect::Responses,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    Native,
    NativeWhole,
    OpenAi,
    Anthropic,
    Ollama,
    Responses,
}

/// How a leg dies: where among the bytes of its body, as a share of all, and how.
#[derive(Debug, Clone, Copy)]
pub struct Kill {
    pub at: f64,
    pub manner: Manner,
}

#[derive(Debug, Clone, Copy)]
pub enum Manner {
    Closed,
    Reset,
    /// The body ends in good order, between two frames.
    Ended,
    /// An error in place of a frame, and the end of the body.
    Error,
}

#[derive(Debug, Clone, Copy)]
struct Trial {
    dialect: Dialect,
    /// The wires of the model and of those that may go on.
    wires: [&'static str; 2],
    /// Of the first leg and perhaps of the second; the third lives.
    kills: [Option<Kill>; 2],
}

impl Kill {
    pub fn draw(rng: &mut StdRng) -> Self {
        let manners = [Manner::Closed, Manner::Reset, Manner::Ended, Manner::Error];
        Self { at: rng.random_range(0.0..1.0), manner: manners[rng.random_range(0..4)] }
    }
}

impl Trial {
    fn draw(rng: &mut StdRng, number: usize) -> Self {
        let kills = [Some(Kill::draw(rng)), number.is_multiple_of(3).then(|| Kill::draw(rng))];
        Self {
            dialect: DIALECTS[number % DIALECTS.len()],
            wires: [WIRES[rng.random_range(0..2)], WIRES[rng.random_range(0..2)]],
            kills,
        }
    }
}

/// What the upstreams were asked, and what was wrong with it.
#[derive(Default)]
struct Log {
    asked: Vec<AtomicUsize>,
    /// Tokens that the first leg told whole before it died.
    told: Vec<AtomicUsize>,
    wrong: Mutex<Vec<String>>,
}

fn frame(wire: &str, data: &Value) -> Vec<u8> {
    if wire == "openai" { format!("data: {data}\n\n") } else { format!("{data}\n") }.into_bytes()
}

/// The frames of an answer that begins with the token `from`, and how many of them tell a token.
fn frames(wire: &str, from: usize) -> Vec<(Vec<u8>, usize)> {
    let mut frames = Vec::new();
    let chunk = |delta: Value, finish: Value| {
        json!({
            "id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        })
    };
    let line = |content: &str, done: bool| {
        json!({
            "model": "up", "created_at": "2026-01-01T00:00:00Z", "done": done,
            "message": { "role": "assistant", "content": content },
        })
    };
    let left = &TOKENS[from..];
    if wire == "openai" {
        frames.push((
            frame(wire, &chunk(json!({ "role": "assistant", "content": "" }), Value::Null)),
            0,
        ));
        for token in left {
            frames.push((frame(wire, &chunk(json!({ "content": token }), Value::Null)), 1));
        }
        frames.push((frame(wire, &chunk(json!({}), json!("stop"))), 0));
        frames.push((b"data: [DONE]\n\n".to_vec(), 0));
    } else {
        frames.extend(left.iter().map(|token| (frame(wire, &line(token, false)), 1)));
        let mut last = line("", true);
        last["done_reason"] = json!("stop");
        frames.push((frame(wire, &last), 0));
    }
    frames
}

/// Stands for a token that may or may not be told.
const MAY_BE: usize = 100;

/// The bytes of a leg, up to where it is killed, and how many tokens they tell.
pub fn leg(wire: &str, from: usize, kill: Option<Kill>) -> (Vec<Step>, usize) {
    let kind = if wire == "openai" { "text/event-stream" } else { "application/x-ndjson" };
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let frames = frames(wire, from);
    let mut steps = vec![Step::Raw(head.into_bytes())];
    let Some(Kill { at, manner }) = kill else {
        steps.extend(frames.into_iter().map(|(bytes, _)| Step::Chunk(bytes)));
        steps.push(Step::EndOfBody);
        return (steps, TOKENS.len() - from);
    };
    // Never the frame that says that the answer is whole.
    let dying = frames.len() - if wire == "openai" { 2 } else { 1 };
    let whole: usize = frames[..dying].iter().map(|(bytes, _)| bytes.len()).sum();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let mut left = (whole as f64 * at) as usize;
    let mut told = 0;
    for (bytes, tokens) in frames.into_iter().take(dying) {
        if bytes.len() > left {
            if matches!(manner, Manner::Closed | Manner::Reset) {
                // Announces all of the frame, and sends a part.
                let part = [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes[..left]].concat();
                steps.push(Step::Raw(part));
                // A frame that lacks nothing but its line end may be taken for whole.
                told += if left + 2 >= bytes.len() { MAY_BE * tokens } else { 0 };
            }
            break;
        }
        left -= bytes.len();
        told += tokens;
        steps.extend([Step::Chunk(bytes), Step::Yield]);
    }
    match manner {
        Manner::Closed => steps.push(Step::Close),
        Manner::Reset => steps.push(Step::Reset),
        Manner::Ended => steps.push(Step::EndOfBody),
        Manner::Error => {
            let error = json!({ "error": "an error was encountered: unexpected EOF" });
            steps.extend([Step::Chunk(frame(wire, &error)), Step::EndOfBody]);
        }
    }
    (steps, told)
}

/// How many tokens a text is made of, if it is the beginning of the answer.
pub fn tokens_of(text: &str) -> Option<usize> {
    (0..=TOKENS.len()).find(|count| TOKENS[..*count].concat() == text)
}

fn answer(trials: &[Trial], log: &Log, seen: &Seen) -> Vec<Step> {
    if seen.path == "/api/show" {
        return ollama_shown(TEMPLATE);
    }
    let body = seen.json();
    let messages = body["messages"].as_array().unwrap();
    let number: usize = messages[0]["content"].as_str().unwrap().parse().unwrap();
    let trial = &trials[number];
    let asked = log.asked[number].fetch_add(1, Ordering::SeqCst);
    let wire = if seen.path == "/api/chat" { "ollama" } else { "openai" };
    let said = match (asked, messages.get(1)) {
        (0, None) => Some(0),
        (1.., Some(last)) if last["role"] == "assistant" && messages.len() == 2 => {
            tokens_of(last["content"].as_str().unwrap()).filter(|count| *count > 0)
        }
        _ => None,
    };
    if wire != trial.wires[asked.min(1)] || said.is_none() || asked >= LEGS {
        log.wrong.lock().unwrap().push(format!("{trial:?}, leg {asked}: {body}"));
    }
    let kill = trial.kills.get(asked).copied().flatten();
    let (steps, told) = leg(wire, said.unwrap_or_default(), kill);
    if asked == 0 {
        log.told[number].store(told, Ordering::SeqCst);
    }
    steps
}

/// What a client read: the text, whether the end says that it is whole, and how many said so.
pub struct Read {
    pub text: String,
    pub whole: bool,
    pub terminals: usize,
}

pub async fn ask(client: &Client, number: usize, model: &str, dialect: Dialect) -> Read {
    let prompt = number.to_string();
    let (path, mut body) = match dialect {
        Dialect::Native => ("/api/chat", native(&prompt)),
        Dialect::NativeWhole => ("/api/chat", native_whole(&prompt)),
        Dialect::OpenAi => ("/v1/chat/completions", openai(&prompt, true)),
        Dialect::Anthropic => ("/v1/messages", anthropic(&prompt, true)),
        Dialect::Ollama => ("/ollama/api/chat", native(&prompt)),
        Dialect::Responses => {
            ("/v1/responses", json!({ "input": prompt, "stream": true, "store": false }))
        }
    };
    body["model"] = json!(model);
    let response = client.post(path, &body).await;
    if response.status != 200 {
        assert!(response.status >= 500, "{dialect:?} {}", response.text());
        return Read { text: String::new(), whole: false, terminals: 1 };
    }
    assert!(response.proper_end, "{dialect:?} {}", response.text());
    read(dialect, &response)
}

fn read(dialect: Dialect, response: &Response) -> Read {
    if dialect == Dialect::NativeWhole {
        let text = response.json()["content"].as_str().unwrap().to_owned();
        return Read { text, whole: true, terminals: 1 };
    }
    let (mut text, mut whole, mut failed) = (String::new(), 0, 0);
    let mut ids = Vec::new();
    let data: Vec<String> = match dialect {
        Dialect::Ollama => response.text().lines().map(str::to_owned).collect(),
        _ => response.events().into_iter().map(|event| event.data).collect(),
    };
    for data in data {
        if data == "[DONE]" {
            whole += 1;
            continue;
        }
        let event: Value = serde_json::from_str(&data).unwrap();
        let piece = match dialect {
            Dialect::Native => &event["content"],
            Dialect::OpenAi => &event["choices"][0]["delta"]["content"],
            Dialect::Anthropic => &event["delta"]["text"],
            Dialect::Ollama => &event["message"]["content"],
            _ => &event["delta"],
        };
        text.push_str(piece.as_str().unwrap_or_default());
        if dialect == Dialect::OpenAi && event["error"].is_null() {
            ids.push((event["id"].clone(), event["model"].clone()));
        }
        let is_failure =
            !event["error"].is_null() || !event["message"].is_null() && dialect == Dialect::Native;
        failed += usize::from(is_failure && event["type"] != "error" || event["type"] == "error");
        whole += usize::from(match dialect {
            Dialect::Native | Dialect::Ollama => event["done"] == true,
            Dialect::Anthropic => event["type"] == "message_stop",
            Dialect::Responses => event["type"] == "response.completed",
            _ => false,
        });
    }
    ids.dedup();
    assert!(ids.len() <= 1, "one answer has one id and one model: {ids:?}");
    Read { text, whole: whole == 1, terminals: whole + failed }
}

fn config(upstream: &Upstream) -> String {
    let base = |wire| if wire == "openai" { upstream.openai_url() } else { upstream.ollama_url() };
    let mut config = String::new();
    for wire in WIRES {
        for spare in ["a", "b"] {
            let model = format!("name = \"{wire}-{spare}\"\nprovider = \"{wire}\"");
            let url = base(wire);
            writeln!(config, "[[models]]\n{model}\nbase_url = \"{url}\"\ncontinues = true")
                .unwrap();
        }
        for other in WIRES {
            let (model, url) = (format!("{wire}{other}"), base(wire));
            writeln!(
                config,
                "[[models]]\nname = \"{model}\"\nprovider = \"{wire}\"\nbase_url = \"{url}\"\n\
                 continue_on = [\"{other}-a\", \"{other}-b\"]"
            )
            .unwrap();
        }
    }
    config.replace("base_url", "max_concurrency = 64\nbase_url")
}

#[actix_web::test]
async fn ten_thousand_killed_upstreams_make_no_wrong_text() {
    let seed = std::env::var("KILLS_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let mut rng = StdRng::seed_from_u64(seed);
    let trials: Arc<Vec<_>> = Arc::new((0..KILLS).map(|n| Trial::draw(&mut rng, n)).collect());
    let counters = || (0..KILLS).map(|_| AtomicUsize::new(0)).collect();
    let log = Arc::new(Log { asked: counters(), told: counters(), wrong: Mutex::default() });
    let (scripts, noted) = (Arc::clone(&trials), Arc::clone(&log));
    let upstream = Upstream::start(move |seen| answer(&scripts, &noted, seen)).await;
    let gateway = TestGateway::start(&config(&upstream)).await;

    let running = trials.iter().enumerate().map(|(number, trial)| {
        let client = &gateway.client;
        async move { (number, ask(client, number, &trial.wires.concat(), trial.dialect).await) }
    });
    let results: Vec<_> = futures::stream::iter(running).buffer_unordered(AT_ONCE).collect().await;

    gateway.wait_for_metric("ai_gateway_active_streams", "0").await;
    for model in ["openai-a", "openai-b", "ollama-a", "ollama-b", "openaiopenai", "ollamaollama"] {
        let series = format!("ai_gateway_permits_in_use{{model=\"{model}\"}}");
        gateway.wait_for_metric(&series, "0").await;
    }
    let wrong = std::mem::take(&mut *log.wrong.lock().unwrap());
    assert!(wrong.is_empty(), "{} requests are wrong, seed {seed}: {}", wrong.len(), wrong[0]);
    let mut counts: BTreeMap<(Dialect, &str), usize> = BTreeMap::new();
    let mut requests = [0; LEGS + 1];
    for (number, Read { text, whole, terminals }) in &results {
        let (trial, told) = (&trials[*number], log.told[*number].load(Ordering::SeqCst));
        let asked = log.asked[*number].load(Ordering::SeqCst);
        requests[asked] += 1;
        let what = || format!("seed {seed}, {trial:?}, {told} told, {asked} asked: {text:?}");
        assert_eq!(*terminals, 1, "{}", what());
        // What the first leg told whole is gone on with; before its first token it is not.
        assert!(*whole == (told > 0) || told == MAY_BE, "{}", what());
        let expected = if *whole { TOKENS.concat() } else { String::new() };
        assert_eq!(*text, expected, "{}", what());
        let legs = if *whole { 2..=LEGS } else { 1..=1 };
        assert!(legs.contains(&asked), "{}", what());
        *counts.entry((trial.dialect, if *whole { "whole" } else { "error" })).or_default() += 1;
    }
    println!("{KILLS} kills, seed {seed}: {counts:?}; by requests sent upstream: {requests:?}");
    gateway.inner.shutdown().await;
}
