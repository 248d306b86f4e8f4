//! A dialect as the HTTP layer needs it.

use actix_web::HttpResponse;
use tidegate_protocol::{Encoder, End, Failure, Framing, Outcome, Payload, Request, StreamId};

use super::allowance::Headers;
use super::event_stream::LiveAnswer;
use super::resume::Kept;
use crate::access::Allowance;
use crate::config::Chat;

/// What an encoder must know of the answer it writes.
pub struct AnswerContext<'a> {
    pub id: StreamId,
    /// The model's public name.
    pub model: &'a str,
    /// Whether the upstream's own frames are passed on.
    pub relay: bool,
    /// Unix time in seconds.
    pub created: u64,
}

/// A wire format that clients speak.
pub trait Dialect: 'static {
    /// As the stream list and logs spell it.
    const NAME: &'static str;
    /// How its answers are kept for clients that come back.
    const KEPT: Kept = Kept { framing: Framing::Events, always: false };
    /// Whether a body need not be called JSON, as long as no page in a browser sent it.
    const ANY_CONTENT_TYPE: bool = false;

    /// Decodes and validates a request's body.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](tidegate_protocol::ErrorKind::InvalidRequest) with every
    /// faulty field.
    fn decode(body: &[u8], limits: &Chat) -> Result<Request, Failure>;

    /// Another name that a model may be asked for by.
    #[must_use]
    fn other_name(_name: &str) -> Option<String> {
        None
    }

    /// The whole answer to a request that needs no upstream.
    #[must_use]
    fn at_once(_request: &Request, _model: &str) -> Option<Vec<u8>> {
        None
    }

    /// The encoder of the answer to `request`.
    fn encoder(request: &Request, context: &AnswerContext<'_>) -> Box<dyn Encoder>;

    /// The terminal of a stream whose own actor died before it could say it.
    fn last_words(outcome: Outcome, failure: &Failure) -> Vec<Payload>;

    /// The body of an error response.
    fn error_body(failure: &Failure, status: u16) -> Vec<u8>;

    /// How much the caller may still ask, as headers. Dialects without a word for it say nothing.
    #[must_use]
    fn allowance(_allowance: &Allowance) -> Headers {
        Headers::new()
    }

    /// Turns a live answer into a streamed response.
    fn stream(answer: LiveAnswer) -> HttpResponse;
}

/// Has a fresh encoder say nothing but the end.
pub fn only_the_end(
    mut encoder: impl Encoder,
    outcome: Outcome,
    failure: &Failure,
) -> Vec<Payload> {
    let end = End {
        outcome,
        failure: Some(failure),
        finish: None,
        usage: None,
        timings: None,
        chunks: 0,
        duration_ns: 0,
        first_piece_ns: None,
    };
    let mut payloads = Vec::new();
    encoder.end(&end, &mut payloads);
    payloads
}
