//! vLLM: OpenAI's wire with a health check of its own, one folder above `/v1`.

use std::rc::Rc;

use futures::future::{FutureExt, LocalBoxFuture};
use tidegate_protocol::Failure;

use super::client::Target;
use super::openai::OpenAi;
use super::{Answer, Call, Provider};

/// `/health` answers with an empty body.
const HEALTH_BYTES: usize = 4096;

pub struct Vllm(OpenAi);

impl Vllm {
    pub fn new(target: Target) -> Self {
        Self(OpenAi::new(target))
    }
}

impl Provider for Vllm {
    fn open(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Failure>> {
        self.0.open(call)
    }

    /// A vLLM whose engine died still lists its models, but fails `/health`: both are asked.
    fn probe(&self) -> LocalBoxFuture<'static, Result<(), Failure>> {
        let target = Rc::clone(self.0.target());
        let models = self.0.probe();
        async move {
            target.get(&format!("{}/health", target.root()), HEALTH_BYTES).await?;
            models.await
        }
        .boxed_local()
    }
}
