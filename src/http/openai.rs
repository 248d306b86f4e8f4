//! OpenAI's dialect: `POST /v1/chat/completions`.

use actix_web::HttpResponse;
use tidegate_protocol::openai::{self, ChunkEncoder, RelayEncoder, WholeEncoder};
use tidegate_protocol::{Encoder, Failure, Outcome, Payload, Request, sse};

use super::dialect::{AnswerContext, Dialect, only_the_end};
use super::event_stream::{LiveAnswer, wire_events};
use crate::config::Chat;

/// `POST /v1/chat/completions`.
pub struct OpenAi;

impl Dialect for OpenAi {
    const NAME: &'static str = "openai";

    /// OpenAI's own limits hold here; those of the native API do not.
    fn decode(body: &[u8], _limits: &Chat) -> Result<Request, Failure> {
        openai::decode_request(body)
    }

    fn encoder(request: &Request, context: &AnswerContext<'_>) -> Box<dyn Encoder> {
        let id = format!("chatcmpl-{}", context.id);
        let model = context.model.to_owned();
        if !request.stream {
            return Box::new(WholeEncoder::new(id, model, context.created));
        }
        let chunks = ChunkEncoder::new(id, model, context.created, request.include_usage);
        if context.relay { Box::new(RelayEncoder::with_fallback(chunks)) } else { Box::new(chunks) }
    }

    fn last_words(outcome: Outcome, failure: &Failure) -> Vec<Payload> {
        only_the_end(RelayEncoder::new(), outcome, failure)
    }

    fn error_body(failure: &Failure, status: u16) -> Vec<u8> {
        openai::error_body(failure, status)
    }

    fn stream(answer: LiveAnswer) -> HttpResponse {
        wire_events(answer, sse::KEEP_ALIVE)
    }
}
