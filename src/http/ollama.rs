//! Ollama's dialect: `/api/chat`, `/api/generate`, `/api/embed` and the older `/api/embeddings`,
//! below [`PREFIX`](super::ollama_routes::PREFIX) or on a listener of their own.

use actix_web::HttpResponse;
use tidegate_protocol::ollama::RelayEncoder;
use tidegate_protocol::ollama::client::{
    self, EmbedEncoder, Endpoint, LineEncoder, LineWriter, WholeEncoder,
};
use tidegate_protocol::{Encoder, Failure, Framing, Outcome, Payload, Request};

use super::dialect::{AnswerContext, Dialect, only_the_end};
use super::event_stream::{LiveAnswer, wire_body};
use super::resume::Kept;
use crate::config::Chat;
use crate::telemetry::clock::unix_nanos;

const NAME: &str = "ollama";
/// What Ollama completes a name without a tag with.
const TAG: &str = ":latest";

/// `POST /api/chat`.
pub struct OllamaChat;
/// `POST /api/generate`.
pub struct OllamaGenerate;
/// `POST /api/embed`.
pub struct OllamaEmbed;
/// `POST /api/embeddings`.
pub struct OllamaEmbeddings;

/// The other name of a model: `foo` is `foo:latest`.
#[must_use]
pub fn other_name(name: &str) -> Option<String> {
    match name.strip_suffix(TAG) {
        Some(bare) => Some(bare.to_owned()),
        None if name.contains(':') => None,
        None => Some(format!("{name}{TAG}")),
    }
}

fn lines(endpoint: Endpoint, model: &str) -> LineWriter {
    LineWriter::new(endpoint, model.to_owned(), unix_nanos)
}

fn words(endpoint: Endpoint, request: &Request, context: &AnswerContext<'_>) -> Box<dyn Encoder> {
    let lines = lines(endpoint, context.model);
    match (request.stream, context.relay) {
        (false, _) => Box::new(WholeEncoder::new(lines)),
        (true, true) => Box::new(RelayEncoder::new(LineEncoder::new(lines))),
        (true, false) => Box::new(LineEncoder::new(lines)),
    }
}

/// Nothing is to be generated, and what serves the model loads it when it is asked: it is as ready
/// as it can be.
fn loaded(endpoint: Endpoint, request: &Request, model: &str) -> Option<Vec<u8>> {
    client::only_loads(request).then(|| lines(endpoint, model).loaded())
}

fn last_words(outcome: Outcome, failure: &Failure) -> Vec<Payload> {
    only_the_end(LineEncoder::new(lines(Endpoint::Chat, "")), outcome, failure)
}

/// Every line is read as JSON: an idle stream says nothing.
fn stream(answer: LiveAnswer) -> HttpResponse {
    wire_body(answer, "application/x-ndjson", b"")
}

/// A dialect of Ollama's: they differ in what is read and what is written.
macro_rules! dialect {
    ($name:ident, $decode:path, $encoder:expr, $at_once:expr) => {
        impl Dialect for $name {
            const NAME: &'static str = NAME;
            const KEPT: Kept = Kept { framing: Framing::Lines, always: false };
            const ANY_CONTENT_TYPE: bool = true;

            /// Ollama has no limits of its own; those of the native API do not hold here.
            fn decode(body: &[u8], _limits: &Chat) -> Result<Request, Failure> {
                $decode(body)
            }

            fn other_name(name: &str) -> Option<String> {
                other_name(name)
            }

            fn at_once(request: &Request, model: &str) -> Option<Vec<u8>> {
                $at_once(request, model)
            }

            fn encoder(request: &Request, context: &AnswerContext<'_>) -> Box<dyn Encoder> {
                $encoder(request, context)
            }

            fn last_words(outcome: Outcome, failure: &Failure) -> Vec<Payload> {
                last_words(outcome, failure)
            }

            fn error_body(failure: &Failure, _status: u16) -> Vec<u8> {
                client::error_body(failure)
            }

            fn stream(answer: LiveAnswer) -> HttpResponse {
                stream(answer)
            }
        }
    };
}

dialect!(
    OllamaChat,
    client::decode_chat,
    |request, context| words(Endpoint::Chat, request, context),
    |request, model| loaded(Endpoint::Chat, request, model)
);
dialect!(
    OllamaGenerate,
    client::decode_generate,
    |request, context| words(Endpoint::Generate, request, context),
    |request, model| loaded(Endpoint::Generate, request, model)
);
dialect!(
    OllamaEmbed,
    client::decode_embed,
    |_, context: &AnswerContext<'_>| Box::new(EmbedEncoder::new(context.model.to_owned())),
    |_, _| None
);
dialect!(
    OllamaEmbeddings,
    client::decode_embeddings,
    |_, _| Box::new(EmbedEncoder::older()),
    |_, _| None
);

#[cfg(test)]
mod tests {
    use super::other_name;

    #[test]
    fn a_name_without_a_tag_is_the_latest() {
        assert_eq!(other_name("foo").as_deref(), Some("foo:latest"));
        assert_eq!(other_name("foo:latest").as_deref(), Some("foo"));
        assert_eq!(other_name("foo:8b"), None);
    }
}
