//! `[[models]]`: the models that serve, and the upstreams that run them.

use std::fmt;
use std::time::Duration;

use super::disconnect::Disconnect;
use super::queue::QueueLimits;
use super::retries::Retries;
use super::secret::{Masked, Secret};
use super::takeover::{Continuation, Hedging};

pub(super) const OPENAI_URL: &str = "https://api.openai.com/v1";
pub(super) const OLLAMA_URL: &str = "http://127.0.0.1:11434";
const VLLM_URL: &str = "http://127.0.0.1:8000/v1";

pub(super) const DEFAULT_MAX_CONCURRENCY: usize = 10;
pub(super) const DEFAULT_MAX_LINE_BYTES: usize = 1_048_576;

/// What kind of upstream runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    OpenAi,
    Vllm,
    Ollama,
    /// The demo model inside the gateway.
    Builtin,
}

impl ProviderKind {
    pub(super) const ALL: [Self; 4] = [Self::OpenAi, Self::Vllm, Self::Ollama, Self::Builtin];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Vllm => "vllm",
            Self::Ollama => "ollama",
            Self::Builtin => "builtin",
        }
    }

    /// Where such an upstream usually is; empty for the one that is nowhere.
    pub(super) fn default_base_url(self) -> &'static str {
        match self {
            Self::OpenAi => OPENAI_URL,
            Self::Vllm => VLLM_URL,
            Self::Ollama => OLLAMA_URL,
            Self::Builtin => "",
        }
    }
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelType {
    Chat,
    Completion,
    Embedding,
}

impl ModelType {
    pub(super) const ALL: [Self; 3] = [Self::Chat, Self::Completion, Self::Embedding];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completion => "completion",
            Self::Embedding => "embedding",
        }
    }
}

/// A model that serves.
#[derive(Clone)]
pub struct Model {
    /// The name clients ask for.
    pub name: String,
    pub provider: ProviderKind,
    pub model_type: ModelType,
    /// Without a trailing slash; empty for [`ProviderKind::Builtin`].
    pub base_url: String,
    /// The name the upstream knows the model by.
    pub upstream_model: String,
    /// Sent to the upstream as a bearer token.
    pub api_key: Option<Secret>,
    /// How many answers the upstream generates at a time.
    pub max_concurrency: usize,
    pub queue: QueueLimits,
    pub timeouts: Timeouts,
    pub retries: Retries,
    pub disconnect: Disconnect,
    /// Whether the same requests at the same time get one answer, where it would be the same.
    pub coalesce: bool,
    pub continuation: Continuation,
    pub hedging: Hedging,
    /// The longest line or frame that is taken from the upstream.
    pub max_line_bytes: usize,
}

/// How long one answer may take, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Waiting for a turn.
    pub queue: Duration,
    /// Connecting to the upstream.
    pub connect: Duration,
    /// From the request to the first token.
    pub first_token: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// All of it.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            queue: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            first_token: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}

impl Model {
    /// The demo model, for gateways without any other.
    #[must_use]
    pub fn builtin() -> Self {
        Self::with_defaults(ProviderKind::Builtin.as_str(), ProviderKind::Builtin, "")
    }

    /// A model of the Ollama at `base_url`.
    #[must_use]
    pub fn ollama(name: &str, base_url: &str) -> Self {
        Self::with_defaults(name, ProviderKind::Ollama, base_url)
    }

    fn with_defaults(name: &str, provider: ProviderKind, base_url: &str) -> Self {
        Self {
            name: name.to_owned(),
            provider,
            model_type: ModelType::Chat,
            base_url: base_url.to_owned(),
            upstream_model: name.to_owned(),
            api_key: None,
            max_concurrency: DEFAULT_MAX_CONCURRENCY,
            queue: QueueLimits::default(),
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            disconnect: Disconnect::default(),
            coalesce: false,
            continuation: Continuation::default(),
            hedging: Hedging::default(),
            max_line_bytes: DEFAULT_MAX_LINE_BYTES,
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("provider", &self.provider)
            .field("model_type", &self.model_type)
            .field("base_url", &self.base_url)
            .field("upstream_model", &self.upstream_model)
            .field("api_key", &self.api_key.as_ref().map(|_| Masked))
            .field("max_concurrency", &self.max_concurrency)
            .field("queue", &self.queue)
            .field("timeouts", &self.timeouts)
            .field("retries", &self.retries)
            .field("disconnect", &self.disconnect)
            .field("coalesce", &self.coalesce)
            .field("continuation", &self.continuation)
            .field("hedging", &self.hedging)
            .field("max_line_bytes", &self.max_line_bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn discovered_models_are_as_configured_ones() {
        let text = "[[models]]\nname = \"builtin\"\nprovider = \"builtin\"\n\
                    [[models]]\nname = \"llama\"\nprovider = \"ollama\"\n";
        let models = Config::parse(text, []).unwrap().config.models;
        let made = [Model::builtin(), Model::ollama("llama", OLLAMA_URL)];
        assert_eq!(format!("{models:?}"), format!("{made:?}"));
    }

    #[test]
    fn debug_hides_the_key() {
        let mut model = Model::builtin();
        model.api_key = Some(Secret::new("canary".to_owned()));
        let text = format!("{model:?}");
        assert!(text.contains("Some(********)") && !text.contains("canary"), "{text}");
    }
}
