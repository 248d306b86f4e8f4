//! Anthropic's dialect: `POST /v1/messages`.
//!
//! `anthropic-version` and `anthropic-beta` are taken as they come: there is one version here, and
//! what a beta adds to the body is seen there.

use actix_web::HttpResponse;
use tidegate_protocol::anthropic::{self, PING, StreamEncoder, WholeEncoder};
use tidegate_protocol::{Encoder, Failure, Outcome, Payload, Request};

use super::allowance::{self, Headers};
use super::dialect::{AnswerContext, Dialect, only_the_end};
use super::event_stream::{LiveAnswer, wire_events};
use crate::access::Allowance;
use crate::config::Chat;

/// `POST /v1/messages`.
pub struct Anthropic;

impl Dialect for Anthropic {
    const NAME: &'static str = "anthropic";

    /// Anthropic's own limits hold here; those of the native API do not.
    fn decode(body: &[u8], _limits: &Chat) -> Result<Request, Failure> {
        anthropic::decode_request(body)
    }

    fn encoder(request: &Request, context: &AnswerContext<'_>) -> Box<dyn Encoder> {
        let (id, model) = (context.id.to_string(), context.model.to_owned());
        if request.stream {
            Box::new(StreamEncoder::new(&id, model))
        } else {
            Box::new(WholeEncoder::new(&id, model))
        }
    }

    fn last_words(outcome: Outcome, failure: &Failure) -> Vec<Payload> {
        only_the_end(StreamEncoder::new("", String::new()), outcome, failure)
    }

    fn error_body(failure: &Failure, _status: u16) -> Vec<u8> {
        anthropic::error_body(failure)
    }

    fn allowance(allowance: &Allowance) -> Headers {
        allowance::anthropic(allowance)
    }

    fn stream(answer: LiveAnswer) -> HttpResponse {
        wire_events(answer, PING)
    }
}
