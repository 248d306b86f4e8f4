//! OpenAI's dialect: chats, completions and embeddings.

use std::marker::PhantomData;

use actix_web::HttpResponse;
use tidegate_protocol::openai::{self, ChunkEncoder, RelayEncoder, VectorEncoder, WholeEncoder};
use tidegate_protocol::{Encoder, Failure, Outcome, Payload, Request, Task, sse};

use super::allowance::{self, Headers};
use super::dialect::{AnswerContext, Dialect, only_the_end};
use super::event_stream::{LiveAnswer, wire_events};
use crate::access::Allowance;
use crate::config::Chat;

/// What is asked for, by the endpoint.
pub trait Endpoint: 'static {
    /// What the ids of answers begin with.
    const ID: &'static str;

    /// # Errors
    /// As [`Dialect::decode`].
    fn decode(body: &[u8]) -> Result<Request, Failure>;
}

/// `POST /v1/chat/completions`.
pub struct Chats;

impl Endpoint for Chats {
    const ID: &'static str = "chatcmpl";

    fn decode(body: &[u8]) -> Result<Request, Failure> {
        openai::decode_request(body)
    }
}

/// `POST /v1/completions`.
pub struct Completions;

impl Endpoint for Completions {
    const ID: &'static str = "cmpl";

    fn decode(body: &[u8]) -> Result<Request, Failure> {
        openai::decode_completion(body)
    }
}

/// `POST /v1/embeddings`.
pub struct Embeddings;

impl Endpoint for Embeddings {
    const ID: &'static str = "embd";

    fn decode(body: &[u8]) -> Result<Request, Failure> {
        openai::decode_embedding(body)
    }
}

/// OpenAI's dialect at an endpoint.
pub struct OpenAi<E = Chats>(PhantomData<E>);

impl<E: Endpoint> Dialect for OpenAi<E> {
    const NAME: &'static str = "openai";

    /// OpenAI's own limits hold here; those of the native API do not.
    fn decode(body: &[u8], _limits: &Chat) -> Result<Request, Failure> {
        E::decode(body)
    }

    fn encoder(request: &Request, context: &AnswerContext<'_>) -> Box<dyn Encoder> {
        let id = format!("{}-{}", E::ID, context.id);
        let model = context.model.to_owned();
        let is_text = match &request.task {
            Task::Embedding(asked) => return Box::new(VectorEncoder::new(model, asked.base64)),
            Task::Completion(_) => true,
            Task::Chat(_) => false,
        };
        if !request.stream {
            let whole = WholeEncoder::new(id, model, context.created);
            return Box::new(if is_text { whole.of_completion() } else { whole });
        }
        let chunks = ChunkEncoder::new(id, model, context.created, request.include_usage);
        let chunks = if is_text { chunks.of_completion() } else { chunks };
        if context.relay { Box::new(RelayEncoder::with_fallback(chunks)) } else { Box::new(chunks) }
    }

    fn last_words(outcome: Outcome, failure: &Failure) -> Vec<Payload> {
        only_the_end(RelayEncoder::new(), outcome, failure)
    }

    fn error_body(failure: &Failure, status: u16) -> Vec<u8> {
        openai::error_body(failure, status)
    }

    fn allowance(allowance: &Allowance) -> Headers {
        allowance::openai(allowance)
    }

    fn stream(answer: LiveAnswer) -> HttpResponse {
        wire_events(answer, sse::KEEP_ALIVE)
    }
}
