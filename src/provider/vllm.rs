//! vLLM: OpenAI's wire with a health check of its own, one folder above `/v1`.

use std::rc::Rc;
use std::sync::Arc;

use futures::future::{FutureExt, LocalBoxFuture};
use tidegate_protocol::exposition::EngineLoad;
use tidegate_protocol::{Failure, Request, openai};

use super::bearer::Bearer;
use super::client::HttpClient;
use super::openai::OpenAi;
use super::{Answer, Call, Provider, Refused, counting, model_missing};
use crate::config;

/// `/health` answers with an empty body.
const HEALTH_BYTES: usize = 4096;
/// A list of models is read up to here.
const LIST_BYTES: usize = 4 * 1024 * 1024;

pub struct Vllm(OpenAi);

impl Vllm {
    pub fn new(client: &HttpClient, target: &config::Target, bearer: Arc<Bearer>) -> Self {
        Self(OpenAi::new(client, target, bearer))
    }
}

impl Provider for Vllm {
    fn open(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Refused>> {
        self.0.open(call)
    }

    fn streams(&self, request: &Request) -> bool {
        self.0.streams(request)
    }

    fn count_tokens(&self, request: Arc<Request>) -> LocalBoxFuture<'static, Result<u64, Failure>> {
        let target = Rc::clone(self.0.target());
        async move { counting::by_messages(&target, &request).await }.boxed_local()
    }

    fn load(&self) -> LocalBoxFuture<'static, Result<Option<EngineLoad>, Failure>> {
        self.0.load()
    }

    /// A vLLM whose engine died still lists its models, but fails `/health`: both are asked. It
    /// answers only to the names it lists.
    fn probe(&self) -> LocalBoxFuture<'static, Result<(), Failure>> {
        let target = Rc::clone(self.0.target());
        async move {
            target.get(&format!("{}/health", target.root()), HEALTH_BYTES).await?;
            let list = target.get(&target.url("/models"), LIST_BYTES).await?;
            let offered = openai::decode_models(&list)?;
            if offered.contains(&target.upstream_model) {
                return Ok(());
            }
            Err(model_missing(&target.upstream_model, &offered))
        }
        .boxed_local()
    }
}
