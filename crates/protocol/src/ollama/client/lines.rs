//! Lines of an answer, as Ollama writes them.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::stamp::{Clock, rfc3339};
use crate::chat::ToolCall;
use crate::codec::End;
use crate::event::FinishReason;

/// What was asked: they differ in where the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/api/chat`: in a message.
    Chat,
    /// `/api/generate`: by itself.
    Generate,
}

/// Writes single lines.
#[derive(Debug, Clone)]
pub struct LineWriter {
    endpoint: Endpoint,
    model: String,
    clock: Clock,
}

/// A piece of an answer, or all of it.
#[derive(Debug, Default)]
pub(super) struct Piece<'a> {
    pub content: &'a str,
    pub thinking: Option<&'a str>,
    pub tool_calls: Vec<WireCall<'a>>,
    /// The model that says what comes from here on, where another has begun the answer.
    pub continued_by: Option<&'a str>,
}

impl LineWriter {
    #[must_use]
    pub fn new(endpoint: Endpoint, model: String, clock: Clock) -> Self {
        Self { endpoint, model, clock }
    }

    /// From now on the model is called so.
    pub(super) fn name(&mut self, model: String) {
        self.model = model;
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The moment, for the lines that are written now.
    pub(super) fn now(&self) -> String {
        rfc3339((self.clock)())
    }

    /// The answer to a request that only has the model loaded.
    #[must_use]
    pub fn loaded(&self) -> Vec<u8> {
        let now = self.now();
        let line = Line { done: true, done_reason: Some("load"), ..self.line(&now, None) };
        let mut body = Vec::new();
        self.append(&Piece::default(), line, &mut body);
        body
    }

    /// A line of one piece of text.
    pub(in crate::ollama) fn text(&self, content: &str) -> Bytes {
        let mut line = Vec::new();
        self.write(&Piece { content, ..Piece::default() }, &self.now(), None, &mut line);
        Bytes::from(line)
    }

    /// Appends a line; with `end` it is the one that says so.
    pub(super) fn write(
        &self,
        piece: &Piece<'_>,
        now: &str,
        end: Option<&End<'_>>,
        out: &mut Vec<u8>,
    ) {
        self.append(piece, self.line(now, end), out);
    }

    fn append<'a>(&self, piece: &'a Piece<'_>, line: Line<'a>, out: &mut Vec<u8>) {
        let Piece { content, thinking, tool_calls, continued_by } = piece;
        let (thinking, line) = (*thinking, Line { continued_by: *continued_by, ..line });
        let line = match self.endpoint {
            Endpoint::Chat => {
                let message = Message { role: "assistant", content, thinking, tool_calls };
                Line { message: Some(message), ..line }
            }
            Endpoint::Generate => Line { response: Some(content), thinking, ..line },
        };
        // Strings, numbers and JSON that was parsed before: there is nothing that could fail.
        let _ = serde_json::to_writer(&mut *out, &line);
        out.push(b'\n');
    }

    fn line<'a>(&'a self, created_at: &'a str, end: Option<&'a End<'_>>) -> Line<'a> {
        let reason = |end: &'a End<'_>| end.finish.as_ref().map_or("stop", done_reason);
        Line {
            model: &self.model,
            created_at,
            message: None,
            response: None,
            thinking: None,
            continued_by: None,
            done: end.is_some(),
            done_reason: end.map(reason),
            report: end.map(Report::of).unwrap_or_default(),
        }
    }
}

/// Ollama has no word of its own for calls.
fn done_reason(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::ToolCalls => "stop",
        reason => reason.as_str(),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    created_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a str>,
    /// Not of Ollama's own: the model that goes on from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    continued_by: Option<&'a str>,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    done_reason: Option<&'a str>,
    #[serde(flatten)]
    report: Report,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tool_calls: &'a [WireCall<'a>],
}

/// A whole call.
#[derive(Debug, Serialize)]
pub(super) struct WireCall<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    function: Function<'a>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    index: usize,
    name: &'a str,
    arguments: &'a RawValue,
}

impl<'a> WireCall<'a> {
    /// None for a call without a name, or whose arguments are no JSON object.
    pub fn of(index: usize, call: &'a ToolCall) -> Option<Self> {
        let arguments = call.argument_object().filter(|_| !call.name.is_empty())?;
        Some(Self { id: &call.id, function: Function { index, name: &call.name, arguments } })
    }
}

/// Counts and times. What nobody measured is left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    total_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_eval_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_eval_duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_duration: Option<u64>,
}

impl Report {
    /// Of vectors: nothing was generated.
    pub fn of_prompt(end: &End<'_>) -> Self {
        Self { eval_count: None, eval_duration: None, ..Self::of(end) }
    }

    /// The upstream's own times where it tells any. Else the gateway's: the time in all, and that
    /// from the first piece to the end. The time to the first piece is no `prompt_eval_duration`:
    /// waiting in the model's queue is part of it.
    pub fn of(end: &End<'_>) -> Self {
        let told = end.timings.unwrap_or_default();
        // An answer in one piece began when it ended.
        let first = end.first_piece_ns.filter(|_| end.timings.is_none() && end.chunks > 1);
        let own = first.map(|first| end.duration_ns.saturating_sub(first));
        Self {
            total_duration: Some(told.total_ns.unwrap_or(end.duration_ns)),
            load_duration: told.load_ns,
            prompt_eval_count: end.usage.map(|usage| usage.prompt_tokens),
            prompt_eval_duration: told.prompt_ns,
            eval_count: end.usage.map(|usage| usage.completion_tokens),
            eval_duration: told.generation_ns.or(own),
        }
    }
}
