//! Any server that speaks OpenAI's API: llama.cpp, LM Studio, api.openai.com.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures::future::{FutureExt, LocalBoxFuture};
use futures::stream::StreamExt;
use tidegate_protocol::exposition::{self, EngineLoad};
use tidegate_protocol::{Decoder, ErrorKind, Failure, Form, Original, Request, Wire, fit, openai};

use super::answer::HttpAnswer;
use super::bearer::Bearer;
use super::client::{HttpClient, Reply, Target};
use super::{Answer, Call, Provider, Reading, Refused, WHOLE_BODY_BYTES, counting};
use crate::config::{self, ProviderKind};

/// Metrics are read up to here: a vLLM has some 100 KiB of them.
const METRICS_BYTES: usize = 1024 * 1024;

pub struct OpenAi {
    target: Rc<Target>,
    /// Goes on with a trailing assistant message only where it is told to.
    is_vllm: bool,
}

impl OpenAi {
    pub fn new(client: &HttpClient, target: &config::Target, bearer: Arc<Bearer>) -> Self {
        let is_vllm = target.provider == ProviderKind::Vllm;
        Self { target: Rc::new(Target::new(client.clone(), target, Wire::OpenAi, bearer)), is_vllm }
    }

    pub fn target(&self) -> &Rc<Target> {
        &self.target
    }
}

impl Provider for OpenAi {
    fn open(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Refused>> {
        let target = Rc::clone(&self.target);
        let says_so = self.is_vllm && call.reading == Reading::Continued;
        async move {
            let stream = !call.reading.may_relay() || asks_for_stream(&call.request);
            let encoded = openai::encode_request(&call.request, &target.upstream_model, stream)?;
            let form = fit::form(&call.request, Wire::OpenAi);
            let body = encoded.body;
            let body = if says_so { openai::continue_final_message(body) } else { body };
            let reply = target.answer(form, &call, Bytes::from(body)).await?;
            let decoder = decoder_for(form, &reply, &call, &target);
            Ok(HttpAnswer::new(reply.body, decoder, target.bearer()).boxed_local())
        }
        .boxed_local()
    }

    fn streams(&self, request: &Request) -> bool {
        asks_for_stream(request)
    }

    fn count_tokens(&self, request: Arc<Request>) -> LocalBoxFuture<'static, Result<u64, Failure>> {
        let target = Rc::clone(&self.target);
        async move { counting::by_template(&target, &request).await }.boxed_local()
    }

    /// llama.cpp tells it where it runs with `--metrics`, and any vLLM does.
    fn load(&self) -> LocalBoxFuture<'static, Result<Option<EngineLoad>, Failure>> {
        let target = Rc::clone(&self.target);
        async move {
            let url = format!("{}/metrics", target.root());
            exposition::decode_load(&target.get(&url, METRICS_BYTES).await?).map(Some)
        }
        .boxed_local()
    }

    fn probe(&self) -> LocalBoxFuture<'static, Result<(), Failure>> {
        let target = Rc::clone(&self.target);
        async move {
            match target.get(&target.url("/models"), WHOLE_BODY_BYTES).await {
                Ok(_) => Ok(()),
                // Not every server lists its models, and many answer to any name.
                Err(failure) if failure.kind == ErrorKind::UpstreamNotFound => Ok(()),
                Err(failure) => Err(failure),
            }
        }
        .boxed_local()
    }
}

/// A translated answer is always streamed, so that it can be watched and cancelled. A relayed one
/// comes as the client asked for it, so that it comes as the upstream wrote it. Vectors come whole.
fn asks_for_stream(request: &Request) -> bool {
    !fit::form(request, Wire::OpenAi).is_embedding()
        && (request.stream || !fit::relays(request, Wire::OpenAi))
}

/// Trusts the response's own type over what was asked: some servers answer whole all the same.
fn decoder_for(form: Form, reply: &Reply, call: &Call, target: &Target) -> Box<dyn Decoder> {
    let request = &*call.request;
    let relay = call.reading.may_relay() && fit::relays(request, Wire::OpenAi);
    if form.is_embedding() {
        return Box::new(if relay {
            openai::VectorDecoder::relay(WHOLE_BODY_BYTES)
        } else {
            openai::VectorDecoder::new(WHOLE_BODY_BYTES, request.texts())
        });
    }
    let whole = reply
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let max = target.max_frame_bytes;
    if whole {
        // A client that wants a stream cannot be given a whole body: it is taken apart.
        Box::new(openai::WholeDecoder::new(WHOLE_BODY_BYTES, relay && !request.stream))
    } else if relay && request.stream {
        let name = &target.upstream_model;
        let choices = request.original.as_ref().map_or(1, Original::choices);
        let decoder = openai::RelayDecoder::new(max, request.include_usage, name);
        let decoder = decoder.with_choices(choices).hearing(call.reading == Reading::Heard);
        let is_completion = form == Form::OpenAiCompletion;
        Box::new(if is_completion { decoder.of_completion() } else { decoder })
    } else {
        Box::new(openai::EventDecoder::new(max))
    }
}
