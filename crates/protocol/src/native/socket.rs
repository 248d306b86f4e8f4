//! The messages of `GET /api/ws`: what a client asks over a socket, and what it is told.
//!
//! Each is a JSON object with a `type`, in a WebSocket message of text. Streams are told apart by
//! `ref`, a name that the client gives each of them.

use bytestring::ByteString;
use serde::Serialize;
use serde_json::value::RawValue;

use super::errors::ErrorBody;
use super::request::check_names;
use crate::error::{Failure, FieldFault};
use crate::fields::{Faults, Object, decode_body, join};
use crate::ids::StreamId;

/// A longer name is refused.
const MAX_REF_CHARS: usize = 64;
const REF: &str = "a string of 1 to 64 characters";
const TYPES: [&str; 6] = ["authenticate", "start", "resume", "ack", "cancel", "leave"];

/// What a client asks.
pub enum Command {
    /// The first message of a client that could send no header.
    Authenticate {
        key: String,
    },
    Start(Start),
    /// To be sent what follows an event of a stream.
    Resume {
        name: String,
        stream: StreamId,
        after: u64,
        window: Option<u32>,
    },
    /// The client has dealt with all events up to that number.
    Ack {
        name: String,
        number: u64,
    },
    /// The answer is to end.
    Cancel {
        name: String,
    },
    /// The client is to be sent no more of it.
    Leave {
        name: String,
    },
}

/// A request for an answer.
pub struct Start {
    pub name: String,
    /// As the body of `POST /api/chat`.
    pub request: Box<RawValue>,
    /// As the headers of `POST /api/chat`.
    pub headers: Vec<(String, String)>,
    /// How many events may be under way.
    pub window: Option<u32>,
}

/// A message that asks for nothing that there is.
pub struct Malformed {
    /// What it wanted, as far as that can be told.
    pub kind: Option<&'static str>,
    pub name: Option<String>,
    pub failure: Failure,
}

impl Command {
    /// As its message spells it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Authenticate { .. } => "authenticate",
            Self::Start(_) => "start",
            Self::Resume { .. } => "resume",
            Self::Ack { .. } => "ack",
            Self::Cancel { .. } => "cancel",
            Self::Leave { .. } => "leave",
        }
    }

    /// The stream that it is about, by the client's name for it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Authenticate { .. } => None,
            Self::Start(Start { name, .. })
            | Self::Resume { name, .. }
            | Self::Ack { name, .. }
            | Self::Cancel { name }
            | Self::Leave { name } => Some(name),
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// With every fault of it, and whom to tell.
    pub fn decode(text: &str) -> Result<Self, Malformed> {
        let mut faults = Faults::default();
        let unknown = |failure| Malformed { kind: None, name: None, failure };
        let fields = decode_body(text.as_bytes(), &mut faults).map_err(unknown)?;
        let kind = kind_of(&fields, &mut faults);
        let name = name_of(&fields);
        let command = kind.and_then(|kind| read(kind, &fields, &mut faults));
        let failed = |failure| Malformed { kind, name, failure };
        match (faults.into_result(), command) {
            (Ok(()), Some(command)) => Ok(command),
            (Err(failure), _) => Err(failed(failure)),
            // Whatever could not be read was a fault.
            (Ok(()), None) => Err(failed(Failure::invalid(Vec::new()))),
        }
    }
}

fn kind_of(fields: &Object, faults: &mut Faults) -> Option<&'static str> {
    let allowed = format!("one of {}", TYPES.join(", "));
    let value = faults.required("", fields, "type", &allowed)?;
    let text: String = faults.read("type", value, &allowed)?;
    let kind = TYPES.into_iter().find(|kind| *kind == text);
    if kind.is_none() {
        faults.add("type", format!("must be {allowed}"));
    }
    kind
}

/// The name, if it is one: also of a message that is not well.
fn name_of(fields: &Object) -> Option<String> {
    let name: String = serde_json::from_str(fields.get("ref")?.get()).ok()?;
    (1..=MAX_REF_CHARS).contains(&name.chars().count()).then_some(name)
}

fn read(kind: &'static str, fields: &Object, faults: &mut Faults) -> Option<Command> {
    let known: &[&str] = match kind {
        "authenticate" => &["type", "key"],
        "start" => &["type", "ref", "request", "headers", "window"],
        "resume" => &["type", "ref", "stream", "after", "window"],
        "ack" => &["type", "ref", "number"],
        _ => &["type", "ref"],
    };
    check_names("", fields, known, faults);
    if kind == "authenticate" {
        let key = faults.required_string("", fields, "key")?;
        return Some(Command::Authenticate { key });
    }
    let value = faults.required("", fields, "ref", REF);
    let name = name_of(fields);
    if value.is_some() && name.is_none() {
        faults.add("ref", format!("must be {REF}"));
    }
    let window =
        fields.get("window").and_then(|value| faults.integer("window", value, 1..=u32::MAX));
    match kind {
        "start" => {
            let request = faults.required("", fields, "request", "the body of POST /api/chat");
            let headers = headers(fields, faults);
            let request = request?.to_owned();
            Some(Command::Start(Start { name: name?, request, headers, window }))
        }
        "resume" => {
            let stream = stream(fields, faults);
            let after = number(fields, "after", faults);
            Some(Command::Resume {
                name: name?,
                stream: stream?,
                after: after.unwrap_or(0),
                window,
            })
        }
        "ack" => {
            faults.required("", fields, "number", "the number of an event")?;
            Some(Command::Ack { number: number(fields, "number", faults)?, name: name? })
        }
        "cancel" => Some(Command::Cancel { name: name? }),
        _ => Some(Command::Leave { name: name? }),
    }
}

fn stream(fields: &Object, faults: &mut Faults) -> Option<StreamId> {
    let text = faults.required_string("", fields, "stream")?;
    let id = text.parse().ok();
    if id.is_none() {
        faults.add("stream", "must be the id of a stream: 32 hexadecimal digits");
    }
    id
}

fn number(fields: &Object, field: &str, faults: &mut Faults) -> Option<u64> {
    faults.read(field, fields.get(field)?, "the number of an event")
}

/// Names with their values, as texts.
fn headers(fields: &Object, faults: &mut Faults) -> Vec<(String, String)> {
    let Some(value) = fields.get("headers") else { return Vec::new() };
    let Some(object) = faults.read::<Object>("headers", value, "an object") else {
        return Vec::new();
    };
    let mut headers = Vec::new();
    for (name, value) in object.0 {
        let field = join("headers", &name);
        headers.extend(faults.string(&field, &value).map(|value| (name, value)));
    }
    headers
}

/// What all events of one stream begin with.
#[derive(Debug)]
pub struct EventHead(String);

impl EventHead {
    /// Of the stream that its client calls `name`.
    #[must_use]
    pub fn new(name: &str, stream: StreamId) -> Self {
        let head = Head { kind: "event", name, stream: stream.to_string() };
        let mut head = json(&head);
        // It goes on behind this.
        head.pop();
        Self(head)
    }

    /// The message for one event: `data` is a JSON text already.
    #[must_use]
    pub fn event(&self, number: u64, event: &str, data: &str) -> ByteString {
        let Self(head) = self;
        let number = number.to_string();
        let parts =
            [head, r#","number":"#, &number, r#","event":""#, event, r#"","data":"#, data, "}"];
        parts.concat().into()
    }
}

#[derive(Serialize)]
struct Head<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "ref")]
    name: &'a str,
    stream: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// The type of the message that is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'static str>,
    /// As HTTP would say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
    #[serde(flatten)]
    error: Option<ErrorBody<'a>>,
}

impl<'a> Told<'a> {
    fn new(kind: &'static str, name: Option<&'a str>) -> Self {
        Self { kind, name, to: None, status: None, retry_after: None, error: None }
    }
}

/// Tells a client that its key is good.
#[must_use]
pub fn authenticated() -> ByteString {
    json(&Told::new("authenticated", None)).into()
}

/// Tells a client that it is sent no more of a stream.
#[must_use]
pub fn left(name: &str) -> ByteString {
    json(&Told::new("left", Some(name))).into()
}

/// Tells a client that a message of a type is refused.
#[must_use]
pub fn refused(
    to: Option<&'static str>,
    name: Option<&str>,
    status: u16,
    failure: &Failure,
) -> ByteString {
    let retry_after = failure.retry_after_seconds;
    let (status, error) = (Some(status), Some(ErrorBody::from(failure)));
    json(&Told { to, status, retry_after, error, ..Told::new("error", name) }).into()
}

/// Strings and numbers only: there is nothing that could fail.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A fault of one field of a message.
#[must_use]
pub fn fault(field: &str, message: impl Into<String>) -> Failure {
    Failure::invalid(vec![FieldFault { field: field.to_owned(), message: message.into() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let Err(Malformed { kind, name, failure }) = Command::decode(text) else {
            return "taken".to_owned();
        };
        refused(kind, name.as_deref(), 400, &failure).to_string()
    }

    fn message(text: &str) -> String {
        let told: serde_json::Value = serde_json::from_str(&refusal(text)).unwrap();
        told["message"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_fault_is_told_to_the_stream_that_it_is_about() {
        assert_eq!(
            refusal(r#"{"type":"start","ref":"a","window":0}"#),
            r#"{"type":"error","ref":"a","to":"start","status":400,"error":"INVALID_REQUEST","#
                .to_owned()
                + r#""message":"2 fields of the request are not valid","details":["#
                + r#"{"field":"window","message":"must be a whole number from 1 to 4294967295"},"#
                + r#"{"field":"request","message":"is required: the body of POST /api/chat"}]}"#
        );
    }

    #[test]
    fn what_is_no_message_is_refused_in_words() {
        for (text, expected) in [
            ("", "the body is empty; it must be a JSON object"),
            ("[]", "the body must be a JSON object"),
            ("{}", "type: is required: one of authenticate, start, resume, ack, cancel, leave"),
            (
                r#"{"type":"strat"}"#,
                "type: must be one of authenticate, start, resume, ack, cancel, leave",
            ),
            (r#"{"type":"leave"}"#, "ref: is required: a string of 1 to 64 characters"),
            (r#"{"type":"leave","ref":""}"#, "ref: must be a string of 1 to 64 characters"),
            (r#"{"type":"leave","ref":7}"#, "ref: must be a string of 1 to 64 characters"),
            (r#"{"type":"ack","ref":"a"}"#, "number: is required: the number of an event"),
            (r#"{"type":"ack","ref":"a","number":-1}"#, "number: must be the number of an event"),
            (
                r#"{"type":"resume","ref":"a","stream":"x"}"#,
                "stream: must be the id of a stream: 32 hexadecimal digits",
            ),
            (r#"{"type":"authenticate"}"#, "key: is required: a string"),
            (
                r#"{"type":"cancel","ref":"a","number":1}"#,
                "number: is not a known field; known are type, ref",
            ),
            (
                r#"{"type":"start","ref":"a","request":{},"headers":{"x":1}}"#,
                "headers.x: must be a string",
            ),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
        let twice = message(r#"{"type":"leave","ref":"a","ref":"b"}"#);
        assert!(twice.starts_with("ref: "), "{twice}");
    }

    #[test]
    fn an_event_is_the_data_in_a_frame() {
        let stream = StreamId::new(1, 2);
        let head = EventHead::new("a \"b\"", stream);
        let told = head.event(3, "chat.completion.chunk", r#"{"content":"x"}"#);
        let expected = format!(
            r#"{{"type":"event","ref":"a \"b\"","stream":"{stream}","number":3,"event":"chat.completion.chunk","data":{{"content":"x"}}}}"#
        );
        assert_eq!(&*told, expected);
    }
}
