//! An answer as a response: streamed as events, or in one piece.

use bytes::Bytes;
use serde::Serialize;

use super::echo::Echo;
use super::frames::{Frames, OfError};
use super::item::Item;
use super::output::Output;
use super::wire::{Incomplete, Response, ResponseError, WireUsage};
use crate::codec::{Batch, Encoder, End, Join, Payload};
use crate::error::{ErrorKind, Failure};
use crate::event::{Event, FinishReason};
use crate::ids::StreamId;
use crate::openai::errors::{ErrorObject, unexplained};
use crate::outcome::Outcome;

/// No status goes with an error inside a stream; the kind decides.
const STATUS: u16 = 500;

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Completed,
    /// It came to its end, and the end is not that of the answer: a limit, a filter.
    Incomplete,
    Failed,
    Cancelled,
}

impl Standing {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the upstream said that this is the end.
    #[must_use]
    pub fn has_ended_well(self) -> bool {
        matches!(self, Self::Completed | Self::Incomplete)
    }

    fn event(self) -> &'static str {
        match self {
            Self::Completed => "response.completed",
            Self::Incomplete => "response.incomplete",
            // The dialect has no event for a response that was cancelled.
            Self::Failed | Self::Cancelled => "response.failed",
        }
    }
}

/// A response that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    pub standing: Standing,
    /// The response.
    pub body: Bytes,
    /// The items of the answer.
    pub output: Vec<Item>,
    /// Whether the upstream said anything.
    pub begun: bool,
}

/// Writes one answer as a response.
///
/// An answer in one piece that did not complete is not written: the HTTP layer answers with an
/// error.
#[derive(Debug)]
pub struct ResponseEncoder {
    id: String,
    model: String,
    created: u64,
    echo: Echo,
    frames: Frames,
    output: Output,
    /// The response as it stands before its end.
    beginning: Bytes,
    begun: bool,
    finished: Option<Finished>,
}

impl ResponseEncoder {
    /// `created` is Unix time in seconds.
    #[must_use]
    pub fn new(id: StreamId, model: String, created: u64, echo: Echo, stream: bool) -> Self {
        let stream_id = id.to_string();
        let mut encoder = Self {
            id: format!("resp_{stream_id}"),
            model,
            created,
            echo,
            frames: Frames::new(stream),
            output: Output::new(stream_id),
            beginning: Bytes::new(),
            begun: false,
            finished: None,
        };
        encoder.beginning = bytes_of(&encoder.response("in_progress"));
        encoder
    }

    /// The response as it stands before its end.
    #[must_use]
    pub fn in_progress(&self) -> Bytes {
        self.beginning.clone()
    }

    /// How it ended; once, and after [`end`](Encoder::end).
    pub fn take_finished(&mut self) -> Option<Finished> {
        self.finished.take()
    }

    fn response(&self, status: &'static str) -> Response<'_> {
        Response {
            id: &self.id,
            object: "response",
            created_at: self.created,
            status,
            background: self.echo.background(),
            completed_at: None,
            error: None,
            incomplete_details: None,
            model: &self.model,
            output: self.output.items().map(|(_, item)| item).collect(),
            usage: None,
            echo: &self.echo,
        }
    }

    fn begin(&mut self) {
        if self.begun {
            return;
        }
        self.begun = true;
        if self.frames.streams() {
            self.frames.tell("response.created", &self.beginning);
            self.frames.tell("response.in_progress", &self.beginning);
        }
    }

    /// The response begins with the first piece of its answer: a failure before it gets a status of
    /// its own.
    fn write(&mut self, event: &Event) {
        match event {
            Event::Text(text) => {
                self.begin();
                self.output.say(text, &mut self.frames);
            }
            Event::Reasoning(text) => {
                self.begin();
                self.output.think(text, &mut self.frames);
            }
            Event::ToolCall(call) => {
                self.begin();
                self.output.call(call, &mut self.frames);
            }
            // Told by the terminal, or not at all.
            Event::Finish(_)
            | Event::Usage(_)
            | Event::Timings(_)
            | Event::Embeddings(_)
            | Event::Error(_)
            | Event::Done => {}
        }
    }

    /// The response at its end.
    fn ended(&self, end: &End<'_>, standing: Standing, failure: Option<&Failure>) -> Bytes {
        let seconds = self.created.saturating_add(end.duration_ns / 1_000_000_000);
        bytes_of(&Response {
            completed_at: (standing == Standing::Completed).then_some(seconds),
            error: failure.map(ResponseError::from),
            incomplete_details: cut_by(end).map(|reason| Incomplete { reason }),
            usage: end.usage.map(WireUsage::from),
            ..self.response(standing.as_str())
        })
    }

    /// For the store, if the client wants the response kept.
    fn kept_output(&self) -> Vec<Item> {
        let items = self.output.items().filter(|_| self.echo.store());
        items.filter_map(|(id, item)| Item::new(id, &item)).collect()
    }
}

impl Encoder for ResponseEncoder {
    fn encode(&mut self, batch: Batch, out: &mut Vec<Payload>) {
        for event in &batch.events {
            self.write(event);
        }
        out.extend(self.frames.take().map(Payload::Wire));
    }

    fn continued(&mut self, _join: &Join<'_>, _out: &mut Vec<Payload>) {
        self.frames.mark_join();
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        let spoken = self.begun;
        self.begin();
        let standing = standing(end);
        let completed = end.outcome == Outcome::Completed;
        if completed {
            self.output.close(standing == Standing::Incomplete, &mut self.frames);
        } else {
            self.output.abandon();
        }
        let unknown = unexplained(end.outcome);
        let failure = (!completed).then(|| end.failure.unwrap_or(&unknown));
        // Nobody failed where somebody wanted the end.
        let told = failure.filter(|_| standing == Standing::Failed);
        let body = self.ended(end, standing, told);
        if let Some(failure) = failure {
            self.frames.write("error", &of_error(failure));
        }
        self.frames.tell(standing.event(), &body);
        out.extend(self.frames.take().map(Payload::Wire));
        if completed && !self.frames.streams() {
            out.push(Payload::Wire(body.clone()));
        }
        let output = self.kept_output();
        self.finished = Some(Finished { standing, body, output, begun: spoken });
    }

    fn objection(&self, _finish: Option<&FinishReason>) -> Option<Failure> {
        self.output.has_nameless_call().then(|| {
            let message = "the upstream called a tool without saying which";
            Failure::new(ErrorKind::UpstreamProtocol, message)
        })
    }

    fn held_bytes(&self) -> usize {
        self.output.bytes()
    }
}

fn standing(end: &End<'_>) -> Standing {
    match end.outcome {
        Outcome::Completed if cut_by(end).is_some() => Standing::Incomplete,
        Outcome::Completed => Standing::Completed,
        Outcome::Cancelled => Standing::Cancelled,
        _ => Standing::Failed,
    }
}

/// What ended a completed answer before its own end. A reason that nobody knows may be anything:
/// it is named.
fn cut_by<'a>(end: &'a End<'_>) -> Option<&'a str> {
    match end.finish.as_ref().filter(|_| end.outcome == Outcome::Completed)? {
        FinishReason::Stop | FinishReason::StopSequence(_) | FinishReason::ToolCalls => None,
        FinishReason::Length => Some("max_output_tokens"),
        FinishReason::ContentFilter => Some("content_filter"),
        FinishReason::Other(word) => Some(word),
    }
}

fn of_error(failure: &Failure) -> OfError<'_> {
    let error = ErrorObject::new(failure, STATUS);
    OfError { code: failure.kind.code(), message: &failure.message, param: None, error }
}

/// The terminal of a stream whose encoder is gone: nobody knows the number of its event.
#[must_use]
pub fn last_words(failure: &Failure) -> Payload {
    let mut frames = b"event: error\ndata: ".to_vec();
    frames.extend_from_slice(&bytes_of(&Unnumbered { r#type: "error", error: of_error(failure) }));
    frames.extend_from_slice(b"\n\n");
    Payload::Wire(Bytes::from(frames))
}

#[derive(Serialize)]
struct Unnumbered<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    error: OfError<'a>,
}

/// Strings, numbers and JSON that was parsed before: there is nothing that could fail.
fn bytes_of(body: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(body).unwrap_or_default())
}
