//! A dialect as the HTTP layer needs it.

use actix_web::HttpResponse;
use tidegate_protocol::{Encoder, End, Failure, Outcome, Payload, Request, StreamId};

use super::event_stream::LiveAnswer;
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

    /// Decodes and validates a request's body.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](tidegate_protocol::ErrorKind::InvalidRequest) with every
    /// faulty field.
    fn decode(body: &[u8], limits: &Chat) -> Result<Request, Failure>;

    /// The encoder of the answer to `request`.
    fn encoder(request: &Request, context: &AnswerContext<'_>) -> Box<dyn Encoder>;

    /// The terminal of a stream whose own actor died before it could say it.
    fn last_words(outcome: Outcome, failure: &Failure) -> Vec<Payload>;

    /// The body of an error response.
    fn error_body(failure: &Failure, status: u16) -> Vec<u8>;

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
