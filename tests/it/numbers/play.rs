//! Upstreams that do what a prompt says, and count what they have said by it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::counts::Counts;
use crate::upstream::{
    Gate, Seen, Step, Upstream, ndjson_head, ollama_token, openai_end, openai_token, refusal,
    sse_head, whole,
};

const FAILED: &str = r#"{"error":{"message":"no"}}"#;

/// What an upstream is to do with one request. Its prompt says it: `play:VERB WORDS;`.
#[derive(Debug, Clone)]
pub enum Play {
    /// So many pieces, and this usage: prompt and completion.
    Usage(u64, [u64; 2]),
    /// So many pieces, and nothing of usage.
    Plain(u64),
    /// So many pieces, and the connection closes.
    Cut(u64),
    /// So many pieces, then nothing more.
    Stall(u64),
    /// No response at all.
    Silent,
    /// Status 500.
    Fail,
    /// As `Usage`, but the target that is asked first answers 500.
    Flaky(u64, [u64; 2]),
    /// Status 503 the first time, then two pieces and their usage. Each has a number of its own.
    BusyOnce(u64),
    /// A piece, and another with the usage once the gate of that number is open.
    Gated(u64),
}

/// What every gated answer reports.
const GATED_USAGE: [u64; 2] = [7, 4];

impl Play {
    pub fn prompt(&self) -> String {
        let words = match self {
            Self::Usage(pieces, [prompt, said]) => format!("usage {pieces} {prompt} {said}"),
            Self::Plain(pieces) => format!("plain {pieces}"),
            Self::Cut(pieces) => format!("cut {pieces}"),
            Self::Stall(pieces) => format!("stall {pieces}"),
            Self::Silent => "silent".to_owned(),
            Self::Fail => "fail".to_owned(),
            Self::Flaky(pieces, [prompt, said]) => format!("flaky {pieces} {prompt} {said}"),
            Self::BusyOnce(number) => format!("busy-once {number}"),
            Self::Gated(number) => format!("gated {number}"),
        };
        format!("play:{words};")
    }

    fn of(body: &str) -> Self {
        let (_, rest) = body.split_once("play:").expect("every prompt says what to play");
        let mut words = rest.split(';').next().unwrap().split(' ');
        let verb = words.next().unwrap();
        let number = |word: &str| word.parse::<u64>().unwrap();
        let numbers: Vec<_> = words.map(number).collect();
        match (verb, numbers[..].as_ref()) {
            ("usage", [pieces, usage @ ..]) => Self::Usage(*pieces, usage.try_into().unwrap()),
            ("flaky", [pieces, usage @ ..]) => Self::Flaky(*pieces, usage.try_into().unwrap()),
            ("plain", [pieces]) => Self::Plain(*pieces),
            ("cut", [pieces]) => Self::Cut(*pieces),
            ("stall", [pieces]) => Self::Stall(*pieces),
            ("silent", []) => Self::Silent,
            ("fail", []) => Self::Fail,
            ("busy-once", [number]) => Self::BusyOnce(*number),
            ("gated", [number]) => Self::Gated(*number),
            other => panic!("{other:?}"),
        }
    }
}

/// What the upstreams have said, by model.
#[derive(Debug, Default, Clone)]
pub struct Said {
    /// Answers of which anything was said.
    pub begun: Counts,
    pub prompt_tokens: Counts,
    /// As they were reported, else pieces.
    pub completion_tokens: Counts,
    /// Requests refused with 500 by the target that is asked first.
    pub failed_first: u64,
    busy: Vec<u64>,
}

/// Both upstreams, and what they share.
pub struct Stage {
    /// Is asked first where there is a choice.
    pub first: Upstream,
    pub other: Upstream,
    said: Arc<Mutex<Said>>,
    gates: Gates,
}

type Gates = Arc<Mutex<HashMap<u64, Gate>>>;

impl Stage {
    pub async fn set() -> Self {
        let (said, gates) = (Arc::<Mutex<Said>>::default(), Gates::default());
        let upstream = async |is_first| {
            let (said, gates) = (Arc::clone(&said), Arc::clone(&gates));
            Upstream::start(move |seen| play(seen, is_first, &said, &gates)).await
        };
        let (first, other) = (upstream(true).await, upstream(false).await);
        Self { first, other, said, gates }
    }

    pub fn gate(&self, number: u64) -> Gate {
        gate(&self.gates, number)
    }

    pub fn said(&self) -> Said {
        self.said.lock().unwrap().clone()
    }

    pub fn asked(&self) -> u64 {
        (self.first.chats().len() + self.other.chats().len()) as u64
    }
}

fn gate(gates: &Gates, number: u64) -> Gate {
    gates.lock().unwrap().entry(number).or_insert_with(Gate::new).clone()
}

fn play(seen: &Seen, is_first: bool, said: &Mutex<Said>, gates: &Gates) -> Vec<Step> {
    let body = seen.json();
    let model = body["model"].as_str().unwrap();
    let wire = if seen.path == "/api/chat" { Wire::Ollama } else { Wire::OpenAi };
    // Ollama streams unless it is told otherwise.
    let streams = body["stream"].as_bool().unwrap_or(wire == Wire::Ollama);
    let mut said = said.lock().unwrap();
    let (pieces, usage, end) = match Play::of(&seen.body) {
        Play::Silent => return vec![Step::Silence],
        Play::Fail => return refusal(500, "", FAILED),
        Play::Flaky(..) if is_first => {
            said.failed_first += 1;
            return refusal(500, "", FAILED);
        }
        Play::BusyOnce(number) if !said.busy.contains(&number) => {
            said.busy.push(number);
            return refusal(503, "Retry-After: 0\r\n", FAILED);
        }
        Play::Usage(pieces, usage) | Play::Flaky(pieces, usage) => (pieces, Some(usage), None),
        Play::BusyOnce(_) => (2, Some([3, 2]), None),
        Play::Plain(pieces) => (pieces, None, None),
        Play::Cut(pieces) => (pieces, None, Some(Step::Close)),
        Play::Stall(pieces) => (pieces, None, Some(Step::Silence)),
        Play::Gated(number) => (2, Some(GATED_USAGE), Some(Step::Gate(gate(gates, number)))),
    };
    let breaks_off = matches!(end, Some(Step::Close | Step::Silence));
    if !streams && breaks_off {
        return vec![unfinished(), end.unwrap_or(Step::Close)];
    }
    said.begun.add(model, 1);
    // An answer in one piece is one piece.
    let counted = usage.map_or(if streams { pieces } else { 1 }, |[_, completion]| completion);
    said.completion_tokens.add(model, counted);
    said.prompt_tokens.add(model, usage.map_or(0, |[prompt, _]| prompt));
    if !streams {
        let mut steps: Vec<_> = end.into_iter().collect();
        steps.push(wire.whole(model, usage));
        return steps;
    }
    let mut steps = vec![wire.head()];
    for piece in 0..pieces {
        steps.extend(end.iter().filter(|_| piece == 1 && !breaks_off).cloned());
        steps.push(wire.token(&format!("t{piece} ")));
    }
    match end.filter(|_| breaks_off) {
        Some(end) => steps.push(end),
        None => steps.extend(wire.end(model, usage)),
    }
    steps
}

/// The beginning of an answer in one piece that never comes to its end.
fn unfinished() -> Step {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{";
    Step::Raw(head.into())
}

#[derive(Clone, Copy, PartialEq)]
enum Wire {
    OpenAi,
    Ollama,
}

impl Wire {
    fn head(self) -> Step {
        if self == Self::OpenAi { sse_head() } else { ndjson_head() }
    }

    fn token(self, text: &str) -> Step {
        if self == Self::OpenAi { openai_token(text) } else { ollama_token(text) }
    }

    fn end(self, model: &str, usage: Option<[u64; 2]>) -> Vec<Step> {
        match (self, usage) {
            (Self::OpenAi, Some([prompt, completion])) => openai_end(prompt, completion),
            // Without the frame that has the usage.
            (Self::OpenAi, None) => {
                let mut steps = openai_end(0, 0);
                steps.remove(1);
                steps
            }
            (Self::Ollama, usage) => {
                let line = ollama_line(model, "", usage);
                vec![Step::Chunk(format!("{line}\n").into_bytes()), Step::EndOfBody]
            }
        }
    }

    fn whole(self, model: &str, usage: Option<[u64; 2]>) -> Step {
        let answer = match self {
            Self::OpenAi => openai_whole(model, usage),
            Self::Ollama => ollama_line(model, "all", usage),
        };
        Step::Raw(whole(200, "application/json", &answer.to_string()))
    }
}

fn openai_whole(model: &str, usage: Option<[u64; 2]>) -> Value {
    let mut answer = json!({
        "id": "chatcmpl-up", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "all"},
        }],
    });
    if let Some([prompt, completion]) = usage {
        answer["usage"] = json!({
            "prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion,
        });
    }
    answer
}

fn ollama_line(model: &str, content: &str, usage: Option<[u64; 2]>) -> Value {
    let mut line = json!({
        "model": model, "created_at": "2026-01-01T00:00:00Z", "done": true, "done_reason": "stop",
        "message": {"role": "assistant", "content": content},
    });
    if let Some([prompt, completion]) = usage {
        line["prompt_eval_count"] = json!(prompt);
        line["eval_count"] = json!(completion);
    }
    line
}
